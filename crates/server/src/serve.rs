//! Connections: accepted, bounded in number and time, encrypted where there is a certificate, and ended in order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tower::ServiceExt;

use crate::app::Server;
use crate::config::Tls;
use crate::connection::{Activity, Connections, Watched};
use crate::limits::HEADERS_MAX_BYTES;

/// Listens where the settings say, until `until` is there; then stops accepting, lets requests that are under way finish, and closes the stores, all within `shutdown_ms`.
///
/// `on_listening` is told where it listens: the port that the system chose, where the settings say 0.
///
/// # Errors
/// An address that cannot be had; a certificate that cannot be read, or that is not of its key.
pub async fn serve(
    server: Server,
    on_listening: impl FnOnce(SocketAddr),
    until: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let config = server.config().clone();
    let tls = config.tls.as_ref().map(acceptor).transpose()?;
    let place = |e: io::Error| io::Error::new(e.kind(), format!("listening on {}: {e}", config.listen));
    let listener = TcpListener::bind(config.listen).await.map_err(place)?;
    on_listening(listener.local_addr()?);

    let graceful = GracefulShutdown::new();
    let connections = Connections::new(&config);
    let router = server.router();
    let mut until = std::pin::pin!(until);
    loop {
        let accepted = async {
            let accepted = listener.accept().await?;
            Ok::<_, io::Error>((accepted, connections.turn().await))
        };
        let ((stream, peer), turn) = tokio::select! {
            accepted = accepted => match accepted {
                Ok((accepted, Some(turn))) => (accepted, turn),
                Ok((_, None)) => break,
                Err(error) => {
                    // Too many files are open, as a rule: some will be closed.
                    tracing::warn!("accepting a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = &mut until => break,
        };
        let (router, tls, watcher) = (router.clone(), tls.clone(), graceful.watcher());
        let head = Duration::from_millis(config.header_timeout_ms);
        let open = server.app().metrics.connections.clone();
        tokio::spawn(async move {
            open.inc();
            let ended = tokio::select! {
                ended = connection(stream, peer, router, tls, watcher, head, turn.activity()) => ended,
                why = turn.activity().over() => Err(why.into()),
            };
            open.dec();
            drop(turn);
            if let Err(error) = ended {
                tracing::debug!(%peer, "a connection ended: {error}");
            }
        });
    }
    drop(listener);
    server.stop();
    // Stores are closed in what is left, also where a caller would not finish.
    let most = Duration::from_millis(config.shutdown_ms);
    let begun = tokio::time::Instant::now();
    if timeout(most / 2, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were not done within {} ms", config.shutdown_ms / 2);
    }
    if timeout(most.saturating_sub(begun.elapsed()), server.close()).await.is_err() {
        tracing::warn!(
            "some stores were not closed within {} ms; what was acknowledged is on disk",
            config.shutdown_ms
        );
    }
    Ok(())
}

type Ended = Result<(), Box<dyn std::error::Error + Send + Sync>>;

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    tls: Option<TlsAcceptor>,
    watcher: hyper_util::server::graceful::Watcher,
    head: Duration,
    activity: &Arc<Activity>,
) -> Ended {
    stream.set_nodelay(true)?;
    let activity = Arc::clone(activity);
    let answer = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let exchange = activity.begin();
        let answered = router.clone().oneshot(request.map(Body::new));
        async move { answered.await.map(|response| response.map(|body| Watched::new(body, exchange))) }
    });
    // Which protocol it is is agreed on beforehand and not told from the first bytes: whoever sends none of them would be waited for.
    let mut http1 = http1::Builder::new();
    http1.timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(HEADERS_MAX_BYTES);
    let Some(tls) = tls else {
        return Ok(watcher.watch(http1.serve_connection(TokioIo::new(stream), answer)).await?);
    };
    let stream = timeout(head, tls.accept(stream)).await??;
    if stream.get_ref().1.alpn_protocol() != Some(HTTP2) {
        return Ok(watcher.watch(http1.serve_connection(TokioIo::new(stream), answer)).await?);
    }
    let mut http2 = http2::Builder::new(TokioExecutor::new());
    http2.timer(TokioTimer::new()).keep_alive_interval(head).keep_alive_timeout(head);
    http2.max_header_list_size(HEADERS_MAX_BYTES as u32);
    Ok(watcher.watch(http2.serve_connection(TokioIo::new(stream), answer)).await?)
}

const HTTP2: &[u8] = b"h2";

pub(crate) fn acceptor(tls: &Tls) -> io::Result<TlsAcceptor> {
    let wrong =
        |path: &std::path::Path, e: &dyn std::fmt::Display| io::Error::other(format!("{}: {e}", path.display()));
    let certificates = CertificateDer::pem_file_iter(&tls.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| wrong(&tls.certificate, &e))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|e| wrong(&tls.key, &e))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|e| wrong(&tls.certificate, &e))?;
    config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
