//! `pugmark declare`: what is kept at hand for questions that are often asked.

use std::io::{self, Write};

use pugmark::{Declaration, EventNames, Pugmark};

use super::open_existing;
use crate::args::StoreDir;
use crate::failure::{Failure, Result};

/// Keeps counts, people and sums at hand by properties that trends are often cut by, or lists what is kept
///
/// Answers do not change, only how fast they come, save what people brought. It holds for what is stored already, too. One of the same name is replaced.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pugmark declare shop sales --event purchase --by country --by plan --sum amount\n  pugmark declare shop income --event purchase --revenue amount\n  pugmark declare shop\n  pugmark declare shop sales --drop"
)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreDir,
    /// What it is called; without a name all are listed
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// The events that it is about; all by default
    #[arg(long = "event", value_name = "EVENT", requires = "name")]
    events: Vec<String>,
    /// A property that they are cut by, at most three
    #[arg(long, value_name = "PROPERTY", requires = "name")]
    by: Vec<String>,
    /// A property whose numbers are summed
    #[arg(long, value_name = "PROPERTY", requires = "name")]
    sum: Vec<String>,
    /// A property that is summed and is revenue: who brought how much is then said of people
    #[arg(long, value_name = "PROPERTY", requires = "name")]
    revenue: Option<String>,
    /// Take it back
    #[arg(long, requires = "name", conflicts_with_all = ["events", "by", "sum", "revenue"])]
    drop: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    let db = open_existing(&args.store.dir)?;
    match &args.name {
        None => {}
        Some(name) if args.drop => db.undeclare(name)?,
        Some(name) if args.by.is_empty() && args.sum.is_empty() && args.revenue.is_none() => {
            let what = format!(
                "what is \"{name}\" to be? give --by PROPERTY, --sum PROPERTY or --revenue PROPERTY, or --drop"
            );
            return Err(Failure::Usage(what));
        }
        Some(name) => {
            let events = match args.events.as_slice() {
                [] => EventNames::Any,
                [one] => EventNames::from(one.as_str()),
                many => EventNames::Many(many.to_vec()),
            };
            let mut declaration = Declaration::new(name, events);
            declaration.dimensions.clone_from(&args.by);
            declaration.measures.clone_from(&args.sum);
            if let Some(revenue) = &args.revenue {
                declaration = declaration.revenue(revenue);
            }
            db.declare(&declaration)?;
        }
    }
    // What follows from it is done before the program ends: nothing else may run it.
    if args.name.is_some() {
        db.compact()?;
    }
    list(&db)?;
    Ok(db.close()?)
}

fn list(db: &Pugmark) -> Result {
    let mut out = io::stdout();
    let declarations = db.declarations()?;
    if declarations.is_empty() {
        writeln!(out, " nothing is declared")?;
    }
    for Declaration { name, event, dimensions, measures, revenue } in declarations {
        write!(out, " {name}: {event}")?;
        if !dimensions.is_empty() {
            write!(out, " by {}", dimensions.join(", "))?;
        }
        if !measures.is_empty() {
            write!(out, ", sums of {}", measures.join(", "))?;
        }
        if let Some(revenue) = revenue {
            write!(out, ", revenue is {revenue}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}
