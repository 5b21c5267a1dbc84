//! Formulas of a trend: what is written in parentheses first, then the last operator of the lowest rank.

use super::{Flip, Rules};

/// The value of a formula over one-letter series.
pub(crate) fn value(text: &str, series: &[Option<f64>], rules: Rules) -> Option<f64> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let found = part(&text, series, rules)?;
    found.is_finite().then_some(found)
}

fn part(text: &str, series: &[Option<f64>], rules: Rules) -> Option<f64> {
    let ranks: &[&[char]] =
        if rules.flip(Flip::FormulaFromLeft) { &[&['+', '-', '*', '/']] } else { &[&['+', '-'], &['*', '/']] };
    for operators in ranks {
        // Outside parentheses, and after a value: elsewhere it is a sign.
        let mut depth = 0;
        let mut last = None;
        for (at, c) in text.char_indices() {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            let follows_value = text[..at].ends_with(|c: char| c.is_alphanumeric() || c == ')');
            if depth == 0 && follows_value && operators.contains(&c) {
                last = Some(at);
            }
        }
        let Some(at) = last else { continue };
        let (left, right) = (part(&text[..at], series, rules)?, part(&text[at + 1..], series, rules)?);
        return match &text[at..=at] {
            "+" => Some(left + right),
            "-" => Some(left - right),
            "*" => Some(left * right),
            _ if right == 0.0 => rules.flip(Flip::DivisionByZeroIsZero).then_some(0.0),
            _ => Some(left / right),
        };
    }
    if let Some(rest) = text.strip_prefix('-') {
        return part(rest, series, rules).map(|value| -value);
    }
    if let Some(inner) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        return part(inner, series, rules);
    }
    match text.as_bytes() {
        [letter @ b'A'..=b'Z'] => series[usize::from(letter - b'A')],
        _ => Some(text.parse().expect("it is a number")),
    }
}
