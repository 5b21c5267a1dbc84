//! Asks the pure cores a generated question, as an engine would: selectors to bits, breakdowns to numbers, units apart.

use std::{collections::BTreeMap, sync::Arc};

use pugmark_query::{
    calendar::{Buckets, ResolvedRange, TimeZone},
    funnel::{self, Funnel, FunnelResult, Matcher},
    retention::{Cohort, Grid, Retention, RetentionResult, ReturnMeasure, ReturnValue},
    spec::{Analysis, Breakdown, GroupValue, Groups, Header, Hit, HitValue, Query, Scope, Selector, Split},
    trend::{self, Trend, TrendResult},
};
use serde_json::{Value, json};

use super::{
    cases::Case,
    oracle::{self, FLIPS, OracleEvent, Rules, Scalar, Surroundings},
};

/// Holds the answer of the cores against the oracle's; on a difference, says which flipped rules would explain it.
pub(crate) fn disagreement(case: &Case) -> Option<String> {
    let found = answer(case);
    let oracle = |rules| oracle::answer(&case.query, &case.told(rules), case.around, rules);
    let difference = oracle::difference(&found, &oracle(Rules::TRUE))?;
    let explained =
        FLIPS.iter().filter(|(flip, ..)| oracle::difference(&found, &oracle(Rules::flipping(*flip))).is_none());
    let explained: Vec<&str> = explained.map(|(_, _, rule)| *rule).collect();
    Some(format!(
        "{difference}\nas if: {explained:?}\nquery: {}\nevents: {:#?}\nchanges: {:#?}",
        case.query, case.events, case.changes
    ))
}

fn answer(case: &Case) -> Value {
    let query = Query::from_value(&case.query).expect("generated queries are valid");
    let read_back = serde_json::to_value(&query).expect("a query can be written");
    assert_eq!(Query::from_value(&read_back).as_ref(), Ok(&query), "a query reads back as itself");
    let told = case.told(Rules::TRUE);
    let mut events: Vec<&OracleEvent> = told.iter().collect();
    events.sort_by_key(|event| (event.timestamp_us, event.sequence));
    // The cores are given the events of those whom a question is about.
    let (_, analysis) = case.query.as_object().and_then(|query| query.iter().next()).expect("it is one analysis");
    let events = oracle::within(analysis, events, case.around, Rules::TRUE);
    let mut lowering = Lowering::new(query.analysis.scope(), events, case.around);
    match &query.analysis {
        Analysis::Trend(trend) => lowering.trend(trend),
        Analysis::Funnel(funnel) => lowering.funnel(funnel),
        Analysis::Retention(retention) => lowering.retention(retention),
    }
}

struct Lowering<'a> {
    scope: &'a Scope,
    events: Vec<&'a OracleEvent>,
    now_us: i64,
    zone: TimeZone,
    range: ResolvedRange,
    groups: Groups,
}

impl<'a> Lowering<'a> {
    fn new(scope: &'a Scope, mut events: Vec<&'a OracleEvent>, around: Surroundings) -> Self {
        let zone = scope.zone(&TimeZone::utc()).expect("generated zones exist");
        let data = ResolvedRange { from_us: around.data_us.0, to_us: around.data_us.1 };
        let range = scope.range.resolve(&zone, around.now_us, data).expect("generated ranges are valid");
        let everything = Selector { event: "*".into(), filter: scope.filter.clone() };
        events.retain(|event| matches(&everything, event));
        Self { scope, events, now_us: around.now_us, zone, range, groups: Groups::default() }
    }

