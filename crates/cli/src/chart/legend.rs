//! What the colours stand for, in rows below a chart.

use anyhow::Result;
use plotters::style::RGBColor;

use super::canvas::{Area, At, MARGIN, SMALL, WIDTH, fill, fit, width_of, write};
use super::theme::Look;

/// The height of a row.
const ROW: i32 = 22;
/// The widest that a name is.
const NAME_MOST: usize = 260;

/// Names with their colours, placed.
pub(super) struct Legend {
    entries: Vec<(String, RGBColor, (i32, i32))>,
    rows: i32,
}

impl Legend {
    /// Of these, or nothing where there is but one.
    pub(super) fn of(names: impl IntoIterator<Item = (String, RGBColor)>) -> Self {
        let names: Vec<(String, RGBColor)> = names.into_iter().collect();
        let (mut entries, mut x, mut row) = (Vec::new(), 0, 0);
        let room = WIDTH as i32 - 2 * MARGIN;
        for (name, color) in if names.len() > 1 { names } else { Vec::new() } {
            let name = fit(&name, NAME_MOST);
            let width = width_of(&name, SMALL) + 38;
            if x > 0 && x + width > room {
                (x, row) = (0, row + 1);
            }
            entries.push((name, color, (x, row)));
            x += width;
        }
        let rows = if entries.is_empty() { 0 } else { row + 1 };
        Self { entries, rows }
    }

    /// The height that it takes.
    pub(super) fn height(&self) -> i32 {
        self.rows * ROW
    }

    /// Draws it from this height on.
    pub(super) fn draw(&self, area: &Area<'_>, top: i32, look: Look) -> Result<()> {
        for (name, color, (x, row)) in &self.entries {
            let (x, y) = (MARGIN + x, top + row * ROW + ROW / 2);
            fill(area, (x, y - 5), (x + 12, y + 5), *color, 1.0)?;
            write(area, name, (x + 18, y), SMALL, look.ink, At::Left)?;
        }
        Ok(())
    }
}
