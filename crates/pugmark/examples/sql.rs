//! SQL over events and people.
//!
//! `cargo run -p pugmark --example sql`

#![expect(clippy::print_stdout, reason = "an example shows its answers")]

use pugmark::arrow::array::AsArray;
use pugmark::arrow::datatypes::{Float64Type, Int64Type};
use pugmark::arrow::util::pretty::pretty_format_batches;
use pugmark::{Event, Pugmark};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let db = Pugmark::open(dir.path())?;
    db.track_many(vec![
        Event::new("purchase", "ann")
            .property("amount", 19.9)
            .property("page.url", "/boots")
            .property("$browser", "Firefox"),
        Event::new("purchase", "bob")
            .property("amount", 5.1)
            .property("page.url", "/maps")
            .property("$browser", "Chrome"),
        Event::new("purchase", "ann-phone")
            .property("amount", 30.0)
            .property("page.url", "/boots")
            .property("$browser", "Safari"),
        Event::new("view", "bob").property("page.url", "/boots"),
    ])?;
    db.alias("ann-phone", "ann")?;

    let by_page = db
        .sql(
            "SELECT page.url AS page, count(*) AS purchases, count(DISTINCT person) AS people, sum(amount) AS amount \
             FROM events WHERE event = 'purchase' GROUP BY page.url ORDER BY amount DESC",
        )
        .await?;
    println!("{}", pretty_format_batches(&by_page)?);
    assert_eq!(by_page[0].column(1).as_primitive::<Int64Type>().value(0), 2);
    assert_eq!(by_page[0].column(2).as_primitive::<Int64Type>().value(0), 1, "ann and her phone are one person");
    assert_eq!(by_page[0].column(3).as_primitive::<Float64Type>().value(0), 49.9);

    let people = db.sql("SELECT name, events, distinct_ids FROM persons ORDER BY name").await?;
    println!("{}", pretty_format_batches(&people)?);

    // A name that is not there is an error that knows better.
    let error = db.sql("SELECT ammount FROM events").await.expect_err("there is no such column");
    println!("{error}");

    db.close()?;
    Ok(())
}
