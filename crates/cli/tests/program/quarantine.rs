//! Events whose message id was taken: listed, dropped, stored under another id.

use crate::bench::Bench;
use serde_json::Value;

fn line(amount: u32) -> String {
    format!(
        r#"{{"event":"order","distinct_id":"ann","message_id":"order-1","timestamp":"2025-01-01T09:00:00Z","properties":{{"amount":{amount}}}}}"#
    )
}

#[test]
fn what_is_kept_aside_is_listed_dropped_and_stored_under_another_id() {
    let bench = Bench::new();
    bench.import(&[line(1), line(2), line(3)].join("\n"));
    let list = || bench.run(&["quarantine", "s", "list", "--format", "json"]).ok();
    let listed = list();
    let kept: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(kept.iter().map(|kept| &kept["properties"]["amount"]).collect::<Vec<_>>(), [2, 3]);
    assert_eq!((&kept[0]["sequence"], &kept[0]["message_id"]), (&Value::from(2), &Value::from("order-1")));
    assert!(bench.run(&["quarantine", "s"]).ok().contains("order-1"));
    assert!(bench.run(&["info", "s"]).ok().contains("2 events kept aside"));

    bench.run(&["quarantine", "s", "drop", "2"]).ok();
    assert!(bench.run(&["quarantine", "s", "drop", "2"]).error(1).contains("settled already"));
    bench.run(&["quarantine", "s", "store", "3", "--message-id", "order-2"]).ok();
    assert_eq!(list(), "");
    let answer =
        bench.run(&["sql", "s", "SELECT message_id, amount FROM events ORDER BY amount", "--format", "csv"]).ok();
    assert_eq!(answer, "message_id,amount\norder-1,1\norder-2,3\n");
    let exported = bench.run(&["export", "s"]).ok();
    assert_eq!(exported.lines().count(), 2, "no event is what was dropped: {exported}");
}
