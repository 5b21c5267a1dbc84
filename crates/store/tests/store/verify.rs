//! A verification finds every kind of damage, names it, and has what is derived derived again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pugmark_store::redb::{Database, ReadableTable as _, TableDefinition};
use pugmark_store::{Disk, ErrorKind, Options, Outcome, Sequence, Storage, Store, VerifyReport};

use crate::common::{event, fill, flip, message_ids, open, open_with, segments, truncate};

/// Small segments, ids, subjects, a conflict; closed.
fn some_store() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = open_small(dir.path());
    for batch in 0..10 {
        fill(&store, &format!("{batch}-"), 40);
    }
    assert!(matches!(store.append(vec![event("other", "x", "0-0")]).unwrap()[..], [Outcome::Conflict(Some(_))]));
    store.close().unwrap();
    dir
}

fn open_small(dir: &Path) -> Store {
    open_with(dir, Options { segment_max_bytes: 2_000, ..Options::default() }).unwrap()
}

fn verify(store: &Store, repair: bool) -> VerifyReport {
    store.verify(repair, &mut |_| {}).unwrap()
}

fn parts(report: &VerifyReport) -> Vec<&str> {
    let mut parts: Vec<&str> = report.findings.iter().map(|finding| finding.part.as_str()).collect();
    parts.dedup();
    parts
}

/// That `part` is found wrong, and right again after a repair and an open.
fn is_found_and_repaired(dir: &Path, part: &str, said: &str) {
    let ids = message_ids(&open(dir).unwrap());
    let store = open(dir).unwrap();
    let report = verify(&store, false);
    assert_eq!(parts(&report), [part], "{:?}", report.findings);
    assert!(report.findings.iter().any(|finding| finding.message.contains(said)), "{:?}", report.findings);
    assert!(report.to_rebuild.is_empty(), "nothing was asked to be repaired");
    assert_eq!(verify(&store, true).to_rebuild, [part]);
    store.close().unwrap();
    let store = open(dir).unwrap();
    let report = verify(&store, false);
    assert!(report.is_clean(), "{:?}", report.findings);
    assert_eq!(message_ids(&store), ids);
    assert_eq!(store.append(vec![event("e", "u0", "0-0")]).unwrap(), [Outcome::Duplicate]);
}

fn run_of(dir: &Path, kind: &str) -> PathBuf {
    let runs = std::fs::read_dir(dir.join("runs")).unwrap().map(|entry| entry.unwrap().path());
    runs.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(kind)).max().unwrap()
}

fn log_report(dir: &Path) -> VerifyReport {
    let storage: Arc<dyn Storage> = Arc::new(Disk);
    Store::verify_log(dir, &storage).unwrap()
}

#[test]
fn a_whole_store_is_clean_and_everything_in_it_is_checked() {
    let dir = some_store();
    let store = open_small(dir.path());
    fill(&store, "more-", 100);
    let mut told = Vec::new();
    let report = store.verify(false, &mut |progress| told.push(*progress)).unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    assert_eq!(report.checked, ["subjects", "ids", "quarantine", "removal", "positions", "segments"]);
    assert_eq!(report.unchecked, ["counts"], "a fold that knows no comparison is not passed off as right");
    assert_eq!((report.log.records, report.log.frames), (501, 12));
    assert_eq!(report.log.segments as usize, segments(dir.path()).len());
    assert_eq!(told.last().map(|progress| (progress.records, progress.of)), Some((501, 501)));
    store.close().unwrap();
    assert!(log_report(dir.path()).is_clean());
}

