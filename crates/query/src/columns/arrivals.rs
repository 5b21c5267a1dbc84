//! What the order of arrival tells of the rows of a file: of an event's timestamp nearly its sequence, and of its sequence when it was received.
//!
//! Events arrive nearly in the order in which they happen. A file keeps the curve that leads from timestamps to sequences, and of each row how far its sequence is from it: a
//! byte or less, where the sequence by itself takes as many bits as tell the rows of a file apart. When an event was received is said once for each batch.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, TimestampMicrosecondArray, UInt32Array, UInt64Array};
use datafusion::arrow::datatypes::{TimestampMicrosecondType, UInt32Type, UInt64Type};
use datafusion::arrow::error::ArrowError;
use serde::{Deserialize, Serialize};

use super::error;
use super::schema::UTC;

/// Rows from one knot of the curve to the next.
const KNOT_ROWS: usize = 1_024;
/// Batches of fewer events, on average, are not listed.
const BATCH_MIN_ROWS: usize = 256;
/// Sequences further apart are kept as they are: the distance to the curve is to fit into 32 bits.
const SPAN_MAX: u64 = 1 << 30;

/// What a file keeps of the order of arrival. Of either there may be nothing: the column is then kept as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Arrivals {
    curve: Option<Curve>,
    batches: Option<Batches>,
}

/// From timestamps to sequences: straight between its knots, which are pairs of equal rank among the timestamps and among the sequences of a file.
#[derive(Debug, Clone, PartialEq)]
struct Curve {
    /// Ascending, each once.
    times: Vec<i64>,
    /// Ascending; the first and the last are those of the file.
    sequences: Vec<u64>,
    /// Sequences a microsecond, from each knot to the next.
    slopes: Vec<f64>,
}

/// Where in the log it changes when an event was received.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Batches {
    /// The first sequences, ascending, each once.
    sequences: Vec<u64>,
    received: Vec<i64>,
}

/// As it is written: each number as its difference from the one before.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    curve: Option<(Vec<i64>, Vec<u64>)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batches: Option<(Vec<u64>, Vec<i64>)>,
}

impl Arrivals {
    pub(super) fn new(knots: Option<Knots>, batches: Option<Batches>) -> Self {
        Self { curve: knots.and_then(Knots::curve), batches }
    }

    pub(crate) fn has_curve(&self) -> bool {
        self.curve.is_some()
    }

    pub(crate) fn has_batches(&self) -> bool {
        self.batches.is_some()
    }

    pub(super) fn batches(&self) -> Option<&Batches> {
        self.batches.as_ref()
    }

