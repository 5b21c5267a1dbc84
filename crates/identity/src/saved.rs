//! The tables of identity in the index: `identity.links` by sequence, `identity.known` in the order in which ids
//! became known, `identity.refusals` by reason.

use std::fmt;

use pugmark_store::redb::{
    Key, ReadOnlyTable, ReadTransaction, ReadableTable, TableDefinition, TableError, TableHandle, Value,
    WriteTransaction,
};
use pugmark_store::{Error, ErrorKind, Refusal, Result, copy_table};

use crate::graph::{GraphLink, RevokedLink};
use crate::person::Refusals;

/// (sequence, from, to) → the sequence at which it was revoked; 0 while it stands.
const LINKS: TableDefinition<'_, (u64, u32, u32), u64> = TableDefinition::new("identity.links");
/// The how-manieth known id, from 1 → (subject, the sequence at which it became known).
const KNOWN: TableDefinition<'_, u32, (u32, u64)> = TableDefinition::new("identity.known");
/// Place in [`Refusals::by_reason`] → how many.
const REFUSALS: TableDefinition<'_, u8, u64> = TableDefinition::new("identity.refusals");

pub(crate) fn write_links(txn: &WriteTransaction, standing: &[GraphLink], revoked: &[RevokedLink]) -> Result<()> {
    let mut table = txn.open_table(LINKS).map_err(|e| Error::index(LINKS.name(), e))?;
    let standing = standing.iter().map(|link| (link, 0));
    for (link, at) in standing.chain(revoked.iter().map(|revoked| (&revoked.link, revoked.at))) {
        table.insert((link.sequence, link.from, link.to), at).map_err(|e| Error::index(LINKS.name(), e))?;
    }
    Ok(())
}

/// Adds the subjects that became known last, with the sequences at which they did; `count` includes them.
pub(crate) fn write_known(txn: &WriteTransaction, count: u32, last: &[(u32, u64)]) -> Result<()> {
    let mut table = txn.open_table(KNOWN).map_err(|e| Error::index(KNOWN.name(), e))?;
    for (place, known) in (1..=count).rev().zip(last.iter().rev()) {
        table.insert(place, known).map_err(|e| Error::index(KNOWN.name(), e))?;
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

/// Gives each link to `add`, ascending by sequence, with the sequence at which it was revoked.
pub(crate) fn read_links(txn: &ReadTransaction, mut add: impl FnMut(GraphLink, Option<u64>)) -> Result<()> {
    let Some(table) = open(txn, LINKS)? else { return Ok(()) };
    for row in table.iter().map_err(|e| Error::index(LINKS.name(), e))? {
        let (key, revoked) = row.map_err(|e| Error::index(LINKS.name(), e))?;
        let (sequence, from, to) = key.value();
        let at = Some(revoked.value()).filter(|at| *at != 0);
        if let Some(at) = at.filter(|at| *at <= sequence) {
            let what = format_args!("link of sequence {sequence}: revoked at {at}, before it was made");
            return Err(corrupt(&LINKS, &what));
        }
        add(GraphLink { sequence, from, to }, at);
    }
    Ok(())
}

/// Gives each known subject to `add` with the sequence at which it became known, in this order; `add` answers whether it is new.
pub(crate) fn read_known(txn: &ReadTransaction, mut add: impl FnMut(u32, u64) -> bool) -> Result<()> {
    let Some(table) = open(txn, KNOWN)? else { return Ok(()) };
    let mut last = 0;
    for (expected, row) in (1_u32..).zip(table.iter().map_err(|e| Error::index(KNOWN.name(), e))?) {
        let (place, known) = row.map_err(|e| Error::index(KNOWN.name(), e))?;
        let (place, (subject, sequence)) = (place.value(), known.value());
        if place != expected {
            return Err(corrupt(&KNOWN, &format_args!("row {place} found where row {expected} was expected")));
        }
        if sequence < last {
            return Err(corrupt(&KNOWN, &format_args!("row {place}: known at {sequence}, the one before at {last}")));
        }
        if !add(subject, sequence) {
            return Err(corrupt(&KNOWN, &format_args!("row {place}: subject {subject} has a row already")));
        }
        last = sequence;
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
