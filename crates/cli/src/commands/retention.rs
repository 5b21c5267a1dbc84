//! `pugmark retention`: who comes back.

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::args::{Question, StoreDir};

/// Shows how many of those who start come back, period by period
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pugmark retention shop signup --interval week --periods 8 --cohort recurring
  pugmark retention shop signup '*' --interval day --brackets 1,3,7,30 --open
  pugmark retention shop signup purchase --interval month --sum amount --criterion on-or-before")]
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
    /// How many columns; by default until the end of the range or, with --open, until now
    #[arg(long, value_name = "N")]
    periods: Option<u64>,
    /// Who belongs to a cohort
    #[arg(long, value_enum, default_value = "first-time")]
    cohort: Cohort,
    /// SQL that must hold of a start event, such as "amount > 10"; --filter is for all events
    #[arg(long, value_name = "SQL")]
    start_filter: Option<String>,
    /// SQL that must hold of a return event
    #[arg(long, value_name = "SQL")]
    return_filter: Option<String>,
    /// First day of a week: monday or sunday
    #[arg(long, value_name = "DAY")]
    week_start: Option<String>,
    /// Count periods from each one's own start: spans of 1 hour, 24 hours, 7 or 30 days
    #[arg(long, help_heading = "Returns")]
    rolling: bool,
    /// With --rolling: floor the times of start and return to the full hour
    #[arg(long, requires = "rolling", help_heading = "Returns")]
    round_to_hour: bool,
    /// Read returns on until now, after the end of the range too
    #[arg(long, help_heading = "Returns")]
    open: bool,
    /// In which periods a return is wanted for a column
    #[arg(long, value_enum, default_value = "on", help_heading = "Returns")]
    criterion: Criterion,
    /// Columns of several periods by where each begins: 1,3,7 is 1-2, 3-6 and 7+
    #[arg(long, value_name = "N,…", value_delimiter = ',', conflicts_with_all = ["periods", "criterion"], help_heading = "Returns")]
    brackets: Vec<u64>,
    /// How many return events a period needs; 1 by default
    #[arg(long, value_name = "N", help_heading = "Returns")]
    min_occurrences: Option<u64>,
    /// Show in period 0 those who came back in it, not the size of the cohort
    #[arg(long, help_heading = "Returns")]
    zero_returned: bool,
    /// Add up this property of the return events in place of counting people
    #[arg(long, value_name = "PROPERTY", conflicts_with = "avg", help_heading = "Returns")]
    sum: Option<String>,
    /// Take the mean of this property of the return events
    #[arg(long, value_name = "PROPERTY", help_heading = "Returns")]
    avg: Option<String>,
    /// With a breakdown: want the value of the start on the return, too
    #[arg(long, help_heading = "Breakdown")]
    same_value: bool,
    #[command(flatten)]
    pub(crate) question: Question,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Cohort {
    /// Those whose first START of all lies in the bucket
    #[value(alias = "first_time")]
    FirstTime,
    /// Those whose first event of START's name lies in the bucket and passes --start-filter
    #[value(alias = "first_of_event")]
    FirstOfEvent,
    /// Those whose very first event of any kind lies in the bucket and is START
    #[value(alias = "first_ever")]
    FirstEver,
    /// Those whose first START in the range lies in the bucket
    #[value(alias = "first_in_range")]
    FirstInRange,
    /// All who did START in the bucket
    Recurring,
}

impl Cohort {
    fn word(self) -> Option<&'static str> {
        match self {
            Self::FirstTime => None,
            Self::FirstOfEvent => Some("first_of_event"),
            Self::FirstEver => Some("first_ever"),
            Self::FirstInRange => Some("first_in_range"),
            Self::Recurring => Some("recurring"),
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Criterion {
    /// In the period of the column
    On,
    /// In that period or any later one
    #[value(alias = "on_or_after")]
    OnOrAfter,
    /// In any period from 1 to that one
    #[value(alias = "on_or_before")]
    OnOrBefore,
    /// In every period from 1 to that one
    Streak,
}

impl Criterion {
    fn word(self) -> Option<&'static str> {
        match self {
            Self::On => None,
            Self::OnOrAfter => Some("on_or_after"),
            Self::OnOrBefore => Some("on_or_before"),
            Self::Streak => Some("streak"),
        }
    }
}

impl Args {
    /// The question in the JSON form.
    pub(crate) fn question(&self) -> Value {
        let selector = |event: &str, filter: Option<&String>| match filter {
            Some(filter) => json!({"event": event, "filter": filter}),
            None => json!({"event": event}),
        };
        let mut own = json!({"start": selector(&self.start, self.start_filter.as_ref()), "interval": self.interval});
        let mut set = |field: &str, value: Option<Value>| {
            if let Some(value) = value {
                own[field] = value;
            }
        };
        if self.returning.is_some() || self.return_filter.is_some() {
            let event = self.returning.as_ref().unwrap_or(&self.start);
            set("return", Some(selector(event, self.return_filter.as_ref())));
        }
        set("periods", self.periods.map(Value::from));
        set("cohort", self.cohort.word().map(Value::from));
        set("week_start", self.week_start.as_deref().map(Value::from));
        set("clock", self.rolling.then(|| "rolling".into()));
        set("round_to", self.round_to_hour.then(|| "hour".into()));
        set("returns", self.open.then(|| "open".into()));
        set("criterion", self.criterion.word().map(Value::from));
        set("brackets", (!self.brackets.is_empty()).then(|| json!(self.brackets)));
        set("min_occurrences", self.min_occurrences.map(Value::from));
        set("period_zero", self.zero_returned.then(|| "returned".into()));
        for (measure, property) in [("sum", &self.sum), ("avg", &self.avg)] {
            if let Some(property) = property {
                set("measure", Some(measure.into()));
                set("property", Some(property.as_str().into()));
            }
        }
        set("breakdown_match", self.same_value.then(|| true.into()));
        self.question.to_json("retention", own)
    }
}
