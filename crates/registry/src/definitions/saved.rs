//! The table of definitions in the index: `definitions.versions`, in the order of the log.

use std::sync::Arc;

use pugmark_store::redb::{ReadTransaction, ReadableTable, TableDefinition, TableError, TableHandle, WriteTransaction};
use pugmark_store::{Error, Result, Sequence, Timestamp, copy_table};

use super::state::{DefinitionKind, Version};

/// Sequence → (received at, kind, name, version, body).
const VERSIONS: TableDefinition<'_, u64, Row<'static>> = TableDefinition::new("definitions.versions");

type Row<'a> = (i64, &'a str, &'a str, u32, Option<&'a str>);

pub(super) fn write(txn: &WriteTransaction, versions: &[(Arc<str>, Version)]) -> Result<()> {
    if versions.is_empty() {
        return Ok(());
    }
    let mut table = txn.open_table(VERSIONS).map_err(|e| Error::index(VERSIONS.name(), e))?;
    for (name, version) in versions {
        let Version { sequence, received_at, kind, version, body } = version;
        let row = (received_at.as_microsecond(), kind.name(), &**name, *version, body.as_deref());
        table.insert(sequence.number(), row).map_err(|e| Error::index(VERSIONS.name(), e))?;
    }
    Ok(())
}

/// Gives each version to `add`, in the order of the log.
pub(super) fn read(txn: &ReadTransaction, mut add: impl FnMut(&str, Version)) -> Result<()> {
    let table = match txn.open_table(VERSIONS) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        Err(e) => return Err(Error::index(VERSIONS.name(), e)),
    };
    for row in table.iter().map_err(|e| Error::index(VERSIONS.name(), e))? {
        let (sequence, row) = row.map_err(|e| Error::index(VERSIONS.name(), e))?;
        let (received_at, kind, name, version, body) = row.value();
        // One of a later version is passed over, as it is in the log.
        let Some(kind) = DefinitionKind::named(kind) else { continue };
        let (sequence, received_at) = (Sequence::new(sequence.value()), Timestamp::from_microsecond(received_at));
        add(name, Version { sequence, received_at, kind, version, body: body.map(Arc::from) });
    }
    Ok(())
}

pub(super) fn copy(from: &ReadTransaction, to: &WriteTransaction) -> Result<()> {
    copy_table(from, to, VERSIONS)
}

pub(super) fn delete(txn: &WriteTransaction) -> Result<()> {
    txn.delete_table(VERSIONS).map_err(|e| Error::index(VERSIONS.name(), e))?;
    Ok(())
}
