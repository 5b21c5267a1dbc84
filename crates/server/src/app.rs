//! What the routes share.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt, stream};
use pugmark::{EngineOptions, Info, Options, SharedEngine};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, mpsc};
use tracing::{Instrument, Span};

use crate::body::Queue;
use crate::config::Config;
use crate::control::Control;
use crate::limits::{HELD_BACK_BYTES, PARTS_WAITING_MAX, QUERY_STACK_BYTES};
use crate::metrics::{Metrics, OfKind};
use crate::problem::{Answer, Problem};
use crate::project::Projects;
use crate::rate::Rates;
use crate::request;
use crate::routes;
use crate::trace;

/// The server: a directory of projects and everything that is asked of it, whatever it listens to.
///
/// `Router`s of it can be nested in those of another program; [`serve`](crate::serve) listens by itself.
///
/// ```
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use pugmark_server::{Config, Server};
/// let root = tempfile::tempdir()?;
/// let server = Server::open(root.path(), Config::default())?;
/// let app: axum::Router = axum::Router::new().nest("/analytics", server.router());
/// # drop(app);
/// server.close().await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Server {
    app: Arc<App>,
}

pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) control: Control,
    pub(crate) projects: Projects,
    pub(crate) queue: Arc<Queue>,
    /// Of bodies whose key is in them: they do not take the place of those of whom it is known beforehand.
    pub(crate) strangers: Arc<Queue>,
    pub(crate) rates: Rates,
    pub(crate) metrics: Metrics,
    /// Questions are answered on threads of their own: those that take events in stay free.
    queries: Option<Runtime>,
    at_once: Arc<Semaphore>,
    stopping: AtomicBool,
}

impl Server {
    /// Opens a directory of projects, and makes one where it is missing.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`](pugmark::ErrorKind::Locked) while another server has it, and others of [`Control::open`]; [`ErrorKind::Invalid`](pugmark::ErrorKind::Invalid)
    /// for the directory of a store, whose parent's parent it is that can be served, and for a `sample_rate` out of its range.
    pub fn open(root: &Path, config: Config) -> pugmark::Result<Self> {
        if root.join("index.redb").exists() {
            return Err(pugmark::Error::invalid(format!(
                "{} is a store itself: serve a directory in which it lies as PROJECT/ENVIRONMENT",
                root.display()
            )));
        }
        let control = Control::open(root)?;
        let io = |e: std::io::Error| pugmark::Error::new(pugmark::ErrorKind::Io, format!("starting threads: {e}"));
        let queries = Builder::new_multi_thread()
            .worker_threads(config.query_threads)
            .thread_name("pugmark-query")
            // What an expression is made of is evaluated part below part, as deep as it is nested.
            .thread_stack_size(QUERY_STACK_BYTES)
            .enable_time()
            .build()
            .map_err(io)?;
        let memory_bytes = config.query_memory_bytes;
        let cache_bytes = memory_bytes - memory_bytes / 8;
        let threads = config.query_threads;
        let engine = EngineOptions { memory_bytes, cache_bytes, threads, ..EngineOptions::default() };
        let shared_engine = Some(SharedEngine::new(engine)?);
        let mut options = Options { engine, shared_engine, ..Options::default() };
        options.store.filters_max_bytes = config.filters_of_a_store();
        // What waits in front of the log is bounded by the queue of bodies already.
        options.store.queue_max_bytes = options.store.queue_max_bytes.max(4 * config.queue_max_bytes);
        let app = App {
            control,
            projects: Projects::new(root, options, &config)?,
            queue: Queue::new(config.queue_max_bytes),
            strangers: Queue::new(config.queue_max_bytes / 2),
            rates: Rates::new(&config),
            metrics: Metrics::new(),
            queries: Some(queries),
            at_once: Arc::new(Semaphore::new(config.queries_at_once)),
            stopping: AtomicBool::new(false),
            config,
        };
        Ok(Self { app: Arc::new(app) })
    }

    /// Everything that can be asked, as a router.
    pub fn router(&self) -> Router {
        routes::router(Arc::clone(&self.app))
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.app.config
    }

    /// Whether there is any key that stands: without one nobody is let in.
    pub fn has_keys(&self) -> bool {
        self.app.control.keys().iter().any(|key| key.revoked_us.is_none())
    }

    /// From now on it is not ready for more, and says so.
    pub fn stop(&self) {
        self.app.stopping.store(true, Ordering::Relaxed);
    }

    /// Closes every store. What was acknowledged is on disk without it.
    pub async fn close(self) {
        self.stop();
        self.app.projects.close().await;
    }

    pub(crate) fn app(&self) -> &Arc<App> {
        &self.app
    }
}

