//! Some of the people, as rows are asked whose they are.

use datafusion::arrow::buffer::BooleanBuffer;
use pugmark_identity::Persons;

/// A set of subjects with the persons whose numbers they bear: everybody of a person is in it, or nobody.
#[derive(Debug)]
pub(crate) struct People {
    bits: Vec<u64>,
    /// Whether those who came later are in it.
    later: bool,
}

impl People {
    /// All of `subjects`, or none.
    pub(crate) fn new(subjects: u32, all: bool) -> Self {
        let words = (subjects as usize).div_ceil(64);
        Self { bits: vec![if all { u64::MAX } else { 0 }; words], later: all }
    }

    /// Those of `subjects` of whom a bit is set, 64 at a time; `later` says whether those who came later are in it.
    pub(crate) fn of_words(subjects: u32, later: bool, word: impl Fn(usize) -> u64) -> Self {
        Self { bits: (0..(subjects as usize).div_ceil(64)).map(word).collect(), later }
    }

    /// The bits of the 64 subjects from `64 * at` on.
    pub(crate) fn word(&self, at: usize) -> u64 {
        self.bits.get(at).copied().unwrap_or(if self.later { u64::MAX } else { 0 })
    }

    /// Makes everybody of a person be in it, or nobody, as the subject is whose number the person bears.
    pub(crate) fn unite(mut self, persons: &Persons) -> Self {
        for (subject, person) in persons.merged_subjects() {
            let is_in = self.contains(person.number());
            self.set(subject.number(), is_in);
        }
        self
    }

    pub(crate) fn set(&mut self, subject: u32, is_in: bool) {
        if let Some(word) = self.bits.get_mut(subject as usize / 64) {
            let bit = 1 << (subject % 64);
            *word = if is_in { *word | bit } else { *word & !bit };
        }
    }

    pub(crate) fn contains(&self, subject: u32) -> bool {
        self.bits.get(subject as usize / 64).map_or(self.later, |word| word >> (subject % 64) & 1 == 1)
    }

    /// Which of these rows are about them.
    pub(crate) fn rows(&self, subjects: &[u32]) -> BooleanBuffer {
        BooleanBuffer::collect_bool(subjects.len(), |row| self.contains(subjects[row]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_is_in_it_who_was_put_in_and_others_as_it_began() {
        for all in [true, false] {
            let mut people = People::new(70, all);
            for subject in [0, 63, 64, 69, 90_000] {
                people.set(subject, !all);
            }
            let rows = people.rows(&[0, 1, 63, 64, 69, 80_000]);
            assert_eq!(
                rows.iter().map(|is_in| is_in != all).collect::<Vec<_>>(),
                [true, false, true, true, true, false]
            );
        }
    }
}
