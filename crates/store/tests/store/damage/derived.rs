//! Damage of what is derived: the index and the runs of ids. It is made again from bases and log without a word.

use pugmark_store::fuzzing::change_index;
use pugmark_store::redb::{ReadableTable as _, TableDefinition};

use super::*;

fn runs(storage: &SimulatedStorage) -> Vec<PathBuf> {
    let runs = files(storage, "runs");
    for kind in ["ids-", "subjects-"] {
        assert!(runs.iter().any(|path| path.file_name().unwrap().to_str().unwrap().starts_with(kind)), "{kind}");
    }
    runs
}

#[test]
fn a_flipped_byte_in_the_header_of_a_run_has_it_made_again() {
    for run in runs(&aged()) {
        for at in [0, 9, 17, 61] {
            let storage = aged();
            storage.flip(&run, at, 1).unwrap();
            is_made_again(&storage);
        }
    }
}

#[test]
fn a_flipped_byte_in_the_filter_of_a_run_has_it_made_again() {
    for run in runs(&aged()) {
        let storage = aged();
        let length = storage.read(&run).unwrap().len() as u64;
        storage.flip(&run, length - 10, 1).unwrap();
        is_made_again(&storage);
    }
}

#[test]
fn a_truncated_run_is_made_again() {
    for run in runs(&aged()) {
        for len in [0, 10, 64, 1024, 2000] {
            let storage = aged();
            storage.truncate(&run, len).unwrap();
            is_made_again(&storage);
        }
    }
}

#[test]
fn a_missing_run_is_made_again() {
    for run in runs(&aged()) {
        let storage = aged();
        storage.lose(&run).unwrap();
        is_made_again(&storage);
    }
}

#[test]
fn a_run_with_bytes_behind_it_is_made_again() {
    for run in runs(&aged()) {
        let storage = aged();
        add(&storage, &run, b"something else");
        is_made_again(&storage);
    }
}

#[test]
fn a_run_of_another_store_is_made_again() {
    for (run, theirs) in runs(&aged()).into_iter().zip(runs(&other())) {
        let storage = aged();
        write(&storage, &run, &other().read(&theirs).unwrap());
        is_made_again(&storage);
    }
}

#[test]
fn runs_that_changed_places_are_made_again() {
    let storage = aged();
    let runs = runs(&storage);
    let (one, two) = (storage.read(&runs[0]).unwrap(), storage.read(runs.last().unwrap()).unwrap());
    write(&storage, &runs[0], &two);
    write(&storage, runs.last().unwrap(), &one);
    is_made_again(&storage);
}

#[test]
fn an_index_with_bytes_behind_it_is_no_matter() {
    let storage = aged();
    add(&storage, Path::new(INDEX), &[7; 5_000]);
    is_made_again(&storage);
}

#[test]
fn a_truncated_index_is_made_again_at_every_length() {
    let length = aged().read(Path::new(INDEX)).unwrap().len() as u64;
    for len in (0..length).step_by(usize::try_from(length).unwrap() / 50) {
        let storage = aged();
        storage.truncate(Path::new(INDEX), len).unwrap();
        is_made_again(&storage);
    }
}

#[test]
fn an_index_of_zeros_or_of_something_else_is_made_again() {
    for bytes in [vec![0; 100_000], b"%PDF-1.7 what somebody saved here".repeat(1_000)] {
        let storage = aged();
        write(&storage, Path::new(INDEX), &bytes);
        is_made_again(&storage);
    }
}

/// Closed as it was while its last segment was written.
fn active() -> SimulatedStorage {
    let storage = disk();
    let store = open_with(Path::new(DIR), simulated(&storage, day(1_000).as_microsecond())).unwrap();
    for number in 1..=24 {
        store.append(batch("u", number)).unwrap();
    }
    store.checkpoint().unwrap();
    storage.stopped(Loss::Nothing, 0)
}

#[test]
fn a_place_in_the_log_that_the_index_has_wrong_leads_nowhere_and_changes_nothing() {
    let end = active().read(&files(&active(), "log")[0]).unwrap().len() as u64;
    // A sequence at the end of the log, one too many, in the middle of a frame, behind the end, in the header, and anywhere.
    for (sequence, offset) in
        [(90, end), (1 << 61, end), (6, 65), (6, end + 1), (6, 0), (120, FIRST_FRAME), (7, u64::MAX)]
    {
        let storage = active();
        let expected = message_ids(&open(&storage.stopped(Loss::Nothing, 0)).unwrap());
        change_index(&storage, Path::new(DIR), |txn| {
            let positions: TableDefinition<'_, u64, (u64, u64)> = TableDefinition::new("store.positions");
            txn.open_table(positions).unwrap().insert(sequence, (1, offset)).unwrap();
        });
        let store = open(&storage).unwrap_or_else(|e| panic!("{sequence} at {offset}: {e}"));
        assert_eq!(message_ids(&store), expected, "{sequence} at {offset}");
        assert_eq!(store.append(batch("u", 2)).unwrap(), vec![Outcome::Duplicate; 5]);
        assert!(matches!(store.append(vec![event("e", "u1", "new")]).unwrap()[..], [Outcome::Accepted(_)]));
        store.close().unwrap();
        storage.lose(Path::new(INDEX)).unwrap();
        assert_eq!(message_ids(&open(&storage).unwrap()).len(), expected.len() + 1, "{sequence} at {offset}");
    }
}

