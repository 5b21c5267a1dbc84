//! The fold of the log into columns.

use std::any::Any;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use pugmark_registry::{Registry, RegistryFold, RegistryOptions};
use pugmark_store::{Committed, Disk, Fold, Record, Result, Sequence, Storage, Verifier, redb};

use super::build::Slots;
use super::catalog::{Catalog, Change, ColumnFile, FileId, StoredCube};
use super::cell::{Cell, Part};
use super::cube::{Declaration, Declared, MAX_DECLARATIONS, SETTING_PREFIX};
use super::dir::ColumnDir;
use super::flush::Control;
use super::policy::{FileSize, MergePolicy, SizeTiered};
use super::schema::EventSchema;
use super::state::{Columns, Schemas, Tail};
use super::verify::ColumnsVerifier;
use super::writer::write_file;

/// A change of what files or catalog hold makes it another.
const VERSION: u32 = 6;
/// Rows of a full chunk, unless a flush needs fewer; a larger batch makes a larger chunk.
const CHUNK_ROWS: usize = 65_536;
/// A chunk is full with so many bytes, too.
const CHUNK_BYTES: usize = 16 << 20;

/// How a [`ColumnsFold`] works. The defaults suit an embedder.
#[derive(Debug, Clone)]
pub struct ColumnsOptions {
    /// The tail is written to a file once it has so many rows.
    pub flush_rows: usize,
    /// The tail is written to a file once it takes so many bytes of memory.
    pub flush_bytes: usize,
    /// Those that the store's registry was made with: files that are written while a store opens take their types from a registry of the fold's own.
    pub registry: RegistryOptions,
    /// Where the store is.
    pub storage: Arc<dyn Storage>,
    /// Which files are merged into one.
    pub merge: Arc<dyn MergePolicy>,
    /// Whether files are merged in the background too, and not only when that is asked for.
    pub merge_in_background: bool,
    /// How many bytes of columnar files are read and written in a second at most, together, to merge them in the background and to make cubes of them; `None` for no bound.
    /// Neither flushes nor merges that somebody waits for are held back.
    pub merge_bytes_per_second: Option<NonZeroU64>,
}

impl Default for ColumnsOptions {
    /// A million rows (1,048,576) or 256 MiB, on the machine's file system; files are merged up to four million rows or 1 GiB
    /// in memory, in the background at 64 MiB/s.
    fn default() -> Self {
        Self {
            flush_rows: 1 << 20,
            flush_bytes: 256 << 20,
            registry: RegistryOptions::default(),
            storage: Arc::new(Disk),
            merge: Arc::new(SizeTiered::default()),
            merge_in_background: true,
            merge_bytes_per_second: NonZeroU64::new(64 << 20),
        }
    }
}

impl ColumnsOptions {
    fn chunk_rows(&self) -> usize {
        CHUNK_ROWS.min(self.flush_rows)
    }

    /// Whether a tail of so many sealed rows and bytes is to be flushed.
    fn is_due(&self, sealed: Extent) -> bool {
        sealed.rows >= self.flush_rows || sealed.bytes >= self.flush_bytes
    }

    /// Whether a tail of so many sealed rows and bytes may still grow: until it is two and a half times as large as one to be flushed.
    fn has_room(&self, sealed: Extent) -> bool {
        let bound = |limit: usize| limit.saturating_mul(5) / 2;
        sealed.rows <= bound(self.flush_rows) && sealed.bytes <= bound(self.flush_bytes)
    }
}

