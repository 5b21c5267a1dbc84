//! Cases as they are sent to a store: a unit has several ids, and a property a column for each type that the cases mix.

use pugmark_store::{Entry, Event, Operation, Timestamp};

use super::cases::Case;
use super::oracle::{OracleEvent, Scalar};

pub(crate) const IDS_OF_A_UNIT: u8 = 3;

pub(crate) fn id_of(unit: u32, which: u8) -> String {
    format!("{unit}-{}", which % IDS_OF_A_UNIT)
}

pub(crate) fn event(number: usize, event: &OracleEvent, which: u8) -> Event {
    let mut sent = Event::new(event.event.as_str(), id_of(event.unit, which))
        .message_id(format!("m{number}"))
        .at(Timestamp::from_microsecond(event.timestamp_us));
    for (name, value) in &event.properties {
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
        ("plan = 0", "plan_number = 0"),
        ("amount > 1", "amount_number > 1"),
        ("amount < 3", "amount_number < 3"),
    ] {
        text = text.replace(plain, typed);
    }
    serde_json::from_str(&text).expect("it is still JSON")
}

/// The ids of each unit are linked in a chain, in the way and at the places that `arrival` says.
pub(crate) fn link(unit: u32, from: u8, arrival: u8) -> Entry {
    let (id, to) = (id_of(unit, from), id_of(unit, from + 1));
    // Only the last id of a unit is ever known, so that nothing is refused.
    if from + 2 == IDS_OF_A_UNIT && arrival.is_multiple_of(2) {
        Operation::Identify { anonymous_id: id, user_id: to }.into()
    } else {
        Operation::Alias { id, to }.into()
    }
}
