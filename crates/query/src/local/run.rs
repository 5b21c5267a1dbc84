//! Runs: the rows that a question wants, of one event in one piece of a part, sorted by subject and timestamp.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::buffer::{BooleanBuffer, ScalarBuffer};
use datafusion::arrow::compute::filter;
use datafusion::arrow::datatypes::{DataType, TimestampMicrosecondType, UInt32Type, UInt64Type};
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use pugmark_store::{Sequence, SubjectId};

use super::column::Column;
use super::part::{Local, Part, Parts};
use super::people::People;
use super::predicate::{Piece, Predicate, Value};
use super::work::Work;
use crate::analysis::{GroupReader, Item, NumberSource, absorb, numbers};
use crate::calendar::ResolvedRange;
use crate::columns::system;
use crate::error::Result;
use crate::spec::{EventNames, Groups, HitValue, SessionKey};

/// Fewer rows than this are read at once, without a thread.
const SMALL_ROWS: usize = 20_000;

/// Which rows of a part are read for a question.
#[derive(Debug)]
pub(crate) struct Wants {
    /// What every row must match one of.
    pub(crate) selected: Vec<Selected>,
    /// What every row must match besides.
    pub(crate) filter: Option<Predicate>,
    /// Whose rows alone are wanted.
    pub(crate) people: Option<Arc<People>>,
    /// The breakdown.
    pub(crate) items: Vec<RunItem>,
    /// What besides the subject is read.
    pub(crate) reads: Reads,
}

/// What is read of every row besides its subject.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reads {
    pub(crate) timestamps: bool,
    pub(crate) sequences: bool,
    /// Properties whose numbers are read, by the places of their columns.
    pub(crate) numbers: Vec<NumberSource<usize>>,
    /// Properties whose values are read, of whatever type.
    pub(crate) values: Vec<Item>,
    /// Whether the sessions are read that senders gave.
    pub(crate) keys: bool,
}

/// A selector, or several that are the same.
#[derive(Debug)]
pub(crate) struct Selected {
    pub(crate) event: EventNames,
    pub(crate) filter: Option<Predicate>,
    /// The bits of the selectors that it stands for.
    pub(crate) bits: u32,
    /// Rows before this instant do not matter to it.
    pub(crate) since_us: i64,
}

/// One item of a breakdown.
#[derive(Debug)]
pub(crate) struct RunItem {
    /// What its value is; nothing is NULL.
    pub(crate) value: RunValue,
    /// The property whose values may lie in the overflow.
    pub(crate) overflow_name: Option<String>,
}

/// Where the value of an item comes from.
#[derive(Debug)]
pub(crate) enum RunValue {
    Null,
    /// A stored column, by place.
    Column(usize),
    Expression(Value),
}

/// Which selectors a row matches, as bits.
#[derive(Debug, Clone)]
pub(crate) enum Matches {
    /// Every row the same ones.
    All(u32),
    Each(Vec<u32>),
}

impl Matches {
    pub(crate) fn of(&self, row: usize) -> u32 {
        match self {
            Self::All(bits) => *bits,
            Self::Each(bits) => bits.get(row).copied().unwrap_or(0),
        }
    }

    /// Whether some row may match one of these.
    pub(crate) fn any_of(&self, bits: u32) -> bool {
        match self {
            Self::All(own) => own & bits != 0,
            Self::Each(_) => true,
        }
    }

    /// Those that some row matches.
    pub(crate) fn any(&self) -> u32 {
        match self {
            Self::All(bits) => *bits,
            Self::Each(bits) => bits.iter().fold(0, |any, bits| any | bits),
        }
    }
}