impl App {
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Has a question answered on the threads that are there for it, within its time.
    pub(crate) async fn answer<T: Send + 'static>(
        &self,
        kind: &'static str,
        question: impl Future<Output = Answer<T>> + Send + 'static,
    ) -> Answer<T> {
        let at_once = Arc::clone(&self.at_once);
        let runtime = self.queries.as_ref().ok_or_else(|| Problem::busy("the server is shutting down"))?;
        let begun = tokio::time::Instant::now();
        let answered = tokio::time::timeout(self.config.query_timeout(), async {
            let turn = at_once.acquire_owned().await.map_err(|_| Problem::busy("the server is shutting down"))?;
            let question = async move {
                let _turn = turn;
                question.await
            };
            let mut asked = AbortOnDrop(runtime.spawn(question.instrument(Span::current())));
            asked.end().await?
        });
        let answer = answered.instrument(trace::of_question(kind)).await.unwrap_or_else(|_| Err(self.late()));
        self.metrics.query_seconds.get_or_create(&OfKind { kind }).observe(begun.elapsed().as_secs_f64());
        answer
    }

    /// The same of an answer that is written part by part. What goes wrong before the first of them is sent is the answer; later it ends the connection.
    pub(crate) async fn answer_in_parts<F: Future<Output = Answer<()>> + Send + 'static>(
        &self,
        kind: &'static str,
        write: impl FnOnce(Parts) -> F + Send + 'static,
    ) -> Answer<Body> {
        let runtime = self.queries.as_ref().ok_or_else(|| Problem::busy("the server is shutting down"))?;
        let (sender, mut parts) = mpsc::channel(PARTS_WAITING_MAX);
        let (at_once, query_seconds) = (Arc::clone(&self.at_once), self.metrics.query_seconds.clone());
        let (timeout, late, request) = (self.config.query_timeout(), self.late(), request::id());
        let writing = async move {
            let begun = tokio::time::Instant::now();
            let written = tokio::time::timeout(timeout, async {
                let _turn = at_once.acquire_owned().await.map_err(|_| Problem::busy("the server is shutting down"))?;
                write(Parts(sender.clone())).await
            });
            let written = written.await.unwrap_or(Err(late));
            query_seconds.get_or_create(&OfKind { kind }).observe(begun.elapsed().as_secs_f64());
            if let Err(problem) = written {
                // Nobody is there to hear it where this fails.
                sender.send(Err(problem)).await.ok();
            }
        };
        let mut writing = AbortOnDrop(runtime.spawn(writing.instrument(trace::of_question(kind))));
        let mut first = Vec::new();
        // Also told here: the threads that answer may be too busy to notice that it is late.
        let deadline = tokio::time::Instant::now() + timeout;
        while first.len() < HELD_BACK_BYTES {
            match tokio::time::timeout_at(deadline, parts.recv()).await.map_err(|_| self.late())? {
                Some(part) => first.extend_from_slice(&part?),
                // A short answer has its length in its head.
                None => return writing.end().await.map(|()| first.into()),
            }
        }
        let broken = |request: &str, problem: &Problem| {
            let (kind, detail) = (problem.kind, &problem.detail);
            tracing::warn!(id = request, kind, ?detail, "an answer ends before its end");
            io::Error::other(problem.detail.clone())
        };
        let rest = stream::try_unfold((parts, writing, request), move |(mut parts, mut writing, request)| async move {
            match parts.recv().await {
                Some(Ok(part)) => Ok(Some((part, (parts, writing, request)))),
                Some(Err(problem)) => Err(broken(&request, &problem)),
                None => writing.end().await.map(|()| None).map_err(|problem| broken(&request, &problem)),
            }
        });
        Ok(Body::from_stream(stream::once(async { Ok(first.into()) }).chain(rest)))
    }

    fn late(&self) -> Problem {
        Problem::timeout(format!("no answer within {} ms: ask for less", self.config.query_timeout_ms))
    }

    /// Numbers of the open stores, as they are now.
    pub(crate) fn measure(&self) {
        let open = self.projects.all_open();
        let stores: Vec<Info> = open.iter().filter_map(|project| project.db.info().ok()).collect();
        let sum = |of: fn(&Info) -> u64| stores.iter().map(of).sum::<u64>() as i64;
        let metrics = &self.metrics;
        metrics.stores_open.set(open.len() as i64);
        metrics.log_bytes.set(sum(|info| info.log.bytes));
        metrics.columns_bytes.set(sum(|info| info.columns.bytes));
        metrics.unflushed_events.set(sum(|info| info.columns.tail_rows));
        metrics.flushes.set(sum(|info| info.columns.flushes));
        metrics.merges.set(sum(|info| info.columns.merges));
        metrics.message_id_blocks.set(sum(|info| info.message_ids.blocks_read));
        metrics.message_id_bytes.set(sum(|info| info.message_ids.resident_bytes));
        metrics.resident_bytes.set(resident_bytes() as i64);
        metrics.queue_bytes.set((self.queue.bytes() + self.strangers.bytes()) as i64);
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // A runtime that is dropped waits for its threads, which an async caller must not.
        if let Some(queries) = self.queries.take() {
            queries.shutdown_timeout(Duration::ZERO);
        }
    }
}

/// The memory of this process; 0 where the system does not tell it.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

/// A question that nobody waits for any more ends.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> AbortOnDrop<T> {
    async fn end(&mut self) -> Answer<T> {
        (&mut self.0).await.map_err(|error| Problem::internal(format!("the question ended: {error}")))
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Where an answer is written to.
pub(crate) struct Parts(mpsc::Sender<Answer<Bytes>>);

impl Parts {
    /// Sends what comes next, once there is room for it.
    ///
    /// # Errors
    /// Nobody takes it any more.
    pub(crate) async fn send(&self, part: Vec<u8>) -> Answer<()> {
        if part.is_empty() {
            return Ok(());
        }
        self.0.send(Ok(part.into())).await.map_err(|_| Problem::internal("whoever asked has gone"))
    }

    /// The same as bytes are written to it, from a thread that may wait.
    pub(crate) fn writer(self) -> impl Write + Send {
        BufWriter::with_capacity(HELD_BACK_BYTES, Blocking(self))
    }
}

/// Writes what comes, once there is room for it.
struct Blocking(Parts);

impl Write for Blocking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "whoever asked has gone"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
