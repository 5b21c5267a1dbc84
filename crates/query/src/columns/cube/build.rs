//! Makes cubes from rows in the order of a file.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::{TimestampMicrosecondType, UInt32Type};
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
};
use hashbrown::HashMap;
use pugmark_store::Result;
use roaring::RoaringBitmap;

use super::{Cube, CubeCell, CubeEvent, Declaration, GROUPS_MAX, Numbers, VALUES_MAX, column_names};
use crate::analysis::{GroupReader, Item, numbers};
use crate::columns::catalog::ColumnFile;
use crate::columns::contents::Contents;
use crate::columns::error;
use crate::columns::guard::Guarded;
use crate::columns::pace::Pace;
use crate::columns::rollup::{Day, read_rollup_events};
use crate::columns::schema::system;
use crate::spec::GroupValue;

/// Rows that are read at once.
const BATCH_ROWS: usize = 65_536;
/// A whole number from here on may be another one as a double, and is another value then.
const EXACT_MAX: u64 = 1 << 53;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Neighbouring rows of one event, in the order of a file.
pub(crate) struct CubeRows {
    pub(crate) subjects: ArrayRef,
    pub(crate) timestamps: ArrayRef,
    /// The columns of the properties, dimensions and then measures, where there are any.
    pub(crate) properties: Vec<Option<ArrayRef>>,
    pub(crate) overflow: Option<ArrayRef>,
}

/// The cube of the rows of `events`, which come in the order of a file; `rows` gives those of one of them, piece by piece. `None` where there are too many values.
pub(crate) fn build_cube(
    declaration: &Declaration,
    events: impl IntoIterator<Item = (Box<str>, Range<usize>)>,
    mut rows: impl FnMut(Range<usize>, &mut dyn FnMut(&CubeRows) -> Result<()>) -> Result<()>,
) -> Result<Option<Cube>> {
    let mut builder = Builder::new(declaration);
    let mut made = Vec::new();
    for (name, range) in events {
        if !declaration.event.contains(&name) {
            continue;
        }
        rows(range, &mut |rows| builder.add(rows))?;
        if builder.has_too_many() {
            return Ok(None);
        }
        made.push((name, std::mem::take(&mut builder.cells)));
    }
    Ok(builder.finish(made))
}

/// The cube of a columnar file; `None` where there are too many values, or once `pace` says that nobody wants it: then it says so again.
pub(crate) fn cube_of_file(
    file: &Arc<ColumnFile>,
    declaration: &Declaration,
    pace: &Arc<dyn Pace>,
) -> Result<Option<Cube>> {
    let guarded = Guarded::open(Arc::clone(&file.data))?.paced(pace);
    let failed = |e| error::reading(&file.path, e);
    let footer = ArrowReaderMetadata::load(&guarded, ArrowReaderOptions::new()).map_err(failed)?;
    let contents = Contents::of(footer.schema()).map_err(|what| error::corrupt(file.path.display(), what))?;
    let place = |name: &str| contents.place(name);
    let names = column_names(declaration);
    let wanted: Vec<Option<usize>> = [system::SUBJECT.1, system::TIMESTAMP.1]
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .chain([system::OVERFLOW])
        .map(place)
        .collect();
    let read = contents.reads(wanted.iter().flatten().copied());
    let total = usize::try_from(file.rows).unwrap_or(usize::MAX);
    let (events, _) = read_rollup_events(&file.rollup, file.rows)?;
    build_cube(declaration, events, |range, take| {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(guarded.clone(), footer.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), read.iter().copied());
        let selection = RowSelection::from_consecutive_ranges([range].into_iter(), total);
        let reader = builder
            .with_projection(mask)
            .with_row_selection(selection)
            .with_batch_size(file.size().rows_at_once(BATCH_ROWS));
        for batch in reader.build().map_err(failed)? {
            if pace.gives_up() {
                return Ok(());
            }
            let batch = batch.map_err(|e| error::reading_arrow(&file.path, &e))?;
            let column = |wanted: &Option<usize>| wanted.map(|place| contents.column(place, &read, &batch)).transpose();
            let columns = wanted.iter().map(column).collect::<std::result::Result<_, _>>();
            let mut columns: Vec<Option<ArrayRef>> = columns.map_err(|e| error::reading_arrow(&file.path, &e))?;
            let overflow = columns.pop().flatten();
            let properties = columns.split_off(2);
            let (Some(timestamps), Some(subjects)) = (columns.pop().flatten(), columns.pop().flatten()) else {
                return Err(error::corrupt(file.path.display(), "it has no subjects, or no timestamps"));
            };
            take(&CubeRows { subjects, timestamps, properties, overflow })?;
        }
        Ok(())
    })
}

