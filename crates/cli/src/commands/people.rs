//! `pugmark people`: who they are and what they did in all.

use serde_json::{Map, Value, json};

use crate::args::{Answering, StoreDir, name_or_json};

/// Lists people, the last seen first: everybody, those in a segment, or those found by an id or a trait
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pugmark people shop\n  pugmark people shop --sort events --limit 10 --show email,plan\n  \
    pugmark people shop --search ann@ --match prefix --trait email\n  \
    pugmark people shop --segment '{\"did\": {\"event\": \"purchase\"}}' --sort revenue\n\n\
    Sessions end with half an hour without an event, days are those of UTC. Revenue is what `pugmark declare --revenue` says.\n\
    Upper and lower case are one to a search."
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) store: StoreDir,
    /// Sort by last_seen, first_seen, events, sessions, days_active or revenue; last_seen by default
    #[arg(long, value_name = "WHAT", help_heading = "Page")]
    sort: Option<String>,
    /// The earliest or the least first
    #[arg(long, help_heading = "Page")]
    ascending: bool,
    /// How many to show, 1 to 1000; 50 by default
    #[arg(long, value_name = "N", help_heading = "Page")]
    limit: Option<u64>,
    /// Go on after the page that ended with this cursor
    #[arg(long, value_name = "CURSOR", help_heading = "Page")]
    cursor: Option<String>,
    /// Show these traits, too
    #[arg(long, value_name = "TRAIT", value_delimiter = ',', help_heading = "Page")]
    show: Vec<String>,
    /// Show what the first and the last event with any of these properties says of them
    #[arg(long, value_name = "PROPERTY", value_delimiter = ',', help_heading = "Page")]
    touch: Vec<String>,
    /// Look for this text in ids and traits
    #[arg(long, value_name = "TEXT", help_heading = "Who")]
    search: Option<String>,
    /// How an id or a trait is to match it: exact, prefix or contains; contains by default
    #[arg(long = "match", value_name = "HOW", requires = "search", help_heading = "Who")]
    by: Option<String>,
    /// Look in ids only
    #[arg(long, requires = "search", conflicts_with = "within", help_heading = "Who")]
    ids: bool,
    /// Look in this trait only
    #[arg(long = "trait", value_name = "TRAIT", requires = "search", help_heading = "Who")]
    within: Option<String>,
    /// Only those in a segment: the name of a saved one, or one in the JSON form
    #[arg(long, value_name = "NAME|JSON", value_parser = name_or_json, help_heading = "Who")]
    segment: Option<Value>,
    /// IANA time zone that dates of the segment are of; by default UTC
    #[arg(long, value_name = "ZONE", help_heading = "Who")]
    zone: Option<String>,
    #[command(flatten)]
    pub(crate) answering: Answering,
}

impl Args {
    /// The question in the JSON form.
    pub(crate) fn question(&self) -> Value {
        let mut own = Map::new();
        let mut set = |field: &str, value: Option<Value>| {
            own.extend(value.map(|value| (field.to_owned(), value)));
        };
        set("sort", self.sort.as_deref().map(Value::from));
        set("order", self.ascending.then(|| "ascending".into()));
        set("limit", self.limit.map(Value::from));
        set("cursor", self.cursor.as_deref().map(Value::from));
        set("search", self.search.as_ref().map(|text| self.search(text)));
        set("traits", (!self.show.is_empty()).then(|| json!(self.show)));
        set("touch", (!self.touch.is_empty()).then(|| json!(self.touch)));
        set("segment", self.segment.clone());
        set("time_zone", self.zone.as_deref().map(Value::from));
        self.answering.to_json("people", Value::Object(own))
    }

    fn search(&self, text: &str) -> Value {
        let mut search = json!({"text": text});
        if let Some(by) = &self.by {
            search["match"] = json!(by);
        }
        if self.ids {
            search["in"] = json!("ids");
        }
        if let Some(within) = &self.within {
            search["trait"] = json!(within);
        }
        search
    }
}
