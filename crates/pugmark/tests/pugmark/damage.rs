//! Damage of columnar files: a question is answered rightly or fails with the name of the file, and a repair makes the file again.

use std::fs;
use std::path::{Path, PathBuf};

use pugmark::arrow::util::pretty::pretty_format_batches;
use pugmark::parquet::file::reader::{FileReader, SerializedFileReader};
use pugmark::{ErrorKind, Event, Pugmark, Result, Timestamp};
use pugmark_store::redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};

const EVENTS: u64 = 30_000;
const HALF: u64 = EVENTS / 2;

/// Reads every column of every row.
const QUESTION: &str = "SELECT count(*), sum(sequence), sum(amount), min(message_id), max(message_id), count(DISTINCT message_id), \
    count(DISTINCT subject), min(timestamp), max(received_at) > timestamp '2020-01-01', count(DISTINCT country), max(event) FROM events";

fn event(n: u64) -> Event {
    Event::new(if n.is_multiple_of(3) { "view" } else { "buy" }, format!("u{}", n % 777))
        .message_id(format!("m-{n:08}"))
        .at(Timestamp::from_microsecond(1_700_000_000_000_000 + i64::try_from(n * 7_919 % 1_000_003).unwrap()))
        .property("amount", i64::try_from(n * 31 % 1_009).unwrap())
        .property("country", ["DE", "FR", "JP", "BR"][usize::try_from(n % 4).unwrap()])
}

/// Two columnar files and nothing in memory.
fn two_files() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let db = Pugmark::open(dir.path()).unwrap();
    for half in [0..HALF, HALF..EVENTS] {
        db.track_many(half.map(event).collect()).unwrap();
        db.flush().unwrap();
    }
    let answer = ask(&db).unwrap();
    db.close().unwrap();
    assert_eq!(files(dir.path()).len(), 2);
    (dir, answer)
}

fn ask(db: &Pugmark) -> Result<String> {
    Ok(pretty_format_batches(&db.blocking()?.sql(QUESTION)?).unwrap().to_string())
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(dir.join("columns")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn flip(path: &Path, at: u64) {
    let mut bytes = fs::read(path).unwrap();
    bytes[usize::try_from(at).unwrap()] ^= 0x20;
    fs::write(path, bytes).unwrap();
}

/// Bytes of the first column chunk called `name`: of its dictionary if it has one, of its first data page, and its end.
fn places(path: &Path, name: &str) -> (Option<u64>, u64, u64) {
    let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    let group = reader.metadata().row_group(0);
    let column = group.columns().iter().find(|column| column.column_path().string() == name).unwrap();
    let (start, length) = column.byte_range();
    let at = |offset: i64| u64::try_from(offset).unwrap();
    (column.dictionary_page_offset().map(at), at(column.data_page_offset()), start + length)
}

/// Damages the second of two files of an open store, asks, then has the store repaired and asks again.
fn is_noticed_and_repaired(damage: impl FnOnce(&[PathBuf])) {
    let (dir, answer) = two_files();
    let db = Pugmark::open(dir.path()).unwrap();
    let files = files(dir.path());
    damage(&files);
    let error = ask(&db).expect_err("damage is no answer");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let named = files.iter().any(|file| error.to_string().contains(file.file_name().unwrap().to_str().unwrap()));
    assert!(named, "{error}");

    let report = db.verify(true, |_| {}).unwrap();
    assert_eq!(report.to_rebuild, ["columns"], "{:?}", report.findings);
    db.close().unwrap();
    let db = Pugmark::open(dir.path()).unwrap();
    assert_eq!(ask(&db).unwrap(), answer);
    let report = db.verify(false, |_| {}).unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    assert_eq!(report.unchecked, Vec::<String>::new());
}

#[test]
fn a_flipped_byte_in_a_page_header() {
    is_noticed_and_repaired(|files| flip(&files[1], places(&files[1], "amount").1 + 2));
}

#[test]
fn a_flipped_byte_in_the_values_of_a_page() {
    is_noticed_and_repaired(|files| {
        let (_, start, end) = places(&files[1], "timestamp");
        flip(&files[1], (start + end) / 2);
    });
}

#[test]
fn a_flipped_byte_in_a_dictionary() {
    is_noticed_and_repaired(|files| {
        let dictionary = places(&files[1], "country").0.expect("few different values");
        flip(&files[1], dictionary + 20);
    });
}

#[test]
fn a_flipped_byte_in_the_footer() {
    is_noticed_and_repaired(|files| flip(&files[1], fs::metadata(&files[1]).unwrap().len() - 100));
}

#[test]
fn a_flipped_byte_in_the_length_of_the_footer() {
    is_noticed_and_repaired(|files| flip(&files[1], fs::metadata(&files[1]).unwrap().len() - 8));
}

#[test]
fn a_file_that_is_cut() {
    is_noticed_and_repaired(|files| {
        let file = fs::OpenOptions::new().write(true).open(&files[1]).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    });
}

#[test]
fn a_file_that_is_missing() {
    is_noticed_and_repaired(|files| fs::remove_file(&files[1]).unwrap());
}

#[test]
fn files_that_changed_places() {
    is_noticed_and_repaired(|files| {
        let aside = files[0].with_extension("aside");
        fs::rename(&files[0], &aside).unwrap();
        fs::rename(&files[1], &files[0]).unwrap();
        fs::rename(&aside, &files[1]).unwrap();
    });
}

#[test]
fn a_footer_that_is_damaged_while_the_store_is_closed_is_made_again_by_the_open() {
    let (dir, answer) = two_files();
    let file = &files(dir.path())[1];
    flip(file, fs::metadata(file).unwrap().len() - 100);
    let db = Pugmark::open(dir.path()).unwrap();
    assert_eq!(ask(&db).unwrap(), answer);
    assert!(db.verify(false, |_| {}).unwrap().is_clean());
}

#[test]
fn an_empty_file() {
    is_noticed_and_repaired(|files| fs::write(&files[1], b"").unwrap());
}

/// Damages the second of two files of a closed store, which the next open makes again.
fn is_made_again_by_the_open(damage: impl FnOnce(&Path)) {
    let (dir, answer) = two_files();
    damage(&files(dir.path())[1]);
    let db = Pugmark::open(dir.path()).unwrap();
    assert_eq!(ask(&db).unwrap(), answer);
    assert!(db.verify(false, |_| {}).unwrap().is_clean());
    db.close().unwrap();
    assert_eq!(ask(&Pugmark::open(dir.path()).unwrap()).unwrap(), answer);
}

#[test]
fn a_file_that_is_missing_while_the_store_is_closed_is_made_again_by_the_open() {
    is_made_again_by_the_open(|file| fs::remove_file(file).unwrap());
}

#[test]
fn a_file_that_is_cut_or_emptied_while_the_store_is_closed_is_made_again_by_the_open() {
    for part in [2, 1_000_000] {
        is_made_again_by_the_open(|file| {
            let file = fs::OpenOptions::new().write(true).open(file).unwrap();
            file.set_len(file.metadata().unwrap().len() / part).unwrap();
        });
    }
}

#[test]
fn a_file_with_bytes_behind_it_is_made_again_by_the_open() {
    is_made_again_by_the_open(|file| {
        fs::write(file, [&fs::read(file).unwrap()[..], b"something else"].concat()).unwrap()
    });
}

#[test]
fn a_file_of_something_else_is_made_again_by_the_open() {
    is_made_again_by_the_open(|file| fs::write(file, vec![b'%'; fs::read(file).unwrap().len()]).unwrap());
}

#[test]
fn a_file_of_another_store_is_made_again_by_the_open() {
    let other = tempfile::tempdir().unwrap();
    let db = Pugmark::open(other.path()).unwrap();
    db.track_many((0..HALF).map(|n| event(n + 17)).collect()).unwrap();
    db.flush().unwrap();
    db.close().unwrap();
    is_made_again_by_the_open(|file| {
        fs::copy(&files(other.path())[0], file).unwrap();
    });
}

#[test]
fn no_flipped_byte_makes_a_wrong_answer() {
    let (dir, answer) = two_files();
    let file = &files(dir.path())[0];
    let whole = fs::read(file).unwrap();
    let db = Pugmark::open(dir.path()).unwrap();
    let mut noticed = 0;
    let step = whole.len() / 150;
    for at in (0..whole.len()).step_by(step) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(file, &bytes).unwrap();
        match ask(&db) {
            Ok(found) => assert_eq!(found, answer, "byte {at}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}: {error}");
                noticed += 1;
            }
        }
    }
    assert!(noticed > 130, "{noticed} of 150");
    fs::write(file, &whole).unwrap();
    assert_eq!(ask(&db).unwrap(), answer);
}

