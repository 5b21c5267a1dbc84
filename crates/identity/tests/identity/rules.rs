//! The rules of `docs/semantics.md`, section 5, one by one.

use pugmark_identity::{IdentityOptions, PersonId};
use pugmark_store::{Refusal, SubjectId, Verdict};

use crate::common::{Bench, Op};

const CONFLICT: Verdict = Verdict::Refused(Refusal::Conflict);
const WRONG_ID: Verdict = Verdict::Refused(Refusal::WrongId);
const TOO_MANY: Verdict = Verdict::Refused(Refusal::TooManyIds);
const KEPT_APART: Verdict = Verdict::Refused(Refusal::KeptApart);

fn bench() -> Bench {
    Bench::new(IdentityOptions::default())
}

/// The person of each subject below `count`.
fn people(bench: &mut Bench, count: u32) -> Vec<u32> {
    let persons = bench.persons();
    (0..count).map(|subject| persons.person_of(SubjectId::new(subject)).number()).collect()
}

#[test]
fn identify_links_an_anonymous_id_to_a_known_one() {
    let mut bench = bench();
    assert_eq!(bench.one(Op::Identify(0, 1)), Verdict::Linked);
    let persons = bench.persons();
    assert_eq!(persons.person_of(SubjectId::new(1)), PersonId::new(0));
    assert_eq!(persons.members(PersonId::new(1)), [SubjectId::new(0), SubjectId::new(1)]);
    assert!(persons.is_known(SubjectId::new(1)) && !persons.is_known(SubjectId::new(0)));
    assert_eq!(persons.name_subject(PersonId::new(0)), SubjectId::new(1));
    assert!(persons.has_links());
    assert_eq!((persons.link_count(), persons.merged_count()), (1, 1));
}

#[test]
fn a_shared_device_does_not_glue_two_people_together() {
    let mut bench = bench();
    assert_eq!(bench.one(Op::Identify(0, 1)), Verdict::Linked);
    assert_eq!(bench.one(Op::Identify(0, 2)), CONFLICT);
    // The target of the refused identify is known all the same: it may not take the place of another.
    assert!(bench.persons().is_known(SubjectId::new(2)));
    assert_eq!(bench.one(Op::Alias(2, 1)), CONFLICT);
    assert_eq!(bench.persons().refusals().conflict, 2);
    assert_eq!(bench.persons().refusals().total(), 2);
    assert_eq!(bench.persons().members(PersonId::new(2)), [SubjectId::new(2)]);
}

#[test]
fn identify_looks_at_the_whole_person_of_its_first_id() {
    let mut bench = bench();
    assert_eq!(bench.one(Op::Alias(0, 1)), Verdict::Linked);
    assert_eq!(bench.one(Op::Identify(1, 2)), Verdict::Linked);
    assert_eq!(bench.one(Op::Identify(0, 3)), CONFLICT);
    assert_eq!(bench.one(Op::Identify(0, 2)), Verdict::Already);
}

#[test]
fn identify_does_not_mind_other_known_ids_of_its_target() {
    let mut bench = bench();
    assert_eq!(bench.one(Op::Identify(0, 1)), Verdict::Linked);
    assert_eq!(bench.one(Op::Identify(5, 0)), Verdict::Linked);
    assert_eq!(bench.one(Op::Identify(6, 1)), Verdict::Linked);
    assert_eq!(bench.persons().members(PersonId::new(0)).len(), 4);
    assert_eq!(bench.persons().known_count(), 2);
}

#[test]
fn a_known_id_cannot_be_identified_as_another() {
    let mut bench = bench();
    assert_eq!(bench.one(Op::Identify(0, 1)), Verdict::Linked);
    assert_eq!(bench.one(Op::Identify(1, 2)), CONFLICT);
    assert_eq!(bench.one(Op::Identify(1, 1)), Verdict::Already);
}

