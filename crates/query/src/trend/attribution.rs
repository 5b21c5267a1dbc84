//! Which of the things that led to an event gets how much of the credit for it.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use serde::Serialize;
use serde_json::Value;

use super::{Measure, Number, SeriesResult, Sum, Trend};
use crate::{
    calendar::{Buckets, Span, days},
    spec::{
        EventNames, Fields, FromJson, GroupLabel, GroupValue, Groups, Hit, HitValue, Known, Place, Selector, SpecError,
        Split, Word,
    },
};

/// How many attributed series a trend may have: each takes two selectors.
pub const MAX_ATTRIBUTED: usize = 16;
/// Values of a breakdown in buckets that a series may have on one thread: more would take memory without end.
const MAX_CELLS: usize = 4_000_000;
/// What the first and the last touch get each where the position decides and others lie between them.
const OF_AN_END: f64 = 0.4;
/// What the touches between the first and the last share.
const OF_THE_MIDDLE: f64 = 0.2;

/// How a conversion is shared out among its touches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AttributionModel {
    /// The first touch gets all.
    First,
    /// The last touch gets all.
    #[default]
    Last,
    /// Each touch gets the same.
    Linear,
    /// The first and the last get two fifths each and those between them share the rest; of two each gets half, and one alone gets all.
    Position,
}

impl Word for AttributionModel {
    const WORDS: &'static [(&'static str, Self)] =
        &[("first", Self::First), ("last", Self::Last), ("linear", Self::Linear), ("position", Self::Position)];
}

/// That a series is shared out among what led to its events, the *touches*: each group of the breakdown gets the credit of the touches that have its value.
///
/// A touch of a conversion is an event of the same unit that matches, at most the window before it and not after it in (timestamp, sequence); the conversion
/// itself is one where it matches. What has no touch is credited to the group NULL, so that the groups together come to the plain measure.
///
/// ```
/// use pugmark_query::calendar::days;
/// use pugmark_query::spec::Breakdown;
/// use pugmark_query::trend::{Attribution, AttributionModel, Trend};
///
/// let linear = Attribution::new(AttributionModel::Linear).window(days(7)).touch("visit");
/// let trend = Trend::of("purchase").sum("amount").attributed(linear).breakdown(Breakdown::Property("source".to_owned()));
/// let json = r#"{"series":[{"event":"purchase","measure":"sum","property":"amount",
///     "attribution":{"model":"linear","window":"7d","touch":{"event":"visit"}}}],"breakdown":[{"property":"source"}]}"#;
/// assert_eq!(serde_json::from_str::<Trend>(json)?, trend);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attribution {
    /// Who gets how much; all to the last touch by default.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub model: AttributionModel,
    /// How long before its conversion a touch may lie, at most; 30 days by default, and 0 is valid.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub window: Span,
    /// The touches; by default every event that has a value of the breakdown, or of one of its items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub touch: Option<Selector>,
}

impl Attribution {
    /// Of every event of the last 30 days that has a value of the breakdown.
    pub fn new(model: AttributionModel) -> Self {
        Self { model, window: days(30), touch: None }
    }

    /// Looks back so far from a conversion.
    #[must_use]
    pub fn window(self, window: Span) -> Self {
        Self { window, ..self }
    }

    /// Takes these events for touches, also those without a value of the breakdown.
    #[must_use]
    pub fn touch(self, touch: impl Into<Selector>) -> Self {
        Self { touch: Some(touch.into()), ..self }
    }

    pub(super) fn check(&self, measure: Measure, place: &Place) -> Result<(), SpecError> {
        if !matches!(measure, Measure::Count | Measure::Sum) {
            let complaint = format!("belongs to the measures count and sum, found {}", measure.name());
            return Err(place.invalid(complaint));
        }
        self.touch
            .as_ref()
            .map_or(Ok(()), |touch| EventNames::check(&touch.event, &place.child("touch").child("event")))
    }
}

impl FromJson for Attribution {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        const KNOWN: Known = Known { names: &[&["model", "window", "touch"]] };
        let fields = Fields::open(value, place, &KNOWN)?;
        let plain = Self::new(fields.word("model")?.unwrap_or_default());
        Ok(Self { window: fields.read("window")?.unwrap_or(plain.window), touch: fields.read("touch")?, ..plain })
    }
}

