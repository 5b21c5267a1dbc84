//! A store with everything that changes its files (appends of both durabilities, duplicates on their way, rotation, flushes, links, profiles, groups,
//! imports, erasure, retraction, expiry, backups, lost indexes) that stops at any operation: what is found is a state of its history, with all that was promised.
//!
//! `PUGMARK_STOPS` says of how many histories every operation is stopped at; without it, of one at some.

mod answers;
mod history;
mod workload;

use std::collections::BTreeSet;
use std::ops::RangeFrom;

use pugmark::{Outcome, Pugmark};
use pugmark_store::SimulatedStorage;
use pugmark_store::simulated::Loss;

use answers::answers;
use history::{Given, State, instant, secret_of};
use workload::{COPIES, DIR, History, Known, disk, options, run};

const STEPS: usize = 45;

/// Opens what is found, and holds it against the states of the history that it may be in. Everything sent is sent again.
fn check(found: &SimulatedStorage, history: &History, known: Known, lost: bool, what: &str) {
    let db = Pugmark::open_with(DIR, options(found, false)).unwrap_or_else(|e| panic!("{what}: {e}"));
    let shown = answers(&db).unwrap_or_else(|e| panic!("{what}: {e}"));
    let least = if lost { known.durable } else { known.done };
    let states = &history.states[least..=known.begun];
    let Some(state) = states.iter().rev().find(|state| state.difference(&shown).is_none()) else {
        let last = states.last().and_then(|state| state.difference(&shown));
        panic!("{what}: none of the states {least} to {}; from the last: {}", known.begun, last.unwrap_or_default())
    };
    let report = db.verify(false, |_| {}).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert!(report.is_clean(), "{what}: {:?}", report.findings);
    if !report.unchecked.is_empty() {
        // An expiry was under way.
        db.expire(instant(state.horizon)).unwrap_or_else(|e| panic!("{what}: {e}"));
        let shown = answers(&db).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(state.difference(&shown), None, "{what}: the expiry gone on with");
        let report = db.verify(false, |_| {}).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert!(report.is_clean() && report.unchecked.is_empty(), "{what}: {report:?}");
    }
    check_erased(found, state, what);

    let mut sent: Vec<&Given> = history.states.iter().flat_map(|state| &state.events).map(|(event, _)| event).collect();
    sent.sort();
    sent.dedup_by_key(|event| &event.id);
    // Another content under the id of what was retracted is a first one, or not, by when the run stopped.
    sent.retain(|event| state.content(&event.id).is_none_or(|stored| stored == *event));
    let was_erased = |who: &String| history.states[..=known.begun].iter().any(|state| state.erased.contains(who));
    let outcomes = db.track_many(sent.iter().map(|event| event.to_event()).collect());
    for (event, outcome) in sent.iter().zip(outcomes.unwrap_or_else(|e| panic!("{what}: {e}"))) {
        let is_taken = state.content(&event.id).is_some();
        let is_right = match outcome {
            Outcome::Duplicate => is_taken,
            Outcome::Accepted(_) => !is_taken,
            Outcome::Rejected(_) => (!is_taken || state.is_perhaps_free(&event.id)) && event.hour < state.horizon,
            // Of what has expired only a hash is left, in which somebody who was erased is another than who comes back.
            Outcome::Conflict(None) => is_taken && event.hour < state.horizon && was_erased(&event.who),
            _ => false,
        };
        assert!(is_right, "{what}: sent again, {event:?} is {outcome}");
    }
    db.close().unwrap_or_else(|e| panic!("{what}: {e}"));
}

/// Of people who are gone no byte is found, but in a copy that was made before.
fn check_erased(found: &SimulatedStorage, state: &State, what: &str) {
    for who in &state.erased {
        let mut places = found.files_with(secret_of(who).as_bytes());
        places.retain(|path| path.starts_with(DIR));
        assert!(places.is_empty(), "{what}: {who} is erased and stands in {places:?}");
    }
}

/// A copy opens with what the store held when it was made.
fn check_copy(found: &SimulatedStorage, history: &History, copied: usize, what: &str) {
    let db = Pugmark::open_with(COPIES, options(found, false)).unwrap_or_else(|e| panic!("{what}: the copy: {e}"));
    let shown = answers(&db).unwrap_or_else(|e| panic!("{what}: the copy: {e}"));
    assert_eq!(history.states[copied].difference(&shown), None, "{what}: the copy");
    db.close().unwrap_or_else(|e| panic!("{what}: the copy: {e}"));
}

/// Runs a history and stops it at every `step`th operation, with every kind of loss. Says how often.
fn sweep(history: &History, background: bool, step: usize) -> u64 {
    let seed = history.seed;
    let storage = disk();
    let before = storage.operations();
    run(&storage, history, background).unwrap();
    let journal = storage.journal();
    let mut stops = 0;
    for (place, loss) in Loss::ALL.into_iter().enumerate() {
        for number in (before..=journal.operations()).skip(place * step / 4).step_by(step) {
            let what = format!("history {seed}, {loss:?} after operation {number} ({})", journal.step(number).unwrap());
            let marks = journal.marks_through(number);
            let known = Known::of(marks);
            check(&journal.stop_after(number, loss, seed), history, known, loss != Loss::Nothing, &what);
            if let (Some(copied), false) = (known.copied, known.copying) {
                check_copy(&journal.stop_after(number, loss, seed), history, copied, &what);
            }
            stops += 1;
        }
    }
    stops
}

#[expect(clippy::print_stdout, reason = "a sweep says how far it went")]
fn histories(of: RangeFrom<u64>, background: bool) {
    let every = std::env::var("PUGMARK_STOPS").map(|count| count.parse::<usize>().expect("a number")).ok();
    let all = of.map(|seed| History::of(seed, STEPS));
    // A single one has what is hardest to stop in.
    let has =
        |history: &History| ["Erase", "Plan", "Split"].iter().all(|kind| history.kinds().iter().any(|own| own == kind));
    let histories: Vec<History> = match every {
        Some(count) => all.take(count).collect(),
        None => all.filter(has).take(1).collect(),
    };
    let kinds: BTreeSet<String> = histories.iter().flat_map(History::kinds).collect();
    assert!(every.is_none_or(|count| count < 4) || kinds.len() == 16, "{kinds:?}");
    let step = if every.is_some() { 1 } else { 41 };
    let stops: u64 = histories.iter().map(|history| sweep(history, background, step)).sum();
    println!("{stops} stops, {kinds:?}");
    assert!(stops > 100, "{stops}");
}

/// Without a stop, so that there is time for many.
#[test]
fn what_is_done_without_a_stop_is_what_the_history_says() {
    let count = std::env::var("PUGMARK_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(64);
    for seed in 1_000..1_000 + count {
        run(&disk(), &History::of(seed, STEPS), false).unwrap_or_else(|e| panic!("history {seed}: {e}"));
    }
}

#[test]
fn a_stop_at_any_operation_leaves_a_state_of_the_history() {
    histories(1.., false);
}

#[test]
fn a_stop_while_threads_work_in_the_background_leaves_a_state_of_the_history() {
    histories(104.., true);
}
