//! A table of texts: headings underlined, no frame, numbers to the right.

use std::fmt;

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, TableComponent, presets};

use super::Style;

/// One shaded cell: the colours of its ground and its text, of the 256 of a terminal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shade {
    pub(crate) ground: u8,
    pub(crate) ink: u8,
}

/// A table of texts under headings.
pub(crate) struct Grid {
    style: Style,
    headings: Vec<String>,
    left: Vec<bool>,
    rows: Vec<Vec<(String, Option<Shade>)>>,
}

impl Grid {
    /// A table whose columns are set to the right where all cells are numbers.
    pub(crate) fn new(style: Style, headings: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let headings: Vec<String> = headings.into_iter().map(|heading| shown(heading.into())).collect();
        let left = vec![false; headings.len()];
        Self { style, headings, left, rows: Vec::new() }
    }

    /// Sets a column to the left whatever its cells are.
    pub(crate) fn left(mut self, column: usize) -> Self {
        if let Some(left) = self.left.get_mut(column) {
            *left = true;
        }
        self
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(|cell| (shown(cell.into()), None)).collect());
    }

    pub(crate) fn shaded_row(&mut self, cells: Vec<(String, Option<Shade>)>) {
        self.rows.push(cells.into_iter().map(|(text, shade)| (shown(text), shade)).collect());
    }

    fn is_right(&self, column: usize) -> bool {
        let mut cells = self.rows.iter().filter_map(|row| row.get(column)).map(|(text, _)| text.as_str()).peekable();
        !self.left.get(column).copied().unwrap_or(false) && cells.peek().is_some() && cells.all(is_number)
    }
}

/// Text from events, fit for a terminal: control characters are written as escapes and not obeyed.
pub(super) fn shown(text: String) -> String {
    if !text.chars().any(char::is_control) {
        return text;
    }
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// A number with its unit, or what stands for none.
fn is_number(text: &str) -> bool {
    let first = text.trim_start_matches(['-', '+']).chars().next();
    first.is_none_or(|c| c.is_ascii_digit()) && !looks_like_date(text)
}

fn looks_like_date(text: &str) -> bool {
    matches!(text.as_bytes(), [_, _, _, _, b'-', ..])
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.set_style(TableComponent::HeaderLines, '─');
        if self.style.color {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        table.set_header(self.headings.iter().map(|heading| Cell::new(heading).add_attribute(Attribute::Bold)));
        for row in &self.rows {
            table.add_row(row.iter().map(|(text, shade)| match shade {
                Some(shade) if self.style.color => {
                    Cell::new(text).bg(Color::AnsiValue(shade.ground)).fg(Color::AnsiValue(shade.ink))
                }
                _ => Cell::new(text),
            }));
        }
        for column in 0..self.headings.len() {
            if self.is_right(column)
                && let Some(column) = table.column_mut(column)
            {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for line in table.lines() {
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_set_to_the_right_and_dates_to_the_left() {
        let mut grid = Grid::new(Style::plain(), ["day", "count"]);
        grid.row(["2025-01-01", "5"]);
        grid.row(["2025-01-02", "1,200"]);
        assert_eq!(
            grid.to_string(),
            " day         count\n───────────────────\n 2025-01-01      5\n 2025-01-02  1,200\n"
        );
    }
}
