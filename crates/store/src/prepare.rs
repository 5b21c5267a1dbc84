//! From entries to a batch: validation, exactly-once, subjects, verdicts.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::entropy::Entropy;
use crate::error::Result;
use crate::event::{Entry, Event, Operation, SplitOf};
use crate::fold::{Asks, Decision, Fold, LinkKind, LinkOf, Proposal};
use crate::hashes::Hashes;
use crate::id::{Sequence, SubjectId};
use crate::outcome::{Outcome, Rejection};
use crate::profile::ProfileUpdate;
use crate::quarantine::{Quarantine, size_aside};
use crate::record::{
    Conflict, Definition, EventRecord, Link, Merge, MessageId, NewSubject, Payload, Profile, Record, Remark, Verdict,
};
use crate::runs::{CONTENT_GONE, Fingerprint, MessageIds, PropertiesHash, content_hash_of_profile};
use crate::spare::Spare;
use crate::subjects::Subjects;
use crate::time::Timestamp;
use crate::value::ValueRef;
use crate::view::EventView;

/// The entries of one append, validated and hashed by the thread that hands them over, so that the committer need not.
pub(crate) struct Prepared {
    entries: Vec<Entry>,
    checks: Vec<Check>,
    /// Of every distinct id that entries name which are not rejected, in their order.
    people: Vec<Fingerprint>,
}

/// What was found out about one entry.
enum Check {
    Rejected(Rejection),
    /// It names so many distinct ids.
    Operation(usize),
    Event(EventCheck),
    Profile(EventCheck),
}

/// Of an event, or of a change of a profile.
struct EventCheck {
    id: DraftId,
    fingerprint: Fingerprint,
    properties: PropertiesHash,
}

enum DraftId {
    Sent,
    Keyed(String),
    Made([u8; 16]),
}

impl Prepared {
    /// Validates entries and makes the ids that are missing. `latest` bounds the timestamps.
    pub(crate) fn new(entries: Vec<Entry>, now: Timestamp, latest: Timestamp, entropy: &dyn Entropy) -> Self {
        let mut people = Vec::with_capacity(entries.len());
        let mut hashed = Vec::with_capacity(128);
        let checks = entries.iter().map(|entry| {
            Check::of(entry, now, latest, entropy, &mut people, &mut hashed).unwrap_or_else(Check::Rejected)
        });
        Self { checks: checks.collect(), people, entries }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many records they make at most.
    pub(crate) fn records(&self) -> usize {
        self.entries.iter().map(Entry::records).sum()
    }

    /// The entries, to be freed by whoever has the time.
    pub(crate) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    fn iter(&self) -> impl Iterator<Item = (&Entry, &Check)> {
        self.entries.iter().zip(&self.checks)
    }
}

impl Check {
    /// Adds to `people` if it is accepted; `hashed` is room to work in.
    fn of(
        entry: &Entry,
        now: Timestamp,
        latest: Timestamp,
        entropy: &dyn Entropy,
        people: &mut Vec<Fingerprint>,
        hashed: &mut Vec<u8>,
    ) -> std::result::Result<Self, Rejection> {
        let event = match entry {
            Entry::Operation(Operation::Profile(update)) => {
                update.validate(latest)?;
                people.push(Fingerprint::of(&update.distinct_id));
                return Ok(Self::Profile(EventCheck::of_profile(update, now, entropy)));
            }
            Entry::Operation(operation) => {
                operation.validate(latest)?;
                let before = people.len();
                people.extend(operation.ids().into_iter().map(|(_, id)| Fingerprint::of(id)));
                return Ok(Self::Operation(people.len() - before));
            }
            Entry::Event(listed) => listed.view(),
            Entry::Packed(packed) => packed.view(),
        };
        event.validate(latest)?;
        let hashes = event.hashes.copied().unwrap_or_else(|| Hashes::of(event, hashed));
        people.push(hashes.sender);
        Ok(Self::Event(EventCheck::new(event, &hashes, now, entropy)))
    }

    /// How many distinct ids it names.
    fn people(&self) -> usize {
        match self {
            Self::Rejected(_) => 0,
            Self::Operation(ids) => *ids,
            Self::Event(_) | Self::Profile(_) => 1,
        }
    }
}

impl EventCheck {
    fn new(event: EventView<'_>, hashes: &Hashes, now: Timestamp, entropy: &dyn Entropy) -> Self {
        let (id, fingerprint) = match (hashes.message_id, event.keyed_message_id()) {
            (Some(fingerprint), _) => (DraftId::Sent, fingerprint),
            (None, Some(id)) => {
                let fingerprint = Fingerprint::of(&id);
                (DraftId::Keyed(id), fingerprint)
            }
            (None, None) => DraftId::made(now, entropy),
        };
        Self { id, fingerprint, properties: hashes.properties }
    }

