//! Events with what their context says of their sender.

use std::sync::Arc;

use pugmark_enrich::{Context, Correction, Enricher, KeepAddress};
use pugmark_query::files::Prepare;
use pugmark_query::{Error, ErrorKind, Result};
use pugmark_store::{Event, Timestamp};
use serde_json::Value;

use crate::Pugmark;

/// Headers in which proxies name the address that an event came from.
const ADDRESS_HEADERS: [&str; 6] =
    ["x-forwarded-for", "forwarded", "x-real-ip", "x-client-ip", "cf-connecting-ip", "true-client-ip"];

/// Adds to an event what its context says of its sender, as the enricher is set up, before it is tracked.
///
/// Properties that the sender gave stay as they are. The address (`ip`, and the headers of proxies that name it) is taken out of the context, unless all of it is to be kept; a context that is no JSON is then taken away whole. Where visitors
/// are wanted, an event without a distinct id gets that of its visitor. The time is corrected by `sentAt` of the context where clocks are to be.
///
/// A message id tells a retry from another event by the time and the distinct id, too: where senders retry, a corrected time, and the id of a visitor after midnight, may be another one, and the retry a conflict that is kept aside. Whoever needs visitors or the clock
/// and has senders that retry enriches once, before what may be sent again.
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
/// let now: Timestamp = "2025-01-01T12:00:00Z".parse()?;
/// let visitors = Visitors::open(db.dir(), now.as_microsecond())?;
/// let enricher = Enricher::new().devices(Devices::new()).sources(["shop.example"]).visitors(visitors);
///
/// let mut event = Event::new("view", "");
/// event.context = Some(r#"{"userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "ip": "203.0.113.7",
///     "page": {"url": "https://shop.example/tea", "referrer": "https://www.google.de/"}}"#.to_owned());
/// let event = enrich_event(event, &enricher, now)?;
/// assert_eq!(event.distinct_id.len(), 32);
/// assert!(!event.context.clone().unwrap_or_default().contains("203.0.113.7"));
/// db.track(event)?;
/// let rows = db.blocking()?.sql("SELECT browser, traffic_class FROM events")?;
/// let rows = pugmark::arrow::util::pretty::pretty_format_batches(&rows)?.to_string();
/// assert!(rows.contains("| Firefox | organic       |"), "{rows}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn enrich_event(mut event: Event, enricher: &Enricher, received_at: Timestamp) -> Result<Event> {
    let parsed = event.context.as_deref().map(serde_json::from_str::<Value>);
    let is_readable = !matches!(parsed, Some(Err(_)));
    let mut json = parsed.and_then(std::result::Result::ok).unwrap_or_default();
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
    if !matches!(enriched.corrected.correction, Correction::None | Correction::Missing) {
        event.timestamp = Some(Timestamp::from_microsecond(enriched.corrected.timestamp));
    }
    if let Some(visitor) = enriched.visitor.filter(|_| event.distinct_id.trim().is_empty()) {
        event.distinct_id = visitor;
    }
    if enricher.keeps_address() != KeepAddress::Whole {
        if !is_readable {
            event.context = None;
        } else if takes_address(&mut json) {
            event.context = Some(json.to_string());
        }
    }
    Ok(event)
}

impl Pugmark {
    /// Enriches every event of an [import](crate::Import) as [`enrich_event`] does, with the time of the import as that of receipt; a row without a distinct id is rejected all the same.
    ///
    /// ```
    /// use pugmark::enrich::{Enricher, device::Devices};
    /// use pugmark::{Import, Pugmark, Source};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// let line = r#"{"event":"view","distinct_id":"ann","timestamp":"2025-01-01","context":{"userAgent":"curl/8.0"}}"#;
    /// let import = Import { prepare: Some(db.enriching(Enricher::new().devices(Devices::new()))), ..Import::default() };
    /// db.import(&import, Source::from_reader("a.ndjson", line.as_bytes())?, |_| {}, |_| {})?;
    /// let rows = pugmark::arrow::util::pretty::pretty_format_batches(&db.blocking()?.sql("SELECT device_type FROM events")?)?;
    /// assert!(rows.to_string().contains("| bot"), "{rows}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn enriching(&self, enricher: Enricher) -> Prepare {
        // The store itself would then not be closed as long as the import is there.
        let clock = Arc::clone(self.store.clock());
        Prepare::new(move |event| enrich_event(event, &enricher, clock.now()))
    }
}

/// Takes everything out of a context that names the address; whether there was anything.
fn takes_address(context: &mut Value) -> bool {
    let Some(fields) = context.as_object_mut() else { return false };
    let mut had = fields.remove("ip").is_some();
    if let Some(headers) = fields.get_mut("headers").and_then(Value::as_object_mut) {
        let before = headers.len();
        headers.retain(|name, _| !ADDRESS_HEADERS.iter().any(|own| name.eq_ignore_ascii_case(own)));
        had |= headers.len() < before;
    }
    had
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
        // A time that nobody sent is not made up: sent again, it would be another.
        assert_eq!((event.timestamp, event.distinct_id.as_str()), (None, "ann"));
        let event = made(r#"{"headers": {"X-Forwarded-For": "203.0.113.7", "host": "own.example"}}"#, &enricher);
        assert_eq!(event.context.as_deref(), Some(r#"{"headers":{"host":"own.example"}}"#));
        let keeps = Enricher::new().keep_address(KeepAddress::Whole);
        let event = made(r#"{"ip": "203.0.113.7"}"#, &keeps);
        assert_eq!(event.context.as_deref(), Some(r#"{"ip": "203.0.113.7"}"#));
        // What cannot be read may have an address in it.
        let odd = r#"{"ip": "203.0.113.7", "x": 1e999}"#;
        assert_eq!((made(odd, &enricher).context, made(odd, &keeps).context.as_deref()), (None, Some(odd)));
    }
}
