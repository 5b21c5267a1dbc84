//! Funnel, `docs/semantics.md`, section 2, by searching every chain.

use serde_json::{Value, json};

use super::{
    Flip, OracleEvent, Rules,
    breakdown::{Group, distinct, group_of, shown},
    by_unit,
    calendar::{Time, duration_us},
    selector::matches,
    trend::title,
};

type Chain<'a> = Vec<&'a OracleEvent>;

struct Attempt {
    group: Group,
    times: Vec<i64>,
}

struct Search<'a> {
    steps: &'a [Value],
    window_us: i64,
    time: &'a Time,
    events: &'a [&'a OracleEvent],
}

pub(crate) fn answer(funnel: &Value, events: &[&OracleEvent], time: &Time, rules: Rules) -> Value {
    let steps = funnel["steps"].as_array().expect("a funnel has steps");
    let window_us = duration_us(funnel["window"].as_str().unwrap_or("14d"));
    let mut attempts: Vec<Attempt> = Vec::new();
    for unit in by_unit(events) {
        let search = Search { steps, window_us, time, events: &unit };
        let Some(chain) = search.best_attempt() else { continue };
        let at = if rules.flip(Flip::GroupOfLastStep) { chain.last() } else { chain.first() };
        if let Some(group) = group_of(funnel, at.expect("a chain has an event"), rules) {
            attempts.push(Attempt { group, times: chain.iter().map(|event| event.timestamp_us).collect() });
        }
    }
    let ranked = distinct(attempts.iter().map(|attempt| &attempt.group)).into_iter().map(|group| {
        let count = attempts.iter().filter(|attempt| attempt.group == group).count();
        (group, count)
    });
    let parts = shown(funnel, ranked.collect(), rules).into_iter().map(|(label, groups)| {
        let of_groups: Vec<&Attempt> = attempts.iter().filter(|attempt| groups.contains(&attempt.group)).collect();
        json!({
            "breakdown": label,
            "steps": step_results(steps, &of_groups, rules),
            "histogram": histogram(&of_groups, steps.len(), window_us),
        })
    });
    json!({ "kind": "funnel", "groups": parts.collect::<Vec<_>>() })
}

impl<'a> Search<'a> {
    /// The best chain of every opening event, then the best of those: deepest, then opened earliest.
    fn best_attempt(&self) -> Option<Chain<'a>> {
        let rules = self.time.rules;
        let mut best: Option<Chain<'a>> = None;
        for opening in self.events {
            let us = opening.timestamp_us;
            let open = self.time.in_range(us) || (rules.flip(Flip::OpeningBeforeRange) && us < self.time.to_us);
            if !open || !matches(&self.steps[0], opening, rules) {
                continue;
            }
            let mut deepest = vec![*opening];
            self.extend(&mut vec![*opening], &mut deepest);
            let better = best.as_ref().is_none_or(|best| {
                deepest.len() > best.len() || (deepest.len() == best.len() && rules.flip(Flip::LatestOfEquals))
            });
            if better {
                best = Some(deepest);
            }
            if rules.flip(Flip::FirstAttemptOnly) {
                break;
            }
        }
        best
    }

    fn extend(&self, chain: &mut Chain<'a>, best: &mut Chain<'a>) {
        let times = |chain: &Chain<'_>| chain.iter().map(|event| event.timestamp_us).collect::<Vec<_>>();
        let mut earlier = times(chain) < times(best);
        if self.time.rules.flip(Flip::LatestChain) {
            earlier = times(chain) > times(best);
        }
        if chain.len() > best.len() || (chain.len() == best.len() && earlier) {
            best.clone_from(chain);
        }
        let Some(step) = self.steps.get(chain.len()) else { return };
        for event in self.events {
            if matches(step, event, self.time.rules) && self.may_follow(chain, event) {
                chain.push(event);
                self.extend(chain, best);
                chain.pop();
            }
        }
    }

    fn may_follow(&self, chain: &Chain<'_>, event: &OracleEvent) -> bool {
        let rules = self.time.rules;
        let (first, last) = (chain[0], chain[chain.len() - 1]);
        let same = |other: &OracleEvent| other.sequence == event.sequence;
        let used = chain.iter().any(|other| same(other));
        let ordered = match () {
            () if rules.flip(Flip::TiesBySequence) => {
                (event.timestamp_us, event.sequence) > (last.timestamp_us, last.sequence)
            }
            () if rules.flip(Flip::TiesApart) => event.timestamp_us > last.timestamp_us,
            () if rules.flip(Flip::NothingBetween) => {
                let at = self.events.iter().position(|other| other.sequence == last.sequence);
                self.events.get(at.expect("the chain is made of the events") + 1).is_some_and(|next| same(next))
            }
            () => event.timestamp_us >= last.timestamp_us,
        };
        let since = if rules.flip(Flip::WindowFromPrevious) { last } else { first };
        let elapsed_us = event.timestamp_us - since.timestamp_us;
        let in_window = match () {
            () if rules.flip(Flip::WindowExclusive) => elapsed_us < self.window_us,
            () if rules.flip(Flip::WindowInFullDays) => {
                event.timestamp_us < self.time.end_of_local_day(first.timestamp_us + self.window_us)
            }
            () => elapsed_us <= self.window_us,
        };
        let in_range = !rules.flip(Flip::CompletionInRange) || self.time.in_range(event.timestamp_us);
        (!used || rules.flip(Flip::OneEventManySteps)) && ordered && in_window && in_range
    }
}

