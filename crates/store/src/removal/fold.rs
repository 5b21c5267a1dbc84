//! The fold of erasures, retractions and expiries.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError, WriteTransaction};
use roaring::{RoaringBitmap, RoaringTreemap};

use super::hidden::{Hidden, OpenRemoval};
use crate::error::{Error, Result};
use crate::fold::{Committed, Fold, Verifier, copy_table};
use crate::id::Sequence;
use crate::record::{Record, Retraction};
use crate::time::Timestamp;
use crate::verify::Findings;

/// Key 0: every subject that was ever erased, a roaring bitmap.
const ERASED: TableDefinition<'_, u8, &[u8]> = TableDefinition::new("removal.erased");
/// Sequence of the record → subjects, a roaring bitmap, and sequences, a roaring treemap, one of them empty.
const OPEN: TableDefinition<'_, u64, (&[u8], &[u8])> = TableDefinition::new("removal.open");

/// Sequence of an expiry that is not complete → the time before which events have expired. Key 0: the latest of all of them.
const EXPIRY: TableDefinition<'_, u64, i64> = TableDefinition::new("removal.expiry");

/// The name of the fold of removals and expiries.
pub(crate) const REMOVAL: &str = "removal";

/// Key 0: CRC-32 of all rows of the tables above, in their order. What stands in them removes from the log, the truth.
const CHECKSUM: TableDefinition<'_, u8, u32> = TableDefinition::new("removal.checksum");

/// Which removals the log asks for, and which are complete.
#[derive(Debug, Default)]
pub(crate) struct Removals {
    erased: RoaringBitmap,
    open: BTreeMap<u64, (RoaringBitmap, RoaringTreemap)>,
    expired_before: Option<i64>,
    expiring: BTreeMap<u64, i64>,
    published: Option<Arc<Hidden>>,
    changed: bool,
}

impl Removals {
    /// Whether one is not complete.
    pub(crate) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Whether an expiry is under way.
    pub(crate) fn is_expiring(&self) -> bool {
        !self.expiring.is_empty()
    }

    /// Events that happened earlier have expired.
    pub(crate) fn expired_before(&self) -> Option<Timestamp> {
        self.expired_before.map(Timestamp::from_microsecond)
    }
}

