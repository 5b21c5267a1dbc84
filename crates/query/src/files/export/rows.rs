//! The log, row by row.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use pugmark_identity::{Effect, History, Persons, Reason};
use pugmark_registry::DefinitionKind;
use pugmark_store::{
    Committed, Definition, ErrorKind, EventRecord, Hidden, Link, MessageId, Payload, ProfileChange, Record, Sequence,
    Snapshot, Store, SubjectId, Subjects, Timestamp, ValueRef,
};

use crate::error::{Error, Result};

/// The type of lines that change the profile of a group.
const GROUP: &str = "group";

/// What an export writes for one record.
pub(super) enum Row<'a> {
    Event(EventRow<'a>),
    Operation(OperationRow<'a>),
    Profile(ProfileRow<'a>),
}

impl Row<'_> {
    /// Whether it is of one of these ids, and names no other.
    pub(super) fn is_of(&self, ids: &BTreeSet<String>) -> bool {
        match self {
            Self::Event(event) => ids.contains(event.distinct_id),
            Self::Profile(profile) => ids.contains(profile.distinct_id),
            Self::Operation(operation) if operation.kind == GROUP => false,
            Self::Operation(operation) => operation.fields.iter().all(|(name, field)| match field {
                // Who asked for it, and why.
                OperationField::Text(_) if matches!(*name, "by" | "why") => true,
                OperationField::Text(id) => ids.contains(*id),
                OperationField::Ids(own) => own.iter().all(|id| ids.contains(*id)),
                OperationField::Yes | OperationField::Json(_) => true,
            }),
        }
    }
}

/// An event.
pub(super) struct EventRow<'a> {
    pub(super) name: &'a str,
    pub(super) distinct_id: &'a str,
    pub(super) timestamp: Timestamp,
    pub(super) message_id: MessageId<'a>,
    pub(super) session_id: Option<&'a str>,
    pub(super) context: Option<&'a str>,
    names: &'a [&'a str],
    properties: &'a [(u32, ValueRef<'a>)],
}

/// An operation, as its line names things.
pub(super) struct OperationRow<'a> {
    pub(super) kind: &'static str,
    pub(super) fields: Vec<(&'static str, OperationField<'a>)>,
}

impl<'a> OperationRow<'a> {
    /// With what was said of it.
    fn noted(mut self, reason: Option<&'a Reason>) -> Row<'a> {
        let texts = reason.map(|reason| [("by", reason.by.as_deref()), ("why", reason.why.as_deref())]);
        let texts = texts.into_iter().flatten().filter_map(|(field, text)| Some((field, OperationField::Text(text?))));
        self.fields.extend(texts);
        Row::Operation(self)
    }
}

/// The value of a field of an operation.
pub(super) enum OperationField<'a> {
    Text(&'a str),
    Ids(Vec<&'a str>),
    Yes,
    /// As it is, an object.
    Json(&'a str),
}

/// A change of traits.
pub(super) struct ProfileRow<'a> {
    pub(super) distinct_id: &'a str,
    pub(super) change: ProfileChange,
    pub(super) timestamp: Timestamp,
    pub(super) message_id: MessageId<'a>,
    names: &'a [&'a str],
    traits: &'a [(u32, ValueRef<'a>)],
}

impl<'a> ProfileRow<'a> {
    /// Names and values, in the order of the record.
    pub(super) fn traits(&self) -> Result<Vec<(&'a str, ValueRef<'a>)>> {
        self.traits.iter().map(|(place, value)| Ok((name_at(self.names, *place)?, *value))).collect()
    }
}

impl<'a> EventRow<'a> {
    /// Names and values, in the order of the record.
    pub(super) fn properties(&self) -> impl Iterator<Item = Result<(&'a str, ValueRef<'a>)>> {
        let names = self.names;
        self.properties.iter().map(move |(place, value)| Ok((name_at(names, *place)?, *value)))
    }
}

