//! `pugmark retract`: events that should never have been loaded.

use std::io::{self, Write};

use pugmark::ImportId;

use super::{open_existing, tell_receipt};
use crate::args::StoreDir;
use crate::failure::{Failure, Result};

/// Withdraws a wrongly loaded file, or the events that a filter matches, from every file of the store
///
/// Their message ids are free again, so that the right file can be imported. Links between ids that the file made stay.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pugmark retract shop --import 0190c2a0-7b1e-7000-8000-000000000001 --yes\n  pugmark retract shop \"event = 'purchase' and amount > 1000000\" --yes"
)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreDir,
    /// A SQL expression over the events, as in --filter of the questions
    #[arg(value_name = "FILTER", conflicts_with = "import")]
    filter: Option<String>,
    /// The id that `pugmark import` told
    #[arg(long, value_name = "ID")]
    import: Option<String>,
    /// Do it: without this nothing is withdrawn
    #[arg(long)]
    yes: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    let import = match &args.import {
        Some(text) => Some(ImportId::parse(text).ok_or_else(|| {
            Failure::Usage(format!("--import {text}: expected an id such as 0190c2a0-7b1e-7000-8000-000000000001"))
        })?),
        None => None,
    };
    if !args.yes {
        return Err(Failure::Usage("what is withdrawn cannot be brought back; say --yes to do it".to_owned()));
    }
    let db = open_existing(&args.store.dir)?;
    let receipt = match (import, &args.filter) {
        (Some(import), _) => db.retract_import(import)?,
        (None, Some(filter)) => db.blocking()?.retract(filter)?,
        (None, None) => return Err(Failure::Usage("give a filter, or --import ID".to_owned())),
    };
    tell_receipt(&mut io::stdout(), &receipt)?;
    if receipt.removals.is_empty() {
        writeln!(io::stderr(), "warning: no event matches")?;
    }
    Ok(db.close()?)
}
