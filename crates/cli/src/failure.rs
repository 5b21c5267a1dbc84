//! How a command ends when it does not end well: what is said, and the exit code.

use std::io;

/// A command that did not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line asks for something that cannot be.
    Usage(String),
    /// The command failed.
    Failed(anyhow::Error),
    /// The command failed and has said so itself.
    Told,
}

impl Failure {
    /// 2 for wrong usage, else 1.
    pub(crate) const fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Failed(_) | Self::Told => 1,
        }
    }

    /// One line for people.
    pub(crate) fn message(&self) -> Option<String> {
        match self {
            Self::Usage(message) => Some(message.clone()),
            Self::Failed(error) => Some(error.to_string().replace('\n', " ")),
            Self::Told => None,
        }
    }

    /// Whether what was written to has been closed by who reads it.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        let Self::Failed(error) = self else { return false };
        error.chain().any(|cause| {
            let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
            io == Some(io::ErrorKind::BrokenPipe)
        })
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// The result of a command.
pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;
