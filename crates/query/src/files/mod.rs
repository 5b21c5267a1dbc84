//! Events from files and to files: NDJSON, CSV and Parquet; plain, gzip or zstd; a path or standard input.
//!
//! [`Import`] reads a [`Source`] into a store, [`Export`] writes a store out. What [`ExportFormat::Ndjson`] writes imports into an empty
//! store with the same answers, links between people included.
//!
//! # A line of NDJSON
//! is an event:
//! ```json
//! {"event": "purchase", "distinct_id": "user-42", "timestamp": "2025-01-01T10:00:00Z", "message_id": "order-17",
//!  "session_id": "s1", "properties": {"amount": 19.9, "page": {"url": "/"}}, "context": {"library": "web"}}
//! ```
//! of which only `event` and `distinct_id` are required. Any other field is a property. Objects are flattened (`page.url`) until a name
//! has [`FLATTEN_DEPTH`](pugmark_store::limits::FLATTEN_DEPTH) parts; arrays stay as JSON text; `null` is absent. `properties` may also
//! be a list of `[name, value]`, where `{"json": text}` and `{"number": text}` are values that stay exactly as they are: [`Export`]
//! writes that form for what an object would not bring back.
//!
//! A line without an event and with a `type` is an operation: `{"type": "identify", "anonymous_id": "a", "user_id": "u"}`,
//! `{"type": "alias", "id": "a", "to": "b"}`, both also with `"force": true`; `{"type": "merge", "ids": ["a", "b", "c"]}`, `{"type": "split", "id": "a"}` and
//! `{"type": "split_link", "ids": ["a", "b"]}`, which revokes the last operation that linked these ids and no others, all three also with `by` and `why`.
//!
//! # Timestamps
//! are text (RFC 3339; the same without an offset is UTC; a date is its midnight in UTC, also as `20250101`), or a number since 1970:
//! seconds below 10^11 (until the year 5138), milliseconds below 10^14, microseconds below 10^17, nanoseconds above. Digits in text count
//! as a number unless they are eight and a date.
//!
//! # Message ids
//! An event without a `message_id` and without a `key` gets a hash of its name, distinct id, timestamp and properties, and its ordinal
//! among equal rows of the same input: importing a file twice adds nothing, and real repeats within it stay.

mod batch;
mod csv;
mod export;
mod import;
mod mapping;
mod message_id;
mod ndjson;
mod parquet;
mod pipeline;
mod source;
mod timestamp;

pub use batch::{Batch, BatchReader};
pub use export::{Export, ExportFormat, Exported};
pub use import::{Import, ImportFormat, Prepare, Progress, Summary};
pub use mapping::{Field, Mapping};
pub use pipeline::Reject;
pub use source::Source;

/// Reads any bytes as lines of NDJSON, in pieces of any size: every line becomes an entry or a reject.
pub(crate) fn fuzz_lines(bytes: &[u8]) {
    use pipeline::{Piece, PieceReader};

    let reading = pipeline::Reading::default();
    let mut reader = ndjson::LineReader::new(bytes, "fuzz");
    while let Some(piece) = reader.next_piece().expect("reading memory does not fail") {
        let _parsed = piece.parse(&reading);
    }
}
