//! What a store is to hold, as a map of what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arbitrary::Arbitrary;
use pugmark_store::{
    Entry, Event, EventRecord, Hidden, Outcome, Payload, Record, Sequence, SimulatedStorage, Store, SubjectId,
    Timestamp, ValueRef,
};

const DAY_US: i64 = 86_400_000_000;
const FIRST_US: i64 = 1_700_000_000_000_000;
const PEOPLE: u8 = 5;

/// The start of a day.
pub fn day(number: u8) -> Timestamp {
    Timestamp::from_microsecond(FIRST_US + i64::from(number) * DAY_US)
}

/// The distinct id of somebody.
pub fn name(who: u8) -> String {
    format!("person-{}-of-the-few", who % PEOPLE)
}

/// An event as it is sent.
#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    pub id: u8,
    pub who: u8,
    pub content: u8,
    pub day: u8,
}

impl Sent {
    pub fn entry(self) -> Entry {
        let event = Event::new("e", name(self.who)).message_id(format!("m{}", self.id));
        event.at(day(self.day % 16)).property("c", i64::from(self.content)).into()
    }

    /// As what is sent is told apart: whatever is the same for the store is the same.
    pub fn folded(self) -> Self {
        Self { who: self.who % PEOPLE, day: self.day % 16, ..self }
    }

    /// That of an event which was kept aside.
    pub fn of_event(event: &Event) -> Self {
        let content = match event.properties.first() {
            Some((_, pugmark_store::Value::Int(content))) => *content as u8,
            other => panic!("nobody sent {other:?}"),
        };
        let id = event.message_id.as_deref().expect("every event has one");
        let at = event.timestamp.expect("every event has one");
        Self { id: number_in(id), who: number_in(&event.distinct_id), content, day: day_of(at.as_microsecond()) }
    }

    fn of_record(event: &EventRecord<'_>, payload: &Payload<'_>, who: &str) -> Self {
        let content = match event.properties[..] {
            [(_, ValueRef::Int(content))] => content as u8,
            ref other => panic!("nobody sent {other:?}"),
        };
        let day = day_of(payload.base_time + event.time);
        Self { id: number_in(&event.message_id.to_string()), who: number_in(who), content, day }
    }
}

fn day_of(at: i64) -> u8 {
    u8::try_from((at - FIRST_US) / DAY_US).expect("all happened in a few days")
}

fn number_in(text: &str) -> u8 {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.parse().expect("every text that is sent has one number")
}

/// An event that is stored; `epoch` counts how often that person was erased before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    sent: Sent,
    epoch: u32,
}

/// What is known of a message id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Id {
    Known(Held),
    /// Its event was erased: whatever comes is a duplicate.
    Erased,
    /// It expired and was erased besides: taken, and what of its content is left is the store's affair.
    Gone,
    /// It expired and was retracted besides.
    Any,
}

/// What a store was asked to remove when it stopped.
#[derive(Debug, Clone)]
pub enum Pending {
    Erasure(u8, SubjectId),
    Retraction(Vec<(Sequence, u64)>),
    Expiry(u8),
}

#[derive(Debug, Default)]
pub struct Model {
    /// By sequence.
    events: BTreeMap<u64, Held>,
    /// Those that are hidden, and may be gone.
    expired: BTreeMap<u64, Held>,
    ids: BTreeMap<u8, Id>,
    epochs: [u32; PEOPLE as usize],
    /// Who was erased and not mentioned since.
    absent: BTreeSet<u8>,
    expired_before: Option<u8>,
    /// What each event that may be lost has changed.
    unsynced: Vec<(u64, u8, Option<Id>)>,
    synced: u64,
    last: u64,
}

impl Model {
    fn held(&self, sent: Sent) -> Held {
        Held { sent, epoch: self.epochs[usize::from(sent.who)] }
    }

    fn is_expired(&self, sent: Sent) -> bool {
        self.expired_before.is_some_and(|before| sent.day < before)
    }

    pub fn mention(&mut self, who: u8) {
        self.absent.remove(&(who % PEOPLE));
    }

