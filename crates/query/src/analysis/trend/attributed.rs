//! Series that are shared out among what led to their events.

use std::sync::Arc;

use crate::analysis::by_unit::{ByUnit, Needs};
use crate::analysis::explain::Explain;
use crate::analysis::lowering::{Reading, Wanted};
use crate::analysis::run::Asked;
use crate::analysis::units::{Core, in_order};
use crate::calendar::Buckets;
use crate::engine::Engine;
use crate::error::Result;
use crate::spec::{Groups, Hit, HitValue, Selector};
use crate::trend::{Credits, Series, SeriesResult, Trend, bits_of};

const OPERATOR: &str = "LocalAttribution";

/// What the series came to, what the asker should know, and how it was found.
pub(super) type Shared = (Vec<SeriesResult>, Vec<String>, Explain);

impl Engine {
    pub(super) async fn attributed(&self, asked: &Asked<'_>, trend: &Trend, buckets: &Buckets) -> Result<Shared> {
        let (buckets, any) = (Arc::new(buckets.clone()), Selector::any());
        let reading = reading(asked, trend, &any);
        let bits = (0..trend.series.len()).fold(0, |bits, at| bits | bits_of(at).0);
        let needs = Needs { bits, sequences: true };
        match reading.numbers.is_empty() {
            true => {
                let make = |groups: &Groups| Sharing::<()>::new(trend, &buckets, groups);
                shared(self.by_unit(asked, &reading, needs, OPERATOR, make).await?, asked, trend, &buckets)
            }
            false => {
                let make = |groups: &Groups| Sharing::<f64>::new(trend, &buckets, groups);
                shared(self.by_unit(asked, &reading, needs, OPERATOR, make).await?, asked, trend, &buckets)
            }
        }
    }
}

/// The conversions in the range, and the touches that they may look back to; `any` is the selector of every event.
fn reading<'a>(asked: &Asked<'a>, trend: &'a Trend, any: &'a Selector) -> Reading<'a> {
    let from_us = asked.range.from_us;
    let of_series = |(at, series): (usize, &'a Series)| {
        let path = format!("series[{at}]");
        let attribution = series.attribution.as_ref()?;
        let touch_path = format!("{path}.attribution.touch");
        let since_us = from_us.saturating_sub(attribution.window.as_us());
        let touch = attribution.touch.as_ref().unwrap_or(any);
        let conversions = Wanted { selector: &series.selector, path, since_us: from_us };
        Some([conversions, Wanted { selector: touch, path: touch_path, since_us }])
    };
    let selectors = trend.series.iter().enumerate().filter_map(of_series).flatten().collect();
    let named = |(at, series): (usize, &'a Series)| {
        series.property.as_deref().map(|name| (name, format!("series[{at}].property")))
    };
    Reading {
        numbers: trend.series.iter().enumerate().find_map(named).into_iter().collect(),
        ..Reading::new(selectors, asked.scope(), asked.range.to_us)
    }
}

fn shared<V>(found: ByUnit<Sharing<V>>, asked: &Asked<'_>, trend: &Trend, buckets: &Arc<Buckets>) -> Result<Shared> {
    let explain = found.explain();
    let mut all = Credits::new(trend, Arc::clone(buckets), &found.groups);
    for part in &found.cores {
        all.merge(&part.credits);
    }
    Ok((all.finish(&found.groups, asked.scope().limit)?, found.warnings, explain))
}

/// Shares out the conversions of the units that one thread is given, of whose events `V` is wanted besides.
struct Sharing<V> {
    credits: Credits,
    wants: std::marker::PhantomData<V>,
}

impl<V> Sharing<V> {
    fn new(trend: &Trend, buckets: &Arc<Buckets>, groups: &Groups) -> Self {
        Self { credits: Credits::new(trend, Arc::clone(buckets), groups), wants: std::marker::PhantomData }
    }
}

impl<V: HitValue> Core for Sharing<V> {
    type Value = V;

    fn add_unit(&mut self, _: u32, hits: &mut [Hit<V>]) {
        self.credits.add_unit(in_order(hits));
    }
}
