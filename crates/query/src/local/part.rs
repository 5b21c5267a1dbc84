//! The parts of a snapshot: columnar files and pieces of the tail, each sorted and with a rollup.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use pugmark_registry::Schema;
use pugmark_store::Result;

use super::cache::{ColumnCache, Kept};
use super::column::{Column, Footer};
use super::persons::{Merged, PersonSets};
use super::sorted::Sorted;
use super::united::UnitedCube;
use crate::columns::{
    Chunk, ColumnFile, Declared, EventRows, EventSchema, Rollup, as_kind, read_cube, read_rollup, read_rollup_events,
    system,
};
use crate::engine::QuerySnapshot;
use crate::spec::{SessionKey, Unit};

/// A column of a row group that is larger than this is not read whole for a few rows of it.
const SMALL_COLUMN_BYTES: usize = 2 << 20;

/// What the local road reads from: a snapshot, and what is kept of its files.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    pub(crate) snapshot: QuerySnapshot,
    pub(crate) schema: Arc<EventSchema>,
    cache: Arc<ColumnCache>,
    pub(crate) read: Arc<Read>,
}

/// What has been read so far.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// Bytes of files; what was kept in memory is not among them.
    pub(crate) bytes: AtomicU64,
    pub(crate) rows: AtomicUsize,
    pub(crate) rollup_cells: AtomicUsize,
    /// Files with columns that were read, and their row groups.
    pub(crate) files: AtomicUsize,
    pub(crate) groups: AtomicUsize,
    /// Pieces of the tail with rows that were read.
    pub(crate) tails: AtomicUsize,
    /// The declaration whose cubes were read, and how many of them.
    pub(crate) declared: OnceLock<String>,
    pub(crate) cubes: AtomicUsize,
}

impl Read {
    /// Bytes of files that were read so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Local {
    /// With the columns for `schema`.
    pub(crate) fn new(snapshot: QuerySnapshot, schema: &Schema, cache: Arc<ColumnCache>) -> Self {
        let schema = snapshot.columns.event_schema(schema);
        Self { snapshot, schema, cache, read: Arc::default() }
    }

    /// What the parts are read from, in the order of their sequences.
    pub(crate) fn sources(&self) -> Vec<Source> {
        let columns = &self.snapshot.columns;
        let files = columns.files().iter().map(|file| Source::File(Arc::clone(file)));
        let tail = columns.tail();
        let pieces = tail.parts().filter_map(|part| {
            let slice = part.slice();
            let sorted = slice.chunk.sorted(&slice)?;
            Some(Source::Tail(slice.chunk, sorted))
        });
        files.chain(pieces).collect()
    }

    /// Which subjects are whom, as this unit is counted. Units that are no subjects are parts of persons, or do not come this way.
    pub(crate) fn merged(&self, unit: &Unit) -> Merged {
        match unit {
            Unit::DistinctId => Merged::default(),
            _ => Merged::new(self.cache.joined(&self.snapshot.persons)),
        }
    }

    /// The parts, in the order of their sequences.
    pub(crate) fn parts(&self) -> Result<Parts> {
        self.parts_of(&Merged::default())
    }

    /// The same, with the sets of their rollups as persons where some are merged.
    pub(crate) fn parts_of(&self, merged: &Merged) -> Result<Parts> {
        let sources = self.sources();
        let mut read = self.read_rollups(&sources)?;
        let part = |(at, source): (usize, Source)| {
            let rollup = read.remove(&at).map_or_else(|| self.rollup(&source), Ok)?;
            let persons = (!merged.is_empty()).then(|| self.person_sets(&source, &rollup)).transpose()?;
            let (sequences, times) = match &source {
                Source::File(file) => (
                    (file.first_sequence.number(), file.last_sequence.number()),
                    (file.min_timestamp.as_microsecond(), file.max_timestamp.as_microsecond()),
                ),
                Source::Tail(_, sorted) => (sorted.sequences, sorted.times),
            };
            Ok(Arc::new(Part { rollup, persons, sequences, times, source }))
        };
        sources.into_iter().enumerate().map(part).collect()
    }

