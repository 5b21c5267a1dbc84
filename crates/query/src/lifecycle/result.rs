//! The answer of a question about a lifecycle.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use super::StateCounts;
use crate::spec::{Header, Listing};

/// The answer of a [`Lifecycle`](super::Lifecycle); prints as a table and serialises as `docs/semantics.md`,
/// section 6, says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LifecycleResult {
    /// What every answer says first.
    #[serde(flatten)]
    pub header: Header,
    /// The labels of the buckets.
    pub buckets: Vec<String>,
    /// Those whose first event of all lies in the bucket.
    pub new: Vec<u64>,
    /// Those who were active in the bucket before, too.
    pub returning: Vec<u64>,
    /// Those who were active before, but not in the bucket before.
    pub resurrecting: Vec<u64>,
    /// Those who were active in the bucket before and are not in this one.
    pub dormant: Vec<u64>,
}

const STATES: [&str; 4] = ["new", "returning", "resurrecting", "dormant"];

impl LifecycleResult {
    /// The counts of these buckets.
    pub fn new(header: Header, buckets: Vec<String>, counts: StateCounts) -> Self {
        let StateCounts { new, returning, resurrecting, dormant } = counts;
        Self { header, buckets, new, returning, resurrecting, dormant }
    }

    /// Each bucket with its four counts.
    fn rows(&self) -> impl Iterator<Item = (&String, [u64; 4])> {
        let alive = self.new.iter().zip(&self.returning);
        let all = alive.zip(self.resurrecting.iter().zip(&self.dormant));
        self.buckets.iter().zip(all).map(|(bucket, ((new, returning), (resurrecting, dormant)))| {
            (bucket, [*new, *returning, *resurrecting, *dormant])
        })
    }

    /// Flat rows, one for each bucket.
    pub fn to_table(&self) -> (Vec<String>, Vec<Vec<Value>>) {
        let headings = std::iter::once("bucket").chain(STATES).map(str::to_owned);
        let row = |(bucket, counts): (&String, [u64; 4])| {
            std::iter::once(json!(bucket)).chain(counts.map(|count| json!(count))).collect()
        };
        (headings.collect(), self.rows().map(row).collect())
    }
}

impl fmt::Display for LifecycleResult {
    /// A table with a line for each bucket.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut listing = Listing::new(std::iter::once("bucket").chain(STATES));
        for (bucket, counts) in self.rows() {
            listing.row(std::iter::once(bucket.clone()).chain(counts.map(|count| count.to_string())).collect());
        }
        write!(f, "{listing}")
    }
}
