//! `pugmark journey`: what one person did.

use serde_json::{Value, json};

use crate::args::{Answering, Reading, StoreDir};

/// Shows what one person did, session by session, the newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pugmark journey shop ann\n  \
    pugmark journey shop ann --order oldest --limit 20 --filter \"event <> 'view'\"\n\n\
    A session is that of the sender, or else ends with half an hour without an event.")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) store: StoreDir,
    /// Any id of the person; the events of all of the person's ids are shown
    #[arg(value_name = "ID")]
    distinct_id: String,
    /// How many events to show, 1 to 1000; 100 by default
    #[arg(long, value_name = "N", help_heading = "Page")]
    limit: Option<u64>,
    /// Which events come first: newest or oldest
    #[arg(long, value_name = "ORDER", help_heading = "Page")]
    order: Option<String>,
    /// Go on after the page that ended with this cursor
    #[arg(long, value_name = "CURSOR", help_heading = "Page")]
    cursor: Option<String>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    pub(crate) answering: Answering,
}

impl Args {
    /// The question in the JSON form.
    pub(crate) fn question(&self) -> Value {
        let mut own = json!({"distinct_id": self.distinct_id});
        if let Some(limit) = self.limit {
            own["limit"] = json!(limit);
        }
        if let Some(order) = &self.order {
            own["order"] = json!(order);
        }
        if let Some(cursor) = &self.cursor {
            own["cursor"] = json!(cursor);
        }
        if let Value::Object(fields) = &mut own {
            self.reading.add_to(fields);
        }
        self.answering.to_json("journey", own)
    }
}
