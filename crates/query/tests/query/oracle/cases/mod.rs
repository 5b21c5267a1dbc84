//! Generated cases: a query and the events of a few units, crowded around everything that a rule turns on.

mod attribution;
mod funnel;
mod journey;
mod paths;
mod retention;
mod segment;
mod sessions;
mod stickiness;
mod trend;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::oracle::{
    OracleChange, OracleEvent, Rules, Scalar, Surroundings, first_instant_of, local_date, with_traits,
};

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const HOUR_US: i64 = 60 * MINUTE_US;
const DAY_US: i64 = 24 * HOUR_US;

/// Zones, and in each the dates on which its clocks change, if they do.
const ZONES: &[(&str, &[&str])] = &[
    ("Europe/Berlin", &["2025-03-30", "2025-10-26"]),
    ("America/New_York", &["2025-03-09", "2025-11-02"]),
    ("Australia/Lord_Howe", &["2025-04-06", "2025-10-05"]),
    ("Asia/Kolkata", &["2025-06-15", "2025-01-01"]),
    ("UTC", &["2024-12-31", "2025-03-02"]),
];

/// A question and what it is asked of.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) query: Value,
    pub(crate) events: Vec<OracleEvent>,
    pub(crate) changes: Vec<OracleChange>,
    /// Units that the store knows whatever they did, where that matters.
    pub(crate) known: Vec<u32>,
    pub(crate) around: Surroundings,
}

impl Case {
    /// The events, with the traits that their units had.
    pub(crate) fn told(&self, rules: Rules) -> Vec<OracleEvent> {
        let known = self.known.iter().map(|unit| OracleEvent::presence(*unit));
        let events: Vec<OracleEvent> = self.events.iter().cloned().chain(known).collect();
        with_traits(&events, &self.changes, rules)
    }
}

/// A unit has so many ids.
pub(crate) const IDS_OF_A_UNIT: u8 = 3;

/// Whether an id of a unit is known in the end.
pub(crate) fn becomes_known(unit: u32, which: u8) -> bool {
    which + 1 == IDS_OF_A_UNIT && unit.is_multiple_of(2)
}

