//! How much may come, and how long a thing may take.

use axum::body::Body;
use axum::http::Method;
use pugmark_server::Config;
use serde_json::json;

use crate::Bench;
use crate::events::packed;

/// It takes no memory, and time without end.
const ENDLESS: &str = "SELECT sum(a.value % 7) FROM generate_series(1, 1000000000000000) a";

fn views(count: usize) -> String {
    let one = |at: usize| json!({"event": "view", "distinct_id": format!("u{at}")});
    serde_json::Value::Array((0..count).map(one).collect()).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_of_so_many_bytes_also_unpacked_and_of_so_many_events() {
    let bench = Bench::with(Config { body_max_bytes: 20_000, batch_max_events: 100, ..Config::default() });
    assert_eq!(bench.post("/v1/events", &bench.write, views(101)).await.with(413)["kind"], "too_large");
    assert_eq!(bench.post("/v1/events", &bench.write, " ".repeat(20_001)).await.with(413)["kind"], "too_large");
    // Few bytes that would be ten million.
    for packing in ["gzip", "zstd", "br"] {
        let bomb = packed(&vec![b' '; 10 << 20], packing);
        assert!(bomb.len() < 20_000, "{packing}: {}", bomb.len());
        let headers = [("content-encoding", packing), ("content-type", "application/json")];
        let told = bench.call(Method::POST, "/v1/events", &bench.write, &headers, bomb).await.with(413);
        assert_eq!(told["kind"], "too_large", "{packing}");
    }
    let broken =
        bench.call(Method::POST, "/v1/events", &bench.write, &[("content-encoding", "gzip")], "nonsense").await;
    assert_eq!(broken.with(400)["kind"], "invalid");
    bench.post("/v1/events", &bench.write, views(100)).await.with(202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_sends_too_much_is_told_when_to_come_back() {
    let bench =
        Bench::with(Config { events_per_second: 10, events_burst: 20, requests_per_second: 5, ..Config::default() });
    let first = bench.post("/v1/events", &bench.write, views(15)).await;
    first.with(202);
    let said = |reply: &crate::Reply| {
        ["limit", "remaining", "reset"]
            .map(|name| reply.headers[format!("ratelimit-{name}")].to_str().unwrap().parse::<u32>().unwrap())
    };
    assert_eq!(said(&first), [20, 5, 2]);
    bench.post("/v1/events", &bench.write, views(5)).await.with(202);
    let late = bench.post("/v1/events", &bench.write, views(20)).await;
    assert_eq!(late.with(429)["kind"], "busy");
    assert_eq!(
        (&late.headers["retry-after"], &late.headers["ratelimit-limit"]),
        (&"2".parse().unwrap(), &"20".parse().unwrap())
    );
    assert_eq!(said(&late)[..2], [20, 0]);
    // Others are not held up.
    bench.post("/v1/events", &bench.admin, views(20)).await.with(202);
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(bench.get("/v1/registry/events").await.status.as_u16());
    }
    assert!(statuses.contains(&429) && statuses.contains(&200), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_and_a_slow_question_end() {
    let bench = Bench::with(Config { body_timeout_ms: 100, query_timeout_ms: 300, ..Config::default() });
    let never = Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    assert_eq!(bench.call(Method::POST, "/v1/events", &bench.write, &[], never).await.with(408)["kind"], "timeout");
    bench.post("/v1/events", &bench.write, views(1_000)).await.with(202);
    let asked = bench.post("/v1/sql", &bench.read, json!({"sql": ENDLESS}).to_string()).await;
    assert_eq!(asked.with(504)["kind"], "timeout");
    // The threads that answered it are free again.
    assert_eq!(bench.get("/v1/events/count").await.with(200), json!({"count": 1000}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_said_and_not_waited_for() {
    let bench = Bench::with(Config { body_max_bytes: 1_000, queue_max_bytes: 2_000, ..Config::default() });
    // The store is opened by then: a request that is not gone on with would keep others from it.
    bench.post("/v1/events", &bench.write, views(1)).await.with(202);
    let (sender, receiver) = futures::channel::mpsc::unbounded::<Result<bytes::Bytes, std::io::Error>>();
    sender.unbounded_send(Ok(vec![b' '; 900].into())).unwrap();
    let slow = bench.call(Method::POST, "/v1/events", &bench.write, &[], Body::from_stream(receiver));
    let mut slow = std::pin::pin!(slow);
    assert!(futures::poll!(&mut slow).is_pending());
    let turned_away = bench.post("/v1/events", &bench.write, views(10)).await;
    assert_eq!(turned_away.with(429)["retry_after_s"], 1);
    sender.unbounded_send(Ok(r#"{"event":"x","distinct_id":"u"}"#.into())).unwrap();
    drop(sender);
    slow.await.with(202);
    bench.post("/v1/events", &bench.write, views(10)).await.with(202);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_strangers_keep_none_out_whose_key_is_known() {
    let bench = Bench::with(Config { body_max_bytes: 1_000, queue_max_bytes: 4_000, ..Config::default() });
    bench.post("/v1/events", &bench.write, views(1)).await.with(202);
    let begun = || {
        let (sender, receiver) = futures::channel::mpsc::unbounded::<Result<bytes::Bytes, std::io::Error>>();
        sender.unbounded_send(Ok(vec![b' '; 900].into())).unwrap();
        (sender, bench.call(Method::POST, "/v1/track", "", &[], Body::from_stream(receiver)))
    };
    let (_never, slow) = begun();
    let mut slow = std::pin::pin!(slow);
    assert!(futures::poll!(&mut slow).is_pending());
    let message =
        json!({"event": "x", "userId": "u", "writeKey": bench.write, "properties": {"text": "x".repeat(300)}})
            .to_string();
    assert_eq!(bench.post("/v1/track", "", message.clone()).await.with(429)["kind"], "busy");
    bench.post("/v1/track", &bench.write, message).await.with(200);
    bench.post("/v1/events", &bench.write, views(10)).await.with(202);
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_wait_for_their_turn_and_no_longer_than_they_may() {
    let bench = Bench::with(Config { queries_at_once: 1, query_timeout_ms: 600, ..Config::default() });
    bench.post("/v1/events", &bench.write, views(1_000)).await.with(202);
    let asks = |statement: &str| bench.post("/v1/sql", &bench.read, json!({"sql": statement}).to_string());
    let (first, second) = futures::join!(asks(ENDLESS), async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        asks(ENDLESS).await
    });
    for late in [first, second] {
        assert_eq!(late.with(504)["kind"], "timeout");
    }
    assert_eq!(asks("SELECT count(*) AS n FROM events").await.with(200), json!([{"n": 1000}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_has_no_place_for_a_column_is_said() {
    let bench = Bench::new();
    bench.post("/v1/events", &bench.write, views(2)).await.with(202);
    let list = "SELECT array_agg(event) AS names FROM events";
    for (accept, statement) in
        [("text/csv", list), ("application/vnd.apache.parquet", "SELECT INTERVAL '1 month' AS long FROM events")]
    {
        let headers = [("accept", accept), ("content-type", "text/plain")];
        let told = bench.call(Method::POST, "/v1/sql", &bench.read, &headers, statement).await.with(406);
        assert_eq!((&told["kind"], &told["field"]), (&json!("unsupported"), &json!("accept")), "{told}");
    }
    assert_eq!(bench.sql(list).await, json!([{"names": ["view", "view"]}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_takes_too_much_memory_is_told_so_on_every_road() {
    let bench = Bench::with(Config { query_memory_bytes: 1 << 20, ..Config::default() });
    for _ in 0..3 {
        bench.post("/v1/events", &bench.write, views(10_000)).await.with(202);
    }
    let statement = "SELECT count(DISTINCT message_id) FROM events";
    for reply in [
        bench.post("/v1/sql", &bench.read, json!({ "sql": statement }).to_string()).await,
        bench.get("/v1/events/recent?limit=1000").await,
        bench.get("/v1/events/count?filter=message_id%20%3C%3E%20%27x%27").await,
    ] {
        assert!([200, 422].contains(&reply.status.as_u16()), "{}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_has_so_many_rows() {
    let bench = Bench::with(Config { rows_max: 10, ..Config::default() });
    bench.post("/v1/events", &bench.write, views(11)).await.with(202);
    let all = bench.post("/v1/sql", &bench.read, json!({"sql": "SELECT event FROM events"}).to_string()).await;
    assert_eq!(all.with(422)["kind"], "full");
    assert_eq!(bench.sql("SELECT event FROM events LIMIT 10").await.as_array().unwrap().len(), 10);
}
