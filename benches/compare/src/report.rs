//! The figures as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use crate::Args;
use crate::cases::Case;
use crate::measure::Measured;
use crate::peers::PLAIN;
use crate::work::Works;

/// In the order of the table.
const NAMES: [&str; 7] = ["pugmark", "pugmark-packed", "sqlite", "redb", "fjall", "duckdb", PLAIN];

pub struct Report {
    measured: Measured,
    bytes: BTreeMap<&'static str, u64>,
    batch: usize,
    threads: usize,
    rounds: usize,
    json_bytes: f64,
    load: [String; 2],
}

impl Report {
    pub fn new(args: &Args, works: &Works, measured: Measured, load_before: String) -> Self {
        Self {
            measured,
            bytes: BTreeMap::new(),
            batch: args.batch,
            threads: args.threads,
            rounds: args.rounds,
            json_bytes: works.json_bytes(),
            load: [load_before, load()],
        }
    }

    /// What a contender's files have once it is closed.
    pub fn bytes(&mut self, name: &'static str, bytes: u64) {
        self.bytes.insert(name, bytes);
    }

    pub fn json(&self) -> Value {
        let cases: Vec<Value> = self
            .measured
            .iter()
            .map(|(case, name, rounds)| {
                let (slowest, fastest) = rounds.spread();
                json!({
                    "case": case.as_str(),
                    "name": name,
                    "events_per_second": rounds.rate(),
                    "slowest_round": slowest,
                    "fastest_round": fastest,
                    "calls": rounds.calls(),
                    "call_p50_us": rounds.call_us(0.5),
                    "call_p99_us": rounds.call_us(0.99),
                })
            })
            .collect();
        json!({
            "batch": self.batch,
            "threads": self.threads,
            "rounds": self.rounds,
            "json_bytes_per_event": self.json_bytes,
            "load": self.load,
            "cases": cases,
            "bytes_when_closed": self.bytes,
        })
    }

    fn cell(&self, name: &'static str, case: Case) -> String {
        let Some(rounds) = self.measured.of(name, case) else { return "-".to_owned() };
        let (p50, p99) = (us(rounds.call_us(0.5)), us(rounds.call_us(0.99)));
        format!("{} ({p50}, {p99})", thousands(rounds.rate()))
    }

    /// Bytes a stored event has on disk, which are as many as new events were given to everybody; the plain file holds others.
    fn disk(&self, name: &'static str) -> String {
        let stored: f64 = [Case::Batches, Case::Single, Case::Threads]
            .into_iter()
            .filter_map(|case| {
                let rounds = self.measured.of(name, case)?;
                let each = if case == Case::Batches { self.batch } else { 1 };
                Some((rounds.calls() * each) as f64)
            })
            .sum();
        self.bytes.get(name).map_or_else(|| "-".to_owned(), |bytes| format!("{:.0}", *bytes as f64 / stored.max(1.0)))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Events a second, the median of {} rounds; in brackets the median and the 99th percentile of a call. An event has {:.0} bytes as JSON. \
             Load before and after: {} and {}.\n",
            self.rounds, self.json_bytes, self.load[0], self.load[1]
        )?;
        let heads = [
            format!("batches of {}", self.batch),
            format!("duplicates, batches of {}", self.batch),
            "single, 1 thread".to_owned(),
            format!("single, {} threads", self.threads),
            "bytes an event on disk".to_owned(),
        ];
        writeln!(f, "| | {} |", heads.join(" | "))?;
        writeln!(f, "|---|{}", "---:|".repeat(heads.len()))?;
        for name in NAMES {
            if !self.bytes.contains_key(name) {
                continue;
            }
            let cells: Vec<String> =
                Case::ALL.into_iter().map(|case| self.cell(name, case)).chain([self.disk(name)]).collect();
            let name = if name == PLAIN { "write + fdatasync of the same bytes" } else { name };
            writeln!(f, "| {name} | {} |", cells.join(" | "))?;
        }
        Ok(())
    }
}

fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn us(us: f64) -> String {
    if us < 1_000.0 { format!("{us:.0} µs") } else { format!("{:.2} ms", us / 1_000.0) }
}

/// How many processes wanted to run over the last minute, where the system says so.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}
