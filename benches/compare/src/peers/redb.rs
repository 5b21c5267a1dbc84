//! redb: a table by message id, a durable commit for each batch.

use std::path::Path;

use anyhow::Result;
use redb::{Database, ReadableTable, TableDefinition};

use crate::measure::Peer;
use crate::work::{Batch, Row};

const EVENTS: TableDefinition<'_, &str, &str> = TableDefinition::new("events");

pub struct Redb(Database);

impl Redb {
    pub fn open(dir: &Path) -> Result<Self> {
        Ok(Self(Database::create(dir.join("events.redb"))?))
    }
}

impl Peer for Redb {
    type Prepared = Vec<Row>;

    fn prepare(&self, batch: &Batch) -> Self::Prepared {
        batch.rows.clone()
    }

    fn append(&self, rows: Self::Prepared) -> Result<usize> {
        let transaction = self.0.begin_write()?;
        let mut stored = 0;
        let mut events = transaction.open_table(EVENTS)?;
        for row in &rows {
            // `entry` would descend three times for an id that is new.
            if events.get(row.id.as_str())?.is_none() {
                events.insert(row.id.as_str(), row.json.as_str())?;
                stored += 1;
            }
        }
        drop(events);
        // What is stored is durable already: a batch of duplicates needs no commit.
        if stored > 0 {
            transaction.commit()?
        } else {
            transaction.abort()?
        }
        Ok(stored)
    }
}
