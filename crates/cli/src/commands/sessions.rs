//! `pugmark sessions`: what people do in one go.

use serde_json::{Map, Value, json};

use crate::args::{Question, StoreDir};

/// Shows how many sessions there were, how long they took and how many were of one event
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pugmark sessions shop --gap 30m --interval day --last 30d\n  pugmark sessions shop --rows --format csv --out sessions.csv\n\n\
    A session is that of the session_id of its events; those without one are cut where a person had no event for longer than the gap.\n\
    bounce rate: the share of sessions that are of one event."
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) store: StoreDir,
    /// The longest time between two events of a session; 30m by default
    #[arg(long, value_name = "SPAN")]
    gap: Option<String>,
    /// Whether events exactly the gap apart are of one session, same, or of two, new; same by default
    #[arg(long, value_name = "WHICH")]
    gap_at: Option<String>,
    /// The longest time from the first event of a session to another one of it
    #[arg(long, value_name = "SPAN")]
    max: Option<String>,
    /// End every session at midnight of the zone
    #[arg(long)]
    midnight: bool,
    /// Cut all events, whatever session_id they came with
    #[arg(long)]
    ignore_ids: bool,
    /// Begin another session where the value of this property changes; up to three times, or with commas between
    #[arg(long, value_name = "PROPERTY", value_delimiter = ',')]
    split_on: Vec<String>,
    /// The property that names the page of an event; by default the first that it has of url, page.url and $current_url
    #[arg(long, value_name = "PROPERTY")]
    page: Option<String>,
    /// Say in each row what the first and the last event with any of these properties says of them
    #[arg(long, value_name = "PROPERTY", value_delimiter = ',', requires = "rows")]
    touch: Vec<String>,
    /// List the sessions, at most 100000
    #[arg(long)]
    rows: bool,
    /// Count besides by this calendar unit: minute, hour, day, week, month, quarter or year
    #[arg(long, value_name = "UNIT")]
    interval: Option<String>,
    /// First day of a week: monday or sunday
    #[arg(long, value_name = "DAY")]
    week_start: Option<String>,
    #[command(flatten)]
    pub(crate) question: Question,
}

impl Args {
    /// The question in the JSON form.
    pub(crate) fn question(&self) -> Value {
        let mut own = Map::new();
        let texts = [
            ("gap", &self.gap),
            ("gap_at", &self.gap_at),
            ("max", &self.max),
            ("page", &self.page),
            ("interval", &self.interval),
            ("week_start", &self.week_start),
        ];
        own.extend(texts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?)))));
        for (name, set) in [("midnight", self.midnight), ("rows", self.rows)] {
            own.extend(set.then(|| (name.to_owned(), json!(true))));
        }
        if self.ignore_ids {
            own.insert("by".to_owned(), Value::Null);
        }
        if !self.split_on.is_empty() {
            own.insert("split_on".to_owned(), json!(self.split_on));
        }
        if !self.touch.is_empty() {
            own.insert("touch".to_owned(), json!(self.touch));
        }
        self.question.to_json("sessions", Value::Object(own))
    }
}
