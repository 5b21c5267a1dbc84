//! Identity as a fold of the log.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use pugmark_store::redb::{ReadTransaction, WriteTransaction};
use pugmark_store::{
    Committed, Decision, Findings, Fold, LinkKind, Merge, Proposal, Record, Remark, Result, Sequence, SubjectId,
    Timestamp, Verdict, Verifier,
};

use crate::graph::{Graph, GraphLink, RevokedLink};
use crate::history::{Effect, History, IdentityOperation, Reason};
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
/// use pugmark_store::{
///     Asks, Committed, Decision, Fold, Link, LinkKind, Payload, Proposal, Record, Sequence, SubjectId, Verdict,
/// };
/// let mut fold = IdentityFold::new(IdentityOptions::default());
/// let (subjects, ids) = ([SubjectId::new(0), SubjectId::new(1)], ["anon-7", "user-42"]);
/// let asks = Asks::Link { kind: LinkKind::Identify, force: false, subjects: &subjects, ids: &ids };
/// let proposal = Proposal { sequence: Sequence::FIRST, asks };
/// assert_eq!(fold.judge(&proposal), Some(Decision::Link(Verdict::Linked)));
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
    /// All operations, without what became of their links.
    history: History,
    /// Operations up to this sequence are in the index.
    saved_through: u64,
    revoked_unsaved: Vec<RevokedLink>,
    reasons_unsaved: Vec<u64>,
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
        Past::new(self.persons(), links)
    }

    /// The persons of now, with what made them so.
    fn persons(&self) -> Persons {
        let history = History { revoked: self.graph.revoked().clone(), ..self.history.clone() };
        self.graph.persons().clone().with_history(history)
    }

    fn apply_record(&mut self, sequence: u64, received_at: i64, record: &Record<'_>) {
        let mut note = |effect| {
            let (sequence, received_at) = (Sequence::new(sequence), Timestamp::from_microsecond(received_at));
            self.history.operations.push(IdentityOperation { sequence, received_at, effect });
        };
        match record {
            Record::Identify(link) => {
                if self.graph.make_known(sequence, link.to) {
                    self.known_unsaved.push((link.to, sequence));
                }
                self.apply_verdict((sequence, received_at), LinkKind::Identify, link.verdict, link.from, [link.to]);
            }
            Record::Alias(link) => {
                self.apply_verdict((sequence, received_at), LinkKind::Alias, link.verdict, link.from, [link.to]);
            }
            Record::Merge(Merge { subjects, verdict, .. }) => {
                let Some((first, others)) = subjects.split_first() else { return };
                let mut others = others.to_vec();
                others.sort_unstable();
                others.dedup();
                self.apply_verdict((sequence, received_at), LinkKind::Merge, *verdict, *first, others);
            }
            Record::Split { subject } => {
                let revoked = self.graph.split(sequence, *subject);
                if !revoked.is_empty() {
                    note(Effect::Split(SubjectId::new(*subject)));
                }
                self.revoked_unsaved.extend(revoked);
            }
            Record::SplitLink { sequence: link } => {
                let revoked = self.graph.split_link(sequence, *link);
                if !revoked.is_empty() {
                    note(Effect::SplitLink(Sequence::new(*link)));
                }
                self.revoked_unsaved.extend(revoked);
            }
            Record::Remark(Remark { sequence: of, by, why, .. }) => {
                let reason = Reason { by: by.map(Arc::from), why: why.map(Arc::from) };
                Arc::make_mut(&mut self.history.reasons).insert(*of, reason);
                self.reasons_unsaved.push(*of);
            }
            _ => return,
        }
        self.published = None;
    }

    fn apply_verdict(
        &mut self,
        (sequence, received_at): (u64, i64),
        kind: LinkKind,
        verdict: Verdict,
        from: u32,
        to: impl IntoIterator<Item = u32, IntoIter: Clone>,
    ) {
        let mut others = to.into_iter().filter(|to| *to != from).peekable();
        // An id that is refused to itself is refused as well.
        let itself = others.peek().is_none().then_some(from);
        match verdict {
            Verdict::Linked => self.graph.link_all(sequence, from, others.clone()),
            Verdict::Already => return,
            Verdict::Refused(reason) => self.graph.count_refusal(reason, 1),
        }
        let (sequence, received_at) = (Sequence::new(sequence), Timestamp::from_microsecond(received_at));
        let from = SubjectId::new(from);
        for to in others.chain(itself).map(SubjectId::new) {
            let effect = match verdict {
                Verdict::Refused(reason) => Effect::Refused { kind, reason, from, to },
                Verdict::Linked | Verdict::Already => Effect::Linked { kind, from, to },
            };
            self.history.operations.push(IdentityOperation { sequence, received_at, effect });
        }
    }

    /// What would fall apart if the links of a subject were revoked: the person's subjects as they would be, one list for each person, and how many links would go.
    pub fn preview_split(&self, subject: SubjectId) -> (Vec<Vec<SubjectId>>, u64) {
        let mut graph = self.graph.clone();
        let members = graph.persons().members(graph.persons().person_of(subject));
        let links = graph.split(u64::MAX, subject.number()).len() as u64;
        let mut persons: BTreeMap<u32, Vec<SubjectId>> = BTreeMap::new();
        for member in members {
            persons.entry(graph.persons().root(member.number())).or_default().push(member);
        }
        (persons.into_values().collect(), links)
    }
}

