//! Where the parts of a run file lie: docs/format.md, Sorted runs.

use super::fingerprint::Fingerprint;

/// The version that this code writes, and the only one that it reads: an older file is derived again.
pub(crate) const RUN_VERSION: u32 = 2;
/// A fingerprint and a value.
pub(crate) const ENTRY_BYTES: usize = 24;
/// Most entries of a block, the unit that is read and checked. Every block but the last has so many.
pub(crate) const BLOCK_ENTRIES: usize = 42;
/// Bytes of a block. It divides what a file system reads at a time, and the blocks begin at a multiple of it.
pub(crate) const BLOCK_BYTES: usize = 1024;
/// Where the first block begins.
pub(crate) const BLOCKS_AT: u64 = BLOCK_BYTES as u64;
const BLOCK_FILE_AT: usize = BLOCK_ENTRIES * ENTRY_BYTES;
const BLOCK_PLACE_AT: usize = BLOCK_FILE_AT + 8;
const BLOCK_CRC_AT: usize = BLOCK_PLACE_AT + 4;
const _: () = assert!(BLOCK_CRC_AT + 4 == BLOCK_BYTES);

const MAGIC: [u8; 8] = *b"PUGMRUN\0";
const VERSION_AT: usize = 8;
const KIND_AT: usize = 12;
const ENTRIES_AT: usize = 16;
const FILTER_BYTES_AT: usize = 24;
const BLOCKS_COUNT_AT: usize = 32;
const RESERVED_AT: usize = 40;
const HEADER_CRC_AT: usize = 60;
/// Length of the header; zeros follow it, up to the first block.
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
    pub(crate) blocks: u64,
}

/// Why bytes are not a header of this version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HeaderDamage {
    /// What was found, and what was expected.
    Damaged(String),
    /// Written by a newer version.
    Newer(u32),
    /// Written by an older version.
    Older(u32),
}

