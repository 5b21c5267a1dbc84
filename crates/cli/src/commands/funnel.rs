//! `pugmark funnel`: how many get how far.

use serde_json::{Map, Value, json};

use super::written_selector;
use crate::args::{Question, StoreDir};

/// Counts how many people get how far through a series of steps
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pugmark funnel shop view cart purchase --window 7d --by country --from 2025-01-01
  pugmark funnel shop view cart purchase --hold order_id --exclude refund:1-3:void
  pugmark funnel shop view '{\"event\": \"coupon\", \"optional\": true}' purchase --trend week
  pugmark funnel shop view cart purchase --people 3:dropped")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) store: StoreDir,
    /// Event names, a step for each, in order; or a step in the JSON form, such as '{"event": "cart", "filter": "amount > 10"}'
    #[arg(value_name = "STEP", required = true)]
    steps: Vec<String>,
    /// How long after the first step the last may come, such as 7d, 12h or 30m, or session; 14d by default
    #[arg(long, value_name = "SPAN")]
    window: Option<String>,
    /// In which order the steps are to be done: ordered, any, strict (nothing between them) or strict_steps (no other step between them)
    #[arg(long, value_name = "ORDER")]
    order: Option<String>,
    /// Whether a repeat of the step just done breaks a strict order: skip or break
    #[arg(long, value_name = "REPEATS")]
    repeats: Option<String>,
    /// What follows what among events of one instant: either, sequence or apart
    #[arg(long, value_name = "TIES")]
    ties: Option<String>,
    /// How far a step may lie before the step that it follows, such as 2s
    #[arg(long, value_name = "SPAN")]
    tolerance: Option<String>,
    /// Let one event serve several steps
    #[arg(long)]
    reuse: bool,
    /// Which attempts count: any (the deepest of each person), first or every
    #[arg(long, value_name = "ENTRY")]
    entry: Option<String>,
    /// Which of equally deep attempts counts: earliest or latest
    #[arg(long, value_name = "PICK")]
    pick: Option<String>,
    /// Where the steps after the first may lie: in_window or in_range
    #[arg(long, value_name = "WHERE")]
    completion: Option<String>,
    /// An event that spoils an attempt: EVENT, EVENT:FROM-TO or EVENT:FROM-TO:OUTCOME with steps counted from 1 and the outcome end, void or drop; may be repeated
    #[arg(long, value_name = "EVENT")]
    exclude: Vec<String>,
    /// A property that all steps of an attempt must share, such as order_id; up to three
    #[arg(long, value_name = "PROPERTY", value_delimiter = ',')]
    hold: Vec<String>,
    /// Where the values of the breakdown are read: first, last, first_touch, last_touch, all, or the number of a step
    #[arg(long, value_name = "WHERE")]
    at: Option<String>,
    /// Tell apart the attempts that begin in each calendar unit, such as week
    #[arg(long, value_name = "INTERVAL")]
    trend: Option<String>,
    /// Name the people who did a step, or stopped before it: STEP:converted or STEP:dropped, such as 3:dropped
    #[arg(long, value_name = "STEP:OUTCOME")]
    people: Option<String>,
    /// Show the matched events of each person
    #[arg(long)]
    rows: bool,
    /// Count the times from one step to another, in so many bars of one width: FROM-TO or FROM-TO:BARS
    #[arg(long, value_name = "FROM-TO")]
    histogram: Option<String>,
    /// Choose as another product does: mixpanel, amplitude, posthog or clickhouse
    #[arg(long, value_name = "PRODUCT")]
    like: Option<String>,
    #[command(flatten)]
    pub(crate) question: Question,
}

