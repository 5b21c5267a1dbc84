//! Who is who, through a whole store: what callers are told, what splits take back, and what of it restarts, rebuilds and earlier sequences see.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use pugmark::arrow::util::pretty::pretty_format_batches;
use pugmark::{
    Entry, Event, Funnel, Interval, ManualClock, Note, Operation, Options, Outcome, Pugmark, Query, QueryResult,
    Refusal, Sequence, SplitOf, StoreOptions, SuspectLimits, Timestamp, Trend,
};
use pugmark_store::{SimulatedStorage, Storage};

const DAY_US: i64 = 86_400_000_000;
const NOON: i64 = 1_735_732_800_000_000;

fn options() -> Options {
    let clock = Arc::new(ManualClock::new(Timestamp::from_microsecond(NOON + 100 * DAY_US)));
    Options { store: StoreOptions { clock, ..StoreOptions::default() }, ..Options::default() }
}

fn open(dir: &Path) -> Pugmark {
    Pugmark::open_with(dir, options()).unwrap()
}

/// What a caller is told of a refusal.
fn refused(outcome: Outcome) -> String {
    match outcome {
        Outcome::Refused(..) => outcome.to_string(),
        other => panic!("{other:?}"),
    }
}

fn ids_of(db: &Pugmark, id: &str) -> Vec<String> {
    db.person(id).unwrap().unwrap().ids.into_iter().map(|id| id.id).collect()
}

fn table(db: &Pugmark, statement: &str) -> String {
    pretty_format_batches(&db.blocking().unwrap().sql(statement).unwrap()).unwrap().to_string()
}

#[test]
fn well_known_wrong_ids_keep_their_events_and_are_never_linked() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let wrong = [
        "null",
        "UNDEFINED",
        "none",
        "nil",
        "0",
        "-1",
        "NaN",
        "true",
        "false",
        "anonymous",
        "guest",
        "[object Object]",
        "distinct_id",
        "00000000-0000-0000-0000-000000000000",
        "\"null\"",
        "'undefined'",
    ];
    for id in wrong {
        assert!(matches!(db.track(Event::new("view", id)).unwrap(), Outcome::Accepted(_)), "{id}");
        let told = "refused: wrong_id: the id is a well-known mistake, not a person";
        assert_eq!(refused(db.identify(id, "ann").unwrap()), told, "{id}");
        assert_eq!(refused(db.alias("ann", id).unwrap()), told, "{id}");
        assert_eq!(refused(db.merge([id, "ann", "bob"], Note::default()).unwrap()), told, "{id}");
        assert_eq!(ids_of(&db, id), [id]);
    }
    let Outcome::Rejected(blank) = db.identify(" ", "ann").unwrap() else { panic!("it is blank") };
    assert_eq!(blank.to_string(), "anonymous_id: missing or blank");
}

