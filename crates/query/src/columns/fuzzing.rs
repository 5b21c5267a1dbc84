//! Files among the rollups that are whole as far as their checksums tell, and hold anything, for the fuzzer.
//!
//! What begins as a Parquet file is read as one. Other bytes say what the rows of one are: few changes of a file leave rows to be looked at.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BinaryArray, Date32Array, Float64Array, RecordBatch, StringArray, UInt32Array, UInt64Array,
};
use datafusion::arrow::datatypes::SchemaRef;
use pugmark_store::limits::NAME_MAX_BYTES;
use pugmark_store::{Error, ErrorKind, OpenMode, Result, SimulatedStorage, Storage};
use roaring::RoaringBitmap;

use super::catalog::FileId;
use super::cube::{self, Cube, Declaration, read_cube, write_cube};
use super::dir::{ColumnDir, Kind};
use super::guard::{Stored, Sums};
use super::rollup::{self, Day, Rollup, read_rollup, read_rollup_events, write_rollup};

const STORE: &str = "/store";
const MAGIC: &[u8] = b"PAR1";
/// No more rows are made.
const ROWS_MAX: usize = 64;
/// No more of a set is looked at.
const SUBJECTS_MAX: usize = 1 << 16;

/// A file, or the rows of one: counts that are right, sets that are sound, and neither.
pub(crate) fn rollup_file(bytes: &[u8]) {
    let store = Files::new();
    let stored = store.whole(bytes);
    let rollup = if bytes.starts_with(MAGIC) {
        if let Err(error) = read_rollup_events(&stored, 1) {
            is_refused(&stored, &error);
        }
        rollup::decode(&stored)
    } else {
        let rows = rollup_rows(&mut Given(bytes));
        rollup::decode_rows(&stored, [Ok(batch(&rollup::schema(), rows))].into_iter())
    };
    match rollup {
        Ok(rollup) => is_sound_rollup(&store, &rollup),
        Err(error) => is_refused(&stored, &error),
    }
}

/// A file, or the rows of one, as [`rollup_file`].
pub(crate) fn cube_file(bytes: &[u8]) {
    let declaration = declared();
    let store = Files::new();
    let stored = store.whole(bytes);
    let cube = if bytes.starts_with(MAGIC) {
        read_cube(&stored, &declaration, u64::MAX)
    } else {
        let rows = cube_rows(&mut Given(bytes), &declaration);
        let batch = batch(&cube::schema(&declaration), rows);
        cube::decode_rows(&stored, [Ok(batch)].into_iter(), &declaration, u64::MAX)
    };
    match cube {
        Ok(cube) => is_sound_cube(&store, &cube, &declaration),
        Err(error) => is_refused(&stored, &error),
    }
}

fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>) -> RecordBatch {
    RecordBatch::try_new(Arc::clone(schema), columns).expect("the columns are those of the schema")
}

