//! From subject to distinct id: blocks of 256 names in the index, the newest in memory.

use std::collections::BTreeSet;

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use crate::error::{Error, Result};
use crate::limits::DISTINCT_ID_MAX_BYTES;

/// Block of 256 subjects to their distinct ids, each as its length u16, or 0xFFFF if it was erased, and its text.
pub(super) const NAMES: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("subjects.names");
pub(super) const BLOCK_SUBJECTS: u32 = 256;
const ERASED: u16 = u16::MAX;

/// The distinct ids of the subjects from [`first`](Self::first) on.
#[derive(Default)]
pub(super) struct Names {
    first: u32,
    recent: Vec<Option<Box<str>>>,
    /// Erased since the last checkpoint, and in blocks that the index holds.
    erased: BTreeSet<u32>,
}

impl Names {
    /// The names that the index holds of `count` subjects: those of the last block that is not full are read.
    pub(super) fn load(table: Option<&impl ReadableTable<u32, &'static [u8]>>, count: u32) -> Result<Self> {
        let first = count - count % BLOCK_SUBJECTS;
        let mut recent = Vec::new();
        if first < count {
            let block = first / BLOCK_SUBJECTS;
            let bytes = match table {
                Some(table) => table.get(block).map_err(|error| Error::index("reading subjects.names", error))?,
                None => None,
            };
            let Some(bytes) = bytes else { return Err(missing(block)) };
            let names = decode_block(block, bytes.value())?;
            let expected = (count - first) as usize;
            if names.len() != expected {
                return Err(Error::corrupt(
                    place(block),
                    format!("{} subjects but expected {expected} of {count} in all", names.len()),
                ));
            }
            recent = names.into_iter().map(|name| name.map(Box::from)).collect();
        }
        Ok(Self { first, recent, erased: BTreeSet::new() })
    }

    /// How many subjects there are.
    pub(super) fn count(&self) -> u32 {
        self.first + u32::try_from(self.recent.len()).expect("fewer than 2^32 subjects: checked by push's callers")
    }

    /// Adds the next subject.
    pub(super) fn push(&mut self, name: Option<&str>) {
        self.recent.push(name.map(Box::from));
    }

    /// Forgets the name of a subject for good.
    pub(super) fn erase(&mut self, subject: u32) {
        match subject.checked_sub(self.first) {
            None => {
                self.erased.insert(subject);
            }
            Some(place) => {
                if let Some(name) = self.recent.get_mut(place as usize) {
                    *name = None;
                }
            }
        }
    }

    /// The name of a subject, if that is decided in memory: else its block is in the index.
    pub(super) fn recent(&self, subject: u32) -> Option<Option<&str>> {
        if self.erased.contains(&subject) {
            return Some(None);
        }
        let place = subject.checked_sub(self.first)?;
        self.recent.get(place as usize).map(|name| name.as_deref())
    }

    /// Writes what is in memory.
    pub(super) fn write(&self, txn: &WriteTransaction) -> Result<()> {
        let mut table = txn.open_table(NAMES).map_err(|error| Error::index("opening subjects.names", error))?;
        let mut erased = self.erased.iter().copied().peekable();
        while let Some(block) = erased.peek().map(|subject| subject / BLOCK_SUBJECTS) {
            let bytes = {
                let bytes = table.get(block).map_err(|error| Error::index("reading subjects.names", error))?;
                let bytes = bytes.ok_or_else(|| missing(block))?;
                let mut names = decode_block(block, bytes.value())?;
                while let Some(subject) = erased.next_if(|subject| subject / BLOCK_SUBJECTS == block) {
                    if let Some(name) = names.get_mut((subject % BLOCK_SUBJECTS) as usize) {
                        *name = None;
                    }
                }
                encode_block(names.into_iter())
            };
            table.insert(block, bytes.as_slice()).map_err(|error| Error::index("writing subjects.names", error))?;
        }
        let blocks = self.recent.chunks(BLOCK_SUBJECTS as usize);
        for (block, names) in (self.first / BLOCK_SUBJECTS..).zip(blocks) {
            let bytes = encode_block(names.iter().map(|name| name.as_deref()));
            table.insert(block, bytes.as_slice()).map_err(|error| Error::index("writing subjects.names", error))?;
        }
        Ok(())
    }

