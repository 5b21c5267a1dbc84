//! Every rule of `docs/semantics.md` that is built shows in the generated cases: the oracle with that rule flipped
//! differs from the oracle in at least one case of twenty.

use std::cell::OnceCell;
use std::io::Write;

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use crate::cases::{Case, case_count, cases};
use crate::oracle::{FLIPS, Rules, answer, difference};

const LEAST_RATE: f64 = 0.05;

/// What cases are generated of.
pub(crate) const KINDS: [&str; 25] = [
    "trend",
    "measures",
    "attribution",
    "funnel",
    "funnel_order",
    "funnel_steps",
    "funnel_exclude",
    "funnel_tolerance",
    "funnel_hold",
    "funnel_at",
    "funnel_entry",
    "funnel_answer",
    "funnel_like",
    "funnel_session",
    "units",
    "retention",
    "profile",
    "stickiness",
    "lifecycle",
    "sessions",
    "journey",
    "paths",
    "paths_window",
    "paths_end",
    "segment",
];

fn generated(kind: &'static str, count: u32) -> Vec<Case> {
    // A fixed seed: the rates belong to the generator, and a verdict on it must not change from run to run.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = cases(kind);
    let tree = |_| strategy.new_tree(&mut runner).expect("no case is rejected").current();
    (0..count).map(tree).collect()
}

#[test]
fn every_flipped_rule_differs_in_a_twentieth_of_the_cases() {
    // A thousand cases tell a rate to two thirds of a percent, two thousand to half of one; more would only take longer.
    let count = case_count(1_000).clamp(1_000, 2_000);
    let least = (f64::from(count) * LEAST_RATE).ceil() as u32;
    let mut table = String::from("analysis       | rule | rate\n");
    let mut hidden = Vec::new();
    for name in KINDS {
        let cases = generated(name, count);
        let truth: Vec<OnceCell<_>> = cases.iter().map(|_| OnceCell::new()).collect();
        for (flip, _, rule) in FLIPS.iter().filter(|(_, kinds, _)| kinds.split(' ').any(|kind| kind == name)) {
            let (mut seen, mut differ) = (0, 0);
            for (case, truth) in cases.iter().zip(&truth) {
                let truth =
                    truth.get_or_init(|| answer(&case.query, &case.told(Rules::TRUE), case.around, Rules::TRUE));
                let rules = Rules::flipping(*flip);
                let mutant = answer(&case.query, &case.told(rules), case.around, rules);
                seen += 1;
                differ += u32::from(difference(&mutant, truth).is_some());
                // As many as all of the cases need: whatever the others say, it shows.
                if differ >= least {
                    break;
                }
            }
            let rate = 100.0 * f64::from(differ) / f64::from(seen);
            table.push_str(&format!("{name:16} | {rule} | {rate:.1} % of {seen}\n"));
            if differ < least {
                hidden.push(format!("{name}: {rule} ({rate:.1} %)"));
            }
        }
    }
    std::io::stdout().write_all(table.as_bytes()).expect("stdout can be written");
    assert!(hidden.is_empty(), "rules that hardly show in {count} cases: {hidden:#?}");
}
