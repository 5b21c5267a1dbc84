//! Every analysis through a whole store against the oracle: links, late arrival, files and tail, values of
//! odd types.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use proptest::{prelude::*, test_runner::TestRunner};
use pugmark::{
    Audience, Clock, Declaration, Definition, EngineOptions, Entry, Event, EventNames, ManualClock, Options, Outcome,
    Pugmark, Sequence, SizeTiered, StoreOptions, Timestamp, Value,
};
use tempfile::TempDir;

use crate::cases::{Case, IDS_OF_A_UNIT, becomes_known, case_count, cases};
use crate::oracle::{FLIPS, OracleChange, OracleEvent, Rules, Surroundings};
use crate::sent::{event, link, question, update, with_numbers};

/// How a case comes into its store: a byte for each event says as whom its unit sends it, and what happens beside it.
type Arrival = Vec<u8>;

/// What a record of the log says.
#[derive(Debug, Clone)]
enum Said {
    /// An event, and which id of its unit did it.
    Event(OracleEvent, u8),
    /// This id of a unit is the same as the next.
    Link(u32, u8),
    /// A change of a trait.
    Change(OracleChange),
}

/// What is to be sent together, and what was sent: the sequence and the time of receipt of each record.
struct Sender<'a> {
    db: &'a Pugmark,
    clock: Arc<ManualClock>,
    batch: Vec<(Entry, Said)>,
    log: Vec<(Sequence, Timestamp, Said)>,
}

impl Sender<'_> {
    fn send(&mut self) {
        self.clock.set(Timestamp::from_microsecond(self.clock.now().as_microsecond() + 3_600_000_000));
        let (entries, said): (Vec<Entry>, Vec<Said>) = std::mem::take(&mut self.batch).into_iter().unzip();
        let outcomes = self.db.append(entries).unwrap();
        for (outcome, said) in outcomes.iter().zip(said) {
            let Outcome::Accepted(sequence) = outcome else { panic!("{outcomes:?}") };
            self.log.push((*sequence, self.clock.now(), said));
        }
    }
}

fn fill(db: &Pugmark, clock: &Arc<ManualClock>, case: &Case, arrival: &Arrival) -> Vec<(Sequence, Timestamp, Said)> {
    let byte = |at: usize| arrival[at % arrival.len()];
    let mut links: Vec<(Entry, Said)> = Vec::new();
    for unit in 1..=4 {
        let chain = 0..IDS_OF_A_UNIT - 1;
        links.extend(chain.map(|from| (link(unit, from), Said::Link(unit, from))));
    }
    let mut events = case.events.clone();
    events.sort_by_key(|event| event.sequence);
    // Everything is received in the month before the question.
    clock.set(Timestamp::from_microsecond(case.around.now_us - 30 * 86_400_000_000));
    let mut sender = Sender { db, clock: Arc::clone(clock), batch: Vec::new(), log: Vec::new() };
    let changes_after = |sequence| {
        let own = case.changes.iter().filter(move |change| change.after == sequence);
        own.map(|change| (update(change), Said::Change(change.clone())))
    };
    sender.batch.extend(changes_after(0));
    for (at, one) in events.iter().enumerate() {
        let said = Said::Event(one.clone(), byte(at) % IDS_OF_A_UNIT);
        sender.batch.push((event(at, one, byte(at)).into(), said));
        let chance = byte(at + 7);
        if chance.is_multiple_of(4) {
            sender.batch.extend(links.pop());
        }
        sender.batch.extend(changes_after(one.sequence));
        if chance.is_multiple_of(3) {
            sender.send();
        }
        if chance.is_multiple_of(11) {
            sender.send();
            db.flush().unwrap();
        }
        // Before, between or after files: what follows from it is then there for those that are there.
        if at == usize::from(byte(4)) % events.len() && !byte(3).is_multiple_of(3) {
            sender.send();
            db.declare(
                &Declaration::new("all", "*").dimension("plan").dimension("amount").measure("amount").measure("price"),
            )
            .unwrap();
            let texts = Declaration::new("texts", EventNames::Many(vec!["a".into(), "b".into(), "d".into()]));
            let texts =
                texts.dimension("plan_text").dimension("plan").dimension("amount").measure("plan").measure("price");
            db.declare(&texts).unwrap();
        }
        if chance.is_multiple_of(13) {
            sender.send();
            db.compact().unwrap();
        }
    }
    sender.batch.extend(links);
    sender.send();
    clock.set(Timestamp::from_microsecond(case.around.now_us));
    sender.log
}