    /// Forgets the whole blocks of the first `count` subjects, which the index holds.
    pub(super) fn forget_written(&mut self, count: u32) {
        self.erased.clear();
        let first = count - count % BLOCK_SUBJECTS;
        let written = first.saturating_sub(self.first) as usize;
        self.recent.drain(..written.min(self.recent.len()));
        self.first = self.first.max(first);
    }

    /// Bytes of memory, the text included.
    pub(super) fn bytes(&self) -> usize {
        let text: usize = self.recent.iter().flatten().map(|name| name.len()).sum();
        self.recent.capacity() * size_of::<Option<Box<str>>>() + text
    }
}

fn encode_block<'a>(names: impl Iterator<Item = Option<&'a str>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for name in names {
        match name {
            Some(name) => {
                let length =
                    u16::try_from(name.len()).expect("a distinct id is 255 bytes at most: checked before it is kept");
                bytes.extend_from_slice(&length.to_le_bytes());
                bytes.extend_from_slice(name.as_bytes());
            }
            None => bytes.extend_from_slice(&ERASED.to_le_bytes()),
        }
    }
    bytes
}

/// The names in one block.
pub(super) fn decode_block(block: u32, mut bytes: &[u8]) -> Result<Vec<Option<&str>>> {
    let mut names = Vec::new();
    let damaged = |what: String| Error::corrupt(place(block), what);
    while !bytes.is_empty() {
        let number = names.len();
        let (length, rest) =
            bytes.split_first_chunk().ok_or_else(|| damaged(format!("ends inside the length of name {number}")))?;
        let length = u16::from_le_bytes(*length);
        if length == ERASED {
            names.push(None);
            bytes = rest;
        } else {
            let (name, rest) = rest
                .split_at_checked(usize::from(length))
                .ok_or_else(|| damaged(format!("name {number} of {length} bytes but {} are left", rest.len())))?;
            names.push(Some(std::str::from_utf8(name).map_err(|_| damaged(format!("name {number} is not UTF-8")))?));
            bytes = rest;
        }
    }
    if names.len() > BLOCK_SUBJECTS as usize {
        return Err(damaged(format!("{} names but at most {BLOCK_SUBJECTS} belong there", names.len())));
    }
    Ok(names)
}

fn place(block: u32) -> String {
    format!("index.redb: subjects.names, block {block}")
}

/// Damage: a block is not there.
pub(super) fn missing(block: u32) -> Error {
    Error::corrupt(place(block), "missing, but subjects in it were given out")
}

/// Says why a distinct id from the log cannot be kept.
pub(super) fn check_length(subject: u32, distinct_id: &str) -> Result<()> {
    if distinct_id.len() > DISTINCT_ID_MAX_BYTES {
        return Err(Error::corrupt(
            format!("subject {subject}"),
            format!("distinct id of {} bytes but expected at most {DISTINCT_ID_MAX_BYTES}", distinct_id.len()),
        ));
    }
    Ok(())
}

/// Decodes any bytes as a block of names, for the fuzzer; what decodes encodes to the same.
pub fn fuzz_block(bytes: &[u8]) {
    if let Ok(names) = decode_block(0, bytes) {
        assert_eq!(encode_block(names.into_iter()), bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn a_block_is_read_as_it_was_written() {
        let names = [Some("anon"), None, Some("zoë"), None];
        let bytes = encode_block(names.into_iter());
        assert_eq!(decode_block(0, &bytes).unwrap(), names);
    }

    #[test]
    fn a_cut_or_overlong_block_is_corrupt() {
        let bytes = encode_block([Some("anon"), Some("b")].into_iter());
        for length in [1, 3, 5, 7, 8] {
            let error = decode_block(3, &bytes[..length]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{length} bytes");
            assert!(error.to_string().starts_with("index.redb: subjects.names, block 3: "), "{error}");
        }
        assert!(decode_block(0, &encode_block([None; 257].into_iter())).is_err());
        assert!(decode_block(0, &[1, 0, 0xFF]).is_err());
    }
}
