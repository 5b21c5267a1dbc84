//! Journeys: the rows of a page, and one more.

use datafusion::arrow::array::RecordBatch;

use super::super::journey::{events_of, name};
use super::super::lowering::Begun;
use super::super::run::Asked;
use crate::engine::Engine;
use crate::error::Result;
use crate::journey::{Journey, JourneyResult, Page};
use crate::table::EventsTable;

impl Engine {
    pub(super) fn journey_plan(&self, asked: &Asked<'_>, journey: &Journey) -> Result<Begun> {
        self.page_of(asked, journey, EventsTable::new(asked.snapshot.clone()))
    }
}

pub(super) fn answer(
    asked: &Asked<'_>,
    journey: &Journey,
    rows: &[RecordBatch],
    warnings: Vec<String>,
) -> Result<JourneyResult> {
    let page = Page::of(journey, events_of(asked.snapshot, rows)?);
    Ok(JourneyResult::new(asked.plain_header(Journey::NAME, warnings), name(asked, journey)?, page))
}
