//! Of people who were erased, no byte is left in any file; all other answers stay as they were.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pugmark::arrow::util::pretty::pretty_format_batches;
use pugmark::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use pugmark::{Declaration, ErrorKind, Event, ManualClock, Options, Outcome, ProfileUpdate, Pugmark, Timestamp};
use pugmark_store::simulated::{Failure, OperationKind};
use pugmark_store::{Sequence, SimulatedStorage, Storage, Store};
use sha2::{Digest, Sha256};

const PEOPLE: u64 = 40;
const EVENTS: u64 = 4_000;

fn id_of(person: u64) -> String {
    format!("person-{person:03}@example.org")
}

fn secret_of(person: u64) -> String {
    format!("secret-of-{person:03}-only")
}

fn home_of(person: u64) -> String {
    format!("home-of-{person:03}-only")
}

fn event(number: u64) -> Event {
    let person = number % PEOPLE;
    Event::new(["view", "cart", "purchase"][(number % 3) as usize], id_of(person))
        .message_id(format!("m{number}"))
        .at(Timestamp::from_microsecond(1_735_689_600_000_000 + i64::try_from(number).unwrap() * 1_000_000))
        .property("note", secret_of(person))
        .property("amount", i64::try_from(number).unwrap())
}

fn options() -> Options {
    let mut options = Options::default();
    options.store.segment_max_bytes = 100_000;
    options.flush_rows = 1_000;
    options
}

fn filled(dir: &Path) -> Pugmark {
    let db = Pugmark::open_with(dir, options()).unwrap();
    // First, so that an expiry moves them to a base.
    let updates = (0..PEOPLE).map(|person| {
        let update = ProfileUpdate::set(id_of(person)).with("home", home_of(person)).with(secret_of(person), true);
        update.message_id(format!("home-{person}")).at(event(EVENTS / 2 + person).timestamp.unwrap()).into()
    });
    db.append(updates.collect()).unwrap();
    for first in (0..EVENTS).step_by(250) {
        db.track_many((first..first + 250).map(event).collect()).unwrap();
    }
    for person in [5, 6, 7] {
        db.identify(format!("anon-of-{person:03}"), id_of(person)).unwrap();
    }
    db.declare(&Declaration::new("notes", "*").dimension("note").measure("amount")).unwrap();
    db.compact().unwrap();
    db
}

fn files(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir)
        .unwrap()
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() { files(&path) } else { vec![path] }
        })
        .collect()
}

/// Where the words stand in the files of a closed store: as bytes, or decoded.
fn places(dir: &Path, words: &[String]) -> Vec<String> {
    let mut texts: Vec<(String, Vec<u8>)> = Vec::new();
    for path in files(dir) {
        let name = path.strip_prefix(dir).unwrap().display().to_string();
        if name.ends_with(".parquet") {
            let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&path).unwrap()).unwrap();
            let metadata = format!("{:?}", reader.metadata());
            texts.push((format!("{name}, metadata"), metadata.into_bytes()));
            let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
            let rows = pretty_format_batches(&batches).unwrap().to_string();
            texts.push((format!("{name}, rows"), rows.into_bytes()));
        }
        texts.push((name, std::fs::read(&path).unwrap()));
    }
    let copy = tempfile::tempdir().unwrap();
    for part in ["log", "base"].into_iter().filter(|part| dir.join(part).is_dir()) {
        copy_dir(&dir.join(part), &copy.path().join(part));
    }
    let store = Store::open(copy.path(), pugmark::StoreOptions::default(), Vec::new()).unwrap();
    // What stands in bases comes first.
    let noted: pugmark_store::Result<()> = store.replay(&store.snapshot(), Sequence::FIRST, |batch| {
        texts.push((format!("log, frame {}", batch.first_sequence), format!("{:?}", batch.payload).into_bytes()));
        Ok(())
    });
    noted.unwrap();
    let mut found = Vec::new();
    for word in words {
        // Of a distinct id also what stands for it in the runs.
        let fingerprint = Sha256::digest(word.as_bytes())[..16].to_vec();
        for (name, text) in &texts {
            if [word.as_bytes(), &fingerprint].iter().any(|wanted| text.windows(wanted.len()).any(|at| at == *wanted)) {
                found.push(format!("{word}: {name}"));
            }
        }
    }
    found
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

