//! `pugmark lifecycle`: who is new, who stays, who comes back and who stays away.

use serde_json::{Value, json};

use crate::args::{Question, StoreDir};

/// Shows who is new, returning, resurrecting and dormant, bucket by bucket
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  pugmark lifecycle shop --interval week --last 90d\n\n\
    new: the first event of all lies in the bucket. returning: active in the bucket before, too.\n\
    resurrecting: active before, but not in the bucket before. dormant: active in the bucket before, not in this one.")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) store: StoreDir,
    /// The events that make one active; '*' is any event
    #[arg(value_name = "EVENT", default_value = "*")]
    events: Vec<String>,
    /// Calendar unit of a bucket: minute, hour, day, week, month, quarter or year
    #[arg(long, default_value = "week")]
    interval: String,
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
        if let Some(day) = &self.week_start {
            own["week_start"] = json!(day);
        }
        self.question.to_json("lifecycle", own)
    }
}
