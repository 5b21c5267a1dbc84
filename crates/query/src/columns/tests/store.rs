//! Folds, flusher and store together.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use pugmark_store::{Entry, ErrorKind, Event, Options, Outcome, Store, Timestamp};

use super::*;

fn open(dir: &Path, flush_rows: usize) -> Arc<Store> {
    open_merging(dir, flush_rows, SizeTiered { target_rows: 0, ..SizeTiered::default() })
}

fn open_merging(dir: &Path, flush_rows: usize, merge: SizeTiered) -> Arc<Store> {
    open_with(dir, ColumnsOptions { flush_rows, merge: Arc::new(merge), ..ColumnsOptions::default() })
}

fn open_with(dir: &Path, options: ColumnsOptions) -> Arc<Store> {
    let folds: Vec<Box<dyn Fold>> =
        vec![Box::new(RegistryFold::new(RegistryOptions::default())), Box::new(ColumnsFold::new(dir, options))];
    Arc::new(Store::open(dir, Options::default(), folds).unwrap())
}

fn close(store: Arc<Store>) {
    Arc::try_unwrap(store).expect("nobody else holds the store").close().unwrap();
}

fn some_events(first: usize, count: usize) -> Vec<Entry> {
    let event = |n: usize| {
        let event = Event::new(["view", "cart", "buy"][n % 3], format!("u{}", n % 7)).message_id(format!("m{n}"));
        Entry::Event(event.at(Timestamp::from_microsecond(n as i64)).property("n", n as i64))
    };
    (first..first + count).map(event).collect()
}

fn shown(store: &Store) -> (ColumnsStats, Vec<u64>) {
    let snapshot = store.snapshot();
    let columns = snapshot.state::<Columns>().unwrap();
    let schema = columns.event_schema(snapshot.state::<Registry>().unwrap().schema());
    (columns.stats(), sequences(&columns, &schema))
}

fn column_files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(dir.join("columns")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// A store with 30 events in three files, closed.
fn store_of_three_files(dir: &Path) {
    let store = open(dir, 1_000);
    let flusher = Flusher::start(Arc::clone(&store)).unwrap();
    for n in 0..3 {
        store.append(some_events(n * 10, 10)).unwrap();
        flusher.flush_now().unwrap();
    }
    flusher.close().unwrap();
    close(store);
    assert_eq!(column_files(dir).len(), 3);
}

#[test]
fn flushed_events_stay_in_their_files_and_are_not_applied_again() {
    let dir = tempfile::tempdir().unwrap();
    store_of_three_files(dir.path());
    let before = column_files(dir.path());
    let store = open(dir.path(), 1_000);
    let (stats, sequences) = shown(&store);
    assert_eq!((stats.files, stats.file_rows, stats.tail_rows), (3, 30, 0));
    assert_eq!(sequences, (1..=30).collect::<Vec<_>>());
    store.append(some_events(30, 5)).unwrap();
    let (stats, sequences) = shown(&store);
    assert_eq!((stats.file_rows, stats.tail_rows), (30, 5));
    assert_eq!(sequences, (1..=35).collect::<Vec<_>>());
    assert_eq!(column_files(dir.path()), before);
}

#[test]
fn what_no_file_holds_is_applied_again_after_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    store_of_three_files(dir.path());
    let store = open(dir.path(), 1_000);
    store.append(some_events(30, 5)).unwrap();
    close(store);
    let store = open(dir.path(), 1_000);
    let (stats, sequences) = shown(&store);
    assert_eq!((stats.files, stats.file_rows, stats.tail_rows), (3, 30, 5));
    assert_eq!(sequences, (1..=35).collect::<Vec<_>>());
}

