//! What somebody tries who means no good.

use axum::body::Body;
use axum::http::Method;
use pugmark_server::Config;
use serde_json::json;

use crate::Bench;

#[tokio::test(flavor = "multi_thread")]
async fn sql_reads_the_tables_and_nothing_else() {
    let bench = Bench::new();
    bench.track(&json!({"event": "view", "distinct_id": "ann"})).await;
    std::fs::write(bench.root.path().join("secret.csv"), "a,b\n1,2\n").unwrap();
    let file = bench.root.path().join("secret.csv").display().to_string();
    for statement in [
        "DROP TABLE events".to_owned(),
        "DELETE FROM events".to_owned(),
        "INSERT INTO events VALUES (1)".to_owned(),
        "UPDATE events SET event = 'x'".to_owned(),
        "CREATE TABLE x AS SELECT 1".to_owned(),
        format!("CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '{file}'"),
        format!("COPY (SELECT 1) TO '{file}.out'"),
        format!("SELECT * FROM '{file}'"),
        format!("SELECT * FROM read_csv('{file}')"),
        "SET datafusion.execution.target_partitions = 100".to_owned(),
        "SELECT 1; DROP TABLE events".to_owned(),
        "SELECT * FROM information_schema.tables".to_owned(),
        "(".repeat(10_000),
        format!("SELECT {}1", "1+".repeat(5_000)),
    ] {
        let body = json!({ "sql": statement }).to_string();
        let told = bench.post("/v1/sql", &bench.read, body).await.with(400);
        assert!(!told.to_string().contains("1,2"), "{told}");
    }
    assert!(!std::path::Path::new(&format!("{file}.out")).exists());
    assert_eq!(bench.get("/v1/events/count").await.with(200), json!({"count": 1}));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_takes_the_server_with_it() {
    let bench = Bench::new();
    bench.track(&json!({"event": "view", "distinct_id": "ann"})).await;
    let nested = |times: usize| format!("{}SELECT 1 AS a{}", "SELECT a FROM (".repeat(times), ") t".repeat(times));
    let doubled = (0..30)
        .fold("SELECT event AS a FROM events".to_owned(), |inner, _| format!("SELECT a || a AS a FROM ({inner}) t"));
    for (statement, statuses) in [
        (nested(40), [200, 400]),
        (nested(120), [400, 400]),
        (doubled, [400, 422]),
        // To plan them would take years.
        (format!("SELECT {}1{}", "(SELECT ".repeat(40), ")".repeat(40)), [400, 400]),
        (format!("SELECT 1 FROM events GROUP BY CUBE({})", vec!["event"; 40].join(", ")), [400, 400]),
        (format!("SELECT 1 FROM {}", vec!["events"; 500].join(" NATURAL JOIN ")), [400, 400]),
        ("SELECT repeat('x', 2000000000)".to_owned(), [422, 422]),
        ("SELECT range(1, 2000000000)".to_owned(), [422, 422]),
        ("SELECT count(repeat(event, 2000000000)) FROM events".to_owned(), [422, 422]),
        ("SELECT lpad(event, 2000000000) FROM events".to_owned(), [422, 422]),
        ("SELECT repeat('x', 60000) FROM generate_series(1, 100000)".to_owned(), [422, 422]),
    ] {
        let reply = bench.post("/v1/sql", &bench.read, json!({ "sql": statement }).to_string()).await;
        let start = &statement[..statement.len().min(60)];
        assert!(
            statuses.contains(&reply.status.as_u16()),
            "{start}: {} {}",
            reply.status,
            &reply.text()[..200.min(reply.body.len())]
        );
    }
    assert_eq!(bench.get("/v1/events/count").await.with(200), json!({"count": 1}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_is_a_condition_and_no_more() {
    let bench = Bench::new();
    bench.track(&json!({"event": "view", "distinct_id": "ann"})).await;
    for filter in [
        "true) UNION SELECT * FROM (SELECT 1",
        "1 = (SELECT 1)",
        "EXISTS (SELECT 1 FROM persons)",
        "event IN (SELECT event FROM events)",
        "true; DROP TABLE events",
        "true /*",
        "''' OR 1",
        "(",
        "",
    ] {
        let filter: String = filter.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for path in ["/v1/events/count", "/v1/events/by-day", "/v1/events/recent", "/v1/events/stream"] {
            assert_eq!(bench.get(&format!("{path}?filter={filter}")).await.status, 400, "{path} {filter}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_objects_are_refused_or_stored_and_never_a_fault() {
    let bench = Bench::new();
    let keys: serde_json::Map<String, serde_json::Value> =
        (0..100_000).map(|at| (format!("k{at}"), at.into())).collect();
    let many = json!({"event": "view", "distinct_id": "ann", "properties": keys}).to_string();
    let told = bench.post("/v1/events", &bench.write, many).await.with(422);
    assert!(told["outcomes"][0]["reason"].as_str().unwrap().contains("more than"), "{told}");
    let nested = format!(
        r#"{{"event":"view","distinct_id":"ann","properties":{}1{}}}"#,
        r#"{"a":"#.repeat(50_000),
        "}".repeat(50_000)
    );
    bench.post("/v1/events", &bench.write, nested.clone()).await.with(422);
    assert_eq!(bench.post("/v1/track", &bench.write, nested).await.status, 400);
    let lists = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    for path in ["/v1/events", "/v1/batch", "/v1/query", "/v1/sql"] {
        let reply = bench.post(path, &bench.admin, lists.clone()).await;
        assert!(reply.status.is_client_error(), "{path}: {}", reply.status);
    }
    for id in ["\u{0}", "a\nb", "=cmd()", "../../etc/passwd", "💥"] {
        let told = bench.post("/v1/events", &bench.write, json!({"event": id, "distinct_id": id}).to_string()).await;
        assert!(told.status == 202 || told.status == 422, "{id:?}: {}", told.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_formula_in_an_export_is_a_text() {
    let bench = Bench::new();
    bench.track(&json!({"event": "=cmd|'/c calc'!A1", "distinct_id": "@SUM(A1)", "note": "+1", "number": -1})).await;
    let headers = [("accept", "text/csv"), ("content-type", "text/plain")];
    let csv = bench
        .call(Method::POST, "/v1/sql", &bench.read, &headers, "SELECT event, distinct_id, note, number FROM events")
        .await
        .text();
    bench.track(&json!({"event": "x", "distinct_id": "u", "=1+1": 1})).await;
    let headings =
        bench.call(Method::POST, "/v1/sql", &bench.read, &headers, "SELECT \"=1+1\" FROM events").await.text();
    assert!(headings.starts_with("'=1+1\n"), "{headings}");
    assert_eq!(csv, "event,distinct_id,note,number\n'=cmd|'/c calc'!A1,'@SUM(A1),'+1,-1\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_forged_is_not_believed() {
    let enrich = pugmark_server::Enrich { visitor: true, ..Default::default() };
    let bench = Bench::with(Config { enrich, ..Config::default() });
    for forged in ["203.0.113.1", "203.0.113.2", "203.0.113.3"] {
        let body = json!({"name": "x"}).to_string();
        let headers = [("x-forwarded-for", forged), ("user-agent", "a")];
        bench.call(Method::POST, "/v1/page", &bench.write, &headers, body).await.with(200);
    }
    assert_eq!(bench.sql("SELECT count(DISTINCT person) AS n FROM events").await, json!([{"n": 1}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_odd_places_are_none() {
    let bench = Bench::new();
    for header in [
        "Bearer",
        "Bearer ",
        "Basic",
        "Basic Og==",
        "Bearer pm_000000000000_AAAA",
        &format!("Bearer {}x", bench.read),
        &format!("bearer{}", bench.read),
    ] {
        let reply = bench.call(Method::GET, "/v1/stats", "", &[("authorization", header)], Body::empty()).await;
        assert_eq!(reply.status, 401, "{header}");
    }
    let in_address = bench.call(Method::GET, &format!("/v1/stats?key={}", bench.read), "", &[], Body::empty()).await;
    assert_eq!(in_address.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_body_does_not_become_a_large_one() {
    let bench = Bench::new();
    let context = json!({"text": "x".repeat(500_000)});
    let batch =
        json!({"context": context, "batch": vec![json!({"type": "track", "event": "x", "userId": "u"}); 5_000]});
    assert_eq!(bench.post("/v1/batch", &bench.write, batch.to_string()).await.with(413)["field"], "context");
    let many = json!({"batch": vec![json!({"type": "track"}); 10_001]}).to_string();
    assert_eq!(bench.post("/v1/batch", &bench.write, many).await.status, 413);
    // Of whom nobody knows a short body is read, and whose key does not stand none.
    let long =
        json!({"writeKey": bench.write, "event": "x", "userId": "u", "properties": {"text": "x".repeat(2_000_000)}})
            .to_string();
    assert_eq!(bench.post("/v1/track", "", long.clone()).await.status, 413);
    assert_eq!(bench.post("/v1/track", "nonsense", long).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_is_kept_unless_it_is_asked_for() {
    let bench = Bench::new();
    let event = json!({"event": "x", "distinct_id": "u", "context": {"ip": "203.0.113.7", "page": {"url": "/"}}});
    bench.track(&event).await;
    let track =
        json!({"event": "y", "userId": "u", "context": {"ip": "203.0.113.7", "library": {"name": "a"}}}).to_string();
    bench.post("/v1/track", &bench.write, track).await.with(200);
    let rows = bench.sql("SELECT * FROM events").await.to_string();
    assert!(!rows.contains("203.0.113.7") && rows.contains("library"), "{rows}");
}
