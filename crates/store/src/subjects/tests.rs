//! The directory through batches, replays, checkpoints and erased ids.

use std::path::Path;
use std::sync::Arc;

use redb::{Database, ReadableDatabase};

use super::{SubjectLimits, Subjects};
use crate::error::{ErrorKind, Result};
use crate::id::SubjectId;
use crate::record::NewSubject;
use crate::runs::{Fingerprint, MergeThread, Merges, RunLimits};
use crate::storage::Disk;

struct Fixture {
    dir: tempfile::TempDir,
    db: Arc<Database>,
}

fn allocate(subjects: &Subjects, distinct_id: &str) -> Result<(SubjectId, bool)> {
    let fingerprint = Fingerprint::of(distinct_id);
    match subjects.begin_batch(&[fingerprint])?.as_slice() {
        [Some(subject)] => Ok((*subject, false)),
        _ => subjects.allocate(fingerprint, distinct_id),
    }
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = Arc::new(Database::create(dir.path().join("index.redb")).unwrap());
        Self { dir, db }
    }

    fn runs(&self) -> std::path::PathBuf {
        self.dir.path().join("runs")
    }

    /// A directory that spills after 200 ids and keeps 64 hot.
    fn small(&self, subjects_max: u32) -> Subjects {
        self.merging(subjects_max, Merges::Inline)
    }

    fn merging(&self, subjects_max: u32, merges: Merges) -> Subjects {
        let runs = RunLimits { file_entries: 150, files_open: 2, filter_bytes: 2_000 };
        let limits = SubjectLimits { recent_max: 200, hot_entries: 64, subjects_max, runs };
        Subjects::new(Arc::new(Disk), &self.runs(), Arc::clone(&self.db), limits, merges)
    }

    fn load(&self) -> Result<Subjects> {
        let subjects = self.small(u32::MAX);
        subjects.load(&self.db.begin_read().unwrap())?;
        Ok(subjects)
    }

    fn checkpoint(&self, subjects: &Subjects) {
        let txn = self.db.begin_write().unwrap();
        subjects.checkpoint(&txn).unwrap();
        txn.commit().unwrap();
        subjects.after_checkpoint().unwrap();
    }
}

fn allocate_many<'a>(subjects: &Subjects, ids: impl IntoIterator<Item = &'a str>) -> Vec<(SubjectId, bool)> {
    let ids: Vec<(&str, Fingerprint)> = ids.into_iter().map(|id| (id, Fingerprint::of(id))).collect();
    let fingerprints: Vec<Fingerprint> = ids.iter().map(|(_, fingerprint)| *fingerprint).collect();
    let known = subjects.begin_batch(&fingerprints).unwrap();
    let numbered = |((id, fingerprint), known): ((&str, Fingerprint), Option<SubjectId>)| match known {
        Some(subject) => (subject, false),
        None => subjects.allocate(fingerprint, id).unwrap(),
    };
    ids.into_iter().zip(known).map(numbered).collect()
}

fn id(number: u32) -> String {
    format!("user-{number}")
}

