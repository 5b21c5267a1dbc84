//! Axes: labels below, numbers to the left.

use anyhow::Result;
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{Cartesian2d, SVGBackend};
use plotters::style::{Color, IntoFont};

use super::axis::short;
use super::canvas::{Area, At, MARGIN, SMALL, TOP, WIDTH, fit, width_of, write};
use super::theme::Look;

pub(super) type Plot<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// The height of a plot.
pub(super) const PLOT: i32 = 340;
/// The height of the labels below it.
pub(super) const LABELS: i32 = 34;
/// Where a plot ends.
pub(super) const BOTTOM: i32 = TOP + PLOT + LABELS;
const NUMBERS: i32 = 64;

/// Axes over these labels, each in the middle of its place, and between these numbers.
pub(super) fn frame<'a>(area: &Area<'a>, labels: &[String], (low, high): (f64, f64), look: Look) -> Result<Plot<'a>> {
    let own = area.clone().shrink((MARGIN, TOP), (WIDTH - 2 * MARGIN as u32, (PLOT + LABELS) as u32));
    let places = labels.len().max(1) as f64;
    let mut plot = ChartBuilder::on(&own)
        .x_label_area_size(LABELS)
        .y_label_area_size(NUMBERS)
        .build_cartesian_2d(-0.5..places - 0.5, low..high)?;
    plot.configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .x_labels(0)
        .y_labels(6)
        .y_label_formatter(&|number| short(*number))
        .bold_line_style(look.grid.stroke_width(1))
        .light_line_style(look.grid.mix(0.0))
        .axis_style(look.grid.stroke_width(1))
        .label_style(("sans-serif", SMALL).into_font().color(&look.muted))
        .draw()?;
    let at = |place: usize| plot.backend_coord(&(place as f64, low));
    // As many labels as have room, the first and then every so many.
    let widest = labels.iter().map(|label| width_of(label, SMALL)).max().unwrap_or(0).clamp(20, 140);
    let room = (WIDTH as i32 - 2 * MARGIN - NUMBERS) / (widest + 14);
    let every = labels.len().div_ceil(room.max(1) as usize).max(1);
    for (place, label) in labels.iter().enumerate().step_by(every) {
        let (x, y) = at(place);
        // The outermost stay within the picture.
        let half = width_of(label, SMALL).min(140) / 2;
        let x = x.min(WIDTH as i32 - 4 - half);
        write(area, &fit(label, 140), (x, y + 16), SMALL, look.muted, At::Middle)?;
    }
    Ok(plot)
}

/// Says that there is nothing to draw.
pub(super) fn nothing(area: &Area<'_>, height: i32, look: Look) -> Result<()> {
    write(area, "no data", (WIDTH as i32 / 2, (TOP + height) / 2), 16, look.muted, At::Middle)
}