impl Args {
    /// The question in the JSON form.
    pub(crate) fn question(&self) -> Value {
        let steps: Vec<Value> = self.steps.iter().map(|step| written_selector(step)).collect();
        let mut own = Map::new();
        own.insert("steps".to_owned(), json!(steps));
        let words = [
            ("window", &self.window),
            ("order", &self.order),
            ("repeats", &self.repeats),
            ("ties", &self.ties),
            ("tolerance", &self.tolerance),
            ("entry", &self.entry),
            ("pick", &self.pick),
            ("completion", &self.completion),
            ("trend", &self.trend),
            ("like", &self.like),
        ];
        for (name, word) in words {
            own.extend(word.as_ref().map(|word| (name.to_owned(), json!(word))));
        }
        for (name, given) in [("reuse", self.reuse), ("rows", self.rows)] {
            own.extend(given.then(|| (name.to_owned(), json!(true))));
        }
        if !self.exclude.is_empty() {
            let excluded: Vec<Value> = self.exclude.iter().map(|text| exclusion(text, steps.len())).collect();
            own.insert("exclude".to_owned(), json!(excluded));
        }
        if !self.hold.is_empty() {
            own.insert("hold".to_owned(), json!(self.hold));
        }
        if let Some(at) = &self.at {
            own.insert("at".to_owned(), at.parse().map_or_else(|_| json!(at), |step: u64| json!({ "step": step })));
        }
        if let Some(people) = &self.people {
            let (step, outcome) = people.split_once(':').unwrap_or((people, "converted"));
            own.insert("people".to_owned(), json!({ "step": number(step), "outcome": outcome }));
        }
        if let Some(histogram) = &self.histogram {
            let (between, bins) = histogram.split_once(':').map_or((histogram.as_str(), None), |(a, b)| (a, Some(b)));
            let (from, to) = between.split_once('-').unwrap_or((between, between));
            let mut given = json!({ "from_step": number(from), "to_step": number(to) });
            if let Some(bins) = bins {
                given["bins"] = number(bins);
            }
            own.insert("histogram".to_owned(), given);
        }
        self.question.to_json("funnel", Value::Object(own))
    }
}

/// A number; text that is none is left for the engine to complain about.
fn number(text: &str) -> Value {
    text.parse::<u64>().map_or_else(|_| json!(text), |number| json!(number))
}

/// `EVENT`, `EVENT:FROM-TO` or `EVENT:FROM-TO:OUTCOME`; names may have colons themselves. What looks like steps and is none is left for the engine to complain about.
fn exclusion(text: &str, steps: usize) -> Value {
    let between = |text: &str| {
        let (from, to) = text.split_once('-')?;
        Some((from.parse::<u64>().ok()?, to.parse::<u64>().ok()?))
    };
    let looks_like_steps = |part: &str| part.starts_with(|first: char| first.is_ascii_digit());
    let parts: Vec<&str> = text.rsplitn(3, ':').collect();
    let (event, from, to, outcome) = match parts.as_slice() {
        [outcome, span, event] if between(span).is_some() => {
            let (from, to) = between(span).unwrap_or_default();
            ((*event).to_owned(), from, to, Some(*outcome))
        }
        [span, rest @ ..] if !rest.is_empty() && between(span).is_some() => {
            let (from, to) = between(span).unwrap_or_default();
            (rest.iter().rev().copied().collect::<Vec<_>>().join(":"), from, to, None)
        }
        _ => match text.split_once(':').filter(|(_, rest)| rest.split(':').any(looks_like_steps)) {
            Some((event, steps)) => {
                let mut exclusion = written_selector(event);
                exclusion["from_step"] = json!(steps);
                return exclusion;
            }
            None => (text.to_owned(), 1, steps as u64, None),
        },
    };
    let mut exclusion = written_selector(&event);
    exclusion["from_step"] = json!(from);
    exclusion["to_step"] = json!(to);
    if let Some(outcome) = outcome {
        exclusion["outcome"] = json!(outcome);
    }
    exclusion
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exclusions_are_written_short() {
        assert_eq!(exclusion("refund", 3), json!({"event": "refund", "from_step": 1, "to_step": 3}));
        assert_eq!(exclusion("a:b", 3), json!({"event": "a:b", "from_step": 1, "to_step": 3}));
        assert_eq!(exclusion("refund:1", 3), json!({"event": "refund", "from_step": "1"}));
        assert_eq!(exclusion("refund:1-2:end:x", 3), json!({"event": "refund", "from_step": "1-2:end:x"}));
        assert_eq!(exclusion("a:b:2-3", 3), json!({"event": "a:b", "from_step": 2, "to_step": 3}));
        let void = json!({"event": "refund", "from_step": 1, "to_step": 2, "outcome": "void"});
        assert_eq!(exclusion("refund:1-2:void", 3), void);
    }
}