/// Rows of one event, each of which matches a selector. What was not asked for is empty.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// The first and the last subject.
    bounds: (u32, u32),
    /// No row is earlier.
    pub(crate) since_us: i64,
    /// Ascending.
    pub(crate) subjects: ScalarBuffer<u32>,
    pub(crate) timestamps: ScalarBuffer<i64>,
    pub(crate) sequences: ScalarBuffer<u64>,
    pub(crate) matches: Matches,
    pub(crate) groups: RunGroups,
    /// For each property whose numbers are read; NaN stands for none.
    pub(crate) numbers: Vec<Vec<f64>>,
    /// For each property whose values are read, the number of each row's value.
    pub(crate) values: Vec<RunGroups>,
    /// The sessions that senders gave, from a row on.
    keys: Option<(Arc<Vec<SessionKey>>, usize)>,
}

/// The breakdown group of each row.
#[derive(Debug, Clone)]
pub(crate) enum RunGroups {
    /// There is no breakdown.
    None,
    /// A number for each row.
    Each(Vec<u32>),
    /// A place in the table for each row.
    Coded(ScalarBuffer<u16>, Vec<u32>),
}

impl RunGroups {
    /// Of a row; 0 without a breakdown.
    pub(crate) fn of(&self, row: usize) -> u32 {
        match self {
            Self::None => 0,
            Self::Each(numbers) => numbers[row],
            Self::Coded(codes, numbers) => numbers[usize::from(codes[row])],
        }
    }

    fn renumber(&mut self, numbers: &[u32]) {
        let (Self::Each(own) | Self::Coded(_, own)) = self else { return };
        for group in own {
            *group = numbers.get(*group as usize).copied().unwrap_or(0);
        }
    }
}

impl Run {
    /// Where the group of a row is told in a table: by its code, by its number, or alone.
    pub(crate) fn place_of(&self, row: usize) -> usize {
        match &self.groups {
            RunGroups::None => 0,
            RunGroups::Each(numbers) => numbers[row] as usize,
            RunGroups::Coded(codes, _) => usize::from(codes[row]),
        }
    }

    /// The number of a row for the first property whose numbers are read; NaN where there is none.
    pub(crate) fn number(&self, row: usize) -> f64 {
        self.numbers.first().and_then(|numbers| numbers.get(row)).copied().unwrap_or(f64::NAN)
    }

    /// The sequence of a row; 0 where none are read.
    pub(crate) fn sequence(&self, row: usize) -> u64 {
        self.sequences.get(row).copied().unwrap_or(0)
    }

    /// What a core wants of a row besides.
    pub(crate) fn value<V: HitValue>(&self, row: usize) -> V {
        match &self.keys {
            _ if V::IS_NUMBER => V::of(self.number(row)),
            Some((keys, first)) if V::IS_KEY => V::of_key(keys.get(first + row).copied().unwrap_or_default()),
            _ => V::default(),
        }
    }

    /// Its rows about subjects in `subjects`.
    pub(crate) fn rows_of(&self, subjects: &Range<u32>) -> Range<usize> {
        if self.bounds.1 < subjects.start || self.bounds.0 >= subjects.end {
            return 0..0;
        }
        let start = self.subjects.partition_point(|subject| *subject < subjects.start);
        let length = self.subjects[start..].partition_point(|subject| *subject < subjects.end);
        start..start + length
    }
}

/// The runs of a question, in the order of their parts.
pub(crate) struct Runs {
    pub(crate) runs: Vec<Run>,
    pub(crate) groups: Groups,
    /// For each property whose values are read, the values by number.
    pub(crate) values: Vec<Groups>,
    /// Of what was made for this question and lies in no cache.
    _reservation: Vec<MemoryReservation>,
}

impl Runs {
    pub(crate) fn rows(&self) -> usize {
        self.runs.iter().map(|run| run.subjects.len()).sum()
    }
}

/// A piece of a part with rows of one event.
#[derive(Debug, Clone)]
struct Job {
    part: usize,
    group: usize,
    start: usize,
    rows: usize,
    /// The selectors that take the event.
    selected: Vec<usize>,
}

