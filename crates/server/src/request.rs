//! The request that is being answered, for what is told of it beside its answer.

use std::cell::Cell;

use tracing::{Instrument, Span};

use crate::problem::{Answer, Problem};
use crate::rate::Limited;

struct Current {
    id: String,
    limited: Cell<Option<Limited>>,
}

tokio::task_local! {
    static CURRENT: Current;
}

/// Answers a request under its id; and how much its key may send or ask besides, where that is bounded.
pub(crate) async fn scope<F: Future>(id: String, answer: F) -> (F::Output, Option<Limited>) {
    let current = Current { id, limited: Cell::new(None) };
    CURRENT.scope(current, async { (answer.await, CURRENT.with(|current| current.limited.take())) }).await
}

/// Does a part of the request to its end, also where nobody waits for the answer any more.
pub(crate) async fn outlasting<T: Send + 'static>(part: impl Future<Output = Answer<T>> + Send + 'static) -> Answer<T> {
    let done = tokio::spawn(scope(id(), part.instrument(Span::current()))).await;
    done.map_err(|error| Problem::internal(format!("a task ended: {error}")))?.0
}

/// The id of the request; empty outside of one.
pub(crate) fn id() -> String {
    CURRENT.try_with(|current| current.id.clone()).unwrap_or_default()
}

/// Notes how much the key of the request may still send or ask.
pub(crate) fn limited(limited: Limited) {
    // Outside of a request nobody is told.
    CURRENT.try_with(|current| current.limited.set(Some(limited))).ok();
}
