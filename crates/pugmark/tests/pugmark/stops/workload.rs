//! A history made from a seed, and a run of it that notes what was begun and what was promised.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pugmark::{
    AppendOptions, Declaration, Durability, Entry, ImportId, ManualClock, Note, Operation, Options, Outcome, Pugmark,
    Result, Settle, SizeTiered,
};
use pugmark_store::{SeededEntropy, SimulatedStorage, Storage};

use super::answers::{answers, aside};
use super::history::{Change, Given, Seats, State, instant, secret_of, team};

pub const DIR: &str = "/store";
pub const COPIES: &str = "/copies";
const EVENTS: [&str; 3] = ["view", "cart", "purchase"];
const USERS: u64 = 9;

/// Numbers that follow from a seed (SplitMix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        if of.is_empty() { None } else { of.get(self.below(of.len() as u64) as usize) }
    }
}

#[derive(Debug, Clone)]
pub enum Step {
    /// Changes that are handed over before the first is waited for.
    Do(Vec<(Change, Durability)>),
    Flush,
    Compact,
    /// Declares by what trends are cut, or takes it back.
    Declare,
    Backup,
    /// Closes and opens, with or without what is derived.
    Reopen(bool),
}

/// The steps, and what the store holds after each change.
#[derive(Debug)]
pub struct History {
    pub seed: u64,
    pub steps: Vec<Step>,
    pub states: Vec<State>,
}

struct Maker {
    dice: Dice,
    state: State,
    /// What was sent, so that it can be sent again.
    sent: Vec<Given>,
    seats: Vec<Seats>,
    next_event: i64,
    next_anonymous: u64,
    next_import: u8,
    history: History,
}

impl History {
    pub fn of(seed: u64, steps: usize) -> Self {
        let history = Self { seed, steps: Vec::new(), states: vec![State::default()] };
        let (dice, state) = (Dice::new(seed), State::default());
        let mut maker = Maker {
            dice,
            state,
            sent: Vec::new(),
            seats: Vec::new(),
            next_event: 0,
            next_anonymous: 0,
            next_import: 0,
            history,
        };
        while maker.history.steps.len() < steps {
            let step = maker.step();
            maker.history.steps.extend(step);
        }
        maker.history
    }

    /// What happens in it, by kind.
    pub fn kinds(&self) -> Vec<String> {
        let mut kinds = Vec::new();
        for step in &self.steps {
            match step {
                Step::Do(changes) => kinds.extend(changes.iter().map(|(change, _)| format!("{change:?}"))),
                other => kinds.push(format!("{other:?}")),
            }
        }
        kinds.into_iter().map(|kind| kind.split('(').next().unwrap_or_default().to_owned()).collect()
    }
}

impl Maker {
    fn change(&mut self, change: Change) -> Change {
        self.state = self.state.after(&change);
        self.history.states.push(self.state.clone());
        change
    }

    fn one(&mut self, change: Change) -> Option<Step> {
        Some(Step::Do(vec![(self.change(change), Durability::Sync)]))
    }

    fn user(&mut self) -> String {
        format!("user-{}@example.org", self.dice.below(USERS))
    }

    fn events(&mut self) -> Vec<Given> {
        let mut given = Vec::new();
        for _ in 0..2 + self.dice.below(6) {
            let again = self.dice.one(&self.sent).filter(|event| event.hour >= self.state.horizon).cloned();
            match (self.dice.below(8), again) {
                (0, Some(again)) => given.push(again),
                // Another content under a taken id.
                (1, Some(taken)) if self.state.events.iter().any(|(event, _)| *event == taken) => {
                    given.push(Given { number: taken.number + 10_000, ..taken });
                }
                _ => {
                    let number = self.next_event;
                    self.next_event += 1;
                    let who = match self.dice.below(4) {
                        0 if self.next_anonymous > 0 => format!("anon-{}", self.dice.below(self.next_anonymous)),
                        _ => self.user(),
                    };
                    let late = i64::try_from(self.dice.below(30)).unwrap();
                    let hour = (number - late).max(self.state.horizon);
                    let event = EVENTS[self.dice.below(3) as usize];
                    given.push(Given { id: format!("m{number}"), event, who, hour, number });
                }
            }
        }
        self.sent.extend(given.iter().filter(|event| event.number < 10_000).cloned());
        given
    }

    fn seats(&mut self) -> Seats {
        if let Some(again) = self.dice.one(&self.seats).cloned()
            && self.dice.below(4) == 0
        {
            return again;
        }
        let who = match self.dice.below(3) {
            0 if self.next_anonymous > 0 => format!("anon-{}", self.dice.below(self.next_anonymous)),
            _ => self.user(),
        };
        let late = i64::try_from(self.dice.below(30)).unwrap();
        let seats = i64::try_from(self.dice.below(9)).unwrap() + 1;
        let given =
            Seats { id: format!("seats-{}", self.seats.len()), who, hour: (self.next_event - late).max(0), seats };
        self.seats.push(given.clone());
        given
    }

