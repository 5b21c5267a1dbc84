//! Bodies of requests, read within bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use http_body_util::BodyExt;

use crate::app::App;
use crate::limits::UNKNOWN_BODY_MAX_BYTES;
use crate::problem::{Answer, Problem};

/// Bytes of bodies that are under way, of all callers together.
#[derive(Debug)]
pub(crate) struct Queue {
    bytes: AtomicUsize,
    bytes_max: usize,
}

impl Queue {
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicUsize::new(0), bytes_max })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// A part of the queue, which is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    queue: Arc<Queue>,
    bytes: usize,
}

impl Held {
    pub(crate) fn none(queue: &Arc<Queue>) -> Self {
        Self { queue: Arc::clone(queue), bytes: 0 }
    }

    /// Takes so many bytes more. A body that has begun may fill the queue to its end; one that begins finds it full at half of that.
    fn take(&mut self, bytes: usize) -> Answer<()> {
        let before = self.queue.bytes.fetch_add(bytes, Ordering::Relaxed);
        let had = self.bytes;
        self.bytes += bytes;
        let all = before + bytes;
        if all > self.queue.bytes_max {
            return Err(Problem::busy("as many bytes as may be are under way: send it again in a second"));
        }
        if had == 0 && all > self.queue.bytes_max / 2 {
            return Err(Problem::too_many(
                "more comes in than is stored: send it again in a second, and less at once",
                1,
            ));
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.queue.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A body as text, and the part of the queue that it takes.
pub(crate) async fn read(app: &App, body: Body) -> Answer<(String, Held)> {
    read_into(app, &app.queue, body, app.config.body_max_bytes).await
}

/// The same of a body of nobody knows whom: a short one.
pub(crate) async fn read_of_stranger(app: &App, body: Body) -> Answer<(String, Held)> {
    read_into(app, &app.strangers, body, app.config.body_max_bytes.min(UNKNOWN_BODY_MAX_BYTES)).await
}

async fn read_into(app: &App, queue: &Arc<Queue>, body: Body, most: usize) -> Answer<(String, Held)> {
    let reading = tokio::time::timeout(app.config.body_timeout(), read_all(queue, body, most));
    let (bytes, held) = reading.await.map_err(|_| {
        let detail = format!("the body was not there within {} ms", app.config.body_timeout_ms);
        Problem::new(axum::http::StatusCode::REQUEST_TIMEOUT, "timeout", detail)
    })??;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Problem::invalid(format!("the body is not UTF-8 from byte {at} on")).at(at)
    })?;
    Ok((text, held))
}

async fn read_all(queue: &Arc<Queue>, mut body: Body, most: usize) -> Answer<(Vec<u8>, Held)> {
    let mut held = Held::none(queue);
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::invalid(format!("reading the body: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        let taken = if bytes.len() + data.len() > most {
            Err(Problem::too_large(format!("a body of more than {most} bytes: send it in parts")))
        } else {
            held.take(data.len())
        };
        if let Err(problem) = taken {
            drop((bytes, held));
            pass_over(body, most).await;
            return Err(problem);
        }
        bytes.extend_from_slice(&data);
    }
    Ok((bytes, held))
}

/// Reads on to the end of a body that is not taken, or so many bytes of it: a caller who is still sending when the connection is closed may never see the answer.
async fn pass_over(mut body: Body, most: usize) {
    let mut passed = 0;
    while passed <= most
        && let Some(Ok(frame)) = body.frame().await
    {
        passed += frame.data_ref().map_or(0, |data| data.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_sends_newcomers_away_first_and_gives_back_what_is_dropped() {
        let queue = Queue::new(100);
        let (mut first, mut second, mut third) = (Held::none(&queue), Held::none(&queue), Held::none(&queue));
        assert!(first.take(40).is_ok());
        assert_eq!(second.take(20).unwrap_err().status, 429);
        drop(second);
        assert!(first.take(50).is_ok());
        assert_eq!(first.take(20).unwrap_err().status, 503);
        assert_eq!(third.take(1).unwrap_err().status, 503);
        drop((first, third));
        assert_eq!(queue.bytes(), 0);
    }
}
