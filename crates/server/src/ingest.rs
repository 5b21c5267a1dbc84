//! From entries to what became of them.

use pugmark::{AppendOptions, Entry, Error, Event, Outcome, Rejection, Sampling, WhenFull, enrich_event};
use serde::Serialize;
use tracing::Instrument;
use utoipa::ToSchema;

use crate::app::App;
use crate::enrich::Sender;
use crate::metrics::OfOutcome;
use crate::problem::{Answer, Problem};
use crate::project::Project;
use crate::trace;

/// What became of an event whose distinct id is not among those that are kept.
const SAMPLED: &str = "sampled";

/// What became of one event or operation, at the same place in the list as in the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Outcome)]
pub struct Told {
    /// `accepted`, `duplicate`, `conflict`, `rejected`, `already`, `refused`, or `sampled` of an event that was left out.
    pub outcome: &'static str,
    /// Under which sequence it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sequence: Option<u64>,
    /// The field at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub field: Option<String>,
    /// Why it was not stored, or changed nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<String>,
}

impl Told {
    fn new(outcome: &'static str) -> Self {
        Self { outcome, sequence: None, field: None, reason: None }
    }

    /// Whether it is in the store now.
    pub(crate) fn is_stored(&self) -> bool {
        !self.is_at_fault() && !self.is_sampled()
    }

    /// Whether it was left out, since its distinct id is not among those that are kept.
    pub(crate) fn is_sampled(&self) -> bool {
        self.outcome == SAMPLED
    }

    /// Whether it could not be stored.
    pub(crate) fn is_at_fault(&self) -> bool {
        matches!(self.outcome, "conflict" | "rejected")
    }
}

impl From<Rejection> for Told {
    fn from(rejection: Rejection) -> Self {
        let field = Some(rejection.field).filter(|field| !field.is_empty());
        Self { field, reason: Some(rejection.reason), ..Self::new("rejected") }
    }
}

impl From<Outcome> for Told {
    fn from(outcome: Outcome) -> Self {
        let at =
            |outcome, sequence: pugmark::Sequence| Self { sequence: Some(sequence.number()), ..Self::new(outcome) };
        match outcome {
            Outcome::Accepted(sequence) => at("accepted", sequence),
            Outcome::Duplicate => Self::new("duplicate"),
            Outcome::Conflict(kept) => Self {
                sequence: kept.map(pugmark::Sequence::number),
                field: Some("message_id".to_owned()),
                reason: Some("it is stored with other content, and the first stands".to_owned()),
                ..Self::new("conflict")
            },
            Outcome::Rejected(rejection) => rejection.into(),
            Outcome::Already(sequence) => at("already", sequence),
            Outcome::Refused(sequence, refusal) => {
                Self { reason: Some(refusal.to_string()), ..at("refused", sequence) }
            }
            other => Self { reason: Some(other.to_string()), ..Self::new("rejected") },
        }
    }
}

/// Checks how many events or messages a body has, before anything is made of them.
pub(crate) fn check_count(app: &App, count: usize) -> Answer<()> {
    let most = app.config.batch_max_events;
    if count > most {
        return Err(Problem::too_large(format!("{count} events in a body, at most {most}: send them in parts")));
    }
    Ok(())
}

/// Stores what is to be stored, and tells of each what became of it once it is on disk.
pub(crate) async fn store(
    app: &App,
    project: &Project,
    sender: &Sender,
    entries: impl ExactSizeIterator<Item = Result<Entry, Rejection>>,
) -> Answer<Vec<Told>> {
    let begun = tokio::time::Instant::now();
    let count = entries.len();
    let mut told = Vec::with_capacity(count);
    let mut submitted = Vec::with_capacity(count);
    for entry in entries {
        let entry = match entry {
            Ok(Entry::Event(event)) => enriched(project, sender, event)?.map(Entry::from),
            // Without enrichment a context is all that may have an address in it.
            Ok(Entry::Packed(event)) if project.enriches || event.view().context.is_some() => {
                enriched(project, sender, event.view().to_event())?.map(Entry::from)
            }
            other => other,
        };
        match entry {
            Ok(entry) if is_left_out(project.sampling, &entry) => told.push(Some(Told::new(SAMPLED))),
            Ok(entry) => {
                submitted.push(entry);
                told.push(None);
            }
            Err(rejection) => told.push(Some(Told::from(rejection))),
        }
    }
    let outcomes = if submitted.is_empty() { Vec::new() } else { append(app, project, submitted).await? };
    let mut outcomes = outcomes.into_iter();
    let mut all = Vec::with_capacity(count);
    for one in told {
        match one.or_else(|| outcomes.next().map(Told::from)) {
            Some(one) => all.push(one),
            None => return Err(Problem::internal("the store told of fewer entries than it was given")),
        }
    }
    for outcome in ["accepted", "duplicate", "conflict", "rejected", "already", "refused", SAMPLED] {
        let times = all.iter().filter(|told| told.outcome == outcome).count() as u64;
        if times > 0 {
            app.metrics.events.get_or_create(&OfOutcome { outcome }).inc_by(times);
        }
    }
    app.metrics.batch_events.observe(count as f64);
    app.metrics.commit_seconds.observe(begun.elapsed().as_secs_f64());
    Ok(all)
}

/// Whether an event is of a distinct id that is not kept. Links and traits are kept of everybody.
fn is_left_out(sampling: Sampling, entry: &Entry) -> bool {
    match entry {
        _ if sampling == Sampling::ALL => false,
        Entry::Event(event) => !sampling.keeps(&event.distinct_id),
        Entry::Packed(event) => !sampling.keeps(event.view().distinct_id),
        Entry::Operation(_) => false,
    }
}

/// What the sender and the request say, added to an event. Without enrichment nothing of the request is kept.
fn enriched(project: &Project, sender: &Sender, mut event: Event) -> Answer<Result<Event, Rejection>> {
    if project.enriches {
        sender.describe(&mut event);
    }
    let event = enrich_event(event, &project.enricher, project.db.now())?;
    if event.distinct_id.trim().is_empty() {
        return Ok(Err(Rejection::new("distinct_id", "missing or blank")));
    }
    Ok(Ok(event))
}

async fn append(app: &App, project: &Project, entries: Vec<Entry>) -> Answer<Vec<Outcome>> {
    let options = AppendOptions { when_full: WhenFull::Refuse, ..AppendOptions::default() };
    let span = trace::of_commit(entries.len());
    let answered = async { Ok::<_, Error>(project.db.submit(entries, &options)?.await?) }.instrument(span).await;
    answered.map_err(|error| {
        app.projects.heed(project, &error);
        Problem::from(error)
    })
}
