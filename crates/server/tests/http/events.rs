//! Events in, counted, listed and followed.

use axum::body::Body;
use axum::http::{Method, Request};
use http_body_util::BodyExt;
use pugmark_server::{Config, Enrich, Server};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::Bench;

const VIEW: &str =
    r#"{"event":"view","distinct_id":"ann","timestamp":"2025-01-01T10:00:00Z","message_id":"m1","country":"DE"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_is_told_of_one_by_one_and_stored_once() {
    let bench = Bench::new();
    let body = format!(
        r#"[{VIEW}, {VIEW}, {{"event":"view","distinct_id":"ann","message_id":"m1"}}, {{"event":"view"}}, {{"type":"identify","anonymous_id":"a7","user_id":"ann"}},
        {{"type":"identify","anonymous_id":"a7","user_id":"ann"}}, {{"type":"identify","anonymous_id":"null","user_id":"ann"}}, {{"event":"view","distinct_id":"x","timestamp":"2999-01-01"}}]"#
    );
    let told = bench.post("/v1/events", &bench.write, body.clone()).await.with(202);
    let outcomes: Vec<&str> =
        told["outcomes"].as_array().unwrap().iter().map(|one| one["outcome"].as_str().unwrap()).collect();
    assert_eq!(
        outcomes,
        ["accepted", "duplicate", "conflict", "rejected", "accepted", "already", "refused", "rejected"]
    );
    assert_eq!(
        told["outcomes"][3],
        json!({"outcome": "rejected", "field": "distinct_id", "reason": "missing or blank"})
    );
    assert_eq!(told["outcomes"][7]["field"], "timestamp");
    assert!(told["outcomes"][6]["reason"].as_str().unwrap().starts_with("wrong_id"), "{told}");
    assert_eq!(told["stored"], 5);
    bench.post("/v1/events", &bench.write, body).await.with(202);
    assert_eq!(bench.get("/v1/events/count").await.with(200), json!({"count": 1}));
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_an_object_and_every_compression_are_read() {
    let bench = Bench::new();
    let lines = format!("{VIEW}\n\n{}\n", VIEW.replace("m1", "m2"));
    let reply = bench
        .call(
            Method::POST,
            "/v1/events",
            &bench.write,
            &[("content-type", "application/x-ndjson; charset=utf-8")],
            lines,
        )
        .await;
    assert_eq!(reply.with(202)["stored"], 2);
    bench.post("/v1/events", &bench.write, VIEW.replace("m1", "m3")).await.with(202);
    for (at, encoding) in ["gzip", "zstd", "br"].into_iter().enumerate() {
        let text = VIEW.replace("m1", &format!("c{at}"));
        let packed = packed(text.as_bytes(), encoding);
        let headers = [("content-type", "application/json"), ("content-encoding", encoding)];
        let reply = bench.call(Method::POST, "/v1/events", &bench.write, &headers, packed).await;
        assert_eq!(reply.with(202)["outcomes"][0]["outcome"], "accepted", "{encoding}");
    }
    assert_eq!(bench.get("/v1/events/count?event=view").await.with(200), json!({"count": 6}));
}

