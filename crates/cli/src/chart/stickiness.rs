//! Stickiness: a bar for each number of buckets; a line for each of several groups.

use anyhow::Result;
use plotters::element::Rectangle;
use plotters::style::Color;
use serde_json::Value;

use super::axis::ends;
use super::canvas::drawn;
use super::frame::{BOTTOM, frame, nothing};
use super::theme::{Look, series};
use super::trend::{Line, lines_chart};
use crate::render::words::{group, items};

pub(super) fn stickiness(answer: &Value, titles: &[String], look: Look) -> Result<String> {
    const TITLE: &str = "People by how many buckets they were active in";
    let labels: Vec<String> = items(&answer["intervals"]).iter().map(Value::to_string).collect();
    let numbers = |part: &Value| items(&part["values"]).iter().map(Value::as_f64).collect::<Vec<_>>();
    let groups = items(&answer["groups"]);
    let [one] = groups else {
        let line = |(place, part): (usize, &Value)| Line {
            name: group(&part["breakdown"], titles.len()).join(" · "),
            values: numbers(part),
            color: series(place),
            is_past: false,
        };
        let lines: Vec<Line> = groups.iter().enumerate().map(line).collect();
        return lines_chart(answer, TITLE, &labels, &lines, look);
    };
    bars_chart(answer, TITLE, &labels, &numbers(one), look)
}

/// A bar over each label.
pub(super) fn bars_chart(
    answer: &Value,
    title: &str,
    labels: &[String],
    values: &[Option<f64>],
    look: Look,
) -> Result<String> {
    drawn(BOTTOM + 20, title, answer, look, |area| {
        let mut plot = frame(area, labels, ends(values.iter().flatten().copied()), look)?;
        if values.is_empty() {
            nothing(area, BOTTOM, look)?;
        }
        let bars = values.iter().enumerate().filter_map(|(place, value)| {
            let place = place as f64;
            Some(Rectangle::new([(place - 0.38, 0.0), (place + 0.38, (*value)?)], series(0).filled()))
        });
        plot.draw_series(bars)?;
        Ok(())
    })
}
