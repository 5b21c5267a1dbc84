//! Patterns of rows: `(?1)` a row of which condition 1 holds, `.` any row, `.*` any number of them, `(?t<=3600)` seconds between two.

use datafusion::common::{Result, exec_datafusion_err, exec_err};

/// How the time between two rows compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compare {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

/// How they are written; of two that begin alike the longer first.
const WRITTEN: [(&str, Compare); 6] = [
    ("<=", Compare::LessOrEqual),
    (">=", Compare::GreaterOrEqual),
    ("==", Compare::Equal),
    ("!=", Compare::NotEqual),
    ("<", Compare::Less),
    (">", Compare::Greater),
];

/// One row of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    /// Whether others may lie between it and the row before.
    anywhere: bool,
    /// How much later than the row before it is to be, microseconds.
    later: Vec<(Compare, i64)>,
    /// The bit of its condition; any row without one.
    bit: Option<u32>,
}

impl Step {
    /// Whether a row at `at` is late enough after one of `before`, which ascend.
    fn is_late_enough(&self, before: &[i64], at: i64) -> bool {
        let (mut low, mut high) = (0, before.len());
        let mut unequal = Vec::new();
        for (compare, us) in &self.later {
            // The instant from which on so much time has not passed, and the first at which less has.
            let border = at.saturating_sub(*us);
            let (first, after) =
                (before.partition_point(|time| *time < border), before.partition_point(|time| *time <= border));
            match compare {
                Compare::Less => low = low.max(after),
                Compare::LessOrEqual => low = low.max(first),
                Compare::Greater => high = high.min(first),
                Compare::GreaterOrEqual => high = high.min(after),
                Compare::Equal => (low, high) = (low.max(first), high.min(after)),
                Compare::NotEqual => unequal.push(border),
            }
        }
        let within = before.get(low..high).unwrap_or_default();
        match unequal.as_slice() {
            [] => !within.is_empty(),
            unequal => within.iter().any(|time| !unequal.contains(time)),
        }
    }
}

/// What the rows of a group are to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    steps: Vec<Step>,
}

