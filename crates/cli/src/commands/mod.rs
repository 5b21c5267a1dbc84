//! One file a command.

pub(crate) mod answer;
mod ask;
pub(crate) mod backup;
pub(crate) mod compact;
pub(crate) mod declare;
pub(crate) mod demo;
pub(crate) mod erase;
pub(crate) mod expire;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod funnel;
pub(crate) mod group;
#[cfg(feature = "serve")]
pub(crate) mod health;
pub(crate) mod import;
pub(crate) mod info;
pub(crate) mod journey;
#[cfg(feature = "serve")]
pub(crate) mod key;
pub(crate) mod lifecycle;
pub(crate) mod paths;
pub(crate) mod people;
pub(crate) mod person;
pub(crate) mod quarantine;
pub(crate) mod query;
mod rejects;
pub(crate) mod retention;
pub(crate) mod retract;
pub(crate) mod save;
pub(crate) mod saved;
pub(crate) mod segment;
#[cfg(feature = "serve")]
pub(crate) mod serve;
pub(crate) mod sessions;
pub(crate) mod sql;
pub(crate) mod stickiness;
#[cfg(feature = "serve")]
mod traces;
pub(crate) mod trend;
pub(crate) mod verify;

use std::io::{self, Write};
use std::path::Path;

use pugmark::{Options, Pugmark, Receipt};
use serde_json::{Value, json};

use crate::args::{Cli, Command};
use crate::chart::Charting;
use crate::failure::Result;
use crate::render::many;

/// Runs one command to its end.
pub(crate) fn run(cli: Cli) -> Result {
    let color = cli.color;
    match cli.command {
        Command::Demo(args) => demo::run(&args, color),
        Command::Import(args) => import::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Trend(args) => ask::run(&args.store, &args.question, args.question(), color),
        Command::Funnel(args) => ask::run(&args.store, &args.question, args.question(), color),
        Command::Retention(args) => ask::run(&args.store, &args.question, args.question(), color),
        Command::Stickiness(args) => ask::run(&args.store, &args.question, args.question(), color),
        Command::Lifecycle(args) => ask::run(&args.store, &args.question, args.question(), color),
        Command::Journey(args) => {
            ask::about(&args.store, &args.answering.output, &Charting::default(), &args.question(), color)
        }
        Command::Sessions(args) => ask::run(&args.store, &args.question, args.question(), color),
        Command::Paths(args) => ask::run(&args.store, &args.question, args.question(), color),
        Command::Segment(args) => {
            ask::about(&args.store, &args.answering.output, &Charting::default(), &args.question(), color)
        }
        Command::People(args) => {
            ask::about(&args.store, &args.answering.output, &Charting::default(), &args.question(), color)
        }
        Command::Save(args) => save::run(&args),
        Command::Saved(args) => saved::run(&args, color),
        Command::Ask(args) => answer::run(&args, color),
        Command::Query(args) => query::run(&args, color),
        Command::Explain(args) => explain::run(&args),
        Command::Sql(args) => sql::run(&args, color),
        Command::Info(args) => info::run(&args, color),
        Command::Person(args) => person::run(&args, color),
        Command::Group(args) => group::run(&args, color),
        Command::Quarantine(args) => quarantine::run(&args, color),
        Command::Erase(args) => erase::run(&args),
        Command::Retract(args) => retract::run(&args),
        Command::Expire(args) => expire::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Compact(args) => compact::run(&args),
        Command::Declare(args) => declare::run(&args),
        Command::Backup(args) => backup::run(&args),
        #[cfg(feature = "serve")]
        Command::Key(args) => key::run(&args, color),
        #[cfg(feature = "serve")]
        Command::Health(args) => health::run(&args),
        #[cfg(feature = "serve")]
        Command::Serve(args) => serve::run(&args),
    }
}

/// The events that are meant by their names.
fn selector(events: &[String]) -> Value {
    match events {
        [one] => json!({"event": one}),
        many => json!({"event": many}),
    }
}

/// A name, or what is written in the JSON form.
fn written_selector(text: &str) -> Value {
    let written = text.trim_start().starts_with('{').then(|| serde_json::from_str(text).ok()).flatten();
    written.unwrap_or_else(|| json!({ "event": text }))
}

/// Opens a store that must be there: a mistyped directory is an error, not a new store.
fn open_existing(dir: &Path) -> Result<Pugmark> {
    Ok(Pugmark::open_with(dir, Options::existing())?)
}

/// Says what was removed.
fn tell_receipt(out: &mut impl Write, receipt: &Receipt) -> io::Result<()> {
    writeln!(
        out,
        " {} erased, {} removed, {} of the log rewritten",
        many(receipt.subjects, "distinct id"),
        many(receipt.records, "record"),
        many(receipt.segments, "segment")
    )
}
