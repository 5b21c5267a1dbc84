//! `pugmark expire`: events of an age.

use std::io::{self, Write};

use pugmark::Timestamp;

use super::open_existing;
use crate::args::StoreDir;
use crate::failure::{Failure, Result};
use crate::render::many;

/// Lets events expire that happened before a day, for good
///
/// No answer shows them any more, and segments and columnar files of their age go. Message ids stay taken, people and links stay, and an event that
/// happened earlier is not accepted any more.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  pugmark expire shop --before 2024-01-01 --yes")]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreDir,
    /// A day (midnight UTC) or an instant such as 2024-01-01T12:00:00Z
    #[arg(long, value_name = "WHEN")]
    before: String,
    /// Do it: without this nothing expires
    #[arg(long)]
    yes: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    let before: Timestamp =
        args.before.parse().map_err(|e| Failure::Usage(format!("--before: {e}; expected a day such as 2024-01-01")))?;
    if !args.yes {
        return Err(Failure::Usage("what expires cannot be brought back; say --yes to do it".to_owned()));
    }
    let db = open_existing(&args.store.dir)?;
    let expired = db.expire(before)?;
    writeln!(
        io::stdout(),
        " events before {before} have expired: {} removed, {} of the log gone, {} rewritten",
        many(expired.records, "record"),
        many(expired.segments_removed, "segment"),
        many(expired.segments_rewritten, "segment")
    )?;
    Ok(db.close()?)
}
