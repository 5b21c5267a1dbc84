//! Counts attempts by breakdown value and keeps their times, so that order statistics are exact.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use super::rules::{FunnelEntry, StepOutcome};
use super::step::{BreakdownAt, PeopleOf, Window};
use super::{Attempt, Done, Funnel, FunnelGroup, Histogram, Seconds, StepResult, StepTrend, UnitRow};
use crate::spec::{GroupLabel, Split};

/// What the answer of a funnel is to have.
#[derive(Debug, Clone)]
struct Shape {
    names: Vec<String>,
    optional: Vec<bool>,
    window: Window,
    /// Between which steps the histogram counts, from 0, and its bars of one width.
    between: (usize, usize),
    bins: Option<usize>,
    /// How many buckets attempts are told apart by.
    buckets: Option<usize>,
    people: Option<PeopleOf>,
    rows: bool,
    /// Whether a unit may have attempts in several groups and still be one in their sum.
    is_shared: bool,
}

impl Shape {
    fn of(funnel: &Funnel, buckets: Option<usize>) -> Self {
        let last = funnel.steps.len() - 1;
        let histogram = funnel.histogram.as_ref();
        let from = histogram.and_then(|of| of.from_step).map_or(0, |step| step - 1);
        Self {
            names: funnel.names(),
            optional: funnel.steps.iter().map(|step| step.optional).collect(),
            window: funnel.window,
            between: (from, histogram.and_then(|of| of.to_step).map_or(last, |step| step - 1)),
            bins: histogram.and_then(|of| of.bins),
            buckets,
            people: funnel.people,
            rows: funnel.rows,
            is_shared: funnel.at == BreakdownAt::All && funnel.entry != FunnelEntry::Every,
        }
    }

    fn steps(&self) -> usize {
        self.names.len()
    }

    /// The required step before one.
    fn required_before(&self, step: usize) -> usize {
        (0..step).rev().find(|before| !self.optional[*before]).unwrap_or(0)
    }

    /// Whether the histogram is of the times from the first step to the last, which are kept anyway.
    fn is_whole(&self) -> bool {
        self.between == (0, self.steps() - 1)
    }

    fn depth(&self, attempt: &Attempt) -> usize {
        attempt.steps.iter().zip(&self.optional).filter(|(done, optional)| done.is_some() && !**optional).count()
    }
}

/// The attempts of one breakdown value.
#[derive(Debug, Clone)]
struct Reached {
    attempts: u64,
    /// By step; none to the first. A later step was reached as often as there are times to it.
    from_first_us: Vec<Vec<i64>>,
    from_previous_us: Vec<Vec<i64>>,
    /// Between the steps of the histogram, where they are not the first and the last.
    between_us: Vec<i64>,
    /// By step and bucket.
    trend: Vec<Vec<u64>>,
    rows: Vec<(u32, Vec<Option<Done>>)>,
}

impl Reached {
    fn new(shape: &Shape) -> Self {
        let steps = shape.steps();
        Self {
            attempts: 0,
            from_first_us: vec![Vec::new(); steps],
            from_previous_us: vec![Vec::new(); steps],
            between_us: Vec::new(),
            trend: shape.buckets.map_or_else(Vec::new, |buckets| vec![vec![0; buckets]; steps]),
            rows: Vec::new(),
        }
    }

    fn add_times(&mut self, times: &[i64]) {
        let Some(&first) = times.first() else { return };
        self.attempts += 1;
        let mut previous = first;
        for ((time, from_first), from_previous) in
            times.iter().zip(&mut self.from_first_us).zip(&mut self.from_previous_us).skip(1)
        {
            from_first.push(time - first);
            from_previous.push(time - previous);
            previous = *time;
        }
    }