    fn step(&mut self) -> Option<Step> {
        match self.dice.below(48) {
            0..=9 => {
                let given = self.events();
                self.one(Change::Append(given))
            }
            10..=15 => {
                // Also ids that are on their way.
                let mut changes = Vec::new();
                for _ in 0..2 + self.dice.below(3) {
                    let given = self.events();
                    let durability = if self.dice.below(3) == 0 { Durability::Buffered } else { Durability::Sync };
                    changes.push((self.change(Change::Append(given)), durability));
                }
                Some(Step::Do(changes))
            }
            16..=17 => {
                let given = self.events();
                Some(Step::Do(vec![(self.change(Change::Append(given)), Durability::Buffered)]))
            }
            18..=19 => {
                let given = self.events();
                let import = self.next_import;
                self.next_import += 1;
                self.one(Change::Import(import, given))
            }
            20..=23 => {
                self.next_anonymous += 1;
                let user = self.user();
                self.one(Change::Link(format!("anon-{}", self.next_anonymous - 1), user))
            }
            24..=25 => Some(Step::Flush),
            26 => Some(Step::Declare),
            27..=28 => Some(Step::Compact),
            29..=31 => Some(Step::Backup),
            32 | 33 => {
                let (event, _) = self.dice.one(&self.state.events)?.clone();
                self.one(Change::Erase(event.who))
            }
            34 => {
                let (event, _) = self.dice.one(&self.state.events)?.clone();
                self.one(Change::Retract(event.number, event.number + 4))
            }
            35 => {
                let import = self.state.events.iter().find_map(|(_, import)| *import)?;
                self.one(Change::RetractImport(import))
            }
            36 => {
                let hours: Vec<i64> = self.state.events.iter().map(|(event, _)| event.hour).collect();
                let (first, last) = (*hours.iter().min()?, *hours.iter().max()?);
                self.one(Change::Expire(first + (last - first) / 4))
            }
            37 => {
                let waiting =
                    self.dice.one(&self.state.aside).filter(|event| event.hour >= self.state.horizon)?.clone();
                self.one(Change::Drop(waiting.id, waiting.number))
            }
            38 => Some(Step::Reopen(false)),
            39..=41 => {
                let seats = self.seats();
                self.one(Change::Seats(seats))
            }
            42..=44 => {
                let linked: Vec<String> = self.state.links.keys().cloned().collect();
                let id = self.dice.one(&linked)?.clone();
                self.one(Change::Split(id))
            }
            45 | 46 => {
                let (of, plan) = (self.dice.below(3), self.dice.below(4));
                self.one(Change::Plan(team(i64::try_from(of).unwrap()), format!("plan-{plan}")))
            }
            _ => Some(Step::Reopen(true)),
        }
    }
}

/// What the journal's marks say of a change: its number, times eight, plus one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Begun = 0,
    /// Done, as an append is without a sync.
    Done = 1,
    Durable = 2,
    /// A backup was begun after the change.
    Copying = 3,
    /// It holds everything up to the change.
    Copied = 4,
}

fn mark(storage: &SimulatedStorage, change: usize, mark: Mark) {
    storage.mark(change as u64 * 8 + mark as u64);
}

/// What is known of a run that stopped: numbers of changes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    pub begun: usize,
    pub done: usize,
    pub durable: usize,
    pub copied: Option<usize>,
    /// A backup is under way.
    pub copying: bool,
}

impl Known {
    pub fn of(marks: &[u64]) -> Self {
        let mut known = Self::default();
        for mark in marks {
            let change = usize::try_from(mark / 8).unwrap();
            match mark % 8 {
                0 => known.begun = change,
                1 => known.done = known.done.max(change),
                2 => (known.done, known.durable) = (known.done.max(change), known.durable.max(change)),
                3 => known.copying = true,
                _ => (known.copied, known.copying) = (Some(change), false),
            }
        }
        known
    }
}

pub fn options(storage: &SimulatedStorage, background: bool) -> Options {
    let mut options = Options::default();
    options.store.storage = Arc::new(storage.clone());
    options.store.clock = Arc::new(ManualClock::new(instant(24 * 365)));
    options.store.entropy = Arc::new(SeededEntropy::new(1));
    options.store.index_cache_bytes = 1 << 20;
    options.store.segment_max_bytes = 2_500;
    options.store.checkpoint_every = 60;
    options.store.buffered_sync_after = Duration::from_secs(3_600);
    options.store.background = background;
    options.flush_rows = 48;
    options.merge = Arc::new(SizeTiered { target_rows: 1_000, files_min: 2, ..SizeTiered::default() });
    options
}

