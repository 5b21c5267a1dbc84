use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use super::Backend;
use crate::index::Index;
use crate::simulated::{Failure, Loss, OperationKind};
use crate::storage::{Disk, OpenMode, SimulatedStorage, Storage};

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("numbers");
const PATH: &str = "/index.redb";

type Content = BTreeMap<u64, Vec<u8>>;

/// How a transaction is made durable.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Commit {
    OnePhase,
    TwoPhase,
    /// As the index does it.
    QuickRepair,
    /// Of every three only the last is durable, and what the others did with it.
    EveryThird,
}

#[test]
fn what_is_committed_is_read_again_by_redb_itself() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.redb");
    let file = Disk.open(&path, OpenMode::WriteOrCreate).unwrap();
    let db = Database::builder().create_with_backend(Backend::new(file)).unwrap();
    let txn = db.begin_write().unwrap();
    txn.open_table(TABLE).unwrap().insert(7, [7; 100_000].as_slice()).unwrap();
    txn.commit().unwrap();
    drop(db);
    let db = Database::open(&path).unwrap();
    let value = db.begin_read().unwrap().open_table(TABLE).unwrap().get(7).unwrap().unwrap();
    assert_eq!(value.value(), [7; 100_000]);
}

fn open(storage: &SimulatedStorage) -> Result<Database, redb::Error> {
    let file = storage.open(Path::new(PATH), OpenMode::WriteOrCreate)?;
    Ok(Database::builder().set_cache_size(1 << 16).create_with_backend(Backend::new(file))?)
}

/// What transaction `number` changes: it adds keys, some with values longer than a page, overwrites one and removes one.
fn change(content: &mut Content, number: u64) {
    for key in number * 5..number * 5 + 5 {
        content.insert(key, vec![number as u8; (key * 733 % 9_000) as usize]);
    }
    content.insert(0, number.to_le_bytes().to_vec());
    content.remove(&(number * 3));
}

fn transact(db: &Database, commit: Commit, number: u64) -> Result<(), redb::Error> {
    let mut txn = db.begin_write()?;
    match commit {
        Commit::OnePhase => {}
        Commit::TwoPhase => txn.set_two_phase_commit(true),
        Commit::QuickRepair => txn.set_quick_repair(true),
        Commit::EveryThird if number.is_multiple_of(3) => {}
        Commit::EveryThird => txn.set_durability(Durability::None)?,
    }
    {
        let mut table = txn.open_table(TABLE)?;
        let mut old = Content::new();
        for entry in table.iter()? {
            let (key, value) = entry?;
            old.insert(key.value(), value.value().to_vec());
        }
        let mut new = old.clone();
        change(&mut new, number);
        for key in old.keys().filter(|key| !new.contains_key(key)) {
            table.remove(key)?;
        }
        for (key, value) in new.iter().filter(|(key, value)| old.get(key) != Some(value)) {
            table.insert(key, value.as_slice())?;
        }
    }
    Ok(txn.commit()?)
}

/// Notes the number of each transaction that is durable.
fn work(storage: &SimulatedStorage, commit: Commit, transactions: u64) -> Result<(), redb::Error> {
    let db = open(storage)?;
    storage.sync_dir(Path::new("/"))?;
    for number in 1..=transactions {
        transact(&db, commit, number)?;
        if commit != Commit::EveryThird || number.is_multiple_of(3) {
            storage.mark(number);
        }
    }
    Ok(())
}

fn content(db: &Database) -> Result<Content, redb::Error> {
    let txn = db.begin_read()?;
    let table = match txn.open_table(TABLE) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(Content::new()),
        Err(e) => return Err(e.into()),
    };
    let mut content = Content::new();
    for entry in table.iter()? {
        let (key, value) = entry?;
        content.insert(key.value(), value.value().to_vec());
    }
    Ok(content)
}

/// The content after each number of transactions.
fn contents(transactions: u64) -> Vec<Content> {
    let mut contents = vec![Content::new()];
    for number in 1..=transactions {
        let mut content = contents.last().unwrap().clone();
        change(&mut content, number);
        contents.push(content);
    }
    contents
}

/// With which transaction the content ends; it must be that after one of them, and whole.
fn last_transaction(db: &Database, contents: &[Content], what: &str) -> u64 {
    let content = content(db).unwrap_or_else(|e| panic!("{what}: {e}"));
    let at = contents.iter().position(|expected| *expected == content);
    at.unwrap_or_else(|| panic!("{what}: what is found is the content after no transaction")) as u64
}

/// What was acknowledged is there, nothing is there in part, and the database goes on from it.
fn check(found: &SimulatedStorage, acknowledged: Option<u64>, contents: &[Content], what: &str) {
    let db = match (open(found), acknowledged) {
        (Ok(db), _) => db,
        // It was still being made, and may be damaged: the index then makes a new one.
        (Err(_), None) => {
            Index::open(found, Path::new(PATH), 1 << 16).unwrap_or_else(|e| panic!("{what}: {e}"));
            return;
        }
        (Err(e), Some(_)) => panic!("{what}: {e}"),
    };
    let last = last_transaction(&db, contents, what);
    assert!(last >= acknowledged.unwrap_or(0), "{what}: {acknowledged:?} was acknowledged, {last} is the last found");
    let Some(next) = contents.get(last as usize + 1) else { return };
    // The name of a file that was still being made may be missing.
    found.sync_dir(Path::new("/")).unwrap();
    transact(&db, Commit::QuickRepair, last + 1).unwrap();
    let again = found.stopped(Loss::Everything, 0);
    assert!(content(&open(&again).unwrap()).unwrap() == *next, "{what}: {} is lost after it", last + 1);
}

