//! The parts of a funnel: its steps, what breaks it, and where its breakdown looks.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

use super::rules::{ExclusionOutcome, StepOutcome};
use crate::{
    calendar::Span,
    spec::{Fields, FromJson, Known, Place, Selector, SpecError},
};

/// One step of a funnel.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Step {
    /// The events that do the step.
    #[serde(flatten)]
    pub selector: Selector,
    /// The name in the answer; by default that of the events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether the steps after it may be done without it; never the first.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// How long after the previous matched step it may be done.
    #[serde(skip_serializing_if = "After::is_default")]
    pub after: After,
}

impl Step {
    /// The same step under a name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The same step, which those after it do not need.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The same step, this long after the previous matched step or longer.
    #[must_use]
    pub fn at_least_after(mut self, min: Span) -> Self {
        self.after.min = Some(min);
        self
    }

    /// The same step, at most this long after the previous matched step.
    #[must_use]
    pub fn at_most_after(mut self, max: Span) -> Self {
        self.after.max = Some(max);
        self
    }

    /// The given name, or that of the events.
    pub fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.selector.event.to_string())
    }
}

impl<T: Into<Selector>> From<T> for Step {
    fn from(selector: T) -> Self {
        Self { selector: selector.into(), name: None, optional: false, after: After::default() }
    }
}

impl FromJson for Step {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        const KNOWN: Known = Known { names: &[&["event", "filter", "name", "optional", "after"]] };
        let fields = Fields::open(value, place, &KNOWN)?;
        Ok(Self {
            selector: Selector::read(&fields)?,
            name: fields.read("name")?,
            optional: fields.read("optional")?.unwrap_or(false),
            after: fields.read("after")?.unwrap_or_default(),
        })
    }
}

/// How long after the previous matched step a step may be done, both ends included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct After {
    /// Not sooner than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<Span>,
    /// Not later than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Span>,
}

impl After {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn check(self, place: &Place) -> Result<(), SpecError> {
        match (self.min, self.max) {
            (Some(min), Some(max)) if min > max => {
                Err(place.invalid(format_args!("has a min of {min} after its max of {max}")))
            }
            _ => Ok(()),
        }
    }
}

impl FromJson for After {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        const KNOWN: Known = Known { names: &[&["min", "max"]] };
        let fields = Fields::open(value, place, &KNOWN)?;
        Ok(Self { min: fields.read("min")?, max: fields.read("max")? })
    }
}

/// The time from the first step within which the others count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// So long, the end included.
    Span(Span),
    /// As long as the session of the first step lasts.
    Session,
}

impl From<Span> for Window {
    fn from(span: Span) -> Self {
        Self::Span(span)
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Span(span) => span.serialize(serializer),
            Self::Session => serializer.serialize_str("session"),
        }
    }
}

impl FromJson for Window {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        match value.as_str() {
            Some("session") => Ok(Self::Session),
            _ => Ok(Self::Span(Span::from_json(value, place)?)),
        }
    }
}

/// Events that spoil an attempt when they happen between two of its steps.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Exclusion {
    /// The events.
    #[serde(flatten)]
    pub selector: Selector,
    /// The step after which they are looked for, counted from 1.
    pub from_step: usize,
    /// The step before which they are looked for, or where it is not reached the end of the window.
    pub to_step: usize,
    /// What they do.
    #[serde(skip_serializing_if = "ExclusionOutcome::is_default")]
    pub outcome: ExclusionOutcome,
}

impl ExclusionOutcome {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Exclusion {
    /// Such an event after step `from_step` and before step `to_step` ends the attempt.
    pub fn between(selector: impl Into<Selector>, from_step: usize, to_step: usize) -> Self {
        Self { selector: selector.into(), from_step, to_step, outcome: ExclusionOutcome::default() }
    }

    /// The same events with another outcome.
    #[must_use]
    pub fn outcome(mut self, outcome: ExclusionOutcome) -> Self {
        self.outcome = outcome;
        self
    }