pub fn disk() -> SimulatedStorage {
    let storage = SimulatedStorage::new();
    storage.create_dir_all(Path::new(DIR)).unwrap();
    storage.sync_dir(Path::new("/")).unwrap();
    storage
}

fn import_id(number: u8) -> ImportId {
    ImportId::from_bytes([number + 1; 16])
}

/// Does all of it, and notes what was begun and what was promised.
pub fn run(storage: &SimulatedStorage, history: &History, background: bool) -> Result<()> {
    let mut db = Pugmark::open_with(DIR, options(storage, background))?;
    let mut change = 0;
    for step in &history.steps {
        match step {
            Step::Do(changes) => {
                let first = change + 1;
                change += changes.len();
                match &changes[..] {
                    [(one, Durability::Sync)] if !matches!(one, Change::Append(_) | Change::Import(..)) => {
                        mark(storage, change, Mark::Begun);
                        perform(&db, one)?;
                        mark(storage, change, Mark::Durable);
                    }
                    appends => {
                        let mut under_way = Vec::new();
                        for (at, (append, durability)) in (first..).zip(appends) {
                            mark(storage, at, Mark::Begun);
                            under_way.push((at, *durability, submit(&db, append, *durability)?));
                        }
                        for (at, durability, pending) in under_way {
                            pending.wait()?;
                            mark(storage, at, if durability == Durability::Sync { Mark::Durable } else { Mark::Done });
                        }
                    }
                }
            }
            Step::Flush => db.flush()?,
            Step::Compact => db.compact()?,
            Step::Declare if db.declarations()?.is_empty() => {
                db.declare(&Declaration::new("notes", "*").dimension("note").measure("number"))?;
            }
            Step::Declare => db.undeclare("notes")?,
            Step::Backup => {
                mark(storage, change, Mark::Copying);
                db.backup(COPIES)?;
                mark(storage, change, Mark::Copied);
            }
            Step::Reopen(without_index) => {
                db.close()?;
                if *without_index {
                    storage.lose(Path::new("/store/index.redb")).expect("a closed store has an index");
                }
                db = Pugmark::open_with(DIR, options(storage, background))?;
            }
        }
        assert_eq!(history.states[change].difference(&answers(&db)?), None, "live, after {step:?}");
    }
    db.close()
}

fn submit(db: &Pugmark, append: &Change, durability: Durability) -> Result<pugmark::Pending> {
    let (given, import) = match append {
        Change::Append(given) => (given, None),
        Change::Import(import, given) => (given, Some(import_id(*import))),
        other => panic!("{other:?} is no append"),
    };
    let entries: Vec<Entry> = given.iter().map(|event| event.to_event().into()).collect();
    db.submit(entries, &AppendOptions { durability, import, ..AppendOptions::default() })
}

fn perform(db: &Pugmark, change: &Change) -> Result<()> {
    match change {
        Change::Link(id, user) => {
            let outcome = db.append(vec![Operation::identify(id.clone(), user.clone()).into()])?;
            assert!(matches!(outcome[..], [Outcome::Accepted(_)]), "{change:?}: {outcome:?}");
        }
        Change::Split(id) => {
            let outcome = db.split(id.clone(), Note::by("support").because(secret_of(id)))?;
            assert!(matches!(outcome, Outcome::Accepted(_)), "{change:?}: {outcome:?}");
        }
        Change::Seats(seats) => {
            let outcome = db.update_profile(seats.to_update())?;
            assert!(matches!(outcome, Outcome::Accepted(_) | Outcome::Duplicate), "{change:?}: {outcome:?}");
        }
        Change::Plan(team, plan) => {
            let traits = [("plan".to_owned(), plan.as_str().into())].into_iter().collect();
            db.set_group("team", team, &traits)?;
        }
        Change::Erase(id) => {
            db.erase(&[id])?;
        }
        Change::Retract(from, to) => {
            db.blocking()?.retract(&format!("number >= {from} and number < {to}"))?;
        }
        Change::RetractImport(import) => {
            db.retract_import(import_id(*import))?;
        }
        Change::Expire(hour) => {
            db.expire(instant(*hour))?;
        }
        Change::Drop(id, number) => {
            let aside = aside(db)?;
            let kept = aside.iter().find(|((_, other, n), _)| other == id && n == number);
            db.settle(kept.expect("it is kept aside").1, Settle::Drop)?;
        }
        Change::Append(_) | Change::Import(..) => panic!("{change:?} is submitted"),
    }
    Ok(())
}
