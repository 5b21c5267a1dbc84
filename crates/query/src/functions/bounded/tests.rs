//! Within bounds the functions answer as they do without; the memory of their results is counted while somebody holds them.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, DictionaryArray, Int64Array, Int64Builder, LargeStringArray, ListBuilder,
    RecordBatch, StringArray, StringBuilder, StringViewArray, StructArray, TimestampMicrosecondArray,
};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{DataType, Field, Int32Type, Int64Type};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool};
use datafusion::prelude::{SessionConfig, SessionContext};

use super::held::hold;
use super::{Bounds, Limits, Types};
use crate::error::{Error, ErrorKind};

const ROWS: usize = 241;

/// Texts with letters of one to four bytes, repetitions, empty ones and NULLs.
fn texts(seed: usize) -> Vec<Option<String>> {
    const LETTERS: [&str; 9] = ["a", "b", "ab", "c", "é", "€", "😀", "-", "abab"];
    let text = |row: usize| {
        let length = (row * 7 + seed) % 6;
        (0..length).map(|at| LETTERS[(row * 5 + at * 3 + seed) % LETTERS.len()]).collect::<String>()
    };
    (0..ROWS).map(|row| (!(row + seed).is_multiple_of(11)).then(|| text(row))).collect()
}

fn table() -> RecordBatch {
    let numbers: Int64Array =
        (0..ROWS).map(|row| (!row.is_multiple_of(13)).then(|| i64::try_from(row % 6).unwrap() - 1)).collect();
    let days: Date32Array =
        (0..ROWS).map(|row| (!row.is_multiple_of(17)).then(|| 20_000 + i32::try_from(row).unwrap())).collect();
    let instants: TimestampMicrosecondArray =
        (0..ROWS).map(|row| Some(1_700_000_000_000_000 + row as i64 * 3_600_000_000)).collect();
    let mut numbers_of = ListBuilder::new(Int64Builder::new());
    let mut texts_of = ListBuilder::new(StringBuilder::new());
    for (row, text) in texts(3).into_iter().enumerate() {
        for at in 0..row % 4 {
            if row % 9 != 4 {
                numbers_of.values().append_option((at != 2).then_some((row + at) as i64 % 3));
            }
            if row % 7 != 5 {
                texts_of.values().append_option(text.as_ref().filter(|_| at != 1).map(|text| format!("{text}{at}")));
            }
        }
        numbers_of.append(row % 9 != 4);
        texts_of.append(row % 7 != 5);
    }
    let coded = texts(4);
    let dictionary: DictionaryArray<Int32Type> = coded.iter().map(Option::as_deref).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("s", Arc::new(StringArray::from(texts(0)))),
        ("l", Arc::new(LargeStringArray::from(texts(1)))),
        ("v", Arc::new(texts(2).into_iter().collect::<StringViewArray>())),
        ("d", Arc::new(dictionary)),
        ("n", Arc::new(numbers)),
        ("day", Arc::new(days)),
        ("at", Arc::new(instants.with_timezone("+00:00"))),
        ("ns", Arc::new(numbers_of.finish())),
        ("ts", Arc::new(texts_of.finish())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

fn session(bounds: Option<&Bounds>) -> SessionContext {
    let config = SessionConfig::new().with_target_partitions(1);
    let builder = SessionStateBuilder::new().with_config(config).with_default_features();
    let mut state = builder.with_type_planner(Arc::new(Types)).build();
    if let Some(bounds) = bounds {
        bounds.apply(&mut state).unwrap();
    }
    let session = SessionContext::new_with_state(state);
    session.register_batch("t", table()).unwrap();
    session
}

fn bounds(slice_bytes: u64, pool: &Arc<dyn MemoryPool>) -> Bounds {
    let limits = Limits { slice_bytes, batch_bytes: 1 << 20, constant_bytes: 1 << 10, steps: 1 << 20 };
    Bounds { limits, pool: Arc::clone(pool) }
}

async fn answer(session: &SessionContext, sql: &str) -> Result<RecordBatch, DataFusionError> {
    let frame = session.sql(sql).await?;
    let batches = frame.collect().await?;
    Ok(concat_batches(batches[0].schema_ref(), &batches)?)
}

const TEXTS: [&str; 6] = ["s", "l", "v", "d", "'abcab'", "NULL"];
const OTHERS: [&str; 4] = ["'b'", "s", "v", "''"];
const NUMBERS: [&str; 3] = ["3", "n", "-1"];

/// `$t` is a text, `$u` another, `$n` a number.
const EXPRESSIONS: [&str; 56] = [
    "repeat($t, $n)",
    "lpad($t, abs($n))",
    "lpad($t, abs($n), $u)",
    "rpad($t, abs($n))",
    "rpad($t, abs($n), $u)",
    "replace($t, 'ab', $u)",
    "replace($t, $u, 'é😀')",
    "regexp_replace($t, '([a-c])(.)?', '<\\2\\1>', 'g')",
    "regexp_replace($t, '([a-c])(.)?', '<\\2\\1$0>')",
    "regexp_replace($t, 'b', $u, 'g')",
    "regexp_replace($t, $u, 'x')",
    "regexp_count($t, 'a.')",
    "regexp_instr($t, 'b')",
    "levenshtein($t, $u)",
    "translate($t, 'abc', '€x')",
    "overlay($t placing $u from 2 for 1)",
    "concat($t, $u, n)",
    "concat($t, 'a', 'b', NULL)",
    "concat_ws('-', $t, $u)",
    "concat_ws($u, $t, 'x', 'y')",
    "$t || $u",
    "$t || n",
    "$u || $t || 'z'",
    "to_char(at, '%Y-%m')",
    "to_char(day, '%d.%m')",
    "string_to_array($t, $u)",
    "string_to_array($t, NULL, 'a')",
    "array_to_string(ts, $u)",
    "array_to_string(ns, ',', $u)",
    "array_to_string(make_array(ns, ns), ',', 'N')",
    "array_repeat($t, $n)",
    "array_repeat(ns, $n)",
    "array_repeat(ts, n)",
    "array_resize(ns, abs($n))",
    "array_resize(ts, abs($n), $t)",
    "range($n)",
    "range(0, $n, 2)",
    "generate_series($n, 0, -1)",
    "range(day, day + interval '3 days', interval '1 day')",
    "generate_series(at, at + interval '5 hours', interval '2 hours')",
    "generate_series(day, DATE '2024-12-01', interval '-1 month')",
    "make_array($t, $u)",
    "[n, $n, NULL]",
    "[ts, ts]",
    "array_append(ts, $t)",
    "array_prepend($t, ts)",
    "ts || $t",
    "$t || ts",
    "ns || ns",
    "array_concat(ns, [$n], ns)",
    "array_union(ns, [$n, 7])",
    "arrays_zip(ns, ts)",
    "array_replace(ts, 'b0', $t)",
    "array_replace_n(ns, 1, $n, 2)",
    "array_replace_all(ns, 1, n)",
    "array_has_all(ns, [$n]) AND array_has_any(ts, [$t])",
];

#[tokio::test]
async fn functions_answer_within_bounds_as_they_do_without() {
    let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1 << 20));
    let (plain, within) = (session(None), session(Some(&bounds(4_000, &pool))));
    let (mut answers, mut refusals) = (0, 0);
    for expression in EXPRESSIONS {
        let uses = |place: &str, of: &[&'static str]| if expression.contains(place) { of.to_vec() } else { vec![""] };
        let mut answered = false;
        for text in uses("$t", &TEXTS) {
            for other in uses("$u", &OTHERS) {
                for number in uses("$n", &NUMBERS) {
                    let expression = expression.replace("$t", text).replace("$u", other).replace("$n", number);
                    let sql = format!("SELECT {expression} FROM t");
                    match (answer(&plain, &sql).await, answer(&within, &sql).await) {
                        (Ok(expected), Ok(found)) => {
                            assert_eq!(found, expected, "{sql}");
                            (answers, answered) = (answers + 1, true);
                        }
                        (Err(_), Err(_)) => refusals += 1,
                        (expected, found) => panic!("{sql}: {found:?} in place of {expected:?}"),
                    }
                }
            }
        }
        assert!(answered, "{expression} is never answered");
    }
    assert!(answers > 10 * refusals, "{answers} answers and {refusals} refusals");
    assert_eq!(pool.reserved(), 0);
}

fn refusal(error: DataFusionError) -> (ErrorKind, String) {
    let error = Error::from(error);
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn what_is_too_much_is_refused_with_what_it_would_be() {
    let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(8 << 20));
    let within = session(Some(&bounds(10_000, &pool)));
    for (expression, found) in [
        ("repeat(s, 1000000)", "000016 bytes of one row, at most 10000"),
        ("repeat('ab', 2000)", "repeat makes a constant of 4000 bytes, at most 1024"),
        ("'a' || repeat('b', 1024)", "|| makes a constant of 1025 bytes, at most 1024"),
        (
            "generate_series(at, at + interval '1 year', interval '1 month -30 days')",
            "generate_series would make up to",
        ),
        ("levenshtein(lpad(s, 500), lpad(v, 500))", "levenshtein would take up to"),
        ("array_has_all(array_repeat(n, 100), array_repeat(n, 100))", "array_has_all would take up to"),
        ("regexp_count(lpad(s, 2000), 'a')", "regexp_count would take up to"),
    ] {
        let error = answer(&within, &format!("SELECT {expression} FROM t")).await.expect_err(expression);
        let (kind, message) = refusal(error);
        assert_eq!(kind, ErrorKind::Full, "{message}");
        assert!(message.contains(found), "{message}");
        assert_eq!(pool.reserved(), 0, "{expression}");
    }
    let little: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(5_000));
    let error = answer(&session(Some(&bounds(10_000, &little))), "SELECT repeat(s, 100) FROM t").await;
    assert_eq!(refusal(error.expect_err("it is more than the pool has")).0, ErrorKind::Full);
    // Of all rows together.
    let wide = "SELECT lpad(s, 2000, 'x') || lpad(v, 2000, 'y') || lpad(s, 2000, 'z') || lpad(v, 20000, 'z') FROM t";
    let within = session(Some(&bounds(200_000, &pool)));
    let (kind, message) = refusal(answer(&within, wide).await.expect_err(wide));
    assert_eq!(kind, ErrorKind::Full);
    assert!(message.contains("would make more than 1048576 bytes of 241 rows"), "{message}");
    assert_eq!(pool.reserved(), 0);
}

