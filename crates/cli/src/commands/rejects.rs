//! The file of what an import did not take.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use pugmark::Reject;
use serde_json::json;

use crate::output::flatten;

/// How many rejects are shown at once; all are in the file.
const SHOWN: usize = 3;

/// Writes rejects to a file, which is made with the first of them.
pub(super) struct Rejects {
    path: PathBuf,
    out: Option<BufWriter<File>>,
    /// The first failure of writing; an import is not ended by it, but does not end well.
    failure: Option<anyhow::Error>,
    first: Vec<String>,
    count: u64,
}

impl Rejects {
    /// Rejects of `input`, to be written to `path` or beside the input.
    pub(super) fn of(input: &Path, path: Option<&Path>) -> Self {
        let path = path.map_or_else(|| beside(input), Path::to_owned);
        Self { path, out: None, failure: None, first: Vec::new(), count: 0 }
    }

    pub(super) fn add(&mut self, reject: &Reject) {
        if self.first.len() < SHOWN {
            self.first.push(format!("line {}: {}", reject.line, reject.reason));
        }
        self.count += 1;
        if self.failure.is_none()
            && let Err(error) = self.write(reject)
        {
            self.failure = Some(flatten(error.context(format!("writing rejects to {}", self.path.display()))));
        }
    }

    fn write(&mut self, reject: &Reject) -> anyhow::Result<()> {
        let out = match &mut self.out {
            Some(out) => out,
            none => none.insert(BufWriter::new(File::create(&self.path)?)),
        };
        serde_json::to_writer(&mut *out, &json!({"line": reject.line, "reason": reject.reason, "text": reject.text}))?;
        Ok(out.write_all(b"\n")?)
    }

    /// Tells about the rejects, if there were any, and makes sure that all are in the file.
    pub(super) fn finish(mut self, told: &mut impl Write) -> anyhow::Result<()> {
        for line in &self.first {
            writeln!(told, "warning: {line}")?;
        }
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if let Some(mut out) = self.out.take() {
            out.flush().with_context(|| format!("writing rejects to {}", self.path.display())).map_err(flatten)?;
            let lines = if self.count == 1 { "1 line was".to_owned() } else { format!("{} lines were", self.count) };
            writeln!(told, "warning: {lines} not taken; with line number and reason in {}", self.path.display())?;
        }
        Ok(())
    }
}

fn beside(input: &Path) -> PathBuf {
    if input == Path::new("-") {
        return PathBuf::from("stdin.rejects.ndjson");
    }
    let mut name = input.as_os_str().to_owned();
    name.push(".rejects.ndjson");
    PathBuf::from(name)
}
