//! What a test looks at and damages.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::*;
use crate::storage::simulated::{Image, Loss};

fn example() -> SimulatedStorage {
    let storage = SimulatedStorage::new();
    storage.create_dir_all(Path::new("/dir/empty")).unwrap();
    sync_dir(&storage, "/");
    for path in ["/dir/b", "/a"] {
        let file = open(&storage, path);
        file.write_all_at(b"secret", 0).unwrap();
        file.sync_data().unwrap();
    }
    sync_dir(&storage, "/dir");
    open(&storage, "/dir/b").write_all_at(b"public", 0).unwrap();
    storage
}

#[test]
fn all_files_are_listed_as_seen_and_as_durable() {
    let storage = example();
    let file = |path: &str, bytes: &[u8]| (PathBuf::from(path), bytes.to_vec());
    assert_eq!(storage.files(Image::Live), [file("/a", b"secret"), file("/dir/b", b"public")]);
    assert_eq!(storage.files(Image::Durable), [file("/dir/b", b"secret")]);
}

#[test]
fn bytes_are_found_where_they_are_seen_or_durable() {
    let storage = example();
    assert_eq!(storage.files_with(b"secret"), ["/a", "/dir/b"].map(PathBuf::from));
    assert_eq!(storage.files_with(b"public"), [PathBuf::from("/dir/b")]);
    assert_eq!(storage.files_with(b"nowhere"), [] as [PathBuf; 0]);
}

#[test]
fn damage_is_seen_durable_and_replayed() {
    let storage = example();
    storage.stop_at(0);
    let b = Path::new("/dir/b");
    storage.flip(b, 1, 0x20).unwrap();
    storage.truncate(b, 3).unwrap();
    storage.lose(Path::new("/a")).unwrap();
    let expected = [(b.to_owned(), b"pUb".to_vec())];
    assert_eq!(storage.files(Image::Live), expected);
    assert_eq!(storage.files(Image::Durable), expected);
    assert_eq!(storage.journal().stop_after(u64::MAX, Loss::Everything, 0).files(Image::Live), expected);
    assert_eq!(storage.flip(b, 3, 1).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(storage.truncate(b, 4).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(storage.lose(Path::new("/a")).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn everything_seen_is_copied_to_a_real_directory() {
    let dir = tempfile::tempdir().unwrap();
    example().write_to(dir.path()).unwrap();
    assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"secret");
    assert_eq!(std::fs::read(dir.path().join("dir/b")).unwrap(), b"public");
    assert!(dir.path().join("dir/empty").is_dir());
}

#[test]
fn a_file_system_can_be_used_by_several_threads() {
    let storage = SimulatedStorage::new();
    let file = named(&storage, "/a");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let file = &file;
            scope.spawn(move || {
                (0..100).for_each(|n| file.write_all_at(&[thread + 1], n * 4 + u64::from(thread)).unwrap())
            });
        }
    });
    assert_eq!(read(&storage, "/a").unwrap(), [1, 2, 3, 4].repeat(100));
    assert_eq!(storage.operations(), 402);
}
