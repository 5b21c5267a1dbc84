//! The pure core of journeys against the oracle (`docs/semantics.md`).

#[path = "oracle/cases/mod.rs"]
mod cases;
#[path = "oracle/lowering.rs"]
mod lowering;
mod oracle;

use cases::{case_count, cases};
use proptest::{prelude::*, test_runner::TestRunner};

#[test]
fn journey_agrees_with_the_oracle() {
    let config = ProptestConfig { cases: case_count(256), failure_persistence: None, ..ProptestConfig::default() };
    let checked = TestRunner::new(config).run(&cases("journey"), |case| {
        lowering::disagreement(&case).map_or(Ok(()), |difference| Err(TestCaseError::fail(difference)))
    });
    if let Err(failure) = checked {
        panic!("{failure}");
    }
}
