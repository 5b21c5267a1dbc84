//! `pugmark backup`: a copy of a store.

use std::io::{self, Write};
use std::path::PathBuf;

use super::open_existing;
use crate::args::StoreDir;
use crate::failure::Result;
use crate::render::{bytes, count, many};

/// Copies a store to another directory; the next time only what has changed
///
/// What is derived from the log is left out. To restore a backup, copy it and use the copy.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  pugmark backup shop /mnt/backups/shop")]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreDir,
    /// Directory of the copy; made if it is missing
    #[arg(value_name = "TO")]
    to: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result {
    let db = open_existing(&args.store.dir)?;
    let report = db.backup(&args.to)?;
    db.close()?;
    writeln!(
        io::stdout(),
        " everything through sequence {}: {} copied ({}), {} as they were",
        count(report.through.number()),
        many(report.copied, "file"),
        bytes(report.bytes),
        count(report.kept)
    )?;
    Ok(())
}