/// Cells of one event, by group and day.
type Cells = Map<(u32, Day), Cell>;

#[derive(Default)]
struct Cell {
    count: u64,
    /// Ascending.
    subjects: Vec<u32>,
    numbers: Vec<Numbers>,
}

struct Builder<'a> {
    declaration: &'a Declaration,
    groups: GroupReader,
    cells: Cells,
}

impl<'a> Builder<'a> {
    fn new(declaration: &'a Declaration) -> Self {
        // The columns of a batch are those of the dimensions, and then the overflow.
        let item = |(at, name): (usize, &String)| Item { column: Some(at), overflow_name: Some(name.clone()) };
        let items: Vec<Item> = declaration.dimensions.iter().enumerate().map(item).collect();
        let overflow = Some(items.len());
        Self { declaration, groups: GroupReader::new(&items, overflow), cells: Cells::default() }
    }

    fn add(&mut self, rows: &CubeRows) -> Result<()> {
        let Declaration { dimensions, measures, .. } = self.declaration;
        let subjects = rows.subjects.as_primitive::<UInt32Type>().values();
        let timestamps = rows.timestamps.as_primitive::<TimestampMicrosecondType>().values();
        let count = subjects.len();
        let null = || datafusion::arrow::array::new_null_array(&datafusion::arrow::datatypes::DataType::Null, count);
        let properties = rows.properties.iter().take(dimensions.len());
        let mut columns: Vec<ArrayRef> = properties.map(|column| column.clone().unwrap_or_else(null)).collect();
        columns.push(rows.overflow.clone().unwrap_or_else(null));
        let failed = |e: datafusion::error::DataFusionError| error::corrupt("a value of a cube", e);
        let mut groups = Vec::with_capacity(count);
        self.groups.read(&columns, count, &mut groups).map_err(failed)?;
        let mut values = Vec::with_capacity(measures.len());
        for (at, name) in measures.iter().enumerate() {
            let column = rows.properties.get(dimensions.len() + at).and_then(Option::as_ref);
            let overflow = rows.overflow.as_ref().map(|overflow| (overflow, name.as_str()));
            values.push(numbers(column, overflow, count).map_err(failed)?);
        }
        for (row, (subject, timestamp)) in subjects.iter().zip(timestamps).enumerate() {
            let group = groups.get(row).copied().unwrap_or(0);
            let cell = self.cells.entry((group, Day::of(*timestamp))).or_default();
            cell.count += 1;
            if cell.subjects.last() != Some(subject) {
                cell.subjects.push(*subject);
            }
            cell.numbers.resize(values.len(), Numbers::default());
            for (numbers, values) in cell.numbers.iter_mut().zip(&values) {
                if !values[row].is_nan() {
                    numbers.add(values[row]);
                }
            }
        }
        Ok(())
    }

    fn has_too_many(&self) -> bool {
        self.groups.groups().len() > GROUPS_MAX
    }

    fn finish(self, events: Vec<(Box<str>, Cells)>) -> Option<Cube> {
        let all: Vec<Vec<GroupValue>> = match self.declaration.dimensions.len() {
            // Everything is one combination, as far as there is anything.
            0 => events.first().map(|_| Vec::new()).into_iter().collect(),
            _ => {
                let groups = self.groups.groups();
                (0_u32..).take(groups.len()).map(|number| groups.values(number).to_vec()).collect()
            }
        };
        for dimension in 0..self.declaration.dimensions.len() {
            let mut values: Vec<&GroupValue> = all.iter().filter_map(|group| group.get(dimension)).collect();
            values.sort_unstable();
            values.dedup();
            let is_exact = |value: &&GroupValue| !matches!(value, GroupValue::Int(n) if n.unsigned_abs() >= EXACT_MAX);
            if values.len() > VALUES_MAX || !values.iter().all(is_exact) {
                return None;
            }
        }
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_unstable_by(|a, b| all[*a].cmp(&all[*b]));
        let mut place = vec![0; all.len()];
        for (new, old) in order.iter().enumerate() {
            place[*old] = new;
        }
        let events = events.into_iter().map(|(name, cells)| {
            let mut groups: BTreeMap<usize, Vec<CubeCell>> = BTreeMap::new();
            for ((group, day), Cell { count, subjects, numbers }) in cells {
                let subjects = RoaringBitmap::from_sorted_iter(subjects);
                let subjects = subjects.expect("invariant: rows of an event are sorted by subject");
                let cell = CubeCell { day, count, subjects, numbers };
                groups.entry(place[group as usize]).or_default().push(cell);
            }
            groups.values_mut().for_each(|cells| cells.sort_unstable_by_key(|cell| cell.day));
            CubeEvent { name, groups: groups.into_iter().collect() }
        });
        Some(Cube { events: events.collect(), groups: order.into_iter().map(|at| all[at].clone()).collect() })
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Float64Array, Int64Array, StringViewArray, TimestampMicrosecondArray, UInt32Array};