/// What the index does not say yet.
#[derive(Debug, Default)]
struct Unsaved {
    added: Vec<FileId>,
    /// Files that have other cubes than the index says.
    changed: Vec<FileId>,
    removed: Vec<FileId>,
    removed_cubes: Vec<FileId>,
    /// Whether the declarations are others.
    declared: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Extent {
    rows: usize,
    bytes: usize,
}

/// Turns the log into columns: the newest events into the tail, and the tail into files.
///
/// Files are written by a [`Flusher`](super::Flusher) once one is started, and until then, as in the replay of a log without an index, by the fold itself:
/// either way the tail is bounded. It is to be opened after the [`RegistryFold`] of the same store. It publishes a [`Columns`].
///
/// What the index holds is the catalog and the sequence up to which events are in files; the store applies the log past it again.
/// A file that is missing or damaged makes the store rebuild all of them from the log.
pub struct ColumnsFold {
    dir: ColumnDir,
    options: ColumnsOptions,
    version: u32,
    files: Arc<[Arc<ColumnFile>]>,
    /// Files that the index does not name yet, and files that it names and that are no more.
    unsaved: Unsaved,
    /// Every event up to here is in a file.
    flushed_through: Sequence,
    sealed: Arc<Vec<Part>>,
    open: Part,
    /// Bytes of the chunk of `open`, those of rows that are in a file included.
    open_bytes: usize,
    slots: Slots,
    schemas: Arc<Schemas>,
    control: Arc<Control>,
    /// The types of properties while there is no flusher, who knows them from the snapshot.
    pub(super) types: Option<RegistryFold>,
    /// The sizes of the files that the merge policy was last asked about.
    merge_looked_at: Vec<FileSize>,
    /// The declarations that stand, ascending by number.
    declared: Arc<[Declared]>,
    /// Every setting up to here has been looked at.
    settings_through: u64,
}

impl ColumnsFold {
    /// A fold for the store in `store_dir`: its files are in the directories `columns` and `rollups` there.
    pub fn new(store_dir: &Path, options: ColumnsOptions) -> Self {
        let dir = ColumnDir::new(Arc::clone(&options.storage), store_dir);
        let control = Control::new(options.merge_bytes_per_second);
        Self::in_dir(dir, options, Arc::new(control))
    }

    fn in_dir(dir: ColumnDir, options: ColumnsOptions, control: Arc<Control>) -> Self {
        let types = RegistryFold::new(options.registry);
        Self {
            dir,
            // The files have the types of the registry: they change with it.
            version: VERSION << 16 | (types.version() & 0xffff),
            options,
            files: Arc::default(),
            unsaved: Unsaved::default(),
            flushed_through: Sequence::new(0),
            sealed: Arc::default(),
            open: empty_part(),
            open_bytes: 0,
            slots: Slots::default(),
            schemas: Arc::default(),
            control,
            types: Some(types),
            merge_looked_at: Vec::new(),
            declared: Arc::default(),
            settings_through: 0,
        }
    }

    /// Takes in the declarations of a batch.
    fn apply_settings(&mut self, batch: &Committed<'_>) {
        for (sequence, record) in (batch.first_sequence.number()..).zip(&batch.payload.records) {
            let Record::Setting { name, value } = record else { continue };
            // What was looked at before comes again after a restart.
            if sequence <= self.settings_through {
                continue;
            }
            self.settings_through = sequence;
            let Some(name) = name.strip_prefix(SETTING_PREFIX) else { continue };
            let value = serde_json::from_str(value).unwrap_or(serde_json::Value::Null);
            let mut declared: Vec<Declared> =
                self.declared.iter().filter(|other| other.declaration.name != name).cloned().collect();
            // What this version does not know changes no answer.
            if let Ok(declaration) = Declaration::from_value(name, &value)
                && declared.len() < MAX_DECLARATIONS
            {
                declared.push(Declared { number: sequence, declaration });
            }
            self.declared = declared.into();
            self.unsaved.declared = true;
        }
    }

    /// Whether some file has not the cubes that are declared, or others.
    fn lacks_cubes(&self) -> bool {
        let declared = || self.declared.iter().map(|declared| declared.number);
        self.files.iter().any(|file| !file.cubes.iter().map(|cube| cube.declared).eq(declared()))
    }

