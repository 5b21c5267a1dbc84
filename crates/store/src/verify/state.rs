//! The comparison of everything derived with the log, under the lock that holds both still.

use std::collections::BTreeMap;

use super::log::{LogWalk, walk_bases, walk_log};
use super::report::{Findings, VerifyProgress, VerifyReport};
use crate::base::{BaseDir, each_operation};
use crate::catalog::{Catalog, SegmentSpan};
use crate::error::Result;
use crate::fold::{Committed, Verifier};
use crate::id::Sequence;
use crate::index::Index;
use crate::log::{LogDir, LogPosition};
use crate::quarantine::Quarantine;
use crate::record::{BaseSection, Payload, Record, Removal, RemovedMessage, Tombstone};
use crate::removal::{REMOVAL, Removals};
use crate::runs::MessageIds;
use crate::state::{IDS, OWN, POSITIONS, QUARANTINE, SEGMENTS, SUBJECTS, State};
use crate::subjects::Subjects;

/// Records between two reports of progress.
const REPORT_EVERY: u64 = 100_000;

/// A part while it is compared; `None` once it cannot go on, which is a finding.
struct Comparison<'a> {
    part: String,
    verifier: Option<Box<dyn Verifier + 'a>>,
}

impl Comparison<'_> {
    fn step(
        &mut self,
        report: &mut VerifyReport,
        step: impl FnOnce(&mut dyn Verifier, &mut Findings<'_>) -> Result<()>,
    ) -> Result<()> {
        let Some(verifier) = &mut self.verifier else { return Ok(()) };
        let mut found = Findings::of(report, &self.part);
        if let Err(e) = step(verifier.as_mut(), &mut found) {
            found.add_damage(e)?;
            self.verifier = None;
        }
        Ok(())
    }
}

impl State {
    /// Compares everything. With `repair`, the index forgets what is wrong, so that the next open derives it again.
    pub(crate) fn verify(
        &mut self,
        log_dir: &LogDir,
        base_dir: &BaseDir,
        repair: bool,
        on_progress: &mut dyn FnMut(&VerifyProgress),
    ) -> Result<VerifyReport> {
        self.check_poison()?;
        let mut report = VerifyReport::default();
        self.compare(log_dir, base_dir, &mut report, on_progress)?;
        if report.is_log_damaged() {
            // Against a log with holes everything would differ.
            report.give_up(|part| part == "log");
        } else if self.removals().is_some_and(Removals::is_open) {
            // Until a removal is complete, some of it may be gone from the log and not from what is derived, or the other way round.
            report.give_up(|part| ["log", REMOVAL, POSITIONS].contains(&part));
        } else if self.removals().is_some_and(Removals::is_expiring) {
            // The other folds follow at its end.
            report.give_up(|part| {
                let own = ["log", SUBJECTS.0, IDS.0, QUARANTINE.0, REMOVAL, POSITIONS, SEGMENTS];
                own.contains(&part)
            });
        }
        if repair && !report.is_log_damaged() {
            self.distrust(&mut report)?;
        }
        Ok(report)
    }