impl Local {
    /// What `wants` wants, of events in `range`, of these parts.
    pub(crate) async fn runs(
        &self,
        parts: &Parts,
        wants: Arc<Wants>,
        range: ResolvedRange,
        pool: &Arc<dyn MemoryPool>,
        work: Work,
    ) -> Result<Runs> {
        let mut jobs = Vec::new();
        for (number, part) in parts.iter().enumerate() {
            let since = wants.selected.iter().map(|selected| selected.since_us).min().unwrap_or(i64::MIN);
            if part.times.1 < since.max(range.from_us) || part.times.0 >= range.to_us {
                continue;
            }
            let before = jobs.len();
            self.jobs(number, part, &wants, &mut jobs)?;
            let own = &jobs[before..];
            if !own.is_empty() {
                let kind = if part.is_file() { &self.read.files } else { &self.read.tails };
                kind.fetch_add(1, Ordering::Relaxed);
                let groups = own.chunk_by(|a, b| a.group == b.group).count();
                self.read.groups.fetch_add(groups, Ordering::Relaxed);
            }
        }
        let rows: usize = jobs.iter().map(|job| job.rows).sum();
        self.read.rows.fetch_add(rows, Ordering::Relaxed);
        let reading_values = wants.reads.values.len();
        let make = || RunReader::new(&wants, pool);
        let (local, parts, jobs) = (self.clone(), parts.clone(), Arc::new(jobs));
        let (list, reading) = (Arc::clone(&jobs), Arc::clone(&wants));
        let read = move |reader: &mut RunReader, at: usize| {
            let job = &list[at];
            let run = reader.read(&local, &parts[job.part], job, &reading, range)?;
            reader.runs.extend(run.map(|run| (at, run)));
            Ok(())
        };
        let readers = work.each(jobs.len(), rows < SMALL_ROWS, make, read).await?;
        let (groups, numbers) = absorb(&readers.iter().map(|reader| reader.groups.groups()).collect::<Vec<_>>());
        let all_of = |at: usize| {
            let own = readers.iter().filter_map(|reader| Some(reader.values.get(at)?.groups()));
            absorb(&own.collect::<Vec<_>>())
        };
        let (values, value_numbers): (Vec<Groups>, Vec<Vec<Vec<u32>>>) = (0..reading_values).map(all_of).unzip();
        let mut runs = Vec::with_capacity(jobs.len());
        let mut reservations = Vec::with_capacity(readers.len());
        for (place, (reader, numbers)) in readers.into_iter().zip(numbers).enumerate() {
            for (at, mut run) in reader.runs {
                run.groups.renumber(&numbers);
                for (own, numbers) in run.values.iter_mut().zip(&value_numbers) {
                    own.renumber(numbers.get(place).map_or(&[], Vec::as_slice));
                }
                runs.push((at, run));
            }
            reservations.push(reader.reservation);
        }
        runs.sort_unstable_by_key(|(at, _)| *at);
        let runs = runs.into_iter().map(|(_, run)| run).collect();
        Ok(Runs { runs, groups, values, _reservation: reservations })
    }

    fn jobs(&self, number: usize, part: &Part, wants: &Wants, jobs: &mut Vec<Job>) -> Result<()> {
        let mut groups: Option<Vec<Range<usize>>> = None;
        for event in part.rollup.events() {
            let selected: Vec<usize> =
                (0..wants.selected.len()).filter(|at| wants.selected[*at].event.contains(&event.name)).collect();
            if selected.is_empty() {
                continue;
            }
            let groups = match &groups {
                Some(groups) => groups,
                None => groups.insert(self.groups(&part.source)?),
            };
            let first = groups.partition_point(|group| group.end <= event.rows.start);
            for (group, rows) in groups.iter().enumerate().skip(first) {
                let (start, end) = (event.rows.start.max(rows.start), event.rows.end.min(rows.end));
                if start >= end {
                    break;
                }
                jobs.push(Job {
                    part: number,
                    group,
                    start: start - rows.start,
                    rows: end - start,
                    selected: selected.clone(),
                });
            }
        }
        Ok(())
    }
}

/// Reads runs, on one thread.
pub(crate) struct RunReader {
    groups: GroupReader,
    /// For each property whose values are read.
    values: Vec<GroupReader>,
    /// With the number of the job.
    runs: Vec<(usize, Run)>,
    reservation: MemoryReservation,
    group_bytes: usize,
}

