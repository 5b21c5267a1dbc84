//! Whether a key is that of a server takes as long whatever is wrong with it: nobody finds one digit by digit.

#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use pugmark_server::{Control, Grant, Scope, Secret};

/// The same key with another digit at this place.
fn changed(key: &str, at: usize) -> Secret {
    let digit = if key.as_bytes()[at] == b'A' { "B" } else { "A" };
    let mut text = key.to_owned();
    text.replace_range(at..=at, digit);
    Secret::parse(&text).expect("a key in form")
}

fn keys(c: &mut Criterion) {
    let root = tempfile::tempdir().expect("a directory");
    let control = Control::open(root.path()).expect("a store of keys");
    let grant = Grant { project: None, scope: Scope::Admin, origins: Vec::new(), note: None };
    let secret = control.create(grant, None).expect("a key");
    let key = control.keys().remove(0);
    let text = secret.as_str();
    let random = text.rfind('_').expect("the random part") + 1;
    let mut group = c.benchmark_group("key");
    // The last digit has bits to spare, which a change of it may not be.
    for (what, shown) in [
        ("right", Secret::parse(text).expect("the key")),
        ("first digit", changed(text, random)),
        ("last digit", changed(text, text.len() - 2)),
    ] {
        assert_eq!(key.is_of(&shown), what == "right");
        group.bench_function(what, |b| b.iter(|| black_box(&key).is_of(black_box(&shown))));
    }
    group.finish();
    control.close().expect("closed");
}

criterion_group!(benches, keys);
criterion_main!(benches);
