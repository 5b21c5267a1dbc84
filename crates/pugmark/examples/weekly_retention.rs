//! Who comes back, week by week, with the calendar of a time zone.
//!
//! `cargo run -p pugmark --example weekly_retention`

#![expect(clippy::print_stdout, reason = "an example shows its answers")]

use pugmark::{Event, Pugmark, Retention, Timestamp};

const DAY: i64 = 86_400_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let db = Pugmark::open(dir.path())?;
    db.track_many(six_weeks()?)?;

    let question = Retention::new("signup", "open")
        .weekly()
        .periods(4)
        .time_zone("Europe/Berlin")
        .from("2025-03-03")
        .to("2025-04-14");
    let answer = db.blocking()?.retention(&question)?;
    println!("Of those who signed up in a week, how many opened the app so many weeks later:\n{answer}");
    let first = &answer.groups[0].rows[0];
    assert_eq!((first.size, first.values.as_slice()), (24, [24, 12, 8, 6].map(|units| Some(units.into())).as_slice()));

    db.close()?;
    Ok(())
}

/// In each week 24 people sign up; after n weeks every (n + 1)th of them still opens the app.
fn six_weeks() -> Result<Vec<Event>, Box<dyn std::error::Error>> {
    let start: Timestamp = "2025-03-03T10:00:00Z".parse()?;
    let on_day = |day: i64| Timestamp::from_microsecond(start.as_microsecond() + day * DAY);
    let mut events = Vec::new();
    for week in 0..6 {
        for person in 0..24 {
            let id = format!("user-{week}-{person}");
            events.push(Event::new("signup", &id).at(on_day(week * 7 + person % 7)));
            for later in (1..6 - week).filter(|later| person % (later + 1) == 0) {
                events.push(Event::new("open", &id).at(on_day((week + later) * 7 + person % 5)));
            }
        }
    }
    Ok(events)
}