    use super::*;
    use crate::columns::rollup::DAY_US;

    /// Rows of an event: subject, day, and values.
    fn rows(rows: &[(u32, i64)], country: Vec<Option<&str>>, amount: Vec<Option<f64>>) -> CubeRows {
        CubeRows {
            subjects: Arc::new(rows.iter().map(|(subject, _)| Some(*subject)).collect::<UInt32Array>()),
            timestamps: Arc::new(
                rows.iter().map(|(_, day)| Some(day * DAY_US + 7)).collect::<TimestampMicrosecondArray>(),
            ),
            properties: vec![
                Some(Arc::new(StringViewArray::from(country))),
                Some(Arc::new(Float64Array::from(amount))),
            ],
            overflow: None,
        }
    }

    #[test]
    fn cells_are_by_event_values_and_day() {
        let declaration = Declaration::new("x", "buy").dimension("country").measure("amount");
        let events = [("buy".into(), 0..4), ("view".into(), 4..9)];
        let cube = build_cube(&declaration, events, |range, take| {
            assert_eq!(range, 0..4);
            take(&rows(
                &[(1, 0), (1, 0), (2, 1)],
                vec![Some("US"), None, Some("US")],
                vec![Some(1.5), None, Some(2.0)],
            ))?;
            take(&rows(&[(3, 0)], vec![Some("DE")], vec![Some(-1.0)]))
        });
        let cube = cube.expect("it is made").expect("there are few values");
        let text = |text: &str| vec![GroupValue::from(text)];
        assert_eq!(cube.groups, [vec![GroupValue::Null], text("DE"), text("US")]);
        let [event] = cube.events.as_slice() else { panic!("one event is declared") };
        let shown: Vec<_> = event
            .groups
            .iter()
            .flat_map(|(group, cells)| cells.iter().map(move |cell| (*group, cell)))
            .map(|(group, cell)| {
                let Numbers { count, sum, .. } = cell.numbers[0];
                let subjects: Vec<u32> = cell.subjects.iter().collect();
                (group, cell.day.number(), cell.count, subjects, count, sum.value())
            })
            .collect();
        assert_eq!(
            shown,
            [
                (0, 0, 1, vec![1], 0, 0.0),
                (1, 0, 1, vec![3], 1, -1.0),
                (2, 0, 1, vec![1], 1, 1.5),
                (2, 1, 1, vec![2], 1, 2.0)
            ]
        );
        assert_eq!(
            (event.groups[2].1[0].numbers[0].min, event.groups[0].1[0].numbers[0].max),
            (1.5, f64::NEG_INFINITY)
        );
    }

    #[test]
    fn a_file_without_the_events_has_a_cube_without_combinations() {
        for declaration in [Declaration::new("x", "other").measure("m"), Declaration::new("x", "other").dimension("d")]
        {
            let cube = build_cube(&declaration, [("e".into(), 0..3)], |_, _| Ok(()));
            assert_eq!(cube.expect("it runs"), Some(Cube::default()));
        }
    }

    #[test]
    fn many_values_and_whole_numbers_that_no_double_is_make_no_cube() {
        let declaration = Declaration::new("x", "*").dimension("n");
        for (numbers, is_made) in [
            ((0..1_000).collect::<Vec<i64>>(), true),
            ((0..1_001).collect(), false),
            (vec![(1 << 53) - 1], true),
            (vec![1 << 53], false),
        ] {
            let cube = build_cube(&declaration, [("e".into(), 0..numbers.len())], |_, take| {
                let count = numbers.len() as u32;
                take(&CubeRows {
                    subjects: Arc::new(UInt32Array::from_iter_values(0..count)),
                    timestamps: Arc::new(TimestampMicrosecondArray::from_iter_values(0..i64::from(count))),
                    properties: vec![Some(Arc::new(Int64Array::from(numbers.clone())))],
                    overflow: None,
                })
            });
            assert_eq!(cube.expect("it runs").is_some(), is_made, "{}", numbers.len());
        }
    }
}
