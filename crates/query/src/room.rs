//! Room on the stack for what goes as deep as a statement is nested.

use std::future::{Future, poll_fn};
use std::pin::pin;

/// What planning is given: a statement nested as deep as is allowed takes some 7 MiB where nothing is optimised. Memory is taken only as far as it is used.
const STACK_BYTES: usize = 32 << 20;
/// What a thread must have left to be taken as it is.
const LEFT_BYTES: usize = 16 << 20;

/// Runs `future` with room on the stack, on whatever thread: those of tokio have 2 MiB.
pub(crate) async fn with_room<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| stacker::maybe_grow(LEFT_BYTES, STACK_BYTES, || future.as_mut().poll(context))).await
}
