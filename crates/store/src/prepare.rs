//! From entries to a batch: validation, exactly-once, subjects, verdicts.

use std::borrow::Cow;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::error::Result;
use crate::event::{Entry, Event, Operation};
use crate::fold::{Fold, Proposal};
use crate::id::{Sequence, SubjectId};
use crate::outcome::{Outcome, Rejection};
use crate::record::{EventRecord, Link, MessageId, NewSubject, Payload, Record, Verdict};
use crate::runs::{Fingerprint, MessageIds, content_hash};
use crate::subjects::Subjects;
use crate::time::Timestamp;

/// One entry that passed validation, with what must outlive the batch made of it.
pub(crate) struct Draft<'a> {
    pub(crate) index: usize,
    kind: DraftKind<'a>,
}

enum DraftKind<'a> {
    Event { event: &'a Event, message_id: DraftId<'a>, fingerprint: Fingerprint },
    Operation(&'a Operation),
}

enum DraftId<'a> {
    Sent(Cow<'a, str>),
    Made([u8; 16]),
}

/// Validates entries; the outcome of a rejected one is set, the others are drafted. `now` makes ids and bounds timestamps.
pub(crate) fn draft<'a>(
    entries: impl Iterator<Item = &'a Entry>,
    outcomes: &mut Vec<Outcome>,
    now: Timestamp,
    latest: Timestamp,
) -> Vec<Draft<'a>> {
    let mut drafts = Vec::with_capacity(entries.size_hint().0);
    for entry in entries {
        let index = outcomes.len();
        let valid = match entry {
            Entry::Event(event) => event.validate(latest),
            Entry::Operation(operation) => operation.validate(),
        };
        if let Err(rejection) = valid {
            outcomes.push(Outcome::Rejected(rejection));
            continue;
        }
        // A place to fill: `build` gives every draft an outcome of its own.
        outcomes.push(Outcome::Duplicate);
        let kind = match entry {
            Entry::Operation(operation) => DraftKind::Operation(operation),
            Entry::Event(event) => {
                let message_id = match (&event.message_id, event.keyed_message_id()) {
                    (Some(id), _) => DraftId::Sent(Cow::Borrowed(id)),
                    (None, Some(id)) => DraftId::Sent(Cow::Owned(id)),
                    (None, None) => DraftId::Made(made_id(now)),
                };
                let fingerprint = match &message_id {
                    DraftId::Sent(id) => Fingerprint::of(id),
                    DraftId::Made(bytes) => {
                        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
                        Fingerprint::of(uuid::Uuid::from_bytes(*bytes).hyphenated().encode_lower(&mut text))
                    }
                };
                DraftKind::Event { event, message_id, fingerprint }
            }
        };
        drafts.push(Draft { index, kind });
    }
    drafts
}

/// A UUIDv7 of `now`.
pub(crate) fn made_id(now: Timestamp) -> [u8; 16] {
    let microseconds = u64::try_from(now.as_microsecond()).unwrap_or(0);
    let nanoseconds = u32::try_from(microseconds % 1_000_000 * 1_000).unwrap_or(0);
    let at = uuid::Timestamp::from_unix(uuid::NoContext, microseconds / 1_000_000, nanoseconds);
    uuid::Uuid::new_v7(at).into_bytes()
}

/// What a batch is built against.
pub(crate) struct Context<'s> {
    pub(crate) subjects: &'s Subjects,
    pub(crate) ids: &'s mut MessageIds,
    pub(crate) folds: &'s mut [Box<dyn Fold>],
    pub(crate) first_sequence: Sequence,
    pub(crate) received_at: Timestamp,
}

/// Builds the batch of `drafts` and sets their outcomes. Ids and subjects are taken as the batch goes: the caller applies and writes
/// it, or gives up the store.
pub(crate) fn build<'a>(
    drafts: &'a [Draft<'a>],
    import: Option<[u8; 16]>,
    context: &mut Context<'_>,
    outcomes: &mut [Outcome],
) -> Result<Payload<'a>> {
    let fingerprints: Vec<Fingerprint> = drafts
        .iter()
        .filter_map(|draft| match &draft.kind {
            DraftKind::Event { fingerprint, .. } => Some(*fingerprint),
            DraftKind::Operation(_) => None,
        })
        .collect();
    let mut stored = Vec::new();
    context.ids.lookup_many(&fingerprints, &mut stored)?;
    let mut stored = stored.into_iter();
    // Read together, ids that are not in the cache are found by block; the lookups one by one then hit it.
    let senders: Vec<&str> = drafts
        .iter()
        .filter_map(|draft| match &draft.kind {
            DraftKind::Event { event, .. } => Some(event.distinct_id.as_str()),
            DraftKind::Operation(_) => None,
        })
        .collect();
    context.subjects.resolve_many(&senders)?;

    let base_time = drafts.iter().find_map(|draft| match &draft.kind {
        DraftKind::Event { event, .. } => Some(event.timestamp.unwrap_or(context.received_at)),
        DraftKind::Operation(_) => None,
    });
    let mut batch = Batch {
        payload: Payload {
            received_at: context.received_at.as_microsecond(),
            import,
            base_time: base_time.unwrap_or(context.received_at).as_microsecond(),
            names: Vec::new(),
            subjects: Vec::new(),
            records: Vec::with_capacity(drafts.len()),
        },
        names: HashMap::with_hasher(FixedState::default()),
        expected: Vec::new(),
    };
    for draft in drafts {
        let sequence = context.first_sequence.plus(batch.payload.records.len() as u64);
        let outcome = match &draft.kind {
            DraftKind::Event { event, message_id, fingerprint } => {
                let before = stored.next().flatten();
                batch.event(context, event, message_id, *fingerprint, before, sequence)?
            }
            DraftKind::Operation(operation) => batch.operation(context, operation, sequence)?,
        };
        if let Some(slot) = outcomes.get_mut(draft.index) {
            *slot = outcome;
        }
    }
    Ok(batch.payload)
}

