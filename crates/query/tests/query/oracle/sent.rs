//! Cases as they are sent to a store: a unit has several ids, and a property a column for each type that the cases mix.

use pugmark_store::{Entry, Event, Operation, ProfileUpdate, Timestamp};

use super::cases::{Case, IDS_OF_A_UNIT, becomes_known};
use super::oracle::{OracleChange, OracleEvent, Scalar};

pub(crate) fn id_of(unit: u32, which: u8) -> String {
    format!("{unit}-{}", which % IDS_OF_A_UNIT)
}

pub(crate) fn event(number: usize, event: &OracleEvent, which: u8) -> Event {
    let mut sent = Event::new(event.event.as_str(), id_of(event.unit, which))
        .message_id(format!("m{number}"))
        .at(Timestamp::from_microsecond(event.timestamp_us));
    for (name, value) in &event.properties {
        if let ("session_id", Some(Scalar::Text(session))) = (name.as_str(), value) {
            sent = sent.session(session.as_str());
            continue;
        }
        match value {
            Some(Scalar::Text(text)) => sent = sent.property(name.as_str(), text.as_str()),
            // Whole numbers are sent as such: the column of a property changes its type on the way.
            Some(Scalar::Number(number)) if number.fract() == 0.0 => {
                sent = sent.property(name.as_str(), *number as i64);
            }
            Some(Scalar::Number(number)) => sent = sent.property(name.as_str(), *number),
            None => {}
        }
        // A filter reads the typed column, which holds values of one type: it gets one for each type that the cases mix.
        sent = match value {
            Some(Scalar::Text(text)) => sent.property(format!("{name}_text"), text.as_str()),
            Some(Scalar::Number(number)) => sent.property(format!("{name}_number"), *number),
            None => sent,
        };
    }
    sent
}

/// The question as it is put to the store: its filters read the columns that [`event`] adds.
pub(crate) fn question(case: &Case) -> serde_json::Value {
    let mut text = case.query.to_string();
    for (plain, typed) in [
        ("plan = 'x'", "plan_text = 'x'"),
        ("plan = 'y'", "plan_text = 'y'"),
        ("plan = 0", "plan_number = 0"),
        ("amount > 1", "amount_number > 1"),
        ("amount < 3", "amount_number < 3"),
    ] {
        text = text.replace(plain, typed);
    }
    serde_json::from_str(&text).expect("it is still JSON")
}

/// The ids of each unit are linked in a chain.
pub(crate) fn link(unit: u32, from: u8) -> Entry {
    let (id, to) = (id_of(unit, from), id_of(unit, from + 1));
    // Only the last id of a unit is ever known, so that nothing is refused.
    if becomes_known(unit, from + 1) { Operation::identify(id, to).into() } else { Operation::alias(id, to).into() }
}

/// A change of a trait, as it is sent.
pub(crate) fn update(change: &OracleChange) -> Entry {
    let id = id_of(change.unit, change.which);
    let update = match change.kind {
        "set" => ProfileUpdate::set(id),
        "set_once" => ProfileUpdate::set_once(id),
        "add" => ProfileUpdate::add(id),
        _ => {
            return ProfileUpdate::unset(id, [change.name]).at(Timestamp::from_microsecond(change.timestamp_us)).into();
        }
    };
    let update = match &change.value {
        Scalar::Text(text) => update.with(change.name, text.as_str()),
        Scalar::Number(number) => update.with(change.name, *number as i64),
    };
    update.at(Timestamp::from_microsecond(change.timestamp_us)).into()
}

/// People are named by an id; the oracle knows the numbers that ids begin with.
pub(crate) fn with_numbers(mut answer: serde_json::Value) -> serde_json::Value {
    if let Some(people) = answer["people"].as_array() {
        let number = |name: &serde_json::Value| name.as_str()?.split('-').next()?.parse::<u32>().ok();
        let mut numbers: Vec<u32> = people.iter().map(|name| number(name).expect("it is an id")).collect();
        numbers.sort_unstable();
        answer["people"] = numbers.into();
    }
    answer
}
