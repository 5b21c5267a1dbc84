//! The answer of a question about sessions.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Counted, Session};
use crate::calendar::serialize_instant;
use crate::funnel::Seconds;
use crate::spec::{Header, Listing, Touches, human_seconds, percent};

/// One session.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionRow {
    /// The name of whose it is: of the person, or the distinct id.
    pub person: String,
    /// The session that the sender gave; `None` for one that was cut.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub session: Option<String>,
    /// When the first event happened, in microseconds UTC; serialises as an instant.
    #[serde(rename = "from", serialize_with = "serialize_instant")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub from_us: i64,
    /// When the last one did.
    #[serde(rename = "to", serialize_with = "serialize_instant")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub to_us: i64,
    /// From the first event to the last.
    pub seconds: f64,
    /// How many events it has.
    pub events: u64,
    /// The page of the first event that has one, or the name of the first event where none has.
    pub entry: String,
    /// The page of the last event that has one, or the name of the last event where none has.
    pub exit: String,
    /// Where it came from, where that was asked.
    #[serde(flatten)]
    #[cfg_attr(feature = "openapi", schema(value_type = Touches))]
    pub touches: Option<Touches>,
}

impl SessionRow {
    /// Of a session whose texts are known.
    #[expect(clippy::cast_precision_loss, reason = "seconds are reported as floats")]
    pub fn new(of: &Session, person: String, session: Option<String>, entry: String, exit: String) -> Self {
        let seconds = (of.to_us - of.from_us) as f64 / 1e6;
        let (from_us, to_us, events) = (of.from_us, of.to_us, of.events);
        Self { person, session, from_us, to_us, seconds, events, entry, exit, touches: None }
    }
}

/// The answer of [`Sessions`](super::Sessions); prints as a table and serialises as `docs/semantics.md`, section 6, says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionsResult {
    /// What every answer says first.
    #[serde(flatten)]
    pub header: Header,
    /// How many sessions begin in the range.
    pub count: u64,
    /// The share of them that is of one event; `None` where there is none.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub bounce_rate: Option<f64>,
    /// How long they took; `None` where there is none.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub seconds: Option<Seconds>,
    /// The labels of the buckets, where an interval was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub buckets: Option<Vec<String>>,
    /// How many begin in each bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub counts: Option<Vec<u64>>,
    /// The sessions, in the order of their first events, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub rows: Option<Vec<SessionRow>>,
    /// The properties that touches have.
    #[serde(skip)]
    pub touch: Vec<String>,
}

impl SessionsResult {
    /// Of what was counted, with the labels of the buckets and the rows where those were asked for.
    #[expect(clippy::cast_precision_loss, reason = "a share is a float")]
    pub fn new(header: Header, counted: Counted, buckets: Option<Vec<String>>, rows: Option<Vec<SessionRow>>) -> Self {
        let Counted { count, bounces, seconds, counts, .. } = counted;
        let bounce_rate = (count > 0).then(|| bounces as f64 / count as f64);
        Self {
            header,
            count,
            bounce_rate,
            seconds,
            counts: buckets.is_some().then_some(counts),
            buckets,
            rows,
            touch: Vec::new(),
        }
    }

    /// Flat rows: the sessions where they were asked for, else a row for each bucket where there are some, else one.
    pub fn to_table(&self) -> (Vec<String>, Vec<Vec<Value>>) {
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        if let Some(rows) = &self.rows {
            let names = ["person", "session", "from", "to", "seconds", "events", "entry", "exit"];
            let none = Touches::default();
            let row = |row: &SessionRow| {
                let told = serde_json::to_value(row).unwrap_or_default();
                let touches = row.touches.as_ref().unwrap_or(&none).cells(&self.touch);
                names.iter().map(|name| told[*name].clone()).chain(touches).collect()
            };
            let headings = named(&names).into_iter().chain(Touches::headings(&self.touch)).collect();
            return (headings, rows.iter().map(row).collect());
        }
        if let (Some(buckets), Some(counts)) = (&self.buckets, &self.counts) {
            let rows = buckets.iter().zip(counts).map(|(bucket, count)| vec![json!(bucket), json!(count)]);
            return (named(&["bucket", "sessions"]), rows.collect());
        }
        let of = |part: fn(&Seconds) -> f64| self.seconds.as_ref().map(part);
        let row = vec![
            json!(self.count),
            json!(self.bounce_rate),
            json!(of(|seconds| seconds.mean)),
            json!(of(|seconds| seconds.median)),
            json!(of(|seconds| seconds.p90)),
        ];
        (named(&["sessions", "bounce_rate", "mean_seconds", "median_seconds", "p90_seconds"]), vec![row])
    }
}

impl fmt::Display for SessionsResult {
    /// A line of what is said of all of them, then the buckets and the sessions where they were asked for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |part: fn(&Seconds) -> f64| human_seconds(self.seconds.as_ref().map(part));
        let mut listing = Listing::new(["sessions", "bounce rate", "mean", "median", "p90"]);
        listing.row(vec![
            self.count.to_string(),
            percent(self.bounce_rate),
            of(|seconds| seconds.mean),
            of(|seconds| seconds.median),
            of(|seconds| seconds.p90),
        ]);
        write!(f, "{listing}")?;
        if let (Some(buckets), Some(counts)) = (&self.buckets, &self.counts) {
            let mut listing = Listing::new(["bucket", "sessions"]);
            for (bucket, count) in buckets.iter().zip(counts) {
                listing.row(vec![bucket.clone(), count.to_string()]);
            }
            write!(f, "\n{listing}")?;
        }
        if let Some(rows) = &self.rows {
            let mut listing = Listing::new(["person", "session", "from", "seconds", "events", "entry", "exit"]);
            for row in rows {
                let session = row.session.clone().unwrap_or_else(|| "-".to_owned());
                let (seconds, events) = (row.seconds.to_string(), row.events.to_string());
                let from = crate::calendar::instant_text(row.from_us);
                listing.row(vec![
                    row.person.clone(),
                    session,
                    from,
                    seconds,
                    events,
                    row.entry.clone(),
                    row.exit.clone(),
                ]);
            }
            write!(f, "\n{listing}")?;
        }
        Ok(())
    }
}
