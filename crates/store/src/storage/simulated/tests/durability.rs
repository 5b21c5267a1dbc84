//! What is durable when.

use std::io::ErrorKind;
use std::path::Path;

use super::*;
use crate::storage::LockAttempt;
use crate::storage::simulated::Loss;

#[test]
fn bytes_are_durable_once_synced_and_no_sooner() {
    let storage = SimulatedStorage::new();
    let file = named(&storage, "/a");
    file.write_all_at(b"first", 0).unwrap();
    file.sync_data().unwrap();
    file.write_all_at(b"SECOND", 3).unwrap();
    assert_eq!(read(&storage, "/a").unwrap(), b"firSECOND");
    let found = storage.stopped(Loss::Everything, 0);
    assert_eq!(read(&found, "/a").unwrap(), b"first");
    file.sync_data().unwrap();
    assert_eq!(read(&storage.stopped(Loss::Everything, 0), "/a").unwrap(), b"firSECOND");
    assert_eq!(read(&found, "/a").unwrap(), b"first", "what was found earlier stays as it was");
}

#[test]
fn a_length_is_durable_once_synced() {
    let storage = SimulatedStorage::new();
    let file = named(&storage, "/a");
    file.set_len(10).unwrap();
    file.sync_data().unwrap();
    file.set_len(3).unwrap();
    assert_eq!(file.len().unwrap(), 3);
    assert_eq!(read(&storage.stopped(Loss::Everything, 0), "/a").unwrap(), [0; 10]);
    let emptied = storage.open(Path::new("/a"), OpenMode::Truncate).unwrap();
    assert_eq!(emptied.len().unwrap(), 0);
    assert_eq!(read(&storage.stopped(Loss::Everything, 0), "/a").unwrap(), [0; 10]);
    emptied.sync_data().unwrap();
    assert_eq!(read(&storage.stopped(Loss::Everything, 0), "/a").unwrap(), b"");
}

