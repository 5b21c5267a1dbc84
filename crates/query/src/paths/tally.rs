//! Paths counted: as a tree of their beginnings, and by the edges of each position.

use std::cmp::Reverse;

use hashbrown::HashMap;

use super::{PathCount, PathEdge, Paths, PathsLeftOut, TravelledPath, Visit};
use crate::spec::{GroupValue, Groups};

/// In the place of the number of a node: the end of a history.
const END: u32 = u32::MAX;
/// In the place of the number of a beginning or an edge: none.
const NONE: u32 = u32::MAX;

type Map<K> = HashMap<K, u32, foldhash::fast::RandomState>;

/// What is counted, once for each unit or always.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    all: u64,
    /// The last unit that was counted; units are numbered from 1 as they come.
    last: u32,
}

impl Count {
    fn add(&mut self, unit: u32, counts: PathCount) {
        if counts == PathCount::Occurrences || self.last != unit {
            self.all += 1;
        }
        self.last = unit;
    }
}

/// The beginning of paths: another one, and the node that follows it.
#[derive(Debug, Clone, Copy)]
struct Beginning {
    before: u32,
    node: u32,
    /// The edge that leads to the node; none to the first.
    edge: u32,
    /// Paths that are this and no more.
    paths: Count,
}

#[derive(Debug, Clone, Copy)]
struct Edge {
    key: EdgeKey,
    count: Count,
    /// How often it was gone along, and how long that took in all.
    passes: u64,
    sum_us: i128,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct EdgeKey {
    position: u32,
    from: u32,
    to: u32,
}

/// Counts the paths of units; parts of one question can be merged in any order.
///
/// ```
/// use pugmark_query::{paths::{Paths, Tally, Visit}, spec::Groups};
///
/// let mut nodes = Groups::default();
/// let [signup, view] = ["signup", "view"].map(|name| nodes.intern(&[name.into()]));
/// let at = |node, seconds: i64| Visit { node, timestamp: seconds * 1_000_000 };
/// let mut tally = Tally::new(&Paths::after("signup"));
/// tally.begin_unit();
/// tally.add(&[at(signup, 0), at(view, 60)], true);
/// tally.begin_unit();
/// tally.add(&[at(signup, 0)], true);
/// let (count, edges, paths, _) = tally.finish(&nodes, 25);
/// assert_eq!((count, edges.len(), paths.len()), (2, 3, 2));
/// assert_eq!(edges[1].mean_seconds, Some(60.0));
/// ```
#[derive(Debug, Clone)]
pub struct Tally {
    counts: PathCount,
    unit: u32,
    all: Count,
    beginnings: Vec<Beginning>,
    numbers: Map<(u32, u32)>,
    edges: Vec<Edge>,
    edge_numbers: Map<EdgeKey>,
}

impl Tally {
    /// One that has counted nothing.
    pub fn new(paths: &Paths) -> Self {
        Self {
            counts: paths.count,
            unit: 0,
            all: Count::default(),
            beginnings: Vec::new(),
            numbers: Map::default(),
            edges: Vec::new(),
            edge_numbers: Map::default(),
        }
    }

    /// Says that what follows is of another unit.
    pub fn begin_unit(&mut self) {
        self.unit += 1;
    }

    /// Adds a path of the unit at hand. `has_ended` where the history ended with it.
    pub fn add(&mut self, path: &[Visit], has_ended: bool) {
        let (unit, counts) = (self.unit, self.counts);
        self.all.add(unit, counts);
        let mut at = NONE;
        for (position, visit) in (0_u32..).zip(path) {
            at = self.after(at, position, visit.node);
            let Some(edge) = self.edges.get_mut(self.beginnings[at as usize].edge as usize) else { continue };
            edge.count.add(unit, counts);
            edge.passes += 1;
            let before = path[position as usize - 1].timestamp;
            edge.sum_us += i128::from(visit.timestamp.abs_diff(before));
        }
        self.beginnings[at as usize].paths.add(unit, counts);
        if has_ended {
            let end = self.after(at, path.len() as u32, END);
            self.edges[self.beginnings[end as usize].edge as usize].count.add(unit, counts);
        }
    }

    /// The number of the beginning that another one and a node at this position make.
    fn after(&mut self, before: u32, position: u32, node: u32) -> u32 {
        if let Some(number) = self.numbers.get(&(before, node)) {
            return *number;
        }
        let number = next(self.beginnings.len());
        let edge = match self.beginnings.get(before as usize) {
            None => NONE,
            Some(own) => {
                let key = EdgeKey { position, from: own.node, to: node };
                let fresh = next(self.edges.len());
                let edge = *self.edge_numbers.entry(key).or_insert(fresh);
                if edge == fresh {
                    self.edges.push(Edge { key, count: Count::default(), passes: 0, sum_us: 0 });
                }
                edge
            }
        };
        self.beginnings.push(Beginning { before, node, edge, paths: Count::default() });
        self.numbers.insert((before, node), number);
        number
    }