fn name_at<'a>(names: &[&'a str], place: u32) -> Result<&'a str> {
    let found = usize::try_from(place).ok().and_then(|place| names.get(place));
    found.copied().ok_or_else(|| {
        Error::new(ErrorKind::Corrupt, format!("a record refers to name {place}, its frame has {}", names.len()))
    })
}

/// Gives every record from `from` on that `snapshot` knows to `take`. What was erased is left out, and what is kept aside because its message id was
/// taken: it is no event.
pub(super) fn each_row(
    store: &Store,
    snapshot: &Snapshot,
    from: Sequence,
    mut take: impl FnMut(&Row<'_>) -> Result<()>,
) -> Result<()> {
    let hidden = snapshot.state::<Hidden>().unwrap_or_default();
    let persons = snapshot.state::<Persons>().unwrap_or_default();
    store.replay(snapshot, from, |batch| {
        each_row_of(batch, (snapshot.subjects(), persons.history()), &hidden, from..=snapshot.sequence(), &mut take)
    })
}

fn each_row_of(
    batch: &Committed<'_>,
    (subjects, history): (&Subjects, &History),
    hidden: &Hidden,
    wanted: RangeInclusive<Sequence>,
    take: &mut impl FnMut(&Row<'_>) -> Result<()>,
) -> Result<()> {
    let ids = FrameIds::of(batch.payload, subjects, history)?;
    for (record, place) in batch.payload.records.iter().zip(0..) {
        let sequence = batch.first_sequence.plus(place);
        if !wanted.contains(&sequence) {
            continue;
        }
        let row = match record {
            Record::Event(event)
                if hidden
                    .expired_before()
                    .is_some_and(|before| batch.payload.base_time + event.time < before.as_microsecond()) =>
            {
                None
            }
            Record::Event(event) if hidden.hides(SubjectId::new(event.subject), batch.first_sequence.plus(place)) => {
                None
            }
            Record::Event(event) => {
                ids.of_subject(event.subject).map(|id| event_row(event, id, batch.payload)).transpose()?
            }
            Record::Identify(link) => ids.link(link, "identify", ["anonymous_id", "user_id"]),
            Record::Alias(link) => ids.link(link, "alias", ["id", "to"]),
            Record::Merge(merge) => {
                ids.several("merge", &merge.subjects).map(|row| row.noted(history.reason(sequence)))
            }
            Record::Split { subject } => ids.split(*subject).map(|row| row.noted(history.reason(sequence))),
            Record::SplitLink { sequence: of } => {
                let row = ids.several("split_link", &linked_at(history, *of));
                row.map(|row| row.noted(history.reason(sequence)))
            }
            Record::Profile(profile)
                if hidden.hides(SubjectId::new(profile.subject), batch.first_sequence.plus(place)) =>
            {
                None
            }
            Record::Profile(profile) => ids.of_subject(profile.subject).map(|distinct_id| {
                Row::Profile(ProfileRow {
                    distinct_id,
                    change: profile.change,
                    timestamp: Timestamp::from_microsecond(profile.timestamp),
                    message_id: profile.message_id,
                    names: &batch.payload.names,
                    traits: &profile.traits,
                })
            }),
            Record::Definition(Definition { kind, name, body, .. }) if *kind == DefinitionKind::Group.name() => {
                name.split_once('=').zip(*body).map(|((property, id), traits)| {
                    let (property, id) = (OperationField::Text(property), OperationField::Text(id));
                    let fields = vec![("group", property), ("id", id), ("traits", OperationField::Json(traits))];
                    Row::Operation(OperationRow { kind: GROUP, fields })
                })
            }
            // Done, or about what is no event. Settings and other definitions change no answer about what is exported.
            Record::Tombstone(_)
            | Record::Definition(_)
            | Record::Setting { .. }
            | Record::Retraction(_)
            | Record::Erasure { .. }
            | Record::Conflict(_)
            | Record::Settlement { .. }
            | Record::Expiry { .. }
            | Record::Completion { .. }
            | Record::Remark(_) => None,
        };
        if let Some(row) = row {
            take(&row)?;
        }
    }
    Ok(())
}

fn event_row<'a>(event: &'a EventRecord<'a>, distinct_id: &'a str, payload: &'a Payload<'a>) -> Result<Row<'a>> {
    Ok(Row::Event(EventRow {
        name: name_at(&payload.names, event.name)?,
        distinct_id,
        timestamp: Timestamp::from_microsecond(payload.base_time.saturating_add(event.time)),
        message_id: event.message_id,
        session_id: event.session_id,
        context: event.context,
        names: &payload.names,
        properties: &event.properties,
    }))
}

