//! `pugmark stickiness`: how often people are active.

use serde_json::{Value, json};

use crate::args::{Question, StoreDir};

/// Shows how many people were active on one day of the range (or in one week, with --interval), on two, and so on
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  pugmark stickiness shop purchase --interval week --last 90d --at-least")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) store: StoreDir,
    /// The events that make one active; '*' is any event
    #[arg(value_name = "EVENT", default_value = "*")]
    events: Vec<String>,
    /// Calendar unit that is counted: minute, hour, day, week, month, quarter or year
    #[arg(long, default_value = "day")]
    interval: String,
    /// Count those who were active so often or more often, in place of exactly so often
    #[arg(long)]
    at_least: bool,
    /// How many events make one active
    #[arg(long, value_name = "N")]
    min_occurrences: Option<u64>,
    /// First day of a week: monday or sunday
    #[arg(long, value_name = "DAY")]
    week_start: Option<String>,
    #[command(flatten)]
    pub(crate) question: Question,
}

impl Args {
    /// The question in the JSON form.
    pub(crate) fn question(&self) -> Value {
        let mut own = json!({"event": super::selector(&self.events), "interval": self.interval});
        if self.at_least {
            own["at_least"] = json!(true);
        }
        if let Some(count) = self.min_occurrences {
            own["min_occurrences"] = json!(count);
        }
        if let Some(day) = &self.week_start {
            own["week_start"] = json!(day);
        }
        self.question.to_json("stickiness", own)
    }
}
