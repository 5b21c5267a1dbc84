//! `pugmark sql`: one statement, or a prompt.

use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;

use pugmark::arrow::array::RecordBatch;
use pugmark::arrow::util::display::{ArrayFormatter, FormatOptions};
use pugmark::{Pugmark, Sequence};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use super::open_existing;
use crate::args::StoreDir;
use crate::failure::Result;
use crate::output::{Format, Output};
use crate::render::{ColorChoice, Grid, count};

const HISTORY_MOST: usize = 1_000;
const HELP: &str = " A statement ends with a semicolon, and may run over several lines.
 Tables: events (one column for each property), persons.
 .help  this text
 .quit  leave (or Ctrl-D)";

/// Answers a SELECT over the tables events and persons, or opens a prompt
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pugmark sql shop \"SELECT country, count(*) FROM events GROUP BY country\"\n  pugmark sql shop"
)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreDir,
    /// One SELECT; without it a prompt, or what standard input holds when that is no terminal
    statement: Option<String>,
    /// Read what the store held at this sequence: the events, links and types of then
    #[arg(long, value_name = "SEQUENCE")]
    as_of: Option<u64>,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(args: &Args, color: ColorChoice) -> Result {
    args.output.check()?;
    let db = open_existing(&args.store.dir)?;
    match &args.statement {
        Some(statement) => answer(&db, statement, args, color)?,
        None if io::stdin().is_terminal() => prompt(&db, args, color)?,
        None => {
            let mut statement = String::new();
            io::stdin().read_to_string(&mut statement)?;
            answer(&db, &statement, args, color)?;
        }
    }
    Ok(db.close()?)
}

fn answer(db: &Pugmark, statement: &str, args: &Args, color: ColorChoice) -> Result {
    let asked = db.blocking()?;
    let batches = match args.as_of {
        Some(sequence) => asked.sql_as_of(statement, Sequence::new(sequence))?,
        None => asked.sql(statement)?,
    };
    for warning in db.warnings()? {
        writeln!(io::stderr(), "warning: {warning}")?;
    }
    let output = &args.output;
    match output.format {
        Format::Table => output.write(|out| table(&batches, output, color, out)),
        _ => output.write_batches(&batches),
    }
}

fn table(batches: &[RecordBatch], output: &Output, color: ColorChoice, out: &mut dyn Write) -> anyhow::Result<()> {
    let Some(first) = batches.first() else { return Ok(writeln!(out, " no rows")?) };
    let schema = first.schema();
    let mut grid = Grid::new(output.style(color), schema.fields().iter().map(|field| field.name().clone()));
    for (place, field) in schema.fields().iter().enumerate() {
        if !field.data_type().is_numeric() {
            grid = grid.left(place);
        }
    }
    let options = FormatOptions::default();
    let mut rows = 0;
    for batch in batches {
        let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
        let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            grid.row(columns.iter().map(|column| column.value(row).to_string().replace('\n', " ")));
        }
        rows += batch.num_rows() as u64;
    }
    write!(out, "{grid}")?;
    Ok(writeln!(out, " {} {}", count(rows), if rows == 1 { "row" } else { "rows" })?)
}

/// Reads statements until the end of input; an error in one does not end the others.
fn prompt(db: &Pugmark, args: &Args, color: ColorChoice) -> Result {
    let mut editor = DefaultEditor::new()?;
    let history = history_file();
    if let Some(file) = &history {
        // The first prompt of all has no history yet.
        let _read = editor.load_history(file);
    }
    let mut out = io::stdout();
    writeln!(out, " .help for help, Ctrl-D to leave")?;
    let mut statement = String::new();
    loop {
        match editor.readline(if statement.is_empty() { "sql> " } else { "...> " }) {
            Ok(line) if statement.is_empty() && matches!(line.trim(), ".quit" | ".exit") => break,
            Ok(line) if statement.is_empty() && line.trim().starts_with('.') => writeln!(out, "{HELP}")?,
            Ok(line) => {
                statement.push_str(&line);
                statement.push('\n');
            }
            Err(ReadlineError::Interrupted) => statement.clear(),
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error.into()),
        }
        let whole = statement.trim();
        if let Some(ready) = whole.strip_suffix(';') {
            editor.add_history_entry(whole)?;
            if let Err(failure) = answer(db, ready, args, color)
                && let Some(message) = failure.message()
            {
                writeln!(io::stderr(), "error: {message}")?;
            }
            statement.clear();
        } else if whole.is_empty() {
            statement.clear();
        }
    }
    if let Some(file) = history {
        use rustyline::config::Configurer;
        editor.set_max_history_size(HISTORY_MOST)?;
        if let Some(dir) = file.parent() {
            std::fs::create_dir_all(dir)?;
        }
        editor.save_history(&file)?;
    }
    Ok(())
}

/// Where the statements of earlier prompts are kept, if this user has a home.
fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let state = state.or_else(|| Some(std::env::home_dir()?.join(".local/state")))?;
    Some(state.join("pugmark").join("history"))
}
