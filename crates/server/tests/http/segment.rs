//! What SDKs of Segment and RudderStack send.

use axum::body::Body;
use axum::http::Method;
use base64::Engine as _;
use pugmark_server::{Config, Enrich, Hosts, KeepAddress};
use serde_json::json;

use crate::Bench;

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_makes_events_people_and_groups() {
    let bench = Bench::new();
    let batch = json!({"writeKey": bench.write, "sentAt": "2025-01-01T10:00:01Z", "batch": [
        {"type": "page", "anonymousId": "a1", "messageId": "1", "properties": {"url": "https://shop.example/"}, "timestamp": "2025-01-01T10:00:00Z"},
        {"type": "identify", "anonymousId": "a1", "userId": "ann", "messageId": "2", "traits": {"plan": "pro"}},
        {"type": "track", "event": "Paid", "userId": "ann", "messageId": "3", "properties": {"total": 5}},
        {"type": "group", "userId": "ann", "groupId": "acme", "messageId": "4", "traits": {"seats": 7}},
        {"type": "alias", "previousId": "a2", "userId": "ann", "messageId": "5"},
        {"type": "track", "messageId": "6"},
    ]});
    let told = bench.post("/v1/batch", "", batch.to_string()).await.with(200);
    assert_eq!(told["success"], true);
    assert_eq!(told["rejected"], json!([{"at": 5, "field": "event", "reason": "missing or blank"}]));
    // An SDK that was not answered sends all of it again.
    bench.post("/v1/b", "", batch.to_string()).await.with(200);
    let rows = bench.sql("SELECT event, distinct_id, profile('plan') AS plan, group_profile('group_id', 'seats') AS seats FROM events ORDER BY sequence").await;
    assert_eq!(
        rows,
        json!([
            {"event": "page", "distinct_id": "a1", "plan": "pro", "seats": null},
            {"event": "Paid", "distinct_id": "ann", "plan": "pro", "seats": null},
            {"event": "group", "distinct_id": "ann", "plan": "pro", "seats": 7.0},
        ])
    );
    let ann = bench.get("/v1/persons/a2").await.with(200);
    assert_eq!((ann["name"].as_str(), ann["ids"].as_array().map(Vec::len)), (Some("ann"), Some(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_has_its_address_and_its_letter() {
    let bench = Bench::new();
    let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{}:", bench.write)));
    for (at, path) in ["/v1/track", "/v1/t", "/v1/page", "/v1/p", "/v1/screen", "/v1/s"].into_iter().enumerate() {
        let body = json!({"event": "x", "userId": "u", "messageId": at.to_string()}).to_string();
        bench.call(Method::POST, path, "", &[("authorization", &basic)], body).await.with(200);
    }
    for path in ["/v1/identify", "/v1/i", "/v1/group", "/v1/g", "/v1/alias", "/v1/a"] {
        let body = json!({"userId": "u", "groupId": "g", "previousId": "v", "writeKey": bench.write}).to_string();
        bench.post(path, "", body).await.with(200);
    }
    assert_eq!(bench.get("/v1/events/count").await.with(200), json!({"count": 8}));
    assert_eq!(bench.post("/v1/m", "", "{}").await.status, 204);
    assert_eq!(
        bench.post("/v1/track", "", json!({"event": "x", "userId": "u"}).to_string()).await.with(401)["kind"],
        "unauthorized"
    );
    assert_eq!(bench.post("/v1/batch", &bench.write, "{}").await.with(400)["detail"], "batch: missing");
    assert_eq!(bench.post("/v1/track", &bench.write, "[").await.with(400)["kind"], "invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_gets_its_settings_and_may_send_as_an_address() {
    let bench = Bench::new();
    let path = format!("/v1/projects/{}/settings", bench.write);
    let settings = bench.call(Method::GET, &path, "", &[("host", "events.example")], Body::empty()).await.with(200);
    assert_eq!(settings["integrations"]["Segment.io"]["apiHost"], "events.example/v1");
    assert_eq!(
        bench.call(Method::GET, "/v1/projects/nonsense/settings", "", &[], Body::empty()).await.with(401)["status"],
        401
    );
    let message = json!({"event": "seen", "anonymousId": "a", "writeKey": bench.write}).to_string();
    let data = base64::engine::general_purpose::URL_SAFE.encode(message);
    let dot = bench.call(Method::GET, &format!("/v1/pixel/track?data={data}"), "", &[], Body::empty()).await;
    assert_eq!((dot.status.as_u16(), &dot.body[..6]), (200, &b"GIF89a"[..]));
    assert_eq!(bench.get("/v1/events/count?event=seen").await.with(200), json!({"count": 1}));
    assert_eq!(
        bench.call(Method::GET, "/v1/pixel/track?data=%21", "", &[], Body::empty()).await.with(400)["field"],
        "data"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sender_is_told_by_the_request_where_that_is_wanted() {
    let enrich = Enrich { device: true, visitor: true, ..Enrich::default() };
    let trusted_proxies = vec!["192.0.2.0/24".parse().unwrap()];
    let bench = Bench::with(Config { enrich, trusted_proxies, ..Config::default() });
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
    let bench = &bench;
    let send = |forwarded: &'static str| async move {
        let body = json!({"properties": {"url": "/"}, "writeKey": bench.write}).to_string();
        let headers = [("user-agent", firefox), ("x-forwarded-for", forwarded)];
        bench.call(Method::POST, "/v1/page", "", &headers, body).await
    };
    send("203.0.113.7").await.with(200);
    send("203.0.113.7").await.with(200);
    send("203.0.113.8").await.with(200);
    let rows = bench
        .sql("SELECT browser, count(*) AS events, count(DISTINCT person) AS visitors FROM events GROUP BY browser")
        .await;
    assert_eq!(rows, json!([{"browser": "Firefox", "events": 3, "visitors": 2}]));
    let contexts = bench.sql("SELECT * FROM events").await.to_string();
    assert!(!contexts.contains("203.0.113"), "{contexts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_no_say_in_where_it_is_and_is_of_its_site() {
    let sites = [("shop".to_owned(), Hosts::One("shop.example".to_owned()))].into();
    let enrich = Enrich { sites, keep_address: KeepAddress::Whole, ..Enrich::default() };
    let bench = Bench::with(Config { enrich, ..Config::default() });
    let wanted = json!({"scope": "write", "origins": ["https://shop.example"]}).to_string();
    let page = bench.post("/v1/keys", &bench.admin, wanted).await.with(201)["key"].as_str().unwrap().to_owned();
    let message = |event: &str| json!({"event": event, "userId": "u", "context": {"ip": "203.0.113.7"}}).to_string();
    let headers = [("origin", "https://shop.example"), ("content-type", "text/plain;charset=UTF-8")];
    bench.call(Method::POST, "/v1/track", &page, &headers, message("page")).await.with(200);
    bench.post("/v1/track", &bench.write, message("server")).await.with(200);
    let rows = bench.sql("SELECT event, site, context FROM events ORDER BY sequence").await;
    let of = |at: usize| (rows[at]["site"].as_str(), rows[at]["context"].as_str().unwrap());
    assert!(of(0).0 == Some("shop") && of(0).1.contains("192.0.2.7") && !of(0).1.contains("203.0.113.7"), "{rows}");
    assert!(of(1).0.is_none() && of(1).1.contains("203.0.113.7"), "{rows}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beacon_is_taken_as_what_it_is() {
    let bench = Bench::new();
    let wanted = json!({"scope": "write", "origins": ["https://shop.example"]}).to_string();
    let page = bench.post("/v1/keys", &bench.admin, wanted).await.with(201)["key"].as_str().unwrap().to_owned();
    let message = json!({"event": "left", "anonymousId": "a", "writeKey": page}).to_string();
    for kind in ["text/plain;charset=UTF-8", "application/json"] {
        let headers = [("origin", "https://shop.example"), ("content-type", kind)];
        let reply = bench.call(Method::POST, "/v1/t", "", &headers, message.clone()).await;
        assert_eq!(
            (reply.status.as_u16(), &reply.headers["access-control-allow-credentials"]),
            (200, &"true".parse().unwrap())
        );
    }
    assert_eq!(bench.get("/v1/events/count?event=left").await.with(200), json!({"count": 2}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_of_so_many_messages_whatever_becomes_of_each() {
    let bench = Bench::with(Config { batch_max_events: 10, ..Config::default() });
    let identify = |at: usize| json!({"type": "identify", "userId": format!("u{at}"), "traits": {"plan": "pro"}});
    let batch = |count: usize| json!({"batch": (0..count).map(identify).collect::<Vec<_>>()}).to_string();
    bench.post("/v1/batch", &bench.write, batch(10)).await.with(200);
    assert_eq!(bench.post("/v1/batch", &bench.write, batch(11)).await.with(413)["kind"], "too_large");
    assert_eq!(bench.get("/v1/persons").await.with(200)["count"], 10);
}
