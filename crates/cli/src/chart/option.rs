//! The options of a chart.

use std::path::PathBuf;

use super::file::{ChartFile, ChartTheme};
use crate::failure::{Failure, Result};
use crate::output::outside_of_stores;

/// Where a chart of the answer goes, if anywhere.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Charting {
    /// Draw the answer into a file besides: .svg, .png, or .html for a page of one file
    #[arg(long, value_name = "FILE", help_heading = "Answer")]
    chart: Option<PathBuf>,
    /// On which ground it is drawn; auto is as the reader has it, and light in a .png
    #[arg(long, value_enum, value_name = "GROUND", default_value = "auto", help_heading = "Answer")]
    chart_theme: ChartTheme,
}

impl Charting {
    /// The file to draw into.
    ///
    /// # Errors
    /// If its ending names no form of charts, or it lies inside a store.
    pub(crate) fn file(&self) -> Result<Option<ChartFile>> {
        let Some(path) = &self.chart else { return Ok(None) };
        outside_of_stores(path)?;
        let file = ChartFile::new(path, self.chart_theme).map_err(|error| Failure::Usage(error.to_string()))?;
        Ok(Some(file))
    }
}
