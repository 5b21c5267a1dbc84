//! Of how many distinct ids a store has the events.

use std::fmt;

use pugmark_registry::{DefinitionKind, SAMPLING, Version};
use pugmark_store::Operation;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::engine::QuerySnapshot;
use crate::error::{Error, Result};

/// How many distinct ids in a million have their events stored; whoever stores asks [`keeps`](Self::keeps) first, and records it with `Pugmark::set_sampling`.
///
/// The choice is by the id alone: an id that is kept is kept everywhere and for ever, also at every greater share. Somebody with several ids may be kept by some of them.
///
/// ```
/// use pugmark_query::Sampling;
/// let tenth = Sampling::per_million(100_000)?;
/// let kept = (0..10_000).filter(|number| tenth.keeps(&format!("user-{number}"))).count();
/// assert!((900..1_100).contains(&kept), "{kept}");
/// assert!(Sampling::ALL.keeps("anybody"));
/// # Ok::<(), pugmark_query::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sampling {
    per_million: u32,
}

const MILLION: u32 = 1_000_000;

impl Sampling {
    /// All of them: no sampling.
    pub const ALL: Self = Self { per_million: MILLION };

    /// So many in a million.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for none, and for more than 1,000,000.
    pub fn per_million(per_million: u32) -> Result<Self> {
        if !(1..=MILLION).contains(&per_million) {
            return Err(Error::invalid(format!("{per_million} in a million: expected 1 to {MILLION}")).on("sampling"));
        }
        Ok(Self { per_million })
    }

    /// Whether the events of a distinct id are stored: where xxh3-64 of it, seed 0, taken modulo 1,000,000, is less.
    pub fn keeps(self, distinct_id: &str) -> bool {
        self == Self::ALL || xxh3_64(distinct_id.as_bytes()) % u64::from(MILLION) < u64::from(self.per_million)
    }

    /// What the log has of it (`docs/format.md`, Definitions).
    pub fn operation(self, version: u32) -> Operation {
        let body = serde_json::json!({ "sampling": self }).to_string();
        let kind = DefinitionKind::Sampling.name().to_owned();
        Operation::Define { kind, name: SAMPLING.to_owned(), version, body: Some(body) }
    }

    /// A body that cannot be read is one of a later version: that much it says, and no more.
    fn of(version: &Version) -> Option<Self> {
        #[derive(Deserialize)]
        struct Body {
            sampling: Sampling,
        }
        match version.body.as_deref() {
            None => Some(Self::ALL),
            Some(body) => serde_json::from_str::<Body>(body).ok().map(|body| body.sampling),
        }
    }
}

impl fmt::Display for Sampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", f64::from(self.per_million) / f64::from(MILLION / 100))
    }
}

impl QuerySnapshot {
    /// Of how many distinct ids events are stored, and how often that was said.
    pub fn sampling(&self) -> (Option<Sampling>, u32) {
        let all = self.definitions.sampling(self.sequence);
        let version = u32::try_from(all.len()).unwrap_or(u32::MAX);
        (all.last().map_or(Some(Sampling::ALL), Sampling::of), version)
    }

    /// What every answer warns of: events that were never stored, one text for each time in which it was so.
    pub fn sampling_warnings(&self) -> impl Iterator<Item = String> + '_ {
        let all = self.definitions.sampling(self.sequence);
        all.iter().enumerate().filter_map(|(place, version)| {
            let of = Sampling::of(version);
            if of == Some(Sampling::ALL) {
                return None;
            }
            let share = of.map_or_else(|| "a part".to_owned(), |sampling| sampling.to_string());
            let from = format!("from sequence {} ({})", version.sequence.number(), version.received_at);
            let until = all.get(place + 1).map_or_else(
                || "on".to_owned(),
                |next| format!("until {} ({})", next.sequence.number(), next.received_at),
            );
            Some(format!("{from} {until} the events of {share} of the distinct ids are stored: numbers are of these"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who is kept must be so in every version.
    #[test]
    fn a_greater_share_keeps_everybody_whom_a_smaller_one_keeps() {
        let shares = [1, 1_000, 100_000, 500_000, 999_999].map(|share| Sampling::per_million(share).unwrap());
        let mut counts = [0; 5];
        for id in (0..20_000).map(|number| format!("user-{number}")) {
            let kept = shares.map(|share| share.keeps(&id));
            assert!(kept.is_sorted(), "{id}: {kept:?}");
            kept.iter().zip(&mut counts).for_each(|(kept, count)| *count += usize::from(*kept));
        }
        assert_eq!(xxh3_64(b"user-1") % 1_000_000, 66_057);
        assert!((8..40).contains(&counts[1]) && (9_700..10_300).contains(&counts[3]), "{counts:?}");
        assert!(Sampling::per_million(0).is_err() && Sampling::per_million(1_000_001).is_err());
        assert_eq!(Sampling::per_million(25_000).unwrap().to_string(), "2.5 %");
    }
}
