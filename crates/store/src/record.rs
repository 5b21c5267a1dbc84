//! What the log holds: one record for each sequence. The bytes are in `docs/format.md`, Records.

use std::fmt;

use wincode::{SchemaRead, SchemaWrite};

use crate::error::{Error, Result};
use crate::time::Timestamp;
use crate::value::ValueRef;

/// One committed batch, as its frame holds it.
#[derive(Debug, Clone, PartialEq, SchemaWrite, SchemaRead)]
pub struct Payload<'a> {
    /// When the store received it, microseconds.
    pub received_at: i64,
    /// The import that brought it.
    pub import: Option<[u8; 16]>,
    /// The instant that the events' times count from, microseconds.
    pub base_time: i64,
    /// Names of events, properties and traits; records refer to them by place.
    pub names: Vec<&'a str>,
    /// The subjects that this batch introduces, in ascending order of number.
    pub subjects: Vec<NewSubject<'a>>,
    /// One for each sequence.
    pub records: Vec<Record<'a>>,
}

impl<'a> Payload<'a> {
    /// The name at a place that a record refers to.
    pub(crate) fn name(&self, place: u32) -> Result<&'a str> {
        self.names.get(place as usize).copied().ok_or_else(|| {
            Error::corrupt("payload", format!("name {place} of a record but {} names", self.names.len()))
        })
    }

    /// The instant that a record gives as microseconds after [`base_time`](Self::base_time).
    pub(crate) fn time(&self, after_base: i64) -> Timestamp {
        Timestamp::from_microsecond(self.base_time.wrapping_add(after_base))
    }
}

/// A distinct id seen for the first time, and the number that it has from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, SchemaWrite, SchemaRead)]
pub struct NewSubject<'a> {
    /// The number, a [`SubjectId`](crate::SubjectId).
    pub subject: u32,
    /// The distinct id; absent once it has been erased.
    pub distinct_id: Option<&'a str>,
}

