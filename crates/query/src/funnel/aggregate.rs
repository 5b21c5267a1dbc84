//! Counts attempts by breakdown value and keeps their times, so that order statistics are exact.

use super::{Attempt, FunnelGroup, Histogram, Seconds, StepResult};
use crate::{
    calendar::Span,
    spec::{GroupLabel, Split},
};

/// The attempts of one breakdown value. A later step was reached as often as there are times from the first step to it.
#[derive(Debug, Clone)]
struct Reached {
    attempts: u64,
    /// By step; none to the first.
    from_first_us: Vec<Vec<i64>>,
    from_previous_us: Vec<Vec<i64>>,
}

impl Reached {
    fn new(steps: usize) -> Self {
        Self { attempts: 0, from_first_us: vec![Vec::new(); steps], from_previous_us: vec![Vec::new(); steps] }
    }

    fn add(&mut self, times: &[i64]) {
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

    fn append(&mut self, other: &Self) {
        self.attempts += other.attempts;
        let lists = self.from_first_us.iter_mut().zip(&other.from_first_us);
        for (here, there) in lists.chain(self.from_previous_us.iter_mut().zip(&other.from_previous_us)) {
            here.extend_from_slice(there);
        }
    }

    fn count(&self, step: usize) -> u64 {
        if step == 0 { self.attempts } else { self.from_first_us.get(step).map_or(0, Vec::len) as u64 }
    }

    fn finish(mut self, label: Option<GroupLabel>, names: &[String], window: Span) -> FunnelGroup {
        let counts: Vec<u64> = (0..names.len()).map(|step| self.count(step)).collect();
        let first = counts.first().copied().unwrap_or(0);
        let mut previous = first;
        let mut steps = Vec::with_capacity(names.len());
        let times = self.from_first_us.iter_mut().zip(&mut self.from_previous_us);
        for (((index, name), count), (from_first_us, from_previous_us)) in
            names.iter().enumerate().zip(counts).zip(times)
        {
            // From the first step to the second it is as long as from the one before.
            let from_previous = if index > 0 { Seconds::of(from_previous_us) } else { None };
            let from_first = if index > 1 { Seconds::of(from_first_us) } else { from_previous };
            steps.push(StepResult {
                name: name.clone(),
                count,
                from_first: share(count, first),
                from_previous: share(count, previous),
                dropped: previous - count,
                seconds_from_previous: from_previous,
                seconds_from_first: from_first,
            });
            previous = count;
        }
        // The only step is reached at once.
        let at_once = vec![0; if names.len() == 1 { usize::try_from(first).unwrap_or(0) } else { 0 }];
        let to_last = self.from_first_us.last().filter(|_| names.len() > 1).unwrap_or(&at_once);
        FunnelGroup { breakdown: label, steps, histogram: Histogram::of(to_last, window.as_us()) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share is a float")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Accumulates the attempts of units into a funnel; parts can be merged in any order.
#[derive(Debug, Clone)]
pub struct Aggregate {
    steps: usize,
    groups: Vec<Option<Reached>>,
}

impl Aggregate {
    /// An empty funnel of that many steps.
    pub fn new(steps: usize) -> Self {
        Self { steps, groups: Vec::new() }
    }

    /// Adds the attempt of one unit to its group.
    pub fn add(&mut self, attempt: &Attempt) {
        self.reached(attempt.group).add(&attempt.times);
    }

    /// Adds another part of the same funnel, whose group *n* is the group `numbers[n]` here
    /// (as [`Groups::absorb`](crate::spec::Groups::absorb) says); without a breakdown `&[0]`.
    ///
    /// # Panics
    /// If a group of `other` has no number here.
    pub fn merge(&mut self, other: &Self, numbers: &[u32]) {
        for (number, there) in other.groups.iter().enumerate() {
            let Some(there) = there else { continue };
            let group = *numbers.get(number).expect("every group of the other part has a number here");
            self.reached(group).append(there);
        }
    }

    fn reached(&mut self, group: u32) -> &mut Reached {
        let group = group as usize;
        if self.groups.len() <= group {
            self.groups.resize_with(group + 1, || None);
        }
        let slot = self.groups.get_mut(group).expect("the list was lengthened above");
        slot.get_or_insert_with(|| Reached::new(self.steps))
    }

    /// The funnel of every group, ranked by the count of step 1, ties by value ascending, those beyond the limit added
    /// up into *other*: a unit has one attempt, so the sum is exact.
    ///
    /// Without a split there is one group, whatever numbers were added, also when nothing was. `names` are those of
    /// the steps.
    pub fn finish(mut self, names: &[String], window: Span, split: Option<Split<'_>>) -> Vec<FunnelGroup> {
        let Some(split) = split else {
            let all: Vec<usize> = (0..self.groups.len()).collect();
            return vec![self.summed(&all).finish(None, names, window)];
        };
        let filled = self.groups.iter().enumerate().filter_map(|(number, reached)| {
            Some((u32::try_from(number).expect("group numbers are u32"), reached.as_ref()?.count(0)))
        });
        let folded = split.fold(filled);
        let mut shown = Vec::with_capacity(folded.kept.len() + 1);
        for number in folded.kept {
            shown.push(self.summed(&[number as usize]).finish(Some(split.label(number)), names, window));
        }
        if !folded.rest.is_empty() {
            let rest: Vec<usize> = folded.rest.into_iter().map(|number| number as usize).collect();
            shown.push(self.summed(&rest).finish(Some(GroupLabel::Other), names, window));
        }
        shown
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
        sum.unwrap_or_else(|| Reached::new(self.steps))
    }
}