#[test]
fn a_flipped_byte_in_a_sealed_segment_is_found_with_the_sequences_that_it_costs() {
    let dir = some_store();
    let middle = &segments(dir.path())[1];
    let first: u64 = middle.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    flip(middle, 64 + 44 + 10);
    let store = open_small(dir.path());
    let report = verify(&store, true);
    assert_eq!(parts(&report), ["log"]);
    let lost = Some((Sequence::new(first), Sequence::new(first + 39)));
    assert_eq!(
        report.findings.iter().map(|finding| finding.lost).collect::<Vec<_>>(),
        [lost],
        "its frame, and no more"
    );
    let said = report.findings[0].to_string();
    assert!(said.contains(&format!("{:020}.log: frame at byte 64", first)) && said.contains("checksum"), "{said}");
    assert!(report.checked.is_empty() && report.to_rebuild.is_empty(), "nothing is compared with a log that has holes");
    drop(store);
    assert_eq!(log_report(dir.path()).findings, report.findings);
}

#[test]
fn a_flipped_byte_in_a_header_of_a_frame_is_found_and_reading_goes_on_behind_it() {
    let dir = some_store();
    let middle = &segments(dir.path())[1];
    flip(middle, 64 + 10);
    let report = log_report(dir.path());
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    let lost = report.findings[0].lost.unwrap();
    assert_eq!(lost.1.number() - lost.0.number(), 39);
}

#[test]
fn a_missing_a_swapped_and_a_cut_segment_are_found() {
    for damage in [
        |paths: &[PathBuf]| std::fs::remove_file(&paths[1]).unwrap(),
        |paths: &[PathBuf]| {
            std::fs::copy(&paths[2], &paths[1]).unwrap();
        },
        |paths: &[PathBuf]| truncate(&paths[1], 70),
        |paths: &[PathBuf]| truncate(&paths[1], 10),
        |paths: &[PathBuf]| flip(&paths[1], 20),
    ] {
        let dir = some_store();
        let paths = segments(dir.path());
        let whole = log_report(dir.path()).log.records;
        damage(&paths);
        let report = log_report(dir.path());
        assert_eq!(parts(&report), ["log"]);
        let lost: u64 = report.findings.iter().filter_map(|f| f.lost).map(|(a, b)| b.number() - a.number() + 1).sum();
        assert_eq!(report.log.records + lost, whole, "{:?}", report.findings);
    }
}

#[test]
fn a_torn_tail_is_no_damage_as_nobody_was_told_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    fill(&store, "m", 30);
    crate::common::crash(&store, copy.path());
    let last = segments(copy.path()).pop().unwrap();
    let mut bytes = std::fs::read(&last).unwrap();
    bytes.extend_from_slice(&[7; 200]);
    std::fs::write(&last, bytes).unwrap();
    let report = log_report(copy.path());
    assert!(report.is_clean() && report.log.records == 30, "{:?}", report.findings);
    let storage: Arc<dyn Storage> = Arc::new(Disk);
    assert_eq!(Store::verify_log(dir.path(), &storage).unwrap_err().kind(), ErrorKind::Locked);
}

#[test]
fn a_flipped_byte_in_a_run_of_message_ids_is_found_and_repaired() {
    let dir = some_store();
    flip(&run_of(dir.path(), "ids"), 1024 + 30);
    is_found_and_repaired(dir.path(), "ids", "block at byte 1024");
}

#[test]
fn a_flipped_byte_in_a_run_of_subjects_is_found_and_repaired() {
    let dir = some_store();
    flip(&run_of(dir.path(), "subjects"), 1024 + 30);
    is_found_and_repaired(dir.path(), "subjects", "block at byte 1024");
}

fn change_index(dir: &Path, change: impl FnOnce(&pugmark_store::redb::WriteTransaction)) {
    let db = Database::open(dir.join("index.redb")).unwrap();
    let txn = db.begin_write().unwrap();
    change(&txn);
    txn.commit().unwrap();
}

#[test]
fn another_name_of_a_subject_in_the_index_is_found_and_repaired() {
    let dir = some_store();
    change_index(dir.path(), |txn| {
        let names: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("subjects.names");
        let mut table = txn.open_table(names).unwrap();
        let mut block = table.get(0).unwrap().unwrap().value().to_vec();
        assert_eq!(block[2..4], *b"u0");
        block[3] = b'9';
        table.insert(0, block.as_slice()).unwrap();
    });
    is_found_and_repaired(dir.path(), "subjects", "subject 0 has \"u9\" but the log says \"u0\"");
}