#[test]
fn a_shared_device_glues_nobody_together() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    db.identify("tablet", "ann").unwrap();
    let told = "refused: conflict: the two are known by different ids";
    assert_eq!(refused(db.identify("tablet", "bob").unwrap()), told);
    assert_eq!(ids_of(&db, "tablet"), ["tablet", "ann"]);
    assert_eq!(ids_of(&db, "bob"), ["bob"]);
    // Bob is known by it all the same, and so nobody's alias.
    assert_eq!(refused(db.alias("bob", "ann").unwrap()), told);
    let refusals = table(&db, "SELECT operation, ids, reason FROM identity_refusals ORDER BY sequence");
    assert!(refusals.contains(r#"| identify  | ["tablet","bob"] | conflict |"#), "{refusals}");
    assert!(refusals.contains(r#"| alias     | ["bob","ann"]    | conflict |"#), "{refusals}");
    assert_eq!(db.info().unwrap().refused, 2);
}

#[test]
fn two_logins_on_one_device_and_one_login_on_five_devices() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    db.identify("kiosk", "ann").unwrap();
    assert!(matches!(db.identify("kiosk", "bob").unwrap(), Outcome::Refused(_, Refusal::Conflict)));
    for device in 1..=5 {
        assert!(matches!(db.identify(format!("device-{device}"), "cat").unwrap(), Outcome::Accepted(_)));
    }
    let cat = db.person("device-3").unwrap().unwrap();
    assert_eq!((cat.name.as_str(), cat.ids.len(), cat.links), ("cat", 6, 5));
    for device in 1..=5 {
        db.track(Event::new("view", format!("device-{device}")).at(Timestamp::from_microsecond(NOON))).unwrap();
    }
    let suspects = db.blocking().unwrap().suspects(SuspectLimits::default()).unwrap();
    assert_eq!(suspects.len(), 1);
    assert_eq!((suspects[0].name.as_str(), suspects[0].ids, suspects[0].ids_in_a_day), ("cat", 6, 5));
}

#[test]
fn aliases_in_a_loop_are_one_person() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    for (a, b) in [("a", "b"), ("b", "c"), ("c", "d")] {
        assert!(matches!(db.alias(a, b).unwrap(), Outcome::Accepted(_)));
    }
    assert!(matches!(db.alias("d", "a").unwrap(), Outcome::Already(_)));
    assert!(matches!(db.alias("a", "a").unwrap(), Outcome::Already(_)));
    assert_eq!(ids_of(&db, "c"), ["a", "b", "c", "d"]);
}

#[test]
fn a_merge_of_more_ids_than_a_person_may_have_is_refused_whole() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let ids = |count: usize| (0..count).map(|id| format!("id-{id}"));
    let told = "refused: too_many_ids: the person would have too many ids";
    assert_eq!(refused(db.merge(ids(10_001), Note::default()).unwrap()), told);
    assert_eq!(ids_of(&db, "id-7"), ["id-7"]);
    assert!(matches!(db.merge(ids(10_000), Note::default()).unwrap(), Outcome::Accepted(_)));
    assert_eq!(refused(db.alias("id-3", "one more").unwrap()), told);
    assert_eq!(ids_of(&db, "id-9999").len(), 10_000);
    let Outcome::Rejected(one) = db.merge(["only"], Note::default()).unwrap() else { panic!("it is one") };
    assert_eq!(one.to_string(), "ids: 1 of them, expected 2 to 32768");
}

#[test]
fn a_split_is_previewed_done_told_and_keeps_the_pair_apart() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    db.identify("phone", "ann").unwrap();
    let Outcome::Accepted(tablet) = db.identify("tablet", "ann").unwrap() else { panic!("it is linked") };
    db.alias("tablet", "tablet-2").unwrap();
    let preview = db.preview_split("tablet").unwrap();
    assert_eq!((preview.links, preview.persons.len()), (2, 3));
    assert_eq!(preview.persons[0], ["phone", "ann"]);
    assert_eq!(ids_of(&db, "ann").len(), 4);
    let note = Note::by("support").because("the tablet is the shop's");
    assert!(matches!(db.split("tablet", note).unwrap(), Outcome::Accepted(_)));
    assert_eq!(ids_of(&db, "ann"), ["phone", "ann"]);
    assert_eq!(ids_of(&db, "tablet"), ["tablet"]);
    let told = "refused: kept_apart: the pair was split before";
    assert_eq!(refused(db.identify("tablet", "ann").unwrap()), told);
    let forced = db.append(vec![Operation::identify("tablet", "ann").forced().into()]).unwrap();
    assert!(matches!(forced[0], Outcome::Accepted(_)));
    // What is split already, was never seen, or made no link.
    assert!(matches!(db.split("tablet-2", Note::default()).unwrap(), Outcome::Already(_)));
    let Outcome::Rejected(strange) = db.split("nobody", Note::default()).unwrap() else { panic!("nobody has it") };
    assert_eq!(strange.to_string(), "id: \"nobody\" was never seen");
    let Outcome::Rejected(gone) = db.split_link(tablet, Note::default()).unwrap() else { panic!("it is revoked") };
    assert_eq!(gone.to_string(), format!("sequence: no link of an operation at {tablet} stands"));
    let links = db.person_links("tablet").unwrap();
    // They are one person again, so that the phone's link is among them.
    let told: Vec<_> = links.iter().map(|link| (link.id.as_deref(), link.other_id.as_deref(), link.revoked)).collect();
    let expected = [
        (Some("phone"), Some("ann"), None),
        (Some("tablet"), Some("ann"), Some(4)),
        (Some("tablet"), Some("tablet-2"), Some(4)),
        (Some("tablet"), Some("ann"), None),
    ];
    assert_eq!(told, expected);
    let history: Vec<String> =
        db.person_history("tablet").unwrap().iter().map(|event| event.kind.to_string()).collect();
    let expected = [
        "linked by identify",
        "linked by identify",
        "linked by alias",
        "split",
        "identify refused: kept_apart: the pair was split before",
        "linked by identify",
    ];
    assert_eq!(history, expected);
    let revoked = table(
        &db,
        "SELECT sequence, id, other_id, standing, revoked_sequence, revoked_by, revoked_why FROM identities WHERE NOT standing",
    );
    assert!(
        revoked.contains(
            "| 2        | tablet | ann      | false    | 4                | support    | the tablet is the shop's |"
        ),
        "{revoked}"
    );
}

