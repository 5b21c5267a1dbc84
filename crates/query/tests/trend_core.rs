//! The pure core of trend against the oracle (`docs/semantics.md`).

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
