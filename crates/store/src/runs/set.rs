//! A map from fingerprints to numbers: newest entries in memory, the rest in runs on disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};

use super::background::{Merges, Ticket};
use super::fingerprint::{Fingerprint, FingerprintMap};
use super::layout::RunKind;
use super::list::{Order, RunList};
use super::manifest::RunMeta;
use super::merge::{Edit, MergePlan, MergePolicy, Merged, SpillPlan, Tiered, least, write_run};
use super::room::{FilterRoom, RunLimits};
use super::run::{Run, RunStream};
use super::shard::Shard;
use super::writer::RunDir;
use crate::error::{Error, Result};
use crate::queue::lock;
use crate::storage::Storage;

/// Entries that an owner lets gather in memory before it spills: the most that a table of 2^19 buckets (13 MiB) holds.
pub(crate) const RECENT_MAX: usize = (1 << 19) / 8 * 7;
const RUNS_PER_LEVEL: usize = 8;

/// What a set holds, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunStats {
    /// Entries in memory only.
    pub recent: u64,
    /// Entries on disk; one that was replaced counts until its runs are merged.
    pub stored: u64,
    /// Runs on disk: so many filters a lookup of something absent asks.
    pub runs: u64,
    /// Files of these runs.
    pub files: u64,
    /// Those of them whose filter is on disk only: a lookup of something absent reads a block of one of each run that has such.
    pub unfiltered: u64,
    /// Bytes of these files.
    pub disk_bytes: u64,
    /// Bytes of memory that all of it takes.
    pub resident_bytes: u64,
    /// Blocks read by lookups, of the files that there are at present.
    pub blocks_read: u64,
}

/// A map from fingerprints to numbers that outgrows memory.
///
/// What is inserted is in memory until [`spill`](Self::spill); what was spilled stays only if [`manifest`](Self::manifest) is
/// kept and given to the next [`open`](Self::open).
pub(crate) struct RunSet {
    dir: RunDir,
    policy: Box<dyn MergePolicy>,
    order: Order,
    recent: FingerprintMap<u64>,
    disk: Arc<RunList>,
    merges: Merges,
    running: Vec<Running>,
    spilling: Option<Spilling>,
    /// Files that the set has no more: whoever has an earlier [`RunList`] reads them still.
    left: Mutex<Vec<Weak<Shard>>>,
}

/// What was in memory, and is being written elsewhere.
struct Spilling {
    entries: Arc<FingerprintMap<u64>>,
    ticket: Arc<Ticket>,
}

/// A merge that was handed over, and is not swapped in yet.
struct Running {
    /// That of the runs being merged.
    level: u8,
    /// The files being written have this number or a higher one.
    first_number: u64,
    ticket: Arc<Ticket>,
}

/// What whoever spills has to do before it goes on, without holding on to the set where others want it.
pub(crate) struct Due(Step);

enum Step {
    /// Run this merge.
    Merge(MergePlan),
    /// Wait until what runs elsewhere has come to its end.
    Wait(Arc<Ticket>),
}

impl Due {
    fn wait(ticket: &Arc<Ticket>) -> Self {
        Self(Step::Wait(Arc::clone(ticket)))
    }

    /// Does it, and says what is to be [swapped in](RunSet::swap).
    ///
    /// # Errors
    /// Those of the merge.
    pub(crate) fn settle(self) -> Result<Option<Merged>> {
        match self.0 {
            Step::Merge(plan) => plan.merge(&|| true),
            Step::Wait(ticket) => {
                ticket.wait();
                Ok(None)
            }
        }
    }
}

impl RunSet {
    /// An empty set of `kind`; nothing in `dir`, which need not exist, is looked at.
    pub(crate) fn new(storage: Arc<dyn Storage>, dir: &Path, kind: RunKind, limits: RunLimits, merges: Merges) -> Self {
        let dir = RunDir::new(storage, dir, kind, limits);
        Self::empty(dir, Box::new(Tiered { runs_per_level: RUNS_PER_LEVEL }), merges)
    }

    fn empty(dir: RunDir, policy: Box<dyn MergePolicy>, merges: Merges) -> Self {
        Self {
            dir,
            policy,
            order: Order::Newest,
            recent: FingerprintMap::default(),
            disk: Arc::default(),
            merges,
            running: Vec::new(),
            spilling: None,
            left: Mutex::default(),
        }
    }