#[test]
fn alias_links_unless_both_persons_hold_known_ids() {
    let mut bench = bench();
    assert_eq!(bench.one(Op::Identify(0, 1)), Verdict::Linked);
    assert_eq!(bench.one(Op::Identify(2, 3)), Verdict::Linked);
    assert_eq!(bench.one(Op::Alias(0, 2)), CONFLICT);
    assert_eq!(bench.one(Op::Alias(4, 2)), Verdict::Linked);
    assert_eq!(bench.one(Op::Alias(0, 5)), Verdict::Linked);
    assert_eq!(bench.one(Op::Alias(4, 5)), CONFLICT);
    assert_eq!(bench.one(Op::Alias(4, 3)), Verdict::Already);
    assert!(!bench.persons().is_known(SubjectId::new(5)), "an alias makes nobody known");
}

#[test]
fn one_person_already_is_no_link_but_the_target_is_known() {
    let mut bench = bench();
    assert_eq!(bench.one(Op::Alias(0, 1)), Verdict::Linked);
    assert_eq!(bench.one(Op::Identify(0, 1)), Verdict::Already);
    assert_eq!(bench.one(Op::Alias(1, 0)), Verdict::Already);
    assert_eq!(bench.persons().link_count(), 1);
    assert!(bench.persons().is_known(SubjectId::new(1)));
    assert_eq!(bench.one(Op::Alias(1, 1)), Verdict::Already);
}

#[test]
fn well_known_mistakes_are_never_linked() {
    let mut bench = bench();
    bench.rename(7, "\"NULL\"");
    for op in [Op::Identify(0, 7), Op::Identify(7, 0), Op::Alias(7, 1), Op::Alias(1, 7), Op::Alias(7, 7)] {
        assert_eq!(bench.one(op), WRONG_ID, "{op:?}");
    }
    assert!(!bench.persons().has_links());
    assert_eq!(bench.persons().map_dense(10), None);
    assert_eq!(bench.persons().refusals().wrong_id, 5);
}

#[test]
fn a_person_has_no_more_ids_than_allowed() {
    let mut bench = Bench::new(IdentityOptions { ids_max: 3 });
    assert_eq!(bench.one(Op::Alias(0, 1)), Verdict::Linked);
    assert_eq!(bench.one(Op::Alias(2, 3)), Verdict::Linked);
    assert_eq!(bench.one(Op::Alias(0, 3)), TOO_MANY);
    assert_eq!(bench.one(Op::Alias(0, 4)), Verdict::Linked);
    assert_eq!(bench.one(Op::Identify(5, 4)), TOO_MANY);
    assert_eq!(bench.one(Op::Alias(0, 5)), TOO_MANY);
    assert_eq!(bench.persons().refusals().too_many_ids, 3);
}

#[test]
fn ten_thousand_ids_are_allowed_by_default() {
    let mut bench = bench();
    let ops: Vec<Op> = (1..10_001).map(|n| Op::Alias(n, n - 1)).collect();
    let verdicts = bench.batch(&ops);
    assert!(verdicts[..9_999].iter().all(|verdict| *verdict == Verdict::Linked));
    assert_eq!(verdicts[9_999], TOO_MANY);
    assert_eq!(bench.persons().members(PersonId::new(5_000)).len(), 10_000);
}

#[test]
fn an_operation_counts_for_the_next_of_its_own_batch() {
    let mut bench = bench();
    let verdicts = bench.batch(&[
        Op::Identify(0, 1),
        Op::Identify(0, 2),
        Op::Alias(3, 2),
        Op::Alias(3, 0),
        Op::Identify(0, 1),
        Op::Identify(4, 1),
    ]);
    let (linked, already) = (Verdict::Linked, Verdict::Already);
    assert_eq!(verdicts, [linked, CONFLICT, linked, CONFLICT, already, linked]);
}