impl RunReader {
    fn new(wants: &Wants, pool: &Arc<dyn MemoryPool>) -> Self {
        // The columns of a batch are the values of the items, and then the overflow.
        let items: Vec<Item> = wants
            .items
            .iter()
            .enumerate()
            .map(|(at, item)| Item { column: Some(at), overflow_name: item.overflow_name.clone() })
            .collect();
        let overflow = items.iter().any(|item| item.overflow_name.is_some()).then_some(items.len());
        Self {
            groups: GroupReader::new(&items, overflow),
            values: wants.reads.values.iter().map(reader_of_values).collect(),
            runs: Vec::new(),
            reservation: MemoryConsumer::new("rows of a question").register(pool),
            group_bytes: 0,
        }
    }

    fn read(
        &mut self,
        local: &Local,
        part: &Part,
        job: &Job,
        wants: &Wants,
        range: ResolvedRange,
    ) -> Result<Option<Run>> {
        let piece = Piece { local, part, group: job.group, start: job.start, rows: job.rows };
        let rows = job.rows;
        let subjects = primitive::<UInt32Type>(&piece.array(system::SUBJECT.0)?);
        let mut kept = hidden(piece, &subjects)?;
        let keep = |kept: &mut Option<BooleanBuffer>, own: BooleanBuffer| {
            *kept = Some(match kept.take() {
                Some(kept) => &kept & &own,
                None => own,
            });
        };
        if let Some(people) = &wants.people {
            keep(&mut kept, people.rows(&subjects));
            if kept.as_ref().is_some_and(|kept| kept.count_set_bits() == 0) {
                return Ok(None);
            }
        }
        let is_inside = range.from_us <= part.times.0 && part.times.1 < range.to_us;
        let late = |at: &usize| wants.selected[*at].since_us > part.times.0.max(range.from_us);
        let reads_times = wants.reads.timestamps || !is_inside || job.selected.iter().any(late);
        let timestamps = if reads_times {
            primitive::<TimestampMicrosecondType>(&piece.array(system::TIMESTAMP.0)?)
        } else {
            ScalarBuffer::from(Vec::new())
        };
        if !is_inside {
            keep(&mut kept, BooleanBuffer::collect_bool(rows, |row| range.contains(timestamps[row])));
        }
        if let Some(filter) = &wants.filter {
            keep(&mut kept, filter.rows(piece)?);
        }
        // Selectors that take every row of the event, and those that take some.
        let mut always = 0;
        let mut some: Vec<(BooleanBuffer, u32)> = Vec::new();
        for at in &job.selected {
            let selected = &wants.selected[*at];
            let mut own = selected.filter.as_ref().map(|filter| filter.rows(piece)).transpose()?;
            if late(at) {
                let since = selected.since_us;
                keep(&mut own, BooleanBuffer::collect_bool(rows, |row| timestamps[row] >= since));
            }
            match own {
                Some(own) => some.push((own, selected.bits)),
                None => always |= selected.bits,
            }
        }
        let mut matches = Matches::All(always);
        if let [(own, bits)] = some.as_slice()
            && always == 0
        {
            keep(&mut kept, own.clone());
            matches = Matches::All(*bits);
        } else if !some.is_empty() {
            let mut each = vec![always; rows];
            for (own, bits) in &some {
                own.set_indices().for_each(|row| each[row] |= bits);
            }
            if always == 0 {
                keep(&mut kept, BooleanBuffer::collect_bool(rows, |row| each[row] != 0));
            }
            matches = Matches::Each(each);
        }
        let sequences = match wants.reads.sequences {
            true => primitive::<UInt64Type>(&piece.array(system::SEQUENCE.0)?),
            false => ScalarBuffer::from(Vec::new()),
        };
        let kept = kept.filter(|kept| kept.count_set_bits() < rows);
        if kept.as_ref().is_some_and(|kept| kept.count_set_bits() == 0) {
            return Ok(None);
        }
        let subjects = only(subjects, kept.as_ref());
        let run = Run {
            bounds: subjects.first().copied().zip(subjects.last().copied()).unwrap_or((u32::MAX, 0)),
            since_us: part.times.0,
            groups: self.groups(piece, wants, kept.as_ref())?,
            numbers: wanted_numbers(piece, &wants.reads.numbers, kept.as_ref())?,
            values: self.values(piece, wants, kept.as_ref())?,
            keys: session_keys(piece, wants, kept.as_ref())?,
            subjects,
            timestamps: only(timestamps, kept.as_ref()),
            sequences: only(sequences, kept.as_ref()),
            matches: match (matches, &kept) {
                (Matches::Each(each), Some(kept)) => Matches::Each(kept.set_indices().map(|row| each[row]).collect()),
                (matches, _) => matches,
            },
        };
        let own = |bytes: usize| if kept.is_some() { bytes } else { 0 };
        // Codes of combinations are in no cache.
        let own_codes = |codes: usize| if wants.items.len() > 1 { codes * 2 } else { own(codes * 2) };
        let numbered = |groups: &RunGroups| match groups {
            RunGroups::None => 0,
            RunGroups::Each(numbers) => numbers.len() * 4,
            RunGroups::Coded(codes, numbers) => own_codes(codes.len()) + numbers.len() * 4,
        };
        let bytes = own(run.subjects.len() * 4 + run.timestamps.len() * 8 + run.sequences.len() * 8)
            + std::iter::once(&run.groups).chain(&run.values).map(numbered).sum::<usize>()
            + run.keys.iter().map(|(keys, _)| own(keys.len() * size_of::<SessionKey>())).sum::<usize>()
            + run.numbers.iter().map(|numbers| numbers.len() * 8).sum::<usize>()
            + match &run.matches {
                Matches::All(_) => 0,
                Matches::Each(each) => each.len() * 4,
            };
        let group_bytes = self.groups.bytes() + self.values.iter().map(GroupReader::bytes).sum::<usize>();
        self.reservation.try_grow(bytes + group_bytes.saturating_sub(self.group_bytes))?;
        self.group_bytes = self.group_bytes.max(group_bytes);
        Ok(Some(run))
    }

