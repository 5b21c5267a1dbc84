//! Every bound of the server that is not configured.

/// Longest name of a project or an environment, in bytes.
pub const NAME_MAX_BYTES: usize = 63;
/// Longest `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_KEY_MAX_BYTES: usize = 200;
/// Bits of chance in a key.
pub const KEY_BITS: usize = 256;
/// The use of a key is noted at most once in this time.
pub const KEY_USE_NOTED_EVERY_S: u64 = 3_600;
/// Most events that `GET /v1/events/recent` lists.
pub const RECENT_MAX: usize = 1_000;
/// How often a stream of events looks whether there are more, in milliseconds.
pub const STREAM_EVERY_MS: u64 = 250;
/// Longest header that is kept of a request to enrich its events by, in bytes.
pub const HEADER_MAX_BYTES: usize = 1_024;
/// Most bytes of contexts that are made of one that a batch has for all of its messages.
pub const CONTEXTS_MAX_BYTES: usize = 16 << 20;
/// Longest body whose key is in it and not before it, in bytes: SDKs send half of a megabyte at most.
pub const UNKNOWN_BODY_MAX_BYTES: usize = 1 << 20;
/// Longest header block of a request, in bytes.
pub const HEADERS_MAX_BYTES: usize = 32 << 10;
/// Rows of a group in an answer as Parquet, which are in memory until it is full.
pub const ROWS_OF_A_GROUP: usize = 65_536;
/// Bytes of an answer that are handed to a connection at once.
pub const PIECE_BYTES: usize = 16 << 10;
/// The stack of a thread that answers questions, in bytes: memory that is taken only as far as it is needed.
pub const QUERY_STACK_BYTES: usize = 32 << 20;
/// Parts of an answer that wait for whoever asked to take them.
pub const PARTS_WAITING_MAX: usize = 4;
/// Bytes of an answer that are there before the first is sent.
pub const HELD_BACK_BYTES: usize = 64 << 10;
