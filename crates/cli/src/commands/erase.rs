//! `pugmark erase`: people who are to leave no trace.

use std::io::{self, BufRead, Write};

use super::{open_existing, tell_receipt};
use crate::args::StoreDir;
use crate::failure::{Failure, Result};

/// Erases people for good: their ids, all of their events, from every file of the store
///
/// Everybody known by one of the ids is erased under all of their ids. It takes about the same time for one as for a thousand. It cannot be undone; a message id of
/// theirs stays taken, and an id that comes back is somebody new. Files exported and backups made before are not touched.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pugmark erase shop user-42 anon-7 --yes\n  pugmark erase shop --ids-from - --yes < ids.txt"
)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreDir,
    /// Distinct ids of the people
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Read ids from a file, one a line; - is standard input
    #[arg(long, value_name = "FILE")]
    ids_from: Option<std::path::PathBuf>,
    /// Do it: without this nothing is erased
    #[arg(long)]
    yes: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    let mut ids = args.ids.clone();
    if let Some(path) = &args.ids_from {
        let lines: io::Result<Vec<String>> = if path.as_os_str() == "-" {
            io::stdin().lock().lines().collect()
        } else {
            std::fs::read_to_string(path).map(|text| text.lines().map(str::to_owned).collect())
        };
        let lines = lines.map_err(|e| Failure::Usage(format!("reading {}: {e}", path.display())))?;
        ids.extend(lines.into_iter().filter(|line| !line.is_empty()));
    }
    if ids.is_empty() {
        return Err(Failure::Usage("nobody to erase: give ids, or --ids-from FILE".to_owned()));
    }
    if !args.yes {
        return Err(Failure::Usage("what is erased cannot be brought back; say --yes to do it".to_owned()));
    }
    let db = open_existing(&args.store.dir)?;
    let receipt = db.erase(&ids)?;
    tell_receipt(&mut io::stdout(), &receipt)?;
    if receipt.subjects == 0 {
        writeln!(io::stderr(), "warning: nobody is known by any of these ids")?;
    }
    Ok(db.close()?)
}