    pub(super) fn check(&self, steps: usize, place: &Place) -> Result<(), SpecError> {
        self.selector.event.check(&place.child("event"))?;
        let (from, to) = (self.from_step, self.to_step);
        if from == 0 || from >= to {
            let complaint = format_args!("must be from 1 to less than to_step, which is {to}, found {from}");
            return Err(place.child("from_step").invalid(complaint));
        }
        if to > steps {
            let complaint = format_args!("must be at most the last step, {steps}, found {to}");
            return Err(place.child("to_step").invalid(complaint));
        }
        Ok(())
    }
}

impl FromJson for Exclusion {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        const KNOWN: Known = Known { names: &[&["event", "filter", "from_step", "to_step", "outcome"]] };
        let fields = Fields::open(value, place, &KNOWN)?;
        Ok(Self {
            selector: Selector::read(&fields)?,
            from_step: fields.require("from_step")?,
            to_step: fields.require("to_step")?,
            outcome: fields.word("outcome")?.unwrap_or_default(),
        })
    }
}

/// At which event of a unit the values of the breakdown are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum BreakdownAt {
    /// The first matched step.
    #[default]
    First,
    /// The last matched step.
    Last,
    /// This step, counted from 1: units that did not reach it are left out.
    Step(usize),
    /// The unit's earliest event in the range that matches a step and has one of the properties.
    FirstTouch,
    /// The latest such event.
    LastTouch,
    /// Every value has a funnel of its own.
    All,
}

impl BreakdownAt {
    /// Those that are one word.
    pub(crate) const WORDS: [(&'static str, Self); 5] = [
        ("first", Self::First),
        ("last", Self::Last),
        ("first_touch", Self::FirstTouch),
        ("last_touch", Self::LastTouch),
        ("all", Self::All),
    ];

    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Serialize for BreakdownAt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match Self::WORDS.iter().find(|(_, at)| at == self) {
            Some((word, _)) => serializer.serialize_str(word),
            None => {
                let mut map = serializer.serialize_map(Some(1))?;
                if let Self::Step(step) = self {
                    map.serialize_entry("step", step)?;
                }
                map.end()
            }
        }
    }
}

impl FromJson for BreakdownAt {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        const KNOWN: Known = Known { names: &[&["step"]] };
        if let Some(given) = value.as_str() {
            let known = Self::WORDS.iter().find(|(word, _)| *word == given);
            return known.map(|(_, at)| *at).ok_or_else(|| {
                let words: Vec<&str> = Self::WORDS.iter().map(|(word, _)| *word).collect();
                let nearest = crate::spec::nearest(given, words.iter().copied());
                let complaint = format!("must be one of {} or {{\"step\": k}}, found \"{given}\"", words.join(", "));
                place.invalid(complaint).nearest(nearest)
            });
        }
        Ok(Self::Step(Fields::open(value, place, &KNOWN)?.require("step")?))
    }
}

/// Between which steps times are counted, and into how many bars of one width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HistogramOf {
    /// The step from which times are taken, counted from 1; the first by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_step: Option<usize>,
    /// The step to which they are taken; the last by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_step: Option<usize>,
    /// How many bars the window is cut into; by default the bars are those of a fixed ladder, from seconds to months.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bins: Option<usize>,
}

impl FromJson for HistogramOf {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        const KNOWN: Known = Known { names: &[&["from_step", "to_step", "bins"]] };
        let fields = Fields::open(value, place, &KNOWN)?;
        Ok(Self { from_step: fields.read("from_step")?, to_step: fields.read("to_step")?, bins: fields.read("bins")? })
    }
}

/// Which people of a funnel are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PeopleOf {
    /// The step, counted from 1.
    pub step: usize,
    /// Those who did it, or those who stopped before it.
    pub outcome: StepOutcome,
}

impl PeopleOf {
    pub(crate) fn check(self, steps: usize, place: &Place) -> Result<(), SpecError> {
        let least = if self.outcome == StepOutcome::Dropped { 2 } else { 1 };
        if (least..=steps).contains(&self.step) {
            return Ok(());
        }
        let found = self.step;
        Err(place.child("step").invalid(format_args!("must be from {least} to {steps}, found {found}")))
    }
}

impl FromJson for PeopleOf {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        const KNOWN: Known = Known { names: &[&["step", "outcome"]] };
        let fields = Fields::open(value, place, &KNOWN)?;
        let outcome = fields.word("outcome")?.ok_or_else(|| place.child("outcome").invalid("is missing"))?;
        Ok(Self { step: fields.require("step")?, outcome })
    }
}
