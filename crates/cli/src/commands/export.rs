//! `pugmark export`: from a store into a file.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use clap::ValueEnum;
use pugmark::{Export, ExportFormat, Exported, Sequence};

use super::open_existing;
use crate::args::StoreDir;
use crate::failure::{Failure, Result};
use crate::output::write_to;
use crate::render::many;

/// Writes the events of a store out
///
/// NDJSON holds everything, links between ids included: imported into an empty store it gives the same answers.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pugmark export shop > events.ndjson\n  pugmark export shop --format parquet --from 2025-01-01 --out 2025.parquet\n  pugmark export shop --since 120000 >> events.ndjson"
)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreDir,
    /// Only events from here on: a date (its midnight in UTC) or an instant
    #[arg(long, value_name = "WHEN")]
    from: Option<String>,
    /// Only events before this
    #[arg(long, value_name = "WHEN")]
    to: Option<String>,
    /// Only what was stored after this sequence, which the export before has told
    #[arg(long, value_name = "SEQUENCE")]
    since: Option<u64>,
    /// The form of the file
    #[arg(long, value_enum, default_value = "ndjson")]
    format: FileFormat,
    /// Write to a file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FileFormat {
    Ndjson,
    Csv,
    Parquet,
}

pub(crate) fn run(args: &Args) -> Result {
    if args.format == FileFormat::Parquet && args.out.is_none() && io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "a terminal cannot show this format: add --out FILE or redirect standard output".to_owned(),
        ));
    }
    let moment = |when: &Option<String>| when.as_deref().map(str::parse).transpose();
    let export = Export {
        format: match args.format {
            FileFormat::Ndjson => ExportFormat::Ndjson,
            FileFormat::Csv => ExportFormat::Csv,
            FileFormat::Parquet => ExportFormat::Parquet,
        },
        from: moment(&args.from).map_err(pugmark::Error::from)?,
        to: moment(&args.to).map_err(pugmark::Error::from)?,
        since: args.since.map(Sequence::new),
        only_of: None,
    };
    let db = open_existing(&args.store.dir)?;
    let mut exported = Exported::default();
    write_to(args.out.as_deref(), |out| {
        exported = db.export(&export, out, |_| {})?;
        Ok(())
    })?;
    writeln!(
        io::stderr(),
        "{} and {} written, through sequence {through}: --since {through} goes on from there",
        many(exported.events, "event"),
        many(exported.operations, "operation"),
        through = exported.through,
    )?;
    Ok(db.close()?)
}