/// What one sequence holds.
#[derive(Debug, Clone, PartialEq, SchemaWrite, SchemaRead)]
pub enum Record<'a> {
    /// Somebody did something.
    Event(EventRecord<'a>),
    /// Something was here and has been removed for good.
    Tombstone(Tombstone),
    /// `identify(anonymous, user)` and what was decided.
    Identify(Link),
    /// `alias(id, to)` and what was decided.
    Alias(Link),
    /// `merge(ids)` and what was decided.
    Merge(Merge),
    /// Every link that touches a subject is revoked.
    Split {
        /// The subject, a [`SubjectId`](crate::SubjectId).
        subject: u32,
    },
    /// The link made at a sequence is revoked.
    SplitLink {
        /// The sequence of the link.
        sequence: u64,
    },
    /// Traits of a profile change.
    Profile(Profile<'a>),
    /// A setting of the store has a new value.
    Setting {
        /// Its name.
        name: &'a str,
        /// Its value, JSON text.
        value: &'a str,
    },
    /// A segment, cohort, saved question or plan has a new version.
    Definition(Definition<'a>),
    /// Events are withdrawn.
    Retraction(Retraction<'a>),
    /// People are erased.
    Erasure {
        /// Their subjects; never their ids.
        subjects: Vec<u32>,
    },
    /// An event came whose message id is stored with other content: it is kept aside.
    Conflict(Conflict<'a>),
    /// What became of a [conflict](Record::Conflict).
    Settlement {
        /// The sequence of the conflict.
        sequence: u64,
        /// The sequence at which it was stored as an event of its own; absent when it was dropped.
        stored_as: Option<u64>,
    },
    /// Events that happened before an instant are gone.
    Expiry {
        /// The instant, microseconds.
        before: i64,
    },
    /// What an erasure, a retraction or an expiry asked for has been done: nothing of it is left on disk.
    Completion {
        /// The sequence of the record that asked for it.
        sequence: u64,
        /// How many records were removed.
        records: u64,
    },
    /// What somebody says of the operation before it in its batch.
    Remark(Remark<'a>),
}

/// The record of an event.
#[derive(Debug, Clone, PartialEq, SchemaWrite, SchemaRead)]
pub struct EventRecord<'a> {
    /// Place of the event's name in [`Payload::names`].
    pub name: u32,
    /// Who, a [`SubjectId`](crate::SubjectId).
    pub subject: u32,
    /// When it happened: microseconds after [`Payload::base_time`].
    pub time: i64,
    /// Whether the sender gave the time; otherwise it is that of receipt.
    pub time_sent: bool,
    /// The idempotency key.
    pub message_id: MessageId<'a>,
    /// The sender's session.
    pub session_id: Option<&'a str>,
    /// Place of the name in [`Payload::names`], and value.
    pub properties: Vec<(u32, ValueRef<'a>)>,
    /// A JSON object as text.
    pub context: Option<&'a str>,
}

/// The idempotency key of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, SchemaWrite, SchemaRead)]
pub enum MessageId<'a> {
    /// As the sender wrote it.
    Text(&'a str),
    /// A UUID that the sender wrote in its canonical form (lower case, hyphens), or that the store made.
    Uuid([u8; 16]),
}

impl<'a> MessageId<'a> {
    /// The shortest form that [`Display`](fmt::Display) turns back into `text`, byte for byte.
    pub fn from_text(text: &'a str) -> Self {
        if text.len() == uuid::fmt::Hyphenated::LENGTH
            && !text.bytes().any(|b| b.is_ascii_uppercase())
            && let Ok(id) = uuid::Uuid::try_parse(text)
        {
            return Self::Uuid(id.into_bytes());
        }
        Self::Text(text)
    }
}

impl fmt::Display for MessageId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Uuid(bytes) => uuid::Uuid::from_bytes(*bytes).hyphenated().fmt(f),
        }
    }
}

/// What stays of a removed record: its sequence, why it went, and the message id that is never taken again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, SchemaWrite, SchemaRead)]
pub struct Tombstone {
    /// Why it went.
    pub why: Removal,
    /// Of an event, the fingerprint of its message id.
    pub message: Option<RemovedMessage>,
}

/// The message id of a removed event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, SchemaWrite, SchemaRead)]
pub struct RemovedMessage {
    /// The first 16 bytes of the SHA-256 of its text.
    pub fingerprint: [u8; 16],
    /// The content hash; 0 when that is gone too, and whatever comes with the id counts as a duplicate.
    pub content: u64,
}

/// Why a record was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, SchemaWrite, SchemaRead)]
pub enum Removal {
    /// The person was erased.
    Erased,
    /// The event was retracted.
    Retracted,
    /// The event was older than the age limit.
    Expired,
    /// The conflict was settled, or has expired.
    Settled,
}

/// Events that are withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, SchemaWrite, SchemaRead)]
pub struct Retraction<'a> {
    /// The import whose events these are, if that was the question.
    pub import: Option<[u8; 16]>,
    /// The filter that they matched, if that was the question.
    pub filter: Option<&'a str>,
    /// Which they are: the first sequence and the length of each row of them, ascending.
    pub sequences: Vec<(u64, u64)>,
}

/// An event whose message id is stored with other content. It has no subject: it is no part of any answer.
#[derive(Debug, Clone, PartialEq, SchemaWrite, SchemaRead)]
pub struct Conflict<'a> {
    /// Place of the event's name in [`Payload::names`].
    pub name: u32,
    /// Who, as the sender wrote it.
    pub distinct_id: &'a str,
    /// When it happened: microseconds after [`Payload::base_time`].
    pub time: i64,
    /// Whether the sender gave the time; otherwise it is that of receipt.
    pub time_sent: bool,
    /// The id that was taken.
    pub message_id: MessageId<'a>,
    /// The sender's session.
    pub session_id: Option<&'a str>,
    /// Place of the name in [`Payload::names`], and value.
    pub properties: Vec<(u32, ValueRef<'a>)>,
    /// A JSON object as text.
    pub context: Option<&'a str>,
}

/// Two subjects to be one person, and what was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, SchemaWrite, SchemaRead)]
pub struct Link {
    /// The anonymous id of an identify, the first id of an alias.
    pub from: u32,
    /// The user id of an identify, the second id of an alias.
    pub to: u32,
    /// Whether the caller asked to link also what is kept apart.
    pub force: bool,
    /// What was decided at this sequence; replay does not decide again.
    pub verdict: Verdict,
}

/// Several subjects to be one person, and what was decided.
#[derive(Debug, Clone, PartialEq, Eq, SchemaWrite, SchemaRead)]
pub struct Merge {
    /// The subjects.
    pub subjects: Vec<u32>,
    /// Whether the caller asked to link also what is kept apart.
    pub force: bool,
    /// What was decided at this sequence; replay does not decide again.
    pub verdict: Verdict,
}

/// Who asked for an identity operation, and why.
#[derive(Debug, Clone, PartialEq, Eq, SchemaWrite, SchemaRead)]
pub struct Remark<'a> {
    /// The sequence of the operation, the one before this in its batch.
    pub sequence: u64,
    /// The subjects that the operation is about: it goes when one of them is erased.
    pub subjects: Vec<u32>,
    /// Who asked for it.
    pub by: Option<&'a str>,
    /// Why.
    pub why: Option<&'a str>,
}