impl Fold for Removals {
    fn name(&self) -> &'static str {
        REMOVAL
    }

    fn version(&self) -> u32 {
        2
    }

    fn apply(&mut self, batch: &Committed<'_>) -> Result<()> {
        for (sequence, record) in (batch.first_sequence.number()..).zip(&batch.payload.records) {
            match record {
                Record::Erasure { subjects } => {
                    let subjects: RoaringBitmap = subjects.iter().collect();
                    self.erased |= &subjects;
                    self.open.insert(sequence, (subjects, RoaringTreemap::new()));
                }
                Record::Retraction(Retraction { sequences, .. }) => {
                    let mut withdrawn = RoaringTreemap::new();
                    for (first, count) in sequences {
                        withdrawn.insert_range(*first..first.saturating_add(*count));
                    }
                    self.open.insert(sequence, (RoaringBitmap::new(), withdrawn));
                }
                Record::Expiry { before } => {
                    self.expired_before = self.expired_before.max(Some(*before));
                    self.expiring.insert(sequence, *before);
                }
                Record::Completion { sequence, .. } => {
                    self.open.remove(sequence);
                    self.expiring.remove(sequence);
                }
                _ => continue,
            }
            self.changed = true;
            self.published = None;
        }
        Ok(())
    }

    fn apply_base(&mut self, batch: &Committed<'_>) -> Result<()> {
        self.apply(batch)
    }

    fn publish(&mut self) -> Arc<dyn Any + Send + Sync> {
        let expired_before = self.expired_before();
        let Self { erased, open, published, expiring, .. } = self;
        let state = published.get_or_insert_with(|| {
            let mut hidden = Hidden { erased: erased.clone(), ..Hidden::default() };
            for (sequence, (subjects, sequences)) in open.iter() {
                hidden.subjects |= subjects;
                hidden.sequences |= sequences;
                hidden.open.push(OpenRemoval {
                    sequence: Sequence::new(*sequence),
                    subjects: subjects.len(),
                    events: sequences.len(),
                });
            }
            hidden.expired_before = expired_before;
            hidden.expiring = expiring.keys().copied().map(Sequence::new).collect();
            Arc::new(hidden)
        });
        Arc::clone(state) as Arc<dyn Any + Send + Sync>
    }

    fn checkpoint(&mut self, txn: &WriteTransaction) -> Result<()> {
        if !self.changed {
            return Ok(());
        }
        let mut sum = Sum::default();
        let failed = |e| Error::index("writing removal.erased", e);
        let mut table = txn.open_table(ERASED).map_err(|e| Error::index("opening removal.erased", e))?;
        let erased = bytes_of(&self.erased)?;
        sum.row(0, &[&erased]);
        table.insert(0, erased.as_slice()).map_err(failed)?;
        txn.delete_table(OPEN).map_err(|e| Error::index("emptying removal.open", e))?;
        let mut table = txn.open_table(OPEN).map_err(|e| Error::index("opening removal.open", e))?;
        for (sequence, (subjects, sequences)) in &self.open {
            let mut withdrawn = Vec::with_capacity(sequences.serialized_size());
            sequences.serialize_into(&mut withdrawn).map_err(unwritten)?;
            let subjects = bytes_of(subjects)?;
            sum.row(*sequence, &[&subjects, &withdrawn]);
            table
                .insert(sequence, (subjects.as_slice(), withdrawn.as_slice()))
                .map_err(|e| Error::index("writing removal.open", e))?;
        }
        txn.delete_table(EXPIRY).map_err(|e| Error::index("emptying removal.expiry", e))?;
        let mut table = txn.open_table(EXPIRY).map_err(|e| Error::index("opening removal.expiry", e))?;
        let latest = self.expired_before.map(|before| (0, before));
        for (sequence, before) in latest.into_iter().chain(self.expiring.iter().map(|(at, before)| (*at, *before))) {
            sum.row(sequence, &[&before.to_le_bytes()]);
            table.insert(sequence, before).map_err(|e| Error::index("writing removal.expiry", e))?;
        }
        let mut table = txn.open_table(CHECKSUM).map_err(|e| Error::index("opening removal.checksum", e))?;
        table.insert(0, sum.finish()).map_err(|e| Error::index("writing removal.checksum", e))?;
        self.changed = false;
        Ok(())
    }

    fn load(&mut self, txn: &ReadTransaction) -> Result<()> {
        let mut loaded = Self::default();
        let mut sum = Sum::default();
        let damaged = |what: std::io::Error| Error::corrupt("index.redb: removal", what);
        match txn.open_table(ERASED) {
            Ok(table) => {
                if let Some(bytes) = table.get(0).map_err(|e| Error::index("reading removal.erased", e))? {
                    sum.row(0, &[bytes.value()]);
                    loaded.erased = RoaringBitmap::deserialize_from(bytes.value()).map_err(damaged)?;
                }
            }
            Err(TableError::TableDoesNotExist(_)) => {}
            Err(e) => return Err(Error::index("opening removal.erased", e)),
        }
        match txn.open_table(OPEN) {
            Ok(table) => {
                for row in table.iter().map_err(|e| Error::index("reading removal.open", e))? {
                    let (sequence, value) = row.map_err(|e| Error::index("reading removal.open", e))?;
                    let (subjects, sequences) = value.value();
                    sum.row(sequence.value(), &[subjects, sequences]);
                    let subjects = RoaringBitmap::deserialize_from(subjects).map_err(damaged)?;
                    let sequences = RoaringTreemap::deserialize_from(sequences).map_err(damaged)?;
                    loaded.open.insert(sequence.value(), (subjects, sequences));
                }
            }
            Err(TableError::TableDoesNotExist(_)) => {}
            Err(e) => return Err(Error::index("opening removal.open", e)),
        }
        match txn.open_table(EXPIRY) {
            Ok(table) => {
                for row in table.iter().map_err(|e| Error::index("reading removal.expiry", e))? {
                    let (sequence, before) = row.map_err(|e| Error::index("reading removal.expiry", e))?;
                    sum.row(sequence.value(), &[&before.value().to_le_bytes()]);
                    if sequence.value() == 0 {
                        loaded.expired_before = Some(before.value());
                    } else {
                        loaded.expiring.insert(sequence.value(), before.value());
                    }
                }
            }
            Err(TableError::TableDoesNotExist(_)) => {}
            Err(e) => return Err(Error::index("opening removal.expiry", e)),
        }
        let expected = match txn.open_table(CHECKSUM) {
            Ok(table) => {
                let row = table.get(0).map_err(|e| Error::index("reading removal.checksum", e))?;
                row.map_or(0, |row| row.value())
            }
            // Nothing was ever removed.
            Err(TableError::TableDoesNotExist(_)) => Sum::default().finish(),
            Err(e) => return Err(Error::index("opening removal.checksum", e)),
        };
        let found = sum.finish();
        if found != expected {
            let what = format!("checksum {found:08x} of its rows but expected {expected:08x}");
            return Err(Error::corrupt("index.redb: removal", what));
        }
        *self = loaded;
        Ok(())
    }

    fn reset(&mut self, txn: &WriteTransaction) -> Result<()> {
        txn.delete_table(ERASED).map_err(|e| Error::index("deleting removal.erased", e))?;
        txn.delete_table(OPEN).map_err(|e| Error::index("deleting removal.open", e))?;
        txn.delete_table(EXPIRY).map_err(|e| Error::index("deleting removal.expiry", e))?;
        txn.delete_table(CHECKSUM).map_err(|e| Error::index("deleting removal.checksum", e))?;
        *self = Self::default();
        Ok(())
    }

    fn verifier<'a>(&'a self, index: Option<&ReadTransaction>) -> Result<Option<Box<dyn Verifier + 'a>>> {
        let mut stored = None;
        if let Some(index) = index {
            stored.insert(Self::default()).load(index)?;
        }
        Ok(Some(Box::new(RemovalsVerifier { live: self, stored, replayed: Self::default() })))
    }

    fn fresh(&self) -> Box<dyn Fold> {
        Box::new(Self::default())
    }

    fn copy(&self, from: &ReadTransaction, to: &WriteTransaction) -> Result<()> {
        copy_table(from, to, ERASED)?;
        copy_table(from, to, OPEN)?;
        copy_table(from, to, EXPIRY)?;
        copy_table(from, to, CHECKSUM)
    }
}