/// Stops after every operation, and gives how often.
fn sweep(commit: Commit, transactions: u64, seeds: u64) -> u64 {
    let storage = SimulatedStorage::new();
    work(&storage, commit, transactions).unwrap();
    let (journal, contents) = (storage.journal(), contents(transactions + 1));
    let mut stops = 0;
    for loss in Loss::ALL {
        for seed in 0..if matches!(loss, Loss::Prefix | Loss::Random) { seeds } else { 1 } {
            for number in 0..=journal.operations() {
                let step = journal.step(number).map_or_else(String::new, ToString::to_string);
                let what = format!("{loss:?} with seed {seed} after operation {number} ({step})");
                let found = journal.stop_after(number, loss, seed);
                check(&found, journal.marks_through(number).last().copied(), &contents, &what);
                stops += 1;
            }
        }
    }
    stops
}

#[test]
fn durable_commits_of_one_phase_survive_a_stop_at_every_operation() {
    assert!(sweep(Commit::OnePhase, 8, 3) > 500);
}

#[test]
fn durable_commits_of_two_phases_survive_a_stop_at_every_operation() {
    assert!(sweep(Commit::TwoPhase, 8, 3) > 500);
}

#[test]
fn commits_as_the_index_makes_them_survive_a_stop_at_every_operation() {
    assert!(sweep(Commit::QuickRepair, 8, 3) > 500);
}

#[test]
fn a_durable_commit_makes_those_before_it_durable_at_every_operation() {
    assert!(sweep(Commit::EveryThird, 12, 3) > 500);
}

#[test]
fn a_stop_while_a_stopped_database_is_opened_loses_nothing_either() {
    let storage = SimulatedStorage::new();
    work(&storage, Commit::QuickRepair, 5).unwrap();
    let (journal, contents) = (storage.journal(), contents(6));
    let mut stops = 0;
    for number in (0..=journal.operations()).step_by(7) {
        let Some(acknowledged) = journal.marks_through(number).last().copied() else { continue };
        let found = journal.stop_after(number, Loss::Random, number);
        drop(open(&found).unwrap());
        let opening = found.journal();
        for number in 0..=opening.operations() {
            for loss in Loss::ALL {
                check(&opening.stop_after(number, loss, 1), Some(acknowledged), &contents, "opening");
                stops += 1;
            }
        }
    }
    assert!(stops > 50, "{stops}");
}

#[test]
fn a_failed_operation_fails_the_commit_and_what_was_acknowledged_before_is_found() {
    let contents = contents(9);
    let whole = SimulatedStorage::new();
    work(&whole, Commit::QuickRepair, 8).unwrap();
    let mut failed = 0;
    for number in 1..=whole.operations() {
        for failure in [Failure::Error(ErrorKind::Other), Failure::Short(ErrorKind::StorageFull)] {
            let storage = SimulatedStorage::new();
            storage.fail_at(number, failure);
            // Closing writes too, and has nobody to tell.
            failed += u64::from(work(&storage, Commit::QuickRepair, 8).is_err());
            let journal = storage.journal();
            let acknowledged = journal.marks_through(u64::MAX).last().copied();
            for (loss, seed) in [(Loss::Everything, 0), (Loss::Random, 1), (Loss::Random, 2)] {
                let what = format!("{failure:?} of operation {number}, {loss:?} with seed {seed}");
                check(&storage.stopped(loss, seed), acknowledged, &contents, &what);
            }
        }
    }
    assert!(failed > whole.operations(), "{failed} of {}", whole.operations());
}

/// With one phase redb does not survive this: the process that is started again sees the dropped pages and builds on them.
#[test]
fn commits_of_two_phases_survive_a_failed_sync_then_a_restart_then_a_power_loss() {
    for commit in [Commit::TwoPhase, Commit::QuickRepair] {
        let contents = contents(9);
        let whole = SimulatedStorage::new();
        work(&whole, commit, 8).unwrap();
        let journal = whole.journal();
        let is_sync = |number: &u64| journal.step(*number).is_some_and(|step| step.kind() == OperationKind::SyncData);
        let mut deceived = 0;
        for number in (1..=journal.operations()).filter(is_sync) {
            for failure in [Failure::Error(ErrorKind::Other), Failure::Short(ErrorKind::Other)] {
                let what = format!("{commit:?}, {failure:?} of operation {number}");
                let storage = SimulatedStorage::new();
                storage.fail_at(number, failure);
                // Closing syncs too, and has nobody to tell.
                drop(work(&storage, commit, 8));
                let acknowledged = storage.journal().marks_through(u64::MAX).last().copied();
                // This process builds on what it sees, then the machine stops.
                let restarted = storage.stopped(Loss::Nothing, 0);
                check(&restarted, acknowledged, &contents, &what);
                let seen = acknowledged.map(|last| last + 1).filter(|next| contents.get(*next as usize).is_some());
                for (loss, seed) in [(Loss::Everything, 0), (Loss::Prefix, 1), (Loss::Random, 2)] {
                    check(&restarted.stopped(loss, seed), seen.or(acknowledged), &contents, &what);
                    deceived += 1;
                }
            }
        }
        assert!(deceived > 100, "{deceived}");
    }
}

#[test]
fn a_full_disk_fails_the_commit_and_what_was_acknowledged_is_found() {
    let contents = contents(41);
    let storage = SimulatedStorage::new();
    storage.set_capacity(Some(200_000));
    work(&storage, Commit::QuickRepair, 40).unwrap_err();
    let acknowledged = storage.journal().marks_through(u64::MAX).last().copied();
    assert!(acknowledged.is_some_and(|last| last > 1), "{acknowledged:?}");
    for loss in Loss::ALL {
        check(&storage.stopped(loss, 1), acknowledged, &contents, &format!("{loss:?}"));
    }
}
