//! Operations that are made to fail.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use super::*;
use crate::storage::simulated::{Failure, Loss, OperationKind};

#[test]
fn the_operation_of_a_number_fails_once_and_says_which() {
    let storage = SimulatedStorage::new();
    let file = named(&storage, "/a");
    storage.fail_at(4, Failure::Error(ErrorKind::Other));
    file.write_all_at(b"one", 0).unwrap();
    let error = file.write_all_at(b"two", 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Other);
    assert_eq!(error.to_string(), "/a: write fails, as the simulation was asked to (operation 4)");
    assert_eq!(read(&storage, "/a").unwrap(), b"one");
    assert_eq!((storage.operations(), storage.failures_to_come()), (4, 0));
    file.write_all_at(b"two", 0).unwrap();
}

#[test]
fn every_kind_of_operation_can_be_made_to_fail_without_effect() {
    let storage = SimulatedStorage::new();
    let root = Path::new("/");
    let file = named(&storage, "/a.log");
    file.write_all_at(b"bytes", 0).unwrap();
    let before = (storage.files(super::super::Image::Live), storage.list(root).unwrap());
    let fails = |kind, path: &str, work: &dyn Fn() -> std::io::Result<()>| {
        storage.fail_on(kind, path, 1, Failure::Error(ErrorKind::Other));
        assert_eq!(work().unwrap_err().kind(), ErrorKind::Other, "{kind}");
        assert_eq!(storage.failures_to_come(), 0, "{kind}");
        assert_eq!((storage.files(super::super::Image::Live), storage.list(root).unwrap()), before, "{kind}");
    };
    fails(OperationKind::Create, "b", &|| storage.open(Path::new("/b"), OpenMode::WriteOrCreate).map(drop));
    fails(OperationKind::Write, ".log", &|| file.write_all_at(b"other", 0));
    fails(OperationKind::SetLen, ".log", &|| storage.open(Path::new("/a.log"), OpenMode::Truncate).map(drop));
    fails(OperationKind::SyncData, ".log", &|| file.sync_data());
    fails(OperationKind::Rename, ".log", &|| storage.rename(Path::new("/a.log"), Path::new("/c")));
    fails(OperationKind::Remove, ".log", &|| storage.remove(Path::new("/a.log")));
    fails(OperationKind::CreateDir, "dir", &|| storage.create_dir_all(Path::new("/dir")));
    fails(OperationKind::SyncDir, "", &|| storage.sync_dir(root));
    fails(OperationKind::Read, ".log", &|| file.read_exact_at(&mut [0], 0));
}

#[test]
fn the_third_write_of_a_log_fails_whatever_else_is_written() {
    let storage = SimulatedStorage::new();
    let (log, other) = (named(&storage, "/1.log"), named(&storage, "/other"));
    storage.fail_on(OperationKind::Write, ".log", 3, Failure::Error(ErrorKind::Other));
    for _ in 0..2 {
        log.write_all_at(b"x", 0).unwrap();
        other.write_all_at(b"x", 0).unwrap();
        log.sync_data().unwrap();
    }
    assert!(log.write_all_at(b"x", 0).is_err());
    assert!(log.write_all_at(b"x", 0).is_ok());
}

#[test]
fn a_short_write_leaves_some_of_its_beginning() {
    let mut lengths = BTreeSet::new();
    for before in 0..50 {
        let storage = SimulatedStorage::new();
        let file = named(&storage, "/a");
        (0..before).for_each(|_| file.sync_data().unwrap());
        storage.fail_on(OperationKind::Write, "/a", 1, Failure::Short(ErrorKind::StorageFull));
        assert_eq!(file.write_all_at(b"0123456789", 0).unwrap_err().kind(), ErrorKind::StorageFull);
        let found = read(&storage, "/a").unwrap();
        assert!(b"0123456789".starts_with(&found) && found.len() < 10);
        lengths.insert(found.len());
    }
    assert!(lengths.len() > 5, "{lengths:?}");
}

