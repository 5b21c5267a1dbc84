//! Failures that a test asks for.

use std::io;

use super::operation::OperationKind;

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// With an error of this kind, and without effect; but a file whose sync fails so keeps what was unsynced for readers only: no later sync
    /// makes it durable, though it succeeds. Names stay unsynced after such a sync of their directory, for the next.
    Error(io::ErrorKind),
    /// With an error of this kind, half done: of a write some bytes from the beginning are written, of a sync some of what was unsynced is durable
    /// and the rest never becomes so. Other operations have no half.
    Short(io::ErrorKind),
}

impl Failure {
    pub(super) fn kind(self) -> io::ErrorKind {
        match self {
            Self::Error(kind) | Self::Short(kind) => kind,
        }
    }
}

#[derive(Debug)]
enum When {
    Number(u64),
    Matching { kind: OperationKind, path_end: String, left: u64 },
}

#[derive(Debug)]
struct Fault {
    when: When,
    failure: Failure,
}

/// Those still to come.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn at(&mut self, number: u64, failure: Failure) {
        self.0.push(Fault { when: When::Number(number), failure });
    }

    pub(super) fn matching(&mut self, kind: OperationKind, path_end: &str, occurrence: u64, failure: Failure) {
        let when = When::Matching { kind, path_end: path_end.to_owned(), left: occurrence.max(1) };
        self.0.push(Fault { when, failure });
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The failure of this operation, which then is none of those to come; a number is that of an operation that changes something.
    pub(super) fn take(&mut self, number: Option<u64>, kind: OperationKind, paths: &[&str]) -> Option<Failure> {
        let mut due = None;
        for (at, fault) in self.0.iter_mut().enumerate() {
            let now = match &mut fault.when {
                When::Number(wanted) => Some(*wanted) == number,
                When::Matching { kind: wanted, path_end, left } => {
                    let matches = *wanted == kind && paths.iter().any(|path| path.ends_with(path_end.as_str()));
                    *left -= u64::from(matches && *left > 0);
                    matches && *left == 0
                }
            };
            if now && due.is_none() {
                due = Some(at);
            }
        }
        due.map(|at| self.0.remove(at).failure)
    }
}
