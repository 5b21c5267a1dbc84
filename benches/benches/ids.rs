//! Message ids and distinct ids beside many that are stored: ids a second, fingerprints included. One batch is 1,000 or 65,536 ids of
//! 31 bytes. `PUGMARK_BENCH_IDS` says how many are stored first (100,000 if it does not), `PUGMARK_BENCH_FILTERS` how many bytes the filters of message ids may take (any, if it does not); bytes of
//! memory and disk for each are printed.

#![allow(missing_docs)]
#![expect(clippy::print_stderr, reason = "sizes beside the times of the benches")]

use std::fmt::Write;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pugmark_store::fuzzing::{Ids, People};

const STORED: u64 = 100_000;
const CHECKPOINT_EVERY: u64 = 1_000_000;

fn stored() -> u64 {
    std::env::var("PUGMARK_BENCH_IDS").ok().and_then(|count| count.parse().ok()).unwrap_or(STORED)
}

fn filter_bytes() -> usize {
    std::env::var("PUGMARK_BENCH_FILTERS").ok().and_then(|bytes| bytes.parse().ok()).unwrap_or(usize::MAX)
}

fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 31)).wrapping_mul(0x7FB5_D329_728E_A185);
    let number = (number ^ (number >> 27)).wrapping_mul(0x81DA_DEF4_BC2D_D44D);
    number ^ (number >> 33)
}

fn batch(numbers: impl Iterator<Item = u64>) -> Vec<String> {
    let text = |number| {
        let mut text = String::with_capacity(31);
        write!(text, "{:016x}-{number:08x}-order", mixed(number)).expect("a string takes any text");
        text
    };
    numbers.map(text).collect()
}

fn refs(ids: &[String]) -> Vec<&str> {
    ids.iter().map(String::as_str).collect()
}

fn fill(count: u64, mut append: impl FnMut(&[&str]) -> usize, mut checkpoint: impl FnMut()) {
    for start in (0..count).step_by(50_000) {
        let ids = batch(start..count.min(start + 50_000));
        assert_eq!(append(&refs(&ids)), ids.len(), "all of them are new");
        if start % CHECKPOINT_EVERY == 0 {
            checkpoint();
        }
    }
    checkpoint();
}

fn message_ids(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let count = stored();
    let ids = std::cell::RefCell::new(Ids::open(dir.path(), filter_bytes(), true).expect("opens"));
    fill(
        count,
        |batch| ids.borrow_mut().append(batch).expect("appends"),
        || ids.borrow_mut().checkpoint().expect("writes"),
    );
    let mut ids = ids.into_inner();
    let stats = ids.stats();
    let each = |bytes: u64| bytes as f64 / count as f64;
    eprintln!(
        "{count} ids: {:.2} bytes of memory, {:.1} of disk each",
        each(stats.resident_bytes),
        each(stats.disk_bytes)
    );
    for size in [1_000, 65_536_u64] {
        let size = size.min(count);
        let mut group = c.benchmark_group(format!("message_ids/{count}_stored"));
        group.throughput(Throughput::Elements(size)).sample_size(20);
        let mut next = 0;
        let mut start = |ids_from: u64| {
            next += size;
            ids_from + next % (count - size + 1)
        };
        group.bench_function(format!("duplicates_in_order_{size}"), |b| {
            let make = || {
                let from = start(0);
                batch(from..from + size)
            };
            b.iter_batched(make, |batch| ids.known(&refs(&batch)).expect("looks up"), BatchSize::PerIteration);
        });
        let mut round = 0;
        group.bench_function(format!("duplicates_at_random_{size}"), |b| {
            let make = || {
                round += size;
                batch((round..round + size).map(|number| mixed(number) % count))
            };
            b.iter_batched(make, |batch| ids.known(&refs(&batch)).expect("looks up"), BatchSize::PerIteration);
        });
        let mut new = count * size;
        group.bench_function(format!("new_{size}"), |b| {
            let make = || {
                new += size;
                batch(new..new + size)
            };
            b.iter_batched(make, |batch| ids.append(&refs(&batch)).expect("appends"), BatchSize::PerIteration);
        });
        group.finish();
    }
}

fn subjects(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let count = stored();
    let people = People::open(dir.path()).expect("opens");
    fill(count, |batch| people.append(batch).expect("appends"), || people.checkpoint().expect("writes"));
    let stats = people.subjects().stats();
    let bytes = stats.runs.resident_bytes + stats.cache_bytes + stats.names_bytes;
    eprintln!("{count} subjects: {:.2} bytes of memory each", bytes as f64 / count as f64);
    let mut group = c.benchmark_group(format!("subjects/{count}_stored"));
    let size = 1_000.min(count);
    group.throughput(Throughput::Elements(size)).sample_size(20);
    let resolve = |batch: Vec<String>| people.subjects().resolve_many(&refs(&batch)).expect("looks up");
    group.bench_function(format!("hot_{size}"), |b| {
        let mut round = 0;
        let make = || {
            round += size;
            batch((round..round + size).map(|number| mixed(number) % 100_000.min(count)))
        };
        b.iter_batched(make, resolve, BatchSize::PerIteration);
    });
    group.bench_function(format!("at_random_{size}"), |b| {
        let mut round = 0;
        let make = || {
            round += size;
            batch((round..round + size).map(|number| mixed(number) % count))
        };
        b.iter_batched(make, resolve, BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, message_ids, subjects);
criterion_main!(benches);
