//! The tables of identity in the index: `identity.operations` by sequence, `identity.revoked` by link, `identity.reasons` by sequence, `identity.known` in
//! the order in which ids became known.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use pugmark_store::redb::{
    Key, ReadOnlyTable, ReadTransaction, ReadableTable, TableDefinition, TableError, TableHandle, Value,
    WriteTransaction,
};
use pugmark_store::{Error, ErrorKind, LinkKind, Refusal, Result, Sequence, SubjectId, Timestamp, copy_table};

use crate::graph::RevokedLink;
use crate::history::{Effect, IdentityOperation, Reason};
use crate::person::Refusals;

type OperationKey = (u64, u32, u32);

/// (sequence, from, to) → when it was received, what it did as a code, and for a split of a link the sequence of that. A split has its subject as both.
const OPERATIONS: TableDefinition<'_, OperationKey, (i64, u8, u64)> = TableDefinition::new("identity.operations");
/// (sequence, from, to) of a link → the sequence at which it was revoked.
const REVOKED: TableDefinition<'_, (u64, u32, u32), u64> = TableDefinition::new("identity.revoked");
/// The sequence of an operation → by whom, and why.
const REASONS: TableDefinition<'_, u64, (Option<&str>, Option<&str>)> = TableDefinition::new("identity.reasons");
/// The how-manieth known id, from 1 → (subject, the sequence at which it became known).
const KNOWN: TableDefinition<'_, u32, (u32, u64)> = TableDefinition::new("identity.known");

/// What version 2 of the fold kept.
const LINKS_BEFORE: TableDefinition<'_, (u64, u32, u32), u64> = TableDefinition::new("identity.links");
const REFUSALS_BEFORE: TableDefinition<'_, u8, u64> = TableDefinition::new("identity.refusals");

/// The code of an operation that links is its place here, plus as many as there are for every refusal before its own.
const KINDS: [LinkKind; 3] = [LinkKind::Identify, LinkKind::Alias, LinkKind::Merge];
const SPLIT: u8 = 32;
const SPLIT_LINK: u8 = 33;

fn encode(operation: &IdentityOperation) -> (OperationKey, (i64, u8, u64)) {
    let code = |kind: LinkKind, outcome: usize| {
        let place = KINDS.iter().position(|known| *known == kind).unwrap_or(0);
        (outcome * KINDS.len() + place) as u8
    };
    let (from, to, code, of) = match operation.effect {
        Effect::Linked { kind, from, to } => (from, to, code(kind, 0), 0),
        Effect::Refused { kind, reason, from, to } => {
            let reasons = Refusals::default().by_reason();
            let place = reasons.iter().position(|(known, _)| *known == reason).unwrap_or(0);
            (from, to, code(kind, 1 + place), 0)
        }
        Effect::Split(subject) => (subject, subject, SPLIT, 0),
        Effect::SplitLink(of) => (SubjectId::new(0), SubjectId::new(0), SPLIT_LINK, of.number()),
    };
    let key = (operation.sequence.number(), from.number(), to.number());
    (key, (operation.received_at.as_microsecond(), code, of))
}

fn decode(key: OperationKey, (received_at, code, of): (i64, u8, u64)) -> Option<IdentityOperation> {
    let (from, to) = (SubjectId::new(key.1), SubjectId::new(key.2));
    let effect = match code {
        SPLIT => Effect::Split(from),
        SPLIT_LINK => Effect::SplitLink(Sequence::new(of)),
        _ => {
            let kind = KINDS[usize::from(code) % KINDS.len()];
            match (usize::from(code) / KINDS.len()).checked_sub(1) {
                None => Effect::Linked { kind, from, to },
                Some(place) => {
                    let (reason, _): (Refusal, u64) = Refusals::default().by_reason().get(place).copied()?;
                    Effect::Refused { kind, reason, from, to }
                }
            }
        }
    };
    Some(IdentityOperation {
        sequence: Sequence::new(key.0),
        received_at: Timestamp::from_microsecond(received_at),
        effect,
    })
}

pub(crate) fn write_operations<'a>(
    txn: &WriteTransaction,
    operations: impl Iterator<Item = &'a IdentityOperation>,
) -> Result<()> {
    let mut table = txn.open_table(OPERATIONS).map_err(|e| Error::index(OPERATIONS.name(), e))?;
    for (key, row) in operations.map(encode) {
        table.insert(key, row).map_err(|e| Error::index(OPERATIONS.name(), e))?;
    }
    Ok(())
}

