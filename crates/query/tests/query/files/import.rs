//! Files of every form, imported into a store and read back from it.

use std::io::{Read, Write};
use std::sync::Arc;

use pugmark_query::ErrorKind;
use pugmark_query::files::{Export, Import, ImportFormat, Progress, Reject, Source, Summary};
use pugmark_store::{ManualClock, Options, Store};

fn open(dir: &tempfile::TempDir) -> Store {
    let clock = Arc::new(ManualClock::new("2026-01-01".parse().unwrap()));
    Store::open(dir.path(), Options { clock, ..Options::default() }, Vec::new()).unwrap()
}

fn import(store: &Store, import: &Import, name: &str, bytes: &[u8]) -> (Summary, Vec<Reject>) {
    let mut rejects = Vec::new();
    let source = Source::from_reader(name, std::io::Cursor::new(bytes.to_vec())).unwrap();
    let summary = import.run(store, source, |_| {}, |reject| rejects.push(reject)).unwrap();
    assert_eq!(summary.rejected + summary.conflicts, rejects.len() as u64);
    (summary, rejects)
}

/// The lines of an export without message ids.
fn lines(store: &Store) -> Vec<String> {
    let mut out = Vec::new();
    Export::default().run(store, &mut out, |_| {}).unwrap();
    let text = String::from_utf8(out).unwrap();
    let without_id = |line: &str| {
        let (head, tail) = line.split_once(",\"message_id\":").unwrap();
        let (_, tail) = tail[1..].split_once('"').unwrap();
        format!("{head}{tail}")
    };
    text.lines().map(without_id).collect()
}

/// A thousand purchases, of which every tenth repeats the one before it.
fn purchases() -> String {
    let mut text = String::from("customer_id,date,cds,amount\n");
    let mut last = String::new();
    for n in 0_u32..1_000 {
        if n % 10 != 9 {
            last =
                format!("{:05},1997-{:02}-{:02},{},{}.{:02}\n", n % 60, n % 12 + 1, n % 28 + 1, n % 4 + 1, n, n % 100);
        }
        text.push_str(&last);
    }
    text
}

fn purchase() -> Import {
    Import {
        mapping: "distinct_id=customer_id,timestamp=date".parse().unwrap(),
        event: Some("purchase".to_owned()),
        ..Import::default()
    }
}

#[test]
fn repeated_rows_stay_and_a_second_import_adds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let (first, _) = import(&store, &purchase(), "cd.csv", purchases().as_bytes());
    assert_eq!((first.accepted, first.duplicates, first.entries()), (1_000, 0, 1_000));
    let (again, _) = import(&store, &Import { parsers: 3, ..purchase() }, "cd.csv", purchases().as_bytes());
    assert_eq!((again.accepted, again.duplicates, again.conflicts), (0, 1_000, 0));
    assert_ne!(first.import_id, again.import_id);
    let lines = lines(&store);
    assert_eq!(lines.len(), 1_000);
    assert_eq!(
        lines[4],
        r#"{"event":"purchase","distinct_id":"00004","timestamp":"1997-05-05T00:00:00Z","properties":{"cds":1,"amount":4.04}}"#
    );
    assert_eq!(lines[8], lines[9]);
}

#[test]
fn packed_input_reads_as_plain_input_does() {
    let text = purchases();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&text.as_bytes()[..9_000]).unwrap();
    let mut gzip = gzip.finish().unwrap();
    // Two members behind one another are one file.
    let mut second = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    second.write_all(&text.as_bytes()[9_000..]).unwrap();
    gzip.extend(second.finish().unwrap());
    let zstd = zstd::encode_all(text.as_bytes(), 1).unwrap();
    for packed in [gzip, zstd] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        let (summary, rejects) = import(&store, &purchase(), "packed", &packed);
        assert_eq!((summary.accepted, rejects.len()), (1_000, 0));
        let cut = Source::from_reader("cut", std::io::Cursor::new(packed[..packed.len() - 9].to_vec())).unwrap();
        let error = purchase().run(&store, cut, |_| {}, |_| {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().starts_with("reading cut: "), "{error}");
    }
}