/// By the operators of this machine or by plans of standard ones, over files as they were flushed or merged: `arrival` chooses.
fn open(dir: &std::path::Path, clock: &Arc<ManualClock>, arrival: &Arrival) -> Pugmark {
    let store = StoreOptions {
        clock: Arc::clone(clock) as _,
        future_limit: Duration::from_secs(4_000 * 86_400),
        ..StoreOptions::default()
    };
    let local_operators = !arrival[1].is_multiple_of(4);
    let engine = EngineOptions { local_operators, ..EngineOptions::default() };
    let target_rows = if arrival[2].is_multiple_of(2) { 1_000 } else { 0 };
    let merge = Arc::new(SizeTiered { target_rows, files_min: 2, ..SizeTiered::default() });
    Pugmark::open_with(dir, Options { store, engine, merge, ..Options::default() }).unwrap()
}

fn disagreement(case: &Case, arrival: &Arrival) -> Option<String> {
    disagreement_seen(case, arrival, &Cell::default())
}

/// `by_cubes` says whether the answer came from what is declared.
fn disagreement_seen(case: &Case, arrival: &Arrival, by_cubes: &Cell<bool>) -> Option<String> {
    let (_dir, db, _) = stored(case, arrival);
    let mut question = question(case);
    if let Some(asked) = question.get("segment").filter(|_| !arrival[5].is_multiple_of(3)) {
        question["segment"] = by_name(&db, asked, arrival[5].is_multiple_of(2));
    }
    question["explain"] = true.into();
    let ask = |question: &serde_json::Value| {
        serde_json::to_value(db.blocking().unwrap().query_json(&question.to_string()).unwrap()).unwrap()
    };
    let found = match question.get("journey") {
        Some(_) => crate::pages::page(&question, ask),
        None => with_numbers(ask(&question)),
    };
    let plan = found["explain"]["plan"].as_str().unwrap_or_default();
    by_cubes.set(plan.contains("declared") && !plan.contains("cubes=0"));
    difference(&found, case, arrival)
}

/// The question of who is in a segment, by the name of what is saved before: the people of now, or a segment.
fn by_name(db: &Pugmark, asked: &serde_json::Value, people: bool) -> serde_json::Value {
    let mut named = serde_json::json!({"people": asked["people"], "time_zone": asked["time_zone"]});
    let audience = Audience::from_value(asked).unwrap();
    if people {
        db.blocking().unwrap().save_people("saved", &audience).unwrap();
        named["cohort"] = "saved".into();
    } else {
        db.define(&Definition::segment("saved", audience.scope.segment.unwrap())).unwrap();
        named["all"] = serde_json::json!(["saved"]);
    }
    named
}

fn stored(case: &Case, arrival: &Arrival) -> (TempDir, Pugmark, Vec<(Sequence, Timestamp, Said)>) {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::EPOCH));
    let mut db = open(dir.path(), &clock, arrival);
    let log = fill(&db, &clock, case, arrival);
    if arrival[0].is_multiple_of(5) {
        db.close().unwrap();
        db = open(dir.path(), &clock, arrival);
    }
    (dir, db, log)
}

/// What the oracle says otherwise.
fn difference(found: &serde_json::Value, case: &Case, arrival: &Arrival) -> Option<String> {
    let oracle = |rules| crate::oracle::answer(&case.query, &case.told(rules), case.around, rules);
    let difference = crate::oracle::difference(found, &oracle(Rules::TRUE))?;
    let explained: Vec<&str> = FLIPS
        .iter()
        .filter(|(flip, ..)| crate::oracle::difference(found, &oracle(Rules::flipping(*flip))).is_none())
        .map(|(_, _, rule)| *rule)
        .collect();
    Some(format!(
        "{difference}\nas if: {explained:?}\nquery: {}\nevents: {:#?}\nchanges: {:#?}\narrival: {arrival:?}",
        case.query, case.events, case.changes
    ))
}

