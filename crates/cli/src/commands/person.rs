//! `pugmark person`: who somebody is, why, and what to do about a mistake.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args as Arguments, Subcommand};
use pugmark::{Exported, Note, Outcome, Person, Pugmark, Sequence, SplitPreview, SuspectLimits};
use serde_json::{Value, json};

use super::{open_existing, tell_receipt};
use crate::args::StoreDir;
use crate::failure::{Failure, Result};
use crate::output::{Format, Output, to_batch, write_to};
use crate::render::{ColorChoice, Grid, Style, many};

/// Shows who somebody is and why, and mends mistakes: links can be taken back
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pugmark person show shop ann\n  pugmark person links shop ann\n  \
    pugmark person split shop tablet-3 --dry-run\n  pugmark person split shop tablet-3 --by support --why \"shared tablet\"\n  \
    pugmark person merge shop ann@home ann@work --by support --why \"she asked\"\n  pugmark person export shop ann --out ann.ndjson\n  \
    pugmark person erase shop ann --yes\n  pugmark person suspects shop")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Shows who has an id: all of their ids, and which of them names them
    Show(About),
    /// Lists every link that the person's ids have or had, by whom and why, and what became of it
    Links(About),
    /// Lists everything that was decided about the person's ids: links, refusals, splits
    History(About),
    /// Makes one person of several ids, whoever they are known as and whatever was split before
    Merge {
        #[command(flatten)]
        store: StoreDir,
        /// The ids, at least two
        #[arg(value_name = "ID", required = true, num_args = 2..)]
        ids: Vec<String>,
        /// Also ids that were never seen: without this they are taken for mistyped
        #[arg(long)]
        create: bool,
        #[command(flatten)]
        remark: RemarkArgs,
    },
    /// Takes an id away from everybody else, or revokes one link; an identify or alias of the same pair is refused from then on
    Split {
        #[command(flatten)]
        store: StoreDir,
        /// The id
        #[arg(value_name = "ID", required_unless_present = "link")]
        id: Option<String>,
        /// In place of an id: revoke the links of the operation at this sequence, as `person links` shows it
        #[arg(long, value_name = "SEQUENCE", conflicts_with_all = ["id", "dry_run"])]
        link: Option<u64>,
        /// Show who would be whom, and change nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        remark: RemarkArgs,
    },
    /// Writes what is known of the person as NDJSON: events of all ids, changes of traits, the links that stand
    Export {
        #[command(flatten)]
        store: StoreDir,
        /// Any id of the person
        #[arg(value_name = "ID")]
        id: String,
        /// Write to a file instead of standard output
        #[arg(long, short, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Erases the person for good, as `pugmark erase` does: all ids, events, traits, links
    Erase {
        #[command(flatten)]
        store: StoreDir,
        /// Any id of the person
        #[arg(value_name = "ID")]
        id: String,
        /// Do it: without this nothing is erased
        #[arg(long)]
        yes: bool,
    },
    /// Lists the persons who may be several people: with many ids, several known ones, or many in use on one day
    Suspects {
        #[command(flatten)]
        store: StoreDir,
        /// From so many ids on
        #[arg(long, value_name = "N", default_value_t = SuspectLimits::default().ids)]
        ids: u32,
        /// From so many ids with events on one day of UTC on
        #[arg(long, value_name = "N", default_value_t = SuspectLimits::default().ids_in_a_day)]
        ids_in_a_day: u32,
        /// From so many known ids on
        #[arg(long, value_name = "N", default_value_t = SuspectLimits::default().known)]
        known: u32,
        #[command(flatten)]
        output: Output,
    },
}

/// One person.
#[derive(Debug, Arguments)]
struct About {
    #[command(flatten)]
    store: StoreDir,
    /// Any id of the person
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    output: Output,
}