#[test]
fn files_that_are_whole_and_hold_something_else_are_found_and_repaired() {
    let (dir, answer) = two_files();
    let other = tempfile::tempdir().unwrap();
    let db = Pugmark::open(other.path()).unwrap();
    for half in [0..HALF, HALF..EVENTS] {
        let changed = |n| if n == 17 { event(n + 1).message_id("m-00000017") } else { event(n) };
        db.track_many(half.map(changed).collect()).unwrap();
        db.flush().unwrap();
    }
    db.close().unwrap();
    // The files of the other store, named by the index with the right checksums.
    for (from, to) in files(other.path()).iter().zip(files(dir.path())) {
        fs::copy(from, to).unwrap();
    }
    for rollup in fs::read_dir(other.path().join("rollups")).unwrap() {
        let rollup = rollup.unwrap();
        fs::copy(rollup.path(), dir.path().join("rollups").join(rollup.file_name())).unwrap();
    }
    let open = |dir: &Path| Database::open(dir.join("index.redb")).unwrap();
    for name in ["columns.files", "columns.checksums", "columns.rollup_checksums"] {
        let table: TableDefinition<'_, u64, &[u8]> = TableDefinition::new(name);
        let from = open(other.path()).begin_read().unwrap().open_table(table).unwrap();
        let db = open(dir.path());
        let txn = db.begin_write().unwrap();
        for row in from.iter().unwrap() {
            let (key, value) = row.unwrap();
            txn.open_table(table).unwrap().insert(key.value(), value.value()).unwrap();
        }
        txn.commit().unwrap();
    }
    let db = Pugmark::open(dir.path()).unwrap();
    let report = db.verify(true, |_| {}).unwrap();
    let found = |column: &str| report.findings.iter().any(|finding| finding.message.contains(column));
    assert!(found("column amount: rows ") && found("column country: rows "), "{:?}", report.findings);
    assert_eq!(report.to_rebuild, ["columns"]);
    db.close().unwrap();
    assert_eq!(ask(&Pugmark::open(dir.path()).unwrap()).unwrap(), answer);
}
