//! Any sequence of insertions, spills, merges and reopenings leaves what a `HashMap` would hold.

use std::collections::HashMap;

use proptest::prelude::*;

use super::super::background::MergeThread;
use super::super::layout::BLOCK_ENTRIES;
use super::super::set::Due;
use super::*;

#[derive(Debug, Clone)]
enum Step {
    /// Keys of a small range (collisions, replacements), or of all.
    Insert {
        keys: Vec<Key>,
        value: u64,
    },
    Spill,
    /// As an append does that finds memory full.
    MakeRoom,
    /// As an append does that finds room.
    Tend,
    /// Checkpoint: the manifest is kept and what it does not name is removed.
    Keep,
    /// Everything since the last checkpoint is lost, as in a crash.
    Reopen,
}

#[derive(Debug, Clone, Copy)]
enum Key {
    Spread(u16),
    /// All of these share their first 8 bytes.
    SamePrefix(u16),
    /// The least and the greatest fingerprints.
    Edge(bool, u8),
}

fn fingerprint(key: Key) -> Fingerprint {
    match key {
        Key::Spread(number) => numbered(u64::from(number)),
        Key::SamePrefix(number) => {
            let mut bytes = [0x5A; 16];
            bytes[14..].copy_from_slice(&number.to_be_bytes());
            Fingerprint::from_bytes(bytes)
        }
        Key::Edge(high, number) => {
            let mut bytes = if high { [0xFF; 16] } else { [0; 16] };
            bytes[7] = number;
            Fingerprint::from_bytes(bytes)
        }
    }
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![
        6 => any::<u16>().prop_map(Key::Spread),
        2 => (0_u16..1_500).prop_map(Key::SamePrefix),
        1 => (any::<bool>(), any::<u8>()).prop_map(|(high, number)| Key::Edge(high, number)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (proptest::collection::vec(key(), 1..900), any::<u64>()).prop_map(|(keys, value)| Step::Insert { keys, value }),
        3 => Just(Step::Spill),
        3 => Just(Step::MakeRoom),
        1 => Just(Step::Tend),
        2 => Just(Step::Keep),
        1 => Just(Step::Reopen),
    ]
}

fn cases() -> u32 {
    std::env::var("PUGMARK_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(256)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_set_is_a_map_through_spills_merges_and_reopenings(
        steps in proptest::collection::vec(step(), 1..24),
        beside in any::<bool>(),
        filter_bytes in prop_oneof![Just(0), 1_000_usize..40_000, Just(usize::MAX)],
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut thread = beside.then(|| MergeThread::start().unwrap());
        let merges = |thread: &Option<MergeThread>| thread.as_ref().map(MergeThread::merges).unwrap_or_default();
        let mut set = open_with_filters(dir.path(), &[], filter_bytes, merges(&thread)).unwrap();
        let mut model: HashMap<Fingerprint, u64> = HashMap::new();
        let mut kept = (Vec::new(), model.clone());
        for step in steps {
            match step {
                Step::Insert { keys, value } => {
                    for (offset, key) in (0_u64..).zip(keys) {
                        let value = value.wrapping_add(offset);
                        set.insert(fingerprint(key), value);
                        model.insert(fingerprint(key), value);
                    }
                }
                Step::Spill => {
                    set.spill().unwrap();
                    prop_assert_eq!(set.recent_len(), 0);
                }
                Step::MakeRoom => {
                    set.make_room().unwrap();
                    prop_assert_eq!(set.recent_len(), 0);
                }
                Step::Tend => drop(set.tend().unwrap().map(Due::settle)),
                Step::Keep => {
                    set.spill().unwrap();
                    kept = (set.manifest(), model.clone());
                    set.remove_unlisted(&kept.0).unwrap();
                    let files = std::fs::read_dir(dir.path()).unwrap().count();
                    prop_assert!(files == kept.0.len() || beside && files > kept.0.len(), "{} files", files);
                }
                Step::Reopen => {
                    // The thread ends with the store that it belongs to.
                    thread = beside.then(|| MergeThread::start().unwrap());
                    set = open_with_filters(dir.path(), &kept.0, filter_bytes, merges(&thread)).unwrap();
                    model.clone_from(&kept.1);
                }
            }
            let files = set.manifest();
            let crowded = |level| files.iter().filter(|file| file.level == level && file.number == file.run).count() > 6;
            prop_assert!(!(0..=u8::MAX).any(crowded), "{:?}", files);
            prop_assert!(files.iter().all(|file| file.bytes == std::fs::metadata(dir.path().join(RunKind::Ids.file_name(file.number))).unwrap().len()));
        }
        let asked: Vec<Fingerprint> = model
            .keys()
            .copied()
            .chain((0..3_000).map(|number| numbered(number + 60_000)))
            .chain((0..1_600).map(|number| fingerprint(Key::SamePrefix(number))))
            .chain((0..=255).flat_map(|number| [fingerprint(Key::Edge(true, number)), fingerprint(Key::Edge(false, number))]))
            .collect();
        let mut answers = vec![Some(1)];
        set.lookup_many(&asked, &mut answers).unwrap();
        prop_assert_eq!(answers.len(), asked.len());
        for (asked, answer) in asked.iter().zip(&answers) {
            prop_assert_eq!(*answer, model.get(asked).copied(), "{:?}", asked);
        }
        // Few of many: blocks are read one by one, and with gaps between them.
        for step in [3, 50] {
            let few: Vec<Fingerprint> = asked.iter().rev().step_by(step).copied().collect();
            set.lookup_many(&few, &mut answers).unwrap();
            for (asked, answer) in few.iter().zip(&answers) {
                prop_assert_eq!(*answer, model.get(asked).copied(), "{:?}", asked);
            }
        }
        set.lookup_many(&asked, &mut answers).unwrap();
        for (asked, answer) in asked.iter().zip(&answers).step_by(37) {
            prop_assert_eq!(lookup(&set, asked).unwrap(), *answer, "{:?}", asked);
        }
    }
}

#[test]
fn a_level_of_eight_becomes_one_run_cut_at_leading_bits() {
    let dir = tempfile::tempdir().unwrap();
    let mut set = RunSet::open_with(
        Arc::new(Disk),
        dir.path(),
        RunKind::Ids,
        &[],
        Box::new(Tiered { runs_per_level: 8 }),
        RunLimits { file_entries: 1_000, ..RunLimits::default() },
        Merges::Inline,
    )
    .unwrap();
    for number in 0..8_000 {
        set.insert(numbered(number), number);
        if number % 1_000 == 999 {
            set.spill().unwrap();
        }
    }
    let files = set.manifest();
    assert_eq!(set.stats().runs, 1);
    assert!(files.iter().all(|file| file.level == 1 && file.run == files[0].number));
    // 8,000 entries in files of at most 1,000, filled to fifteen sixteenths: sixteen of them, each a sixteenth of all prefixes.
    let borders: Vec<u64> = files.iter().map(|file| file.from).collect();
    assert_eq!(borders, (0..16).map(|place| place << 60).collect::<Vec<u64>>());
    assert_eq!(files.iter().map(|file| file.entries).sum::<u64>(), 8_000);
    assert!(files.iter().all(|file| file.entries <= 1_000));
}

#[test]
fn filters_take_no_more_memory_than_they_may_and_those_of_the_largest_run_go_first() {
    const ROOM: usize = 6_000;
    // Number, entries and bytes of the filter of each file, run by run, the smallest first.
    let filters = |set: &RunSet| -> Vec<(u64, u64, usize)> {
        let mut runs = set.disk().runs.clone();
        runs.sort_by_key(|run| run.entries());
        let shards = runs.iter().flat_map(|run| run.shards());
        shards.map(|shard| (shard.meta.number, shard.meta.entries, shard.filter_bytes())).collect()
    };
    let dir = tempfile::tempdir().unwrap();
    let mut set = open_with_filters(dir.path(), &[], ROOM, Merges::Inline).unwrap();
    for round in 0..10 {
        for number in round * 500..round * 500 + 500 {
            set.insert(numbered(number), number);
        }
        set.spill().unwrap();
        assert!(filters(&set).iter().map(|(_, _, bytes)| bytes).sum::<usize>() <= ROOM);
    }
    let reopened = open_with_filters(dir.path(), &set.manifest(), ROOM, Merges::Inline).unwrap();
    assert_eq!(filters(&set), filters(&reopened));
    // The last 500 entries are a run of one file, the others one of several.
    let kept: Vec<bool> = filters(&set).iter().map(|(_, _, bytes)| *bytes > 0).collect();
    assert_eq!((set.stats().runs, filters(&set)[0].1), (2, 500));
    assert!(kept[0] && kept[1] && !kept[kept.len() - 1] && kept.is_sorted_by(|a, b| a >= b), "{kept:?}");
    assert_eq!(set.stats().unfiltered, kept.iter().filter(|kept| !**kept).count() as u64);
    for set in [&set, &reopened] {
        let asked: Vec<Fingerprint> = (0..6_000).map(numbered).collect();
        let mut answers = Vec::new();
        set.lookup_many(&asked, &mut answers).unwrap();
        assert!(answers.into_iter().eq((0..6_000).map(|number| (number < 5_000).then_some(number))));
    }
}

#[test]
fn a_file_takes_no_more_than_its_most_however_uneven_the_fingerprints() {
    let dir = tempfile::tempdir().unwrap();
    let mut set = open_small(dir.path(), &[]).unwrap();
    let crowded = |number: u64| {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        Fingerprint::from_bytes(bytes)
    };
    for number in 0..2_000 {
        set.insert(crowded(number), number);
    }
    set.spill().unwrap();
    let files = set.manifest();
    assert_eq!(files.iter().map(|file| file.entries).collect::<Vec<_>>(), [600, 600, 600, 200]);
    assert_eq!(files.iter().map(|file| file.from).collect::<Vec<_>>(), [0, 600, 1_200, 1_800]);
    let mut set = open_small(dir.path(), &files).unwrap();
    for number in [0, 599, 600, 1_199, 1_800, 1_999] {
        assert_eq!(lookup(&set, &crowded(number)).unwrap(), Some(number));
    }
    assert_eq!(lookup(&set, &crowded(2_000)).unwrap(), None);
    set.reset();
    assert_eq!(lookup(&set, &crowded(0)).unwrap(), None);
}

#[test]
fn absent_ids_touch_the_disk_less_than_once_in_a_hundred() {
    let dir = tempfile::tempdir().unwrap();
    let mut set = open_small(dir.path(), &[]).unwrap();
    for number in 0..20_000 {
        set.insert(numbered(number), number);
        if number % 4_000 == 3_999 {
            set.spill().unwrap();
        }
    }
    let absent: Vec<Fingerprint> = (0..20_000).map(|number| numbered(1_000_000 + number)).collect();
    let before = set.stats().blocks_read;
    let mut answers = Vec::new();
    set.lookup_many(&absent, &mut answers).unwrap();
    assert!(answers.iter().all(Option::is_none));
    let read = set.stats().blocks_read - before;
    assert!(read <= 200, "{read} blocks read for 20,000 absent ids");
}

#[test]
fn an_entry_is_found_at_every_border_of_blocks() {
    // Evenly spread; crowded, so that all fences are equal; and pairs that share a prefix, some across a border.
    let spreads: [fn(u64) -> u128; 3] = [
        |n| u128::from(n << 54 | 7) << 64 | u128::from(n),
        |n| u128::from(n * 2),
        |n| u128::from((n / 2) << 54 | 1) << 64 | u128::from(n * 2),
    ];
    for key in spreads {
        let at = |number: u128| Fingerprint::from_bytes(number.to_be_bytes());
        for count in [1, 2, 41, 42, 43, 83, 84, 85, 126, 127, 200] {
            let dir = tempfile::tempdir().unwrap();
            let mut set = open_small(dir.path(), &[]).unwrap();
            for number in 0..count {
                set.insert(at(key(number)), number);
            }
            set.spill().unwrap();
            let set = open_small(dir.path(), &set.manifest()).unwrap();
            for number in 0..count {
                let present = key(number);
                assert_eq!(lookup(&set, &at(present)).unwrap(), Some(number), "entry {number} of {count}");
                for absent in [present + 1, present.wrapping_sub(1), present ^ 1 << 127] {
                    assert_eq!(lookup(&set, &at(absent)).unwrap(), None, "{absent:x} beside entry {number} of {count}");
                }
                let mut answers = Vec::new();
                set.lookup_many(&[at(present + 1), at(present), at(key(0))], &mut answers).unwrap();
                assert_eq!(answers, [None, Some(number), Some(0)], "entry {number} of {count}");
            }
        }
    }
}

#[test]
fn a_batch_reads_each_block_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut set = open_small(dir.path(), &[]).unwrap();
    for number in 0..500 {
        set.insert(numbered(number), number);
    }
    set.spill().unwrap();
    let all: Vec<Fingerprint> = (0..500).map(numbered).collect();
    let mut answers = Vec::new();
    set.lookup_many(&all, &mut answers).unwrap();
    assert_eq!(answers, (0..500).map(Some).collect::<Vec<_>>());
    assert_eq!(set.stats().blocks_read as usize, 500_usize.div_ceil(BLOCK_ENTRIES));
}