    /// The set of `kind` whose files `manifest` names.
    ///
    /// # Errors
    /// `Corrupt`, naming the file, if one is missing or not what the manifest says.
    pub(crate) fn open(
        storage: Arc<dyn Storage>,
        dir: &Path,
        kind: RunKind,
        manifest: &[RunMeta],
        limits: RunLimits,
        merges: Merges,
    ) -> Result<Self> {
        Self::open_with(
            storage,
            dir,
            kind,
            manifest,
            Box::new(Tiered { runs_per_level: RUNS_PER_LEVEL }),
            limits,
            merges,
        )
    }

    pub(super) fn open_with(
        storage: Arc<dyn Storage>,
        dir: &Path,
        kind: RunKind,
        manifest: &[RunMeta],
        policy: Box<dyn MergePolicy>,
        limits: RunLimits,
        merges: Merges,
    ) -> Result<Self> {
        let dir = RunDir::new(storage, dir, kind, limits);
        let mut runs: BTreeMap<u64, Vec<RunMeta>> = BTreeMap::new();
        for meta in manifest {
            let files = runs.entry(meta.run).or_default();
            if let Some(last) = files.last()
                && (last.from >= meta.from || last.level != meta.level)
            {
                return Err(Error::corrupt(
                    format!("index.redb: manifest of {} runs", kind.as_str()),
                    format!("file {} does not follow file {} in run {}", meta.number, last.number, meta.run),
                ));
            }
            files.push(*meta);
        }
        // In the order in which filters are given room: no more of them are in memory at any time.
        let mut runs: Vec<Vec<RunMeta>> = runs.into_values().collect();
        runs.sort_by_key(|files| files.iter().map(|meta| meta.entries).sum::<u64>());
        let mut filters = FilterRoom::new(limits);
        let mut open = |meta: RunMeta| {
            let shard = Shard::open(&dir, meta)?;
            Ok(Arc::new(if filters.take(&shard) { shard } else { shard.without_filter() }))
        };
        let mut open_run = |files: Vec<RunMeta>| -> Result<Arc<Run>> {
            Ok(Arc::new(Run::new(files.into_iter().map(&mut open).collect::<Result<_>>()?)))
        };
        let runs = runs.into_iter().map(&mut open_run).collect::<Result<_>>()?;
        let mut set = Self::empty(dir, policy, merges);
        set.list(runs);
        Ok(set)
    }

    /// The set, looked up in this order from now on.
    pub(crate) fn ordered(mut self, order: Order) -> Self {
        self.order = order;
        self.list(self.disk.runs.clone());
        self
    }

    fn list(&mut self, runs: Vec<Arc<Run>>) {
        let runs = with_room(runs, FilterRoom::new(self.dir.limits));
        let goes = |run: &&Arc<Run>| !runs.iter().any(|stays| Arc::ptr_eq(run, stays));
        let left = self.disk.runs.iter().filter(goes).flat_map(|run| run.shards()).map(Arc::downgrade);
        lock(&self.left).extend(left);
        self.disk = Arc::new(RunList::new(runs, self.order));
    }

    /// The runs on disk, to look up without holding on to the set.
    pub(crate) fn disk(&self) -> &Arc<RunList> {
        &self.disk
    }

    /// The value of a fingerprint, if it is in memory.
    pub(crate) fn recent(&self, fingerprint: &Fingerprint) -> Option<u64> {
        let spilling = || self.spilling.as_ref()?.entries.get(fingerprint);
        self.recent.get(fingerprint).or_else(spilling).copied()
    }

    /// The values of `fingerprints`, in their order, in place of what `out` held. Large batches are cheaper by the piece.
    ///
    /// # Errors
    /// `Corrupt` for a damaged file.
    pub(crate) fn lookup_many(&self, fingerprints: &[Fingerprint], out: &mut Vec<Option<u64>>) -> Result<()> {
        out.clear();
        out.extend(fingerprints.iter().map(|fingerprint| self.recent(fingerprint)));
        self.disk.lookup_many(fingerprints, out)
    }

    /// Sets the value of a fingerprint.
    pub(crate) fn insert(&mut self, fingerprint: Fingerprint, value: u64) {
        self.recent.insert(fingerprint, value);
    }

