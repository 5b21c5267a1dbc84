//! Everything that answers are made of, as the store shows it and as a history says.

use std::collections::BTreeMap;

use pugmark::arrow::util::display::array_value_to_string;
use pugmark::{Pugmark, Result, Sequence, Value};

use super::history::{Given, State};

/// The events in their order, each as its columns, and who is one person with whom: the distinct ids of each person, by their events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    pub events: Vec<Vec<String>>,
    pub people: Vec<Vec<String>>,
    pub aside: Vec<Aside>,
}

/// Timestamp, message id and number of what is kept aside.
pub type Aside = (i64, String, i64);

const QUESTION: &str = "SELECT message_id, event, distinct_id, arrow_cast(timestamp, 'Int64') AS at, number, profile('seats') AS seats, \
    profile_at('seats') AS seats_then, group_profile('team', 'plan') AS plan, note, person \
    FROM events ORDER BY sequence";

pub fn answers(db: &Pugmark) -> Result<Answers> {
    let (mut events, mut persons) = (Vec::new(), Vec::new());
    // Without an event there are no columns to ask for.
    let batches = if db.info()?.events == 0 { Vec::new() } else { db.blocking()?.sql(QUESTION)? };
    for batch in batches {
        for row in 0..batch.num_rows() {
            let shown =
                batch.columns().iter().map(|column| array_value_to_string(column, row).expect("a value has a text"));
            let mut shown: Vec<String> = shown.collect();
            persons.push(shown.pop().expect("a column for the person"));
            events.push(shown);
        }
    }
    if !events.is_empty() {
        assert_eq!(notes_of_a_trend(db)?, notes_of(&events), "the notes of a trend and those of the events");
        let (found, expected) = (first_notes_of_a_trend(db)?, first_notes_of(&events, &persons));
        assert_eq!(found, expected, "the first notes of a trend and those of the events");
    }
    let mut people = BTreeMap::<String, Vec<String>>::new();
    for (event, person) in events.iter().zip(persons) {
        people.entry(person).or_default().push(event[2].clone());
    }
    let aside = aside(db)?.into_iter().map(|(what, _)| what).collect();
    Ok(Answers { events, people: sorted(people), aside })
}

/// How many events have which note, as a trend says that may be answered by what is declared.
fn notes_of_a_trend(db: &Pugmark) -> Result<BTreeMap<String, u64>> {
    totals(db, r#"{"event": "*"}"#)
}

/// How many purchases have which note by the first event of whoever made them.
fn first_notes_of_a_trend(db: &Pugmark) -> Result<BTreeMap<String, u64>> {
    totals(db, r#"{"event": "purchase", "attribution": {"model": "first", "window": "3000d"}}"#)
}

/// The totals of a series by the notes of its events.
fn totals(db: &Pugmark, series: &str) -> Result<BTreeMap<String, u64>> {
    let question = format!(
        r#"{{"trend": {{"series": [{series}], "interval": "year", "limit": 100000,
        "range": {{"from": "1970-01-01", "to": "2100-01-01"}}, "breakdown": [{{"property": "note"}}]}}}}"#
    );
    let answer = serde_json::to_value(db.blocking()?.query_json(&question)?).expect("an answer can be written");
    let series = answer["series"].as_array().expect("a trend has series").iter();
    Ok(series
        .map(|series| {
            let note = series["breakdown"][0].as_str().unwrap_or_default().to_owned();
            (note, series["total"].as_f64().expect("a count") as u64)
        })
        .collect())
}

fn notes_of(events: &[Vec<String>]) -> BTreeMap<String, u64> {
    let mut notes = BTreeMap::new();
    for event in events {
        *notes.entry(event.last().expect("the note comes last").clone()).or_default() += 1;
    }
    notes
}

/// The events are in the order of their sequences, each beside its person.
fn first_notes_of(events: &[Vec<String>], persons: &[String]) -> BTreeMap<String, u64> {
    let mut notes = BTreeMap::new();
    let all = || events.iter().zip(persons).enumerate();
    let moment = |at: usize, event: &[String]| (event[3].parse::<i64>().expect("microseconds"), at);
    for (at, (purchase, person)) in all().filter(|(_, (event, _))| event[1] == "purchase") {
        let own = all().filter(|(of, (event, by))| *by == person && moment(*of, event) <= moment(at, purchase));
        let first = own.min_by_key(|(of, (event, _))| moment(*of, event)).expect("the purchase itself is one");
        *notes.entry(first.1.0.last().expect("the note comes last").clone()).or_default() += 1;
    }
    notes
}

/// What is kept aside, and under which sequence.
pub fn aside(db: &Pugmark) -> Result<Vec<(Aside, Sequence)>> {
    let mut aside = Vec::new();
    for kept in db.quarantine()? {
        let event = kept.event;
        let number = event.properties.iter().find(|(name, _)| name == "number").map(|(_, value)| value.clone());
        let (Some(at), Some(id), Some(Value::Int(number))) = (event.timestamp, event.message_id, number) else {
            panic!("the test gives time, message id and number, but at {} there is none", kept.sequence)
        };
        aside.push(((at.as_microsecond(), id, number), kept.sequence));
    }
    aside.sort();
    Ok(aside)
}

fn sorted(people: BTreeMap<String, Vec<String>>) -> Vec<Vec<String>> {
    let mut people: Vec<Vec<String>> = people.into_values().collect();
    for ids in &mut people {
        ids.sort();
        ids.dedup();
    }
    people.sort();
    people
}

impl State {
    /// How the answers differ from those of this state.
    pub fn difference(&self, shown: &Answers) -> Option<String> {
        let mut people = BTreeMap::<String, Vec<String>>::new();
        let mut events = Vec::new();
        let as_text = |seats: Option<i64>| seats.map(|seats| seats.to_string()).unwrap_or_default();
        for (event, _) in &self.events {
            people.entry(self.person(&event.who).to_owned()).or_default().push(event.who.clone());
            events.push(vec![
                event.id.clone(),
                event.event.to_owned(),
                event.who.clone(),
                event.timestamp().to_string(),
                event.number.to_string(),
                as_text(self.seats_of(&event.who, i64::MAX)),
                as_text(self.seats_of(&event.who, event.timestamp())),
                self.plans.get(&event.team()).cloned().unwrap_or_default(),
                super::history::secret_of(&event.who),
            ]);
        }
        first_difference("events", &shown.events, &events)
            .or_else(|| first_difference("people", &shown.people, &sorted(people)))
            .or_else(|| {
                let shown_of = |event: &Given| (event.timestamp(), event.id.clone(), event.number);
                let dropped: Vec<Aside> = self.dropped.iter().map(shown_of).collect();
                // What has expired may be there as long as its segment.
                let from = super::history::instant(self.horizon).as_microsecond();
                let is_due = |aside: &&Aside| aside.0 >= from && !dropped.contains(aside);
                let mut aside: Vec<_> = self.aside.iter().map(shown_of).collect();
                aside.sort();
                let [shown, aside] = [&shown.aside, &aside].map(|all| all.iter().filter(is_due).collect::<Vec<_>>());
                first_difference("kept aside", &shown, &aside)
            })
    }
}

fn first_difference<T: PartialEq + std::fmt::Debug>(what: &str, found: &[T], expected: &[T]) -> Option<String> {
    let at = (0..found.len().max(expected.len())).find(|at| found.get(*at) != expected.get(*at))?;
    let (found, expected) = (found.get(at), expected.get(at));
    Some(format!("{what}, at place {at}: found {found:?}, expected {expected:?}"))
}
