use std::io::Read;

use proptest::prelude::*;
use pugmark_store::{Entry, Event, EventBlock, Operation, ProfileUpdate, Value, flatten};
use serde_json::{Map, Value as Json};

use super::chunk::LineChunk;
use super::line::{Line, LineParser};
use super::properties::is_number;
use super::{LINE_MAX_BYTES, LineReader, compact};
use crate::files::pipeline::{Piece, PieceReader, Reading, Reject, Row};

fn cases() -> ProptestConfig {
    let cases = std::env::var("PUGMARK_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(256);
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

fn plain() -> Reading {
    Reading::default()
}

fn parse(line: &str) -> Result<Entry, String> {
    parse_as(&plain(), line)
}

fn parse_as(reading: &Reading, line: &str) -> Result<Entry, String> {
    let mut block = EventBlock::default();
    let read = LineParser::new(reading).parse(line, &mut block);
    let events: Vec<Event> = (0..block.len()).filter_map(|at| Some(block.event(at)?.to_event())).collect();
    match (read, events.as_slice()) {
        (Ok(Line::Event), [event]) => Ok(event.clone().into()),
        (Ok(Line::Operation(operation)), []) => Ok(operation.into()),
        // A line that is refused leaves nothing behind.
        (Err(reason), []) if block.text_bytes() == 0 => Err(reason),
        other => panic!("{line}: {other:?}"),
    }
}

fn event(line: &str) -> Event {
    match parse(line) {
        Ok(Entry::Event(event)) => event,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn a_line_fills_every_field_and_other_fields_are_properties() {
    let line = r#"{"event":"purchase","distinct_id":"u1","timestamp":"2025-01-01T10:00:00.25Z","message_id":"m1","session_id":"s1",
        "key":"k1","properties":{"amount":19.9,"page":{"url":"/","n":1},"tags":[1, "a" ,{"b":null}],"none":null,"ok":true},
        "plan":"pro","device":{"os":{"name":"x"}},"context":{"library": "web", "v": 2}}"#;
    let expected = Event::new("purchase", "u1")
        .at("2025-01-01T10:00:00.25Z".parse().unwrap())
        .message_id("m1")
        .session("s1")
        .key("k1")
        .property("amount", 19.9)
        .property("page.url", "/")
        .property("page.n", 1)
        .property("tags", Value::Json(r#"[1,"a",{"b":null}]"#.into()))
        .property("ok", true)
        .property("plan", "pro")
        .property("device.os.name", "x");
    let expected = Event { context: Some(r#"{"library":"web","v":2}"#.into()), ..expected };
    assert_eq!(event(line), expected);
}

#[test]
fn a_mapped_field_is_read_from_its_source_only() {
    let reading = Reading {
        mapping: "message_id=event_id,timestamp=ts".parse().unwrap(),
        default_event: Some("visit".to_owned()),
        ..Reading::default()
    };
    let line = r#"{"distinct_id":7,"event_id":"e1","ts":1735725600,"message_id":"other"}"#;
    let expected = Event::new("visit", "7")
        .at("2025-01-01T10:00:00Z".parse().unwrap())
        .message_id("e1")
        .property("message_id", "other");
    assert_eq!(parse_as(&reading, line), Ok(Entry::Event(expected)));
}

#[test]
fn numbers_are_read_exactly() {
    let big = "123456789012345678901234567890";
    let line = format!(
        r#"{{"event":"e","distinct_id":"{big}","properties":{{"small":1,"a":{big},"b":-9223372036854775809,"c":18446744073709551615,
        "d":1e30,"e":9223372036854775807,"f":1.0,"g":[{big},1.5,1e30],"h":-0.0,"text":"{big}\"1","i":2.5}}}}"#
    );
    let number = |text: &str| Value::Number(text.to_owned());
    let expected = [
        ("small", Value::Int(1)),
        ("a", number(big)),
        ("b", number("-9223372036854775809")),
        ("c", number("18446744073709551615")),
        ("d", Value::Float(1e30)),
        ("e", Value::Int(i64::MAX)),
        ("f", Value::Float(1.0)),
        ("g", Value::Json(format!("[{big},1.5,1e+30]"))),
        ("h", Value::Float(-0.0)),
        ("text", Value::Text(format!("{big}\"1"))),
        ("i", Value::Float(2.5)),
    ];
    let read = event(&line);
    assert_eq!(read.properties, expected.map(|(name, value)| (name.to_owned(), value)));
    let ids = event(&format!(r#"{{"event":"e","distinct_id":{big},"session_id":12}}"#));
    assert_eq!((ids.distinct_id.as_str(), ids.session_id.as_deref()), (big, Some("12")));
}

#[test]
fn objects_deeper_than_the_limit_stay_as_text_and_dots_in_names_count() {
    let read = event(
        r#"{"event":"e","distinct_id":"u","properties":{"a":{"b":{"c":{"d":{"e":{"f":{"g":{"h":{"i": 1}}}}}}}},"a.b.c.d.e.f.g.h":{"i":[ ]},"x":{}}}"#,
    );
    let json = |text: &str| Value::Json(text.to_owned());
    let name = "a.b.c.d.e.f.g.h".to_owned();
    assert_eq!(
        read.properties,
        [(name.clone(), json(r#"{"i":1}"#)), (name, json(r#"{"i":[]}"#)), ("x".to_owned(), json("{}"))]
    );
}

#[test]
fn a_list_of_pairs_brings_back_what_an_object_would_not() {
    let read = event(
        r#"{"event":"e","distinct_id":"u","properties":[["a",{"json":"{\"x\":1}"}],["b",{"number":"19.90"}],["c",1],["c","two"],["d",null],["e",[1]]]}"#,
    );
    let expected = [
        ("a", Value::Json(r#"{"x":1}"#.to_owned())),
        ("b", Value::Number("19.90".to_owned())),
        ("c", Value::Int(1)),
        ("c", Value::from("two")),
        ("e", Value::Json("[1]".to_owned())),
    ];
    assert_eq!(read.properties, expected.map(|(name, value)| (name.to_owned(), value)));
}

#[test]
fn operations_are_read_and_an_event_may_have_a_type() {
    let identify = Operation::identify("a", "7");
    let alias = Operation::alias("a", "b");
    assert_eq!(parse(r#"{"type":"identify","anonymous_id":"a","user_id":7}"#), Ok(Entry::Operation(identify.clone())));
    assert_eq!(parse(r#"{"to":"b","id":"a","type":"alias","timestamp":1}"#), Ok(Entry::Operation(alias)));
    let read = event(r#"{"type":"identify","event":"click","distinct_id":"u","id":"x"}"#);
    assert_eq!(read, Event::new("click", "u").property("type", "identify").property("id", "x"));
    let mapped = Reading {
        mapping: "distinct_id=user_id".parse().unwrap(),
        default_event: Some("visit".into()),
        ..Reading::default()
    };
    let line = r#"{"type":"identify","anonymous_id":"a","user_id":"7"}"#;
    assert_eq!(parse_as(&mapped, line), Ok(Entry::Operation(identify)));
    let line = r#"{"type":"button","user_id":"7"}"#;
    let expected = Event::new("visit", "7").property("type", "button");
    assert_eq!(parse_as(&mapped, line), Ok(Entry::Event(expected)));
}

#[test]
fn changes_of_traits_are_read_whatever_comes_first() {
    let profile = |line: &str| match parse(line) {
        Ok(Entry::Operation(Operation::Profile(update))) => update,
        other => panic!("{line}: {other:?}"),
    };
    let at = || "2025-01-01T10:00:00Z".parse().unwrap();
    let set = ProfileUpdate::set("u").with("plan", "pro").with("home.city", "Bern").with("n", 7).at(at());
    for line in [
        r#"{"type":"set","distinct_id":"u","traits":{"plan":"pro","home":{"city":"Bern"},"none":null,"n":7},"timestamp":"2025-01-01T10:00:00Z"}"#,
        r#"{"timestamp":"2025-01-01T10:00:00Z","traits":{"plan":"pro","home":{"city":"Bern"},"none":null,"n":7},"distinct_id":"u","type":"set"}"#,
        r#"{"distinct_id":"u","type":"set","traits":[["plan","pro"],["home.city","Bern"],["n",7]],"timestamp":"2025-01-01T10:00:00Z"}"#,
    ] {
        assert_eq!(profile(line), set, "{line}");
    }
    let line = r#"{"type":"add","distinct_id":7,"message_id":"m1","traits":{"n":123456789012345678901234567890}}"#;
    let big = Value::Number("123456789012345678901234567890".to_owned());
    assert_eq!(profile(line), ProfileUpdate::add("7").with("n", big).message_id("m1"));
    for traits in [r#"["a","b.c"]"#, r#"{"a":null,"b.c":1}"#] {
        let line = format!(r#"{{"type":"unset","distinct_id":"u","traits":{traits}}}"#);
        assert_eq!(profile(&line), ProfileUpdate::unset("u", ["a", "b.c"]));
    }
    // As long as a name may be, and as many as there may be.
    let many: Vec<String> = (0..1_024).map(|n| format!(r#""{n:0255}":1"#)).collect();
    let many = many.join(",");
    for line in [
        format!(r#"{{"type":"union","distinct_id":"u","traits":{{{many}}}}}"#),
        format!(r#"{{"traits":{{{many}}},"distinct_id":"u","type":"union"}}"#),
    ] {
        assert_eq!(profile(&line).traits.len(), 1_024);
    }
    // Numbers that are passed over count, where others need their text.
    let big = "98765432109876543210";
    for line in [
        format!(r#"{{"type":"unset","traits":{{"plan":1}},"distinct_id":{big}}}"#),
        format!(r#"{{"traits":{{"plan":1,"x":[2,{{"y":3}}]}},"type":"set","distinct_id":{big}}}"#),
        format!(r#"{{"type":5,"traits":{{"plan":1}},"type":"set","distinct_id":{big}}}"#),
    ] {
        assert_eq!(profile(&line).distinct_id, big, "{line}");
    }
    // An event may have a type and traits.
    let line = r#"{"type":"set","traits":{"a":1},"distinct_id":"u","event":"e"}"#;
    assert_eq!(event(line), Event::new("e", "u").property("type", "set").property("traits.a", 1));
    let visits = Reading { default_event: Some("visit".to_owned()), ..Reading::default() };
    let expected = Event::new("visit", "u").property("traits.a", 1).property("type", "x");
    let read = parse_as(&visits, r#"{"traits":{"a":1},"type":"x","distinct_id":"u"}"#);
    assert_eq!(read, Ok(Entry::Event(expected)));
}

#[test]
fn every_bad_line_says_what_is_wrong() {
    let long = "n".repeat(256);
    let deep = format!(r#"{{"event":"e","distinct_id":"u","a":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    let many: Vec<String> = (0..1025).map(|n| format!("\"p{n}\":1")).collect();
    for (line, says) in [
        ("hello", "not JSON: expected value at column 1"),
        (r#"{"event":"e""#, "not JSON: EOF while parsing an object at column 12"),
        (r#"{"event":"e","distinct_id":"u"} x"#, "not JSON: trailing characters at column 33"),
        (r#"{"event":"e","distinct_id":"u","a":1e999}"#, "not JSON: number out of range"),
        (&deep, "not JSON: recursion limit exceeded"),
        ("[1]", "not an event: invalid type: sequence, expected an object"),
        ("17", "not an event: invalid type: integer `17`, expected an object"),
        ("null", "not an event: invalid type: null, expected an object"),
        ("{}", "event: missing or blank"),
        (r#"{"event":"  ","distinct_id":"u"}"#, "event: missing or blank"),
        (r#"{"event":null,"distinct_id":"u"}"#, "event: missing or blank"),
        (r#"{"event":5,"distinct_id":"u"}"#, "event: invalid type: integer `5`, expected a string"),
        (r#"{"event":"e"}"#, "distinct_id: missing or blank"),
        (r#"{"event":"e","distinct_id":" \t"}"#, "distinct_id: missing or blank"),
        (
            r#"{"event":"e","distinct_id":1.5}"#,
            "distinct_id: invalid type: floating point `1.5`, expected a string or a whole number",
        ),
        (
            r#"{"event":"e","distinct_id":true}"#,
            "distinct_id: invalid type: boolean `true`, expected a string or a whole number",
        ),
        (r#"{"event":"e","distinct_id":{}}"#, "distinct_id: invalid type: map"),
        (
            r#"{"event":"e","distinct_id":"u","timestamp":"soon"}"#,
            "timestamp: \"soon\" is not an instant: expected RFC 3339",
        ),
        (
            r#"{"event":"e","distinct_id":"u","timestamp":true}"#,
            "timestamp: invalid type: boolean `true`, expected an instant",
        ),
        (
            r#"{"event":"e","distinct_id":"u","properties":5}"#,
            "properties: invalid type: integer `5`, expected an object or a list",
        ),
        (
            r#"{"event":"e","distinct_id":"u","properties":[1]}"#,
            "properties: invalid type: integer `1`, expected a pair [name, value]",
        ),
        (r#"{"event":"e","distinct_id":"u","properties":[["a",{"b":1}]]}"#, "properties: "),
        (r#"{"event":"e","distinct_id":"u","context":[1]}"#, "context: invalid type: sequence, expected an object"),
        (r#"{"event":"e","event":"f","distinct_id":"u"}"#, "event: given twice"),
        (
            &format!(r#"{{"event":"e","distinct_id":"u","{long}":1}}"#),
            "properties: a name of 256 bytes, at most 255 are allowed",
        ),
        (&format!(r#"{{"event":"e","distinct_id":"u",{}}}"#, many.join(",")), "properties: more than 1024"),
        (r#"{"type":"merge","ids":["a","b"],"force":true}"#, "force: not taken with merge"),
        (r#"{"type":"set","distinct_id":"u","traits":5}"#, "traits: invalid type: integer `5`, expected an object or"),
        (r#"{"type":"set","distinct_id":"u","plan":1}"#, "plan: set takes type, distinct_id, traits, timestamp and"),
        (r#"{"type":"unset","distinct_id":"u","traits":[1]}"#, "traits: invalid type: integer `1`, expected the name"),
        (r#"{"type":"add","distinct_id":"u","traits":{},"key":"k"}"#, "type: add takes type, distinct_id, traits,"),
        (r#"{"type":"set","distinct_id":"u","properties":{}}"#, "properties: set takes type, distinct_id, traits,"),
        (r#"{"type":"merge","ids":["a",true]}"#, "ids[1]: true is no id"),
        (r#"{"type":"merge","ids":"a"}"#, "ids: missing or no list"),
        (r#"{"type":"split_link","id":"a"}"#, "id: not taken with split_link"),
        (r#"{"type":"split","id":"a","by":7}"#, "by: 7 is no text"),
        (r#"{"type":"alias","id":"a","to":"b","force":1}"#, "force: 1 is neither true nor false"),
        (r#"{"type":"what","distinct_id":"u"}"#, "type: \"what\" is not known and there is no event"),
        (r#"{"type":"identify","anonymous_id":"a"}"#, "user_id: missing, blank or no text"),
        (r#"{"type":"alias","id":" ","to":"b"}"#, "id: missing, blank or no text"),
        (
            r#"{"type":"identify","anonymous_id":"a","user_id":"u","traits":{"age":5}}"#,
            "traits.age: not taken with identify",
        ),
    ] {
        let reason = parse(line).unwrap_err();
        assert!(reason.starts_with(says), "{line}\n  says {reason}\n  not  {says}");
    }
}

fn read_all(reader: &mut LineReader<impl Read + Send>) -> (Vec<Entry>, Vec<Reject>, Vec<u64>) {
    let (mut entries, mut rejects, mut lines, mut base) = (Vec::new(), Vec::new(), Vec::new(), 0);
    while let Some(chunk) = reader.next_piece().unwrap() {
        let chunk: LineChunk = chunk;
        let parsed = chunk.parse(&plain());
        assert_eq!(parsed.rows.len(), parsed.places.len());
        lines.extend(parsed.places.iter().map(|place| base + place.line));
        rejects.extend(parsed.rejects.into_iter().map(|reject| Reject { line: base + reject.line, ..reject }));
        entries.extend(parsed.rows.into_iter().map(|row| match row {
            Row::Packed(place) => Entry::from(parsed.block.event(place).expect("it is in the block").to_event()),
            Row::Entry(entry) => *entry,
        }));
        base += parsed.lines;
    }
    (entries, rejects, lines)
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
fn lines_are_the_same_however_the_input_is_cut() {
    let mut input = Vec::new();
    for n in 0..50 {
        input.extend_from_slice(format!("{{\"event\":\"e{n}\",\"distinct_id\":\"u\"}}\r\n").as_bytes());
        input.extend_from_slice(if n % 7 == 0 { b"\n  \r\n" } else { b"" });
        input.extend_from_slice(if n % 11 == 0 { b"\xff\xfe\n" } else { b"" });
    }
    input.extend_from_slice(br#"{"event":"last","distinct_id":"without end of line"}"#);
    let (entries, rejects, lines) = read_all(&mut LineReader::new(input.as_slice(), "whole"));
    assert_eq!(entries.len(), 51);
    assert_eq!(rejects.len(), 5);
    assert!(rejects.iter().all(|reject| reject.reason == "not UTF-8: byte 1 of the line"));
    assert_eq!(&lines[..3], [1, 5, 6]);
    for chunk_bytes in [1, 2, 7, 64, 1000] {
        let mut reader = LineReader::new(Drip(input.as_slice()), "drip");
        reader.chunk_bytes = chunk_bytes;
        assert_eq!(read_all(&mut reader), (entries.clone(), rejects.clone(), lines.clone()), "{chunk_bytes}");
    }
}

#[test]
fn a_line_that_is_too_long_is_rejected_and_the_next_one_is_read() {
    let good = "{\"event\":\"e\",\"distinct_id\":\"u\"}\n";
    let huge = format!("{{\"event\":\"e\",\"distinct_id\":\"{}\"}}\n", "x".repeat(LINE_MAX_BYTES + 3_000_000));
    for chunk_bytes in [1 << 20, 3 << 20] {
        let input = [good, &huge, good, good].concat();
        let mut reader = LineReader::new(input.as_bytes(), "huge");
        reader.chunk_bytes = chunk_bytes;
        let (entries, rejects, lines) = read_all(&mut reader);
        assert_eq!((entries.len(), lines), (3, vec![1, 3, 4]));
        assert_eq!(rejects.len(), 1);
        assert_eq!(rejects[0].line, 2);
        assert_eq!(rejects[0].reason, format!("a line of {} bytes, at most 8388608 are read", huge.len() - 1));
        assert!(rejects[0].text.starts_with("{\"event\"") && rejects[0].text.len() <= 64 << 10);
    }
}

#[test]
fn numbers_are_told_from_other_text() {
    for text in ["0", "-1", "1.50", "1e5", "12.5E-3", "123456789012345678901234567890"] {
        assert!(is_number(text), "{text}");
    }
    for text in ["", "-", "01", "1.", ".5", "1e", "+1", "1a", "NaN", "1.5.2", "0x1"] {
        assert!(!is_number(text), "{text}");
    }
}

#[test]
fn compact_drops_white_space_and_nothing_else() {
    assert_eq!(
        compact("{ \"a\" : [ 1 , 12345678901234567890123 , \" x \" ] }").as_deref(),
        Some("{\"a\":[1,12345678901234567890123,\" x \"]}")
    );
    assert_eq!(compact("{\"a\":1} x"), None);
    assert_eq!(compact("nonsense"), None);
}

fn json(depth: u32) -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        (-1e12_f64..1e12).prop_map(Json::from),
        any::<f64>().prop_filter("finite", |f| f.is_finite() && f.abs() < 9e18).prop_map(Json::from),
        ".{0,12}".prop_map(Json::from),
    ];
    leaf.prop_recursive(depth, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::vec(("[a-zA-Zé$ \"\\\\]{1,6}", inner), 0..4)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn properties_read_as_the_library_flattens_them(members in prop::collection::vec(("[a-z$]{1,5}", json(11)), 0..6)) {
        let object: Map<String, Json> = members.into_iter().collect();
        let mut expected = Vec::new();
        flatten(&object, &mut expected);
        let line = format!(r#"{{"event":"e","distinct_id":"u","properties":{}}}"#, Json::Object(object));
        let read = parse(&line);
        let Ok(Entry::Event(read)) = read else { panic!("{line}: {read:?}") };
        prop_assert_eq!(read.properties, expected);
    }

    #[test]
    fn no_input_stops_the_reading(bytes in prop::collection::vec(any::<u8>(), 0..300), chunk_bytes in 1_usize..40) {
        let mut reader = LineReader::new(bytes.as_slice(), "noise");
        reader.chunk_bytes = chunk_bytes;
        let (entries, rejects, _) = read_all(&mut reader);
        let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.trim_ascii_end().is_empty()).count();
        prop_assert_eq!(entries.len() + rejects.len(), lines);
    }

    #[test]
    fn a_line_of_json_that_is_cut_or_changed_never_panics(at in any::<prop::sample::Index>(), byte in any::<char>(), value in json(6)) {
        let line = format!(r#"{{"event":"e","distinct_id":"u","timestamp":1,"properties":{{"a":{value}}}}}"#);
        let mut changed: Vec<char> = line.chars().collect();
        let place = at.index(changed.len());
        changed[place] = byte;
        let changed: String = changed.into_iter().collect();
        // Whatever the answer: what is accepted is JSON.
        if parse(&changed).is_ok() {
            prop_assert!(serde_json::from_str::<Json>(&changed).is_ok());
        }
        let cut: String = line.chars().take(place).collect();
        prop_assert!(parse(&cut).is_err());
    }
}
