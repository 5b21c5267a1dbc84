//! The choices of a funnel that are written as one word.

use serde::Serialize;

use crate::spec::Word;

/// In which order the steps are to be done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOrder {
    /// Each step at or after the one before; other events may lie between.
    #[default]
    Ordered,
    /// In any order, each step by an event of its own; the first step that is done is step 1.
    Any,
    /// Between two steps the unit has no other event at all.
    Strict,
    /// Between two steps the unit has no event that matches another step.
    StrictSteps,
}

impl Word for StepOrder {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("ordered", Self::Ordered),
        ("any", Self::Any),
        ("strict", Self::Strict),
        ("strict_steps", Self::StrictSteps),
    ];
}

/// Whether a strict funnel allows repeats of the step that was just done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeats {
    /// A repeat does no harm.
    #[default]
    Skip,
    /// A repeat is another event like any.
    Break,
}

impl Word for Repeats {
    const WORDS: &'static [(&'static str, Self)] = &[("skip", Self::Skip), ("break", Self::Break)];
}

/// What follows what among events of one timestamp.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ties {
    /// Either may follow the other.
    #[default]
    Either,
    /// The one that is later in the log follows.
    Sequence,
    /// Neither: a step must be strictly later.
    Apart,
}

impl Word for Ties {
    const WORDS: &'static [(&'static str, Self)] =
        &[("either", Self::Either), ("sequence", Self::Sequence), ("apart", Self::Apart)];
}

/// Which attempts of a unit count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FunnelEntry {
    /// The deepest.
    #[default]
    Any,
    /// The first.
    First,
    /// Every one: the next opens after one has converted, timed out or been ended by an exclusion.
    Every,
}

impl Word for FunnelEntry {
    const WORDS: &'static [(&'static str, Self)] =
        &[("any", Self::Any), ("first", Self::First), ("every", Self::Every)];
}

/// Which of several attempts that are equally deep counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pick {
    /// The one that was opened first.
    #[default]
    Earliest,
    /// The one that was opened last.
    Latest,
}

impl Word for Pick {
    const WORDS: &'static [(&'static str, Self)] = &[("earliest", Self::Earliest), ("latest", Self::Latest)];
}

/// Where the steps after the first may lie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Completion {
    /// Anywhere in the window, beyond the range too.
    #[default]
    InWindow,
    /// In the range.
    InRange,
}

impl Word for Completion {
    const WORDS: &'static [(&'static str, Self)] = &[("in_window", Self::InWindow), ("in_range", Self::InRange)];
}

/// What an excluded event does to an attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExclusionOutcome {
    /// The attempt stops at the steps that were done before it.
    #[default]
    End,
    /// The attempt never was.
    Void,
    /// The unit leaves the funnel.
    Drop,
}

impl Word for ExclusionOutcome {
    const WORDS: &'static [(&'static str, Self)] = &[("end", Self::End), ("void", Self::Void), ("drop", Self::Drop)];
}

/// Those who did a step, or those who did the step before and not this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// They did it.
    Converted,
    /// They did the required step before it, and not this.
    Dropped,
}

impl Word for StepOutcome {
    const WORDS: &'static [(&'static str, Self)] = &[("converted", Self::Converted), ("dropped", Self::Dropped)];
}