#[test]
fn a_remark_goes_with_the_one_it_is_about() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    db.merge(["ann", "ann-2"], Note::by("support").because("secret of ann")).unwrap();
    db.merge(["bob", "bob-2"], Note::by("support").because("word of bob")).unwrap();
    let Outcome::Accepted(split) = db.split("ann-2", Note::by("x").because("more of ann")).unwrap() else { panic!() };
    assert_eq!(db.person_history("ann").unwrap().len(), 2);
    db.erase(&["ann", "ann-2"]).unwrap();
    assert_eq!(db.person("ann").unwrap(), None);
    assert_eq!(db.person_history("bob").unwrap()[0].why.as_deref(), Some("word of bob"));
    assert!(!table(&db, "SELECT * FROM identities").contains("of ann"), "{split}");
    db.close().unwrap();
    let mut files = vec![dir.path().to_owned()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for gone in ["secret of ann", "more of ann"] {
            assert!(!bytes.windows(gone.len()).any(|window| window == gone.as_bytes()), "{gone} is in {path:?}");
        }
    }
}

/// One step of a random history.
#[derive(Debug, Clone)]
enum Step {
    Event(u8, u8, i64),
    Identify(u8, u8),
    Alias(u8, u8),
    Force(u8, u8),
    Merge(Vec<u8>),
    Split(u8),
    SplitLink(u64),
    Erase(u8),
}

const IDS: u8 = 7;

fn name(id: &u8) -> String {
    format!("u{id}")
}

impl Step {
    /// What is appended; an erasure is not.
    fn entry(&self, place: usize) -> Option<Entry> {
        Some(match self {
            Self::Event(id, event, at) => {
                let event = Event::new(["view", "buy"][usize::from(*event)], name(id)).message_id(format!("m{place}"));
                event.at(Timestamp::from_microsecond(NOON + at * DAY_US / 4)).into()
            }
            Self::Identify(a, b) => Operation::identify(name(a), name(b)).into(),
            Self::Alias(a, b) => Operation::alias(name(a), name(b)).into(),
            Self::Force(a, b) => Operation::alias(name(a), name(b)).forced().into(),
            Self::Merge(ids) => Operation::merge(ids.iter().map(name)).into(),
            Self::Split(id) => Operation::split(name(id)).into(),
            Self::SplitLink(of) => Operation::split_link(SplitOf::Sequence(Sequence::new(*of))).into(),
            Self::Erase(_) => return None,
        })
    }

