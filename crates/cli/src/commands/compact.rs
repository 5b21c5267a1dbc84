//! `pugmark compact`: fewer and larger columnar files, now.

use std::io::{self, Write};

use super::open_existing;
use crate::args::StoreDir;
use crate::failure::Result;
use crate::render::many;

/// Writes everything to columnar files and merges them, as it happens by itself in the background
///
/// Answers do not change. It is of use before a store is only read, or copied as it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pugmark compact shop")]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreDir,
}

pub(crate) fn run(args: &Args) -> Result {
    let db = open_existing(&args.store.dir)?;
    let before = db.info()?.columns.files;
    db.compact()?;
    let after = db.info()?.columns;
    db.close()?;
    let (rows, files) = (many(after.rows, "event"), many(after.files, "columnar file"));
    writeln!(io::stdout(), " {rows} in {files}; there were {before}")?;
    Ok(())
}