    /// The rollups that are not at hand, by the places of their sources, read by as many threads as there are processors: after an open that is all of them.
    fn read_rollups(&self, sources: &[Source]) -> Result<HashMap<usize, Arc<Rollup>>> {
        let is_missing = |(_, source): &(usize, &Source)| match source {
            Source::File(file) => !self.cache.has(&file.rollup, Kept::Rollup),
            Source::Tail(..) => false,
        };
        let missing: Vec<(usize, &Source)> = sources.iter().enumerate().filter(is_missing).collect();
        let next = AtomicUsize::new(0);
        let work = || -> Result<Vec<(usize, Arc<Rollup>)>> {
            let mut read = Vec::new();
            while let Some((at, source)) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                read.push((*at, self.rollup(source)?));
            }
            Ok(read)
        };
        let threads = thread::available_parallelism().map_or(1, usize::from).min(missing.len());
        thread::scope(|scope| {
            // Where no thread can be started there are only fewer of them.
            let others: Vec<_> =
                (1..threads).filter_map(|_| thread::Builder::new().spawn_scoped(scope, work).ok()).collect();
            let own = work();
            let others = others.into_iter().map(|other| other.join().unwrap_or_else(|e| std::panic::resume_unwind(e)));
            let read = std::iter::once(own).chain(others).collect::<Result<Vec<_>>>()?;
            Ok(read.into_iter().flatten().collect())
        })
    }

    fn rollup(&self, source: &Source) -> Result<Arc<Rollup>> {
        match source {
            Source::Tail(_, sorted) => Ok(Arc::clone(&sorted.rollup)),
            Source::File(file) => self.cache.get(&file.rollup, Kept::Rollup, || {
                self.read.bytes.fetch_add(file.rollup.bytes, Ordering::Relaxed);
                let rollup = read_rollup(&file.rollup, file.rows)?;
                let bytes = rollup.bytes();
                Ok((rollup, bytes))
            }),
        }
    }

    /// Those of the tail are made for each question: it changes with every commit.
    fn person_sets(&self, source: &Source, rollup: &Rollup) -> Result<Arc<PersonSets>> {
        let persons = &self.snapshot.persons;
        match source {
            Source::Tail(..) => Ok(Arc::new(PersonSets::new(persons, rollup))),
            Source::File(file) => {
                let is_of_them = |sets: &PersonSets| sets.is_of(persons);
                let make = || Ok((PersonSets::new(persons, rollup), rollup.bytes()));
                self.cache.get_if(&file.rollup, Kept::Persons, is_of_them, make)
            }
        }
    }

    /// The events of `source`, ascending, and the rows of each.
    pub(crate) fn events(&self, source: &Source) -> Result<Arc<Vec<EventRows>>> {
        match source {
            Source::Tail(_, sorted) => Ok(Arc::new(sorted.rollup.event_rows())),
            Source::File(file) => self.cache.get(&file.rollup, Kept::Events, || {
                let (events, read) = read_rollup_events(&file.rollup, file.rows)?;
                self.read.bytes.fetch_add(read, Ordering::Relaxed);
                let bytes = events.iter().map(|(name, _)| size_of::<EventRows>() + name.len()).sum();
                Ok((events, bytes))
            }),
        }
    }

    fn footer(&self, file: &ColumnFile) -> Result<Arc<Footer>> {
        self.cache.get(&file.data, Kept::Footer, || Footer::read(file))
    }

    /// The cube of `part` for a declaration, where it has one and all of it is in answers.
    pub(crate) fn cube(&self, part: &Part, declared: &Declared) -> Result<Option<Arc<UnitedCube>>> {
        let Source::File(file) = &part.source else { return Ok(None) };
        let stored = file.cube(declared.number).and_then(|cube| cube.stored.as_ref());
        let Some((_, stored)) = stored.filter(|_| self.shows_all(part)) else { return Ok(None) };
        let cube = self.cache.get(stored, Kept::Cube, || {
            self.read.bytes.fetch_add(stored.bytes, Ordering::Relaxed);
            let cube = read_cube(stored, &declared.declaration, file.rows)?;
            let united = UnitedCube::new(cube);
            let bytes = united.bytes();
            Ok::<_, pugmark_store::Error>((united, bytes))
        })?;
        Ok(Some(cube))
    }

    /// The rows of each piece of `source`: row groups of a file, or all.
    pub(crate) fn groups(&self, source: &Source) -> Result<Vec<Range<usize>>> {
        Ok(match source {
            Source::File(file) => self.footer(file)?.groups.clone(),
            Source::Tail(_, sorted) => vec![sorted.rows()],
        })
    }

    /// A column of a piece of `source`, by its place in the schema.
    pub(crate) fn column(&self, source: &Source, group: usize, place: usize) -> Result<Column> {
        match source {
            Source::Tail(chunk, sorted) => sorted.column(chunk, &self.schema, place),
            Source::File(file) => {
                let footer = self.footer(file)?;
                let field = self.schema.arrow().field(place);
                let Some(own) = footer.place(field.name()) else { return Ok(Column::Null) };
                let column = self.cache.get(&file.data, Kept::Column(group, own), || {
                    self.read.bytes.fetch_add(footer.column_bytes(group, own), Ordering::Relaxed);
                    footer.read_column(file, group, own, field.data_type())
                })?;
                // It was kept before its type widened, or is asked for as it was before.
                match column.as_ref() {
                    Column::Array(array) => Ok(Column::Array(as_kind(array, field.data_type())?)),
                    other => Ok(other.clone()),
                }
            }
        }
    }

    /// The sessions that senders gave the rows of a piece of `source`. Only their keys are kept, which take a third of the texts.
    pub(crate) fn session_keys(&self, source: &Source, group: usize) -> Result<Arc<Vec<SessionKey>>> {
        let place = system::SESSION_ID.0;
        match source {
            Source::Tail(chunk, sorted) => {
                Ok(Arc::new(keys_of(&sorted.column(chunk, &self.schema, place)?, sorted.rows().len())?))
            }
            Source::File(file) => self.cache.get(&file.data, Kept::Keys(group), || {
                let footer = self.footer(file)?;
                let field = self.schema.arrow().field(place);
                let rows = footer.groups.get(group).map_or(0, ExactSizeIterator::len);
                let Some(own) = footer.place(field.name()) else { return Ok((Vec::new(), 0)) };
                self.read.bytes.fetch_add(footer.column_bytes(group, own), Ordering::Relaxed);
                let (column, _) = footer.read_column(file, group, own, field.data_type())?;
                Ok((keys_of(&column, rows)?, rows * size_of::<SessionKey>()))
            }),
        }
    }

    /// Whether a column of a piece of `source` need not be read.
    pub(crate) fn is_at_hand(&self, source: &Source, group: usize, place: usize) -> Result<bool> {
        let Source::File(file) = source else { return Ok(true) };
        let own = self.footer(file)?.place(self.schema.arrow().field(place).name());
        Ok(own.is_none_or(|own| self.cache.has(&file.data, Kept::Column(group, own))))
    }

    /// Whether a column of a piece of `source` is small, and finds room without driving another one out.
    pub(crate) fn finds_room(&self, source: &Source, group: usize, place: usize) -> Result<bool> {
        let Source::File(file) = source else { return Ok(true) };
        let footer = self.footer(file)?;
        let Some(own) = footer.place(self.schema.arrow().field(place).name()) else { return Ok(true) };
        let rows = footer.groups.get(group).map_or(0, ExactSizeIterator::len);
        let bytes = usize::try_from(footer.encoded_bytes(group, own)).unwrap_or(usize::MAX).max(rows * 8);
        Ok(bytes <= SMALL_COLUMN_BYTES && bytes <= self.cache.room())
    }

    /// Rows of columns of a piece of `source`, and no page without one of them.
    pub(crate) fn read_rows(
        &self,
        source: &Source,
        group: usize,
        places: &[usize],
        rows: &[Range<usize>],
    ) -> Result<Vec<ArrayRef>> {
        let (Source::File(file), false) = (source, places.is_empty()) else { return Ok(Vec::new()) };
        let footer = self.footer(file)?;
        let mut own: Vec<(usize, usize)> = Vec::with_capacity(places.len());
        for place in places {
            let name = self.schema.arrow().field(*place).name();
            own.extend(footer.place(name).map(|own| (own, *place)));
        }
        let in_file: Vec<usize> = own.iter().map(|(own, _)| *own).collect();
        let (arrays, bytes) = footer.read_rows(file, group, &in_file, rows)?;
        self.read.bytes.fetch_add(bytes, Ordering::Relaxed);
        arrays.iter().zip(own).map(|(array, (_, place))| as_kind(array, self.kind(place))).collect()
    }

    /// Most bytes that are kept of what was decoded.
    pub(crate) fn cache_limit(&self) -> usize {
        self.cache.limit()
    }

    /// The type of a column, by its place in the schema.
    pub(crate) fn kind(&self, place: usize) -> &DataType {
        self.schema.arrow().field(place).data_type()
    }

    /// Whether every event of `part` is in answers.
    pub(crate) fn shows_all(&self, part: &Part) -> bool {
        let hidden = &self.snapshot.hidden;
        let expired = hidden.expired_before().is_some_and(|before| part.times.0 < before.as_microsecond());
        !hidden.hides_events() && !expired && part.sequences.1 <= self.snapshot.sequence.number()
    }
}

