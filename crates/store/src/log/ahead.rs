//! Reads a log on a thread of its own, for whoever goes through much of it.

use std::sync::mpsc::sync_channel;
use std::thread;

use super::scan::{Frame, Scan};
use crate::error::Error;

/// Batches that are read before they are asked for.
const FRAMES_AHEAD: usize = 4;

/// Gives each batch of `scan` to `each`, while the next ones are read, checked and decompressed.
///
/// # Errors
/// Those of the scan and of `each`; nothing follows an error.
pub(crate) fn each_ahead<E: From<Error>>(scan: Scan, mut each: impl FnMut(Frame) -> Result<(), E>) -> Result<(), E> {
    let dir = scan.dir().clone();
    let (give, take) = sync_channel(FRAMES_AHEAD);
    thread::scope(|scope| {
        let read = move || {
            for frame in scan {
                // Nobody takes any more after an error of theirs.
                if give.send(frame).is_err() {
                    break;
                }
            }
        };
        let thread = thread::Builder::new().name("pugmark-read".to_owned());
        let reader =
            thread.spawn_scoped(scope, read).map_err(|e| Error::io("starting a thread to read", dir.path(), e))?;
        let done = take.iter().try_for_each(|frame| each(frame?));
        drop(take);
        match reader.join() {
            Ok(()) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
