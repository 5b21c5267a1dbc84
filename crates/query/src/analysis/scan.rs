//! Runs the scan of an analysis: every partition at once, each into a sink of its own.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::buffer::ScalarBuffer;
use datafusion::arrow::compute::{cast, filter_record_batch};
use datafusion::arrow::datatypes::{DataType, TimestampMicrosecondType, UInt32Type, UInt64Type};
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::StreamExt;
use tokio::task::JoinSet;

use super::explain::Explain;
use super::groups::{GroupReader, Item};
use super::numbers::{NumberSource, numbers};
use super::run::joined;
use super::unit_map::UnitMap;
use crate::error::Result;
use crate::local::People;
use crate::spec::{Groups, HitValue, SessionKey};

/// In the place of the number of a value that is NULL.
pub(super) const NO_VALUE: u32 = u32::MAX;

/// Which column of the scan holds what.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) unit: usize,
    pub(super) timestamp: usize,
    pub(super) sequence: Option<usize>,
    /// Booleans, and the bits of the selectors that they stand for.
    pub(super) masks: Vec<(usize, u32)>,
    /// The bits of every row.
    pub(super) always: u32,
    pub(super) items: Vec<Item>,
    /// The properties whose numbers are read, by the places of their columns.
    pub(super) numbers: Vec<NumberSource<usize>>,
    /// The properties whose values are read, of whatever type.
    pub(super) values: Vec<Item>,
    pub(super) overflow: Option<usize>,
    /// The column of the sessions that senders gave, where they are read.
    pub(super) key: Option<usize>,
}

/// The rows of one batch; every list is as long as the batch, save those not asked for, which are empty.
pub(super) struct Rows<'a> {
    pub(super) units: &'a [u32],
    pub(super) timestamps: &'a [i64],
    pub(super) sequences: &'a [u64],
    pub(super) matches: &'a [u32],
    pub(super) groups: &'a [u32],
    /// For each property whose numbers are read.
    pub(super) numbers: &'a [Vec<f64>],
    /// For each property whose values are read, the number of each row's value, or [`NO_VALUE`].
    pub(super) values: &'a [Vec<u32>],
    /// The sessions that senders gave.
    pub(super) keys: &'a [SessionKey],
}

impl Rows<'_> {
    /// The group of a row; 0 without a breakdown.
    pub(super) fn group(&self, row: usize) -> u32 {
        self.groups.get(row).copied().unwrap_or(0)
    }

    /// What a core wants of a row besides.
    pub(super) fn value<V: HitValue>(&self, row: usize) -> V {
        match self.keys.get(row) {
            _ if V::IS_NUMBER => V::of(self.number(row)),
            Some(key) if V::IS_KEY => V::of_key(*key),
            _ => V::default(),
        }
    }

    /// The number of a row for the first property whose numbers are read; NaN where there is none.
    pub(super) fn number(&self, row: usize) -> f64 {
        self.numbers.first().and_then(|numbers| numbers.get(row)).copied().unwrap_or(f64::NAN)
    }
}

/// Takes in the rows of one partition.
pub(super) trait Sink: Send + 'static {
    fn take(&mut self, rows: &Rows<'_>) -> Result<()>;
}

/// A scan that is ready to run.
pub(super) struct EventScan {
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    places: Arc<Places>,
    whose: Whose,
}

/// Whose rows are taken, and who has them.
#[derive(Clone)]
pub(super) enum Whose {
    /// All rows; the column of units tells whose they are.
    Everybody,
    /// Only those of these people.
    People(Arc<People>),
    /// Those of units that are no subjects; the column of units holds the sequences by which they are looked up.
    Units(Arc<UnitMap>),
}

impl EventScan {
    pub(super) fn new(plan: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>, places: Places, whose: Whose) -> Self {
        Self { plan, context, places: Arc::new(places), whose }
    }

    /// The pool that the query's memory comes from.
    pub(super) fn pool(&self) -> &Arc<dyn MemoryPool> {
        self.context.memory_pool()
    }

    /// What has been read.
    pub(super) fn explain(&self) -> Explain {
        Explain::of(&self.plan)
    }

    /// Reads everything; returns the sinks with the breakdown values that their rows' groups stand for.
    pub(super) async fn run<S: Sink>(&self, make: impl Fn() -> S) -> Result<Vec<(S, Groups)>> {
        Ok(self.run_with_values(make).await?.into_iter().map(|(sink, groups, _)| (sink, groups)).collect())
    }

