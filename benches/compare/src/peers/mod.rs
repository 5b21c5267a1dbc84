//! Who takes part.

mod duckdb;
mod fjall;
mod plain;
mod pugmark;
mod redb;
mod sqlite;

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::Args;
use crate::cases::Case;
use crate::measure::{Peer, Ran, many_writers, one_writer};
use crate::work::Round;

/// Somebody who takes part.
pub trait Contender {
    fn name(&self) -> &'static str;

    /// One case of a round; `None` for one that is none for this contender.
    fn run(&mut self, case: Case, round: &Round, limit: Duration) -> Result<Option<Ran>>;

    /// Closes it, and says how many bytes its files have then.
    fn close(self: Box<Self>) -> Result<u64>;
}

/// A peer in this process.
struct Here<P> {
    name: &'static str,
    peer: P,
    dir: std::path::PathBuf,
    cases: &'static [Case],
}

impl<P: Peer> Contender for Here<P> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn run(&mut self, case: Case, round: &Round, limit: Duration) -> Result<Option<Ran>> {
        Ok(match case {
            _ if !self.cases.contains(&case) => None,
            Case::Threads => Some(many_writers(&self.peer, round, limit)?),
            _ => Some(one_writer(&self.peer, case, round, limit)?),
        })
    }

    fn close(self: Box<Self>) -> Result<u64> {
        let Self { peer, dir, .. } = *self;
        drop(peer);
        bytes_of(&dir)
    }
}

/// Bytes of all files in `dir`.
fn bytes_of(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { bytes_of(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

/// The plain file comes first: the others are read beside it.
pub const PLAIN: &str = "plain";

pub fn open(args: &Args, dir: &Path) -> Result<Vec<Box<dyn Contender>>> {
    let wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|only| only == name);
    let mut all: Vec<Box<dyn Contender>> = Vec::new();
    let here = |name: &'static str| -> Result<std::path::PathBuf> {
        let dir = dir.join(name);
        std::fs::create_dir(&dir)?;
        Ok(dir)
    };
    if wanted(PLAIN) {
        let dir = here(PLAIN)?;
        let cases = &[Case::Batches, Case::Single];
        all.push(Box::new(Here { name: PLAIN, peer: plain::Plain::open(&dir)?, dir, cases }));
    }
    if wanted("pugmark") {
        let dir = here("pugmark")?;
        all.push(Box::new(Here { name: "pugmark", peer: pugmark::open(&dir)?, dir, cases: &Case::ALL }));
    }
    if wanted("pugmark-packed") {
        let dir = here("pugmark-packed")?;
        let cases = &[Case::Batches, Case::Duplicates];
        all.push(Box::new(Here { name: "pugmark-packed", peer: pugmark::Packed(pugmark::open(&dir)?), dir, cases }));
    }
    if wanted("sqlite") {
        let dir = here("sqlite")?;
        all.push(Box::new(Here { name: "sqlite", peer: sqlite::Sqlite::open(&dir)?, dir, cases: &Case::ALL }));
    }
    if wanted("redb") {
        let dir = here("redb")?;
        all.push(Box::new(Here { name: "redb", peer: redb::Redb::open(&dir)?, dir, cases: &Case::ALL }));
    }
    if wanted("fjall") {
        let dir = here("fjall")?;
        all.push(Box::new(Here { name: "fjall", peer: fjall::Fjall::open(&dir)?, dir, cases: &Case::ALL }));
    }
    match &args.python {
        Some(python) if wanted("duckdb") => all.push(Box::new(duckdb::DuckDb::open(python, here("duckdb")?)?)),
        _ => eprintln!("DuckDB does not take part: it wants --python, which ./run gives"),
    }
    ensure!(!all.is_empty(), "nobody of --only is known");
    Ok(all)
}