/// Compares removals with those that the log alone asks for.
struct RemovalsVerifier<'a> {
    live: &'a Removals,
    stored: Option<Removals>,
    replayed: Removals,
}

impl Verifier for RemovalsVerifier<'_> {
    fn apply(&mut self, batch: &Committed<'_>, _found: &mut Findings<'_>) -> Result<()> {
        self.replayed.apply(batch)
    }

    fn finish(&mut self, found: &mut Findings<'_>) -> Result<()> {
        let Removals { erased, open, expired_before, expiring, .. } = &self.replayed;
        for (place, state) in [("in memory", Some(self.live)), ("index.redb", self.stored.as_ref())] {
            let Some(state) = state else { continue };
            if state.erased != *erased {
                let (count, expected) = (state.erased.len(), erased.len());
                found.add(format!("{place}: {count} subjects were erased that are not the {expected} of the log"));
            }
            if state.open != *open {
                let (count, expected) = (state.open.len(), open.len());
                found.add(format!("{place}: {count} removals are open that are not the {expected} of the log"));
            }
            if state.expired_before != *expired_before || state.expiring != *expiring {
                let (before, expected) = (state.expired_before(), self.replayed.expired_before());
                found.add(format!("{place}: expired is what happened before {before:?}, and in the log {expected:?}"));
            }
        }
        Ok(())
    }
}

/// The checksum of rows.
#[derive(Default)]
struct Sum(crc32fast::Hasher);

impl Sum {
    fn row(&mut self, key: u64, values: &[&[u8]]) {
        self.0.update(&key.to_le_bytes());
        for value in values {
            self.0.update(&(value.len() as u64).to_le_bytes());
            self.0.update(value);
        }
    }

    fn finish(self) -> u32 {
        self.0.finalize()
    }
}

fn bytes_of(bitmap: &RoaringBitmap) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(bitmap.serialized_size());
    bitmap.serialize_into(&mut bytes).map_err(unwritten)?;
    Ok(bytes)
}

fn unwritten(e: std::io::Error) -> Error {
    Error::corrupt("removal", format_args!("a bitmap does not encode: {e}"))
}