/// What was decided about an identity operation, once, at its sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, SchemaWrite, SchemaRead)]
pub enum Verdict {
    /// The link stands.
    Linked,
    /// They were one person already: no link was made.
    Already,
    /// The rules forbid it: no link was made.
    Refused(Refusal),
}

/// Why an identity operation was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, SchemaWrite, SchemaRead)]
pub enum Refusal {
    /// The two persons are known by different ids.
    Conflict,
    /// One of the ids is a well-known mistake such as `null` or `undefined`.
    WrongId,
    /// The person would have too many ids.
    TooManyIds,
    /// The pair was split before.
    KeptApart,
}

impl Refusal {
    /// The word that stands for it in results and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::WrongId => "wrong_id",
            Self::TooManyIds => "too_many_ids",
            Self::KeptApart => "kept_apart",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Conflict => "conflict: the two are known by different ids",
            Self::WrongId => "wrong_id: the id is a well-known mistake, not a person",
            Self::TooManyIds => "too_many_ids: the person would have too many ids",
            Self::KeptApart => "kept_apart: the pair was split before",
        })
    }
}

/// Traits of a profile change.
#[derive(Debug, Clone, PartialEq, SchemaWrite, SchemaRead)]
pub struct Profile<'a> {
    /// Whose, a [`SubjectId`](crate::SubjectId).
    pub subject: u32,
    /// When, microseconds.
    pub timestamp: i64,
    /// Whether the sender gave the time; otherwise it is that of receipt.
    pub time_sent: bool,
    /// The idempotency key.
    pub message_id: MessageId<'a>,
    /// How the values change what was there.
    pub change: ProfileChange,
    /// Place of the name in [`Payload::names`], and value.
    pub traits: Vec<(u32, ValueRef<'a>)>,
}

/// How a profile operation changes a trait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, SchemaWrite, SchemaRead)]
pub enum ProfileChange {
    /// The latest value stands.
    Set,
    /// The earliest value stands.
    SetOnce,
    /// The trait is removed.
    Unset,
    /// The number is added.
    Add,
    /// The value is appended to a list.
    Append,
    /// The value is added to a set.
    Union,
}

impl ProfileChange {
    /// A small number for it, for good: that of the format.
    pub const fn code(self) -> u8 {
        match self {
            Self::Set => 0,
            Self::SetOnce => 1,
            Self::Unset => 2,
            Self::Add => 3,
            Self::Append => 4,
            Self::Union => 5,
        }
    }

    /// What a number stands for.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Set,
            1 => Self::SetOnce,
            2 => Self::Unset,
            3 => Self::Add,
            4 => Self::Append,
            5 => Self::Union,
            _ => return None,
        })
    }
}

/// A named thing that queries use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, SchemaWrite, SchemaRead)]
pub struct Definition<'a> {
    /// `segment`, `cohort`, `question`, `plan`.
    pub kind: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its version, from 1.
    pub version: u32,
    /// What it is, JSON text; absent when it is removed.
    pub body: Option<&'a str>,
}

/// What a base file holds, one for each of its frames.
#[derive(Debug, Clone, PartialEq, SchemaWrite, SchemaRead)]
pub enum BaseSection<'a> {
    /// Subjects in ascending order of number.
    Subjects(Vec<NewSubject<'a>>),
    /// Operations, settings and definitions, with their verdicts, as they stood in the log.
    Operations {
        /// Names that the records refer to.
        names: Vec<&'a str>,
        /// The records, in ascending order of sequence.
        records: Vec<BaseRecord<'a>>,
    },
    /// Message ids: fingerprint and content hash, in ascending order of fingerprint.
    MessageIds(Vec<([u8; 16], u64)>),
}

/// A record that outlives its segment.
#[derive(Debug, Clone, PartialEq, SchemaWrite, SchemaRead)]
pub struct BaseRecord<'a> {
    /// Its sequence.
    pub sequence: u64,
    /// When the store received it, microseconds.
    pub received_at: i64,
    /// The record.
    pub record: Record<'a>,
}
