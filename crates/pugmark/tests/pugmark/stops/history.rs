//! What a store holds after each change of a history: short, and by no rule of the store's.

use std::collections::{BTreeMap, BTreeSet};

use pugmark::{Event, ProfileUpdate, Timestamp};

const HOUR: i64 = 3_600_000_000;
const START: i64 = 1_735_689_600_000_000;

/// An event as the test makes it and as an answer shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Given {
    pub id: String,
    pub event: &'static str,
    pub who: String,
    pub hour: i64,
    pub number: i64,
}

impl Given {
    pub fn timestamp(&self) -> i64 {
        START + self.hour * HOUR
    }

    /// The group that it is of.
    pub fn team(&self) -> String {
        team(self.number % 3)
    }

    pub fn to_event(&self) -> Event {
        Event::new(self.event, self.who.as_str())
            .message_id(self.id.as_str())
            .at(Timestamp::from_microsecond(self.timestamp()))
            .property("number", self.number)
            .property("team", self.team())
            .property("note", secret_of(&self.who))
    }
}

/// Seats that somebody got, on the half hour: no event happens then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seats {
    pub id: String,
    pub who: String,
    pub hour: i64,
    pub seats: i64,
}

impl Seats {
    pub fn timestamp(&self) -> i64 {
        START + self.hour * HOUR + HOUR / 2
    }

    pub fn to_update(&self) -> ProfileUpdate {
        let update = ProfileUpdate::add(self.who.as_str()).with("seats", self.seats);
        update.message_id(self.id.as_str()).at(Timestamp::from_microsecond(self.timestamp()))
    }
}

/// What stands in events of `who` alone.
pub fn secret_of(who: &str) -> String {
    format!("secret-of-{who}-alone")
}

pub fn team(number: i64) -> String {
    format!("team-{number}")
}

pub fn instant(hour: i64) -> Timestamp {
    Timestamp::from_microsecond(START + hour * HOUR)
}

/// One change, which a stop leaves done or not done.
#[derive(Debug, Clone)]
pub enum Change {
    Append(Vec<Given>),
    /// The same, as brought by this import.
    Import(u8, Vec<Given>),
    /// The first id, of which nothing else is known, and a user's.
    Link(String, String),
    /// A linked id is taken away from the user again.
    Split(String),
    /// Somebody gets seats more, or is said once more to have got them.
    Seats(Seats),
    /// A team gets a plan, in the place of the one that it has.
    Plan(String, String),
    /// Everybody known by the id.
    Erase(String),
    /// Those whose number is in the range.
    Retract(i64, i64),
    RetractImport(u8),
    /// Those before the hour.
    Expire(i64),
    /// What is kept aside under this message id with this number is dropped.
    Drop(String, i64),
}

/// What a store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// What answers are made of, in the order of acceptance, each with the import that brought it.
    pub events: Vec<(Given, Option<u8>)>,
    /// To each linked id, the user's.
    pub links: BTreeMap<String, String>,
    pub seats: Vec<Seats>,
    /// The plan of each team.
    pub plans: BTreeMap<String, String>,
    /// The message ids of seats that are taken.
    seated: BTreeSet<String>,
    /// What is kept aside.
    pub aside: Vec<Given>,
    /// What was, until it was dropped: it is not kept a second time for as long as the first is in the log, which only the store knows.
    pub dropped: Vec<Given>,
    /// What was stored under each message id that is taken.
    contents: BTreeMap<String, Given>,
    /// The imports that brought what is stored under a message id.
    imports: BTreeMap<String, u8>,
    /// Message ids of what had expired when its import was withdrawn: free, if it was still in the log.
    perhaps_free: BTreeSet<String>,
    /// Before this hour everything has expired.
    pub horizon: i64,
    /// Who was erased and has not come back.
    pub erased: BTreeSet<String>,
}

