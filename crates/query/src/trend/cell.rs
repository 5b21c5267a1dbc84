//! What one measure has in one bucket: cells add up and unite in any order.

use hashbrown::HashMap;
use roaring::{MultiOps, RoaringBitmap};

use super::percentile::percentile;
use super::{Frequency, Measure, Number, Sum};

/// Bytes that an entry of a set takes, nearly.
pub(super) const ENTRY_BYTES: usize = 4;
/// The same of a number in a list, with the room that the list keeps.
const NUMBER_BYTES: usize = 16;
/// The same of a unit with how often it had an event.
const TIMES_BYTES: usize = 32;

/// How often each unit had an event.
type Times = HashMap<u32, u64, foldhash::fast::RandomState>;

/// What one measure has in one bucket.
#[derive(Debug, Clone)]
pub(super) enum Cell {
    Count(u64),
    Units(RoaringBitmap),
    Sum(Sum),
    PerUnit {
        events: u64,
        sum: Sum,
        units: RoaringBitmap,
    },
    Spread {
        count: u64,
        sum: Sum,
        min: f64,
        max: f64,
    },
    Numbers(Vec<f64>),
    /// Numbers of the different values.
    Keys(RoaringBitmap),
    Times(Times),
}

impl Cell {
    pub(super) fn empty(measure: Measure) -> Self {
        match measure {
            // First times are told apart before they are counted.
            Measure::Count | Measure::FirstTime => Self::Count(0),
            Measure::Uniques => Self::Units(RoaringBitmap::new()),
            Measure::Sum => Self::Sum(Sum::default()),
            Measure::CountPerUser | Measure::SumPerUser => {
                Self::PerUnit { events: 0, sum: Sum::default(), units: RoaringBitmap::new() }
            }
            Measure::Avg | Measure::Min | Measure::Max => {
                Self::Spread { count: 0, sum: Sum::default(), min: f64::INFINITY, max: f64::NEG_INFINITY }
            }
            Measure::Median | Measure::P75 | Measure::P90 | Measure::P95 | Measure::P99 => Self::Numbers(Vec::new()),
            Measure::Distinct => Self::Keys(RoaringBitmap::new()),
            Measure::Frequency => Self::Times(Times::default()),
        }
    }

    /// Adds events of a unit; answers how many bytes that took, nearly.
    pub(super) fn add(&mut self, unit: u32, added: u64) -> usize {
        match self {
            Self::Count(count) => *count += added,
            Self::Units(units) => return usize::from(units.insert(unit)) * ENTRY_BYTES,
            Self::PerUnit { events, units, .. } => {
                *events += added;
                return usize::from(units.insert(unit)) * ENTRY_BYTES;
            }
            Self::Times(times) => {
                let before = times.len();
                *times.entry(unit).or_default() += added;
                return (times.len() - before) * TIMES_BYTES;
            }
            Self::Sum(_) | Self::Spread { .. } | Self::Numbers(_) | Self::Keys(_) => {}
        }
        0
    }

    /// Adds the number that an event has.
    pub(super) fn add_number(&mut self, number: f64) -> usize {
        match self {
            Self::Sum(sum) | Self::PerUnit { sum, .. } => sum.add(number),
            Self::Spread { count, sum, min, max } => {
                *count += 1;
                sum.add(number);
                *min = min.min(number);
                *max = max.max(number);
            }
            Self::Numbers(numbers) => {
                numbers.push(number);
                return NUMBER_BYTES;
            }
            Self::Count(_) | Self::Units(_) | Self::Keys(_) | Self::Times(_) => {}
        }
        0
    }

    /// Adds what numbers come to of which there are so many.
    pub(super) fn add_spread(&mut self, added: u64, own: Sum, least: f64, most: f64) {
        match self {
            Self::Sum(sum) | Self::PerUnit { sum, .. } => *sum += own,
            Self::Spread { count, sum, min, max } => {
                *count += added;
                *sum += own;
                *min = min.min(least);
                *max = max.max(most);
            }
            Self::Count(_) | Self::Units(_) | Self::Numbers(_) | Self::Keys(_) | Self::Times(_) => {}
        }
    }

