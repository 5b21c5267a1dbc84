//! Lowering of trends.
//!
//! A series that rollups cover is answered by them, as far as its buckets consist of days; the rest of it, and every other series, from decoded columns.
//! What only a scan makes is counted row by row from a plan of standard operators.

mod attributed;
mod cells;
mod cubes;
mod frequency;
mod layout;
mod lists;
mod rollups;
mod scanned;
mod shape;

pub(super) use cells::group_totals;

use std::sync::Arc;

use super::explain::Explain;
use super::lowering::{Lowered, Reading, Road, Wanted};
use super::run::Asked;
use super::sets::Source;
use crate::engine::Engine;
use crate::error::Result;
use crate::local::{Selected, Wants, Work};
use crate::trend::{SeriesResult, Trend, TrendResult};
use cells::Cells;
pub(in crate::analysis) use shape::Shape;

/// What a trend reads.
pub(super) fn reading<'a>(asked: &Asked<'a>, trend: &'a Trend, shape: &Shape) -> Reading<'a> {
    let series = trend.series.iter().enumerate();
    let selectors = series.map(|(at, series)| Wanted {
        selector: &series.selector,
        path: format!("series[{at}]"),
        since_us: shape.range_of(at).from_us,
    });
    let property = |at: &usize| {
        let property = trend.series.get(*at).and_then(|series| series.property.as_deref());
        (property.unwrap_or_default(), format!("series[{at}].property"))
    };
    let until_us = asked.range.to_us;
    Reading {
        ordered: shape.has_first_times(),
        numbers: shape.numbers.iter().map(property).collect(),
        values: shape.values.iter().map(property).collect(),
        ..Reading::new(selectors.collect(), asked.scope(), until_us)
    }
}

/// The answer of what the series came to.
fn answered(
    asked: &Asked<'_>,
    trend: &Trend,
    shape: &Shape,
    (series, warnings, explain): (Vec<SeriesResult>, Vec<String>, Explain),
) -> Result<TrendResult> {
    Ok(TrendResult {
        header: asked.header(Trend::NAME, warnings, || explain)?,
        buckets: shape.labels(),
        series: trend.with_formula(series)?,
        compare: None,
        titles: asked.titles(),
    })
}

impl Engine {
    pub(super) async fn trend(&self, asked: &Asked<'_>, trend: &Trend) -> Result<TrendResult> {
        let shape = Arc::new(Shape::new(trend, asked.range, &asked.zone)?);
        if trend.is_attributed() {
            let (series, warnings, explain) = self.attributed(asked, trend, &shape.buckets).await?;
            return answered(asked, trend, &shape, (series, warnings, explain));
        }
        let reading = reading(asked, trend, &shape);
        let portable = shape.any_asks_before() && !rollups::cover_all(trend, &shape);
        let Lowered { road, warnings } = asked.lower(self, &reading, portable).await?;
        let (series, explain) = match road {
            Road::Local(wants) => self.local_trend(asked, trend, &shape, wants).await?,
            Road::Scan(scan) => (scanned::count(&scan, trend, &shape, asked).await?, scan.explain()),
        };
        answered(asked, trend, &shape, (series, warnings, explain))
    }

    async fn local_trend(
        &self,
        asked: &Asked<'_>,
        trend: &Trend,
        shape: &Shape,
        mut wants: Wants,
    ) -> Result<(Vec<SeriesResult>, Explain)> {
        let local = self.local(asked.snapshot);
        let merged = local.merged(&asked.scope().unit);
        let parts = local.parts_of(&merged)?;
        let declared = &asked.snapshot.columns.declared;
        if let Some(cut) = cubes::find(trend, shape, &wants, (&local, &parts), declared) {
            wants.reads.timestamps = shape.buckets.len() != 1;
            let series = cut.answer(self, asked, trend, shape, (&local, &parts, wants), &merged).await?;
            return Ok((series, Explain::of_local(&local, "LocalTrend")));
        }
        let names = trend.names();
        let mut from_rollups: Vec<Option<SeriesResult>> = vec![None; trend.series.len()];
        // Without a breakdown each series is for itself.
        if wants.items.is_empty() && wants.filter.is_none() && wants.people.is_none() {
            let one = Source {
                local: &local,
                parts: &parts,
                merged: &merged,
                pool: self.pool(),
                work: Work::new(self.threads()),
            };
            let mut rest = Vec::new();
            for selected in std::mem::take(&mut wants.selected) {
                let own = |at: &usize| {
                    let is_known = rollups::know(trend.series[*at].measure);
                    selected.bits >> at & 1 == 1 && is_known && selected.filter.is_none()
                };
                let own: Vec<usize> = (0..trend.series.len()).filter(own).collect();
                let mut left = selected.bits;
                for (at, (values, total)) in one.count_series(&selected.event, &own, trend, shape).await? {
                    left &= !(1 << at);
                    let name = names[at].clone();
                    from_rollups[at] = Some(SeriesResult { name, breakdown: None, values, frequency: None, total });
                }
                if left != 0 {
                    rest.push(Selected { bits: left, ..selected });
                }
            }
            wants.selected = rest;
        }
        let mut shown = Vec::new();
        if !wants.selected.is_empty() || !wants.items.is_empty() {
            // The only bucket is that of every row.
            wants.reads.timestamps = shape.buckets.len() != 1;
            let work = Work::new(self.threads());
            let runs = local.runs(&parts, Arc::new(wants), asked.range, self.pool(), work).await?;
            let subjects = asked.snapshot.subject_count;
            let cells = Cells { shape, trend, subjects, merged, pool: self.pool(), work };
            shown = cells.count(runs, asked.scope()).await?;
        }
        let rollups = from_rollups.iter().any(Option::is_some);
        let explain = Explain::of_local(&local, "LocalTrend");
        if !rollups {
            return Ok((shown, explain));
        }
        // Without a breakdown there is one result for each series.
        let all = from_rollups.into_iter().zip(shown.into_iter().map(Some).chain(std::iter::repeat(None)));
        Ok((all.filter_map(|(rollup, cells)| rollup.or(cells)).collect(), explain))
    }
}
