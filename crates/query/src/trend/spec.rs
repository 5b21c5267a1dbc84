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
/// Over how many buckets uniques may be counted.
pub const MAX_ROLLING: usize = 1_000;

/// What is measured of the events of a series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// How many events.
    #[default]
    Count,
    /// How many different units had one.
    Uniques,
    /// What the values of a property come to; those that are no numbers are left out.
    Sum,
}

impl Word for Measure {
    const BUILT: &'static [(&'static str, Self)] =
        &[("count", Self::Count), ("uniques", Self::Uniques), ("sum", Self::Sum)];
    const LATER: &'static [&'static str] = &[
        "count_per_user",
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
    /// The property that is summed; of no other measure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub property: Option<String>,
    /// Uniques over so many buckets, the last of which is the one at hand; 2 to [`MAX_ROLLING`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rolling: Option<usize>,
    /// The name in the answer; by default that of the events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Series {
    /// The count of these events.
    pub fn of(selector: impl Into<Selector>) -> Self {
        Self { selector: selector.into(), measure: Measure::default(), property: None, rolling: None, name: None }
    }

    /// The given name, or that of the events.
    pub fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.selector.event.to_string())
    }
}

impl FromJson for Series {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        const KNOWN: Known = Known {
            built: &[&["event", "filter", "measure", "property", "rolling", "name"]],
            later: &[&[Later::new("cumulative", "false"), Later::new("formula", "null")]],
        };
        let fields = Fields::open(value, place, &KNOWN)?;
        Ok(Self {
            selector: Selector::read(&fields)?,
            measure: fields.word("measure")?.unwrap_or_default(),
            property: fields.read("property")?,
            rolling: fields.read("rolling")?,
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

    /// Sums a property instead of counting events in the latest series.
    #[must_use]
    pub fn sum(self, property: impl Into<String>) -> Self {
        self.latest(|series| {
            series.measure = Measure::Sum;
            series.property = Some(property.into());
        })
    }

    /// Counts different units over so many buckets, each of which is the last of them, in the latest series: weekly active users are uniques by the day,
    /// rolling over 7. What happened in those buckets before the range counts, too.
    #[must_use]
    pub fn rolling(self, buckets: usize) -> Self {
        self.latest(|series| {
            series.measure = Measure::Uniques;
            series.rolling = Some(buckets);
        })
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
            let place = series.item(index);
            EventNames::check(&one.selector.event, &place.child("event"))?;
            match (one.measure, &one.property) {
                (Measure::Sum, None) => return Err(place.child("property").invalid("must say what is summed")),
                (Measure::Count | Measure::Uniques, Some(_)) => {
                    return Err(place.child("property").invalid("belongs to the measure \"sum\""));
                }
                _ => {}
            }
            match one.rolling {
                Some(_) if one.measure != Measure::Uniques => {
                    return Err(place.child("rolling").invalid("belongs to the measure \"uniques\""));
                }
                Some(buckets) if !(2..=MAX_ROLLING).contains(&buckets) => {
                    let limits = format_args!("takes 2 to {MAX_ROLLING} buckets, found {buckets}").to_string();
                    return Err(place.child("rolling").invalid(limits));
                }
                _ => {}
            }
        }
        self.scope.check(place)
    }
}

impl FromJson for Trend {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        const KNOWN: Known = Known {
            built: &[&["series", "interval", "week_start", "rolling"], SCOPE_FIELDS],
            later: &[SCOPE_LATER, &[Later::new("cumulative", "false"), Later::new("formula", "null")]],
        };
        let fields = Fields::open(value, place, &KNOWN)?;
        let mut series: Vec<Series> = fields.require("series")?;
        // Beside the series it is said of all that count units.
        if let Some(rolling) = fields.read("rolling")? {
            let uniques = series.iter_mut().filter(|one| one.measure == Measure::Uniques);
            uniques.for_each(|one| one.rolling = one.rolling.or(Some(rolling)));
        }
        let trend = Self {
            series,
            interval: fields.word("interval")?.unwrap_or_default(),
            week_start: fields.word("week_start")?.unwrap_or_default(),
            scope: Scope::read(&fields)?,
        };
        trend.check(place)?;
        Ok(trend)
    }
}

scope_builders!(Trend);
