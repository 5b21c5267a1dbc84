//! `pugmark funnel`: how many get how far.

use serde_json::{Value, json};

use crate::args::{Question, StoreDir};

/// Counts how many people get how far through a series of steps
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  pugmark funnel shop view cart purchase --window 7d --by country --from 2025-01-01")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) store: StoreDir,
    /// Event names, a step for each, in order
    #[arg(value_name = "STEP", required = true)]
    steps: Vec<String>,
    /// How long after the first step the last may come, such as 7d, 12h or 30m; 14d by default
    #[arg(long, value_name = "SPAN")]
    window: Option<String>,
    #[command(flatten)]
    pub(crate) question: Question,
}

impl Args {
    /// The question in the JSON form.
    pub(crate) fn question(&self) -> Value {
        let steps: Vec<Value> = self.steps.iter().map(|event| json!({"event": event})).collect();
        let mut own = json!({"steps": steps});
        if let Some(window) = &self.window {
            own["window"] = json!(window);
        }
        self.question.to_json("funnel", own)
    }
}
