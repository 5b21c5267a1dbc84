//! Retention: a row for each cohort, its cells shaded by how many came back.

use anyhow::Result;
use plotters::element::Rectangle;
use plotters::style::Color;
use serde_json::Value;

use super::axis::short;
use super::canvas::{Area, At, MARGIN, SMALL, TOP, WIDTH, drawn, fill, fit, write};
use super::frame::nothing;
use super::theme::{Look, SERIES};
use crate::render::words::{cell_number, count, group, items, text};

const LEFT: i32 = MARGIN + 200;
const ROW: i32 = 24;
/// More groups than this are not drawn.
const GROUPS_MOST: usize = 6;
/// The narrowest cell, and how many of them have room.
const CELL_LEAST: i32 = 2;
const PERIODS_MOST: usize = ((WIDTH as i32 - MARGIN - LEFT) / CELL_LEAST) as usize;
/// A cell that is narrower has no number in it.
const NUMBER_LEAST: i32 = 38;
/// The deepest shade: the text on it is still read.
const DEEPEST: f64 = 0.72;
const PALEST: f64 = 0.05;

pub(super) fn retention(answer: &Value, titles: &[String], look: Look) -> Result<String> {
    let every = items(&answer["periods"]);
    let periods = &every[..every.len().min(PERIODS_MOST)];
    let all = items(&answer["groups"]);
    let groups = &all[..all.len().min(GROUPS_MOST)];
    let is_measured = answer["measure"].as_str().is_some_and(|measure| measure != "units");
    let height = |part: &Value| (items(&part["rows"]).len() as i32 + 3) * ROW;
    let bottom = TOP + groups.iter().map(height).sum::<i32>().max(60);
    let mut title = "Retention".to_owned();
    for (shown, of, what) in [(groups.len(), all.len(), "groups"), (periods.len(), every.len(), "periods")] {
        if shown < of {
            title.push_str(&format!(", {shown} of {of} {what}"));
        }
    }
    drawn(bottom + 24, &title, answer, look, |area| {
        if groups.iter().all(|part| items(&part["rows"]).is_empty()) || periods.is_empty() {
            return nothing(area, bottom, look);
        }
        let mut top = TOP;
        for part in groups {
            let name = group(&part["breakdown"], titles.len()).join(" · ");
            write(area, &fit(&name, 150), (MARGIN, top + ROW / 2), SMALL, look.ink, At::Left)?;
            triangle(area, part, periods, is_measured, top, look)?;
            top += height(part);
        }
        let is_open = |row: &Value| items(&row["complete"]).iter().any(|complete| complete == false);
        if !groups.iter().any(|part| items(&part["rows"]).iter().any(is_open)) {
            return Ok(());
        }
        write(area, "framed: the period has not ended", (MARGIN, bottom + 8), SMALL, look.muted, At::Left)
    })
}

fn triangle(area: &Area<'_>, part: &Value, periods: &[Value], is_measured: bool, top: i32, look: Look) -> Result<()> {
    let rows = items(&part["rows"]);
    let wide = (WIDTH as i32 - MARGIN - LEFT) / periods.len() as i32;
    let wide = wide.clamp(CELL_LEAST, 90);
    // Period 0 is everybody unless asked otherwise, and would leave the others pale.
    let first = periods.iter().position(|period| is_measured || text(period) != "0").unwrap_or(0);
    let numbers = |row| (first..periods.len()).filter_map(move |period| cell_number(row, period, is_measured));
    let most = rows.iter().flat_map(numbers).fold(0.0, f64::max);
    let shown = |number: f64| if is_measured { short(number) } else { format!("{:.0} %", number * 100.0) };
    let every = (NUMBER_LEAST / wide + 1).max(1) as usize;
    for (period, label) in periods.iter().enumerate().step_by(if wide >= NUMBER_LEAST { 1 } else { every }) {
        let middle = LEFT + period as i32 * wide + wide / 2;
        write(area, text(label), (middle, top + ROW / 2), SMALL, look.muted, At::Middle)?;
    }
    write(area, "size", (LEFT - 14, top + ROW / 2), SMALL, look.muted, At::Right)?;
    for (place, row) in rows.iter().enumerate() {
        let y = top + (place as i32 + 1) * ROW;
        write(area, text(&row["cohort"]), (MARGIN, y + ROW / 2), SMALL, look.ink, At::Left)?;
        let size = count(row["size"].as_u64().unwrap_or(0));
        write(area, &size, (LEFT - 14, y + ROW / 2), SMALL, look.muted, At::Right)?;
        for period in 0..items(&row["values"]).len().min(periods.len()) {
            let Some(number) = cell_number(row, period, is_measured) else { continue };
            let x = LEFT + period as i32 * wide;
            cell(area, (x, y), wide, number / most.max(f64::MIN_POSITIVE))?;
            if row["complete"].get(period).and_then(Value::as_bool) == Some(false) {
                let frame = [(x + 2, y + 2), (x + wide - 3, y + ROW - 3)];
                area.draw(&Rectangle::new(frame, look.muted.stroke_width(1)))?;
            }
            if wide >= NUMBER_LEAST {
                write(area, &shown(number), (x + wide / 2, y + ROW / 2), 12, look.ink, At::Middle)?;
            }
        }
    }
    let y = top + (rows.len() as i32 + 1) * ROW;
    write(area, "weighted average", (MARGIN, y + ROW / 2), SMALL, look.muted, At::Left)?;
    for (period, number) in items(&part["average"]["weighted"]).iter().enumerate().take(periods.len()) {
        let Some(number) = number.as_f64() else { continue };
        let x = LEFT + period as i32 * wide;
        cell(area, (x, y), wide, number / most.max(f64::MIN_POSITIVE))?;
        if wide >= NUMBER_LEAST {
            write(area, &shown(number), (x + wide / 2, y + ROW / 2), 12, look.ink, At::Middle)?;
        }
    }
    Ok(())
}

/// The ground of a cell, the deeper the greater its share of the most.
fn cell(area: &Area<'_>, (x, y): (i32, i32), wide: i32, share: f64) -> Result<()> {
    let depth = (DEEPEST - PALEST).mul_add(share.clamp(0.0, 1.0), PALEST);
    fill(area, (x + 1, y + 1), (x + wide - 1, y + ROW - 1), SERIES[0], depth)
}
