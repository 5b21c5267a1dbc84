//! The question of a trend.

use serde::Serialize;
use serde_json::Value;

use crate::{
    calendar::{Interval, WeekStart},
    spec::{
        EventNames, Fields, FromJson, Known, Later, Place, SCOPE_FIELDS, SCOPE_LATER, Scope, Selector, SpecError, Word,
        scope_builders,
    },
};

/// How many series a trend may have.
pub const MAX_SERIES: usize = 32;

/// What is measured of the events of a series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// How many events.
    #[default]
    Count,
    /// How many different units had one.
    Uniques,
}

impl Word for Measure {
    const BUILT: &'static [(&'static str, Self)] = &[("count", Self::Count), ("uniques", Self::Uniques)];
    const LATER: &'static [&'static str] = &[
        "count_per_user",
        "sum",
        "avg",
        "min",
        "max",
        "median",
        "p75",
        "p90",
        "p95",
        "p99",
        "distinct",
        "sum_per_user",
        "first_time",
        "frequency",
    ];
}

/// One line of a trend: events and what is measured of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Series {
    /// The events.
    #[serde(flatten)]
    pub selector: Selector,
    /// What is measured; the count by default.
    pub measure: Measure,
    /// The name in the answer; by default that of the events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Series {
    /// The count of these events.
    pub fn of(selector: impl Into<Selector>) -> Self {
        Self { selector: selector.into(), measure: Measure::default(), name: None }
    }

    /// The given name, or that of the events.
    pub fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.selector.event.to_string())
    }
}

impl FromJson for Series {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        const KNOWN: Known = Known {
            built: &[&["event", "filter", "measure", "name"]],
            later: &[&[
                Later::new("property", "null"),
                Later::new("rolling", "null"),
                Later::new("cumulative", "false"),
                Later::new("formula", "null"),
            ]],
        };
        let fields = Fields::open(value, place, &KNOWN)?;
        Ok(Self {
            selector: Selector::read(&fields)?,
            measure: fields.word("measure")?.unwrap_or_default(),
            name: fields.read("name")?,
        })
    }
}

/// Counts and uniques over the calendar buckets of a range.
///
/// Five purchases by two people, asked for by the day:
///
/// | person | when (UTC)       |
/// |--------|------------------|
/// | ann    | 2025-01-01 09:00 |
/// | ann    | 2025-01-01 21:00 |
/// | bob    | 2025-01-01 23:30 |
/// | ann    | 2025-01-03 08:00 |
/// | bob    | 2025-01-03 08:00 |
///
/// answer `uniques` 2, 0, 2 with a total of 2, and `count` 3, 0, 2 with a total of 5.
///
/// ```
/// use pugmark_query::{calendar::Interval, trend::Trend};
///
/// let trend = Trend::of("purchase").uniques().interval(Interval::Week).from("2025-01-01").to("2025-02-01");
/// let json = r#"{"series":[{"event":"purchase","measure":"uniques"}],"interval":"week","range":{"from":"2025-01-01","to":"2025-02-01"}}"#;
/// assert_eq!(serde_json::to_string(&trend)?, json);
/// assert_eq!(serde_json::from_str::<Trend>(json)?, trend);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trend {
    /// The lines, in order; the first ranks the breakdown values.
    pub series: Vec<Series>,
    /// The calendar unit of a bucket; a day by default.
    pub interval: Interval,
    /// The first day of a week; Monday by default.
    #[serde(skip_serializing_if = "is_monday")]
    pub week_start: WeekStart,
    /// What all analyses share.
    #[serde(flatten)]
    pub scope: Scope,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn is_monday(week_start: &WeekStart) -> bool {
    *week_start == WeekStart::Monday
}

impl Trend {
    /// The word of the JSON form.
    pub const NAME: &'static str = "trend";

    /// A trend of one series: the count of these events by the day.
    pub fn of(selector: impl Into<Selector>) -> Self {
        Self {
            series: vec![Series::of(selector)],
            interval: Interval::default(),
            week_start: WeekStart::default(),
            scope: Scope::default(),
        }
    }

    /// Adds a series: the count of these events.
    #[must_use]
    pub fn and(mut self, selector: impl Into<Selector>) -> Self {
        self.series.push(Series::of(selector));
        self
    }

    /// Counts different units instead of events in the latest series.
    #[must_use]
    pub fn uniques(self) -> Self {
        self.latest(|series| series.measure = Measure::Uniques)
    }

    /// Names the latest series.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        self.latest(|series| series.name = Some(name.into()))
    }

    /// Cuts the range by this calendar unit.
    #[must_use]
    pub fn interval(mut self, interval: Interval) -> Self {
        self.interval = interval;
        self
    }

    /// Begins weeks on this day.
    #[must_use]
    pub fn week_start(mut self, week_start: WeekStart) -> Self {
        self.week_start = week_start;
        self
    }

    /// The titles of the series, in order.
    pub fn names(&self) -> Vec<String> {
        self.series.iter().map(Series::title).collect()
    }

    fn latest(mut self, change: impl FnOnce(&mut Series)) -> Self {
        if let Some(series) = self.series.last_mut() {
            change(series);
        }
        self
    }

    fn check(&self, place: &Place) -> Result<(), SpecError> {
        let count = self.series.len();
        let series = place.child("series");
        if count == 0 || count > MAX_SERIES {
            return Err(series.invalid(format_args!("takes 1 to {MAX_SERIES} series, found {count}")));
        }
        for (index, one) in self.series.iter().enumerate() {
            EventNames::check(&one.selector.event, &series.item(index).child("event"))?;
        }
        self.scope.check(place)
    }
}

impl FromJson for Trend {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        const KNOWN: Known = Known {
            built: &[&["series", "interval", "week_start"], SCOPE_FIELDS],
            later: &[
                SCOPE_LATER,
                &[Later::new("rolling", "null"), Later::new("cumulative", "false"), Later::new("formula", "null")],
            ],
        };
        let fields = Fields::open(value, place, &KNOWN)?;
        let trend = Self {
            series: fields.require("series")?,
            interval: fields.word("interval")?.unwrap_or_default(),
            week_start: fields.word("week_start")?.unwrap_or_default(),
            scope: Scope::read(&fields)?,
        };
        trend.check(place)?;
        Ok(trend)
    }
}

scope_builders!(Trend);