    /// Gives the file called `id` a cube more, and takes those from it whose declaration stands no more. What it answers with is superfluous: once this is durable.
    pub(crate) fn set_cubes(&mut self, id: FileId, made: Option<StoredCube>) -> Vec<StoredCube> {
        let Some(at) = self.files.iter().position(|file| file.id == id) else { return made.into_iter().collect() };
        let mut files = self.files.to_vec();
        let file = &files[at];
        let is_declared = |cube: &StoredCube| self.declared.iter().any(|declared| declared.number == cube.declared);
        let made =
            made.into_iter().partition::<Vec<_>, _>(|made| is_declared(made) && file.cube(made.declared).is_none());
        let (kept, gone): (Vec<_>, Vec<_>) = file.cubes.iter().cloned().partition(is_declared);
        self.unsaved.removed_cubes.extend(gone.iter().filter_map(StoredCube::id));
        files[at] = Arc::new(file.with_cubes(kept.into_iter().chain(made.0).collect()));
        self.files = files.into();
        self.unsaved.changed.push(id);
        gone.into_iter().chain(made.1).collect()
    }

    fn sealed_extent(&self) -> Extent {
        let rows = self.sealed.iter().map(|part| part.rows.len()).sum();
        Extent { rows, bytes: self.sealed.iter().map(|part| part.bytes).sum() }
    }

    fn parts(&self) -> impl Iterator<Item = &Part> {
        self.sealed.iter().chain([&self.open])
    }

    pub(super) fn seal(&mut self) {
        if self.open.rows.is_empty() {
            return;
        }
        self.open.cell.seal();
        let part = self.renew_open();
        Arc::make_mut(&mut self.sealed).push(part);
    }

    fn renew_open(&mut self) -> Part {
        self.open_bytes = 0;
        std::mem::replace(&mut self.open, empty_part())
    }

    /// Writes the sealed chunks to a file. The index names it with the next checkpoint.
    pub(super) fn flush_sealed(&mut self) -> Result<()> {
        let Some(types) = &mut self.types else { return Ok(()) };
        let published = types.publish();
        let registry = published.downcast_ref::<Registry>().expect("invariant: a registry fold publishes a registry");
        let schema = EventSchema::of(registry.schema());
        let parts = Arc::clone(&self.sealed);
        let file = write_file(&self.dir, self.control.next_file(), &parts, &schema)?;
        self.install(file, &parts);
        Ok(())
    }

    /// Puts `file` in the place of `parts`, which are the oldest of the tail. Where they are of a fold whose place this one has taken, the file is
    /// superfluous: their events are here already.
    pub(crate) fn install(&mut self, file: Option<ColumnFile>, parts: &[Part]) {
        let is_here = |part: &Part| self.parts().any(|own| Arc::ptr_eq(&own.cell, &part.cell));
        if !parts.iter().all(is_here) {
            file.iter().for_each(ColumnFile::drop_with_last_reader);
            return;
        }
        for flushed in parts {
            self.flushed_through = self.flushed_through.max(flushed.through);
            let is_flushed = |part: &Part| Arc::ptr_eq(&part.cell, &flushed.cell);
            let sealed = Arc::make_mut(&mut self.sealed);
            if let Some(at) = sealed.iter().position(is_flushed) {
                let part = &mut sealed[at];
                part.rows.start = flushed.rows.end;
                part.bytes = part.bytes.saturating_sub(flushed.bytes);
                if part.rows.is_empty() {
                    sealed.remove(at);
                }
            } else if is_flushed(&self.open) {
                self.open.rows.start = flushed.rows.end;
                self.open.bytes = self.open.bytes.saturating_sub(flushed.bytes);
                if self.open.rows.is_empty() {
                    self.renew_open();
                }
            }
        }
        if let Some(file) = file {
            let id = file.id;
            self.files = self.files.iter().cloned().chain([Arc::new(file)]).collect();
            self.unsaved.added.push(id);
        }
    }
}

impl ColumnsFold {
    /// Puts `merged` in the place of `files`; where one of these is no more, it is superfluous. Says whether they are to go, once that is durable.
    pub(crate) fn replace(&mut self, files: &[Arc<ColumnFile>], merged: ColumnFile) -> bool {
        let is_here = |file: &Arc<ColumnFile>| self.files.iter().any(|own| own.id == file.id);
        if !files.iter().all(is_here) {
            merged.drop_with_last_reader();
            return false;
        }
        for file in files {
            self.unsaved.changed.retain(|id| *id != file.id);
            self.unsaved.removed_cubes.extend(file.cubes.iter().filter_map(StoredCube::id));
            match self.unsaved.added.iter().position(|id| *id == file.id) {
                Some(at) => drop(self.unsaved.added.remove(at)),
                None => self.unsaved.removed.push(file.id),
            }
        }
        self.unsaved.added.push(merged.id);
        let mut kept: Vec<Arc<ColumnFile>> =
            self.files.iter().filter(|file| !files.iter().any(|gone| gone.id == file.id)).cloned().collect();
        kept.push(Arc::new(merged));
        kept.sort_by_key(|file| file.first_sequence);
        self.files = kept.into();
        true
    }
}

fn empty_part() -> Part {
    Part { cell: Cell::new(), rows: 0..0, bytes: 0, through: Sequence::new(0) }
}

impl Fold for ColumnsFold {
    fn name(&self) -> &'static str {
        "columns"
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn apply_base(&mut self, batch: &Committed<'_>) -> Result<()> {
        self.apply_settings(batch);
        Ok(())
    }