    /// Adds the number of a value.
    pub(super) fn add_key(&mut self, key: u32) -> usize {
        match self {
            Self::Keys(keys) => usize::from(keys.insert(key)) * ENTRY_BYTES,
            _ => 0,
        }
    }

    /// Adds so many events of a set of units.
    pub(super) fn add_set(&mut self, added: u64, set: &RoaringBitmap) {
        match self {
            Self::Count(count) => *count += added,
            Self::Units(units) => *units |= set,
            Self::PerUnit { events, units, .. } => {
                *events += added;
                *units |= set;
            }
            Self::Sum(_) | Self::Spread { .. } | Self::Numbers(_) | Self::Keys(_) | Self::Times(_) => {}
        }
    }

    /// Adds another cell of the measure, whose value *n* is the value `keys[n]` here, or *n* where that says nothing.
    pub(super) fn merge(&mut self, other: &Self, keys: &[u32]) {
        match (self, other) {
            (Self::Count(here), Self::Count(there)) => *here += there,
            (Self::Units(here), Self::Units(there)) => *here |= there,
            (Self::Sum(here), Self::Sum(there)) => *here += *there,
            (Self::PerUnit { events, sum, units }, Self::PerUnit { events: more, sum: own, units: others }) => {
                *events += more;
                *sum += *own;
                *units |= others;
            }
            (here @ Self::Spread { .. }, Self::Spread { count, sum, min, max }) => {
                here.add_spread(*count, *sum, *min, *max);
            }
            (Self::Numbers(here), Self::Numbers(there)) => here.extend_from_slice(there),
            (Self::Keys(here), Self::Keys(there)) if keys.is_empty() => *here |= there,
            (Self::Keys(here), Self::Keys(there)) => {
                here.extend(there.iter().map(|key| keys.get(key as usize).copied().unwrap_or(key)));
            }
            (Self::Times(here), Self::Times(there)) => {
                for (unit, times) in there {
                    *here.entry(*unit).or_default() += times;
                }
            }
            _ => unreachable!("both sides were made for the same measure"),
        }
    }

    /// All of some cells.
    pub(super) fn united<'a>(measure: Measure, cells: impl Iterator<Item = &'a Self>) -> Self {
        if measure == Measure::Uniques {
            let sets = cells.filter_map(|cell| match cell {
                Self::Units(units) => Some(units),
                _ => None,
            });
            return Self::Units(sets.union());
        }
        let mut all = Self::empty(measure);
        cells.for_each(|cell| all.merge(cell, &[]));
        all
    }

    /// The value of the measure. The order of what is listed changes.
    pub(super) fn number(&mut self, measure: Measure) -> Number {
        match self {
            Self::Count(count) => Number::Count(*count),
            Self::Units(units) => Number::Count(units.len()),
            Self::Sum(sum) => Number::Real(sum.value()),
            Self::PerUnit { events, sum, units } => match measure {
                Measure::SumPerUser => Number::mean(*sum, units.len()).or_zero(),
                _ => Number::share(*events, units.len()).or_zero(),
            },
            Self::Spread { count, sum, min, max } => match measure {
                _ if *count == 0 => Number::Null,
                Measure::Min => Number::Real(*min),
                Measure::Max => Number::Real(*max),
                _ => Number::mean(*sum, *count),
            },
            Self::Numbers(numbers) => Number::of(percentile(numbers, measure.share().unwrap_or(0.5))),
            Self::Keys(keys) => Number::Count(keys.len()),
            Self::Times(times) => Number::Count(times.len() as u64),
        }
    }

    /// How many units had it how often.
    pub(super) fn frequency(&self) -> Option<Frequency> {
        match self {
            Self::Times(times) => Some(times.values().map(|times| (*times, 1)).collect()),
            _ => None,
        }
    }

    pub(super) fn units(&self) -> Option<&RoaringBitmap> {
        match self {
            Self::Units(units) => Some(units),
            _ => None,
        }
    }
}
