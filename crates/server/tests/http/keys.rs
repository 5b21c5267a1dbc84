//! Who may do what.

use std::task::Poll;

use axum::body::Body;
use axum::http::Method;
use pugmark_server::Config;
use serde_json::json;

use crate::Bench;

#[tokio::test(flavor = "multi_thread")]
async fn each_key_does_its_own_and_no_more() {
    let bench = Bench::new();
    let event = r#"{"event":"view","distinct_id":"ann"}"#;
    bench.post("/v1/events", &bench.admin, event).await.with(202);
    for (key, status) in [("", 401), ("nonsense", 401), (bench.read.as_str(), 403)] {
        let reply = bench.post("/v1/events", key, event).await;
        assert_eq!(reply.with(status)["status"], status);
        assert_eq!(reply.headers.contains_key("www-authenticate"), status == 401);
    }
    for path in [
        "/v1/events/count",
        "/v1/events/recent",
        "/v1/persons",
        "/v1/persons/ann",
        "/v1/stats",
        "/v1/saved",
        "/v1/registry/events",
    ] {
        assert_eq!(bench.call(Method::GET, path, &bench.write, &[], Body::empty()).await.status, 403, "{path}");
        assert_eq!(bench.call(Method::GET, path, "", &[], Body::empty()).await.status, 401, "{path}");
        assert_eq!(bench.get(path).await.status, 200, "{path}");
    }
    for path in ["/v1/persons/ann/merge", "/v1/persons/ann/split", "/v1/persons/ann/erase", "/v1/keys"] {
        for key in [&bench.read, &bench.write] {
            assert_eq!(bench.post(path, key, "{}").await.status, 403, "{path}");
        }
    }
    assert_eq!(bench.call(Method::GET, "/metrics", &bench.admin, &[], Body::empty()).await.status, 403);
    bench.sql("SELECT 1").await;
    let metrics = bench.call(Method::GET, "/metrics", &bench.all, &[], Body::empty()).await.text();
    // What docs/server.md promises.
    for name in [
        "commit_seconds_count",
        "batch_events_sum",
        "queue_bytes",
        "requests_total{route=\"/v1/events\",status=\"202\"}",
        "query_seconds_count{kind=\"sql\"}",
        "stores_open",
        "connections",
        "flushes",
        "merges",
        "message_id_blocks_read",
        "message_id_filter_bytes",
        "resident_bytes",
        "log_bytes",
        "columns_bytes",
        "unflushed_events",
    ] {
        assert!(metrics.lines().any(|line| line.starts_with(&format!("pugmark_{name} "))), "{name}: {metrics}");
    }
    assert!(metrics.contains("pugmark_events_total{outcome=\"accepted\"} 1"), "{metrics}");
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_of_its_project_alone() {
    let bench = Bench::new();
    bench.track(&json!({"event": "view", "distinct_id": "ann"})).await;
    let count = |key: String, project: Option<&'static str>| {
        let headers: Vec<(&str, &str)> = project.map(|name| ("pugmark-project", name)).into_iter().collect();
        let bench = &bench;
        async move { bench.call(Method::GET, "/v1/events/count", &key, &headers, Body::empty()).await }
    };
    assert_eq!(count(bench.read.clone(), Some("shop/production")).await.with(200), json!({"count": 1}));
    assert_eq!(count(bench.read.clone(), Some("other")).await.with(403)["kind"], "forbidden");
    assert_eq!(count(bench.all.clone(), Some("shop")).await.with(200), json!({"count": 1}));
    // Whoever asks makes no store of a name that was misspelt.
    assert_eq!(count(bench.all.clone(), Some("other")).await.with(404)["field"], "pugmark-project");
    assert!(!bench.root.path().join("other").exists());
    assert_eq!(count(bench.all.clone(), None).await.with(400)["field"], "pugmark-project");
    for wrong in ["../shop", ".control", "shop/../..", "Shop"] {
        assert_eq!(count(bench.all.clone(), Some(wrong)).await.with(400)["field"], "pugmark-project", "{wrong}");
    }
    let names: Vec<String> = std::fs::read_dir(bench.root.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().all(|name| [".control", "shop"].contains(&name.as_str())), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_makes_lists_and_revokes_keys_of_the_project() {
    let bench = Bench::new();
    let made =
        bench.post("/v1/keys", &bench.admin, json!({"scope": "read", "note": "reports"}).to_string()).await.with(201);
    let key = made["key"].as_str().unwrap().to_owned();
    assert_eq!((made["project"].as_str(), made["scope"].as_str()), (Some("shop/production"), Some("read")));
    assert_eq!(bench.call(Method::GET, "/v1/events/count", &key, &[], Body::empty()).await.status, 200);
    let other = json!({"scope": "read", "project": "other"}).to_string();
    assert_eq!(bench.post("/v1/keys", &bench.admin, other.clone()).await.status, 403);
    bench.post("/v1/keys", &bench.all, other).await.with(201);
    let listed = |key: String| {
        let bench = &bench;
        async move { bench.call(Method::GET, "/v1/keys", &key, &[], Body::empty()).await.with(200) }
    };
    let own = listed(bench.admin.clone()).await;
    assert_eq!(own.as_array().unwrap().len(), 4, "{own}");
    assert!(!own.to_string().contains(&key[16..]), "{own}");
    assert_eq!(listed(bench.all.clone()).await.as_array().unwrap().len(), 6);
    let path = format!("/v1/keys/{}", made["id"].as_str().unwrap());
    let revoked = bench.call(Method::DELETE, &path, &bench.admin, &[], Body::empty()).await.with(200);
    assert!(revoked["revoked"].is_string() && revoked["last_used"].is_string(), "{revoked}");
    assert_eq!(bench.call(Method::GET, "/v1/events/count", &key, &[], Body::empty()).await.status, 401);
    assert_eq!(bench.call(Method::DELETE, "/v1/keys/0123", &bench.admin, &[], Body::empty()).await.status, 404);
    for wrong in
        [r#"{"scope":"all"}"#, r#"{"scope":"read","origins":["*"]}"#, r#"{"scope":"read","project":"../x"}"#, "{}", "7"]
    {
        assert_eq!(bench.post("/v1/keys", &bench.all, wrong).await.status, 400, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_key_is_for_pages_of_its_origins() {
    let bench = Bench::new();
    let wanted = json!({"scope": "write", "origins": ["https://shop.example"]}).to_string();
    let key = bench.post("/v1/keys", &bench.admin, wanted).await.with(201)["key"].as_str().unwrap().to_owned();
    let (bench, own) = (&bench, key.as_str());
    let send = |origin: &'static str| async move {
        bench.call(Method::POST, "/v1/track", own, &[("origin", origin)], r#"{"event":"x","userId":"u"}"#).await
    };
    let reply = send("https://shop.example").await;
    assert_eq!(
        (reply.status.as_u16(), &reply.headers["access-control-allow-origin"]),
        (200, &"https://shop.example".parse().unwrap())
    );
    let other = send("https://evil.example").await;
    assert_eq!(other.status, 403);
    assert!(!other.headers.contains_key("access-control-allow-origin"));
    let headers = [
        ("origin", "https://shop.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "anonymousid,authorization,content-type"),
    ];
    let asked = bench.call(Method::OPTIONS, "/v1/track", "", &headers, Body::empty()).await;
    assert_eq!(asked.status, 200);
    assert_eq!(asked.headers["access-control-allow-origin"], "https://shop.example");
    // Beacons come with credentials, and libraries with headers of their own.
    assert_eq!(asked.headers["access-control-allow-credentials"], "true");
    assert_eq!(asked.headers["access-control-allow-headers"], "anonymousid,authorization,content-type");
    assert_eq!(bench.call(Method::GET, "/v1/events/count", &key, &[], Body::empty()).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_to_write_does_not_decide_who_is_who() {
    let bench = Bench::new();
    bench.track(&json!([{"event": "view", "distinct_id": "ann"}, {"event": "view", "distinct_id": "bob"}])).await;
    let lines = [
        r#"{"type":"merge","ids":["ann","bob"],"by":"the boss"}"#,
        r#"{"type":"split","id":"ann"}"#,
        r#"{"type":"split_link","ids":["ann","bob"]}"#,
        r#"{"type":"alias","id":"ann","to":"bob","force":true}"#,
    ];
    for line in lines {
        let told = bench.post("/v1/events", &bench.write, line).await.with(422);
        assert!(told.to_string().contains("key of an admin"), "{told}");
    }
    let told = bench.post("/v1/events", &bench.admin, lines[0]).await.with(202);
    assert_eq!(told["outcomes"][0]["outcome"], "accepted");
    let both = format!("{}\n{}\n{}", lines[1], lines[3], r#"{"type":"split","id":"nobody knows"}"#);
    let headers = [("content-type", "application/x-ndjson")];
    bench.call(Method::POST, "/v1/events", &bench.admin, &headers, both).await.with(202);

    // Whatever way an admin does it, it is in the audit, under the key and not under the name that was given.
    let own = bench.admin.split('_').nth(1).unwrap().to_owned();
    let audit = bench.audit().await;
    let done: Vec<(&str, i64)> = audit
        .iter()
        .map(|(deed, by, operations)| {
            assert_eq!(*by, own, "{audit:?}");
            (deed.as_str(), *operations)
        })
        .collect();
    assert_eq!(done, [("person.merged", 1), ("person.linked", 1), ("person.split", 1)], "{audit:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_admin_decides_is_in_the_audit_whoever_waits_for_the_answer() {
    let bench = Bench::new();
    let mut left = None;
    // It may be done before anybody can leave.
    for at in 0..100 {
        let (one, other) = (format!("a{at}"), format!("b{at}"));
        let merge = json!([{"event": "view", "distinct_id": one}, {"event": "view", "distinct_id": other}, {"type": "merge", "ids": [one, other]}]);
        let mut sent = Box::pin(bench.post("/v1/events", &bench.admin, merge.to_string()));
        // The first opens the store, which it would not have begun to do.
        let done = if at == 0 { Poll::Ready(sent.await) } else { futures::poll!(&mut sent) };
        let Poll::Ready(done) = done else {
            left = Some((at, one));
            break;
        };
        done.with(202);
    }
    let (before, id) = left.expect("somebody leaves before it is done");
    let merged = async {
        let path = format!("/v1/persons/{id}");
        loop {
            let found = bench.get(&path).await;
            if found.status == 200 && found.json()["ids"].as_array().unwrap().len() == 2 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), merged).await.unwrap();
    let audit = bench.audit().await;
    assert_eq!(audit.iter().filter(|(deed, ..)| deed == "person.merged").count(), before + 1, "{audit:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_admin_does_is_in_the_audit() {
    let bench = Bench::new();
    bench.track(&json!([{"event": "view", "distinct_id": "ann"}, {"event": "view", "distinct_id": "bob"}])).await;
    bench.post("/v1/persons/ann/merge", &bench.admin, r#"{"ids": ["bob"]}"#).await.with(200);
    bench.post("/v1/persons/ann/split", &bench.admin, "").await.with(200);
    let exported = bench.call(Method::GET, "/v1/persons/ann/export", &bench.admin, &[], Body::empty()).await;
    assert!(exported.status == 200 && exported.text().contains("ann") && exported.text().ends_with('\n'));
    assert_eq!(bench.call(Method::GET, "/v1/persons/eve/export", &bench.admin, &[], Body::empty()).await.status, 404);
    bench.post("/v1/persons/bob/erase", &bench.admin, "").await.with(200);
    assert_eq!(bench.post("/v1/persons/eve/erase", &bench.admin, "").await.status, 404);
    let question = json!({"question": {"trend": {"series": [{"event": "view"}], "range": {"last": "7d"}}}}).to_string();
    bench.call(Method::PUT, "/v1/saved/views", &bench.admin, &[], question).await.with(200);
    bench.call(Method::DELETE, "/v1/saved/views", &bench.admin, &[], Body::empty()).await.with(200);
    let made = bench.post("/v1/keys", &bench.admin, r#"{"scope": "read"}"#).await.with(201);
    let path = format!("/v1/keys/{}", made["id"].as_str().unwrap());
    bench.call(Method::DELETE, &path, &bench.admin, &[], Body::empty()).await.with(200);

    let own = bench.admin.split('_').nth(1).unwrap().to_owned();
    let audit = bench.audit().await;
    let done: Vec<&str> = audit.iter().filter(|(_, by, _)| *by == own).map(|(deed, ..)| deed.as_str()).collect();
    assert_eq!(
        done,
        [
            "person.merged",
            "person.split",
            "person.exported",
            "person.erased",
            "saved",
            "saved.removed",
            "key.created",
            "key.revoked"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_send_and_do_nothing_else() {
    let bench = Bench::with(Config { origins: vec!["https://own.example".to_owned()], ..Config::default() });
    let wanted = json!({"scope": "write", "origins": ["https://shop.example"]}).to_string();
    let key = bench.post("/v1/keys", &bench.admin, wanted).await.with(201)["key"].as_str().unwrap().to_owned();
    for origin in ["https://own.example", "https://shop.example"] {
        let sent =
            bench.call(Method::POST, "/v1/track", &key, &[("origin", origin)], r#"{"event":"x","userId":"u"}"#).await;
        assert_eq!(
            (sent.status.as_u16(), sent.headers["access-control-allow-origin"].as_bytes()),
            (200, origin.as_bytes())
        );
        let asked = bench.call(Method::GET, "/v1/stats", &bench.read, &[("origin", origin)], Body::empty()).await;
        assert!(!asked.headers.contains_key("access-control-allow-origin"), "{origin}");
    }
}
