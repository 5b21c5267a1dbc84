//! Wrong input of every kind: what is said, how it ends, and that nothing is lost.

use std::fs;
use std::process::{Command, Stdio};

use crate::bench::{Bench, json_lines};
use serde_json::{Value, json};

const GOOD: &str = r#"{"event":"view","distinct_id":"u1","timestamp":"2025-01-01T09:00:00Z"}"#;

/// Imports a bad line between two good ones and returns the reason why it was not taken.
fn reason_for(line: &str) -> String {
    let bench = Bench::new();
    let run = bench.import(&format!("{GOOD}\n{line}\n{GOOD}\n"));
    assert!(run.stderr.contains("1 line was not taken"), "{line}: {}", run.stderr);
    let told = run.ok();
    assert!(told.contains("2 accepted, 0 duplicate, 1 rejected"), "{line}: {told}");
    let rejects = json_lines(&bench.path("events.ndjson.rejects.ndjson"));
    assert_eq!(rejects.len(), 1);
    assert_eq!(rejects[0]["line"], 2);
    assert_eq!(rejects[0]["text"], line);
    assert_eq!(bench.run(&["import", "s", "events.ndjson", "--strict"]).code, 1, "{line}: --strict");
    rejects[0]["reason"].as_str().unwrap().to_owned()
}