/// Some bytes, compressed.
pub(crate) fn packed(bytes: &[u8], encoding: &str) -> Vec<u8> {
    use std::io::Write;

    match encoding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "zstd" => zstd::encode_all(bytes, 3).unwrap(),
        _ => {
            let mut packed = Vec::new();
            brotli::BrotliCompress(&mut &bytes[..], &mut packed, &brotli::enc::BrotliEncoderParams::default()).unwrap();
            packed
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_under_an_idempotency_key_is_stored_once() {
    let bench = Bench::new();
    let body = r#"[{"event":"view","distinct_id":"ann"},{"event":"view","distinct_id":"ann"}]"#;
    let bench = &bench;
    let send = |id: &'static str| async move {
        bench.call(Method::POST, "/v1/events", &bench.write, &[("idempotency-key", id)], body).await
    };
    assert_eq!(send("order-17").await.with(202)["outcomes"][1]["outcome"], "accepted");
    assert_eq!(send("order-17").await.with(202)["outcomes"][1]["outcome"], "duplicate");
    assert_eq!(send("order-18").await.with(202)["outcomes"][1]["outcome"], "accepted");
    assert_eq!(bench.get("/v1/events/count").await.with(200), json!({"count": 4}));
    assert_eq!(send(" ").await.with(400)["field"], "idempotency-key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_with_a_key_of_its_domain_is_stored_once() {
    let bench = Bench::new();
    let order =
        r#"{"event":"Paid","distinct_id":"ann","key":"order 1017","timestamp":"2025-01-01T10:00:00Z","total":5}"#;
    let sent = |body: &str| bench.post("/v1/events", &bench.write, body.to_owned());
    assert_eq!(sent(order).await.with(202)["outcomes"][0]["outcome"], "accepted");
    assert_eq!(sent(order).await.with(202)["outcomes"][0]["outcome"], "duplicate");
    assert_eq!(sent(&order.replace("1017", "1018")).await.with(202)["outcomes"][0]["outcome"], "accepted");
    assert_eq!(bench.get("/v1/events/count?event=Paid").await.with(200), json!({"count": 2}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_or_stored_has_its_status() {
    let bench = Bench::new();
    for (body, status, says) in [
        ("", 400, "not JSON"),
        ("[]", 400, "no event"),
        ("[{]", 400, "not JSON"),
        ("{} {}", 400, "nothing more"),
        (r#"{"event":"view"}"#, 422, "missing or blank"),
        ("7", 422, "expected an object"),
    ] {
        let reply = bench.post("/v1/events", &bench.write, body).await;
        let told = reply.with(status);
        assert!(told.to_string().contains(says), "{body}: {told}");
        if status == 400 {
            assert_eq!(reply.headers["content-type"], "application/problem+json");
        }
    }
    assert_eq!(bench.post("/v1/events", &bench.write, vec![b'"', 0xff, b'"']).await.with(400)["at"], 1);
    let odd = bench.call(Method::POST, "/v1/events", &bench.write, &[("content-type", "image/png")], VIEW).await;
    assert_eq!(odd.with(415)["kind"], "unsupported");
    let odd = bench.call(Method::POST, "/v1/events", &bench.write, &[("content-encoding", "pigeon")], VIEW).await;
    assert_eq!(odd.with(415)["field"], "content-encoding");
    assert_eq!(bench.call(Method::PUT, "/v1/events", &bench.write, &[], VIEW).await.with(405)["status"], 405);
    assert_eq!(bench.get("/v1/nothing").await.with(404)["kind"], "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_counted_by_day_and_listed() {
    let bench = Bench::new();
    let at = |hour: u32, id: &str, who: &str| json!({"event": "view", "distinct_id": who, "message_id": id, "timestamp": format!("2025-01-0{}T10:00:00Z", hour)});
    bench.track(&json!([at(1, "a", "ann"), at(1, "b", "bob"), at(3, "c", "ann")])).await;
    let days = bench.get("/v1/events/by-day?event=view&from=2025-01-01&to=2025-01-04").await.with(200);
    assert_eq!(days["series"][0]["values"], json!([2, 0, 1]));
    let filtered = bench.get("/v1/events/count?filter=distinct_id%20%3D%20%27ann%27").await.with(200);
    assert_eq!(filtered, json!({"count": 2}));
    let recent = bench.get("/v1/events/recent?limit=2").await.with(200);
    let ids: Vec<&str> = recent.as_array().unwrap().iter().map(|row| row["message_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["c", "b"]);
    assert_eq!(bench.get("/v1/events/recent?limit=0").await.with(400)["field"], "limit");
    assert_eq!(bench.get("/v1/events/recent?limt=1").await.with(400)["kind"], "invalid");
    assert!(bench.get("/v1/events/count?event=veiw").await.with(200).is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_gives_what_comes_and_goes_on_where_it_ended() {
    let bench = Bench::new();
    let event = |name: &str, id: &str| json!({"event": name, "distinct_id": "ann", "message_id": id});
    bench.track(&event("view", "before")).await;
    let follow = |headers: &'static [(&'static str, &'static str)], query: &str| {
        let mut request = axum::http::Request::builder().uri(format!("/v1/events/stream{query}"));
        request = request.header("authorization", format!("Bearer {}", bench.read));
        request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        tower::ServiceExt::oneshot(bench.router.clone(), request.body(Body::empty()).unwrap())
    };
    let mut live = follow(&[], "?filter=event%20%3D%20%27buy%27").await.unwrap().into_body();
    bench.track(&json!([event("view", "1"), event("buy", "2"), event("view", "3")])).await;
    let frame = live.frame().await.unwrap().unwrap().into_data().unwrap();
    let text = String::from_utf8(frame.to_vec()).unwrap();
    assert!(text.contains(r#""message_id":"2""#) && text.contains("id: 3"), "{text}");
    let mut again = follow(&[("last-event-id", "1")], "").await.unwrap().into_body();
    let text = String::from_utf8(again.frame().await.unwrap().unwrap().into_data().unwrap().to_vec()).unwrap();
    assert!(text.contains(r#""message_id":"1""#), "{text}");
    assert_eq!(bench.get("/v1/events/stream?filter=true)%20union%20(select").await.with(400)["kind"], "invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_without_an_id_gets_one_where_that_is_wanted() {
    let view = json!([{"event": "view"}, {"event": "view", "distinct_id": "ann"}]);
    let refused = Bench::new();
    let told = refused.post("/v1/events", &refused.write, view.to_string()).await.with(202);
    assert_eq!(told["outcomes"][0]["field"], "distinct_id");

    let enrich = Enrich { visitor: true, ..Enrich::default() };
    let bench = Bench::with(Config { enrich, ..Config::default() });
    bench.track(&view).await;
    bench.track(&view).await;
    let people =
        bench.sql("SELECT distinct_id, count(*) AS events FROM events GROUP BY 1 ORDER BY length(distinct_id)").await;
    assert_eq!(people[0], json!({"distinct_id": "ann", "events": 2}));
    assert_eq!((people[1]["events"].as_u64(), people[1]["distinct_id"].as_str().unwrap().len()), (Some(2), 32));
    assert_eq!(people.as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_is_of_people_and_answers_say_so() {
    let bench = Bench::with(Config { sample_rate: 0.25, ..Config::default() });
    let events: Vec<Value> = (0..4_000)
        .map(|at| json!({"event": "view", "distinct_id": format!("u{}", at % 1_000), "message_id": format!("m{at}")}))
        .collect();
    let told = bench.post("/v1/events", &bench.write, json!(events).to_string()).await.with(202);
    let sampled = told["outcomes"].as_array().unwrap().iter().filter(|one| one["outcome"] == "sampled").count();
    let stored = told["stored"].as_u64().unwrap() as usize;
    assert_eq!(stored + sampled, 4_000);
    let people = bench.sql("SELECT count(*) AS events, count(DISTINCT person) AS people FROM events").await[0].clone();
    assert_eq!((people["events"].as_u64(), people["people"].as_u64()), (Some(stored as u64), Some(stored as u64 / 4)));
    assert!((200..300).contains(&(stored / 4)), "{stored}");
    let out = events.iter().zip(told["outcomes"].as_array().unwrap()).find(|(_, one)| one["outcome"] == "sampled");
    // What is left out is no fault of the sender, also where it is all of it.
    bench.track(out.unwrap().0).await;
    let answer = bench.get("/v1/events/by-day").await.with(200);
    assert!(answer["warnings"][0].as_str().unwrap().contains("25 % of the distinct ids"), "{answer}");

    let counted = bench.get("/v1/events/count").await.with(200);
    assert!(counted["warnings"][0].as_str().unwrap().contains("25 %"), "{counted}");
    let rows = bench.post("/v1/sql", &bench.read, "SELECT count(*) FROM events").await;
    assert!(rows.headers["pugmark-warning"].to_str().unwrap().contains("25 %"), "{}", rows.text());

    let root = bench.root.path().to_owned();
    bench.server.clone().close().await;
    let again = |sample_rate: f64| Server::open(&root, Config { sample_rate, ..Config::default() });
    drop((bench.router, bench.server));
    // The whole from here on, which answers tell apart from what was before.
    let server = again(1.0).unwrap();
    let ask = Request::get("/v1/events/by-day").header("authorization", format!("Bearer {}", bench.read));
    let response = server.router().oneshot(ask.body(Body::empty()).unwrap()).await.unwrap();
    let text = String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
    assert!(text.contains("25 %") && text.contains("until"), "{text}");
}
