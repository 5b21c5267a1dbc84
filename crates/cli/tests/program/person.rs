//! Who somebody is and why, and mistakes that are taken back.

use crate::bench::Bench;
use serde_json::{Value, json};

const LINES: &str = r#"{"event":"view","distinct_id":"tablet","message_id":"m1","timestamp":"2025-01-01T09:00:00Z"}
{"event":"view","distinct_id":"ann","message_id":"m2","timestamp":"2025-01-01T10:00:00Z"}
{"event":"view","distinct_id":"bob","message_id":"m3","timestamp":"2025-01-01T11:00:00Z"}
{"type":"identify","anonymous_id":"tablet","user_id":"ann"}
{"type":"identify","anonymous_id":"tablet","user_id":"bob"}"#;

#[test]
fn a_wrong_link_is_found_previewed_and_taken_back() {
    let bench = Bench::new();
    bench.import(LINES);
    let people = || bench.run(&["sql", "s", "SELECT count(*) FROM persons", "--format", "csv"]).ok();
    assert!(people().ends_with("\n2\n"), "{}", people());
    let shown: Value =
        serde_json::from_str(&bench.run(&["person", "show", "s", "tablet", "--format", "json"]).ok()).unwrap();
    assert_eq!((&shown["name"], &shown["links"]), (&json!("ann"), &json!(1)));
    let preview = bench.run(&["person", "split", "s", "tablet", "--dry-run"]).ok();
    assert!(preview.contains("1 link would be revoked, and there would be 2 persons"), "{preview}");
    assert!(people().ends_with("\n2\n"), "a preview changes nothing");

    let split = bench.run(&["person", "split", "s", "tablet", "--by", "support", "--why", "it is shared"]).ok();
    assert!(split.contains("it is split off, by the operation at 6"), "{split}");
    assert!(people().ends_with("\n3\n"), "{}", people());
    let again = bench.run(&["person", "split", "s", "tablet"]).ok();
    assert!(again.contains("nothing changed: it has no link that stands"), "{again}");
    let links = bench.run(&["person", "links", "s", "tablet", "--format", "csv"]).ok();
    assert!(links.contains("4,") && links.contains(",identify,tablet,ann,,,6"), "{links}");
    let history = bench.run(&["person", "history", "s", "tablet"]).ok();
    assert!(history.contains("conflict") && history.contains("it is shared"), "{history}");

    let merged = bench.run(&["person", "merge", "s", "ann", "bob"]).ok();
    assert!(merged.contains("they are one person, by the operation at"), "{merged}");
    let suspects = bench.run(&["person", "suspects", "s", "--format", "csv"]).ok();
    assert!(suspects.contains(",ann,2,2,2"), "{suspects}");
    let exported = bench.run(&["export", "s"]).ok();
    assert!(exported.contains(r#"{"type":"split","id":"tablet","by":"support","why":"it is shared"}"#), "{exported}");
    assert!(exported.contains(r#"{"type":"merge","ids":["ann","bob"]}"#), "{exported}");
}

#[test]
fn what_cannot_be_is_said() {
    let bench = Bench::new();
    bench.import(LINES);
    assert!(bench.run(&["person", "show", "s", "nobody"]).error(2).contains("\"nobody\" was never seen in this store"));
    assert!(bench.run(&["person", "split", "s", "nobody"]).error(1).contains("id: \"nobody\" was never seen"));
    assert!(
        bench.run(&["person", "split", "s", "--link", "1"]).error(1).contains("no link of an operation at 1 stands")
    );
    for (args, says) in [(vec!["person", "split", "s"], "ID"), (vec!["person", "merge", "s", "ann"], "ID")] {
        let run = bench.run(&args);
        assert_eq!(run.code, 2, "{}", run.stderr);
        assert!(run.stderr.contains(says), "{}", run.stderr);
    }
    assert!(bench.run(&["person", "merge", "s", "ann", "null", "--create"]).error(1).contains("wrong_id"));
    let mistyped = bench.run(&["person", "merge", "s", "ann", "bbo"]).error(2);
    assert!(mistyped.contains("\"bbo\" was never seen") && mistyped.contains("--create"), "{mistyped}");
}

#[test]
fn one_person_is_written_out_and_erased() {
    let bench = Bench::new();
    bench.import(LINES);
    bench.import(r#"{"type":"set","distinct_id":"ann","traits":{"email":"Ann@Example.org"},"message_id":"p1","timestamp":"2025-01-01T12:00:00Z"}"#);
    let lines = bench.run(&["person", "export", "s", "tablet"]).ok();
    assert_eq!(lines.lines().count(), 4, "{lines}");
    assert!(lines.contains("Ann@Example.org") && lines.contains(r#""type":"identify""#), "{lines}");
    assert!(!lines.contains("bob"), "{lines}");
    let found = bench.run(&["people", "s", "--search", "ann@", "--trait", "email", "--format", "csv"]).ok();
    assert!(found.contains("ann,0,2,true,2025-01-01T09:00:00Z,2025-01-01T10:00:00Z,2,2,1,"), "{found}");

    let refused = bench.run(&["person", "erase", "s", "tablet"]).error(2);
    assert!(refused.contains("ann has 2 ids; what is erased cannot be brought back"), "{refused}");
    let receipt = bench.run(&["person", "erase", "s", "tablet", "--yes"]).ok();
    assert!(receipt.contains("2 distinct ids erased"), "{receipt}");
    assert!(bench.run(&["person", "export", "s", "ann"]).error(2).contains("\"ann\" was never seen in this store"));
    let people = bench.run(&["people", "s", "--format", "json"]).ok();
    let people: Value = serde_json::from_str(&people).unwrap();
    assert_eq!((&people["count"], &people["people"][0]["person"]), (&json!(1), &json!("bob")));
    let nobody = bench.run(&["people", "s", "--search", "ann"]).ok();
    assert!(!nobody.contains("ann"), "{nobody}");
}

#[test]
fn people_are_listed_page_by_page_with_what_they_brought() {
    let bench = Bench::new();
    bench.import(LINES);
    bench.import(r#"{"event":"buy","distinct_id":"bob","message_id":"m9","timestamp":"2025-01-02T11:00:00Z","properties":{"amount":2.5}}"#);
    let unsorted = bench.run(&["people", "s", "--sort", "revenue"]).error(1);
    assert!(unsorted.contains("nothing is declared as revenue"), "{unsorted}");
    let declared = bench.run(&["declare", "s", "income", "--event", "buy", "--revenue", "amount"]).ok();
    assert!(declared.contains("income: buy, sums of amount, revenue is amount"), "{declared}");
    let page = bench.run(&["people", "s", "--sort", "revenue", "--limit", "1", "--format", "json"]).ok();
    let page: Value = serde_json::from_str(&page).unwrap();
    assert_eq!((&page["people"][0]["person"], &page["people"][0]["revenue"]), (&json!("bob"), &json!(2.5)));
    let next = page["next"].as_str().unwrap();
    let page = bench.run(&["people", "s", "--sort", "revenue", "--limit", "1", "--cursor", next]).ok();
    assert!(page.contains("ann") && page.contains("2 people in all") && !page.contains("more:"), "{page}");
}