#[test]
fn a_full_tail_is_flushed_without_being_asked() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), 100);
    let flusher = Flusher::start(Arc::clone(&store)).unwrap();
    for n in 0..60 {
        store.append(some_events(n * 50, 50)).unwrap();
        let (stats, _) = shown(&store);
        assert!(stats.tail_rows <= 250 + 100 + 50, "{stats:?}");
    }
    let (stats, sequences) = shown(&store);
    assert!(stats.files >= 5, "{stats:?}");
    assert_eq!(sequences, (1..=3_000).collect::<Vec<_>>());
    flusher.close().unwrap();
    let (stats, sequences) = shown(&store);
    assert_eq!((stats.file_rows, stats.tail_rows), (3_000, 0));
    assert_eq!(sequences, (1..=3_000).collect::<Vec<_>>());
}

#[test]
fn a_snapshot_shows_each_event_once_while_writers_append_and_flush() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), 300);
    let flusher = Flusher::start(Arc::clone(&store)).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut checked = 0_u32;
                    while checked < 5 || !done.load(Ordering::Acquire) {
                        let snapshot = store.snapshot();
                        let columns = snapshot.state::<Columns>().unwrap();
                        let schema = columns.event_schema(snapshot.state::<Registry>().unwrap().schema());
                        let expected: Vec<u64> = (1..=snapshot.sequence().number()).collect();
                        assert_eq!(sequences(&columns, &schema), expected);
                        checked += 1;
                    }
                })
            })
            .collect();
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let (store, flusher) = (&store, &flusher);
                scope.spawn(move || {
                    for n in 0..40 {
                        let outcomes = store.append(some_events(writer * 100_000 + n * 37, 37)).unwrap();
                        assert!(matches!(outcomes[..], [Outcome::Accepted(_), ..]));
                        if n % 16 == 9 {
                            flusher.flush_now().unwrap();
                        }
                    }
                })
            })
            .collect();
        let failed = writers.into_iter().filter_map(|writer| writer.join().err()).count();
        done.store(true, Ordering::Release);
        assert_eq!(failed, 0);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
    flusher.close().unwrap();
    assert_eq!(shown(&store).1, (1..=2 * 40 * 37).collect::<Vec<_>>());
}

#[test]
fn files_that_the_catalog_does_not_name_are_removed_by_an_open() {
    let dir = tempfile::tempdir().unwrap();
    store_of_three_files(dir.path());
    let before = column_files(dir.path());
    let columns = dir.path().join("columns");
    // What a crash between rename and catalog, and one in the middle of writing, leave behind; and a file of somebody else.
    std::fs::copy(&before[0], columns.join("00000000000000000009.parquet")).unwrap();
    std::fs::write(columns.join("00000000000000000010.parquet.tmp"), b"PAR1").unwrap();
    std::fs::write(columns.join("notes.txt"), b"mine").unwrap();
    let store = open(dir.path(), 1_000);
    assert_eq!(shown(&store).1, (1..=30).collect::<Vec<_>>());
    let expected: Vec<_> = before.into_iter().chain([columns.join("notes.txt")]).collect();
    assert_eq!(column_files(dir.path()), expected);
    let flusher = Flusher::start(Arc::clone(&store)).unwrap();
    store.append(some_events(30, 1)).unwrap();
    flusher.flush_now().unwrap();
    assert!(columns.join("00000000000000000011.parquet").exists(), "ids left behind are not used again");
}

#[test]
fn missing_and_damaged_files_are_made_again_from_the_log() {
    let damages: [fn(&Path); 4] = [
        |file| std::fs::remove_file(file).unwrap(),
        |file| std::fs::write(file, b"").unwrap(),
        |file| std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(200).unwrap(),
        |file| {
            let mut bytes = std::fs::read(file).unwrap();
            let end = bytes.len() - 9;
            bytes[end - 100..end].fill(0xff);
            std::fs::write(file, bytes).unwrap();
        },
    ];
    for damage in damages {
        let dir = tempfile::tempdir().unwrap();
        store_of_three_files(dir.path());
        damage(&column_files(dir.path())[1]);
        // With a bound of 8 rows the replay writes files as it goes.
        let store = open(dir.path(), 8);
        let (stats, sequences) = shown(&store);
        assert_eq!(sequences, (1..=30).collect::<Vec<_>>());
        assert!(stats.files >= 2 && stats.tail_rows < 20, "{stats:?}");
        close(store);
        let store = open(dir.path(), 8);
        assert_eq!(shown(&store), (stats, sequences), "and stay as they were made");
    }
}

