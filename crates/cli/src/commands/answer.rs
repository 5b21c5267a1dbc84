//! `pugmark ask`: the answer of what is saved under a name.

use pugmark::Sequence;

use super::{ask, open_existing};
use crate::args::StoreDir;
use crate::chart::Charting;
use crate::failure::Result;
use crate::output::Output;
use crate::render::ColorChoice;

/// Answers the question that is saved under a name
///
/// Of a segment or a cohort, how many people are in it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  pugmark ask shop weekly --format csv")]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreDir,
    /// The name
    name: String,
    /// Answer as of this sequence: what was saved under the name then, with the events, links and types of then
    #[arg(long, value_name = "SEQUENCE")]
    as_of: Option<u64>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    charting: Charting,
}

pub(crate) fn run(args: &Args, color: ColorChoice) -> Result {
    args.output.check()?;
    let chart = args.charting.file()?;
    let db = open_existing(&args.store.dir)?;
    let question = db.question(&args.name, args.as_of.map(Sequence::new))?;
    let answer = db.blocking()?.query(&question)?;
    ask::show(&answer, &ask::titles(&serde_json::to_value(&question)?), &args.output, chart.as_ref(), color)?;
    Ok(db.close()?)
}
