//! `pugmark serve` from outside: what is acknowledged is there, however it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub(super) fn pugmark() -> Command {
    Command::new(assert_cmd::cargo::cargo_bin!("pugmark"))
}

pub(super) fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(super) struct Server {
    pub(super) child: Child,
    pub(super) address: String,
}

impl Server {
    pub(super) fn start(root: &std::path::Path) -> Self {
        Self::start_with(root, |_| {})
    }

    pub(super) fn start_with(root: &std::path::Path, also: impl FnOnce(&mut Command)) -> Self {
        let mut serve = pugmark();
        serve.args(["serve", root.to_str().unwrap(), "--set", "listen=127.0.0.1:0", "--set", "requests_per_second=0"]);
        serve.stderr(Stdio::null());
        also(&mut serve);
        let mut child = serve.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self { child, address }
    }

    fn ask(&self, method: &str, path: &str, key: &str, body: &str) -> Option<(u16, Value)> {
        ask(&self.address, method, path, key, body)
    }
}

impl Drop for Server {
    /// Also where a test fails, none is left behind.
    fn drop(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// One request over a connection of its own; `None` where nobody answered.
fn ask(address: &str, method: &str, path: &str, key: &str, body: &str) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {key}\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some((status, serde_json::from_str(body).unwrap_or(Value::Null)))
}

fn events(first: u64) -> String {
    let one = |number: u64| json!({"event": "view", "distinct_id": format!("u{}", number % 97), "message_id": format!("m{number}")});
    Value::Array((first..first + 20).map(one).collect()).to_string()
}

/// Sends from some threads until it is told to stop: the first numbers of the batches that were acknowledged, and of those that nobody answered.
fn load(address: &str, key: &str, next: &Arc<AtomicU64>, meanwhile: impl FnOnce()) -> (Vec<u64>, Vec<u64>) {
    let stop = AtomicBool::new(false);
    let told = Mutex::new((Vec::new(), Vec::new()));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let first = next.fetch_add(20, Ordering::Relaxed);
                    let answered = ask(address, "POST", "/v1/events", key, &events(first));
                    let mut told = told.lock().unwrap();
                    match answered {
                        Some((202, _)) => told.0.push(first),
                        _ => told.1.push(first),
                    }
                }
            });
        }
        meanwhile();
        stop.store(true, Ordering::Relaxed);
    });
    told.into_inner().unwrap()
}

/// How many events there are, and how many different message ids.
fn counts(server: &Server, key: &str) -> (u64, u64) {
    let statement = json!({"sql": "SELECT count(*) AS n, count(DISTINCT message_id) AS ids FROM events"}).to_string();
    let (status, rows) = server.ask("POST", "/v1/sql", key, &statement).unwrap();
    assert_eq!(status, 200, "{rows}");
    (rows[0]["n"].as_u64().unwrap(), rows[0]["ids"].as_u64().unwrap())
}

/// Sends everything again: what was acknowledged is there already, and the rest is once it is taken. How many events that is.
fn sent_again(server: &Server, key: &str, (acknowledged, lost): &(Vec<u64>, Vec<u64>)) -> u64 {
    let outcomes = |first: u64| {
        let (status, told) = server.ask("POST", "/v1/events", key, &events(first)).unwrap();
        assert_eq!(status, 202, "{told}");
        let outcomes = told["outcomes"].as_array().unwrap();
        assert_eq!(outcomes.len(), 20);
        outcomes.iter().map(|one| one["outcome"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for first in acknowledged {
        assert!(outcomes(*first).iter().all(|outcome| outcome == "duplicate"), "{first} was acknowledged");
    }
    for first in lost {
        outcomes(*first);
        assert!(outcomes(*first).iter().all(|outcome| outcome == "duplicate"), "{first} was sent again");
    }
    20 * (acknowledged.len() + lost.len()) as u64
}

/// `PUGMARK_KILLS` says how often; five times without it.
#[test]
#[cfg(unix)]
fn what_was_acknowledged_is_there_once_however_often_it_is_killed() {
    let kills: u64 = std::env::var("PUGMARK_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(5);
    let root = tempfile::tempdir().unwrap();
    let key =
        said(pugmark().args(["key", "create", root.path().to_str().unwrap(), "--project", "shop", "--scope", "admin"]));
    let next = Arc::new(AtomicU64::new(0));
    let mut known = 0;
    for kill in 0..kills {
        let mut server = Server::start(root.path());
        let told = load(&server.address.clone(), &key, &next, || {
            thread::sleep(Duration::from_millis(60 + 37 * (kill % 7)));
            server.child.kill().unwrap();
            server.child.wait().unwrap();
        });
        let mut server = Server::start(root.path());
        known += sent_again(&server, &key, &told);
        assert_eq!(counts(&server, &key), (known, known), "after kill {kill}");
        server.child.kill().unwrap();
        server.child.wait().unwrap();
    }
    assert!(known > 0);
}

#[test]
#[cfg(unix)]
#[expect(clippy::disallowed_methods, reason = "how long it takes to end is looked at")]
fn told_to_end_it_finishes_what_is_under_way_and_ends() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().to_str().unwrap();
    let key = said(pugmark().args(["key", "create", dir, "--project", "shop", "--scope", "admin"]));
    let mut server = Server::start(root.path());
    let next = Arc::new(AtomicU64::new(0));
    let told = load(&server.address.clone(), &key, &next, || {
        thread::sleep(Duration::from_millis(300));
        let pid = server.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let begun = Instant::now();
        assert!(server.child.wait().unwrap().success());
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    });
    assert!(!told.0.is_empty());
    let again = Server::start(root.path());
    let known = sent_again(&again, &key, &told);
    assert_eq!(counts(&again, &key), (known, known));
    // The keys cannot be made anew while it runs, and it says what can be done.
    let locked = pugmark().args(["key", "list", dir]).output().unwrap();
    assert_eq!(locked.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&locked.stderr).contains("a server runs on"), "{locked:?}");
    assert_eq!(said(pugmark().args(["health", &again.address])), "ready");
    let mut again = again;
    again.child.kill().unwrap();
    again.child.wait().unwrap();
    let listed = said(pugmark().args(["key", "list", dir]));
    assert!(listed.contains("admin") && !listed.contains(&key[16..]), "{listed}");
}

#[test]
fn settings_that_are_wrong_are_told_before_anything_is_opened() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("stores");
    let missing = root.path().join("none.pem").display().to_string();
    let check =
        |set: &str| pugmark().args(["serve", dir.to_str().unwrap(), "--check-config", "--set", set]).output().unwrap();
    assert!(String::from_utf8(check("rows_max=7").stdout).unwrap().contains("rows_max = 7\n"));
    let wrong = check("rows=7");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("unknown field `rows`"), "{wrong:?}");
    let places = check(&format!("enrich.places={missing}"));
    assert_eq!(places.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&places.stderr).contains("none.pem"), "{places:?}");
    assert!(!dir.exists());
}

