//! How a directory is opened.

use std::num::NonZeroU64;
use std::sync::Arc;

use pugmark_identity::IdentityOptions;
use pugmark_query::columns::{ColumnsOptions, MergePolicy};
use pugmark_query::{Engine, EngineOptions, Result};
use pugmark_registry::RegistryOptions;
use pugmark_store::Options as StoreOptions;

/// How [`Pugmark::open_with`](crate::Pugmark::open_with) opens a directory. The defaults suit an embedder.
///
/// # Example
/// ```
/// use pugmark::{EngineOptions, Options};
/// let small = Options { engine: EngineOptions { memory_bytes: 256 << 20, ..EngineOptions::default() }, ..Options::default() };
/// assert!(small.store.create);
/// assert!(!Options::existing().store.create);
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    /// Of the log and the index: sizes, the clock, whether a missing directory becomes a new store.
    pub store: StoreOptions,
    /// Of the observed events and properties.
    pub registry: RegistryOptions,
    /// Of who is who.
    pub identity: IdentityOptions,
    /// Events are written to a columnar file once so many of them are in memory only.
    pub flush_rows: usize,
    /// Events are written to a columnar file once they take so many bytes in memory.
    pub flush_bytes: usize,
    /// Which columnar files are merged, in the background where [`store`](Self::store) says so.
    pub merge: Arc<dyn MergePolicy>,
    /// How many bytes of columnar files are read and written in a second at most, together, to merge them in the background and to make cubes of them; `None` for no bound. Merges that somebody waits for, by
    /// [`compact`](crate::Pugmark::compact), are not held back.
    pub merge_bytes_per_second: Option<NonZeroU64>,
    /// Of the query engine: memory and threads.
    pub engine: EngineOptions,
    /// The engine that answers questions, where several stores have one together; it is as it was made, whatever `engine` says. None by default: each store has its own.
    pub shared_engine: Option<SharedEngine>,
}

/// One query engine of several stores, for programs that have many open at once: its memory is for the questions to all of them, and for what is kept decoded of all.
///
/// # Example
/// ```
/// use pugmark::{EngineOptions, Event, Options, Pugmark, SharedEngine, Trend};
/// let root = tempfile::tempdir()?;
/// let shared_engine = Some(SharedEngine::new(EngineOptions { memory_bytes: 256 << 20, ..EngineOptions::default() })?);
/// for (name, views) in [("one", 1), ("two", 2)] {
///     let db = Pugmark::open_with(root.path().join(name), Options { shared_engine: shared_engine.clone(), ..Options::default() })?;
///     db.track_many((0..views).map(|at| Event::new("view", format!("u{at}"))).collect())?;
///     assert_eq!(db.blocking()?.trend(&Trend::of("view"))?.series[0].total, views);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct SharedEngine(pub(crate) Arc<Engine>);

impl SharedEngine {
    /// An engine within these bounds.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for bounds that nothing fits in.
    pub fn new(options: EngineOptions) -> Result<Self> {
        Ok(Self(Arc::new(Engine::new(options)?)))
    }
}

impl Default for Options {
    fn default() -> Self {
        let columns = ColumnsOptions::default();
        Self {
            store: StoreOptions::default(),
            registry: RegistryOptions::default(),
            identity: IdentityOptions::default(),
            flush_rows: columns.flush_rows,
            flush_bytes: columns.flush_bytes,
            merge: columns.merge,
            merge_bytes_per_second: columns.merge_bytes_per_second,
            engine: EngineOptions::default(),
            shared_engine: None,
        }
    }
}

impl Options {
    /// The defaults, but a directory that is no store is an error and not made one.
    pub fn existing() -> Self {
        Self { store: StoreOptions { create: false, ..StoreOptions::default() }, ..Self::default() }
    }

    pub(crate) fn columns(&self) -> ColumnsOptions {
        ColumnsOptions {
            flush_rows: self.flush_rows,
            flush_bytes: self.flush_bytes,
            registry: self.registry,
            storage: Arc::clone(&self.store.storage),
            merge: Arc::clone(&self.merge),
            merge_in_background: self.store.background,
            merge_bytes_per_second: self.merge_bytes_per_second,
        }
    }
}