    fn add(&mut self, shape: &Shape, unit: u32, attempt: &Attempt) {
        let Some(first) = attempt.opened() else { return };
        self.attempts += 1;
        let mut previous = first.timestamp;
        let lists = self.from_first_us.iter_mut().zip(&mut self.from_previous_us);
        for (time, (from_first, from_previous)) in attempt.times().zip(lists).skip(1) {
            let Some(time) = time else { continue };
            from_first.push(time - first.timestamp);
            from_previous.push(time - previous);
            previous = time;
        }
        let (from, to) = shape.between;
        if !shape.is_whole()
            && let (Some(Some(from)), Some(Some(to))) = (attempt.steps.get(from), attempt.steps.get(to))
        {
            self.between_us.push(to.timestamp - from.timestamp);
        }
        if shape.rows {
            self.rows.push((unit, attempt.steps.clone()));
        }
    }

    fn add_in_bucket(&mut self, bucket: usize, attempt: &Attempt) {
        for (counts, done) in self.trend.iter_mut().zip(&attempt.steps) {
            if let Some(count) = counts.get_mut(bucket).filter(|_| done.is_some()) {
                *count += 1;
            }
        }
    }

    fn append(&mut self, other: &Self) {
        self.attempts += other.attempts;
        let lists = self.from_first_us.iter_mut().zip(&other.from_first_us);
        for (here, there) in lists.chain(self.from_previous_us.iter_mut().zip(&other.from_previous_us)) {
            here.extend_from_slice(there);
        }
        self.between_us.extend_from_slice(&other.between_us);
        for (here, there) in self.trend.iter_mut().flatten().zip(other.trend.iter().flatten()) {
            *here += there;
        }
        self.rows.extend_from_slice(&other.rows);
    }

    fn count(&self, step: usize) -> u64 {
        if step == 0 { self.attempts } else { self.from_first_us.get(step).map_or(0, Vec::len) as u64 }
    }