/// A series that is shared out.
#[derive(Debug, Clone)]
struct Line {
    name: String,
    conversions: u32,
    touches: u32,
    /// Whether only what has a value of the breakdown is a touch.
    of_values: bool,
    sums: bool,
    model: AttributionModel,
    window_us: i64,
}

/// The bits of a hit that stand for the conversions and for the touches of the series at `at`.
pub(crate) fn bits_of(at: usize) -> (u32, u32) {
    (1 << (2 * at), 2 << (2 * at))
}

/// Shares the conversions of units out among their touches, one unit at a time.
#[derive(Debug, Clone)]
pub struct Credits {
    lines: Vec<Line>,
    buckets: Arc<Buckets>,
    /// How many items the breakdown has; without one all is one group.
    items: usize,
    /// The group of what has no touch: the NULL of each item, which may be the first after those that rows have.
    nobody: u32,
    /// Of each line, what its groups got in each bucket.
    got: Vec<HashMap<(u32, u32), Sum, foldhash::fast::RandomState>>,
    touches: Touches,
    /// Whether a series had more cells than it may have, and some were left out.
    is_full: bool,
}

impl Credits {
    /// Of the series of a trend, all of which are attributed, cut by the values of `groups`, if it is cut at all.
    pub fn new(trend: &Trend, buckets: Arc<Buckets>, groups: &Groups) -> Self {
        let line = |(at, series): (usize, &super::Series)| {
            let attribution = series.attribution.as_ref()?;
            let (conversions, touches) = bits_of(at);
            Some(Line {
                name: series.title(),
                conversions,
                touches,
                of_values: attribution.touch.is_none(),
                sums: series.measure == Measure::Sum,
                model: attribution.model,
                window_us: attribution.window.as_us(),
            })
        };
        let lines: Vec<Line> = trend.series.iter().enumerate().filter_map(line).collect();
        let items = trend.scope.breakdown.len();
        let next = u32::try_from(groups.len()).unwrap_or(u32::MAX);
        let nobody = if items == 0 { 0 } else { groups.find(&vec![GroupValue::Null; items]).unwrap_or(next) };
        let got = vec![HashMap::default(); lines.len()];
        Self { lines, buckets, items, nobody, got, touches: Touches::default(), is_full: false }
    }

    /// Takes in the events of one unit, by (timestamp, sequence).
    pub fn add_unit<V: HitValue>(&mut self, hits: &[Hit<V>]) {
        let range = self.buckets.range();
        for (line, got) in self.lines.iter().zip(&mut self.got) {
            self.touches.clear();
            for hit in hits {
                let group = if self.items == 0 { 0 } else { hit.group };
                let is_none = self.items > 0 && line.of_values && group == self.nobody;
                if hit.matches & line.touches != 0 && !is_none {
                    self.touches.push(hit.timestamp, group);
                }
                if hit.matches & line.conversions == 0 || !range.contains(hit.timestamp) {
                    continue;
                }
                let worth = if line.sums { hit.value.number() } else { 1.0 };
                let Some(bucket) = self.buckets.index_of(hit.timestamp).filter(|_| !worth.is_nan()) else { continue };
                let bucket = u32::try_from(bucket).unwrap_or(u32::MAX);
                self.touches.forget_before(hit.timestamp.saturating_sub(line.window_us));
                self.touches.share(line.model, self.nobody, |group, share| {
                    if got.len() < MAX_CELLS || got.contains_key(&(group, bucket)) {
                        got.entry((group, bucket)).or_default().add(worth * share);
                    } else {
                        self.is_full = true;
                    }
                });
            }
        }
    }

    /// Takes over what another part got, whose groups have the same numbers.
    pub fn merge(&mut self, other: &Self) {
        self.is_full |= other.is_full;
        for (here, there) in self.got.iter_mut().zip(&other.got) {
            for (cell, sum) in there {
                *here.entry(*cell).or_default() += *sum;
            }
        }
    }