#[test]
fn a_result_has_its_memory_from_the_pool_until_the_last_of_it_is_gone() {
    let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(100 << 20));
    let text =
        || (0..100_000_usize).map(|row| (!row.is_multiple_of(7)).then(|| format!("{row} and some more letters")));
    let mut lists = ListBuilder::new(StringBuilder::new());
    (0..100_000).for_each(|row| lists.append_value(text().skip(row % 100).take(row % 3)));
    let strings: ArrayRef = Arc::new(text().collect::<StringArray>());
    let field = Arc::new(Field::new("t", DataType::Utf8, true));
    let made: [ArrayRef; 5] = [
        Arc::new(text().collect::<StringViewArray>()),
        Arc::new(lists.finish()),
        Arc::new(Int64Array::from_iter_values(0..200_000)),
        Arc::new(StructArray::from(vec![(field, Arc::new(text().collect::<StringArray>()) as ArrayRef)])),
        Arc::new(text().collect::<StringArray>().slice(10, 90_000)),
    ];
    for array in made {
        let copy = datafusion::arrow::compute::concat(&[array.as_ref(), array.slice(0, 1).as_ref()]).unwrap();
        let (kind, bytes) = (array.data_type().clone(), array.get_buffer_memory_size());
        let held = hold(array, MemoryConsumer::new("a result").register(&pool)).unwrap();
        assert_eq!(&held, &copy.slice(0, held.len()), "{kind}");
        let reserved = pool.reserved();
        assert!(reserved > 0 && reserved <= bytes, "{reserved} of {bytes} bytes are reserved of {kind}");
        let part = held.slice(5, 10);
        drop(held);
        assert_eq!(pool.reserved(), reserved, "{kind}");
        drop(part);
        assert_eq!(pool.reserved(), 0, "{kind}");
    }
    // What somebody else holds is theirs.
    let shared = hold(Arc::clone(&strings), MemoryConsumer::new("a result").register(&pool)).unwrap();
    assert_eq!((pool.reserved(), &shared), (0, &strings));
    let little: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(100));
    let own: ArrayRef = Arc::new(text().collect::<StringArray>());
    assert!(hold(own, MemoryConsumer::new("a result").register(&little)).is_err());
    assert_eq!(little.reserved(), 0);
}

#[tokio::test]
async fn a_function_within_bounds_has_the_names_of_its_own() {
    let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1 << 20));
    let within = session(Some(&bounds(10_000, &pool)));
    let batch = answer(&within, "SELECT list_repeat(n, 2), s || 'x', make_list(n) FROM t").await.unwrap();
    let plain = answer(&session(None), "SELECT list_repeat(n, 2), s || 'x', make_list(n) FROM t").await.unwrap();
    assert_eq!(batch.schema(), plain.schema());
    assert_eq!(batch.column(0).as_list::<i32>().values().as_primitive::<Int64Type>().null_count(), 38);
    let error = answer(&within, "SELECT array_transform([1], x -> x) FROM t").await;
    assert!(error.is_err());
}
