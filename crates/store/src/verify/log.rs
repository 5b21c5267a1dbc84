//! Reads the whole log, and goes on behind damage.

use super::report::{Findings, LogReport, VerifyReport};
use crate::base::{BaseDir, BaseReader};
use crate::error::{ErrorKind, Result};
use crate::fold::Committed;
use crate::format::decode_payload;
use crate::id::Sequence;
use crate::log::{LogDir, LogPosition, Next, Segment, SegmentReader};
use crate::record::BaseSection;

/// Takes one batch as it stands in the log.
pub(crate) type OnBatch<'a> = &'a mut dyn FnMut(&Committed<'_>, LogPosition, &mut VerifyReport) -> Result<()>;

/// A walk through every frame of the log.
pub(crate) struct LogWalk<'a> {
    pub(crate) dir: &'a LogDir,
    /// Where the bases end.
    pub(crate) first: Sequence,
    /// The last sequence of an open store; of one that is not, the last segment may end in what was never acknowledged.
    pub(crate) last: Option<Sequence>,
}

/// Gives every section of the bases to `on_section`, and says where they end. Damage is a finding of the log, whose part they are.
///
/// # Errors
/// Errors of the disk.
pub(crate) fn walk_bases(
    dir: &BaseDir,
    report: &mut VerifyReport,
    on_section: &mut dyn FnMut(&BaseSection<'_>, &mut VerifyReport) -> Result<()>,
) -> Result<Sequence> {
    let mut next = Sequence::FIRST;
    for base in dir.bases()? {
        let mut walk = |report: &mut VerifyReport| {
            let mut reader = BaseReader::open(dir, &base)?;
            if reader.from() != next {
                let message = format!("{}: begins at sequence {}, expected {next}", base.path.display(), reader.from());
                Findings::of(report, "log").add(message);
            }
            while let Some(section) = reader.next()? {
                on_section(&section.decode()?, report)?;
            }
            Ok(())
        };
        if let Err(error) = walk(report) {
            Findings::of(report, "log").add_damage(error)?;
        }
        next = base.end;
    }
    Ok(next)
}

/// Reads every frame with every checksum, in order, and reports what is missing or damaged with the sequences that went with it.
///
/// # Errors
/// Errors of the disk and of `on_batch`; damage is a finding.
pub(crate) fn walk_log(walk: &LogWalk<'_>, report: &mut VerifyReport, on_batch: OnBatch<'_>) -> Result<()> {
    let mut segments = walk.dir.segments()?;
    // What bases have taken over, and a removal that was interrupted left.
    segments.retain(|segment| segment.first >= walk.first);
    let mut next = walk.first;
    let mut store_id = None;
    for (at, segment) in segments.iter().enumerate() {
        let follower = segments.get(at + 1);
        if segment.first > next {
            let message = format!("{}: begins at sequence {}, expected {next}", segment.path.display(), segment.first);
            let lost = Some((next, Sequence::new(segment.first.number() - 1)));
            Findings::of(report, "log").add_lost(message, lost);
        } else if segment.first < next {
            let message = format!(
                "{}: begins at sequence {}, but the segment before it ends at {}",
                segment.path.display(),
                segment.first,
                next.number() - 1
            );
            Findings::of(report, "log").add(message);
        }
        next = walk_segment(walk, (segment, follower), &mut store_id, report, on_batch)?;
        report.log.segments += 1;
        report.log.bytes += segment.bytes;
    }
    if let Some(last) = walk.last
        && next.number() <= last.number()
    {
        let lost = Some((next, last));
        Findings::of(report, "log").add_lost(format!("ends at sequence {}, expected {last}", next.number() - 1), lost);
    }
    Ok(())
}

/// Reads one segment, and says which sequence the next one is to begin at.
fn walk_segment(
    walk: &LogWalk<'_>,
    (segment, follower): (&Segment, Option<&Segment>),
    store_id: &mut Option<[u8; 16]>,
    report: &mut VerifyReport,
    on_batch: OnBatch<'_>,
) -> Result<Sequence> {
    let end = follower.map(|follower| Sequence::new(follower.first.number() - 1)).or(walk.last);
    let lost_from = |next: Sequence| end.filter(|end| *end >= next).map(|end| (next, end));
    let after = |next: Sequence| end.map_or(next, |end| next.max(end.plus(1)));
    let mut reader = match SegmentReader::open(walk.dir, segment) {
        Ok(reader) => reader,
        Err(e) if e.kind() == ErrorKind::Corrupt => {
            Findings::of(report, "log").add_lost(e.to_string(), lost_from(segment.first));
            return Ok(after(segment.first));
        }
        Err(e) => return Err(e),
    };
    if *store_id.get_or_insert(reader.header.store_id) != reader.header.store_id {
        let message = format!("{}: it belongs to another store than those before it", segment.path.display());
        Findings::of(report, "log").add_lost(message, lost_from(segment.first));
        return Ok(after(segment.first));
    }
    let mut next = segment.first;
    let mut closed = false;
    loop {
        let offset = reader.offset();
        let place = format!("{}: frame at byte {offset}", segment.path.display());
        let what = match reader.next()? {
            Next::End => break,
            Next::Frame(frame) if closed => {
                format!("sequence {} after the closing frame", frame.header.first_sequence)
            }
            Next::Frame(frame) if frame.header.first_sequence != next.number() => {
                format!("sequence {} but {next} expected", frame.header.first_sequence)
            }
            Next::Frame(frame) if frame.header.closing => {
                closed = true;
                continue;
            }
            Next::Frame(frame) => {
                let first_sequence = next;
                next = next.plus(u64::from(frame.header.count));
                match decode_payload(&frame.payload) {
                    Ok(payload) if payload.records.len() == frame.header.count as usize => {
                        report.log = LogReport {
                            frames: report.log.frames + 1,
                            records: report.log.records + u64::from(frame.header.count),
                            ..report.log
                        };
                        let batch = Committed { first_sequence, payload: &payload };
                        on_batch(&batch, LogPosition { segment: segment.first, offset }, report)?;
                    }
                    decoded => {
                        let what = match decoded {
                            Ok(payload) => {
                                format!("{} records but the header says {}", payload.records.len(), frame.header.count)
                            }
                            Err(what) => what.to_string(),
                        };
                        let lost = Some((first_sequence, Sequence::new(next.number() - 1)));
                        Findings::of(report, "log").add_lost(format!("{place}: {what}"), lost);
                    }
                }
                continue;
            }
            Next::Bad(what) => what,
        };
        // What follows a bad frame is found by its header: those of later sequences go on from here.
        let from = reader.offset().max(offset + 1);
        // Any later frame may say that this one was durable, not only the next: several are under way at once.
        let was_durable = reader.find_header(from, |header| header.synced_through >= next.number())?.is_some();
        let found = reader.find_header(from, |header| header.first_sequence >= next.number())?;
        let Some((at, header)) = found else {
            let torn = follower.is_none() && walk.last.is_none() && !closed;
            if !torn {
                Findings::of(report, "log").add_lost(format!("{place}: {what}"), lost_from(next));
            }
            return Ok(if torn { next } else { after(next) });
        };
        let known = follower.is_some() || walk.last.is_some() || was_durable;
        let resumed = Sequence::new(header.first_sequence);
        if known {
            let lost = (resumed > next).then(|| (next, Sequence::new(resumed.number() - 1)));
            Findings::of(report, "log").add_lost(format!("{place}: {what}"), lost);
        }
        next = resumed;
        reader.resume(at)?;
    }
    if let Some(follower) = follower
        && !closed
        && next == follower.first
    {
        let message = format!("{}: no closing frame, although a segment follows", segment.path.display());
        Findings::of(report, "log").add(message);
    }
    Ok(next)
}