    /// Bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let curve = self.curve.as_ref().map_or(0, |curve| curve.times.len() * 24);
        curve + self.batches.as_ref().map_or(0, |batches| batches.sequences.len() * 16)
    }

    /// How far each sequence is from the curve.
    ///
    /// # Panics
    /// Without a curve.
    pub(super) fn distances(&self, timestamps: &ArrayRef, sequences: &ArrayRef) -> ArrayRef {
        let curve = self.curve.as_ref().expect("invariant: distances are asked for where there is a curve");
        let timestamps = timestamps.as_primitive::<TimestampMicrosecondType>().values();
        let sequences = sequences.as_primitive::<UInt64Type>().values();
        let distances =
            timestamps.iter().zip(sequences).map(|(timestamp, sequence)| curve.distance(*timestamp, *sequence));
        Arc::new(UInt32Array::from_iter_values(distances))
    }

    /// Sequences from timestamps in microseconds and distances from the curve.
    pub(crate) fn sequences(&self, timestamps: &ArrayRef, distances: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        let (Some(curve), Some(timestamps), Some(distances)) = (
            &self.curve,
            timestamps.as_primitive_opt::<TimestampMicrosecondType>(),
            distances.as_primitive_opt::<UInt32Type>(),
        ) else {
            return Err(damaged("sequences are kept in a way that this file does not tell"));
        };
        let rows = timestamps.values().iter().zip(distances.values());
        let sequences: Vec<u64> = rows.map(|(timestamp, distance)| curve.sequence(*timestamp, *distance)).collect();
        match sequences.iter().find(|sequence| !curve.holds(**sequence)) {
            Some(sequence) => Err(damaged(format_args!("sequence {sequence}, which is none of the file's"))),
            None => Ok(Arc::new(UInt64Array::from(sequences))),
        }
    }

    /// When the events of these sequences were received.
    pub(crate) fn received(&self, sequences: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        let (Some(batches), Some(sequences)) = (&self.batches, sequences.as_primitive_opt::<UInt64Type>()) else {
            return Err(damaged("when events were received is kept in a way that this file does not tell"));
        };
        let of = |sequence: &u64| Some(batches.received[batches.place(*sequence)?]);
        let received: Option<Vec<i64>> = sequences.values().iter().map(of).collect();
        let received = received.ok_or_else(|| damaged("a sequence that comes before all batches"))?;
        Ok(Arc::new(TimestampMicrosecondArray::from(received).with_timezone(UTC)))
    }

    /// As text, where there is something to be kept.
    pub(super) fn write(&self) -> Option<String> {
        let written = Written {
            curve: self.curve.as_ref().map(|curve| (signed_steps(&curve.times), steps(&curve.sequences))),
            batches: self.batches.as_ref().map(|own| (steps(&own.sequences), signed_steps(&own.received))),
        };
        let is_empty = written.curve.is_none() && written.batches.is_none();
        (!is_empty).then(|| serde_json::to_string(&written).expect("invariant: numbers have a JSON form"))
    }

    /// What [`write`](Self::write) wrote; anything else is refused.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let Written { curve, batches } = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let curve = curve.map(|(times, sequences)| {
            let (times, sequences) = (signed_sums(&times)?, sums(&sequences)?);
            Curve::of(times, sequences).ok_or_else(|| "knots of a curve that do not ascend".to_owned())
        });
        let batches = batches.map(|(sequences, received)| {
            let (sequences, received) = (sums(&sequences)?, signed_sums(&received)?);
            let ascend = sequences.windows(2).all(|pair| pair[0] < pair[1]);
            if sequences.is_empty() || sequences.len() != received.len() || !ascend {
                return Err("batches that do not ascend".to_owned());
            }
            Ok(Batches { sequences, received })
        });
        Ok(Self { curve: curve.transpose()?, batches: batches.transpose()? })
    }
}

impl Curve {
    fn of(times: Vec<i64>, sequences: Vec<u64>) -> Option<Self> {
        let ascend = times.windows(2).all(|pair| pair[0] < pair[1]) && sequences.is_sorted();
        let (first, last) = (sequences.first()?, sequences.last()?);
        if times.len() != sequences.len() || !ascend || last - first > SPAN_MAX {
            return None;
        }
        let mut slopes: Vec<f64> = times
            .windows(2)
            .zip(sequences.windows(2))
            .map(|(times, sequences)| (sequences[1] - sequences[0]) as f64 / times[1].abs_diff(times[0]) as f64)
            .collect();
        slopes.push(0.0);
        Some(Self { times, sequences, slopes })
    }

    /// The sequence that an event of this timestamp has, if events arrive in the order of theirs.
    fn near(&self, timestamp: i64) -> u64 {
        let knot = self.times.partition_point(|time| *time <= timestamp).saturating_sub(1);
        let after = timestamp.saturating_sub(self.times[knot]).max(0);
        // The same on every machine: one multiplication of doubles, and no sum that could be fused with it.
        self.sequences[knot].saturating_add((after as f64 * self.slopes[knot]) as u64)
    }

    fn distance(&self, timestamp: i64, sequence: u64) -> u32 {
        let distance = sequence.wrapping_sub(self.near(timestamp)).cast_signed() as i32;
        (distance << 1 ^ distance >> 31).cast_unsigned()
    }

    fn sequence(&self, timestamp: i64, distance: u32) -> u64 {
        let distance = i64::from(distance >> 1) ^ -i64::from(distance & 1);
        self.near(timestamp).wrapping_add_signed(distance)
    }

    fn holds(&self, sequence: u64) -> bool {
        self.sequences.first().is_some_and(|first| *first <= sequence)
            && self.sequences.last().is_some_and(|last| sequence <= *last)
    }
}