/// A line with a name, and then the value of a setting.
pub(crate) fn declaration(bytes: &[u8]) {
    let Some((name, value)) = std::str::from_utf8(bytes).ok().and_then(|text| text.split_once('\n')) else { return };
    let Ok(value) = serde_json::from_str(value) else { return };
    match Declaration::from_value(name, &value) {
        Ok(declaration) => {
            assert_eq!(declaration.validate(), Ok(()));
            assert!(declaration.setting_name().len() <= NAME_MAX_BYTES);
            let written = serde_json::from_str(&declaration.setting_value()).expect("what was written is JSON");
            assert_eq!(Declaration::from_value(name, &written).as_ref(), Ok(&declaration), "{written}");
            let columns = declaration.dimensions.len() + declaration.measures.len() * 5;
            assert_eq!(cube::schema(&declaration).fields().len(), 5 + columns);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// What the cubes are of.
fn declared() -> Declaration {
    Declaration::new("x", "*").dimension("p").dimension("q").measure("m")
}

fn is_refused(stored: &Stored, error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().starts_with(&stored.path.display().to_string()), "{error}");
}

/// What counts, binary searches and unions of sets take for granted.
fn is_sound_rollup(store: &Files, rollup: &Rollup) {
    let mut rows = 0;
    for event in rollup.events() {
        assert_eq!(event.rows.start, rows, "{event:?}");
        let count: u64 = event.days.iter().map(|cell| cell.count).sum();
        assert_eq!(event.rows.len() as u64, count, "{event:?}");
        rows = event.rows.end;
        assert_eq!(rollup.event(&event.name), Some(event));
        are_sound(event.days.iter().map(|cell| (cell.day, cell.count, &cell.subjects)));
    }
    assert!(rollup.events().is_sorted_by(|a, b| a.name < b.name));
    let rows = rows as u64;
    assert_eq!(rollup.any().iter().map(|cell| cell.count).sum::<u64>(), rows);
    are_sound(rollup.any().iter().map(|cell| (cell.day, cell.count, &cell.subjects)));
    let again = store.again(|dir, id| write_rollup(dir, id, rollup));
    assert_eq!(&read_rollup(&again, rows).expect("it was written just now"), rollup);
    assert_eq!(read_rollup_events(&again, rows).expect("it was written just now").0, rollup.event_rows());
    is_refused(&again, &read_rollup_events(&again, rows + 1).expect_err("it has one row less"));
}

fn is_sound_cube(store: &Files, cube: &Cube, declaration: &Declaration) {
    assert!(cube.groups.is_sorted_by(|a, b| a < b));
    assert!(cube.groups.iter().all(|group| group.len() == declaration.dimensions.len()));
    assert!(cube.events.is_sorted_by(|a, b| a.name < b.name));
    let mut count: u64 = 0;
    for event in &cube.events {
        assert!(event.groups.is_sorted_by(|a, b| a.0 < b.0), "{event:?}");
        for (group, cells) in &event.groups {
            assert!(*group < cube.groups.len(), "{event:?}");
            assert!(cells.iter().all(|cell| cell.numbers.len() == declaration.measures.len()), "{event:?}");
            are_sound(cells.iter().map(|cell| (cell.day, cell.count, &cell.subjects)));
            count += cells.iter().map(|cell| cell.count).sum::<u64>();
        }
    }
    let again = store.again(|dir, id| write_cube(dir, id, cube, declaration));
    assert_eq!(&read_cube(&again, declaration, count).expect("it was written just now"), cube);
    if let Some(fewer) = count.checked_sub(1) {
        is_refused(&again, &read_cube(&again, declaration, fewer).expect_err("it counts one more"));
    }
}

fn are_sound<'a>(cells: impl Iterator<Item = (Day, u64, &'a RoaringBitmap)>) {
    let mut last = None;
    for (day, count, subjects) in cells {
        assert!(last < Some(day), "{last:?}, {day:?}");
        last = Some(day);
        assert!((1..=count).contains(&subjects.len()), "{count} events of {subjects:?}");
        let mut some = subjects.iter().take(SUBJECTS_MAX);
        assert!(some.by_ref().is_sorted_by(|a, b| a < b), "{subjects:?}");
        assert_eq!(subjects.iter().take(SUBJECTS_MAX).count() as u64, subjects.len().min(SUBJECTS_MAX as u64));
        assert_eq!(subjects.max().map(|last| subjects.rank(last)), Some(subjects.len()));
    }
}

/// A store of which there are only files among the rollups.
struct Files {
    storage: Arc<dyn Storage>,
    dir: ColumnDir,
}

impl Files {
    fn new() -> Self {
        let storage: Arc<dyn Storage> = Arc::new(SimulatedStorage::new());
        let dir = ColumnDir::new(Arc::clone(&storage), Path::new(STORE));
        storage.create_dir_all(dir.of(Kind::Rollups)).expect("the root is there");
        Self { storage, dir }
    }

    fn stored(&self, id: FileId, bytes: u64, checksums: Vec<u32>) -> Arc<Stored> {
        let path = self.dir.of(Kind::Rollups).join(id.file_name());
        Arc::new(Stored::new(&self.storage, path, bytes, checksums))
    }

    /// A file of these bytes, and the checksums of them.
    fn whole(&self, bytes: &[u8]) -> Arc<Stored> {
        let mut sums = Sums::default();
        sums.add(bytes);
        let stored = self.stored(FileId::new(1), bytes.len() as u64, sums.finish());
        let file = self.storage.open(&stored.path, OpenMode::Truncate).expect("its folder is there");
        file.write_all_at(bytes, 0).expect("memory does not fail");
        stored
    }

    fn again(&self, write: impl FnOnce(&ColumnDir, FileId) -> Result<(u64, Vec<u32>)>) -> Arc<Stored> {
        let id = FileId::new(2);
        let (bytes, checksums) = write(&self.dir, id).expect("what was read is written");
        self.stored(id, bytes, checksums)
    }
}

/// What a fuzzer says about rows; nothing once it has said all.
struct Given<'a>(&'a [u8]);

