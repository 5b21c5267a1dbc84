//! `pugmark serve`: a directory of projects over HTTP.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use pugmark_server::{Config, Server, TRACE_TARGET, serve};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, fmt};

use super::traces::Traces;
use crate::failure::{Failure, Result};

/// Files that are kept free for stores.
const FILES_OF_STORES: u64 = 16_384;

/// Serves the projects under a directory over HTTP: SDKs send, and programs ask
///
/// Settings come from a file in TOML, over it from variables such as `PUGMARK_SERVE_LISTEN`, over those from `--set`; `docs/server.md` lists them. It ends at SIGTERM and SIGINT: requests
/// under way are finished and stores closed. What was acknowledged is on disk however it ends.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pugmark key create stores --project shop --scope write\n  pugmark serve stores\n  pugmark serve stores --set listen=0.0.0.0:7450 --set enrich.device=true\n  pugmark serve stores --config pugmark.toml --check-config"
)]
pub(crate) struct Args {
    /// The directory of the projects, each a store in PROJECT/ENVIRONMENT
    #[arg(value_name = "DIR")]
    root: PathBuf,
    /// Settings, in TOML
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting, over those of the file and of the environment
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Show the settings, read the files that they name, and end
    #[arg(long)]
    check_config: bool,
    /// Write the log as JSON
    #[arg(long)]
    log_json: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    let config = Config::load_file(args.config.as_deref(), &args.set).map_err(Failure::Usage)?;
    if args.check_config {
        config.check_files().map_err(Failure::Usage)?;
        write!(io::stdout(), "{}", toml::to_string(&config)?)?;
        return Ok(());
    }
    let traces = Traces::begin()?;
    log(args.log_json, &traces);
    // Each connection is a file to the system.
    if let Err(error) = rlimit::increase_nofile_limit(config.connections_max as u64 + FILES_OF_STORES) {
        tracing::warn!("the limit of open files stays as it is: {error}");
    }
    let server = Server::open(&args.root, config)?;
    if !server.has_keys() {
        let root = args.root.display();
        tracing::warn!(
            "there is no key under {root}, and nothing is answered without: stop this and make one with `pugmark key create {root} --project NAME --scope admin`"
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let ends = ended()?;
        let told = |address| {
            // Standard output may be closed, and it goes on all the same.
            let _told = writeln!(io::stdout(), " listening on {address}").and_then(|()| io::stdout().flush());
        };
        serve(server, told, ends).await
    });
    // A thread that still works for nobody is not waited for.
    runtime.shutdown_timeout(Duration::from_millis(100));
    traces.end();
    Ok(served?)
}

/// Writes the log to standard error, as much of it as RUST_LOG wants, and has spans collected.
fn log(as_json: bool, traces: &Traces) {
    let wanted = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let is_line = filter_fn(|metadata| metadata.target() != TRACE_TARGET);
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = if as_json { lines.json().boxed() } else { lines.boxed() };
    let lines = lines.with_filter(wanted.and(is_line));
    tracing_subscriber::registry().with(traces.layer()).with(lines).init();
}

/// Is there once the process is told to end.
fn ended() -> io::Result<impl Future<Output = ()> + Send> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};

        let (mut terminated, mut interrupted) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(async move {
            tokio::select! {
                _ = terminated.recv() => {}
                _ = interrupted.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        // Without a signal to wait for it runs until it is killed.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
