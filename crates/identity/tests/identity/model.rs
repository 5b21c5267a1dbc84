//! The fold against a naive model: rules over the whole history, components from the list of links.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use pugmark_identity::{Effect, IdentityFold, IdentityOptions, PersonId, Persons, is_wrong_id};
use pugmark_store::redb::backends::InMemoryBackend;
use pugmark_store::redb::{Database, ReadableDatabase};
use pugmark_store::{Fold, Refusal, Sequence, SubjectId, Verdict};

use crate::common::{Bench, Op};

/// Subjects of a generated history; the last stands for a wrong id.
const SUBJECTS: u32 = 10;
const WRONG: u32 = SUBJECTS - 1;
/// Far from the others, so that pages and shelves are crossed.
const FAR: [u32; 3] = [300, 70_000, 1 << 25];

/// The history, and nothing derived from it.
#[derive(Default)]
struct Model {
    history: Vec<(Op, Verdict)>,
}

impl Model {
    /// The operations at these sequences, each with the subjects that it links.
    fn standing(&self) -> Vec<(u64, Vec<u32>)> {
        let mut links: Vec<(u64, Vec<u32>)> = Vec::new();
        for (sequence, (op, verdict)) in (1_u64..).zip(&self.history) {
            match op {
                Op::Split(subject) => links.retain(|link| !link.1.contains(subject)),
                Op::SplitLink(which) => links.retain(|link| link.0 != *which),
                _ if *verdict == Verdict::Linked => links.extend(linked(*op).map(|subjects| (sequence, subjects))),
                _ => {}
            }
        }
        links
    }

    /// The operations that linked once and were revoked.
    fn revoked(&self) -> Vec<Vec<u32>> {
        let standing: BTreeSet<u64> = self.standing().into_iter().map(|link| link.0).collect();
        let all = (1_u64..).zip(&self.history).filter(|(_, (_, verdict))| *verdict == Verdict::Linked);
        all.filter(|(sequence, _)| !standing.contains(sequence)).filter_map(|(_, (op, _))| linked(*op)).collect()
    }

    fn component(&self, subject: u32) -> BTreeSet<u32> {
        let mut found = BTreeSet::from([subject]);
        loop {
            let before = found.len();
            for (_, subjects) in self.standing() {
                if subjects.iter().any(|subject| found.contains(subject)) {
                    found.extend(subjects);
                }
            }
            if found.len() == before {
                return found;
            }
        }
    }

    /// Known ids, in the order in which they became known.
    fn known(&self) -> Vec<u32> {
        let mut known = Vec::new();
        for (op, _) in &self.history {
            if let Op::Identify(_, to) = op
                && !known.contains(to)
            {
                known.push(*to);
            }
        }
        known
    }

    fn verdict(&self, op: Op, ids_max: usize, name: impl Fn(u32) -> String) -> Verdict {
        let (identify, force, a, b) = match op {
            Op::Identify(a, b) => (true, false, a, b),
            Op::Alias(a, b) => (false, false, a, b),
            Op::Force(a, b) => (false, true, a, b),
            Op::Merge(subjects) => return self.verdict_of_merge(&subjects, ids_max, name),
            Op::Split(subject) => return self.revokes(|(_, subjects)| subjects.contains(&subject)),
            Op::SplitLink(which) => return self.revokes(|(sequence, _)| *sequence == which),
            Op::Event => return Verdict::Linked,
        };
        let known = self.known();
        let (a_ids, b_ids) = (self.component(a), self.component(b));
        let a_known = a_ids.iter().any(|id| known.contains(id) && *id != b);
        let b_known = b_ids.iter().any(|id| known.contains(id));
        if is_wrong_id(&name(a)) || is_wrong_id(&name(b)) {
            Verdict::Refused(Refusal::WrongId)
        } else if a_ids.contains(&b) {
            Verdict::Already
        } else if !force && self.revoked().iter().any(|link| link.contains(&a) && link.contains(&b)) {
            Verdict::Refused(Refusal::KeptApart)
        } else if a_known && (identify || b_known) {
            Verdict::Refused(Refusal::Conflict)
        } else if a_ids.len() + b_ids.len() > ids_max {
            Verdict::Refused(Refusal::TooManyIds)
        } else {
            Verdict::Linked
        }
    }

