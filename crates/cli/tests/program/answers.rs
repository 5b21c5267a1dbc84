//! From a file to answers, in every form.

use std::fs;

use crate::bench::Bench;
use serde_json::{Value, json};

const WEEK: &str = r#"{"event":"view","distinct_id":"anon-1","timestamp":"2025-01-01T09:00:00Z","message_id":"m1","properties":{"country":"DE","page":{"url":"/"},"$browser":"Firefox","userId":7}}
{"type":"identify","anonymous_id":"anon-1","user_id":"ann"}
{"event":"cart","distinct_id":"ann","timestamp":"2025-01-01T09:05:00Z","message_id":"m2","properties":{"country":"DE","amount":12}}
{"event":"purchase","distinct_id":"ann","timestamp":"2025-01-08T09:00:00Z","message_id":"m3","properties":{"country":"DE","amount":12.5}}
{"event":"view","distinct_id":"bob","timestamp":"2025-01-02T10:00:00Z","message_id":"m4","properties":{"country":"FR"}}
{"event":"view","distinct_id":"bob","timestamp":"2025-01-09T10:00:00Z","message_id":"m5","properties":{"country":"FR"}}
"#;
const FUNNEL: [&str; 8] = ["funnel", "s", "view", "cart", "purchase", "--window", "7d", "--format"];

fn week() -> Bench {
    let bench = Bench::new();
    let told = bench.import(WEEK).ok();
    assert!(told.contains("5 accepted, 0 duplicate, 0 rejected, 1 linked"), "{told}");
    bench
}

fn counts(funnel: &Value) -> Vec<u64> {
    funnel["groups"][0]["steps"].as_array().unwrap().iter().map(|step| step["count"].as_u64().unwrap()).collect()
}

#[test]
fn a_funnel_follows_a_person_across_a_login() {
    let bench = week();
    let funnel = bench.run(&[&FUNNEL[..], &["json"]].concat()).json();
    assert_eq!(funnel["kind"], "funnel");
    assert_eq!(counts(&funnel), [2, 1, 1]);
    let table = bench.run(&[&FUNNEL[..], &["table"]].concat()).ok();
    assert!(table.contains("1. view") && table.contains("100.0 %") && table.contains("50.0 %"), "{table}");
}

#[test]
fn a_journey_is_of_all_ids_and_turns_its_pages() {
    let bench = week();
    let words = ["journey", "s", "anon-1", "--limit", "2"];
    let page = bench.run(&[&words[..], &["--format", "json"]].concat()).json();
    assert_eq!((&page["person"], &page["sessions"][0]["events"][0]["event"]), (&json!("ann"), &json!("purchase")));
    let next = page["next"].as_str().unwrap();
    let table = bench.run(&words).ok();
    assert!(table.contains("09:05:00  cart      country=DE  amount=12"), "{table}");
    assert!(table.contains(&format!("more: --cursor {next}")), "{table}");
    let last = bench.run(&[&words[..], &["--cursor", next]].concat()).ok();
    assert!(last.contains("09:00:00  view  as anon-1  country=DE") && !last.contains("more:"), "{last}");
    let csv = bench.run(&["journey", "s", "ann", "--order", "oldest", "--format", "csv"]).ok();
    assert!(csv.starts_with("number,session,sequence,event,timestamp,distinct_id,properties\n1,,"), "{csv}");
    assert_eq!(csv.lines().count(), 4);
}