/// The distinct ids that one frame refers to.
struct FrameIds {
    /// In ascending order.
    subjects: Vec<SubjectId>,
    distinct_ids: Vec<Option<String>>,
}

impl FrameIds {
    fn of(payload: &Payload<'_>, known: &Subjects, history: &History) -> Result<Self> {
        let mut subjects = Vec::with_capacity(payload.records.len());
        for record in &payload.records {
            match record {
                Record::Event(event) => subjects.push(SubjectId::new(event.subject)),
                Record::Identify(link) | Record::Alias(link) => {
                    subjects.extend([SubjectId::new(link.from), SubjectId::new(link.to)]);
                }
                Record::Merge(merge) => subjects.extend(merge.subjects.iter().copied().map(SubjectId::new)),
                Record::Split { subject } => subjects.push(SubjectId::new(*subject)),
                Record::SplitLink { sequence } => {
                    subjects.extend(linked_at(history, *sequence).into_iter().map(SubjectId::new));
                }
                Record::Profile(profile) => subjects.push(SubjectId::new(profile.subject)),
                _ => {}
            }
        }
        subjects.sort_unstable();
        subjects.dedup();
        let distinct_ids = known.distinct_ids(&subjects)?;
        Ok(Self { subjects, distinct_ids })
    }

    /// `None` for one that was erased.
    fn of_subject(&self, subject: u32) -> Option<&str> {
        let place = self.subjects.binary_search(&SubjectId::new(subject)).ok()?;
        self.distinct_ids.get(place)?.as_deref()
    }

    fn link(&self, link: &Link, kind: &'static str, fields: [&'static str; 2]) -> Option<Row<'_>> {
        let [from, to] = fields;
        let id = |subject| Some(OperationField::Text(self.of_subject(subject)?));
        let mut fields = vec![(from, id(link.from)?), (to, id(link.to)?)];
        if link.force {
            fields.push(("force", OperationField::Yes));
        }
        Some(Row::Operation(OperationRow { kind, fields }))
    }

    fn several(&self, kind: &'static str, subjects: &[u32]) -> Option<OperationRow<'_>> {
        let ids: Vec<&str> = subjects.iter().map(|subject| self.of_subject(*subject)).collect::<Option<_>>()?;
        (ids.len() > 1).then(|| OperationRow { kind, fields: vec![("ids", OperationField::Ids(ids))] })
    }

    fn split(&self, subject: u32) -> Option<OperationRow<'_>> {
        let id = OperationField::Text(self.of_subject(subject)?);
        Some(OperationRow { kind: "split", fields: vec![("id", id)] })
    }
}

/// The subjects that the operation at a sequence linked: another store gives it another sequence, so that a line names them.
fn linked_at(history: &History, sequence: u64) -> Vec<u32> {
    let mut subjects = Vec::new();
    for operation in history.operations_at(Sequence::new(sequence)) {
        if let Effect::Linked { from, to, .. } = operation.effect {
            subjects.extend([from.number(), to.number()]);
        }
    }
    subjects.sort_unstable();
    subjects.dedup();
    subjects
}
