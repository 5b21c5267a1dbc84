//! Names in questions: what is saved under them is put in their place.

use std::borrow::Cow;

use pugmark_registry::{DefinitionKind, Definitions, Version};
use pugmark_store::{Sequence, SubjectId};

use super::definition::{Definition, Saved};
use crate::error::{Error, Result};
use crate::spec::{Analysis, Breakdown, MAX_SEGMENT_SELECTORS, Place, Query, Scope, Segment};

/// What stands under which name as of a sequence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names<'a> {
    pub(crate) definitions: &'a Definitions,
    pub(crate) through: Sequence,
}

const ALL: [DefinitionKind; 3] = [DefinitionKind::Question, DefinitionKind::Segment, DefinitionKind::Cohort];

impl<'a> Names<'a> {
    /// The version that stands under a name.
    pub(crate) fn version(&self, name: &str) -> Result<&'a Version> {
        self.version_of(name, &ALL)
    }

    /// As [`version`](Self::version); only names of such kinds are nearest.
    fn version_of(&self, name: &str, kinds: &[DefinitionKind]) -> Result<&'a Version> {
        self.definitions.find(name, self.through).ok_or_else(|| {
            let known = self.definitions.all(self.through).filter(|(_, version)| kinds.contains(&version.kind));
            let nearest = pugmark_registry::nearest(name, known.map(|(name, _)| name));
            let message = format!("no {} is saved as \"{name}\"", words(kinds));
            Error::invalid(message).nearest_names(nearest)
        })
    }

    /// What is saved under a name.
    fn find(&self, name: &str, kinds: &[DefinitionKind]) -> Result<Saved> {
        let version = self.version_of(name, kinds)?;
        if !kinds.contains(&version.kind) {
            let message = format!("\"{name}\" is a {}, and no {}", version.kind, words(kinds));
            return Err(Error::invalid(message));
        }
        let body = version.body.as_deref().unwrap_or_default();
        Ok(Definition::from_body(name, body).map_err(|error| Error::from(error).within(name))?.saved)
    }

    /// The subjects of a cohort.
    pub(crate) fn cohort(&self, name: &str) -> Result<Vec<SubjectId>> {
        match self.find(name, &[DefinitionKind::Cohort])? {
            Saved::Cohort(subjects) => Ok(subjects),
            Saved::Segment(_) | Saved::Question(_) => Err(misnamed(name)),
        }
    }

    /// The question that a name stands for: one that is saved, or who is in a segment.
    pub(crate) fn question(&self, name: &str) -> Result<Query> {
        Ok(match self.find(name, &ALL)? {
            Saved::Question(query) => *query,
            Saved::Segment(_) => crate::audience::Audience::of(Segment::Named(name.to_owned())).into(),
            Saved::Cohort(_) => crate::audience::Audience::of(Segment::Cohort(name.to_owned())).into(),
        })
    }

    /// The question with what its names stand for.
    pub(crate) fn resolve<'q>(&self, query: &'q Query) -> Result<Cow<'q, Query>> {
        if !query.analysis.scope().has_names() {
            return Ok(Cow::Borrowed(query));
        }
        let mut query = query.clone();
        let is_audience = matches!(query.analysis, Analysis::Audience(_));
        let place = if is_audience { Place::root("") } else { Place::root("").child("segment") };
        self.scope(query.analysis.scope_mut(), &place, &mut Vec::new())?;
        Ok(Cow::Owned(query))
    }

    /// Whether a definition can be put in the place of its name.
    pub(crate) fn check(&self, definition: &Definition) -> Result<()> {
        let mut within = vec![definition.name.clone()];
        match &definition.saved {
            Saved::Segment(segment) => {
                let place = Place::root("").child("segment");
                segment.check(&place)?;
                self.segment(&mut segment.clone(), &place, &mut within)
            }
            Saved::Question(query) => {
                crate::analysis::validate(query)?;
                self.resolve(query).map(drop)
            }
            Saved::Cohort(_) => Ok(()),
        }
    }

    fn scope(&self, scope: &mut Scope, place: &Place, within: &mut Vec<String>) -> Result<()> {
        if let Some(segment) = &mut scope.segment {
            self.segment(segment, place, within)?;
        }
        for (at, named) in scope.segments.iter_mut().enumerate() {
            // It keeps the name that it was asked by.
            named.name = named.title().map(str::to_owned);
            self.segment(&mut named.segment, &place.item(at), within)?;
        }
        for (at, item) in scope.breakdown.iter_mut().enumerate() {
            let title = item.title().to_owned();
            if let Breakdown::Segment(of) = item {
                of.name = Some(title);
                let place = Place::root("").child("breakdown").item(at).child("segment");
                self.segment(&mut of.segment, &place, within)?;
            }
        }
        Ok(())
    }

    /// `within` are the names that lead here.
    fn segment(&self, segment: &mut Segment, place: &Place, within: &mut Vec<String>) -> Result<()> {
        match segment {
            Segment::All(parts) | Segment::Any(parts) => {
                for part in parts {
                    self.segment(part, place, within)?;
                }
            }
            Segment::Not(part) => self.segment(part, place, within)?,
            Segment::Profile(_) | Segment::Did(_) | Segment::AtEnd(_) => {}
            Segment::Funnel(of) => self.scope(&mut of.funnel.scope, place, within)?,
            Segment::Retention(of) => self.scope(&mut of.retention.scope, place, within)?,
            Segment::Cohort(name) => drop(self.cohort(name).map_err(|error| error.on(place.path()))?),
            Segment::Named(name) => {
                let name = name.clone();
                if within.contains(&name) {
                    let chain = within.iter().chain([&name]).map(|name| format!("\"{name}\""));
                    let chain = chain.collect::<Vec<_>>().join(" asks ");
                    return Err(Error::invalid(format!("a segment is made of itself: {chain}")).on(place.path()));
                }
                let kinds = [DefinitionKind::Segment, DefinitionKind::Cohort];
                *segment = match self.find(&name, &kinds).map_err(|error| error.on(place.path()))? {
                    Saved::Segment(mut saved) => {
                        within.push(name);
                        self.segment(&mut saved, place, within)?;
                        within.pop();
                        saved
                    }
                    Saved::Cohort(_) => Segment::Cohort(name),
                    Saved::Question(_) => return Err(misnamed(&name)),
                };
            }
        }
        // What is put together of many names is refused before it grows without bound.
        if segment.weight() > MAX_SEGMENT_SELECTORS {
            segment.check(place)?;
        }
        Ok(())
    }
}

fn words(kinds: &[DefinitionKind]) -> String {
    kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" or ")
}

fn misnamed(name: &str) -> Error {
    Error::new(crate::ErrorKind::Corrupt, format!("the definition \"{name}\" is of another kind than its record says"))
}
