//! Which connections are open, and whether anything goes on in each: one in which nothing does makes room for others.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::config::Config;
use crate::limits::PIECE_BYTES;

/// The connections that are open, at most so many.
pub(crate) struct Connections {
    permits: Arc<Semaphore>,
    open: Arc<Mutex<Open>>,
    idle_max: Duration,
    stalled_max: Duration,
}

#[derive(Default)]
struct Open {
    next: u64,
    all: HashMap<u64, Arc<Activity>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connections {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(config.connections_max)),
            open: Arc::default(),
            idle_max: Duration::from_millis(config.header_timeout_ms),
            stalled_max: config.body_timeout(),
        }
    }

    /// The place of a connection. Where all are taken the connection that has been idle for longest is closed, and where none is idle the next to end is waited for; `None` is never
    /// there while the server runs.
    pub(crate) async fn turn(&self) -> Option<Turn> {
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                self.close_one();
                Arc::clone(&self.permits).acquire_owned().await.ok()?
            }
        };
        let activity = Arc::new(Activity::new(self.idle_max, self.stalled_max));
        let mut open = lock(&self.open);
        open.next += 1;
        let number = open.next;
        open.all.insert(number, Arc::clone(&activity));
        Some(Turn { number, activity, open: Arc::clone(&self.open), _permit: permit })
    }

    fn close_one(&self) {
        let open = lock(&self.open);
        let idle = open.all.values().filter_map(|activity| Some((activity.idle_since()?, activity)));
        if let Some((_, longest)) = idle.min_by_key(|(since, _)| *since) {
            longest.replace();
        }
    }
}

/// The place of a connection, which is free once this is dropped.
pub(crate) struct Turn {
    number: u64,
    activity: Arc<Activity>,
    open: Arc<Mutex<Open>>,
    _permit: OwnedSemaphorePermit,
}

impl Turn {
    pub(crate) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.open).all.remove(&self.number);
    }
}

/// What goes on in a connection.
pub(crate) struct Activity {
    state: Mutex<State>,
    replaced: Notify,
    idle_max: Duration,
    stalled_max: Duration,
}

struct State {
    /// Requests that are under way.
    exchanges: usize,
    /// Those of them for which the caller waits, and not the server for the caller.
    ours: usize,
    /// When any of this last changed, or a caller last took a part of an answer.
    since: Instant,
    is_replaced: bool,
}

impl Activity {
    fn new(idle_max: Duration, stalled_max: Duration) -> Self {
        let state = State { exchanges: 0, ours: 0, since: Instant::now(), is_replaced: false };
        Self { state: Mutex::new(state), replaced: Notify::new(), idle_max, stalled_max }
    }

    /// A request has come.
    pub(crate) fn begin(self: &Arc<Self>) -> Exchange {
        let mut state = lock(&self.state);
        (state.exchanges, state.ours, state.since) = (state.exchanges + 1, state.ours + 1, Instant::now());
        Exchange { activity: Arc::clone(self), is_ours: true }
    }

    fn idle_since(&self) -> Option<Instant> {
        let state = lock(&self.state);
        (state.exchanges == 0 && !state.is_replaced).then_some(state.since)
    }

    /// Another connection takes its place.
    fn replace(&self) {
        lock(&self.state).is_replaced = true;
        self.replaced.notify_one();
    }

    /// Is there once the connection is to be closed, with why.
    pub(crate) async fn over(&self) -> &'static str {
        loop {
            let (most, since, why) = {
                let state = lock(&self.state);
                match (state.exchanges, state.ours) {
                    (0, _) => (self.idle_max, state.since, "nothing was asked for"),
                    (_, 0) => (self.stalled_max, state.since, "an answer was not taken"),
                    _ => (self.idle_max, Instant::now(), ""),
                }
            };
            let left = most.saturating_sub(since.elapsed());
            if left.is_zero() {
                return why;
            }
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                () = self.replaced.notified() => return "others need its place",
            }
        }
    }
}

/// A request that is under way until this is dropped.
pub(crate) struct Exchange {
    activity: Arc<Activity>,
    is_ours: bool,
}

impl Exchange {
    /// Whether the caller waits for the server now, or the other way round.
    fn is_ours(&mut self, is_ours: bool) {
        let mut state = lock(&self.activity.state);
        match (self.is_ours, is_ours) {
            (false, true) => state.ours += 1,
            (true, false) => state.ours -= 1,
            _ => {}
        }
        (self.is_ours, state.since) = (is_ours, Instant::now());
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let mut state = lock(&self.activity.state);
        state.exchanges -= 1;
        state.ours -= usize::from(self.is_ours);
        state.since = Instant::now();
    }
}

/// An answer in pieces that are small beside what is buffered: that the next one is asked for tells that those before it were taken.
pub(crate) struct Watched {
    body: Body,
    rest: Bytes,
    exchange: Exchange,
}

impl Watched {
    pub(crate) fn new(body: Body, exchange: Exchange) -> Self {
        Self { body, rest: Bytes::new(), exchange }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            this.exchange.is_ours(true);
            match ready!(Pin::new(&mut this.body).poll_frame(context)).transpose()?.map(Frame::into_data) {
                Some(Ok(data)) => this.rest = data,
                Some(Err(trailers)) => return Poll::Ready(Some(Ok(trailers))),
                None => return Poll::Ready(None),
            }
        }
        this.exchange.is_ours(false);
        let piece = this.rest.split_to(this.rest.len().min(PIECE_BYTES));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(rest + body.lower());
        if let Some(upper) = body.upper() {
            hint.set_upper(rest + upper);
        }
        hint
    }
}
