//! Events whose message id is stored with other content: kept aside in the log, until somebody decides about them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError, WriteTransaction};

use crate::error::{Error, Result};
use crate::event::Event;
use crate::fold::{Committed, copy_table};
use crate::id::Sequence;
use crate::limits::{QUARANTINE_MAX, QUARANTINE_MAX_BYTES};
use crate::record::{Conflict, MessageId, Payload, Record};
use crate::runs::{Fingerprint, content_hash_of_conflict};
use crate::time::Timestamp;
use crate::value::ValueRef;

/// Sequence → fingerprint of the message id, content hash u64, bytes u64, when it happened i64 µs, whether it is settled.
const KEPT: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("quarantine.kept");
const ENTRY_BYTES: usize = 16 + 8 + 8 + 8 + 1;

/// An event that is kept aside: its message id is stored with other content.
#[derive(Debug, Clone, PartialEq)]
pub struct Quarantined {
    /// Names it when it is [settled](crate::Store::settle).
    pub sequence: Sequence,
    /// When the store received it.
    pub received_at: Timestamp,
    /// What came.
    pub event: Event,
}

/// What becomes of an event that was kept aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settle {
    /// It is withdrawn.
    Drop,
    /// It is stored as an event of its own.
    Store {
        /// The message id that it is stored under.
        message_id: String,
    },
}

/// How much is kept aside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QuarantineStats {
    /// Events that nobody has decided about.
    pub waiting: u64,
    /// Their bytes, counted like the limits do.
    pub bytes: u64,
    /// Events that have been settled, and are still remembered: the same one coming again is not kept again.
    pub settled: u64,
    /// Events that were not kept since the store was opened, because there is as much as [`limits`](crate::limits) allows.
    pub turned_away: u64,
}

/// What is known of each conflict without reading the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    fingerprint: Fingerprint,
    content: u64,
    bytes: u64,
    happened: Timestamp,
    settled: bool,
}

/// The conflicts in the log that nobody has decided about and that have not expired, and what was decided last: a function of its records, in order.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    kept: BTreeMap<u64, Kept>,
    /// The sequence of each message id's content.
    by_id: HashMap<(Fingerprint, u64), u64>,
    settled: BTreeSet<u64>,
    bytes: u64,
    turned_away: u64,
    /// Sequences of which the index says something else.
    unsaved: BTreeSet<u64>,
}

/// What is to become of the conflicts in a part of the log.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    /// Where the part ends.
    through: Sequence,
    waiting: BTreeSet<Sequence>,
    /// Those that were settled, and are remembered for as long as they are in the log.
    pub(crate) settled: BTreeSet<u64>,
}

impl Aside {
    /// Whether the conflict at a sequence is to go: it waits no more. Nothing is known of what came after the part.
    pub(crate) fn is_over(&self, sequence: Sequence) -> bool {
        sequence <= self.through && !self.waiting.contains(&sequence)
    }
}

impl PartialEq for Quarantine {
    /// Whether both say the same of the log.
    fn eq(&self, other: &Self) -> bool {
        self.kept == other.kept
            && self.by_id == other.by_id
            && self.settled == other.settled
            && self.bytes == other.bytes
    }
}

/// Bytes of a conflict, counted like those of an event.
pub(crate) fn size_aside<'a>(
    name: &str,
    distinct_id: &str,
    message_id: &MessageId<'_>,
    others: [Option<&str>; 2],
    properties: impl IntoIterator<Item = (&'a str, ValueRef<'a>)>,
) -> u64 {
    let id = match message_id {
        MessageId::Text(text) => text.len(),
        MessageId::Uuid(bytes) => bytes.len(),
    };
    let value = |value| match value {
        ValueRef::Bool(_) => 1,
        ValueRef::Int(_) | ValueRef::Float(_) => 8,
        ValueRef::Text(text) | ValueRef::Number(text) | ValueRef::Json(text) => text.len(),
    };
    let properties: usize = properties.into_iter().map(|(name, v)| name.len() + value(v)).sum();
    let others: usize = others.into_iter().flatten().map(str::len).sum();
    (name.len() + distinct_id.len() + id + others + properties) as u64
}

impl Quarantine {
    /// Where the same content of the same message id is kept, or was until it was settled.
    pub(crate) fn find(&self, fingerprint: Fingerprint, content: u64) -> Option<Sequence> {
        self.by_id.get(&(fingerprint, content)).copied().map(Sequence::new)
    }

    /// Whether one more of so many bytes may be kept; if not, it is counted.
    pub(crate) fn has_room(&mut self, bytes: u64) -> bool {
        let waiting = self.kept.len() - self.settled.len();
        let room = waiting < QUARANTINE_MAX && self.bytes + bytes <= QUARANTINE_MAX_BYTES;
        self.turned_away += u64::from(!room);
        room
    }