    fn verdict_of_merge(&self, subjects: &[u32], ids_max: usize, name: impl Fn(u32) -> String) -> Verdict {
        let ids: BTreeSet<u32> = subjects.iter().flat_map(|subject| self.component(*subject)).collect();
        if subjects.iter().any(|subject| is_wrong_id(&name(*subject))) {
            Verdict::Refused(Refusal::WrongId)
        } else if self.component(subjects[0]) == ids {
            Verdict::Already
        } else if ids.len() > ids_max {
            Verdict::Refused(Refusal::TooManyIds)
        } else {
            Verdict::Linked
        }
    }

    fn revokes(&self, which: impl Fn(&(u64, Vec<u32>)) -> bool) -> Verdict {
        if self.standing().iter().any(which) { Verdict::Linked } else { Verdict::Already }
    }
}

fn linked(op: Op) -> Option<Vec<u32>> {
    let subjects: BTreeSet<u32> = match op {
        Op::Identify(a, b) | Op::Alias(a, b) | Op::Force(a, b) => BTreeSet::from([a, b]),
        Op::Merge(subjects) => subjects.into(),
        Op::Split(_) | Op::SplitLink(_) | Op::Event => return None,
    };
    (subjects.len() > 1).then(|| subjects.into_iter().collect())
}

fn subjects() -> impl Iterator<Item = u32> {
    (0..SUBJECTS).chain(FAR)
}

/// What the tables show: every link with what became of it, every refusal, every split that changed something.
fn assert_same_history(persons: &Persons, model: &Model) {
    for through in 0..=model.history.len() {
        let then = Model { history: model.history[..through].to_vec() };
        let standing: BTreeSet<u64> = then.standing().into_iter().map(|(sequence, _)| sequence).collect();
        let (mut links, mut refusals, mut splits) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        for (sequence, (op, verdict)) in (1_u64..).zip(&then.history) {
            let ends = |to: u32| match op {
                Op::Identify(from, _) | Op::Alias(from, _) | Op::Force(from, _) | Op::Merge([from, ..]) => (*from, to),
                _ => (to, to),
            };
            let others: Vec<u32> = match op {
                Op::Identify(_, to) | Op::Alias(_, to) | Op::Force(_, to) => vec![*to],
                Op::Merge([_, others @ ..]) => others.to_vec(),
                Op::Split(_) | Op::SplitLink(_) if *verdict == Verdict::Linked => {
                    splits.push(sequence);
                    continue;
                }
                _ => continue,
            };
            let mut pairs: Vec<(u32, u32)> = others.into_iter().map(ends).collect();
            if pairs.iter().any(|(from, to)| from != to) {
                pairs.retain(|(from, to)| from != to);
            }
            for (from, to) in pairs {
                let _is_new = match verdict {
                    Verdict::Linked => links.insert((sequence, from, to, standing.contains(&sequence))),
                    Verdict::Already => false,
                    Verdict::Refused(reason) => refusals.insert((sequence, from, to, reason.as_str())),
                };
            }
        }
        let sequence = Sequence::new(through as u64);
        let history = persons.history();
        let found = history
            .links(sequence)
            .map(|link| (link.sequence.number(), link.from.number(), link.to.number(), link.revoked_at.is_none()));
        assert_eq!(found.collect::<BTreeSet<_>>(), links, "links as of {through}");
        let (mut found, mut found_splits) = (BTreeSet::new(), Vec::new());
        for operation in history.operations(sequence) {
            let at = operation.sequence.number();
            match operation.effect {
                Effect::Refused { reason, from, to, .. } => {
                    found.insert((at, from.number(), to.number(), reason.as_str()));
                }
                Effect::Split(_) | Effect::SplitLink(_) => found_splits.push(at),
                Effect::Linked { .. } => {}
            }
        }
        assert_eq!((found, found_splits), (refusals, splits), "as of {through}");
    }
}

