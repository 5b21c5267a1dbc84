//! A line chart of braille dots, two by four in each character.

use super::bars::squeeze;
use super::words::count;

const BLANK: u32 = 0x2800;
/// The bits of the dots of one character: by column, from the top down.
const DOTS: [[u32; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// Draws `values` as a line over `height` rows, the scale at the left, the first and last label below.
pub(crate) fn line_chart(values: &[f64], labels: (&str, &str), width: usize, height: usize) -> String {
    let most = values.iter().copied().fold(0.0, f64::max);
    let scale = count(most.ceil() as u64);
    let columns = width.saturating_sub(scale.len() + 4).max(10);
    let points = squeeze(values, columns * 2);
    let dots_high = height * 4;
    let level = |value: f64| {
        let share = if most > 0.0 { value / most } else { 0.0 };
        dots_high - 1 - (share * (dots_high - 1) as f64).round() as usize
    };
    let stretch = (columns * 2) as f64 / points.len().max(1) as f64;
    let mut cells = vec![vec![BLANK; columns]; height];
    let mut previous: Option<usize> = None;
    for x in 0..columns * 2 {
        let place = ((x as f64 / stretch) as usize).min(points.len().saturating_sub(1));
        let Some(value) = points.get(place) else { break };
        let y = level(*value);
        let from = previous.unwrap_or(y);
        for dot in y.min(from)..=y.max(from) {
            cells[dot / 4][x / 2] |= DOTS[x % 2][dot % 4];
        }
        previous = Some(y);
    }
    let mut out = String::new();
    for (row, line) in cells.iter().enumerate() {
        let mark = match row {
            0 => scale.as_str(),
            _ if row + 1 == height => "0",
            _ => "",
        };
        let dots: String = line.iter().filter_map(|cell| char::from_u32(*cell)).collect();
        out.push_str(&format!(" {mark:>margin$} ┤{dots}\n", margin = scale.len()));
    }
    let (first, last) = labels;
    let gap = columns.saturating_sub(first.len() + last.len());
    out.push_str(&format!(" {:>margin$}  {first}{}{last}\n", "", " ".repeat(gap), margin = scale.len()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rising_line_runs_from_the_lower_left_to_the_upper_right() {
        let values: Vec<f64> = (0..40).map(f64::from).collect();
        let chart = line_chart(&values, ("a", "z"), 26, 4);
        let lines: Vec<&str> = chart.lines().collect();
        assert_eq!(lines.len(), 5);
        assert!(lines[0].starts_with(" 39 ┤⠀"), "{chart}");
        assert!(!lines[0].ends_with('⠀'), "{chart}");
        assert!(lines[3].starts_with("  0 ┤") && lines[3].ends_with('⠀'), "{chart}");
        assert_eq!(lines[4].trim(), format!("a{}z", " ".repeat(18)));
    }
}