    /// The numbers of the breakdown values of the rows in `kept`, or of all.
    fn groups(&mut self, piece: Piece<'_>, wants: &Wants, kept: Option<&BooleanBuffer>) -> Result<RunGroups> {
        if wants.items.is_empty() {
            return Ok(RunGroups::None);
        }
        let overflows = wants.items.iter().any(|item| item.overflow_name.is_some());
        let overflow = match overflows {
            true => piece.column(piece.local.schema.overflow())?,
            false => Column::Null,
        };
        if let ([RunItem { value: RunValue::Column(place), .. }], Column::Null) = (wants.items.as_slice(), &overflow)
            && let Column::Coded(coded) = piece.column(*place)?
        {
            let numbers = self.groups.numbers_of(coded.values.as_string_view());
            let codes = only(coded.codes.slice(piece.start, piece.rows), kept);
            return Ok(RunGroups::Coded(codes, numbers));
        }
        if let (true, Column::Null) = (wants.items.len() > 1, &overflow)
            && let Some(groups) = self.combined(piece, wants, kept)?
        {
            return Ok(groups);
        }
        let only_kept = |array: ArrayRef| -> Result<ArrayRef> {
            Ok(match kept {
                Some(kept) => filter(&array, &kept.clone().into()).map_err(DataFusionError::from)?,
                None => array,
            })
        };
        let mut columns = Vec::with_capacity(wants.items.len() + 1);
        for item in &wants.items {
            columns.push(only_kept(match &item.value {
                RunValue::Null => datafusion::arrow::array::new_null_array(&DataType::Null, piece.rows),
                RunValue::Column(place) => piece.array(*place)?,
                RunValue::Expression(value) => value.array(piece)?,
            })?);
        }
        if overflows {
            columns.push(only_kept(overflow.slice(piece.start, piece.rows, &DataType::Utf8View)?)?);
        }
        let rows = kept.map_or(piece.rows, BooleanBuffer::count_set_bits);
        let mut numbers = Vec::with_capacity(rows);
        self.groups.read(&columns, rows, &mut numbers)?;
        Ok(RunGroups::Each(numbers))
    }
}

