//! Funnels: how many units do one thing after another within a window, where the others stop, and how long it takes.
//!
//! Meaning: `docs/semantics.md`, section 2. [`Funnel`] is the question, [`Matcher`] finds the attempt of one unit,
//! [`Aggregate`] counts attempts, [`FunnelResult`] is the answer. Matcher and aggregate are pure.

mod aggregate;
mod matcher;
mod result;
mod spec;
mod ties;
mod times;

pub use aggregate::Aggregate;
pub use matcher::{Attempt, Matcher};
pub use result::{FunnelGroup, FunnelResult, Histogram, StepResult};
pub use spec::{DEFAULT_WINDOW_DAYS, Funnel, MAX_STEPS, Step};
pub use times::Seconds;