#[test]
fn files_that_a_merge_replaced_stay_until_the_index_has_forgotten_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut set = open_small(dir.path(), &[]).unwrap();
    let mut durable = Vec::new();
    for number in 0..300 {
        set.insert(numbered(number), number);
        if number == 199 {
            durable = set.manifest();
        }
        if number % 100 == 99 {
            set.spill().unwrap();
        }
    }
    // The third spill merged; the index still names the first file only.
    assert_eq!(durable.len(), 1);
    assert!(set.manifest().iter().all(|file| file.level == 1));
    std::fs::write(dir.path().join("ids-00000000000000000099.run.tmp"), b"unfinished").unwrap();
    std::fs::write(dir.path().join("subjects-00000000000000000098.run"), b"of another kind").unwrap();
    set.remove_unlisted(&durable).unwrap();
    let old = open_small(dir.path(), &durable).unwrap();
    assert_eq!(lookup(&old, &numbered(0)).unwrap(), Some(0));
    assert_eq!(lookup(&old, &numbered(250)).unwrap(), None);

    set.remove_unlisted(&set.manifest()).unwrap();
    let mut names: Vec<String> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let merged = RunKind::Ids.file_name(set.manifest()[0].number);
    assert_eq!(names, [merged, "subjects-00000000000000000098.run".to_owned()]);
    assert!(open_small(dir.path(), &durable).is_err());
}