    fn apply(&mut self, batch: &Committed<'_>) -> Result<()> {
        self.apply_settings(batch);
        if self.control.is_live() {
            self.types = None;
        }
        if let Some(types) = &mut self.types {
            types.apply(batch)?;
        }
        let events = batch.payload.records.iter().filter(|record| matches!(record, Record::Event(_))).count();
        if events == 0 || batch.last_sequence() <= self.flushed_through {
            return Ok(());
        }
        // Chunks end where batches end, so that a file covers whole batches.
        if self.open.rows.end + events > self.options.chunk_rows() {
            self.seal();
        }
        let extent = self.open.cell.append(batch, self.flushed_through, &mut self.slots)?;
        self.open.bytes += extent.bytes - std::mem::replace(&mut self.open_bytes, extent.bytes);
        self.open.rows.end = extent.rows;
        self.open.through = batch.last_sequence();
        if extent.rows >= self.options.chunk_rows() || extent.bytes >= CHUNK_BYTES.min(self.options.flush_bytes) {
            self.seal();
        }
        if self.options.is_due(self.sealed_extent()) && !self.control.is_live() {
            self.flush_sealed()?;
        }
        Ok(())
    }

    fn has_room(&self) -> Result<bool> {
        if !self.control.is_live() || self.options.has_room(self.sealed_extent()) {
            return Ok(true);
        }
        // Behind a failed flush nobody waits, perhaps for ever: appends fail with its reason until one succeeds.
        if let Some(failure) = self.control.failure() {
            return Err(failure);
        }
        self.control.note_blocked();
        Ok(false)
    }

    fn publish(&mut self) -> Arc<dyn Any + Send + Sync> {
        self.control.set_due(self.options.is_due(self.sealed_extent()));
        let sizes: Vec<FileSize> = self.files.iter().map(|file| file.size()).collect();
        let lacks_cubes = self.options.merge_in_background && self.lacks_cubes();
        if self.merge_looked_at != sizes {
            let picked = self.options.merge_in_background && self.options.merge.pick(&sizes).is_some();
            self.control.set_mergeable(picked || lacks_cubes);
            self.merge_looked_at = sizes;
        } else if lacks_cubes {
            self.control.set_mergeable(true);
        }
        let open = (!self.open.rows.is_empty()).then(|| self.open.clone());
        Arc::new(Columns {
            dir: self.dir.clone(),
            files: Arc::clone(&self.files),
            tail: Tail { sealed: Arc::clone(&self.sealed), open },
            schemas: Arc::clone(&self.schemas),
            control: Arc::clone(&self.control),
            merge: Arc::clone(&self.options.merge),
            declared: Arc::clone(&self.declared),
        })
    }

