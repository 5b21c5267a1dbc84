//! The question of a trend.

use serde::Serialize;
use serde_json::Value;

use super::{Attribution, Formula, MAX_ATTRIBUTED, Measure, Number, SeriesResult};
use crate::{
    calendar::{Interval, WeekStart},
    spec::{EventNames, Fields, FromJson, Known, Place, SCOPE_FIELDS, Scope, Selector, SpecError, scope_builders},
};

/// How many series a trend may have.
pub const MAX_SERIES: usize = 32;
/// Over how many buckets uniques may be counted.
pub const MAX_ROLLING: usize = 1_000;

/// One line of a trend: events and what is measured of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Series {
    /// The events.
    #[serde(flatten)]
    pub selector: Selector,
    /// What is measured; the count by default.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub measure: Measure,
    /// The property that is measured, where the measure is one of a property.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub property: Option<String>,
    /// Uniques over so many buckets, the last of which is the one at hand; 2 to [`MAX_ROLLING`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rolling: Option<usize>,
    /// Whether each bucket counts with all before it in the range.
    #[serde(skip_serializing_if = "is_false")]
    pub cumulative: bool,
    /// That it is shared out among what led to its events; all series of a trend are, or none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribution: Option<Attribution>,
    /// The name in the answer; by default that of the events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Series {
    /// The count of these events.
    pub fn of(selector: impl Into<Selector>) -> Self {
        Self {
            selector: selector.into(),
            measure: Measure::default(),
            property: None,
            rolling: None,
            cumulative: false,
            attribution: None,
            name: None,
        }
    }

    /// The given name, or that of the events.
    pub fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.selector.event.to_string())
    }
}

impl Series {
    fn check(&self, place: &Place) -> Result<(), SpecError> {
        let Self { measure, rolling, .. } = self;
        let word = measure.name();
        EventNames::check(&self.selector.event, &place.child("event"))?;
        match (measure.takes_property(), &self.property) {
            (true, None) => {
                let complaint = format!("must say of which property the {word} is");
                return Err(place.child("property").invalid(complaint));
            }
            (false, Some(_)) => {
                let complaint = format!("does not belong to the measure \"{word}\"");
                return Err(place.child("property").invalid(complaint));
            }
            _ => {}
        }
        match rolling {
            Some(_) if *measure != Measure::Uniques => {
                return Err(place.child("rolling").invalid("belongs to the measure \"uniques\""));
            }
            Some(buckets) if !(2..=MAX_ROLLING).contains(buckets) => {
                let limits = format!("takes 2 to {MAX_ROLLING} buckets, found {buckets}");
                return Err(place.child("rolling").invalid(limits));
            }
            Some(_) if self.cumulative => {
                return Err(place.child("cumulative").invalid("does not go with rolling"));
            }
            _ => {}
        }
        if let Some(attribution) = &self.attribution {
            attribution.check(*measure, &place.child("attribution"))?;
            let beside = [(rolling.is_some(), "rolling"), (self.cumulative, "cumulative")];
            if let Some((_, field)) = beside.into_iter().find(|(is_said, _)| *is_said) {
                return Err(place.child(field).invalid("does not go with attribution"));
            }
        }
        if self.cumulative && !measure.takes_cumulative() {
            let complaint = format!("belongs to the measures count, uniques, sum and first_time, found {word}");
            return Err(place.child("cumulative").invalid(complaint));
        }
        Ok(())
    }
}

/// A series as it was said: of what stands beside the series it says nothing itself.
struct Said {
    series: Series,
    cumulative: Option<bool>,
}

impl FromJson for Said {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        const KNOWN: Known = Known {
            names: &[&["event", "filter", "measure", "property", "rolling", "cumulative", "attribution", "name"]],
        };
        let fields = Fields::open(value, place, &KNOWN)?;
        let cumulative = fields.read("cumulative")?;
        let series = Series {
            selector: Selector::read(&fields)?,
            measure: fields.word("measure")?.unwrap_or_default(),
            property: fields.read("property")?,
            rolling: fields.read("rolling")?,
            cumulative: cumulative.unwrap_or(false),
            attribution: fields.read("attribution")?,
            name: fields.read("name")?,
        };
        Ok(Self { series, cumulative })
    }
}

