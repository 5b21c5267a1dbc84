//! `pugmark query`: the JSON form, from standard input to standard output.

use std::io::{self, Read, Write};

use super::{ask, open_existing};
use crate::args::StoreDir;
use crate::chart::{ChartFile, Charting};
use crate::failure::{Failure, Result};
use crate::output::{Format, Output};
use crate::render::ColorChoice;

/// Reads a question in the JSON form from standard input and writes the answer as JSON
///
/// An error is written to standard output too, as {"error": {…}}, and the exit code is then 1.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  echo '{\"trend\": {\"series\": [{\"event\": \"purchase\"}], \"interval\": \"month\"}}' | pugmark query shop"
)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreDir,
    /// The form of the answer
    #[arg(long, value_enum, default_value = "json")]
    format: Format,
    /// Write the answer to a file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    out: Option<std::path::PathBuf>,
    #[command(flatten)]
    charting: Charting,
}

pub(crate) fn run(args: &Args, color: ColorChoice) -> Result {
    let output = Output { format: args.format, out: args.out.clone() };
    output.check()?;
    let chart = args.charting.file()?;
    match answer(args, &output, chart.as_ref(), color) {
        Err(Failure::Failed(error)) => {
            let Some(known) = error.downcast_ref::<pugmark::Error>() else { return Err(Failure::Failed(error)) };
            writeln!(io::stdout(), "{}", known.to_json())?;
            Err(Failure::Told)
        }
        other => other,
    }
}

fn answer(args: &Args, output: &Output, chart: Option<&ChartFile>, color: ColorChoice) -> Result {
    let mut question = String::new();
    io::stdin()
        .read_to_string(&mut question)
        .map_err(|error| pugmark::Error::invalid(format!("the query on standard input is not text: {error}")))?;
    let db = open_existing(&args.store.dir)?;
    let answer = ask::answer(&db, &question)?;
    let titles = ask::titles(&serde_json::from_str(&question)?);
    ask::show(&answer, &titles, output, chart, color)?;
    Ok(db.close()?)
}
