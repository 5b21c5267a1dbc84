//! Lists of people against a naive recount: sorted, paged and searched, of a store in which things go on happening.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use pugmark::arrow::array::{Array, AsArray};
use pugmark::arrow::datatypes::{Float64Type, UInt32Type, UInt64Type};
use pugmark::{
    Declaration, Did, EngineOptions, Event, Found, ManualClock, Match, Note, Options, Outcome, People, PersonRow,
    ProfileUpdate, Pugmark, Query, QueryResult, Search, SearchIn, SortBy, SortDirection, StoreOptions, Timestamp,
};

const MINUTE_US: i64 = 60_000_000;
const DAY_US: i64 = 1_440 * MINUTE_US;
const NOON: i64 = 1_735_732_800_000_000;
const IDS: u8 = 7;
/// Read by its own traits: no other is like it, and case tells nothing.
const TEXTS: [&str; 6] = ["Ann", "ann@x", "bob", "ANNA", "x", "7"];

fn open(dir: &Path, local_operators: bool) -> Pugmark {
    let clock = Arc::new(ManualClock::new(Timestamp::from_microsecond(NOON + 100 * DAY_US)));
    let store = StoreOptions { clock, ..StoreOptions::default() };
    let engine = EngineOptions { local_operators, ..EngineOptions::default() };
    Pugmark::open_with(dir, Options { store, engine, ..Options::default() }).unwrap()
}

/// One event as it was sent.
#[derive(Debug, Clone)]
struct Sent {
    id: u8,
    minute: i64,
    session: Option<u8>,
    amount: Option<i32>,
}

#[derive(Debug, Clone)]
enum Step {
    Track(Vec<Sent>),
    Identify(u8, u8),
    Merge(u8, u8),
    Split(u8),
    Erase(u8),
    Set(u8, bool, usize),
    /// What was sent in the session of this number.
    Retract(u8),
    /// What happened before this minute.
    Expire(i64),
    Flush,
    Compact,
    Reopen,
    Ask,
}

fn step() -> impl Strategy<Value = Step> {
    let minute = prop_oneof![0..200_i64, (0..5_i64).prop_map(|day| day * 1_440), 0..4_000_i64];
    let session = prop::option::weighted(0.3, 0..3_u8);
    let sent = (0..IDS, minute, session, prop::option::of(-5..50_i32)).prop_map(|(id, minute, session, amount)| Sent {
        id,
        minute,
        session,
        amount,
    });
    prop_oneof![
        6 => prop::collection::vec(sent, 1..6).prop_map(Step::Track),
        2 => (0..IDS, 0..IDS).prop_map(|(a, b)| Step::Identify(a, b)),
        1 => (0..IDS, 0..IDS).prop_map(|(a, b)| Step::Merge(a, b)),
        1 => (0..IDS).prop_map(Step::Split),
        1 => (0..IDS).prop_map(Step::Erase),
        3 => (0..IDS, any::<bool>(), 0..TEXTS.len()).prop_map(|(id, email, text)| Step::Set(id, email, text)),
        1 => (0..3_u8).prop_map(Step::Retract),
        1 => (0..1_500_i64).prop_map(Step::Expire),
        1 => Just(Step::Flush),
        1 => Just(Step::Compact),
        1 => Just(Step::Reopen),
        4 => Just(Step::Ask),
    ]
}

fn id(number: u8) -> String {
    format!("{}-{number}", ["Ann", "bob", "x7"][usize::from(number % 3)])
}

/// What is said of somebody.
#[derive(Debug, Clone, PartialEq)]
struct Done {
    first: Option<i64>,
    last: Option<i64>,
    events: u64,
    sessions: u32,
    days: u32,
    revenue: f64,
}

