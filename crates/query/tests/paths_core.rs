//! The pure core of paths against the oracle (`docs/semantics.md`).

#[path = "oracle/cases/mod.rs"]
mod cases;
#[path = "oracle/lowering.rs"]
mod lowering;
mod oracle;

use cases::{case_count, cases};
use proptest::{prelude::*, test_runner::TestRunner};

fn agrees(kind: &'static str) {
    let config = ProptestConfig { cases: case_count(256), failure_persistence: None, ..ProptestConfig::default() };
    let checked = TestRunner::new(config).run(&cases(kind), |case| {
        lowering::disagreement(&case).map_or(Ok(()), |difference| Err(TestCaseError::fail(difference)))
    });
    if let Err(failure) = checked {
        panic!("{failure}");
    }
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
