//! Sessions, `docs/semantics.md`, section 4.

use serde_json::{Value, json};

use super::{
    Flip, OracleEvent, Rules, Scalar, by_unit,
    calendar::{Time, duration_us},
};

/// The events of one session, in order.
type Session<'a> = Vec<&'a OracleEvent>;

pub(crate) fn answer(sessions: &Value, events: &[&OracleEvent], time: &Time, rules: Rules) -> Value {
    let mut all: Vec<Session<'_>> = Vec::new();
    for unit in by_unit(events) {
        all.extend(sessions_of(sessions, &unit, time, rules));
    }
    if rules.flip(Flip::SessionCutByRange) {
        for session in &mut all {
            session.retain(|event| time.in_range(event.timestamp_us));
        }
        all.retain(|session| !session.is_empty());
    }
    all.retain(|session| match rules.flip(Flip::SessionByEnd) {
        true => time.in_range(last(session).timestamp_us),
        false => time.in_range(session[0].timestamp_us),
    });
    let seconds: Vec<f64> = all.iter().map(|session| seconds_of(session)).collect();
    let bounced = |session: &&Session<'_>| match rules.flip(Flip::BounceIsShort) {
        true => seconds_of(session) == 0.0,
        false => session.len() == 1,
    };
    let rate = (!all.is_empty()).then(|| all.iter().filter(bounced).count() as f64 / all.len() as f64);
    let mut result =
        json!({ "kind": "sessions", "count": all.len(), "bounce_rate": rate, "seconds": statistics(seconds, rules) });
    if sessions["interval"].is_string() {
        let buckets = time.buckets();
        let of =
            |label: &String| all.iter().filter(|session| time.bucket_of(session[0].timestamp_us) == *label).count();
        result["counts"] = buckets.iter().map(of).collect::<Vec<_>>().into();
        result["buckets"] = buckets.into();
    }
    if sessions["rows"] == true {
        all.sort_by_key(|session| (session[0].timestamp_us, session[0].sequence));
        let rows: Vec<Value> = all.iter().map(|session| row(sessions, session, rules)).collect();
        result["rows"] = rows.into();
    }
    result
}

/// The sessions of one unit, whose events are in order.
pub(crate) fn sessions_of<'a>(
    sessions: &Value,
    unit: &[&'a OracleEvent],
    time: &Time,
    rules: Rules,
) -> Vec<Session<'a>> {
    let by_id = sessions.get("by") != Some(&Value::Null) || rules.flip(Flip::ByIgnored);
    let id = |event: &OracleEvent| id_of(event).filter(|_| by_id && !rules.flip(Flip::IdsIgnored));
    let mut all: Vec<Session<'a>> = Vec::new();
    for event in unit {
        let own = id(event);
        let before = match own {
            Some(_) => all.iter_mut().find(|session| id(session[0]) == own),
            None => {
                let last = all.iter_mut().rfind(|session| id(session[0]).is_none());
                last.filter(|session| !is_cut(sessions, session, event, time, rules))
            }
        };
        match before {
            Some(session) => session.push(event),
            None => all.push(vec![event]),
        }
    }
    all
}

fn is_cut(sessions: &Value, session: &[&OracleEvent], event: &OracleEvent, time: &Time, rules: Rules) -> bool {
    let gap_us = match rules.flip(Flip::GapIsDefault) {
        true => duration_us("30m"),
        false => duration_us(sessions["gap"].as_str().unwrap_or("30m")),
    };
    let since_us = event.timestamp_us - last(session).timestamp_us;
    let exactly = (sessions["gap_at"] == "new") != rules.flip(Flip::GapAtOther);
    let by_gap = if exactly { since_us >= gap_us } else { since_us > gap_us };
    let by_max = sessions["max"].as_str().filter(|_| !rules.flip(Flip::MaxIgnored)).is_some_and(|max| {
        let from = if rules.flip(Flip::MaxFromPrevious) { last(session) } else { session[0] };
        event.timestamp_us - from.timestamp_us > duration_us(max)
    });
    let midnight = sessions["midnight"] == true && !rules.flip(Flip::MidnightIgnored);
    let by_midnight = midnight && event.timestamp_us >= time.end_of_local_day(session[0].timestamp_us);
    let names = sessions["split_on"].as_array().filter(|_| !rules.flip(Flip::SplitIgnored)).into_iter().flatten();
    let by_split = names.map(|name| name.as_str().expect("a name")).any(|name| {
        let value = |event: &OracleEvent| event.properties.get(name).cloned().flatten();
        if rules.flip(Flip::SplitOnNull) {
            return value(event) != value(last(session));
        }
        value(event).is_some_and(|new| session.iter().rev().find_map(|event| value(event)) != Some(new))
    });
    by_gap || by_max || by_midnight || by_split
}

