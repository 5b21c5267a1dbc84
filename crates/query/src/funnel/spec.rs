//! The question of a funnel.

use serde::Serialize;
use serde_json::Value;

use super::like::Like;
use super::rules::{Completion, ExclusionOutcome, FunnelEntry, Pick, Repeats, StepOrder, Ties};
use super::step::{BreakdownAt, Exclusion, HistogramOf, PeopleOf, Step, Window};
use crate::{
    calendar::{Interval, Span, WeekStart, days},
    spec::{EventNames, Fields, FromJson, Known, Place, SCOPE_FIELDS, Scope, SpecError, scope_builders},
};

/// How many steps a funnel may have: a hit says in 32 bits which of them it matches.
pub const MAX_STEPS: usize = 32;
/// The conversion window unless the question says otherwise.
pub const DEFAULT_WINDOW_DAYS: u32 = 14;
/// How many properties the steps of an attempt may have to share.
pub const MAX_HELD: usize = 3;
/// How many bars a histogram may have.
pub const MAX_BINS: usize = 1_000;

/// A funnel: steps one after the other, all within a window from the first.
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Funnel {
    /// The steps, in order; 1 to [`MAX_STEPS`].
    #[cfg_attr(feature = "openapi", schema(min_items = 1))]
    pub steps: Vec<Step>,
    /// The time from the first step within which the others count, its end included; 14 days by default.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub window: Window,
    /// In which order the steps are to be done.
    #[serde(skip_serializing_if = "is_default")]
    pub order: StepOrder,
    /// Whether repeats of the step just done break a strict order.
    #[serde(skip_serializing_if = "is_default")]
    pub repeats: Repeats,
    /// What follows what among events of one timestamp.
    #[serde(skip_serializing_if = "is_default")]
    pub ties: Ties,
    /// How far a step may lie before the step that it follows.
    #[serde(skip_serializing_if = "is_default")]
    pub tolerance: Span,
    /// Whether one event may serve several steps.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reuse: bool,
    /// Which attempts of a unit count.
    #[serde(skip_serializing_if = "is_default")]
    pub entry: FunnelEntry,
    /// Which of several attempts that are equally deep counts.
    #[serde(skip_serializing_if = "is_default")]
    pub pick: Pick,
    /// Where the steps after the first may lie.
    #[serde(skip_serializing_if = "is_default")]
    pub completion: Completion,
    /// Events that spoil an attempt.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<Exclusion>,
    /// Properties that all steps of an attempt must share; at most [`MAX_HELD`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hold: Vec<String>,
    /// At which event the values of the breakdown are read.
    #[serde(skip_serializing_if = "BreakdownAt::is_default")]
    pub at: BreakdownAt,
    /// Between which steps times are counted; from the first to the last by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub histogram: Option<HistogramOf>,
    /// By which calendar unit the attempts are told apart that begin in it; not at all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trend: Option<Interval>,
    /// The first day of a week; Monday by default.
    #[serde(skip_serializing_if = "is_default")]
    pub week_start: WeekStart,
    /// Which people are named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub people: Option<PeopleOf>,
    /// Whether the answer has the matched events of each unit.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rows: bool,
    /// What all analyses share.
    #[serde(flatten)]
    pub scope: Scope,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Funnel {
    /// The word of the JSON form.
    pub const NAME: &'static str = "funnel";

    /// A funnel of these steps within 14 days.
    pub fn steps<S: Into<Step>>(steps: impl IntoIterator<Item = S>) -> Self {
        Self {
            steps: steps.into_iter().map(Into::into).collect(),
            window: days(DEFAULT_WINDOW_DAYS).into(),
            order: StepOrder::default(),
            repeats: Repeats::default(),
            ties: Ties::default(),
            tolerance: Span::default(),
            reuse: false,
            entry: FunnelEntry::default(),
            pick: Pick::default(),
            completion: Completion::default(),
            exclude: Vec::new(),
            hold: Vec::new(),
            at: BreakdownAt::default(),
            histogram: None,
            trend: None,
            week_start: WeekStart::default(),
            people: None,
            rows: false,
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
    pub fn window(mut self, window: impl Into<Window>) -> Self {
        self.window = window.into();
        self
    }

    /// Wants the steps in this order.
    #[must_use]
    pub fn order(mut self, order: StepOrder) -> Self {
        self.order = order;
        self
    }

    /// Allows repeats of the step just done between strict steps, or not.
    #[must_use]
    pub fn repeats(mut self, repeats: Repeats) -> Self {
        self.repeats = repeats;
        self
    }

    /// Chooses what follows what among events of one timestamp.
    #[must_use]
    pub fn ties(mut self, ties: Ties) -> Self {
        self.ties = ties;
        self
    }

    /// Lets a step lie up to this long before the step that it follows.
    #[must_use]
    pub fn tolerance(mut self, tolerance: Span) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Lets one event serve several steps.
    #[must_use]
    pub fn reuse(mut self) -> Self {
        self.reuse = true;
        self
    }

    /// Chooses which attempts of a unit count.
    #[must_use]
    pub fn entry(mut self, entry: FunnelEntry) -> Self {
        self.entry = entry;
        self
    }

    /// Chooses which of several attempts that are equally deep counts.
    #[must_use]
    pub fn pick(mut self, pick: Pick) -> Self {
        self.pick = pick;
        self
    }

    /// Chooses where the steps after the first may lie.
    #[must_use]
    pub fn completion(mut self, completion: Completion) -> Self {
        self.completion = completion;
        self
    }

    /// Adds events that spoil an attempt.
    #[must_use]
    pub fn exclude(mut self, exclusion: Exclusion) -> Self {
        self.exclude.push(exclusion);
        self
    }

    /// Wants all steps of an attempt to have the same value of this property, too.
    #[must_use]
    pub fn hold(mut self, property: impl Into<String>) -> Self {
        self.hold.push(property.into());
        self
    }

    /// Chooses at which event the values of the breakdown are read.
    #[must_use]
    pub fn at(mut self, at: BreakdownAt) -> Self {
        self.at = at;
        self
    }

    /// Chooses between which steps times are counted.
    #[must_use]
    pub fn histogram(mut self, histogram: HistogramOf) -> Self {
        self.histogram = Some(histogram);
        self
    }

    /// Tells the attempts apart that begin in each calendar unit.
    #[must_use]
    pub fn trend(mut self, interval: Interval) -> Self {
        self.trend = Some(interval);
        self
    }

    /// Names the people who did a step, or who stopped before it.
    #[must_use]
    pub fn people(mut self, people: PeopleOf) -> Self {
        self.people = Some(people);
        self
    }

    /// Has the matched events of each unit in the answer.
    #[must_use]
    pub fn rows(mut self) -> Self {
        self.rows = true;
        self
    }

    /// Makes all of a peer's choices.
    #[must_use]
    pub fn like(mut self, like: Like) -> Self {
        like.choose(&mut self);
        self
    }

    /// The titles of the steps, in order.
    pub fn names(&self) -> Vec<String> {
        self.steps.iter().map(Step::title).collect()
    }

    pub(crate) fn check(&self, place: &Place) -> Result<(), SpecError> {
        let count = self.steps.len();
        let steps = place.child("steps");
        if count == 0 || count > MAX_STEPS {
            return Err(steps.invalid(format_args!("takes 1 to {MAX_STEPS} steps, found {count}")));
        }
        for (index, step) in self.steps.iter().enumerate() {
            let place = steps.item(index);
            EventNames::check(&step.selector.event, &place.child("event"))?;
            step.after.check(&place.child("after"))?;
            if index == 0 && step.optional {
                return Err(place.child("optional").invalid("must be false: the first step opens the attempt"));
            }
            if index == 0 && !step.after.is_default() {
                return Err(place.child("after").invalid("has no step before it to count from"));
            }
            if self.order == StepOrder::Any && step.optional {
                return Err(place.child("optional").invalid("does not go with the order \"any\""));
            }
            if self.order == StepOrder::Any && !step.after.is_default() {
                return Err(place.child("after").invalid("does not go with the order \"any\""));
            }
        }
        if self.order == StepOrder::Strict && self.ties != Ties::Either {
            return Err(place
                .child("ties")
                .invalid("does not go with the order \"strict\", which reads events by sequence"));
        }
        if self.order == StepOrder::Strict && self.tolerance != Span::default() {
            return Err(place.child("tolerance").invalid("does not go with the order \"strict\""));
        }
        if self.repeats == Repeats::Break && !matches!(self.order, StepOrder::Strict | StepOrder::StrictSteps) {
            return Err(place.child("repeats").invalid("belongs to the orders \"strict\" and \"strict_steps\""));
        }
        for (index, exclusion) in self.exclude.iter().enumerate() {
            exclusion.check(count, &place.child("exclude").item(index))?;
        }
        if self.hold.len() > MAX_HELD {
            let found = self.hold.len();
            return Err(place
                .child("hold")
                .invalid(format_args!("takes at most {MAX_HELD} properties, found {found}")));
        }
        let wants_all = self.order == StepOrder::Strict || self.window == Window::Session;
        let selectors = count + self.exclude.len() + usize::from(wants_all);
        if selectors > MAX_STEPS {
            let complaint = format_args!("and exclude take at most {MAX_STEPS} selectors together, found {selectors}");
            return Err(steps.invalid(complaint));
        }
        self.check_answer(count, place)?;
        self.scope.check(place)
    }

    /// Whether what the answer is to have can be had.
    fn check_answer(&self, count: usize, place: &Place) -> Result<(), SpecError> {
        if let BreakdownAt::Step(step) = self.at
            && !(1..=count).contains(&step)
        {
            return Err(place
                .child("at")
                .child("step")
                .invalid(format_args!("must be from 1 to {count}, found {step}")));
        }
        if self.at != BreakdownAt::First && self.scope.breakdown.is_empty() {
            return Err(place.child("at").invalid("needs a breakdown"));
        }
        if let Some(histogram) = &self.histogram {
            let place = place.child("histogram");
            let (from, to) = (histogram.from_step.unwrap_or(1), histogram.to_step.unwrap_or(count));
            let whole = from == to && count == 1;
            if from == 0 || to > count || !(from < to || whole) {
                let complaint =
                    format_args!("must go from a step to a later one of 1 to {count}, found {from} to {to}");
                return Err(place.invalid(complaint));
            }
            if let Some(bins) = histogram.bins.filter(|bins| !(1..=MAX_BINS).contains(bins)) {
                return Err(place.child("bins").invalid(format_args!("must be from 1 to {MAX_BINS}, found {bins}")));
            }
            if histogram.bins.is_some() && self.window == Window::Session {
                return Err(place.child("bins").invalid("needs a window of a fixed length"));
            }
        }
        match &self.people {
            Some(people) => people.check(count, &place.child("people")),
            None => Ok(()),
        }
    }
}

impl Funnel {
    /// All that its reader knows.
    pub(crate) const FIELDS: Known = Known {
        names: &[
            &[
                "steps",
                "window",
                "order",
                "repeats",
                "ties",
                "tolerance",
                "reuse",
                "entry",
                "pick",
                "completion",
                "exclude",
                "hold",
                "at",
                "histogram",
                "trend",
                "week_start",
                "people",
                "rows",
                "like",
            ],
            SCOPE_FIELDS,
        ],
    };
}

impl FromJson for Funnel {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        let fields = Fields::open(value, place, &Self::FIELDS)?;
        let mut funnel = Self { steps: fields.require("steps")?, ..Self::steps::<Step>([]) };
        let like: Option<Like> = fields.word("like")?;
        let mut excluded = ExclusionOutcome::default();
        if let Some(like) = like {
            like.choose(&mut funnel);
            excluded = like.exclusion_outcome();
        }
        // What is said beside a peer's name is said.
        set(&mut funnel.window, fields.read("window")?);
        set(&mut funnel.order, fields.word("order")?);
        set(&mut funnel.repeats, fields.word("repeats")?);
        set(&mut funnel.ties, fields.word("ties")?);
        match fields.read("tolerance")? {
            Some(tolerance) => funnel.tolerance = tolerance,
            // A peer's choice has nothing to say where nothing may lie between.
            None if funnel.order == StepOrder::Strict => funnel.tolerance = Span::default(),
            None => {}
        }
        set(&mut funnel.reuse, fields.read("reuse")?);
        set(&mut funnel.entry, fields.word("entry")?);
        set(&mut funnel.pick, fields.word("pick")?);
        set(&mut funnel.completion, fields.word("completion")?);
        set(&mut funnel.exclude, fields.read("exclude")?);
        if let Some((Value::Array(given), _)) = fields.value("exclude") {
            for (exclusion, given) in funnel.exclude.iter_mut().zip(given) {
                if given["outcome"].is_null() {
                    exclusion.outcome = excluded;
                }
            }
        }
        set(&mut funnel.hold, fields.read("hold")?);
        set(&mut funnel.week_start, fields.word("week_start")?);
        set(&mut funnel.rows, fields.read("rows")?);
        funnel.histogram = fields.read("histogram")?;
        funnel.trend = fields.word("trend")?;
        funnel.people = fields.read("people")?;
        funnel.scope = Scope::read(&fields)?;
        match fields.read("at")? {
            Some(at) => funnel.at = at,
            // A peer's choice has nothing to say without a breakdown.
            None if funnel.scope.breakdown.is_empty() => funnel.at = BreakdownAt::First,
            None => {}
        }
        funnel.check(place)?;
        Ok(funnel)
    }
}

fn set<T>(field: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *field = given;
    }
}

scope_builders!(Funnel);