fn agrees(kind: &'static str) {
    let config = ProptestConfig { cases: case_count(64), failure_persistence: None, ..ProptestConfig::default() };
    let arrivals = prop::collection::vec(any::<u8>(), 40);
    let checked = TestRunner::new(config).run(&(cases(kind), arrivals), |(case, arrival)| {
        disagreement(&case, &arrival).map_or(Ok(()), |difference| Err(TestCaseError::fail(difference)))
    });
    if let Err(failure) = checked {
        panic!("{failure}");
    }
}

#[test]
fn trend_through_a_store_agrees_with_the_oracle() {
    agrees("trend");
}

#[test]
fn attribution_through_a_store_agrees_with_the_oracle() {
    agrees("attribution");
}

#[test]
fn every_measure_through_a_store_agrees_with_the_oracle() {
    agrees("measures");
}

#[test]
fn trend_of_what_is_declared_agrees_with_the_oracle() {
    agrees_where_declared("trend");
}

#[test]
fn every_measure_of_what_is_declared_agrees_with_the_oracle() {
    agrees_where_declared("measures");
}

/// Puts sums and extremes in the place of what is made of single events.
fn keep_what_cubes_know(trend: &mut serde_json::Value) {
    let all = trend["series"].as_array_mut().expect("a trend has series");
    all.truncate(2);
    for series in all {
        let of_all = series["event"] == "*";
        let own = series.as_object_mut().expect("a series is an object");
        // Of these no declaration knows anything.
        if own.get("filter").is_some_and(|filter| of_all || filter.as_str() != Some("plan = 'x'")) {
            own.remove("filter");
        }
        let known = match series["measure"].as_str().expect("it is said") {
            "median" | "p90" => "avg",
            "p75" | "p95" | "distinct" => "min",
            "p99" => "max",
            "frequency" | "first_time" => "count_per_user",
            _ => continue,
        };
        series["measure"] = known.into();
        if known == "count_per_user" {
            series.as_object_mut().expect("a series is an object").remove("cumulative");
        }
    }
}

/// Whether cases of which one in six is expected came up as they should; of few it may be none.
fn are_enough(seen: u32) -> bool {
    case_count(64) < 64 || seen * 32 >= case_count(64)
}

/// In UTC, over whole days and with everything declared: as cubes tell it.
fn agrees_where_declared(kind: &'static str) {
    let config = ProptestConfig { cases: case_count(64), failure_persistence: None, ..ProptestConfig::default() };
    let arrivals = prop::collection::vec(any::<u8>(), 40);
    let cut = Cell::new(0);
    let checked = TestRunner::new(config).run(&(cases(kind), arrivals), |(mut case, mut arrival)| {
        let trend = &mut case.query["trend"];
        trend["time_zone"] = "UTC".into();
        // Its people are found in events, and so is what they did.
        trend.as_object_mut().expect("a trend is an object").remove("segment");
        for end in ["from", "to"] {
            let date = trend["range"][end].as_str().expect("both ends are there").get(..10).expect("a date").to_owned();
            trend["range"][end] = date.into();
        }
        if trend["range"]["from"] == trend["range"]["to"] || trend["interval"] == "minute" {
            return Ok(());
        }
        if kind == "measures" {
            keep_what_cubes_know(trend);
        }
        (arrival[1], arrival[3]) = (1, 1);
        // What is declared is there for the files of the first half, at least.
        let half = case.events.len() / 2;
        arrival[4] = u8::try_from(half).expect("cases are small");
        let seen = Cell::default();
        let found = disagreement_seen(&case, &arrival, &seen);
        cut.set(cut.get() + u32::from(seen.get()));
        found.map_or(Ok(()), |difference| Err(TestCaseError::fail(difference)))
    });
    if let Err(failure) = checked {
        panic!("{failure}");
    }
    assert!(are_enough(cut.get()), "{} of {} were answered by cubes", cut.get(), case_count(64));
}

#[test]
fn trend_by_traits_through_a_store_agrees_with_the_oracle() {
    agrees("profile");
}

#[test]
fn funnel_through_a_store_agrees_with_the_oracle() {
    agrees("funnel");
}

#[test]
fn orders_steps_and_tolerance_through_a_store_agree_with_the_oracle() {
    for kind in ["funnel_order", "funnel_steps", "funnel_tolerance", "funnel_session"] {
        agrees(kind);
    }
}

#[test]
fn exclusions_and_held_properties_through_a_store_agree_with_the_oracle() {
    for kind in ["funnel_exclude", "funnel_hold", "funnel_at"] {
        agrees(kind);
    }
}