/// The session that the sender gave an event.
fn id_of(event: &OracleEvent) -> Option<String> {
    match event.properties.get("session_id").cloned().flatten() {
        Some(Scalar::Text(id)) => Some(id),
        _ => None,
    }
}

fn last<'a>(session: &[&'a OracleEvent]) -> &'a OracleEvent {
    session[session.len() - 1]
}

fn seconds_of(session: &[&OracleEvent]) -> f64 {
    (last(session).timestamp_us - session[0].timestamp_us) as f64 / 1e6
}

fn statistics(mut seconds: Vec<f64>, rules: Rules) -> Value {
    if seconds.is_empty() {
        return Value::Null;
    }
    seconds.sort_by(f64::total_cmp);
    let quantile = |share: f64| {
        let rank = share * (seconds.len() - 1) as f64;
        if rules.flip(Flip::PercentileNearestRank) {
            return seconds[rank.round() as usize];
        }
        let (low, high) = (seconds[rank.floor() as usize], seconds[rank.ceil() as usize]);
        low + (high - low) * rank.fract()
    };
    let mean = seconds.iter().sum::<f64>() / seconds.len() as f64;
    json!({ "mean": mean, "median": quantile(0.5), "p90": quantile(0.9) })
}

fn row(sessions: &Value, session: &[&OracleEvent], rules: Rules) -> Value {
    let names: Vec<&str> = match sessions["page"].as_str().filter(|_| !rules.flip(Flip::PageIsDefault)) {
        Some(name) => vec![name],
        None => vec!["url", "page.url", "$current_url"],
    };
    let page = |event: &&OracleEvent| {
        let value = names.iter().find_map(|name| event.properties.get(*name).cloned().flatten())?;
        Some(match value {
            Scalar::Text(text) => text,
            Scalar::Number(number) => number.to_string(),
        })
    };
    let first_only = rules.flip(Flip::PageOfFirstOnly);
    let has_page = |session: &[&OracleEvent]| session.iter().any(|event| page(event).is_some());
    let (first, end) = (session[0], last(session));
    let entry = if first_only { page(&first) } else { session.iter().find_map(page) };
    let exit = if first_only { page(&end) } else { session.iter().rev().find_map(page) };
    let named = first_only || !has_page(session);
    let or_name = |page: Option<String>, event: &OracleEvent| page.or_else(|| named.then(|| event.event.clone()));
    let by_id = sessions.get("by") != Some(&Value::Null) || rules.flip(Flip::ByIgnored);
    let mut row = json!({
        "session": id_of(first).filter(|_| by_id && !rules.flip(Flip::IdsIgnored)),
        "seconds": seconds_of(session),
        "events": session.len(),
        "entry": or_name(entry, first),
        "exit": or_name(exit, end),
    });
    if let Some(names) = sessions["touch"].as_array() {
        let names: Vec<&str> = names.iter().map(|name| name.as_str().expect("a name")).collect();
        let touches: Vec<Value> = session.iter().filter_map(|event| touch_of(event, &names, rules)).collect();
        let first = if rules.flip(Flip::FirstTouchIsLast) { touches.last() } else { touches.first() };
        let last = if rules.flip(Flip::LastTouchIsFirst) { touches.first() } else { touches.last() };
        row["first_touch"] = first.cloned().unwrap_or(json!({}));
        row["last_touch"] = last.cloned().unwrap_or(json!({}));
    }
    row
}

/// What an event says of where it came from; `None` where it has none of the properties.
fn touch_of(event: &OracleEvent, names: &[&str], rules: Rules) -> Option<Value> {
    let text = |name: &&str| match event.properties.get(*name).cloned().flatten()? {
        Scalar::Text(text) => Some(((*name).to_owned(), Value::from(text))),
        Scalar::Number(number) => Some(((*name).to_owned(), Value::from(number.to_string()))),
    };
    let told: serde_json::Map<String, Value> = names.iter().filter_map(text).collect();
    let is_one = if rules.flip(Flip::TouchNeedsNoValue) { true } else { !told.is_empty() };
    is_one.then_some(Value::Object(told))
}