    fn of_profile(update: &ProfileUpdate, now: Timestamp, entropy: &dyn Entropy) -> Self {
        let (id, fingerprint) = match &update.message_id {
            Some(id) => (DraftId::Sent, Fingerprint::of(id)),
            None => DraftId::made(now, entropy),
        };
        let properties = PropertiesHash::of(update.recorded(), &mut Vec::new());
        Self { id, fingerprint, properties }
    }
}

impl DraftId {
    fn made(now: Timestamp, entropy: &dyn Entropy) -> (Self, Fingerprint) {
        let id = made_id(now, entropy);
        (Self::Made(id), Fingerprint::of_message_id(&MessageId::Uuid(id)))
    }
}

impl EventCheck {
    /// `sent` is what the sender gave.
    fn message_id<'a>(&'a self, sent: Option<&'a str>) -> MessageId<'a> {
        match (&self.id, sent) {
            (DraftId::Made(bytes), _) => MessageId::Uuid(*bytes),
            (DraftId::Keyed(id), _) => MessageId::from_text(id),
            (DraftId::Sent, Some(id)) => MessageId::from_text(id),
            (DraftId::Sent, None) => unreachable!("an id that was sent is in the event"),
        }
    }
}

/// A UUIDv7 of `now`.
pub(crate) fn made_id(now: Timestamp, entropy: &dyn Entropy) -> [u8; 16] {
    let milliseconds = u64::try_from(now.as_microsecond()).unwrap_or(0) / 1_000;
    let random = entropy.bytes();
    let random = random.last_chunk().expect("16 bytes end with 10: constants");
    uuid::Builder::from_unix_timestamp_millis(milliseconds, random).into_uuid().into_bytes()
}

/// What a batch is built against.
pub(crate) struct Context<'s> {
    pub(crate) subjects: &'s Subjects,
    pub(crate) ids: &'s mut MessageIds,
    pub(crate) quarantine: &'s mut Quarantine,
    pub(crate) folds: &'s mut [Box<dyn Fold>],
    pub(crate) spare: &'s mut Spare,
    pub(crate) first_sequence: Sequence,
    pub(crate) received_at: Timestamp,
    /// Events that happened earlier have expired.
    pub(crate) expired_before: Option<Timestamp>,
}

/// Builds the batch of what was `prepared`, and says what becomes of each entry. Ids and subjects are taken as the batch goes: the caller applies
/// and writes it, or gives up the store.
pub(crate) fn build<'a>(
    prepared: &[&'a Prepared],
    import: Option<[u8; 16]>,
    context: &mut Context<'_>,
) -> Result<(Payload<'a>, Vec<Outcome>)> {
    let all = || prepared.iter().copied().flat_map(Prepared::iter);
    let checks = || {
        all().filter_map(|(_, check)| match check {
            Check::Event(check) | Check::Profile(check) => Some(check),
            Check::Operation(_) | Check::Rejected(_) => None,
        })
    };
    // Read together, ids that are not in memory are found by block.
    let fingerprints: Vec<Fingerprint> = checks().map(|check| check.fingerprint).collect();
    let mut stored = Vec::new();
    context.ids.lookup_many(&fingerprints, &mut stored)?;
    let mut stored = stored.into_iter();
    let people: Vec<Fingerprint> = prepared.iter().flat_map(|prepared| &prepared.people).copied().collect();
    let subjects = context.subjects.begin_batch(&people)?;
    let (mut people, mut subjects) = (people.as_slice(), subjects.as_slice());

    let base_time = all().find_map(|(entry, check)| match (entry, check) {
        (Entry::Event(Event { timestamp, .. }), Check::Event(_)) => Some(timestamp.unwrap_or(context.received_at)),
        (Entry::Packed(event), Check::Event(_)) => Some(event.view().timestamp.unwrap_or(context.received_at)),
        _ => None,
    });
    let mut outcomes = Vec::with_capacity(prepared.iter().map(|prepared| prepared.len()).sum());
    let mut batch = Batch {
        payload: Payload {
            received_at: context.received_at.as_microsecond(),
            import,
            base_time: base_time.unwrap_or(context.received_at).as_microsecond(),
            names: Vec::new(),
            subjects: Vec::new(),
            records: context.spare.records(outcomes.capacity()),
        },
        names: HashMap::with_hasher(FixedState::default()),
        expected: Vec::new(),
        hashed: Vec::with_capacity(128),
    };
    for (entry, check) in all() {
        let sequence = context.first_sequence.plus(batch.payload.records.len() as u64);
        let named;
        (named, people) = people.split_at(check.people());
        let known;
        (known, subjects) = subjects.split_at(check.people());
        let who = Named { people: named, known };
        let mut stored = || stored.next().expect("one was looked up for each event and change of a profile");
        outcomes.push(match (entry, check) {
            (_, Check::Rejected(rejection)) => Outcome::Rejected(rejection.clone()),
            (Entry::Event(listed), Check::Event(check)) => {
                batch.event(context, listed.view(), check, (stored(), who), sequence)?
            }
            (Entry::Packed(packed), Check::Event(check)) => {
                batch.event(context, packed.view(), check, (stored(), who), sequence)?
            }
            (Entry::Operation(Operation::Profile(update)), Check::Profile(check)) => {
                batch.profile(context, update, check, (stored(), who), sequence)?
            }
            (Entry::Operation(operation), _) => batch.operation(context, operation, who, sequence)?,
            (Entry::Event(_) | Entry::Packed(_), Check::Operation(_) | Check::Profile(_)) => {
                unreachable!("an event was checked as one")
            }
        });
    }
    Ok((batch.payload, outcomes))
}