    fn store(&mut self, sequence: u64, sent: Sent) {
        let held = self.held(sent);
        assert!(!self.is_expired(sent), "{sent:?} is too late");
        let before = self.ids.insert(sent.id, Id::Known(held));
        assert!(matches!(before, None | Some(Id::Any)), "{sent:?} was {before:?}");
        self.unsynced.push((sequence, sent.id, before));
        assert_eq!(self.events.insert(sequence, held), None, "sequence {sequence} is given twice");
        self.mention(sent.who);
    }

    /// Takes in what became of an event, which must follow from what was known.
    pub fn answered(&mut self, sent: Sent, outcome: &Outcome) {
        let known = self.ids.get(&sent.id).copied();
        match (known, outcome) {
            (None | Some(Id::Any), Outcome::Accepted(sequence)) => self.store(sequence.number(), sent),
            (None, Outcome::Rejected(_)) => assert!(self.is_expired(sent), "{sent:?}: {outcome}"),
            (Some(Id::Known(held)), Outcome::Duplicate) => assert_eq!(held, self.held(sent)),
            (Some(Id::Known(held)), Outcome::Conflict(_)) => {
                assert_ne!(held, self.held(sent));
                self.mention(sent.who);
            }
            (Some(Id::Erased), Outcome::Duplicate) => {}
            (Some(Id::Gone), Outcome::Duplicate | Outcome::Conflict(_))
            | (Some(Id::Any), Outcome::Duplicate | Outcome::Conflict(_) | Outcome::Rejected(_)) => {
                self.mention(sent.who)
            }
            _ => panic!("{sent:?}: {outcome}, although {known:?}"),
        }
    }

    /// A conflict was stored under an id that was free.
    pub fn settled(&mut self, sequence: Sequence, sent: Sent) {
        self.store(sequence.number(), sent);
    }

    /// The store has answered everything through its last sequence; `durable` says that it keeps it.
    pub fn answered_through(&mut self, store: &Store, durable: bool) {
        self.last = store.snapshot().sequence().number();
        if durable {
            self.synced = self.last;
            self.unsynced.clear();
        }
    }

    pub fn erased(&mut self, who: u8) {
        let who = who % PEOPLE;
        let of = |held: &Held| held.sent.who == who;
        self.events.retain(|_, held| !of(held));
        for id in self.ids.values_mut() {
            if let Id::Known(held) = *id
                && of(&held)
                && held.epoch == self.epochs[usize::from(who)]
            {
                let expired = self.expired_before.is_some_and(|before| held.sent.day < before);
                *id = if expired { Id::Gone } else { Id::Erased };
            }
        }
        self.expired.retain(|_, held| !of(held));
        self.epochs[usize::from(who)] += 1;
        self.absent.insert(who);
    }

    pub fn retracted(&mut self, rows: &[(Sequence, u64)]) {
        let inside = |sequence: u64| {
            rows.iter().any(|(first, count)| (first.number()..first.number() + count).contains(&sequence))
        };
        let gone: Vec<u64> = self.events.keys().copied().filter(|sequence| inside(*sequence)).collect();
        for sequence in gone {
            if let Some(held) = self.events.remove(&sequence) {
                self.ids.remove(&held.sent.id);
            }
        }
        let expired: Vec<u64> = self.expired.keys().copied().filter(|sequence| inside(*sequence)).collect();
        for sequence in expired {
            if let Some(held) = self.expired.remove(&sequence)
                && self.ids.get(&held.sent.id) == Some(&Id::Known(held))
            {
                self.ids.insert(held.sent.id, Id::Any);
            }
        }
    }

    pub fn expired(&mut self, before: u8) {
        self.expired_before = self.expired_before.max(Some(before));
        let (expired, events) =
            std::mem::take(&mut self.events).into_iter().partition(|(_, held)| self.is_expired(held.sent));
        self.events = events;
        let expired: BTreeMap<u64, Held> = expired;
        self.expired.extend(expired);
    }

