//! What the routes share.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use pugmark::{EngineOptions, Options};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

use crate::body::Queue;
use crate::config::Config;
use crate::control::Control;
use crate::metrics::{Metrics, OfKind};
use crate::problem::{Answer, Problem};
use crate::project::Projects;
use crate::rate::Rates;
use crate::routes;

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
    /// for the directory of a store, whose parent's parent it is that can be served.
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
            .enable_time()
            .build()
            .map_err(io)?;
        let memory_bytes = config.query_memory_bytes / config.stores_open_max;
        let engine = EngineOptions { memory_bytes, threads: config.query_threads, ..EngineOptions::default() };
        let mut options = Options { engine, ..Options::default() };
        // What waits in front of the log is bounded by the queue of bodies already.
        options.store.queue_max_bytes = options.store.queue_max_bytes.max(4 * config.queue_max_bytes);
        let app = App {
            control,
            projects: Projects::new(root, options, config.enrich.clone(), config.stores_open_max),
            queue: Queue::new(config.queue_max_bytes),
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
        let late = || Problem::timeout(format!("no answer within {} ms: ask for less", self.config.query_timeout_ms));
        let at_once = Arc::clone(&self.at_once);
        let runtime = self.queries.as_ref().ok_or_else(|| Problem::busy("the server is shutting down"))?;
        let begun = tokio::time::Instant::now();
        let answered = tokio::time::timeout(self.config.query_timeout(), async {
            let turn = at_once.acquire_owned().await.map_err(|_| Problem::busy("the server is shutting down"))?;
            let mut asked = AbortOnDrop(runtime.spawn(async move {
                let _turn = turn;
                question.await
            }));
            (&mut asked.0).await.unwrap_or_else(|error| Err(Problem::internal(format!("the question ended: {error}"))))
        });
        let answer = answered.await.unwrap_or_else(|_| Err(late()));
        self.metrics.query_seconds.get_or_create(&OfKind { kind }).observe(begun.elapsed().as_secs_f64());
        answer
    }

    /// Numbers of the open stores, as they are now.
    pub(crate) fn measure(&self) {
        let open = self.projects.all_open();
        let (mut log, mut columns, mut unflushed) = (0, 0, 0);
        for info in open.iter().filter_map(|project| project.db.info().ok()) {
            log += info.log.bytes;
            columns += info.columns.bytes;
            unflushed += info.columns.tail_rows;
        }
        let metrics = &self.metrics;
        metrics.stores_open.set(open.len() as i64);
        metrics.log_bytes.set(log as i64);
        metrics.columns_bytes.set(columns as i64);
        metrics.unflushed_events.set(unflushed as i64);
        metrics.queue_bytes.set(self.queue.bytes() as i64);
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

/// A question that nobody waits for any more ends.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