#[test]
fn the_log_is_json_where_that_is_wanted_with_the_id_of_each_request() {
    let root = tempfile::tempdir().unwrap();
    let key =
        said(pugmark().args(["key", "create", root.path().to_str().unwrap(), "--project", "shop", "--scope", "admin"]));
    let log = root.path().join("log");
    let mut server = Server::start_with(root.path(), |serve| {
        serve.arg("--log-json").stderr(std::fs::File::create(&log).unwrap());
    });
    assert_eq!(server.ask("POST", "/v1/events", &key, &events(0)).unwrap().0, 202);
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    let lines = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_it = lines.iter().find(|line| line["fields"]["route"] == "/v1/events").unwrap();
    assert_eq!(of_it["fields"]["status"], 202);
    assert_eq!(of_it["fields"]["id"].as_str().unwrap().len(), 36, "{of_it}");
}

#[test]
fn a_key_that_is_revoked_lets_nobody_in() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().to_str().unwrap();
    let key = said(pugmark().args(["key", "create", dir, "--project", "shop", "--scope", "write"]));
    let revoked = said(pugmark().args(["key", "revoke", dir, key.split('_').nth(1).unwrap()]));
    assert!(revoked.contains("revoked"), "{revoked}");
    let mut server = Server::start(root.path());
    assert_eq!(server.ask("POST", "/v1/events", &key, &events(0)).unwrap().0, 401);
    server.child.kill().unwrap();
    server.child.wait().unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn ten_thousand_idle_connections_keep_nobody_out() {
    // Both ends have as many files open; where the system allows fewer, so many it is.
    let files = rlimit::increase_nofile_limit(11_000).unwrap();
    let idle = (files.saturating_sub(500) as usize).min(10_000);
    let root = tempfile::tempdir().unwrap();
    let key =
        said(pugmark().args(["key", "create", root.path().to_str().unwrap(), "--project", "shop", "--scope", "admin"]));
    // With what is set unless it is said: the last of them take the places of the first.
    let mut server = Server::start(root.path());
    let memory_kb = |server: &Server| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(server.ask("POST", "/v1/events", &key, &events(0)).unwrap().0, 202);
    let before_kb = memory_kb(&server);
    let connections: Vec<TcpStream> = (0..idle).map(|_| TcpStream::connect(&server.address).unwrap()).collect();
    assert_eq!(server.ask("POST", "/v1/events", &key, &events(20)).unwrap().0, 202);
    assert_eq!(counts(&server, &key), (40, 40));
    assert_eq!(said(pugmark().args(["health", &server.address])), "ready");
    let each_kb = memory_kb(&server).saturating_sub(before_kb) / idle as u64;
    assert!(each_kb < 20, "{each_kb} KiB for each of {idle}");
    drop(connections);
    server.child.kill().unwrap();
    server.child.wait().unwrap();
}

#[test]
fn traces_go_to_a_collector_under_those_of_the_caller() {
    let collector = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    let root = tempfile::tempdir().unwrap();
    let key =
        said(pugmark().args(["key", "create", root.path().to_str().unwrap(), "--project", "shop", "--scope", "admin"]));
    let mut server = Server::start_with(root.path(), |serve| {
        serve.envs([("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "50")]);
    });
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let key = format!("{key}\r\ntraceparent: 00-{trace}-b7ad6b7169203331-01");
    assert_eq!(server.ask("POST", "/v1/events", &key, &events(0)).unwrap().0, 202);

    let trace: Vec<u8> = (0..16).map(|at| u8::from_str_radix(&trace[2 * at..2 * at + 2], 16).unwrap()).collect();
    let mut seen = Vec::new();
    let has = |seen: &[u8], part: &[u8]| seen.windows(part.len()).any(|window| window == part);
    // Spans come in one batch or in several.
    collector.set_nonblocking(true).unwrap();
    for attempt in 0.. {
        if has(&seen, b"POST /v1/events") && has(&seen, b"commit") {
            break;
        }
        assert!(attempt < 300, "no spans within half a minute");
        let Ok((mut stream, _)) = collector.accept() else {
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut part = [0; 65_536];
        while let Ok(count @ 1..) = stream.read(&mut part) {
            seen.extend_from_slice(&part[..count]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    }
    assert!(seen.starts_with(b"POST /v1/traces ") && has(&seen, &trace) && has(&seen, b"pugmark"));
    server.child.kill().unwrap();
    server.child.wait().unwrap();
}