#[test]
fn lines_that_are_no_event_are_put_aside_with_a_reason() {
    for (line, said) in [
        ("not json", ""),
        (r#"{"distinct_id":"u1"}"#, "event"),
        (r#"{"event":"view"}"#, "distinct_id"),
        (r#"{"event":"view","distinct_id":"  "}"#, "distinct_id"),
        (r#"{"event":"view","distinct_id":"u1","timestamp":"yesterday"}"#, "timestamp"),
        (r#"{"event":"view","distinct_id":"u1","timestamp":"2999-01-01T00:00:00Z"}"#, "timestamp"),
        (r#"{"type":"merge","ids":["a",true]}"#, "ids[1]"),
    ] {
        let reason = reason_for(line);
        assert!(reason.contains(said) && !reason.is_empty(), "{line}: {reason}");
    }
}

#[test]
fn a_name_of_300_bytes_is_put_aside() {
    let reason = reason_for(&json!({"event": "v".repeat(300), "distinct_id": "u1"}).to_string());
    assert!(reason.contains("300") && reason.contains("255"), "{reason}");
}

#[test]
fn timestamps_are_read_in_five_forms_and_may_be_absent() {
    let bench = Bench::new();
    let stamps = [
        json!("2025-01-01T10:00:00Z"),
        json!("2025-01-01T11:00:00+01:00"),
        json!("2025-01-01 10:00:00"),
        json!(1_735_725_600),
        json!(1_735_725_600_000_i64),
    ];
    let mut lines: Vec<Value> =
        stamps.iter().map(|at| json!({"event": "view", "distinct_id": "u1", "timestamp": at})).collect();
    lines.push(json!({"event": "now", "distinct_id": "u1"}));
    let text: Vec<String> = lines.iter().map(Value::to_string).collect();
    bench.import(&text.join("\n")).ok();
    let answer = bench
        .run(&[
            "sql",
            "s",
            "SELECT event, count(DISTINCT timestamp) AS times, count(*) AS n FROM events GROUP BY event ORDER BY event",
            "--format",
            "csv",
        ])
        .ok();
    assert_eq!(answer, "event,times,n\nnow,1,1\nview,1,5\n");
}

#[test]
fn a_property_that_changes_its_type_loses_nothing() {
    let bench = Bench::new();
    let values = [json!(1), json!(2.5), json!("three"), json!(true), json!([4])];
    let lines: Vec<String> = values
        .iter()
        .enumerate()
        .map(|(n, value)| {
            json!({"event": "view", "distinct_id": "u1", "timestamp": 1_735_725_600 + n, "properties": {"odd": value}})
                .to_string()
        })
        .collect();
    bench.import(&lines.join("\n")).ok();
    let answer = bench
        .run(&["sql", "s", "SELECT odd, prop('odd') AS text FROM events ORDER BY timestamp", "--format", "csv"])
        .ok();
    assert_eq!(answer, "odd,text\n1.0,1.0\n2.5,2.5\n,three\n,true\n,[4]\n");
}

#[test]
fn a_hundred_thousand_property_names_are_all_readable() {
    let bench = Bench::new();
    let lines: Vec<String> = (0..100)
        .map(|event| {
            let properties: serde_json::Map<String, Value> =
                (0..1_000).map(|n| (format!("name_{event}_{n}"), json!(n))).collect();
            json!({"event": "view", "distinct_id": "u1", "timestamp": 1_735_725_600 + event, "properties": properties})
                .to_string()
        })
        .collect();
    bench.import(&lines.join("\n")).ok();
    let info = bench.run(&["info", "s", "--format", "json"]).json();
    assert_eq!(info["properties"].as_array().unwrap().len(), 100_000);
    assert_eq!(info["properties_without_column"], 98_000);
    let sql = "SELECT count(prop('name_0_7')) AS a, count(prop('name_99_999')) AS b, max(prop('name_99_999')) AS c FROM events";
    assert_eq!(bench.run(&["sql", "s", sql, "--format", "csv"]).ok(), "a,b,c\n1,1,999\n");
}

#[test]
fn a_directory_that_is_no_store_is_named() {
    let bench = Bench::new();
    fs::create_dir(bench.path("photos")).unwrap();
    bench.file("photos/cat.jpg", "meow");
    bench.file("events.ndjson", GOOD);
    for words in [&["info", "photos"][..], &["trend", "photos", "view"], &["import", "photos", "events.ndjson"]] {
        let error = bench.run(words).error(1);
        assert!(error.starts_with("error: photos is no pugmark store"), "{words:?}: {error}");
    }
    let error = bench.run(&["info", "missing"]).error(1);
    assert_eq!(error, "error: missing does not exist");
    assert!(!bench.path("missing").exists(), "a question makes no store");
    let error = bench.run(&["import", "new", "missing.ndjson"]).error(1);
    assert!(error.contains("missing.ndjson"), "{error}");
    assert!(!bench.path("new").exists(), "a mistyped file makes no store");
}

#[test]
fn a_store_that_is_open_elsewhere_is_locked_by_a_named_process() {
    let bench = Bench::new();
    bench.import(GOOD).ok();
    // An import that waits for its input holds the store.
    let mut holder = Command::new(assert_cmd::cargo::cargo_bin!("pugmark"))
        .current_dir(bench.path(""))
        .args(["import", "s", "-", "--format", "ndjson"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = holder.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, GOOD.replace("u1", "u2").as_bytes()).unwrap();
    std::io::Write::flush(&mut input).unwrap();
    let pid = holder.id().to_string();
    while fs::read_to_string(bench.path("s/LOCK")).is_ok_and(|holder| holder.trim() != pid) {
        assert_eq!(holder.try_wait().unwrap(), None, "the import ended before it took the lock");
        std::thread::yield_now();
    }
    let error = bench.run(&["info", "s"]).error(1);
    assert!(error.starts_with("error: ") && error.contains(&pid), "{error} does not name {pid}");
    drop(input);
    assert!(holder.wait().unwrap().success());
    bench.run(&["info", "s"]).ok();
}

#[test]
fn a_question_with_a_mistake_names_field_and_nearest() {
    let bench = Bench::new();
    bench.import(GOOD).ok();
    let run = bench.run_with_input(&["query", "s"], r#"{"funnel":{"stpes":[{"event":"view"}]}}"#);
    assert_eq!(run.code, 1);
    let answer: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(answer["error"]["kind"], "invalid");
    assert_eq!(answer["error"]["field"], "stpes");
    assert_eq!(answer["error"]["nearest"][0], "steps");
    let run = bench.run_with_input(&["query", "s"], "{");
    assert_eq!(run.code, 1);
    assert!(run.stdout.starts_with(r#"{"error":{"kind":"invalid""#), "{}", run.stdout);
    let run = bench.run_with_input(&["query", "s"], r#"{"funnel":{"steps":[{"event":"view"}],"unit":"group:"}}"#);
    assert!(run.stdout.contains(r#""field":"unit""#) && run.stdout.contains("group:company"), "{}", run.stdout);
}

#[test]
fn names_never_seen_are_warned_about_with_the_nearest() {
    let bench = Bench::new();
    bench.import(&GOOD.replace("}", r#","properties":{"country":"DE"}}"#)).ok();
    let run = bench.run(&["trend", "s", "veiw", "--filter", "contry = 'DE'"]);
    assert!(
        run.stderr.lines().any(|line| line.starts_with("warning: ") && line.contains("veiw") && line.contains("view")),
        "{}",
        run.stderr
    );
    assert!(run.stderr.lines().any(|line| line.contains("contry") && line.contains("country")), "{}", run.stderr);
    run.ok();
    let error = bench.run(&["trend", "s", "veiw", "--strict-names"]).error(1);
    assert!(error.contains("veiw") && error.contains("view"), "{error}");
    let error = bench.run(&["sql", "s", "SELECT contry FROM events"]).error(1);
    assert!(error.contains("contry") && error.contains("country"), "{error}");
}

#[test]
fn filters_that_are_more_than_one_expression_are_refused() {
    let bench = Bench::new();
    bench.import(GOOD).ok();
    for filter in ["event = 'view'; DROP TABLE events", "subject IN (SELECT subject FROM events)", "event ="] {
        let error = bench.run(&["trend", "s", "view", "--filter", filter]).error(1);
        assert!(error.starts_with("error: ") && error.contains("filter"), "{filter}: {error}");
    }
    for statement in
        ["DROP TABLE events", "INSERT INTO events VALUES (1)", "SELECT 1; SELECT 2", "SELECT * FROM '/etc/passwd'"]
    {
        let run = bench.run(&["sql", "s", statement]);
        assert_eq!(run.code, 1, "{statement}: {}", run.stdout);
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    let bench = Bench::new();
    for words in [&["funnel", "s"][..], &["trend", "s", "view", "--format", "xml"], &["frobnicate"], &[]] {
        assert_eq!(bench.run(words).code, 2, "{words:?}");
    }
    for words in [&["--help"][..], &["--version"], &["funnel", "--help"]] {
        assert_eq!(bench.run(words).code, 0, "{words:?}");
    }
}

#[test]
fn derived_files_can_be_deleted_and_come_back() {
    let bench = Bench::new();
    bench.import(&format!("{GOOD}\n{}\n", GOOD.replace("u1", "u2"))).ok();
    let question = ["trend", "s", "view", "--measure", "uniques", "--format", "csv"];
    let before = bench.run(&question).ok();
    fs::remove_dir_all(bench.path("s/columns")).unwrap();
    assert_eq!(bench.run(&question).ok(), before, "without columnar files");
    fs::remove_file(bench.path("s/index.redb")).unwrap();
    assert_eq!(bench.run(&question).ok(), before, "without the index");
    let told = bench.run(&["import", "s", "events.ndjson"]).ok();
    assert!(told.contains("0 accepted, 2 duplicate"), "{told}");
}

/// The one segment of the store `s`.
fn segment(bench: &Bench) -> std::path::PathBuf {
    let mut segments: Vec<_> = fs::read_dir(bench.path("s/log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.sort();
    segments.swap_remove(0)
}

#[test]
fn a_flipped_byte_in_a_sealed_segment_is_reported_with_its_place() {
    let bench = Bench::new();
    bench.import(&format!("{GOOD}\n{}\n", GOOD.replace("u1", "u2"))).ok();
    let segment = segment(&bench);
    let mut bytes = fs::read(&segment).unwrap();
    bytes[120] ^= 1;
    fs::write(&segment, bytes).unwrap();
    fs::remove_file(bench.path("s/index.redb")).unwrap();
    let error = bench.run(&["info", "s"]).error(1);
    assert!(error.contains("00000000000000000001.log"), "{error}");
}

#[test]
fn a_torn_tail_is_cut_and_the_rest_answers() {
    let bench = Bench::new();
    bench.import(GOOD).ok();
    let segment = segment(&bench);
    let mut bytes = fs::read(&segment).unwrap();
    let whole = bytes.len();
    // The closing frame is cut off, and half of a frame follows: what a crash in a write leaves.
    bytes.truncate(whole - 44);
    bytes.extend_from_slice(b"PUGF\x01\x02\x03");
    fs::write(&segment, bytes).unwrap();
    let answer = bench.run(&["sql", "s", "SELECT count(*) AS n FROM events", "--format", "csv"]).ok();
    assert_eq!(answer, "n\n1\n");
}

#[test]
fn a_store_and_an_input_are_not_overwritten() {
    let bench = Bench::new();
    bench.import(&format!("{GOOD}\n")).ok();
    let segment = "s/log/00000000000000000001.log";
    for words in [&["export", "s", "--out", segment][..], &["trend", "s", "view", "--format", "csv", "--out", "s/LOCK"]]
    {
        let run = bench.run(words);
        assert_eq!(run.code, 2, "{words:?}");
        assert!(run.stderr.contains("lies inside the store"), "{}", run.stderr);
    }
    let run = bench.run(&["import", "s", "events.ndjson", "--rejects", "events.ndjson"]);
    assert_eq!(run.code, 2);
    assert!(fs::read_to_string(bench.path("events.ndjson")).unwrap().contains(GOOD));
    assert!(bench.run(&["trend", "s", "view"]).ok().contains('1'));
}

#[test]
fn control_characters_of_events_do_not_reach_the_terminal() {
    let bench = Bench::new();
    bench
        .import("{\"event\":\"v\\u001b[31mred\",\"distinct_id\":\"u\",\"properties\":{\"x\":\"a\\nb\\u0007\"}}\n")
        .ok();
    let told = bench.run(&["info", "s"]).ok();
    assert!(!told.contains('\u{1b}') && told.contains("v\\u{1b}[31mred"), "{told}");
    let told = bench.run(&["trend", "s", "*", "--by", "x"]).ok();
    assert!(!told.contains('\u{7}') && told.contains("a\\nb\\u{7}"), "{told}");
}
