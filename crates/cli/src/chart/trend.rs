//! A trend: a line for each series, broken where there is no value.

use anyhow::Result;
use plotters::element::{Circle, PathElement};
use plotters::style::{Color, RGBColor};
use serde_json::Value;

use super::axis::ends;
use super::canvas::drawn;
use super::frame::{BOTTOM, Plot, frame, nothing};
use super::legend::Legend;
use super::theme::{Look, REST, series};
use crate::render::words::{count, group, items, series_name, text};

/// Lines of more points than this have no dots.
const DOTS_MOST: usize = 45;

/// A line: its values by label.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) values: Vec<Option<f64>>,
    pub(super) color: RGBColor,
    /// Of an earlier range.
    pub(super) is_past: bool,
}

impl Line {
    /// Its colour where it is named: that of an earlier range is paler, on either ground.
    fn swatch(&self) -> RGBColor {
        let pale = |part: u8| ((u16::from(part) * 2 + 3 * 160) / 5) as u8;
        match (self.is_past, self.color) {
            (true, RGBColor(red, green, blue)) => RGBColor(pale(red), pale(green), pale(blue)),
            (false, color) => color,
        }
    }
}

pub(super) fn trend(answer: &Value, titles: &[String], look: Look) -> Result<String> {
    let all = items(&answer["series"]);
    if all.iter().any(|one| one.get("frequency").is_some()) {
        return frequencies(answer, all, titles, look);
    }
    let labels: Vec<String> = items(&answer["buckets"]).iter().map(|label| text(label).to_owned()).collect();
    // What all are called is said once.
    let shared =
        all.first().map(|one| &one["name"]).filter(|name| all.len() > 1 && all.iter().all(|one| one["name"] == **name));
    let name = |one: &Value| match shared {
        Some(_) => group(&one["breakdown"], titles.len()).join(" · "),
        None => series_name(one, titles),
    };
    let earlier = &answer["compare"]["range"];
    let date = |end: &str| text(&earlier[end]).chars().take(10).collect::<String>();
    let before = format!(", {} to {}", date("from"), date("to"));
    let line = |place: usize, one: &Value, is_past: bool| Line {
        name: format!("{}{}", name(one), if is_past { before.as_str() } else { "" }),
        values: items(&one["values"]).iter().map(Value::as_f64).collect(),
        color: series(place),
        is_past,
    };
    let mut lines: Vec<Line> = all.iter().enumerate().map(|(place, one)| line(place, one, false)).collect();
    lines.extend(items(&answer["compare"]["series"]).iter().enumerate().map(|(place, one)| line(place, one, true)));
    let title = match (all, shared) {
        ([one], _) => series_name(one, titles),
        (_, Some(name)) => text(name).to_owned(),
        _ => "Trend".to_owned(),
    };
    lines_chart(answer, &title, &labels, &lines, look)
}

/// How many people did it how often.
fn frequencies(answer: &Value, all: &[Value], titles: &[String], look: Look) -> Result<String> {
    let times = all.iter().flat_map(|one| items(&one["frequency"]["times"])).filter_map(Value::as_u64);
    let mut times: Vec<u64> = times.collect();
    times.sort_unstable();
    times.dedup();
    let line = |(place, one): (usize, &Value)| {
        let own = items(&one["frequency"]["times"]).iter().zip(items(&one["frequency"]["people"]));
        let of = |wanted: &u64| own.clone().find(|(times, _)| times.as_u64() == Some(*wanted));
        let values = times.iter().map(|wanted| Some(of(wanted).and_then(|(_, people)| people.as_f64()).unwrap_or(0.0)));
        Line { name: series_name(one, titles), values: values.collect(), color: series(place), is_past: false }
    };
    let lines: Vec<Line> = all.iter().enumerate().map(line).collect();
    let labels: Vec<String> = times.iter().map(|times| count(*times)).collect();
    lines_chart(answer, "People by how often they did it", &labels, &lines, look)
}

/// Lines over labels, with a legend.
pub(super) fn lines_chart(
    answer: &Value,
    title: &str,
    labels: &[String],
    lines: &[Line],
    look: Look,
) -> Result<String> {
    // Lines past the last colour are one entry.
    let (named, rest): (Vec<&Line>, Vec<&Line>) = lines.iter().partition(|line| line.color != REST);
    let mut names: Vec<(String, RGBColor)> = named.iter().map(|line| (line.name.clone(), line.swatch())).collect();
    names.extend((!rest.is_empty()).then(|| (format!("{} more", rest.len()), REST)));
    let legend = Legend::of(names);
    let height = BOTTOM + legend.height() + 20;
    drawn(height, title, answer, look, |area| {
        let values = || lines.iter().flat_map(|line| line.values.iter().flatten().copied());
        let mut plot = frame(area, labels, ends(values()), look)?;
        if values().next().is_none() {
            nothing(area, BOTTOM, look)?;
        }
        // The first are drawn last, over the others.
        for line in rest.iter().rev().chain(named.iter().rev()) {
            draw_line(&mut plot, line)?;
        }
        legend.draw(area, BOTTOM + 6, look)
    })
}

fn draw_line(plot: &mut Plot<'_>, line: &Line) -> Result<()> {
    let opacity = if line.is_past { 0.4 } else { 1.0 };
    let ink = line.color.mix(opacity);
    let points: Vec<Option<(f64, f64)>> = line
        .values
        .iter()
        .enumerate()
        .map(|(place, value)| Some((place as f64, value.filter(|value| value.is_finite())?)))
        .collect();
    let dots = points.len() <= DOTS_MOST;
    for stretch in points.split(Option::is_none) {
        let stretch: Vec<(f64, f64)> = stretch.iter().flatten().copied().collect();
        // One point alone is no line.
        if dots || stretch.len() == 1 {
            let size = if points.len() == 1 { 5 } else { 3 };
            plot.draw_series(stretch.iter().map(|point| Circle::new(*point, size, ink.filled())))?;
        }
        plot.draw_series(std::iter::once(PathElement::new(stretch, ink.stroke_width(2))))?;
    }
    Ok(())
}