#[test]
fn entries_answers_and_likenesses_through_a_store_agree_with_the_oracle() {
    for kind in ["funnel_entry", "funnel_answer", "funnel_like"] {
        agrees(kind);
    }
}

#[test]
fn sessions_and_groups_as_units_through_a_store_agree_with_the_oracle() {
    agrees("units");
}

#[test]
fn retention_through_a_store_agrees_with_the_oracle() {
    agrees("retention");
}

#[test]
fn stickiness_through_a_store_agrees_with_the_oracle() {
    agrees("stickiness");
}

#[test]
fn lifecycle_through_a_store_agrees_with_the_oracle() {
    agrees("lifecycle");
}

#[test]
fn journey_through_a_store_agrees_with_the_oracle() {
    agrees("journey");
}

/// Whatever arrives while pages are turned, each event of before is shown once, in order, and none of a page is shown again.
#[test]
fn pages_are_turned_while_events_arrive() {
    let config = ProptestConfig { cases: case_count(64), failure_persistence: None, ..ProptestConfig::default() };
    let arrivals = prop::collection::vec(any::<u8>(), 40);
    let checked = TestRunner::new(config).run(&(cases("journey"), arrivals), |(case, arrival)| {
        let (_dir, db, log) = stored(&case, &arrival);
        let times: Vec<i64> = case.events.iter().map(|event| event.timestamp_us).collect();
        let is_newest = case.query["journey"]["order"] != "oldest";
        let limit = case.query["journey"]["limit"].as_u64().unwrap_or(100);
        let mut query = serde_json::json!({"journey": {"distinct_id": "2-0", "limit": limit}});
        query["journey"]["order"] = if is_newest { "newest" } else { "oldest" }.into();
        let mut seen: Vec<(i64, u64)> = Vec::new();
        for turn in 0.. {
            let page = db.blocking().unwrap().query_json(&query.to_string()).unwrap();
            let page = serde_json::to_value(&page).unwrap();
            let events = page["sessions"].as_array().unwrap().iter().flat_map(|one| one["events"].as_array().unwrap());
            let mut own: Vec<(i64, u64)> = events
                .map(|event| {
                    let at: Timestamp = event["timestamp"].as_str().unwrap().parse().unwrap();
                    (at.as_microsecond(), event["sequence"].as_u64().unwrap())
                })
                .collect();
            // Sessions may overlap in time.
            own.sort_unstable();
            if is_newest {
                own.reverse();
            }
            seen.extend(own);
            if page["next"].is_null() {
                break;
            }
            query["journey"]["cursor"] = page["next"].clone();
            // What arrives may take more pages, but not forever.
            if turn < 5 {
                let at = times[usize::from(arrival[turn]) % times.len()] + i64::from(arrival[turn + 9] % 3) - 1;
                let late = Event::new("late", "2-1").at(Timestamp::from_microsecond(at));
                assert!(matches!(db.track(late).unwrap(), Outcome::Accepted(_)));
            }
        }
        let is_in_order = |pair: &[(i64, u64)]| if is_newest { pair[0] > pair[1] } else { pair[0] < pair[1] };
        prop_assert!(seen.windows(2).all(is_in_order), "{seen:?}");
        for (sequence, _, said) in &log {
            if let Said::Event(event, _) = said {
                let is_seen = seen.contains(&(event.timestamp_us, sequence.number()));
                prop_assert_eq!(is_seen, event.unit == 2, "{:?} of {:?}", event, seen);
            }
        }
        Ok(())
    });
    if let Err(failure) = checked {
        panic!("{failure}");
    }
}

#[test]
fn segments_through_a_store_agree_with_the_oracle() {
    agrees("segment");
}

#[test]
fn sessions_through_a_store_agree_with_the_oracle() {
    agrees("sessions");
}

#[test]
fn paths_through_a_store_agree_with_the_oracle() {
    agrees("paths");
    agrees("paths_window");
}