fn step_results(steps: &[Value], attempts: &[&Attempt], rules: Rules) -> Vec<Value> {
    let count = |step: usize| attempts.iter().filter(|attempt| attempt.times.len() > step).count();
    let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
    let results = steps.iter().enumerate().map(|(at, step)| {
        let previous = at.saturating_sub(1);
        let whole = if rules.flip(Flip::ShareOfFirst) { 0 } else { previous };
        let dropped_from = if rules.flip(Flip::DroppedFromFirst) { 0 } else { previous };
        let timed_from = if rules.flip(Flip::TimesFromFirst) { 0 } else { previous };
        json!({
            "name": title(step),
            "count": count(at),
            "from_first": share(count(at), count(0)),
            "from_previous": share(count(at), count(whole)),
            "dropped": count(dropped_from) - count(at),
            "seconds_from_previous": seconds(attempts, timed_from, at, rules),
            "seconds_from_first": seconds(attempts, 0, at, rules),
        })
    });
    results.collect()
}

fn durations(attempts: &[&Attempt], from: usize, to: usize) -> Vec<f64> {
    let reached = attempts.iter().filter(|attempt| attempt.times.len() > to);
    let mut seconds: Vec<f64> = reached.map(|attempt| (attempt.times[to] - attempt.times[from]) as f64 / 1e6).collect();
    seconds.sort_by(f64::total_cmp);
    seconds
}

fn seconds(attempts: &[&Attempt], from: usize, to: usize, rules: Rules) -> Value {
    let durations = durations(attempts, from, to);
    if durations.is_empty() || to == 0 {
        return Value::Null;
    }
    let percentile = |share: f64| {
        let rank = share * (durations.len() - 1) as f64;
        if rules.flip(Flip::PercentileNearestRank) {
            return durations[rank.round() as usize];
        }
        let (below, above) = (durations[rank.floor() as usize], durations[rank.ceil() as usize]);
        below + (above - below) * rank.fract()
    };
    let mean = durations.iter().sum::<f64>() / durations.len() as f64;
    json!({ "mean": mean, "median": percentile(0.5), "p90": percentile(0.9) })
}

fn histogram(attempts: &[&Attempt], steps: usize, window_us: i64) -> Value {
    let (minute, hour, day) = (60.0, 3_600.0, 86_400.0);
    let mut starts = vec![0.0, 1.0, 10.0, 30.0];
    starts.extend([1.0, 2.0, 5.0, 10.0, 30.0].map(|minutes| minutes * minute));
    starts.extend([1.0, 3.0, 6.0, 12.0].map(|hours| hours * hour));
    starts.extend([1.0, 2.0, 3.0, 7.0, 14.0, 30.0, 90.0].map(|days| days * day));
    starts.retain(|start| *start == 0.0 || *start < window_us as f64 / 1e6);
    let durations = durations(attempts, 0, steps - 1);
    let count = |bar: usize| {
        let end = starts.get(bar + 1).copied().unwrap_or(f64::INFINITY);
        durations.iter().filter(|seconds| (starts[bar]..end).contains(*seconds)).count()
    };
    json!({ "from_seconds": starts, "count": (0..starts.len()).map(count).collect::<Vec<_>>() })
}