#[test]
fn a_file_number_is_not_given_again_while_its_file_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut set = open_small(dir.path(), &[]).unwrap();
    set.insert(numbered(1), 1);
    set.spill().unwrap();
    let first = set.manifest();
    let mut set = open_small(dir.path(), &[]).unwrap();
    set.insert(numbered(2), 2);
    set.spill().unwrap();
    assert_ne!(set.manifest()[0].number, first[0].number);
    assert_eq!(lookup(&open_small(dir.path(), &first).unwrap(), &numbered(1)).unwrap(), Some(1));
}

#[test]
fn an_empty_set_spills_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut set = open_small(dir.path(), &[]).unwrap();
    set.spill().unwrap();
    assert_eq!(set.manifest(), []);
    assert_eq!(lookup(&set, &numbered(0)).unwrap(), None);
}

#[test]
fn memory_stays_within_two_and_a_half_bytes_an_id_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut set =
        RunSet::open(Arc::new(Disk), dir.path(), RunKind::Ids, &[], RunLimits::default(), Merges::Inline).unwrap();
    for number in 0..300_000 {
        set.insert(numbered(number), number);
    }
    set.spill().unwrap();
    let set =
        RunSet::open(Arc::new(Disk), dir.path(), RunKind::Ids, &set.manifest(), RunLimits::default(), Merges::Inline)
            .unwrap();
    let bytes = set.resident_bytes();
    assert!(bytes <= 300_000 * 5 / 2, "{bytes} bytes for 300,000 ids");
}