impl Batches {
    /// The batches of rows in the order of their sequences; `None` where they are many.
    pub(super) fn of(rows: impl Iterator<Item = (u64, i64)>) -> Option<Self> {
        let (mut batches, mut count) = (Self { sequences: Vec::new(), received: Vec::new() }, 0);
        for (sequence, received) in rows {
            batches.add(sequence, received);
            count += 1;
        }
        batches.if_few(count)
    }

    /// Those of several files, which are neighbours in the order of their sequences.
    pub(super) fn merged<'a>(files: impl Iterator<Item = Option<&'a Self>>, rows: usize) -> Option<Self> {
        let mut merged = Self { sequences: Vec::new(), received: Vec::new() };
        for batches in files {
            let batches = batches?;
            batches.sequences.iter().zip(&batches.received).for_each(|(at, received)| merged.add(*at, *received));
        }
        merged.if_few(rows)
    }

    fn add(&mut self, sequence: u64, received: i64) {
        if self.received.last() != Some(&received) {
            self.sequences.push(sequence);
            self.received.push(received);
        }
    }

    /// `None` where batches are small, so that they would take about as much as `rows` times of arrival do. One batch is always worth it.
    fn if_few(self, rows: usize) -> Option<Self> {
        let few = self.sequences.len() <= (rows / BATCH_MIN_ROWS).max(1);
        (few && !self.sequences.is_empty()).then_some(self)
    }

    fn place(&self, sequence: u64) -> Option<usize> {
        self.sequences.partition_point(|first| *first <= sequence).checked_sub(1)
    }
}

/// Gathers the knots of a curve.
#[derive(Debug)]
pub(super) struct Knots {
    times: Vec<i64>,
    sequences: Vec<u64>,
    /// How many sequences were added, and the last.
    count: usize,
    last: u64,
}

impl Knots {
    /// For the rows of a file, of which these are the timestamps, in any order.
    pub(super) fn new(mut timestamps: Vec<i64>) -> Self {
        timestamps.sort_unstable();
        let mut times: Vec<i64> = timestamps.iter().step_by(KNOT_ROWS).copied().collect();
        times.extend(timestamps.last());
        Self { times, sequences: Vec::new(), count: 0, last: 0 }
    }

    /// Adds the sequences of its rows, all in ascending order.
    pub(super) fn add(&mut self, sequences: impl Iterator<Item = u64>) {
        for sequence in sequences {
            if self.count.is_multiple_of(KNOT_ROWS) {
                self.sequences.push(sequence);
            }
            self.count += 1;
            self.last = sequence;
        }
    }

    fn curve(mut self) -> Option<Curve> {
        self.sequences.push(self.last);
        let mut knots: Vec<(i64, u64)> = self.times.into_iter().zip(self.sequences).collect();
        // Of knots of one time the first; the last sequence stays the last of all.
        knots.dedup_by_key(|(time, _)| *time);
        if let Some((_, sequence)) = knots.last_mut().filter(|_| self.count > 0) {
            *sequence = self.last;
        }
        let (times, sequences): (Vec<i64>, Vec<u64>) = knots.into_iter().unzip();
        // A curve through one point leads nowhere: all sequences would be as far from it as from each other.
        (times.len() > 1).then(|| Curve::of(times, sequences)).flatten()
    }
}

/// Whether the rows of a file, in its order, take fewer bits as distances from the curve than as steps from row to row.
pub(super) fn is_worth_it(arrivals: &Arrivals, rows: impl Iterator<Item = (i64, u64)>) -> bool {
    let Some(curve) = &arrivals.curve else { return false };
    let bits = |number: u64| u64::from(64 - number.leading_zeros());
    let (mut distances, mut steps, mut last) = (0, 0, None);
    for (timestamp, sequence) in rows {
        distances += bits(curve.distance(timestamp, sequence).into());
        steps += 1 + bits(sequence.abs_diff(last.replace(sequence).unwrap_or(sequence)));
    }
    distances < steps
}

