//! What is published: every change up to one sequence.

use std::collections::BTreeMap;
use std::sync::Arc;

use pugmark_store::{ProfileChange, Sequence, ValueRef};

use super::history::{Change, History, TraitRun};
use super::values::{Interner, Values, ValuesMark};

/// A kind of value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraitKind {
    /// `true` or `false`.
    Bool,
    /// A whole number of 64 bits.
    Int,
    /// A number with a fraction or an exponent.
    Float,
    /// A string.
    Text,
    /// A number that is neither.
    Number,
    /// A list, or JSON text of another kind.
    Json,
}

impl TraitKind {
    /// The kind of a value.
    pub fn of(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Bool(_) => Self::Bool,
            ValueRef::Int(_) => Self::Int,
            ValueRef::Float(_) => Self::Float,
            ValueRef::Text(_) => Self::Text,
            ValueRef::Number(_) => Self::Number,
            ValueRef::Json(_) => Self::Json,
        }
    }

    /// What a change makes of a trait: `append` and `union` make a list of it, `unset` nothing.
    fn made_by(change: ProfileChange, value: ValueRef<'_>) -> Option<Self> {
        match change {
            ProfileChange::Set | ProfileChange::SetOnce | ProfileChange::Add => Some(Self::of(value)),
            ProfileChange::Append | ProfileChange::Union => Some(Self::Json),
            ProfileChange::Unset => None,
        }
    }
}

/// Every change of one trait. It never changes: one more change makes another of it.
#[derive(Debug, Clone)]
pub struct Trait {
    name: Arc<str>,
    /// The sequence of its first change.
    since: u64,
    /// The sequence of its last change.
    last: u64,
    /// The kinds of its values with the sequences at which they came, in this order.
    kinds: Vec<(TraitKind, u64)>,
    history: History,
}

impl Trait {
    /// Whether all of it had happened by a sequence.
    pub fn is_whole(&self, through: Sequence) -> bool {
        self.last <= through.number()
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many changes there are.
    pub fn change_count(&self) -> usize {
        self.history.len()
    }

    /// Its changes in pieces, each of which stays what it is: what is made of one can be kept with it.
    pub fn runs(&self) -> &[Arc<TraitRun>] {
        self.history.runs()
    }

    pub(super) fn sorted(&self) -> Vec<Change> {
        self.history.sorted()
    }

    pub(super) fn changes_of(&self, subjects: impl Iterator<Item = u32>) -> Vec<Change> {
        self.history.of(subjects)
    }

    /// Takes in what came since, in the order of the log.
    fn take(&mut self, changes: Vec<Change>) {
        self.last = changes.last().map_or(self.last, Change::sequence);
        self.history.add(changes);
    }
}

/// Every change of every trait up to one sequence. It never changes, and a clone shares what it holds.
///
/// In memory a change takes 24 bytes, and each different value is held once.
#[derive(Debug, Clone, Default)]
pub struct Profiles {
    numbers: Arc<BTreeMap<Arc<str>, u32>>,
    traits: Vec<Arc<Trait>>,
    values: Values,
}

impl Profiles {
    /// The names of the traits that had been seen by a sequence, ascending.
    pub fn names(&self, through: Sequence) -> impl Iterator<Item = &str> {
        let seen = move |number: &u32| self.traits[*number as usize].since <= through.number();
        self.numbers.iter().filter(move |(_, number)| seen(number)).map(|(name, _)| &**name)
    }

    /// The kinds of values that a trait had been given by a sequence, in the order in which they came; `None` for one that had not been seen.
    pub fn kinds(&self, name: &str, through: Sequence) -> Option<Vec<TraitKind>> {
        let found = self.of(name, through)?;
        Some(found.kinds.iter().take_while(|(_, at)| *at <= through.number()).map(|(kind, _)| *kind).collect())
    }

    /// What is known of a trait; `None` for one that had not been seen by a sequence.
    pub fn of(&self, name: &str, through: Sequence) -> Option<&Arc<Trait>> {
        let found = self.numbers.get(name).map(|number| &self.traits[*number as usize]);
        found.filter(|found| found.since <= through.number())
    }

    /// How many different values there are, of all traits: each has a number below.
    pub fn value_count(&self) -> u32 {
        self.values.len()
    }

    /// Tells these values from others, and how many there are, without holding them.
    pub fn mark(&self) -> ValuesMark {
        self.values.mark()
    }

