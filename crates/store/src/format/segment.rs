//! Header of a log segment or a base file: docs/format.md, File header.

use super::FORMAT_VERSION;

const MAGIC: usize = 0;
const VERSION: usize = MAGIC + 8;
const RESERVED_1: usize = VERSION + 4;
const STORE_ID: usize = RESERVED_1 + 4;
const FIRST_SEQUENCE: usize = STORE_ID + 16;
const CREATED_AT: usize = FIRST_SEQUENCE + 8;
const RESERVED_2: usize = CREATED_AT + 8;
const HEADER_CRC: usize = RESERVED_2 + 12;
/// Length of the header; the first frame follows it.
pub(crate) const HEADER_BYTES: usize = HEADER_CRC + 4;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    Segment,
    Base,
}

impl FileKind {
    const fn magic(self) -> [u8; 8] {
        match self {
            Self::Segment => *b"PUGMLOG\0",
            Self::Base => *b"PUGMBAS\0",
        }
    }
}

/// The header of a segment or a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub(crate) kind: FileKind,
    pub(crate) store_id: [u8; 16],
    pub(crate) first_sequence: u64,
    /// Microseconds.
    pub(crate) created_at: i64,
}

/// Why bytes are not a header of this version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// Found, expected.
    Damaged(String),
    /// Written by a newer version.
    Newer(u32),
}

impl FileHeader {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        put(&mut bytes, MAGIC, &self.kind.magic());
        put(&mut bytes, VERSION, &FORMAT_VERSION.to_le_bytes());
        put(&mut bytes, STORE_ID, &self.store_id);
        put(&mut bytes, FIRST_SEQUENCE, &self.first_sequence.to_le_bytes());
        put(&mut bytes, CREATED_AT, &self.created_at.to_le_bytes());
        let crc = crc32fast::hash(bytes.split_at(HEADER_CRC).0);
        put(&mut bytes, HEADER_CRC, &crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(kind: FileKind, bytes: &[u8; HEADER_BYTES]) -> Result<Self, HeaderError> {
        let magic: [u8; 8] = take(bytes, MAGIC);
        if magic != kind.magic() {
            return Err(HeaderError::Damaged(format!(
                "magic {} but expected {}",
                magic.escape_ascii(),
                kind.magic().escape_ascii()
            )));
        }
        let computed = crc32fast::hash(bytes.split_at(HEADER_CRC).0);
        let stored = u32::from_le_bytes(take(bytes, HEADER_CRC));
        if computed != stored {
            return Err(HeaderError::Damaged(format!("header checksum {computed:#010x} but stored {stored:#010x}")));
        }
        let version = u32::from_le_bytes(take(bytes, VERSION));
        if version > FORMAT_VERSION {
            return Err(HeaderError::Newer(version));
        }
        let reserved: [u8; 12] = take(bytes, RESERVED_2);
        if version == 0 || take::<4>(bytes, RESERVED_1) != [0; 4] || reserved != [0; 12] {
            return Err(HeaderError::Damaged("version 0 or reserved bytes that are not zero".to_owned()));
        }
        let first_sequence = u64::from_le_bytes(take(bytes, FIRST_SEQUENCE));
        if first_sequence == 0 {
            return Err(HeaderError::Damaged("first sequence 0 but expected at least 1".to_owned()));
        }
        Ok(Self {
            kind,
            store_id: take(bytes, STORE_ID),
            first_sequence,
            created_at: i64::from_le_bytes(take(bytes, CREATED_AT)),
        })
    }
}

/// The `N` bytes at `offset` of a header; both are constants, so that a field past the end fails to compile or in any test.
pub(super) fn take<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(bytes.get(offset..offset + N).expect("header fields lie inside the header: constants"));
    out
}

pub(super) fn put(bytes: &mut [u8], offset: usize, value: &[u8]) {
    bytes
        .get_mut(offset..offset + value.len())
        .expect("header fields lie inside the header: constants")
        .copy_from_slice(value);
}