/// Counted by the words of the definition.
fn done(events: &[&Sent]) -> Done {
    let mut minutes: Vec<i64> = events.iter().map(|event| event.minute).collect();
    minutes.sort_unstable();
    let of_senders: BTreeSet<u8> = events.iter().filter_map(|event| event.session).collect();
    let mut others: Vec<i64> =
        events.iter().filter(|event| event.session.is_none()).map(|event| event.minute).collect();
    others.sort_unstable();
    let cut = others.windows(2).filter(|pair| pair[1] - pair[0] > 30).count() + usize::from(!others.is_empty());
    let days: BTreeSet<i64> = minutes.iter().map(|minute| (NOON + minute * MINUTE_US) / DAY_US).collect();
    Done {
        first: minutes.first().copied(),
        last: minutes.last().copied(),
        events: events.len() as u64,
        sessions: (of_senders.len() + cut) as u32,
        days: days.len() as u32,
        revenue: events.iter().filter_map(|event| event.amount).map(|amount| f64::from(amount) / 4.0).sum(),
    }
}

fn said(row: &PersonRow) -> Done {
    let totals = row.totals;
    let minute = |us: i64| (totals.events > 0).then(|| (us - NOON) / MINUTE_US);
    Done {
        first: minute(totals.first_seen_us),
        last: minute(totals.last_seen_us),
        events: totals.events,
        sessions: totals.sessions,
        days: totals.days_active,
        revenue: totals.revenue,
    }
}

/// Everybody, page by page.
fn pages(db: &Pugmark, question: &People, as_of: Option<u64>) -> Vec<PersonRow> {
    let mut all = Vec::new();
    let mut question = question.clone();
    loop {
        let query = Query { as_of, ..Query::from(question.clone()) };
        let QueryResult::People(page) = db.blocking().unwrap().query(&query).unwrap() else { panic!("not people") };
        assert!(page.people.len() == question.limit || page.next.is_none());
        all.extend(page.people);
        let Some(next) = page.next else { return all };
        question = question.cursor(next);
    }
}

/// The persons as the ids of each, of all that were seen.
fn persons(db: &Pugmark, seen: &BTreeSet<String>) -> BTreeMap<String, BTreeSet<String>> {
    seen.iter()
        .filter_map(|id| db.person(id).unwrap())
        .map(|person| (person.name, person.ids.into_iter().map(|id| id.id).collect()))
        .collect()
}

fn check(db: &Pugmark, events: &[Sent], seen: &BTreeSet<String>) {
    let persons = persons(db, seen);
    let expected: BTreeMap<&String, Done> = persons
        .iter()
        .map(|(name, ids)| (name, done(&events.iter().filter(|event| ids.contains(&id(event.id))).collect::<Vec<_>>())))
        .collect();
    for sort in
        [SortBy::LastSeen, SortBy::FirstSeen, SortBy::Events, SortBy::Sessions, SortBy::DaysActive, SortBy::Revenue]
    {
        for direction in [SortDirection::Descending, SortDirection::Ascending] {
            let question = People { direction, ..People::new().sort(sort).limit(3) };
            let listed = pages(db, &question, None);
            let found: BTreeMap<&String, Done> = listed.iter().map(|row| (&row.person, said(row))).collect();
            assert_eq!(found, expected, "{sort:?}");
            assert_eq!(listed.len(), expected.len(), "{sort:?}");
            let key = |row: &PersonRow| {
                let done = said(row);
                match sort {
                    SortBy::LastSeen => done.last.map(|minute| minute as f64),
                    SortBy::FirstSeen => done.first.map(|minute| minute as f64),
                    SortBy::Events => Some(done.events as f64),
                    SortBy::Sessions => Some(f64::from(done.sessions)),
                    SortBy::DaysActive => Some(f64::from(done.days)),
                    SortBy::Revenue => Some(done.revenue),
                }
            };
            let sign = if direction == SortDirection::Descending { -1.0 } else { 1.0 };
            let place = |row: &PersonRow| (key(row).is_none(), key(row).map_or(0.0, |key| key * sign), row.number);
            assert!(listed.is_sorted_by(|a, b| place(a) < place(b)), "{sort:?} {direction:?}: {listed:?}");
            assert!(listed.iter().all(|row| row.ids as usize == persons[&row.person].len()));
        }
    }
    // The table says the same of everybody.
    let table =
        db.blocking().unwrap().sql("SELECT name, events, sessions, days_active, revenue, person FROM persons").unwrap();
    let mut rows = 0;
    for batch in &table {
        let (events, sessions) =
            (batch.column(1).as_primitive::<UInt64Type>(), batch.column(2).as_primitive::<UInt32Type>());
        let (days, revenue) =
            (batch.column(3).as_primitive::<UInt32Type>(), batch.column(4).as_primitive::<Float64Type>());
        for (row, name) in batch.column(0).as_string::<i32>().iter().enumerate() {
            let done = &expected[&name.unwrap().to_owned()];
            let told = (events.value(row), sessions.value(row), days.value(row), revenue.value(row));
            assert_eq!(told, (done.events, done.sessions, done.days, done.revenue));
            rows += 1;
        }
    }
    assert_eq!(rows, expected.len());
    let buyers = People::of(Did::event("buy")).sort(SortBy::Events);
    let found: BTreeSet<String> = pages(db, &buyers, None).into_iter().map(|row| row.person).collect();
    let has_done = expected.iter().filter(|(_, done)| done.events > 0).map(|(name, _)| (*name).clone());
    assert_eq!(found, has_done.collect());
    check_search(db, &persons);
}

