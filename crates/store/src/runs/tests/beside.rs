//! Spills and merges on a thread of their own.

use super::super::background::MergeThread;
use super::super::list::Order;
use super::*;
use crate::error::ErrorKind;

fn fill(set: &mut RunSet, numbers: std::ops::Range<u64>) {
    numbers.for_each(|number| set.insert(numbered(number), number));
}

/// Waits for all that runs.
fn settle(set: &mut RunSet) -> Result<()> {
    while set.is_busy() {
        if let Some(due) = set.tend()? {
            due.settle()?;
        }
        std::thread::yield_now();
    }
    Ok(())
}

fn assert_holds(set: &RunSet, count: u64) {
    let asked: Vec<Fingerprint> = (0..count + 500).map(numbered).collect();
    let expected: Vec<Option<u64>> = (0..count + 500).map(|number| (number < count).then_some(number)).collect();
    let mut answers = Vec::new();
    set.lookup_many(&asked, &mut answers).unwrap();
    assert_eq!(answers, expected);
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn everything_is_found_while_it_is_written_and_merged() {
    let dir = tempfile::tempdir().unwrap();
    let thread = MergeThread::start().unwrap();
    let mut set = open_merging(dir.path(), &[], thread.merges()).unwrap();
    for round in 0..40 {
        fill(&mut set, round * 300..round * 300 + 300);
        set.make_room().unwrap();
        assert_eq!(set.recent_len(), 0);
        assert_holds(&set, round * 300 + 300);
        assert_eq!(set.stats().recent + set.stats().stored, round * 300 + 300);
    }
    settle(&mut set).unwrap();
    assert_holds(&set, 12_000);
    // 40 runs of level 0: they were merged, and none waits that should not.
    assert!(set.stats().runs <= 6, "{:?}", set.stats());
    set.remove_unlisted(&set.manifest()).unwrap();
    let mut listed: Vec<String> = set.manifest().iter().map(|file| RunKind::Ids.file_name(file.number)).collect();
    listed.sort();
    assert_eq!(names(dir.path()), listed);
    assert_holds(&open_small(dir.path(), &set.manifest()).unwrap(), 12_000);
}

#[test]
fn a_list_is_read_when_its_files_are_merged_and_their_names_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut set = open_small(dir.path(), &[]).unwrap();
    let mut lists = Vec::new();
    for round in 0..20 {
        fill(&mut set, round * 700..round * 700 + 700);
        set.spill().unwrap();
        lists.push((Arc::clone(set.disk()), round * 700 + 700));
        set.remove_unlisted(&set.manifest()).unwrap();
    }
    assert_eq!(names(dir.path()).len() as u64, set.stats().files);
    for (list, count) in lists {
        let asked: Vec<Fingerprint> = (0..count).map(numbered).collect();
        let mut answers = vec![None; asked.len()];
        list.lookup_many(&asked, &mut answers).unwrap();
        assert!(answers.into_iter().eq((0..count).map(Some)), "{count}");
    }
    set.reset();
    set.remove_unlisted(&[]).unwrap();
    assert!(names(dir.path()).is_empty());
}

#[test]
fn what_a_merge_is_writing_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    let thread = MergeThread::start().unwrap();
    let mut set = open_merging(dir.path(), &[], thread.merges()).unwrap();
    for round in 0..60 {
        fill(&mut set, round * 300..round * 300 + 300);
        set.spill().unwrap();
        // As a checkpoint does, whatever runs at present.
        let durable = set.manifest();
        set.remove_unlisted(&durable).unwrap();
        let there = names(dir.path());
        assert!(durable.iter().all(|file| there.contains(&RunKind::Ids.file_name(file.number))));
    }
    settle(&mut set).unwrap();
    assert_holds(&set, 18_000);
    assert_holds(&open_small(dir.path(), &set.manifest()).unwrap(), 18_000);
}

#[test]
fn a_merge_that_fails_reaches_whoever_spills() {
    let dir = tempfile::tempdir().unwrap();
    let thread = MergeThread::start().unwrap();
    let mut set = open_merging(dir.path(), &[], thread.merges()).unwrap();
    fill(&mut set, 0..300);
    set.spill().unwrap();
    let path = dir.path().join(RunKind::Ids.file_name(set.manifest()[0].number));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[5_000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    fill(&mut set, 300..600);
    set.spill().unwrap();
    fill(&mut set, 600..900);
    // This spill makes the merge due; its damage is told by then or by the next.
    let error = set.spill().and_then(|()| settle(&mut set)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("block at byte "), "{error}");
    assert_eq!(set.stats().runs, 3);
    assert_eq!(lookup(&set, &numbered(700)).unwrap(), Some(700));
}

#[test]
fn a_spill_that_fails_reaches_whoever_goes_on_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    let thread = MergeThread::start().unwrap();
    let mut set = open_merging(&runs, &[], thread.merges()).unwrap();
    // A file where the directory should be.
    std::fs::write(&runs, b"").unwrap();
    fill(&mut set, 0..300);
    let error = set.make_room().and_then(|()| settle(&mut set)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("runs"), "{error}");
    assert_eq!(set.recent_len(), 300);
    assert_holds(&set, 300);
    std::fs::remove_file(&runs).unwrap();
    set.spill().unwrap();
    assert_holds(&open_small(&runs, &set.manifest()).unwrap(), 300);
}

#[test]
fn a_thread_that_is_stopped_leaves_a_set_that_goes_on_without_it() {
    for rounds in 1..12 {
        let dir = tempfile::tempdir().unwrap();
        let mut thread = MergeThread::start().unwrap();
        let mut set = open_merging(dir.path(), &[], thread.merges()).unwrap();
        for round in 0..rounds {
            fill(&mut set, round * 300..round * 300 + 300);
            set.make_room().unwrap();
        }
        fill(&mut set, rounds * 300..rounds * 300 + 50);
        // In the middle of whatever it does.
        thread.stop();
        let before = names(dir.path());
        set.spill().unwrap();
        assert_eq!(set.stats().recent, 0);
        assert_holds(&set, rounds * 300 + 50);
        set.remove_unlisted(&set.manifest()).unwrap();
        let mut listed: Vec<String> = set.manifest().iter().map(|file| RunKind::Ids.file_name(file.number)).collect();
        listed.sort();
        assert_eq!(names(dir.path()), listed, "{before:?}");
        assert_holds(&open_small(dir.path(), &set.manifest()).unwrap(), rounds * 300 + 50);
        fill(&mut set, rounds * 300 + 50..rounds * 300 + 100);
        set.make_room().unwrap();
        assert_holds(&set, rounds * 300 + 100);
    }
}

#[test]
fn the_largest_run_is_asked_first_where_no_value_is_ever_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let mut set = open_small(dir.path(), &[]).unwrap().ordered(Order::Largest);
    fill(&mut set, 0..500);
    set.spill().unwrap();
    fill(&mut set, 500..520);
    set.spill().unwrap();
    assert_holds(&set, 520);
    // The one order gives another run's value where a fingerprint was given two, which is how they can be told apart.
    set.insert(numbered(7), 70);
    set.make_room().unwrap();
    assert_eq!(set.stats().runs, 1, "merged: the newest stands in a merge");
    assert_eq!(lookup(&set, &numbered(7)).unwrap(), Some(70));
    set.insert(numbered(7), 700);
    set.spill().unwrap();
    assert_eq!(lookup(&set, &numbered(7)).unwrap(), Some(70));
    assert_eq!(lookup(&set.ordered(Order::Newest), &numbered(7)).unwrap(), Some(700));
}
