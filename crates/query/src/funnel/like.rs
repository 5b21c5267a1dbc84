//! What other products take for granted, as choices of a funnel.

use super::BreakdownAt;
use super::rules::{Completion, ExclusionOutcome};
use super::spec::Funnel;
use crate::calendar::{days, seconds};
use crate::spec::Word;

/// A product whose funnels a funnel is to be like; `docs/semantics.md`, section 5a, has the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Like {
    /// A window of 7 days, and steps within 2 seconds in either order.
    Mixpanel,
    /// A window of 30 days; an excluded event drops the unit.
    Amplitude,
    /// All steps in the range, breakdowns by first touch; an excluded event drops the unit.
    Posthog,
    /// `windowFunnel` over the rows of the range: one row may serve several steps.
    Clickhouse,
}

impl Word for Like {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("mixpanel", Self::Mixpanel),
        ("amplitude", Self::Amplitude),
        ("posthog", Self::Posthog),
        ("clickhouse", Self::Clickhouse),
    ];
}

impl Like {
    /// Makes the choices.
    pub(super) fn choose(self, funnel: &mut Funnel) {
        match self {
            Self::Mixpanel => {
                funnel.window = days(7).into();
                funnel.tolerance = seconds(2);
            }
            Self::Amplitude => funnel.window = days(30).into(),
            Self::Posthog => {
                funnel.window = days(14).into();
                funnel.completion = Completion::InRange;
                funnel.at = BreakdownAt::FirstTouch;
            }
            Self::Clickhouse => {
                funnel.completion = Completion::InRange;
                funnel.reuse = true;
            }
        }
        for exclusion in &mut funnel.exclude {
            exclusion.outcome = self.exclusion_outcome();
        }
    }

    /// What an excluded event does unless it is said.
    pub(super) fn exclusion_outcome(self) -> ExclusionOutcome {
        match self {
            Self::Mixpanel | Self::Clickhouse => ExclusionOutcome::End,
            Self::Amplitude | Self::Posthog => ExclusionOutcome::Drop,
        }
    }
}