#[test]
fn an_empty_input_is_an_empty_import() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    for name in ["empty", "empty.ndjson", "empty.csv"] {
        let (summary, rejects) = import(&store, &Import::default(), name, b"");
        assert_eq!((summary.entries(), rejects.len()), (0, 0), "{name}");
    }
    let (summary, _) = import(&store, &purchase(), "only-a-header.csv", b"customer_id,date\n");
    assert_eq!(summary.entries(), 0);
    let source = Source::from_reader("empty.parquet", std::io::empty()).unwrap();
    let error = Import::default().run(&store, source, |_| {}, |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn rejected_lines_are_reported_with_number_reason_and_text_and_the_others_are_stored() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let long = "n".repeat(300);
    let input = format!(
        "\u{feff}{{\"event\":\"a\",\"distinct_id\":\"u\",\"timestamp\":1}}\r\nnonsense\r\n\r\n{{\"distinct_id\":\"u\"}}\n{{\"event\":\"a\"}}\n\
         {{\"event\":\"a\",\"distinct_id\":\" \"}}\n{{\"event\":\"a\",\"distinct_id\":\"u\",\"timestamp\":\"x\"}}\n\
         {{\"event\":\"a\",\"distinct_id\":\"u\",\"timestamp\":\"2031-01-01\"}}\n{{\"event\":\"{long}\",\"distinct_id\":\"u\"}}\n\
         {{\"event\":\"a\",\"distinct_id\":\"u\",\"message_id\":\"m\"}}\n{{\"event\":\"b\",\"distinct_id\":\"u\",\"message_id\":\"m\"}}\n\
         {{\"event\":\"a\",\"distinct_id\":\"u\",\"properties\":{{\"x\":1}}}}"
    );
    let (summary, mut rejects) =
        import(&store, &Import { parsers: 2, ..Import::default() }, "bad.ndjson", input.as_bytes());
    assert_eq!((summary.accepted, summary.rejected, summary.conflicts), (3, 7, 1));
    rejects.sort_by_key(|reject| reject.line);
    let found: Vec<(u64, &str)> = rejects.iter().map(|reject| (reject.line, reject.reason.as_str())).collect();
    let expected = [
        (2, "not JSON: expected ident at column 2"),
        (4, "event: missing or blank"),
        (5, "distinct_id: missing or blank"),
        (6, "distinct_id: missing or blank"),
        (7, "timestamp: \"x\" is not an instant"),
        (8, "timestamp: 2031-01-01T00:00:00Z lies outside"),
        (9, "event: a name of 300 bytes, at most 255 are allowed"),
        (11, "conflict: this message id is stored with other content"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((line, reason), (expected_line, says)) in found.into_iter().zip(expected) {
        assert_eq!(line, expected_line);
        assert!(reason.starts_with(says), "{reason}");
    }
    assert_eq!(rejects[0].text, "nonsense");
    assert_eq!(rejects[5].text, r#"{"event":"a","distinct_id":"u","timestamp":"2031-01-01"}"#);
}

#[test]
fn csv_rows_that_do_not_fit_are_rejected_and_quoted_lines_count() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let input = b"\xef\xbb\xbfdistinct_id;event;note;;context;properties\r\nu1;a;\"two\r\nlines; \"\"q\"\"\";7;\"{\"\"l\"\": 1}\";\"{\"\"x\"\":{\"\"y\"\":[1, 2]}}\"\r\n\r\n\
        u2;a;short\r\n;a;;;;\r\nu3;a;\xff;;;\r\nu4;a;00004;;;\r\n";
    let (summary, rejects) = import(&store, &Import::default(), "input.csv", input);
    assert_eq!((summary.accepted, summary.rejected), (2, 3));
    let found: Vec<(u64, &str, &str)> = rejects.iter().map(|r| (r.line, r.reason.as_str(), r.text.as_str())).collect();
    assert_eq!(
        found,
        [
            (5, "a record of 3 fields, the header has 6", "u2;a;short"),
            (6, "distinct_id: missing or blank", ";a;;;;"),
            (7, "note: not UTF-8", "u3;a;\u{fffd};;;"),
        ]
    );
    let lines: Vec<String> = lines(&store)
        .iter()
        .map(|line| line.split_once(",\"timestamp\":\"2026-01-01T00:00:00Z\"").map(|(a, b)| format!("{a}{b}")).unwrap())
        .collect();
    assert_eq!(
        lines,
        [
            r#"{"event":"a","distinct_id":"u1","properties":{"note":"two\r\nlines; \"q\"","column_4":7,"x.y":[1,2]},"context":{"l":1}}"#,
            r#"{"event":"a","distinct_id":"u4","properties":{"note":"00004"}}"#,
        ]
    );
}

#[test]
fn a_quote_that_is_never_closed_stops_the_import_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let mut input = b"distinct_id,event\nu1,a\n\"u2,a\n".to_vec();
    input.extend(std::iter::repeat_n(b"u3,a\n".as_slice(), 4_000_000).flatten());
    let source = Source::from_reader("open.csv", std::io::Cursor::new(input)).unwrap();
    let error = Import::default().run(&store, source, |_| {}, |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("is a quote not closed?"), "{error}");
}

#[test]
fn columns_that_the_mapping_names_must_be_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let run = |mapping: &str, event: Option<&str>| {
        let import = Import { mapping: mapping.parse().unwrap(), event: event.map(str::to_owned), ..Import::default() };
        let source = Source::from_reader("t.csv", std::io::Cursor::new(b"user,date\nu,2025-01-01\n".to_vec())).unwrap();
        import.run(&store, source, |_| {}, |_| {})
    };
    let error = run("distinct_id=usr", Some("e")).unwrap_err();
    assert_eq!((error.kind(), error.nearest()), (ErrorKind::Invalid, ["user".to_owned()].as_slice()));
    assert!(run("", Some("e")).unwrap_err().to_string().contains("no column \"distinct_id\""));
    assert!(run("distinct_id=user", None).unwrap_err().to_string().contains("no column \"event\""));
    assert_eq!(run("distinct_id=user,timestamp=date", Some("e")).unwrap().accepted, 1);
}