    fn finish(mut self, label: Option<GroupLabel>, shape: &Shape, buckets: &[String]) -> FunnelGroup {
        let names = &shape.names;
        let counts: Vec<u64> = (0..names.len()).map(|step| self.count(step)).collect();
        let first = counts.first().copied().unwrap_or(0);
        let mut steps = Vec::with_capacity(names.len());
        let times = self.from_first_us.iter_mut().zip(&mut self.from_previous_us);
        for ((index, name), (from_first_us, from_previous_us)) in names.iter().enumerate().zip(times) {
            let (count, previous) = (counts[index], counts[shape.required_before(index)]);
            // From the first step to the second it is as long as from the one before.
            let from_previous = if index > 0 { Seconds::of(from_previous_us) } else { None };
            let from_first = if index > 1 { Seconds::of(from_first_us) } else { from_previous };
            steps.push(StepResult {
                name: name.clone(),
                optional: shape.optional[index],
                count,
                from_first: share(count, first),
                from_previous: share(count, previous),
                dropped: previous - count,
                seconds_from_previous: from_previous,
                seconds_from_first: from_first,
            });
        }
        // The only step is reached at once.
        let at_once = vec![0; if names.len() == 1 { usize::try_from(first).unwrap_or(0) } else { 0 }];
        let durations = match (shape.is_whole(), names.len()) {
            (_, 1) => &at_once,
            (true, _) => self.from_first_us.last().unwrap_or(&at_once),
            (false, _) => &self.between_us,
        };
        let histogram = match (shape.bins, shape.window) {
            (Some(bins), Window::Span(window)) => Histogram::even(durations, window.as_us(), bins),
            (_, Window::Span(window)) => Histogram::of(durations, window.as_us()),
            (_, Window::Session) => Histogram::of(durations, i64::MAX),
        };
        let trend = shape.buckets.map(|_| StepTrend { buckets: buckets.to_vec(), steps: self.trend });
        self.rows.sort_by_key(|(unit, steps)| {
            (*unit, steps.first().copied().flatten().map(|done| (done.timestamp, done.sequence)))
        });
        let row = |(unit, steps): (u32, Vec<Option<Done>>)| {
            let steps = steps.into_iter().map(|done| done.map(Into::into)).collect();
            UnitRow { unit, person: String::new(), steps }
        };
        let rows = shape.rows.then(|| self.rows.into_iter().map(row).collect());
        FunnelGroup { breakdown: label, steps, histogram, trend, rows }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share is a float")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Accumulates the attempts of units into a funnel; parts can be merged in any order.
#[derive(Debug, Clone)]
pub struct Aggregate {
    shape: Shape,
    groups: Vec<Option<Reached>>,
    /// Attempts of units that may have some in several groups.
    shared: Vec<(u32, Attempt)>,
    shared_in_buckets: Vec<(u32, usize, Attempt)>,
    /// Who did the step that is asked for, and who stopped before it in some attempt.
    converted: RoaringBitmap,
    dropped: RoaringBitmap,
}

impl Aggregate {
    /// An empty funnel; `buckets` are those that attempts are told apart by.
    pub fn new(funnel: &Funnel, buckets: Option<usize>) -> Self {
        Self {
            shape: Shape::of(funnel, buckets),
            groups: Vec::new(),
            shared: Vec::new(),
            shared_in_buckets: Vec::new(),
            converted: RoaringBitmap::new(),
            dropped: RoaringBitmap::new(),
        }
    }

    /// Adds an attempt of a unit to its group.
    pub fn add(&mut self, unit: u32, attempt: &Attempt) {
        if let Some(people) = self.shape.people {
            let done = |step: usize| attempt.steps.get(step).is_some_and(Option::is_some);
            let step = people.step - 1;
            if done(step) {
                self.converted.insert(unit);
            } else if done(self.shape.required_before(step)) {
                self.dropped.insert(unit);
            }
        }
        if self.shape.is_shared {
            self.shared.push((unit, attempt.clone()));
            return;
        }
        let Self { shape, groups, .. } = self;
        reached(groups, shape, attempt.group).add(shape, unit, attempt);
    }

    /// Adds an attempt that counts in a bucket.
    pub fn add_in_bucket(&mut self, unit: u32, bucket: usize, attempt: &Attempt) {
        if self.shape.is_shared {
            self.shared_in_buckets.push((unit, bucket, attempt.clone()));
            return;
        }
        let Self { shape, groups, .. } = self;
        reached(groups, shape, attempt.group).add_in_bucket(bucket, attempt);
    }

    /// Whether times alone are enough.
    pub(crate) fn takes_times(&self) -> bool {
        self.shape.is_whole() && self.shape.people.is_none() && !self.shape.rows && !self.shape.is_shared
    }

    /// Adds the attempt of a unit that did the first steps at these times.
    pub(crate) fn add_times(&mut self, group: u32, times: &[i64]) {
        let Self { shape, groups, .. } = self;
        reached(groups, shape, group).add_times(times);
    }

    /// Adds another part of the same funnel, whose group *n* is the group `numbers[n]` here
    /// (as [`Groups::absorb`](crate::spec::Groups::absorb) says); without a breakdown `&[0]`.
    ///
    /// # Panics
    /// If a group of `other` has no number here.
    pub fn merge(&mut self, other: &Self, numbers: &[u32]) {
        let here = |number: usize| *numbers.get(number).expect("every group of the other part has a number here");
        for (number, there) in other.groups.iter().enumerate() {
            let Some(there) = there else { continue };
            reached(&mut self.groups, &self.shape, here(number)).append(there);
        }
        let moved = |attempt: &Attempt| Attempt { group: here(attempt.group as usize), ..attempt.clone() };
        self.shared.extend(other.shared.iter().map(|(unit, attempt)| (*unit, moved(attempt))));
        let in_buckets = other.shared_in_buckets.iter();
        self.shared_in_buckets.extend(in_buckets.map(|(unit, bucket, attempt)| (*unit, *bucket, moved(attempt))));
        self.converted |= &other.converted;
        self.dropped |= &other.dropped;
    }

    /// The units that are asked for: who did the step in an attempt, or who stopped before it in one and did it in none.
    pub fn people(&self) -> Option<RoaringBitmap> {
        self.shape.people.map(|people| match people.outcome {
            StepOutcome::Converted => self.converted.clone(),
            StepOutcome::Dropped => &self.dropped - &self.converted,
        })
    }

    /// The funnel of every group, ranked by the count of step 1, ties by value ascending, those beyond the limit as one: a unit has one attempt there, too, the
    /// deepest and then the earliest.
    ///
    /// Without a split there is one group, whatever numbers were added, also when nothing was. `buckets` are the labels of those that attempts are told apart by.
    pub fn finish(mut self, split: Option<Split<'_>>, buckets: &[String]) -> Vec<FunnelGroup> {
        let Some(split) = split else {
            let all: Vec<usize> = (0..self.groups.len()).collect();
            return vec![self.summed(&all).finish(None, &self.shape, buckets)];
        };
        for (unit, attempt) in &self.shared {
            reached(&mut self.groups, &self.shape, attempt.group).add(&self.shape, *unit, attempt);
        }
        for (_, bucket, attempt) in &self.shared_in_buckets {
            reached(&mut self.groups, &self.shape, attempt.group).add_in_bucket(*bucket, attempt);
        }
        let filled = self.groups.iter().enumerate().filter_map(|(number, reached)| {
            Some((u32::try_from(number).expect("group numbers are u32"), reached.as_ref()?.count(0)))
        });
        let folded = split.fold(filled);
        let mut shown = Vec::with_capacity(folded.kept.len() + 1);
        for number in folded.kept {
            shown.push(self.summed(&[number as usize]).finish(Some(split.label(number)), &self.shape, buckets));
        }
        if !folded.rest.is_empty() {
            let rest = match self.shape.is_shared {
                true => self.shared_by(&folded.rest),
                false => self.summed(&folded.rest.iter().map(|number| *number as usize).collect::<Vec<_>>()),
            };
            shown.push(rest.finish(Some(GroupLabel::Other), &self.shape, buckets));
        }
        shown
    }

    /// Of each unit the best attempt in these groups.
    fn shared_by(&self, groups: &[u32]) -> Reached {
        let mut all = Reached::new(&self.shape);
        let mut best: BTreeMap<u32, &Attempt> = BTreeMap::new();
        for (unit, attempt) in self.shared.iter().filter(|(_, attempt)| groups.contains(&attempt.group)) {
            self.keep_better(best.entry(*unit).or_insert(attempt), attempt);
        }
        best.into_iter().for_each(|(unit, attempt)| all.add(&self.shape, unit, attempt));
        let mut best: BTreeMap<(u32, usize), &Attempt> = BTreeMap::new();
        let in_buckets = self.shared_in_buckets.iter().filter(|(.., attempt)| groups.contains(&attempt.group));
        for (unit, bucket, attempt) in in_buckets {
            self.keep_better(best.entry((*unit, *bucket)).or_insert(attempt), attempt);
        }
        best.into_iter().for_each(|((_, bucket), attempt)| all.add_in_bucket(bucket, attempt));
        all
    }

    fn keep_better<'a>(&self, best: &mut &'a Attempt, other: &'a Attempt) {
        let rank = |attempt: &Attempt| {
            let opened = attempt.opened().map(|done| (done.timestamp, done.sequence));
            (std::cmp::Reverse(self.shape.depth(attempt)), opened)
        };
        if rank(other) < rank(best) {
            *best = other;
        }
    }

    fn summed(&mut self, numbers: &[usize]) -> Reached {
        let mut sum: Option<Reached> = None;
        for number in numbers {
            let Some(reached) = self.groups.get_mut(*number).and_then(Option::take) else { continue };
            match &mut sum {
                Some(sum) => sum.append(&reached),
                None => sum = Some(reached),
            }
        }
        sum.unwrap_or_else(|| Reached::new(&self.shape))
    }
}

fn reached<'a>(groups: &'a mut Vec<Option<Reached>>, shape: &Shape, group: u32) -> &'a mut Reached {
    let group = group as usize;
    if groups.len() <= group {
        groups.resize_with(group + 1, || None);
    }
    groups[group].get_or_insert_with(|| Reached::new(shape))
}
