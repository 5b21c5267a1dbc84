//! Tables of the index whose rows all have the same number of bytes and are only added to: many rows are one value, because a value costs as much to
//! write as a row of few bytes.

use std::fmt::Display;

use pugmark_store::redb::{
    Key, ReadOnlyTable, ReadTransaction, ReadableTable, TableDefinition, TableError, TableHandle, Value,
    WriteTransaction,
};
use pugmark_store::{Error, ErrorKind, Result};

/// How many rows come before → the next rows, one behind the other.
pub(crate) type Rows = TableDefinition<'static, u64, &'static [u8]>;

/// Most bytes of one value: with its key and what redb adds it fills eight pages of 4 KiB, which is what redb gives it.
const VALUE_BYTES: usize = 32_752;

/// Adds rows to the `before` that are there.
pub(crate) fn write<const N: usize>(
    txn: &WriteTransaction,
    table: Rows,
    before: u64,
    mut rows: impl Iterator<Item = [u8; N]>,
) -> Result<()> {
    let mut open = txn.open_table(table).map_err(|e| Error::index(table.name(), e))?;
    let mut place = before;
    let mut value = Vec::new();
    loop {
        value.clear();
        value.extend(rows.by_ref().take(VALUE_BYTES / N).flatten());
        if value.is_empty() {
            return Ok(());
        }
        open.insert(place, value.as_slice()).map_err(|e| Error::index(table.name(), e))?;
        place += (value.len() / N) as u64;
    }
}

/// Gives each row to `add`, in order, which says what is wrong with it.
pub(crate) fn read<const N: usize>(
    txn: &ReadTransaction,
    table: Rows,
    mut add: impl FnMut(&[u8; N]) -> std::result::Result<(), String>,
) -> Result<()> {
    let Some(open) = open(txn, table)? else { return Ok(()) };
    let mut place = 0;
    for value in open.iter().map_err(|e| Error::index(table.name(), e))? {
        let (first, value) = value.map_err(|e| Error::index(table.name(), e))?;
        let (rows, rest) = value.value().as_chunks::<N>();
        if first.value() != place || rows.is_empty() || !rest.is_empty() {
            let (found, bytes) = (first.value(), value.value().len());
            return Err(corrupt(
                &table,
                format_args!("row {found} and {bytes} bytes, but expected row {place} and a multiple of {N} bytes"),
            ));
        }
        for row in rows {
            add(row).map_err(|what| corrupt(&table, format_args!("row {place}: {what}")))?;
            place += 1;
        }
    }
    Ok(())
}

/// `None` for a table that was never written.
pub(crate) fn open<K: Key + 'static, V: Value + 'static>(
    txn: &ReadTransaction,
    table: TableDefinition<'_, K, V>,
) -> Result<Option<ReadOnlyTable<K, V>>> {
    match txn.open_table(table) {
        Ok(open) => Ok(Some(open)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(e) => Err(Error::index(table.name(), e)),
    }
}

pub(crate) fn corrupt(table: &impl TableHandle, what: impl Display) -> Error {
    Error::new(ErrorKind::Corrupt, format!("index.redb: {}: {what}", table.name()))
}

/// The fields of a row, put one behind the other.
pub(crate) struct RowBytes<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> RowBytes<N> {
    pub(crate) fn new() -> Self {
        Self { bytes: [0; N], length: 0 }
    }

    pub(crate) fn put<const F: usize>(&mut self, field: [u8; F]) {
        let end = self.length + F;
        self.bytes[self.length..end].copy_from_slice(&field);
        self.length = end;
    }

    pub(crate) fn done(self) -> [u8; N] {
        debug_assert_eq!(self.length, N, "the fields fill the row");
        self.bytes
    }
}

/// The fields of a row, taken one after the other.
pub(crate) struct RowFields<'a> {
    rest: &'a [u8],
}

impl<'a> RowFields<'a> {
    pub(crate) fn new<const N: usize>(row: &'a [u8; N]) -> Self {
        Self { rest: row }
    }

    pub(crate) fn take<const F: usize>(&mut self) -> [u8; F] {
        let (field, rest) = self.rest.split_first_chunk().expect("the fields fill the row: constants");
        self.rest = rest;
        *field
    }
}

#[cfg(test)]
mod tests {
    use pugmark_store::redb::{Database, ReadableDatabase, backends::InMemoryBackend};

    use super::*;

    const TABLE: Rows = TableDefinition::new("rows");

    fn database() -> Database {
        Database::builder().create_with_backend(InMemoryBackend::new()).unwrap()
    }

    fn add(db: &Database, rows: std::ops::Range<u64>) {
        let txn = db.begin_write().unwrap();
        write(&txn, TABLE, rows.start, rows.map(u64::to_le_bytes)).unwrap();
        txn.commit().unwrap();
    }

    fn rows_of(db: &Database) -> Result<Vec<u64>> {
        let mut found = Vec::new();
        read(&db.begin_read().unwrap(), TABLE, |row| {
            found.push(u64::from_le_bytes(*row));
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn rows_are_read_in_order_however_they_came() {
        let db = database();
        assert!(rows_of(&db).unwrap().is_empty());
        let mut count = 0;
        for more in [0, 1, 4_093, 4_094, 4_095, 3, 0, 20_000] {
            add(&db, count..count + more);
            count += more;
            assert!(rows_of(&db).unwrap().into_iter().eq(0..count), "after {count}");
        }
    }

    #[test]
    fn a_gap_a_repetition_and_bytes_that_are_no_rows_are_corrupt() {
        for (place, bytes) in [(4, &[0; 8][..]), (2, &[0; 8]), (3, &[0; 9]), (3, &[0; 7]), (3, &[])] {
            let db = database();
            add(&db, 0..3);
            let txn = db.begin_write().unwrap();
            txn.open_table(TABLE).unwrap().insert(place, bytes).unwrap();
            txn.commit().unwrap();
            let error = rows_of(&db).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{place}, {bytes:?}");
            assert!(error.to_string().starts_with("index.redb: rows: row "), "{error}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_row_is_said_with_its_place() {
        let db = database();
        add(&db, 0..5_000);
        let refuse = |row: &[u8; 8]| if *row == 4_500_u64.to_le_bytes() { Err("it is odd".to_owned()) } else { Ok(()) };
        let error = read(&db.begin_read().unwrap(), TABLE, refuse).unwrap_err();
        assert_eq!(error.to_string(), "index.redb: rows: row 4500: it is odd");
    }

    #[test]
    fn fields_are_taken_as_they_were_put() {
        let mut row = RowBytes::<7>::new();
        row.put(7_u32.to_le_bytes());
        row.put([1]);
        row.put(9_u16.to_le_bytes());
        let row = row.done();
        let mut fields = RowFields::new(&row);
        assert_eq!((u32::from_le_bytes(fields.take()), fields.take(), u16::from_le_bytes(fields.take())), (7, [1], 9));
    }
}
