//! Questions to a store of 200,000 events of about 20,000 people, in columnar files: the whole call, from question to result.

#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use pugmark::{Funnel, Interval, Pugmark, Retention, Trend, days};
use pugmark_benches::{Dice, shop_events};

const EVENTS: usize = 200_000;
const BATCH: usize = 10_000;

fn questions(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Pugmark::open(dir.path()).expect("opens");
    let mut dice = Dice::new(7);
    for first in (0..EVENTS).step_by(BATCH) {
        db.track_many(shop_events(&mut dice, first as u64, BATCH, 20_000)).expect("stores");
    }
    db.flush().expect("flushes");
    let ask = db.blocking().expect("a runtime");
    let mut group = c.benchmark_group("questions");
    group.sample_size(20);
    let daily = Trend::of("*").uniques().interval(Interval::Day);
    group.bench_function("daily_uniques", |b| b.iter(|| black_box(ask.trend(&daily).expect("answers"))));
    let funnel = Funnel::steps(["product_view", "add_to_cart", "purchase"]).window(days(7));
    group.bench_function("funnel_of_3", |b| b.iter(|| black_box(ask.funnel(&funnel).expect("answers"))));
    let retention = Retention::new("page_view", "*");
    group.bench_function("daily_retention", |b| b.iter(|| black_box(ask.retention(&retention).expect("answers"))));
    group.finish();
}

criterion_group!(benches, questions);
criterion_main!(benches);