    /// What each series came to, by series and then by group.
    ///
    /// # Errors
    /// `Invalid` where a series has more values in buckets than memory should be taken for.
    pub fn finish(&self, groups: &Groups, limit: usize) -> Result<Vec<SeriesResult>, SpecError> {
        if self.is_full {
            let message = format!(
                "the breakdown has more than {MAX_CELLS} values in buckets: take a longer interval, a shorter range or fewer values"
            );
            return Err(SpecError::invalid(message).on("breakdown"));
        }
        let mut known = groups.clone();
        let mut of_group: Vec<Option<usize>> = vec![Some(0)];
        let mut labels: Vec<Option<GroupLabel>> = vec![None];
        if self.items > 0 {
            known.intern(&vec![GroupValue::Null; self.items]);
            let split = Split { groups: &known, limit };
            let mut totals: HashMap<u32, Sum> = HashMap::new();
            for (line, got) in self.got.iter().enumerate() {
                for ((group, _), sum) in got {
                    let total = totals.entry(*group).or_default();
                    if line == 0 {
                        *total += *sum;
                    }
                }
            }
            let folded = split.fold(totals.into_iter().map(|(group, sum)| (group, Number::Real(ranked(sum.value())))));
            labels = folded.kept.iter().map(|group| Some(split.label(*group))).collect();
            of_group = vec![None; known.len()];
            for (place, group) in folded.kept.iter().enumerate() {
                of_group[*group as usize] = Some(place);
            }
            if !folded.rest.is_empty() {
                for group in &folded.rest {
                    of_group[*group as usize] = Some(labels.len());
                }
                labels.push(Some(GroupLabel::Other));
            }
        }
        let many = self.buckets.len();
        let mut results = Vec::with_capacity(self.lines.len() * labels.len());
        for (line, got) in self.lines.iter().zip(&self.got) {
            let mut values = vec![vec![Sum::default(); many]; labels.len()];
            for ((group, bucket), sum) in got {
                if let Some(place) = of_group[*group as usize] {
                    values[place][*bucket as usize] += *sum;
                }
            }
            for (label, values) in labels.iter().zip(values) {
                let mut total = Sum::default();
                values.iter().for_each(|sum| total += *sum);
                results.push(SeriesResult {
                    name: line.name.clone(),
                    breakdown: label.clone(),
                    values: values.into_iter().map(|sum| Number::Real(sum.value())).collect(),
                    frequency: None,
                    total: Number::Real(total.value()),
                });
            }
        }
        Ok(results)
    }
}

/// Without its last digits, so that shares which come to the same, such as three thirds and one whole, rank as equals.
fn ranked(total: f64) -> f64 {
    const LAST: u64 = 1 << 16;
    f64::from_bits((total.to_bits() + LAST / 2) / LAST * LAST)
}

/// The touches of one unit that a conversion may still look back to.
#[derive(Debug, Clone, Default)]
struct Touches {
    /// When, and of which group, in order.
    all: VecDeque<(i64, u32)>,
    /// How many each group has, so that sharing out costs as much as there are groups.
    of_group: HashMap<u32, u64, foldhash::fast::RandomState>,
}

impl Touches {
    fn clear(&mut self) {
        self.all.clear();
        self.of_group.clear();
    }

    fn push(&mut self, at: i64, group: u32) {
        self.all.push_back((at, group));
        *self.of_group.entry(group).or_default() += 1;
    }

    fn forget_before(&mut self, us: i64) {
        while let Some((_, group)) = self.all.pop_front_if(|(at, _)| *at < us) {
            if let Some(count) = self.of_group.get_mut(&group) {
                *count -= 1;
                if *count == 0 {
                    self.of_group.remove(&group);
                }
            }
        }
    }

    /// Gives each group its share of 1; `nobody` gets all where there is no touch.
    #[expect(clippy::cast_precision_loss, reason = "nobody has 2^53 events")]
    fn share(&self, model: AttributionModel, nobody: u32, mut give: impl FnMut(u32, f64)) {
        let (Some((_, first)), Some((_, last))) = (self.all.front(), self.all.back()) else {
            return give(nobody, 1.0);
        };
        let count = self.all.len();
        match model {
            AttributionModel::First => give(*first, 1.0),
            AttributionModel::Last => give(*last, 1.0),
            AttributionModel::Position if count == 1 => give(*first, 1.0),
            AttributionModel::Position if count == 2 => {
                give(*first, 0.5);
                give(*last, 0.5);
            }
            AttributionModel::Linear => {
                self.of_group.iter().for_each(|(group, own)| give(*group, *own as f64 / count as f64));
            }
            AttributionModel::Position => {
                give(*first, OF_AN_END);
                give(*last, OF_AN_END);
                for (group, own) in &self.of_group {
                    let ends = u64::from(group == first) + u64::from(group == last);
                    if *own > ends {
                        give(*group, OF_THE_MIDDLE * (own - ends) as f64 / (count - 2) as f64);
                    }
                }
            }
        }
    }
}
