//! SQLite: WAL, `synchronous=FULL` (a sync at each commit), a unique key on the message id.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use rusqlite::Connection;

use crate::measure::Peer;
use crate::work::{Batch, Row};

/// One connection that threads share: SQLite has one writer at a time, and threads with connections of their own would sleep and try again.
pub struct Sqlite(Mutex<Connection>);

impl Sqlite {
    pub fn open(dir: &Path) -> Result<Self> {
        let connection = Connection::open(dir.join("events.sqlite"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(
            "create table events (sequence integer primary key, message_id text not null unique, event text not null)",
        )?;
        Ok(Self(Mutex::new(connection)))
    }
}

impl Peer for Sqlite {
    type Prepared = Vec<Row>;

    fn prepare(&self, batch: &Batch) -> Self::Prepared {
        batch.rows.clone()
    }

    fn append(&self, rows: Self::Prepared) -> Result<usize> {
        let mut connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction()?;
        let mut stored = 0;
        let mut insert =
            transaction.prepare_cached("insert or ignore into events (message_id, event) values (?1, ?2)")?;
        for row in &rows {
            stored += insert.execute((&row.id, &row.json))?;
        }
        drop(insert);
        transaction.commit()?;
        Ok(stored)
    }
}