#[test]
fn a_synced_file_whose_name_was_not_synced_is_lost() {
    let storage = SimulatedStorage::new();
    let file = open(&storage, "/a");
    file.write_all_at(b"bytes", 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(read(&storage.stopped(Loss::Everything, 0), "/a"), None);
    sync_dir(&storage, "/");
    assert_eq!(read(&storage.stopped(Loss::Everything, 0), "/a").unwrap(), b"bytes");
}

#[test]
fn a_directory_whose_name_was_not_synced_is_lost_with_all_in_it() {
    let storage = SimulatedStorage::new();
    storage.create_dir_all(Path::new("/store/log")).unwrap();
    open(&storage, "/store/log/a");
    sync_dir(&storage, "/store/log");
    sync_dir(&storage, "/store");
    assert_eq!(storage.stopped(Loss::Everything, 0).list(Path::new("/")).unwrap(), []);
    sync_dir(&storage, "/");
    assert!(read(&storage.stopped(Loss::Everything, 0), "/store/log/a").is_some());
}

#[test]
fn a_removed_name_comes_back_until_the_directory_is_synced() {
    let storage = SimulatedStorage::new();
    let file = named(&storage, "/a");
    file.write_all_at(b"bytes", 0).unwrap();
    file.sync_data().unwrap();
    storage.remove(Path::new("/a")).unwrap();
    assert_eq!(storage.open(Path::new("/a"), OpenMode::Read).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(read(&storage.stopped(Loss::Everything, 0), "/a").unwrap(), b"bytes");
    sync_dir(&storage, "/");
    assert_eq!(read(&storage.stopped(Loss::Everything, 0), "/a"), None);
    let mut bytes = [0; 5];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"bytes", "whoever had it open reads on");
}

#[test]
fn a_file_of_the_same_name_is_another_file() {
    let storage = SimulatedStorage::new();
    let old = named(&storage, "/a");
    old.write_all_at(b"old", 0).unwrap();
    storage.remove(Path::new("/a")).unwrap();
    let new = open(&storage, "/a");
    new.write_all_at(b"newer", 0).unwrap();
    assert_eq!((old.len().unwrap(), new.len().unwrap()), (3, 5));
}

#[test]
fn a_rename_replaces_and_is_durable_once_the_directory_is_synced() {
    let storage = SimulatedStorage::new();
    let old = named(&storage, "/a");
    old.write_all_at(b"old", 0).unwrap();
    old.sync_data().unwrap();
    let new = named(&storage, "/a.new");
    new.write_all_at(b"new", 0).unwrap();
    new.sync_data().unwrap();
    rename(&storage, "/a.new", "/a");
    assert_eq!((read(&storage, "/a").unwrap(), read(&storage, "/a.new")), (b"new".to_vec(), None));
    let found = storage.stopped(Loss::Everything, 0);
    assert_eq!(read(&found, "/a").unwrap(), b"old");
    assert_eq!(read(&found, "/a.new").unwrap(), b"new");
    sync_dir(&storage, "/");
    let found = storage.stopped(Loss::Everything, 0);
    assert_eq!((read(&found, "/a").unwrap(), read(&found, "/a.new")), (b"new".to_vec(), None));
}

#[test]
fn a_killed_process_leaves_what_was_seen_and_makes_nothing_durable() {
    let storage = SimulatedStorage::new();
    open(&storage, "/a").write_all_at(b"bytes", 0).unwrap();
    let killed = storage.stopped(Loss::Nothing, 0);
    assert_eq!(read(&killed, "/a").unwrap(), b"bytes");
    assert_eq!(read(&killed.stopped(Loss::Everything, 0), "/a"), None);
    sync_dir(&killed, "/");
    assert_eq!(read(&killed.stopped(Loss::Everything, 0), "/a").unwrap(), b"");
    open(&killed, "/a").sync_data().unwrap();
    assert_eq!(read(&killed.stopped(Loss::Everything, 0), "/a").unwrap(), b"bytes", "any handle syncs all of a file");
}

#[test]
fn a_lock_is_held_by_one_until_it_is_dropped_and_by_none_after_a_restart() {
    let storage = SimulatedStorage::new();
    let path = Path::new("/LOCK");
    let LockAttempt::Held(held) = storage.lock(path).unwrap() else { panic!("taken") };
    assert!(matches!(storage.lock(path).unwrap(), LockAttempt::Taken(_)));
    assert!(matches!(storage.stopped(Loss::Nothing, 0).lock(path).unwrap(), LockAttempt::Held(_)));
    drop(held);
    assert!(matches!(storage.lock(path).unwrap(), LockAttempt::Held(_)));
}

#[test]
fn errors_are_those_of_a_file_system() {
    let storage = SimulatedStorage::new();
    storage.create_dir_all(Path::new("/dir")).unwrap();
    storage.create_dir_all(Path::new("dir")).unwrap();
    open(&storage, "/dir/a").write_all_at(b"bytes", 0).unwrap();
    assert_eq!(storage.operations(), 3);
    let kind = |path: &str, mode| storage.open(Path::new(path), mode).unwrap_err().kind();
    assert_eq!(kind("/b", OpenMode::Read), ErrorKind::NotFound);
    assert_eq!(kind("/b", OpenMode::Write), ErrorKind::NotFound);
    assert_eq!(kind("/none/b", OpenMode::WriteOrCreate), ErrorKind::NotFound);
    assert_eq!(kind("/dir", OpenMode::Read), ErrorKind::IsADirectory);
    assert_eq!(kind("/dir/a/b", OpenMode::WriteOrCreate), ErrorKind::NotADirectory);
    assert_eq!(storage.list(Path::new("/none")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(storage.sync_dir(Path::new("/dir/a")).unwrap_err().kind(), ErrorKind::NotADirectory);
    assert_eq!(storage.create_dir_all(Path::new("/dir/a/b")).unwrap_err().kind(), ErrorKind::NotADirectory);
    assert_eq!(storage.remove(Path::new("/b")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(storage.rename(Path::new("/b"), Path::new("/c")).unwrap_err().kind(), ErrorKind::NotFound);
    let elsewhere = storage.rename(Path::new("/dir/a"), Path::new("/a"));
    assert_eq!(elsewhere.unwrap_err().kind(), ErrorKind::InvalidInput);
    let file = storage.open(Path::new("/dir/a"), OpenMode::Read).unwrap();
    assert_eq!(file.read_exact_at(&mut [0; 3], 3).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(file.write_all_at(b"x", 0).unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert_eq!(open(&storage, "/dir/a").write_all_at(b"x", u64::MAX).unwrap_err().kind(), ErrorKind::FileTooLarge);
    assert_eq!(storage.operations(), 3, "what is refused is no operation");
    let entries = storage.list(Path::new("/dir/../dir")).unwrap();
    assert_eq!(entries.iter().map(|e| (e.name.as_str(), e.bytes, e.is_dir)).collect::<Vec<_>>(), [("a", 5, false)]);
    assert!(storage.list(Path::new("/")).unwrap().iter().all(|e| e.is_dir && e.name == "dir"));
}