    /// The ids that it names, but for those of a split.
    fn names(&self) -> BTreeSet<u8> {
        match self {
            Self::Event(id, ..) => BTreeSet::from([*id]),
            Self::Identify(a, b) | Self::Alias(a, b) | Self::Force(a, b) => BTreeSet::from([*a, *b]),
            Self::Merge(ids) => ids.iter().copied().collect(),
            Self::Split(_) | Self::SplitLink(_) | Self::Erase(_) => BTreeSet::new(),
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let id = || 0..IDS;
    let step = prop_oneof![
        12 => (id(), 0..2_u8, 0..12_i64).prop_map(|(id, event, at)| Step::Event(id, event, at)),
        8 => (id(), id()).prop_map(|(a, b)| Step::Identify(a, b)),
        6 => (id(), id()).prop_map(|(a, b)| Step::Alias(a, b)),
        2 => (id(), id()).prop_map(|(a, b)| Step::Force(a, b)),
        4 => prop::collection::vec(id(), 2..4).prop_map(Step::Merge),
        6 => id().prop_map(Step::Split),
        4 => (1..40_u64).prop_map(Step::SplitLink),
        1 => id().prop_map(Step::Erase),
    ];
    prop::collection::vec(step, 1..40)
}

/// What became of a step.
#[derive(Debug, Clone)]
enum Told {
    Outcome(Outcome),
    /// These ids were erased.
    Gone(BTreeSet<u8>),
}

type Log = Vec<(Step, Told)>;

fn append(db: &Pugmark, steps: &[(usize, Step)], log: &mut Log) {
    let entries = steps.iter().filter_map(|(place, step)| step.entry(*place)).collect();
    let outcomes = db.append(entries).unwrap().into_iter().map(Told::Outcome);
    log.extend(steps.iter().map(|(_, step)| step.clone()).zip(outcomes));
}

/// The ids that erasures took of the log from a place on.
fn gone_from(log: &Log, place: usize) -> BTreeSet<u8> {
    let gone = log[place..].iter().filter_map(|(_, told)| if let Told::Gone(ids) = told { Some(ids) } else { None });
    gone.flatten().copied().collect()
}

/// Whether nothing of a step is left, because somebody whom it names was erased after it.
fn is_forgotten(log: &Log, place: usize) -> bool {
    !log[place].0.names().is_disjoint(&gone_from(log, place + 1))
}

/// The places before `end` of the operations whose links stand there.
fn standing(log: &Log, end: usize) -> BTreeSet<usize> {
    let mut links: Vec<(usize, u64, BTreeSet<u8>)> = Vec::new();
    for (place, (step, told)) in log[..end].iter().enumerate() {
        let sequence = match told {
            Told::Outcome(Outcome::Accepted(sequence)) => sequence.number(),
            Told::Outcome(_) => continue,
            Told::Gone(_) => 0,
        };
        match step {
            Step::Split(id) => links.retain(|(_, _, ids)| !ids.contains(id)),
            Step::SplitLink(of) => links.retain(|(_, sequence, _)| sequence != of),
            Step::Event(..) | Step::Erase(_) => {}
            other => links.push((place, sequence, other.names())),
        }
    }
    links.into_iter().map(|(place, ..)| place).filter(|place| !is_forgotten(log, *place)).collect()
}

/// The ids of everybody, by the words of the definition.
fn persons(log: &Log) -> BTreeSet<BTreeSet<u8>> {
    let mut seen = BTreeSet::new();
    for (step, told) in log {
        match told {
            Told::Outcome(Outcome::Rejected(_)) => {}
            Told::Outcome(_) => seen.extend(step.names()),
            Told::Gone(ids) => seen.retain(|id| !ids.contains(id)),
        }
    }
    let mut persons: BTreeSet<BTreeSet<u8>> = seen.into_iter().map(|id| BTreeSet::from([id])).collect();
    for place in standing(log, log.len()) {
        let ids = log[place].0.names();
        let joined: Vec<BTreeSet<u8>> = persons.extract_if(.., |person| !person.is_disjoint(&ids)).collect();
        persons.insert(joined.into_iter().flatten().collect());
    }
    persons
}

fn persons_of(db: &Pugmark) -> BTreeSet<BTreeSet<u8>> {
    let ids = |person: pugmark::Person| person.ids.iter().map(|id| id.id[1..].parse().unwrap()).collect();
    (0..IDS).filter_map(|id| db.person(&name(&id)).unwrap()).map(ids).collect()
}

const LINKS: &str = "SELECT * FROM identities ORDER BY sequence, other_id";

/// Answers that turn on who is who.
fn answers(db: &Pugmark, as_of: Option<Sequence>) -> String {
    answers_of(db, as_of, "true")
}

/// Whom an erased operation alone brought is there later, as of a sequence: people without events and links are left out.
const SOMEBODY: &str = "events > 0 OR distinct_ids LIKE '%,%'";

fn answers_of(db: &Pugmark, as_of: Option<Sequence>, people: &str) -> String {
    let blocking = db.blocking().unwrap();
    let ask = |query: Query| {
        let query = Query { as_of: as_of.map(Sequence::number), ..query };
        match blocking.query(&query).unwrap() {
            QueryResult::Trend(trend) => format!("{:?}", trend.series),
            QueryResult::Funnel(funnel) => format!("{:?}", funnel.groups),
            other => panic!("{other:?}"),
        }
    };
    let uniques = ask(Trend::of("view").uniques().interval(Interval::Day).from("2024-12-30").to("2025-01-10").into());
    let funnel = ask(Funnel::steps(["view", "buy"]).from("2024-12-30").to("2025-01-10").into());
    let statement =
        format!("SELECT person, name, distinct_ids, known, events FROM persons WHERE {people} ORDER BY person");
    let persons = match as_of {
        Some(sequence) => blocking.sql_as_of(&statement, sequence),
        None => blocking.sql(&statement),
    };
    format!("{uniques}\n{funnel}\n{}", pretty_format_batches(&persons.unwrap()).unwrap())
}

/// A disk in memory: a case opens many stores.
fn disk() -> SimulatedStorage {
    let disk = SimulatedStorage::new();
    disk.create_dir_all(Path::new(DIR)).unwrap();
    disk
}

const DIR: &str = "/store";
const COPY: &str = "/copy";

fn open_on(disk: &SimulatedStorage, dir: &str) -> Pugmark {
    let mut options = options();
    options.store.storage = Arc::new(disk.clone());
    options.store.index_cache_bytes = 1 << 20;
    Pugmark::open_with(dir, options).unwrap()
}

/// A store of the log before `end` in which the links that were revoked never were, and nobody whom any of the log erases.
fn plain(log: &Log, end: usize) -> Pugmark {
    let db = open_on(&disk(), DIR);
    let stands = standing(log, end);
    let mut entries = Vec::new();
    for (place, (step, told)) in log[..end].iter().enumerate() {
        if let Told::Gone(ids) = told {
            db.append(std::mem::take(&mut entries)).unwrap();
            db.erase(&ids.iter().map(name).collect::<Vec<_>>()).unwrap();
            continue;
        }
        if let Step::Event(..) = step {
            entries.extend(step.entry(place));
            continue;
        }
        // Everybody becomes known in the same order.
        let ids = step.names();
        entries.extend(ids_in_order(step).iter().map(|id| Entry::from(Operation::merge([name(id), name(id)]))));
        if let (Step::Identify(_, to), false) = (step, is_forgotten(log, place)) {
            entries.push(Operation::identify(name(to), name(to)).into());
        }
        if stands.contains(&place) && ids.len() > 1 {
            entries.push(Operation::merge(ids.iter().map(name)).into());
        }
    }
    db.append(entries).unwrap();
    let later: Vec<String> = gone_from(log, end).iter().map(name).collect();
    db.erase(&later).unwrap();
    db
}

fn ids_in_order(step: &Step) -> Vec<u8> {
    match step {
        Step::Identify(a, b) | Step::Alias(a, b) | Step::Force(a, b) => vec![*a, *b],
        Step::Merge(ids) => ids.clone(),
        _ => vec![],
    }
}

fn cases() -> ProptestConfig {
    let cases = std::env::var("PUGMARK_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64);
    // A case opens many stores.
    ProptestConfig { cases: u32::max(cases / 4, 8), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn after_a_split_all_answers_are_those_of_a_store_in_which_the_links_never_were(
        steps in steps(),
        cuts in any::<u64>(),
        upkeep in any::<u64>(),
    ) {
        let disk = disk();
        let mut db = open_on(&disk, DIR);
        let (mut log, mut batch) = (Log::new(), Vec::new());
        for (place, step) in steps.iter().cloned().enumerate() {
            if let Step::Erase(id) = step {
                append(&db, &std::mem::take(&mut batch), &mut log);
                let own = persons_of(&db).into_iter().find(|ids| ids.contains(&id)).unwrap_or_default();
                let erased = db.erase(&[name(&id)]).unwrap().subjects;
                prop_assert_eq!(erased, own.len() as u64);
                log.push((step, Told::Gone(own)));
                continue;
            }
            batch.push((place, step));
            if cuts >> (place % 64) & 1 == 1 {
                append(&db, &std::mem::take(&mut batch), &mut log);
                match upkeep >> (place % 61) & 7 {
                    0 => db.flush().unwrap(),
                    1 => {
                        db.close().unwrap();
                        db = open_on(&disk, DIR);
                    }
                    _ => {}
                }
            }
        }
        append(&db, &batch, &mut log);
        prop_assert_eq!(log.len(), steps.len());
        prop_assert_eq!(persons_of(&db), persons(&log), "{:?}", log);
        let found = answers(&db, None);
        prop_assert_eq!(&found, &answers(&plain(&log, log.len()), None), "{:?}", log);

        // Every sequence answers as a store that stopped there.
        let sequence = |told: &Told| match told {
            Told::Outcome(Outcome::Accepted(sequence) | Outcome::Already(sequence) | Outcome::Refused(sequence, _)) => {
                Some(*sequence)
            }
            _ => None,
        };
        let kept: Vec<(usize, Sequence)> =
            log.iter().enumerate().filter_map(|(place, (_, told))| Some((place, sequence(told)?))).collect();
        let nobody_gone = gone_from(&log, 0).is_empty();
        for (place, last) in kept.iter().step_by(7) {
            let people = if nobody_gone { "true" } else { SOMEBODY };
            let then = answers_of(&db, Some(*last), people);
            let expected = answers_of(&plain(&log, place + 1), None, people);
            prop_assert_eq!(&then, &expected, "as of {}: {:?}", last, log);
            if nobody_gone {
                let stopped = open_on(&self::disk(), DIR);
                let before: Vec<(usize, Step)> =
                    kept.iter().filter(|(at, _)| at <= place).map(|(at, _)| (*at, log[*at].0.clone())).collect();
                append(&stopped, &before, &mut Log::new());
                prop_assert_eq!(&then, &answers(&stopped, None), "as of {}: {:?}", last, log);
                let links = db.blocking().unwrap().sql_as_of(LINKS, *last).unwrap();
                prop_assert_eq!(pretty_format_batches(&links).unwrap().to_string(), table(&stopped, LINKS));
            }
        }

        // A rebuild of everything that is derived, and a backup, say the same.
        let links = table(&db, LINKS);
        db.backup(COPY).unwrap();
        db.close().unwrap();
        disk.lose(&Path::new(DIR).join("index.redb")).unwrap();
        for dir in [DIR, COPY] {
            let again = open_on(&disk, dir);
            prop_assert_eq!(&answers(&again, None), &found);
            prop_assert_eq!(&table(&again, LINKS), &links);
            let verified = again.verify(false, |_| {}).unwrap();
            prop_assert!(verified.is_clean(), "{:?}", verified);
        }
    }
}
