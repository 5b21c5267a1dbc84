//! `pugmark demo`: a year of a small shop, imported and asked.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Parser;

use crate::args::Cli;
use crate::commands;
use crate::failure::{Failure, Result};
use crate::output::flatten;
use crate::render::{ColorChoice, count};
use crate::shop;

const STORE: &str = "store";
const EVENTS: &str = "shop.ndjson";

/// The questions of the demo, as they are typed after `pugmark`; STORE stands for the store's directory.
const QUESTIONS: [(&str, &[&str]); 5] = [
    ("How many purchases, month by month?", &["trend", STORE, "purchase", "--interval", "month"]),
    ("How many different people came?", &["trend", STORE, "visit", "--measure", "uniques", "--interval", "month"]),
    ("How far do they get within a week?", &["funnel", STORE, "visit", "view", "cart", "purchase", "--window", "7d"]),
    ("And by country?", &["funnel", STORE, "visit", "view", "cart", "purchase", "--window", "7d", "--by", "country"]),
    (
        "Who comes back after signing up?",
        &[
            "retention",
            STORE,
            "signup",
            "*",
            "--interval",
            "week",
            "--periods",
            "8",
            "--from",
            "2025-10-06",
            "--to",
            "2025-12-29",
        ],
    ),
];

/// What the reader may ask next.
const MORE: [&[&str]; 4] = [
    &["trend", STORE, "visit", "--by", "platform", "--interval", "quarter", "--zone", "Europe/Berlin"],
    &["retention", STORE, "purchase", "--interval", "month", "--cohort", "recurring"],
    &[
        "sql",
        STORE,
        "SELECT country, count(*) AS purchases, round(sum(amount), 2) AS amount FROM events WHERE event = 'purchase' GROUP BY country ORDER BY 2 DESC",
    ],
    &["info", STORE],
];

/// Makes a year of a small shop, imports it and asks about it
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A directory to keep it in; by default a new one among the temporary files
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, color: ColorChoice) -> Result {
    let dir = match &args.dir {
        Some(dir) => {
            fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display())).map_err(flatten)?;
            dir.clone()
        }
        None => new_directory(&std::env::temp_dir()).map_err(flatten)?,
    };
    let (events, store) = (dir.join(EVENTS), dir.join(STORE));
    let lines = write_events(&events).with_context(|| format!("writing {}", events.display())).map_err(flatten)?;
    let mut out = io::stdout();
    writeln!(out, "A year of a small shop: {} lines in {}", count(lines), events.display())?;
    ask(&["import".into(), store.clone().into(), events.into()], color)?;
    for (question, words) in QUESTIONS {
        writeln!(out, "\n{question}")?;
        ask(&in_store(words, &store), color)?;
    }
    writeln!(out, "\nAsk more:")?;
    for words in MORE {
        writeln!(out, "  {} {}", program(), line(&in_store(words, &store)))?;
    }
    Ok(())
}

/// Shows a command and runs it as if it had been typed.
fn ask(words: &[OsString], color: ColorChoice) -> Result {
    writeln!(io::stdout(), "$ pugmark {}", line(words))?;
    let typed = std::iter::once(OsString::from("pugmark")).chain(words.iter().cloned());
    let mut cli = Cli::try_parse_from(typed).map_err(|error| Failure::Usage(error.to_string()))?;
    cli.color = color;
    commands::run(cli)
}

fn in_store(words: &[&str], store: &Path) -> Vec<OsString> {
    words.iter().map(|word| if *word == STORE { store.into() } else { word.into() }).collect()
}

/// A command as a shell reads it.
fn line(words: &[OsString]) -> String {
    let quoted = words.iter().map(|word| {
        let word = word.to_string_lossy();
        let plain = word.chars().all(|c| c.is_alphanumeric() || "-_./=,:".contains(c));
        if plain { word.into_owned() } else { format!("\"{}\"", word.replace('"', "\\\"")) }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// This program, so that what is shown can be typed.
fn program() -> String {
    std::env::args_os().next().map_or_else(|| "pugmark".to_owned(), |path| path.to_string_lossy().into_owned())
}

fn write_events(path: &Path) -> io::Result<u64> {
    let mut out = BufWriter::new(File::create(path)?);
    let lines = shop::write_year(&mut out)?;
    out.flush()?;
    Ok(lines)
}

/// Makes a directory that was not there before.
fn new_directory(parent: &Path) -> anyhow::Result<PathBuf> {
    let process = std::process::id();
    for attempt in 0..1_000 {
        let name =
            if attempt == 0 { format!("pugmark-demo-{process}") } else { format!("pugmark-demo-{process}-{attempt}") };
        let dir = parent.join(name);
        match fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(anyhow::Error::from(error).context(format!("creating {}", dir.display()))),
        }
    }
    anyhow::bail!(
        "no room for a directory pugmark-demo-{process} in {}: give one, as in pugmark demo DIR",
        parent.display()
    )
}