#[test]
fn the_format_is_told_by_the_bytes_where_the_name_says_nothing() {
    for (name, input, accepted) in [
        ("-", "\n {\"event\":\"a\",\"distinct_id\":\"u\"}\n", 1),
        ("-", "event,distinct_id\na,u\nb,u\n", 2),
        ("-", "\u{feff}event\tdistinct_id\na\tu\n", 1),
        ("events.json.gz", "{\"event\":\"a\",\"distinct_id\":\"u\"}\n", 1),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (summary, rejects) = import(&open(&dir), &Import::default(), name, input.as_bytes());
        assert_eq!((summary.accepted, rejects), (accepted, Vec::new()), "{input}");
    }
    let dir = tempfile::tempdir().unwrap();
    let (summary, _) = import(&open(&dir), &Import::default(), "-", b"hello world\nhow are you\n");
    assert_eq!((summary.accepted, summary.rejected), (0, 2));
    let forced = Import { format: ImportFormat::Ndjson, ..Import::default() };
    let (summary, _) = import(&open(&tempfile::tempdir().unwrap()), &forced, "x.csv", b"event,distinct_id\na,u\n");
    assert_eq!((summary.accepted, summary.rejected), (0, 2));
}

/// Gives one byte at a time.
struct Drip<R>(R);

impl<R: Read> Read for Drip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let end = buffer.len().min(1);
        self.0.read(&mut buffer[..end])
    }
}

#[test]
fn an_input_of_single_bytes_reads_the_same_and_progress_reaches_its_end() {
    let text: String = (0..2_000).map(|n| format!("{{\"event\":\"a\",\"distinct_id\":\"u{n}\"}}\n")).collect();
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let size = text.len() as u64;
    let source = Source::from_reader("drip", Drip(std::io::Cursor::new(text.into_bytes()))).unwrap();
    let mut last: Option<Progress> = None;
    let summary = Import::default().run(&store, source, |progress| last = Some(*progress), |_| {}).unwrap();
    assert_eq!(summary.accepted, 2_000);
    let last = last.unwrap();
    assert_eq!((last.bytes_read, last.entries_read, last.entries_settled, last.rejected), (size, 2_000, 2_000, 0));
    assert_eq!(last.bytes_total, None);
}

#[test]
fn a_file_knows_its_size_and_a_path_that_is_none_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.csv");
    std::fs::write(&path, purchases()).unwrap();
    let source = Source::open(&path).unwrap();
    assert_eq!(source.total_bytes(), Some(purchases().len() as u64));
    let store_dir = tempfile::tempdir().unwrap();
    let mut last = None;
    purchase().run(&open(&store_dir), source, |progress| last = Some(*progress), |_| {}).unwrap();
    assert_eq!(last.map(|progress| progress.bytes_read), Some(purchases().len() as u64));
    for (path, says) in [(dir.path().join("nowhere"), "reading "), (dir.path().to_owned(), "is a directory")] {
        let error = Source::open(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn links_are_counted_with_the_events_around_them() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new("2026-01-01".parse().unwrap()));
    let folds: Vec<Box<dyn pugmark_store::Fold>> = vec![Box::new(pugmark_identity::IdentityFold::default())];
    let store = Store::open(dir.path(), Options { clock, ..Options::default() }, folds).unwrap();
    let input = b"{\"event\":\"a\",\"distinct_id\":\"anon\"}\n{\"type\":\"identify\",\"anonymous_id\":\"anon\",\"user_id\":\"u\"}\n\
        {\"type\":\"identify\",\"anonymous_id\":\"anon\",\"user_id\":\"u\"}\n{\"type\":\"identify\",\"anonymous_id\":\"anon\",\"user_id\":\"other\"}\n\
        {\"type\":\"split\",\"id\":\"anon\"}\n{\"type\":\"glue\",\"id\":\"anon\"}\n";
    let (summary, rejects) = import(&store, &Import::default(), "links.ndjson", input);
    assert_eq!((summary.accepted, summary.linked, summary.already, summary.refused), (1, 1, 1, 1));
    assert_eq!((summary.split, summary.entries()), (1, 6));
    assert_eq!(rejects.len(), 1);
    assert_eq!((rejects[0].line, rejects[0].text.as_str()), (6, "{\"type\":\"glue\",\"id\":\"anon\"}"));
}
