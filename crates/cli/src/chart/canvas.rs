//! What is drawn on, and texts that fit.

use anyhow::Result;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Polygon, Rectangle, Text};
use plotters::prelude::SVGBackend;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoFont, RGBColor};

use super::theme::Look;
use crate::render::words::range;
use serde_json::Value;

/// The width of every chart, in pixels.
pub(super) const WIDTH: u32 = 960;
/// The free room on each side.
pub(super) const MARGIN: i32 = 24;
/// Where a chart begins below its title.
pub(super) const TOP: i32 = 76;
/// The size of most texts.
pub(super) const SMALL: i32 = 13;

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Where a text stands about its place.
#[derive(Debug, Clone, Copy)]
pub(super) enum At {
    Left,
    Middle,
    Right,
}

/// A chart of this height with its title, as SVG.
pub(super) fn drawn(
    height: i32,
    title: &str,
    answer: &Value,
    look: Look,
    draw: impl FnOnce(&Area<'_>) -> Result<()>,
) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height.unsigned_abs())).into_drawing_area();
        area.fill(&look.ground)?;
        write(&area, title, (MARGIN, 26), 19, look.ink, At::Left)?;
        write(&area, &range(answer), (MARGIN, 50), SMALL, look.muted, At::Left)?;
        draw(&area)?;
        area.present()?;
    }
    Ok(svg)
}

/// Writes a text; its place is in the middle of its height.
pub(super) fn write(area: &Area<'_>, text: &str, place: (i32, i32), size: i32, color: RGBColor, at: At) -> Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let across = match at {
        At::Left => HPos::Left,
        At::Middle => HPos::Center,
        At::Right => HPos::Right,
    };
    let style = ("sans-serif", f64::from(size)).into_font().color(&color).pos(Pos::new(across, VPos::Center));
    Ok(area.draw(&Text::new(fit(text, usize::MAX), place, style))?)
}

/// A filled rectangle, at least a pixel wide and high.
pub(super) fn fill(area: &Area<'_>, from: (i32, i32), to: (i32, i32), color: RGBColor, opacity: f64) -> Result<()> {
    let to = (to.0.max(from.0 + 1), to.1.max(from.1 + 1));
    Ok(area.draw(&Rectangle::new([from, to], color.mix(opacity).filled()))?)
}

/// A filled shape.
pub(super) fn shape(area: &Area<'_>, corners: Vec<(i32, i32)>, color: RGBColor, opacity: f64) -> Result<()> {
    Ok(area.draw(&Polygon::new(corners, color.mix(opacity).filled()))?)
}

/// How wide a text is, nearly: fonts differ.
pub(super) fn width_of(text: &str, size: i32) -> i32 {
    (text.chars().map(breadth).sum::<f64>() * f64::from(size)).ceil() as i32
}

/// The width of a character in heights of the font.
fn breadth(character: char) -> f64 {
    match character {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' => 0.34,
        'm' | 'w' | 'M' | 'W' | '%' | '@' | '…' => 0.92,
        // Ideographs and what is drawn as wide.
        wide if wide as u32 >= 0x1100 => 1.0,
        capital if capital.is_uppercase() => 0.7,
        _ => 0.58,
    }
}

/// A text cut to this many pixels of most texts' size, and without what no picture can show.
pub(super) fn fit(text: &str, room: usize) -> String {
    let shown: String = text.chars().map(|c| if is_shown(c) { c } else { '\u{FFFD}' }).collect();
    let room = i32::try_from(room).unwrap_or(i32::MAX);
    if width_of(&shown, SMALL) <= room {
        return shown;
    }
    let mut cut = String::new();
    for character in shown.chars() {
        cut.push(character);
        if width_of(&cut, SMALL) + SMALL > room {
            cut.pop();
            break;
        }
    }
    format!("{}…", cut.trim_end())
}

/// XML has no way to write control characters and what is no character.
fn is_shown(character: char) -> bool {
    !character.is_control() && !matches!(character, '\u{FFFE}' | '\u{FFFF}')
}
