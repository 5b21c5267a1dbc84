//! What a verification found.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};
use crate::id::Sequence;

/// Findings of one part that are told one by one; the others are counted.
const TOLD_MOST: usize = 20;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is of: `log`, or a part of what is derived (`subjects`, `ids`, `quarantine`, `positions`, or the name of a fold).
    pub part: String,
    /// The place, what was found there and what was expected.
    pub message: String,
    /// Of damage to the log: the first and the last sequence that cannot be read any more.
    pub lost: Option<(Sequence, Sequence)>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.part, self.message)?;
        match self.lost {
            Some((first, last)) if first == last => write!(f, "; sequence {first} is lost"),
            Some((first, last)) => write!(f, "; sequences {first} to {last} are lost"),
            None => Ok(()),
        }
    }
}

/// How far a verification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Records of the log that have been compared.
    pub records: u64,
    /// How many there are.
    pub of: u64,
}

/// What there is in the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogReport {
    /// Segments that were read.
    pub segments: u64,
    /// Whole frames.
    pub frames: u64,
    /// Their records.
    pub records: u64,
    /// Bytes of the segments.
    pub bytes: u64,
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// The log.
    pub log: LogReport,
    /// What is wrong, the log first.
    pub findings: Vec<Finding>,
    /// Findings that are counted only, because their part has many.
    pub more: u64,
    /// Parts that were compared with the log.
    pub checked: Vec<String>,
    /// Parts that could not be: the log is damaged, a removal is not complete, or the fold knows no comparison.
    pub unchecked: Vec<String>,
    /// Parts that will be derived again by the next open, because repair was asked for.
    pub to_rebuild: Vec<String>,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Nothing can be said of parts but those that `keeps`.
    pub(super) fn give_up(&mut self, keeps: impl Fn(&str) -> bool) {
        let (kept, given_up) = self.checked.drain(..).partition(|part| keeps(part));
        self.checked = kept;
        self.unchecked.extend::<Vec<String>>(given_up);
        self.findings.retain(|finding| keeps(&finding.part));
        self.more = 0;
    }

    /// Whether the log, which cannot be derived again, is damaged.
    pub fn is_log_damaged(&self) -> bool {
        self.findings.iter().any(|finding| finding.part == "log")
    }
}

/// Takes findings of one part.
#[derive(Debug)]
pub struct Findings<'a> {
    report: &'a mut VerifyReport,
    part: &'a str,
}

impl<'a> Findings<'a> {
    pub(crate) fn of(report: &'a mut VerifyReport, part: &'a str) -> Self {
        Self { report, part }
    }

    /// Adds one: the place, what was found there and what was expected.
    pub fn add(&mut self, message: impl Into<String>) {
        self.add_lost(message, None);
    }

    pub(crate) fn add_lost(&mut self, message: impl Into<String>, lost: Option<(Sequence, Sequence)>) {
        let told = self.report.findings.iter().filter(|finding| finding.part == self.part).count();
        // Losses of the log are all told: somebody has to make up for each.
        if told >= TOLD_MOST && lost.is_none() {
            self.report.more += 1;
            return;
        }
        self.report.findings.push(Finding { part: self.part.to_owned(), message: message.into(), lost });
    }

    /// Adds damage that came as an error, whose message names the place.
    ///
    /// # Errors
    /// Any other error, as it was.
    pub fn add_damage(&mut self, error: Error) -> Result<()> {
        match error.kind() {
            ErrorKind::Corrupt => {
                self.add(error.to_string());
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// Whether there are any.
    pub fn any(&self) -> bool {
        self.report.findings.iter().any(|finding| finding.part == self.part)
    }
}