impl RunReader {
    /// Codes of the combinations of several columns of codes, where there are few for so many rows.
    fn combined(&mut self, piece: Piece<'_>, wants: &Wants, kept: Option<&BooleanBuffer>) -> Result<Option<RunGroups>> {
        let mut columns = Vec::with_capacity(wants.items.len());
        for item in &wants.items {
            let RunValue::Column(place) = item.value else { return Ok(None) };
            let Column::Coded(coded) = piece.column(place)? else { return Ok(None) };
            columns.push(coded);
        }
        let places = columns.iter().try_fold(1_usize, |places, column| places.checked_mul(column.values.len()));
        let most = (piece.rows / 4).clamp(64, 1 << 16);
        let Some(places) = places.filter(|places| *places <= most) else { return Ok(None) };
        let mut codes = vec![0_u16; piece.rows];
        for column in &columns {
            let (own, count) = (column.codes.slice(piece.start, piece.rows), column.values.len() as u16);
            for (code, own) in codes.iter_mut().zip(own.iter()) {
                // Below the number of places, which fits, also where the last column alone has all of them.
                *code = code.wrapping_mul(count) + own;
            }
        }
        let codes = only(ScalarBuffer::from(codes), kept);
        let mut used = vec![false; places];
        codes.iter().for_each(|code| used[usize::from(*code)] = true);
        let values: Vec<_> = columns.iter().map(|column| column.values.as_string_view()).collect();
        let numbers = self.groups.numbers_of_combinations(&values, &used);
        Ok(Some(RunGroups::Coded(codes, numbers)))
    }

    /// The numbers of the values of the rows in `kept`, or of all, for each property whose values are read.
    fn values(&mut self, piece: Piece<'_>, wants: &Wants, kept: Option<&BooleanBuffer>) -> Result<Vec<RunGroups>> {
        let mut all = Vec::with_capacity(self.values.len());
        for (item, reader) in wants.reads.values.iter().zip(&mut self.values) {
            let overflow = match item.overflow_name {
                Some(_) => piece.column(piece.local.schema.overflow())?,
                None => Column::Null,
            };
            if let (Some(place), Column::Null) = (item.column, &overflow)
                && let Column::Coded(coded) = piece.column(place)?
            {
                let numbers = reader.numbers_of(coded.values.as_string_view());
                all.push(RunGroups::Coded(only(coded.codes.slice(piece.start, piece.rows), kept), numbers));
                continue;
            }
            let own = match item.column {
                Some(place) => piece.array(place)?,
                None => datafusion::arrow::array::new_null_array(&DataType::Null, piece.rows),
            };
            let mut columns = vec![own, overflow.slice(piece.start, piece.rows, &DataType::Utf8View)?];
            if let Some(kept) = kept {
                for column in &mut columns {
                    *column = filter(column, &kept.clone().into()).map_err(DataFusionError::from)?;
                }
            }
            let rows = kept.map_or(piece.rows, BooleanBuffer::count_set_bits);
            let mut numbers = Vec::with_capacity(rows);
            reader.read(&columns, rows, &mut numbers)?;
            all.push(RunGroups::Each(numbers));
        }
        Ok(all)
    }
}

/// Of a column, and then the overflow.
fn reader_of_values(item: &Item) -> GroupReader {
    GroupReader::new(&[Item { column: Some(0), overflow_name: item.overflow_name.clone() }], Some(1))
}

