//! `pugmark health` asks where the settings of the server say that it is.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;

use super::serve::{Server, pugmark, said};

/// The exit code, and what is said.
fn asked(health: &mut Command) -> (i32, String) {
    let output = health.output().unwrap();
    (output.status.code().unwrap(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// A certificate of its own and the key of it, as files in a directory.
fn certificate(dir: &Path, name: &str) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["pugmark.example".to_owned()]).unwrap();
    let at = |what: &str| dir.join(format!("{name}.{what}.pem")).to_str().unwrap().to_owned();
    std::fs::write(at("cert"), made.cert.pem()).unwrap();
    std::fs::write(at("key"), made.signing_key.serialize_pem()).unwrap();
    (at("cert"), at("key"))
}

#[test]
fn it_asks_where_the_settings_say_and_where_it_is_told() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(root.path());
    let port = server.address.strip_prefix("127.0.0.1:").unwrap().to_owned();
    let everywhere = format!("0.0.0.0:{port}");
    let file = root.path().join("pugmark.toml");
    std::fs::write(&file, format!("listen = '{}'", server.address)).unwrap();

    assert_eq!(said(pugmark().args(["health", &server.address])), "ready");
    assert_eq!(said(pugmark().args(["health", &format!("http://{}/", server.address)])), "ready");
    assert_eq!(said(pugmark().arg("health").env("PUGMARK_SERVE_LISTEN", &everywhere)), "ready");
    assert_eq!(said(pugmark().args(["health", "--config", file.to_str().unwrap()])), "ready");
    let over_the_others = format!("listen={}", server.address);
    let health = said(pugmark().args(["health", "--set", &over_the_others]).env("PUGMARK_SERVE_LISTEN", "127.0.0.1:1"));
    assert_eq!(health, "ready");

    drop(server);
    let (code, says) = asked(pugmark().arg("health").env("PUGMARK_SERVE_LISTEN", &everywhere));
    assert!(code == 1 && says.contains(&format!("nobody answers at 127.0.0.1:{port}")), "{code}: {says}");
}

#[test]
fn over_tls_it_believes_the_certificate_of_the_settings_and_no_other() {
    let root = tempfile::tempdir().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (own, key) = certificate(dir.path(), "own");
    let (other, _) = certificate(dir.path(), "other");
    let tls = |certificate: &str| format!("{{ certificate = '{certificate}', key = '{key}' }}");
    let server = Server::start_with(root.path(), |serve| {
        serve.env("PUGMARK_SERVE_TLS", tls(&own));
    });
    let health = |certificate: &str| {
        let mut health = pugmark();
        health.arg("health").env("PUGMARK_SERVE_LISTEN", &server.address).env("PUGMARK_SERVE_TLS", tls(certificate));
        health
    };
    assert_eq!(said(&mut health(&own)), "ready");
    assert_eq!(said(health(&own).arg(&server.address)), "ready");

    let (code, says) = asked(&mut health(&other));
    assert!(code == 1 && says.contains(&format!("another certificate than {other}")), "{code}: {says}");
    let (code, says) = asked(&mut health(&key));
    assert!(code == 1 && says.contains(&key), "{code}: {says}");
    let (code, says) = asked(pugmark().args(["health", &server.address]));
    assert!(code == 1 && says.contains(&server.address), "{code}: {says}");
}

#[test]
fn who_is_not_ready_or_says_nothing_is_not_well() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answering = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let read = stream.read(&mut [0; 1_024]).unwrap();
        stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").unwrap();
        (read, listener)
    });
    let (code, says) = asked(pugmark().args(["health", &address]));
    let (read, _still_listens) = answering.join().unwrap();
    assert!(read > 0 && code == 1 && says.contains("is not ready: 503"), "{code}: {says}");

    // It is connected to, and nobody reads.
    let (code, says) = asked(pugmark().args(["health", &address]));
    assert!(code == 1 && says.contains(&format!("asking {address}: ")), "{code}: {says}");
}

#[test]
fn settings_that_say_nothing_of_where_are_wrong() {
    for (set, why) in [("listen=127.0.0.1:0", "any port"), ("listen=here", "expected an address"), ("rows=1", "rows")] {
        let (code, says) = asked(pugmark().args(["health", "--set", set]));
        assert!(code == 2 && says.contains(why), "{code}: {says}");
    }
}
