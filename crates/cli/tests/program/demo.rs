//! The first command that a newcomer runs.

use crate::bench::Bench;

#[test]
fn the_demo_imports_a_year_and_answers() {
    let bench = Bench::new();
    let shown = bench.run(&["demo", "shop"]).ok();
    for expected in [
        "A year of a small shop",
        "$ pugmark trend",
        "1. visit",
        "4. purchase",
        "country",
        "weighted average",
        "Ask more:",
    ] {
        assert!(shown.contains(expected), "{expected} is missing in\n{shown}");
    }
    assert!(!shown.contains('\u{1b}'), "colours without a terminal");

    let info = bench.run(&["info", "shop/store", "--format", "json"]).json();
    assert!(info["events"].as_u64().unwrap() > 50_000, "{info}");
    assert_eq!(info["columns"]["tail_rows"], 0);
    assert!(info["people"].as_u64().unwrap() < info["distinct_ids"].as_u64().unwrap(), "links join ids to people");

    // What the funnel shows is what the store holds: nobody buys without a first visit.
    let people = bench.run(&["trend", "shop/store", "visit", "--measure", "uniques", "--format", "json"]).json();
    let funnel = bench
        .run(&["funnel", "shop/store", "visit", "view", "cart", "purchase", "--window", "365d", "--format", "json"])
        .json();
    assert_eq!(funnel["groups"][0]["steps"][0]["count"], people["series"][0]["total"]);

    let again = bench.run(&["demo", "shop"]).ok();
    assert!(again.contains(" 0 accepted"), "the same year adds nothing:\n{again}");
}