/// The sessions of the rows in `kept`, or of all, and the place of the first of them.
fn session_keys(
    piece: Piece<'_>,
    wants: &Wants,
    kept: Option<&BooleanBuffer>,
) -> Result<Option<(Arc<Vec<SessionKey>>, usize)>> {
    if !wants.reads.keys {
        return Ok(None);
    }
    let keys = piece.local.session_keys(&piece.part.source, piece.group)?;
    Ok(Some(match kept {
        Some(kept) => {
            let own = kept.set_indices().map(|row| keys.get(piece.start + row).copied().unwrap_or_default());
            (Arc::new(own.collect()), 0)
        }
        None => (keys, piece.start),
    }))
}

/// The rows that answers may show, where they may not show all.
fn hidden(piece: Piece<'_>, subjects: &ScalarBuffer<u32>) -> Result<Option<BooleanBuffer>> {
    if piece.local.shows_all(piece.part) {
        return Ok(None);
    }
    let snapshot = &piece.local.snapshot;
    let sequences = primitive::<UInt64Type>(&piece.array(system::SEQUENCE.0)?);
    let expired_before = snapshot.hidden.expired_before().map_or(i64::MIN, |before| before.as_microsecond());
    let timestamps = primitive::<TimestampMicrosecondType>(&piece.array(system::TIMESTAMP.0)?);
    let last = snapshot.sequence.number();
    Ok(Some(BooleanBuffer::collect_bool(piece.rows, |row| {
        let (subject, sequence) = (SubjectId::new(subjects[row]), Sequence::new(sequences[row]));
        sequences[row] <= last && timestamps[row] >= expired_before && !snapshot.hidden.hides(subject, sequence)
    })))
}

impl Local {
    /// When the first and the last of the rows of `part` happened that are in answers.
    pub(crate) fn times_shown(&self, part: &Part) -> Result<Option<(i64, i64)>> {
        let mut seen: Option<(i64, i64)> = None;
        for (group, rows) in self.groups(&part.source)?.iter().enumerate() {
            let piece = Piece { local: self, part, group, start: 0, rows: rows.len() };
            let shown = hidden(piece, &primitive::<UInt32Type>(&piece.array(system::SUBJECT.0)?))?;
            let timestamps = primitive::<TimestampMicrosecondType>(&piece.array(system::TIMESTAMP.0)?);
            for at in only(timestamps, shown.as_ref()).iter().copied() {
                let (first, last) = seen.unwrap_or((at, at));
                seen = Some((first.min(at), last.max(at)));
            }
        }
        Ok(seen)
    }
}

fn primitive<T: datafusion::arrow::datatypes::ArrowPrimitiveType>(array: &ArrayRef) -> ScalarBuffer<T::Native> {
    array.as_primitive::<T>().values().clone()
}

fn only<T: datafusion::arrow::datatypes::ArrowNativeType>(
    values: ScalarBuffer<T>,
    kept: Option<&BooleanBuffer>,
) -> ScalarBuffer<T> {
    match kept {
        Some(kept) if !values.is_empty() => kept.set_indices().map(|row| values[row]).collect::<Vec<T>>().into(),
        _ => values,
    }
}

/// The numbers of each property that is asked for.
fn wanted_numbers(
    piece: Piece<'_>,
    sources: &[NumberSource<usize>],
    kept: Option<&BooleanBuffer>,
) -> Result<Vec<Vec<f64>>> {
    let mut wanted = Vec::with_capacity(sources.len());
    for source in sources {
        let column = source.column.map(|place| piece.array(place)).transpose()?;
        let overflow = match &source.overflow_name {
            Some(name) => match piece.column(piece.local.schema.overflow())? {
                Column::Null => None,
                column => Some((column.slice(piece.start, piece.rows, &DataType::Utf8View)?, name)),
            },
            None => None,
        };
        let beside = overflow.as_ref().map(|(overflow, name)| (overflow, name.as_str()));
        let all = numbers(column.as_ref(), beside, piece.rows)?;
        wanted.push(match kept {
            Some(kept) => kept.set_indices().map(|row| all[row]).collect(),
            None => all,
        });
    }
    Ok(wanted)
}
