//! Aligned plain tables for people, and numbers as people read them.

use std::fmt;

const GAP: &str = "  ";

/// A table of texts under headings; columns of numbers are set to the right.
#[derive(Debug)]
pub(crate) struct Listing {
    headings: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Listing {
    pub(crate) fn new(headings: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { headings: headings.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }
}

/// A number, with or without a unit behind it, or the dash that stands for none.
fn is_numeric(cell: &str) -> bool {
    let number = cell.split(' ').next().unwrap_or(cell);
    matches!(number, "" | "-") || (!number.ends_with('.') && number.parse::<f64>().is_ok())
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<(usize, bool)> = (0..self.headings.len())
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                let widest = cells.clone().map(|cell| cell.chars().count()).max().unwrap_or(0);
                let heading = self.headings.get(column).map_or(0, |heading| heading.chars().count());
                (widest.max(heading), column > 0 && cells.clone().all(|cell| is_numeric(cell)))
            })
            .collect();
        for row in std::iter::once(&self.headings).chain(&self.rows) {
            let mut line = String::new();
            for (cell, (width, right)) in row.iter().zip(&columns) {
                let padding = " ".repeat(width - cell.chars().count());
                let parts = if *right { [padding.as_str(), cell] } else { [cell, padding.as_str()] };
                line.extend(parts);
                line.push_str(GAP);
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A share as a percentage with one decimal; a dash where there is none.
pub(crate) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

/// Seconds in the largest unit that keeps them at 1 or above; a dash where there are none.
pub(crate) fn human_seconds(seconds: Option<f64>) -> String {
    const UNITS: [(f64, &str); 4] = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s")];
    let Some(seconds) = seconds else { return "-".to_owned() };
    match UNITS.iter().find(|(size, _)| seconds >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", seconds / size),
        None => format!("{seconds:.1} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_set_to_the_right_and_texts_to_the_left() {
        let mut listing = Listing::new(["step", "count"]);
        listing.row(vec!["view".into(), "12".into()]);
        listing.row(vec!["purchase".into(), "3".into()]);
        assert_eq!(listing.to_string(), "step      count\nview         12\npurchase      3\n");
    }

    #[test]
    fn seconds_are_read_in_their_largest_unit() {
        assert_eq!(human_seconds(Some(90.0)), "1.5 min");
        assert_eq!(human_seconds(Some(172_800.0)), "2.0 d");
        assert_eq!(human_seconds(None), "-");
    }
}
