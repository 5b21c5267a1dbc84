//! Charts of answers: drawn once as SVG, which is then the file, or within a page, or turned into dots.
//!
//! Each kind of chart takes the JSON form of an answer, as [`render`](crate::render) does.

mod axis;
mod canvas;
mod file;
mod flow;
mod frame;
mod funnel;
mod html;
mod legend;
mod lifecycle;
mod option;
mod png;
mod retention;
mod sessions;
mod stickiness;
#[cfg(test)]
mod tests;
mod theme;
mod trend;

pub(crate) use file::ChartFile;
pub(crate) use option::Charting;
