//! Files show what the tail showed.

use datafusion::parquet::file::metadata::ParquetMetaDataReader;
use proptest::prelude::*;
use pugmark_store::redb;

use super::tail::events;
use super::*;

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by(|a, b| {
        let key = |row: &Row| (row.event.clone(), row.subject, row.timestamp, row.sequence);
        key(a).cmp(&key(b))
    });
    rows
}

/// Writes the whole tail to one file.
fn flush(feed: &mut Feed) -> Arc<ColumnFile> {
    feed.columns.seal();
    feed.columns.flush_sealed().unwrap();
    Arc::clone(feed.columns().files().last().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn a_file_shows_what_the_tail_showed_sorted(events in events(), batch in 1_usize..12) {
        let mut feed = Feed::new(usize::MAX);
        for batch in events.chunks(batch) {
            feed.commit(batch);
            feed.columns.seal();
        }
        let tail = feed.tail();
        let file = flush(&mut feed);
        prop_assert_eq!(feed.columns().tail().rows(), 0);
        prop_assert_eq!(file.rows, tail.len() as u64);
        prop_assert_eq!(file.min_timestamp.as_microsecond(), tail.iter().map(|row| row.timestamp).min().unwrap());
        prop_assert_eq!(file.max_timestamp.as_microsecond(), tail.iter().map(|row| row.timestamp).max().unwrap());
        prop_assert_eq!(file.first_subject.number(), tail.iter().map(|row| row.subject).min().unwrap());
        prop_assert_eq!(file.last_subject.number(), tail.iter().map(|row| row.subject).max().unwrap());
        prop_assert_eq!((file.first_sequence.number(), file.last_sequence.number()), (1, tail.len() as u64));
        for event in ["view", "buy", "an event of some length", "never"] {
            prop_assert_eq!(file.may_hold_event(event), tail.iter().any(|row| row.event == event));
        }
        prop_assert_eq!(read(&file), sorted(tail));
    }
}

#[test]
fn a_file_has_only_columns_with_values_and_says_what_it_covers() {
    let mut feed = Feed::new(usize::MAX);
    feed.commit(&[given("view", 1, 10).with("a", 1)]);
    flush(&mut feed);
    feed.commit(&[given("view", 1, 20).with("b", "x"), given("view", 1, 21).with("a", "no number")]);
    let file = flush(&mut feed);
    let footer = ParquetMetaDataReader::new().parse_and_finish(&File::open(&file.path).unwrap()).unwrap();
    let columns: Vec<_> = footer.file_metadata().schema_descr().columns().iter().map(|c| c.name().to_owned()).collect();
    let always = ["p_sequence_distance", "event", "subject", "timestamp", "message_id"];
    assert_eq!(columns, [&always[..], &["b", "overflow"]].concat());
    let said = footer.file_metadata().key_value_metadata().unwrap();
    let value = |key: &str| said.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.as_deref());
    let covered = ["pugmark.version", "pugmark.first_sequence", "pugmark.last_sequence"].map(value);
    assert_eq!(covered, [Some("2"), Some("2"), Some("3")]);
    assert_eq!(file.path.file_name().unwrap(), "00000000000000000002.parquet");
    assert_eq!(std::fs::read_dir(feed.dir.path().join("columns")).unwrap().count(), 2, "nothing else is left");
}

#[test]
fn a_column_that_widens_has_whole_numbers_in_older_files_and_doubles_in_newer_ones() {
    let mut feed = Feed::new(usize::MAX);
    feed.commit(&[given("buy", 1, 1).with("amount", 7)]);
    let older = flush(&mut feed);
    feed.commit(&[given("buy", 1, 2).with("amount", 8), given("buy", 1, 3).with("amount", 19.5)]);
    let newer = flush(&mut feed);
    let amounts = |file| read(file).iter().map(|row| row.properties["amount"].clone()).collect::<Vec<_>>();
    assert_eq!(amounts(&older), [Shown::Int(7)]);
    assert_eq!(amounts(&newer), [Shown::Float(8.0), Shown::Float(19.5)]);
}

#[test]
fn row_groups_end_between_events_once_they_are_large() {
    let mut feed = Feed::new(usize::MAX);
    let batch: Vec<Given> = (0..50_000).map(|n| given(["a", "b", "c", "d"][n % 4], n as u32 / 9, n as i64)).collect();
    for _ in 0..8 {
        feed.commit(&batch);
    }
    let file = flush(&mut feed);
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&file.path).unwrap()).unwrap();
    let groups: Vec<i64> = reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
    assert_eq!(groups, [100_000; 4]);
    for (group, event) in (0..).zip(["a", "b", "c", "d"]) {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&file.path).unwrap()).unwrap();
        let contents = Contents::of(reader.schema()).unwrap();
        let batches = reader.with_row_groups(vec![group]).build().unwrap();
        let rows = batches.flat_map(|batch| rows(&of_the_table(&contents, &batch.unwrap())));
        assert!(rows.into_iter().all(|row| row.event == event));
    }
}

#[test]
fn a_fold_without_a_flusher_bounds_its_tail_by_itself() {
    let mut feed = Feed::new(10);
    for n in 0..25 {
        feed.commit(&[given("view", n, 1).with("n", 1), given("buy", n, 2)]);
    }
    let columns = feed.columns();
    let stats = columns.stats();
    assert_eq!((stats.files, stats.file_rows, stats.tail_rows), (5, 50, 0));
    let schema = feed.schema();
    assert_eq!(sequences(&columns, &schema), (1..=50).collect::<Vec<_>>());
    let bytes: u64 = columns.files().iter().map(|file| std::fs::metadata(&file.path).unwrap().len()).sum();
    assert_eq!(stats.file_bytes, bytes);
}

#[test]
fn a_batch_that_is_partly_in_a_file_is_not_taken_twice() {
    let mut feed = Feed::new(usize::MAX);
    let events = [given("view", 1, 1), given("view", 1, 2), given("view", 1, 3)];
    feed.commit(&events[..2]);
    flush(&mut feed);
    assert_eq!(feed.columns.watermark(Sequence::new(9)), Sequence::new(9), "nothing is in memory only");
    feed.next = Sequence::FIRST;
    feed.commit(&events);
    assert_eq!(feed.tail().iter().map(|row| row.sequence).collect::<Vec<_>>(), [3]);
    assert_eq!(feed.columns.watermark(Sequence::new(9)), Sequence::new(2));
}

#[test]
fn a_forgotten_file_stays_until_its_last_reader_has_gone() {
    let mut feed = Feed::new(usize::MAX);
    feed.commit(&[given("view", 1, 1)]);
    let file = flush(&mut feed);
    let reader = feed.columns();
    let index = redb::Database::create(feed.dir.path().join("index.redb")).unwrap();
    let txn = index.begin_write().unwrap();
    feed.columns.reset(&txn).unwrap();
    txn.commit().unwrap();
    let path = file.path.clone();
    drop(file);
    assert_eq!(reader.files().iter().flat_map(|file| read(file)).count(), 1);
    assert!(path.exists());
    drop(reader);
    assert!(!path.exists());
    feed.next = Sequence::FIRST;
    feed.commit(&[given("view", 1, 1)]);
    assert_ne!(flush(&mut feed).path, path, "an id is given out once");
}
