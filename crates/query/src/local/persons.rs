//! Who is whom, as the operators ask it: of most subjects only that they are nobody else.

use std::sync::Arc;

use pugmark_identity::Persons;
use pugmark_store::SubjectId;
use roaring::RoaringBitmap;

use crate::engine::QuerySnapshot;
use crate::spec::Unit;

/// Which subjects are counted as another one, or with another one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Merged(Option<Arc<Joined>>);

#[derive(Debug)]
struct Joined {
    persons: Arc<Persons>,
    /// Bit *n* is set for a subject whose person has more than one.
    bits: Vec<u64>,
    /// The same as a set.
    subjects: RoaringBitmap,
}

impl Merged {
    /// Of the units of a question.
    pub(crate) fn of(snapshot: &QuerySnapshot, unit: Unit) -> Self {
        let persons = &snapshot.persons;
        if unit != Unit::Person || !persons.has_links() {
            return Self(None);
        }
        let mut bits = vec![0_u64; snapshot.subject_count as usize / 64 + 1];
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
        let numbers = bits.iter().enumerate().flat_map(|(place, word)| {
            let first = place as u32 * 64;
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| first + bit)
        });
        let subjects = numbers.collect();
        Self(Some(Arc::new(Joined { persons: Arc::clone(persons), bits, subjects })))
    }

    /// Whether nobody is anybody else.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The person of a subject who has more than one, and of no other.
    pub(crate) fn person(&self, subject: u32) -> Option<u32> {
        let joined = self.0.as_ref()?;
        let is_joined = joined.bits.get(subject as usize / 64).is_some_and(|word| word >> (subject % 64) & 1 == 1);
        is_joined.then(|| joined.persons.person_of(SubjectId::new(subject)).number())
    }

    /// The persons of a set of subjects.
    pub(crate) fn persons(&self, subjects: RoaringBitmap) -> RoaringBitmap {
        let Some(joined) = &self.0 else { return subjects };
        let moved = &subjects & &joined.subjects;
        if moved.is_empty() {
            return subjects;
        }
        let mut persons = subjects - &moved;
        let mut numbers: Vec<u32> =
            moved.iter().map(|subject| joined.persons.person_of(SubjectId::new(subject)).number()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        persons.extend(numbers);
        persons
    }
}