#[test]
fn columns_are_made_again_when_the_index_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    store_of_three_files(dir.path());
    let before = column_files(dir.path());
    std::fs::remove_file(dir.path().join("index.redb")).unwrap();
    let store = open(dir.path(), 10);
    assert_eq!(shown(&store).1, (1..=30).collect::<Vec<_>>());
    assert!(before.iter().all(|file| !file.exists()), "nothing names the old files");
    close(store);
}

#[test]
fn types_are_those_of_the_registry_also_in_files_written_during_a_replay() {
    let dir = tempfile::tempdir().unwrap();
    let typed = |n: u64, value: Value| Event::new("buy", "u").message_id(format!("m{n}")).property("amount", value);
    let store = open(dir.path(), 1_000);
    store.append(vec![typed(1, Value::Int(7)).into(), typed(2, Value::Text("8".to_owned())).into()]).unwrap();
    store.append(vec![typed(3, Value::Float(0.5)).into(), typed(4, Value::Int(9)).into()]).unwrap();
    close(store);
    // The registry is loaded and the columns replay: their first batch is older than the types in the index.
    let store = open(dir.path(), 2);
    let snapshot = store.snapshot();
    let columns = snapshot.state::<Columns>().unwrap();
    let rows: Vec<Row> = columns.files().iter().flat_map(|file| read(file)).collect();
    let amounts: Vec<_> = rows.iter().map(|row| row.properties.get("amount").cloned()).collect();
    assert_eq!(amounts, [Some(Shown::Float(7.0)), None, Some(Shown::Float(0.5)), Some(Shown::Float(9.0))]);
    assert_eq!(rows[1].overflow, [("amount".to_owned(), "\"8\"".to_owned())]);
}

#[test]
fn a_failed_flush_is_told_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), 1_000);
    let flusher = Flusher::start(Arc::clone(&store)).unwrap();
    store.append(some_events(0, 10)).unwrap();
    std::fs::write(dir.path().join("columns"), b"in the way").unwrap();
    let failure = flusher.flush_now().unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::Io);
    assert!(failure.to_string().contains("columns"), "{failure}");
    assert_eq!(std::fs::read_dir(dir.path().join("rollups")).unwrap().count(), 0, "no rollup without its file");
    assert_eq!(shown(&store).1, (1..=10).collect::<Vec<_>>());
    std::fs::remove_file(dir.path().join("columns")).unwrap();
    flusher.flush_now().unwrap();
    let (stats, sequences) = shown(&store);
    assert_eq!((stats.file_rows, stats.tail_rows), (10, 0));
    assert_eq!(sequences, (1..=10).collect::<Vec<_>>());
}

#[test]
fn appends_to_a_full_tail_fail_with_the_error_of_the_flush() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), 10);
    let flusher = Flusher::start(Arc::clone(&store)).unwrap();
    std::fs::write(dir.path().join("columns"), b"in the way").unwrap();
    let failure = (0..100).find_map(|n| store.append(some_events(n * 10, 10)).err()).expect("memory is bounded");
    assert_eq!(failure.kind(), ErrorKind::Io);
    assert!(failure.to_string().contains("columns"), "{failure}");
    let acknowledged = shown(&store).1;
    drop(flusher);
    drop(store);
    std::fs::remove_file(dir.path().join("columns")).unwrap();
    let after = shown(&open(dir.path(), 10)).1;
    assert!(after.starts_with(&acknowledged) && acknowledged.len() >= 20, "{} of {}", acknowledged.len(), after.len());
}