fn files(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

#[track_caller]
fn assert_holds(subjects: &Subjects, count: u32) {
    assert_eq!(subjects.count(), count);
    let ids: Vec<String> = (0..count + 3).map(id).collect();
    let texts: Vec<&str> = ids.iter().map(String::as_str).collect();
    let expected: Vec<Option<SubjectId>> = (0..count + 3).map(|n| (n < count).then_some(SubjectId::new(n))).collect();
    assert_eq!(subjects.resolve_many(&texts).unwrap(), expected);
    let numbers: Vec<SubjectId> = (0..count + 3).map(SubjectId::new).collect();
    let expected: Vec<Option<String>> = (0..count + 3).map(|n| (n < count).then(|| id(n))).collect();
    assert_eq!(subjects.distinct_ids(&numbers).unwrap(), expected);
    let backwards: Vec<SubjectId> = numbers.iter().rev().copied().collect();
    let expected: Vec<Option<String>> = expected.into_iter().rev().collect();
    assert_eq!(subjects.distinct_ids(&backwards).unwrap(), expected);
}

#[test]
fn numbers_are_dense_in_order_of_first_sight() {
    let fixture = Fixture::new();
    let subjects = fixture.small(u32::MAX);
    assert_eq!(allocate(&subjects, "a").unwrap(), (SubjectId::new(0), true));
    assert_eq!(allocate(&subjects, "a").unwrap(), (SubjectId::new(0), false));
    let batch = allocate_many(&subjects, ["b", "a", "c", "b"]);
    let expected = [(1, true), (0, false), (2, true), (1, false)];
    assert_eq!(batch, expected.map(|(number, new)| (SubjectId::new(number), new)));
    assert_eq!(subjects.count(), 3);
    assert_eq!(subjects.resolve("c").unwrap(), Some(SubjectId::new(2)));
    assert_eq!(subjects.resolve("C").unwrap(), None);
    assert_eq!(subjects.distinct_id(SubjectId::new(1)).unwrap().as_deref(), Some("b"));
    assert_eq!(subjects.distinct_id(SubjectId::new(3)).unwrap(), None);
}

#[test]
fn subjects_outlive_spills_merges_and_reopening() {
    let fixture = Fixture::new();
    let mut subjects = fixture.small(u32::MAX);
    for count in [1, 255, 256, 257, 900, 2_500, 4_100] {
        while subjects.count() < count {
            let next = subjects.count();
            let ids: Vec<String> = (next..count.min(next + 70)).map(id).collect();
            allocate_many(&subjects, ids.iter().map(String::as_str));
        }
        assert_holds(&subjects, count);
        fixture.checkpoint(&subjects);
        assert_holds(&subjects, count);
        subjects = fixture.load().unwrap();
        assert_holds(&subjects, count);
    }
    assert_eq!(subjects.stats().runs.files as usize, files(&fixture.runs()));
    assert!(subjects.stats().runs.runs < 16, "merges happened: {} runs", subjects.stats().runs.runs);
}

#[test]
fn what_came_after_the_checkpoint_is_replayed() {
    let fixture = Fixture::new();
    let subjects = fixture.small(u32::MAX);
    let ids: Vec<String> = (0..700).map(id).collect();
    let log: Vec<NewSubject<'_>> =
        (0..).zip(&ids).map(|(subject, id)| NewSubject { subject, distinct_id: Some(id) }).collect();
    subjects.apply(&log[..300]).unwrap();
    fixture.checkpoint(&subjects);
    subjects.apply(&log[300..]).unwrap();
    assert_holds(&subjects, 700);
    drop(subjects);

    let subjects = fixture.load().unwrap();
    assert_holds(&subjects, 300);
    // The batch that the checkpoint cut through comes again as a whole.
    subjects.apply(&log[250..400]).unwrap();
    subjects.apply(&log[400..]).unwrap();
    assert_holds(&subjects, 700);
    fixture.checkpoint(&subjects);
    assert_holds(&fixture.load().unwrap(), 700);
}

#[test]
fn a_number_that_does_not_continue_is_corrupt() {
    let fixture = Fixture::new();
    let subjects = fixture.small(u32::MAX);
    let error = subjects.apply(&[NewSubject { subject: 1, distinct_id: Some("a") }]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(error.to_string(), "log: subject 1 but expected 0");
    let long = "x".repeat(256);
    let error = subjects.apply(&[NewSubject { subject: 0, distinct_id: Some(&long) }]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(subjects.count(), 0);
}

#[test]
fn an_erased_id_keeps_its_number_and_comes_back_as_another() {
    let fixture = Fixture::new();
    let subjects = fixture.small(u32::MAX);
    let log = [
        NewSubject { subject: 0, distinct_id: Some("a") },
        NewSubject { subject: 1, distinct_id: None },
        NewSubject { subject: 2, distinct_id: Some("c") },
    ];
    subjects.apply(&log).unwrap();
    let check = |subjects: &Subjects| {
        assert_eq!(subjects.count(), 3);
        let names = subjects.distinct_ids(&[0, 1, 2].map(SubjectId::new)).unwrap();
        assert_eq!(names, [Some("a".to_owned()), None, Some("c".to_owned())]);
        assert_eq!(subjects.resolve("b").unwrap(), None);
    };
    check(&subjects);
    fixture.checkpoint(&subjects);
    let subjects = fixture.load().unwrap();
    check(&subjects);
    assert_eq!(allocate(&subjects, "b").unwrap(), (SubjectId::new(3), true));
    fixture.checkpoint(&subjects);
    assert_eq!(fixture.load().unwrap().resolve("b").unwrap(), Some(SubjectId::new(3)));
}

#[test]
fn a_batch_of_more_than_memory_holds_numbers_each_id_once() {
    for merges in [Merges::Inline, MergeThread::start().unwrap().merges()] {
        let fixture = Fixture::new();
        let subjects = fixture.merging(u32::MAX, merges);
        allocate_many(&subjects, ["user-0", "user-1"]);
        // Each comes twice, the second time long after memory was full, or at once.
        let ids: Vec<String> = (0..1_500).chain((0..1_500).rev()).map(id).collect();
        let numbered = allocate_many(&subjects, ids.iter().map(String::as_str));
        let expected = (0..1_500).map(|n| (SubjectId::new(n), n >= 2));
        let again = (0..1_500).rev().map(|n| (SubjectId::new(n), false));
        assert!(numbered.into_iter().eq(expected.chain(again)));
        // Those in memory, and those that are being written.
        assert!(subjects.stats().runs.recent <= 2 * 200, "{:?}", subjects.stats());
        assert_holds(&subjects, 1_500);
    }
}

#[test]
fn what_was_read_before_an_erasure_is_not_remembered_after_it() {
    let fixture = Fixture::new();
    let subjects = fixture.small(u32::MAX);
    allocate_many(&subjects, ["a", "b"]);
    fixture.checkpoint(&subjects);
    let fingerprints = ["a", "b"].map(Fingerprint::of);
    let asked = subjects.ask_memory(&fingerprints);
    subjects.erase(&[0]).unwrap();
    // The disk as it was knows both.
    assert_eq!(subjects.ask_disk(&fingerprints, asked).unwrap(), [Some(0), Some(1)]);
    subjects.purge().unwrap();
    assert_eq!(subjects.find_many(&fingerprints).unwrap(), [None, Some(SubjectId::new(1))]);
    assert_eq!(allocate(&subjects, "a").unwrap(), (SubjectId::new(2), true));
}

#[test]
fn the_last_number_is_given_out_once_and_then_none() {
    let fixture = Fixture::new();
    let subjects = fixture.small(3);
    allocate_many(&subjects, ["a", "b"]);
    assert_eq!(allocate(&subjects, "c").unwrap(), (SubjectId::new(2), true));
    assert_eq!(allocate(&subjects, "d").unwrap_err().kind(), ErrorKind::Exhausted);
    assert_eq!(subjects.count(), 3);
    assert_eq!(subjects.resolve("d").unwrap(), None);
    assert_eq!(allocate(&subjects, "a").unwrap(), (SubjectId::new(0), false));
}

#[test]
fn a_reset_forgets_everything_and_starts_from_zero() {
    let fixture = Fixture::new();
    let subjects = fixture.small(u32::MAX);
    let ids: Vec<String> = (0..900).map(id).collect();
    allocate_many(&subjects, ids.iter().map(String::as_str));
    fixture.checkpoint(&subjects);
    assert_holds(&subjects, 900);
    let txn = fixture.db.begin_write().unwrap();
    subjects.reset(&txn).unwrap();
    txn.commit().unwrap();
    assert_eq!(subjects.count(), 0);
    assert_eq!(subjects.resolve("user-7").unwrap(), None);
    assert_eq!(subjects.distinct_id(SubjectId::new(7)).unwrap(), None);
    assert_eq!(allocate(&subjects, "user-7").unwrap(), (SubjectId::new(0), true));
    fixture.checkpoint(&subjects);
    assert_eq!(files(&fixture.runs()), 1);
    assert_eq!(fixture.load().unwrap().resolve("user-7").unwrap(), Some(SubjectId::new(0)));
}

#[test]
fn a_missing_block_or_run_is_corrupt_on_loading() {
    let fixture = Fixture::new();
    let subjects = fixture.small(u32::MAX);
    allocate_many(&subjects, ["a", "b"]);
    fixture.checkpoint(&subjects);
    let run = std::fs::read_dir(fixture.runs()).unwrap().next().unwrap().unwrap().path();
    std::fs::rename(&run, fixture.dir.path().join("aside")).unwrap();
    assert_eq!(fixture.load().unwrap_err().kind(), ErrorKind::Corrupt);
    std::fs::rename(fixture.dir.path().join("aside"), &run).unwrap();
    assert_eq!(fixture.load().unwrap().count(), 2);

    let txn = fixture.db.begin_write().unwrap();
    txn.delete_table(super::names::NAMES).unwrap();
    txn.commit().unwrap();
    let error = fixture.load().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(error.to_string(), "index.redb: subjects.names, block 0: missing, but subjects in it were given out");
}

#[test]
fn queries_resolve_while_the_committer_gives_out_numbers() {
    queries_resolve_meanwhile(Merges::Inline);
}

#[test]
fn queries_resolve_while_runs_are_written_and_merged_beside_the_committer() {
    let mut thread = MergeThread::start().unwrap();
    queries_resolve_meanwhile(thread.merges());
    thread.stop();
}

fn queries_resolve_meanwhile(merges: Merges) {
    let fixture = Fixture::new();
    let subjects = fixture.merging(u32::MAX, merges);
    const COUNT: u32 = 6_000;
    std::thread::scope(|scope| {
        for reader in 0..2 {
            let subjects = &subjects;
            scope.spawn(move || {
                let mut asked = reader;
                loop {
                    let count = subjects.count();
                    if count > 0 {
                        // Every subject below the count seen is there both ways, whatever is spilled or merged meanwhile.
                        asked = (asked * 31 + 17) % count;
                        assert_eq!(subjects.resolve(&id(asked)).unwrap(), Some(SubjectId::new(asked)));
                        let name = subjects.distinct_id(SubjectId::new(asked)).unwrap();
                        assert_eq!(name, Some(id(asked)));
                    }
                    if count == COUNT {
                        break;
                    }
                }
            });
        }
        while subjects.count() < COUNT {
            let next = subjects.count();
            let ids: Vec<String> = (next..COUNT.min(next + 150)).map(id).collect();
            allocate_many(&subjects, ids.iter().map(String::as_str));
            if next.is_multiple_of(900) {
                fixture.checkpoint(&subjects);
            }
        }
    });
    assert_holds(&subjects, COUNT);
}
