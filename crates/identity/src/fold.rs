//! Identity as a fold of the log.

use std::any::Any;
use std::sync::Arc;

use pugmark_store::redb::{ReadTransaction, WriteTransaction};
use pugmark_store::{Committed, Findings, Fold, Merge, Proposal, Record, Refusal, Result, Sequence, Verdict, Verifier};

use crate::graph::{Graph, GraphLink, RevokedLink};
use crate::overlay::Overlay;
use crate::past::Past;
use crate::persons::Persons;
use crate::saved;

/// The rules of identity that can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdentityOptions {
    /// Most ids of one person; a link beyond it is refused as `too_many_ids`. 10,000 by default.
    ///
    /// Verdicts that were given keep standing when it changes.
    pub ids_max: u32,
}

impl Default for IdentityOptions {
    fn default() -> Self {
        Self { ids_max: 10_000 }
    }
}

/// Decides identity operations, keeps their links, and publishes [`Persons`].
///
/// A verdict is given once, by [`judge`](Fold::judge); applying the log follows the recorded verdicts and judges
/// nothing, so that a replay gives the same persons whatever the rules are by then.
///
/// # Example
/// ```
/// use pugmark_identity::{IdentityFold, IdentityOptions, Persons};
/// use pugmark_store::{Committed, Fold, Link, Payload, Proposal, Record, Sequence, SubjectId, Verdict};
/// let mut fold = IdentityFold::new(IdentityOptions::default());
/// let proposal = Proposal {
///     sequence: Sequence::FIRST,
///     identify: true,
///     from: SubjectId::new(0),
///     to: SubjectId::new(1),
///     from_id: "anon-7",
///     to_id: "user-42",
/// };
/// assert_eq!(fold.judge(&proposal), Some(Verdict::Linked));
/// let payload = Payload {
///     received_at: 0,
///     import: None,
///     base_time: 0,
///     names: vec![],
///     subjects: vec![],
///     records: vec![Record::Identify(Link { from: 0, to: 1, force: false, verdict: Verdict::Linked })],
/// };
/// fold.apply(&Committed { first_sequence: Sequence::FIRST, payload: &payload })?;
/// let persons = fold.publish().downcast::<Persons>().expect("persons");
/// let person = persons.person_of(SubjectId::new(1));
/// assert_eq!(person.number(), 0);
/// assert_eq!(persons.name_subject(person), SubjectId::new(1));
/// # Ok::<(), pugmark_store::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct IdentityFold {
    options: IdentityOptions,
    graph: Graph,
    overlay: Overlay,
    /// What was published last, until something changes.
    published: Option<Arc<Persons>>,
    /// Links made up to this sequence are in the index.
    saved_through: u64,
    revoked_unsaved: Vec<RevokedLink>,
    /// With the sequences at which they became known.
    known_unsaved: Vec<(u32, u64)>,
}

impl IdentityFold {
    /// Everybody is a person of their own.
    pub fn new(options: IdentityOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// What an earlier sequence is made of: who was who then, links revoked since included. It copies 16 bytes for each link.
    pub fn past(&self, sequence: Sequence) -> Past {
        let links = self.graph.at(sequence.number());
        Past::new(self.graph.persons().clone(), links)
    }

    fn apply_record(&mut self, sequence: u64, record: &Record<'_>) {
        match record {
            Record::Identify(link) => {
                if self.graph.make_known(sequence, link.to) {
                    self.known_unsaved.push((link.to, sequence));
                }
                self.apply_verdict(sequence, link.verdict, link.from, [link.to]);
            }
            Record::Alias(link) => self.apply_verdict(sequence, link.verdict, link.from, [link.to]),
            Record::Merge(Merge { subjects, verdict, .. }) => {
                let Some((first, others)) = subjects.split_first() else { return };
                let mut others = others.to_vec();
                others.sort_unstable();
                others.dedup();
                self.apply_verdict(sequence, *verdict, *first, others);
            }
            Record::Split { subject } => self.revoked_unsaved.extend(self.graph.split(sequence, *subject)),
            Record::SplitLink { sequence: link } => self.revoked_unsaved.extend(self.graph.split_link(sequence, *link)),
            _ => return,
        }
        self.published = None;
    }

    fn apply_verdict(&mut self, sequence: u64, verdict: Verdict, from: u32, to: impl IntoIterator<Item = u32>) {
        match verdict {
            Verdict::Linked => {
                for to in to.into_iter().filter(|to| *to != from) {
                    self.graph.link(GraphLink { sequence, from, to });
                }
            }
            Verdict::Already => {}
            Verdict::Refused(reason) => self.graph.count_refusal(reason, 1),
        }
    }
}

impl Fold for IdentityFold {
    fn name(&self) -> &'static str {
        "identity"
    }

