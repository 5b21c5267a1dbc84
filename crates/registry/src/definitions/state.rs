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
}

impl DefinitionKind {
    /// The word that stands for it in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::Cohort => "cohort",
            Self::Question => "question",
        }
    }

    /// The kind that a word stands for; `None` for one of a later version.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Segment, Self::Cohort, Self::Question].into_iter().find(|kind| kind.name() == name)
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
}

impl Definitions {
    pub(super) fn add(&mut self, name: &str, version: Version) {
        match self.by_name.get_mut(name) {
            Some(versions) => versions.push(version),
            None => drop(self.by_name.insert(name.into(), vec![version])),
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

    /// Every name that stands for something as of a sequence, ascending, and for what.
    pub fn all(&self, through: Sequence) -> impl Iterator<Item = (&str, &Version)> {
        self.by_name.keys().filter_map(move |name| Some((&**name, self.find(name, through)?)))
    }
}
