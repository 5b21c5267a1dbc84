//! DuckDB, in a Python process of its own: `duckdb_append.py` beside this workspace's manifest times it there, so that the way to it costs nothing.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Contender, bytes_of};
use crate::cases::Case;
use crate::measure::Ran;
use crate::work::{Batch, Round};

pub struct DuckDb {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    dir: PathBuf,
}

impl DuckDb {
    pub fn open(python: &Path, dir: PathBuf) -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("duckdb_append.py");
        let mut child = Command::new(python)
            .arg(script)
            .arg(dir.join("events.duckdb"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", python.display()))?;
        let ask = child.stdin.take().context("the child's input")?;
        let answers = BufReader::new(child.stdout.take().context("the child's output")?);
        Ok(Self { child, ask, answers, dir })
    }

    fn ask(&mut self, question: &Value) -> Result<Value> {
        writeln!(self.ask, "{question}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("duckdb_append.py answered {line:?}"))
    }
}

impl Contender for DuckDb {
    fn name(&self) -> &'static str {
        "duckdb"
    }

    fn run(&mut self, case: Case, round: &Round, limit: Duration) -> Result<Option<Ran>> {
        let batches: Vec<Batch> = match case {
            Case::Batches => round.new.clone(),
            Case::Duplicates => round.again.clone(),
            Case::Single => round.single.singles().collect(),
            // Python's threads would be what is measured.
            Case::Threads => return Ok(None),
        };
        // Beside the database, not in it: files that are counted hold nothing else.
        let path = self.dir.with_extension("rows");
        let mut file = BufWriter::new(File::create(&path)?);
        for batch in &batches {
            let rows: Vec<_> = batch.rows.iter().map(|row| [&row.id, &row.json]).collect();
            writeln!(file, "{}", serde_json::to_string(&rows)?)?;
        }
        file.into_inner()?;
        let limit = (case == Case::Single).then_some(limit.as_secs_f64());
        let answer = self.ask(&json!({ "rows": path, "limit": limit }))?;
        std::fs::remove_file(&path)?;
        let seconds = |value: &Value| value.as_f64().map(Duration::from_secs_f64);
        let calls: Option<Vec<Duration>> = answer["calls"].as_array().and_then(|all| all.iter().map(seconds).collect());
        let calls = calls.context("no times in the answer")?;
        let elapsed = seconds(&answer["elapsed"]).context("no time in the answer")?;
        let events = batches.iter().take(calls.len()).map(|batch| batch.rows.len()).sum();
        let stored = answer["stored"].as_u64();
        let expected = if case == Case::Duplicates { 0 } else { events as u64 };
        ensure!(stored == Some(expected), "{stored:?} of {events} events were new");
        Ok(Some(Ran { events, elapsed, calls }))
    }

    fn close(self: Box<Self>) -> Result<u64> {
        let Self { mut child, ask, dir, .. } = *self;
        // The end of its input is the sign to close.
        drop(ask);
        ensure!(child.wait()?.success(), "duckdb_append.py failed as it closed");
        bytes_of(&dir)
    }
}