    fn version(&self) -> u32 {
        2
    }

    fn apply(&mut self, batch: &Committed<'_>) -> Result<()> {
        for (sequence, record) in (batch.first_sequence.number()..).zip(&batch.payload.records) {
            self.apply_record(sequence, record);
        }
        self.overlay.applied_through(&self.graph, batch.last_sequence().number());
        Ok(())
    }

    fn apply_base(&mut self, batch: &Committed<'_>) -> Result<()> {
        self.apply(batch)
    }

    fn decides(&self) -> bool {
        true
    }

    fn judge(&mut self, proposal: &Proposal<'_>) -> Option<Verdict> {
        Some(self.overlay.judge(&self.graph, proposal, self.options.ids_max))
    }

    fn publish(&mut self) -> Arc<dyn Any + Send + Sync> {
        let state = self.published.get_or_insert_with(|| Arc::new(self.graph.persons().clone()));
        Arc::clone(state) as Arc<dyn Any + Send + Sync>
    }

    fn checkpoint(&mut self, txn: &WriteTransaction) -> Result<()> {
        let standing = self.graph.links_after(self.saved_through);
        let through = standing.last().map_or(self.saved_through, |link| link.sequence);
        saved::write_links(txn, standing, &self.revoked_unsaved)?;
        saved::write_known(txn, self.graph.persons().known_count(), &self.known_unsaved)?;
        saved::write_refusals(txn, self.graph.persons().refusals())?;
        self.saved_through = through;
        self.revoked_unsaved.clear();
        self.known_unsaved.clear();
        Ok(())
    }

    fn load(&mut self, txn: &ReadTransaction) -> Result<()> {
        let mut loaded = Self::new(self.options);
        saved::read_known(txn, |subject, sequence| loaded.graph.make_known(sequence, subject))?;
        saved::read_links(txn, |link, revoked_at| {
            loaded.saved_through = link.sequence;
            match revoked_at {
                Some(at) => loaded.graph.note_revoked(RevokedLink { link, at }),
                None => loaded.graph.link(link),
            }
        })?;
        saved::read_refusals(txn, |reason: Refusal, times| loaded.graph.count_refusal(reason, times))?;
        *self = loaded;
        Ok(())
    }

    fn fresh(&self) -> Box<dyn Fold> {
        Box::new(Self::new(self.options))
    }

    fn copy(&self, from: &ReadTransaction, to: &WriteTransaction) -> Result<()> {
        saved::copy(from, to)
    }

    fn verifier<'a>(&'a self, index: Option<&ReadTransaction>) -> Result<Option<Box<dyn Verifier + 'a>>> {
        let stored = match index {
            Some(index) => {
                let mut stored = Self::new(self.options);
                stored.load(index)?;
                Some(stored)
            }
            None => None,
        };
        Ok(Some(Box::new(IdentityVerifier { live: self, stored, replayed: Self::new(self.options) })))
    }

    fn reset(&mut self, txn: &WriteTransaction) -> Result<()> {
        saved::delete(txn)?;
        *self = Self::new(self.options);
        Ok(())
    }
}

/// Compares who is who with what the log alone says.
struct IdentityVerifier<'a> {
    live: &'a IdentityFold,
    stored: Option<IdentityFold>,
    replayed: IdentityFold,
}

impl Verifier for IdentityVerifier<'_> {
    fn apply(&mut self, batch: &Committed<'_>, _found: &mut Findings<'_>) -> Result<()> {
        self.replayed.apply(batch)
    }

    fn finish(&mut self, found: &mut Findings<'_>) -> Result<()> {
        for (place, state) in [("in memory", Some(self.live)), ("index.redb", self.stored.as_ref())] {
            if let Some(what) = state.and_then(|state| self.replayed.graph.difference(&state.graph)) {
                found.add(format!("{place}: {what}"));
            }
        }
        Ok(())
    }
}