    /// The store was opened after a stop, in the middle of an append of `attempted`, and its log ended at `last`. Only a tail that nobody promised is lost, and only what was attempted is new.
    pub fn reopened(&mut self, store: &Store, last: u64, attempted: &[Sent]) {
        assert!(last >= self.synced, "sequence {} was promised, the log ends at {last}", self.synced);
        while let Some((sequence, id, before)) = self.unsynced.pop_if(|(sequence, ..)| *sequence > last) {
            self.events.remove(&sequence);
            self.expired.remove(&sequence);
            match before {
                Some(before) => self.ids.insert(id, before),
                None => self.ids.remove(&id),
            };
        }
        let answered = self.last.min(last);
        for (sequence, sent) in events(store) {
            if sequence > answered && !self.events.contains_key(&sequence) {
                assert!(attempted.contains(&sent), "{sent:?} was not sent");
                self.store(sequence, sent);
            }
        }
        // Also as a conflict that nobody was told of.
        attempted.iter().for_each(|sent| self.mention(sent.who));
        self.answered_through(store, true);
    }

    /// What was being removed when the store stopped is removed or was never begun.
    pub fn resumed(&mut self, store: &Store, pending: Pending) {
        let snapshot = store.snapshot();
        let hidden = snapshot.state::<Hidden>().unwrap_or_default();
        match pending {
            Pending::Erasure(who, subject) => {
                let names = snapshot.subjects().distinct_ids(&[subject]).expect("reads");
                assert_eq!(names[0].is_none(), hidden.is_erased(subject));
                if hidden.is_erased(subject) {
                    self.erased(who);
                }
            }
            Pending::Retraction(rows) => {
                let there = events(store);
                let first = rows
                    .iter()
                    .find_map(|(first, _)| self.events.contains_key(&first.number()).then_some(first.number()));
                if first.is_some_and(|first| !there.contains_key(&first)) {
                    self.retracted(&rows);
                }
            }
            Pending::Expiry(before) => {
                if snapshot.expired_before() >= Some(day(before)) {
                    self.expired(before);
                }
            }
        }
        self.answered_through(store, true);
    }

    /// The last sequence that was answered.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The sequences of events, ascending.
    pub fn sequences(&self) -> Vec<u64> {
        self.events.keys().copied().collect()
    }

    /// That the store holds what it is to hold, and nothing of who was erased.
    pub fn check(&self, store: &Store) {
        let there = events(store);
        for (sequence, held) in &self.events {
            assert_eq!(there.get(sequence), Some(&held.sent), "sequence {sequence}");
        }
        for (sequence, sent) in &there {
            let held = self.events.get(sequence).or_else(|| self.expired.get(sequence));
            assert_eq!(held.map(|held| &held.sent), Some(sent), "sequence {sequence} was removed or is nobody's");
        }
        assert_eq!(store.snapshot().sequence().number(), self.last);
        assert_eq!(store.snapshot().expired_before(), self.expired_before.map(day));
        for kept in store.quarantine().expect("lists") {
            let kept = kept.expect("reads");
            assert!(!self.absent.contains(&number_in(&kept.event.distinct_id)), "{kept:?}");
        }
        for who in &self.absent {
            assert_eq!(store.snapshot().subjects().resolve(&name(*who)).expect("resolves"), None);
        }
    }

    /// That no file of the store in `dir` has the name of anybody who was erased.
    pub fn check_bytes(&self, storage: &SimulatedStorage, dir: &Path) {
        for who in &self.absent {
            let mut found = storage.files_with(name(*who).as_bytes());
            found.retain(|path| path.starts_with(dir));
            assert!(found.is_empty(), "{} was erased and is in {found:?}", name(*who));
        }
    }
}

/// The events of the log by sequence.
fn events(store: &Store) -> BTreeMap<u64, Sent> {
    let mut events = BTreeMap::new();
    let snapshot = store.snapshot();
    for frame in store.scan(Sequence::FIRST).expect("scans") {
        let frame = frame.expect("whole");
        let payload = frame.payload().expect("decodes");
        for (sequence, record) in (frame.first_sequence().number()..).zip(&payload.records) {
            let Record::Event(event) = record else { continue };
            let names = snapshot.subjects().distinct_ids(&[SubjectId::new(event.subject)]).expect("reads");
            let who =
                names[0].as_deref().unwrap_or_else(|| panic!("sequence {sequence} is of somebody who was erased"));
            assert_eq!(
                events.insert(sequence, Sent::of_record(event, &payload, who)),
                None,
                "{sequence} is there twice"
            );
        }
    }
    events
}