fn assert_same(persons: &Persons, model: &Model) {
    assert_same_people(persons, model);
    assert_same_history(persons, model);
    for (reason, times) in persons.refusals().by_reason() {
        let refused = model.history.iter().filter(|(_, verdict)| *verdict == Verdict::Refused(reason));
        assert_eq!(times, refused.count() as u64, "{reason}");
    }
}

/// How many links were ever made.
fn links_made(model: &Model) -> usize {
    let all = model.history.iter().filter(|(_, verdict)| *verdict == Verdict::Linked);
    all.filter_map(|(op, _)| linked(*op)).map(|subjects| subjects.len() - 1).sum()
}

/// Who was who at every sequence so far.
fn assert_past(fold: &IdentityFold, model: &Model) {
    for through in 0..=model.history.len() {
        let then = Model { history: model.history[..through].to_vec() };
        let past = fold.past(Sequence::new(through as u64)).into_persons();
        assert_same_people(&past, &then);
        assert_eq!(past.history().links(Sequence::new(through as u64)).count(), links_made(&then));
    }
}

fn assert_same_people(persons: &Persons, model: &Model) {
    let known = model.known();
    let mut merged = BTreeMap::new();
    for subject in subjects() {
        let component = model.component(subject);
        let person = *component.first().unwrap();
        let id = SubjectId::new(subject);
        assert_eq!(persons.person_of(id).number(), person, "person of {subject}");
        let members: Vec<u32> = persons.members(PersonId::new(subject)).iter().map(|s| s.number()).collect();
        assert!(members.iter().eq(&component), "members of {subject}: {members:?}, expected {component:?}");
        assert_eq!(persons.is_known(id), known.contains(&subject));
        let name = known.iter().find(|id| component.contains(id)).copied().unwrap_or(person);
        assert_eq!(persons.name_subject(PersonId::new(subject)).number(), name, "name of {subject}");
        if person != subject {
            merged.insert(subject, person);
        }
    }
    let found: Vec<_> = persons.merged_subjects().map(|(s, p)| (s.number(), p.number())).collect();
    assert_eq!(found, merged.clone().into_iter().collect::<Vec<_>>());
    assert_eq!(persons.merged_count() as usize, merged.len());
    assert_eq!(persons.has_links(), !merged.is_empty());
    assert_eq!(persons.known_count() as usize, known.len());
    let dense = (0..400).map(|subject| *merged.get(&subject).unwrap_or(&subject)).collect();
    assert_eq!(persons.map_dense(400), (!merged.is_empty()).then_some(dense));
    let pairs: usize = model.standing().iter().map(|(_, subjects)| subjects.len() - 1).sum();
    assert_eq!(persons.link_count(), pairs as u64);
}

fn subject() -> impl Strategy<Value = u32> {
    prop_oneof![6 => 0..SUBJECTS, 1 => prop::sample::select(FAR.to_vec())]
}

fn operations() -> impl Strategy<Value = Vec<Vec<Op>>> {
    let op = prop_oneof![
        8 => (subject(), subject()).prop_map(|(a, b)| Op::Identify(a, b)),
        8 => (subject(), subject()).prop_map(|(a, b)| Op::Alias(a, b)),
        2 => Just(Op::Event),
        1 => (subject(), subject()).prop_map(|(a, b)| Op::Force(a, b)),
        2 => prop::array::uniform3(subject()).prop_map(Op::Merge),
        2 => subject().prop_map(Op::Split),
        2 => (1..30_u64).prop_map(Op::SplitLink),
    ];
    prop::collection::vec(prop::collection::vec(op, 0..8), 0..10)
}