pub(crate) fn write_revoked(txn: &WriteTransaction, revoked: &[RevokedLink]) -> Result<()> {
    let mut table = txn.open_table(REVOKED).map_err(|e| Error::index(REVOKED.name(), e))?;
    for RevokedLink { link, at } in revoked {
        table.insert(link.key(), at).map_err(|e| Error::index(REVOKED.name(), e))?;
    }
    Ok(())
}

pub(crate) fn write_reasons<'a>(
    txn: &WriteTransaction,
    reasons: impl Iterator<Item = (u64, &'a Reason)>,
) -> Result<()> {
    let mut table = txn.open_table(REASONS).map_err(|e| Error::index(REASONS.name(), e))?;
    for (sequence, Reason { by, why }) in reasons {
        table.insert(sequence, (by.as_deref(), why.as_deref())).map_err(|e| Error::index(REASONS.name(), e))?;
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

/// Gives each operation to `add`, in order.
pub(crate) fn read_operations(txn: &ReadTransaction, mut add: impl FnMut(IdentityOperation)) -> Result<()> {
    let Some(table) = open(txn, OPERATIONS)? else { return Ok(()) };
    for row in table.iter().map_err(|e| Error::index(OPERATIONS.name(), e))? {
        let (key, row) = row.map_err(|e| Error::index(OPERATIONS.name(), e))?;
        let (key, row) = (key.value(), row.value());
        let unknown = || corrupt(&OPERATIONS, &format_args!("row {key:?}: an operation with the code {}", row.1));
        add(decode(key, row).ok_or_else(unknown)?);
    }
    Ok(())
}

/// The links that were revoked, with the sequences at which they were.
pub(crate) fn read_revoked(txn: &ReadTransaction) -> Result<BTreeMap<(u64, u32, u32), u64>> {
    let mut revoked = BTreeMap::new();
    let Some(table) = open(txn, REVOKED)? else { return Ok(revoked) };
    for row in table.iter().map_err(|e| Error::index(REVOKED.name(), e))? {
        let (key, at) = row.map_err(|e| Error::index(REVOKED.name(), e))?;
        let (key, at) = (key.value(), at.value());
        if at <= key.0 {
            let what = format!("link of sequence {}: revoked at {at}, before it was made", key.0);
            return Err(corrupt_revoked(&what));
        }
        revoked.insert(key, at);
    }
    Ok(revoked)
}

pub(crate) fn read_reasons(txn: &ReadTransaction) -> Result<BTreeMap<u64, Reason>> {
    let mut reasons = BTreeMap::new();
    let Some(table) = open(txn, REASONS)? else { return Ok(reasons) };
    for row in table.iter().map_err(|e| Error::index(REASONS.name(), e))? {
        let (sequence, reason) = row.map_err(|e| Error::index(REASONS.name(), e))?;
        let (by, why) = reason.value();
        reasons.insert(sequence.value(), Reason { by: by.map(Arc::from), why: why.map(Arc::from) });
    }
    Ok(reasons)
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

pub(crate) fn copy(from: &ReadTransaction, to: &WriteTransaction) -> Result<()> {
    copy_table(from, to, OPERATIONS)?;
    copy_table(from, to, REVOKED)?;
    copy_table(from, to, REASONS)?;
    copy_table(from, to, KNOWN)
}

pub(crate) fn delete(txn: &WriteTransaction) -> Result<()> {
    txn.delete_table(OPERATIONS).map_err(|e| Error::index(OPERATIONS.name(), e))?;
    txn.delete_table(REVOKED).map_err(|e| Error::index(REVOKED.name(), e))?;
    txn.delete_table(REASONS).map_err(|e| Error::index(REASONS.name(), e))?;
    txn.delete_table(KNOWN).map_err(|e| Error::index(KNOWN.name(), e))?;
    txn.delete_table(LINKS_BEFORE).map_err(|e| Error::index(LINKS_BEFORE.name(), e))?;
    txn.delete_table(REFUSALS_BEFORE).map_err(|e| Error::index(REFUSALS_BEFORE.name(), e))?;
    Ok(())
}

pub(crate) fn corrupt_revoked(what: &str) -> Error {
    corrupt(&REVOKED, &what)
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