type Span = (u64, u64, (i64, i64), (i64, i64), bool);
const SPANS: TableDefinition<'_, u64, Span> = TableDefinition::new("store.segments");

#[test]
fn a_segment_that_the_index_has_wrong_does_not_expire_on_its_word() {
    let storage = disk();
    let store = open(&storage).unwrap();
    for number in 1..=24 {
        store.append(batch("u", number)).unwrap();
    }
    let expected = message_ids(&store);
    store.close().unwrap();
    change_index(&storage, Path::new(DIR), |txn| {
        let mut table = txn.open_table(SPANS).unwrap();
        let (last, events, _, received, compressed) = table.get(1).unwrap().unwrap().value();
        let long_ago = (day(-9).as_microsecond(), day(-8).as_microsecond());
        table.insert(1, (last, events, long_ago, received, compressed)).unwrap();
    });
    let store = open(&storage).unwrap();
    let error = store.expire(day(2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("index.redb: store.segments, segment 1: said to have expired"), "{error}");
    assert_eq!(message_ids(&store), expected, "nothing has gone");
    // What was wrong is forgotten, and read from the segment.
    store.expire(day(2)).unwrap();
    let there: Vec<String> = message_ids(&store).into_iter().map(|(_, id)| id).collect();
    assert!(expected.iter().filter(|(sequence, _)| *sequence > 5).all(|(_, id)| there.contains(id)), "{there:?}");
}

#[test]
fn an_expiry_that_the_index_has_wrong_takes_nothing_with_it() {
    let expiry: TableDefinition<'_, u64, i64> = TableDefinition::new("removal.expiry");
    let storage = aged();
    let expected = answers(&open(&aged()).unwrap());
    change_index(&storage, Path::new(DIR), |txn| {
        let mut table = txn.open_table(expiry).unwrap();
        assert_eq!(table.get(0).unwrap().map(|row| row.value()), Some(day(9).as_microsecond()));
        table.insert(0, day(500).as_microsecond()).unwrap();
        // An expiry that nobody asked for, to be finished.
        table.insert(3, day(500).as_microsecond()).unwrap();
    });
    let store = open(&storage).unwrap();
    store.compact().unwrap();
    assert_eq!(answers(&store), expected);
    let kept = store.append(vec![Event::new("e", "u1").message_id("new").at(day(400)).into()]).unwrap();
    assert!(matches!(kept[..], [Outcome::Accepted(_)]), "{kept:?}");
}

#[test]
fn an_erasure_that_the_index_has_wrong_takes_nobody_else_with_it() {
    let storage = active();
    let store = open_with(Path::new(DIR), simulated(&storage, day(1_000).as_microsecond())).unwrap();
    let [who, other] = ["u1", "u2"].map(|id| store.snapshot().subjects().resolve(id).unwrap().unwrap());
    let asked = store.erase(&[who]).unwrap().number();
    store.close().unwrap();
    let removed = |storage: &SimulatedStorage| {
        let store = open(storage).unwrap();
        store.finish_removals().unwrap();
        answers(&store)
    };
    let expected = removed(&storage.stopped(Loss::Nothing, 0));
    change_index(&storage, Path::new(DIR), |txn| {
        let open: TableDefinition<'_, u64, (&[u8], &[u8])> = TableDefinition::new("removal.open");
        let mut table = txn.open_table(open).unwrap();
        let row = table.get(asked).unwrap().map(|row| (row.value().0.to_vec(), row.value().1.to_vec()));
        let (mut subjects, sequences) = row.unwrap();
        // The bitmap ends in its one number.
        let number = subjects.last_chunk_mut::<2>().unwrap();
        assert_eq!(u32::from(u16::from_le_bytes(*number)), who.number());
        *number = u16::try_from(other.number()).unwrap().to_le_bytes();
        table.insert(asked, (subjects.as_slice(), sequences.as_slice())).unwrap();
    });
    assert_eq!(removed(&storage), expected);
}

#[test]
fn a_segment_that_the_index_has_past_the_end_of_the_log_is_read_instead() {
    for last in [121_u64, u64::MAX] {
        let storage = active();
        change_index(&storage, Path::new(DIR), |txn| {
            let mut table = txn.open_table(SPANS).unwrap();
            table.insert(1, (last, 1, (1, 0), (1, 0), true)).unwrap();
        });
        let store = open_with(Path::new(DIR), simulated(&storage, day(1_000).as_microsecond())).unwrap();
        store.append(vec![event("e", "u1", "new")]).unwrap();
        let span = store.segments().unwrap().remove(0).span;
        assert_ne!(span.map(|span| span.events), Some(1));
        let report = store.verify(false, &mut |_| {}).unwrap();
        assert!(report.is_clean(), "{:?}", report.findings);
    }
}

#[test]
fn an_index_and_runs_of_another_store_are_refused() {
    let storage = aged();
    for path in files(&other(), "runs").into_iter().chain([PathBuf::from(INDEX)]) {
        write(&storage, &path, &other().read(&path).unwrap());
    }
    let before = truth(&storage);
    let error = open(&storage).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("index.redb belongs to another store than the log"), "{error}");
    is_left_alone(&storage, &before, "refused");
    storage.lose(Path::new(INDEX)).unwrap();
    is_made_again(&storage);
}
