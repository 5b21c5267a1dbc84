//! The question of a funnel.

use serde::Serialize;
use serde_json::Value;

use crate::{
    calendar::{Span, days},
    spec::{
        EventNames, Fields, FromJson, Known, Later, Place, SCOPE_FIELDS, SCOPE_LATER, Scope, Selector, SpecError,
        scope_builders,
    },
};

/// How many steps a funnel may have: a hit says in 32 bits which of them it matches.
pub const MAX_STEPS: usize = 32;
/// The conversion window unless the question says otherwise.
pub const DEFAULT_WINDOW_DAYS: u32 = 14;

/// One step of a funnel.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Step {
    /// The events that do the step.
    #[serde(flatten)]
    pub selector: Selector,
    /// The name in the answer; by default that of the events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Step {
    /// The same step under a name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The given name, or that of the events.
    pub fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.selector.event.to_string())
    }
}

impl<T: Into<Selector>> From<T> for Step {
    fn from(selector: T) -> Self {
        Self { selector: selector.into(), name: None }
    }
}

impl FromJson for Step {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        const KNOWN: Known = Known {
            built: &[&["event", "filter", "name"]],
            later: &[&[Later::new("optional", "false"), Later::new("after", "null")]],
        };
        let fields = Fields::open(value, place, &KNOWN)?;
        Ok(Self { selector: Selector::read(&fields)?, name: fields.read("name")? })
    }
}

/// An ordered funnel: each step at or after the one before, all within a window from the first.
///
/// Five events of three people, asked for `view`, `cart`, `purchase` within 7 days:
///
/// | person | event    | when             |
/// |--------|----------|------------------|
/// | ann    | view     | 2025-01-01 09:00 |
/// | ann    | cart     | 2025-01-01 09:05 |
/// | ann    | purchase | 2025-01-08 09:00 |
/// | bob    | view     | 2025-01-02 10:00 |
/// | cid    | cart     | 2025-01-02 10:00 |
///
/// answer the counts 2, 1, 1: ann bought exactly at the end of her window, which is inclusive; bob stopped after the
/// view; cid never began.
///
/// ```
/// use pugmark_query::{calendar::days, funnel::Funnel};
///
/// let funnel = Funnel::steps(["view", "cart", "purchase"]).window(days(7)).breakdown("country").from("2025-01-01");
/// let json = r#"{"steps":[{"event":"view"},{"event":"cart"},{"event":"purchase"}],"window":"7d","range":{"from":"2025-01-01"},"breakdown":[{"property":"country"}]}"#;
/// assert_eq!(serde_json::to_string(&funnel)?, json);
/// assert_eq!(serde_json::from_str::<Funnel>(json)?, funnel);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Funnel {
    /// The steps, in order; 1 to [`MAX_STEPS`].
    pub steps: Vec<Step>,
    /// The time from the first step within which the others count, its end included; 14 days by default.
    pub window: Span,
    /// What all analyses share.
    #[serde(flatten)]
    pub scope: Scope,
}

impl Funnel {
    /// The word of the JSON form.
    pub const NAME: &'static str = "funnel";

    /// A funnel of these steps within 14 days.
    pub fn steps<S: Into<Step>>(steps: impl IntoIterator<Item = S>) -> Self {
        Self {
            steps: steps.into_iter().map(Into::into).collect(),
            window: days(DEFAULT_WINDOW_DAYS),
            scope: Scope::default(),
        }
    }

    /// Adds a step.
    #[must_use]
    pub fn step(mut self, step: impl Into<Step>) -> Self {
        self.steps.push(step.into());
        self
    }

    /// Counts only what happens within this time of the first step.
    #[must_use]
    pub fn window(mut self, window: Span) -> Self {
        self.window = window;
        self
    }

    /// The titles of the steps, in order.
    pub fn names(&self) -> Vec<String> {
        self.steps.iter().map(Step::title).collect()
    }

    fn check(&self, place: &Place) -> Result<(), SpecError> {
        let count = self.steps.len();
        let steps = place.child("steps");
        if count == 0 || count > MAX_STEPS {
            return Err(steps.invalid(format_args!("takes 1 to {MAX_STEPS} steps, found {count}")));
        }
        for (index, step) in self.steps.iter().enumerate() {
            EventNames::check(&step.selector.event, &steps.item(index).child("event"))?;
        }
        self.scope.check(place)
    }
}

impl FromJson for Funnel {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        const KNOWN: Known = Known {
            built: &[&["steps", "window"], SCOPE_FIELDS],
            later: &[
                SCOPE_LATER,
                &[
                    Later::words("order", "\"ordered\"", &["any", "strict", "strict_steps"]),
                    Later::words("ties", "\"either\"", &["sequence", "apart"]),
                    Later::words("entry", "\"any\"", &["first", "every"]),
                    Later::words("pick", "\"earliest\"", &["latest"]),
                    Later::words("completion", "\"in_window\"", &["in_range"]),
                    Later::words("repeats", "\"skip\"", &["break"]),
                    Later::words("like", "null", &["mixpanel", "amplitude", "posthog", "clickhouse"]),
                    Later::new("at", "\"first\""),
                    Later::new("tolerance", "\"0s\""),
                    Later::new("reuse", "false"),
                    Later::new("exclude", "[]"),
                    Later::new("hold", "[]"),
                    Later::new("histogram", "null"),
                    Later::new("trend", "null"),
                    Later::new("people", "null"),
                    Later::new("rows", "false"),
                ],
            ],
        };
        let fields = Fields::open(value, place, &KNOWN)?;
        if let Some((Value::String(text), place)) = fields.value("window")
            && text == "session"
        {
            return Err(place.unsupported(" session"));
        }
        let funnel = Self {
            steps: fields.require("steps")?,
            window: fields.read("window")?.unwrap_or_else(|| days(DEFAULT_WINDOW_DAYS)),
            scope: Scope::read(&fields)?,
        };
        funnel.check(place)?;
        Ok(funnel)
    }
}

scope_builders!(Funnel);
