//! `pugmark health`: whether a server is ready, for whatever watches over it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use pugmark_server::Config;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
};

use crate::failure::{Failure, Result};

const PATIENCE: Duration = Duration::from_secs(3);

/// Asks a server whether it is ready; exit code 1 if it is not
///
/// Settings are those of `pugmark serve`, from the same places. They say where it is asked, on this machine, and that it is asked over TLS where they have a
/// certificate: this one is believed and no other.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pugmark health\n  pugmark health --config /etc/pugmark.toml\n  pugmark health 10.0.0.5:7450"
)]
pub(crate) struct Args {
    /// Where it listens, if not where the settings say; after http:// it is asked without TLS
    #[arg(value_name = "HOST:PORT")]
    address: Option<String>,
    /// Settings, in TOML
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting, over those of the file and of the environment
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result {
    let config = Config::load_file(args.config.as_deref(), &args.set).map_err(Failure::Usage)?;
    let given = args.address.as_deref();
    let plain = given.and_then(|address| address.strip_prefix("http://"));
    let address = match plain.or(given) {
        Some(address) => address.trim_end_matches('/').to_owned(),
        None if config.listen.port() == 0 => {
            return Err(Failure::Usage("listen: any port: say which as HOST:PORT".to_owned()));
        }
        None => nearby(config.listen).to_string(),
    };
    let stream = connected(&address)?;
    let answer = match &config.tls {
        Some(tls) if plain.is_none() => encrypted(stream, &tls.certificate).and_then(|stream| ask(stream, &address)),
        _ => ask(stream, &address),
    };
    let answer = answer.map_err(|error| match (config.tls, other_certificate(&error)) {
        (Some(tls), true) => anyhow!(
            "{address} has another certificate than {}: if that was renewed, start the server again",
            tls.certificate.display()
        ),
        _ => anyhow!("asking {address}: {error}"),
    })?;
    let status = answer.strip_prefix("HTTP/1.1 ").unwrap_or("it does not answer in HTTP").trim_end();
    if !status.starts_with("200") {
        return Err(anyhow!("{address} is not ready: {status}").into());
    }
    Ok(writeln!(io::stdout(), " ready")?)
}

/// Where whoever listens there is found on its own machine.
fn nearby(mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        listen.set_ip(if listen.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    listen
}

fn connected(address: &str) -> anyhow::Result<TcpStream> {
    let addresses = address.to_socket_addrs();
    let mut addresses = addresses.with_context(|| format!("asking {address}: expected HOST:PORT"))?;
    let connected = addresses.find_map(|address| TcpStream::connect_timeout(&address, PATIENCE).ok());
    let stream = connected.with_context(|| format!("nobody answers at {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The first line of the answer.
fn ask(mut stream: impl Read + Write, host: &str) -> io::Result<String> {
    let request = format!("GET /health/ready HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut line = Vec::new();
    BufReader::new(stream.take(4_096)).read_until(b'\n', &mut line)?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn encrypted(stream: TcpStream, certificate: &Path) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let wrong = |error| io::Error::other(format!("{}: {error}", certificate.display()));
    let certificate = CertificateDer::from_pem_file(certificate).map_err(wrong)?;
    let provider = Arc::new(ring::default_provider());
    let only = Only { certificate, algorithms: provider.signature_verification_algorithms };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(only))
        .with_no_client_auth();
    let name = ServerName::from(stream.peer_addr()?.ip());
    let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    Ok(StreamOwned::new(connection, stream))
}

fn other_certificate(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    matches!(cause, Some(rustls::Error::InvalidCertificate(_)))
}

/// Believes one certificate, byte for byte, whatever names and times it has: who asks on the machine itself does so under a name that no certificate has.
#[derive(Debug)]
struct Only {
    certificate: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Only {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        if *shown == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    // That the certificate is shown proves nothing: these prove that the server has its key.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, shown, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, shown, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_all_addresses_is_asked_at_the_loopback() {
        for (listens, asked) in [
            ("0.0.0.0:7450", "127.0.0.1:7450"),
            ("[::]:80", "[::1]:80"),
            ("127.0.0.2:1", "127.0.0.2:1"),
            ("[fe80::1%3]:80", "[fe80::1%3]:80"),
        ] {
            assert_eq!(nearby(listens.parse().unwrap()).to_string(), asked);
        }
    }
}