    /// How many entries are in memory only; those that are being written are not counted.
    pub(crate) fn recent_len(&self) -> usize {
        self.recent.len()
    }

    /// How many different fingerprints there are whose value `counts`, in memory and on disk. It reads every block of every run.
    ///
    /// # Errors
    /// `Corrupt` for a damaged block.
    pub(crate) fn count_distinct(&self, counts: impl Fn(u64) -> bool) -> Result<u64> {
        let mut streams = Vec::with_capacity(self.disk.runs.len());
        let mut heads = Vec::with_capacity(self.disk.runs.len());
        for run in &self.disk.runs {
            let mut stream = RunStream::new(run);
            if let Some(head) = stream.next()? {
                streams.push(stream);
                heads.push(head);
            }
        }
        // Those in memory are counted where they are; those on disk unless they are in memory too.
        let spilling = self.spilling.iter().flat_map(|spilling| spilling.entries.iter());
        let older = spilling.filter(|(fingerprint, _)| !self.recent.contains_key(*fingerprint));
        let mut count = self.recent.iter().chain(older).filter(|(_, value)| counts(**value)).count() as u64;
        let mut last = None;
        // Of equal ones the newest run's comes first, and stands.
        while let Some((place, (fingerprint, value))) = least(&heads) {
            if last != Some(fingerprint) {
                count += u64::from(self.recent(&fingerprint).is_none() && counts(value));
                last = Some(fingerprint);
            }
            match (streams.get_mut(place).map(RunStream::next).transpose()?.flatten(), heads.get_mut(place)) {
                (Some(next), Some(head)) => *head = next,
                _ => {
                    streams.remove(place);
                    heads.remove(place);
                }
            }
        }
        Ok(count)
    }

    /// Moves memory to disk, then [merges](Self::tend). Files that were merged stay until [`remove_unlisted`](Self::remove_unlisted).
    ///
    /// # Errors
    /// Errors of writing, and those of [`tend`](Self::tend); the set is then as it was before the step that failed.
    pub(crate) fn spill(&mut self) -> Result<()> {
        while let Some(due) = self.await_spill()? {
            due.settle()?;
        }
        let run = self.write_recent()?;
        self.adopt(run);
        while let Some(due) = self.tend()? {
            if let Some(merged) = due.settle()? {
                self.swap(merged);
            }
        }
        Ok(())
    }

    /// Makes room in memory: as [`spill`](Self::spill), or by having what is in memory written elsewhere while it can be asked for
    /// still.
    ///
    /// # Errors
    /// As [`spill`](Self::spill).
    pub(crate) fn make_room(&mut self) -> Result<()> {
        while let Some(due) = self.spill_beside()? {
            due.settle()?;
        }
        if self.recent.is_empty() { Ok(()) } else { self.spill() }
    }

    /// Has what is in memory written elsewhere, if there is an elsewhere: else it stays, and is to be spilled. What it returns
    /// is to be done, and this to be called again.
    ///
    /// # Errors
    /// Those of [`tend`](Self::tend).
    pub(crate) fn spill_beside(&mut self) -> Result<Option<Due>> {
        let Merges::Beside(queue) = self.merges.clone() else { return Ok(None) };
        if let due @ Some(_) = self.tend()? {
            return Ok(due);
        }
        if let Some(spilling) = &self.spilling {
            return Ok(Some(Due::wait(&spilling.ticket)));
        }
        if !queue.is_stopped() && !self.recent.is_empty() {
            let room = FingerprintMap::with_capacity_and_hasher(self.recent.len(), Default::default());
            let entries = Arc::new(std::mem::replace(&mut self.recent, room));
            let ticket = queue.spill(SpillPlan { dir: self.dir.clone(), entries: Arc::clone(&entries) });
            self.spilling = Some(Spilling { entries, ticket });
        }
        Ok(None)
    }

    /// Takes in what was written elsewhere; until that has come to its end, what it returns is to be done, and this to be called again.
    ///
    /// # Errors
    /// Those of writing; what was to be written is as before then.
    pub(crate) fn await_spill(&mut self) -> Result<Option<Due>> {
        let Some(spilling) = &self.spilling else { return Ok(None) };
        let Some(answer) = spilling.ticket.take() else { return Ok(Some(Due::wait(&spilling.ticket))) };
        let entries = self.spilling.take().map(|spilling| spilling.entries).unwrap_or_default();
        match answer {
            Ok(Some(spilled)) => self.swap(spilled),
            // Failed or stopped: it is in memory only, as it was before. What was inserted since is newer.
            failed => {
                for (fingerprint, value) in entries.iter() {
                    self.recent.entry(*fingerprint).or_insert(*value);
                }
                failed?;
            }
        }
        Ok(None)
    }