#[test]
fn a_conflict_that_the_index_has_forgotten_is_found_and_repaired() {
    let dir = some_store();
    change_index(dir.path(), |txn| {
        let kept: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("quarantine.kept");
        txn.open_table(kept).unwrap().remove(401).unwrap().unwrap();
    });
    is_found_and_repaired(dir.path(), "quarantine", "0 waiting and 0 settled conflicts are not the 1 and 0 of the log");
}

#[test]
fn a_place_in_the_log_that_is_none_is_found_and_repaired() {
    let dir = some_store();
    change_index(dir.path(), |txn| {
        let positions: TableDefinition<'_, u64, (u64, u64)> = TableDefinition::new("store.positions");
        txn.open_table(positions).unwrap().insert(41, (1, 65)).unwrap();
    });
    is_found_and_repaired(dir.path(), "positions", "sequence 41 is noted at byte 65 of segment 1");
}

#[test]
fn ids_that_the_log_does_not_have_are_found_and_repaired() {
    let dir = some_store();
    let other = some_store();
    let store = open(other.path()).unwrap();
    fill(&store, "extra-", 1);
    store.close().unwrap();
    // The runs and their manifest of a store that has seen one id more.
    let runs: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("ids.runs");
    let mut manifest = Vec::new();
    change_index(other.path(), |txn| {
        manifest = txn.open_table(runs).unwrap().get("manifest").unwrap().unwrap().value().to_vec()
    });
    change_index(dir.path(), |txn| {
        txn.open_table(runs).unwrap().insert("manifest", manifest.as_slice()).unwrap();
    });
    for run in std::fs::read_dir(other.path().join("runs")).unwrap() {
        let run = run.unwrap();
        if run.file_name().to_str().unwrap().starts_with("ids") {
            std::fs::copy(run.path(), dir.path().join("runs").join(run.file_name())).unwrap();
        }
    }
    is_found_and_repaired(dir.path(), "ids", "401 message ids but the log has 400");
}

#[test]
fn what_is_known_of_a_segment_and_wrong_is_found_and_repaired() {
    let dir = some_store();
    change_index(dir.path(), |txn| {
        type Span = (u64, u64, (i64, i64), (i64, i64), bool);
        let spans: TableDefinition<'_, u64, Span> = TableDefinition::new("store.segments");
        let mut table = txn.open_table(spans).unwrap();
        let (last, events, happened, received, compressed) = table.get(1).unwrap().unwrap().value();
        table.insert(1, (last, events - 1, happened, received, compressed)).unwrap();
    });
    is_found_and_repaired(dir.path(), "segments", "segment 1 is known as");
}

#[test]
fn a_store_is_clean_after_erasures_and_while_one_is_open_little_is_compared() {
    let dir = some_store();
    let store = open_small(dir.path());
    let who = store.snapshot().subjects().resolve("u3").unwrap().unwrap();
    store.erase(&[who]).unwrap();
    let rows = vec![(Sequence::new(100), 20)];
    store.retract(Some("a mistake"), rows).unwrap();
    fill(&store, "again", 30);
    let report = verify(&store, false);
    assert!(report.is_clean(), "{:?}", report.findings);
    assert_eq!(report.checked, ["removal", "positions"]);
    assert!(report.unchecked.contains(&"ids".to_owned()), "what is half removed is not compared");

    store.finish_removals().unwrap();
    // The person comes back as somebody new, and an id that was retracted is taken again.
    store.append(vec![event("e", "u3", "new"), event("e", "u1", "2-25")]).unwrap();
    let mut store = store;
    for _ in 0..2 {
        let report = verify(&store, false);
        assert!(report.is_clean(), "{:?}", report.findings);
        assert_eq!(report.checked.len(), 6);
        store.close().unwrap();
        // Made again from a log with tombstones.
        std::fs::remove_file(dir.path().join("index.redb")).unwrap();
        store = open_small(dir.path());
    }
}
