//! What an event says about its sender: events a second of one core, with 500 different user agents and every part that needs no database.

#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pugmark::enrich::device::Devices;
use pugmark::enrich::{Context, Enricher, Site, Sites, Visitors};
use pugmark_benches::Dice;
use serde_json::{Value, json};

const EVENTS: u64 = 10_000;

/// Events of 500 browsers and many pages.
fn contexts() -> Vec<Value> {
    let mut dice = Dice::new(7);
    let agents: Vec<String> = (0..500_u64)
        .map(|n| {
            let (major, minor) = (100 + n % 43, n % 9);
            match n % 4 {
                0 => format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{major}.0.{minor}.0 Safari/537.36"),
                1 => format!("Mozilla/5.0 (iPhone; CPU iPhone OS 18_{minor} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.{minor} Mobile/15E{major} Safari/604.1"),
                2 => format!("Mozilla/5.0 (Linux; Android 1{minor}; SM-S9{major}B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{major}.0.0.0 Mobile Safari/537.36"),
                _ => format!("Mozilla/5.0 (X11; Linux x86_64; rv:{major}.{minor}) Gecko/20100101 Firefox/{major}.{minor}"),
            }
        })
        .collect();
    let referrers = ["https://www.google.de/", "https://t.co/x", "https://news.example/may", "https://shop.example/"];
    (0..EVENTS)
        .map(|n| {
            json!({
                "userAgent": agents[(dice.roll() % 500) as usize],
                "ip": format!("203.0.{}.{}", dice.roll() % 256, dice.roll() % 256),
                "locale": dice.pick(&["de-DE", "en-US", "fr-FR"]),
                "page": {"url": format!("https://shop.example/p/{n}?utm_source=fb&utm_campaign=may"), "referrer": dice.pick(&referrers)},
                "headers": {"origin": "https://shop.example"},
            })
        })
        .collect()
}

fn enrich(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let json = contexts();
    let contexts: Vec<Context<'_>> = json.iter().map(Context::of_json).collect();
    let now = 1_735_732_800_000_000;
    let visitors = || Visitors::open(dir.path(), now).expect("opens");
    let sites = || Sites::new([Site::new("shop", "shop.example")]);
    let enrichers = [
        ("device", Enricher::new().devices(Devices::new())),
        ("source", Enricher::new().sources(["own.example"])),
        ("visitor", Enricher::new().visitors(visitors())),
        ("site", Enricher::new().sites(sites())),
        ("all", Enricher::new().devices(Devices::new()).sources(["own.example"]).visitors(visitors()).sites(sites())),
        ("device_never_seen_before", Enricher::new().devices(Devices::remembering(1))),
    ];
    let mut group = c.benchmark_group("enrich");
    for (name, enricher) in enrichers {
        let contexts = if name == "device_never_seen_before" { &contexts[..500] } else { &contexts[..] };
        group.throughput(Throughput::Elements(contexts.len() as u64)).sample_size(10);
        group.bench_function(name, |b| {
            b.iter(|| {
                for context in contexts {
                    black_box(enricher.apply(context, Some(now), now).expect("applies"));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, enrich);
criterion_main!(benches);
