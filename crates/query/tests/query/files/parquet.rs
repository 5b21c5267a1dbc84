//! Parquet of every type, imported and exported.

use std::io::Cursor;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array,
    Int32Array, ListArray, RecordBatch, StringArray, StructArray, TimestampMillisecondArray, TimestampNanosecondArray,
    UInt64Array,
};
use datafusion::arrow::datatypes::{DataType, Field, Int8Type, Int32Type};
use datafusion::parquet::arrow::ArrowWriter;
use pugmark_query::ErrorKind;
use pugmark_query::files::{Export, ExportFormat, Import, Reject, Source, Summary};
use pugmark_store::{Event, ManualClock, Options, Outcome, Store, Timestamp, Value};

fn open(dir: &tempfile::TempDir) -> Store {
    let clock = Arc::new(ManualClock::new("2026-01-01".parse().unwrap()));
    Store::open(dir.path(), Options { clock, ..Options::default() }, Vec::new()).unwrap()
}

fn import(store: &Store, import: &Import, name: &str, bytes: Vec<u8>) -> (Summary, Vec<Reject>) {
    let mut rejects = Vec::new();
    let source = Source::from_reader(name, Cursor::new(bytes)).unwrap();
    let summary = import.run(store, source, |_| {}, |reject| rejects.push(reject)).unwrap();
    (summary, rejects)
}

fn export(store: &Store, export: Export) -> Vec<u8> {
    let mut out = Vec::new();
    export.run(store, &mut out, |_| {}).unwrap();
    out
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn every_type() -> Vec<u8> {
    let at = "2025-01-01T10:00:00.123Z".parse::<Timestamp>().unwrap().as_microsecond();
    let events: DictionaryArray<Int8Type> = vec!["view", "view", "buy"].into_iter().collect();
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None, Some(vec![])]);
    let inner: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None, Some("z")]));
    let page = StructArray::from(vec![(Arc::new(Field::new("url", DataType::Utf8, true)), inner)]);
    parquet(vec![
        ("event_id", Arc::new(StringArray::from(vec!["m1", "m2", "m3"]))),
        ("event", Arc::new(events)),
        ("distinct_id", Arc::new(Int32Array::from(vec![1, 2, 3]))),
        ("ts", Arc::new(TimestampMillisecondArray::from(vec![at / 1_000; 3]).with_timezone("UTC"))),
        ("ok", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("big", Arc::new(UInt64Array::from(vec![Some(u64::MAX), Some(7), None]))),
        ("half", Arc::new(Float32Array::from(vec![Some(0.5), None, Some(f32::NAN)]))),
        ("amount", Arc::new(Float64Array::from(vec![Some(19.9), Some(-1e-7), None]))),
        (
            "price",
            Arc::new(Decimal128Array::from(vec![Some(1990), None, Some(5)]).with_precision_and_scale(10, 2).unwrap()),
        ),
        ("day", Arc::new(Date32Array::from(vec![Some(20_089), None, None]))),
        ("seen", Arc::new(TimestampNanosecondArray::from(vec![Some(at * 1_000 + 999), None, None]))),
        ("raw", Arc::new(BinaryArray::from_opt_vec(vec![Some(b"txt"), Some(b"\xff\x00"), None]))),
        ("tags", Arc::new(list)),
        ("page", Arc::new(page)),
    ])
}

#[test]
fn every_type_of_column_becomes_a_value() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let mapped = Import { mapping: "message_id=event_id,timestamp=ts".parse().unwrap(), ..Import::default() };
    let (summary, rejects) = import(&store, &mapped, "-", every_type());
    assert_eq!((summary.accepted, rejects), (3, Vec::new()));
    let head = |event: &str, id: &str| {
        format!(
            r#"{{"event":"{event}","distinct_id":"{id}","timestamp":"2025-01-01T10:00:00.123Z","message_id":"m{id}","properties":"#
        )
    };
    let expected = [
        head("view", "1")
            + r#"{"ok":true,"big":18446744073709551615,"half":0.5,"amount":19.9,"price":19.9,"day":"2025-01-01","seen":"2025-01-01T10:00:00.123Z","raw":"txt","tags":[1,null],"page.url":"x"}}"#,
        head("view", "2") + r#"{"big":7,"amount":-1e-7,"raw":"ff00"}}"#,
        head("buy", "3") + r#"{"ok":false,"price":0.05,"tags":[],"page.url":"z"}}"#,
    ];
    let lines = String::from_utf8(export(&store, Export::default())).unwrap();
    assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
    let (again, _) = import(&store, &Import { parsers: 2, ..mapped }, "again.parquet", every_type());
    assert_eq!((again.accepted, again.duplicates), (0, 3));
}

#[test]
fn rows_that_break_a_rule_are_rejected_with_their_number_and_values() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let bytes = parquet(vec![
        ("event", Arc::new(StringArray::from(vec![Some("a"), None, Some("a"), Some("a")]))),
        ("distinct_id", Arc::new(StringArray::from(vec![Some("u"), Some("u"), Some(""), Some("u")]))),
        ("timestamp", Arc::new(StringArray::from(vec!["2025-01-01", "1735725600", "1", "soon"]))),
    ]);
    let (summary, rejects) = import(&store, &Import::default(), "rows.parquet", bytes);
    assert_eq!((summary.accepted, summary.rejected), (1, 3));
    let found: Vec<(u64, &str)> = rejects.iter().map(|reject| (reject.line, reject.reason.as_str())).collect();
    assert_eq!(found[..2], [(2, "event: missing or blank"), (3, "distinct_id: missing or blank")]);
    assert_eq!(found[2].0, 4);
    assert!(found[2].1.starts_with("timestamp: \"soon\" is not an instant"));
    assert_eq!(rejects[2].text, r#"{"event":"a","distinct_id":"u","timestamp":"soon"}"#);
}

