//! A lifecycle: who is there, stacked above zero, and who stayed away below it.

use anyhow::Result;
use plotters::element::Rectangle;
use plotters::style::{Color, RGBColor};
use serde_json::Value;

use super::axis::ends;
use super::canvas::drawn;
use super::frame::{BOTTOM, frame, nothing};
use super::legend::Legend;
use super::theme::{Look, REST, SERIES};
use crate::render::words::{items, text};

pub(super) fn lifecycle(answer: &Value, look: Look) -> Result<String> {
    let states: [(&str, RGBColor); 4] =
        [("returning", SERIES[0]), ("new", SERIES[2]), ("resurrecting", SERIES[1]), ("dormant", REST)];
    let labels: Vec<String> = items(&answer["buckets"]).iter().map(|label| text(label).to_owned()).collect();
    let of = |state: &str, place: usize| answer[state][place].as_f64().unwrap_or(0.0);
    // From where to where each state is drawn in a bucket, upwards and downwards.
    let mut parts: Vec<(usize, f64, f64, RGBColor)> = Vec::new();
    for place in 0..labels.len() {
        let mut from = 0.0;
        for (state, color) in &states[..3] {
            parts.push((place, from, from + of(state, place), *color));
            from += of(state, place);
        }
        parts.push((place, 0.0, -of("dormant", place), states[3].1));
    }
    let legend = Legend::of(states.map(|(name, color)| (name.to_owned(), color)));
    drawn(BOTTOM + legend.height() + 20, "Lifecycle", answer, look, |area| {
        let mut plot = frame(area, &labels, ends(parts.iter().map(|(_, _, to, _)| *to)), look)?;
        if labels.is_empty() {
            nothing(area, BOTTOM, look)?;
        }
        let drawn = parts.iter().filter(|(_, from, to, _)| (from - to).abs() > 0.0).map(|(place, from, to, color)| {
            let place = *place as f64;
            Rectangle::new([(place - 0.4, *from), (place + 0.4, *to)], color.filled())
        });
        plot.draw_series(drawn)?;
        legend.draw(area, BOTTOM + 6, look)
    })
}
