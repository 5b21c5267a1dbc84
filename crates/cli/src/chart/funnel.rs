//! A funnel: a bar for each step as long as the share that got there; with a breakdown one for each value.

use anyhow::Result;
use serde_json::Value;

use super::canvas::{Area, At, MARGIN, SMALL, TOP, WIDTH, drawn, fill, fit, write};
use super::frame::nothing;
use super::legend::Legend;
use super::theme::{Look, SERIES, series};
use crate::render::words::{count, group, items, percent, text};

/// Where bars begin, and where their numbers do.
const LEFT: i32 = MARGIN + 190;
const RIGHT: i32 = WIDTH as i32 - MARGIN - 150;

pub(super) fn funnel(answer: &Value, titles: &[String], look: Look) -> Result<String> {
    let all = items(&answer["groups"]);
    let groups = &all[..all.len().min(SERIES.len())];
    let steps = groups.first().map_or(&[][..], |one| items(&one["steps"]));
    let bar = if groups.len() == 1 { 34 } else { 16 };
    let step_height = bar * groups.len() as i32 + 26;
    let bottom = TOP + (step_height * steps.len() as i32).max(60);
    let name = |one: &Value| group(&one["breakdown"], titles.len()).join(" · ");
    let legend = Legend::of(groups.iter().enumerate().map(|(place, one)| (name(one), series(place))));
    let title = match all.len() - groups.len() {
        0 => "Funnel".to_owned(),
        rest => format!("Funnel, {} of {} groups", groups.len(), groups.len() + rest),
    };
    drawn(bottom + legend.height() + 16, &title, answer, look, |area| {
        if steps.is_empty() {
            nothing(area, bottom, look)?;
        }
        for (place, step) in steps.iter().enumerate() {
            let top = TOP + place as i32 * step_height;
            let middle = top + (step_height - 16) / 2;
            let label = format!("{}. {}", place + 1, text(&step["name"]));
            write(area, &fit(&label, (LEFT - MARGIN - 12) as usize), (MARGIN, middle), SMALL, look.ink, At::Left)?;
            for (of, one) in groups.iter().enumerate() {
                let own = top + 5 + of as i32 * bar;
                step_bar(area, &one["steps"][place], (own, own + bar - 3), series(of), look)?;
            }
        }
        legend.draw(area, bottom, look)
    })
}

fn step_bar(
    area: &Area<'_>,
    step: &Value,
    (top, bottom): (i32, i32),
    color: plotters::style::RGBColor,
    look: Look,
) -> Result<()> {
    let share = step["from_first"].as_f64();
    let long = (f64::from(RIGHT - LEFT) * share.unwrap_or(0.0).clamp(0.0, 1.0)).round() as i32;
    fill(area, (LEFT, top), (RIGHT, bottom), color, 0.13)?;
    if long > 0 {
        fill(area, (LEFT, top), (LEFT + long, bottom), color, 1.0)?;
    }
    let numbers = format!("{} · {}", count(step["count"].as_u64().unwrap_or(0)), percent(share));
    write(area, &numbers, (RIGHT + 10, i32::midpoint(top, bottom)), SMALL, look.ink, At::Left)
}
