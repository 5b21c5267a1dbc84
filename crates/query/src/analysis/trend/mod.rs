//! Lowering of trends.
//!
//! A series that rollups cover is answered by them, as far as its buckets consist of whole days; the rest of it, and every other series, from decoded columns.
//! What only a scan makes is counted row by row from a plan of standard operators.

mod cells;
mod rollups;
mod scanned;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::explain::Explain;
use super::lowering::{Lowered, Reading, Road, Wanted};
use super::run::Asked;
use crate::calendar::{Buckets, ResolvedRange};
use crate::engine::Engine;
use crate::error::Result;
use crate::local::{Merged, Reads, Wants, Work};
use crate::trend::{Measure, SeriesResult, Trend, TrendResult};
use cells::Cells;

impl Engine {
    pub(super) async fn trend(&self, asked: &Asked<'_>, trend: &Trend) -> Result<TrendResult> {
        let range = asked.range;
        let buckets = Arc::new(Buckets::new(range, trend.interval, &asked.zone, trend.week_start)?);
        let selectors = trend
            .series
            .iter()
            .enumerate()
            .map(|(at, series)| Wanted {
                selector: &series.selector,
                path: format!("series[{at}]"),
                since_us: range.from_us,
            })
            .collect();
        let reading = Reading { selectors, scope: asked.scope(), until_us: range.to_us, ordered: false };
        let Lowered { road, warnings } = asked.lower(self, &reading).await?;
        let (series, explain) = match road {
            Road::Local(wants) => self.local_trend(asked, trend, buckets.as_ref(), wants).await?,
            Road::Scan(scan) => {
                let (all, groups) = scanned::count(&scan, trend, &buckets).await?;
                (all.finish(&trend.names(), asked.split(&groups)), scan.explain())
            }
        };
        Ok(TrendResult {
            header: asked.header(Trend::NAME, warnings, || explain)?,
            buckets: buckets.labels().to_vec(),
            series,
            titles: asked.titles(),
        })
    }

    async fn local_trend(
        &self,
        asked: &Asked<'_>,
        trend: &Trend,
        buckets: &Buckets,
        mut wants: Wants,
    ) -> Result<(Vec<SeriesResult>, Explain)> {
        let local = self.local(asked.snapshot);
        let parts = local.parts()?;
        let merged = Merged::of(asked.snapshot, asked.scope().unit);
        let names = trend.names();
        let mut series: Vec<Option<SeriesResult>> = vec![None; trend.series.len()];
        let mut from_rollups = false;
        // Without a breakdown each series is for itself.
        if wants.items.is_empty() && wants.filter.is_none() {
            let covered = rollups::Cover::of(buckets);
            if let Some(covered) = covered {
                let mut rest = Vec::new();
                for selected in std::mem::take(&mut wants.selected) {
                    if selected.filter.is_some() {
                        rest.push(selected);
                        continue;
                    }
                    from_rollups = true;
                    let measures: Vec<(usize, Measure)> = (0..trend.series.len())
                        .filter(|at| selected.bits >> at & 1 == 1)
                        .map(|at| (at, trend.series[at].measure))
                        .collect();
                    let one =
                        rollups::One { local: &local, parts: &parts, buckets, covered: &covered, merged: &merged };
                    let sums = one.count(&selected.event, &measures, self).await?;
                    for ((at, _), (values, total)) in measures.iter().zip(sums) {
                        series[*at] = Some(SeriesResult { name: names[*at].clone(), breakdown: None, values, total });
                    }
                }
                wants.selected = rest;
            }
        }
        let mut shown = Vec::new();
        if !wants.selected.is_empty() || !wants.items.is_empty() {
            // One bucket of the whole range needs no time.
            wants.reads = Reads { timestamps: buckets.len() != 1, sequences: false, number: None };
            let work = Work::new(self.threads());
            let range: ResolvedRange = asked.range;
            let runs = local.runs(&parts, Arc::new(wants), range, self.pool(), work).await?;
            let measures: Vec<Measure> = trend.series.iter().map(|series| series.measure).collect();
            let cells = Cells {
                measures: &measures,
                buckets,
                subjects: asked.snapshot.subject_count,
                merged,
                pool: self.pool(),
                work,
            };
            shown = cells.count(runs, &names, asked.scope()).await?;
        }
        let explain =
            Explain::of_local(&local, "LocalTrend", from_rollups, local.read.tails.load(Ordering::Relaxed) > 0);
        if series.iter().all(Option::is_none) {
            return Ok((shown, explain));
        }
        // Without a breakdown there is one result for each series.
        let all = series.into_iter().zip(shown.into_iter().map(Some).chain(std::iter::repeat(None)));
        Ok((all.filter_map(|(rollup, cells)| rollup.or(cells)).collect(), explain))
    }
}
