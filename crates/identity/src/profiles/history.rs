//! Every change of one trait, in runs sorted by subject and time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use pugmark_store::{ProfileChange, SubjectId};

/// One change of one trait of one subject; 24 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) timestamp: i64,
    /// The sequence, and in the three lowest bits what kind of change it is.
    packed: u64,
    pub(super) subject: u32,
    /// The number of the value.
    pub(super) value: u32,
}

impl Change {
    pub(super) fn new(subject: u32, timestamp: i64, sequence: u64, kind: ProfileChange, value: u32) -> Self {
        // Sequences count records: they stay far below 2^61.
        Self { timestamp, packed: sequence << 3 | u64::from(kind.code()), subject, value }
    }

    pub(super) fn sequence(&self) -> u64 {
        self.packed >> 3
    }

    pub(super) fn kind(&self) -> ProfileChange {
        ProfileChange::from_code((self.packed & 7) as u8).expect("invariant: it was made of a kind")
    }

    /// Whether they differ in nothing but the value, perhaps.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        (self.key(), self.packed) == (other.key(), other.packed)
    }

    /// What changes of one trait are sorted by. Those of one record stay in its order.
    fn key(&self) -> (u32, i64, u64) {
        (self.subject, self.timestamp, self.sequence())
    }
}

/// Some of the changes of one trait, by subject and time. It never changes, and is kept until it becomes part of a longer one.
#[derive(Debug)]
pub struct TraitRun(Vec<Change>);

impl TraitRun {
    /// The number of each value that was given, and to whom: ascending, each pair once.
    pub fn by_value(&self) -> Vec<(u32, SubjectId)> {
        let mut pairs: Vec<(u32, SubjectId)> =
            self.0.iter().map(|change| (change.value, SubjectId::new(change.subject))).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }

    /// The changes of one subject.
    fn of(&self, subject: u32) -> &[Change] {
        let start = self.0.partition_point(|change| change.subject < subject);
        let count = self.0[start..].partition_point(|change| change.subject == subject);
        &self.0[start..start + count]
    }
}

/// The changes of one trait. A clone shares its runs.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    /// Each less than half as long as the one before.
    runs: Vec<Arc<TraitRun>>,
}

impl History {
    /// Takes in what came since.
    pub(super) fn add(&mut self, mut changes: Vec<Change>) {
        changes.sort_by_key(Change::key);
        while let Some(last) = self.runs.last()
            && last.0.len() <= 2 * changes.len()
        {
            changes = merged(&[&last.0, &changes]);
            self.runs.pop();
        }
        self.runs.push(Arc::new(TraitRun(changes)));
    }

    pub(super) fn len(&self) -> usize {
        self.runs.iter().map(|run| run.0.len()).sum()
    }

    pub(super) fn runs(&self) -> &[Arc<TraitRun>] {
        &self.runs
    }

    /// All changes, by subject, timestamp and sequence.
    pub(super) fn sorted(&self) -> Vec<Change> {
        let runs: Vec<&[Change]> = self.runs.iter().map(|run| run.0.as_slice()).collect();
        merged(&runs)
    }

    /// The changes of these subjects, by timestamp and sequence.
    pub(super) fn of(&self, subjects: impl Iterator<Item = u32>) -> Vec<Change> {
        let mut own: Vec<Change> =
            subjects.flat_map(|subject| self.runs.iter().flat_map(move |run| run.of(subject))).copied().collect();
        // Those of one record stay in its order.
        own.sort_by_key(|change| (change.timestamp, change.sequence()));
        own
    }
}

/// One run of several, of which earlier ones go first where keys are equal.
fn merged(runs: &[&[Change]]) -> Vec<Change> {
    let mut all = Vec::with_capacity(runs.iter().map(|run| run.len()).sum());
    let mut heads: BinaryHeap<_> =
        runs.iter().enumerate().filter_map(|(run, changes)| Some(Reverse((changes.first()?.key(), run, 0)))).collect();
    while let Some(Reverse((_, run, at))) = heads.pop() {
        // As long as nobody else is next, this run goes on.
        let bound = heads.peek().map(|Reverse((key, other, _))| (*key, *other));
        let changes = runs[run];
        let mut end = at + 1;
        while end < changes.len() && bound.is_none_or(|bound| (changes[end].key(), run) < bound) {
            end += 1;
        }
        all.extend_from_slice(&changes[at..end]);
        heads.extend(changes.get(end).map(|change| Reverse((change.key(), run, end))));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_sorted_however_they_were_added() {
        let change = |subject: u32, timestamp: i64, sequence: u64, value: u32| {
            let kind = ProfileChange::from_code(value as u8 % 6).unwrap();
            Change::new(subject, timestamp, sequence, kind, value)
        };
        let mut all = Vec::new();
        let mut history = History::default();
        for batch in 0..40_u64 {
            let batch: Vec<Change> = (0..batch % 7 + 1)
                .map(|n| change((batch * 7 + n * 5) as u32 % 11, (n * 13 % 5) as i64, batch, n as u32))
                .collect();
            all.extend(batch.clone());
            history.add(batch);
        }
        all.sort_by_key(Change::key);
        assert_eq!(history.sorted(), all);
        for subject in [0, 5, 99] {
            let mut own: Vec<Change> = all.iter().filter(|change| change.subject == subject).copied().collect();
            assert_eq!(history.of([subject].into_iter()), own);
            own.extend(all.iter().filter(|change| change.subject == 7));
            own.sort_by_key(|change| (change.timestamp, change.sequence()));
            assert_eq!(history.of([subject, 7].into_iter()), own);
        }
        let mut pairs: Vec<(u32, SubjectId)> = history.runs().iter().flat_map(|run| run.by_value()).collect();
        let mut expected: Vec<(u32, SubjectId)> =
            all.iter().map(|change| (change.value, SubjectId::new(change.subject))).collect();
        for pairs in [&mut pairs, &mut expected] {
            pairs.sort_unstable();
            pairs.dedup();
        }
        assert_eq!(pairs, expected);
        assert!(history.runs.windows(2).all(|pair| pair[0].0.len() > 2 * pair[1].0.len()), "{history:?}");
        for kind in (0..6).map_while(ProfileChange::from_code) {
            assert_eq!(Change::new(1, -5, 9, kind, 3).kind(), kind);
        }
        assert_eq!(ProfileChange::from_code(6), None);
    }
}
