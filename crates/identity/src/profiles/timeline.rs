//! The values of one trait through time, of every person.

use std::ops::Range;

use foldhash::HashMap;
use pugmark_store::{Sequence, SubjectId, Value, ValueRef};

use super::held::{Held, Standing};
use super::history::Change;
use super::state::{Profiles, Trait};
use super::values::Values;
use crate::person::PersonId;
use crate::persons::Persons;

/// No value.
const NOTHING: u32 = u32::MAX;

/// What a trait was, of every person and from when on. It takes 20 bytes for each change, 8 for each person, 12 for each different value, and the texts of lists and
/// sums.
#[derive(Debug, Default)]
pub struct Timeline {
    /// Ascending.
    persons: Vec<u32>,
    /// Where the changes of each person end.
    ends: Vec<u32>,
    /// (timestamp, sequence) of each change; none where only the last of each person is kept.
    at: Vec<(i64, u64)>,
    /// The place in `values` of what stands after each change.
    states: Vec<u32>,
    values: Vec<Kept>,
    given: Values,
    sums: Vec<Value>,
    /// Elements as JSON text.
    lists: Vec<Vec<String>>,
}

/// A value of a timeline.
#[derive(Debug, Clone, Copy)]
enum Kept {
    /// As it was given.
    Given(u32),
    /// The place of a sum.
    Sum(u32),
    /// That many elements of a list.
    List(u32, u32),
}

/// Where in a timeline the person was that was looked up last: the next is mostly near.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen(usize);

/// Whose changes a timeline is made of.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Who is who.
    pub persons: &'a Persons,
    /// Only changes up to this sequence.
    pub through: Sequence,
    /// Whether what stood before the last change matters too.
    pub past: bool,
}

impl Profiles {
    /// What a trait of these profiles was; `hides` tells what is left out.
    pub fn timeline(&self, of: &Trait, view: View<'_>, hides: impl Fn(SubjectId, Sequence) -> bool) -> Timeline {
        let View { persons, through, past } = view;
        let mut changes: Vec<(u32, Change)> = of
            .sorted()
            .into_iter()
            .filter(|change| {
                let (subject, sequence) = (SubjectId::new(change.subject), Sequence::new(change.sequence()));
                sequence <= through && !hides(subject, sequence)
            })
            .map(|change| (persons.person_of(SubjectId::new(change.subject)).number(), change))
            .collect();
        // Sorted by subject, they are sorted by person where everybody is a person of their own.
        if persons.has_links() {
            changes.sort_by_key(|(person, change)| (*person, change.timestamp, change.sequence()));
        }
        let given = self.values();
        let mut timeline = Timeline { given: given.clone(), ..Timeline::default() };
        let mut places: HashMap<u32, u32> = HashMap::default();
        for own in changes.chunk_by(|(a, _), (b, _)| a == b) {
            timeline.push(own, (given, persons), past, &mut places);
        }
        timeline
    }
}

impl Profiles {
    /// What a trait of these profiles is of one person; `hides` tells what is left out.
    pub fn value_of(
        &self,
        of: &Trait,
        person: PersonId,
        (persons, through): (&Persons, Sequence),
        hides: impl Fn(SubjectId, Sequence) -> bool,
    ) -> Option<Value> {
        let given = |number: u32| self.value(number);
        let mut held = Held::new();
        for change in of.changes_of(persons.ring(persons.root(person.number()))) {
            let (subject, sequence) = (SubjectId::new(change.subject), Sequence::new(change.sequence()));
            if sequence <= through && !hides(subject, sequence) {
                held.apply(change.kind(), change.value, persons.is_known(subject), &given);
            }
        }
        held.value(&given)
    }
}

impl Timeline {
    /// Takes in the changes of one person.
    fn push(
        &mut self,
        changes: &[(u32, Change)],
        (given, persons): (&Values, &Persons),
        past: bool,
        places: &mut HashMap<u32, u32>,
    ) {
        let Some((person, _)) = changes.first() else { return };
        let value = |number: u32| given.value(number);
        let lists = small(self.lists.len());
        let mut held = Held::new();
        for (_, change) in changes {
            let is_known = persons.is_known(SubjectId::new(change.subject));
            if held.apply(change.kind(), change.value, is_known, &value) && past {
                self.at.push((change.timestamp, change.sequence()));
                let state = self.state(&held, lists, places);
                self.states.push(state);
            }
        }
        if !past {
            let state = self.state(&held, lists, places);
            self.states.push(state);
        }
        self.lists.append(&mut held.lists);
        self.persons.push(*person);
        self.ends.push(small(self.states.len()));
    }

