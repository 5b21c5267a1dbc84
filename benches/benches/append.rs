//! Appending to a store with the folds of registry and identity: events a second, durable, deduplicated and visible when `append` returns.
//! A batch is 1,000 events of known people (about 200 bytes each as JSON). S, beside which the others are read, is a write of as many bytes to a
//! plain file with its `fdatasync`; it differs much from moment to moment, and `TMPDIR=/dev/shm` measures all of it without a disk.

#![allow(missing_docs)]
#![expect(
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "percentiles of single calls, which criterion does not tell"
)]

use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use pugmark_benches::{Dice, shop_events};
use pugmark_identity::{IdentityFold, IdentityOptions, ProfileFold};
use pugmark_registry::{DefinitionFold, RegistryFold, RegistryOptions};
use pugmark_store::{AppendOptions, Durability, Entry, EventBlock, Fold, Options, Store};

const BATCH: usize = 1_000;
/// Batches under way at once when appends are pipelined.
const PIPELINED: usize = 16;
const THREADS: usize = 64;
const PEOPLE: u64 = 100_000;
/// Bytes that the log takes for an event.
const LOGGED: usize = 100;

/// Events whose message ids never repeat.
struct Source(RefCell<(Dice, u64)>);

impl Source {
    fn take(&self, count: usize) -> Vec<Entry> {
        let (dice, next) = &mut *self.0.borrow_mut();
        *next += count as u64;
        shop_events(dice, *next, count, PEOPLE).into_iter().map(Entry::from).collect()
    }
}

fn append(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let folds: Vec<Box<dyn Fold>> = vec![
        Box::new(RegistryFold::new(RegistryOptions::default())),
        Box::new(IdentityFold::new(IdentityOptions::default())),
        Box::new(ProfileFold::default()),
        Box::new(DefinitionFold::default()),
    ];
    let store = Store::open(dir.path(), Options::default(), folds).expect("opens");
    let source = Source(RefCell::new((Dice::new(7), 0)));
    let mut group = c.benchmark_group("append");
    group.sample_size(20);
    plain(&mut group, &File::create(dir.path().join("plain")).expect("creates"));
    batches(&mut group, &store, &source);
    for durability in [Durability::Sync, Durability::Buffered] {
        singles(&mut group, &store, &source, durability);
    }
    group.finish();
    store.close().expect("closes");
}

/// The same events in few allocations.
fn packed(entries: &[Entry]) -> Vec<Entry> {
    let mut block = EventBlock::with_capacity(256 * entries.len());
    for entry in entries {
        if let Entry::Event(event) = entry {
            block.push(event);
        }
    }
    block.into_events().map(Entry::from).collect()
}

/// S: what the same bytes take without any structure.
fn plain(group: &mut BenchmarkGroup<'_, WallTime>, mut file: &File) {
    for (events, name) in [(BATCH, "plain_write_and_fdatasync_1000"), (1, "plain_write_and_fdatasync_1")] {
        let bytes = vec![7_u8; LOGGED * events];
        group.throughput(Throughput::Elements(events as u64)).bench_function(name, |b| {
            b.iter(|| {
                file.write_all(&bytes).expect("writes");
                file.sync_data().expect("syncs");
            });
        });
    }
}

fn batches(group: &mut BenchmarkGroup<'_, WallTime>, store: &Store, source: &Source) {
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("blocking_1000", |b| {
        let append = |entries| store.append(entries).expect("appends");
        b.iter_batched(|| source.take(BATCH), append, BatchSize::PerIteration);
    });
    group.bench_function("blocking_1000_packed", |b| {
        let append = |entries| store.append(entries).expect("appends");
        b.iter_batched(|| packed(&source.take(BATCH)), append, BatchSize::PerIteration);
    });
    let again = source.take(BATCH);
    store.append(again.clone()).expect("appends");
    group.bench_function("duplicates_1000", |b| {
        b.iter_batched(|| again.clone(), |entries| store.append(entries).expect("appends"), BatchSize::PerIteration);
    });
    group.throughput(Throughput::Elements((PIPELINED * BATCH) as u64));
    group.bench_function("pipelined_16_x_1000", |b| {
        let submit = |batches: Vec<Vec<Entry>>| {
            let submit = |batch| store.submit(batch, &AppendOptions::default()).expect("submits");
            let pending: Vec<_> = batches.into_iter().map(submit).collect();
            pending.into_iter().for_each(|pending| assert_eq!(pending.wait().expect("appends").len(), BATCH));
        };
        b.iter_batched(|| (0..PIPELINED).map(|_| source.take(BATCH)).collect(), submit, BatchSize::PerIteration);
    });
}

/// One event a call, from one thread and from many.
fn singles(group: &mut BenchmarkGroup<'_, WallTime>, store: &Store, source: &Source, durability: Durability) {
    let options = AppendOptions { durability, ..AppendOptions::default() };
    let how = if durability == Durability::Sync { "" } else { "_buffered" };
    for threads in [1, THREADS] {
        let name = format!("single_from_{threads}{how}");
        let mut calls: Vec<Duration> = Vec::new();
        group.throughput(Throughput::Elements(threads as u64)).bench_function(&name, |b| {
            // An iteration is one event of each thread.
            b.iter_custom(|iterations| {
                let each = usize::try_from(iterations).expect("so many fit memory");
                let work: Vec<Vec<Entry>> = (0..threads).map(|_| source.take(each)).collect();
                let begun = Instant::now();
                calls.extend(append_singly(store, work, &options));
                begun.elapsed()
            });
        });
        calls.sort_unstable();
        let at = |percent: usize| calls.get(calls.len() * percent / 100).copied().unwrap_or_default();
        if calls.len() > threads {
            eprintln!("{name}: {} calls, median {:?}, p99 {:?}\n", calls.len(), at(50), at(99));
        }
    }
}

fn append_singly(store: &Store, work: Vec<Vec<Entry>>, options: &AppendOptions) -> Vec<Duration> {
    let thread = |entries: Vec<Entry>| -> Vec<Duration> {
        let call = |entry| {
            let called = Instant::now();
            store.submit(vec![entry], options).and_then(|pending| pending.wait()).expect("appends");
            called.elapsed()
        };
        entries.into_iter().map(call).collect()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = work.into_iter().map(|entries| scope.spawn(|| thread(entries))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a writer does not panic")).collect()
    })
}

criterion_group!(benches, append);
criterion_main!(benches);
