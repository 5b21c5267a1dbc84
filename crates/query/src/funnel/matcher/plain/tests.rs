use super::*;

const RANGE: ResolvedRange = ResolvedRange { from_us: 0, to_us: 1_000_000_000_000_000 };

fn hits(events: &[(i64, u32)]) -> Vec<Hit> {
    let with_sequence = events.iter().zip(1..);
    with_sequence
        .map(|(&(at_s, matches), sequence)| Hit { timestamp: at_s * 1_000_000, sequence, matches, group: 0, value: () })
        .collect()
}

fn times(steps: usize, window_s: u32, events: &[(i64, u32)]) -> Option<Vec<i64>> {
    let mut plain = Plain::new(steps, i64::from(window_s) * 1_000_000, RANGE);
    let attempt = plain.match_unit(&hits(events));
    attempt.map(|attempt| attempt.times.iter().map(|us| us / 1_000_000).collect())
}

#[test]
fn the_window_includes_its_end() {
    assert_eq!(times(2, 5, &[(0, 1), (5, 2)]), Some(vec![0, 5]));
    assert_eq!(times(2, 5, &[(0, 1), (6, 2)]), Some(vec![0]));
}

#[test]
fn the_deepest_attempt_wins_and_among_equals_the_earliest() {
    assert_eq!(times(3, 5, &[(0, 1), (1, 2), (9, 1), (10, 2), (11, 4), (12, 4)]), Some(vec![9, 10, 11]));
    assert_eq!(times(2, 5, &[(0, 1), (1, 1), (2, 2), (3, 2)]), Some(vec![0, 2]));
}

#[test]
fn equal_timestamps_serve_in_either_order() {
    assert_eq!(times(3, 5, &[(7, 4), (7, 2), (7, 1)]), Some(vec![7, 7, 7]));
}

#[test]
fn one_event_serves_one_step() {
    assert_eq!(times(2, 5, &[(0, 0b11)]), Some(vec![0]));
    assert_eq!(times(2, 5, &[(0, 0b11), (3, 0b11)]), Some(vec![0, 3]));
    assert_eq!(times(3, 5, &[(0, 0b111), (0, 0b111), (0, 0b111)]), Some(vec![0, 0, 0]));
}

#[test]
fn events_of_one_timestamp_are_dealt_out_so_that_most_steps_are_served() {
    // Step 2 must leave the only event that can do step 3 to step 3.
    assert_eq!(times(3, 5, &[(0, 0b001), (1, 0b110), (1, 0b010)]), Some(vec![0, 1, 1]));
    assert_eq!(times(3, 5, &[(0, 0b111), (0, 0b010), (0, 0b110)]), Some(vec![0, 0, 0]));
}

#[test]
fn a_step_that_the_opening_event_took_is_not_served_by_it_again() {
    assert_eq!(times(2, 5, &[(0, 0b11), (9, 0b10)]), Some(vec![0]));
}

#[test]
fn nobody_begins_outside_the_range_and_steps_follow_beyond_it() {
    let range = ResolvedRange { from_us: 10_000_000, to_us: 20_000_000 };
    let mut matcher = Plain::new(2, 60_000_000, range);
    assert_eq!(matcher.match_unit(&hits(&[(9, 1), (10, 2), (20, 1), (21, 2)])), None);
    let attempt = matcher.match_unit(&hits(&[(9, 1), (19, 1), (30, 2)])).expect("the second event opens");
    assert_eq!(attempt, &Reached { times: vec![19_000_000, 30_000_000], group: 0, sequence: 2 });
}

#[test]
fn a_matcher_keeps_nothing_of_the_unit_before() {
    let mut matcher = Plain::new(2, 60_000_000, RANGE);
    for _ in 0..2 {
        assert_eq!(matcher.match_unit(&hits(&[(0, 1), (1, 2)])).map(|attempt| attempt.times.len()), Some(2));
        assert_eq!(matcher.match_unit(&hits(&[(0, 1)])).map(|attempt| attempt.times.len()), Some(1));
        assert_eq!(matcher.match_unit(&hits(&[(0, 3), (0, 3)])).map(|attempt| attempt.times.len()), Some(2));
        assert_eq!(matcher.match_unit(&hits(&[(0, 3)])).map(|attempt| attempt.times.len()), Some(1));
    }
}

#[test]
fn a_hundred_thousand_events_without_conversion_take_no_quadratic_time() {
    for last in [0b100, 0b110] {
        let mut events: Vec<(i64, u32)> =
            (0..100_000).map(|at| (at, if at % 2 == 0 { 0b001 } else { 0b010 })).collect();
        events.push((10_000_000, last));
        assert_eq!(times(3, 1_000_000, &events), Some(vec![0, 1]));
        let ties: Vec<(i64, u32)> = (0..100_000).map(|_| (0, 0b011)).chain([(0, 0b010)]).collect();
        assert_eq!(times(3, 5, &ties), Some(vec![0, 0]));
    }
}