/// How many cases a property is tried on: `PUGMARK_CASES`, by default `usual`.
pub(crate) fn case_count(usual: u32) -> u32 {
    std::env::var("PUGMARK_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}

/// Cases of an analysis, of `measures`: trends of every measure, of a group of a funnel's choices, or of `profile`: trends by traits. They shrink to fewer events and plainer questions.
pub(crate) fn cases(kind: &'static str) -> impl Strategy<Value = Case> {
    let choices = prop::collection::vec(any::<u8>(), 160);
    let bursts = match kind {
        "trend" | "profile" => 0..25,
        "measures" => 0..40,
        "funnel" => 0..13,
        _ if kind.starts_with("funnel") => 0..10,
        "stickiness" => 6..40,
        "retention" => 3..30,
        "journey" => 0..40,
        _ if kind.starts_with("paths") => 3..30,
        "segment" => 0..16,
        _ => 0..20,
    };
    let events = prop::collection::vec(prop::array::uniform6(any::<u8>()), bursts);
    // Elsewhere a trait is a value like any other.
    let most = if matches!(kind, "profile" | "segment") { 20 } else { 6 };
    let changes = prop::collection::vec(prop::array::uniform6(any::<u8>()), 0..most);
    (choices, events, changes).prop_map(move |(choices, events, changes)| {
        let case = Builder { choices, taken: 0 }.build(kind, &events);
        let changes = changes.iter().map(|raw| change(raw, &case.events, case.around)).collect();
        Case { changes, ..case }
    })
}

/// Takes one choice after the other, so that a case follows from its bytes.
struct Builder {
    choices: Vec<u8>,
    taken: usize,
}

fn pick<T: Clone>(options: &[T], choice: u8) -> T {
    options[choice as usize % options.len()].clone()
}

impl Builder {
    fn pick<T: Clone>(&mut self, options: &[T]) -> T {
        let choice = self.choices[self.taken];
        self.taken += 1;
        pick(options, choice)
    }

    fn chance(&mut self, percent: u8) -> bool {
        let choice = self.pick(&(0..100).collect::<Vec<u8>>());
        // Small bytes are where a case shrinks to, and stand for the plain choice.
        choice >= 100 - percent
    }

    fn build(mut self, kind: &str, raw_events: &[[u8; 6]]) -> Case {
        let by_units = kind == "units";
        let kind = match kind {
            "units" => self.pick(&["funnel", "trend", "retention", "stickiness", "lifecycle", "funnel", "trend"]),
            _ => kind,
        };
        let asked = kind;
        let kind = match kind {
            "profile" | "measures" | "attribution" => "trend",
            _ if kind.starts_with("funnel") => "funnel",
            _ if kind.starts_with("paths") => "paths",
            _ => kind,
        };
        let (zone, dates) = self.pick(ZONES);
        let changes = first_instant_of(self.pick(dates), zone);
        let interval = match kind {
            "trend" => self.pick(&["day", "week", "hour", "day", "month", "minute", "week", "quarter", "day", "year"]),
            "stickiness" | "lifecycle" => {
                self.pick(&["day", "week", "hour", "day", "month", "minute", "week", "quarter", "day", "year"])
            }
            "retention" => self.pick(&["day", "week", "day", "hour", "month", "week"]),
            _ => self.pick(&["day"]),
        };
        let unit_us = match interval {
            "minute" => 20 * MINUTE_US,
            "hour" => 3 * HOUR_US,
            "day" => DAY_US,
            "week" => 7 * DAY_US,
            "month" => 30 * DAY_US,
            "quarter" => 91 * DAY_US,
            _ => 365 * DAY_US,
        };
        let by_clock = matches!(interval, "minute" | "hour");
        let center = if by_clock { changes + self.pick(&[2 * HOUR_US, HOUR_US, 3 * HOUR_US]) } else { changes };
        let (before, after) = match kind {
            "retention" => (self.pick(&[1, 2, 1]), self.pick(&[2, 1, 3])),
            _ => (self.pick(&[1, 0, 2]), self.pick(&[2, 1, 3])),
        };
        let mut end = |at: i64| {
            let offset = self.pick(&[0, 0, 0, 5 * HOUR_US + 30 * MINUTE_US, 13 * HOUR_US, -30 * MINUTE_US]);
            if by_clock {
                let at = at + offset % unit_us;
                return (at, Timestamp::from_microsecond(at).expect("a date of our time").to_string());
            }
            let near = at + 12 * HOUR_US;
            let date = local_date(near, zone);
            if offset == 0 {
                return (first_instant_of(&date, zone), date);
            }
            let at = first_instant_of(&date, zone) + offset;
            (at, Timestamp::from_microsecond(at).expect("a date of our time").to_string())
        };
        let (from_us, from) = end(center - before * unit_us);
        let (to_us, to) = end(center + after * unit_us);
        // Retention may read on until now, bucket by bucket.
        let (late, later) = if kind == "retention" { (3 * unit_us, 8 * unit_us) } else { (40 * DAY_US, 400 * DAY_US) };
        let now_us = to_us + self.pick(&[0, later, -unit_us, 3 * HOUR_US, late, HOUR_US]);

        let mut analysis = Map::new();
        analysis.insert("time_zone".to_owned(), json!(zone));
        if kind != "segment" {
            analysis.insert("range".to_owned(), json!({ "from": from, "to": to }));
            self.breakdown(asked, &mut analysis);
        }
        let mut anchors = vec![from_us, to_us, center];
        let steps_us = match kind {
            "trend" => {
                match asked {
                    "attribution" => self.attribution(&mut analysis, interval),
                    "measures" => self.measures(&mut analysis, interval),
                    _ => self.trend(&mut analysis, interval),
                }
                if asked == "attribution" { attribution::STEPS_US.to_vec() } else { vec![0] }
            }
            "funnel" => {
                let window_us = self.funnel(asked, &mut analysis);
                anchors.extend([from_us, to_us - window_us / 2, to_us - window_us, from_us, center + window_us]);
                vec![0, window_us / 2, window_us, 0, window_us / 3, window_us * 2 / 3, window_us + 1, window_us]
            }
            "stickiness" => {
                self.stickiness(&mut analysis, interval);
                vec![0, unit_us, HOUR_US % unit_us, unit_us]
            }
            "journey" => {
                self.journey(&mut analysis);
                sessions::STEPS_US.to_vec()
            }
            "paths" => {
                self.paths(asked, &mut analysis);
                paths::STEPS_US.to_vec()
            }
            "sessions" => {
                self.sessions(&mut analysis);
                sessions::STEPS_US.to_vec()
            }
            "lifecycle" => {
                self.lifecycle(&mut analysis, interval);
                vec![unit_us, 0, 2 * unit_us]
            }
            "segment" => {
                self.audience(&mut analysis, center, zone);
                vec![DAY_US, HOUR_US, 0, DAY_US]
            }
            _ => {
                self.retention(&mut analysis, interval);
                let near_us = unit_us - 20 * MINUTE_US;
                vec![unit_us, HOUR_US, near_us, 0, 2 * unit_us, HOUR_US, near_us, unit_us, unit_us, 2 * unit_us]
            }
        };
        // What a segment is shows in trends; elsewhere it only leaves fewer people.
        let percent = match asked {
            "trend" | "profile" | "stickiness" | "lifecycle" => 45,
            "measures" | "attribution" => 8,
            "journey" | "segment" => 0,
            _ => 20,
        };
        self.segment(&mut analysis, percent, center, zone);
        let by_sessions = by_units || asked == "funnel_session";
        let steps_us = if by_sessions { sessions::STEPS_US.to_vec() } else { steps_us };
        if by_units {
            let unit = self.pick(&["session", "group:plan", "session"]);
            analysis.insert("unit".to_owned(), json!(unit));
        }
        if kind != "funnel" {
            let between = (1..=before + after).map(|step| from_us + step * unit_us);
            for at in between.filter(|at| *at <= to_us + unit_us) {
                anchors.push(if by_clock { at } else { first_instant_of(&local_date(at + 2 * HOUR_US, zone), zone) });
            }
            if kind == "retention" {
                // Who was there before the range is in few cohorts.
                anchors.extend(anchors.clone());
            }
            anchors.extend([from_us - unit_us, from_us - HOUR_US]);
            if kind == "journey" {
                anchors.extend([from_us, from_us, to_us]);
            }
            if kind == "paths" {
                anchors.extend([to_us, to_us, from_us, to_us, to_us, from_us, to_us]);
            }
            if kind == "lifecycle" {
                anchors.extend([from_us - 2 * unit_us, from_us - unit_us / 2, from_us - unit_us / 4]);
            }
        }
        let mut events = Vec::new();
        for raw in raw_events {
            push_burst(&mut events, raw, asked, &anchors, &steps_us);
        }
        if by_sessions {
            for (event, raw) in events.iter_mut().zip(raw_events.iter().flatten()) {
                sessions::add_properties(event, *raw);
            }
        }
        let times = || events.iter().map(|event| event.timestamp_us);
        let data_us = match (kind, times().min().zip(times().max())) {
            ("journey", Some((first, last))) => (first, last + 1),
            _ => (from_us, to_us),
        };
        let around = Surroundings { now_us, data_us };
        let known = if kind == "segment" { vec![1, 2, 3, 4] } else { Vec::new() };
        Case { query: json!({ kind: analysis }), events, changes: Vec::new(), known, around }
    }

    fn selector(&mut self, names: &[&str]) -> Map<String, Value> {
        let names: Vec<Value> = names.iter().map(|name| json!(name)).collect();
        let mut selector = Map::new();
        let event = match self.pick(&[0, 3, 0, 2, 0, 3]) {
            0 => self.pick(&names),
            2 => json!("*"),
            _ => json!([self.pick(&names), "b"]),
        };
        selector.insert("event".to_owned(), event);
        if self.chance(30) {
            let filters = [
                "plan = 'x'",
                "amount > 1",
                "profile_at('tier') = 'x'",
                "plan = 0 and amount < 3",
                "profile('tier') = 'x' and profile_at('score') > 1",
            ];
            selector.insert("filter".to_owned(), json!(self.pick(&filters)));
        }
        selector
    }

    fn breakdown(&mut self, kind: &str, analysis: &mut Map<String, Value>) {
        let kinds: &[u8] = match kind {
            "profile" => &[3, 4, 5, 4],
            "funnel" => &[1, 1, 3, 1, 2, 1, 1, 4],
            "retention" => &[0, 1, 3, 1, 2, 0, 1, 4],
            "measures" => &[0, 1, 0, 2, 1, 0, 3, 1],
            "attribution" => &[1, 2, 1, 1, 3, 1, 0],
            "stickiness" => &[1, 0, 1, 3, 1, 2, 1],
            _ => &[0, 1, 3, 1, 2, 1, 2, 4],
        };
        let items = match self.pick(kinds) {
            0 => return,
            1 => json!([{ "property": "plan" }]),
            3 => json!([{ "expression": "profile_at('tier')" }]),
            4 => json!([{ "profile": "tier" }, { "profile": "score" }]),
            5 => json!([{ "expression": "profile_at('score')" }, { "expression": "profile('score')" }]),
            _ => json!([{ "property": "plan" }, { "property": "amount" }]),
        };
        analysis.insert("breakdown".to_owned(), items);
        if self.chance(75) {
            analysis.insert("limit".to_owned(), json!(self.pick(&[1, 2, 1, 3])));
        }
    }

    fn week(&mut self, analysis: &mut Map<String, Value>) {
        if self.chance(40) {
            analysis.insert("week_start".to_owned(), json!("sunday"));
        }
    }
}

/// A few events of a unit: what funnels and returns are made of.
fn push_burst(events: &mut Vec<OracleEvent>, raw: &[u8; 6], kind: &str, anchors: &[i64], steps_us: &[i64]) {
    let [who, burst, anchor, step, jitter, properties] = *raw;
    let (bursts, jitters) = match kind {
        _ if kind.starts_with("funnel") => (funnel::bursts(kind), funnel::JITTERS_US),
        "retention" => (retention::BURSTS, retention::JITTERS_US),
        _ if kind.starts_with("paths") => (paths::BURSTS, sessions::JITTERS_US),
        "sessions" | "journey" => (sessions::BURSTS, sessions::JITTERS_US),
        "stickiness" | "lifecycle" => (stickiness::BURSTS, trend::JITTERS_US),
        "segment" => (segment::BURSTS, trend::JITTERS_US),
        "attribution" => (attribution::BURSTS, trend::JITTERS_US),
        _ => (trend::BURSTS, trend::JITTERS_US),
    };
    let has_sessions = matches!(kind, "sessions" | "journey") || kind.starts_with("paths");
    let mut timestamp_us = pick(anchors, anchor) + pick(jitters, jitter);
    for (name, index) in pick(bursts, burst).iter().zip(0..) {
        events.push(event(
            pick(if kind == "retention" { &[1, 2, 3, 4] } else { &[1, 2, 3, 4, 2] }, who),
            name,
            timestamp_us,
            events.len() as u64 + 1,
            properties.wrapping_add(index),
        ));
        if let Some(event) = events.last_mut().filter(|_| has_sessions) {
            sessions::add_properties(event, who.wrapping_add(properties).wrapping_add(index));
        }
        // The steps of a funnel are evenly spaced.
        let own = if kind == "retention" { step.wrapping_add(index) } else { step };
        timestamp_us += pick(steps_us, own);
    }
}

/// A change of a trait, near an event.
fn change(raw: &[u8; 6], events: &[OracleEvent], around: Surroundings) -> OracleChange {
    let [which, place, jitter, after, what, near] = *raw;
    let of = events.get(usize::from(near) % events.len().max(1));
    let unit = of.map_or(1, |event| event.unit);
    let which = pick(&[0, 2, 1, 2], which);
    let (kind, name, value) = pick(
        &[
            ("set", "tier", Scalar::Text("x".to_owned())),
            ("add", "score", Scalar::Number(1.0)),
            ("set", "tier", Scalar::Text("y".to_owned())),
            ("set_once", "tier", Scalar::Text("x".to_owned())),
            ("add", "score", Scalar::Number(2.0)),
            ("set_once", "tier", Scalar::Text("z".to_owned())),
            ("unset", "tier", Scalar::Number(0.0)),
            ("set_once", "score", Scalar::Number(5.0)),
        ],
        what,
    );
    OracleChange {
        unit,
        which,
        is_known: becomes_known(unit, which),
        timestamp_us: of.map_or(around.data_us.0, |event| event.timestamp_us) + pick(&[0, 0, -1, -HOUR_US, 1], jitter),
        // As often right after it as anywhere.
        after: match of.filter(|_| place.is_multiple_of(2)) {
            Some(event) => event.sequence - u64::from(place.is_multiple_of(4)),
            None => u64::from(after) % (events.len() as u64 + 1),
        },
        kind,
        name,
        value,
    }
}

fn event(unit: u32, name: &str, timestamp_us: i64, sequence: u64, properties: u8) -> OracleEvent {
    let text = |text: &str| Some(Some(Scalar::Text(text.to_owned())));
    let number = |number: f64| Some(Some(Scalar::Number(number)));
    let plan = pick(&[text("y"), text("x"), text("y"), None, number(0.0), text("0"), Some(None)], properties);
    let amount = pick(&[number(2.5), number(1.0), None], properties / 7);
    // Of many values, which percentiles tell apart.
    let price =
        pick(&[number(4.0), number(10.5), number(1.0), None, number(7.25), number(20.0), text("7")], properties / 5);
    let properties = [("plan", plan), ("amount", amount), ("price", price)];
    let given = properties.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    OracleEvent { unit, event: name.to_owned(), timestamp_us, sequence, properties: given.collect() }
}