    /// The place of what stands; the lists of the person come after the first `lists`.
    fn state(&mut self, held: &Held, lists: u32, places: &mut HashMap<u32, u32>) -> u32 {
        let next = small(self.values.len());
        let kept = match &held.standing {
            Standing::Nothing => return NOTHING,
            Standing::Given(number) => {
                let place = *places.entry(*number).or_insert(next);
                if place != next {
                    return place;
                }
                Kept::Given(*number)
            }
            Standing::Sum(sum) => {
                self.sums.push(sum.value());
                Kept::Sum(small(self.sums.len() - 1))
            }
            Standing::List => {
                let last = small(held.lists.len()).saturating_sub(1);
                Kept::List(lists + last, held.lists.last().map_or(0, |list| small(list.len())))
            }
        };
        self.values.push(kept);
        next
    }

    /// How many different values there may be: each has a place below.
    pub fn value_count(&self) -> usize {
        self.values.len()
    }

    /// Gives the value at a place to `take`: at the end of a list that is as long as what was appended to it.
    ///
    /// # Panics
    /// For a place that is not below [`value_count`](Self::value_count).
    pub fn with_value<T>(&self, place: u32, take: impl FnOnce(ValueRef<'_>) -> T) -> T {
        match self.values[place as usize] {
            Kept::Given(number) => take(self.given.value(number)),
            Kept::Sum(sum) => take(self.sums[sum as usize].borrowed()),
            Kept::List(list, length) => {
                let elements = &self.lists[list as usize][..length as usize];
                take(Value::Json(format!("[{}]", elements.join(","))).borrowed())
            }
        }
    }

    /// Whether the value at a place is a list that was made by appending: it takes its length to write it.
    ///
    /// # Panics
    /// As [`with_value`](Self::with_value).
    pub fn is_list(&self, place: u32) -> bool {
        matches!(self.values[place as usize], Kept::List(..))
    }

    /// The place of the value that a person has now, if there is one.
    pub fn last(&self, person: PersonId, seen: &mut Seen) -> Option<u32> {
        let own = self.of(person, seen)?;
        let state = *self.states[own].last()?;
        (state != NOTHING).then_some(state)
    }

    /// The place of the value that a person had when something happened that bears this timestamp and sequence, if there was one.
    ///
    /// # Panics
    /// For a timeline of last values only.
    pub fn at(&self, person: PersonId, (timestamp, sequence): (i64, u64), seen: &mut Seen) -> Option<u32> {
        let own = self.of(person, seen)?;
        let before = self.at[own.clone()].partition_point(|at| *at <= (timestamp, sequence)).checked_sub(1)?;
        let state = self.states[own][before];
        (state != NOTHING).then_some(state)
    }

    /// Bytes of memory, of the lists' elements roughly.
    pub fn bytes(&self) -> usize {
        let elements = self.lists.iter().flatten().map(|element| element.capacity() + size_of::<String>());
        self.persons.capacity() * 8
            + self.at.capacity() * size_of::<(i64, u64)>()
            + self.states.capacity() * 4
            + self.values.capacity() * size_of::<Kept>()
            + self.sums.capacity() * size_of::<Value>()
            + elements.sum::<usize>()
    }

    /// The changes of a person.
    fn of(&self, person: PersonId, seen: &mut Seen) -> Option<Range<usize>> {
        let wanted = person.number();
        let mut place = seen.0.min(self.persons.len().saturating_sub(1));
        match self.persons.get(place)? {
            here if *here == wanted => {}
            here => {
                let (from, to) = if *here > wanted { (0, place) } else { self.ahead(place, wanted) };
                place = from + self.persons[from..to].partition_point(|person| *person < wanted);
            }
        }
        seen.0 = place;
        (self.persons.get(place) == Some(&wanted)).then(|| {
            let first = place.checked_sub(1).map_or(0, |before| self.ends[before]);
            first as usize..self.ends[place] as usize
        })
    }

    /// Bounds of where a person stands behind `place`, found by steps that double.
    fn ahead(&self, place: usize, wanted: u32) -> (usize, usize) {
        let mut step = 1;
        let mut from = place + 1;
        while let Some(person) = self.persons.get(from + step)
            && *person < wanted
        {
            from += step;
            step *= 2;
        }
        (from, (from + step + 1).min(self.persons.len()))
    }
}

fn small(count: usize) -> u32 {
    u32::try_from(count).expect("invariant: 2^32 changes of one trait do not fit in memory")
}