    /// Whether a mark is of these values, when there were fewer or more of them: those that both have are the same under the same numbers.
    pub fn are_of(&self, mark: &ValuesMark) -> bool {
        mark.is_of(&self.values)
    }

    /// The value under a number.
    ///
    /// # Panics
    /// For a number that is not below [`value_count`](Self::value_count).
    pub fn value(&self, number: u32) -> ValueRef<'_> {
        self.values.value(number)
    }

    pub(super) fn values(&self) -> &Values {
        &self.values
    }

    /// What `other` says otherwise, which is to be the same made in another way.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        let names = |of: &Self| -> Vec<Arc<str>> { of.traits.iter().map(|of| Arc::clone(&of.name)).collect() };
        if names(self) != names(other) {
            let (found, expected) = (other.traits.len(), self.traits.len());
            return Some(format!("{found} traits that are not the {expected} of the log, or in another order"));
        }
        self.traits.iter().zip(&other.traits).find_map(|(expected, found)| {
            if (expected.since, &expected.kinds) != (found.since, &found.kinds) {
                return Some(format!("trait \"{}\": first seen otherwise than in the log", expected.name));
            }
            let (log, own) = (expected.history.sorted(), found.history.sorted());
            if log.len() != own.len() {
                let (own, log) = (own.len(), log.len());
                return Some(format!("trait \"{}\": {own} changes but the log has {log}", expected.name));
            }
            let is_same =
                |(a, b): (&Change, &Change)| a.same_as(b) && self.values.value(a.value) == other.values.value(b.value);
            let differs = log.iter().zip(&own).position(|pair| !is_same(pair))?;
            let at = log[differs].sequence();
            Some(format!("trait \"{}\": the change of sequence {at} is not that of the log", expected.name))
        })
    }
}

/// Profiles in the making.
#[derive(Debug, Default)]
pub(super) struct Maker {
    profiles: Profiles,
    values: Interner,
    /// Changes that are in no history yet, by trait.
    recent: BTreeMap<u32, Vec<Change>>,
}

impl Maker {
    /// The number of a trait, which is given one where it is new.
    pub(super) fn number(&mut self, name: &str, sequence: u64) -> u32 {
        let Profiles { numbers, traits, .. } = &mut self.profiles;
        if let Some(number) = numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(traits.len()).expect("invariant: 2^32 names do not fit in memory");
        let name: Arc<str> = Arc::from(name);
        Arc::make_mut(numbers).insert(Arc::clone(&name), number);
        traits.push(Arc::new(Trait {
            name,
            since: sequence,
            last: sequence,
            kinds: Vec::new(),
            history: History::default(),
        }));
        number
    }

    /// Takes in a change, of a sequence that is not below that of any other.
    ///
    /// The number of the value.
    pub(super) fn add(&mut self, of: u32, about: (u32, i64, u64), kind: ProfileChange, value: ValueRef<'_>) -> u32 {
        let (subject, timestamp, sequence) = about;
        let number = self.values.number(value);
        if let Some(made) = TraitKind::made_by(kind, value) {
            let own = &mut self.profiles.traits[of as usize];
            if own.kinds.iter().all(|(known, _)| *known != made) {
                Arc::make_mut(own).kinds.push((made, sequence));
            }
        }
        self.recent.entry(of).or_default().push(Change::new(subject, timestamp, sequence, kind, number));
        number
    }

    pub(super) fn trait_count(&self) -> u32 {
        u32::try_from(self.profiles.traits.len()).expect("invariant: traits are numbered by 32 bits")
    }

    pub(super) fn value(&self, number: u32) -> ValueRef<'_> {
        self.values.values.value(number)
    }

    /// What is to be published.
    pub(super) fn profiles(&mut self) -> Profiles {
        for (of, changes) in std::mem::take(&mut self.recent) {
            Arc::make_mut(&mut self.profiles.traits[of as usize]).take(changes);
        }
        self.profiles.values = self.values.values.clone();
        self.profiles.clone()
    }

    /// The same, for a look.
    pub(super) fn present(&self) -> Profiles {
        let mut present = self.profiles.clone();
        for (of, changes) in &self.recent {
            Arc::make_mut(&mut present.traits[*of as usize]).take(changes.clone());
        }
        present.values = self.values.values.clone();
        present
    }
}
