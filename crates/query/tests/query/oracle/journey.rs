//! Journeys, `docs/semantics.md`, section 4.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    Flip, OracleEvent, Rules, Scalar,
    calendar::{Time, duration_us},
};

/// In the place of a cursor, which is opaque, the question has the number of pages that were turned.
pub(crate) fn answer(journey: &Value, events: &[&OracleEvent], time: &Time, rules: Rules) -> Value {
    let person = person_of(journey);
    let is_own = |event: &&OracleEvent| Some(event.unit) == person || rules.flip(Flip::JourneyOfEverybody);
    let in_range = |event: &&OracleEvent| time.in_range(event.timestamp_us) || rules.flip(Flip::JourneyOfAllTime);
    let mut own: Vec<&OracleEvent> = events.iter().copied().filter(is_own).filter(in_range).collect();
    let newest_first = (journey["order"] != "oldest") != rules.flip(Flip::OrderOther);
    if newest_first {
        own.reverse();
    }
    if rules.flip(Flip::SequenceAgainstTime) {
        own.sort_by_key(|event| (if newest_first { -event.timestamp_us } else { event.timestamp_us }, event.sequence));
        if !newest_first {
            own.sort_by_key(|event| (event.timestamp_us, std::cmp::Reverse(event.sequence)));
        }
    }
    let limit = match rules.flip(Flip::PageIsDefaultLong) {
        true => 100,
        false => journey["limit"].as_u64().unwrap_or(100) as usize + usize::from(rules.flip(Flip::PageOneLonger)),
    };
    let turned = journey["cursor"].as_u64().filter(|_| !rules.flip(Flip::CursorIgnored)).unwrap_or(0) as usize;
    let before = (0..turned).fold(0, |before, _| if own.len() > before + limit { before + limit } else { before });
    let again = usize::from(before > 0 && rules.flip(Flip::CursorShowsAgain));
    let rest = &own[before - again..];
    let page = &rest[..rest.len().min(limit)];
    let sessions: Vec<Value> = sessions_of(page, &own, rules);
    // That there is a next page is all that is known of it.
    json!({ "kind": "journey", "person": person, "sessions": sessions, "is_last": rest.len() <= limit })
}

/// People are numbered as the ids of theirs begin; nobody has the number 9.
fn person_of(journey: &Value) -> Option<u32> {
    let number = journey["distinct_id"].as_str()?.split('-').next()?.parse().ok()?;
    (number != 9).then_some(number)
}

fn id_of(event: &OracleEvent) -> Option<&str> {
    match event.properties.get("session_id") {
        Some(Some(Scalar::Text(id))) => Some(id),
        _ => None,
    }
}

fn sessions_of(page: &[&OracleEvent], all: &[&OracleEvent], rules: Rules) -> Vec<Value> {
    let id = |event: &OracleEvent| id_of(event).filter(|_| !rules.flip(Flip::IdsIgnored)).map(str::to_owned);
    let gap_us = duration_us(if rules.flip(Flip::JourneyGapOther) { "20m" } else { "30m" });
    // Whether two events are of one session: the sender says so, or no step between those without a session is too wide.
    let together = |a: &OracleEvent, b: &OracleEvent| match (id(a), id(b)) {
        (None, None) => {
            let among = if rules.flip(Flip::JourneySessionWhole) { all } else { page };
            let mut times: Vec<i64> =
                among.iter().filter(|event| id(event).is_none()).map(|event| event.timestamp_us).collect();
            times.sort_unstable();
            let (from, to) = (a.timestamp_us.min(b.timestamp_us), a.timestamp_us.max(b.timestamp_us));
            times.retain(|time| (from..=to).contains(time));
            times.windows(2).all(|pair| pair[1] - pair[0] <= gap_us)
        }
        (a, b) => a == b,
    };
    let mut sessions: Vec<Vec<&OracleEvent>> = Vec::new();
    for event in page {
        match sessions.iter_mut().find(|session| together(session[0], event)) {
            Some(session) => session.push(event),
            None => sessions.push(vec![event]),
        }
    }
    let shown = |session: &Vec<&OracleEvent>| {
        let whole: Vec<&OracleEvent> = match rules.flip(Flip::JourneySessionWhole) {
            true => all.iter().copied().filter(|event| together(session[0], event)).collect(),
            false => session.clone(),
        };
        let times = || whole.iter().map(|event| event.timestamp_us);
        let events: Vec<Value> = session.iter().map(|event| shown_event(event, rules)).collect();
        json!({
            "session": id(session[0]),
            "from": instant(times().min()),
            "to": instant(times().max()),
            "events": events,
        })
    };
    sessions.iter().map(shown).collect()
}

fn instant(us: Option<i64>) -> String {
    Timestamp::from_microsecond(us.expect("a session has an event")).expect("an instant of our time").to_string()
}

fn shown_event(event: &OracleEvent, rules: Rules) -> Value {
    let mut properties = Map::new();
    for (name, value) in
        event.properties.iter().filter(|(name, _)| *name != "session_id" && !name.starts_with("profile"))
    {
        let value = match value {
            Some(Scalar::Text(text)) => json!(text),
            Some(Scalar::Number(number)) if rules.flip(Flip::PropertiesAreText) => json!(number.to_string()),
            Some(Scalar::Number(number)) => json!(number),
            None => continue,
        };
        properties.insert(name.clone(), value);
    }
    json!({ "event": event.event, "timestamp": instant(Some(event.timestamp_us)), "properties": properties })
}
