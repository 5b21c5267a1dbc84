//! The same append-with-unique-id work on pugmark and on what a user would pick instead. README.md says what is measured and how.

#![expect(clippy::disallowed_methods, reason = "a program that measures asks for the time")]

mod cases;
mod measure;
mod peers;
mod report;
mod work;
#[path = "../../src/lib.rs"]
mod workload;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;

use crate::cases::Case;
use crate::measure::Measured;
use crate::report::Report;
use crate::work::Works;

/// Times appends with a unique message id: pugmark, SQLite, redb, fjall and DuckDB in turn, in one run.
#[derive(Debug, Parser)]
pub struct Args {
    /// New events of the case `batches`, over all rounds.
    #[arg(long, default_value_t = 300_000)]
    events: usize,
    /// Events of a batch.
    #[arg(long, default_value_t = 1_000)]
    batch: usize,
    /// Rounds: in each, everybody does every case once.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Most milliseconds that one of the single-event cases takes in a round; `batches` are always finished.
    #[arg(long, default_value_t = 400)]
    limit_ms: u64,
    /// Threads of the case `threads`.
    #[arg(long, default_value_t = 64)]
    threads: usize,
    /// Only these contenders, by comma: plain, pugmark, pugmark-packed, sqlite, redb, fjall, duckdb.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Where the files are written for the time of the run: what is measured is the disk under it.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// A Python that has the packages duckdb and pyarrow; without one DuckDB is left out.
    #[arg(long)]
    python: Option<PathBuf>,
    /// Where the figures go as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let dir = match &args.dir {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir(),
    }
    .context("a directory for the files")?;
    let mut contenders = peers::open(&args, dir.path())?;
    let mut works = Works::new(&args);
    let mut measured = Measured::default();
    let load_before = report::load();
    for round in 0..args.rounds {
        let works = works.next_round();
        for case in Case::ALL {
            // Whoever goes first meets another machine than whoever goes last: each is first in its turn.
            let first = round % contenders.len();
            contenders.rotate_left(first);
            for contender in &mut contenders {
                let name = contender.name();
                let ran = contender
                    .run(case, &works, Duration::from_millis(args.limit_ms))
                    .with_context(|| format!("{name}, {case}, round {round}"))?;
                if let Some(ran) = ran {
                    eprintln!("round {round}, {case}, {name}: {:.0} events/s", ran.rate());
                    measured.add(name, case, ran);
                }
            }
            contenders.rotate_right(first);
        }
    }
    let mut report = Report::new(&args, &works, measured, load_before);
    for contender in contenders {
        let (name, bytes) = (contender.name(), contender.close()?);
        report.bytes(name, bytes);
    }
    print!("{report}");
    if let Some(path) = &args.json {
        std::fs::write(path, format!("{:#}\n", report.json())).with_context(|| path.display().to_string())?;
    }
    Ok(())
}