/// Why an event comes too late, if it does: its time has expired.
fn expired(context: &Context<'_>, event: EventView<'_>) -> Option<Rejection> {
    let before = context.expired_before?;
    let happened = event.timestamp.unwrap_or(context.received_at);
    let why = || format!("{happened} but events before {before} have expired");
    (happened < before).then(|| Rejection::new("timestamp", why()))
}

/// The distinct ids that one entry names, and their subjects when the batch began.
#[derive(Clone, Copy)]
struct Named<'p> {
    people: &'p [Fingerprint],
    known: &'p [Option<SubjectId>],
}

impl Named<'_> {
    fn iter(&self) -> impl Iterator<Item = (Fingerprint, Option<SubjectId>)> {
        self.people.iter().copied().zip(self.known.iter().copied())
    }

    /// The only one.
    fn sender(&self) -> (Fingerprint, Option<SubjectId>) {
        self.iter().next().expect("events and changes of profiles name one distinct id")
    }
}

struct Batch<'a> {
    payload: Payload<'a>,
    names: HashMap<&'a str, u32, FixedState>,
    /// The name at each property position of the event before: events of one sender mostly repeat it.
    expected: Vec<u32>,
    /// Room for what is hashed of an event.
    hashed: Vec<u8>,
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
        // In a block a name that repeats is the same text, not one like it.
        if let Some(place) = self.expected.get(position)
            && let Some(known) = self.payload.names.get(*place as usize)
            && (std::ptr::eq(*known, name) || *known == name)
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

    /// The subject of an id, which gets a number if it had none when the batch began and got none in it.
    fn subject(
        &mut self,
        subjects: &Subjects,
        (fingerprint, known): (Fingerprint, Option<SubjectId>),
        distinct_id: &'a str,
    ) -> Result<SubjectId> {
        if let Some(subject) = known {
            return Ok(subject);
        }
        let (subject, new) = subjects.allocate(fingerprint, distinct_id)?;
        if new {
            self.payload.subjects.push(NewSubject { subject: subject.number(), distinct_id: Some(distinct_id) });
        }
        Ok(subject)
    }

    /// `known` is what was stored before the batch: the content of an event with this id, and who sends it.
    fn event(
        &mut self,
        context: &mut Context<'_>,
        event: EventView<'a>,
        check: &'a EventCheck,
        known: (Option<u64>, Named<'_>),
        sequence: Sequence,
    ) -> Result<Outcome> {
        let (content, who) = known;
        let (sender, subject) = who.sender();
        let mut hash_of = |subject| check.properties.content(event.name, subject, event.timestamp, &mut self.hashed);
        // An earlier entry of this batch may have brought the id: that is not on disk yet, but in memory.
        if let Some(content) = content.or_else(|| context.ids.recent(check.fingerprint)) {
            let subject = match subject {
                Some(subject) => Some(subject),
                None => context.subjects.find(&sender)?,
            };
            let same = content == CONTENT_GONE || subject.is_some_and(|subject| hash_of(subject) == content);
            return Ok(if same {
                Outcome::Duplicate
            } else {
                self.keep_aside(context, event, (check, &sender), sequence)
            });
        }
        if let Some(too_late) = expired(context, event) {
            return Ok(Outcome::Rejected(too_late));
        }
        let subject = self.subject(context.subjects, (sender, subject), event.distinct_id)?;
        let content = check.properties.content(event.name, subject, event.timestamp, &mut self.hashed);
        context.ids.insert(check.fingerprint, content);
        let (name, properties) = self.names_of(event, context.spare);
        self.payload.records.push(Record::Event(EventRecord {
            name,
            subject: subject.number(),
            time: event.timestamp.unwrap_or(context.received_at).as_microsecond() - self.payload.base_time,
            time_sent: event.timestamp.is_some(),
            message_id: check.message_id(event.message_id),
            session_id: event.session_id,
            properties,
            context: event.context,
        }));
        Ok(Outcome::Accepted(sequence))
    }

    fn names_of(&mut self, event: EventView<'a>, spare: &mut Spare) -> (u32, Vec<(u32, ValueRef<'a>)>) {
        let name = self.name(event.name);
        let mut properties = spare.properties();
        event.numbered(&mut properties, |at, name| self.property_name(at, name));
        (name, properties)
    }

    /// Keeps an event whose message id is stored with other content, unless the same is kept already or there is no room.
    fn keep_aside(
        &mut self,
        context: &mut Context<'_>,
        event: EventView<'a>,
        (check, sender): (&'a EventCheck, &Fingerprint),
        sequence: Sequence,
    ) -> Outcome {
        let content = check.properties.content_aside(event.name, sender, event.timestamp);
        if let Some(kept) = context.quarantine.find(check.fingerprint, content) {
            return Outcome::Conflict(Some(kept));
        }
        // Of what has expired nothing is kept.
        if expired(context, event).is_some() {
            return Outcome::Conflict(None);
        }
        let message_id = check.message_id(event.message_id);
        let (session_id, about) = (event.session_id, event.context);
        let bytes = size_aside(event.name, event.distinct_id, &message_id, [session_id, about], event.properties());
        if !context.quarantine.has_room(bytes) {
            return Outcome::Conflict(None);
        }
        let happened = event.timestamp.unwrap_or(context.received_at);
        context.quarantine.keep(sequence, (check.fingerprint, content), bytes, happened);
        let (name, properties) = self.names_of(event, context.spare);
        self.payload.records.push(Record::Conflict(Conflict {
            name,
            distinct_id: event.distinct_id,
            time: happened.as_microsecond() - self.payload.base_time,
            time_sent: event.timestamp.is_some(),
            message_id,
            session_id,
            properties,
            context: about,
        }));
        Outcome::Conflict(Some(sequence))
    }

    /// `known` as for an event.
    fn profile(
        &mut self,
        context: &mut Context<'_>,
        update: &'a ProfileUpdate,
        check: &'a EventCheck,
        known: (Option<u64>, Named<'_>),
        sequence: Sequence,
    ) -> Result<Outcome> {
        let (content, who) = known;
        let (sender, subject) = who.sender();
        let hash_of = |subject| content_hash_of_profile(update.change, check.properties, subject, update.timestamp);
        if let Some(content) = content.or_else(|| context.ids.recent(check.fingerprint)) {
            let subject = match subject {
                Some(subject) => Some(subject),
                None => context.subjects.find(&sender)?,
            };
            let same = content == CONTENT_GONE || subject.is_some_and(|subject| hash_of(subject) == content);
            // What is kept aside are events.
            return Ok(if same { Outcome::Duplicate } else { Outcome::Conflict(None) });
        }
        let subject = self.subject(context.subjects, (sender, subject), &update.distinct_id)?;
        context.ids.insert(check.fingerprint, hash_of(subject));
        let traits = update.recorded().map(|(name, value)| (self.name(name), value)).collect();
        self.payload.records.push(Record::Profile(Profile {
            subject: subject.number(),
            timestamp: update.timestamp.unwrap_or(context.received_at).as_microsecond(),
            time_sent: update.timestamp.is_some(),
            message_id: check.message_id(update.message_id.as_deref()),
            change: update.change,
            traits,
        }));
        Ok(Outcome::Accepted(sequence))
    }

    fn operation(
        &mut self,
        context: &mut Context<'_>,
        operation: &'a Operation,
        who: Named<'_>,
        sequence: Sequence,
    ) -> Result<Outcome> {
        if let Operation::Set { name, value } = operation {
            self.payload.records.push(Record::Setting { name, value });
            return Ok(Outcome::Accepted(sequence));
        }
        if let Operation::Define { kind, name, version, body } = operation {
            let (version, body) = (*version, body.as_deref());
            self.payload.records.push(Record::Definition(Definition { kind, name, version, body }));
            return Ok(Outcome::Accepted(sequence));
        }
        // Before a subject is numbered: a number that is in no frame would be a gap.
        if !context.folds.iter().any(|fold| fold.decides()) {
            let why = "this store was opened without a fold that decides on identities";
            return Ok(Outcome::Rejected(Rejection::new("type", why)));
        }
        let named = operation.ids();
        let ids: Vec<&str> = named.iter().map(|(_, id)| *id).collect();
        let mut subjects = Vec::with_capacity(ids.len());
        let links = matches!(operation, Operation::Identify { .. } | Operation::Alias { .. } | Operation::Merge { .. });
        for ((field, id), (fingerprint, known)) in named.into_iter().zip(who.iter()) {
            subjects.push(if links {
                self.subject(context.subjects, (fingerprint, known), id)?
            } else {
                // Nobody is made known by being split, but an operation before this one may have done it.
                let known = if known.is_some() { known } else { context.subjects.find(&fingerprint)? };
                match known {
                    Some(subject) => subject,
                    None => return Ok(Outcome::Rejected(Rejection::new(field, format!("\"{id}\" was never seen")))),
                }
            });
        }
        let link = |kind, force| Asks::Link { kind, force, subjects: &subjects, ids: &ids };
        let asks = match operation {
            Operation::Identify { force, .. } => link(LinkKind::Identify, *force),
            Operation::Alias { force, .. } => link(LinkKind::Alias, *force),
            Operation::Merge { .. } => link(LinkKind::Merge, true),
            Operation::Split { .. } => Asks::Split(subjects[0]),
            Operation::SplitLink { link: SplitOf::Sequence(sequence), .. } => {
                Asks::SplitLink(LinkOf::Sequence(*sequence))
            }
            Operation::SplitLink { link: SplitOf::Ids(_), .. } => Asks::SplitLink(LinkOf::Subjects(&subjects)),
            Operation::Set { .. } | Operation::Profile(_) | Operation::Define { .. } => {
                return Ok(Outcome::Rejected(Rejection::new("type", "no operation of identity")));
            }
        };
        let proposal = Proposal { sequence, asks };
        let decision = context.folds.iter_mut().find_map(|fold| fold.judge(&proposal));
        let decision = decision.expect("invariant: a fold that decides gives a decision on every proposal");
        let mut about = Vec::new();
        let (record, outcome) = match (decision, operation) {
            (Decision::Link(verdict), _) => {
                let outcome = match verdict {
                    Verdict::Linked => Outcome::Accepted(sequence),
                    Verdict::Already => Outcome::Already(sequence),
                    Verdict::Refused(refusal) => Outcome::Refused(sequence, refusal),
                };
                (link_record(operation, &subjects, verdict), outcome)
            }
            (Decision::Split(linked), _) => {
                let (subject, nothing) = (subjects[0].number(), linked.is_empty());
                about.extend(linked);
                let outcome = if nothing { Outcome::Already(sequence) } else { Outcome::Accepted(sequence) };
                (Record::Split { subject }, outcome)
            }
            (Decision::SplitLink(Some((of, linked))), _) => {
                about.extend(linked);
                (Record::SplitLink { sequence: of.number() }, Outcome::Accepted(sequence))
            }
            (Decision::SplitLink(None), Operation::SplitLink { link: SplitOf::Sequence(of), .. }) => {
                let why = format!("no link of an operation at {of} stands");
                return Ok(Outcome::Rejected(Rejection::new("sequence", why)));
            }
            (Decision::SplitLink(None), _) => {
                let why = "no operation whose links stand has linked these and no others";
                return Ok(Outcome::Rejected(Rejection::new("ids", why)));
            }
        };
        self.payload.records.push(record);
        if let Some(note) = operation.note() {
            let (by, why) = (note.by.as_deref(), note.why.as_deref());
            about.extend(&subjects);
            about.sort_unstable();
            about.dedup();
            let subjects = about.into_iter().map(SubjectId::number).collect();
            let remark = Remark { sequence: sequence.number(), subjects, by, why };
            self.payload.records.push(Record::Remark(remark));
        }
        Ok(outcome)
    }
}

/// The record of an operation that links.
fn link_record<'a>(operation: &Operation, subjects: &[SubjectId], verdict: Verdict) -> Record<'a> {
    let pair = |force| Link { from: subjects[0].number(), to: subjects[1].number(), force, verdict };
    match operation {
        Operation::Identify { force, .. } => Record::Identify(pair(*force)),
        Operation::Alias { force, .. } => Record::Alias(pair(*force)),
        _ => {
            let subjects = subjects.iter().map(|subject| subject.number()).collect();
            Record::Merge(Merge { subjects, force: true, verdict })
        }
    }
}
