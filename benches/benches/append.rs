//! Appending to a store: events a second, durable and deduplicated when `append` returns. One batch is 1,000 events of known people
//! (about 200 bytes each as JSON); the last bench writes and syncs as many bytes to a plain file, beside which the others are read.

#![allow(missing_docs)]

use std::fs::File;
use std::io::Write;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pugmark_benches::{Dice, shop_events};
use pugmark_store::{Entry, Options, Store};

const BATCH: usize = 1_000;

fn append(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut group = c.benchmark_group("append");
    group.throughput(Throughput::Elements(BATCH as u64)).sample_size(20);
    let store = Store::open(dir.path(), Options::default(), Vec::new()).expect("opens");
    let mut dice = Dice::new(7);
    let mut next = 0;
    let mut batch = |_: &mut ()| -> Vec<Entry> {
        next += BATCH as u64;
        shop_events(&mut dice, next, BATCH, 100_000).into_iter().map(Entry::from).collect()
    };
    group.bench_function("new_1000_events", |b| {
        b.iter_batched(|| batch(&mut ()), |entries| store.append(entries).expect("appends"), BatchSize::PerIteration);
    });
    let again: Vec<Entry> =
        shop_events(&mut Dice::new(8), 50_000_000, BATCH, 100_000).into_iter().map(Entry::from).collect();
    store.append(again.clone()).expect("appends");
    group.bench_function("duplicate_1000_events", |b| {
        b.iter_batched(|| again.clone(), |entries| store.append(entries).expect("appends"), BatchSize::PerIteration);
    });
    let one = [7_u8; 150 * BATCH];
    let mut file = File::create(dir.path().join("plain")).expect("creates");
    group.bench_function("plain_write_and_fdatasync_150_kb", |b| {
        b.iter(|| {
            file.write_all(&one).expect("writes");
            file.sync_data().expect("syncs");
        });
    });
    group.finish();
}

criterion_group!(benches, append);
criterion_main!(benches);
