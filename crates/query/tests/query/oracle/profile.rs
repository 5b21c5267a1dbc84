//! Traits (`docs/semantics.md`, section 5): what a unit was when an event happened, as properties of the event.

use std::collections::BTreeMap;

use super::{Flip, OracleEvent, Rules, Scalar};

/// A change of a trait. Those that are sent with the same event come in the order of their list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OracleChange {
    pub(crate) unit: u32,
    /// Which id of the unit it is said of, and whether that is a known one.
    pub(crate) which: u8,
    pub(crate) is_known: bool,
    pub(crate) timestamp_us: i64,
    /// It is stored after the event of this sequence, and before the next.
    pub(crate) after: u64,
    /// `set`, `set_once`, `unset` or `add`.
    pub(crate) kind: &'static str,
    pub(crate) name: &'static str,
    pub(crate) value: Scalar,
}

/// The events with `profile('…')` and `profile_at('…')` of every trait among their properties.
pub(crate) fn with_traits(events: &[OracleEvent], changes: &[OracleChange], rules: Rules) -> Vec<OracleEvent> {
    let mut events = events.to_vec();
    for event in &mut events {
        for name in ["tier", "score"] {
            let own: Vec<&OracleChange> =
                changes.iter().filter(|change| change.unit == event.unit && change.name == name).collect();
            let before: Vec<&OracleChange> = own
                .iter()
                .copied()
                .filter(|change| match change.timestamp_us == event.timestamp_us {
                    true => change.after < event.sequence || rules.flip(Flip::TraitTiesCount),
                    false => change.timestamp_us < event.timestamp_us,
                })
                .collect();
            let at = if rules.flip(Flip::TraitAlwaysPresent) { &own } else { &before };
            let now = if rules.flip(Flip::TraitAlwaysPast) { &before } else { &own };
            event.properties.insert(format!("profile_at('{name}')"), value(at, rules));
            event.properties.insert(format!("profile('{name}')"), value(now, rules));
        }
    }
    events
}

/// What the changes make of a trait.
fn value(changes: &[&OracleChange], rules: Rules) -> Option<Scalar> {
    let mut sorted = changes.to_vec();
    if !rules.flip(Flip::TraitInOrderOfLog) {
        sorted.sort_by_key(|change| (change.timestamp_us, change.after));
    }
    let mut standing: Option<Scalar> = None;
    let mut by_known = false;
    for change in sorted {
        let replaces = change.is_known || !by_known || rules.flip(Flip::TraitOfKnownReplaced);
        match change.kind {
            "set" | "unset" if replaces => {
                standing = (change.kind == "set").then(|| change.value.clone());
                by_known = change.is_known;
            }
            "set_once" if standing.is_none() || rules.flip(Flip::TraitSetOnceReplaces) => {
                standing = Some(change.value.clone());
                by_known |= change.is_known;
            }
            "add" => {
                let number = |value: &Scalar| if let Scalar::Number(number) = value { *number } else { 0.0 };
                let before = standing.as_ref().map_or(0.0, number);
                let sum = if rules.flip(Flip::TraitAddReplaces) { 0.0 } else { before } + number(&change.value);
                standing = Some(Scalar::Number(sum));
                by_known |= change.is_known;
            }
            _ => {}
        }
    }
    standing
}

/// The name by which an item of a breakdown is found among the properties.
pub(crate) fn property_of(item: &BTreeMap<String, String>) -> String {
    match item.iter().next().map(|(kind, name)| (kind.as_str(), name)) {
        Some(("profile", name)) => format!("profile('{name}')"),
        Some((_, name)) => name.clone(),
        None => panic!("an item of a breakdown says what it is"),
    }
}
