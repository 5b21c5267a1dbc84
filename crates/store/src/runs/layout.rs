//! Where the parts of a run file lie: docs/format.md, Sorted runs.

use super::fingerprint::Fingerprint;

/// The version that this code writes, and the newest that it reads.
pub(crate) const RUN_VERSION: u32 = 1;
/// Entries in a block, the unit that is read and checked.
pub(crate) const BLOCK_ENTRIES: usize = 256;
/// A fingerprint and a value.
pub(crate) const ENTRY_BYTES: usize = 24;
/// Bytes of a whole block.
pub(crate) const BLOCK_BYTES: usize = BLOCK_ENTRIES * ENTRY_BYTES;

const MAGIC: [u8; 8] = *b"PUGMRUN\0";
const VERSION_AT: usize = 8;
const KIND_AT: usize = 12;
const ENTRIES_AT: usize = 16;
const FILTER_BYTES_AT: usize = 24;
const FENCES_AT: usize = 32;
const RESERVED_AT: usize = 40;
const HEADER_CRC_AT: usize = 60;
/// Length of the header; the entries follow it.
pub(crate) const RUN_HEADER_BYTES: usize = HEADER_CRC_AT + 4;

/// What a run maps from and to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunKind {
    /// Message id to content hash.
    Ids,
    /// Distinct id to subject.
    Subjects,
}

impl RunKind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ids => "ids",
            Self::Subjects => "subjects",
        }
    }

    const fn code(self) -> u32 {
        match self {
            Self::Ids => 0,
            Self::Subjects => 1,
        }
    }

    const fn from_code(code: u32) -> Option<Self> {
        match code {
            0 => Some(Self::Ids),
            1 => Some(Self::Subjects),
            _ => None,
        }
    }

    /// The name of the file with this number.
    pub(crate) fn file_name(self, number: u64) -> String {
        format!("{}-{number:020}.run", self.as_str())
    }

    /// The number in a file name of this kind, finished or not.
    pub(crate) fn number_of(self, file_name: &str) -> Option<u64> {
        let rest = file_name.strip_prefix(self.as_str())?.strip_prefix('-')?;
        let digits = rest.strip_suffix(".run").or_else(|| rest.strip_suffix(".run.tmp"))?;
        if digits.len() == 20 { digits.parse().ok() } else { None }
    }
}

/// The header of a run file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunHeader {
    pub(crate) kind: RunKind,
    pub(crate) entries: u64,
    pub(crate) filter_bytes: u64,
    pub(crate) fences: u64,
}

/// Why bytes are not a header of this version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HeaderDamage {
    /// What was found, and what was expected.
    Damaged(String),
    /// Written by a newer version.
    Newer(u32),
}

/// Offsets of the parts behind the entries, and the length of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) fences: u64,
    pub(crate) filter: u64,
    pub(crate) checksums: u64,
    pub(crate) end: u64,
}

impl RunHeader {
    pub(crate) fn encode(&self) -> [u8; RUN_HEADER_BYTES] {
        let mut bytes = [0; RUN_HEADER_BYTES];
        put(&mut bytes, 0, &MAGIC);
        put(&mut bytes, VERSION_AT, &RUN_VERSION.to_le_bytes());
        put(&mut bytes, KIND_AT, &self.kind.code().to_le_bytes());
        put(&mut bytes, ENTRIES_AT, &self.entries.to_le_bytes());
        put(&mut bytes, FILTER_BYTES_AT, &self.filter_bytes.to_le_bytes());
        put(&mut bytes, FENCES_AT, &self.fences.to_le_bytes());
        let crc = crc32fast::hash(bytes.split_at(HEADER_CRC_AT).0);
        put(&mut bytes, HEADER_CRC_AT, &crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; RUN_HEADER_BYTES]) -> Result<Self, HeaderDamage> {
        let damaged = |what: String| Err(HeaderDamage::Damaged(what));
        let magic: [u8; 8] = take(bytes, 0);
        if magic != MAGIC {
            return damaged(format!("magic {} but expected {}", magic.escape_ascii(), MAGIC.escape_ascii()));
        }
        let computed = crc32fast::hash(bytes.split_at(HEADER_CRC_AT).0);
        let stored = u32::from_le_bytes(take(bytes, HEADER_CRC_AT));
        if computed != stored {
            return damaged(format!("header checksum {computed:#010x} but stored {stored:#010x}"));
        }
        let version = u32::from_le_bytes(take(bytes, VERSION_AT));
        if version > RUN_VERSION {
            return Err(HeaderDamage::Newer(version));
        }
        if version == 0 || take::<20>(bytes, RESERVED_AT) != [0; 20] {
            return damaged("version 0 or reserved bytes that are not zero".to_owned());
        }
        let code = u32::from_le_bytes(take(bytes, KIND_AT));
        let Some(kind) = RunKind::from_code(code) else {
            return damaged(format!("kind {code} but expected 0 or 1"));
        };
        let header = Self {
            kind,
            entries: u64::from_le_bytes(take(bytes, ENTRIES_AT)),
            filter_bytes: u64::from_le_bytes(take(bytes, FILTER_BYTES_AT)),
            fences: u64::from_le_bytes(take(bytes, FENCES_AT)),
        };
        let expected = header.entries.div_ceil(BLOCK_ENTRIES as u64);
        if header.entries == 0 || header.fences != expected {
            return damaged(format!(
                "{} fences for {} entries but expected {expected} for at least one entry",
                header.fences, header.entries
            ));
        }
        Ok(header)
    }

