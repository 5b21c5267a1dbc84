//! Paths: the nodes of each position below each other, and between them bands as thick as many go along.

use std::collections::BTreeMap;

use anyhow::Result;
use plotters::style::RGBColor;
use serde_json::Value;

use super::canvas::{Area, At, MARGIN, SMALL, TOP, WIDTH, drawn, fill, fit, shape, write};
use super::frame::nothing;
use super::theme::{Look, REST, series};
use crate::render::words::{count, items, node};

/// The height of the flow.
const TALL: i32 = 420;
/// The free room between two nodes.
const GAP: i32 = 10;
/// The width of a node.
const WIDE: i32 = 14;
/// More nodes of a position than this are one.
const NODES_MOST: usize = 9;
const OTHER: &str = "(other)";
/// The most corners on each side of a band.
const BAND_STEPS: i32 = 40;

/// A node of a position.
#[derive(Debug, Clone, Default)]
struct Node {
    arriving: u64,
    leaving: u64,
    top: i32,
    bottom: i32,
    /// How much of its height has bands already, on each side.
    taken: [f64; 2],
}

impl Node {
    fn size(&self) -> u64 {
        self.arriving.max(self.leaving)
    }
}

/// Of each position the nodes, by name.
type Column = BTreeMap<String, Node>;
/// A position, from 0, and the name of a node there.
type Place = (usize, String);
type Band = (Place, Place, u64);

pub(super) fn flow(answer: &Value, look: Look) -> Result<String> {
    let bands = bands(answer);
    let mut columns: Vec<Column> = Vec::new();
    for ((from_at, from), (to_at, to), count) in &bands {
        columns.resize(columns.len().max(to_at + 1), Column::new());
        columns[*from_at].entry(from.clone()).or_default().leaving += count;
        columns[*to_at].entry(to.clone()).or_default().arriving += count;
    }
    let bottom = TOP + if columns.is_empty() { 80 } else { TALL + 24 };
    let title = format!("Paths, {} in all", count(answer["count"].as_u64().unwrap_or(0)));
    drawn(bottom + 16, &title, answer, look, |area| {
        if columns.is_empty() {
            return nothing(area, bottom, look);
        }
        // People who have several paths are in several edges, and their numbers no sums.
        let all = answer["count"].as_u64().unwrap_or(0);
        let sum = |column: &Column| column.values().map(Node::size).sum::<u64>();
        let adds_up = sum(&columns[0]) == all && columns.iter().all(|column| sum(column) <= all);
        draw(area, &mut columns, &bands, adds_up, look)
    })
}

/// The edges, those of nodes past the most of a position as edges of one.
fn bands(answer: &Value) -> Vec<Band> {
    let edge = |edge: &Value| {
        let at = edge["position"].as_u64().unwrap_or(1).max(1) as usize - 1;
        ((at, node(&edge["from"])), (at + 1, node(&edge["to"])), edge["count"].as_u64().unwrap_or(0))
    };
    let all: Vec<Band> = items(&answer["edges"]).iter().map(edge).collect();
    let mut sizes: BTreeMap<Place, [u64; 2]> = BTreeMap::new();
    for (from, to, count) in &all {
        sizes.entry(from.clone()).or_default()[1] += count;
        sizes.entry(to.clone()).or_default()[0] += count;
    }
    let mut ranked: Vec<(&Place, u64)> =
        sizes.iter().map(|(node, [arriving, leaving])| (node, *arriving.max(leaving))).collect();
    ranked.sort_by(|a, b| a.0.0.cmp(&b.0.0).then(b.1.cmp(&a.1)).then(a.0.1.cmp(&b.0.1)));
    let kept = ranked.chunk_by(|a, b| a.0.0 == b.0.0).flat_map(|own| own.iter().take(NODES_MOST));
    let kept: Vec<&Place> = kept.map(|(node, _)| *node).collect();
    let shown = |node: &Place| match kept.contains(&node) {
        true => node.clone(),
        false => (node.0, OTHER.to_owned()),
    };
    let mut folded: BTreeMap<(Place, Place), u64> = BTreeMap::new();
    for (from, to, count) in &all {
        *folded.entry((shown(from), shown(to))).or_default() += count;
    }
    folded.into_iter().map(|((from, to), count)| (from, to, count)).collect()
}

