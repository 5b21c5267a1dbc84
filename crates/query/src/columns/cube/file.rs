//! A cube as a file of its own: one row for each event, combination of values and day.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, AsArray, BinaryBuilder, Date32Array, Float64Array, RecordBatch, StringArray, UInt32Array, UInt64Array,
};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Field, Float64Type, Schema, SchemaRef, UInt32Type, UInt64Type,
};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::KeyValue;
use pugmark_store::Result;
use serde_json::Value;

use super::{Cube, CubeCell, CubeEvent, Declaration, Numbers};
use crate::columns::catalog::FileId;
use crate::columns::dir::ColumnDir;
use crate::columns::error;
use crate::columns::guard::Stored;
use crate::columns::rollup::{Day, open_sets, read_batches, read_set, write_sets};
use crate::spec::GroupValue;
use crate::trend::Sum;

/// The version of what a cube holds, in its key-value metadata.
const VERSION: u32 = 1;

/// The columns: event, day, count, people and subjects, then one for each dimension, then five for each measure.
pub(in crate::columns) fn schema(declaration: &Declaration) -> SchemaRef {
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

/// Reads the cube of `declaration` of a columnar file of so many rows back.
///
/// # Errors
/// `Corrupt` for a file that is not as it was written.
pub(crate) fn read_cube(stored: &Arc<Stored>, declaration: &Declaration, rows: u64) -> Result<Cube> {
    let reader = open_sets(stored, &schema(declaration))?;
    decode_rows(stored, read_batches(stored, reader)?, declaration, rows)
}

/// The cube that has these rows.
pub(in crate::columns) fn decode_rows(
    stored: &Stored,
    batches: impl Iterator<Item = Result<RecordBatch>>,
    declaration: &Declaration,
    rows: u64,
) -> Result<Cube> {
    let path = &stored.path;
    let mut cells = Vec::new();
    for batch in batches {
        take(&batch?, declaration, &mut cells).map_err(|what| error::corrupt(path.display(), what))?;
    }
    let counted = cells.iter().try_fold(0, |sum: u64, (_, _, cell)| sum.checked_add(cell.count));
    if counted.is_none_or(|counted| counted > rows) {
        let counted = counted.unwrap_or(u64::MAX);
        return Err(error::corrupt(path.display(), format_args!("{counted} events, expected at most {rows}")));
    }
    let mut groups: Vec<Vec<GroupValue>> = cells.iter().map(|(_, group, _)| group.clone()).collect();
    groups.sort_unstable();
    groups.dedup();
    let mut cube = Cube { groups, events: Vec::new() };
    for (name, group, cell) in cells {
        let place = cube.groups.binary_search(&group).expect("invariant: the groups are those of the cells");
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

/// # Errors
/// What is wrong with rows that no cube has.
fn take(
    batch: &RecordBatch,
    declaration: &Declaration,
    cells: &mut Vec<(Box<str>, Vec<GroupValue>, CubeCell)>,
) -> std::result::Result<(), String> {
    let columns = || {
        let texts = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>();
        let counts = |name: &str| Some(batch.column_by_name(name)?.as_primitive_opt::<UInt64Type>()?.values());
        let doubles = |name: &str| Some(batch.column_by_name(name)?.as_primitive_opt::<Float64Type>()?.values());
        let events = texts("event")?;
        let days = batch.column_by_name("day")?.as_primitive_opt::<Date32Type>()?.values();
        let count = counts("count")?;
        let people = batch.column_by_name("people")?.as_primitive_opt::<UInt32Type>()?.values();
        let subjects = batch.column_by_name("subjects")?.as_binary_opt::<i32>()?;
        let dimensions = (0..declaration.dimensions.len()).map(|at| texts(&dimension(at))).collect::<Option<Vec<_>>>();
        let mut measures = Vec::with_capacity(declaration.measures.len());
        for at in 0..declaration.measures.len() {
            let parts = ["sum", "rest", "min", "max"].map(|part| doubles(&measure(at, part)));
            let [Some(sum), Some(rest), Some(min), Some(max)] = parts else { return None };
            measures.push((counts(&measure(at, "numbers"))?, [sum, rest, min, max]));
        }
        Some((events, days, (count, people, subjects), dimensions?, measures))
    };
    let (events, days, (counts, people, subjects), dimensions, measures) =
        columns().ok_or("its columns are not those of a cube")?;
    for row in 0..batch.num_rows() {
        let (name, day, count) = (events.value(row), Day::new(days[row]), counts[row]);
        let wrong = |what: String| format!("event {name:?}, day {}: {what}", day.number());
        let value = |texts: &&StringArray| {
            let text = texts.value(row);
            group_value(text).ok_or_else(|| wrong(format!("{text:?} is no value")))
        };
        let group = dimensions.iter().map(value).collect::<std::result::Result<Vec<_>, _>>()?;
        let numbers = measures.iter().map(|(counts, [sum, rest, min, max])| {
            let sum = Sum::of_parts(sum[row], rest[row]);
            let numbers = Numbers { count: counts[row], sum, min: min[row], max: max[row] };
            if numbers.is_of(count) { Ok(numbers) } else { Err(wrong(format!("{numbers:?} of {count} events"))) }
        });
        let numbers = numbers.collect::<std::result::Result<Vec<_>, _>>()?;
        let subjects = read_set(subjects.value(row), people[row], count).map_err(wrong)?;
        if let Some((last, last_group, cell)) = cells.last()
            && (last.as_ref(), last_group, cell.day) >= (name, &group, day)
        {
            return Err(wrong(format!("it is behind event {last:?}, day {}", cell.day.number())));
        }
        cells.push((name.into(), group, CubeCell { day, count, subjects, numbers }));
    }
    Ok(())
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

    use datafusion::arrow::array::BinaryArray;
    use pugmark_store::{ErrorKind, SimulatedStorage, Storage};
    use roaring::RoaringBitmap;

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
            let mut beyond = Numbers::default();
            (0..count).for_each(|_| beyond.add(f64::MAX));
            let subjects = (0..count as u32).map(|n| n * 70_000).collect();
            CubeCell { day: Day::new(day), count, subjects, numbers: vec![numbers, beyond, Numbers::default()] }
        };
        let groups: Vec<Vec<GroupValue>> = values.iter().map(|value| vec![value.clone(), GroupValue::Null]).collect();
        let of = |groups: &[usize]| groups.iter().map(|at| (*at, vec![cell(-1, 3), cell(7, 20)])).collect();
        let events = vec![
            CubeEvent { name: "a".into(), groups: of(&[0, 2, 5]) },
            CubeEvent { name: "b".into(), groups: of(&[1, 3, 4, 6, 7]) },
        ];
        let declaration =
            Declaration::new("x", "*").dimension("p").dimension("q").measure("m").measure("n").measure("o");
        for (id, cube) in (1..).zip([Cube::default(), Cube { groups, events }]) {
            let (bytes, checksums) = write_cube(&dir, FileId::new(id), &cube, &declaration).unwrap();
            let path = dir.of(Kind::Rollups).join(FileId::new(id).file_name());
            let stored = Arc::new(Stored::new(&storage, path, bytes, checksums));
            assert_eq!(read_cube(&stored, &declaration, 184).unwrap(), cube);
        }
    }

    #[test]
    fn whole_files_whose_rows_no_cube_has_are_refused_and_say_why() {
        type Row<'a> = (&'a str, i32, &'a str, u64, (u64, f64, f64, f64));
        let storage: Arc<dyn Storage> = Arc::new(SimulatedStorage::new());
        storage.create_dir_all(Path::new("/store")).unwrap();
        let dir = ColumnDir::new(Arc::clone(&storage), Path::new("/store"));
        let declaration = Declaration::new("x", "*").dimension("p").measure("m");
        let none = (0, 0.0, f64::INFINITY, f64::NEG_INFINITY);
        let first: Row<'_> = ("a", 0, "1", 2, (2, 3.0, 1.0, 2.0));
        let with = |count, numbers| [first, ("a", 0, r#""1""#, count, numbers)];
        let nan = f64::NAN;
        let cases: [(&[Row<'_>], u64, &str); 14] = [
            (&with(1, none), 3, ""),
            (&[first, ("a", 1, "1", 1, none), ("b", 0, "null", 1, none)], 4, ""),
            (&with(1, none), 2, "3 events, expected at most 2"),
            (&with(u64::MAX, none), 3, &format!("{} events, expected at most 3", u64::MAX)),
            (&[first, first], 9, r#"event "a", day 0: it is behind event "a", day 0"#),
            (&[("b", 0, "1", 2, none), first], 9, r#"event "a", day 0: it is behind event "b", day 0"#),
            (&[first, ("a", 0, "true", 1, none)], 9, r#"event "a", day 0: it is behind event "a", day 0"#),
            (&[first, ("a", -1, "1.0", 1, none)], 9, r#"event "a", day -1: it is behind event "a", day 0"#),
            (&[("a", 0, "[1]", 1, none)], 9, r#"event "a", day 0: "[1]" is no value"#),
            (&[("a", 0, "x", 1, none)], 9, r#"event "a", day 0: "x" is no value"#),
            (&with(1, (2, 3.0, 1.0, 2.0)), 9, r#"event "a", day 0: Numbers { count: 2"#),
            (&with(1, (0, 3.0, 1.0, 2.0)), 9, r#"event "a", day 0: Numbers { count: 0"#),
            (&with(2, (2, 3.0, 2.0, 1.0)), 9, r#"event "a", day 0: Numbers { count: 2"#),
            (&with(2, (2, nan, 1.0, 2.0)), 9, r#"event "a", day 0: Numbers { count: 2"#),
        ];
        let mut subjects = Vec::new();
        RoaringBitmap::from([7]).serialize_into(&mut subjects).unwrap();
        for (rows, total, expected) in cases {
            let real = |of: fn(&Row<'_>) -> f64| -> ArrayRef {
                Arc::new(rows.iter().map(of).map(Some).collect::<Float64Array>())
            };
            let columns: Vec<ArrayRef> = vec![
                Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0))),
                Arc::new(Date32Array::from_iter_values(rows.iter().map(|row| row.1))),
                Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| row.3))),
                Arc::new(UInt32Array::from_iter_values(rows.iter().map(|_| 1))),
                Arc::new(BinaryArray::from_iter_values(rows.iter().map(|_| &subjects))),
                Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.2))),
                Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| row.4.0))),
                real(|row| row.4.1),
                real(|_| 0.0),
                real(|row| row.4.2),
                real(|row| row.4.3),
            ];
            let batch = || Ok(RecordBatch::try_new(schema(&declaration), columns)?);
            let (bytes, checksums) = write_sets(&dir, FileId::new(1), Vec::new(), batch).unwrap();
            let path = dir.of(Kind::Rollups).join(FileId::new(1).file_name());
            let stored = Arc::new(Stored::new(&storage, path, bytes, checksums));
            match read_cube(&stored, &declaration, total) {
                Ok(cube) => {
                    let cells = cube.events.iter().flat_map(|event| &event.groups).map(|(_, cells)| cells.len());
                    assert_eq!((expected, cells.sum::<usize>()), ("", rows.len()));
                }
                Err(error) => {
                    let place = stored.path.display();
                    assert_eq!(error.kind(), ErrorKind::Corrupt);
                    let is_said = error.to_string().starts_with(&format!("{place}: {expected}"));
                    assert!(is_said && !expected.is_empty(), "{error}, expected {expected}");
                }
            }
        }
    }
}