#[test]
fn a_segment_is_counted_named_saved_and_asked_by_its_name() {
    let bench = week();
    let buyers = ["segment", "s", "--did", "view", "--did-not", "cart"];
    assert_eq!(bench.run(&buyers).ok().lines().next(), Some(" 1 person"));
    let csv = bench.run(&["segment", "s", "--last", "view", "--people", "--format", "csv"]).ok();
    assert_eq!(csv, "person\nbob\n");
    let again = r#"{"did": {"event": "view"}, "times": {"at_least": 2}}"#;
    let saved = bench.run(&["save", "s", "again", "--segment", again, "--description", "came twice"]).ok();
    assert_eq!(saved, " the segment \"again\" is saved, version 1\n");
    bench.run(&["save", "s", "crowd", "--people", "\"again\""]).ok();
    let trend = bench.run(&["trend", "s", "view", "--segment", "again", "--format", "json"]).json();
    assert_eq!(trend["series"][0]["total"], 2);
    let question = r#"{"trend": {"series": [{"event": "view"}], "interval": "week", "segment": {"cohort": "crowd"}}}"#;
    bench.run(&["save", "s", "weekly", "--question", question]).ok();
    assert_eq!(bench.run(&["ask", "s", "weekly", "--format", "json"]).json()["series"][0]["values"], json!([1, 1]));
    assert!(bench.run(&["ask", "s", "again"]).ok().starts_with(" 1 person\n"));
    let listed = bench.run(&["saved", "s"]).ok();
    assert!(listed.contains("again") && listed.contains("came twice") && listed.contains("1 person"), "{listed}");
    let both = [
        "trend",
        "s",
        "view",
        "--measure",
        "uniques",
        "--segment",
        "again",
        "--segment",
        r#"{"did": {"event": "cart"}}"#,
    ];
    let side = bench.run(&[&both[..], &["--format", "csv"]].concat()).ok();
    assert!(side.starts_with("segment,") && side.contains("\nagain,") && side.contains("\n2,"), "{side}");
    let table = bench.run(&both).ok();
    assert!(table.starts_with(" again\n\n") && table.contains("\n 2\n\n"), "{table}");
    let by = bench.run(&["trend", "s", "view", "--by-segment", "again", "--format", "json"]).json();
    assert_eq!(by["series"][0]["breakdown"], json!([true]));
    assert_eq!((&by["series"][0]["total"], &by["series"][1]["total"]), (&json!(2), &json!(1)));
    bench.run(&["saved", "s", "--remove", "weekly"]).ok();
    let gone = bench.run(&["ask", "s", "weekly"]).error(1);
    assert!(gone.contains("no question or segment or cohort is saved as \"weekly\""), "{gone}");
}

#[test]
fn a_breakdown_and_a_filter_cut_the_answer() {
    let bench = week();
    let trend = bench.run(&["trend", "s", "view", "--by", "country", "--interval", "week", "--format", "json"]).json();
    let series = trend["series"].as_array().unwrap();
    let by_country: Vec<(&Value, &Value)> = series.iter().map(|one| (&one["breakdown"][0], &one["total"])).collect();
    assert_eq!(by_country, [(&json!("FR"), &json!(2)), (&json!("DE"), &json!(1))]);
    let filtered = bench.run(&["trend", "s", "*", "--filter", "amount > 12", "--format", "json"]).json();
    assert_eq!(filtered["series"][0]["total"], 1);
}

#[test]
fn retention_shows_who_came_back() {
    let bench = week();
    let words = ["retention", "s", "view", "*", "--interval", "week", "--from", "2024-12-30", "--to", "2025-01-13"];
    let answer = bench.run(&[&words[..], &["--format", "json"]].concat()).json();
    let rows = &answer["groups"][0]["rows"];
    assert_eq!((&rows[0]["size"], &rows[0]["values"]), (&json!(2), &json!([2, 2])));
    let table = bench.run(&words).ok();
    assert!(table.contains("2024-12-30") && table.contains("weighted average"), "{table}");
    let colored = bench.run(&[&words[..], &["--color", "always"]].concat()).ok();
    assert!(colored.contains("\u{1b}[48;5;"), "a shaded triangle");
}

#[test]
fn odd_property_names_work_in_filters_and_sql() {
    let bench = week();
    for filter in ["page.url = '/'", "$browser = 'Firefox'", "userId = 7"] {
        let answer = bench.run(&["trend", "s", "view", "--filter", filter, "--format", "json"]).json();
        assert_eq!(answer["series"][0]["total"], 1, "{filter}");
        assert_eq!(answer["warnings"], json!([]), "{filter}");
        let sql = format!("SELECT count(*) AS n FROM events WHERE {filter}");
        assert_eq!(bench.run(&["sql", "s", &sql, "--format", "json"]).json(), json!([{"n": 1}]), "{filter}");
    }
}