struct Batch<'a> {
    payload: Payload<'a>,
    names: HashMap<&'a str, u32, FixedState>,
    /// The name at each property position of the event before: events of one sender mostly repeat it.
    expected: Vec<u32>,
}

impl<'a> Batch<'a> {
    fn name(&mut self, name: &'a str) -> u32 {
        let names = &mut self.payload.names;
        *self.names.entry(name).or_insert_with(|| {
            names.push(name);
            u32::try_from(names.len() - 1).expect("a batch holds at most 65,536 records of 1,025 names")
        })
    }

    fn property_name(&mut self, position: usize, name: &'a str) -> u32 {
        if let Some(place) = self.expected.get(position)
            && self.payload.names.get(*place as usize) == Some(&name)
        {
            return *place;
        }
        let place = self.name(name);
        match self.expected.get_mut(position) {
            Some(expected) => *expected = place,
            None => self.expected.push(place),
        }
        place
    }

    fn subject(&mut self, subjects: &Subjects, distinct_id: &'a str) -> Result<SubjectId> {
        let (subject, new) = subjects.allocate(distinct_id)?;
        if new {
            self.payload.subjects.push(NewSubject { subject: subject.number(), distinct_id: Some(distinct_id) });
        }
        Ok(subject)
    }

    fn event(
        &mut self,
        context: &mut Context<'_>,
        event: &'a Event,
        message_id: &'a DraftId<'a>,
        fingerprint: Fingerprint,
        before: Option<u64>,
        sequence: Sequence,
    ) -> Result<Outcome> {
        let hash_of = |subject| {
            content_hash(
                &event.name,
                subject,
                event.timestamp,
                event.properties.iter().map(|(name, value)| (name.as_str(), value.borrowed())),
            )
        };
        // An earlier entry of this batch may have brought the id: that is not on disk yet, but in memory.
        if let Some(before) = before.or_else(|| context.ids.recent(fingerprint)) {
            let same = match context.subjects.resolve(&event.distinct_id)? {
                Some(subject) => hash_of(subject) == before,
                None => false,
            };
            return Ok(if same { Outcome::Duplicate } else { Outcome::Conflict });
        }
        let subject = self.subject(context.subjects, &event.distinct_id)?;
        context.ids.insert(fingerprint, hash_of(subject));
        let name = self.name(&event.name);
        let properties = event
            .properties
            .iter()
            .enumerate()
            .map(|(at, (name, value))| (self.property_name(at, name), value.borrowed()))
            .collect();
        self.payload.records.push(Record::Event(EventRecord {
            name,
            subject: subject.number(),
            time: event.timestamp.unwrap_or(context.received_at).as_microsecond() - self.payload.base_time,
            time_sent: event.timestamp.is_some(),
            message_id: match message_id {
                DraftId::Sent(id) => MessageId::from_text(id),
                DraftId::Made(bytes) => MessageId::Uuid(*bytes),
            },
            session_id: event.session_id.as_deref(),
            properties,
            context: event.context.as_deref(),
        }));
        Ok(Outcome::Accepted(sequence))
    }

    fn operation(
        &mut self,
        context: &mut Context<'_>,
        operation: &'a Operation,
        sequence: Sequence,
    ) -> Result<Outcome> {
        // Before a subject is numbered: a number that is in no frame would be a gap.
        if !context.folds.iter().any(|fold| fold.decides()) {
            let why = "this store was opened without a fold that decides on identities";
            return Ok(Outcome::Rejected(Rejection::new("type", why)));
        }
        let [(_, from_id), (_, to_id)] = operation.ids();
        let identify = matches!(operation, Operation::Identify { .. });
        let from = self.subject(context.subjects, from_id)?;
        let to = self.subject(context.subjects, to_id)?;
        let proposal = Proposal { sequence, identify, from, to, from_id, to_id };
        let verdict = context.folds.iter_mut().find_map(|fold| fold.judge(&proposal));
        let verdict = verdict.expect("invariant: a fold that decides gives a verdict on every proposal");
        let link = Link { from: from.number(), to: to.number(), force: false, verdict };
        self.payload.records.push(if identify { Record::Identify(link) } else { Record::Alias(link) });
        Ok(match verdict {
            Verdict::Linked => Outcome::Accepted(sequence),
            Verdict::Already => Outcome::Already(sequence),
            Verdict::Refused(refusal) => Outcome::Refused(sequence, refusal),
        })
    }
}
