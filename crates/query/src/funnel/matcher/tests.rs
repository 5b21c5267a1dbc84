use super::*;
use crate::calendar::seconds;
use crate::funnel::{Exclusion, ExclusionOutcome, Step, StepOrder, Ties};
use crate::spec::{GroupValue, Groups};

const RANGE: ResolvedRange = ResolvedRange { from_us: 0, to_us: 1_000_000_000_000_000 };

fn hits(events: &[(i64, u32)]) -> Vec<Hit> {
    let with_sequence = events.iter().zip(1..);
    with_sequence
        .map(|(&(at_s, matches), sequence)| Hit { timestamp: at_s * 1_000_000, sequence, matches, group: 0, value: () })
        .collect()
}

/// The times of each attempt in seconds, -1 for a step that was not done.
fn attempts(funnel: &Funnel, events: &[(i64, u32)]) -> Vec<Vec<i64>> {
    let mut matcher = Matcher::new(funnel, RANGE);
    let found = matcher.match_unit(&hits(events), &HitValues::default());
    found.iter().map(|attempt| attempt.times().map(|time| time.map_or(-1, |us| us / 1_000_000)).collect()).collect()
}

fn steps(count: usize) -> Funnel {
    Funnel::steps(["a", "b", "c", "d"].into_iter().take(count)).window(seconds(100))
}

#[test]
fn in_any_order_the_kth_step_is_the_kth_that_was_done() {
    let funnel = steps(3).order(StepOrder::Any);
    assert_eq!(attempts(&funnel, &[(1, 0b100), (2, 0b001), (3, 0b100), (9, 0b010)]), [[1, 2, 9]]);
    // One event can do two steps, but only one of them.
    assert_eq!(attempts(&funnel, &[(1, 0b011), (2, 0b001), (3, 0b001)]), [[1, 2, -1]]);
    assert_eq!(attempts(&funnel.reuse(), &[(1, 0b011), (2, 0b100)]), [[1, 1, 2]]);
}

#[test]
fn between_strict_steps_lies_nothing_but_repeats() {
    let funnel = steps(2).order(StepOrder::Strict);
    // The last bit is that of any event.
    assert_eq!(attempts(&funnel, &[(1, 0b101), (2, 0b101), (3, 0b110)]), [[1, 3]]);
    assert_eq!(attempts(&funnel, &[(1, 0b101), (2, 0b100), (3, 0b110)]), [[1, -1]]);
    let break_it = funnel.repeats(crate::funnel::Repeats::Break);
    assert_eq!(attempts(&break_it, &[(1, 0b101), (2, 0b101), (3, 0b110)]), [[2, 3]]);
}

#[test]
fn an_optional_step_makes_no_conversion_later() {
    let optional = Funnel::steps([Step::from("a"), Step::from("b").optional(), Step::from("c")]).window(seconds(100));
    assert_eq!(attempts(&optional, &[(1, 0b001), (3, 0b100), (5, 0b010), (9, 0b100)]), [[1, -1, 3]]);
    assert_eq!(attempts(&optional, &[(1, 0b001), (2, 0b010), (3, 0b100)]), [[1, 2, 3]]);
}

#[test]
fn what_is_taken_for_a_step_may_have_to_be_a_later_event() {
    let third = Step::from("c").at_most_after(seconds(2));
    let funnel = Funnel::steps([Step::from("a"), Step::from("b"), third]).window(seconds(100));
    assert_eq!(attempts(&funnel, &[(1, 0b001), (2, 0b010), (10, 0b010), (11, 0b100)]), [[1, 10, 11]]);
}

#[test]
fn excluded_events_end_void_or_drop() {
    let events = [(1, 0b0001), (2, 0b0010), (3, 0b1000), (4, 0b0100), (20, 0b0001)];
    let excluding = |outcome| steps(3).exclude(Exclusion::between("x", 1, 3).outcome(outcome));
    assert_eq!(attempts(&excluding(ExclusionOutcome::End), &events), [[1, 2, -1]]);
    assert_eq!(attempts(&excluding(ExclusionOutcome::Void), &events), [[20, -1, -1]]);
    assert_eq!(attempts(&excluding(ExclusionOutcome::Drop), &events), Vec::<Vec<i64>>::new());
}

#[test]
fn every_attempt_counts_and_none_overlaps_another() {
    let funnel = steps(2).entry(FunnelEntry::Every);
    let events = [(1, 0b01), (2, 0b01), (3, 0b10), (4, 0b10), (5, 0b01), (200, 0b10), (300, 0b01)];
    assert_eq!(attempts(&funnel, &events), [[1, 3], [5, -1], [300, -1]]);
}

#[test]
fn a_step_may_lie_a_little_before_the_one_that_it_follows() {
    let funnel = steps(2).tolerance(seconds(2));
    assert_eq!(attempts(&funnel, &[(3, 0b10), (5, 0b01)]), [[5, 3]]);
    assert_eq!(attempts(&funnel, &[(2, 0b10), (5, 0b01)]), [[5, -1]]);
}

#[test]
fn a_hundred_thousand_events_take_no_quadratic_time_whatever_is_asked() {
    let never = |at: i64| (at, if at % 2 == 0 { 0b0001 } else { 0b0010 });
    let mut events: Vec<(i64, u32)> = (0..100_000).map(never).collect();
    events.push((10_000_000, 0b0100));
    let overlapping: Vec<(i64, u32)> = (0..100_000).map(|at| (at, 0b0011)).collect();
    let tied: Vec<(i64, u32)> = (0..100_000).map(|_| (7, 0b0011)).collect();
    let asked = [
        steps(3).ties(Ties::Apart),
        steps(3).order(StepOrder::Any),
        steps(3).order(StepOrder::StrictSteps),
        steps(3).exclude(Exclusion::between("x", 1, 3)),
        steps(3).entry(FunnelEntry::Every),
        steps(3).tolerance(seconds(2)),
        Funnel::steps([Step::from("a"), Step::from("b").at_most_after(seconds(5)), Step::from("c")]),
        Funnel::steps([Step::from("a"), Step::from("b").optional(), Step::from("c")]),
    ];
    for funnel in asked {
        for events in [&events, &overlapping, &tied] {
            let found = attempts(&funnel, events);
            assert!(!found.is_empty() && found.iter().all(|times| times[2] == -1), "{funnel:?}");
        }
    }
}

#[test]
fn of_openings_of_one_instant_in_two_lanes_the_first_in_the_log_counts() {
    let funnel = steps(2).hold("plan").breakdown("country");
    let mut groups = Groups::default();
    for (country, plan) in [("IN", "free"), ("NP", "pro")] {
        groups.intern(&[GroupValue::from(country), GroupValue::from(plan)]);
    }
    let values = HitValues::new(&funnel, &groups);
    let hit = |group, sequence| Hit { timestamp: 1, sequence, matches: 1, group, value: () };
    let group_of = |mut hits: [Hit; 2]| {
        let mut matcher = Matcher::new(&funnel, RANGE);
        matcher.match_times(&mut hits, &values).flatten().map(|reached| reached.group)
    };
    assert_eq!(group_of([hit(1, 7), hit(0, 8)]), Some(1));
    assert_eq!(group_of([hit(0, 8), hit(1, 7)]), Some(1));
    // Without sequences they come in the order of the log.
    assert_eq!(group_of([hit(1, 0), hit(0, 0)]), Some(1));
    assert_eq!(group_of([hit(0, 0), hit(1, 0)]), Some(0));
}