    /// Swaps in the merges that have come to their end, and has those run that are due. What it returns is to be done before
    /// more is spilled, and this to be called again.
    ///
    /// # Errors
    /// Those of a merge that failed elsewhere, `Corrupt` for damage in a file merged among them; its runs stay as they were.
    pub(crate) fn tend(&mut self) -> Result<Option<Due>> {
        // What is still being written is nothing to wait for here.
        let _writing = self.await_spill()?;
        let mut place = 0;
        while let Some(running) = self.running.get(place) {
            match running.ticket.take() {
                None => place += 1,
                Some(answer) => {
                    self.running.remove(place);
                    if let Some(merged) = answer? {
                        self.swap(merged);
                    }
                }
            }
        }
        let Merges::Beside(queue) = self.merges.clone() else {
            return Ok(self.plan_merge().map(|plan| Due(Step::Merge(plan))));
        };
        while let Some(plan) = self.plan_merge().filter(|_| !queue.is_stopped()) {
            let first_number = self.dir.upcoming_number()?;
            let level = plan.level - 1;
            self.running.push(Running { level, first_number, ticket: queue.merge(plan) });
        }
        let crowded =
            |running: &&Running| self.runs_per_level().get(usize::from(running.level)) >= Some(&self.policy.most());
        Ok(self.running.iter().find(crowded).map(|running| Due::wait(&running.ticket)))
    }

    /// Writes all entries anew as one run: those that `edit` answers for, with the value that it gives. The files before stay until
    /// [`remove_unlisted`](Self::remove_unlisted).
    ///
    /// # Errors
    /// Errors of writing, and `Corrupt` for damage in a file.
    pub(crate) fn rewrite(&mut self, edit: &mut Edit<'_>) -> Result<()> {
        self.spill()?;
        // A merge that began earlier would bring back what is dropped here.
        for running in std::mem::take(&mut self.running) {
            running.ticket.wait();
            if let Some(merged) = running.ticket.take().transpose()?.flatten() {
                self.swap(merged);
            }
        }
        let inputs = self.disk.runs.clone();
        let Some(level) = inputs.iter().map(|run| run.level()).max() else { return Ok(()) };
        let plan = MergePlan { dir: self.dir.clone(), inputs, level };
        if let Some(merged) = plan.merge_with(&|| true, edit)? {
            self.swap(merged);
        }
        Ok(())
    }

    /// Whether something runs elsewhere.
    pub(crate) fn is_busy(&self) -> bool {
        !self.running.is_empty() || self.spilling.is_some()
    }

    fn runs_per_level(&self) -> Vec<usize> {
        let mut per_level = Vec::new();
        for run in &self.disk.runs {
            let level = usize::from(run.level());
            if per_level.len() <= level {
                per_level.resize(level + 1, 0);
            }
            per_level[level] += 1;
        }
        per_level
    }

    /// Writes what is in memory as a run, which [`adopt`](Self::adopt) puts in its place.
    pub(crate) fn write_recent(&self) -> Result<Option<Run>> {
        write_run(&self.dir, &self.recent)
    }

    /// Takes in the run that [`write_recent`](Self::write_recent) made of all that is in memory.
    pub(crate) fn adopt(&mut self, run: Option<Run>) {
        if let Some(run) = run {
            self.list(self.disk.runs.iter().cloned().chain([Arc::new(run)]).collect());
            self.recent.clear();
        }
    }

    /// The merge that is due and does not run, if any.
    pub(crate) fn plan_merge(&self) -> Option<MergePlan> {
        let mut per_level = self.runs_per_level();
        // One merge of a level at a time: the newer a run of the next level, the newer its entries.
        for running in &self.running {
            if let Some(runs) = per_level.get_mut(usize::from(running.level)) {
                *runs = 0;
            }
        }
        let level = self.policy.due(&per_level)?;
        let inputs =
            self.disk.runs.iter().filter(|run| run.level() == level).map(|run| run.without_filters()).collect();
        Some(MergePlan { dir: self.dir.clone(), inputs, level: level.saturating_add(1) })
    }