fn cases() -> ProptestConfig {
    let cases = std::env::var("PUGMARK_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(256);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn save(fold: &mut IdentityFold, index: &Database) {
    let write = index.begin_write().unwrap();
    fold.checkpoint(&write).unwrap();
    write.commit().unwrap();
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn verdicts_and_persons_are_those_of_the_naive_model(
        batches in operations(),
        ids_max in prop::sample::select(vec![1_u32, 2, 3, 4, 10_000]),
        restarts in any::<u16>(),
    ) {
        let index = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let options = IdentityOptions { ids_max };
        let mut live = Bench::new(options);
        live.rename(WRONG, "undefined");
        let mut model = Model::default();
        let mut log: Vec<Vec<(Op, Verdict)>> = Vec::new();
        for (place, batch) in batches.iter().enumerate() {
            let before = live.persons();
            let verdicts = live.batch(batch);
            for (op, verdict) in batch.iter().zip(&verdicts) {
                let name = |subject| if subject == WRONG { "undefined".to_owned() } else { format!("id {subject}") };
                prop_assert_eq!(*verdict, model.verdict(*op, ids_max as usize, name), "{:?}", op);
                // A record of a merge that joins nobody is what the log would hold as well.
                model.history.push((*op, *verdict));
            }
            assert_same(&live.persons(), &model);
            if batch.iter().all(|op| *op == Op::Event) {
                prop_assert!(std::sync::Arc::ptr_eq(&before, &live.persons()));
            }
            log.push(batch.iter().copied().zip(verdicts).collect());
            match restarts >> (place % 16) & 3 {
                0 => save(&mut live.fold, &index),
                1 => {
                    save(&mut live.fold, &index);
                    live.fold = IdentityFold::new(options);
                    live.fold.load(&index.begin_read().unwrap()).unwrap();
                    assert_same(&live.persons(), &model);
                }
                _ => {}
            }
        }
        // A rebuild applies the log, never judges, and does not know the rules' numbers of that time.
        let mut replayed = Bench::new(IdentityOptions { ids_max: 1 });
        for batch in &log {
            replayed.apply_next(batch);
        }
        assert_same(&replayed.persons(), &model);
        assert_past(&live.fold, &model);
        assert_past(&replayed.fold, &model);
        let write = index.begin_write().unwrap();
        replayed.fold.reset(&write).unwrap();
        write.commit().unwrap();
        replayed.fold.load(&index.begin_read().unwrap()).unwrap();
        assert_same(&replayed.persons(), &Model::default());
    }

    #[test]
    fn verdicts_do_not_depend_on_how_far_applying_lags(
        ops in prop::collection::vec(
            prop_oneof![
                8 => (subject(), subject()).prop_map(|(a, b)| Op::Identify(a, b)),
                8 => (subject(), subject()).prop_map(|(a, b)| Op::Alias(a, b)),
                2 => prop::array::uniform3(subject()).prop_map(Op::Merge),
                1 => subject().prop_map(Op::Split),
                1 => (1..30_u64).prop_map(Op::SplitLink),
            ],
            1..40,
        ),
        applies in any::<u64>(),
        ids_max in prop::sample::select(vec![2_u32, 4, 10_000]),
    ) {
        let options = IdentityOptions { ids_max };
        let (mut prompt, mut lagging) = (Bench::new(options), Bench::new(options));
        let mut waiting: Vec<(Op, Verdict)> = Vec::new();
        for (place, op) in ops.iter().enumerate() {
            let sequence = place as u64 + 1;
            let verdict = lagging.judge(sequence, *op);
            prop_assert_eq!(verdict, prompt.one(*op));
            waiting.push((*op, verdict));
            if applies >> place & 1 == 1 {
                // All but the last one or two are applied: the rest stays decided and not applied.
                let rest = waiting.len().min(1 + place % 2);
                let later = waiting.split_off(waiting.len() - rest);
                lagging.apply_next(&waiting);
                waiting = later;
            }
        }
        lagging.apply_next(&waiting);
        let (a, b) = (prompt.persons(), lagging.persons());
        prop_assert!(a.merged_subjects().eq(b.merged_subjects()));
        prop_assert_eq!(a.refusals(), b.refusals());
        prop_assert_eq!(a.known_count(), b.known_count());
    }
}
