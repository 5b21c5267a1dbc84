//! The server from outside, request by request.

#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

mod attack;
mod document;
mod events;
mod keys;
mod limits;
mod questions;
mod segment;
mod serving;

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use pugmark::arrow::util::display::array_value_to_string;
use pugmark_server::{Config, Control, Grant, Scope, Server};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

/// A server with a project `shop`, and keys to it.
struct Bench {
    root: TempDir,
    server: Server,
    router: Router,
    write: String,
    read: String,
    admin: String,
    /// Of all projects.
    all: String,
}

/// What came back.
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The JSON of an answer with this status.
    #[track_caller]
    fn with(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        if self.body.is_empty() { Value::Null } else { self.json() }
    }
}

fn key(control: &Control, project: Option<&str>, scope: Scope, origins: &[&str]) -> String {
    let project = project.map(|name| name.parse().unwrap());
    let origins = origins.iter().map(|&origin| origin.to_owned()).collect();
    control.create(Grant { project, scope, origins, note: None }, None).unwrap().as_str().to_owned()
}

impl Bench {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let root = tempfile::tempdir().unwrap();
        let control = Control::open(root.path()).unwrap();
        let [write, read, admin] =
            [Scope::Write, Scope::Read, Scope::Admin].map(|scope| key(&control, Some("shop"), scope, &[]));
        let all = key(&control, None, Scope::Admin, &[]);
        control.close().unwrap();
        let server = Server::open(root.path(), config).unwrap();
        Self { router: server.router(), root, server, write, read, admin, all }
    }

    async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Reply { status: parts.status, headers: parts.headers, body }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        key: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        if !key.is_empty() {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let peer = ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 4000)));
        self.send(request.extension(peer).body(body.into()).unwrap()).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, &self.read, &[], Body::empty()).await
    }

    async fn post(&self, path: &str, key: &str, body: impl Into<Body>) -> Reply {
        self.call(Method::POST, path, key, &[("content-type", "application/json")], body).await
    }

    /// Stores events and expects it to be so.
    async fn track(&self, events: &Value) {
        self.post("/v1/events", &self.write, events.to_string()).await.with(202);
    }

    /// The rows of a statement.
    async fn sql(&self, statement: &str) -> Value {
        self.post("/v1/sql", &self.read, serde_json::json!({ "sql": statement }).to_string()).await.with(200)
    }

    /// Who did what, in order, and how many operations it was: of the audit, once nobody else has it.
    async fn audit(self) -> Vec<(String, String, i64)> {
        self.server.close().await;
        drop(self.router);
        // What is done to its end, whoever waits for it, has the server until then.
        let opened = async {
            loop {
                match pugmark::Pugmark::open(self.root.path().join(".control")) {
                    Err(error) if error.kind() == pugmark::ErrorKind::Locked => {
                        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    }
                    opened => return opened.unwrap(),
                }
            }
        };
        let db = tokio::time::timeout(std::time::Duration::from_secs(20), opened).await.unwrap();
        let statement = "SELECT event, distinct_id, coalesce(CAST(prop('operations') AS BIGINT), 1) FROM events WHERE event <> 'key.used' AND distinct_id <> 'command line' ORDER BY sequence";
        let mut done = Vec::new();
        for batch in db.sql(statement).await.unwrap() {
            let text = |column: usize, row| array_value_to_string(batch.column(column), row).unwrap();
            done.extend((0..batch.num_rows()).map(|row| (text(0, row), text(1, row), text(2, row).parse().unwrap())));
        }
        done
    }
}
