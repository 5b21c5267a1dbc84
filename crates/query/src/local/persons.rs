//! Who is whom, as the operators ask it: of most subjects only that they are nobody else.

use std::ops::Range;
use std::sync::{Arc, OnceLock, Weak};

use pugmark_identity::Persons;
use pugmark_store::SubjectId;
use roaring::RoaringBitmap;

use crate::columns::Rollup;

/// Which subjects are counted as another one, or with another one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Merged(Option<Arc<Joined>>);

/// The subjects of persons with more than one.
#[derive(Debug)]
pub(crate) struct Joined {
    of: Weak<Persons>,
    /// Bit *n* is set for a subject whose person has more than one.
    bits: Vec<u64>,
    /// How many bits are set before each word.
    before: Vec<u32>,
    /// The person of each of them, in their order.
    persons: Vec<u32>,
    /// Those of them who are counted as another.
    moved: RoaringBitmap,
}

impl Joined {
    /// `None` when everybody is a person of their own.
    pub(crate) fn of(persons: &Arc<Persons>) -> Option<Self> {
        if !persons.has_links() {
            return None;
        }
        let mut bits: Vec<u64> = Vec::new();
        let mut set = |number: u32| {
            let place = number as usize / 64;
            if bits.len() <= place {
                bits.resize(place + 1, 0);
            }
            bits[place] |= 1 << (number % 64);
        };
        for (subject, person) in persons.merged_subjects() {
            set(subject.number());
            set(person.number());
        }
        let mut before = Vec::with_capacity(bits.len());
        let mut numbers = Vec::new();
        for (place, word) in bits.iter().enumerate() {
            before.push(numbers.len() as u32);
            let first = place as u32 * 64;
            let own = (0..64).filter(|bit| word >> bit & 1 == 1).map(|bit| first + bit);
            numbers.extend(own.map(|subject| persons.person_of(SubjectId::new(subject)).number()));
        }
        let moved = persons.merged_subjects().map(|(subject, _)| subject.number());
        let moved = RoaringBitmap::from_sorted_iter(moved).expect("invariant: merged subjects come in ascending order");
        Some(Self { of: Arc::downgrade(persons), bits, before, persons: numbers, moved })
    }

    /// Whether it is that of these persons.
    pub(crate) fn is_of(&self, persons: &Arc<Persons>) -> bool {
        std::ptr::eq(self.of.as_ptr(), Arc::as_ptr(persons))
    }

    /// The person of a subject who has more than one.
    fn person(&self, subject: u32) -> Option<u32> {
        let (place, bit) = (subject as usize / 64, subject % 64);
        let word = *self.bits.get(place)?;
        if word >> bit & 1 == 0 {
            return None;
        }
        let below = (word & ((1 << bit) - 1)).count_ones();
        self.persons.get((self.before[place] + below) as usize).copied()
    }
}

impl Merged {
    /// With these joined.
    pub(crate) fn new(joined: Option<Arc<Joined>>) -> Self {
        Self(joined)
    }

    /// Whether nobody is anybody else.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The person of a subject who has more than one, and of no other.
    pub(crate) fn person(&self, subject: u32) -> Option<u32> {
        self.0.as_ref()?.person(subject)
    }

    /// Which of the 32 subjects from `first` on, a multiple of 32, have a person with more than one.
    pub(crate) fn bits(&self, first: u32) -> u32 {
        let word = self.0.as_ref().and_then(|joined| joined.bits.get(first as usize / 64).copied()).unwrap_or(0);
        (word >> (first & 32)) as u32
    }

    /// The person of a subject who is counted as another.
    #[inline]
    pub(crate) fn other_person(&self, subject: u32) -> Option<u32> {
        let joined = self.0.as_ref()?;
        joined.person(subject).filter(|person| *person != subject)
    }

    /// Those of `subjects` who are counted as another.
    pub(crate) fn moved_within(&self, subjects: Range<u32>) -> impl Iterator<Item = u32> {
        self.0.iter().flat_map(move |joined| joined.moved.range(subjects.clone()))
    }

    /// The persons of a set of subjects.
    pub(crate) fn persons(&self, subjects: RoaringBitmap) -> RoaringBitmap {
        self.other_persons(&subjects).unwrap_or(subjects)
    }

    /// The persons of a set of subjects, where that is another set.
    fn other_persons(&self, subjects: &RoaringBitmap) -> Option<RoaringBitmap> {
        let joined = self.0.as_ref()?;
        let moved = subjects & &joined.moved;
        if moved.is_empty() {
            return None;
        }
        let mut numbers: Vec<u32> = moved.iter().filter_map(|subject| joined.person(subject)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let persons = RoaringBitmap::from_sorted_iter(numbers).expect("invariant: they were sorted");
        Some((subjects - moved) | persons)
    }
}

/// The sets of a rollup as persons, each made when it is first asked for: what was united before need not be mapped again.
#[derive(Debug)]
pub(crate) struct PersonSets {
    of: Weak<Persons>,
    /// Of any event and then of each, by day; nothing where that is the set of the rollup itself.
    sets: Vec<Vec<OnceLock<Option<RoaringBitmap>>>>,
}

impl PersonSets {
    pub(crate) fn new(persons: &Arc<Persons>, rollup: &Rollup) -> Self {
        let days = rollup.events().iter().map(|event| event.days.len());
        let empty = |days: usize| (0..days).map(|_| OnceLock::new()).collect();
        let sets = [rollup.any().len()].into_iter().chain(days).map(empty).collect();
        Self { of: Arc::downgrade(persons), sets }
    }

    /// Whether they are those of these persons.
    pub(crate) fn is_of(&self, persons: &Arc<Persons>) -> bool {
        std::ptr::eq(self.of.as_ptr(), Arc::as_ptr(persons))
    }

    /// The persons of `subjects`, the set of a cell: of any event or of the event at a place, and of the day at a place.
    pub(crate) fn of_cell<'a>(
        &'a self,
        event: Option<usize>,
        day: usize,
        subjects: &'a RoaringBitmap,
        merged: &Merged,
    ) -> &'a RoaringBitmap {
        let sets = self.sets.get(event.map_or(0, |event| event + 1));
        let set = sets.and_then(|days| days.get(day)).expect("invariant: it was made of the same rollup");
        set.get_or_init(|| merged.other_persons(subjects)).as_ref().unwrap_or(subjects)
    }
}