#[test]
fn what_is_decided_is_shown_only_once_it_is_applied() {
    let mut bench = bench();
    assert_eq!(bench.judge(1, Op::Identify(0, 1)), Verdict::Linked);
    assert!(!bench.persons().has_links());
    assert_eq!(bench.persons().known_count(), 0);
    // A second batch is decided before the first is applied.
    assert_eq!(bench.judge(2, Op::Identify(0, 2)), CONFLICT);
    bench.apply(1, &[(Op::Identify(0, 1), Verdict::Linked)]);
    assert_eq!(bench.persons().merged_count(), 1);
    assert!(!bench.persons().is_known(SubjectId::new(2)));
    assert_eq!(bench.judge(3, Op::Alias(2, 1)), CONFLICT);
    bench.apply(2, &[(Op::Identify(0, 2), CONFLICT), (Op::Alias(2, 1), CONFLICT)]);
    assert_eq!(bench.persons().refusals().conflict, 2);
}

#[test]
fn a_decision_whose_batch_was_given_up_is_forgotten() {
    let mut bench = bench();
    assert_eq!(bench.judge(1, Op::Identify(0, 1)), Verdict::Linked);
    assert_eq!(bench.judge(2, Op::Identify(2, 3)), Verdict::Linked);
    // Sequence 2 is given to something else, then 1 too.
    assert_eq!(bench.judge(2, Op::Alias(0, 2)), Verdict::Linked);
    assert_eq!(bench.judge(1, Op::Alias(0, 4)), Verdict::Linked);
    assert_eq!(bench.judge(2, Op::Identify(0, 3)), Verdict::Linked);
    // The batch that is applied holds none of them.
    bench.apply(1, &[(Op::Event, Verdict::Already), (Op::Event, Verdict::Already)]);
    assert_eq!(bench.judge(3, Op::Identify(0, 5)), Verdict::Linked);
}

#[test]
fn a_replay_judges_nothing_again() {
    let mut strict = Bench::new(IdentityOptions { ids_max: 1 });
    strict.apply(1, &[(Op::Identify(0, 1), Verdict::Linked), (Op::Identify(0, 2), Verdict::Linked)]);
    strict.apply(3, &[(Op::Alias(3, 4), TOO_MANY)]);
    assert_eq!(strict.persons().members(PersonId::new(0)).len(), 3);
    assert_eq!(strict.persons().link_count(), 2);
    assert!(strict.persons().members(PersonId::new(3)).len() == 1 && strict.persons().refusals().too_many_ids == 1);
}

#[test]
fn a_merge_joins_all_its_subjects() {
    let mut bench = bench();
    bench.apply(1, &[(Op::Identify(8, 9), Verdict::Linked), (Op::Merge([9, 3, 5]), Verdict::Linked)]);
    let members: Vec<u32> = bench.persons().members(PersonId::new(9)).iter().map(|s| s.number()).collect();
    assert_eq!(members, [3, 5, 8, 9]);
    bench.apply(3, &[(Op::Merge([0, 0, 1]), Verdict::Linked), (Op::Merge([0, 3, 3]), CONFLICT)]);
    assert_eq!(bench.persons().members(PersonId::new(1)).len(), 2);
    assert_eq!((bench.persons().link_count(), bench.persons().refusals().conflict), (4, 1));
}

#[test]
fn a_split_leaves_the_links_that_still_stand_and_keeps_the_pair_apart() {
    let mut bench = bench();
    let links = [Op::Alias(0, 1), Op::Alias(1, 2), Op::Alias(2, 3), Op::Alias(7, 8)];
    assert_eq!(bench.batch(&links), [Verdict::Linked; 4]);
    bench.apply_next(&[(Op::Split(1), Verdict::Already)]);
    assert_eq!(people(&mut bench, 9), [0, 1, 2, 2, 4, 5, 6, 7, 7]);
    assert_eq!(bench.one(Op::Alias(1, 0)), KEPT_APART);
    assert_eq!(bench.one(Op::Identify(2, 1)), KEPT_APART);
    assert_eq!(bench.persons().refusals().kept_apart, 2);
    // Not the pair itself: allowed, and the pair is one person by it.
    assert_eq!(bench.one(Op::Alias(3, 1)), Verdict::Linked);
    assert_eq!(bench.one(Op::Alias(1, 2)), Verdict::Already);
    // A forced link of the pair is recorded as linked and simply stands.
    bench.apply_next(&[(Op::Alias(0, 1), Verdict::Linked)]);
    assert_eq!(people(&mut bench, 5), [0, 0, 0, 0, 4]);
}

