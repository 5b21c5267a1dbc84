//! The shop's year: who comes when, written as NDJSON in order of arrival.

use std::io::{self, Write};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::dice::Dice;
use super::person::{Line, Person, SECONDS_A_DAY, Visit};

const SEED: u64 = 20_250_101;
const VISITORS: usize = 4_400;
const DAYS: usize = 365;
/// How often a stranger logs in on a device that is somebody else's.
const BORROWED_DEVICES: usize = 6;

/// How many people come for the first time on a day, relative to other days: growth, weekends, summer and Christmas.
fn attraction(day: usize) -> f64 {
    let growth = 0.6 + 0.8 * day as f64 / DAYS as f64;
    // 1 January 2025 is a Wednesday.
    let weekend = if matches!((day + 2) % 7, 5 | 6) { 1.35 } else { 1.0 };
    let season = match day {
        181..=242 => 0.8,
        319..=333 => 1.7,
        334..=355 => 1.9,
        356..=358 => 0.5,
        _ => 1.0,
    };
    growth * weekend * season
}

/// Writes the year 2025 of the shop as NDJSON and returns the number of lines.
pub(crate) fn write_year(out: &mut impl Write) -> io::Result<u64> {
    let first: Timestamp = "2025-01-01T00:00:00Z".parse().expect("invariant: the first instant of 2025 is well formed");
    let instant = |second: f64| (first + SignedDuration::from_millis((second * 1000.0) as i64)).to_string();
    let year_seconds = DAYS as f64 * SECONDS_A_DAY;
    let days: Vec<f64> = (0..DAYS).map(attraction).collect();
    let mut dice = Dice::seeded(SEED);
    let mut lines = Vec::new();
    let mut devices_of_customers = Vec::new();
    for number in 1..=VISITORS {
        let mut day = dice.weighted(&days) as f64;
        let mut person = Person::new(number, dice.apart());
        let mut second = day * SECONDS_A_DAY + person.second_of_day();
        loop {
            person.visit(Visit { second, year_seconds, instant: &instant, lines: &mut lines });
            let Some(wait) = person.next_visit_in_days() else { break };
            day = (second / SECONDS_A_DAY + wait).floor();
            second = (day * SECONDS_A_DAY + person.second_of_day()).max(second + 3600.0);
            if second >= year_seconds {
                break;
            }
        }
        if person.has_signed_up() {
            devices_of_customers.push((person.device().to_owned(), person.user_id(), second));
        }
    }
    for pair in devices_of_customers.chunks(devices_of_customers.len() / BORROWED_DEVICES) {
        if let [(device, _, here), .., (_, guest, there)] = pair {
            let value = json!({"type": "identify", "anonymous_id": device, "user_id": guest});
            lines.push(Line { arrives: here.max(*there) + 3600.0, value });
        }
    }
    lines.sort_by(|a, b| a.arrives.total_cmp(&b.arrives));
    for line in &lines {
        serde_json::to_writer(&mut *out, &line.value)?;
        out.write_all(b"\n")?;
    }
    Ok(lines.len() as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use serde_json::Value;

    use super::*;

    fn year() -> Vec<Value> {
        let mut bytes = Vec::new();
        write_year(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn the_year_is_the_same_each_time() {
        let (mut one, mut two) = (Vec::new(), Vec::new());
        write_year(&mut one).unwrap();
        write_year(&mut two).unwrap();
        assert_eq!(one, two);
    }

    #[test]
    fn the_year_is_that_of_a_small_shop() {
        let lines = year();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for line in &lines {
            let name = line["event"].as_str().or(line["type"].as_str()).unwrap();
            *counts.entry(name).or_default() += 1;
        }
        let total: usize = counts.values().sum();
        assert!((50_000..75_000).contains(&total), "{total} lines: {counts:?}");
        let order = ["view", "visit", "cart", "checkout", "purchase", "refund"].map(|name| counts[name]);
        assert!(order.is_sorted_by(|a, b| a > b), "{counts:?}");
        assert!(counts["identify"] >= counts["signup"], "{counts:?}");
    }

    #[test]
    fn events_lie_within_the_year_and_some_are_sent_twice() {
        let lines = year();
        let mut ids = HashSet::new();
        let mut again = 0;
        for line in lines.iter().filter(|line| line["event"].is_string()) {
            let at = line["timestamp"].as_str().unwrap();
            assert!(at.starts_with("2025-"), "{at}");
            again += usize::from(!ids.insert(line["message_id"].as_str().unwrap()));
        }
        assert!((50..500).contains(&again), "{again} lines are sent twice");
    }
}
