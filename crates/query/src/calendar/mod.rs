//! Calendar time: zones, ranges, durations and the buckets that an interval makes of a range.
//!
//! Instants are `i64` microseconds UTC throughout. A day is the day of the zone, 23 to 25 hours long; durations such
//! as `7d` are multiples of 24 hours. `docs/semantics.md`, section 0, is the definition.

mod buckets;
mod instant;
mod interval;
mod range;
mod shift;
mod span;
mod zone;

pub use buckets::{Buckets, MAX_BUCKETS};
pub use instant::Moment;
pub use interval::{Interval, WeekStart};
pub use range::{Range, ResolvedRange};
pub use shift::{Compare, Shift};
pub use span::{Span, days, hours, minutes, seconds, weeks};
pub use zone::TimeZone;

pub(crate) use instant::{instant_text, serialize_instant};
