//! A cube as a file of its own: one row for each event, combination of values and day.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, AsArray, BinaryBuilder, Date32Array, Float64Array, RecordBatch, StringArray, UInt32Array, UInt64Array,
};
use datafusion::arrow::datatypes::{DataType, Date32Type, Field, Float64Type, Schema, SchemaRef, UInt64Type};
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::KeyValue;
use pugmark_store::Result;
use roaring::RoaringBitmap;
use serde_json::Value;

use super::{Cube, CubeCell, CubeEvent, Declaration, Numbers};
use crate::columns::catalog::FileId;
use crate::columns::dir::ColumnDir;
use crate::columns::error;
use crate::columns::guard::{Guarded, Stored};
use crate::columns::rollup::{Day, write_sets};
use crate::spec::GroupValue;
use crate::trend::Sum;

/// The version of what a cube holds, in its key-value metadata.
const VERSION: u32 = 1;
/// Rows that are read at once.
const BATCH_ROWS: usize = 8_192;

/// The columns: event, day, count, people and subjects, then one for each dimension, then five for each measure.
fn schema(declaration: &Declaration) -> SchemaRef {
    let mut fields = vec![
        Field::new("event", DataType::Utf8, false),
        Field::new("day", DataType::Date32, false),
        Field::new("count", DataType::UInt64, false),
        Field::new("people", DataType::UInt32, false),
        Field::new("subjects", DataType::Binary, false),
    ];
    // As JSON, which tells texts from numbers.
    fields.extend((0..declaration.dimensions.len()).map(|at| Field::new(dimension(at), DataType::Utf8, false)));
    for at in 0..declaration.measures.len() {
        fields.push(Field::new(measure(at, "numbers"), DataType::UInt64, false));
        let parts = ["sum", "rest", "min", "max"];
        fields.extend(parts.map(|part| Field::new(measure(at, part), DataType::Float64, false)));
    }
    Arc::new(Schema::new(fields))
}

fn dimension(at: usize) -> String {
    format!("dimension_{at}")
}

fn measure(at: usize, part: &str) -> String {
    format!("measure_{at}_{part}")
}

/// Writes `cube` under `id`, and answers with its size and the checksums of its blocks. Once this returns it is durable under its name.
pub(crate) fn write_cube(
    dir: &ColumnDir,
    id: FileId,
    cube: &Cube,
    declaration: &Declaration,
) -> Result<(u64, Vec<u32>)> {
    let metadata = vec![
        KeyValue::new("pugmark.version".to_owned(), VERSION.to_string()),
        KeyValue::new("pugmark.declaration".to_owned(), declaration.setting_value()),
    ];
    write_sets(dir, id, metadata, || batch(cube, declaration, schema(declaration)))
}

fn batch(cube: &Cube, declaration: &Declaration, schema: SchemaRef) -> std::result::Result<RecordBatch, ParquetError> {
    let rows: Vec<(&str, &[GroupValue], &CubeCell)> = cube
        .events
        .iter()
        .flat_map(|event| {
            let groups = event.groups.iter().flat_map(|(group, cells)| cells.iter().map(move |cell| (*group, cell)));
            groups.map(|(group, cell)| (event.name.as_ref(), cube.groups[group].as_slice(), cell))
        })
        .collect();
    let mut subjects = BinaryBuilder::new();
    let mut bytes = Vec::new();
    for (_, _, cell) in &rows {
        bytes.clear();
        cell.subjects.serialize_into(&mut bytes)?;
        subjects.append_value(&bytes);
    }
    let people = |cell: &CubeCell| u32::try_from(cell.subjects.len()).unwrap_or(u32::MAX);
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rows.iter().map(|(event, ..)| *event))),
        Arc::new(Date32Array::from_iter_values(rows.iter().map(|(.., cell)| cell.day.number()))),
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|(.., cell)| cell.count))),
        Arc::new(UInt32Array::from_iter_values(rows.iter().map(|(.., cell)| people(cell)))),
        Arc::new(subjects.finish()),
    ];
    for at in 0..declaration.dimensions.len() {
        let text = |group: &[GroupValue]| serde_json::to_string(&group[at]);
        let texts = rows.iter().map(|(_, group, _)| text(group)).collect::<std::result::Result<Vec<_>, _>>();
        columns.push(Arc::new(StringArray::from(texts.map_err(|e| ParquetError::External(Box::new(e)))?)));
    }
    for at in 0..declaration.measures.len() {
        columns.push(Arc::new(UInt64Array::from_iter_values(rows.iter().map(|(.., cell)| cell.numbers[at].count))));
        let parts: [fn(&Numbers) -> f64; 4] =
            [|own| own.sum.parts().0, |own| own.sum.parts().1, |own| own.min, |own| own.max];
        for part in parts {
            columns
                .push(Arc::new(Float64Array::from_iter_values(rows.iter().map(|(.., cell)| part(&cell.numbers[at])))));
        }
    }
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// Reads a cube of `declaration` back.
///
/// # Errors
/// `Corrupt` for a file that is not as it was written.
pub(crate) fn read_cube(stored: &Arc<Stored>, declaration: &Declaration) -> Result<Cube> {
    let path = &stored.path;
    let guarded = Guarded::open(Arc::clone(stored))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(guarded).map_err(|e| error::reading(path, e))?;
    let reader = reader.with_batch_size(BATCH_ROWS).build().map_err(|e| error::reading(path, e))?;
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|e| error::reading_arrow(path, &e))?;
        take(&batch, declaration, &mut rows)
            .ok_or_else(|| error::corrupt(path.display(), "its rows are not those of a cube"))?;
    }
    let mut groups: Vec<Vec<GroupValue>> = rows.iter().map(|(_, group, _)| group.clone()).collect();
    groups.sort_unstable();
    groups.dedup();
    let mut cube = Cube { groups, events: Vec::new() };
    for (name, group, cell) in rows {
        let place = cube.groups.binary_search(&group).unwrap_or(0);
        if cube.events.last().is_none_or(|last| last.name != name) {
            cube.events.push(CubeEvent { name, groups: Vec::new() });
        }
        let Some(event) = cube.events.last_mut() else { continue };
        match event.groups.last_mut() {
            Some((last, cells)) if *last == place => cells.push(cell),
            _ => event.groups.push((place, vec![cell])),
        }
    }
    Ok(cube)
}