impl<'a> Given<'a> {
    fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or_default()
    }

    fn bytes(&mut self) -> &'a [u8] {
        let wanted = usize::from(self.byte()).min(self.0.len());
        self.0.split_off(..wanted).unwrap_or_default()
    }

    /// A small number, or one near the largest.
    fn count(&mut self) -> u64 {
        match self.byte() {
            small @ 0..=0xef => small.into(),
            large => u64::MAX - u64::from(large - 0xf0),
        }
    }

    fn real(&mut self) -> f64 {
        match self.byte() {
            0xfa => f64::MAX,
            0xfb => f64::MIN,
            0xfc => f64::INFINITY,
            0xfd => f64::NEG_INFINITY,
            0xfe => f64::NAN,
            0xff => f64::from_bits(self.bytes().iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte))),
            small => f64::from(small.cast_signed()) / 4.0,
        }
    }

    fn name(&mut self) -> String {
        String::from_utf8_lossy(match self.byte() {
            short @ b'a'..=b'd' => return char::from(short).to_string(),
            _ => self.bytes(),
        })
        .into_owned()
    }

    /// JSON that is a value, or any text.
    fn value(&mut self) -> String {
        const VALUES: [&str; 12] =
            ["null", "false", "true", "-1", "1", "1.0", "0.1", "1e300", "1e999", "\"\"", "\"1\"", "[]"];
        let number = usize::from(self.byte());
        match VALUES.get(number) {
            Some(value) => (*value).to_owned(),
            None => String::from_utf8_lossy(self.bytes()).into_owned(),
        }
    }

    /// A set and its length: a few that are far from each other, or any bytes.
    fn set(&mut self) -> (u32, Vec<u8>) {
        let mut bytes = Vec::new();
        match self.byte() {
            few @ 0..=0x7f => {
                let set: RoaringBitmap = (0..u32::from(few)).map(|n| n * n * 40_000).collect();
                set.serialize_into(&mut bytes).expect("memory does not fail");
                (few.into(), bytes)
            }
            0x80..=0xbf => (self.byte().into(), self.bytes().to_vec()),
            _ => {
                let people = u32::from(self.byte()) << 16 | u32::from(self.byte()) << 8 | u32::from(self.byte());
                (people, self.bytes().to_vec())
            }
        }
    }
}

/// The columns that all files among the rollups have, row by row.
#[derive(Default)]
struct Rows {
    events: Vec<Option<String>>,
    days: Vec<i32>,
    counts: Vec<u64>,
    people: Vec<u32>,
    subjects: Vec<Vec<u8>>,
}

impl Rows {
    fn add(&mut self, event: Option<String>, given: &mut Given<'_>) {
        self.events.push(event);
        self.days.push(match given.byte().cast_signed() {
            i8::MIN => i32::MIN,
            i8::MAX => i32::MAX,
            day => day.into(),
        });
        self.counts.push(given.count());
        let (people, subjects) = given.set();
        self.people.push(people);
        self.subjects.push(subjects);
    }

    fn is_full(&self) -> bool {
        self.events.len() >= ROWS_MAX
    }

    fn into_columns(self) -> Vec<ArrayRef> {
        vec![
            Arc::new(self.events.into_iter().collect::<StringArray>()),
            Arc::new(Date32Array::from(self.days)),
            Arc::new(UInt64Array::from(self.counts)),
            Arc::new(UInt32Array::from(self.people)),
            Arc::new(BinaryArray::from_iter_values(self.subjects)),
        ]
    }
}

fn rollup_rows(given: &mut Given<'_>) -> Vec<ArrayRef> {
    let mut rows = Rows::default();
    while !given.0.is_empty() && !rows.is_full() {
        let event = (given.byte() != b'*').then(|| given.name());
        rows.add(event, given);
    }
    rows.into_columns()
}

