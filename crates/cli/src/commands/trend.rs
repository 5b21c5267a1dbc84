//! `pugmark trend`: counts and uniques over time.

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::args::{Question, StoreDir};

/// Counts events, or the people who did them, over time
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  pugmark trend shop purchase --measure uniques --interval week --by country --zone Europe/Berlin --filter \"amount > 10\""
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) store: StoreDir,
    /// Event names, a series for each; '*' is any event
    #[arg(value_name = "EVENT", required = true)]
    events: Vec<String>,
    /// What to measure
    #[arg(long, value_enum, default_value = "count")]
    measure: Measure,
    /// Calendar unit of a bucket: minute, hour, day, week, month, quarter or year
    #[arg(long, default_value = "day")]
    interval: String,
    /// First day of a week: monday or sunday
    #[arg(long, value_name = "DAY")]
    week_start: Option<String>,
    #[command(flatten)]
    pub(crate) question: Question,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Measure {
    /// How many events
    Count,
    /// How many different people
    Uniques,
}

impl Args {
    /// The question in the JSON form.
    pub(crate) fn question(&self) -> Value {
        let measure = match self.measure {
            Measure::Count => None,
            Measure::Uniques => Some("uniques"),
        };
        let series = self.events.iter().map(|event| match measure {
            Some(measure) => json!({"event": event, "measure": measure}),
            None => json!({"event": event}),
        });
        let mut own = json!({"series": series.collect::<Vec<_>>(), "interval": self.interval});
        if let Some(day) = &self.week_start {
            own["week_start"] = json!(day);
        }
        self.question.to_json("trend", own)
    }
}
