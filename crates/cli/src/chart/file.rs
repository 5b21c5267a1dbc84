//! The file of a chart: its form by its name, its colours by choice.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde_json::Value;

use super::flow::flow;
use super::funnel::funnel;
use super::html::page;
use super::lifecycle::lifecycle;
use super::png::png;
use super::retention::retention;
use super::sessions::sessions;
use super::stickiness::stickiness;
use super::theme::dark_style;
use super::trend::trend;
use crate::render::words::text;

/// On which ground a chart is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ChartTheme {
    /// As the reader has it; a PNG, which cannot know, is light.
    #[default]
    Auto,
    Light,
    Dark,
}

/// The forms of a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Svg,
    Png,
    Html,
}

/// A file that a chart is written to.
#[derive(Debug, Clone)]
pub(crate) struct ChartFile {
    path: PathBuf,
    form: Form,
    theme: ChartTheme,
}

impl ChartFile {
    /// At this path, whose ending says the form.
    ///
    /// # Errors
    /// If it ends in none of `.svg`, `.png` and `.html`.
    pub(crate) fn new(path: &Path, theme: ChartTheme) -> Result<Self> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        let form = match ending.as_str() {
            "svg" => Form::Svg,
            "png" => Form::Png,
            "html" | "htm" => Form::Html,
            _ => bail!("a chart is .svg, .png or .html, found {}", path.display()),
        };
        Ok(Self { path: path.to_owned(), form, theme })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes of the chart of an answer in the JSON form; `titles` are the headings of its breakdown.
    ///
    /// # Errors
    /// If the answer is of a kind that has no chart.
    pub(crate) fn bytes(&self, answer: &Value, titles: &[String]) -> Result<Vec<u8>> {
        let svg = svg(answer, titles, self.theme)?;
        Ok(match self.form {
            Form::Png => png(&svg)?,
            Form::Svg => self.styled(&svg).into_bytes(),
            Form::Html => page(&self.styled(&svg), text(&answer["kind"])).into_bytes(),
        })
    }

    /// The same with the colours of the dark beside those of the light, where the reader chooses.
    fn styled(&self, svg: &str) -> String {
        match (self.theme, svg.find('>')) {
            (ChartTheme::Auto, Some(end)) => {
                let (open, rest) = svg.split_at(end + 1);
                format!("{open}\n<style>{}</style>{rest}", dark_style())
            }
            _ => svg.to_owned(),
        }
    }
}

/// The chart of an answer as SVG.
fn svg(answer: &Value, titles: &[String], theme: ChartTheme) -> Result<String> {
    let look = theme.look();
    if answer["segments"].is_array() {
        bail!("a chart is of one segment: draw each by itself");
    }
    match text(&answer["kind"]) {
        "trend" => trend(answer, titles, look),
        "funnel" => funnel(answer, titles, look),
        "retention" => retention(answer, titles, look),
        "stickiness" => stickiness(answer, titles, look),
        "lifecycle" => lifecycle(answer, look),
        "paths" => flow(answer, look),
        "sessions" => sessions(answer, look),
        other => bail!("there is no chart of a {other}"),
    }
}
