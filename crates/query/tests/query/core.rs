//! The pure core of every analysis against the oracle (`docs/semantics.md`).

use proptest::{prelude::*, test_runner::TestRunner};

use crate::cases::{case_count, cases};
use crate::lowering::disagreement;

fn agrees(kind: &'static str) {
    let config = ProptestConfig { cases: case_count(256), failure_persistence: None, ..ProptestConfig::default() };
    let checked = TestRunner::new(config).run(&cases(kind), |case| {
        disagreement(&case).map_or(Ok(()), |difference| Err(TestCaseError::fail(difference)))
    });
    if let Err(failure) = checked {
        panic!("{failure}");
    }
}

#[test]
fn trend_agrees_with_the_oracle() {
    agrees("trend");
}

#[test]
fn attribution_agrees_with_the_oracle() {
    agrees("attribution");
}

#[test]
fn every_measure_agrees_with_the_oracle() {
    agrees("measures");
}

#[test]
fn funnel_agrees_with_the_oracle() {
    agrees("funnel");
}

#[test]
fn orders_of_steps_agree_with_the_oracle() {
    agrees("funnel_order");
}

#[test]
fn optional_steps_times_between_and_reuse_agree_with_the_oracle() {
    agrees("funnel_steps");
}

#[test]
fn exclusions_agree_with_the_oracle() {
    agrees("funnel_exclude");
}

#[test]
fn tolerance_agrees_with_the_oracle() {
    agrees("funnel_tolerance");
}

#[test]
fn held_properties_agree_with_the_oracle() {
    agrees("funnel_hold");
}

#[test]
fn breakdowns_at_other_events_agree_with_the_oracle() {
    agrees("funnel_at");
}

#[test]
fn entries_and_completion_agree_with_the_oracle() {
    agrees("funnel_entry");
}

#[test]
fn trends_people_and_histograms_agree_with_the_oracle() {
    agrees("funnel_answer");
}

#[test]
fn windows_that_are_sessions_agree_with_the_oracle() {
    agrees("funnel_session");
}

#[test]
fn what_a_funnel_is_like_agrees_with_the_oracle() {
    agrees("funnel_like");
}

#[test]
fn retention_agrees_with_the_oracle() {
    agrees("retention");
}

#[test]
fn lifecycle_agrees_with_the_oracle() {
    agrees("lifecycle");
}

#[test]
fn stickiness_agrees_with_the_oracle() {
    agrees("stickiness");
}

#[test]
fn sessions_agree_with_the_oracle() {
    agrees("sessions");
}

#[test]
fn journey_agrees_with_the_oracle() {
    agrees("journey");
}

#[test]
fn paths_agree_with_the_oracle() {
    agrees("paths");
}

#[test]
fn paths_within_a_time_agree_with_the_oracle() {
    agrees("paths_window");
}

#[test]
fn paths_to_an_end_agree_with_the_oracle() {
    agrees("paths_end");
}
