//! `pugmark save`: a segment, a cohort or a question under a name.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use pugmark::{Audience, Definition, Pugmark, Query, Segment};
use serde_json::Value;

use super::open_existing;
use crate::args::{StoreDir, json_value};
use crate::failure::Result;
use crate::output::flatten;

/// Saves a segment, a cohort or a question under a name; one that stands there already gets another version
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pugmark save shop payers --segment '{\"did\": {\"event\": \"purchase\"}, \"times\": {\"at_least\": 5}}'\n  \
    pugmark funnel shop view purchase --segment payers\n  \
    pugmark save shop january --people '{\"did\": {\"event\": \"signup\"}, \"range\": {\"from\": \"2025-01-01\", \"to\": \"2025-02-01\"}}'\n  \
    pugmark save shop weekly --question '{\"trend\": {\"series\": [{\"event\": \"view\"}], \"interval\": \"week\"}}'\n  pugmark ask shop weekly\n\n\
    A segment is found anew by every question; a cohort is who was in it when it was saved."
)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreDir,
    /// The name
    name: String,
    #[command(flatten)]
    what: What,
    /// What it is for; of a segment or a question
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Save this segment, in the JSON form
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    segment: Option<Value>,
    /// Save who is in this segment now, as a cohort
    #[arg(long, value_name = "JSON", value_parser = json_value, conflicts_with = "description")]
    people: Option<Value>,
    /// Save the people of these ids, one a line, as a cohort; - reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "description")]
    ids: Option<PathBuf>,
    /// Save this question, in the JSON form
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    question: Option<Value>,
}

pub(crate) fn run(args: &Args) -> Result {
    let db = open_existing(&args.store.dir)?;
    let (kind, version) = save(&db, args)?;
    writeln!(io::stdout(), " the {kind} \"{}\" is saved, version {version}", args.name)?;
    Ok(db.close()?)
}

fn save(db: &Pugmark, args: &Args) -> Result<(&'static str, u32)> {
    let (name, what) = (&args.name, &args.what);
    let segment = |json: &Value| Segment::from_value(json).map_err(pugmark::Error::from);
    let described = |definition: Definition| match &args.description {
        Some(text) => definition.description(text),
        None => definition,
    };
    if let Some(ids) = &what.ids {
        let text = read(ids).map_err(flatten)?;
        let ids: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        return Ok(("cohort", db.define_cohort(name, &ids)?));
    }
    if let Some(people) = &what.people {
        let people = Audience::from_value(people).map_err(pugmark::Error::from)?;
        return Ok(("cohort", db.blocking()?.save_people(name, &people)?));
    }
    if let Some(segment) = what.segment.as_ref().map(segment).transpose()? {
        return Ok(("segment", db.define(&described(Definition::segment(name, segment)))?));
    }
    let question = what.question.as_ref().unwrap_or(&Value::Null);
    let question = Query::from_value(question).map_err(pugmark::Error::from)?;
    Ok(("question", db.define(&described(Definition::question(name, question)))?))
}

fn read(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).context("reading standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}
