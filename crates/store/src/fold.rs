//! The contract of everything that is derived from the log.

use std::any::Any;
use std::sync::Arc;

use redb::ReadableTable as _;

use crate::error::{Error, Result};
use crate::id::{Sequence, SubjectId};
use crate::record::{Payload, Verdict};
use crate::verify::Findings;

/// One committed batch, as every fold sees it: on the way in, on replay and on rebuild alike.
#[derive(Debug, Clone, Copy)]
pub struct Committed<'a> {
    /// The sequence of the first record; the others follow without gaps.
    pub first_sequence: Sequence,
    /// The batch.
    pub payload: &'a Payload<'a>,
}

impl Committed<'_> {
    /// The sequence of the last record; that before the first for an empty batch.
    pub fn last_sequence(&self) -> Sequence {
        Sequence::new(self.first_sequence.number() + self.payload.records.len() as u64 - 1)
    }
}

/// An identity operation before it is decided.
#[derive(Debug, Clone, Copy)]
pub struct Proposal<'a> {
    /// The sequence that it will have.
    pub sequence: Sequence,
    /// What it asks for.
    pub asks: Asks<'a>,
}

/// What an identity operation asks for.
#[derive(Debug, Clone, Copy)]
pub enum Asks<'a> {
    /// That several ids be one person.
    Link {
        /// By which rules.
        kind: LinkKind,
        /// Whether also what is kept apart.
        force: bool,
        /// The ids as subjects, at least two; of an identify first the anonymous id, then the user id.
        subjects: &'a [SubjectId],
        /// The same as text.
        ids: &'a [&'a str],
    },
    /// That every link of an id be revoked.
    Split(SubjectId),
    /// That the links of one operation be revoked.
    SplitLink(LinkOf<'a>),
}

/// The operations that link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    /// An anonymous id and the id that it became known by.
    Identify,
    /// Two ids.
    Alias,
    /// Whatever number of ids, known or not.
    Merge,
}

impl LinkKind {
    /// The word that stands for it in results.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identify => "identify",
            Self::Alias => "alias",
            Self::Merge => "merge",
        }
    }
}

/// An operation that linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkOf<'a> {
    /// The one at a sequence.
    Sequence(Sequence),
    /// The last that linked these and no others.
    Subjects(&'a [SubjectId]),
}

/// What was decided about a [`Proposal`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Whether ids become one person.
    Link(Verdict),
    /// The subjects whose links go, that of the id among them; none if no link of it stands.
    Split(Vec<SubjectId>),
    /// The operation whose links go, and the subjects that it linked; `None` if no link of it stands.
    SplitLink(Option<(Sequence, Vec<SubjectId>)>),
}

/// State derived from the log: subjects, registry, identity, columns.
///
/// A fold is a function of the log. It is applied to every batch in log order, before the batch is durable; what it
/// shows to readers is taken by [`Fold::publish`] and only shown once the batch is durable. When a write or a
/// sync fails, the store is poisoned and the state in memory is thrown away with it.
///
/// [`Fold::checkpoint`] writes the state to the index, together with the watermark that the store keeps for each fold;
/// opening calls [`Fold::load`] and then applies what the log holds past the watermark. When the version in the index
/// differs from [`Fold::version`], or the index is gone, the fold starts empty and the whole log is applied.
pub trait Fold: Any + Send {
    /// Names the fold in the index, for good.
    fn name(&self) -> &'static str;

    /// Changes when the stored state does; an older state is then rebuilt from the log.
    fn version(&self) -> u32;

