//! `pugmark explain`: how a question is answered.

use std::io::{self, Read, Write};

use serde_json::Value;

use super::{ask, open_existing};
use crate::args::StoreDir;
use crate::failure::Result;
use crate::render::explanation;

/// Says how a question is answered: from rollups, columns or the tail, by which operators, and what is read for it
///
/// The question is read from standard input in the JSON form; it is asked, and its answer is not shown.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  echo '{\"trend\": {\"series\": [{\"event\": \"purchase\"}], \"interval\": \"month\"}}' | pugmark explain shop"
)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreDir,
}

pub(crate) fn run(args: &Args) -> Result {
    let mut question = String::new();
    io::stdin()
        .read_to_string(&mut question)
        .map_err(|error| pugmark::Error::invalid(format!("the query on standard input is not text: {error}")))?;
    // What is no JSON is told by the one who reads questions, with the place.
    let question = match serde_json::from_str::<Value>(&question) {
        Ok(Value::Object(mut fields)) => {
            fields.insert("explain".to_owned(), Value::Bool(true));
            Value::Object(fields).to_string()
        }
        _ => question,
    };
    let db = open_existing(&args.store.dir)?;
    let answer = serde_json::to_value(ask::answer(&db, &question)?)?;
    write!(io::stdout(), "{}", explanation(&answer).unwrap_or_default())?;
    Ok(db.close()?)
}