    /// The same with the values of each property whose values are read.
    pub(super) async fn run_with_values<S: Sink>(&self, make: impl Fn() -> S) -> Result<Vec<(S, Groups, Vec<Groups>)>> {
        // Dropping the set ends the tasks: a query that nobody waits for stops.
        let mut tasks = JoinSet::new();
        for partition in 0..self.plan.output_partitioning().partition_count() {
            let mut batches = self.plan.execute(partition, Arc::clone(&self.context))?;
            let mut reader = Reader::new(&self.places, self.whose.clone(), self.pool());
            let mut sink = make();
            tasks.spawn(async move {
                while let Some(batch) = batches.next().await {
                    reader.read(&batch?, &mut sink)?;
                }
                let values = reader.values.into_iter().map(GroupReader::into_groups).collect();
                Ok::<_, crate::Error>((sink, reader.groups.into_groups(), values))
            });
        }
        let mut sinks = Vec::with_capacity(tasks.len());
        while let Some(done) = tasks.join_next().await {
            sinks.push(joined(done)?);
        }
        Ok(sinks)
    }
}

/// Turns the batches of one partition into rows.
struct Reader {
    places: Arc<Places>,
    whose: Whose,
    groups: GroupReader,
    /// For each property whose values are read.
    values: Vec<GroupReader>,
    reservation: MemoryReservation,
    matches: Vec<u32>,
    numbers: Vec<u32>,
}

impl Reader {
    fn new(places: &Arc<Places>, whose: Whose, pool: &Arc<dyn MemoryPool>) -> Self {
        Self {
            places: Arc::clone(places),
            whose,
            groups: GroupReader::new(&places.items, places.overflow),
            values: places
                .values
                .iter()
                .map(|item| GroupReader::new(std::slice::from_ref(item), places.overflow))
                .collect(),
            reservation: MemoryConsumer::new("breakdown values").register(pool),
            matches: Vec::new(),
            numbers: Vec::new(),
        }
    }

    fn read(&mut self, batch: &RecordBatch, sink: &mut impl Sink) -> Result<()> {
        let places = &self.places;
        let column = |batch: &RecordBatch| batch.column(places.unit).clone();
        let (batch, units): (Cow<'_, RecordBatch>, ScalarBuffer<u32>) = match &self.whose {
            Whose::Everybody => (Cow::Borrowed(batch), column(batch).as_primitive::<UInt32Type>().values().clone()),
            Whose::People(people) => {
                // A person bears the number of a subject that is in the set with all others of that person.
                let rows = people.rows(column(batch).as_primitive::<UInt32Type>().values());
                let kept = filter_record_batch(batch, &rows.into()).map_err(DataFusionError::from)?;
                let units = column(&kept).as_primitive::<UInt32Type>().values().clone();
                (Cow::Owned(kept), units)
            }
            Whose::Units(map) => {
                let of = column(batch);
                let of = of.as_primitive::<UInt64Type>().values().iter().map(|sequence| map.unit(*sequence));
                let of: Vec<Option<u32>> = of.collect();
                let rows: BooleanArray = of.iter().map(|unit| Some(unit.is_some())).collect();
                let kept = filter_record_batch(batch, &rows).map_err(DataFusionError::from)?;
                (Cow::Owned(kept), of.into_iter().flatten().collect())
            }
        };
        self.matches.clear();
        self.matches.resize(batch.num_rows(), places.always);
        for (place, bits) in &places.masks {
            let mask = batch.column(*place).as_boolean();
            let set = match mask.nulls() {
                Some(valid) => mask.values() & valid.inner(),
                None => mask.values().clone(),
            };
            for row in set.set_indices() {
                self.matches[row] |= bits;
            }
        }
        self.groups.read(batch.columns(), batch.num_rows(), &mut self.numbers)?;
        let mut valued = Vec::with_capacity(self.values.len());
        for reader in &mut self.values {
            let mut own = Vec::new();
            reader.read(batch.columns(), batch.num_rows(), &mut own)?;
            if let Some(null) = reader.null() {
                own.iter_mut().filter(|number| **number == null).for_each(|number| *number = NO_VALUE);
            }
            valued.push(own);
        }
        let bytes = self.groups.bytes() + self.values.iter().map(GroupReader::bytes).sum::<usize>();
        self.reservation.try_resize(bytes)?;
        let overflow = places.overflow.map(|place| batch.column(place));
        let found = places.numbers.iter().map(|source| {
            let beside = overflow.zip(source.overflow_name.as_deref());
            numbers(source.column.map(|place| batch.column(place)), beside, batch.num_rows())
        });
        let found = found.collect::<std::result::Result<Vec<_>, _>>()?;
        let sequences = places.sequence.map(|place| batch.column(place).as_primitive::<UInt64Type>().values().as_ref());
        let keys: Vec<SessionKey> = match places.key {
            Some(place) => {
                let texts = cast(batch.column(place), &DataType::Utf8View).map_err(DataFusionError::from)?;
                texts
                    .as_string_view()
                    .iter()
                    .map(|text| text.map_or_else(SessionKey::default, SessionKey::of))
                    .collect()
            }
            None => Vec::new(),
        };
        sink.take(&Rows {
            units: &units,
            timestamps: batch.column(places.timestamp).as_primitive::<TimestampMicrosecondType>().values(),
            sequences: sequences.unwrap_or_default(),
            matches: &self.matches,
            groups: &self.numbers,
            numbers: &found,
            values: &valued,
            keys: &keys,
        })
    }
}