    /// Takes in a conflict that is, or will be, the record at `sequence`.
    pub(crate) fn keep(
        &mut self,
        sequence: Sequence,
        (fingerprint, content): (Fingerprint, u64),
        bytes: u64,
        happened: Timestamp,
    ) {
        let sequence = sequence.number();
        if self.kept.contains_key(&sequence) {
            return;
        }
        // What was decided longest ago makes room.
        while self.kept.len() >= QUARANTINE_MAX
            && let Some(oldest) = self.settled.pop_first()
        {
            self.forget(oldest);
        }
        self.kept.insert(sequence, Kept { fingerprint, content, bytes, happened, settled: false });
        self.by_id.insert((fingerprint, content), sequence);
        self.bytes += bytes;
        self.unsaved.insert(sequence);
    }

    fn forget(&mut self, sequence: u64) {
        if let Some(kept) = self.kept.remove(&sequence) {
            self.bytes -= if kept.settled { 0 } else { kept.bytes };
            self.settled.remove(&sequence);
            let key = (kept.fingerprint, kept.content);
            if self.by_id.get(&key) == Some(&sequence) {
                self.by_id.remove(&key);
            }
            self.unsaved.insert(sequence);
        }
    }

    fn settle(&mut self, sequence: u64) {
        if let Some(kept) = self.kept.get_mut(&sequence)
            && !std::mem::replace(&mut kept.settled, true)
        {
            self.bytes -= kept.bytes;
            self.settled.insert(sequence);
            self.unsaved.insert(sequence);
        }
    }

    /// What is to become of the conflicts up to `through`, which are all there.
    pub(crate) fn aside(&self, through: Sequence) -> Aside {
        let mut waiting = self.waiting();
        waiting.retain(|sequence| *sequence <= through);
        Aside { through, waiting, settled: self.settled.range(..=through.number()).copied().collect() }
    }

    /// Forgets these: they are in the log no more, or nobody is to decide about them any more.
    pub(crate) fn forget_all(&mut self, gone: &BTreeSet<u64>) {
        gone.iter().for_each(|sequence| self.forget(*sequence));
    }

    /// Forgets those up to `last`, which a base has taken over: all of them have expired.
    pub(crate) fn apply_base(&mut self, last: Sequence) {
        let gone = self.kept.range(..=last.number()).map(|(sequence, _)| *sequence).collect();
        self.forget_all(&gone);
    }

    /// Forgets those that happened before an instant: nobody can decide about them any more.
    fn expire(&mut self, before: Timestamp) {
        let expired = self.kept.iter().filter(|(_, kept)| kept.happened < before);
        let expired = expired.map(|(sequence, _)| *sequence).collect();
        self.forget_all(&expired);
    }