/// Offsets of the parts behind the blocks, and the length of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) fences: u64,
    pub(crate) filter: u64,
    pub(crate) checksum: u64,
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
        put(&mut bytes, BLOCKS_COUNT_AT, &self.blocks.to_le_bytes());
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
        if version < RUN_VERSION {
            return Err(HeaderDamage::Older(version));
        }
        if take::<20>(bytes, RESERVED_AT) != [0; 20] {
            return damaged("reserved bytes that are not zero".to_owned());
        }
        let code = u32::from_le_bytes(take(bytes, KIND_AT));
        let Some(kind) = RunKind::from_code(code) else {
            return damaged(format!("kind {code} but expected 0 or 1"));
        };
        let header = Self {
            kind,
            entries: u64::from_le_bytes(take(bytes, ENTRIES_AT)),
            filter_bytes: u64::from_le_bytes(take(bytes, FILTER_BYTES_AT)),
            blocks: u64::from_le_bytes(take(bytes, BLOCKS_COUNT_AT)),
        };
        let expected = header.entries.div_ceil(BLOCK_ENTRIES as u64);
        if header.entries == 0 || header.blocks != expected {
            return damaged(format!(
                "{} blocks for {} entries but expected {expected} for at least one entry",
                header.blocks, header.entries
            ));
        }
        Ok(header)
    }

    /// Where the parts lie; `None` when the lengths pass what a file can hold.
    pub(crate) fn layout(&self) -> Option<Layout> {
        let fences = self.blocks.checked_mul(BLOCK_BYTES as u64)?.checked_add(BLOCKS_AT)?;
        let filter = self.blocks.checked_mul(4)?.checked_add(fences)?;
        let checksum = filter.checked_add(self.filter_bytes)?;
        let end = checksum.checked_add(4)?;
        Some(Layout { fences, filter, checksum, end })
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

/// Makes the entries in `block`, at most [`BLOCK_ENTRIES`], the block `place` of file `number`.
pub(crate) fn seal_block(block: &mut Vec<u8>, number: u64, place: u32) {
    block.resize(BLOCK_FILE_AT, 0);
    block.extend_from_slice(&number.to_le_bytes());
    block.extend_from_slice(&place.to_le_bytes());
    let crc = crc32fast::hash(block);
    block.extend_from_slice(&crc.to_le_bytes());
}

/// The entries of block `place` of file `number`, `count` of them, or what is wrong with it.
pub(crate) fn open_block(
    block: &[u8; BLOCK_BYTES],
    number: u64,
    place: usize,
    count: usize,
) -> Result<&[[u8; ENTRY_BYTES]], String> {
    let computed = crc32fast::hash(block.split_at(BLOCK_CRC_AT).0);
    let stored = u32::from_le_bytes(take(block, BLOCK_CRC_AT));
    if computed != stored {
        return Err(format!("checksum {computed:#010x} but stored {stored:#010x}"));
    }
    let file = u64::from_le_bytes(take(block, BLOCK_FILE_AT));
    let found = u32::from_le_bytes(take(block, BLOCK_PLACE_AT));
    if file != number || found as usize != place {
        return Err(format!("it is block {found} of file {file} but expected block {place} of file {number}"));
    }
    Ok(block.as_chunks().0.split_at(count.min(BLOCK_ENTRIES)).0)
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

    const HEADER: RunHeader = RunHeader { kind: RunKind::Subjects, entries: 257, filter_bytes: 44, blocks: 7 };

    #[test]
    fn a_header_is_read_as_it_was_written() {
        assert_eq!(RunHeader::decode(&HEADER.encode()), Ok(HEADER));
        let layout = HEADER.layout().unwrap();
        assert_eq!(layout, Layout { fences: 8192, filter: 8220, checksum: 8264, end: 8268 });
    }

    #[test]
    fn header_bytes_are_frozen() {
        let hex: String = HEADER.encode().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "5055474d52554e00020000000100000001010000000000002c0000000000000007000000000000000000000000000000000000000000000000000000"
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
    fn another_version_is_told_from_damage() {
        let of_version = |version: u32| {
            let mut bytes = HEADER.encode();
            put(&mut bytes, VERSION_AT, &version.to_le_bytes());
            let crc = crc32fast::hash(bytes.split_at(HEADER_CRC_AT).0);
            put(&mut bytes, HEADER_CRC_AT, &crc.to_le_bytes());
            RunHeader::decode(&bytes)
        };
        assert_eq!(of_version(3), Err(HeaderDamage::Newer(3)));
        assert_eq!(of_version(1), Err(HeaderDamage::Older(1)));
        assert_eq!(of_version(RUN_VERSION), Ok(HEADER));
    }

    #[test]
    fn a_block_is_read_as_it_was_written_and_in_its_place_only() {
        let entries = |count: u8| -> Vec<u8> {
            let mut bytes = Vec::new();
            (0..count).for_each(|n| encode_entry(&Fingerprint::from_bytes([n; 16]), u64::from(n) << 40, &mut bytes));
            bytes
        };
        for count in [1, 41, 42] {
            let plain = entries(count);
            let mut block = plain.clone();
            seal_block(&mut block, 7, 3);
            let block: [u8; BLOCK_BYTES] = block.try_into().unwrap();
            let read = open_block(&block, 7, 3, usize::from(count)).unwrap();
            assert_eq!(read.as_flattened(), plain);
            assert_eq!(
                open_block(&block, 7, 4, usize::from(count)),
                Err("it is block 3 of file 7 but expected block 4 of file 7".to_owned())
            );
            assert!(open_block(&block, 8, 3, usize::from(count)).is_err());
            for bit in 0..BLOCK_BYTES * 8 {
                let mut damaged = block;
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert!(open_block(&damaged, 7, 3, usize::from(count)).is_err(), "bit {bit}");
            }
        }
    }

    #[test]
    fn lengths_past_any_file_have_no_layout() {
        let entries = u64::MAX - 255;
        let header = RunHeader { entries, blocks: entries.div_ceil(42), ..HEADER };
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
