//! `pugmark health`: whether a server is ready, for whatever watches over it.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::Context;

use crate::failure::Result;

const PATIENCE: Duration = Duration::from_secs(3);

/// Asks a server over plain HTTP whether it is ready; exit code 1 if it is not
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where it listens
    #[arg(value_name = "HOST:PORT", default_value = "127.0.0.1:7450")]
    address: String,
}

pub(crate) fn run(args: &Args) -> Result {
    let address = args.address.strip_prefix("http://").unwrap_or(&args.address).trim_end_matches('/');
    let place = || format!("asking {address}: expected HOST:PORT");
    let addresses: Vec<_> = address.to_socket_addrs().with_context(place)?.collect();
    let place = || format!("asking {address}");
    let connected = addresses.iter().find_map(|address| TcpStream::connect_timeout(address, PATIENCE).ok());
    let mut stream = connected.with_context(|| format!("nobody answers at {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let host = address;
    write!(stream, "GET /health/ready HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").with_context(place)?;
    let mut answer = String::new();
    stream.take(4_096).read_to_string(&mut answer).with_context(place)?;
    if !answer.starts_with("HTTP/1.1 200") {
        let status = answer.lines().next().unwrap_or("nothing").to_owned();
        return Err(anyhow::anyhow!("{host} is not ready: {status}").into());
    }
    Ok(writeln!(io::stdout(), " ready")?)
}
