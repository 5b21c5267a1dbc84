//! `pugmark paths`: what people do one thing after the other.

use serde_json::{Map, Value, json};

use super::written_selector;
use crate::args::{Question, StoreDir};

/// Shows what people do one thing after the other, and the most travelled paths
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pugmark paths shop signup --depth 4 --exclude ping
  pugmark paths shop purchase --before --within 1h --node url
  pugmark paths shop '{\"event\": \"view\", \"filter\": \"country = '\\''DE'\\''\"}' --end purchase --occurrences

A path begins with the first ANCHOR of a session, or without one with its first event; a session ends where half an hour passes without an event.
--limit is how many edges of each position are shown, and how many paths.")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) store: StoreDir,
    /// The event that paths begin with, by name or in the JSON form; by default any
    anchor: Option<String>,
    /// Follow what came before the anchor, in place of what came after it
    #[arg(long, short)]
    before: bool,
    /// The most nodes of a path, the anchor included; 5 by default
    #[arg(long, short, value_name = "N")]
    depth: Option<u64>,
    /// How far from the anchor: session, a time such as 1h, or all for the whole range; session by default
    #[arg(long, short, value_name = "HOW FAR")]
    within: Option<String>,
    /// What tells nodes apart, a property such as url or a SQL expression; the name of the event by default
    #[arg(long, short, value_name = "SQL")]
    node: Option<String>,
    /// Events that are no nodes, by name or in the JSON form; may be repeated, names also with commas between
    #[arg(long, short = 'x', value_name = "EVENT")]
    exclude: Vec<String>,
    /// The event that paths end with; those that never meet it are left out
    #[arg(long, short, value_name = "EVENT")]
    end: Option<String>,
    /// Count paths, in place of people who have them
    #[arg(long)]
    occurrences: bool,
    /// Make a node of each of several equal ones that follow each other
    #[arg(long)]
    keep_repeats: bool,
    #[command(flatten)]
    pub(crate) question: Question,
}

impl Args {
    /// The question in the JSON form.
    pub(crate) fn question(&self) -> Value {
        let mut own = Map::new();
        let mut set = |name: &str, value: Option<Value>| own.extend(value.map(|value| (name.to_owned(), value)));
        set("anchor", self.anchor.as_deref().map(written_selector));
        set("direction", self.before.then(|| json!("before")));
        set("depth", self.depth.map(Value::from));
        set("within", self.within.as_deref().map(Value::from));
        set("node", self.node.as_deref().map(Value::from));
        set("end", self.end.as_deref().map(written_selector));
        set("count", self.occurrences.then(|| json!("occurrences")));
        set("collapse", self.keep_repeats.then(|| json!(false)));
        let names = |text: &str| match text.trim_start().starts_with('{') {
            true => vec![written_selector(text)],
            false => text.split(',').map(written_selector).collect(),
        };
        let excluded: Vec<Value> = self.exclude.iter().flat_map(|text| names(text)).collect();
        set("exclude", (!excluded.is_empty()).then_some(Value::Array(excluded)));
        self.question.to_json("paths", Value::Object(own))
    }
}
