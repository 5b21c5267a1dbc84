//! `pugmark retention`: who comes back.

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::args::{Question, StoreDir};

/// Shows how many of those who start come back, period by period
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  pugmark retention shop signup --interval week --periods 8 --cohort recurring")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) store: StoreDir,
    /// The event that starts
    start: String,
    /// The event that counts as coming back; '*' is any event; by default the same as START
    #[arg(value_name = "RETURN")]
    returning: Option<String>,
    /// Calendar unit of cohorts and periods: hour, day, week or month
    #[arg(long, default_value = "week")]
    interval: String,
    /// How many columns; by default until the end of the range
    #[arg(long, value_name = "N")]
    periods: Option<u64>,
    /// Who belongs to a cohort
    #[arg(long, value_enum, default_value = "first-time")]
    cohort: Cohort,
    /// First day of a week: monday or sunday
    #[arg(long, value_name = "DAY")]
    week_start: Option<String>,
    #[command(flatten)]
    pub(crate) question: Question,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Cohort {
    /// Those whose first START of all lies in the bucket
    #[value(alias = "first_time")]
    FirstTime,
    /// All who did START in the bucket
    Recurring,
}

impl Args {
    /// The question in the JSON form.
    pub(crate) fn question(&self) -> Value {
        let mut own = json!({"start": {"event": self.start}, "interval": self.interval});
        if let Some(returning) = &self.returning {
            own["return"] = json!({"event": returning});
        }
        if let Some(periods) = self.periods {
            own["periods"] = json!(periods);
        }
        if matches!(self.cohort, Cohort::Recurring) {
            own["cohort"] = json!("recurring");
        }
        if let Some(day) = &self.week_start {
            own["week_start"] = json!(day);
        }
        self.question.to_json("retention", own)
    }
}