#[test]
fn sql_answers_as_table_csv_and_from_standard_input() {
    let bench = week();
    let sql = "SELECT country, count(*) AS n FROM events GROUP BY country ORDER BY country";
    assert_eq!(bench.run(&["sql", "s", sql, "--format", "csv"]).ok(), "country,n\nDE,3\nFR,2\n");
    let table = bench.run_with_input(&["sql", "s"], sql).ok();
    assert!(table.contains(" DE       3") && table.ends_with(" 2 rows\n"), "{table}");
    let people = bench.run(&["sql", "s", "SELECT name FROM persons ORDER BY name", "--format", "csv"]).ok();
    assert_eq!(people, "name\nann\nbob\n");
    let nothing = bench.run(&["sql", "s", "SELECT event FROM events WHERE event = 'none'", "--format", "csv"]).ok();
    assert_eq!(nothing, "event\n");
}

#[test]
fn answers_for_programs_agree_with_each_other() {
    let bench = week();
    let csv = bench.run(&[&FUNNEL[..], &["csv"]].concat()).ok();
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines[0].starts_with("step,name,count,from_first"), "{csv}");
    assert!(lines[1].starts_with("1,view,2,1.0"), "{csv}");
    assert_eq!(lines.len(), 4);
    for format in ["parquet", "arrow"] {
        bench.run(&[&FUNNEL[..], &[format, "--out", "answer"]].concat()).ok();
        assert!(fs::metadata(bench.path("answer")).unwrap().len() > 200, "{format}");
    }
    bench.run(&[&FUNNEL[..], &["parquet", "--out", "answer.parquet"]].concat()).ok();
    assert_eq!(&fs::read(bench.path("answer.parquet")).unwrap()[..4], b"PAR1");
}

#[test]
fn the_json_form_gives_the_answer_of_the_command_line() {
    let bench = week();
    let query = r#"{"funnel":{"steps":[{"event":"view"},{"event":"cart"},{"event":"purchase"}],"window":"7d"}}"#;
    let mut typed = bench.run(&[&FUNNEL[..], &["json"]].concat()).json();
    let mut asked = bench.run_with_input(&["query", "s"], query).json();
    for answer in [&mut typed, &mut asked] {
        answer["now"].take();
    }
    assert_eq!(typed, asked);
}

#[test]
fn explain_says_what_was_read() {
    let bench = week();
    let answer = bench.run(&["trend", "s", "view", "--explain", "--format", "json"]).json();
    assert_eq!(answer["explain"]["source"], "rollups", "{answer}");
    assert_eq!(answer["explain"]["files"], 1);
    // Some of the first day lies before.
    let table = bench.run(&["trend", "s", "view", "--from", "2025-01-01T09:01:00Z", "--explain"]).ok();
    assert!(table.contains(" source: rollups and columns") && table.contains(" plan:"), "{table}");
}

#[test]
fn importing_twice_adds_nothing() {
    let bench = week();
    let told = bench.import(WEEK).ok();
    assert!(told.contains("0 accepted, 5 duplicate, 0 rejected, 1 linked already"), "{told}");
    let info = bench.run(&["info", "s", "--format", "json"]).json();
    assert_eq!((&info["events"], &info["people"], &info["distinct_ids"]), (&json!(5), &json!(2), &json!(3)));
}

#[test]
fn an_export_imports_to_the_same_answers() {
    let bench = week();
    let lines = bench.run(&["export", "s"]).ok();
    assert_eq!(lines.lines().count(), 6);
    bench.file("out.ndjson", &lines);
    bench.run(&["import", "copy", "out.ndjson"]).ok();
    for question in [
        &["trend", "DIR", "*", "--measure", "uniques", "--by", "country"][..],
        &["funnel", "DIR", "view", "cart", "purchase", "--window", "7d"],
        &["retention", "DIR", "view", "*"],
        &["sql", "DIR", "SELECT event, distinct_id, timestamp, amount, page.url FROM events ORDER BY timestamp"],
    ] {
        let of = |store: &str| {
            let words: Vec<&str> = question.iter().map(|word| if *word == "DIR" { store } else { word }).collect();
            bench.run(&[&words[..], &["--format", "csv"]].concat()).ok()
        };
        assert_eq!(of("s"), of("copy"), "{question:?}");
    }
    for format in ["csv", "parquet"] {
        let file = format!("out.{format}");
        bench.run(&["export", "s", "--format", format, "--out", &file]).ok();
        let store = format!("from-{format}");
        let told = bench.run(&["import", &store, &file]).ok();
        assert!(told.contains("5 accepted"), "{format}: {told}");
    }
}

