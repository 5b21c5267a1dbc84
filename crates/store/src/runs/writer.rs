//! Writing runs: entries stream in ascending order into one file or several.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::files::OpenFiles;
use super::filter::Filter;
use super::fingerprint::Fingerprint;
use super::layout::{BLOCK_BYTES, BLOCK_ENTRIES, BLOCKS_AT, ENTRY_BYTES, RunHeader, RunKind, encode_entry, seal_block};
use super::manifest::RunMeta;
use super::room::{FilterRoom, RunLimits};
use super::run::Run;
use super::shard::{Shard, Tail, fence_of, place_of};
use crate::error::{Error, Result};
use crate::storage::{FileWriter, OpenMode, Storage};

const WRITE_BUFFER_BYTES: usize = 1 << 20;

/// Where runs are written to, and how their files are numbered.
#[derive(Clone)]
pub(super) struct RunDir {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) path: PathBuf,
    pub(super) kind: RunKind,
    /// The number of the next file, once one was needed.
    next: Arc<OnceLock<AtomicU64>>,
    pub(super) limits: RunLimits,
    pub(super) files: Arc<OpenFiles>,
}

impl RunDir {
    pub(super) fn new(storage: Arc<dyn Storage>, path: &Path, kind: RunKind, limits: RunLimits) -> Self {
        let files = Arc::new(OpenFiles::new(Arc::clone(&storage), limits.files_open));
        Self { storage, path: path.to_owned(), kind, next: Arc::default(), limits, files }
    }

    /// A number for a new file; the directory is created if it is missing.
    ///
    /// A number that is in the directory is not given again, also if nothing names its file: until the next manifest is
    /// durable, an older one may.
    fn next_number(&self) -> Result<u64> {
        Ok(self.numbers()?.fetch_add(1, Ordering::Relaxed))
    }

    /// The number that the next new file will have, or one below it: what is written from now on has no lower one.
    pub(super) fn upcoming_number(&self) -> Result<u64> {
        Ok(self.numbers()?.load(Ordering::Relaxed))
    }

    fn numbers(&self) -> Result<&AtomicU64> {
        if self.next.get().is_none() {
            self.storage.create_dir_all(&self.path).map_err(|error| Error::io("creating", &self.path, error))?;
            let highest = self.files()?.into_iter().map(|(number, _)| number).max().unwrap_or(0);
            self.next.get_or_init(|| AtomicU64::new(highest + 1));
        }
        Ok(self.next.get().expect("set above"))
    }

    /// Numbers and names of the files of this kind, finished or not; none if there is no directory.
    pub(super) fn files(&self) -> Result<Vec<(u64, String)>> {
        match self.storage.list(&self.path) {
            Ok(entries) => {
                let names = entries.into_iter().map(|entry| entry.name);
                Ok(names.filter_map(|name| Some((self.kind.number_of(&name)?, name))).collect())
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Error::io("listing", &self.path, error)),
        }
    }

    /// Makes the names of finished files durable.
    pub(super) fn sync(&self) -> Result<()> {
        self.storage.sync_dir(&self.path).map_err(|error| Error::io("syncing", &self.path, error))
    }
}

/// A run being written: cut at borders of the leading bits, so that a merge of runs cuts where they were cut.
pub(super) struct RunWriter {
    dir: RunDir,
    level: u8,
    /// How many leading bits of a prefix tell the files apart.
    bits: u32,
    current: Option<ShardWriter>,
    shards: Vec<Arc<Shard>>,
    filters: FilterRoom,
    last: Option<Fingerprint>,
}

impl RunWriter {
    /// A run of `level` with at most `entries` entries.
    pub(super) fn new(dir: RunDir, level: u8, entries: u64) -> Self {
        // Fingerprints are evenly spread; a sixteenth of room takes up what chance adds to a shard.
        let most = dir.limits.file_entries;
        let room = (most - most / 16).max(1);
        let bits = (0..32).find(|bits| entries >> bits <= room).unwrap_or(32);
        let filters = FilterRoom::new(dir.limits);
        Self { dir, level, bits, current: None, shards: Vec::new(), filters, last: None }
    }

    /// Adds an entry past all before it.
    pub(super) fn push(&mut self, fingerprint: &Fingerprint, value: u64) -> Result<()> {
        if self.last.is_some_and(|last| last >= *fingerprint) {
            let last = self.last.map(|last| format!("{last:?}")).unwrap_or_default();
            let place = place_of(&self.dir.path, self.dir.kind.as_str());
            return Err(Error::corrupt(place, format!("entry {fingerprint:?} but expected one past {last}")));
        }
        let prefix = fingerprint.prefix();
        if let Some(from) = self.cut_before(prefix) {
            self.finish_shard()?;
            self.current = Some(ShardWriter::create(&self.dir, from)?);
        }
        let current = self.current.as_mut().expect("a shard is begun before its first entry: above");
        current.push(fingerprint, value)?;
        self.last = Some(*fingerprint);
        Ok(())
    }