    /// Takes in one batch. Batches come in order, each once.
    ///
    /// # Errors
    /// Only for damage of what the fold keeps on disk; a batch from the log is never at fault.
    fn apply(&mut self, batch: &Committed<'_>) -> Result<()>;

    /// Takes in what a base says: a record that outlived its segment, as a batch of its own. They come in order, before any batch of the log, and
    /// between their sequences are gaps, where events were that have expired.
    ///
    /// A fold that keeps identities, profiles, settings or definitions treats it as [`Fold::apply`] does; one of events alone needs none of it.
    ///
    /// # Errors
    /// As [`Fold::apply`].
    fn apply_base(&mut self, _batch: &Committed<'_>) -> Result<()> {
        Ok(())
    }

    /// Decides an identity operation against everything applied so far and everything decided since; `None` leaves it to another fold.
    ///
    /// The decision is recorded in the log with the operation, whose batch is applied next.
    fn judge(&mut self, _proposal: &Proposal<'_>) -> Option<Decision> {
        None
    }

    /// Whether it is this fold that decides on identity operations; without one they are rejected.
    fn decides(&self) -> bool {
        false
    }

    /// Whether the fold can take in more at present. While it cannot, appends wait.
    ///
    /// # Errors
    /// Why there will be no room by waiting: the appends at hand fail with it and change nothing.
    fn has_room(&self) -> Result<bool> {
        Ok(true)
    }

    /// The state as readers shall see it: immutable, cheap to take.
    fn publish(&mut self) -> Arc<dyn Any + Send + Sync>;

    /// Writes what changed since the last checkpoint into `txn`; the tables are the fold's own and begin with its name.
    ///
    /// # Errors
    /// Errors of the index, and of files that the fold writes beside it.
    fn checkpoint(&mut self, txn: &redb::WriteTransaction) -> Result<()>;

    /// How far the log need not be applied again after a [`Fold::load`] of the checkpoint being written; `applied` is the last
    /// sequence applied. A fold that keeps part of its state only in memory answers with less.
    fn watermark(&self, applied: Sequence) -> Sequence {
        applied
    }

    /// Reads the state of the last checkpoint.
    ///
    /// # Errors
    /// Errors of the index, and [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) for a state that does not decode: the store then resets the fold
    /// and replays the log.
    fn load(&mut self, txn: &redb::ReadTransaction) -> Result<()>;

    /// Begins a comparison with the log, of what the fold holds and, where `index` is given, of what it has written there too: that is then as new as the log.
    /// `None` for a fold that knows none.
    ///
    /// # Errors
    /// Errors of the index; [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) for a state that does not load is a finding.
    fn verifier<'a>(&'a self, _index: Option<&redb::ReadTransaction>) -> Result<Option<Box<dyn Verifier + 'a>>> {
        Ok(None)
    }

    /// Forgets everything: in memory, in the fold's tables, in its files.
    ///
    /// # Errors
    /// Errors of the index and of files.
    fn reset(&mut self, txn: &redb::WriteTransaction) -> Result<()>;

    /// An empty fold with the same options, to be built beside this one from the log and to take its place.
    fn fresh(&self) -> Box<dyn Fold>;

    /// Takes the place of `before`, of the same type, whose tables are still those in `txn`: empties them, and takes over what lives on, such as
    /// the ties to a thread. [`Fold::checkpoint`] follows in the same transaction.
    ///
    /// # Errors
    /// Errors of the index.
    fn succeed(&mut self, before: &mut dyn Fold, txn: &redb::WriteTransaction) -> Result<()> {
        before.reset(txn)
    }

    /// The fold that took this one's place is durable: files that only this one names can go, each with its last reader.
    fn retire(&mut self) {}

    /// Copies the fold's tables, as they stand in the index, to another one: an erasure leaves the old file with whatever its free pages hold.
    /// [`copy_table`] does it for one table.
    ///
    /// # Errors
    /// Errors of either index.
    fn copy(&self, from: &redb::ReadTransaction, to: &redb::WriteTransaction) -> Result<()>;
}

/// Copies all rows of a table; one that was never written is passed over.
///
/// # Errors
/// Errors of either index.
pub fn copy_table<K: redb::Key + 'static, V: redb::Value + 'static>(
    from: &redb::ReadTransaction,
    to: &redb::WriteTransaction,
    definition: redb::TableDefinition<'_, K, V>,
) -> Result<()> {
    let table = match from.open_table(definition) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
        Err(e) => return Err(Error::index("opening a table to copy it", e)),
    };
    let mut copy = to.open_table(definition).map_err(|e| Error::index("opening a table to copy to", e))?;
    for row in table.iter().map_err(|e| Error::index("reading a table to copy it", e))? {
        let (key, value) = row.map_err(|e| Error::index("reading a table to copy it", e))?;
        copy.insert(key.value(), value.value()).map_err(|e| Error::index("copying a table", e))?;
    }
    Ok(())
}

/// Compares what a fold holds with what the log says.
pub trait Verifier {
    /// Takes in one batch. They come in order, from the first of the log.
    ///
    /// # Errors
    /// As [`Fold::apply`]; [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) is a finding, and ends this comparison.
    fn apply(&mut self, batch: &Committed<'_>, found: &mut Findings<'_>) -> Result<()>;

    /// Takes in what a base says, as [`Fold::apply_base`] does.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    fn apply_base(&mut self, batch: &Committed<'_>, found: &mut Findings<'_>) -> Result<()> {
        self.apply(batch, found)
    }

    /// The log has ended: what differs now is wrong.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    fn finish(&mut self, found: &mut Findings<'_>) -> Result<()>;
}