    /// Where the parts lie; `None` when the lengths pass what a file can hold.
    pub(crate) fn layout(&self) -> Option<Layout> {
        let fences = self.entries.checked_mul(ENTRY_BYTES as u64)?.checked_add(RUN_HEADER_BYTES as u64)?;
        let filter = self.fences.checked_mul(8)?.checked_add(fences)?;
        let checksums = filter.checked_add(self.filter_bytes)?;
        let end = self.fences.checked_add(1)?.checked_mul(4)?.checked_add(checksums)?;
        Some(Layout { fences, filter, checksums, end })
    }
}

pub(crate) fn encode_entry(fingerprint: &Fingerprint, value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(fingerprint.as_bytes());
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn entry_fingerprint(entry: &[u8; ENTRY_BYTES]) -> Fingerprint {
    Fingerprint::from_bytes(take(entry, 0))
}

pub(crate) fn entry_value(entry: &[u8; ENTRY_BYTES]) -> u64 {
    u64::from_le_bytes(take(entry, 16))
}

/// The `N` bytes at `offset` of a fixed array; both are constants, so that a field past the end fails in any test.
fn take<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    *bytes.get(offset..).and_then(<[u8]>::first_chunk).expect("fields lie inside their array: constants")
}

fn put(bytes: &mut [u8], offset: usize, value: &[u8]) {
    bytes
        .get_mut(offset..offset + value.len())
        .expect("fields lie inside their array: constants")
        .copy_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: RunHeader = RunHeader { kind: RunKind::Subjects, entries: 257, filter_bytes: 44, fences: 2 };

    #[test]
    fn a_header_is_read_as_it_was_written() {
        assert_eq!(RunHeader::decode(&HEADER.encode()), Ok(HEADER));
        let layout = HEADER.layout().unwrap();
        assert_eq!(layout, Layout { fences: 6232, filter: 6248, checksums: 6292, end: 6304 });
    }

    #[test]
    fn header_bytes_are_frozen() {
        let hex: String = HEADER.encode().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "5055474d52554e00010000000100000001010000000000002c0000000000000002000000000000000000000000000000000000000000000000000000"
                .to_owned()
                + &format!("{:08x}", crc32fast::hash(HEADER.encode().split_at(60).0).swap_bytes())
        );
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_noticed() {
        for bit in 0..RUN_HEADER_BYTES * 8 {
            let mut damaged = HEADER.encode();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(RunHeader::decode(&damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_newer_version_is_refused_as_newer() {
        let mut bytes = HEADER.encode();
        put(&mut bytes, VERSION_AT, &2_u32.to_le_bytes());
        let crc = crc32fast::hash(bytes.split_at(HEADER_CRC_AT).0);
        put(&mut bytes, HEADER_CRC_AT, &crc.to_le_bytes());
        assert_eq!(RunHeader::decode(&bytes), Err(HeaderDamage::Newer(2)));
    }

    #[test]
    fn lengths_past_any_file_have_no_layout() {
        let entries = u64::MAX - 255;
        let header = RunHeader { entries, fences: entries.div_ceil(256), ..HEADER };
        assert_eq!(RunHeader::decode(&header.encode()), Ok(header));
        assert_eq!(header.layout(), None);
    }

    #[test]
    fn file_names_carry_kind_and_number() {
        assert_eq!(RunKind::Ids.file_name(7), "ids-00000000000000000007.run");
        assert_eq!(RunKind::Ids.number_of("ids-00000000000000000007.run"), Some(7));
        assert_eq!(RunKind::Ids.number_of("ids-00000000000000000007.run.tmp"), Some(7));
        for other in ["subjects-00000000000000000007.run", "ids-7.run", "ids-0000000000000000000x.run", "ids"] {
            assert_eq!(RunKind::Ids.number_of(other), None, "{other}");
        }
    }
}