/// Whoever is found has it, and whoever has it is found.
fn check_search(db: &Pugmark, persons: &BTreeMap<String, BTreeSet<String>>) {
    let table = "SELECT name, profile('email') AS email, profile('note') AS note FROM persons";
    let mut traits: BTreeMap<String, Vec<(&str, Option<String>)>> = BTreeMap::new();
    for batch in db.blocking().unwrap().sql(table).unwrap() {
        let column = |at: usize| {
            pugmark::arrow::compute::cast(batch.column(at), &pugmark::arrow::datatypes::DataType::Utf8).unwrap()
        };
        let columns = [column(0), column(1), column(2)];
        let text = |at: usize, row: usize| {
            let texts = columns[at].as_string::<i32>();
            texts.is_valid(row).then(|| texts.value(row).to_owned())
        };
        for row in 0..batch.num_rows() {
            traits.insert(text(0, row).unwrap(), vec![("email", text(1, row)), ("note", text(2, row))]);
        }
    }
    for wanted in ["ann", "ANN@", "7", "ob", "x7-2"] {
        for by in [Match::Exact, Match::Prefix, Match::Contains] {
            for within in [SearchIn::Anywhere, SearchIn::Ids, SearchIn::Trait("email".to_owned())] {
                let holds = |text: &str| {
                    let (text, wanted) = (text.to_lowercase(), wanted.to_lowercase());
                    match by {
                        Match::Exact => text == wanted,
                        Match::Prefix => text.starts_with(&wanted),
                        Match::Contains => text.contains(&wanted),
                    }
                };
                let has = |name: &String| {
                    let by_id = persons[name].iter().any(|id| holds(id));
                    let by_trait = |only: Option<&str>| {
                        let mut own = traits[name].iter().filter(|(of, _)| only.is_none_or(|only| only == *of));
                        own.any(|(_, value)| value.as_deref().is_some_and(holds))
                    };
                    match &within {
                        SearchIn::Anywhere => by_id || by_trait(None),
                        SearchIn::Ids => by_id,
                        SearchIn::Trait(name) => by_trait(Some(name)),
                    }
                };
                let search = Search { text: wanted.to_owned(), by, within: within.clone() };
                let found = pages(db, &People::new().search(search).show("email").limit(2), None);
                let names: BTreeSet<&String> = found.iter().map(|row| &row.person).collect();
                assert_eq!(names, persons.keys().filter(|name| has(name)).collect(), "{wanted} {by:?} {within:?}");
                assert_eq!(names.len(), found.len());
                for row in &found {
                    assert_eq!(
                        row.traits.get("email").and_then(|email| email.as_str()),
                        traits[&row.person][0].1.as_deref()
                    );
                    match row.found.as_ref().unwrap() {
                        Found::Id(id) => assert!(persons[&row.person].contains(id) && holds(id)),
                        Found::Trait { name, value } => {
                            assert!(holds(value));
                            assert!(
                                traits[&row.person]
                                    .contains(&(if name == "email" { "email" } else { "note" }, Some(value.clone())))
                            );
                        }
                    }
                }
            }
        }
    }
}