    /// Where the file of `prefix` begins, if that is a new file.
    fn cut_before(&self, prefix: u64) -> Option<u64> {
        let border = if self.bits == 0 { 0 } else { prefix >> (64 - self.bits) << (64 - self.bits) };
        match (&self.current, self.last) {
            (Some(shard), Some(last)) if shard.from >= border => {
                // Equal prefixes stay in one file: a lookup reads one file of a run.
                (shard.entries >= self.dir.limits.file_entries && last.prefix() != prefix).then_some(prefix)
            }
            (Some(_), _) => Some(border),
            (None, _) => Some(0),
        }
    }

    fn finish_shard(&mut self) -> Result<()> {
        if let Some(shard) = self.current.take() {
            let run = self.shards.first().map_or(shard.number, |first| first.meta.number);
            let shard = shard.finish(&self.dir, run, self.level)?;
            let shard = if self.filters.take(&shard) { shard } else { shard.without_filter() };
            self.shards.push(Arc::new(shard));
        }
        Ok(())
    }

    /// The run, synced with its directory; `None` if nothing was pushed.
    pub(super) fn finish(mut self) -> Result<Option<Run>> {
        self.finish_shard()?;
        if self.shards.is_empty() {
            return Ok(None);
        }
        self.dir.sync()?;
        Ok(Some(Run::new(self.shards)))
    }
}

struct ShardWriter {
    number: u64,
    from: u64,
    place: String,
    kind: RunKind,
    path: PathBuf,
    unfinished: PathBuf,
    file: BufWriter<FileWriter>,
    entries: u64,
    block: Vec<u8>,
    prefixes: Vec<u64>,
    fences: Vec<u32>,
}

impl ShardWriter {
    fn create(dir: &RunDir, from: u64) -> Result<Self> {
        let number = dir.next_number()?;
        let name = dir.kind.file_name(number);
        let unfinished = dir.path.join(format!("{name}.tmp"));
        let file = dir.storage.open(&unfinished, OpenMode::Truncate);
        let file = file.map_err(|error| Error::io("creating", &unfinished, error))?;
        let mut writer = Self {
            number,
            from,
            place: place_of(&dir.path, &name),
            kind: dir.kind,
            path: dir.path.join(name),
            unfinished,
            file: BufWriter::with_capacity(WRITE_BUFFER_BYTES, FileWriter::new(file, 0)),
            entries: 0,
            block: Vec::with_capacity(BLOCK_BYTES),
            prefixes: Vec::new(),
            fences: Vec::new(),
        };
        // The header is written last, when the lengths are known.
        writer.write(&[0; BLOCKS_AT as usize])?;
        Ok(writer)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| Error::io("writing", &self.unfinished, error))
    }

    fn push(&mut self, fingerprint: &Fingerprint, value: u64) -> Result<()> {
        let prefix = fingerprint.prefix();
        if self.block.is_empty() {
            self.fences.push(fence_of(prefix));
        }
        if self.prefixes.last() != Some(&prefix) {
            self.prefixes.push(prefix);
        }
        encode_entry(fingerprint, value, &mut self.block);
        self.entries += 1;
        if self.block.len() == BLOCK_ENTRIES * ENTRY_BYTES {
            self.finish_block()?;
        }
        Ok(())
    }

    fn finish_block(&mut self) -> Result<()> {
        if !self.block.is_empty() {
            let mut block = std::mem::take(&mut self.block);
            let place = u32::try_from(self.fences.len() - 1).expect("a file has far fewer than 2^32 blocks");
            seal_block(&mut block, self.number, place);
            self.write(&block)?;
            self.block = block;
            self.block.clear();
        }
        Ok(())
    }

    fn finish(mut self, dir: &RunDir, run: u64, level: u8) -> Result<Shard> {
        self.finish_block()?;
        let mut guarded: Vec<u8> = self.fences.iter().flat_map(|fence| fence.to_le_bytes()).collect();
        let filter = Filter::build(&self.prefixes);
        self.prefixes = Vec::new();
        filter.encode(&mut guarded);
        let checksum = crc32fast::hash(&guarded);
        self.write(&guarded)?;
        self.write(&checksum.to_le_bytes())?;

        let header = RunHeader {
            kind: self.kind,
            entries: self.entries,
            filter_bytes: (guarded.len() - self.fences.len() * 4) as u64,
            blocks: self.fences.len() as u64,
        };
        let bytes = header.layout().expect("what was just written has a length").end;
        let io = |error| Error::io("writing", &self.unfinished, error);
        self.file.flush().map_err(io)?;
        let file = Arc::clone(self.file.get_ref().file());
        file.write_all_at(&header.encode(), 0).map_err(io)?;
        // The bytes are on disk before the name is, and the name before the index mentions it.
        file.sync_data().map_err(|error| Error::io("syncing", &self.unfinished, error))?;
        let renamed = dir.storage.rename(&self.unfinished, &self.path);
        renamed.map_err(|error| Error::io("renaming", &self.unfinished, error))?;

        let meta = RunMeta { number: self.number, run, level, from: self.from, entries: self.entries, bytes, checksum };
        let tail = Tail { fences: self.fences.into(), filter, checksum };
        Ok(Shard::from_parts(meta, self.place, dir.files.opened(self.path, file), tail))
    }
}