/// The question and what it is about, as of a sequence: with the events and links up to it.
fn as_of(case: &Case, log: &[(Sequence, Timestamp, Said)], sequence: Sequence) -> Case {
    let said = || log.iter().filter(|(at, ..)| *at <= sequence).map(|(_, _, said)| said);
    // Ids of a unit that are not linked yet are units of their own, named by the first.
    let unit_of = |unit: u32, which: u8| {
        let is_linked = |from: u8| said().any(|said| matches!(said, Said::Link(of, at) if (*of, *at) == (unit, from)));
        let first = (0..which).rev().take_while(|from| is_linked(*from)).last().unwrap_or(which);
        unit * u32::from(IDS_OF_A_UNIT) + u32::from(first)
    };
    let events: Vec<OracleEvent> = said()
        .filter_map(|said| match said {
            Said::Event(event, which) => Some(OracleEvent { unit: unit_of(event.unit, *which), ..event.clone() }),
            Said::Link(..) | Said::Change(_) => None,
        })
        .collect();
    let is_known = |unit, which: u8| {
        let becomes = |said: &Said| matches!(said, Said::Link(of, from) if (*of, from + 1) == (unit, which));
        becomes_known(unit, which) && said().any(becomes)
    };
    let changes: Vec<OracleChange> = said()
        .filter_map(|said| match said {
            Said::Change(change) => Some(OracleChange {
                unit: unit_of(change.unit, change.which),
                is_known: is_known(change.unit, change.which),
                ..change.clone()
            }),
            Said::Event(..) | Said::Link(..) => None,
        })
        .collect();
    let (_, received_at, _) = log.iter().find(|(at, ..)| *at == sequence).expect("it is in the log");
    let now_us = received_at.as_microsecond();
    let times = || events.iter().map(|event| event.timestamp_us);
    let data_us = times().min().zip(times().max()).map_or((now_us, now_us), |(first, last)| (first, last + 1));
    let mut known: Vec<u32> = said()
        .flat_map(|said| match said {
            Said::Event(event, which) => vec![unit_of(event.unit, *which)],
            Said::Link(unit, from) => vec![unit_of(*unit, *from), unit_of(*unit, from + 1)],
            Said::Change(change) => vec![unit_of(change.unit, change.which)],
        })
        .collect();
    known.sort_unstable();
    known.dedup();
    known.retain(|_| !case.known.is_empty());
    Case { query: case.query.clone(), events, changes, known, around: Surroundings { now_us, data_us } }
}

#[test]
fn answers_as_of_any_sequence_are_those_of_then() {
    let same = ["trend", "funnel", "retention", "stickiness", "lifecycle", "sessions", "paths", "segment"]
        .map(|kind| (kind, kind));
    for (kind, cases) in same.into_iter().chain([("trend", "profile"), ("trend", "measures"), ("trend", "attribution")])
    {
        let cases = crate::cases::cases(cases);
        let config = ProptestConfig { cases: case_count(64), failure_persistence: None, ..ProptestConfig::default() };
        let arrivals = prop::collection::vec(any::<u8>(), 40);
        let places = prop::collection::vec(any::<prop::sample::Index>(), 4);
        let input = (cases, arrivals, places, any::<bool>());
        let checked = TestRunner::new(config).run(&input, |(mut case, arrival, places, all_time)| {
            let analysis = &mut case.query[kind];
            // Who is who depends on the sequence, and so do the names.
            analysis.as_object_mut().expect("an analysis is an object").remove("people");
            if all_time && analysis["interval"] != "minute" && analysis["interval"] != "hour" {
                analysis.as_object_mut().expect("an analysis is an object").remove("range");
            }
            let (_dir, db, log) = stored(&case, &arrival);
            for place in places {
                let (sequence, ..) = *place.get(&log);
                let then = as_of(&case, &log, sequence);
                let mut question = question(&then);
                question["as_of"] = sequence.number().into();
                let found = db.blocking().unwrap().query_json(&question.to_string()).unwrap();
                let found = serde_json::to_value(&found).unwrap();
                let now = Timestamp::from_microsecond(then.around.now_us).to_string();
                prop_assert_eq!((&found["as_of"], &found["now"]), (&sequence.number().into(), &now.into()));
                if let Some(difference) = difference(&found, &then, &arrival) {
                    return Err(TestCaseError::fail(format!("as of {sequence}: {difference}\nlog: {log:#?}")));
                }
            }
            Ok(())
        });
        if let Err(failure) = checked {
            panic!("{kind}: {failure}");
        }
    }
}