#[test]
fn what_is_no_parquet_is_said_to_be_none() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let mut damaged = every_type();
    let end = damaged.len();
    damaged[end - 20..end - 8].fill(0xff);
    for bytes in [b"PAR1".to_vec(), b"PAR1 and no more of it".to_vec(), damaged] {
        let source = Source::from_reader("bad", Cursor::new(bytes)).unwrap();
        let error = Import::default().run(&store, source, |_| {}, |_| {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().starts_with("reading bad as Parquet: "), "{error}");
    }
}

/// Events that no single type of column holds.
fn mixed() -> Vec<Event> {
    let event = |n: i64| {
        Event::new("e", format!("u{}", n % 7))
            .at(Timestamp::from_microsecond(n * 1_000_000))
            .message_id(format!("m{n}"))
    };
    vec![
        event(1).property("n", 1).property("text", "a").property("flag", true).session("s"),
        event(2).property("n", 2.5).property("text", "").property("flag", "odd"),
        event(3).property("n", (1_i64 << 53) + 1).property("text", 5).property("text", "second"),
        event(4)
            .property("list", Value::Json("[1,2]".into()))
            .property("big", Value::Number("123456789012345678901".into())),
        event(5).property("timestamp", "mine").property("properties", "mine too"),
        Event { context: Some(r#"{"library":"web"}"#.into()), ..event(6) },
    ]
}

fn stored(events: Vec<Event>) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let outcomes = store.append(events.into_iter().map(Into::into).collect()).unwrap();
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Accepted(_))), "{outcomes:?}");
    (dir, store)
}

/// Every property of every line, in order of name, as JSON.
fn sorted_lines(store: &Store) -> Vec<String> {
    let text = String::from_utf8(export(store, Export::default())).unwrap();
    let sorted = |line: &str| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(pairs) = line.get_mut("properties").and_then(serde_json::Value::as_array_mut) {
            pairs.sort_by_key(ToString::to_string);
        } else if let Some(object) = line.get_mut("properties").and_then(serde_json::Value::as_object_mut) {
            object.sort_keys();
        }
        line.to_string()
    };
    text.lines().map(sorted).collect()
}

#[test]
fn a_parquet_export_imports_to_the_same_events() {
    let (_dir, store) = stored(mixed());
    let bytes = export(&store, Export { format: ExportFormat::Parquet, ..Export::default() });
    let dir = tempfile::tempdir().unwrap();
    let copy = open(&dir);
    let (summary, rejects) = import(&copy, &Import::default(), "x.parquet", bytes);
    assert_eq!((summary.accepted, rejects), (6, Vec::new()));
    // Whole numbers in a column of floats are floats now; nothing else has changed.
    let expected: Vec<String> =
        sorted_lines(&store).iter().map(|line| line.replace(r#""n":1,"#, r#""n":1.0,"#)).collect();
    assert_eq!(sorted_lines(&copy), expected);
}

#[test]
fn a_csv_export_imports_to_the_same_rows() {
    let (_dir, store) = stored(mixed());
    let bytes = export(&store, Export { format: ExportFormat::Csv, ..Export::default() });
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert_eq!(
        text.lines().take(2).collect::<Vec<_>>(),
        [
            "event,distinct_id,timestamp,message_id,session_id,context,n,text,flag,list,big,properties",
            "e,u1,1970-01-01T00:00:01Z,m1,s,,1,a,true,,,",
        ]
    );
    assert!(text.contains(r#""[[""timestamp"",""mine""],[""properties"",""mine too""]]""#), "{text}");
    let dir = tempfile::tempdir().unwrap();
    let copy = open(&dir);
    let (summary, rejects) = import(&copy, &Import::default(), "x.csv", bytes.clone());
    assert_eq!((summary.accepted, rejects), (6, Vec::new()));
    assert_eq!(export(&copy, Export { format: ExportFormat::Csv, ..Export::default() }), bytes);
}

#[test]
fn an_export_of_a_range_holds_the_events_of_the_range_only() {
    let (_dir, store) = stored(mixed());
    let at = |seconds: i64| Some(Timestamp::from_microsecond(seconds * 1_000_000));
    for format in [ExportFormat::Ndjson, ExportFormat::Csv, ExportFormat::Parquet] {
        let range = Export { format, from: at(2), to: at(4), ..Export::default() };
        let mut out = Vec::new();
        let mut reported = None;
        let exported = range.run(&store, &mut out, |exported| reported = Some(*exported)).unwrap();
        assert_eq!((exported.events, exported.operations, reported), (2, 0, Some(exported)));
        let dir = tempfile::tempdir().unwrap();
        let (summary, _) = import(&open(&dir), &Import::default(), "range", out);
        assert_eq!(summary.accepted, 2, "{format}");
    }
}
