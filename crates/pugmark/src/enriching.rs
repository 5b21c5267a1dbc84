//! Events with what their context says of their sender.

use pugmark_enrich::{Context, Enricher, KeepAddress};
use pugmark_query::{Error, ErrorKind, Result};
use pugmark_store::{Event, Timestamp};
use serde_json::Value;

/// Adds to an event what its context says of its sender, as the enricher is set up, before it is tracked.
///
/// Properties that the sender gave stay as they are. The address (`ip`) is taken out of the context, unless all of it is to be kept. Where visitors are wanted, an event without a distinct id gets that of its
/// visitor. The time is corrected by `sentAt` of the context where clocks are to be.
///
/// # Errors
/// [`ErrorKind::Io`] where the salt of visitors cannot be read, destroyed or stored. Nothing that a sender says is an error.
///
/// # Example
/// ```
/// use pugmark::enrich::{Enricher, Visitors, device::Devices};
/// use pugmark::{Event, Pugmark, Timestamp, enrich_event};
/// # let dir = tempfile::tempdir()?;
/// let db = Pugmark::open(dir.path())?;
/// let enricher = Enricher::new().devices(Devices::new()).sources(["shop.example"]).visitors(Visitors::open(db.dir())?);
///
/// let mut event = Event::new("view", "");
/// event.context = Some(r#"{"userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "ip": "203.0.113.7",
///     "page": {"url": "https://shop.example/tea", "referrer": "https://www.google.de/"}}"#.to_owned());
/// let event = enrich_event(event, &enricher, "2025-01-01T12:00:00Z".parse()?)?;
/// assert_eq!(event.distinct_id.len(), 32);
/// assert!(!event.context.clone().unwrap_or_default().contains("203.0.113.7"));
/// db.track(event)?;
/// let rows = db.blocking()?.sql("SELECT browser, traffic_class FROM events")?;
/// let rows = pugmark::arrow::util::pretty::pretty_format_batches(&rows)?.to_string();
/// assert!(rows.contains("| Firefox | organic       |"), "{rows}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn enrich_event(mut event: Event, enricher: &Enricher, received_at: Timestamp) -> Result<Event> {
    let mut json: Value = event.context.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let mut context = Context::of_json(&json);
    let sent_at = json.get("sentAt").and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok());
    context.sent_at = sent_at.map(Timestamp::as_microsecond);
    let given = event.timestamp.map(Timestamp::as_microsecond);
    let enriched = enricher.apply(&context, given, received_at.as_microsecond());
    let enriched = enriched.map_err(|error| Error::new(ErrorKind::Io, format!("the salt of visitors: {error}")))?;
    for (name, value) in enriched.properties {
        if event.properties.iter().all(|(own, _)| own != name) {
            event.properties.push((name.to_owned(), value.into()));
        }
    }
    event.timestamp = Some(Timestamp::from_microsecond(enriched.corrected.timestamp));
    if let Some(visitor) = enriched.visitor.filter(|_| event.distinct_id.trim().is_empty()) {
        event.distinct_id = visitor;
    }
    if enricher.keeps_address() != KeepAddress::Whole
        && let Some(fields) = json.as_object_mut()
        && fields.remove("ip").is_some()
    {
        event.context = Some(json.to_string());
    }
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_sender_gave_stays_and_an_address_does_not() {
        let enricher = Enricher::new().sources(["own.example"]);
        let made = |context: &str, enricher: &Enricher| {
            let mut event = Event::new("view", "ann").property("traffic_class", "mine");
            event.context = Some(context.to_owned());
            enrich_event(event, enricher, Timestamp::from_microsecond(7)).unwrap()
        };
        let event = made(r#"{"ip": "203.0.113.7", "page": {"referrer": "https://t.co/x"}}"#, &enricher);
        let told: Vec<String> = event.properties.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(told, ["traffic_class", "traffic_source", "referring_domain"]);
        assert_eq!(event.context.as_deref(), Some(r#"{"page":{"referrer":"https://t.co/x"}}"#));
        assert_eq!((event.timestamp, event.distinct_id.as_str()), (Some(Timestamp::from_microsecond(7)), "ann"));
        let keeps = Enricher::new().keep_address(KeepAddress::Whole);
        let event = made(r#"{"ip": "203.0.113.7"}"#, &keeps);
        assert_eq!(event.context.as_deref(), Some(r#"{"ip": "203.0.113.7"}"#));
        // What is no JSON stays what it is: it says nothing.
        assert_eq!(made("{not", &enricher).context.as_deref(), Some("{not"));
    }
}