/// Measures of events over the calendar buckets of a range.
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Trend {
    /// The lines, in order; the first ranks the breakdown values.
    #[cfg_attr(feature = "openapi", schema(min_items = 1))]
    pub series: Vec<Series>,
    /// The calendar unit of a bucket; a day by default.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub interval: Interval,
    /// The first day of a week; Monday by default.
    #[serde(skip_serializing_if = "is_monday")]
    pub week_start: WeekStart,
    /// One more series, made of the others by their letters, such as `A / B * 100`; see [`Formula`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub formula: Option<String>,
    /// What the formula is called in the answer; by default as it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What all analyses share.
    #[serde(flatten)]
    pub scope: Scope,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn is_monday(week_start: &WeekStart) -> bool {
    *week_start == WeekStart::Monday
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn is_false(said: &bool) -> bool {
    !*said
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
            formula: None,
            name: None,
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
        self.measure_of(Measure::Sum, property)
    }

    /// Counts the units whose first such event of all history it is, in the latest series.
    #[must_use]
    pub fn first_time(self) -> Self {
        self.measure(Measure::FirstTime)
    }

    /// Measures this in the latest series.
    #[must_use]
    pub fn measure(self, measure: Measure) -> Self {
        self.latest(|series| series.measure = measure)
    }

    /// Measures this of a property in the latest series.
    #[must_use]
    pub fn measure_of(self, measure: Measure, property: impl Into<String>) -> Self {
        self.latest(|series| {
            series.measure = measure;
            series.property = Some(property.into());
        })
    }

    /// Counts each bucket with all before it in the range, in the latest series.
    #[must_use]
    pub fn cumulative(self) -> Self {
        self.latest(|series| series.cumulative = true)
    }

    /// Shares the latest series out among what led to its events.
    #[must_use]
    pub fn attributed(self, attribution: Attribution) -> Self {
        self.latest(|series| series.attribution = Some(attribution))
    }

    /// Adds one more series, made of the others by their letters, such as `A / B * 100`; see [`Formula`].
    #[must_use]
    pub fn formula(mut self, formula: impl Into<String>) -> Self {
        self.formula = Some(formula.into());
        self
    }

    /// Names the series of the formula.
    #[must_use]
    pub fn formula_named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
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

    /// Whether the answer is how often instead of when.
    pub fn has_frequencies(&self) -> bool {
        self.series.iter().any(|one| one.measure == Measure::Frequency)
    }

    /// Whether the series are shared out among what led to their events.
    pub fn is_attributed(&self) -> bool {
        self.series.iter().any(|one| one.attribution.is_some())
    }

    /// Adds what the formula makes of the series, which come by series and then by breakdown group.
    ///
    /// # Errors
    /// [`SpecErrorKind::Invalid`](crate::spec::SpecErrorKind::Invalid) for what is no formula.
    pub fn with_formula(&self, mut results: Vec<SeriesResult>) -> Result<Vec<SeriesResult>, SpecError> {
        let Some(text) = &self.formula else { return Ok(results) };
        let count = self.series.len();
        let formula = Formula::parse(text, count).map_err(|error| error.on("formula"))?;
        let groups = results.len() / count.max(1);
        for group in 0..groups {
            let own: Vec<&SeriesResult> = results.iter().skip(group).step_by(groups).take(count).collect();
            let buckets = own.first().map_or(0, |first| first.values.len());
            let at = |bucket: usize| own.iter().filter_map(|one| one.values.get(bucket).copied()).collect::<Vec<_>>();
            let made = SeriesResult {
                name: self.name.clone().unwrap_or_else(|| text.clone()),
                breakdown: own.first().and_then(|first| first.breakdown.clone()),
                values: (0..buckets).map(|bucket| formula.of(&at(bucket))).collect(),
                frequency: None,
                total: Number::Null,
            };
            results.push(made);
        }
        Ok(results)
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
            one.check(&series.item(index))?;
        }
        let other = self.series.iter().position(|one| one.measure != Measure::Frequency);
        if let Some(other) = other.filter(|_| self.has_frequencies()) {
            let found = self.series.get(other).map_or("", |one| one.measure.name());
            let complaint = format!("must be frequency as those beside it are, found {found}");
            return Err(series.item(other).child("measure").invalid(complaint));
        }
        if self.is_attributed() {
            self.check_attributed(&series)?;
        }
        let formula = place.child("formula");
        match (&self.formula, &self.name) {
            (Some(_), _) if self.has_frequencies() => {
                return Err(formula.invalid("does not go with the measure \"frequency\""));
            }
            (Some(text), _) => {
                Formula::parse(text, count).map_err(|error| formula.locate(error))?;
            }
            (None, Some(_)) => return Err(place.child("name").invalid("belongs to a formula, and there is none")),
            (None, None) => {}
        }
        self.scope.check(place)
    }

    fn check_attributed(&self, place: &Place) -> Result<(), SpecError> {
        let count = self.series.len();
        if count > MAX_ATTRIBUTED {
            return Err(place.invalid(format_args!("takes at most {MAX_ATTRIBUTED} with attribution, found {count}")));
        }
        if let Some(plain) = self.series.iter().position(|one| one.attribution.is_none()) {
            let complaint = "must have an attribution as those beside it have";
            return Err(place.item(plain).child("attribution").invalid(complaint));
        }
        // The events of a unit are read with one number each.
        let properties = self.series.iter().enumerate().filter_map(|(at, one)| Some((at, one.property.as_ref()?)));
        let mut properties = properties.peekable();
        let first = properties.peek().map(|(_, name)| *name);
        if let Some((at, other)) = properties.find(|(_, name)| Some(*name) != first) {
            let first = first.map_or("", String::as_str);
            let complaint =
                format!("must be \"{first}\" as in the series before it, found \"{other}\": ask for one by itself");
            return Err(place.item(at).child("property").invalid(complaint));
        }
        Ok(())
    }
}