fn words_of(person: u64) -> Vec<String> {
    vec![id_of(person), secret_of(person), format!("anon-of-{person:03}"), home_of(person)]
}

fn answer(db: &Pugmark, statement: &str) -> String {
    pretty_format_batches(&db.blocking().unwrap().sql(statement).unwrap()).unwrap().to_string()
}

fn answer_as_of(db: &Pugmark, sequence: u64, statement: &str) -> String {
    let rows = db.blocking().unwrap().sql_as_of(statement, Sequence::new(sequence)).unwrap();
    pretty_format_batches(&rows).unwrap().to_string()
}

const EVENTS_BY_DAY: &str = "SELECT event, distinct_id, profile('home'), profile_at('home'), count(*), sum(amount) FROM events WHERE WHO \
        GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4";
const PERSONS: &str = "SELECT name, distinct_ids, known, events, profile('home') FROM persons WHERE WHO ORDER BY name";

#[test]
fn of_an_erased_person_no_byte_is_left_and_all_other_answers_stay() {
    let dir = tempfile::tempdir().unwrap();
    let db = filled(dir.path());
    let others = [
        EVENTS_BY_DAY.replace("WHO", "distinct_id <> 'person-005@example.org'"),
        PERSONS.replace("WHO", "name <> 'person-005@example.org'"),
    ];
    let everybody = [EVENTS_BY_DAY.replace("WHO", "true"), PERSONS.replace("WHO", "true")];
    let before = others.each_ref().map(|statement| answer(&db, statement));
    let half = others.each_ref().map(|statement| answer_as_of(&db, EVENTS / 2, statement));
    db.close().unwrap();
    for kind in ["log/", "columns/", "rollups/", "index.redb", "runs/", "log, frame", "rows"] {
        let found = places(dir.path(), &words_of(5));
        assert!(found.iter().any(|place| place.contains(kind)), "found in {kind} before: {found:?}");
    }

    let db = Pugmark::open_with(dir.path(), options()).unwrap();
    let receipt = db.erase(&["anon-of-005"]).unwrap();
    assert_eq!(receipt.subjects, 2, "the person goes with every id: {receipt:?}");
    let info = db.info().unwrap();
    assert_eq!((info.people, info.distinct_ids), (PEOPLE - 1, PEOPLE - 1 + 2), "two of those left have a second id");
    assert_eq!(everybody.each_ref().map(|statement| answer(&db, statement)), before);
    let now = everybody.each_ref().map(|statement| answer_as_of(&db, EVENTS / 2, statement));
    assert_eq!(now, half, "who is erased is in no answer of any time");
    assert_eq!(db.track(event(5)).unwrap(), Outcome::Duplicate);
    let again = |db: &Pugmark| db.update_profile(ProfileUpdate::set("who").with("home", "x").message_id("home-5"));
    assert_eq!(again(&db).unwrap(), Outcome::Duplicate);
    assert_eq!(db.erase(&["person-005@example.org", "nobody"]).unwrap().subjects, 0);
    db.close().unwrap();
    let found = places(dir.path(), &words_of(5));
    assert!(found.is_empty(), "{found:?}");
    assert!(!places(dir.path(), &words_of(6)).is_empty());

    // The same from the log alone.
    for derived in ["index.redb", "columns", "rollups", "runs"] {
        let path = dir.path().join(derived);
        if path.is_dir() { std::fs::remove_dir_all(path).unwrap() } else { std::fs::remove_file(path).unwrap() }
    }
    let db = Pugmark::open_with(dir.path(), options()).unwrap();
    assert_eq!(everybody.each_ref().map(|statement| answer(&db, statement)), before);
    assert_eq!(db.track(event(5)).unwrap(), Outcome::Duplicate);
    assert_eq!(again(&db).unwrap(), Outcome::Duplicate);
}