    fn checkpoint(&mut self, txn: &redb::WriteTransaction) -> Result<()> {
        let is_new =
            |file: &&ColumnFile| self.unsaved.added.contains(&file.id) || self.unsaved.changed.contains(&file.id);
        let added: Vec<&ColumnFile> = self.files.iter().map(AsRef::as_ref).filter(is_new).collect();
        let change = Change {
            added: &added,
            removed: &self.unsaved.removed,
            removed_cubes: &self.unsaved.removed_cubes,
            flushed_through: self.flushed_through,
            next_file: self.control.file_count(),
            settings_through: self.settings_through,
            declared: self.unsaved.declared.then_some(&self.declared),
        };
        Catalog::save(txn, &change)?;
        self.unsaved = Unsaved::default();
        Ok(())
    }

    fn watermark(&self, applied: Sequence) -> Sequence {
        let is_empty = self.sealed.is_empty() && self.open.rows.is_empty();
        if is_empty { applied } else { self.flushed_through }
    }

    fn load(&mut self, txn: &redb::ReadTransaction) -> Result<()> {
        let catalog = Catalog::load(txn, &self.dir)?;
        if let Some(types) = &mut self.types {
            types.load(txn)?;
        }
        let highest = self.dir.remove_others(&catalog.files)?;
        self.control.count_files(catalog.next_file.max(highest));
        self.flushed_through = Sequence::new(catalog.flushed_through);
        self.files = catalog.files.into();
        self.declared = catalog.declared.into();
        self.settings_through = catalog.settings_through;
        self.unsaved = Unsaved::default();
        Ok(())
    }

    fn fresh(&self) -> Box<dyn Fold> {
        Box::new(Self::in_dir(self.dir.clone(), self.options.clone(), Arc::new(Control::beside(&self.control))))
    }

    fn succeed(&mut self, before: &mut dyn Fold, txn: &redb::WriteTransaction) -> Result<()> {
        let before: &mut dyn Any = before;
        if let Some(before) = before.downcast_mut::<Self>() {
            // The flusher goes on with this fold.
            self.control = Arc::clone(&before.control);
        }
        Catalog::clear(txn)
    }

    fn retire(&mut self) {
        self.files.iter().for_each(|file| file.drop_with_last_reader());
    }

    fn copy(&self, from: &redb::ReadTransaction, to: &redb::WriteTransaction) -> Result<()> {
        Catalog::copy(from, to)
    }

    fn verifier<'a>(&'a self, index: Option<&redb::ReadTransaction>) -> Result<Option<Box<dyn Verifier + 'a>>> {
        if let Some(index) = index {
            let stored = Catalog::load(index, &self.dir)?;
            let differs = |(found, expected): (&Arc<ColumnFile>, &Arc<ColumnFile>)| !found.is_same(expected);
            if stored.files.len() != self.files.len() || stored.files.iter().zip(self.files.iter()).any(differs) {
                let (found, expected) = (stored.files.len(), self.files.len());
                let what = format!("{found} files that are not the {expected} in use");
                return Err(super::error::corrupt("index.redb: columns.files", what));
            }
            if stored.declared != *self.declared {
                let (found, expected) = (stored.declared.len(), self.declared.len());
                let what = format!("{found} declarations that are not the {expected} in use");
                return Err(super::error::corrupt("index.redb: columns.declared", what));
            }
        }
        let tail = self.sealed.iter().chain([&self.open]).map(|part| part.rows.len() as u64).sum();
        let registry = self.options.registry;
        Ok(Some(Box::new(ColumnsVerifier::new(&self.files, &self.declared, self.flushed_through, tail, registry))))
    }

    fn reset(&mut self, txn: &redb::WriteTransaction) -> Result<()> {
        for file in self.files.iter() {
            file.drop_with_last_reader();
        }
        self.control.count_files(self.dir.remove_others(&self.files)?);
        Catalog::clear(txn)?;
        self.files = Arc::default();
        self.unsaved = Unsaved::default();
        self.flushed_through = Sequence::new(0);
        self.declared = Arc::default();
        self.settings_through = 0;
        self.sealed = Arc::default();
        self.renew_open();
        self.types = Some(RegistryFold::new(self.options.registry));
        Ok(())
    }
}

impl std::fmt::Debug for ColumnsFold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ColumnsFold")
            .field("dir", &self.dir.path())
            .field("files", &self.files.len())
            .finish_non_exhaustive()
    }
}