#[test]
fn an_export_goes_on_where_the_one_before_ended() {
    let bench = week();
    let ran = bench.run(&["export", "s"]);
    let through =
        ran.stderr.split("--since ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap().to_owned();
    bench.file("more.ndjson", "{\"event\":\"view\",\"distinct_id\":\"new\",\"message_id\":\"new\"}\n");
    assert_eq!(bench.run(&["export", "s", "--since", &through]).ok(), "", "nothing is new");
    bench.run(&["import", "s", "more.ndjson"]).ok();
    let more = bench.run(&["export", "s", "--since", &through]).ok();
    assert!(more.lines().count() == 1 && more.contains("\"new\""), "{more}");
    let ahead = bench.run(&["export", "s", "--since", "99"]).error(1);
    assert!(ahead.contains("sequence 99"), "{ahead}");
}

#[test]
fn csv_with_a_mapping_keeps_equal_rows_and_leading_zeros() {
    let bench = Bench::new();
    bench.file(
        "orders.csv",
        "customer_id,date,amount\n00004,1997-01-01,29.33\n00004,1997-01-01,29.33\n00021,1997-01-18,14.96\n",
    );
    let words = ["import", "s", "orders.csv", "--map", "distinct_id=customer_id,timestamp=date", "--event", "purchase"];
    assert!(bench.run(&words).ok().contains("3 accepted"));
    assert!(bench.run(&words).ok().contains("0 accepted, 3 duplicate"));
    let sql = "SELECT distinct_id, count(*) AS n, sum(amount) AS amount FROM events GROUP BY distinct_id ORDER BY distinct_id";
    let answer = bench.run(&["sql", "s", sql, "--format", "csv"]).ok();
    assert_eq!(answer, "distinct_id,n,amount\n00004,2,58.66\n00021,1,14.96\n");
}

#[test]
fn standard_input_is_a_file_like_any_other() {
    let bench = Bench::new();
    let told = bench.run_with_input(&["import", "s", "-"], WEEK).ok();
    assert!(told.contains("5 accepted"), "{told}");
}

#[test]
fn an_empty_file_makes_an_empty_store_that_answers() {
    let bench = Bench::new();
    bench.import("").ok();
    let trend =
        bench.run(&["trend", "s", "view", "--from", "2025-01-01", "--to", "2025-01-03", "--format", "json"]).json();
    assert_eq!(trend["series"][0]["values"], json!([0, 0]));
    bench.run(&["funnel", "s", "view", "cart"]).ok();
    bench.run(&["retention", "s", "view"]).ok();
    assert_eq!(
        bench.run(&["sql", "s", "SELECT count(*) AS n FROM events", "--format", "json"]).json(),
        json!([{"n": 0}])
    );
}

#[test]
fn what_is_declared_answers_the_same_and_is_listed_until_it_is_taken_back() {
    let bench = week();
    let question =
        ["trend", "s", "view", "--by", "country", "--from", "2025-01-01", "--to", "2025-01-15", "--format", "json"];
    let series = || serde_json::from_str::<Value>(&bench.run(&question).ok()).unwrap()["series"].clone();
    let before = series();
    assert!(bench.run(&["declare", "s"]).ok().contains("nothing is declared"));
    bench.run(&["declare", "s", "countries", "--event", "view", "--by", "country", "--sum", "amount"]).ok();
    let listed = bench.run(&["declare", "s"]).ok();
    assert_eq!(listed.trim(), "countries: view by country, sums of amount");
    assert_eq!(series(), before);
    let explained = bench.run(&[&question[..9], &["--explain"]].concat()).ok();
    assert!(explained.contains("declared=countries, cubes=1"), "{explained}");
    assert!(bench.run(&["declare", "s", "nothing"]).error(2).contains("--by PROPERTY"));
    assert!(bench.run(&["declare", "s", "x", "--drop"]).error(1).contains("countries"));
    bench.run(&["declare", "s", "countries", "--drop"]).ok();
    assert!(bench.run(&["declare", "s"]).ok().contains("nothing is declared"));
    assert_eq!(series(), before);
}

#[test]
fn a_segment_is_given_in_the_json_form() {
    let bench = week();
    let total = |segment: &str| {
        let question = ["trend", "s", "view", "--measure", "uniques", "--segment", segment, "--format", "json"];
        serde_json::from_str::<Value>(&bench.run(&question).ok()).unwrap()["series"][0]["total"].clone()
    };
    assert_eq!(total(r#"{"did": {"event": "purchase"}}"#), json!(1));
    assert_eq!(total(r#"{"did": {"event": "view"}, "times": {"at_least": 2}}"#), json!(1));
    let refused = bench.run(&["trend", "s", "view", "--segment", "{buyers"]);
    assert!(refused.code == 2 && refused.stderr.contains("--segment"), "{}", refused.stderr);
    let unknown = bench.run(&["trend", "s", "view", "--segment", "buyers"]).error(1);
    assert!(unknown.contains("no segment or cohort is saved as \"buyers\""), "{unknown}");
    assert!(bench.run(&["trend", "s", "view", "--segment", r#"{"dit": 1}"#]).error(1).contains("segment.dit"));
}

#[test]
fn a_funnel_takes_every_choice_by_a_flag() {
    let bench = week();
    let ask = |more: &[&str]| {
        let line: Vec<&str> = ["funnel", "s", "view", "cart"]
            .into_iter()
            .chain(more.iter().copied())
            .chain(["--format", "json"])
            .collect();
        bench.run(&line).json()
    };
    assert_eq!(counts(&ask(&["--exclude", "cart:1-2:void"])), [2, 1]);
    assert_eq!(ask(&["--people", "2:dropped"])["people"], json!(["bob"]));
    assert_eq!(ask(&["--people", "2:converted"])["people"], json!(["ann"]));
    assert_eq!(ask(&["--rows"])["groups"][0]["rows"][0]["steps"][1]["message_id"], "m2");
    let by_week = &ask(&["--trend", "week"])["groups"][0]["trend"];
    assert_eq!(by_week["steps"], json!([[2, 1], [1, 0]]));
    let every = ask(&["--entry", "every", "--window", "1d", "--like", "clickhouse"]);
    assert_eq!(counts(&every), [3, 1]);
    let shown = bench.run(&["funnel", "s", "view", "cart", "--trend", "week", "--rows", "--people", "2:dropped"]).ok();
    assert!(
        shown.contains("beginning") && shown.contains("2025-01-02T10:00:00Z") && shown.contains("1 person"),
        "{shown}"
    );
}

#[test]
fn a_question_is_compared_with_an_earlier_range() {
    let bench = week();
    let line = ["trend", "s", "view", "--interval", "week", "--from", "2025-01-06", "--to", "2025-01-13"];
    let line: Vec<&str> = line.into_iter().chain(["--compare", "previous"]).collect();
    let answer = bench.run(&[&line[..], &["--format", "json"]].concat()).json();
    assert_eq!((&answer["series"][0]["total"], &answer["compare"]["series"][0]["total"]), (&json!(1), &json!(2)));
    assert_eq!(answer["compare"]["range"]["from"], "2024-12-30T00:00:00Z");
    let shown = bench.run(&line).ok();
    assert!(shown.contains("compared with") && shown.contains("2024-12-30"), "{shown}");
}

#[test]
fn a_question_is_explained_without_its_answer() {
    let bench = week();
    let question = r#"{"stickiness": {"event": {"event": "*"}}}"#;
    let told = bench.run_with_input(&["explain", "s"], question).ok();
    assert!(told.contains("source") && told.contains("LocalStickiness"), "{told}");
}

#[test]
fn an_answer_is_drawn_into_a_file_besides() {
    let bench = week();
    let drawn = |words: &[&str], name: &str| {
        let told = bench.run(&[words, &["--chart", name]].concat()).ok();
        assert!(!told.is_empty(), "the answer is shown, too");
        fs::read(bench.path(name)).unwrap()
    };
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let funnel = text(drawn(&["funnel", "s", "view", "cart", "purchase"], "funnel.svg"));
    assert!(funnel.starts_with("<svg") && funnel.contains("3. purchase") && funnel.contains("50.0 %"), "{funnel}");
    let page = text(drawn(&["trend", "s", "view", "--by", "country"], "trend.html"));
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("<svg") && page.contains("FR"), "{page}");
    let dots = drawn(&["paths", "s", "view", "--within", "all", "--chart-theme", "dark"], "paths.png");
    assert!(dots.starts_with(b"\x89PNG\r\n"));
    for words in [&["retention", "s", "view"][..], &["stickiness", "s"], &["lifecycle", "s"]] {
        assert!(text(drawn(words, "other.svg")).ends_with("</svg>\n"), "{words:?}");
    }
    let said = bench.run(&["trend", "s", "view", "--chart", "trend.jpg"]).error(2);
    assert!(said.contains("a chart is .svg, .png or .html, found trend.jpg"), "{said}");
    let said = bench.run(&["trend", "s", "view", "--chart", "s/trend.svg"]).error(2);
    assert!(said.contains("lies inside the store"), "{said}");
    assert!(!bench.path("trend.jpg").exists() && !bench.path("s/trend.svg").exists());
}

#[test]
fn paths_are_shown_and_followed_back() {
    let bench = week();
    let paths = bench.run(&["paths", "s", "view", "--within", "all", "--format", "json"]).json();
    let first = &paths["edges"][0];
    assert_eq!((&first["from"], &first["to"], &first["mean_seconds"]), (&json!("view"), &Value::Null, &Value::Null));
    assert_eq!(paths["paths"][1]["nodes"], json!(["view", "cart", "purchase"]));
    let back = bench.run(&["paths", "s", "purchase", "-b", "-w", "7d", "-d", "2"]).ok();
    assert!(back.contains("purchase  cart") && back.contains("purchase → cart"), "{back}");
}

#[test]
fn an_import_says_what_events_were_sent_with_and_a_trend_what_led_to_a_purchase() {
    let bench = Bench::new();
    let view = |id: &str, day: u32, page: &str| {
        let context = json!({"userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
            "ip": "203.0.113.7", "page": {"url": page}, "headers": {"origin": "https://shop.example"}});
        json!({"event": "view", "distinct_id": id, "timestamp": format!("2025-01-0{day}"), "context": context})
            .to_string()
    };
    let buys = r#"{"event":"purchase","distinct_id":"ann","timestamp":"2025-01-05","amount":30}
{"event":"purchase","distinct_id":"bob","timestamp":"2025-01-05","amount":5}"#;
    let lines = [
        view("ann", 1, "https://shop.example/?utm_source=news&utm_medium=email"),
        view("ann", 2, "https://shop.example/tea"),
        view("ann", 3, "https://shop.example/?gclid=1"),
        buys.to_owned(),
    ];
    fs::write(bench.path("visits.ndjson"), lines.join("\n")).unwrap();
    let import = ["import", "s", "visits.ndjson", "--enrich", "device,source", "--site", "shop=shop.example"];
    assert!(bench.run(&import).ok().contains("5 accepted"));
    assert!(bench.run(&import).ok().contains("0 accepted, 5 duplicate"));
    let told =
        bench.run(&["sql", "s", "SELECT DISTINCT browser, site FROM events WHERE event = 'view'", "--format", "csv"]);
    assert_eq!(told.ok(), "browser,site\nFirefox,shop\n");
    let kept = bench.run(&[
        "sql",
        "s",
        "SELECT count(*) AS n FROM events WHERE context LIKE '%203.0.113%'",
        "--format",
        "csv",
    ]);
    assert_eq!(kept.ok(), "n\n0\n");
    let shared = ["trend", "s", "purchase", "--measure", "sum:amount", "--attribute", "first", "--attribute", "linear"];
    let answer = bench.run(&[&shared[..], &["--by", "traffic_class", "--format", "json"]].concat()).json();
    let of = |name: &str, class: Value| {
        let all = answer["series"].as_array().unwrap();
        let own = all.iter().find(|one| one["name"] == name && one["breakdown"][0] == class).unwrap();
        own["total"].as_f64().unwrap()
    };
    // The page in between was reached from nowhere else.
    assert_eq!(["email", "direct", "paid"].map(|class| of("purchase linear", class.into())), [10.0; 3]);
    assert_eq!((of("purchase first", "email".into()), of("purchase first", Value::Null)), (30.0, 5.0));
    let bad = bench.run(&["trend", "s", "purchase", "--measure", "avg:amount", "--attribute", "first"]).error(1);
    assert!(bad.contains("belongs to the measures count and sum"), "{bad}");
}
