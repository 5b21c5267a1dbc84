//! Writes a base anew without what is erased.

use super::chain::{BaseDir, BaseFile};
use super::reader::BaseReader;
use super::writer::BaseWriter;
use crate::error::Result;
use crate::record::BaseSection;
use crate::time::Timestamp;

/// Gives each section to `edit`, which says whether it changed it, and replaces the base if any did. Whether it was: the directory is then still to be synced.
///
/// # Errors
/// `Corrupt` for a base that is not whole, errors of the disk. The base is then as it was.
pub(crate) fn rewrite_base(
    dir: &BaseDir,
    base: &BaseFile,
    level: i32,
    now: Timestamp,
    edit: &dyn Fn(&mut BaseSection<'_>) -> Result<bool>,
) -> Result<bool> {
    let mut reader = BaseReader::open(dir, base)?;
    let mut changes = false;
    while let Some(section) = reader.next()? {
        changes |= edit(&mut section.decode()?)?;
    }
    if !changes {
        return Ok(false);
    }
    let mut reader = BaseReader::open(dir, base)?;
    let mut writer = BaseWriter::create(dir, reader.store_id(), (reader.from(), base.end), level, now)?;
    while let Some(section) = reader.next()? {
        let mut section = section.decode()?;
        edit(&mut section)?;
        writer.write_section(&section)?;
    }
    writer.finish()?;
    Ok(true)
}