#[test]
fn a_store_has_one_flusher_and_may_have_another_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), 10);
    let flusher = Flusher::start(Arc::clone(&store)).unwrap();
    assert_eq!(Flusher::start(Arc::clone(&store)).unwrap_err().kind(), ErrorKind::Invalid);
    flusher.close().unwrap();
    store.append(some_events(0, 3)).unwrap();
    Flusher::start(Arc::clone(&store)).unwrap().close().unwrap();
    assert_eq!(shown(&store).0.file_rows, 3);
    let other = tempfile::tempdir().unwrap();
    let without = Arc::new(Store::open(other.path(), Options::default(), vec![]).unwrap());
    assert_eq!(Flusher::start(without).unwrap_err().kind(), ErrorKind::Invalid);
}

const ALL_IN_ONE: SizeTiered = SizeTiered { target_rows: 1_000, target_decoded_bytes: u64::MAX, files_min: 2 };

#[test]
fn merged_files_hold_what_they_held_and_are_as_the_log_says() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_merging(dir.path(), 1_000, ALL_IN_ONE);
    let flusher = Flusher::start(Arc::clone(&store)).unwrap();
    let events = |first: usize| {
        // New properties, texts beside numbers, and a column that widens in the third file.
        let mut events = some_events(first, 20);
        for (at, entry) in events.iter_mut().enumerate() {
            let Entry::Event(event) = entry else { continue };
            let number = if first >= 40 { Value::from(0.5) } else { Value::from(at as i64) };
            let only_here = format!("only{first}");
            *event =
                event.clone().property("wide", number).property(&only_here, "x").property("odd", ["1", "b"][at % 2]);
            if at == 3 {
                *event = event.clone().property("odd", true);
            }
        }
        events
    };
    let before = store.snapshot();
    for first in [0, 20, 40, 60, 80] {
        store.append(events(first)).unwrap();
        flusher.flush_now().unwrap();
        flusher.merge_now().unwrap();
    }
    drop(before);
    let (stats, sequences) = shown(&store);
    assert!(stats.files <= 2, "{stats:?}");
    assert_eq!((stats.file_rows, sequences), (100, (1..=100).collect::<Vec<_>>()));
    let report = store.verify(false, &mut |_| {}).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    flusher.close().unwrap();
    close(store);
    // What was merged has gone, and the catalog on disk names what is there.
    assert_eq!(column_files(dir.path()).len(), stats.files);
    let store = open_merging(dir.path(), 1_000, ALL_IN_ONE);
    assert_eq!(shown(&store), (stats, (1..=100).collect::<Vec<_>>()));
}

#[test]
fn a_merge_without_budget_holds_up_nobody() {
    for way in ["asked for", "waited for", "closed", "dropped"] {
        let dir = tempfile::tempdir().unwrap();
        // Hours would pass before a merge in the background has read its files.
        let merge_bytes_per_second = std::num::NonZeroU64::new(1);
        let options =
            ColumnsOptions { merge: Arc::new(ALL_IN_ONE), merge_bytes_per_second, ..ColumnsOptions::default() };
        let store = open_with(dir.path(), options);
        let flusher = Flusher::start(Arc::clone(&store)).unwrap();
        // Flushes and appends go on while a merge waits.
        for n in 0..4 {
            store.append(some_events(n * 10, 10)).unwrap();
            flusher.flush_now().unwrap();
        }
        assert!(shown(&store).0.files > 1, "merged within a budget of one byte a second");
        match way {
            "asked for" => {
                flusher.merge_now().unwrap();
                // The merge that waited may have begun with three of the files: then the last is too small to be merged with them.
                assert!(shown(&store).0.files <= 2);
            }
            "waited for" => flusher.wait_for_present(),
            "closed" => flusher.close().unwrap(),
            _ => drop(flusher),
        }
        assert_eq!(shown(&store).1, (1..=40).collect::<Vec<_>>(), "{way}");
    }
}

