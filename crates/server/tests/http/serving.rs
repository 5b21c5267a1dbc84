//! Over real connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pugmark_server::{Config, Control, Scope, Server, Tls, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::key;

struct Running {
    address: SocketAddr,
    write: String,
    read: String,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<std::io::Result<()>>,
    _root: tempfile::TempDir,
}

async fn running(config: Config) -> Running {
    let root = tempfile::tempdir().unwrap();
    let control = Control::open(root.path()).unwrap();
    let [write, read] = [Scope::Write, Scope::Read].map(|scope| key(&control, Some("shop"), scope, &[]));
    control.close().unwrap();
    let config = Config { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..config };
    let server = Server::open(root.path(), config).unwrap();
    let ((told, listens), (stop, stopped)) = (oneshot::channel(), oneshot::channel::<()>());
    let until = async {
        let _asked = stopped.await;
    };
    let ended = tokio::spawn(serve(server, |address| told.send(address).unwrap(), until));
    Running { address: listens.await.unwrap(), write, read, stop, ended, _root: root }
}

fn request(key: &str, body: &str) -> String {
    format!(
        "POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

const EVENT: &str = r#"{"event":"view","distinct_id":"ann"}"#;

async fn read(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut bytes = vec![0; 4_096];
    let count = stream.read(&mut bytes).await.unwrap();
    String::from_utf8_lossy(&bytes[..count]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_kept_and_ends_in_order() {
    let server = running(Config::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..2 {
        stream.write_all(request(&server.write, EVENT).as_bytes()).await.unwrap();
        let reply = read(&mut stream).await;
        assert!(reply.starts_with("HTTP/1.1 202") && reply.contains("x-request-id"), "{reply}");
    }
    // A request that is under way is finished, and nothing is accepted any more.
    let whole = request(&server.write, EVENT);
    stream.write_all(&whole.as_bytes()[..whole.len() - 5]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.stop.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(TcpStream::connect(server.address).await.is_err());
    stream.write_all(&whole.as_bytes()[whole.len() - 5..]).await.unwrap();
    assert!(read(&mut stream).await.starts_with("HTTP/1.1 202"));
    server.ended.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads_and_silent_connections_are_closed_and_others_served() {
    let server = running(Config { header_timeout_ms: 200, connections_max: 300, ..Config::default() }).await;
    let mut silent = Vec::new();
    for at in 0..200 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        if at % 2 == 0 {
            stream.write_all(b"POST /v1/events HTTP/1.1\r\nhost: x\r\nx-slow: ").await.unwrap();
        }
        silent.push(stream);
    }
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request(&server.write, EVENT).as_bytes()).await.unwrap();
    assert!(read(&mut stream).await.starts_with("HTTP/1.1 202"));
    for stream in &mut silent {
        let closed = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut [0; 256])).await;
        assert!(closed.is_ok());
    }
    server.stop.send(()).unwrap();
    server.ended.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_in_which_nothing_goes_on_makes_room_for_another() {
    let server = running(Config { connections_max: 3, header_timeout_ms: 60_000, ..Config::default() }).await;
    let connect = || TcpStream::connect(server.address);
    let whole = request(&server.write, EVENT);
    // It waits for the rest of a request, which is no idleness.
    let mut busy = connect().await.unwrap();
    busy.write_all(&whole.as_bytes()[..whole.len() - 5]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut idle = [connect().await.unwrap(), connect().await.unwrap()];
    idle[0].write_all(whole.as_bytes()).await.unwrap();
    assert!(read(&mut idle[0]).await.starts_with("HTTP/1.1 202"));
    // They stay, so that each needs the room of one that was there before.
    let mut others = Vec::new();
    for _ in 0..3 {
        let mut another = connect().await.unwrap();
        another.write_all(whole.as_bytes()).await.unwrap();
        assert!(read(&mut another).await.starts_with("HTTP/1.1 202"));
        others.push(another);
    }
    for stream in &mut idle {
        let closed = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut [0; 256])).await;
        assert!(matches!(closed, Ok(Ok(0) | Err(_))));
    }
    busy.write_all(&whole.as_bytes()[whole.len() - 5..]).await.unwrap();
    assert!(read(&mut busy).await.starts_with("HTTP/1.1 202"));
    server.stop.send(()).unwrap();
    server.ended.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_take_an_answer_is_not_waited_for_and_who_is_slow_is() {
    let config = Config { body_timeout_ms: 600, header_timeout_ms: 200, rows_max: 0, ..Config::default() };
    let server = running(config).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let many = format!("[{}]", vec![EVENT; 1_000].join(","));
    stream.write_all(request(&server.write, &many).as_bytes()).await.unwrap();
    assert!(read(&mut stream).await.starts_with("HTTP/1.1 202"));
    // More than what the system keeps for both ends.
    let statement = "SELECT a.event, a.distinct_id, repeat('x', 100) AS text FROM events a, events b LIMIT 200000";
    let asks = format!(
        "POST /v1/sql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{statement}",
        server.read,
        statement.len()
    );
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(asks.as_bytes()).await.unwrap();
    let mut stalled = TcpStream::connect(server.address).await.unwrap();
    stalled.write_all(asks.as_bytes()).await.unwrap();
    // Longer than an answer that is not taken is kept, and no part of it later than that.
    let (mut part, mut taken, begun) = (vec![0; 1 << 20], Vec::new(), tokio::time::Instant::now());
    while begun.elapsed() < Duration::from_millis(2_000) {
        let count = slow.read(&mut part).await.unwrap();
        assert!(count > 0);
        taken.extend_from_slice(&part[..count]);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let ended = tokio::time::timeout(Duration::from_secs(30), slow.read_to_end(&mut taken)).await;
    ended.unwrap().unwrap();
    assert!(taken.starts_with(b"HTTP/1.1 200"));
    assert_eq!(taken.windows(8).filter(|at| at == b"\"event\":").count(), 200_000);
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(5), stalled.read_to_end(&mut rest)).await.unwrap();
    assert!(closed.is_err() || rest.windows(8).filter(|at| at == b"\"event\":").count() < 200_000);
    server.stop.send(()).unwrap();
    server.ended.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_turned_away_is_told_and_may_go_on() {
    let server = running(Config { body_max_bytes: 400_000, ..Config::default() }).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let large = format!("[{}]", " ".repeat(600_000));
    stream.write_all(request(&server.write, &large).as_bytes()).await.unwrap();
    assert!(read(&mut stream).await.starts_with("HTTP/1.1 413"));
    stream.write_all(request(&server.write, EVENT).as_bytes()).await.unwrap();
    assert!(read(&mut stream).await.starts_with("HTTP/1.1 202"));
    server.stop.send(()).unwrap();
    server.ended.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_takes_no_longer_than_it_may() {
    let server = running(Config { shutdown_ms: 300, ..Config::default() }).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let whole = request(&server.write, EVENT);
    stream.write_all(&whole.as_bytes()[..whole.len() - 5]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.stop.send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), server.ended).await;
    ended.unwrap().unwrap().unwrap();
}

/// The settings of a server with a certificate, which is in the directory, and a connection to it that offers these protocols.
struct Encrypted {
    tls: Tls,
    certificate: CertificateDer<'static>,
    _dir: tempfile::TempDir,
}

impl Encrypted {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let tls = Tls { certificate: dir.path().join("c.pem"), key: dir.path().join("k.pem") };
        std::fs::write(&tls.certificate, made.cert.pem()).unwrap();
        std::fs::write(&tls.key, made.signing_key.serialize_pem()).unwrap();
        Self { tls, certificate: made.cert.der().clone(), _dir: dir }
    }

    async fn connect(&self, address: SocketAddr, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_certificate_it_is_encrypted() {
    let encrypted = Encrypted::new();
    let server = running(Config { tls: Some(encrypted.tls.clone()), ..Config::default() }).await;
    let mut stream = encrypted.connect(server.address, &[]).await;
    stream.write_all(request(&server.write, EVENT).as_bytes()).await.unwrap();
    assert!(read(&mut stream).await.starts_with("HTTP/1.1 202"));
    server.stop.send(()).unwrap();
    server.ended.await.unwrap().unwrap();

    std::fs::write(&encrypted.tls.certificate, "no certificate").unwrap();
    let root = tempfile::tempdir().unwrap();
    let (listen, tls) = (SocketAddr::from(([127, 0, 0, 1], 0)), Some(encrypted.tls));
    let server = Server::open(root.path(), Config { listen, tls, ..Config::default() }).unwrap();
    let wrong = serve(server, |_| {}, std::future::pending()).await.unwrap_err();
    assert!(wrong.to_string().contains("c.pem"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_of_http_2_that_asks_for_nothing_is_closed_and_a_busy_one_is_not() {
    let encrypted = Encrypted::new();
    let tls = Some(encrypted.tls.clone());
    let server = running(Config { tls, header_timeout_ms: 400, ..Config::default() }).await;
    let stream = encrypted.connect(server.address, &[b"h2"]).await;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, Body>(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    // Longer than a connection may be idle, and never idle for as long.
    for _ in 0..6 {
        let request =
            Request::post("https://localhost/v1/events").header("authorization", format!("Bearer {}", server.write));
        let response = sender.send_request(request.body(EVENT.into()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 202);
        drop(response.into_body().collect().await.unwrap());
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    // The client answers pings all the time.
    tokio::time::timeout(Duration::from_secs(5), connection).await.unwrap().unwrap().ok();
    assert!(sender.is_closed());
    server.stop.send(()).unwrap();
    server.ended.await.unwrap().unwrap();
}
