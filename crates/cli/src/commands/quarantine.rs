//! `pugmark quarantine`: the events whose message id was taken, and what becomes of them.

use std::io::{self, Write};

use clap::{Subcommand, ValueEnum};
use pugmark::{Event, Pugmark, Quarantined, Sequence, Settle};
use serde_json::{Map, Value, json};

use super::open_existing;
use crate::args::StoreDir;
use crate::failure::Result;
use crate::output::write_to;
use crate::render::{ColorChoice, Grid, Style};

/// Lists or settles the events that came with a message id under which other content is stored
///
/// The first content of a message id stands. What came later with the same id is kept aside, part of no answer, until it is dropped or stored under an
/// id of its own.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pugmark quarantine shop\n  pugmark quarantine shop drop 17 18\n  pugmark quarantine shop store 17 --message-id order-9b"
)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreDir,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Shows what waits
    List {
        /// A table for people, or one JSON object a line
        #[arg(long, value_enum, default_value = "table")]
        format: ListFormat,
    },
    /// Withdraws events
    Drop {
        /// Their sequences, as the list shows them
        #[arg(value_name = "SEQ", required = true)]
        sequences: Vec<u64>,
    },
    /// Stores an event under a message id of its own
    Store {
        /// Its sequence, as the list shows it
        #[arg(value_name = "SEQ")]
        sequence: u64,
        /// The message id that it gets
        #[arg(long, value_name = "ID")]
        message_id: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ListFormat {
    Table,
    Json,
}

pub(crate) fn run(args: &Args, color: ColorChoice) -> Result {
    let db = open_existing(&args.store.dir)?;
    match &args.action {
        None => list(&db, ListFormat::Table, color)?,
        Some(Action::List { format }) => list(&db, *format, color)?,
        Some(Action::Drop { sequences }) => {
            for sequence in sequences {
                db.settle(Sequence::new(*sequence), Settle::Drop)?;
                writeln!(io::stdout(), "{sequence} dropped")?;
            }
        }
        Some(Action::Store { sequence, message_id }) => {
            let stored = db.settle(Sequence::new(*sequence), Settle::Store { message_id: message_id.clone() })?;
            writeln!(io::stdout(), "{sequence} stored as {stored}, under the message id {message_id}")?;
        }
    }
    Ok(db.close()?)
}

fn list(db: &Pugmark, format: ListFormat, color: ColorChoice) -> Result {
    let waiting = db.quarantine()?;
    write_to(None, |out| match format {
        ListFormat::Json => {
            for kept in &waiting {
                serde_json::to_writer(&mut *out, &to_json(kept))?;
                writeln!(out)?;
            }
            Ok(())
        }
        ListFormat::Table if waiting.is_empty() => Ok(writeln!(out, " nothing is kept aside")?),
        ListFormat::Table => {
            let headings = ["sequence", "message id", "event", "distinct id", "received", "properties"];
            let mut grid = (1..headings.len()).fold(Grid::new(Style::of_stdout(color), headings), Grid::left);
            for kept in &waiting {
                let event = &kept.event;
                grid.row([
                    kept.sequence.to_string(),
                    event.message_id.clone().unwrap_or_default(),
                    event.name.clone(),
                    event.distinct_id.clone(),
                    kept.received_at.to_string(),
                    properties(event).to_string(),
                ]);
            }
            Ok(write!(out, "{grid}")?)
        }
    })
}

/// The form in which `pugmark import` reads an event, and what the store knows about it.
fn to_json(kept: &Quarantined) -> Value {
    let event = &kept.event;
    let mut line = Map::new();
    line.insert("sequence".to_owned(), json!(kept.sequence.number()));
    line.insert("received_at".to_owned(), json!(kept.received_at.to_string()));
    line.insert("event".to_owned(), json!(event.name));
    line.insert("distinct_id".to_owned(), json!(event.distinct_id));
    let texts = [
        ("timestamp", event.timestamp.map(|at| at.to_string())),
        ("message_id", event.message_id.clone()),
        ("session_id", event.session_id.clone()),
    ];
    for (field, text) in texts {
        if let Some(text) = text {
            line.insert(field.to_owned(), Value::String(text));
        }
    }
    line.insert("properties".to_owned(), properties(event));
    if let Some(context) = &event.context {
        line.insert("context".to_owned(), serde_json::from_str(context).unwrap_or_else(|_| json!(context)));
    }
    Value::Object(line)
}

fn properties(event: &Event) -> Value {
    Value::Object(event.properties.iter().map(|(name, value)| (name.clone(), value.borrowed().to_json())).collect())
}
