//! `pugmark saved`: what is saved under which name.

use std::io::{self, Write};

use pugmark::{Defined, Saved};
use serde_json::{Value, json};

use super::open_existing;
use crate::args::StoreDir;
use crate::failure::Result;
use crate::output::{Format, Output, to_batch};
use crate::render::{ColorChoice, Grid, many};

/// Lists the segments, cohorts and questions that are saved, or takes one away
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreDir,
    /// Take away what is saved under this name
    #[arg(long, value_name = "NAME")]
    remove: Option<String>,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(args: &Args, color: ColorChoice) -> Result {
    args.output.check()?;
    let db = open_existing(&args.store.dir)?;
    match &args.remove {
        Some(name) => {
            db.undefine(name)?;
            writeln!(io::stdout(), " \"{name}\" is no longer saved")?;
        }
        None => list(&db.definitions()?, &args.output, color)?,
    }
    Ok(db.close()?)
}

fn list(all: &[Defined], output: &Output, color: ColorChoice) -> Result {
    match output.format {
        Format::Table => output.write(|out| {
            let mut grid = Grid::new(output.style(color), HEADINGS).left(0).left(1).left(3).left(4).left(5);
            for defined in all {
                let row = row(defined);
                grid.row(row.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
            }
            Ok(write!(out, "{grid}")?)
        }),
        _ => {
            let rows: Vec<Vec<Value>> = all.iter().map(|defined| row(defined).into()).collect();
            output.write_batches(&[to_batch(&HEADINGS.map(str::to_owned), &rows)?])
        }
    }
}

const HEADINGS: [&str; 6] = ["name", "kind", "version", "since", "what", "description"];

fn row(Defined { definition, version, at, .. }: &Defined) -> [Value; 6] {
    let what = match &definition.saved {
        Saved::Segment(segment) => serde_json::to_string(segment).unwrap_or_default(),
        Saved::Cohort(subjects) => many(subjects.len() as u64, "person"),
        Saved::Question(query) => serde_json::to_string(query).unwrap_or_default(),
    };
    let description = definition.description.as_deref().unwrap_or_default();
    [
        json!(definition.name),
        json!(definition.kind().name()),
        json!(version),
        json!(at.to_string()),
        json!(what),
        json!(description),
    ]
}
