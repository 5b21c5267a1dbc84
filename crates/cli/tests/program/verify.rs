//! Damage on disk as the program tells it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::bench::Bench;

fn filled() -> Bench {
    let bench = Bench::new();
    let line = |n: u32| {
        format!(
            r#"{{"event":"view","distinct_id":"u{}","timestamp":"2025-01-01T09:00:00Z","properties":{{"n":{n}}}}}"#,
            n % 50
        )
    };
    bench.import(&(0..5_000).map(line).collect::<Vec<_>>().join("\n")).ok();
    bench
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 4;
    fs::write(path, bytes).unwrap();
}

fn one_of(dir: &Path) -> PathBuf {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).min().unwrap()
}

#[test]
fn a_whole_store_is_verified() {
    let bench = filled();
    let told = bench.run(&["verify", "s"]).ok();
    assert!(
        told.contains("nothing is wrong") && told.contains("registry, identity, profiles, definitions, columns"),
        "{told}"
    );
    assert!(!told.contains("not compared"), "{told}");
}

#[test]
fn a_damaged_columnar_file_fails_questions_and_is_repaired() {
    let bench = filled();
    let question = ["sql", "s", "SELECT sum(n), max(message_id) > '' AS ok FROM events", "--format", "csv"];
    let answer = bench.run(&question).ok();
    let file = one_of(&bench.path("s/columns"));
    flip(&file, 4 + 2_000);
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    assert!(bench.run(&question).error(1).contains(&name));
    let run = bench.run(&["verify", "s"]);
    assert!(run.code == 1 && run.stdout.contains("wrong: columns: ") && run.stdout.contains(&name), "{}", run.stdout);
    let told = bench.run(&["verify", "s", "--repair"]).ok();
    assert!(told.contains("making again: columns") && told.contains("repaired"), "{told}");
    assert_eq!(bench.run(&question).ok(), answer);
    bench.run(&["verify", "s"]).ok();
}

#[test]
fn a_backup_answers_as_the_store_does() {
    let bench = filled();
    let question = |dir: &str| bench.run(&["sql", dir, "SELECT count(*), sum(n) FROM events", "--format", "csv"]).ok();
    assert!(bench.run(&["backup", "s", "copy"]).ok().contains("through sequence 5,000"));
    assert_eq!(question("copy"), question("s"));
    bench.run(&["verify", "copy"]).ok();
    bench.run(&["backup", "s", "copy"]).ok();
    assert!(bench.run(&["backup", "s", "events.ndjson"]).error(1).contains("events.ndjson"));
}

#[test]
fn a_damaged_log_is_told_with_what_is_lost_and_left_alone() {
    let bench = filled();
    let segment = one_of(&bench.path("s/log"));
    flip(&segment, 64 + 44 + 300);
    let before = fs::read(&segment).unwrap();
    let run = bench.run(&["verify", "s", "--repair"]);
    assert_eq!(run.code, 1, "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("are lost") && run.stdout.contains("backup"), "{}", run.stdout);
    assert_eq!(fs::read(&segment).unwrap(), before);
}

#[test]
fn a_log_that_does_not_open_is_read_all_the_same() {
    let bench = filled();
    // The closing frame says that everything before it was durable.
    let segments = bench.path("s/log");
    let last = fs::read_dir(&segments).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
    flip(&last, 64 + 44 + 300);
    fs::remove_file(bench.path("s/index.redb")).unwrap();
    let run = bench.run(&["verify", "s"]);
    assert_eq!(run.code, 1, "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("does not open") && run.stdout.contains("wrong: log: "), "{}", run.stdout);
}

#[test]
fn small_files_become_one_when_asked() {
    let bench = Bench::new();
    for from in 0..4 {
        let line = |n: u32| {
            format!(r#"{{"event":"view","distinct_id":"u{n}","message_id":"{n}","timestamp":"2025-01-01T09:00:00Z"}}"#)
        };
        bench.import(&(from * 10..from * 10 + 10).map(line).collect::<Vec<_>>().join("\n")).ok();
    }
    let question = ["sql", "s", "SELECT count(*), count(DISTINCT person), min(sequence), max(sequence) FROM events"];
    let before = bench.run(&question).ok();
    let told = bench.run(&["compact", "s"]).ok();
    assert!(told.contains("40 events in 1 columnar file;"), "{told}");
    assert_eq!(bench.run(&question).ok(), before);
    assert_eq!(fs::read_dir(bench.path("s/columns")).unwrap().count(), 1);
    bench.run(&["verify", "s"]).ok();
}