#[test]
fn many_columns_of_few_values_do_not_make_a_file_large() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), 1_000);
    let flusher = Flusher::start(Arc::clone(&store)).unwrap();
    let sparse = |(n, entry)| match entry {
        Entry::Event(event) => Entry::Event(event.property(format!("only{n}"), "a text")),
        other => other,
    };
    store.append((0..200).zip(some_events(0, 200)).map(sparse).collect::<Vec<_>>()).unwrap();
    flusher.flush_now().unwrap();
    flusher.close().unwrap();
    let columns = store.snapshot().state::<Columns>().unwrap();
    let files = columns.files();
    let size = files.iter().fold(FileSize::default(), |size, file| size.and(file.size()));
    assert!((200 * 40..200 * 120).contains(&size.decoded_bytes), "{size:?}");
}

#[test]
fn files_of_events_with_large_values_are_merged_in_few_rows_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_merging(dir.path(), 1_000, ALL_IN_ONE);
    let flusher = Flusher::start(Arc::clone(&store)).unwrap();
    for first in (0..160).step_by(40) {
        let large = |(n, entry)| match entry {
            Entry::Event(event) => Entry::Event(event.property("text", format!("{n:06}").repeat(20_000 * (n % 7)))),
            other => other,
        };
        store.append((first..).zip(some_events(first, 40)).map(large).collect::<Vec<_>>()).unwrap();
        flusher.flush_now().unwrap();
    }
    flusher.merge_now().unwrap();
    let snapshot = store.snapshot();
    let columns = snapshot.state::<Columns>().unwrap();
    let files = columns.files();
    assert!(files.len() < 4, "nothing was merged");
    let size = files.iter().fold(FileSize::default(), |size, file| size.and(file.size()));
    let expected: u64 = (0..160).map(|n| 6 * 20_000 * (n % 7)).sum();
    assert_eq!(size.rows, 160);
    assert!((expected..expected + 160 * 300).contains(&size.decoded_bytes), "{size:?}");
    assert!(size.rows_at_once(1_000) < 60, "{size:?}");
    let report = store.verify(false, &mut |_| {}).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    drop((columns, snapshot));
    flusher.close().unwrap();
    close(store);
}

#[test]
fn files_of_one_event_each_do_not_keep_what_they_become_from_a_curve_of_arrival() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_merging(dir.path(), 1_000, ALL_IN_ONE);
    let flusher = Flusher::start(Arc::clone(&store)).unwrap();
    for n in 0..12 {
        store.append(some_events(n, 1)).unwrap();
        flusher.flush_now().unwrap();
    }
    flusher.merge_now().unwrap();
    flusher.close().unwrap();
    close(store);
    let footer = |path| {
        let file = std::fs::File::open(path).unwrap();
        ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).unwrap()
    };
    let footers: Vec<_> = column_files(dir.path()).iter().map(footer).collect();
    let largest = footers.iter().max_by_key(|footer| footer.metadata().file_metadata().num_rows()).unwrap();
    assert!(largest.metadata().file_metadata().num_rows() >= 6, "nothing was merged");
    assert!(Contents::of(largest.schema()).unwrap().arrivals().has_curve());
}

#[test]
fn a_query_that_began_before_a_merge_ends_with_the_files_that_it_began_with() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_merging(dir.path(), 1_000, SizeTiered { target_rows: 0, ..SizeTiered::default() });
    let flusher = Flusher::start(Arc::clone(&store)).unwrap();
    for n in 0..4 {
        store.append(some_events(n * 10, 10)).unwrap();
        flusher.flush_now().unwrap();
    }
    flusher.close().unwrap();
    close(store);
    let store = open_merging(dir.path(), 1_000, ALL_IN_ONE);
    let snapshot = store.snapshot();
    let columns = snapshot.state::<Columns>().unwrap();
    assert_eq!(columns.stats().files, 4);
    let flusher = Flusher::start(Arc::clone(&store)).unwrap();
    flusher.merge_now().unwrap();
    assert_eq!(shown(&store).0.files, 1);
    assert_eq!(column_files(dir.path()).len(), 5);
    let schema = columns.event_schema(snapshot.state::<Registry>().unwrap().schema());
    assert_eq!(sequences(&columns, &schema), (1..=40).collect::<Vec<_>>());
    drop((columns, snapshot));
    assert_eq!(column_files(dir.path()).len(), 1);
    flusher.close().unwrap();
}
