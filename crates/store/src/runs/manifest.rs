//! Which files make up the runs of one kind; the index keeps it.

use super::layout::RunKind;
use crate::error::{Error, Result};

const MANIFEST_VERSION: u8 = 1;
const META_BYTES: usize = 45;

/// One file of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunMeta {
    /// Names the file.
    pub(crate) number: u64,
    /// The run that it belongs to: the number of that run's first file. In one level, the higher is the newer.
    pub(crate) run: u64,
    /// How often its entries were merged; a lower level is newer than a higher one.
    pub(crate) level: u8,
    /// The lowest prefix that can lie in it; those of the run's next file and above cannot.
    pub(crate) from: u64,
    /// How many entries it has.
    pub(crate) entries: u64,
    /// Its length.
    pub(crate) bytes: u64,
    /// The checksum of its fences and filter, which tells it from any other file.
    pub(crate) checksum: u32,
}

/// The manifest as the index keeps it: version, count u32, then every field in the order above, little-endian.
pub(crate) fn encode_manifest(files: &[RunMeta]) -> Vec<u8> {
    let count = u32::try_from(files.len()).expect("a manifest names fewer than 2^32 files: each holds many entries");
    let mut bytes = Vec::with_capacity(5 + files.len() * META_BYTES);
    bytes.push(MANIFEST_VERSION);
    bytes.extend_from_slice(&count.to_le_bytes());
    for file in files {
        bytes.extend_from_slice(&file.number.to_le_bytes());
        bytes.extend_from_slice(&file.run.to_le_bytes());
        bytes.push(file.level);
        bytes.extend_from_slice(&file.from.to_le_bytes());
        bytes.extend_from_slice(&file.entries.to_le_bytes());
        bytes.extend_from_slice(&file.bytes.to_le_bytes());
        bytes.extend_from_slice(&file.checksum.to_le_bytes());
    }
    bytes
}

/// Reads what [`encode_manifest`] wrote.
///
/// # Errors
/// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) for anything else.
pub(crate) fn decode_manifest(kind: RunKind, bytes: &[u8]) -> Result<Vec<RunMeta>> {
    let place = format!("index.redb: manifest of {} runs", kind.as_str());
    let Some((&version, rest)) = bytes.split_first() else {
        return Err(Error::corrupt(place, "0 bytes but expected at least 5"));
    };
    if version != MANIFEST_VERSION {
        return Err(Error::corrupt(place, format!("version {version} but expected {MANIFEST_VERSION}")));
    }
    let Some((count, rest)) = rest.split_first_chunk() else {
        return Err(Error::corrupt(place, format!("{} bytes but expected at least 5", bytes.len())));
    };
    let count = u32::from_le_bytes(*count);
    let (metas, left) = rest.as_chunks::<META_BYTES>();
    if metas.len() as u64 != u64::from(count) || !left.is_empty() {
        return Err(Error::corrupt(place, format!("{} bytes for {count} files of {META_BYTES} each", rest.len())));
    }
    Ok(metas.iter().map(decode_meta).collect())
}

fn decode_meta(bytes: &[u8; META_BYTES]) -> RunMeta {
    let word = |at: usize| -> u64 {
        let field = bytes.get(at..).and_then(<[u8]>::first_chunk).expect("fields lie inside their array: constants");
        u64::from_le_bytes(*field)
    };
    RunMeta {
        number: word(0),
        run: word(8),
        level: bytes[16],
        from: word(17),
        entries: word(25),
        bytes: word(33),
        checksum: u32::from_le_bytes(*bytes.last_chunk().expect("45 bytes end with 4: constants")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    const META: RunMeta =
        RunMeta { number: 1, run: 2, level: 3, from: 4, entries: 5, bytes: u64::MAX, checksum: 0xdead_beef };

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        for files in [vec![], vec![META], vec![META, RunMeta { number: 9, ..META }]] {
            assert_eq!(decode_manifest(RunKind::Ids, &encode_manifest(&files)).unwrap(), files);
        }
    }

    #[test]
    fn a_manifest_of_another_length_or_version_is_corrupt() {
        let sound = encode_manifest(&[META, META]);
        for length in 0..sound.len() {
            let error = decode_manifest(RunKind::Ids, &sound[..length]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{length} bytes");
        }
        let mut newer = sound.clone();
        newer[0] = 2;
        let message = decode_manifest(RunKind::Subjects, &newer).unwrap_err().to_string();
        assert_eq!(message, "index.redb: manifest of subjects runs: version 2 but expected 1");
    }
}