#[test]
fn after_a_failed_sync_a_later_one_succeeds_and_does_not_make_durable_what_was_dropped() {
    let storage = SimulatedStorage::new();
    let file = named(&storage, "/a");
    file.write_all_at(b"kept", 0).unwrap();
    file.sync_data().unwrap();
    file.write_all_at(b"dropped", 4).unwrap();
    storage.fail_on(OperationKind::SyncData, "/a", 1, Failure::Error(ErrorKind::Other));
    file.sync_data().unwrap_err();
    assert_eq!(read(&storage, "/a").unwrap(), b"keptdropped", "readers see it");
    file.write_all_at(b"later", 11).unwrap();
    file.sync_data().unwrap();
    assert_eq!(read(&storage.stopped(Loss::Everything, 0), "/a").unwrap(), b"kept\0\0\0\0\0\0\0later");
    // A process that is started again on the same kernel is deceived as well.
    let killed = storage.stopped(Loss::Nothing, 0);
    assert_eq!(read(&killed, "/a").unwrap(), b"keptdroppedlater");
    open(&killed, "/a").sync_data().unwrap();
    assert_eq!(read(&killed.stopped(Loss::Everything, 0), "/a").unwrap(), b"kept\0\0\0\0\0\0\0later");
    // What is written again is durable with the next sync.
    file.write_all_at(b"dropped", 4).unwrap();
    file.sync_data().unwrap();
    assert_eq!(read(&storage.stopped(Loss::Random, 7), "/a").unwrap(), b"keptdroppedlater");
}

#[test]
fn a_sync_that_fails_half_done_makes_some_durable_and_the_rest_never() {
    let mut seen = BTreeSet::new();
    for before in 0..40 {
        let storage = SimulatedStorage::new();
        let file = named(&storage, "/a");
        (0..before).for_each(|_| file.sync_data().unwrap());
        file.set_len(1_024).unwrap();
        file.sync_data().unwrap();
        file.write_all_at(&[1; 512], 0).unwrap();
        file.write_all_at(&[2; 512], 512).unwrap();
        storage.fail_on(OperationKind::SyncData, "/a", 1, Failure::Short(ErrorKind::Other));
        file.sync_data().unwrap_err();
        file.sync_data().unwrap();
        let found = read(&storage.stopped(Loss::Everything, 0), "/a").unwrap();
        assert!((0..20).all(|seed| read(&storage.stopped(Loss::Random, seed), "/a").unwrap() == found));
        seen.insert((found[0], found[512]));
    }
    assert_eq!(seen, BTreeSet::from([(0, 0), (1, 0), (0, 2), (1, 2)]));
}

#[test]
fn names_stay_unsynced_after_a_failed_sync_of_their_directory() {
    let storage = SimulatedStorage::new();
    open(&storage, "/a");
    storage.fail_on(OperationKind::SyncDir, "", 1, Failure::Error(ErrorKind::Other));
    storage.sync_dir(Path::new("/")).unwrap_err();
    assert_eq!(read(&storage.stopped(Loss::Everything, 0), "/a"), None);
    sync_dir(&storage, "/");
    assert!(read(&storage.stopped(Loss::Everything, 0), "/a").is_some());
}

#[test]
fn a_full_disk_takes_what_has_room_and_room_is_made_by_removing() {
    let storage = SimulatedStorage::new();
    let file = named(&storage, "/a");
    storage.set_capacity(Some(3 * 4_096));
    file.set_len(1 << 20).unwrap();
    assert_eq!(storage.allocated(), 0, "holes take no room");
    file.write_all_at(&[1; 5_000], 0).unwrap();
    let error = file.write_all_at(&[2; 10_000], 5_000).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert!(error.to_string().contains("7288 of 10000 bytes"), "{error}");
    let bytes = read(&storage, "/a").unwrap();
    assert_eq!((bytes[12_287], bytes[12_288], storage.allocated()), (2, 0, 3 * 4_096));
    file.write_all_at(&[3; 12_288], 0).unwrap();
    let other = named(&storage, "/b");
    assert_eq!(other.write_all_at(b"x", 0).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(other.len().unwrap(), 0);
    storage.remove(Path::new("/a")).unwrap();
    other.write_all_at(b"x", 0).unwrap();
    storage.mend();
    other.write_all_at(&[1; 100_000], 0).unwrap();
}

#[test]
fn a_dead_process_does_nothing_more() {
    let storage = SimulatedStorage::new();
    let file = named(&storage, "/a");
    storage.stop_at(4);
    file.write_all_at(b"one", 0).unwrap();
    file.read_exact_at(&mut [0], 0).unwrap();
    let error = file.write_all_at(b"two", 0).unwrap_err();
    assert_eq!(error.to_string(), "the simulated process was stopped at operation 4");
    assert!(file.read_exact_at(&mut [0], 0).is_err());
    assert!(file.sync_data().is_err() && file.len().is_err());
    assert!(storage.list(Path::new("/")).is_err());
    assert!(storage.lock(Path::new("/LOCK")).is_err());
    assert!(storage.open(Path::new("/a"), OpenMode::Read).is_err());
    assert_eq!(storage.operations(), 3);
    assert_eq!(read(&storage.stopped(Loss::Nothing, 0), "/a").unwrap(), b"one");
    assert!(open(&storage.stopped(Loss::Nothing, 0), "/a").len().is_ok(), "the next process lives");
}
