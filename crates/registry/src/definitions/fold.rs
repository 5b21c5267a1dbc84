//! Definitions as a fold of the log.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use pugmark_store::redb::{ReadTransaction, WriteTransaction};
use pugmark_store::{Committed, Definition, Findings, Fold, Record, Result, Sequence, Timestamp, Verifier};

use super::saved;
use super::state::{DefinitionKind, Definitions, Version};

/// Keeps every version of what is saved under a name, and publishes [`Definitions`].
///
/// A definition of a kind that a later version of pugmark knows is passed over.
#[derive(Debug, Default)]
pub struct DefinitionFold {
    state: Arc<Definitions>,
    /// What the index does not have yet.
    unsaved: Vec<(Arc<str>, Version)>,
}

impl DefinitionFold {
    fn apply_all(&mut self, batch: &Committed<'_>, keep: bool) {
        for (place, record) in (0_u64..).zip(&batch.payload.records) {
            let Record::Definition(Definition { kind, name, version, body }) = record else { continue };
            let Some(kind) = DefinitionKind::named(kind) else { continue };
            let version = Version {
                sequence: Sequence::new(batch.first_sequence.number() + place),
                received_at: Timestamp::from_microsecond(batch.payload.received_at),
                kind,
                version: *version,
                body: body.map(Arc::from),
            };
            if keep {
                self.unsaved.push((Arc::from(*name), version.clone()));
            }
            Arc::make_mut(&mut self.state).add(name, version);
        }
    }
}

impl Fold for DefinitionFold {
    fn name(&self) -> &'static str {
        "definitions"
    }

    fn version(&self) -> u32 {
        1
    }

    fn apply(&mut self, batch: &Committed<'_>) -> Result<()> {
        self.apply_all(batch, true);
        Ok(())
    }

    fn apply_base(&mut self, batch: &Committed<'_>) -> Result<()> {
        self.apply(batch)
    }

    fn publish(&mut self) -> Arc<dyn Any + Send + Sync> {
        Arc::clone(&self.state) as Arc<dyn Any + Send + Sync>
    }

    fn checkpoint(&mut self, txn: &WriteTransaction) -> Result<()> {
        saved::write(txn, &self.unsaved)?;
        self.unsaved = Vec::new();
        Ok(())
    }

    fn load(&mut self, txn: &ReadTransaction) -> Result<()> {
        let mut loaded = Definitions::default();
        saved::read(txn, |name, version| loaded.add(name, version))?;
        *self = Self { state: Arc::new(loaded), unsaved: Vec::new() };
        Ok(())
    }

    fn fresh(&self) -> Box<dyn Fold> {
        Box::new(Self::default())
    }

    fn copy(&self, from: &ReadTransaction, to: &WriteTransaction) -> Result<()> {
        saved::copy(from, to)
    }

    fn verifier<'a>(&'a self, index: Option<&ReadTransaction>) -> Result<Option<Box<dyn Verifier + 'a>>> {
        let mut stored = None;
        if let Some(index) = index {
            stored.insert(Self::default()).load(index)?;
        }
        Ok(Some(Box::new(DefinitionVerifier { live: self, stored, replayed: Self::default() })))
    }

    fn reset(&mut self, txn: &WriteTransaction) -> Result<()> {
        saved::delete(txn)?;
        *self = Self::default();
        Ok(())
    }
}

/// By name; a group, the sampling and something else may have one name.
fn versions_of(state: &Definitions) -> BTreeMap<(Option<DefinitionKind>, &str), &[Version]> {
    let apart = |versions: &[Version]| {
        let kind = versions.first().map(|first| first.kind);
        kind.filter(|kind| matches!(kind, DefinitionKind::Group | DefinitionKind::Sampling))
    };
    state.everything().map(|(name, versions)| ((apart(versions), name), versions)).collect()
}

/// Compares definitions with what the log alone says.
struct DefinitionVerifier<'a> {
    live: &'a DefinitionFold,
    stored: Option<DefinitionFold>,
    replayed: DefinitionFold,
}

impl Verifier for DefinitionVerifier<'_> {
    fn apply(&mut self, batch: &Committed<'_>, _found: &mut Findings<'_>) -> Result<()> {
        self.replayed.apply_all(batch, false);
        Ok(())
    }

    fn finish(&mut self, found: &mut Findings<'_>) -> Result<()> {
        let expected = versions_of(&self.replayed.state);
        for (place, state) in [("in memory", Some(self.live)), ("index.redb", self.stored.as_ref())] {
            let Some(DefinitionFold { state, .. }) = state else { continue };
            let held = versions_of(state);
            let names = held.keys().chain(expected.keys().filter(|name| !held.contains_key(*name)));
            for name in names.filter(|name| held.get(*name) != expected.get(*name)) {
                let count = |versions: Option<&&[Version]>| versions.map_or(0, |versions| versions.len());
                let (held, logged, (_, name)) = (count(held.get(name)), count(expected.get(name)), name);
                found.add(match held == logged {
                    true => format!("{place}: a version of the definition \"{name}\" is another than the log says"),
                    false => {
                        format!("{place}: {held} versions of the definition \"{name}\" but the log has {logged}")
                    }
                });
            }
        }
        Ok(())
    }
}
