//! The answers to one question about several segments, side by side.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use super::QueryResult;
use crate::spec::Header;

/// The answers to one question about several segments; prints one after the other and serialises as `docs/semantics.md`, section 6, says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SideBySide {
    /// What every answer says first.
    #[serde(flatten)]
    pub header: Header,
    /// The answer of each segment, in the order of the question.
    pub segments: Vec<OfSegment>,
}

/// The answer about one of several segments.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OfSegment {
    /// What the question calls it, the name under which it is saved, or its place from 1.
    pub segment: String,
    /// The whole answer.
    #[cfg_attr(feature = "openapi", schema(no_recursion))]
    pub answer: QueryResult,
}

impl SideBySide {
    /// Of the answers to one question, at least one.
    pub(super) fn of(segments: Vec<OfSegment>) -> Self {
        let mut headers = segments.iter().map(|of| of.answer.header().clone());
        let first = headers.next().expect("invariant: a list of segments is not empty");
        let mut header = headers.fold(Header { explain: None, ..first }, |mut all, one| {
            all.warnings.extend(one.warnings);
            all
        });
        header.warnings.sort_unstable();
        header.warnings.dedup();
        Self { header, segments }
    }

    /// Headings and flat rows: those of each answer, with the segment before them.
    pub fn to_table(&self) -> (Vec<String>, Vec<Vec<Value>>) {
        let (mut headings, mut all) = (vec!["segment".to_owned()], Vec::new());
        for OfSegment { segment, answer } in &self.segments {
            let (own, rows) = answer.to_table();
            headings.truncate(1);
            headings.extend(own);
            all.extend(rows.into_iter().map(|row| [json!(segment)].into_iter().chain(row).collect()));
        }
        (headings, all)
    }
}

impl fmt::Display for SideBySide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, OfSegment { segment, answer }) in self.segments.iter().enumerate() {
            let space = if at == 0 { "" } else { "\n" };
            write!(f, "{space}{segment}\n\n{answer}")?;
        }
        Ok(())
    }
}
