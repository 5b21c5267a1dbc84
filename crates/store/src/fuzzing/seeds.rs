//! What the fuzzers begin with, written by the store itself.

use std::fs;
use std::path::{Path, PathBuf};

use redb::{ReadableDatabase as _, TableDefinition};

use super::files::{expired, options};
use super::{base_file, file_header, frame, log_file, payload, run_block, run_file, run_manifest, subject_block};
use crate::event::Event;
use crate::id::SubjectId;
use crate::index::Index;
use crate::storage::SimulatedStorage;
use crate::storage::simulated::Image;
use crate::store::Store;

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 9] = [
    ("file_header", file_header),
    ("frame", frame),
    ("payload", payload),
    ("log_file", |bytes| log_file(bytes, &Vec::new)),
    ("base_file", |bytes| base_file(bytes, &Vec::new)),
    ("run_file", run_file),
    ("run_block", run_block),
    ("run_manifest", run_manifest),
    ("subject_block", subject_block),
];

fn seeds(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target)
}

#[test]
fn the_fuzz_targets_take_what_they_begin_with() {
    for (target, run) in TARGETS {
        let seeds: Vec<Vec<u8>> = fs::read_dir(seeds(target))
            .unwrap_or_else(|e| panic!("{target}: {e}"))
            .map(|entry| fs::read(entry.unwrap().path()).unwrap())
            .collect();
        assert!(!seeds.is_empty(), "{target}");
        seeds.iter().for_each(|seed| run(seed));
    }
}

/// The log of a store that has one, with a conflict and an erasure that is not finished.
fn one_segment() -> Vec<u8> {
    let storage = SimulatedStorage::new();
    let store = Store::open(Path::new("/store"), options(&storage), Vec::new()).unwrap();
    let event = |nth: i64| Event::new("view", format!("u{nth}")).message_id(format!("m{nth}")).property("n", nth);
    store.append((0..3).map(|nth| event(nth).into()).collect()).unwrap();
    store.append(vec![event(1).property("more", "x").into()]).unwrap();
    store.erase(&[SubjectId::new(2)]).unwrap();
    storage.read(Path::new("/store/log/00000000000000000001.log")).unwrap()
}

/// `cargo test -p pugmark-store -- --ignored seeds`
#[test]
#[ignore = "it writes to fuzz/seeds"]
fn seeds_are_written() {
    let write = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(seeds(target)).unwrap();
        fs::write(seeds(target).join(name), bytes).unwrap();
    };
    write("log_file", "1", &one_segment());
    let (storage, _, _) = expired();
    for (path, bytes) in storage.files(Image::Live) {
        match path.parent().and_then(Path::file_name).and_then(|name| name.to_str()) {
            Some("base") => write("base_file", "1", &bytes),
            Some("runs") => {
                let (blocks, tail) = bytes.split_at(2048);
                let name = path.file_stem().unwrap().to_str().unwrap().split('-').next().unwrap();
                write("run_file", name, &[&blocks[..64], tail].concat());
                write("run_block", name, &blocks[1024..]);
            }
            _ => {}
        }
    }
    let index = Index::open(&storage, Path::new("/store/index.redb"), 1 << 20).unwrap();
    let txn = index.db.begin_read().unwrap();
    let manifest = txn.open_table(TableDefinition::<&str, &[u8]>::new("ids.runs")).unwrap();
    write("run_manifest", "1", manifest.get("manifest").unwrap().unwrap().value());
    let names = txn.open_table(TableDefinition::<u32, &[u8]>::new("subjects.names")).unwrap();
    write("subject_block", "1", names.get(0).unwrap().unwrap().value());
}