impl State {
    pub fn person<'a>(&'a self, id: &'a str) -> &'a str {
        self.links.get(id).map_or(id, String::as_str)
    }

    /// The seats of the person of an id, from those that they got before an instant.
    pub fn seats_of(&self, id: &str, before: i64) -> Option<i64> {
        let person = self.person(id);
        let own = self.seats.iter().filter(|got| self.person(&got.who) == person && got.timestamp() < before);
        own.map(|got| got.seats).reduce(|all, more| all + more)
    }

    /// What is stored under a message id, or was until it expired or its person was erased.
    pub fn content(&self, id: &str) -> Option<&Given> {
        self.contents.get(id)
    }

    /// Whether a message id may be free although something is stored under it: that has expired, and its import was withdrawn.
    pub fn is_perhaps_free(&self, id: &str) -> bool {
        self.perhaps_free.contains(id)
    }

    pub fn after(&self, change: &Change) -> Self {
        let mut state = self.clone();
        match change {
            Change::Append(given) => given.iter().for_each(|event| state.take(event, None)),
            Change::Import(import, given) => given.iter().for_each(|event| state.take(event, Some(*import))),
            Change::Link(id, user) => {
                state.links.insert(id.clone(), user.clone());
            }
            Change::Split(id) => {
                state.links.remove(id);
            }
            Change::Seats(seats) => {
                if state.seated.insert(seats.id.clone()) {
                    state.erased.remove(&seats.who);
                    state.seats.push(seats.clone());
                }
            }
            Change::Plan(team, plan) => {
                state.plans.insert(team.clone(), plan.clone());
            }
            Change::Erase(id) => {
                let person = self.person(id);
                let named =
                    self.events.iter().map(|(event, _)| &event.who).chain(self.seats.iter().map(|got| &got.who));
                state.erased.extend(named.filter(|who| self.person(who) == person).cloned());
                state.seats.retain(|got| self.person(&got.who) != person);
                state.events.retain(|(event, _)| self.person(&event.who) != person);
                state.aside.retain(|event| self.person(&event.who) != person);
                state.dropped.retain(|event| self.person(&event.who) != person);
                state.links.retain(|id, user| id != person && user != person);
            }
            Change::Retract(from, to) => state.withdraw(|event, _| (*from..*to).contains(&event.number)),
            Change::RetractImport(import) => {
                state.withdraw(|_, by| by == Some(*import));
                let expired = state.contents.values().filter(|event| event.hour < state.horizon);
                let of_import = expired.filter(|event| state.imports.get(&event.id) == Some(import));
                state.perhaps_free.extend(of_import.map(|event| event.id.clone()).collect::<Vec<_>>());
            }
            Change::Expire(hour) => {
                state.horizon = state.horizon.max(*hour);
                state.events.retain(|(event, _)| event.hour >= *hour);
            }
            Change::Drop(id, number) => {
                let is_it = |event: &mut Given| event.id == *id && event.number == *number;
                state.dropped.extend(state.aside.extract_if(.., is_it));
            }
        }
        state
    }

    fn take(&mut self, event: &Given, import: Option<u8>) {
        self.erased.remove(&event.who);
        match self.contents.get(&event.id) {
            Some(stored) if stored == event => {}
            Some(_) => {
                if !self.aside.contains(event) && !self.dropped.contains(event) {
                    self.aside.push(event.clone());
                }
            }
            None if event.hour < self.horizon => {}
            None => {
                self.contents.insert(event.id.clone(), event.clone());
                match import {
                    Some(import) => self.imports.insert(event.id.clone(), import),
                    None => self.imports.remove(&event.id),
                };
                self.events.push((event.clone(), import));
            }
        }
    }

    fn withdraw(&mut self, is_wrong: impl Fn(&Given, Option<u8>) -> bool) {
        for (event, _) in self.events.extract_if(.., |(event, by)| is_wrong(event, *by)) {
            self.contents.remove(&event.id);
        }
    }
}
