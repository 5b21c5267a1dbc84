//! Numbers along an axis.

/// A number in few characters: 1,200,000 is 1.2 M.
pub(super) fn short(number: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")];
    let size = number.abs();
    if size >= 1e15 {
        return format!("{number:.1e}");
    }
    let (scaled, unit) = match UNITS.iter().find(|(least, _)| size >= *least) {
        Some((least, unit)) => (number / least, *unit),
        None => (number, ""),
    };
    let digits = match scaled.abs() {
        large if large >= 100.0 => 0,
        middle if middle >= 10.0 => 1,
        small if small >= 1.0 => 2,
        _ => 4,
    };
    let text = format!("{scaled:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    let text = if text == "-0" { "0" } else { text };
    format!("{text}{unit}")
}

/// The ends of an axis that shows all of these and zero, with a little room.
pub(super) fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .filter(|value| value.is_finite())
        .fold((0.0, 0.0), |(low, high): (f64, f64), value| (low.min(value), high.max(value)));
    if low == 0.0 && high == 0.0 { (0.0, 1.0) } else { (low * 1.06, high * 1.06) }
}