/// The sessions of a column of texts.
fn keys_of(column: &Column, rows: usize) -> Result<Vec<SessionKey>> {
    let texts = match column {
        Column::Null => return Ok(Vec::new()),
        Column::Coded(coded) => &coded.values,
        Column::Array(array) => array,
    };
    let texts = cast(texts, &DataType::Utf8View).map_err(crate::columns::arrow_error)?;
    let keys = texts.as_string_view().iter().map(|text| text.map_or_else(SessionKey::default, SessionKey::of));
    let keys: Vec<SessionKey> = keys.collect();
    Ok(match column {
        Column::Coded(coded) => coded.codes.iter().take(rows).map(|code| keys[usize::from(*code)]).collect(),
        _ => keys,
    })
}

/// The parts of a snapshot, in the order of their sequences.
pub(crate) type Parts = Vec<Arc<Part>>;

/// A columnar file or a piece of the tail.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) rollup: Arc<Rollup>,
    /// Its sets as persons, where some are merged and that was asked for.
    pub(crate) persons: Option<Arc<PersonSets>>,
    /// The first and the last.
    pub(crate) sequences: (u64, u64),
    /// The earliest and the latest timestamp.
    pub(crate) times: (i64, i64),
    pub(crate) source: Source,
}

/// What a part is read from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    File(Arc<ColumnFile>),
    Tail(Arc<Chunk>, Arc<Sorted>),
}

impl Part {
    pub(crate) fn is_file(&self) -> bool {
        matches!(self.source, Source::File(_))
    }
}
