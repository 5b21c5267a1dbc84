//! The events of a round, the same for everybody.

use pugmark_store::{Event, ValueRef};
use serde_json::{Map, Value, json};

use crate::Args;
use crate::workload::{Dice, shop_events};

const PEOPLE: u64 = 100_000;
/// Events of `single` and for each thread of `threads` in a round; the time limit mostly ends these cases before they are used up.
const SINGLES: usize = 10_000;
const EVENTS_A_THREAD: usize = 1_500;

/// An event as a peer stores it.
#[derive(Debug, Clone)]
pub struct Row {
    pub id: String,
    pub json: String,
}

/// Events that are appended together, in both shapes.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub events: Vec<Event>,
    pub rows: Vec<Row>,
}

impl Batch {
    fn of(events: Vec<Event>) -> Self {
        let rows = events.iter().map(row).collect();
        Self { events, rows }
    }

    /// Each event as a batch of its own.
    pub fn singles(&self) -> impl Iterator<Item = Self> {
        self.events
            .iter()
            .zip(&self.rows)
            .map(|(event, row)| Self { events: vec![event.clone()], rows: vec![row.clone()] })
    }

    /// The rows as one run of bytes: what a log without any structure would write.
    pub fn bytes(&self) -> Vec<u8> {
        self.rows.iter().flat_map(|row| row.id.bytes().chain(row.json.bytes())).collect()
    }
}

fn row(event: &Event) -> Row {
    let id = event.message_id.clone().unwrap_or_default();
    let properties: Map<String, Value> =
        event.properties.iter().map(|(name, value)| (name.clone(), ValueRef::to_json(value.borrowed()))).collect();
    let json = json!({
        "event": event.name,
        "distinct_id": event.distinct_id,
        "timestamp": event.timestamp.map(|at| at.as_microsecond()),
        "message_id": id,
        "session_id": event.session_id,
        "properties": properties,
    });
    Row { json: json.to_string(), id }
}

/// One round's events for every case.
#[derive(Debug)]
pub struct Round {
    pub new: Vec<Batch>,
    /// Some of those that are new in this round, to be appended again.
    pub again: Vec<Batch>,
    pub single: Batch,
    pub by_thread: Vec<Batch>,
}

/// Where the rounds come from: ids do not repeat across them.
#[derive(Debug)]
pub struct Works {
    dice: Dice,
    next: u64,
    batches: usize,
    batch: usize,
    threads: usize,
    rows: u64,
    bytes: u64,
}

impl Works {
    pub fn new(args: &Args) -> Self {
        let batch = args.batch.max(1);
        let batches = (args.events / args.rounds.max(1) / batch).max(1);
        Self { dice: Dice::new(7), next: 0, batches, batch, threads: args.threads.max(1), rows: 0, bytes: 0 }
    }

    pub fn next_round(&mut self) -> Round {
        let new: Vec<Batch> = (0..self.batches).map(|_| self.take(self.batch)).collect();
        let again = new.iter().take(self.batches.div_ceil(3)).cloned().collect();
        let single = self.take(SINGLES);
        let by_thread = (0..self.threads).map(|_| self.take(EVENTS_A_THREAD)).collect();
        Round { new, again, single, by_thread }
    }

    fn take(&mut self, count: usize) -> Batch {
        let batch = Batch::of(shop_events(&mut self.dice, self.next, count, PEOPLE));
        self.next += count as u64;
        self.rows += count as u64;
        self.bytes += batch.rows.iter().map(|row| row.json.len() as u64).sum::<u64>();
        batch
    }

    /// Mean bytes of an event as JSON.
    pub fn json_bytes(&self) -> f64 {
        self.bytes as f64 / self.rows.max(1) as f64
    }
}
