//! The tables of profiles in the index: `profiles.traits` by number, `profiles.changes` in the order of the log.

use std::fmt;

use pugmark_store::redb::{
    ReadOnlyTable, ReadTransaction, ReadableTable, TableDefinition, TableError, TableHandle, WriteTransaction,
};
use pugmark_store::{Error, ErrorKind, ProfileChange, Result, ValueRef, copy_table};

/// Number of a trait → its name.
const TRAITS: TableDefinition<'_, u32, &str> = TableDefinition::new("profiles.traits");
/// (sequence, place in the record) → (subject, timestamp, kind of change, number of the trait, kind of value, value).
const CHANGES: TableDefinition<'_, (u64, u32), Row<'static>> = TableDefinition::new("profiles.changes");

type Row<'a> = (u32, i64, u8, u32, u8, &'a [u8]);

/// A change as it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Saved {
    pub(super) sequence: u64,
    pub(super) place: u32,
    pub(super) subject: u32,
    pub(super) timestamp: i64,
    pub(super) change: ProfileChange,
    pub(super) of: u32,
    /// The number of the value.
    pub(super) value: u32,
}

pub(super) fn write_trait(txn: &WriteTransaction, number: u32, name: &str) -> Result<()> {
    let mut table = txn.open_table(TRAITS).map_err(|e| Error::index(TRAITS.name(), e))?;
    table.insert(number, name).map_err(|e| Error::index(TRAITS.name(), e))?;
    Ok(())
}

pub(super) fn write_changes<'v>(
    txn: &WriteTransaction,
    changes: &[Saved],
    value: impl Fn(u32) -> ValueRef<'v>,
) -> Result<()> {
    let mut table = txn.open_table(CHANGES).map_err(|e| Error::index(CHANGES.name(), e))?;
    for Saved { sequence, place, subject, timestamp, change, of, value: given } in changes {
        let number;
        let (kind, bytes): (u8, &[u8]) = match value(*given) {
            ValueRef::Bool(v) => (0, if v { &[1] } else { &[0] }),
            ValueRef::Int(v) => {
                number = v.to_le_bytes();
                (1, &number)
            }
            ValueRef::Float(v) => {
                number = v.to_le_bytes();
                (2, &number)
            }
            ValueRef::Text(v) => (3, v.as_bytes()),
            ValueRef::Number(v) => (4, v.as_bytes()),
            ValueRef::Json(v) => (5, v.as_bytes()),
        };
        let row = (*subject, *timestamp, change.code(), *of, kind, bytes);
        table.insert((*sequence, *place), row).map_err(|e| Error::index(CHANGES.name(), e))?;
    }
    Ok(())
}

/// Gives each trait to `add`, ascending by number.
pub(super) fn read_traits(txn: &ReadTransaction, mut add: impl FnMut(&str)) -> Result<()> {
    let table = match txn.open_table(TRAITS) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        Err(e) => return Err(Error::index(TRAITS.name(), e)),
    };
    for (expected, row) in (0_u32..).zip(table.iter().map_err(|e| Error::index(TRAITS.name(), e))?) {
        let (number, name) = row.map_err(|e| Error::index(TRAITS.name(), e))?;
        if number.value() != expected {
            let what = format_args!("trait {} found where {expected} was expected", number.value());
            return Err(corrupt(&TRAITS, &what));
        }
        add(name.value());
    }
    Ok(())
}

/// Gives each change of `traits` traits to `add`, in the order of the log, with its value; the value has no number yet.
pub(super) fn read_changes(txn: &ReadTransaction, traits: u32, mut add: impl FnMut(Saved, ValueRef<'_>)) -> Result<()> {
    let table: ReadOnlyTable<(u64, u32), Row<'static>> = match txn.open_table(CHANGES) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        Err(e) => return Err(Error::index(CHANGES.name(), e)),
    };
    for row in table.iter().map_err(|e| Error::index(CHANGES.name(), e))? {
        let (key, row) = row.map_err(|e| Error::index(CHANGES.name(), e))?;
        let ((sequence, place), (subject, timestamp, change, of, kind, bytes)) = (key.value(), row.value());
        let wrong =
            |what: &dyn fmt::Display| corrupt(&CHANGES, &format_args!("change {place} of sequence {sequence}: {what}"));
        let change =
            ProfileChange::from_code(change).ok_or_else(|| wrong(&format_args!("kind {change}, the last is 5")))?;
        if of >= traits {
            return Err(wrong(&format_args!("trait {of} of {traits}")));
        }
        let value = value_of(kind, bytes)
            .ok_or_else(|| wrong(&format_args!("{} bytes are no value of kind {kind}", bytes.len())))?;
        add(Saved { sequence, place, subject, timestamp, change, of, value: 0 }, value);
    }
    Ok(())
}

fn value_of(kind: u8, bytes: &[u8]) -> Option<ValueRef<'_>> {
    let text = || std::str::from_utf8(bytes).ok();
    Some(match kind {
        0 => ValueRef::Bool(match bytes {
            [0] => false,
            [1] => true,
            _ => return None,
        }),
        1 => ValueRef::Int(i64::from_le_bytes(bytes.try_into().ok()?)),
        2 => ValueRef::Float(Some(f64::from_le_bytes(bytes.try_into().ok()?)).filter(|v| v.is_finite())?),
        3 => ValueRef::Text(text()?),
        4 => ValueRef::Number(text()?),
        5 => ValueRef::Json(text()?),
        _ => return None,
    })
}

pub(super) fn copy(from: &ReadTransaction, to: &WriteTransaction) -> Result<()> {
    copy_table(from, to, TRAITS)?;
    copy_table(from, to, CHANGES)
}

pub(super) fn delete(txn: &WriteTransaction) -> Result<()> {
    txn.delete_table(TRAITS).map_err(|e| Error::index(TRAITS.name(), e))?;
    txn.delete_table(CHANGES).map_err(|e| Error::index(CHANGES.name(), e))?;
    Ok(())
}

fn corrupt(table: &impl TableHandle, what: &dyn fmt::Display) -> Error {
    Error::new(ErrorKind::Corrupt, format!("index.redb: {}: {what}", table.name()))
}
