//! `pugmark verify`: whether everything is as it was written.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};
use pugmark::{ErrorKind, Pugmark, VerifyReport};

use super::open_existing;
use crate::args::StoreDir;
use crate::failure::{Failure, Result};
use crate::render::many;

/// Checks every byte of a store, and that everything derived is what the log says
///
/// The log is the truth: ids, people and columns are made of it and can be made again. Ends with exit code 1 if anything was found, unless all of it was repaired.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pugmark verify shop\n  pugmark verify shop --repair")]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreDir,
    /// Make again from the log what is derived and wrong; the log itself is never changed
    #[arg(long)]
    repair: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    let dir = &args.store.dir;
    let db = match open_existing(dir) {
        Ok(db) => db,
        // It does not open: what is left of the log can be read all the same.
        Err(Failure::Failed(error)) if is_corrupt(&error) => {
            let report = Pugmark::verify_log(dir)?;
            writeln!(io::stdout(), " does not open: {error}")?;
            tell(&report)?;
            return Err(Failure::Told);
        }
        Err(failure) => return Err(failure),
    };
    let report = verify(&db, args.repair)?;
    tell(&report)?;
    if report.to_rebuild.is_empty() {
        db.close()?;
        return if report.is_clean() { Ok(()) } else { Err(Failure::Told) };
    }
    // What is wrong is forgotten by now. Closing writes the rest; where that fails over what is wrong, the log has it.
    let _closed = db.close();
    writeln!(io::stdout(), " making again: {}", report.to_rebuild.join(", "))?;
    let db = open_existing(dir)?;
    let again = verify(&db, false)?;
    db.close()?;
    if again.is_clean() {
        writeln!(io::stdout(), " repaired: everything agrees with the log now")?;
        return Ok(());
    }
    tell(&again)?;
    Err(Failure::Told)
}

fn is_corrupt(error: &anyhow::Error) -> bool {
    error.downcast_ref::<pugmark::Error>().is_some_and(|error| error.kind() == ErrorKind::Corrupt)
}

fn verify(db: &Pugmark, repair: bool) -> Result<VerifyReport> {
    let bar = if io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {human_pos} of {human_len} records") {
        bar.set_style(style);
    }
    let report = db.verify(repair, |progress| {
        bar.set_length(progress.of);
        bar.set_position(progress.records);
    });
    bar.finish_and_clear();
    Ok(report?)
}

fn tell(report: &VerifyReport) -> Result {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        " log: {} in {} and {}",
        many(report.log.records, "record"),
        many(report.log.frames, "frame"),
        many(report.log.segments, "segment")
    )?;
    if !report.checked.is_empty() {
        writeln!(out, " compared with the log: {}", report.checked.join(", "))?;
    }
    if !report.unchecked.is_empty() {
        writeln!(out, " not compared: {}", report.unchecked.join(", "))?;
    }
    for finding in &report.findings {
        writeln!(out, " wrong: {finding}")?;
    }
    if report.more > 0 {
        writeln!(out, " and {} more", report.more)?;
    }
    if report.is_log_damaged() {
        writeln!(
            out,
            " The log is damaged, which nothing here can make up for: copy the segments named from a backup, or import again what was sent in the sequences that are lost."
        )?;
    } else if report.is_clean() {
        writeln!(out, " nothing is wrong")?;
    }
    Ok(())
}