impl Fold for IdentityFold {
    fn name(&self) -> &'static str {
        "identity"
    }

    fn version(&self) -> u32 {
        4
    }

    fn apply(&mut self, batch: &Committed<'_>) -> Result<()> {
        for (sequence, record) in (batch.first_sequence.number()..).zip(&batch.payload.records) {
            self.apply_record(sequence, batch.payload.received_at, record);
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

    fn judge(&mut self, proposal: &Proposal<'_>) -> Option<Decision> {
        Some(self.overlay.judge(&self.graph, proposal, self.options.ids_max))
    }

    fn publish(&mut self) -> Arc<dyn Any + Send + Sync> {
        let state = match self.published.take() {
            Some(state) => state,
            None => Arc::new(self.persons()),
        };
        Arc::clone(self.published.insert(state)) as Arc<dyn Any + Send + Sync>
    }

    fn checkpoint(&mut self, txn: &WriteTransaction) -> Result<()> {
        let saved = Sequence::new(self.saved_through);
        let first = self.history.operations.partition_point(|operation| operation.sequence <= saved);
        let mut through = saved;
        saved::write_operations(
            txn,
            first,
            self.history.operations.from(first).inspect(|last| through = last.sequence),
        )?;
        saved::write_revoked(txn, &self.revoked_unsaved)?;
        saved::write_known(txn, self.graph.persons().known_count(), &self.known_unsaved)?;
        let reasons = self.reasons_unsaved.iter().filter_map(|of| Some((*of, self.history.reasons.get(of)?)));
        saved::write_reasons(txn, reasons)?;
        self.saved_through = through.number();
        self.revoked_unsaved.clear();
        self.reasons_unsaved.clear();
        self.known_unsaved.clear();
        Ok(())
    }

    fn load(&mut self, txn: &ReadTransaction) -> Result<()> {
        let mut loaded = Self::new(self.options);
        saved::read_known(txn, |subject, sequence| loaded.graph.make_known(sequence, subject))?;
        let mut revoked = saved::read_revoked(txn)?;
        saved::read_operations(txn, |operation| {
            let sequence = operation.sequence.number();
            let is_first = loaded.saved_through < sequence;
            loaded.saved_through = sequence;
            loaded.history.operations.push(operation);
            match operation.effect {
                Effect::Linked { from, to, .. } => {
                    let link = GraphLink { sequence, from: from.number(), to: to.number() };
                    match revoked.remove(&link.key()) {
                        Some(at) => loaded.graph.note_revoked(RevokedLink { link, at }),
                        None => loaded.graph.link(link),
                    }
                }
                // A merge that was refused is several, and one refusal.
                Effect::Refused { reason, .. } if is_first => loaded.graph.count_refusal(reason, 1),
                Effect::Refused { .. } | Effect::Split(_) | Effect::SplitLink(_) => {}
            }
        })?;
        if let Some((sequence, from, to)) = revoked.keys().next() {
            let what = format!("the link of {sequence} from {from} to {to} was revoked but never made");
            return Err(saved::corrupt_revoked(&what));
        }
        loaded.history.reasons = Arc::new(saved::read_reasons(txn)?);
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
            let difference = |state: &IdentityFold| {
                let graph = self.replayed.graph.difference(&state.graph);
                graph.or_else(|| self.replayed.history.difference(&state.history))
            };
            if let Some(what) = state.and_then(difference) {
                found.add(format!("{place}: {what}"));
            }
        }
        Ok(())
    }
}
