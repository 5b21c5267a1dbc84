//! A funnel across a login: the first step is done by an anonymous id, the last by a user.
//!
//! `cargo run -p pugmark --example signup_funnel`

#![expect(clippy::print_stdout, reason = "an example shows its answers")]

use pugmark::{Entry, Event, Funnel, Operation, Pugmark, Timestamp, days};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let db = Pugmark::open(dir.path())?;
    db.append(week()?)?;

    let funnel =
        Funnel::steps(["landing", "signup", "first_project"]).window(days(7)).from("2025-03-03").to("2025-03-10");
    let all = db.funnel(&funnel).await?;
    println!("From the landing page to a first project, within a week:\n{all}");
    let counts: Vec<u64> = all.groups[0].steps.iter().map(|step| step.count).collect();
    assert_eq!(counts, [40, 20, 10]);

    let by_campaign = db.funnel(&funnel.breakdown("campaign")).await?;
    println!("The same by campaign, as it was at the landing page:\n{by_campaign}");
    assert_eq!(by_campaign.groups.len(), 2);

    db.close()?;
    Ok(())
}

/// Forty visitors: half of them sign up, half of those begin a project.
fn week() -> Result<Vec<Entry>, Box<dyn std::error::Error>> {
    let monday: Timestamp = "2025-03-03T08:00:00Z".parse()?;
    let minutes_later = |minutes: i64| Timestamp::from_microsecond(monday.as_microsecond() + minutes * 60_000_000);
    let mut entries: Vec<Entry> = Vec::new();
    for visitor in 0..40 {
        let (anonymous, user) = (format!("anon-{visitor}"), format!("user-{visitor}"));
        let start = visitor * 97;
        let campaign = if visitor % 3 == 0 { "spring" } else { "search" };
        entries.push(Event::new("landing", &anonymous).at(minutes_later(start)).property("campaign", campaign).into());
        if visitor % 2 == 0 {
            entries.push(Operation::identify(anonymous, user.clone()).into());
            entries.push(Event::new("signup", &user).at(minutes_later(start + 5)).into());
        }
        if visitor % 4 == 0 {
            entries.push(Event::new("first_project", &user).at(minutes_later(start + 60 * 26)).into());
        }
    }
    Ok(entries)
}