/// `None` for rows that no cube has.
fn take(
    batch: &RecordBatch,
    declaration: &Declaration,
    rows: &mut Vec<(Box<str>, Vec<GroupValue>, CubeCell)>,
) -> Option<()> {
    let texts = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>();
    let counts = |name: &str| Some(batch.column_by_name(name)?.as_primitive_opt::<UInt64Type>()?.values());
    let doubles = |name: &str| Some(batch.column_by_name(name)?.as_primitive_opt::<Float64Type>()?.values());
    let events = texts("event")?;
    let days = batch.column_by_name("day")?.as_primitive_opt::<Date32Type>()?.values();
    let count = counts("count")?;
    let subjects = batch.column_by_name("subjects")?.as_binary_opt::<i32>()?;
    let dimensions = (0..declaration.dimensions.len()).map(|at| texts(&dimension(at))).collect::<Option<Vec<_>>>()?;
    let mut measures = Vec::with_capacity(declaration.measures.len());
    for at in 0..declaration.measures.len() {
        let parts = ["sum", "rest", "min", "max"].map(|part| doubles(&measure(at, part)));
        let [Some(sum), Some(rest), Some(min), Some(max)] = parts else { return None };
        measures.push((counts(&measure(at, "numbers"))?, [sum, rest, min, max]));
    }
    for row in 0..batch.num_rows() {
        let value = |texts: &&StringArray| group_value(texts.value(row));
        let group = dimensions.iter().map(value).collect::<Option<Vec<_>>>()?;
        let numbers = measures.iter().map(|(counts, [sum, rest, min, max])| Numbers {
            count: counts[row],
            sum: Sum::of_parts(sum[row], rest[row]),
            min: min[row],
            max: max[row],
        });
        let cell = CubeCell {
            day: Day::new(*days.get(row)?),
            count: *count.get(row)?,
            subjects: RoaringBitmap::deserialize_from(subjects.value(row)).ok()?,
            numbers: numbers.collect(),
        };
        rows.push((events.value(row).into(), group, cell));
    }
    Some(())
}

/// A value as it was written.
fn group_value(json: &str) -> Option<GroupValue> {
    Some(match serde_json::from_str(json).ok()? {
        Value::Null => GroupValue::Null,
        Value::Bool(value) => GroupValue::from(value),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => GroupValue::from(whole),
            None => GroupValue::from(number.as_f64()?),
        },
        Value::String(text) => GroupValue::from(text.as_str()),
        Value::Array(_) | Value::Object(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pugmark_store::{SimulatedStorage, Storage};

    use super::*;
    use crate::columns::dir::Kind;

    #[test]
    fn a_cube_reads_back_as_it_was_written() {
        let storage: Arc<dyn Storage> = Arc::new(SimulatedStorage::new());
        storage.create_dir_all(Path::new("/store")).unwrap();
        let dir = ColumnDir::new(Arc::clone(&storage), Path::new("/store"));
        let values = [
            GroupValue::Null,
            GroupValue::Bool(true),
            GroupValue::Int(-3),
            GroupValue::from(0.1),
            GroupValue::from(1e300),
            GroupValue::from(""),
            GroupValue::from("0"),
            GroupValue::from("it's \"é\" \u{1}"),
        ];
        let cell = |day: i32, count: u64| {
            let mut numbers = Numbers::default();
            (0..count).for_each(|n| numbers.add(n as f64 * 0.1));
            let subjects = (0..count as u32).map(|n| n * 70_000).collect();
            CubeCell { day: Day::new(day), count, subjects, numbers: vec![numbers, Numbers::default()] }
        };
        let groups: Vec<Vec<GroupValue>> = values.iter().map(|value| vec![value.clone(), GroupValue::Null]).collect();
        let of = |groups: &[usize]| groups.iter().map(|at| (*at, vec![cell(-1, 3), cell(7, 20)])).collect();
        let events = vec![
            CubeEvent { name: "a".into(), groups: of(&[0, 2, 5]) },
            CubeEvent { name: "b".into(), groups: of(&[1, 3, 4, 6, 7]) },
        ];
        let declaration = Declaration::new("x", "*").dimension("p").dimension("q").measure("m").measure("n");
        for (id, cube) in (1..).zip([Cube::default(), Cube { groups, events }]) {
            let (bytes, checksums) = write_cube(&dir, FileId::new(id), &cube, &declaration).unwrap();
            let path = dir.of(Kind::Rollups).join(FileId::new(id).file_name());
            let stored = Arc::new(Stored::new(&storage, path, bytes, checksums));
            assert_eq!(read_cube(&stored, &declaration).unwrap(), cube);
        }
    }
}
