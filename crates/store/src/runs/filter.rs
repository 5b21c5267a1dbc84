//! The filter of a run file: says of nearly every absent fingerprint that it is absent, without touching the disk.

use xorf::{BinaryFuse16, Descriptor, Filter as _};

/// Seed u64, then segment length, segment length mask and segment count length as u32.
const DESCRIPTOR_BYTES: usize = 20;

/// A 16-bit binary fuse filter over the prefixes of a run file: one in 65,536 absent ones passes, every present one does.
pub(super) struct Filter {
    /// Absent if none could be built: everything passes then.
    fuse: Option<BinaryFuse16>,
}

impl Filter {
    /// A filter of `prefixes`, each given once.
    pub(super) fn build(prefixes: &[u64]) -> Self {
        Self { fuse: BinaryFuse16::try_from(prefixes).ok() }
    }

    /// One that lets everything pass, and takes no memory.
    pub(super) fn none() -> Self {
        Self { fuse: None }
    }

    #[inline]
    pub(super) fn may_hold(&self, prefix: u64) -> bool {
        self.fuse.as_ref().is_none_or(|fuse| fuse.contains(&prefix))
    }

    /// Bytes of memory, which are those on disk within a few.
    pub(super) fn bytes(&self) -> usize {
        self.fuse.as_ref().map_or(0, |fuse| DESCRIPTOR_BYTES + fuse.fingerprints.len() * 2)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let Some(fuse) = &self.fuse else { return };
        out.reserve(self.bytes());
        out.extend_from_slice(&fuse.descriptor.seed.to_le_bytes());
        out.extend_from_slice(&fuse.descriptor.segment_length.to_le_bytes());
        out.extend_from_slice(&fuse.descriptor.segment_length_mask.to_le_bytes());
        out.extend_from_slice(&fuse.descriptor.segment_count_length.to_le_bytes());
        out.extend(fuse.fingerprints.iter().flat_map(|fingerprint| fingerprint.to_le_bytes()));
    }

    /// The filter in `bytes`, or what is wrong with them.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        if bytes.is_empty() {
            return Ok(Self { fuse: None });
        }
        let Some((descriptor, fingerprints)) = bytes.split_first_chunk::<DESCRIPTOR_BYTES>() else {
            return Err(format!("filter of {} bytes but expected at least {DESCRIPTOR_BYTES}", bytes.len()));
        };
        let [seed, lengths @ ..] = *descriptor.as_chunks::<4>().0.first_chunk::<5>().expect("20 bytes are 5 words");
        let [seed_high, segment_length, mask, count_length] = lengths;
        let seed = u64::from(u32::from_le_bytes(seed)) | u64::from(u32::from_le_bytes(seed_high)) << 32;
        let descriptor = Descriptor {
            seed,
            segment_length: u32::from_le_bytes(segment_length),
            segment_length_mask: u32::from_le_bytes(mask),
            segment_count_length: u32::from_le_bytes(count_length),
        };
        let (fingerprints, rest) = fingerprints.as_chunks::<2>();
        // A probe reads a place below the count length and one in each of the two segments after it: these checks keep
        // all three inside the fingerprints, whatever the bytes are.
        let length = u64::from(descriptor.segment_length);
        let count_length = u64::from(descriptor.segment_count_length);
        let sound = rest.is_empty()
            && descriptor.segment_length.is_power_of_two()
            && descriptor.segment_length_mask == descriptor.segment_length - 1
            && count_length > 0
            && count_length.is_multiple_of(length)
            && count_length + 2 * length == fingerprints.len() as u64;
        if !sound {
            return Err(format!(
                "filter of {} bytes with segments of {length}, mask {}, count length {count_length}: they do not agree",
                bytes.len(),
                descriptor.segment_length_mask
            ));
        }
        let fingerprints = fingerprints.iter().map(|bytes| u16::from_le_bytes(*bytes)).collect();
        Ok(Self { fuse: Some(BinaryFuse16 { descriptor, fingerprints }) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(count: u64) -> Vec<u64> {
        let mut state = 7;
        (0..count).map(|_| xorf::splitmix64(&mut state)).collect()
    }

    #[test]
    fn a_decoded_filter_holds_what_was_put_in_and_little_else() {
        for count in [1, 2, 3, 10, 255, 5_000, 40_000] {
            let keys = prefixes(count * 2);
            let (present, absent) = keys.split_at(count as usize);
            let mut bytes = Vec::new();
            let built = Filter::build(present);
            built.encode(&mut bytes);
            assert_eq!(bytes.len(), built.bytes());
            let filter = Filter::decode(&bytes).unwrap();
            assert!(present.iter().all(|key| filter.may_hold(*key)), "{count} keys");
            let passed = absent.iter().filter(|key| filter.may_hold(**key)).count();
            assert!(passed <= 1 + count as usize / 1_000, "{passed} of {count} absent keys passed");
        }
    }

    #[test]
    fn a_filter_costs_at_most_two_and_a_half_bytes_a_key() {
        let filter = Filter::build(&prefixes(400_000));
        assert!(filter.bytes() <= 400_000 * 5 / 2, "{} bytes", filter.bytes());
    }

    #[test]
    fn no_filter_lets_everything_pass() {
        let filter = Filter::decode(&[]).unwrap();
        assert!(filter.may_hold(1));
        let mut bytes = Vec::new();
        filter.encode(&mut bytes);
        assert!(bytes.is_empty());
    }

    #[test]
    fn a_filter_that_would_be_read_past_its_end_is_refused() {
        let mut sound = Vec::new();
        Filter::build(&prefixes(100)).encode(&mut sound);
        assert!(Filter::decode(&sound).is_ok());
        for at in 8..DESCRIPTOR_BYTES {
            for bit in 0..8 {
                let mut bytes = sound.clone();
                bytes[at] ^= 1 << bit;
                assert!(Filter::decode(&bytes).is_err(), "byte {at}, bit {bit}");
            }
        }
        for length in 1..sound.len() {
            assert!(Filter::decode(&sound[..length]).is_err(), "{length} bytes");
        }
    }
}