    /// Takes in a batch of the log; what [`keep`](Self::keep) has taken in already stays as it is.
    ///
    /// # Errors
    /// `Corrupt` for a batch that refers to names which it does not have.
    pub(crate) fn apply(&mut self, batch: &Committed<'_>) -> Result<()> {
        for (sequence, record) in (batch.first_sequence.number()..).zip(&batch.payload.records) {
            match record {
                Record::Conflict(conflict) => {
                    let content = content_hash_of_conflict(conflict, batch.payload)?;
                    let bytes = size_of(conflict, batch.payload)?;
                    let fingerprint = Fingerprint::of_message_id(&conflict.message_id);
                    let happened = batch.payload.time(conflict.time);
                    self.keep(Sequence::new(sequence), (fingerprint, content), bytes, happened);
                }
                Record::Settlement { sequence, .. } => self.settle(*sequence),
                Record::Expiry { before } => self.expire(Timestamp::from_microsecond(*before)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether nobody has decided yet about the conflict at a sequence; `None` if there is none, or it is forgotten.
    pub(crate) fn is_waiting(&self, sequence: Sequence) -> Option<bool> {
        self.kept.get(&sequence.number()).map(|kept| !kept.settled)
    }

    /// The sequences of those that nobody has decided about.
    pub(crate) fn waiting(&self) -> BTreeSet<Sequence> {
        self.kept.iter().filter(|(_, kept)| !kept.settled).map(|(sequence, _)| Sequence::new(*sequence)).collect()
    }

    pub(crate) fn stats(&self) -> QuarantineStats {
        QuarantineStats {
            waiting: (self.kept.len() - self.settled.len()) as u64,
            bytes: self.bytes,
            settled: self.settled.len() as u64,
            turned_away: self.turned_away,
        }
    }

    pub(crate) fn checkpoint(&mut self, txn: &WriteTransaction) -> Result<()> {
        let failed = |e: redb::StorageError| Error::index("writing quarantine.kept", e);
        let mut table = txn.open_table(KEPT).map_err(|e| Error::index("opening quarantine.kept", e))?;
        for sequence in &self.unsaved {
            match self.kept.get(sequence) {
                Some(kept) => table.insert(sequence, encode(kept).as_slice()).map_err(failed)?,
                None => table.remove(sequence).map_err(failed)?,
            };
        }
        self.unsaved.clear();
        Ok(())
    }

    pub(crate) fn load(&mut self, txn: &ReadTransaction) -> Result<()> {
        let table = match txn.open_table(KEPT) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(()),
            Err(e) => return Err(Error::index("opening quarantine.kept", e)),
        };
        let failed = |e: redb::StorageError| Error::index("reading quarantine.kept", e);
        let mut loaded = Self::default();
        for row in table.iter().map_err(failed)? {
            let (sequence, bytes) = row.map_err(failed)?;
            let sequence = sequence.value();
            let kept = decode(bytes.value()).ok_or_else(|| {
                let what = format!("{:?} but expected {ENTRY_BYTES} bytes that end in 0 or 1", bytes.value());
                Error::corrupt(format!("index.redb: quarantine.kept: row {sequence}"), what)
            })?;
            loaded.keep(Sequence::new(sequence), (kept.fingerprint, kept.content), kept.bytes, kept.happened);
            if kept.settled {
                loaded.settle(sequence);
            }
        }
        loaded.unsaved.clear();
        *self = loaded;
        Ok(())
    }

    /// Copies what the index holds to another one.
    ///
    /// # Errors
    /// Errors of either index.
    pub(crate) fn copy(from: &ReadTransaction, to: &WriteTransaction) -> Result<()> {
        copy_table(from, to, KEPT)
    }

    pub(crate) fn reset(&mut self, txn: &WriteTransaction) -> Result<()> {
        txn.delete_table(KEPT).map_err(|e| Error::index("emptying quarantine.kept", e))?;
        *self = Self::default();
        Ok(())
    }
}

fn size_of(conflict: &Conflict<'_>, payload: &Payload<'_>) -> Result<u64> {
    let properties = conflict.properties.iter().map(|(place, value)| Ok((payload.name(*place)?, *value)));
    let properties = properties.collect::<Result<Vec<_>>>()?;
    let others = [conflict.session_id, conflict.context];
    Ok(size_aside(payload.name(conflict.name)?, conflict.distinct_id, &conflict.message_id, others, properties))
}

fn encode(kept: &Kept) -> Vec<u8> {
    let mut bytes = kept.fingerprint.as_bytes().to_vec();
    bytes.extend_from_slice(&kept.content.to_le_bytes());
    bytes.extend_from_slice(&kept.bytes.to_le_bytes());
    bytes.extend_from_slice(&kept.happened.as_microsecond().to_le_bytes());
    bytes.push(u8::from(kept.settled));
    bytes
}

fn decode(bytes: &[u8]) -> Option<Kept> {
    let (fingerprint, rest) = bytes.split_first_chunk()?;
    let (content, rest) = rest.split_first_chunk()?;
    let (size, rest) = rest.split_first_chunk()?;
    let (happened, rest) = rest.split_first_chunk()?;
    let settled = match rest {
        [0] => false,
        [1] => true,
        _ => return None,
    };
    // More than fits would be turned away.
    let bytes = Some(u64::from_le_bytes(*size)).filter(|bytes| *bytes <= QUARANTINE_MAX_BYTES)?;
    let fingerprint = Fingerprint::from_bytes(*fingerprint);
    let happened = Timestamp::from_microsecond(i64::from_le_bytes(*happened));
    Some(Kept { fingerprint, content: u64::from_le_bytes(*content), bytes, happened, settled })
}

/// The event that a conflict in the log holds.
pub(crate) fn quarantined(sequence: Sequence, conflict: &Conflict<'_>, payload: &Payload<'_>) -> Result<Quarantined> {
    let properties = conflict
        .properties
        .iter()
        .map(|(place, value)| Ok((payload.name(*place)?.to_owned(), ValueRef::to_owned(*value))));
    let event = Event {
        name: payload.name(conflict.name)?.to_owned(),
        distinct_id: conflict.distinct_id.to_owned(),
        timestamp: conflict.time_sent.then(|| payload.time(conflict.time)),
        message_id: Some(conflict.message_id.to_string()),
        key: None,
        session_id: conflict.session_id.map(str::to_owned),
        properties: properties.collect::<Result<_>>()?,
        context: conflict.context.map(str::to_owned),
    };
    Ok(Quarantined { sequence, received_at: Timestamp::from_microsecond(payload.received_at), event })
}