    /// Bytes that it takes, nearly.
    pub(crate) fn bytes(&self) -> usize {
        self.beginnings.capacity() * size_of::<Beginning>()
            + self.numbers.capacity() * size_of::<((u32, u32), u32)>()
            + self.edges.capacity() * size_of::<Edge>()
            + self.edge_numbers.capacity() * size_of::<(EdgeKey, u32)>()
    }

    /// Adds another part of the same question, with other units and the same numbers of nodes.
    pub fn merge(&mut self, other: &Self) {
        self.all.all += other.all.all;
        let mut numbers: Vec<u32> = Vec::with_capacity(other.beginnings.len());
        // One comes after what it begins with.
        for theirs in &other.beginnings {
            let before = numbers.get(theirs.before as usize).copied().unwrap_or(NONE);
            let position = other.edges.get(theirs.edge as usize).map_or(0, |edge| edge.key.position);
            let number = self.after(before, position, theirs.node);
            self.beginnings[number as usize].paths.all += theirs.paths.all;
            numbers.push(number);
        }
        for theirs in &other.edges {
            let number = self.edge_numbers.get(&theirs.key).copied().unwrap_or(NONE);
            let own = &mut self.edges[number as usize];
            own.count.all += theirs.count.all;
            own.passes += theirs.passes;
            own.sum_us += theirs.sum_us;
        }
    }

    /// How many are counted; the `limit` most counted edges of each position, and paths; and how many of each are left out. `nodes` has the values of nodes by number.
    #[expect(clippy::cast_precision_loss, reason = "seconds are reported as floats")]
    pub fn finish(self, nodes: &Groups, limit: usize) -> (u64, Vec<PathEdge>, Vec<TravelledPath>, PathsLeftOut) {
        let value = |node: u32| nodes.values(node).first().cloned().unwrap_or(GroupValue::Null);
        let rank = ranks(nodes);
        // The end of a history is null, which comes first.
        let rank = |node: u32| if node == END { 0 } else { rank[node as usize] };
        let mut edges = self.edges.clone();
        edges.sort_unstable_by_key(|Edge { key, count, .. }| {
            (key.position, Reverse(count.all), rank(key.from), rank(key.to))
        });
        let shown = edges.chunk_by(|a, b| a.key.position == b.key.position).flat_map(|own| own.iter().take(limit));
        let shown: Vec<PathEdge> = shown
            .map(|edge| PathEdge {
                position: edge.key.position as usize,
                from: value(edge.key.from),
                to: (edge.key.to != END).then(|| value(edge.key.to)),
                count: edge.count.all,
                mean_seconds: (edge.passes > 0).then(|| edge.sum_us as f64 / edge.passes as f64 / 1e6),
            })
            .collect();
        let whole = (0..next(self.beginnings.len())).filter(|at| self.beginnings[*at as usize].paths.all > 0);
        let mut whole: Vec<u32> = whole.collect();
        let different = whole.len();
        let count = |at: &u32| Reverse(self.beginnings[*at as usize].paths.all);
        // Of those that are not shown only ties are compared any further.
        if limit < whole.len() {
            let (_, least, _) = whole.select_nth_unstable_by_key(limit, count);
            let least = count(least);
            whole.retain(|at| count(at) <= least);
        }
        whole.sort_by_cached_key(|at| (count(at), self.nodes(*at).into_iter().map(rank).collect::<Vec<u32>>()));
        whole.truncate(limit);
        let paths: Vec<TravelledPath> = whole
            .iter()
            .map(|at| TravelledPath { nodes: self.nodes(*at).into_iter().map(value).collect(), count: count(at).0 })
            .collect();
        let left_out =
            PathsLeftOut { edges: (edges.len() - shown.len()) as u64, paths: (different - paths.len()) as u64 };
        (self.all.all, shown, paths, left_out)
    }

    /// The nodes of a beginning, in order.
    fn nodes(&self, mut at: u32) -> Vec<u32> {
        let mut nodes = Vec::new();
        while let Some(own) = self.beginnings.get(at as usize) {
            nodes.push(own.node);
            at = own.before;
        }
        nodes.reverse();
        nodes
    }
}

/// The number of what comes next.
fn next(count: usize) -> u32 {
    u32::try_from(count).expect("fewer than 2^32 beginnings: each takes more than one byte")
}

/// The place of each node among all, by value, from 1.
fn ranks(nodes: &Groups) -> Vec<u32> {
    let mut order: Vec<u32> = (0..next(nodes.len())).collect();
    order.sort_unstable_by(|a, b| nodes.values(*a).cmp(nodes.values(*b)));
    let mut ranks = vec![0; order.len()];
    for (rank, node) in (1..).zip(order) {
        ranks[node as usize] = rank;
    }
    ranks
}
