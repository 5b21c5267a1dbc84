//! `pugmark segment`: how many people are in a segment, and who they are.

use serde_json::{Map, Value, json};

use crate::args::{Answering, StoreDir, json_value};

/// Counts the people who did this and did not do that, and names them on request
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pugmark segment shop --did purchase:5 --within 30d --did-not refund --profile \"country = 'US'\"\n  \
    pugmark segment shop --first ad --people --format csv --out came-by-ad.csv\n  \
    pugmark segment shop --json '{\"funnel\": {\"steps\": [{\"event\": \"cart\"}, {\"event\": \"purchase\"}]}, \"step\": 2, \"outcome\": \"dropped\"}'\n\n\
    Everybody is asked whom the store knows, also those without events."
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) store: StoreDir,
    /// Those who had this event, so many times or more with :N behind it; may be repeated
    #[arg(long, value_name = "EVENT[:N]")]
    did: Vec<String>,
    /// Those who never had this event; may be repeated
    #[arg(long, value_name = "EVENT")]
    did_not: Vec<String>,
    /// Those whose first event is this one
    #[arg(long, value_name = "EVENT")]
    first: Option<String>,
    /// Those whose last event is this one
    #[arg(long, value_name = "EVENT")]
    last: Option<String>,
    /// Look at the events of the last time of this length only, such as 30d
    #[arg(long, value_name = "SPAN")]
    within: Option<String>,
    /// Those of whom this SQL expression over their traits is true, such as "country = 'US'"
    #[arg(long, value_name = "SQL")]
    profile: Vec<String>,
    /// Those of a segment in the JSON form; may be repeated
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    json: Vec<Value>,
    /// Those of whom one of these is true, in place of all
    #[arg(long)]
    any: bool,
    /// Name the people, at most 100000
    #[arg(long)]
    people: bool,
    /// IANA time zone that dates are of, such as Europe/Berlin; by default UTC
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    #[command(flatten)]
    pub(crate) answering: Answering,
}

impl Args {
    /// The question in the JSON form.
    pub(crate) fn question(&self) -> Value {
        let mut parts: Vec<Value> = Vec::new();
        for event in &self.did {
            let (name, times) = times_of(event);
            let mut did = json!({"did": {"event": name}});
            if let Some(times) = times {
                did["times"] = json!({"at_least": times});
            }
            parts.push(did);
        }
        let named = [("first", &self.first), ("last", &self.last)];
        let named = named.into_iter().filter_map(|(form, event)| Some((form, event.as_ref()?)));
        let named = self.did_not.iter().map(|event| ("did_not", event)).chain(named);
        parts.extend(named.map(|(form, event)| json!({form: {"event": event}})));
        if let Some(within) = &self.within {
            parts.iter_mut().for_each(|part| part["range"] = json!({"last": within}));
        }
        parts.extend(self.profile.iter().map(|sql| json!({"profile": sql})));
        parts.extend(self.json.iter().cloned());
        let mut own = match <[Value; 1]>::try_from(parts) {
            Ok([Value::Object(only)]) => only,
            Ok(one) => together(self.any, one.into()),
            Err(parts) => together(self.any, parts),
        };
        own.extend(self.people.then(|| ("people".to_owned(), json!(true))));
        own.extend(self.zone.as_ref().map(|zone| ("time_zone".to_owned(), json!(zone))));
        self.answering.to_json("segment", Value::Object(own))
    }
}

fn together(any: bool, parts: Vec<Value>) -> Map<String, Value> {
    Map::from_iter([(if any { "any" } else { "all" }.to_owned(), Value::Array(parts))])
}

/// The name of an event, and the number behind it.
fn times_of(event: &str) -> (&str, Option<u64>) {
    match event.rsplit_once(':').and_then(|(name, times)| Some((name, times.parse().ok()?))) {
        Some((name, times)) => (name, Some(times)),
        None => (event, None),
    }
}
