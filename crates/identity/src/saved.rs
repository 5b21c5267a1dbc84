//! The tables of identity in the index: `identity.links` by sequence, `identity.known` in the order in which ids
//! became known, `identity.refusals` by reason.

use std::fmt;

use pugmark_store::redb::{
    Key, ReadOnlyTable, ReadTransaction, ReadableTable, TableDefinition, TableError, TableHandle, Value,
    WriteTransaction,
};
use pugmark_store::{Error, ErrorKind, Refusal, Result, copy_table};

use crate::graph::GraphLink;
use crate::person::Refusals;

/// (sequence, from, to) → 1 when it was revoked, else 0.
const LINKS: TableDefinition<'_, (u64, u32, u32), u8> = TableDefinition::new("identity.links");
/// The how-manieth known id, from 1 → subject.
const KNOWN: TableDefinition<'_, u32, u32> = TableDefinition::new("identity.known");
/// Place in [`Refusals::by_reason`] → how many.
const REFUSALS: TableDefinition<'_, u8, u64> = TableDefinition::new("identity.refusals");

#[derive(Debug, Clone, Copy)]
pub(crate) struct SavedLink {
    pub(crate) link: GraphLink,
    pub(crate) revoked: bool,
}

pub(crate) fn write_links(txn: &WriteTransaction, links: impl Iterator<Item = SavedLink>) -> Result<()> {
    let mut table = txn.open_table(LINKS).map_err(|e| Error::index(LINKS.name(), e))?;
    for SavedLink { link: GraphLink { sequence, from, to }, revoked } in links {
        table.insert((sequence, from, to), u8::from(revoked)).map_err(|e| Error::index(LINKS.name(), e))?;
    }
    Ok(())
}

/// Adds the subjects that became known last; `count` includes them.
pub(crate) fn write_known(txn: &WriteTransaction, count: u32, last: &[u32]) -> Result<()> {
    let mut table = txn.open_table(KNOWN).map_err(|e| Error::index(KNOWN.name(), e))?;
    for (place, subject) in (1..=count).rev().zip(last.iter().rev()) {
        table.insert(place, subject).map_err(|e| Error::index(KNOWN.name(), e))?;
    }
    Ok(())
}

pub(crate) fn write_refusals(txn: &WriteTransaction, refusals: Refusals) -> Result<()> {
    let mut table = txn.open_table(REFUSALS).map_err(|e| Error::index(REFUSALS.name(), e))?;
    for (place, (_, times)) in (0_u8..).zip(refusals.by_reason()) {
        table.insert(place, times).map_err(|e| Error::index(REFUSALS.name(), e))?;
    }
    Ok(())
}

/// Gives each link to `add`, ascending by sequence.
pub(crate) fn read_links(txn: &ReadTransaction, mut add: impl FnMut(SavedLink)) -> Result<()> {
    let Some(table) = open(txn, LINKS)? else { return Ok(()) };
    for row in table.iter().map_err(|e| Error::index(LINKS.name(), e))? {
        let (key, revoked) = row.map_err(|e| Error::index(LINKS.name(), e))?;
        let (sequence, from, to) = key.value();
        let revoked = match revoked.value() {
            0 => false,
            1 => true,
            other => {
                let what = format_args!("link of sequence {sequence}: revoked is {other}, expected 0 or 1");
                return Err(corrupt(&LINKS, &what));
            }
        };
        add(SavedLink { link: GraphLink { sequence, from, to }, revoked });
    }
    Ok(())
}

/// Gives each known subject to `add`, in the order in which they became known; `add` answers whether it is new.
pub(crate) fn read_known(txn: &ReadTransaction, mut add: impl FnMut(u32) -> bool) -> Result<()> {
    let Some(table) = open(txn, KNOWN)? else { return Ok(()) };
    for (expected, row) in (1_u32..).zip(table.iter().map_err(|e| Error::index(KNOWN.name(), e))?) {
        let (place, subject) = row.map_err(|e| Error::index(KNOWN.name(), e))?;
        let (place, subject) = (place.value(), subject.value());
        if place != expected {
            return Err(corrupt(&KNOWN, &format_args!("row {place} found where row {expected} was expected")));
        }
        if !add(subject) {
            return Err(corrupt(&KNOWN, &format_args!("row {place}: subject {subject} has a row already")));
        }
    }
    Ok(())
}

pub(crate) fn read_refusals(txn: &ReadTransaction, mut add: impl FnMut(Refusal, u64)) -> Result<()> {
    let Some(table) = open(txn, REFUSALS)? else { return Ok(()) };
    for (place, (reason, _)) in (0_u8..).zip(Refusals::default().by_reason()) {
        if let Some(times) = table.get(place).map_err(|e| Error::index(REFUSALS.name(), e))? {
            add(reason, times.value());
        }
    }
    Ok(())
}

pub(crate) fn copy(from: &ReadTransaction, to: &WriteTransaction) -> Result<()> {
    copy_table(from, to, LINKS)?;
    copy_table(from, to, KNOWN)?;
    copy_table(from, to, REFUSALS)
}

pub(crate) fn delete(txn: &WriteTransaction) -> Result<()> {
    txn.delete_table(LINKS).map_err(|e| Error::index(LINKS.name(), e))?;
    txn.delete_table(KNOWN).map_err(|e| Error::index(KNOWN.name(), e))?;
    txn.delete_table(REFUSALS).map_err(|e| Error::index(REFUSALS.name(), e))?;
    Ok(())
}

/// `None` for a table that was never written.
fn open<K: Key + 'static, V: Value + 'static>(
    txn: &ReadTransaction,
    table: TableDefinition<'_, K, V>,
) -> Result<Option<ReadOnlyTable<K, V>>> {
    match txn.open_table(table) {
        Ok(open) => Ok(Some(open)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(e) => Err(Error::index(table.name(), e)),
    }
}

fn corrupt(table: &impl TableHandle, what: &dyn fmt::Display) -> Error {
    Error::new(ErrorKind::Corrupt, format!("index.redb: {}: {what}", table.name()))
}