impl Pattern {
    /// Reads a pattern over so many conditions.
    pub(super) fn read(text: &str, conditions: usize) -> Result<Self> {
        let mut steps: Vec<Step> = Vec::new();
        let mut next = Step { anywhere: false, later: Vec::new(), bit: None };
        let mut take = |next: &mut Step, bit: Option<u32>| {
            let done = std::mem::replace(next, Step { anywhere: false, later: Vec::new(), bit: None });
            steps.push(Step { bit, ..done });
            true
        };
        let mut begun = false;
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let at = text.len() - rest.len();
            let wrong = |what: &str| {
                exec_datafusion_err!("the pattern {text:?} at byte {at}: {what}; expected (?1), (?t<=60), . or .*")
            };
            if let Some(after) = rest.strip_prefix(".*") {
                next.anywhere = true;
                rest = after;
            } else if let Some(after) = rest.strip_prefix('.') {
                begun = take(&mut next, None);
                rest = after;
            } else if let Some(after) = rest.strip_prefix("(?t") {
                let (inside, after) = after.split_once(')').ok_or_else(|| wrong("not closed"))?;
                let written = WRITTEN.iter().find_map(|(sign, compare)| Some((*compare, inside.strip_prefix(sign)?)));
                let (compare, seconds) = written.ok_or_else(|| wrong("no comparison"))?;
                let seconds: i64 = seconds.trim().parse().map_err(|_| wrong("no whole number of seconds"))?;
                if !begun {
                    return Err(wrong("a time after no row"));
                }
                next.later.push((compare, seconds.saturating_mul(1_000_000)));
                rest = after;
            } else if let Some(after) = rest.strip_prefix("(?") {
                let (inside, after) = after.split_once(')').ok_or_else(|| wrong("not closed"))?;
                let number: usize = inside.trim().parse().map_err(|_| wrong("no number of a condition"))?;
                if number == 0 || number > conditions {
                    return Err(wrong(&format!("condition {number}, there are {conditions}")));
                }
                begun = take(&mut next, u32::try_from(number - 1).ok());
                rest = after;
            } else {
                return Err(wrong("neither a row nor a time"));
            }
            rest = rest.trim_start();
        }
        if steps.is_empty() || !next.later.is_empty() {
            return exec_err!("the pattern {text:?} has no row where one is expected, such as (?1)");
        }
        Ok(Self { steps })
    }

    pub(super) fn size(&self) -> usize {
        self.steps.iter().map(|step| size_of::<Step>() + step.later.capacity() * size_of::<(Compare, i64)>()).sum()
    }

    /// The instants at which a match ends, of the most that do not overlap: each ends as early as one can after the one before. `rows` are instants, ascending, and the bits of the
    /// conditions that hold.
    pub(super) fn matches<'a>(&'a self, rows: impl Iterator<Item = (i64, u32)> + 'a) -> impl Iterator<Item = i64> + 'a {
        // For each step when the row before it may have been.
        let mut before: Vec<Vec<i64>> = vec![Vec::new(); self.steps.len()];
        rows.filter_map(move |(at, bits)| {
            let mut reached: Vec<usize> = Vec::new();
            for (place, step) in self.steps.iter().enumerate() {
                let holds = step.bit.is_none_or(|bit| bits >> bit & 1 == 1);
                if holds && (place == 0 || step.is_late_enough(&before[place], at)) {
                    reached.push(place + 1);
                }
            }
            if reached.last() == Some(&self.steps.len()) {
                before.iter_mut().for_each(Vec::clear);
                return Some(at);
            }
            let neighbours = self.steps.iter().zip(&mut before).filter(|(step, _)| !step.anywhere);
            neighbours.for_each(|(_, before)| before.clear());
            for place in reached {
                if let Some(before) = before.get_mut(place)
                    && before.last() != Some(&at)
                {
                    before.push(at);
                }
            }
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether some choice of rows, the first of them at `from` or later and the last at `to`, follows the pattern: tried one by one.
    fn follows(steps: &[Step], rows: &[(i64, u32)], last: usize, to: usize) -> bool {
        let Some((step, rest)) = steps.split_first() else { return last == to };
        let places = if step.anywhere { last + 1..rows.len() } else { last + 1..(last + 2).min(rows.len()) };
        places.into_iter().any(|place| {
            let (at, bits) = rows[place];
            let passed = at - rows[last].0;
            let is_late = step.later.iter().all(|(compare, us)| match compare {
                Compare::Less => passed < *us,
                Compare::LessOrEqual => passed <= *us,
                Compare::Greater => passed > *us,
                Compare::GreaterOrEqual => passed >= *us,
                Compare::Equal => passed == *us,
                Compare::NotEqual => passed != *us,
            });
            is_late && step.bit.is_none_or(|bit| bits >> bit & 1 == 1) && follows(rest, rows, place, to)
        })
    }

    /// The most matches that do not overlap among the rows from `from` on.
    fn most(pattern: &Pattern, rows: &[(i64, u32)], from: usize) -> usize {
        let ends = |start: usize| {
            let holds = pattern.steps[0].bit.is_none_or(|bit| rows[start].1 >> bit & 1 == 1);
            (start..rows.len()).filter(move |end| holds && follows(&pattern.steps[1..], rows, start, *end))
        };
        let matches = (from..rows.len()).flat_map(|start| ends(start).map(|end| 1 + most(pattern, rows, end + 1)));
        matches.max().unwrap_or(0)
    }

    proptest! {
        #[test]
        fn as_many_matches_as_can_be_found_one_by_one(
            rows in prop::collection::vec((0..4_i64, 0..8_u32), 0..9),
            steps in prop::collection::vec((any::<bool>(), prop::option::of((0..6_usize, 0..4_i64)), 0..4_u32), 1..4),
        ) {
            let mut at = 0;
            let rows: Vec<(i64, u32)> = rows.into_iter().map(|(later, bits)| { at += later; (at, bits) }).collect();
            let steps = steps.into_iter().enumerate().map(|(place, (anywhere, later, bit))| Step {
                anywhere,
                later: later.filter(|_| place > 0).map(|(compare, us)| (WRITTEN[compare].1, us)).into_iter().collect(),
                bit: (bit < 3).then_some(bit),
            });
            let pattern = Pattern { steps: steps.collect() };
            prop_assert_eq!(pattern.matches(rows.iter().copied()).count(), most(&pattern, &rows, 0));
        }
    }

    #[test]
    fn a_pattern_is_read_and_what_is_none_is_refused_with_its_place() {
        let pattern = Pattern::read("(?1) .* (?t>=1)(?t<=60)(?2).(?3)", 3).expect("it is one");
        let step = |anywhere, later: &[(Compare, i64)], bit| Step { anywhere, later: later.to_vec(), bit };
        let times = [(Compare::GreaterOrEqual, 1_000_000), (Compare::LessOrEqual, 60_000_000)];
        let expected =
            [step(false, &[], Some(0)), step(true, &times, Some(1)), step(false, &[], None), step(false, &[], Some(2))];
        assert_eq!(pattern.steps, expected);
        for (text, what) in [
            ("", "no row"),
            (".*", "no row"),
            ("(?1)(?t<3)", "no row where"),
            ("(?4)", "byte 0: condition 4, there are 3"),
            ("(?1)(?0)", "byte 4: condition 0"),
            ("(?t<3)(?1)", "a time after no row"),
            ("(?1)(?t~3)", "no comparison"),
            ("(?1)(?t<x)", "no whole number"),
            ("(?1", "not closed"),
            ("(?1)+", "byte 4: neither"),
        ] {
            let error = Pattern::read(text, 3).expect_err(text);
            assert!(error.to_string().contains(what), "{text}: {error}");
        }
    }
}
