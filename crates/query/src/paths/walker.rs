//! The paths of one unit after the other.

use super::spec::Bits;
use super::{Direction, PathWithin, Paths};
use crate::{
    calendar::ResolvedRange,
    sessions::{Cutter, Mark, Rule},
    spec::Hit,
};

/// A node of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// The number of its value.
    pub node: u32,
    /// When the first of its events happened, as the path runs, in microseconds UTC.
    pub timestamp: i64,
}

/// Finds the paths of units.
///
/// ```
/// use pugmark_query::{calendar::{ResolvedRange, days}, paths::{Paths, Walker}, spec::Hit};
///
/// let range = ResolvedRange { from_us: 0, to_us: days(1).as_us() };
/// let mut walker = Walker::new(&Paths::after("signup"), range);
/// // Every event matches the first selector, which takes all, and a signup the second.
/// let event = |minute: i64, node, matches| Hit { timestamp: minute * 60_000_000, matches, group: node, ..Hit::default() };
/// let events = [event(0, 5, 0b1), event(1, 7, 0b11), event(2, 5, 0b1), event(3, 5, 0b1), event(90, 7, 0b11)];
/// let mut found = Vec::new();
/// walker.walk(&events, None, |path, has_ended| {
///     found.push((path.iter().map(|visit| visit.node).collect::<Vec<_>>(), has_ended));
/// });
/// assert_eq!(found, [(vec![7, 5], true), (vec![7], true)]);
/// ```
#[derive(Debug, Clone)]
pub struct Walker {
    bits: Bits,
    has_anchor: bool,
    direction: Direction,
    depth: usize,
    within: PathWithin,
    collapse: bool,
    range: ResolvedRange,
    cutter: Cutter,
    sessions: Vec<u32>,
    path: Vec<Visit>,
}

impl Walker {
    /// One for a question about this range.
    pub fn new(paths: &Paths, range: ResolvedRange) -> Self {
        Self {
            bits: paths.bits(),
            has_anchor: paths.anchor.is_some(),
            direction: paths.direction,
            depth: paths.depth,
            within: paths.within,
            collapse: paths.collapse,
            range,
            cutter: Cutter::new(Rule::default()),
            sessions: Vec::new(),
            path: Vec::new(),
        }
    }

    /// Gives `take` each path of a unit, and whether it ended with the history that it is of. `hits` are all events that may be of a path or of its session, by
    /// (timestamp, sequence); their groups are the numbers of their nodes, `null` that of an event which is none. Bit 0 of their matches is set, and after it
    /// stand the anchor, the end and the exclusions, of those that the question has.
    pub fn walk(&mut self, hits: &[Hit], null: Option<u32>, mut take: impl FnMut(&[Visit], bool)) {
        match self.within {
            PathWithin::Session => {
                let marks = hits.iter().map(|hit| Mark { timestamp: hit.timestamp, ..Mark::default() });
                self.cutter.cut(marks, &mut self.sessions);
                let mut rest = hits;
                // Without keys the events of a session are neighbours.
                let sessions = std::mem::take(&mut self.sessions);
                for session in sessions.chunk_by(|a, b| a == b) {
                    let (own, after) = rest.split_at(session.len());
                    rest = after;
                    if self.range.contains(own[0].timestamp) {
                        self.open(own, own, null, &mut take);
                    }
                }
                self.sessions = sessions;
            }
            PathWithin::All => {
                let own = between(hits, self.range.from_us, self.range.to_us);
                self.open(own, own, null, &mut take);
            }
            PathWithin::Span(_) => {
                let own = between(hits, self.range.from_us, self.range.to_us);
                self.open(own, hits, null, &mut take);
            }
        }
    }

    /// Follows the path that an event of `within` opens, through the events of `all`, of which those are a stretch.
    fn open(&mut self, within: &[Hit], all: &[Hit], null: Option<u32>, take: &mut impl FnMut(&[Visit], bool)) {
        let opens = |hit: &Hit| hit.matches & self.bits.anchor != 0 && self.is_node(hit, null);
        // Without an anchor a path begins with the first event as it runs, since nothing lies before the first of all.
        let anchor = match (self.direction, self.has_anchor) {
            (Direction::Before, false) => within.iter().rev().find(|hit| opens(hit)),
            _ => within.iter().find(|hit| opens(hit)),
        };
        let Some(anchor) = anchor else { return };
        let key = |hit: &Hit| (hit.timestamp, hit.sequence);
        match self.direction {
            Direction::After => {
                let from = all.partition_point(|hit| key(hit) < key(anchor));
                self.follow(all[from..].iter(), anchor.timestamp, null, take);
            }
            Direction::Before => {
                let to = all.partition_point(|hit| key(hit) <= key(anchor));
                self.follow(all[..to].iter().rev(), anchor.timestamp, null, take);
            }
        }
    }

    /// `hits` are the anchor and what comes after it as the path runs.
    fn follow<'a>(
        &mut self,
        hits: impl Iterator<Item = &'a Hit>,
        anchor_us: i64,
        null: Option<u32>,
        take: &mut impl FnMut(&[Visit], bool),
    ) {
        let mut path = std::mem::take(&mut self.path);
        path.clear();
        let mut meets_end = false;
        for (place, hit) in hits.enumerate() {
            if let PathWithin::Span(span) = self.within
                && hit.timestamp.abs_diff(anchor_us) > span.as_us().unsigned_abs()
            {
                break;
            }
            if !self.is_node(hit, null) {
                continue;
            }
            let repeats = self.collapse && path.last().is_some_and(|last| last.node == hit.group);
            if !repeats {
                if path.len() == self.depth {
                    break;
                }
                path.push(Visit { node: hit.group, timestamp: hit.timestamp });
            }
            if place > 0 && hit.matches & self.bits.end != 0 {
                meets_end = true;
                break;
            }
        }
        if self.bits.end == 0 || meets_end {
            take(&path, !meets_end && path.len() < self.depth);
        }
        self.path = path;
    }

    fn is_node(&self, hit: &Hit, null: Option<u32>) -> bool {
        hit.matches & self.bits.exclude == 0 && null != Some(hit.group)
    }
}

/// The hits in `[from_us, to_us)`.
fn between(hits: &[Hit], from_us: i64, to_us: i64) -> &[Hit] {
    let from = hits.partition_point(|hit| hit.timestamp < from_us);
    let to = hits.partition_point(|hit| hit.timestamp < to_us);
    &hits[from..to.max(from)]
}