    fn split(&self) -> Option<Split<'_>> {
        (!self.scope.breakdown.is_empty()).then_some(Split { groups: &self.groups, limit: self.scope.limit })
    }

    fn header(&self, kind: &'static str) -> Header {
        Header {
            kind,
            as_of: self.events.len() as u64,
            now_us: self.now_us,
            range: self.range,
            time_zone: self.zone.clone(),
            warnings: Vec::new(),
            explain: None,
        }
    }

    fn group(&mut self, event: &OracleEvent) -> u32 {
        let values: Vec<GroupValue> = self
            .scope
            .breakdown
            .iter()
            .map(|item| {
                let name = match item {
                    Breakdown::Property(name) | Breakdown::Expression(name) => name.clone(),
                    Breakdown::Profile(name) => format!("profile('{name}')"),
                };
                match event.properties.get(&name).cloned().flatten() {
                    None => GroupValue::Null,
                    Some(Scalar::Text(text)) => text.as_str().into(),
                    Some(Scalar::Number(number)) => number.into(),
                }
            })
            .collect();
        self.groups.intern(&values)
    }

    fn trend(&mut self, trend: &Trend) -> Value {
        let buckets = self.buckets(trend.interval, trend.week_start);
        let measures: Vec<_> = trend.series.iter().map(|series| series.measure).collect();
        let rolling: Vec<_> = trend.series.iter().map(|series| series.rolling).collect();
        let before = rolling.iter().flatten().max().map_or(0, |buckets| buckets - 1);
        let extended = self.looking_back(trend, &buckets, before);
        // Two parts merged, as partitions of a scan are.
        let part = trend::Aggregate::new(&measures, buckets.len());
        let part = part.looking_back(extended.len() - buckets.len(), &rolling);
        let mut parts = [part.clone(), part];
        for event in self.events.clone() {
            let Some(bucket) = extended.index_of(event.timestamp_us) else { continue };
            let in_range = self.range.contains(event.timestamp_us);
            for (index, series) in trend.series.iter().enumerate() {
                if !matches(&series.selector, event) || !(in_range || series.rolling.is_some()) {
                    continue;
                }
                let group = self.group(event);
                let part = &mut parts[event.sequence as usize % 2];
                match in_range {
                    true => part.add(index, group, bucket, event.unit),
                    false => part.look_back(index, group, bucket, event.unit),
                }
                let number = series.property.as_ref().and_then(|name| event.properties.get(name).cloned().flatten());
                if let Some(Scalar::Number(number)) = number {
                    part.add_number(index, group, bucket, number);
                }
            }
        }
        let [mut aggregate, other] = parts;
        aggregate.merge(&other, &self.identity());
        let series = aggregate.finish(&trend.names(), self.split());
        let result = TrendResult {
            header: self.header(Trend::NAME),
            buckets: buckets.labels().to_vec(),
            series,
            titles: self.scope.titles(),
        };
        let rows = result.series.len() * result.buckets.len();
        check_forms(&result, result.to_table(), rows)
    }

    fn looking_back(&self, trend: &Trend, buckets: &Buckets, before: usize) -> Buckets {
        let cut = |from_us, to_us| {
            let range = ResolvedRange { from_us, to_us };
            Buckets::new(range, trend.interval, &self.zone, trend.week_start).expect("generated ranges are short")
        };
        let mut from_us = buckets.extent(0).map_or(self.range.from_us, |first| first.from_us);
        for _ in 0..before {
            from_us = cut(from_us - 1, from_us).extent(0).map_or(from_us, |last| last.from_us);
        }
        if before == 0 { buckets.clone() } else { cut(from_us, self.range.to_us) }
    }

    fn funnel(&mut self, funnel: &Funnel) -> Value {
        let selectors: Vec<&Selector> = funnel.steps.iter().map(|step| &step.selector).collect();
        let units = self.units::<()>(&selectors, None);
        let mut matcher = Matcher::new(selectors.len(), funnel.window, self.range);
        let mut parts = [funnel::Aggregate::new(selectors.len()), funnel::Aggregate::new(selectors.len())];
        for (unit, hits) in units {
            if let Some(attempt) = matcher.match_unit(&hits) {
                parts[unit as usize % 2].add(&attempt);
            }
        }
        let [mut aggregate, other] = parts;
        aggregate.merge(&other, &self.identity());
        let result = FunnelResult {
            header: self.header(Funnel::NAME),
            groups: aggregate.finish(&funnel.names(), funnel.window, self.split()),
            titles: self.scope.titles(),
        };
        check_forms(&result, result.to_table(), result.groups.len() * funnel.steps.len())
    }

    fn retention(&mut self, retention: &Retention) -> Value {
        match retention.measure {
            ReturnMeasure::Units => self.retention_of::<()>(retention),
            ReturnMeasure::Sum | ReturnMeasure::Avg => self.retention_of::<f64>(retention),
        }
    }

    fn retention_of<V: ReturnValue>(&mut self, retention: &Retention) -> Value {
        let buckets = Arc::new(self.buckets(retention.interval, retention.week_start));
        let first = match retention.cohort {
            Cohort::FirstOfEvent => Selector { event: retention.start.event.clone(), filter: None },
            _ => Selector::any(),
        };
        let mut selectors = vec![&retention.start, &retention.returning];
        selectors.extend(matches!(retention.cohort, Cohort::FirstOfEvent | Cohort::FirstEver).then_some(&first));
        let units = self.units::<V>(&selectors, retention.property.as_deref());
        let grid = Grid::<V>::new(retention, Arc::clone(&buckets), self.now_us).expect("generated tables are small");
        let mut parts = [grid.clone(), grid];
        for (unit, hits) in units {
            parts[unit as usize % 2].add_unit(&hits);
        }
        let [mut grid, other] = parts;
        grid.merge(&other, &self.identity());
        let result = RetentionResult {
            header: self.header(Retention::NAME),
            measure: retention.measure,
            periods: grid.periods(),
            groups: grid.finish(self.split()).expect("generated tables are small"),
            titles: self.scope.titles(),
        };
        let cells = result.groups.iter().flat_map(|group| &group.rows).map(|row| row.values.len()).sum();
        check_forms(&result, result.to_table(), cells)
    }

    fn buckets(
        &self,
        interval: pugmark_query::calendar::Interval,
        week_start: pugmark_query::calendar::WeekStart,
    ) -> Buckets {
        Buckets::new(self.range, interval, &self.zone, week_start).expect("generated ranges are short")
    }

    /// Both parts share one interner.
    fn identity(&self) -> Vec<u32> {
        (0..self.groups.len().max(1) as u32).collect()
    }

    /// The hits of each unit, with the numbers of a property; events that match nothing are left out, as a scan would.
    fn units<V: HitValue>(&mut self, selectors: &[&Selector], property: Option<&str>) -> BTreeMap<u32, Vec<Hit<V>>> {
        let mut units: BTreeMap<u32, Vec<Hit<V>>> = BTreeMap::new();
        for event in self.events.clone() {
            let bits = selectors.iter().enumerate().map(|(bit, selector)| u32::from(matches(selector, event)) << bit);
            let number = property.and_then(|name| event.properties.get(name).cloned().flatten());
            let number = if let Some(Scalar::Number(number)) = number { number } else { f64::NAN };
            let hit = Hit {
                timestamp: event.timestamp_us,
                sequence: event.sequence,
                matches: bits.sum(),
                group: self.group(event),
                value: V::of(number),
            };
            if hit.matches != 0 {
                units.entry(event.unit).or_default().push(hit);
            }
        }
        units
    }
}

fn matches(selector: &Selector, event: &OracleEvent) -> bool {
    let filter = json!({ "event": "*", "filter": selector.filter });
    selector.event.contains(&event.event) && oracle::selector::matches(&filter, event, Rules::TRUE)
}

/// Every form of a result tells the same: its flat rows are as many as its cells, and as wide as their headings.
fn check_forms<R>(result: &R, (headings, rows): (Vec<String>, Vec<Vec<Value>>), expected_rows: usize) -> Value
where
    R: serde::Serialize + std::fmt::Display,
{
    assert_eq!(rows.len(), expected_rows);
    assert!(rows.iter().all(|row| row.len() == headings.len()));
    let printed = result.to_string();
    assert!(printed.lines().all(|line| !line.ends_with(' ')), "{printed}");
    serde_json::to_value(result).expect("a result can be written")
}
