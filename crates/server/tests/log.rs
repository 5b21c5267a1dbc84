//! The log, which is one of the process: no other test is beside this one.

#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::Request;
use axum::response::IntoResponse;
use pugmark_server::{Config, Control, Grant, Problem, Scope, Server};
use tower::ServiceExt;

/// Lines of a log, as the program writes them.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn nothing_that_a_caller_writes_begins_a_line_of_the_log() {
    let lines = Lines::default();
    let to = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || to.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let root = tempfile::tempdir().unwrap();
    let control = Control::open(root.path()).unwrap();
    let grant = Grant { project: Some("shop".parse().unwrap()), scope: Scope::Read, origins: Vec::new(), note: None };
    let key = control.create(grant.clone(), None).unwrap();
    let of_broken = control.create(Grant { project: Some("broken".parse().unwrap()), ..grant }, None).unwrap();
    control.close().unwrap();
    let server = Server::open(root.path(), Config::default()).unwrap();

    let forged = "2026-01-01T00:00:00Z ERROR forged";
    let get = |path: &str| Request::get(path).header("authorization", format!("Bearer {}", key.as_str()));
    let requests = [
        get("/v1/persons/a%0A2026-01-01T00:00:00Z%20ERROR%20forged").body(Body::empty()),
        get("/%0Aforged").body(Body::empty()),
        get("/v1/saved/x%0D%0Aforged/answer").body(Body::empty()),
        get("/v1/stats").header("user-agent", "a\tforged").header("pugmark-project", "forged").body(Body::empty()),
        get("/v1/query").method("POST").body(format!("{{\"\n{forged}\": 1}}").into()),
    ];
    for request in requests {
        assert!(server.router().oneshot(request.unwrap()).await.unwrap().status().is_client_error());
    }
    assert_eq!(Problem::internal(format!("a\n{forged}\x1b[31m")).into_response().status(), 500);
    // A fault in answering a request is found by the id that its caller has.
    std::fs::write(root.path().join("broken"), "no directory").unwrap();
    let asks = Request::get("/v1/stats").header("authorization", format!("Bearer {}", of_broken.as_str()));
    let failed = server.router().oneshot(asks.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(failed.status(), 500);
    let id = failed.headers()["x-request-id"].to_str().unwrap().to_owned();

    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    // One of each request, and one of each fault.
    let own = log.lines().filter(|line| line.contains(" pugmark_server::"));
    assert_eq!(own.count(), 8, "{log}");
    let of_it: Vec<&str> = log.lines().filter(|line| line.contains(&id)).collect();
    assert!(of_it.len() == 2 && of_it[0].contains("ERROR") && of_it[0].contains("kind="), "{of_it:?}");
    for line in log.lines() {
        let level = line.split_whitespace().nth(1).unwrap();
        assert!(["INFO", "WARN", "ERROR"].contains(&level) && !line.starts_with(forged), "{line:?}");
        assert!(!line.contains('\x1b'), "{line:?}");
    }
    server.close().await;
}