    /// Puts a merged run in the place of those that it was made of.
    pub(crate) fn swap(&mut self, merged: Merged) {
        let kept = self.disk.runs.iter().filter(|run| !merged.replaces.contains(&run.id())).cloned();
        self.list(kept.chain(merged.run.map(Arc::new)).collect());
    }

    /// The files that hold what is on disk.
    pub(crate) fn manifest(&self) -> Vec<RunMeta> {
        self.disk.runs.iter().flat_map(|run| run.shards()).map(|shard| shard.meta).collect()
    }

    /// Deletes the files of this kind that neither the set nor `durable` names, which is the manifest that the index holds.
    /// What a merge that runs may be writing stays too: nothing names it yet. Not while a spill runs.
    ///
    /// # Errors
    /// Errors of the directory.
    pub(crate) fn remove_unlisted(&self, durable: &[RunMeta]) -> Result<()> {
        let mut kept: Vec<u64> = self.manifest().iter().chain(durable).map(|meta| meta.number).collect();
        kept.sort_unstable();
        let mut left = lock(&self.left);
        left.retain(|shard| shard.strong_count() > 0);
        let written_now = self.running.iter().map(|running| running.first_number).min().unwrap_or(u64::MAX);
        let mut removed = false;
        for (number, name) in self.dir.files()? {
            if number >= written_now || kept.binary_search(&number).is_ok() && !name.ends_with(".tmp") {
                continue;
            }
            // Somebody may read it still. Where that cannot be seen to, it goes another time.
            let mut readers = left.iter().filter_map(Weak::upgrade).filter(|shard| shard.meta.number == number);
            if !readers.all(|shard| shard.outlives_name()) {
                continue;
            }
            let path = self.dir.path.join(name);
            match self.dir.storage.remove(&path) {
                Ok(()) => removed = true,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("removing", &path, error)),
            }
        }
        if removed { self.dir.sync() } else { Ok(()) }
    }

    /// Forgets everything. The files stay until [`remove_unlisted`](Self::remove_unlisted).
    pub(crate) fn reset(&mut self) {
        self.recent.clear();
        self.list(Vec::new());
        self.running.clear();
        self.spilling = None;
    }

    /// Bytes of memory that the set takes.
    pub(crate) fn resident_bytes(&self) -> usize {
        let shards = self.disk.runs.iter().flat_map(|run| run.shards());
        let spilling = self.spilling.as_ref().map_or(0, |spilling| spilling.entries.allocation_size());
        self.recent.allocation_size() + spilling + shards.map(|shard| shard.resident_bytes()).sum::<usize>()
    }

    /// What the set holds, in numbers.
    pub(crate) fn stats(&self) -> RunStats {
        let spilling = self.spilling.as_ref().map_or(0, |spilling| spilling.entries.len());
        let mut stats = RunStats {
            recent: (self.recent.len() + spilling) as u64,
            runs: self.disk.runs.len() as u64,
            resident_bytes: self.resident_bytes() as u64,
            ..RunStats::default()
        };
        for shard in self.disk.runs.iter().flat_map(|run| run.shards()) {
            stats.files += 1;
            stats.unfiltered += u64::from(shard.filter_bytes() == 0);
            stats.stored += shard.meta.entries;
            stats.disk_bytes += shard.meta.bytes;
            stats.blocks_read += shard.blocks_read();
        }
        stats
    }
}

/// The runs, without the filters for which there is no room. Those of the largest run go first: a lookup that reads a block of it is spared the most memory.
fn with_room(mut runs: Vec<Arc<Run>>, mut room: FilterRoom) -> Vec<Arc<Run>> {
    runs.sort_by_key(|run| run.entries());
    for run in &mut runs {
        let keeps: Vec<bool> = run.shards().iter().map(|shard| room.take(shard)).collect();
        if keeps.contains(&false) {
            let keep = |(shard, keeps): (&Arc<Shard>, bool)| {
                if keeps { Arc::clone(shard) } else { Arc::new(shard.without_filter()) }
            };
            *run = Arc::new(Run::new(run.shards().iter().zip(keeps).map(keep).collect()));
        }
    }
    runs
}
