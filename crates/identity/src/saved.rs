//! The tables of identity in the index: `identity.operations` in the order of sequences, `identity.revoked` by link, `identity.reasons` by sequence, `identity.known` in
//! the order in which ids became known. Of the first and the last [many rows](crate::rows) are one value.

use std::collections::BTreeMap;
use std::sync::Arc;

use pugmark_store::redb::{ReadTransaction, ReadableTable, TableDefinition, TableHandle, WriteTransaction};
use pugmark_store::{Error, LinkKind, Refusal, Result, Sequence, SubjectId, Timestamp, copy_table};

use crate::graph::RevokedLink;
use crate::history::{Effect, IdentityOperation, Reason};
use crate::person::Refusals;
use crate::rows::{self, RowBytes, RowFields, Rows};

/// Sequence u64, from u32, to u32, when it was received i64, what it did as a code u8, and for a split of a link the sequence of that u64. A split has its
/// subject as both. A merge is several.
const OPERATIONS: Rows = TableDefinition::new("identity.operations");
const OPERATION_BYTES: usize = 33;
/// (sequence, from, to) of a link → the sequence at which it was revoked.
const REVOKED: TableDefinition<'_, (u64, u32, u32), u64> = TableDefinition::new("identity.revoked");
/// The sequence of an operation → by whom, and why.
const REASONS: TableDefinition<'_, u64, (Option<&str>, Option<&str>)> = TableDefinition::new("identity.reasons");
/// Subject u32, and the sequence u64 at which it became known.
const KNOWN: Rows = TableDefinition::new("identity.known");
const KNOWN_BYTES: usize = 12;

/// What version 2 of the fold kept.
const LINKS_BEFORE: TableDefinition<'_, (u64, u32, u32), u64> = TableDefinition::new("identity.links");
const REFUSALS_BEFORE: TableDefinition<'_, u8, u64> = TableDefinition::new("identity.refusals");

/// The code of an operation that links is its place here, plus as many as there are for every refusal before its own.
const KINDS: [LinkKind; 3] = [LinkKind::Identify, LinkKind::Alias, LinkKind::Merge];
const SPLIT: u8 = 32;
const SPLIT_LINK: u8 = 33;

fn encode(operation: &IdentityOperation) -> [u8; OPERATION_BYTES] {
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
    let mut row = RowBytes::new();
    row.put(operation.sequence.number().to_le_bytes());
    row.put(from.number().to_le_bytes());
    row.put(to.number().to_le_bytes());
    row.put(operation.received_at.as_microsecond().to_le_bytes());
    row.put([code]);
    row.put(of.to_le_bytes());
    row.done()
}

/// `None` for a code that says nothing.
fn decode(row: &[u8; OPERATION_BYTES]) -> Option<IdentityOperation> {
    let mut row = RowFields::new(row);
    let sequence = u64::from_le_bytes(row.take());
    let (from, to) = (SubjectId::new(u32::from_le_bytes(row.take())), SubjectId::new(u32::from_le_bytes(row.take())));
    let received_at = i64::from_le_bytes(row.take());
    let [code] = row.take();
    let of = u64::from_le_bytes(row.take());
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
        sequence: Sequence::new(sequence),
        received_at: Timestamp::from_microsecond(received_at),
        effect,
    })
}

/// Adds operations to the `before` that are there.
pub(crate) fn write_operations<'a>(
    txn: &WriteTransaction,
    before: usize,
    operations: impl Iterator<Item = &'a IdentityOperation>,
) -> Result<()> {
    rows::write(txn, OPERATIONS, before as u64, operations.map(encode))
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
    let before = u64::from(count) - last.len() as u64;
    let encode = |(subject, sequence): &(u32, u64)| -> [u8; KNOWN_BYTES] {
        let mut row = RowBytes::new();
        row.put(subject.to_le_bytes());
        row.put(sequence.to_le_bytes());
        row.done()
    };
    rows::write(txn, KNOWN, before, last.iter().map(encode))
}

/// Gives each operation to `add`, in order.
pub(crate) fn read_operations(txn: &ReadTransaction, mut add: impl FnMut(IdentityOperation)) -> Result<()> {
    let mut last = 0;
    rows::read(txn, OPERATIONS, |row| {
        let operation = decode(row).ok_or_else(|| format!("{row:?}: an operation with an unknown code"))?;
        let sequence = operation.sequence.number();
        if sequence < last {
            return Err(format!("operation of sequence {sequence}, the one before of {last}"));
        }
        last = sequence;
        add(operation);
        Ok(())
    })
}

/// The links that were revoked, with the sequences at which they were.
pub(crate) fn read_revoked(txn: &ReadTransaction) -> Result<BTreeMap<(u64, u32, u32), u64>> {
    let mut revoked = BTreeMap::new();
    let Some(table) = rows::open(txn, REVOKED)? else { return Ok(revoked) };
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
    let Some(table) = rows::open(txn, REASONS)? else { return Ok(reasons) };
    for row in table.iter().map_err(|e| Error::index(REASONS.name(), e))? {
        let (sequence, reason) = row.map_err(|e| Error::index(REASONS.name(), e))?;
        let (by, why) = reason.value();
        reasons.insert(sequence.value(), Reason { by: by.map(Arc::from), why: why.map(Arc::from) });
    }
    Ok(reasons)
}

/// Gives each known subject to `add` with the sequence at which it became known, in this order; `add` answers whether it is new.
pub(crate) fn read_known(txn: &ReadTransaction, mut add: impl FnMut(u32, u64) -> bool) -> Result<()> {
    let mut last = 0;
    rows::read(txn, KNOWN, |row: &[u8; KNOWN_BYTES]| {
        let mut row = RowFields::new(row);
        let (subject, sequence) = (u32::from_le_bytes(row.take()), u64::from_le_bytes(row.take()));
        if sequence < last {
            return Err(format!("subject {subject} known at {sequence}, the one before at {last}"));
        }
        if !add(subject, sequence) {
            return Err(format!("subject {subject} is there twice"));
        }
        last = sequence;
        Ok(())
    })
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
    rows::corrupt(&REVOKED, what)
}