    fn compare(
        &self,
        log_dir: &LogDir,
        base_dir: &BaseDir,
        report: &mut VerifyReport,
        on_progress: &mut dyn FnMut(&VerifyProgress),
    ) -> Result<()> {
        let index = self.index.begin_read()?;
        let mut comparisons = vec![
            (
                SUBJECTS.0,
                Box::new(SubjectsVerifier { subjects: &self.subjects, count: 0, named: 0 }) as Box<dyn Verifier>,
            ),
            (IDS.0, Box::new(IdsVerifier { ids: &self.ids, count: 0 })),
            (QUARANTINE.0, Box::new(QuarantineVerifier { live: &self.quarantine, replayed: Quarantine::default() })),
        ]
        .into_iter()
        .map(|(part, verifier)| Comparison { part: part.to_owned(), verifier: Some(verifier) })
        .collect::<Vec<_>>();
        for (at, fold) in self.folds.iter().enumerate() {
            let part = fold.name().to_owned();
            // What is in the index lags behind, unless nothing came since it was written.
            let is_new = self.watermarks.get(OWN + at).is_some_and(|mark| *mark == self.applied);
            let mut found = Findings::of(report, &part);
            match fold.verifier(is_new.then_some(&index)) {
                Ok(Some(verifier)) => comparisons.push(Comparison { part, verifier: Some(verifier) }),
                Ok(None) => report.unchecked.push(part),
                Err(e) => {
                    found.add_damage(e)?;
                    comparisons.push(Comparison { part, verifier: None });
                }
            }
        }
        let mut positions = Positions { noted: self.index.positions()?.into_iter().peekable() };
        let mut spans = BTreeMap::new();
        let of = self.applied.number();
        let mut told = 0;
        let first = walk_bases(base_dir, report, &mut |section, report| {
            each_batch(section, &mut |batch| {
                comparisons.iter_mut().try_for_each(|comparison| {
                    comparison.step(report, |verifier, found| verifier.apply_base(batch, found))
                })
            })
        })?;
        let walk = LogWalk { dir: log_dir, first, last: Some(self.applied) };
        walk_log(&walk, report, &mut |batch, position, report| {
            for comparison in &mut comparisons {
                comparison.step(report, |verifier, found| verifier.apply(batch, found))?;
            }
            positions.compare(batch, position, &mut Findings::of(report, POSITIONS));
            spans.entry(position.segment).or_insert_with(|| SegmentSpan::empty(position.segment)).add(batch, true);
            let records = batch.last_sequence().number();
            if records - told >= REPORT_EVERY {
                told = records;
                on_progress(&VerifyProgress { records, of });
            }
            Ok(())
        })?;
        for comparison in &mut comparisons {
            comparison.step(report, |verifier, found| verifier.finish(found))?;
        }
        positions.finish(&mut Findings::of(report, POSITIONS));
        compare_spans(&self.catalog, &spans, &mut Findings::of(report, SEGMENTS));
        on_progress(&VerifyProgress { records: of, of });
        report.checked = comparisons.into_iter().map(|comparison| comparison.part).collect();
        report.checked.extend([POSITIONS.to_owned(), SEGMENTS.to_owned()]);
        Ok(())
    }

    fn distrust(&mut self, report: &mut VerifyReport) -> Result<()> {
        let wrong: Vec<String> =
            report.checked.iter().filter(|part| report.findings.iter().any(|f| f.part == **part)).cloned().collect();
        if wrong.is_empty() {
            return Ok(());
        }
        let txn = self.index.begin_write()?;
        for part in &wrong {
            if part == POSITIONS {
                Index::forget_all_positions(&txn)?;
            } else if part == SEGMENTS {
                Index::forget_segments(&txn)?;
            } else {
                Index::forget_fold(&txn, part)?;
            }
        }
        Index::commit(txn)?;
        self.distrusted.extend(wrong.iter().cloned());
        report.to_rebuild = wrong;
        Ok(())
    }
}

struct SubjectsVerifier<'a> {
    subjects: &'a Subjects,
    count: u64,
    named: u64,
}

impl Verifier for SubjectsVerifier<'_> {
    fn apply(&mut self, batch: &Committed<'_>, found: &mut Findings<'_>) -> Result<()> {
        for new in &batch.payload.subjects {
            if u64::from(new.subject) != self.count {
                found.add(format!("the log introduces subject {} where {} is next", new.subject, self.count));
            }
            self.count = u64::from(new.subject) + 1;
        }
        self.named += self.subjects.verify(&batch.payload.subjects, found)?;
        Ok(())
    }

    fn finish(&mut self, found: &mut Findings<'_>) -> Result<()> {
        let count = u64::from(self.subjects.count());
        if count != self.count {
            found.add(format!("{count} subjects but the log has {}", self.count));
        }
        let named = self.subjects.count_distinct()?;
        if named != self.named {
            found.add(format!("{named} distinct ids but the log has {}", self.named));
        }
        Ok(())
    }
}

struct IdsVerifier<'a> {
    ids: &'a MessageIds,
    count: u64,
}

