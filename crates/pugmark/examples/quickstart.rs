//! Stores a few events, says who is who, and asks.
//!
//! `cargo run -p pugmark --example quickstart`

#![expect(clippy::print_stdout, reason = "an example shows its answers")]

use pugmark::{Event, Outcome, Pugmark, Timestamp, Trend};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let db = Pugmark::open(dir.path())?;

    let at = |text: &str| text.parse::<Timestamp>();
    db.track(Event::new("view", "anon-7").at(at("2025-03-01T09:00:00Z")?).property("country", "DE"))?;
    db.track(Event::new("view", "anon-8").at(at("2025-03-02T18:30:00Z")?).property("country", "FR"))?;

    // Ann logs in: what anon-7 did before is hers from now on.
    db.identify("anon-7", "ann")?;
    let purchase = || -> Result<Event, Box<dyn std::error::Error>> {
        let event = Event::new("purchase", "ann").at(at("2025-03-02T10:00:00Z")?);
        Ok(event.property("amount", 19.9).property("country", "DE").message_id("order-17"))
    };
    println!("sent once:  {}", db.track(purchase()?)?);
    println!("sent again: {}", db.track(purchase()?)?);
    assert_eq!(db.track(purchase()?)?, Outcome::Duplicate);

    let people = db.blocking()?.trend(&Trend::of("*").uniques().from("2025-03-01").to("2025-03-03"))?;
    println!("\nDifferent people a day:\n{people}");
    assert_eq!(people.series[0].values, [1, 2]);
    assert_eq!(people.series[0].total, 2);

    db.close()?;
    Ok(())
}
