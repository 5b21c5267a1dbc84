//! The registry's tables in the index: `registry.events` and `registry.properties`, each row under its number.

use std::fmt;
use std::sync::Arc;

use pugmark_store::redb::{ReadTransaction, ReadableTable, TableDefinition, TableError, TableHandle, WriteTransaction};
use pugmark_store::{Error, ErrorKind, Result, Sequence, copy_table};
use wincode::{SchemaRead, SchemaWrite};

use crate::column::ColumnType;
use crate::registry::{EventRow, KindCounts, PropertyRow};
use crate::schema::Definition;

const EVENTS: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("registry.events");
const PROPERTIES: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("registry.properties");

#[derive(SchemaWrite, SchemaRead)]
struct SavedEvent<'a> {
    name: &'a str,
    count: u64,
    first_seen: i64,
    last_seen: i64,
    since: u64,
}

#[derive(SchemaWrite, SchemaRead)]
struct SavedProperty<'a> {
    name: &'a str,
    column: Option<SavedColumn>,
    widened: Option<u64>,
    kinds: [u64; 5],
    first_seen: i64,
    last_seen: i64,
    since: u64,
}

#[derive(Clone, Copy, SchemaWrite, SchemaRead)]
enum SavedColumn {
    Bool,
    Int,
    Float,
    Text,
    Json,
}

pub(crate) fn copy(from: &ReadTransaction, to: &WriteTransaction) -> Result<()> {
    copy_table(from, to, EVENTS)?;
    copy_table(from, to, PROPERTIES)
}

pub(crate) fn write_events<'a>(txn: &WriteTransaction, rows: impl Iterator<Item = (u32, &'a EventRow)>) -> Result<()> {
    write(txn, EVENTS, rows, |row| {
        let EventRow { name, count, first_seen, last_seen, since } = row;
        let (count, since) = (*count, since.number());
        wincode::serialize(&SavedEvent { name, count, first_seen: *first_seen, last_seen: *last_seen, since })
    })
}

pub(crate) fn write_properties<'a>(
    txn: &WriteTransaction,
    rows: impl Iterator<Item = (u32, &'a Definition, &'a PropertyRow)>,
) -> Result<()> {
    write(txn, PROPERTIES, rows.map(|(number, definition, row)| (number, (definition, row))), |(definition, row)| {
        let KindCounts { bool, int, float, text, json } = row.kinds;
        wincode::serialize(&SavedProperty {
            name: &definition.name,
            column: definition.column.map(save_column),
            widened: row.widened.map(Sequence::number),
            kinds: [bool, int, float, text, json],
            first_seen: row.first_seen,
            last_seen: row.last_seen,
            since: row.since.number(),
        })
    })
}

/// Gives each event to `add`, in order of number; `add` answers whether its name is new.
pub(crate) fn read_events(txn: &ReadTransaction, mut add: impl FnMut(EventRow) -> bool) -> Result<()> {
    read(txn, EVENTS, |bytes| {
        let SavedEvent { name, count, first_seen, last_seen, since } = wincode::deserialize_exact(bytes)?;
        Ok(add(EventRow { name: Arc::from(name), count, first_seen, last_seen, since: Sequence::new(since) }))
    })
}

/// Gives each property to `add`, in order of number; `add` answers whether its name is new.
pub(crate) fn read_properties(
    txn: &ReadTransaction,
    mut add: impl FnMut(Definition, PropertyRow) -> bool,
) -> Result<()> {
    read(txn, PROPERTIES, |bytes| {
        let saved: SavedProperty<'_> = wincode::deserialize_exact(bytes)?;
        let [bool, int, float, text, json] = saved.kinds;
        let kinds = KindCounts { bool, int, float, text, json };
        let SavedProperty { first_seen, last_seen, .. } = saved;
        let (since, widened) = (Sequence::new(saved.since), saved.widened.map(Sequence::new));
        let definition = Definition { name: Arc::from(saved.name), column: saved.column.map(load_column) };
        Ok(add(definition, PropertyRow { kinds, first_seen, last_seen, since, widened }))
    })
}

pub(crate) fn delete(txn: &WriteTransaction) -> Result<()> {
    for table in [EVENTS, PROPERTIES] {
        txn.delete_table(table).map_err(|e| Error::index(table.name(), e))?;
    }
    Ok(())
}

type Table<'a> = TableDefinition<'a, u32, &'static [u8]>;

fn write<R>(
    txn: &WriteTransaction,
    table: Table<'_>,
    rows: impl Iterator<Item = (u32, R)>,
    encode: impl Fn(R) -> wincode::WriteResult<Vec<u8>>,
) -> Result<()> {
    let mut open = txn.open_table(table).map_err(|e| Error::index(table.name(), e))?;
    for (number, row) in rows {
        let bytes = encode(row).map_err(|e| {
            Error::with_source(ErrorKind::Invalid, format!("index.redb: {}: row {number}: {e}", table.name()), e)
        })?;
        open.insert(number, bytes.as_slice()).map_err(|e| Error::index(table.name(), e))?;
    }
    Ok(())
}

fn read(
    txn: &ReadTransaction,
    table: Table<'_>,
    mut add: impl FnMut(&[u8]) -> wincode::ReadResult<bool>,
) -> Result<()> {
    let open = match txn.open_table(table) {
        Ok(open) => open,
        // A registry that was never saved is empty.
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        Err(e) => return Err(Error::index(table.name(), e)),
    };
    let corrupt = |number: u32, what: &dyn fmt::Display| {
        Error::new(ErrorKind::Corrupt, format!("index.redb: {}: row {number}: {what}", table.name()))
    };
    for (expected, row) in (0_u32..).zip(open.iter().map_err(|e| Error::index(table.name(), e))?) {
        let (key, bytes) = row.map_err(|e| Error::index(table.name(), e))?;
        let number = key.value();
        if number != expected {
            return Err(corrupt(number, &format_args!("found where row {expected} was expected")));
        }
        if !add(bytes.value()).map_err(|e| corrupt(number, &e))? {
            return Err(corrupt(number, &"its name has a row already"));
        }
    }
    Ok(())
}

fn save_column(column: ColumnType) -> SavedColumn {
    match column {
        ColumnType::Bool => SavedColumn::Bool,
        ColumnType::Int => SavedColumn::Int,
        ColumnType::Float => SavedColumn::Float,
        ColumnType::Text => SavedColumn::Text,
        ColumnType::Json => SavedColumn::Json,
    }
}

fn load_column(column: SavedColumn) -> ColumnType {
    match column {
        SavedColumn::Bool => ColumnType::Bool,
        SavedColumn::Int => ColumnType::Int,
        SavedColumn::Float => ColumnType::Float,
        SavedColumn::Text => ColumnType::Text,
        SavedColumn::Json => ColumnType::Json,
    }
}
