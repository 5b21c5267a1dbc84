//! Funnels: how many units do one thing after another within a window, where the others stop, and how long it takes.
//!
//! Meaning: `docs/semantics.md`, section 2. [`Funnel`] is the question, [`Matcher`] finds the attempts of one unit,
//! [`Aggregate`] counts attempts, [`FunnelResult`] is the answer. Matcher and aggregate are pure.

mod aggregate;
mod attempt;
mod like;
mod matcher;
mod result;
mod rules;
mod spec;
mod step;
mod times;
mod values;

pub use aggregate::Aggregate;
pub use attempt::{Attempt, Done};
pub use like::Like;
pub use matcher::Matcher;
pub use result::{FunnelGroup, FunnelResult, Histogram, MatchedEvent, StepResult, StepTrend, UnitRow};
pub use rules::{Completion, ExclusionOutcome, FunnelEntry, Pick, Repeats, StepOrder, StepOutcome, Ties};
pub use spec::{DEFAULT_WINDOW_DAYS, Funnel, MAX_BINS, MAX_HELD, MAX_STEPS};
pub use step::{After, BreakdownAt, Exclusion, HistogramOf, PeopleOf, Step, Window};
pub use times::Seconds;
pub use values::HitValues;