/// Found by the test above. The day before the range is whole, those in it are not.
#[test]
fn a_rolling_series_looks_back_also_where_no_day_of_the_range_is_whole() {
    let event = |timestamp_us: i64, sequence: u64| OracleEvent {
        unit: 1,
        event: "a".to_owned(),
        timestamp_us,
        sequence,
        properties: std::collections::BTreeMap::new(),
    };
    let events =
        vec![event(1_735_601_400_000_000, 1), event(1_735_603_200_000_000, 2), event(1_735_430_400_000_000, 3)];
    let series = serde_json::json!([{"event": "a", "measure": "uniques", "rolling": 2}]);
    let query = serde_json::json!({"trend": {"interval": "day", "time_zone": "UTC", "series": series}});
    let around =
        Surroundings { now_us: 1_735_689_600_000_000, data_us: (1_735_430_400_000_000, 1_735_689_600_000_000) };
    let case = Case { query, events, changes: Vec::new(), known: Vec::new(), around };
    let mut arrival = vec![0; 40];
    (arrival[0], arrival[1], arrival[8]) = (4, 134, 60);
    let (_dir, db, log) = stored(&case, &arrival);
    let sequence = Sequence::new(3);
    let then = as_of(&case, &log, sequence);
    let mut question = question(&then);
    question["as_of"] = 3.into();
    question["explain"] = true.into();
    let found = db.blocking().unwrap().query_json(&question.to_string()).unwrap();
    let found = serde_json::to_value(&found).unwrap();
    assert_eq!(difference(&found, &then, &arrival), None, "{found:#}");
}

/// Found by a random case: the range begins within an hour of its time zone, and ends there.
#[test]
fn a_rolling_series_over_an_empty_range_looks_back_to_nothing() {
    let text = |value: &str| Some(crate::oracle::Scalar::Text(value.to_owned()));
    for timestamp_us in [1_749_933_000_000_000, 1_749_938_400_000_000, 1_749_941_000_000_000] {
        let properties = std::collections::BTreeMap::from([("plan".to_owned(), text("y"))]);
        let events = vec![OracleEvent { unit: 1, event: "a".to_owned(), timestamp_us, sequence: 1, properties }];
        let at = "2025-06-14T23:00:00Z";
        let query = serde_json::json!({"trend": {
            "series": [{"event": "a", "measure": "uniques", "rolling": 3}], "interval": "hour",
            "range": {"from": at, "to": at}, "time_zone": "Asia/Kolkata", "breakdown": [{"property": "plan"}],
        }});
        let around = Surroundings { now_us: 1_749_945_600_000_000, data_us: (timestamp_us, timestamp_us + 1) };
        let case = Case { query, events, changes: Vec::new(), known: Vec::new(), around };
        for local in [0, 1] {
            let mut arrival = vec![0; 40];
            arrival[1] = local;
            assert_eq!(disagreement(&case, &arrival), None);
        }
    }
}

#[test]
fn values_of_odd_types_stay_readable() {
    let dir = tempfile::tempdir().unwrap();
    let db = Pugmark::open(dir.path()).unwrap();
    let number = Value::Number("12345678901234567890".into());
    let values: Vec<Value> = vec![1.into(), "one".into(), true.into(), 2.5.into(), number];
    for (at, value) in values.into_iter().enumerate() {
        let outcome = db.track(Event::new("e", format!("u{at}")).property("odd", value)).unwrap();
        assert!(matches!(outcome, Outcome::Accepted(_)));
        if at == 2 {
            db.flush().unwrap();
        }
    }
    let batches = db.blocking().unwrap().sql("SELECT prop('odd') AS odd FROM events ORDER BY sequence").unwrap();
    let shown = pugmark::arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string();
    for text in ["one", "true", "2.5", "12345678901234567890"] {
        assert!(shown.contains(text), "{text} is missing:\n{shown}");
    }
}

/// The segment of a question of who is in one, as it is put to the store.
fn segment_of(case: &Case) -> serde_json::Value {
    let audience = Audience::from_value(&question(case)["segment"]).unwrap();
    serde_json::to_value(audience.scope.segment.unwrap()).unwrap()
}

/// Without what is said of the question beside its answer: warnings are of what is asked together.
fn bare(mut answer: serde_json::Value) -> serde_json::Value {
    for beside in ["warnings", "explain", "history_from"] {
        answer.as_object_mut().unwrap().remove(beside);
    }
    answer
}

