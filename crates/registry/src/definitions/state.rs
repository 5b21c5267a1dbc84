//! What is saved under which name, in all its versions.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use pugmark_store::{Sequence, Timestamp};

/// What is saved under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DefinitionKind {
    /// People by a rule, found anew by every question.
    Segment,
    /// People who were told once, and stay.
    Cohort,
    /// A question.
    Question,
    /// A change of the profile of a group, such as a company: its name is that of the property, `=`, and the value.
    Group,
    /// Of how many distinct ids events are stored from here on, in the body of a definition that stands for nothing else.
    Sampling,
}

impl DefinitionKind {
    const ALL: [Self; 5] = [Self::Segment, Self::Cohort, Self::Question, Self::Group, Self::Sampling];

    /// The word that stands for it in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::Cohort => "cohort",
            Self::Question => "question",
            Self::Group => "group",
            Self::Sampling => "sampling",
        }
    }

    /// The kind that a word stands for; `None` for one of a later version.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for DefinitionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a name stood for from one sequence on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The sequence from which on.
    pub sequence: Sequence,
    /// When the store received it.
    pub received_at: Timestamp,
    /// What it is.
    pub kind: DefinitionKind,
    /// Its number, from 1.
    pub version: u32,
    /// It in JSON; `None` where it was removed.
    pub body: Option<Arc<str>>,
}

/// Under which name it is said what sampling there is.
pub const SAMPLING: &str = "events";

/// Everything that was ever saved, by name and in order.
///
/// # Example
/// ```
/// use pugmark_registry::{DefinitionFold, Definitions};
/// use pugmark_store::{Committed, Definition, Fold, Payload, Record, Sequence};
/// let define = |version, body| Record::Definition(Definition { kind: "segment", name: "payers", version, body });
/// let payload = Payload {
///     received_at: 0,
///     import: None,
///     base_time: 0,
///     names: vec![],
///     subjects: vec![],
///     records: vec![define(1, Some("{}")), define(2, None)],
/// };
/// let mut fold = DefinitionFold::default();
/// fold.apply(&Committed { first_sequence: Sequence::FIRST, payload: &payload })?;
/// let definitions = fold.publish().downcast::<Definitions>().expect("definitions");
/// assert_eq!(definitions.find("payers", Sequence::new(1)).map(|found| found.version), Some(1));
/// assert_eq!(definitions.find("payers", Sequence::new(2)), None);
/// # Ok::<(), pugmark_store::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Definitions {
    pub(super) by_name: BTreeMap<Arc<str>, Vec<Version>>,
    /// The changes of profiles of groups, whose names stand for nothing else.
    pub(super) groups: BTreeMap<Arc<str>, Arc<Vec<Version>>>,
    pub(super) sampling: Vec<Version>,
}

impl Definitions {
    pub(super) fn add(&mut self, name: &str, version: Version) {
        match version.kind {
            DefinitionKind::Group => match self.groups.get_mut(name) {
                Some(changes) => Arc::make_mut(changes).push(version),
                None => drop(self.groups.insert(name.into(), Arc::new(vec![version]))),
            },
            DefinitionKind::Sampling => self.sampling.push(version),
            DefinitionKind::Segment | DefinitionKind::Cohort | DefinitionKind::Question => {
                match self.by_name.get_mut(name) {
                    Some(versions) => versions.push(version),
                    None => drop(self.by_name.insert(name.into(), vec![version])),
                }
            }
        }
    }

    /// What a name last stood for as of a sequence, also where that was removed.
    pub fn last(&self, name: &str, through: Sequence) -> Option<&Version> {
        let versions = self.by_name.get(name)?;
        let known = versions.partition_point(|version| version.sequence <= through);
        versions.get(known.checked_sub(1)?)
    }

    /// What a name stands for as of a sequence.
    pub fn find(&self, name: &str, through: Sequence) -> Option<&Version> {
        self.last(name, through).filter(|version| version.body.is_some())
    }

    /// Every name, also of groups and of the sampling, with its versions.
    pub(super) fn everything(&self) -> impl Iterator<Item = (&str, &[Version])> {
        let groups = self.groups.iter().map(|(name, changes)| (&**name, changes.as_slice()));
        let sampling = (!self.sampling.is_empty()).then_some((SAMPLING, self.sampling.as_slice()));
        self.by_name.iter().map(|(name, versions)| (&**name, versions.as_slice())).chain(groups).chain(sampling)
    }

    /// What was said of the sampling of events as of a sequence, in order.
    pub fn sampling(&self, through: Sequence) -> &[Version] {
        known(&self.sampling, through)
    }

    /// The changes of a group's profile as of a sequence, in order; none of a group that has no profile.
    pub fn group(&self, property: &str, value: &str, through: Sequence) -> &[Version] {
        let is_one = !property.contains('=');
        let changes = self.groups.get(group_name(property, value).as_str()).filter(|_| is_one);
        changes.map_or(&[], |changes| known(changes, through))
    }

    /// The groups with a profile as of a sequence: those of a property, or of all, each property's together and ascending, with the changes of each.
    pub fn groups<'a>(
        &'a self,
        property: Option<&str>,
        through: Sequence,
    ) -> impl Iterator<Item = (&'a str, &'a str, &'a [Version])> + 'a {
        let prefix = property.map(|property| group_name(property, "")).unwrap_or_default();
        let from: Arc<str> = prefix.as_str().into();
        let asked = property.map(str::to_owned);
        let all = self.groups.range(from..).take_while(move |(name, _)| name.starts_with(&prefix));
        all.filter_map(move |(name, changes)| {
            let (property, value) = name.split_once('=')?;
            if asked.as_ref().is_some_and(|asked| asked != property) {
                return None;
            }
            let changes = known(changes, through);
            (!changes.is_empty()).then_some((property, value, changes))
        })
    }

    /// Every name that stands for something as of a sequence, ascending, and for what.
    pub fn all(&self, through: Sequence) -> impl Iterator<Item = (&str, &Version)> {
        self.by_name.keys().filter_map(move |name| Some((&**name, self.find(name, through)?)))
    }
}

fn known(versions: &[Version], through: Sequence) -> &[Version] {
    versions.get(..versions.partition_point(|version| version.sequence <= through)).unwrap_or_default()
}

/// The name under which the profile of a group is kept. The property has no `=` in its name.
pub fn group_name(property: &str, value: &str) -> String {
    format!("{property}={value}")
}