fn cases() -> u32 {
    std::env::var("PUGMARK_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases() / 4) })]

    #[test]
    fn lists_of_people_are_those_of_a_naive_recount(
        steps in prop::collection::vec(step(), 1..40),
        local in prop::bool::weighted(0.8),
        declared in 0..40_usize,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut db = open(dir.path(), local);
        let (mut events, mut seen): (Vec<Sent>, BTreeSet<String>) = Default::default();
        let mut then: Option<(u64, Vec<PersonRow>)> = None;
        let mut horizon = i64::MIN;
        for (at, step) in steps.iter().chain([&Step::Ask]).enumerate() {
            if at == declared % steps.len() {
                db.declare(&Declaration::new("income", "buy").revenue("amount")).unwrap();
            }
            match step {
                Step::Track(sent) => {
                    let made = sent.iter().map(|sent| {
                        let event = Event::new("buy", id(sent.id)).at(Timestamp::from_microsecond(NOON + sent.minute * MINUTE_US));
                        let event = sent.session.into_iter().fold(event, |event, session| event.session(format!("s{session}")));
                        sent.amount.into_iter().fold(event, |event, amount| event.property("amount", f64::from(amount) / 4.0))
                    });
                    let outcomes = db.track_many(made.collect()).unwrap();
                    for (sent, outcome) in sent.iter().zip(outcomes) {
                        let is_late = sent.minute < horizon;
                        let is_right = match outcome {
                            Outcome::Accepted(_) => !is_late,
                            Outcome::Rejected(_) => is_late,
                            _ => false,
                        };
                        prop_assert!(is_right);
                        if !is_late {
                            seen.insert(id(sent.id));
                            events.push(sent.clone());
                        }
                    }
                }
                Step::Identify(a, b) => {
                    db.identify(id(*a), id(*b)).unwrap();
                    seen.extend([id(*a), id(*b)]);
                }
                Step::Merge(a, b) if a != b => {
                    db.merge([id(*a), id(*b)], Note::default()).unwrap();
                    seen.extend([id(*a), id(*b)]);
                }
                Step::Split(a) => {
                    db.split(id(*a), Note::default()).unwrap();
                }
                Step::Erase(a) => {
                    let gone: Vec<String> = db.person(&id(*a)).unwrap().map_or_else(Vec::new, |person| person.ids.into_iter().map(|id| id.id).collect());
                    if !gone.is_empty() {
                        db.erase(&[id(*a)]).unwrap();
                        events.retain(|event| !gone.contains(&id(event.id)));
                        // What was so before is not so any more.
                        then = None;
                    }
                }
                Step::Set(a, email, text) => {
                    db.update_profile(ProfileUpdate::set(id(*a)).with(if *email { "email" } else { "note" }, TEXTS[*text])).unwrap();
                    seen.insert(id(*a));
                }
                Step::Retract(session) => {
                    db.blocking().unwrap().retract(&format!("session_id = 's{session}'")).unwrap();
                    events.retain(|event| event.session != Some(*session));
                    then = None;
                }
                Step::Expire(minute) if *minute > horizon => {
                    db.expire(Timestamp::from_microsecond(NOON + minute * MINUTE_US)).unwrap();
                    horizon = *minute;
                    events.retain(|event| event.minute >= horizon);
                    then = None;
                }
                Step::Flush => db.flush().unwrap(),
                Step::Compact => db.compact().unwrap(),
                Step::Reopen => {
                    db.close().unwrap();
                    db = open(dir.path(), local);
                }
                Step::Ask if at >= declared % steps.len() => {
                    check(&db, &events, &seen);
                    if let Some((sequence, rows)) = &then {
                        let question = People::new().sort(SortBy::Sessions).limit(4);
                        prop_assert_eq!(&pages(&db, &question, Some(*sequence)), rows);
                    }
                    let sequence = db.info().unwrap().sequence;
                    if sequence > 0 {
                        then = Some((sequence, pages(&db, &People::new().sort(SortBy::Sessions).limit(4), None)));
                    }
                }
                Step::Ask | Step::Merge(..) | Step::Expire(_) => {}
            }
        }
    }
}
