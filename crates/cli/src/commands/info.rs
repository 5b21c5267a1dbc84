//! `pugmark info`: what a store holds.

use std::io::Write;

use clap::ValueEnum;
use pugmark::Info;

use super::open_existing;
use crate::args::StoreDir;
use crate::failure::Result;
use crate::output::write_to;
use crate::render::{ColorChoice, Grid, Style, bytes, count, many};

/// More properties than this are counted, not listed, in the table for people.
const PROPERTIES_MOST: usize = 100;

/// Shows what a store holds: events, properties, people, sizes
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreDir,
    /// A table for people, or JSON
    #[arg(long, value_enum, default_value = "table")]
    format: InfoFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum InfoFormat {
    Table,
    Json,
}

pub(crate) fn run(args: &Args, color: ColorChoice) -> Result {
    let db = open_existing(&args.store.dir)?;
    let info = db.info()?;
    write_to(None, |out| match args.format {
        InfoFormat::Json => {
            serde_json::to_writer(&mut *out, &info)?;
            Ok(writeln!(out)?)
        }
        InfoFormat::Table => table(&info, Style::of_stdout(color), out),
    })?;
    Ok(db.close()?)
}

fn table(info: &Info, style: Style, out: &mut dyn Write) -> anyhow::Result<()> {
    let people = if info.people == 1 { "1 person".to_owned() } else { format!("{} people", count(info.people)) };
    writeln!(
        out,
        " {} of {people} ({}, {}, {} refused)",
        many(info.events, "event"),
        many(info.distinct_ids, "distinct id"),
        many(info.links, "link"),
        count(info.refused)
    )?;
    writeln!(
        out,
        " log {} in {}, index {}, sequence {}",
        bytes(info.log.bytes),
        many(info.log.segments, "segment"),
        bytes(info.index_bytes),
        count(info.sequence)
    )?;
    writeln!(
        out,
        " columns {} in {} with {}, {} in memory only",
        bytes(info.columns.bytes),
        many(info.columns.files, "file"),
        many(info.columns.rows, "event"),
        many(info.columns.tail_rows, "event")
    )?;
    if info.quarantine.waiting > 0 {
        let waiting = many(info.quarantine.waiting, "event");
        writeln!(out, " {waiting} kept aside: their message ids are stored with other content (pugmark quarantine)")?;
    }
    if !info.event_names.is_empty() {
        let mut grid = Grid::new(style, ["event", "count", "first", "last"]).left(0);
        for event in &info.event_names {
            grid.row([event.name.clone(), count(event.count), event.first.to_string(), event.last.to_string()]);
        }
        write!(out, "\n{grid}")?;
    }
    if !info.properties.is_empty() {
        let mut grid = Grid::new(style, ["property", "type", "values", "column"]).left(0);
        for property in info.properties.iter().take(PROPERTIES_MOST) {
            let column =
                if property.kind.is_some() { property.column.clone() } else { format!("prop('{}')", property.name) };
            grid.row([property.name.clone(), property.kind.unwrap_or("-").to_owned(), count(property.count), column]);
        }
        write!(out, "\n{grid}")?;
        let more = info.properties.len().saturating_sub(PROPERTIES_MOST);
        if more > 0 {
            writeln!(out, " and {} more", count(more as u64))?;
        }
        if info.properties_without_column > 0 {
            let number = count(info.properties_without_column);
            writeln!(out, " {number} properties have no column of their own: read them by prop('name')")?;
        }
    }
    Ok(())
}
