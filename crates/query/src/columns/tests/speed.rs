//! What an event costs on its way into a file. Prints figures; run with `--ignored --nocapture`.

use std::time::{Duration, Instant};

use super::*;

const ROWS: u64 = 1 << 20;
const BATCH: u64 = 8_192;

/// A shop's events: 20 names, 200,000 people, four texts and sometimes an amount.
fn shop(first: u64) -> Vec<Given> {
    let mut state = first.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    (first..first + BATCH)
        .map(|n| {
            let (subject, event) = (random(200_000), random(20));
            let timestamp = 1_735_689_600_000_000 + (n * 7_800_000) as i64;
            let mut given = given(&format!("event_{event}"), subject as u32, timestamp)
                .with("country", format!("C{}", random(20)))
                .with("platform", format!("platform {}", random(5)))
                .with("plan", format!("plan {}", random(3)))
                .with("url", format!("/p/{}", random(5_000)));
            if event < 2 {
                given = given.with("amount", random(10_000) as f64 / 100.0);
            }
            given.message_id = format!("{:016x}", (n + 7).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            given.session_id = Some(format!("s{subject}-{}", n / 230));
            given
        })
        .collect()
}

fn timed<R>(total: &mut Duration, work: impl FnOnce() -> R) -> R {
    #[expect(clippy::disallowed_methods, reason = "this test is a measurement")]
    let start = Instant::now();
    let result = work();
    *total += start.elapsed();
    result
}

#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout, reason = "this test is a measurement")]
fn an_event_costs_little_on_its_way_into_a_file() {
    let mut feed = Feed::new(usize::MAX);
    let (mut apply, mut convert, mut write) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for first in (0..ROWS).step_by(BATCH as usize) {
        let events = shop(first);
        with_payload(&events, |payload| {
            let batch = Committed { first_sequence: feed.next, payload };
            feed.registry.apply(&batch).unwrap();
            // The fold's own registry is idle once a flusher runs.
            feed.columns.types = None;
            timed(&mut apply, || feed.columns.apply(&batch)).unwrap();
        });
        feed.next = feed.next.plus(BATCH);
    }
    let columns = feed.columns();
    let schema = feed.schema();
    timed(&mut convert, || columns.tail().batches(&schema, None)).unwrap();
    let parts: Vec<_> = columns.tail().parts().map(|part| part.slice()).collect();
    let file = timed(&mut write, || {
        super::super::writer::write_file(columns.dir(), FileId::new(1), &parts, &schema).unwrap().unwrap()
    });
    assert_eq!(file.rows, ROWS);
    let per_event = |time: Duration| time.as_nanos() as u64 / ROWS;
    println!(
        "{ROWS} events: apply {} ns, as batches {} ns, sort and write {} ns each",
        per_event(apply),
        per_event(convert),
        per_event(write)
    );
    println!(
        "in memory {} bytes each, in the file {:.1} bytes each",
        columns.tail().bytes() / ROWS,
        file.bytes as f64 / ROWS as f64
    );
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&file.path).unwrap()).unwrap();
    println!("{} row groups", reader.metadata().num_row_groups());
    for (column, field) in reader.schema().fields().iter().enumerate() {
        let bytes: i64 =
            reader.metadata().row_groups().iter().map(|group| group.column(column).compressed_size()).sum();
        println!("{:>12}: {:.2} bytes each", field.name(), bytes as f64 / ROWS as f64);
    }
}