/// What is put on record beside the operation.
#[derive(Debug, Arguments)]
struct RemarkArgs {
    /// Who asks for it: kept on record
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
    /// Why: kept on record
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

impl RemarkArgs {
    fn note(&self) -> Note {
        Note { by: self.by.clone(), why: self.why.clone() }
    }
}

pub(crate) fn run(args: &Args, color: ColorChoice) -> Result {
    match &args.action {
        Action::Show(about) => about.open(|db| show(&found(db, &about.id)?, &about.output, color)),
        Action::Links(about) => about.open(|db| {
            found(db, &about.id)?;
            let headings = ["sequence", "at", "operation", "id", "other_id", "by", "why", "revoked"];
            list(&json!(db.person_links(&about.id)?), headings, &about.output, color)
        }),
        Action::History(about) => about.open(|db| {
            found(db, &about.id)?;
            let headings = ["sequence", "at", "what", "operation", "reason", "of", "ids", "by", "why"];
            list(&json!(db.person_history(&about.id)?), headings, &about.output, color)
        }),
        Action::Merge { store, ids, create, remark } => {
            let db = open_existing(&store.dir)?;
            if !create {
                for id in ids {
                    if db.person(id)?.is_none() {
                        let what =
                            format!("\"{id}\" was never seen in this store; say --create to merge it all the same");
                        return Err(Failure::Usage(what));
                    }
                }
            }
            tell(&db.merge(ids, remark.note())?, "they are one person", "they were one person already")?;
            Ok(db.close()?)
        }
        Action::Split { store, id, link, dry_run, remark } => {
            let db = open_existing(&store.dir)?;
            match (id, link) {
                (Some(id), _) if *dry_run => preview(id, &db.preview_split(id)?, color)?,
                (Some(id), _) => tell(&db.split(id, remark.note())?, "it is split off", "it has no link that stands")?,
                (None, Some(link)) => {
                    let outcome = db.split_link(Sequence::new(*link), remark.note())?;
                    tell(&outcome, "its links are revoked", "no link of it stands")?;
                }
                (None, None) => return Err(Failure::Usage("give an id, or --link SEQUENCE".to_owned())),
            }
            Ok(db.close()?)
        }
        Action::Export { store, id, out } => {
            let db = open_existing(&store.dir)?;
            found(&db, id)?;
            let mut exported = Exported::default();
            write_to(out.as_deref(), |out| {
                exported = db.export_person(id, out)?;
                Ok(())
            })?;
            let (events, operations) = (many(exported.events, "event"), many(exported.operations, "operation"));
            writeln!(io::stderr(), "{events} and {operations} written")?;
            Ok(db.close()?)
        }
        Action::Erase { store, id, yes } => {
            let db = open_existing(&store.dir)?;
            let person = found(&db, id)?;
            if !yes {
                let ids = many(person.ids.len() as u64, "id");
                let what =
                    format!("{} has {ids}; what is erased cannot be brought back; say --yes to do it", person.name);
                return Err(Failure::Usage(what));
            }
            tell_receipt(&mut io::stdout(), &db.erase(&[id])?)?;
            Ok(db.close()?)
        }
        Action::Suspects { store, ids, ids_in_a_day, known, output } => {
            output.check()?;
            let db = open_existing(&store.dir)?;
            let limits = SuspectLimits { ids: *ids, ids_in_a_day: *ids_in_a_day, known: *known };
            let headings = ["person", "name", "ids", "known", "ids_in_a_day"];
            list(&json!(db.blocking()?.suspects(limits)?), headings, output, color)?;
            Ok(db.close()?)
        }
    }
}

impl About {
    fn open(&self, ask: impl FnOnce(&Pugmark) -> Result) -> Result {
        self.output.check()?;
        let db = open_existing(&self.store.dir)?;
        ask(&db)?;
        Ok(db.close()?)
    }
}

fn found(db: &Pugmark, id: &str) -> Result<Person> {
    let person = db.person(id)?;
    person.ok_or_else(|| Failure::Usage(format!("\"{id}\" was never seen in this store, or has been erased")))
}

fn show(person: &Person, output: &Output, color: ColorChoice) -> Result {
    if output.format == Format::Json {
        return output.write(|out| Ok(writeln!(out, "{}", serde_json::to_string_pretty(person)?)?));
    }
    let named = |id: &String| *id == person.name;
    let ids = person.ids.iter().map(|id| json!({"id": id.id, "known": id.known, "names_them": named(&id.id)}));
    list(&ids.collect(), ["id", "known", "names_them"], output, color)
}

/// Rows of an answer under the names of their fields.
pub(super) fn list<const N: usize>(rows: &Value, headings: [&str; N], output: &Output, color: ColorChoice) -> Result {
    let rows: Vec<Vec<Value>> = rows
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| headings.iter().map(|heading| row.get(*heading).cloned().unwrap_or(Value::Null)).collect())
        .collect();
    match output.format {
        Format::Table => output.write(|out| {
            let all = 0..headings.len();
            let shown = headings.map(|heading| heading.replace('_', " "));
            let mut grid =
                all.filter(|at| !is_count(headings[*at])).fold(Grid::new(output.style(color), shown), Grid::left);
            for row in &rows {
                grid.row(row.iter().map(text));
            }
            let shown = if rows.is_empty() { " none\n".to_owned() } else { grid.to_string() };
            Ok(write!(out, "{shown}")?)
        }),
        _ => output.write_batches(&[to_batch(&headings.map(str::to_owned), &rows)?]),
    }
}

fn is_count(heading: &str) -> bool {
    matches!(heading, "sequence" | "revoked" | "of" | "person" | "ids_in_a_day" | "changes")
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn preview(id: &str, preview: &SplitPreview, color: ColorChoice) -> Result {
    let mut out = io::stdout();
    if preview.links == 0 {
        writeln!(out, " {id} has no link that stands: nothing would change")?;
        return Ok(());
    }
    let persons = many(preview.persons.len() as u64, "person");
    writeln!(out, " {} would be revoked, and there would be {persons}:", many(preview.links, "link"))?;
    let mut grid = Grid::new(Style::of_stdout(color), ["person", "ids"]).left(1);
    for (at, ids) in preview.persons.iter().enumerate() {
        grid.row([(at + 1).to_string(), ids.join(", ")]);
    }
    Ok(write!(out, "{grid}")?)
}

/// What became of an operation; a refusal is a failure of the command.
fn tell(outcome: &Outcome, done: &str, already: &str) -> Result {
    let line = match outcome {
        Outcome::Accepted(sequence) => format!(" {done}, by the operation at {sequence}"),
        Outcome::Already(_) => format!(" nothing changed: {already}"),
        other => return Err(Failure::from(anyhow::anyhow!("{other}"))),
    };
    writeln!(io::stdout(), "{line}")?;
    Ok(())
}
