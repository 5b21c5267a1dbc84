//! A chunk that readers share with the writer: they see the rows that were there when they took it, also while it grows.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pugmark_store::{Committed, Result, Sequence};

use super::build::{OpenChunk, Slots};
use super::chunk::Chunk;

#[derive(Debug)]
pub(crate) struct Cell {
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// With the last frozen copy, which serves every reader of no more rows.
    Open(Box<OpenChunk>, Option<Arc<Chunk>>),
    Sealed(Arc<Chunk>),
}

/// What an append did to a cell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

impl Cell {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::Open(Box::default(), None)) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Readers change nothing but the frozen copy, and the writer's panic poisons the store before anyone reads on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the events of `batch` past the sequence `after`, and says how large the chunk is now.
    pub(crate) fn append(&self, batch: &Committed<'_>, after: Sequence, slots: &mut Slots) -> Result<Extent> {
        match &mut *self.lock() {
            State::Open(open, _) => {
                open.append(batch, after, slots)?;
                Ok(Extent { rows: open.rows(), bytes: open.bytes() })
            }
            State::Sealed(_) => unreachable!("invariant: a sealed chunk is replaced before the next append"),
        }
    }

    pub(crate) fn seal(&self) {
        let mut state = self.lock();
        if let State::Open(open, _) = &mut *state {
            let chunk = std::mem::take(open.as_mut()).freeze();
            *state = State::Sealed(Arc::new(chunk));
        }
    }

    /// The first `rows` rows or more.
    pub(crate) fn chunk(&self, rows: usize) -> Arc<Chunk> {
        let copy = match &*self.lock() {
            State::Sealed(chunk) | State::Open(_, Some(chunk)) if chunk.rows() >= rows => return Arc::clone(chunk),
            State::Open(open, _) => open.copy(),
            State::Sealed(_) => unreachable!("invariant: no reader takes more rows than a chunk ever had"),
        };
        // Outside of the lock, so that the writer waits for the copy at most.
        let chunk = Arc::new(copy.freeze());
        if let State::Open(_, frozen) = &mut *self.lock() {
            *frozen = Some(Arc::clone(&chunk));
        }
        chunk
    }
}

/// Rows of one cell that are in no file.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) cell: Arc<Cell>,
    pub(crate) rows: Range<usize>,
    pub(crate) bytes: usize,
    /// The last sequence of the last batch with rows in it: a file of this part and all before it covers the log up to here.
    pub(crate) through: Sequence,
}

/// A [`Part`] as a frozen chunk.
#[derive(Debug, Clone)]
pub(crate) struct Slice {
    pub(crate) chunk: Arc<Chunk>,
    pub(crate) rows: Range<usize>,
}

impl Part {
    pub(crate) fn slice(&self) -> Slice {
        Slice { chunk: self.cell.chunk(self.rows.end), rows: self.rows.clone() }
    }
}