#[test]
fn split_link_revokes_one_operation() {
    let mut bench = bench();
    bench.apply(
        1,
        &[
            (Op::Alias(0, 1), Verdict::Linked),
            (Op::Merge([1, 2, 3]), Verdict::Linked),
            (Op::Alias(3, 0), Verdict::Already),
        ],
    );
    assert_eq!(people(&mut bench, 4), [0, 0, 0, 0]);
    // An operation that made no link, and a sequence without one: nothing happens.
    bench.apply_next(&[(Op::SplitLink(3), Verdict::Already), (Op::SplitLink(77), Verdict::Already)]);
    assert_eq!(people(&mut bench, 4), [0, 0, 0, 0]);
    bench.apply_next(&[(Op::SplitLink(2), Verdict::Already)]);
    assert_eq!(people(&mut bench, 4), [0, 0, 2, 3]);
    assert_eq!(bench.persons().link_count(), 1);
}

#[test]
fn a_merge_joins_people_who_are_known_by_different_ids_and_what_is_kept_apart() {
    let mut bench = bench();
    let known = [Op::Identify(0, 1), Op::Identify(2, 3), Op::Alias(1, 3), Op::Merge([0, 2, 2])];
    assert_eq!(bench.batch(&known), [Verdict::Linked, Verdict::Linked, CONFLICT, Verdict::Linked]);
    assert_eq!(people(&mut bench, 4), [0, 0, 0, 0]);
    assert_eq!(bench.one(Op::Merge([1, 2, 3])), Verdict::Already);
    assert_eq!(bench.batch(&[Op::Split(2), Op::Identify(2, 3)]), [Verdict::Linked, KEPT_APART]);
    assert_eq!(people(&mut bench, 4), [0, 0, 2, 3]);
    assert_eq!(bench.batch(&[Op::Merge([2, 3, 3]), Op::Split(3), Op::Force(2, 3)])[..2], [Verdict::Linked; 2]);
    assert_eq!(people(&mut bench, 4), [0, 0, 2, 2]);
}

#[test]
fn a_split_counts_for_what_is_decided_after_it_in_the_same_batch() {
    let mut bench = bench();
    let ops =
        [Op::Identify(0, 1), Op::SplitLink(1), Op::Identify(0, 1), Op::Identify(0, 2), Op::Split(9), Op::Split(0)];
    let expected = [Verdict::Linked, Verdict::Linked, KEPT_APART, Verdict::Linked, Verdict::Already, Verdict::Linked];
    assert_eq!(bench.batch(&ops), expected);
    assert_eq!(people(&mut bench, 3), [0, 1, 2]);
    // What was decided for a batch that was given up is forgotten, a split as well.
    assert_eq!(bench.batch(&[Op::Alias(4, 5)]), [Verdict::Linked]);
    assert_eq!(bench.judge(8, Op::Split(4)), Verdict::Linked);
    assert_eq!(bench.judge(8, Op::Alias(5, 4)), Verdict::Already);
}

#[test]
fn a_split_is_shown_before_it_is_done() {
    let mut bench = bench();
    bench.batch(&[Op::Alias(0, 1), Op::Alias(1, 2), Op::Alias(2, 3), Op::Alias(7, 8)]);
    let (persons, links) = bench.fold.preview_split(SubjectId::new(1));
    let numbers: Vec<Vec<u32>> = persons.iter().map(|ids| ids.iter().map(|id| id.number()).collect()).collect();
    assert_eq!((numbers, links), (vec![vec![0], vec![1], vec![2, 3]], 2));
    assert_eq!(people(&mut bench, 4), [0, 0, 0, 0]);
}
