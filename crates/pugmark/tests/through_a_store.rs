//! Trend, funnel and retention through a whole store against the oracle: links, late arrival, files and tail, values of
//! odd types.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test program has no outside and fails by panicking")]

#[path = "../../query/tests/oracle/cases.rs"]
mod cases;
#[path = "../../query/tests/oracle/mod.rs"]
mod oracle;

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use cases::{Case, case_count, cases};
use oracle::{FLIPS, OracleEvent, Rules, Scalar};
use proptest::{prelude::*, test_runner::TestRunner};
use pugmark::{
    Declaration, EngineOptions, Entry, Event, EventNames, ManualClock, Operation, Options, Outcome, Pugmark,
    SizeTiered, StoreOptions, Timestamp, Value,
};

/// How a case comes into its store: a byte for each event says as whom its unit sends it, and what happens beside it.
type Arrival = Vec<u8>;

const IDS_OF_A_UNIT: u8 = 3;

fn id_of(unit: u32, which: u8) -> String {
    format!("{unit}-{}", which % IDS_OF_A_UNIT)
}

fn event(number: usize, event: &OracleEvent, which: u8) -> Event {
    let mut sent = Event::new(event.event.as_str(), id_of(event.unit, which))
        .message_id(format!("m{number}"))
        .at(Timestamp::from_microsecond(event.timestamp_us));
    for (name, value) in &event.properties {
        match value {
            Some(Scalar::Text(text)) => sent = sent.property(name.as_str(), text.as_str()),
            // Whole numbers are sent as such: the column of a property changes its type on the way.
            Some(Scalar::Number(number)) if number.fract() == 0.0 => {
                sent = sent.property(name.as_str(), *number as i64);
            }
            Some(Scalar::Number(number)) => sent = sent.property(name.as_str(), *number),
            None => {}
        }
        // A filter reads the typed column, which holds values of one type: it gets one for each type that the cases mix.
        sent = match value {
            Some(Scalar::Text(text)) => sent.property(format!("{name}_text"), text.as_str()),
            Some(Scalar::Number(number)) => sent.property(format!("{name}_number"), *number),
            None => sent,
        };
    }
    sent
}

/// The question as it is put to the store: its filters read the columns that [`event`] adds.
fn question(case: &Case) -> String {
    let mut query = case.query.clone();
    query["explain"] = true.into();
    let mut text = query.to_string();
    for (plain, typed) in [
        ("plan = 'x'", "plan_text = 'x'"),
        ("plan = 0", "plan_number = 0"),
        ("amount > 1", "amount_number > 1"),
        ("amount < 3", "amount_number < 3"),
    ] {
        text = text.replace(plain, typed);
    }
    text
}

/// The ids of each unit are linked in a chain, in the way and at the places that `arrival` says.
fn link(unit: u32, from: u8, arrival: u8) -> Entry {
    let (id, to) = (id_of(unit, from), id_of(unit, from + 1));
    // Only the last id of a unit is ever known, so that nothing is refused.
    if from + 2 == IDS_OF_A_UNIT && arrival.is_multiple_of(2) {
        Operation::Identify { anonymous_id: id, user_id: to }.into()
    } else {
        Operation::Alias { id, to }.into()
    }
}

fn fill(db: &Pugmark, case: &Case, arrival: &Arrival) {
    let byte = |at: usize| arrival[at % arrival.len()];
    let mut links: Vec<Entry> = Vec::new();
    for unit in 1..=4 {
        links.extend((0..IDS_OF_A_UNIT - 1).map(|from| link(unit, from, byte(unit as usize))));
    }
    let mut events = case.events.clone();
    events.sort_by_key(|event| event.sequence);
    let mut batch: Vec<Entry> = Vec::new();
    for (at, one) in events.iter().enumerate() {
        batch.push(event(at, one, byte(at)).into());
        let chance = byte(at + 7);
        if chance.is_multiple_of(4) {
            batch.extend(links.pop());
        }
        if chance.is_multiple_of(3) {
            append(db, &mut batch);
        }
        if chance.is_multiple_of(11) {
            append(db, &mut batch);
            db.flush().unwrap();
        }
        // Before, between or after files: what follows from it is then there for those that are there.
        if at == usize::from(byte(4)) % events.len() && !byte(3).is_multiple_of(3) {
            append(db, &mut batch);
            db.declare(&Declaration::new("all", "*").dimension("plan").dimension("amount").measure("amount")).unwrap();
            let texts = Declaration::new("texts", EventNames::Many(vec!["a".into(), "b".into(), "d".into()]));
            let texts = texts.dimension("plan_text").dimension("plan").dimension("amount").measure("plan");
            db.declare(&texts).unwrap();
        }
        if chance.is_multiple_of(13) {
            append(db, &mut batch);
            db.compact().unwrap();
        }
    }
    batch.extend(links);
    append(db, &mut batch);
}

