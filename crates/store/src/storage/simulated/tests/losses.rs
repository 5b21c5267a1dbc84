//! What may be left of what was not synced.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::storage::simulated::Loss;

/// All contents of `/a` that stops with these seeds leave.
fn outcomes(storage: &SimulatedStorage, loss: Loss, seeds: u64) -> BTreeSet<Vec<u8>> {
    (0..seeds).map(|seed| read(&storage.stopped(loss, seed), "/a").unwrap()).collect()
}

/// A synced file of zeros, then unsynced writes of `A`, `B` and `C` into sectors of their own.
fn three_writes() -> SimulatedStorage {
    let storage = SimulatedStorage::new();
    let file = named(&storage, "/a");
    file.set_len(3 * 512).unwrap();
    file.sync_data().unwrap();
    for (at, letter) in [b'A', b'B', b'C'].into_iter().enumerate() {
        file.write_all_at(&[letter; 512], at as u64 * 512).unwrap();
    }
    storage
}

fn letters(bytes: &[u8]) -> String {
    bytes.chunks(512).map(|sector| if sector[0] == 0 { '.' } else { char::from(sector[0]) }).collect()
}

#[test]
fn any_subset_of_writes_is_left_by_a_random_loss_and_sectors_are_whole() {
    let found = outcomes(&three_writes(), Loss::Random, 500);
    assert!(found.iter().all(|bytes| bytes.chunks(512).all(|sector| sector.iter().all(|byte| *byte == sector[0]))));
    let found: BTreeSet<String> = found.iter().map(|bytes| letters(bytes)).collect();
    let all = ["...", "A..", ".B.", "..C", "AB.", "A.C", ".BC", "ABC"].map(str::to_owned);
    assert_eq!(found, BTreeSet::from(all));
}

#[test]
fn writes_up_to_a_moment_are_left_by_a_prefix_loss() {
    let found = outcomes(&three_writes(), Loss::Prefix, 500);
    let whole: BTreeSet<String> = found.iter().map(|bytes| letters(bytes)).collect();
    assert_eq!(whole, BTreeSet::from(["...", "A..", "AB.", "ABC"].map(str::to_owned)));
}

#[test]
fn a_long_write_is_torn_at_sector_borders_only() {
    let storage = SimulatedStorage::new();
    let file = named(&storage, "/a");
    file.set_len(5_000).unwrap();
    file.sync_data().unwrap();
    // From the middle of sector 1 to the middle of sector 5.
    file.write_all_at(&[1; 2_048], 700).unwrap();
    for loss in [Loss::Prefix, Loss::Random] {
        let found = outcomes(&storage, loss, 500);
        for bytes in &found {
            assert_eq!(bytes.len(), 5_000);
            let borders: Vec<usize> = (1..5_000).filter(|at| bytes[*at] != bytes[at - 1]).collect();
            assert!(borders.iter().all(|at| at % 512 == 0 || [700, 2_748].contains(at)), "{borders:?}");
        }
        assert!(found.iter().any(|bytes| bytes[1_023] == 1 && bytes[1_024] == 0), "a head without its tail");
        let tail = found.iter().any(|bytes| bytes[1_023] == 0 && bytes[1_024] == 1);
        assert_eq!(tail, loss == Loss::Random, "a tail without its head");
    }
}

#[test]
fn the_last_append_may_end_anywhere() {
    let storage = SimulatedStorage::new();
    let file = named(&storage, "/a");
    file.write_all_at(&[1; 100], 0).unwrap();
    file.sync_data().unwrap();
    file.write_all_at(&[2; 100], 100).unwrap();
    for loss in [Loss::Prefix, Loss::Random] {
        let found = outcomes(&storage, loss, 2_000);
        let ends: BTreeSet<usize> = found.iter().map(|bytes| bytes.iter().filter(|byte| **byte != 0).count()).collect();
        assert!(ends.len() > 90 && ends.iter().all(|end| (100..=200).contains(end)), "{loss:?}: {ends:?}");
        assert!(found.iter().all(|bytes| bytes[..100] == [1; 100]), "what was synced is whole");
    }
}

#[test]
fn a_file_whose_bytes_were_lost_is_empty_or_has_zeros_up_to_any_length_that_it_had() {
    let storage = SimulatedStorage::new();
    let file = named(&storage, "/a");
    file.write_all_at(&[1; 600], 0).unwrap();
    file.set_len(10).unwrap();
    let found = outcomes(&storage, Loss::Random, 3_000);
    assert!(found.contains(&Vec::new()));
    assert!(found.iter().all(|bytes| bytes.len() <= 600));
    let zeros: BTreeSet<usize> =
        found.iter().filter(|bytes| bytes.iter().all(|byte| *byte == 0)).map(Vec::len).collect();
    assert!(zeros.len() > 100 && zeros.iter().any(|len| *len > 500), "{zeros:?}");
    assert!(found.contains(&vec![1; 600]), "the cut was lost");
}

#[test]
fn a_rename_happens_whole_or_not_at_all() {
    for loss in [Loss::Prefix, Loss::Random] {
        let storage = SimulatedStorage::new();
        for path in ["/a", "/b.new"] {
            let file = open(&storage, path);
            file.write_all_at(path.as_bytes(), 0).unwrap();
            file.sync_data().unwrap();
        }
        rename(&storage, "/a", "/b");
        sync_dir(&storage, "/");
        rename(&storage, "/b.new", "/b");
        let mut seen = BTreeSet::new();
        for seed in 0..100 {
            let found = storage.stopped(loss, seed);
            seen.insert((read(&found, "/b").unwrap(), read(&found, "/b.new")));
        }
        let before = (b"/a".to_vec(), Some(b"/b.new".to_vec()));
        let after = (b"/b.new".to_vec(), None);
        assert_eq!(seen, BTreeSet::from([before, after]));
    }
}

#[test]
fn any_subset_of_changes_of_names_is_left_by_a_random_loss() {
    let storage = SimulatedStorage::new();
    open(&storage, "/old");
    sync_dir(&storage, "/");
    open(&storage, "/a");
    open(&storage, "/b");
    storage.remove(Path::new("/old")).unwrap();
    let all = |loss| -> BTreeSet<String> {
        let names = |seed| {
            let mut names: Vec<String> =
                storage.stopped(loss, seed).list(Path::new("/")).unwrap().into_iter().map(|e| e.name).collect();
            names.sort();
            names.join(" ")
        };
        (0..500).map(names).collect()
    };
    let any = ["", "a", "b", "a b", "old", "a old", "b old", "a b old"];
    assert_eq!(all(Loss::Random), BTreeSet::from(any.map(str::to_owned)));
    assert_eq!(all(Loss::Prefix), BTreeSet::from(["old", "a old", "a b old", "a b"].map(str::to_owned)));
}

#[test]
fn a_file_never_has_two_names() {
    let storage = SimulatedStorage::new();
    open(&storage, "/a");
    sync_dir(&storage, "/");
    rename(&storage, "/a", "/b");
    rename(&storage, "/b", "/c");
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let names = storage.stopped(Loss::Random, seed).list(Path::new("/")).unwrap();
        assert_eq!(names.len(), 1);
        seen.extend(names.into_iter().map(|e| e.name));
    }
    assert_eq!(seen.into_iter().collect::<String>(), "abc");
}