impl Verifier for IdsVerifier<'_> {
    fn apply(&mut self, batch: &Committed<'_>, found: &mut Findings<'_>) -> Result<()> {
        self.count += self.ids.verify(batch, found)?;
        Ok(())
    }

    fn apply_base(&mut self, batch: &Committed<'_>, found: &mut Findings<'_>) -> Result<()> {
        // The id of a profile stands in a section of its own as well.
        match batch.payload.records.as_slice() {
            [Record::Profile(_)] => Ok(()),
            _ => self.apply(batch, found),
        }
    }

    fn finish(&mut self, found: &mut Findings<'_>) -> Result<()> {
        // With every one of the log there, as many say that none is there besides, and that no id is in the log twice.
        let stored = self.ids.count_distinct()?;
        if stored != self.count {
            found.add(format!("{stored} message ids but the log has {}", self.count));
        }
        Ok(())
    }
}

struct QuarantineVerifier<'a> {
    live: &'a Quarantine,
    replayed: Quarantine,
}

impl Verifier for QuarantineVerifier<'_> {
    fn apply(&mut self, batch: &Committed<'_>, _found: &mut Findings<'_>) -> Result<()> {
        self.replayed.apply(batch)
    }

    fn finish(&mut self, found: &mut Findings<'_>) -> Result<()> {
        if *self.live != self.replayed {
            let (live, replayed) = (self.live.stats(), self.replayed.stats());
            found.add(format!(
                "{} waiting and {} settled conflicts are not the {} and {} of the log",
                live.waiting, live.settled, replayed.waiting, replayed.settled
            ));
        }
        Ok(())
    }
}

/// The places in the log that the index notes.
struct Positions {
    noted: std::iter::Peekable<std::vec::IntoIter<(Sequence, LogPosition)>>,
}

impl Positions {
    fn compare(&mut self, batch: &Committed<'_>, at: LogPosition, found: &mut Findings<'_>) {
        while let Some((sequence, noted)) = self.noted.next_if(|(sequence, _)| *sequence <= batch.first_sequence) {
            if sequence != batch.first_sequence || noted != at {
                found.add(format!(
                    "sequence {sequence} is noted at byte {} of segment {}, where no batch begins with it",
                    noted.offset, noted.segment
                ));
            }
        }
    }

    fn finish(&mut self, found: &mut Findings<'_>) {
        for (sequence, _) in self.noted.by_ref() {
            found.add(format!("sequence {sequence} is noted, and begins no batch of the log"));
        }
    }
}

/// What a section of a base says, as batches: what stands in it stood in such.
fn each_batch(section: &BaseSection<'_>, each: &mut dyn FnMut(&Committed<'_>) -> Result<()>) -> Result<()> {
    let (subjects, records) = match section {
        BaseSection::Operations { names, records } => return each_operation(names, records.clone(), each),
        BaseSection::Subjects(subjects) => (subjects.clone(), Vec::new()),
        BaseSection::MessageIds(ids) => {
            let record = |(fingerprint, content): &([u8; 16], u64)| {
                let message = Some(RemovedMessage { fingerprint: *fingerprint, content: *content });
                Record::Tombstone(Tombstone { why: Removal::Expired, message })
            };
            (Vec::new(), ids.iter().map(record).collect())
        }
    };
    let payload = Payload { received_at: 0, import: None, base_time: 0, names: Vec::new(), subjects, records };
    each(&Committed { first_sequence: Sequence::FIRST, payload: &payload })
}

/// Compares what is known of segments with what they hold.
fn compare_spans(known: &Catalog, held: &BTreeMap<Sequence, SegmentSpan>, found: &mut Findings<'_>) {
    for (segment, known) in known.spans() {
        let Some(held) = held.get(&segment) else {
            if known.events > 0 {
                found.add(format!("segment {segment} is known to hold {} events, and is not there", known.events));
            }
            continue;
        };
        // What is known may end earlier: the rest is read where it is asked for.
        let same = known.events == held.events && known.happened == held.happened && known.received == held.received;
        if known.last > held.last || known.last == held.last && !same {
            found.add(format!("segment {segment} is known as {known:?} but holds {held:?}"));
        }
    }
}