fn append(db: &Pugmark, batch: &mut Vec<Entry>) {
    let outcomes = db.append(std::mem::take(batch)).unwrap();
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Accepted(_))), "{outcomes:?}");
}

/// By the operators of this machine or by plans of standard ones, over files as they were flushed or merged: `arrival` chooses.
fn open(dir: &std::path::Path, case: &Case, arrival: &Arrival) -> Pugmark {
    let store = StoreOptions {
        clock: Arc::new(ManualClock::new(Timestamp::from_microsecond(case.around.now_us))),
        future_limit: Duration::from_secs(1_000 * 86_400),
        ..StoreOptions::default()
    };
    let local_operators = !arrival[1].is_multiple_of(4);
    let engine = EngineOptions { local_operators, ..EngineOptions::default() };
    let target_rows = if arrival[2].is_multiple_of(2) { 1_000 } else { 0 };
    let merge = Arc::new(SizeTiered { target_rows, files_min: 2 });
    Pugmark::open_with(dir, Options { store, engine, merge, ..Options::default() }).unwrap()
}

fn disagreement(case: &Case, arrival: &Arrival) -> Option<String> {
    disagreement_seen(case, arrival, &Cell::default())
}

/// `by_cubes` says whether the answer came from what is declared.
fn disagreement_seen(case: &Case, arrival: &Arrival, by_cubes: &Cell<bool>) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let mut db = open(dir.path(), case, arrival);
    fill(&db, case, arrival);
    if arrival[0].is_multiple_of(5) {
        db.close().unwrap();
        db = open(dir.path(), case, arrival);
    }
    let found = db.blocking().unwrap().query_json(&question(case)).unwrap();
    let found = serde_json::to_value(&found).unwrap();
    let plan = found["explain"]["plan"].as_str().unwrap_or_default();
    by_cubes.set(plan.contains("declared") && !plan.contains("cubes=0"));
    let oracle = |rules| oracle::answer(&case.query, &case.events, case.around, rules);
    let difference = oracle::difference(&found, &oracle(Rules::TRUE))?;
    let explained: Vec<&str> = FLIPS
        .iter()
        .filter(|(flip, ..)| oracle::difference(&found, &oracle(Rules::flipping(*flip))).is_none())
        .map(|(_, _, rule)| *rule)
        .collect();
    Some(format!(
        "{difference}\nas if: {explained:?}\nquery: {}\nevents: {:#?}\narrival: {arrival:?}",
        case.query, case.events
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

/// In UTC, over whole days and with everything declared: as cubes tell it.
#[test]
fn trend_of_what_is_declared_agrees_with_the_oracle() {
    let config = ProptestConfig { cases: case_count(64), failure_persistence: None, ..ProptestConfig::default() };
    let arrivals = prop::collection::vec(any::<u8>(), 40);
    let cut = Cell::new(0);
    let checked = TestRunner::new(config).run(&(cases("trend"), arrivals), |(mut case, mut arrival)| {
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
    assert!(cut.get() > case_count(64) / 16, "{} of {} were answered by cubes", cut.get(), case_count(64));
}

#[test]
fn funnel_through_a_store_agrees_with_the_oracle() {
    agrees("funnel");
}

#[test]
fn retention_through_a_store_agrees_with_the_oracle() {
    agrees("retention");
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
