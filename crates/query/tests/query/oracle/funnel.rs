//! Funnels, `docs/semantics.md`, section 2: every chain of events is searched.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Flip, OracleEvent, Rules,
    breakdown::{Group, distinct, group_of, is_other, shown},
    by_unit,
    calendar::{Time, duration_us},
    selector::matches,
    sessions::sessions_of,
    trend::title,
};

type Event<'a> = &'a OracleEvent;
/// By step, the event that did it.
type Chain<'a> = Vec<Option<Event<'a>>>;

/// How good a chain is: less is better.
type Rank = (usize, Vec<Option<i64>>, Vec<(bool, Option<i64>)>, Vec<Option<u64>>);

/// An attempt that may count.
#[derive(Clone)]
struct Attempt<'a> {
    unit: u32,
    chain: Chain<'a>,
    group: Group,
}

struct Question<'a> {
    funnel: &'a Value,
    steps: &'a [Value],
    window_us: i64,
    /// The session of each event, by its sequence, where the window is the session.
    session_of: BTreeMap<u64, (u32, u64)>,
    time: &'a Time,
    rules: Rules,
}

/// What became of an attempt, and the event that did it.
enum Fate<'a> {
    Untouched,
    Ended(Event<'a>),
    Void,
    Dropped,
}

pub(crate) fn answer(funnel: &Value, events: &[Event<'_>], time: &Time, rules: Rules) -> Value {
    let funnel = &like(funnel, rules);
    let steps = funnel["steps"].as_array().expect("a funnel has steps");
    let by_session = funnel["window"] == "session";
    let window_us = match funnel["window"].as_str().unwrap_or("14d") {
        "session" => duration_us("3000d"),
        span => duration_us(span),
    };
    let mut session_of = BTreeMap::new();
    for unit in by_unit(events).iter().filter(|_| by_session && !rules.flip(Flip::WindowOfSessionEndless)) {
        let of_steps = |event: &&OracleEvent| steps.iter().any(|step| matches(step, event, rules));
        let kept = |event: &&OracleEvent| !rules.flip(Flip::SessionAmongSteps) || of_steps(event);
        let unit: Vec<Event<'_>> = unit.iter().copied().filter(kept).collect();
        for session in sessions_of(&json!({}), &unit, time, rules) {
            session_of.extend(session.iter().map(|event| (event.sequence, (event.unit, session[0].sequence))));
        }
    }
    let question = Question { funnel, steps, window_us, session_of, time, rules };
    let mut attempts: Vec<Attempt<'_>> = Vec::new();
    let mut in_buckets: Vec<(String, Attempt<'_>)> = Vec::new();
    for unit in by_unit(events) {
        // Every value has a funnel of its own, as if the others were not there.
        let all = question.says("at", "all") && !rules.flip(Flip::AtIgnored);
        let groups = distinct(&unit.iter().filter_map(|event| group_of(funnel, event, rules)).collect::<Vec<_>>());
        let parts: Vec<Vec<Event<'_>>> = if all {
            let own = |group: &Group| {
                unit.iter().copied().filter(|e| group_of(funnel, e, rules).as_ref() == Some(group)).collect()
            };
            groups.iter().map(own).collect()
        } else {
            vec![unit]
        };
        for part in &parts {
            let candidates = question.candidates(part);
            attempts.extend(question.counting(&candidates, part));
            if funnel["trend"].is_string() {
                for label in time.buckets() {
                    let begins = |(chain, _): &&(Chain<'_>, bool)| {
                        time.bucket_of(chain[0].expect("it is opened").timestamp_us) == label
                    };
                    let own: Vec<_> = candidates.iter().filter(begins).cloned().collect();
                    in_buckets
                        .extend(question.counting(&own, part).into_iter().map(|attempt| (label.clone(), attempt)));
                }
            }
        }
    }
    let all = attempts.iter().chain(in_buckets.iter().map(|(_, attempt)| attempt));
    let ranked = distinct(all.map(|attempt| &attempt.group)).into_iter().map(|group| {
        let count = attempts.iter().filter(|attempt| attempt.group == group).count();
        (group, count)
    });
    let parts = shown(funnel, ranked.collect(), rules).into_iter().map(|(label, groups)| {
        let is_in = |attempt: &&Attempt<'_>| groups.contains(&attempt.group);
        let mut own: Vec<Attempt<'_>> = attempts.iter().filter(is_in).cloned().collect();
        let mut within: Vec<(String, Attempt<'_>)> =
            in_buckets.iter().filter(|(_, attempt)| is_in(&attempt)).cloned().collect();
        // Beyond the limit a unit has one attempt, too.
        if is_other(&label)
            && question.says("at", "all")
            && !question.says("entry", "every")
            && !rules.flip(Flip::OtherOfAllIsSum)
        {
            own = question
                .one_a_unit(own.into_iter().map(|attempt| ((), attempt)).collect())
                .into_iter()
                .map(|(_, attempt)| attempt)
                .collect();
            within = question.one_a_unit(within);
        }
        question.part(&label, &own, &within)
    });
    let mut answer = json!({ "kind": "funnel", "groups": parts.collect::<Vec<_>>() });
    if let Some(people) = funnel.get("people") {
        let step = people["step"].as_u64().expect("a step") as usize - 1;
        let units = |did: bool| -> Vec<u32> {
            let before = question.required_before(step);
            let fits = |attempt: &&Attempt<'_>| {
                if did {
                    attempt.chain[step].is_some()
                } else {
                    attempt.chain[step].is_none() && attempt.chain[before].is_some()
                }
            };
            attempts.iter().filter(fits).map(|attempt| attempt.unit).collect()
        };
        let (converted, dropped) = (units(true), units(false));
        let mut people: Vec<u32> = match people["outcome"] == "converted" && !rules.flip(Flip::PeopleOther) {
            true => converted,
            false => dropped.into_iter().filter(|unit| !converted.contains(unit)).collect(),
        };
        people.sort_unstable();
        people.dedup();
        answer["people"] = json!(people);
    }
    answer
}

/// The choices that another product stands for, where nothing else is said.
fn like(funnel: &Value, rules: Rules) -> Value {
    let mut choices = match funnel["like"].as_str().filter(|_| !rules.flip(Flip::LikeIgnored)) {
        Some("mixpanel") => json!({"window": "7d", "tolerance": "2s"}),
        Some("amplitude") => json!({"window": "30d", "excluded": "drop"}),
        Some("posthog") => json!({"window": "14d", "completion": "in_range", "at": "first_touch", "excluded": "drop"}),
        Some("clickhouse") => json!({"completion": "in_range", "reuse": true}),
        _ => json!({}),
    };
    for (name, value) in funnel.as_object().expect("a funnel is an object") {
        choices[name] = value.clone();
    }
    choices
}

impl<'a> Question<'a> {
    fn says(&self, field: &str, word: &str) -> bool {
        self.funnel[field] == *word
    }

    fn flip(&self, flip: Flip) -> bool {
        self.rules.flip(flip)
    }

    fn span_us(&self, field: &str) -> i64 {
        self.funnel[field].as_str().map_or(0, duration_us)
    }

    fn is_optional(&self, step: usize) -> bool {
        self.steps[step]["optional"] == true && !self.flip(Flip::OptionalIgnored)
    }

    fn required_before(&self, step: usize) -> usize {
        (0..step).rev().find(|before| !self.is_optional(*before)).unwrap_or(0)
    }

    fn depth(&self, chain: &Chain<'_>) -> usize {
        (0..chain.len()).filter(|step| chain[*step].is_some() && !self.is_optional(*step)).count()
    }

    fn in_any_order(&self) -> bool {
        self.says("order", "any") && !self.flip(Flip::OrderIgnored)
    }

    fn does(&self, step: usize, event: Event<'_>) -> bool {
        matches(&self.steps[step], event, self.rules)
    }

    fn does_any(&self, event: Event<'_>) -> bool {
        (0..self.steps.len()).any(|step| self.does(step, event))
    }

    /// The values that all steps of an attempt share; `None` where one is missing.
    fn lane_of(&self, event: Event<'_>) -> Option<Vec<Value>> {
        let held = self.funnel["hold"].as_array().map_or(&[][..], Vec::as_slice);
        if self.flip(Flip::HoldIgnored) {
            return Some(Vec::new());
        }
        let item = |property: &Value| json!({ "breakdown": [{ "property": property }] });
        let values = held.iter().map(|property| group_of(&item(property), event, Rules::TRUE).expect("it has a value"));
        let values: Vec<Value> = values.flatten().collect();
        (!values.contains(&Value::Null) || self.flip(Flip::HoldsNull)).then_some(values)
    }

    /// The attempts that may count of a unit, and whether its unit leaves the funnel with each.
    fn candidates(&self, unit: &[Event<'a>]) -> Vec<(Chain<'a>, bool)> {
        let mut lanes: Vec<Vec<Value>> = Vec::new();
        for lane in unit.iter().filter_map(|event| self.lane_of(event)) {
            if !lanes.contains(&lane) {
                lanes.push(lane);
            }
        }
        lanes.iter().flat_map(|lane| self.candidates_in(lane, unit)).collect()
    }

    fn candidates_in(&self, lane: &[Value], unit: &[Event<'a>]) -> Vec<(Chain<'a>, bool)> {
        let own: Vec<Event<'a>> =
            unit.iter().copied().filter(|event| self.lane_of(event).is_some_and(|of| of == lane)).collect();
        let opens = |event: &Event<'_>| {
            let us = event.timestamp_us;
            let inside = self.time.in_range(us) || (self.flip(Flip::OpeningBeforeRange) && us < self.time.to_us);
            inside && if self.in_any_order() { self.does_any(event) } else { self.does(0, event) }
        };
        let first = self.says("entry", "first") && !self.flip(Flip::EntryIgnored);
        let every = self.says("entry", "every") && !self.flip(Flip::EntryIgnored);
        let mut candidates = Vec::new();
        // By session where that is the window.
        let mut open_after: BTreeMap<Option<(u32, u64)>, (i64, u64)> = BTreeMap::new();
        for opening in own.iter().copied().filter(opens) {
            let place = (opening.timestamp_us, opening.sequence);
            let session = self.session_of.get(&opening.sequence).copied();
            if every && open_after.get(&session).is_some_and(|after| place <= *after) {
                continue;
            }
            let of_session = |events: &[Event<'a>]| -> Vec<Event<'a>> {
                let is_own = |event: &Event<'a>| self.session_of.get(&event.sequence).copied() == session;
                events.iter().copied().filter(is_own).collect()
            };
            let mut chain = self.best_chain(opening, &of_session(&own), unit);
            let converted = self.depth(&chain) == (0..self.steps.len()).filter(|step| !self.is_optional(*step)).count();
            let last = chain.iter().flatten().map(|event| (event.timestamp_us, event.sequence)).max();
            let fate = self.exclude(&mut chain, lane, &of_session(unit));
            if matches!(fate, Fate::Void) {
                continue;
            }
            candidates.push((chain, matches!(fate, Fate::Dropped)));
            if first || self.flip(Flip::FirstAttemptOnly) || (every && matches!(fate, Fate::Dropped)) {
                break;
            }
            let ended = match fate {
                _ if self.flip(Flip::EveryOverlaps) => None,
                Fate::Ended(by) => Some((by.timestamp_us, by.sequence)),
                _ if converted => last,
                _ => Some((opening.timestamp_us + self.window_us, u64::MAX)),
            };
            match ended {
                Some(ended) => open_after.insert(session, ended),
                None => open_after.remove(&session),
            };
        }
        candidates
    }

    /// The deepest chain of an opening event, and of those the one whose times are earliest.
    fn best_chain(&self, opening: Event<'a>, own: &[Event<'a>], unit: &[Event<'a>]) -> Chain<'a> {
        let mut best = vec![None; self.steps.len()];
        best[0] = Some(opening);
        if self.in_any_order() {
            let firsts = (0..self.steps.len()).filter(|step| self.does(*step, opening));
            for step in firsts {
                self.extend_any(&mut vec![opening], &mut vec![step], own, &mut best);
            }
        } else {
            let mut chain: Chain<'a> = vec![None; self.steps.len()];
            chain[0] = Some(opening);
            self.extend(&mut chain, 1, (own, unit), &mut best);
        }
        best
    }

    /// The depth, the times of the required steps, the times of the others, and the sequences: less is better.
    fn rank(&self, chain: &Chain<'_>) -> Rank {
        let latest = if self.flip(Flip::LatestChain) { -1 } else { 1 };
        let time = |step: usize| chain[step].map(|event: Event<'_>| latest * event.timestamp_us);
        let (optional, required): (Vec<usize>, Vec<usize>) = (0..chain.len()).partition(|step| self.is_optional(*step));
        let others = optional.iter().map(|step| (time(*step).is_none(), time(*step)));
        let sequences = chain.iter().map(|event| event.map(|event| event.sequence));
        (
            usize::MAX - self.depth(chain),
            required.into_iter().map(time).collect(),
            others.collect(),
            sequences.collect(),
        )
    }

    fn keep_better(&self, chain: &Chain<'a>, best: &mut Chain<'a>) {
        if self.rank(chain) < self.rank(best) {
            best.clone_from(chain);
        }
    }

    fn extend(
        &self,
        chain: &mut Chain<'a>,
        step: usize,
        (own, unit): (&[Event<'a>], &[Event<'a>]),
        best: &mut Chain<'a>,
    ) {
        self.keep_better(chain, best);
        if step == self.steps.len() {
            return;
        }
        for event in own {
            if self.does(step, event) && self.may_follow(chain, step, event, own, unit) {
                chain[step] = Some(event);
                self.extend(chain, step + 1, (own, unit), best);
                chain[step] = None;
            }
        }
        if self.is_optional(step) {
            self.extend(chain, step + 1, (own, unit), best);
        }
    }

    /// `done` tells which steps the events of the chain do.
    fn extend_any(&self, chain: &mut Vec<Event<'a>>, done: &mut Vec<usize>, own: &[Event<'a>], best: &mut Chain<'a>) {
        let mut padded: Chain<'a> = chain.iter().copied().map(Some).collect();
        padded.resize(self.steps.len(), None);
        self.keep_better(&padded, best);
        let (first, last) = (chain[0], chain[chain.len() - 1]);
        for event in own {
            let reused = self.reuses() && chain.iter().any(|other| other.sequence == event.sequence);
            let used = !self.reuses() && chain.iter().any(|other| other.sequence == event.sequence);
            let fits = !used && self.in_window(first, first, event) && self.in_completion(event);
            if !fits
                || !(self.is_in_order(last, event)
                    || (reused && !self.says("ties", "apart") && event.sequence == last.sequence))
            {
                continue;
            }
            for step in 0..self.steps.len() {
                if !done.contains(&step) && self.does(step, event) {
                    chain.push(event);
                    done.push(step);
                    self.extend_any(chain, done, own, best);
                    chain.pop();
                    done.pop();
                }
            }
        }
    }

    fn reuses(&self) -> bool {
        (self.funnel["reuse"] == true && !self.flip(Flip::ReuseIgnored)) || self.flip(Flip::OneEventManySteps)
    }

    fn in_window(&self, first: Event<'_>, last: Event<'_>, event: Event<'_>) -> bool {
        let since = if self.flip(Flip::WindowFromPrevious) { last } else { first };
        let elapsed_us = event.timestamp_us - since.timestamp_us;
        match () {
            () if self.flip(Flip::WindowExclusive) => elapsed_us < self.window_us,
            () if self.flip(Flip::WindowInFullDays) => {
                event.timestamp_us < self.time.end_of_local_day(first.timestamp_us + self.window_us)
            }
            () => elapsed_us <= self.window_us,
        }
    }

    fn in_completion(&self, event: Event<'_>) -> bool {
        let in_range = self.says("completion", "in_range") && !self.flip(Flip::CompletionIgnored);
        !(in_range || self.flip(Flip::CompletionInRange)) || self.time.in_range(event.timestamp_us)
    }

    /// Whether `event`, another than `last`, comes after it.
    fn is_in_order(&self, last: Event<'_>, event: Event<'_>) -> bool {
        // In any order steps follow each other in time whatever they are.
        let none = self.in_any_order() || self.flip(Flip::ToleranceIgnored);
        let tolerance_us = if none { 0 } else { self.span_us("tolerance") };
        let (from, to) = (last.timestamp_us, event.timestamp_us);
        let strict = self.says("order", "strict") && !self.flip(Flip::OrderIgnored);
        let by_sequence = strict
            || (self.says("ties", "sequence") && !self.flip(Flip::TiesIgnored))
            || self.flip(Flip::TiesBySequence);
        let apart = (self.says("ties", "apart") && !self.flip(Flip::TiesIgnored)) || self.flip(Flip::TiesApart);
        match to - from {
            later if later > 0 => true,
            0 if apart => false,
            0 if by_sequence => event.sequence > last.sequence,
            0 => true,
            earlier => -earlier <= tolerance_us,
        }
    }

    fn may_follow(
        &self,
        chain: &Chain<'a>,
        step: usize,
        event: Event<'a>,
        own: &[Event<'a>],
        unit: &[Event<'a>],
    ) -> bool {
        let first = chain[0].expect("it is opened");
        let last_step = (0..step).rev().find(|step| chain[*step].is_some()).expect("it is opened");
        let last = chain[last_step].expect("it was found");
        let used = chain.iter().flatten().any(|other| other.sequence == event.sequence);
        if used && !self.reuses() {
            return false;
        }
        let same = event.sequence == last.sequence;
        let in_order = if same { !self.says("ties", "apart") } else { self.is_in_order(last, event) };
        let tolerance_us = self.span_us("tolerance");
        let elapsed_us = event.timestamp_us - last.timestamp_us;
        let after = &self.steps[step]["after"];
        let bound = |end: &str, flip: Flip| after[end].as_str().filter(|_| !self.flip(flip)).map(duration_us);
        let since = if self.flip(Flip::AfterFromFirst) { event.timestamp_us - first.timestamp_us } else { elapsed_us };
        in_order
            && event.timestamp_us >= first.timestamp_us - tolerance_us
            && self.in_window(first, last, event)
            && self.in_completion(event)
            && bound("min", Flip::AfterMinIgnored).is_none_or(|min| since >= min)
            && bound("max", Flip::AfterMaxIgnored).is_none_or(|max| since <= max)
            && self.is_clear((last_step, last), (step, event), own, unit)
            && (!self.flip(Flip::NothingBetween) || self.between(last, event, unit).is_empty())
    }

    fn between<'e>(&self, last: Event<'_>, event: Event<'_>, events: &[Event<'e>]) -> Vec<Event<'e>> {
        let place = |event: Event<'_>| (event.timestamp_us, event.sequence);
        let (low, high) = (place(last).min(place(event)), place(last).max(place(event)));
        events.iter().copied().filter(|other| low < place(other) && place(other) < high).collect()
    }

    /// Whether nothing lies between two matched steps that must not.
    fn is_clear(
        &self,
        (last_step, last): (usize, Event<'_>),
        (step, event): (usize, Event<'_>),
        own: &[Event<'_>],
        unit: &[Event<'_>],
    ) -> bool {
        let repeats_break = self.says("repeats", "break") != self.flip(Flip::RepeatsOther);
        let is_repeat = |other: Event<'_>| self.does(last_step, other) && !repeats_break;
        match self.funnel["order"].as_str().filter(|_| !self.flip(Flip::OrderIgnored)) {
            Some("strict") if self.flip(Flip::StrictSeesSteps) => {
                self.between(last, event, unit).into_iter().all(|other| !self.does_any(other) || is_repeat(other))
            }
            Some("strict") => self.between(last, event, unit).into_iter().all(is_repeat),
            Some("strict_steps") => self.between(last, event, own).into_iter().all(|other| {
                let is_strictly_between =
                    other.timestamp_us != last.timestamp_us && other.timestamp_us != event.timestamp_us;
                let counts = is_strictly_between || self.says("ties", "sequence");
                let does_another = |another: usize| {
                    another != step && (another != last_step || repeats_break) && self.does(another, other)
                };
                !(counts && (0..self.steps.len()).any(does_another))
            }),
            _ => true,
        }
    }

    /// What excluded events do to a chain that has been found.
    fn exclude(&self, chain: &mut Chain<'a>, lane: &[Value], unit: &[Event<'a>]) -> Fate<'a> {
        let exclusions = self.funnel["exclude"].as_array().map_or(&[][..], Vec::as_slice);
        let mut fate = Fate::Untouched;
        for exclusion in exclusions.iter().filter(|_| !self.flip(Flip::ExcludeIgnored)) {
            let step = |name: &str| exclusion[name].as_u64().expect("a step") as usize - 1;
            let (from, to) = match self.in_any_order() || self.flip(Flip::ExcludeAnywhere) {
                true => (0, self.steps.len() - 1),
                false => (step("from_step"), step("to_step")),
            };
            if chain[from..].iter().all(Option::is_none) {
                continue;
            }
            let after = chain[..=from].iter().flatten().last().expect("it is opened").timestamp_us;
            let before = chain[to..].iter().flatten().next().map(|event| event.timestamp_us);
            let deadline = chain[0].expect("it is opened").timestamp_us + self.window_us;
            let spoils = |event: &&Event<'_>| {
                let us = event.timestamp_us;
                let end = match before {
                    Some(before) => us < before || (self.flip(Flip::ExcludeInclusive) && us == before),
                    None => us <= deadline && !self.flip(Flip::ExcludeNotAtEnd),
                };
                let begin = us > after || (self.flip(Flip::ExcludeInclusive) && us == after);
                let of_lane = self.lane_of(event).is_none_or(|own| own == lane) || self.flip(Flip::ExcludeOfAnyLane);
                begin && end && of_lane && matches(exclusion, event, self.rules)
            };
            let Some(event) = unit.iter().find(spoils) else { continue };
            let usual = self.funnel["excluded"].as_str().unwrap_or("end");
            let outcome = exclusion["outcome"].as_str().unwrap_or(usual);
            let outcome = match () {
                () if self.flip(Flip::ExcludeEndIsVoid) && outcome == "end" => "void",
                () if self.flip(Flip::ExcludeVoidIsEnd) && outcome == "void" => "end",
                () if self.flip(Flip::ExcludeDropIsVoid) && outcome == "drop" => "void",
                () => outcome,
            };
            fate = match (outcome, fate) {
                ("drop", _) | (_, Fate::Dropped) => Fate::Dropped,
                ("void", _) | (_, Fate::Void) => Fate::Void,
                (_, Fate::Ended(other))
                    if (other.timestamp_us, other.sequence) < (event.timestamp_us, event.sequence) =>
                {
                    Fate::Ended(other)
                }
                _ => Fate::Ended(event),
            };
        }
        if let Fate::Ended(event) = fate {
            let undone = chain.iter().position(|step| step.is_some_and(|step| step.timestamp_us >= event.timestamp_us));
            undone.into_iter().for_each(|undone| chain[undone..].fill(None));
            if chain[0].is_none() {
                return Fate::Void;
            }
        }
        fate
    }

    /// Of the attempts that may count those that do.
    fn counting(&self, candidates: &[(Chain<'a>, bool)], unit: &[Event<'a>]) -> Vec<Attempt<'a>> {
        if candidates.iter().any(|(_, dropped)| *dropped) {
            return Vec::new();
        }
        let mut chains: Vec<Chain<'a>> = candidates.iter().map(|(chain, _)| chain.clone()).collect();
        if !self.says("entry", "every") || self.flip(Flip::EntryIgnored) {
            let latest =
                (self.says("pick", "latest") && !self.flip(Flip::PickIgnored)) || self.flip(Flip::LatestOfEquals);
            let opened = |chain: &Chain<'_>| {
                let event = chain[0].expect("it is opened");
                (event.timestamp_us, event.sequence)
            };
            chains.sort_by_key(opened);
            if latest {
                chains.reverse();
            }
            // The first of the deepest.
            chains.sort_by_key(|chain| usize::MAX - self.depth(chain));
            chains.truncate(1);
        }
        let with_group = |chain: Chain<'a>| {
            let group = group_of(self.funnel, self.event_of_group(&chain, unit)?, self.rules)?;
            Some(Attempt { unit: chain[0].expect("it is opened").unit, chain, group })
        };
        chains.into_iter().filter_map(with_group).collect()
    }

    /// The event at which the values of the breakdown are read.
    fn event_of_group(&self, chain: &Chain<'a>, unit: &[Event<'a>]) -> Option<Event<'a>> {
        let (first, last) = (chain[0], chain.iter().flatten().last().copied());
        let has_value = |event: &Event<'_>| {
            group_of(self.funnel, event, Rules::TRUE).expect("it has values").iter().any(|value| !value.is_null())
                || self.flip(Flip::TouchOfNull)
        };
        let touches =
            |event: &&Event<'a>| self.time.in_range(event.timestamp_us) && self.does_any(event) && has_value(event);
        if self.flip(Flip::GroupOfLastStep) {
            return last;
        }
        match &self.funnel["at"] {
            _ if self.flip(Flip::AtIgnored) => first,
            Value::Object(at) => chain[at["step"].as_u64().expect("a step") as usize - 1],
            at if at == "last" => last,
            at if at == "first_touch" => unit.iter().find(touches).copied().or(first),
            at if at == "last_touch" => unit.iter().rev().find(touches).copied().or(first),
            _ => first,
        }
    }

    fn one_a_unit<K: Clone + PartialEq>(&self, attempts: Vec<(K, Attempt<'a>)>) -> Vec<(K, Attempt<'a>)> {
        let mut sorted = attempts;
        let opened = |attempt: &Attempt<'_>| {
            let event = attempt.chain[0].expect("it is opened");
            (usize::MAX - self.depth(&attempt.chain), event.timestamp_us, event.sequence)
        };
        sorted.sort_by_key(|(_, attempt)| opened(attempt));
        let mut kept: Vec<(K, Attempt<'a>)> = Vec::new();
        for (key, attempt) in sorted {
            if !kept.iter().any(|(other, one)| *other == key && one.unit == attempt.unit) {
                kept.push((key, attempt));
            }
        }
        kept
    }

    fn part(&self, label: &Value, attempts: &[Attempt<'_>], in_buckets: &[(String, Attempt<'_>)]) -> Value {
        let mut part = json!({
            "breakdown": label,
            "steps": self.step_results(attempts),
            "histogram": self.histogram(attempts),
        });
        if self.funnel["trend"].is_string() {
            let count = |step: usize, label: &String| {
                in_buckets.iter().filter(|(own, attempt)| own == label && attempt.chain[step].is_some()).count()
            };
            let labels = self.time.buckets();
            let steps =
                (0..self.steps.len()).map(|step| labels.iter().map(|label| count(step, label)).collect::<Vec<_>>());
            part["trend"] = json!({ "buckets": labels, "steps": steps.collect::<Vec<_>>() });
        }
        part
    }

    fn step_results(&self, attempts: &[Attempt<'_>]) -> Vec<Value> {
        let count = |step: usize| attempts.iter().filter(|attempt| attempt.chain[step].is_some()).count();
        let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
        let results = self.steps.iter().enumerate().map(|(at, step)| {
            let previous = self.required_before(at);
            let whole = if self.flip(Flip::ShareOfFirst) { 0 } else { previous };
            let dropped_from = if self.flip(Flip::DroppedFromFirst) { 0 } else { previous };
            let from = if self.flip(Flip::TimesFromFirst) { Some(0) } else { None };
            json!({
                "name": title(step),
                "count": count(at),
                "from_first": share(count(at), count(0)),
                "from_previous": share(count(at), count(whole)),
                "dropped": count(dropped_from) - count(at),
                "seconds_from_previous": self.seconds(attempts, from, at),
                "seconds_from_first": self.seconds(attempts, Some(0), at),
            })
        });
        results.collect()
    }

    /// From a step, or from the previous one that the unit matched, in whole microseconds: of seconds some that lie before each other would cancel to nothing but error.
    fn durations(&self, attempts: &[Attempt<'_>], from: Option<usize>, to: usize) -> Vec<f64> {
        let duration = |attempt: &Attempt<'_>| {
            let before = match from {
                Some(from) => attempt.chain[from]?,
                None => attempt.chain[..to].iter().flatten().last()?,
            };
            Some((attempt.chain[to]?.timestamp_us - before.timestamp_us) as f64)
        };
        let mut durations_us: Vec<f64> = attempts.iter().filter_map(duration).collect();
        durations_us.sort_by(f64::total_cmp);
        durations_us
    }

    fn seconds(&self, attempts: &[Attempt<'_>], from: Option<usize>, to: usize) -> Value {
        let durations = self.durations(attempts, from, to);
        if durations.is_empty() || to == 0 {
            return Value::Null;
        }
        let percentile = |share: f64| {
            let rank = share * (durations.len() - 1) as f64;
            if self.flip(Flip::PercentileNearestRank) {
                return durations[rank.round() as usize];
            }
            let (below, above) = (durations[rank.floor() as usize], durations[rank.ceil() as usize]);
            below + (above - below) * rank.fract()
        };
        let mean = durations.iter().sum::<f64>() / durations.len() as f64;
        json!({ "mean": mean / 1e6, "median": percentile(0.5) / 1e6, "p90": percentile(0.9) / 1e6 })
    }

    fn histogram(&self, attempts: &[Attempt<'_>]) -> Value {
        let asked = if self.flip(Flip::HistogramWhole) { &Value::Null } else { &self.funnel["histogram"] };
        let step = |name: &str, usual: usize| asked[name].as_u64().map_or(usual, |step| step as usize - 1);
        let durations = self.durations(attempts, Some(step("from_step", 0)), step("to_step", self.steps.len() - 1));
        let window = self.window_us as f64 / 1e6;
        let starts: Vec<f64> = match asked["bins"].as_u64() {
            Some(bins) => {
                (0..bins).map(|bar| (self.window_us as i128 * bar as i128 / bins as i128) as f64 / 1e6).collect()
            }
            None => {
                let (minute, hour, day) = (60.0, 3_600.0, 86_400.0);
                let mut starts = vec![0.0, 1.0, 10.0, 30.0];
                starts.extend([1.0, 2.0, 5.0, 10.0, 30.0].map(|minutes| minutes * minute));
                starts.extend([1.0, 3.0, 6.0, 12.0].map(|hours| hours * hour));
                starts.extend([1.0, 2.0, 3.0, 7.0, 14.0, 30.0, 90.0].map(|days| days * day));
                starts.retain(|start| *start == 0.0 || *start < window);
                starts
            }
        };
        // What lies beyond the first and the last bar is in it; of bars that begin at once the last has all.
        let bar_of = |seconds: f64| starts.iter().rposition(|start| *start <= seconds).unwrap_or(0);
        let count = |bar: usize| durations.iter().filter(|us| bar_of(**us / 1e6) == bar).count();
        json!({ "from_seconds": starts, "count": (0..starts.len()).map(count).collect::<Vec<_>>() })
    }
}
