//! People: links a second, who somebody is, lists and searches beside many profiles. `PUGMARK_BENCH_PEOPLE` says how many people there are (20,000 if it does not);
//! each has five events, an e-mail address and a plan, and one in two a second id. Rates of filling are printed.

#![allow(missing_docs)]
#![expect(clippy::print_stderr, reason = "rates beside the times of the benches")]
#![expect(clippy::disallowed_methods, reason = "a bench measures")]

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::Instant;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use pugmark::{AppendOptions, Entry, Event, Operation, People, ProfileUpdate, Pugmark, Search, SortBy, Timestamp};
use pugmark_benches::Dice;

const PEOPLE: u64 = 20_000;
const BATCH: u64 = 10_000;
const IN_FLIGHT: usize = 4;
const START_US: i64 = 1_735_689_600_000_000;

fn people() -> u64 {
    std::env::var("PUGMARK_BENCH_PEOPLE").ok().and_then(|count| count.parse().ok()).unwrap_or(PEOPLE)
}

fn user(number: u64) -> String {
    format!("user-{number:07}")
}

fn email(number: u64) -> String {
    format!("{:05x}.person{number}@example{}.org", number.wrapping_mul(0x9E37_79B9) % 0xF_FFFF, number % 50)
}

fn view(dice: &mut Dice, count: u64) -> Event {
    let at = START_US + (dice.roll() % (90 * 86_400_000_000)) as i64;
    Event::new("view", user(dice.roll() % count)).at(Timestamp::from_microsecond(at))
}

/// Appends everything in batches, and says how much a second.
fn fill(db: &Pugmark, what: &str, count: u64, mut entry: impl FnMut(u64) -> Entry) {
    let mut in_flight = VecDeque::new();
    let begun = Instant::now();
    let mut making = 0.0;
    for first in (0..count).step_by(BATCH as usize) {
        let before = Instant::now();
        let batch: Vec<Entry> = (first..count.min(first + BATCH)).map(&mut entry).collect();
        making += before.elapsed().as_secs_f64();
        in_flight.push_back(db.submit(batch, &AppendOptions::default()).expect("is taken"));
        while in_flight.len() > IN_FLIGHT {
            in_flight.pop_front().expect("there is one").wait().expect("stores");
        }
    }
    in_flight.into_iter().for_each(|pending| drop(pending.wait().expect("stores")));
    let took = begun.elapsed().as_secs_f64();
    eprintln!(
        "{what}: {count} durable in {took:.2} s, {:.0} a second, {making:.2} s of it to make them here",
        count as f64 / took
    );
}

fn lists(c: &mut Criterion) {
    let count = people();
    let dir = tempfile::tempdir().expect("a directory");
    let db = Pugmark::open(dir.path()).expect("opens");
    let mut dice = Dice::new(7);
    fill(&db, "events", count * 5, |_| view(&mut dice, count).into());
    fill(&db, "links", count, |n| Operation::identify(format!("device-{n}"), user(n)).into());
    let plans = ["free", "pro", "team"];
    fill(&db, "changes of profiles", count, |n| {
        let plan = plans[(n % 3) as usize];
        Operation::Profile(ProfileUpdate::set(user(n)).with("email", email(n)).with("plan", plan)).into()
    });
    db.flush().expect("flushes");
    let ask = db.blocking().expect("a runtime");
    let first = Instant::now();
    ask.people(&People::new()).expect("answers");
    eprintln!("the first list: {:.3} s", first.elapsed().as_secs_f64());
    let first = Instant::now();
    ask.people(&People::new().search(Search::exact(email(7)))).expect("answers");
    eprintln!("the first search: {:.3} s", first.elapsed().as_secs_f64());

    let mut group = c.benchmark_group(format!("people/{count}"));
    group.sample_size(20);
    for (name, sort) in [("last_seen", SortBy::LastSeen), ("events", SortBy::Events), ("sessions", SortBy::Sessions)] {
        let question = People::new().sort(sort).show("email");
        group.bench_function(format!("list_by_{name}"), |b| {
            b.iter(|| black_box(ask.people(&question).expect("answers")))
        });
    }
    let page = ask.people(&People::new().sort(SortBy::Events).limit(1_000)).expect("answers");
    let second = People::new().sort(SortBy::Events).cursor(page.next.expect("there are more"));
    group.bench_function("list_next_page", |b| b.iter(|| black_box(ask.people(&second).expect("answers"))));
    let question = People::new();
    let mut arrive = || {
        let events: Vec<Event> = (0..1_000).map(|_| view(&mut dice, count)).collect();
        db.track_many(events).expect("stores");
    };
    group.bench_function("list_after_1000_events", |b| {
        b.iter_batched(&mut arrive, |()| black_box(ask.people(&question).expect("answers")), BatchSize::PerIteration);
    });
    let one = email(count / 3);
    let searches = [
        ("exact", Search::exact(one.clone()).in_trait("email")),
        ("prefix", Search::prefix(&one[..9]).in_trait("email")),
        ("prefix_of_many", Search::prefix("0").in_trait("email")),
        ("contains", Search::contains(format!("person{}@", count / 3))),
        ("id", Search::exact(user(count / 2)).in_ids()),
    ];
    for (name, search) in searches {
        let question = People::new().search(search);
        assert!(!ask.people(&question).expect("answers").people.is_empty(), "{name}");
        group.bench_function(format!("search_{name}"), |b| {
            b.iter(|| black_box(ask.people(&question).expect("answers")))
        });
    }
    let change = || db.update_profile(ProfileUpdate::set(user(5)).with("plan", "pro")).expect("stores");
    let exact = People::new().search(Search::exact(one).in_trait("email"));
    group.bench_function("search_after_a_change", |b| {
        b.iter_batched(change, |_| black_box(ask.people(&exact).expect("answers")), BatchSize::PerIteration);
    });
    let mut next = 0;
    group.bench_function("resolve_an_id", |b| {
        b.iter(|| {
            next = (next + 7_919) % count;
            black_box(db.person_number(&format!("device-{next}")).expect("reads"))
        });
    });
    group.finish();
}

criterion_group!(benches, lists);
criterion_main!(benches);