#[test]
fn a_retraction_takes_back_what_a_filter_matches_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let db = filled(dir.path());
    let blocking = db.blocking().unwrap();
    let left = answer(
        &db,
        "SELECT event, count(*), sum(amount) FROM events WHERE NOT (event = 'cart' AND amount > 1000) GROUP BY 1 ORDER BY 1",
    );
    let receipt = blocking.retract("event = 'cart' and amount > 1000").unwrap();
    assert_eq!(receipt.records, (1001..EVENTS).filter(|n| n % 3 == 1).count() as u64);
    assert_eq!(answer(&db, "SELECT event, count(*), sum(amount) FROM events GROUP BY 1 ORDER BY 1"), left);
    let then =
        answer_as_of(&db, EVENTS + PEOPLE, "SELECT event, count(*), sum(amount) FROM events GROUP BY 1 ORDER BY 1");
    assert_eq!(then, left, "what is withdrawn is in no answer of any time");
    assert!(blocking.retract("amonut > 3").unwrap_err().to_string().contains("amount"), "a misspelt name is an error");
    assert!(blocking.retract("event = 'cart' and amount > 1000").unwrap().removals.is_empty());
    // 1,003 is a cart beyond 1,000: its id is free again.
    assert!(matches!(db.track(event(1_003)).unwrap(), Outcome::Accepted(_)));
}

#[test]
fn what_has_expired_is_in_no_answer_and_its_files_go() {
    let dir = tempfile::tempdir().unwrap();
    let db = filled(dir.path());
    // Events are a second apart.
    let before = Timestamp::from_microsecond(1_735_689_600_000_000 + 2_500 * 1_000_000);
    let left =
        answer(&db, "SELECT event, count(*), sum(amount) FROM events WHERE amount >= 2500 GROUP BY 1 ORDER BY 1");
    let people = answer(&db, "SELECT name, distinct_ids, known, profile('home') FROM persons ORDER BY name");
    let size = |db: &Pugmark| db.info().unwrap().columns.rows;
    assert_eq!(size(&db), EVENTS);
    let expired = db.expire(before).unwrap();
    assert!(expired.segments_removed > 0 && expired.records > 0, "{expired:?}");
    let now = answer(&db, "SELECT event, count(*), sum(amount) FROM events GROUP BY 1 ORDER BY 1");
    assert_eq!(now, left);
    assert!(size(&db) < EVENTS);
    let then = answer_as_of(&db, 3_000, "SELECT count(*), min(amount), max(amount) FROM events");
    assert!(then.contains("| 460      | 2500               | 2959               |"), "{then}");
    let gone = db.blocking().unwrap().sql_as_of("SELECT 1", Sequence::new(10)).unwrap_err();
    assert!(gone.kind() == ErrorKind::Invalid && gone.to_string().contains("has expired"), "{gone}");
    assert_eq!(answer(&db, "SELECT name, distinct_ids, known, profile('home') FROM persons ORDER BY name"), people);
    assert_eq!(
        answer(&db, "SELECT count(*) FROM (SELECT * FROM events LIMIT 1500)"),
        answer(&db, "SELECT count(*) FROM events")
    );
    assert_eq!(db.track(event(5)).unwrap(), Outcome::Duplicate);
    assert!(matches!(db.track(event(5).message_id("new")).unwrap(), Outcome::Rejected(_)));
    db.close().unwrap();

    // The same from log and bases alone.
    for derived in ["index.redb", "columns", "runs"] {
        let path = dir.path().join(derived);
        if path.is_dir() { std::fs::remove_dir_all(path).unwrap() } else { std::fs::remove_file(path).unwrap() }
    }
    let db = Pugmark::open_with(dir.path(), options()).unwrap();
    assert_eq!(answer(&db, "SELECT event, count(*), sum(amount) FROM events GROUP BY 1 ORDER BY 1"), left);
    assert_eq!(answer(&db, "SELECT name, distinct_ids, known, profile('home') FROM persons ORDER BY name"), people);
    let home = ProfileUpdate::set(id_of(7)).with("home", "another").message_id("home-7");
    assert_eq!(
        db.update_profile(home).unwrap(),
        Outcome::Conflict(None),
        "of an operation in a base, too, the id is taken"
    );
    assert_eq!(db.track(event(5)).unwrap(), Outcome::Duplicate);
    let report = db.verify(false, |_| {}).unwrap();
    assert!(report.findings.is_empty(), "{report:?}");

    // Of who is erased nothing is left in the bases, and the ids stay taken without a word of what they were.
    assert_eq!(db.erase(&[id_of(7)]).unwrap().subjects, 2);
    let another = || ProfileUpdate::set("who").with("home", "another").message_id("home-7");
    assert_eq!(db.update_profile(another()).unwrap(), Outcome::Duplicate);
    let report = db.verify(false, |_| {}).unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
    db.close().unwrap();
    assert_eq!(places(dir.path(), &[home_of(7), secret_of(7), id_of(7)]), Vec::<String>::new());
    std::fs::remove_file(dir.path().join("index.redb")).unwrap();
    std::fs::remove_dir_all(dir.path().join("runs")).unwrap();
    let db = Pugmark::open_with(dir.path(), options()).unwrap();
    assert_eq!(db.update_profile(another()).unwrap(), Outcome::Duplicate);
}