fn cube_rows(given: &mut Given<'_>, declaration: &Declaration) -> Vec<ArrayRef> {
    let mut rows = Rows::default();
    let mut dimensions = vec![Vec::new(); declaration.dimensions.len()];
    let mut numbers = vec![Vec::new(); declaration.measures.len()];
    let mut parts = vec![[const { Vec::new() }; 4]; declaration.measures.len()];
    while !given.0.is_empty() && !rows.is_full() {
        let event = given.name();
        dimensions.iter_mut().for_each(|values| values.push(given.value()));
        rows.add(Some(event), given);
        for (numbers, parts) in numbers.iter_mut().zip(&mut parts) {
            let count = given.count();
            numbers.push(count);
            let own = match count {
                0 => [0.0, 0.0, f64::INFINITY, f64::NEG_INFINITY],
                _ => [(); 4].map(|()| given.real()),
            };
            parts.iter_mut().zip(own).for_each(|(part, own)| part.push(own));
        }
    }
    let mut columns = rows.into_columns();
    columns.extend(dimensions.into_iter().map(|values| Arc::new(StringArray::from(values)) as ArrayRef));
    for (numbers, parts) in numbers.into_iter().zip(parts) {
        columns.push(Arc::new(UInt64Array::from(numbers)));
        columns.extend(parts.map(|part| Arc::new(Float64Array::from(part)) as ArrayRef));
    }
    columns
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use datafusion::parquet::arrow::ArrowWriter;
    use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::super::cube::{CubeCell, CubeEvent, Numbers};
    use super::super::guard::Bytes;
    use super::*;
    use crate::spec::GroupValue;

    type Target = fn(&[u8]);

    const TARGETS: [(&str, Target); 3] =
        [("rollup_file", rollup_file), ("cube_file", cube_file), ("declaration", declaration)];

    fn seeds(target: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target)
    }

    #[test]
    fn the_fuzz_targets_take_what_they_begin_with() {
        for (target, run) in TARGETS {
            let seeds: Vec<Vec<u8>> = fs::read_dir(seeds(target))
                .unwrap_or_else(|e| panic!("{target}: {e}"))
                .map(|entry| fs::read(entry.unwrap().path()).unwrap())
                .collect();
            assert!(!seeds.is_empty(), "{target}");
            seeds.iter().for_each(|seed| run(seed));
        }
    }

    #[test]
    fn whole_files_at_which_the_reader_of_parquet_panics_are_damaged_ones() {
        let store = Files::new();
        let stored = store.whole(&fs::read(seeds("rollup_file").join("wide_index")).unwrap());
        is_refused(&stored, &rollup::decode(&stored).unwrap_err());
        is_refused(&stored, &read_rollup_events(&stored, 1).unwrap_err());
        let stored = store.whole(&fs::read(seeds("cube_file").join("no_dictionary")).unwrap());
        is_refused(&stored, &read_cube(&stored, &declared(), 1).unwrap_err());
    }

    fn bytes(stored: &Stored, store: &Files) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(stored.bytes).unwrap()];
        store.storage.open(&stored.path, OpenMode::Read).unwrap().read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    /// The same rows without compression, which leaves few changes of a file any effect but one.
    fn plain(file: Vec<u8>) -> Vec<u8> {
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(reader.schema()), None).unwrap();
        reader.build().unwrap().for_each(|batch| writer.write(&batch.unwrap()).unwrap());
        writer.into_inner().unwrap()
    }

    /// `cargo test -p pugmark-query -- --ignored seeds`
    #[test]
    #[ignore = "it writes to fuzz/seeds"]
    fn seeds_are_written() {
        let write = |target: &str, name: &str, bytes: &[u8]| {
            fs::create_dir_all(seeds(target)).unwrap();
            fs::write(seeds(target).join(name), bytes).unwrap();
        };
        let store = Files::new();
        let rows = (0..40_u32).map(|n| (n / 2 * 70_000, i64::from(n) * 11_000_000_000));
        let rollup = Rollup::of([("a", 30), ("b", 10)].into_iter(), rows.clone().take(30).chain(rows));
        let file = bytes(&store.again(|dir, id| write_rollup(dir, id, &rollup)), &store);
        write("rollup_file", "written", &file);
        write("rollup_file", "plain", &plain(file));
        write("rollup_file", "rows", b"*\0\x03\x02*\x01\x02\x01.a\0\x02\x01.a\x01\x02\x01.b\0\x01\x01");
        let cell = |day: i32| {
            let mut numbers = Numbers::default();
            [0.5, 0.1, 3.0].into_iter().for_each(|number| numbers.add(number));
            CubeCell { day: Day::new(day), count: 4, subjects: (2..5).collect(), numbers: vec![numbers] }
        };
        let groups = [GroupValue::Null, GroupValue::from(1), GroupValue::from(0.1), GroupValue::from("x")];
        let mut groups = groups.map(|value| vec![value, GroupValue::from(true)]).to_vec();
        groups.sort_unstable();
        let of = |groups: &[usize]| groups.iter().map(|at| (*at, vec![cell(-1), cell(1)])).collect();
        let events = [("a", of(&[0, 1, 3])), ("b", of(&[2]))];
        let events = events.map(|(name, groups)| CubeEvent { name: name.into(), groups }).into();
        let cube = Cube { groups, events };
        let file = bytes(&store.again(|dir, id| write_cube(dir, id, &cube, &declared())), &store);
        write("cube_file", "written", &file);
        write("cube_file", "plain", &plain(file));
        write(
            "cube_file",
            "rows",
            b"a\x00\x03\0\x03\x02\0a\x03\x03\x01\x03\x02\x02\x08\0\x04\x06b\x03\x0a\x02\x03\x01\x01\x04\0\x04\x04",
        );
        let sales = Declaration::new("", "purchase").dimension("country").dimension("plan").measure("amount");
        let mut many = sales.clone();
        many.event = crate::spec::EventNames::Many(vec!["a".to_owned(), "b".to_owned()]);
        for (name, declaration) in [("1", &sales), ("2", &many), ("3", &declared())] {
            write("declaration", name, format!("sales\n{}", declaration.setting_value()).as_bytes());
        }
    }
}