fn damaged(what: impl std::fmt::Display) -> ArrowError {
    ArrowError::ExternalError(Box::new(error::corrupt("a columnar file", what)))
}

fn steps(numbers: &[u64]) -> Vec<u64> {
    let mut last = 0;
    numbers.iter().map(|number| number.wrapping_sub(std::mem::replace(&mut last, *number))).collect()
}

fn signed_steps(numbers: &[i64]) -> Vec<i64> {
    let mut last = 0;
    numbers.iter().map(|number| number.wrapping_sub(std::mem::replace(&mut last, *number))).collect()
}

fn sums(steps: &[u64]) -> Result<Vec<u64>, String> {
    let mut sum = 0_u64;
    let add = |step: &u64| {
        sum = sum.checked_add(*step).ok_or_else(|| format!("a step of {step} from {sum}"))?;
        Ok(sum)
    };
    steps.iter().map(add).collect()
}

fn signed_sums(steps: &[i64]) -> Result<Vec<i64>, String> {
    let mut sum = 0_i64;
    let add = |step: &i64| {
        sum = sum.wrapping_add(*step);
        Ok(sum)
    };
    steps.iter().map(add).collect()
}

/// Any text as the arrivals of a file, and numbers as its rows: what is read is written as something that reads the same.
pub(crate) fn fuzz_arrivals(text: &str, timestamps: Vec<i64>, distances: Vec<u32>) {
    let Ok(arrivals) = Arrivals::read(text) else { return };
    let written = arrivals.write().unwrap_or_else(|| "{}".to_owned());
    assert_eq!(Arrivals::read(&written).as_ref(), Ok(&arrivals), "{written}");
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(timestamps).with_timezone(UTC));
    let distances: ArrayRef = Arc::new(UInt32Array::from(distances));
    if let Ok(sequences) = arrivals.sequences(&times, &distances) {
        assert_eq!(&arrivals.distances(&times, &sequences), &distances);
        let _received = arrivals.received(&sequences);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rows in the order of their sequences, with their timestamps: nearly in order, at random, or at the ends of what there is.
    fn rows() -> impl Strategy<Value = Vec<(u64, i64)>> {
        let timestamp = prop_oneof![
            4 => (0_i64..50_000).prop_map(|late| -late),
            1 => any::<i64>(),
            1 => Just(i64::MIN),
            1 => Just(i64::MAX),
        ];
        let row = (1_u64..4, prop_oneof![8 => Just(1_000_i64), 1 => Just(0)], timestamp);
        (prop::collection::vec(row, 1..3_000), any::<bool>(), 1_u64..1 << 40).prop_map(|(rows, is_near, first)| {
            let (mut sequence, mut now) = (first, 1_700_000_000_000_000);
            let row = |(step, pass, timestamp): (u64, i64, i64)| {
                sequence += step;
                now += pass;
                (sequence, if is_near && timestamp > -50_000 { now + timestamp.min(0) } else { timestamp })
            };
            rows.into_iter().map(row).collect()
        })
    }

    fn curve_of(rows: &[(u64, i64)]) -> Arrivals {
        let mut knots = Knots::new(rows.iter().map(|(_, timestamp)| *timestamp).collect());
        knots.add(rows.iter().map(|(sequence, _)| *sequence));
        Arrivals::new(Some(knots), None)
    }

    fn timestamps(timestamps: impl Iterator<Item = i64>) -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from_iter_values(timestamps).with_timezone(UTC))
    }

    proptest! {
        #[test]
        fn sequences_come_back_from_their_distances_also_after_being_written(rows in rows()) {
            let arrivals = curve_of(&rows);
            let first = rows[0].1;
            prop_assert_eq!(arrivals.has_curve(), rows.iter().any(|(_, timestamp)| *timestamp != first));
            if arrivals.has_curve() {
                let read = Arrivals::read(&arrivals.write().unwrap()).unwrap();
                prop_assert_eq!(&read, &arrivals);
                let times = timestamps(rows.iter().map(|(_, timestamp)| *timestamp));
                let sequences: ArrayRef = Arc::new(UInt64Array::from_iter_values(rows.iter().map(|(at, _)| *at)));
                let distances = arrivals.distances(&times, &sequences);
                prop_assert_eq!(&read.sequences(&times, &distances).unwrap(), &sequences);
            }
        }

        #[test]
        fn batches_say_when_each_event_was_received(steps in prop::collection::vec((1_u64..9, 0_i64..2), 1..2_000)) {
            let rows: Vec<(u64, i64)> = steps
                .iter()
                .scan((0, 0), |(sequence, received), (step, pass)| {
                    (*sequence, *received) = (*sequence + step, *received + pass);
                    // A clock that is set back.
                    Some((*sequence, *received / 1_000 * if *received > 2_500 { -1 } else { 1 }))
                })
                .collect();
            let split = rows.len() / 3;
            let parts = [&rows[..split], &rows[split..]].map(|rows| Batches::of(rows.iter().copied()));
            let merged = match split {
                0 => Batches::of(rows.iter().copied()),
                _ => Batches::merged(parts.iter().map(Option::as_ref), rows.len()),
            };
            let whole = Batches::of(rows.iter().copied());
            // Fewer batches a row are listed of the parts than of the whole.
            prop_assert!(merged.is_none() || merged == whole);
            if let Some(batches) = whole {
                let arrivals = Arrivals::new(None, Some(batches));
                let read = Arrivals::read(&arrivals.write().unwrap()).unwrap();
                prop_assert_eq!(&read, &arrivals);
                let sequences: ArrayRef = Arc::new(UInt64Array::from_iter_values(rows.iter().map(|(at, _)| *at)));
                let expected = timestamps(rows.iter().map(|(_, received)| *received));
                prop_assert_eq!(&read.received(&sequences).unwrap(), &expected);
            }
        }
    }

    #[test]
    fn a_curve_is_worth_it_where_events_arrive_as_they_happen_and_not_where_one_person_follows_the_other() {
        let arrivals = |timestamp: fn(u64) -> i64| {
            let rows: Vec<(u64, i64)> = (0..20_000).map(|at| (at, timestamp(at))).collect();
            let arrivals = curve_of(&rows);
            // As a file sorts them: by person, whose number is the hundredth of the sequence, or what it leaves.
            let by = |person: fn(u64) -> u64| {
                let mut rows = rows.clone();
                rows.sort_by_key(|(sequence, timestamp)| (person(*sequence), *timestamp));
                is_worth_it(&arrivals, rows.iter().map(|(sequence, timestamp)| (*timestamp, *sequence)))
            };
            (by(|sequence| sequence % 100), by(|sequence| sequence / 100))
        };
        assert!(arrivals(|at| at as i64 * 1_000).0);
        assert!(!arrivals(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20) as i64).1);
    }

    #[test]
    fn text_that_no_file_has_is_refused() {
        for text in [
            "",
            "{}x",
            r#"{"curve":[[1],[]]}"#,
            r#"{"curve":[[],[]]}"#,
            r#"{"curve":[[1,0],[1,1]]}"#,
            r#"{"curve":[[1,1],[1,4294967296]]}"#,
            r#"{"curve":[[1,1],[18446744073709551615,1]]}"#,
            r#"{"batches":[[],[]]}"#,
            r#"{"batches":[[1,0],[1,1]]}"#,
            r#"{"batches":[[1],[1]],"more":1}"#,
        ] {
            assert!(Arrivals::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn distances_that_lead_out_of_the_file_are_damage() {
        let arrivals = curve_of(&[(7, 0), (8, 10), (9, 20)]);
        let times = timestamps([0, 20].into_iter());
        let of = |distances: [u32; 2]| {
            arrivals.sequences(&times, &(Arc::new(UInt32Array::from(distances.to_vec())) as ArrayRef))
        };
        assert_eq!(of([0, 0]).unwrap().as_primitive::<UInt64Type>().values().as_ref(), [7, 9]);
        assert!(of([1, 0]).is_err() && of([0, 2]).is_err() && of([u32::MAX, 0]).is_err());
        let none = Arrivals::default();
        assert!(none.sequences(&times, &times).is_err() && none.received(&times).is_err() && none.write().is_none());
    }
}