#[test]
fn an_expiry_that_fails_half_way_is_gone_on_with_and_then_nothing_lags_behind() {
    let storage = SimulatedStorage::new();
    storage.create_dir_all(Path::new("/store")).unwrap();
    storage.sync_dir(Path::new("/")).unwrap();
    let open = || {
        let mut options = options();
        options.store.storage = Arc::new(storage.clone());
        options.store.clock = Arc::new(ManualClock::new(Timestamp::from_microsecond(1_735_700_000_000_000)));
        options.store.background = false;
        Pugmark::open_with("/store", options).unwrap()
    };
    let db = open();
    for first in (0..EVENTS).step_by(250) {
        db.track_many((first..first + 250).map(event).collect()).unwrap();
    }
    db.flush().unwrap();
    let before = Timestamp::from_microsecond(1_735_689_600_000_000 + 2_500 * 1_000_000);
    storage.fail_on(OperationKind::Remove, ".log", 1, Failure::Error(std::io::ErrorKind::Other));
    db.expire(before).unwrap_err();
    assert_eq!(storage.failures_to_come(), 0);
    drop(db);

    let db = open();
    let report = db.verify(false, |_| {}).unwrap();
    assert!(report.is_clean() && report.unchecked.iter().any(|part| part == "registry"), "{report:?}");
    db.expire(before).unwrap();
    let report = db.verify(false, |_| {}).unwrap();
    assert!(report.is_clean() && report.unchecked.is_empty(), "{report:?}");
    // Of what has expired only as much is left as hides in segments that stay.
    let info = db.info().unwrap();
    assert_eq!(info.events, info.columns.rows + info.columns.tail_rows);
    assert!((EVENTS - 2_500..EVENTS - 2_000).contains(&info.events), "{}", info.events);
}

/// Where any of the words stand in the files of a closed store, file by file and batch by batch: it may be large.
fn stands(dir: &Path, words: &[String]) -> Vec<String> {
    let mut found = std::collections::BTreeSet::new();
    let mut look = |name: &str, bytes: &[u8]| {
        for word in words {
            let fingerprint = Sha256::digest(word.as_bytes())[..16].to_vec();
            if [word.as_bytes(), &fingerprint].iter().any(|wanted| memchr::memmem::find(bytes, wanted).is_some()) {
                found.insert(format!("{word}: {name}"));
            }
        }
    };
    for path in files(dir) {
        let name = path.strip_prefix(dir).unwrap().display().to_string();
        look(&format!("{name}, raw"), &std::fs::read(&path).unwrap());
        if name.ends_with(".parquet") {
            let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&path).unwrap()).unwrap();
            look(&format!("{name}, metadata"), format!("{:?}", reader.metadata()).as_bytes());
            for batch in reader.build().unwrap() {
                let rows = pretty_format_batches(&[batch.unwrap()]).unwrap().to_string();
                look(&format!("{name}, rows"), rows.as_bytes());
            }
        }
    }
    let copy = tempfile::tempdir().unwrap();
    for part in ["log", "base"].into_iter().filter(|part| dir.join(part).is_dir()) {
        copy_dir(&dir.join(part), &copy.path().join(part));
    }
    let store = Store::open(copy.path(), pugmark::StoreOptions::default(), Vec::new()).unwrap();
    let noted: pugmark_store::Result<()> = store.replay(&store.snapshot(), Sequence::FIRST, |batch| {
        look("log, decoded", format!("{:?}", batch.payload).as_bytes());
        Ok(())
    });
    noted.unwrap();
    found.into_iter().collect()
}

