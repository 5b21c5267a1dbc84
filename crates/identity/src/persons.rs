//! The published state: who is who at one sequence.

use pugmark_store::SubjectId;

use crate::history::History;
use crate::pages::Pages;
use crate::person::{PersonId, Refusals};

/// Which subject is which person at one sequence. It never changes.
///
/// It holds merged and known subjects only, at most 12 bytes for each number in a block of 256 that contains one; a
/// store without identity operations pays nothing.
#[derive(Debug, Clone, Default)]
pub struct Persons {
    /// How far below a subject its person lies.
    below: Pages,
    /// How far after a subject, around 2^32, the next of its person lies: a ring through all of them.
    onward: Pages,
    /// The how-manieth known id it is, from 1.
    known: Pages,
    known_count: u32,
    merged_count: u32,
    pub(crate) link_count: u64,
    pub(crate) refusals: Refusals,
    history: History,
}

impl Persons {
    /// What `other` says otherwise, which is to be the same persons made in another way.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        // The order in a ring is nobody's business: which subjects are in it follows from how far below their person they lie.
        if !self.below.iter().eq(other.below.iter()) {
            let mut pairs = other.merged_subjects().zip(self.merged_subjects());
            return Some(match pairs.find(|(found, expected)| found != expected) {
                Some((found, expected)) => format!("{found:?} are one person but the log says {expected:?}"),
                None => format!("{} merged subjects but the log has {}", other.merged_count, self.merged_count),
            });
        }
        if self.known_count != other.known_count || !self.known.iter().eq(other.known.iter()) {
            return Some(format!(
                "{} subjects that are known but the log has {}, or in another order",
                other.known_count, self.known_count
            ));
        }
        (self.refusals != other.refusals).then(|| format!("{:?} but the log has {:?}", other.refusals, self.refusals))
    }

    pub(crate) fn with_history(self, history: History) -> Self {
        Self { history, ..self }
    }

    /// The person of a subject: the smallest subject linked to it, or the subject itself.
    pub fn person_of(&self, subject: SubjectId) -> PersonId {
        PersonId::new(self.root(subject.number()))
    }

    /// The subjects of a person, ascending; also for a number that the person had before it became part of another.
    pub fn members(&self, person: PersonId) -> Vec<SubjectId> {
        let mut members: Vec<SubjectId> = self.ring(person.number()).map(SubjectId::new).collect();
        members.sort_unstable();
        members
    }

    /// Whether any two subjects are one person.
    pub fn has_links(&self) -> bool {
        self.merged_count > 0
    }

    /// The subject whose id is the person's name: the first that became known, else the smallest.
    pub fn name_subject(&self, person: PersonId) -> SubjectId {
        let person = self.root(person.number());
        let first_known = self.ring(person).filter(|s| self.is_known_number(*s)).min_by_key(|s| self.known.number(*s));
        SubjectId::new(first_known.unwrap_or(person))
    }

    /// Whether a subject has been the target of an identify, also of a refused one.
    pub fn is_known(&self, subject: SubjectId) -> bool {
        self.is_known_number(subject.number())
    }

    /// How many subjects are known.
    pub fn known_count(&self) -> u32 {
        self.known_count
    }

    /// The subjects whose person is another subject, each with its person, in ascending order. All other subjects
    /// are persons.
    pub fn merged_subjects(&self) -> impl Iterator<Item = (SubjectId, PersonId)> {
        self.below.iter().map(|(subject, below)| (SubjectId::new(subject), PersonId::new(subject - below)))
    }

    /// How many subjects [`merged_subjects`](Self::merged_subjects) yields: a store of `n` subjects has this many
    /// persons fewer.
    pub fn merged_count(&self) -> u32 {
        self.merged_count
    }

    /// A table of the person of each subject below `count`; `None` when every subject is a person of its own.
    pub fn map_dense(&self, count: u32) -> Option<Vec<u32>> {
        if !self.has_links() {
            return None;
        }
        let mut table: Vec<u32> = (0..count).collect();
        for (subject, person) in self.merged_subjects() {
            let Some(entry) = table.get_mut(subject.number() as usize) else { break };
            *entry = person.number();
        }
        Some(table)
    }

    /// How many links stand.
    pub fn link_count(&self) -> u64 {
        self.link_count
    }

    /// What made it so: every link and every refusal, also of what came after the sequence.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// How many identity operations were refused, by reason.
    pub fn refusals(&self) -> Refusals {
        self.refusals
    }

    pub(crate) fn root(&self, subject: u32) -> u32 {
        subject - self.below.number(subject)
    }

    pub(crate) fn is_known_number(&self, subject: u32) -> bool {
        self.known.number(subject) != 0
    }

    /// The subjects of the person that contains `subject`, it first.
    pub(crate) fn ring(&self, subject: u32) -> impl Iterator<Item = u32> {
        let next = move |at: &u32| Some(at.wrapping_add(self.onward.number(*at))).filter(|next| *next != subject);
        std::iter::successors(Some(subject), next)
    }

    /// Makes a subject known; `false` when it is already.
    pub(crate) fn make_known(&mut self, subject: u32) -> bool {
        if self.is_known_number(subject) {
            return false;
        }
        self.known_count += 1;
        self.known.set(subject, self.known_count);
        true
    }

    /// Everybody a person of their own, of whom the first `count` that became known are known.
    pub(crate) fn of_first_known(&self, count: u32) -> Self {
        let history = self.history.clone();
        let mut persons = Self { refusals: self.refusals, history, known_count: count, ..Self::default() };
        for (subject, number) in self.known.iter().filter(|(_, number)| *number <= count) {
            persons.known.set(subject, number);
        }
        persons
    }

    /// Joins the persons of two subjects; `false` when they are one already.
    ///
    /// It renames every subject of the person with the larger number.
    pub(crate) fn join(&mut self, a: u32, b: u32) -> bool {
        let (a_root, b_root) = (self.root(a), self.root(b));
        if a_root == b_root {
            return false;
        }
        let (keeps, goes) = (a_root.min(b_root), a_root.max(b_root));
        let renamed: Vec<u32> = self.ring(goes).collect();
        for subject in renamed {
            self.below.set(subject, subject - keeps);
        }
        // Exchanging the successors of two rings' members makes one ring of them.
        let (keeps_next, goes_next) =
            (keeps.wrapping_add(self.onward.number(keeps)), goes.wrapping_add(self.onward.number(goes)));
        self.onward.set(keeps, goes_next.wrapping_sub(keeps));
        self.onward.set(goes, keeps_next.wrapping_sub(goes));
        self.merged_count += 1;
        true
    }

    /// Makes each of `subjects`, a whole person, a person of its own.
    pub(crate) fn scatter(&mut self, subjects: &[u32]) {
        for subject in subjects {
            self.below.set(*subject, 0);
            self.onward.set(*subject, 0);
        }
        self.merged_count -= subjects.len() as u32 - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(subjects: Vec<SubjectId>) -> Vec<u32> {
        subjects.into_iter().map(SubjectId::number).collect()
    }

    #[test]
    fn joined_subjects_are_the_person_of_the_smallest() {
        let mut persons = Persons::default();
        assert!(!persons.has_links());
        assert_eq!(persons.map_dense(3), None);
        for (a, b) in [(9, 4), (700, 2), (4, 700)] {
            assert!(persons.join(a, b));
        }
        assert!(!persons.join(9, 2));
        for subject in [2, 4, 9, 700] {
            assert_eq!(persons.person_of(SubjectId::new(subject)), PersonId::new(2));
            assert_eq!(numbers(persons.members(PersonId::new(subject))), [2, 4, 9, 700]);
        }
        assert_eq!(persons.merged_count(), 3);
        assert_eq!(persons.map_dense(11), Some(vec![0, 1, 2, 3, 2, 5, 6, 7, 8, 2, 10]));
        let merged: Vec<_> = persons.merged_subjects().map(|(s, p)| (s.number(), p.number())).collect();
        assert_eq!(merged, [(4, 2), (9, 2), (700, 2)]);
    }

    #[test]
    fn a_person_is_named_by_the_first_known_id() {
        let mut persons = Persons::default();
        let name = |persons: &Persons, person| persons.name_subject(PersonId::new(person)).number();
        persons.join(1, 5);
        persons.join(5, 3);
        assert_eq!(name(&persons, 5), 1);
        persons.make_known(5);
        persons.make_known(3);
        assert!(!persons.make_known(5));
        assert_eq!((name(&persons, 1), name(&persons, 3)), (5, 5));
        assert_eq!(name(&persons, 8), 8);
        assert_eq!(persons.known_count(), 2);
    }

    #[test]
    fn scattered_subjects_are_persons_again() {
        let mut persons = Persons::default();
        persons.join(1, 2);
        persons.join(2, 3);
        persons.join(7, 8);
        persons.scatter(&[1, 2, 3]);
        assert_eq!(persons.merged_count(), 1);
        assert_eq!(numbers(persons.members(PersonId::new(3))), [3]);
        assert_eq!(persons.person_of(SubjectId::new(8)).number(), 7);
    }
}
