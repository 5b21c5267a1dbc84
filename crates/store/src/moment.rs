//! What a store knew when a record was written.

use crate::error::{Error, ErrorKind, Result};
use crate::id::Sequence;
use crate::record::{EventRecord, Link, Payload, Record};
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::time::Timestamp;

/// When a record was received, and who was known by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// When the store received it.
    pub received_at: Timestamp,
    /// How many subjects there were, it included: those with a lower number.
    pub subject_count: u32,
}

impl Store {
    /// The moment of the record at `sequence`, of a store that stands as `snapshot` says.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a sequence that the snapshot does not have, from 1 to its last, or whose segment has expired; errors of reading the log.
    ///
    /// # Example
    /// ```
    /// use pugmark_store::{Event, Options, Sequence, Store};
    /// # let dir = tempfile::tempdir()?;
    /// let store = Store::open(dir.path(), Options::default(), vec![])?;
    /// store.append(vec![Event::new("view", "ann").into(), Event::new("view", "bob").into()])?;
    /// assert_eq!(store.moment(&store.snapshot(), Sequence::FIRST)?.subject_count, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn moment(&self, snapshot: &Snapshot, sequence: Sequence) -> Result<Moment> {
        let last = snapshot.sequence();
        if sequence < Sequence::FIRST || sequence > last {
            let message = format!("sequence {sequence} is not one of this store, which has those from 1 to {last}");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let mut received_at = None;
        let mut known = None;
        for frame in self.scan(sequence)? {
            let frame = frame?;
            let (payload, first) = (frame.payload()?, frame.first_sequence());
            if received_at.is_none() {
                if first > sequence {
                    let message = format!("sequence {sequence} has expired: the log begins with {first}");
                    return Err(Error::new(ErrorKind::Invalid, message));
                }
                received_at = Some(Timestamp::from_microsecond(payload.received_at));
                let through = usize::try_from(sequence.number() - first.number()).unwrap_or(usize::MAX);
                known = known_through(&payload, through);
            } else if let Some(subject) = payload.subjects.first() {
                // Numbers are dense: those below the next new one were there before.
                known = Some(subject.subject);
            }
            if known.is_some() || first > last {
                break;
            }
        }
        let received_at = received_at.ok_or_else(|| Error::corrupt("log", format!("no frame holds {sequence}")))?;
        Ok(Moment { received_at, subject_count: known.unwrap_or_else(|| snapshot.subject_count()) })
    }
}

/// How many subjects there are after the record at `through`; `None` for a batch that introduces none.
fn known_through(payload: &Payload<'_>, through: usize) -> Option<u32> {
    let first = payload.subjects.first()?.subject;
    let seen = payload.records.iter().take(through.saturating_add(1)).filter_map(newest).max();
    Some(seen.map_or(first, |newest| first.max(newest + 1)))
}

/// The largest number among the subjects that a record is about.
fn newest(record: &Record<'_>) -> Option<u32> {
    match record {
        Record::Event(EventRecord { subject, .. }) | Record::Split { subject } => Some(*subject),
        Record::Identify(Link { from, to, .. }) | Record::Alias(Link { from, to, .. }) => Some(*from.max(to)),
        Record::Merge(merge) => merge.subjects.iter().copied().max(),
        Record::Profile(profile) => Some(profile.subject),
        _ => None,
    }
}
