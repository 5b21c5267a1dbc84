//! What holds of every chart.

use std::path::Path;

use serde_json::{Value, json};

use super::ChartFile;
use super::file::ChartTheme;

const HOSTILE: &str = "</text><script>alert(\"1\")</script>&\u{7}";

fn bytes(answer: &Value, titles: &[&str], name: &str, theme: ChartTheme) -> Vec<u8> {
    let titles: Vec<String> = titles.iter().map(|title| (*title).to_owned()).collect();
    ChartFile::new(Path::new(name), theme).expect("it is a form").bytes(answer, &titles).expect("it is drawn")
}

fn svg(answer: &Value, titles: &[&str]) -> String {
    String::from_utf8(bytes(answer, titles, "a.svg", ChartTheme::Auto)).expect("it is text")
}

/// An answer of each kind, in which names are this text.
fn answers(name: &str) -> Vec<Value> {
    let labels = ["2025-01-01", "2025-01-02"];
    vec![
        json!({"kind": "trend", "buckets": labels, "series": [{"name": name, "breakdown": [name], "values": [1, null]},
            {"name": "b", "breakdown": [null], "values": [2.5, 3]}]}),
        json!({"kind": "trend", "buckets": [], "series": [{"name": name, "breakdown": null,
            "frequency": {"times": [1, 3], "people": [5, 2]}}]}),
        json!({"kind": "funnel", "groups": [{"breakdown": [name], "steps": [{"name": name, "count": 2, "from_first": 1.0}]},
            {"breakdown": [{"other": true}], "steps": [{"name": name, "count": 0, "from_first": null}]}]}),
        json!({"kind": "retention", "measure": "units", "periods": ["0", name], "groups": [{"breakdown": [name],
            "rows": [{"cohort": name, "size": 4, "values": [4, 1], "complete": [true, false]}],
            "average": {"weighted": [1.0, null]}}]}),
        json!({"kind": "stickiness", "intervals": [1, 2], "groups": [{"breakdown": [name], "values": [3, 1]},
            {"breakdown": [7], "values": [2, 0]}]}),
        json!({"kind": "lifecycle", "buckets": [name], "new": [3], "returning": [2], "resurrecting": [1], "dormant": [4]}),
        json!({"kind": "sessions", "buckets": [name], "counts": [3]}),
        json!({"kind": "paths", "count": 3, "edges": [
            {"position": 1, "from": name, "to": "b", "count": 2}, {"position": 1, "from": name, "to": null, "count": 1},
            {"position": 2, "from": "b", "to": 7, "count": 2}]}),
    ]
}

/// An answer of each kind in which there is nothing.
fn empty() -> Vec<Value> {
    vec![
        json!({"kind": "trend", "buckets": [], "series": []}),
        json!({"kind": "funnel", "groups": []}),
        json!({"kind": "retention", "periods": [], "groups": []}),
        json!({"kind": "stickiness", "intervals": [], "groups": [{"breakdown": null, "values": []}]}),
        json!({"kind": "lifecycle", "buckets": [], "new": [], "returning": [], "resurrecting": [], "dormant": []}),
        json!({"kind": "sessions", "buckets": [], "counts": []}),
        json!({"kind": "paths", "count": 0, "edges": []}),
    ]
}

#[test]
fn names_are_written_and_not_obeyed() {
    for answer in answers(HOSTILE) {
        for theme in [ChartTheme::Auto, ChartTheme::Dark] {
            let page = String::from_utf8(bytes(&answer, &["plan"], "a.html", theme)).expect("it is text");
            assert!(!page.contains("<script") && !page.contains('\u{7}'), "{page}");
        }
        // What reads XML refuses what was not escaped.
        let dots = bytes(&answer, &["plan"], "a.png", ChartTheme::Light);
        assert!(dots.starts_with(b"\x89PNG"), "{answer}");
    }
    let trend = svg(&answers("a<b&c\"")[0], &["plan"]);
    assert!(trend.contains("a&lt;b&amp;c&quot;"), "{trend}");
}

#[test]
fn nothing_is_said_to_be_nothing() {
    for answer in empty() {
        let drawn = svg(&answer, &[]);
        assert!(drawn.contains("no data"), "{}: {drawn}", answer["kind"]);
    }
}