/// A list of segments has the answers that each has by itself, and a breakdown by one the numbers of those in it and of the others.
#[test]
fn several_segments_and_breakdowns_by_one_are_each_by_itself() {
    let config = ProptestConfig { cases: case_count(64), failure_persistence: None, ..ProptestConfig::default() };
    let arrivals = prop::collection::vec(any::<u8>(), 40);
    let kinds = prop_oneof![Just("trend"), Just("funnel"), Just("retention"), Just("stickiness")];
    let asked = kinds.prop_flat_map(|kind| (Just(kind), cases(kind), cases("segment"), cases("segment")));
    let seen = Cell::new([0_u32; 2]);
    let checked = TestRunner::new(config).run(&(asked, arrivals), |((kind, case, one, other), arrival)| {
        let (_dir, db, _) = stored(&case, &arrival);
        let ask = |question: &serde_json::Value| {
            serde_json::to_value(db.blocking().unwrap().query_json(&question.to_string()).unwrap()).unwrap()
        };
        let (one, other) = (segment_of(&one), segment_of(&other));
        let with = |segment: serde_json::Value| {
            let mut question = question(&case);
            question[kind]["segment"] = segment;
            question
        };
        let mut named = other.clone();
        named["name"] = "the others".into();
        let named = serde_json::json!([one, named]);
        let both = ask(&with(named));
        let titles: Vec<&str> =
            both["segments"].as_array().unwrap().iter().map(|own| own["segment"].as_str().unwrap()).collect();
        prop_assert_eq!(titles, ["1", "the others"]);
        let alone = [ask(&with(one.clone())), ask(&with(other))];
        for (own, alone) in both["segments"].as_array().unwrap().iter().zip(alone.clone()) {
            prop_assert_eq!(bare(own["answer"].clone()), bare(alone));
        }
        if !matches!(kind, "trend" | "funnel") {
            return Ok(());
        }
        let people = |segment: serde_json::Value| {
            let mut question = with(segment);
            let own = question[kind].as_object_mut().unwrap();
            // A group of several people is in a segment by the row.
            for other in ["unit", "breakdown", "compare", "limit", "at", "people", "trend"] {
                own.remove(other);
            }
            question
        };
        let mut cut = people(serde_json::Value::Null);
        cut[kind].as_object_mut().unwrap().remove("segment");
        cut[kind]["breakdown"] = serde_json::json!([{"segment": one}]);
        let cut = ask(&cut);
        for (is_in, segment) in [(true, one.clone()), (false, serde_json::json!({"not": one}))] {
            let alone = ask(&people(segment));
            let numbers = |answer: &serde_json::Value, group: Option<bool>| -> Vec<serde_json::Value> {
                let is_it =
                    |own: &&serde_json::Value| group.is_none_or(|group| own["breakdown"] == serde_json::json!([group]));
                match kind {
                    "trend" => {
                        let all = answer["series"].as_array().unwrap().iter().filter(is_it);
                        all.map(|own| serde_json::json!([own["name"], own["values"], own["frequency"], own["total"]]))
                            .collect()
                    }
                    _ => {
                        let groups = answer["groups"].as_array().unwrap().iter().filter(is_it);
                        groups.map(|own| own["steps"].clone()).collect()
                    }
                }
            };
            let (found, expected) = (numbers(&cut, Some(is_in)), numbers(&alone, None));
            // A group that nobody is in does not appear.
            if found.len() == expected.len() {
                let mut counts = seen.get();
                counts[usize::from(is_in)] += 1;
                seen.set(counts);
                prop_assert_eq!(found, expected, "{} of {}", is_in, people(one.clone()));
            } else if found.is_empty() {
                let counts = expected.iter().flat_map(|own| match kind {
                    "trend" => vec![own[3].as_f64()],
                    _ => own.as_array().unwrap().iter().map(|step| step["count"].as_f64()).collect(),
                });
                prop_assert!(counts.flatten().all(|count| count == 0.0), "{expected:?} of {}", people(one.clone()));
            }
        }
        Ok(())
    });
    if let Err(failure) = checked {
        panic!("{failure}");
    }
    let [others, own] = seen.get();
    assert!(are_enough(own.min(others)), "{own} and {others} of {} were compared", case_count(64));
}
