//! Every limit of the store, in one place.
//!
//! A limit that an input can meet answers with [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) or a
//! [`Rejection`](crate::Rejection) that names the value found and the limit.

/// Longest event or property name, in bytes.
pub const NAME_MAX_BYTES: usize = 255;
/// Longest distinct id, in bytes.
pub const DISTINCT_ID_MAX_BYTES: usize = 255;
/// Longest message id, in bytes.
pub const MESSAGE_ID_MAX_BYTES: usize = 255;
/// Longest session id, in bytes.
pub const SESSION_ID_MAX_BYTES: usize = 255;
/// Largest event: the bytes of its names and values together.
pub const EVENT_MAX_BYTES: usize = 1 << 20;
/// Largest batch given to one append, counted like [`EVENT_MAX_BYTES`].
pub const BATCH_MAX_BYTES: usize = 16 << 20;
/// Most names of events and properties in one append, repeats included.
pub const BATCH_MAX_NAMES: usize = 1 << 20;
/// Most properties of one event, after flattening.
pub const PROPERTIES_MAX: usize = 1_024;
/// Deepest nesting that is flattened into dotted names; what lies deeper stays as JSON text.
pub const FLATTEN_DEPTH: usize = 8;
/// Longest value of a setting, in bytes.
pub const SETTING_MAX_BYTES: usize = 64 << 10;
/// Longest body of a definition, in bytes.
pub const DEFINITION_MAX_BYTES: usize = 8 << 20;
/// Most ids of one merge.
pub const MERGE_MAX_IDS: usize = 32_768;
/// Longest text of a remark, in bytes.
pub const REMARK_MAX_BYTES: usize = 1_024;
/// Most records in one frame.
pub const FRAME_MAX_RECORDS: usize = 65_536;
/// Largest payload of one frame, stored or decompressed.
pub const FRAME_MAX_BYTES: usize = 64 << 20;
/// Most subjects that a store can hold: every `SubjectId` below it can be given out once.
pub const SUBJECTS_MAX: u32 = u32::MAX;
/// Most people whom one call erases.
pub const ERASURE_MAX_SUBJECTS: usize = 1 << 20;
/// Most rows of neighbouring events that one call retracts.
pub const RETRACTION_MAX_RANGES: usize = 1 << 19;
/// Most conflicts that are kept aside at a time; those that come on top are counted only.
pub const QUARANTINE_MAX: usize = 100_000;
/// Most bytes of conflicts that are kept aside at a time, counted like [`EVENT_MAX_BYTES`].
pub const QUARANTINE_MAX_BYTES: u64 = 64 << 20;
