//! Answers questions to a store, a line of JSON each, until its input ends: the pugmark of `benches/compare/questions`.
//!
//! | line | answer |
//! |---|---|
//! | `{"query": {…}}` | the analysis, in the JSON form |
//! | `{"sql": "SELECT …"}` | an array for each row |
//! | `{"together": [{"query": {…}}, {"sql": "SELECT …"}]}` | an array of the lines that these would have had, all asked at the same time |
//! | `{"append": n}` | at once; n events are appended meanwhile, 500 every 10 ms, each batch durable. What was appended before ends, and is what the answer tells of |
//! | `{"stats": true}` | the most memory that the process had, the bytes that it has read, and those in the directory |
//!
//! Each answer is a line `{"us": …, "answer": …, "error": …}`. Its microseconds are those from the text of the question to its typed answer.

#![expect(clippy::disallowed_methods, reason = "a program that measures asks for the time")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use pugmark::arrow::array::RecordBatch;
use pugmark::arrow::json::WriterBuilder;
use pugmark::arrow::json::writer::JsonArray;
use pugmark::{AppendOptions, Entry, Options, Pending, Pugmark, Timestamp};
use pugmark_benches::{Dice, shop_events};
use serde_json::{Value, json};

/// Events of an append, and the time from one to the next: 50,000 a second.
const BATCH: usize = 500;
const EVERY: Duration = Duration::from_millis(10);
/// Appended events happen as fast as they are appended, on the last day of the workload: 2025-03-31.
const FIRST_US: i64 = 1_743_379_200_000_000;
const APART_US: i64 = 20;

/// Answers questions to a store, a line of JSON each
#[derive(Debug, Parser)]
struct Args {
    /// The store's directory
    dir: PathBuf,
    /// Memory for the state of all queries, in MiB
    #[arg(long, value_name = "MIB")]
    memory: Option<usize>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let mut options = Options::existing();
    if let Some(mib) = args.memory {
        options.engine.memory_bytes = mib << 20;
    }
    let db = Pugmark::open_with(&args.dir, options)?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let answered = Asked { db: &db, stop: &stop, scope, appending: None }.until_end();
        stop.store(true, Ordering::Relaxed);
        answered
    })?;
    Ok(db.close()?)
}

/// A store that is asked, and appended to if need be.
struct Asked<'s, 'e> {
    db: &'e Pugmark,
    stop: &'e AtomicBool,
    scope: &'s Scope<'s, 'e>,
    appending: Option<ScopedJoinHandle<'s, Result<Appended>>>,
}

impl Asked<'_, '_> {
    fn until_end(mut self) -> Result<()> {
        let mut out = io::stdout();
        for line in io::stdin().lock().lines() {
            let answer = self.answer(&line?).unwrap_or_else(|error| refused(&error));
            writeln!(out, "{answer}")?;
            out.flush()?;
        }
        Ok(())
    }

    fn answer(&mut self, line: &str) -> Result<Value> {
        let asked: Value = serde_json::from_str(line).context("the line is not JSON")?;
        if let Some(all) = asked.get("together").and_then(Value::as_array) {
            let (us, answers) = timed(|| Ok::<_, anyhow::Error>(together(self.db, all)))?;
            Ok(answered(us, answers))
        } else if let Some(count) = asked.get("append").and_then(Value::as_u64) {
            let (us, told) = timed(|| self.append(count))?;
            Ok(answered(us, told))
        } else if asked.get("stats").is_some() {
            let (us, told) = timed(|| stats(self.db))?;
            Ok(answered(us, told))
        } else {
            question(self.db, &asked)
        }
    }

    /// Ends what is being appended, tells of it, and begins anew.
    fn append(&mut self, count: u64) -> Result<Value> {
        let before = match self.appending.take() {
            Some(appending) => {
                self.stop.store(true, Ordering::Relaxed);
                appending.join().expect("invariant: appending does not panic")?.told()
            }
            None => Value::Null,
        };
        if count > 0 {
            let (db, stop) = (self.db, self.stop);
            stop.store(false, Ordering::Relaxed);
            self.appending = Some(self.scope.spawn(move || append(db, count, stop)));
        }
        Ok(before)
    }
}

/// The answer to an analysis or to SQL.
fn question(db: &Pugmark, asked: &Value) -> Result<Value> {
    if let Some(query) = asked.get("query") {
        let text = query.to_string();
        let (us, answer) = timed(|| db.blocking()?.query_json(&text))?;
        Ok(answered(us, serde_json::to_value(&answer)?))
    } else if let Some(statement) = asked.get("sql").and_then(Value::as_str) {
        let (us, batches) = timed(|| db.blocking()?.sql(statement))?;
        Ok(answered(us, rows(&batches)?))
    } else {
        bail!("asked for nothing that is known: expected query, sql, together, append or stats, found {asked}")
    }
}

/// The answers to questions that are asked at the same time.
fn together(db: &Pugmark, asked: &[Value]) -> Value {
    thread::scope(|scope| {
        let threads: Vec<_> = asked.iter().map(|asked| scope.spawn(move || question(db, asked))).collect();
        let answers = threads.into_iter().map(|thread| thread.join().expect("invariant: asking does not panic"));
        answers.map(|answer| answer.unwrap_or_else(|error| refused(&error))).collect()
    })
}

