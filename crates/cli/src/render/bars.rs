//! Bars and sparklines of block characters.

const EIGHTHS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A bar of up to `width` characters for `value` out of `most`; anything above 0 shows.
pub(crate) fn bar(value: f64, most: f64, width: usize) -> String {
    if most <= 0.0 || value <= 0.0 {
        return String::new();
    }
    let eighths = ((value / most).min(1.0) * width as f64 * 8.0).round().max(1.0) as usize;
    let mut out: String = std::iter::repeat_n('█', eighths / 8).collect();
    if let Some(part) = (eighths % 8).checked_sub(1) {
        out.push(EIGHTHS[part]);
    }
    out
}

/// A line of blocks, one for each value, or for the largest of neighbours where there are more than `width`.
pub(crate) fn sparkline(values: &[f64], width: usize) -> String {
    let most = values.iter().copied().fold(0.0, f64::max);
    squeeze(values, width)
        .into_iter()
        .map(|value| {
            let height = if most > 0.0 { (value / most * 7.0).round() as usize } else { 0 };
            HEIGHTS[height.min(7)]
        })
        .collect()
}

/// At most `width` values: the largest of each run of neighbours.
pub(crate) fn squeeze(values: &[f64], width: usize) -> Vec<f64> {
    if values.len() <= width || width == 0 {
        return values.to_vec();
    }
    (0..width)
        .map(|place| {
            let (from, to) = (place * values.len() / width, (place + 1) * values.len() / width);
            values[from..to].iter().copied().fold(0.0, f64::max)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        assert_eq!(bar(10.0, 10.0, 4), "████");
        assert_eq!(bar(5.0, 10.0, 4), "██");
        assert_eq!(bar(0.001, 10.0, 4), "▏");
        assert_eq!(bar(0.0, 10.0, 4), "");
        assert_eq!(bar(0.0, 0.0, 4), "");
    }

    #[test]
    fn a_sparkline_keeps_the_peaks_when_it_is_squeezed() {
        assert_eq!(sparkline(&[0.0, 7.0, 14.0], 10), "▁▅█");
        assert_eq!(sparkline(&[0.0, 9.0, 0.0, 0.0], 2), "█▁");
    }
}