impl Trend {
    /// All that its reader knows.
    pub(crate) const FIELDS: Known = Known {
        names: &[&["series", "interval", "week_start", "rolling", "cumulative", "formula", "name"], SCOPE_FIELDS],
    };
}

impl FromJson for Trend {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        let fields = Fields::open(value, place, &Self::FIELDS)?;
        let mut said: Vec<Said> = fields.require("series")?;
        let rolling: Option<usize> = fields.read("rolling")?;
        let cumulative = fields.read("cumulative")?.unwrap_or(false);
        if rolling.is_some() && cumulative {
            return Err(fields.place().child("cumulative").invalid("does not go with rolling"));
        }
        // Beside the series they are said of all that take them and do not say otherwise.
        let (mut rolls, mut cumulates) = (false, false);
        for Said { series, cumulative: own } in &mut said {
            if let (Some(buckets), Measure::Uniques, false) = (rolling, series.measure, series.cumulative) {
                series.rolling = series.rolling.or(Some(buckets));
                rolls = true;
            }
            let takes = series.measure.takes_cumulative() && series.attribution.is_none();
            if cumulative && own.is_none() && takes && series.rolling.is_none() {
                series.cumulative = true;
            }
            cumulates |= series.cumulative;
        }
        if rolling.is_some() && !rolls {
            return Err(fields
                .place()
                .child("rolling")
                .invalid("belongs to the measure \"uniques\", which no series has"));
        }
        if cumulative && !cumulates {
            let complaint = "belongs to the measures count, uniques, sum and first_time, which no series has";
            return Err(fields.place().child("cumulative").invalid(complaint));
        }
        let trend = Self {
            series: said.into_iter().map(|said| said.series).collect(),
            interval: fields.word("interval")?.unwrap_or_default(),
            week_start: fields.word("week_start")?.unwrap_or_default(),
            formula: fields.read("formula")?,
            name: fields.read("name")?,
            scope: Scope::read(&fields)?,
        };
        trend.check(place)?;
        Ok(trend)
    }
}

scope_builders!(Trend);