#[test]
fn the_same_answer_is_the_same_file() {
    for answer in answers("a") {
        let drawn = || svg(&answer, &["plan"]);
        assert_eq!(drawn(), drawn(), "{}", answer["kind"]);
    }
    let dots = || bytes(&answers("a")[7], &[], "a.png", ChartTheme::Dark);
    assert_eq!(dots(), dots());
}

#[test]
fn a_reader_in_the_dark_is_not_dazzled() {
    let answer = &answers("a")[0];
    let style = |theme| String::from_utf8(bytes(answer, &[], "a.svg", theme)).expect("it is text");
    assert!(style(ChartTheme::Auto).contains("@media(prefers-color-scheme:dark){[fill=\"#FFFFFF\"]{fill:#15191E}"));
    let dark = style(ChartTheme::Dark);
    assert!(!dark.contains("#FFFFFF") && !dark.contains("@media"), "{dark}");
    let light = style(ChartTheme::Light);
    assert!(light.contains("fill=\"#FFFFFF\"") && !light.contains("@media"), "{light}");
}

#[test]
fn a_line_is_broken_where_there_is_no_value() {
    let line = |values: Value| {
        let answer =
            json!({"kind": "trend", "buckets": ["a", "b", "c", "d", "e"], "series": [{"name": "x", "values": values}]});
        svg(&answer, &[]).matches("stroke=\"#3F7FDB\" stroke-width=\"2\"").count()
    };
    assert_eq!(line(json!([1, 2, 3, 4, 5])), 1);
    assert_eq!(line(json!([1, 2, null, 4, 5])), 2);
}

#[test]
fn a_long_name_is_cut_and_numbers_are_short() {
    let answer = json!({"kind": "trend", "buckets": ["a"], "series": [
        {"name": "n".repeat(500), "breakdown": null, "values": [1.5e18]}, {"name": "b", "breakdown": null, "values": [null]}]});
    let drawn = svg(&answer, &[]);
    assert!(drawn.contains("nnn…") && drawn.contains("1.5e18"), "{drawn}");
}

#[test]
fn a_chart_is_drawn_as_it_was() {
    let answer = json!({"kind": "trend", "range": {"from": "2025-01-01T00:00:00Z", "to": "2025-01-05T00:00:00Z"}, "time_zone": "UTC",
        "buckets": ["2025-01-01", "2025-01-02", "2025-01-03", "2025-01-04"],
        "series": [{"name": "view", "breakdown": null, "values": [3, 5, null, 4]}, {"name": "purchase", "breakdown": null, "values": [1, 0, 2, 1]}]});
    assert_eq!(svg(&answer, &[]), include_str!("golden/trend.svg"));
}

#[test]
fn a_long_retention_stays_within_its_picture() {
    let periods: Vec<String> = (0..400).map(|period| period.to_string()).collect();
    let row = json!({"cohort": "2025-01-01", "size": 4, "values": vec![1; 400], "complete": vec![true; 400]});
    let of = |rows: usize| {
        json!({"kind": "retention", "measure": "units", "periods": periods, "groups": [{"breakdown": null, "rows": vec![&row; rows],
            "average": {"weighted": vec![0.25; 400]}}]})
    };
    let drawn = svg(&of(1), &[]);
    let ends = drawn.split("<rect x=\"").skip(1).filter_map(|rest| rest.split('"').next());
    assert!(ends.map(|x| x.parse::<u32>().expect("it is a number")).max() < Some(960), "{drawn}");
    assert!(drawn.contains("Retention, 356 of 400 periods"), "{drawn}");
    let file = ChartFile::new(Path::new("a.png"), ChartTheme::Light).expect("it is a form");
    let refused = file.bytes(&of(1_000), &[]).expect_err("it is too large").to_string();
    assert!(refused.contains("too large for a .png"), "{refused}");
}

#[test]
fn other_endings_and_other_kinds_are_refused() {
    let refused = ChartFile::new(Path::new("a.jpg"), ChartTheme::Auto).expect_err("it is no form");
    assert_eq!(refused.to_string(), "a chart is .svg, .png or .html, found a.jpg");
    let file = ChartFile::new(Path::new("a.SVG"), ChartTheme::Auto).expect("it is a form");
    let refused = |answer: Value| file.bytes(&answer, &[]).expect_err("there is no chart of it").to_string();
    assert_eq!(refused(json!({"kind": "journey"})), "there is no chart of a journey");
    assert!(refused(json!({"kind": "sessions"})).contains("add an interval"));
    assert!(refused(json!({"kind": "trend", "segments": []})).contains("one segment"));
}