fn draw(area: &Area<'_>, columns: &mut [Column], bands: &[Band], adds_up: bool, look: Look) -> Result<()> {
    // The colour of a name is the same at every position.
    let mut names: BTreeMap<&str, u64> = BTreeMap::new();
    for column in columns.iter() {
        column.iter().for_each(|(name, own)| *names.entry(name).or_default() += own.size());
    }
    let mut ranked: Vec<(String, u64)> = names.into_iter().map(|(name, size)| (name.to_owned(), size)).collect();
    ranked.retain(|(name, _)| !["(end)", OTHER].contains(&name.as_str()));
    ranked.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let color = |name: &str| ranked.iter().position(|(own, _)| own == name).map_or(REST, series);

    let most: u64 = columns.iter().map(|column| column.values().map(Node::size).sum()).max().unwrap_or(0);
    let gaps = columns.iter().map(Column::len).max().unwrap_or(1) as i32;
    let scale = f64::from(TALL - gaps * GAP) / most.max(1) as f64;
    for column in columns.iter_mut() {
        let mut order: Vec<(&String, &mut Node)> = column.iter_mut().collect();
        // The end is always lowest, and the rest above it.
        let last = |name: &str| ["(end)", OTHER].iter().rposition(|own| *own == name).unwrap_or(2);
        order.sort_by(|a, b| last(b.0).cmp(&last(a.0)).then(b.1.size().cmp(&a.1.size())).then(a.0.cmp(b.0)));
        let mut top = TOP;
        for (_, own) in order {
            own.top = top;
            own.bottom = top + ((own.size() as f64 * scale).round() as i32).max(2);
            // A small node keeps room for its name.
            top = (own.bottom + GAP).max(top + SMALL + 3);
        }
    }
    let names_wide = 130;
    let apart = (WIDTH as i32 - 2 * MARGIN - names_wide) / (columns.len() as i32 - 1).max(1);
    let x = |at: usize| MARGIN + at as i32 * apart;
    let mut ordered: Vec<&Band> = bands.iter().collect();
    ordered.sort_by_key(|((from_at, from), (to_at, to), _)| {
        (*from_at, columns[*from_at][from].top, columns[*to_at][to].top)
    });
    for ((from_at, from), (to_at, to), number) in ordered {
        let thick = *number as f64 * scale;
        let mut end = |at: usize, name: &str, side: usize| {
            let own = columns[at].get_mut(name);
            own.map_or(0.0, |own| {
                let place = f64::from(own.top) + own.taken[side];
                own.taken[side] += thick;
                place
            })
        };
        let (left, right) = (end(*from_at, from, 1), end(*to_at, to, 0));
        band(
            area,
            (x(*from_at) + WIDE, left),
            (x(*to_at), right),
            thick,
            if to == "(end)" { REST } else { color(from) },
        )?;
    }
    let last = columns.len();
    for (at, column) in columns.iter().enumerate() {
        for (name, own) in column {
            fill(area, (x(at), own.top), (x(at) + WIDE, own.bottom), color(name), 1.0)?;
            let room = if at + 1 == last { names_wide } else { apart - WIDE - 12 };
            let label = if adds_up { format!("{} {name}", count(own.size())) } else { name.clone() };
            let middle = i32::midpoint(own.top, own.bottom).max(own.top + SMALL / 2);
            write(area, &fit(&label, room as usize), (x(at) + WIDE + 5, middle), 12, look.ink, At::Left)?;
        }
    }
    Ok(())
}

/// From one node to the next, level where it leaves and where it arrives.
fn band(area: &Area<'_>, from: (i32, f64), to: (i32, f64), thick: f64, color: RGBColor) -> Result<()> {
    let (top, end) = (from.1.round() as i32, to.1.round() as i32);
    let thick = (thick.round() as i32).max(1);
    let down = end - top;
    // Corners stand on whole heights: of those that stand on whole widths one sees the steps.
    let steps = (down.abs() / 4).clamp(1, BAND_STEPS);
    let corner = |step: i32| {
        let risen = f64::from(step) / f64::from(steps);
        let across = 0.5 - ((1.0 - 2.0 * risen).asin() / 3.0).sin();
        let x = f64::from(to.0 - from.0).mul_add(across, f64::from(from.0));
        (x.round() as i32, top + (f64::from(down) * risen).round() as i32)
    };
    let upper = (0..=steps).map(corner);
    let lower = (0..=steps).rev().map(|step| (corner(step).0, corner(step).1 + thick));
    shape(area, upper.chain(lower).collect(), color, 0.32)
}