fn answered(us: u64, answer: Value) -> Value {
    json!({"us": us, "answer": answer, "error": null})
}

fn refused(error: &anyhow::Error) -> Value {
    json!({"us": null, "answer": null, "error": told(error)})
}

/// An error of pugmark as the JSON form has it, with its kind.
fn told(error: &anyhow::Error) -> Value {
    match error.downcast_ref::<pugmark::Error>() {
        Some(known) => known.to_json()["error"].clone(),
        None => json!({"kind": "failed", "message": format!("{error:#}")}),
    }
}

fn timed<T, E: Into<anyhow::Error>>(call: impl FnOnce() -> Result<T, E>) -> Result<(u64, T)> {
    let begun = Instant::now();
    let answer = call().map_err(Into::into)?;
    Ok((u64::try_from(begun.elapsed().as_micros())?, answer))
}

/// What was appended, and how long each batch took.
#[derive(Debug)]
struct Appended {
    events: u64,
    seconds: f64,
    calls_us: Vec<u64>,
}

impl Appended {
    fn told(mut self) -> Value {
        self.calls_us.sort_unstable();
        let at = |share: usize| self.calls_us.get((self.calls_us.len() * share).saturating_sub(1) / 100);
        json!({"events": self.events, "seconds": self.seconds, "p50_us": at(50), "p99_us": at(99), "most_us": at(100)})
    }
}

/// Appends `count` events, or until it is to stop. A batch does not wait for the one before it to be durable; who falls behind catches up.
fn append(db: &Pugmark, count: u64, stop: &AtomicBool) -> Result<Appended> {
    let info = db.info()?;
    let mut dice = Dice::new(info.sequence);
    let (hand_over, handed_over) = mpsc::channel();
    let begun = Instant::now();
    let mut due = begun;
    let mut events = 0;
    let calls_us = thread::scope(|scope| {
        let waiting = scope.spawn(move || wait_for_all(&handed_over));
        while events < count && !stop.load(Ordering::Relaxed) {
            let batch = BATCH.min(usize::try_from(count - events)?);
            // Numbers go on where the store ends: message ids are new in a second run, too.
            let made = shop_events(&mut dice, info.sequence + events, batch, info.people.max(1));
            let made: Vec<Entry> =
                (events..).zip(made).map(|(number, event)| event.at(instant(number)).into()).collect();
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let called = Instant::now();
            let pending = db.submit(made, &AppendOptions::default())?;
            if hand_over.send((called, pending)).is_err() {
                break;
            }
            events += batch as u64;
            due += EVERY;
        }
        drop(hand_over);
        waiting.join().expect("invariant: waiting does not panic")
    })?;
    Ok(Appended { events, seconds: begun.elapsed().as_secs_f64(), calls_us })
}

/// How long each append took until it was durable, in microseconds.
fn wait_for_all(appends: &Receiver<(Instant, Pending)>) -> Result<Vec<u64>> {
    let mut calls_us = Vec::new();
    for (called, pending) in appends {
        let outcomes = pending.wait()?;
        calls_us.push(u64::try_from(called.elapsed().as_micros())?);
        if let Some(other) = outcomes.iter().find(|outcome| !outcome.is_stored()) {
            bail!("an event that was to be appended was not stored: {other:?}");
        }
    }
    Ok(calls_us)
}

fn instant(number: u64) -> Timestamp {
    Timestamp::from_microsecond(FIRST_US + i64::try_from(number).unwrap_or(i64::MAX / APART_US) * APART_US)
}

/// An array for each row, of its values in the order of the columns.
fn rows(batches: &[RecordBatch]) -> Result<Value> {
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(Vec::new());
    writer.write_batches(&batches.iter().collect::<Vec<_>>())?;
    writer.finish()?;
    let text = writer.into_inner();
    let rows: Vec<serde_json::Map<String, Value>> =
        if text.is_empty() { Vec::new() } else { serde_json::from_slice(&text)? };
    Ok(rows.into_iter().map(|row| row.into_iter().map(|(_, value)| value).collect::<Value>()).collect())
}

fn stats(db: &Pugmark) -> Result<Value> {
    let parts = ["columns", "rollups", "log", "runs", "index.redb"];
    let bytes = parts.iter().map(|part| Ok((*part, bytes_of(&db.dir().join(part))?)));
    let bytes = bytes.collect::<Result<BTreeMap<_, _>>>()?;
    Ok(json!({"events": db.info()?.events, "peak_bytes": peak_bytes()?, "read_bytes": read_bytes()?, "bytes": bytes}))
}

/// Of a file, or of all files below a directory; of what is not there, none.
fn bytes_of(path: &Path) -> Result<u64> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Ok(found) if found.is_dir() => fs::read_dir(path)?.map(|entry| bytes_of(&entry?.path())).sum(),
        found => Ok(found?.len()),
    }
}

/// What this process has read, from the disk or from the page cache: store and index are read by calls, and not mapped.
fn read_bytes() -> Result<u64> {
    let io = fs::read_to_string("/proc/self/io")?;
    let line = io.lines().find_map(|line| line.strip_prefix("rchar:"));
    Ok(line.context("/proc/self/io has no rchar")?.trim().parse()?)
}

/// The most memory that this process ever had.
fn peak_bytes() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status").context("reading /proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM in /proc/self/status")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? * 1024)
}
