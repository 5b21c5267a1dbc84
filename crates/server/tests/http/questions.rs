//! Answers.

use axum::body::Body;
use axum::http::{Method, Request};
use http_body_util::BodyExt;
use pugmark::arrow::ipc::reader::StreamReader;
use pugmark_server::Config;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::Bench;

async fn shop() -> Bench {
    let bench = Bench::new();
    let event = |name: &str, who: &str, hour: u32| json!({"event": name, "distinct_id": who, "timestamp": format!("2025-01-01T{hour:02}:00:00Z"), "country": "DE"});
    bench
        .track(&json!([
            event("view", "a1", 8), event("view", "ann", 9), event("buy", "ann", 10), event("view", "bob", 9),
            {"type": "identify", "anonymous_id": "a1", "user_id": "ann"}, {"type": "set", "distinct_id": "ann", "traits": {"email": "Ann@x.org"}},
        ]))
        .await;
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_question_is_answered() {
    let bench = shop().await;
    let range = json!({"from": "2025-01-01", "to": "2025-01-03"});
    for (question, place, expected) in [
        (
            json!({"trend": {"series": [{"event": "view", "measure": "uniques"}], "range": range}}),
            "/series/0/total",
            json!(2),
        ),
        (
            json!({"funnel": {"steps": [{"event": "view"}, {"event": "buy"}], "range": range}}),
            "/groups/0/steps/1/count",
            json!(1),
        ),
        (json!({"people": {"sort": "events"}}), "/people/0/person", json!("ann")),
        (json!({"journey": {"distinct_id": "a1"}}), "/sessions/0/events/0/event", json!("buy")),
        (json!({"segment": {"did": {"event": "buy"}}}), "/count", json!(1)),
    ] {
        let answer = bench.post("/v1/query", &bench.read, question.to_string()).await.with(200);
        assert_eq!(answer.pointer(place), Some(&expected), "{question}: {answer}");
    }
    let wrong = bench.post("/v1/query", &bench.read, r#"{"trend": {"serie": []}}"#).await.with(400);
    assert_eq!(wrong["nearest"], json!(["series"]), "{wrong}");
    let wrong = bench
        .post("/v1/query", &bench.read, r#"{"trend": {"series": [{"event": "view"}], "filter": "country ="}}"#)
        .await
        .with(400);
    assert_eq!((wrong["field"].as_str(), wrong["kind"].as_str()), (Some("filter"), Some("invalid")), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_in_the_form_that_is_asked_for() {
    let bench = shop().await;
    let ask = |accept: &'static str, sql: &'static str| {
        let headers = [("accept", accept), ("content-type", "text/plain")];
        let bench = &bench;
        async move { bench.call(Method::POST, "/v1/sql", &bench.read, &headers, sql).await }
    };
    let count = "SELECT event, count(*) AS n FROM events GROUP BY event ORDER BY event";
    assert_eq!(
        ask("application/json", count).await.with(200),
        json!([{"event": "buy", "n": 1}, {"event": "view", "n": 3}])
    );
    assert_eq!(ask("text/csv", count).await.text(), "event,n\nbuy,1\nview,3\n");
    let arrow = ask("application/vnd.apache.arrow.stream", count).await.body;
    let rows: usize = StreamReader::try_new(&arrow[..], None).unwrap().map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(rows, 2);
    assert_eq!(&ask("application/vnd.apache.parquet;q=1, */*", count).await.body[..4], b"PAR1");
    assert_eq!(ask("image/png", count).await.with(406)["field"], "accept");
    assert_eq!(ask("*/*", "SELECT event FROM events WHERE false").await.with(200), json!([]));
    let wrong = ask("*/*", "SELECT contry FROM events").await.with(400);
    assert!(wrong["nearest"].as_array().unwrap().contains(&json!("country")), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_without_a_bound_are_sent_as_they_are_found_and_a_break_is_no_end() {
    let bench = Bench::with(Config { rows_max: 0, body_max_bytes: 8 << 20, ..Config::default() });
    let event = |at: usize| json!({"event": "view", "distinct_id": format!("u{}", at % 7), "n": at});
    for from in [0, 10_000, 20_000] {
        bench.track(&(from..from + 10_000).map(event).collect::<Vec<_>>().into()).await;
    }
    let ask = |accept: &'static str, sql: &'static str| {
        let bench = &bench;
        async move {
            let headers = [("accept", accept), ("content-type", "text/plain")];
            bench.call(Method::POST, "/v1/sql", &bench.read, &headers, sql).await
        }
    };
    let all = "SELECT n, event FROM events";
    let rows = ask("application/json", all).await.with(200);
    let mut numbers: Vec<u64> = rows.as_array().unwrap().iter().map(|row| row["n"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(0..30_000), "{}", numbers.len());
    assert_eq!(ask("text/csv", all).await.text().lines().count(), 30_001);
    let arrow = ask("application/vnd.apache.arrow.stream", all).await.body;
    let arrow = StreamReader::try_new(arrow.as_slice(), None).unwrap();
    assert_eq!(arrow.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 30_000);
    let parquet = ask("application/vnd.apache.parquet", all).await.body;
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
    assert_eq!(ask("*/*", "SELECT event FROM events WHERE false").await.with(200), json!([]));
    assert_eq!(ask("text/csv", "SELECT event FROM events WHERE false").await.text(), "event\n");

    // The last of the rows cannot be computed: whoever reads sees that there is no end.
    let breaks = "SELECT n, 10 / (29999 - n) AS x FROM events";
    let request = Request::post("/v1/sql").header("authorization", format!("Bearer {}", bench.read));
    let response =
        bench.router.clone().oneshot(request.header("content-type", "text/plain").body(Body::from(breaks)).unwrap());
    let response = response.await.unwrap();
    if response.status() == 200 {
        assert!(response.into_body().collect().await.is_err());
    } else {
        assert_eq!(response.status(), 400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_listed_found_shown_split_and_erased() {
    let bench = shop().await;
    let page = bench.get("/v1/persons?sort=events&limit=1").await.with(200);
    assert_eq!(page["people"][0]["person"], "ann");
    let next = page["next"].as_str().unwrap();
    assert_eq!(
        bench.get(&format!("/v1/persons?sort=events&limit=1&cursor={next}")).await.with(200)["people"][0]["person"],
        "bob"
    );
    assert_eq!(bench.get("/v1/persons/search?q=ann%40&match=prefix").await.with(200)["people"][0]["person"], "ann");
    let ann = bench.get("/v1/persons/a1").await.with(200);
    assert_eq!((ann["name"].as_str(), ann["links"].as_array().map(Vec::len)), (Some("ann"), Some(1)));
    let journey = bench.get("/v1/persons/ann/journey?limit=2&order=oldest").await.with(200);
    assert!(journey["next"].is_string(), "{journey}");
    let split = bench.post("/v1/persons/a1/split", &bench.admin, r#"{"why": "a mistake"}"#).await.with(200);
    assert_eq!(split["outcome"], "accepted");
    assert_eq!(bench.get("/v1/persons/a1").await.with(200)["ids"].as_array().unwrap().len(), 1);
    let merged = bench.post("/v1/persons/a1/merge", &bench.admin, r#"{"ids": ["ann"]}"#).await.with(200);
    assert_eq!(merged["outcome"], "accepted");
    // An operation is taken back under an id that it is of.
    let of = json!({ "sequence": merged["sequence"] }).to_string();
    assert_eq!(bench.post("/v1/persons/bob/split", &bench.admin, of.clone()).await.with(400)["field"], "sequence");
    assert_eq!(bench.post("/v1/persons/a1/split", &bench.admin, of).await.with(200)["outcome"], "accepted");
    bench.post("/v1/persons/a1/merge", &bench.admin, r#"{"ids": ["ann"]}"#).await.with(200);
    assert_eq!(bench.post("/v1/persons/a1/merge", &bench.admin, r#"{"ids": []}"#).await.with(400)["field"], "ids");
    assert_eq!(bench.post("/v1/persons/nobody/split", &bench.admin, "").await.with(400)["field"], "id");
    let lines = bench.call(Method::GET, "/v1/persons/ann/export", &bench.admin, &[], Body::empty()).await;
    assert_eq!(lines.text().lines().filter(|line| line.contains("\"event\"")).count(), 3, "{}", lines.text());
    assert_eq!(bench.post("/v1/persons/ann/erase", &bench.admin, "").await.with(200)["ids"], 2);
    for (method, path) in [(Method::GET, ""), (Method::GET, "/export"), (Method::POST, "/erase")] {
        let gone = bench.call(method, &format!("/v1/persons/ann{path}"), &bench.admin, &[], Body::empty()).await;
        assert_eq!(gone.with(404)["kind"], "not_found", "{path}");
    }
    assert_eq!(bench.get("/v1/events/count").await.with(200), json!({"count": 1}));
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_saved_asked_and_taken_away() {
    let bench = shop().await;
    let put = |name: &str, body: Value| {
        let path = format!("/v1/saved/{name}");
        let bench = &bench;
        async move { bench.call(Method::PUT, &path, &bench.admin, &[], body.to_string()).await }
    };
    let question = json!({"question": {"trend": {"series": [{"event": "view"}], "range": {"from": "2025-01-01", "to": "2025-01-02"}}}, "description": "views"});
    assert_eq!(put("views", question.clone()).await.with(200), json!({"name": "views", "version": 1}));
    assert_eq!(put("buyers", json!({"segment": {"did": {"event": "buy"}}})).await.with(200)["version"], 1);
    assert_eq!(put("views", json!({"question": {}})).await.with(400)["status"], 400);
    assert_eq!(bench.get("/v1/saved").await.with(200).as_array().unwrap().len(), 2);
    assert_eq!(bench.get("/v1/saved/views").await.with(200)["description"], "views");
    assert_eq!(bench.get("/v1/saved/views/answer").await.with(200)["series"][0]["total"], 3);
    let before = bench.get("/v1/saved/views/answer?as_of=7").await;
    assert_eq!(before.with(200)["series"][0]["total"], 3);
    assert_eq!(bench.get("/v1/persons?segment=buyers").await.with(200)["people"].as_array().unwrap().len(), 1);
    let gone = bench.call(Method::DELETE, "/v1/saved/views", &bench.admin, &[], Body::empty()).await;
    assert_eq!(gone.with(200)["name"], "views");
    assert_eq!(bench.get("/v1/saved/views").await.with(404)["kind"], "not_found");
    assert_eq!(bench.call(Method::DELETE, "/v1/saved/views", &bench.admin, &[], Body::empty()).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_names_and_the_document_are_there() {
    let bench = shop().await;
    let stats = bench.get("/v1/stats").await.with(200);
    assert_eq!(
        (stats["events"].as_u64(), stats["people"].as_u64(), stats["events_per_person"].as_f64()),
        (Some(4), Some(2), Some(2.0))
    );
    assert_eq!(bench.get("/v1/registry/events").await.with(200)[0]["name"], "view");
    assert_eq!(bench.get("/v1/registry/properties").await.with(200)[0]["name"], "country");
    let document = bench.call(Method::GET, "/openapi.json", "", &[], Body::empty()).await.with(200);
    let paths = document["paths"].as_object().unwrap();
    for path in ["/v1/events", "/v1/query", "/v1/sql", "/v1/persons/{id}/erase", "/v1/keys/{id}", "/health/ready"] {
        assert!(paths.contains_key(path), "{path}: {:?}", paths.keys());
    }
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert_eq!(document["paths"]["/v1/batch"]["post"]["responses"]["429"]["content"].as_object().unwrap().len(), 1);
    for (path, operation) in
        paths.iter().flat_map(|(path, of)| of.as_object().unwrap().values().map(move |of| (path, of)))
    {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let of_path = parameters
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap());
        let named: Vec<&str> = of_path.collect();
        assert!(named.iter().all(|name| path.contains(&format!("{{{name}}}"))), "{path}: {named:?}");
        assert_eq!(named.len(), path.matches('{').count(), "{path}: {named:?}");
    }
    let asked = &document["paths"]["/v1/events/count"]["get"]["parameters"];
    assert!(asked.as_array().unwrap().iter().all(|parameter| parameter["required"] == false), "{asked}");
    // Every schema that it refers to is in it.
    let text = document.to_string();
    for name in text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
    }
    let page = bench.call(Method::GET, "/docs", "", &[], Body::empty()).await;
    assert_eq!((page.status.as_u16(), page.headers["location"].to_str().unwrap()), (308, "docs/"));
    let page = bench.call(Method::GET, "/docs/", "", &[], Body::empty()).await;
    assert!(page.text().contains("swagger-ui") && page.headers["content-type"] == "text/html", "{}", page.text());
    let script = bench.call(Method::GET, "/docs/swagger-initializer.js", "", &[], Body::empty()).await.text();
    assert!(script.contains("../openapi.json") && !script.contains("petstore"), "{script}");
    bench.call(Method::GET, "/docs/nothing", "", &[], Body::empty()).await.with(404);
    assert_eq!(bench.call(Method::GET, "/health/live", "", &[], Body::empty()).await.text(), "live\n");
    assert_eq!(bench.call(Method::GET, "/health/ready", "", &[], Body::empty()).await.status, 200);
    bench.server.stop();
    assert_eq!(bench.call(Method::GET, "/health/ready", "", &[], Body::empty()).await.status, 503);
}