/// `PUGMARK_PEOPLE=1000000 cargo test --release -p pugmark --test pugmark one_of_many -- --nocapture` is of a million.
#[test]
#[expect(clippy::print_stdout, clippy::disallowed_methods, reason = "of a million the times are of interest")]
fn one_of_many_people_is_exported_whole_and_erased_without_a_trace() {
    let people: u64 = std::env::var("PUGMARK_PEOPLE").ok().and_then(|count| count.parse().ok()).unwrap_or(2_000);
    let dir = tempfile::tempdir().unwrap();
    let db = Pugmark::open(dir.path()).unwrap();
    let id = |person: u64| format!("user-{person:07}");
    let words = |person: u64| {
        [id(person), format!("device-{person:07}"), format!("mail-{person:07}@x.org"), format!("said-by-{person:07}")]
    };
    let at = |number: u64| Timestamp::from_microsecond(1_735_689_600_000_000 + number as i64 * 1_000_000);
    for first in (0..people).step_by(2_000) {
        let mut entries: Vec<pugmark::Entry> = Vec::new();
        for person in first..people.min(first + 2_000) {
            let [user, device, mail, said] = words(person);
            for number in 0..5 {
                let sender = if number == 0 { &device } else { &user };
                let event =
                    Event::new(["view", "buy"][(number % 2) as usize], sender.as_str()).at(at(person * 5 + number));
                entries.push(event.property("said", said.as_str()).property("number", number as i64).into());
            }
            entries.push(pugmark::Operation::identify(device, user.clone()).into());
            entries.push(pugmark::Operation::Profile(ProfileUpdate::set(user).with("mail", mail)).into());
        }
        db.append(entries).unwrap();
    }
    db.compact().unwrap();
    let one = people / 3;
    let answers = |db: &Pugmark| {
        let ask = |statement: &str| answer(db, statement);
        let totals = ask(
            "SELECT event, count(*) AS n, sum(number) AS total, count(DISTINCT person) AS people FROM events GROUP BY event ORDER BY event",
        );
        let others = ask(&format!(
            "SELECT said, count(*) AS n FROM events WHERE said IN ('said-by-{:07}', 'said-by-{:07}') GROUP BY said ORDER BY said",
            one - 1,
            one + 1
        ));
        let found = db
            .blocking()
            .unwrap()
            .people(&pugmark::People::new().search(pugmark::Search::exact(words(one)[2].as_str())))
            .unwrap();
        (totals, others, found.people.len(), db.info().unwrap().people)
    };
    let before = answers(&db);
    assert_eq!((before.2, before.3), (1, people));
    assert!(before.0.contains(&format!("| view  | {} |", people * 3)), "{}", before.0);

    let begun = std::time::Instant::now();
    let mut lines = Vec::new();
    let exported = db.export_person(&words(one)[1], &mut lines).unwrap();
    println!("{people} people: exported in {:.2} s", begun.elapsed().as_secs_f64());
    let lines = String::from_utf8(lines).unwrap();
    assert_eq!((exported.events, exported.operations), (5, 2));
    assert!(words(one).iter().all(|word| lines.contains(word)), "{lines}");
    assert!([one - 1, one + 1].iter().all(|other| words(*other).iter().all(|word| !lines.contains(word))), "{lines}");
    db.close().unwrap();
    let own: Vec<String> = words(one).to_vec();
    let there = stands(dir.path(), &own);
    assert!(own.iter().all(|word| there.iter().any(|place| place.starts_with(word.as_str()))), "{there:?}");
    println!("before: in {} places, such as {}", there.len(), there[0]);

    let db = Pugmark::open(dir.path()).unwrap();
    let begun = std::time::Instant::now();
    let receipt = db.erase(&[&words(one)[1]]).unwrap();
    println!("erased in {:.2} s: {receipt:?}", begun.elapsed().as_secs_f64());
    assert_eq!(receipt.subjects, 2);
    let after = answers(&db);
    assert_eq!((after.2, after.3, &after.1), (0, people - 1, &before.1));
    assert!(after.0.contains(&format!("| view  | {} |", people * 3 - 3)), "{}", after.0);
    assert!(after.0.contains(&format!("| buy   | {} |", people * 2 - 2)), "{}", after.0);
    assert_eq!(db.person(&words(one)[0]).unwrap(), None);
    db.close().unwrap();
    assert_eq!(stands(dir.path(), &own), [] as [String; 0]);
    let others: Vec<String> = words(one + 1).to_vec();
    assert!(!stands(dir.path(), &others).is_empty());
    let verified = Pugmark::open(dir.path()).unwrap().verify(false, |_| {}).unwrap();
    assert!(verified.is_clean(), "{verified:?}");
}
