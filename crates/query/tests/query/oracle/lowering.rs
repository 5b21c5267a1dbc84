//! Asks the pure cores a generated question, as an engine would: selectors to bits, breakdowns to numbers, units apart.

use std::{collections::BTreeMap, sync::Arc};

use pugmark_query::{
    calendar::{Buckets, Interval, ResolvedRange, TimeZone},
    funnel::{self, Funnel, FunnelResult, HitValues, Matcher, StepOrder},
    journey::{Journey, JourneyEvent, JourneyResult, Page},
    lifecycle::{Lifecycle, LifecycleResult, States},
    paths::{Paths, PathsResult, Tally as PathsTally, Walker},
    retention::{Cohort, Grid, Retention, RetentionResult, ReturnMeasure, ReturnValue},
    sessions::{By, Counter, MAX_SPLITS, Mark, Session, SessionEvent, SessionRow, Sessions, SessionsResult},
    spec::{
        Analysis, Breakdown, GroupValue, Groups, Header, Hit, HitValue, Query, Scope, Selector, SessionKey, Split,
        Touches,
    },
    stickiness::{Stickiness, StickinessResult, Tally},
    trend::{self, Credits, Measure, SeriesResult, Trend, TrendResult},
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
    let difference = crate::oracle::difference(&found, &oracle(Rules::TRUE))?;
    let explained =
        FLIPS.iter().filter(|(flip, ..)| crate::oracle::difference(&found, &oracle(Rules::flipping(*flip))).is_none());
    let explained: Vec<&str> = explained.map(|(_, _, rule)| *rule).collect();
    Some(format!(
        "{difference}\nas if: {explained:?}\nquery: {}\nevents: {:#?}\nchanges: {:#?}",
        case.query, case.events, case.changes
    ))
}

fn answer(case: &Case) -> Value {
    if case.query.get("journey").is_some() {
        return crate::pages::page(&case.query, |query| answer_to(case, query));
    }
    answer_to(case, &case.query)
}

fn answer_to(case: &Case, query: &Value) -> Value {
    let query = Query::from_value(query).expect("generated queries are valid");
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
        Analysis::Stickiness(stickiness) => lowering.stickiness(stickiness),
        Analysis::Lifecycle(lifecycle) => lowering.lifecycle(lifecycle),
        Analysis::People(_) => {
            panic!("lists of people are held against a recount of a store: pugmark/tests/pugmark/people.rs")
        }
        Analysis::Journey(journey) => lowering.journey(journey),
        Analysis::Sessions(sessions) => lowering.sessions(sessions),
        Analysis::Paths(paths) => lowering.paths(paths),
        Analysis::Audience(_) => panic!("who is in a segment is found by the engine, which has no core for it"),
    }
}

/// The session that the sender gave an event.
fn session_key(event: &OracleEvent) -> SessionKey {
    match event.properties.get("session_id") {
        Some(Some(Scalar::Text(id))) => SessionKey::of(id),
        _ => SessionKey::default(),
    }
}

struct Lowering<'a> {
    scope: &'a Scope,
    events: Vec<&'a OracleEvent>,
    now_us: i64,
    zone: TimeZone,
    range: ResolvedRange,
    groups: Groups,
    /// Properties whose values tell rows apart besides those of the breakdown.
    held: Vec<String>,
}

impl<'a> Lowering<'a> {
    fn new(scope: &'a Scope, mut events: Vec<&'a OracleEvent>, around: Surroundings) -> Self {
        let zone = scope.zone(&TimeZone::utc()).expect("generated zones exist");
        let data = ResolvedRange { from_us: around.data_us.0, to_us: around.data_us.1 };
        let range = scope.range.resolve(&zone, around.now_us, data).expect("generated ranges are valid");
        let everything = Selector { event: "*".into(), filter: scope.filter.clone() };
        events.retain(|event| matches(&everything, event));
        Self { scope, events, now_us: around.now_us, zone, range, groups: Groups::default(), held: Vec::new() }
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
            history_from_us: None,
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
                    Breakdown::Segment(_) => panic!("who is in a segment is found by the engine"),
                };
                value_of(event, &name)
            })
            .chain(self.held.iter().map(|name| value_of(event, name)))
            .collect();
        self.groups.intern(&values)
    }

    /// Two parts merged, as those of threads are.
    fn attributed(&mut self, trend: &Trend, buckets: &Buckets) -> Vec<SeriesResult> {
        let any = Selector::any();
        let mut selectors = Vec::new();
        for series in &trend.series {
            let touch = series.attribution.as_ref().and_then(|attribution| attribution.touch.as_ref());
            selectors.extend([&series.selector, touch.unwrap_or(&any)]);
        }
        let property = trend.series.iter().find_map(|series| series.property.clone());
        let units = self.units::<f64>(&selectors, property.as_deref());
        let empty = Credits::new(trend, Arc::new(buckets.clone()), &self.groups);
        let mut parts = [empty.clone(), empty];
        for (unit, hits) in units {
            parts[unit as usize % 2].add_unit(&hits);
        }
        let [mut credits, other] = parts;
        credits.merge(&other);
        credits.finish(&self.groups, self.scope.limit).expect("generated questions are small")
    }

    fn trend(&mut self, trend: &Trend) -> Value {
        let buckets = self.buckets(trend.interval, trend.week_start);
        let measures: Vec<_> = trend.series.iter().map(|series| series.measure).collect();
        let rolling: Vec<_> = trend.series.iter().map(|series| series.rolling).collect();
        let cumulative: Vec<_> = trend.series.iter().map(|series| series.cumulative).collect();
        // A range without a bucket has none to look back from.
        let before = rolling.iter().flatten().max().filter(|_| !buckets.is_empty()).map_or(0, |buckets| buckets - 1);
        let extended = self.looking_back(trend, &buckets, before);
        // Two parts merged, as partitions of a scan are, each of which numbers values for itself.
        let part = trend::Aggregate::new(&measures, buckets.len());
        let part = part.looking_back(extended.len() - buckets.len(), &rolling).cumulative(&cumulative);
        let mut parts = [part.clone(), part];
        let mut keys = [Groups::default(), Groups::default()];
        for event in self.events.clone() {
            let bucket = extended.index_of(event.timestamp_us);
            let in_range = self.range.contains(event.timestamp_us);
            for (index, series) in trend.series.iter().enumerate() {
                if !matches(&series.selector, event) {
                    continue;
                }
                let place = event.sequence as usize % 2;
                let (part, keys) = (&mut parts[place], &mut keys[place]);
                if series.measure == Measure::FirstTime {
                    let order = (event.timestamp_us, event.sequence);
                    part.add_first(index, self.group(event), bucket.filter(|_| in_range), event.unit, order);
                    continue;
                }
                let Some(bucket) = bucket.filter(|_| in_range || series.rolling.is_some()) else { continue };
                let group = self.group(event);
                match in_range {
                    true => part.add(index, group, bucket, event.unit),
                    false => part.look_back(index, group, bucket, event.unit),
                }
                let value = series.property.as_ref().and_then(|name| event.properties.get(name).cloned().flatten());
                if let Some(Scalar::Number(number)) = value {
                    part.add_number(index, group, bucket, number);
                }
                let key: Option<GroupValue> = value.map(|value| match value {
                    Scalar::Text(text) => text.as_str().into(),
                    Scalar::Number(number) => number.into(),
                });
                if let Some(key) = key {
                    part.add_key(index, group, bucket, keys.intern(&[key]));
                }
            }
        }
        let [mut aggregate, other] = parts;
        let [mut here, there] = keys;
        let keys = here.absorb(&there);
        aggregate.merge(&other, &self.identity(), &vec![keys.as_slice(); measures.len()]);
        let series = match trend.is_attributed() {
            true => self.attributed(trend, &buckets),
            false => aggregate.finish(&trend.names(), self.split()),
        };
        let is_frequency = trend.has_frequencies();
        let result = TrendResult {
            header: self.header(Trend::NAME),
            buckets: if is_frequency { Vec::new() } else { buckets.labels().to_vec() },
            series: trend.with_formula(series).expect("generated formulas are valid"),
            compare: None,
            titles: self.scope.titles(),
        };
        let of_times = |one: &SeriesResult| one.frequency.as_ref().map_or(0, |own| own.times.len());
        let rows = match is_frequency {
            true => result.series.iter().map(of_times).sum(),
            false => result.series.len() * result.buckets.len(),
        };
        check_forms(&result, result.to_table(), rows)
    }

    fn journey(&mut self, journey: &Journey) -> Value {
        let is_own = |event: &&&OracleEvent| journey.distinct_id.starts_with(&format!("{}-", event.unit));
        let own = self.events.iter().filter(|event| self.range.contains(event.timestamp_us)).filter(is_own);
        let mut own: Vec<JourneyEvent> = own.map(|event| shown(event)).collect();
        // In no order.
        own.sort_by_key(|event| (event.sequence % 3, event.sequence));
        let page = Page::of(journey, own);
        let rows = page.sessions.iter().map(|session| session.events.len()).sum();
        let person = (journey.distinct_id != "9-0").then(|| journey.distinct_id.clone());
        let result = JourneyResult::new(self.header(Journey::NAME), person, page);
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
        let any = Selector::any();
        let mut selectors: Vec<&Selector> = funnel.steps.iter().map(|step| &step.selector).collect();
        selectors.extend(funnel.exclude.iter().map(|exclusion| &exclusion.selector));
        if funnel.order == StepOrder::Strict {
            selectors.push(&any);
        }
        self.held.clone_from(&funnel.hold);
        let by_session = funnel.window == funnel::Window::Session;
        if by_session {
            selectors.push(&any);
        }
        let key_of: BTreeMap<u64, SessionKey> =
            self.events.iter().map(|event| (event.sequence, session_key(event))).collect();
        let units = self.units::<()>(&selectors, None);
        let values = HitValues::new(funnel, &self.groups);
        let buckets = funnel.trend.map(|interval| Arc::new(self.buckets(interval, funnel.week_start)));
        let mut matcher = Matcher::new(funnel, self.range);
        if let Some(buckets) = &buckets {
            matcher = matcher.by_bucket(Arc::clone(buckets));
        }
        let empty = funnel::Aggregate::new(funnel, buckets.as_ref().map(|buckets| buckets.len()));
        let mut parts = [empty.clone(), empty];
        for (unit, hits) in units {
            let part = &mut parts[unit as usize % 2];
            if by_session {
                let keyed = |hit: &Hit| Hit {
                    timestamp: hit.timestamp,
                    sequence: hit.sequence,
                    matches: hit.matches,
                    group: hit.group,
                    value: key_of[&hit.sequence],
                };
                matcher.match_sessions(&hits.iter().map(keyed).collect::<Vec<_>>(), &values);
            } else {
                matcher.match_unit(&hits, &values);
            }
            matcher.attempts().iter().for_each(|attempt| part.add(unit, attempt));
            matcher.in_buckets().iter().for_each(|(bucket, attempt)| part.add_in_bucket(unit, *bucket, attempt));
        }
        let [mut aggregate, other] = parts;
        aggregate.merge(&other, &(0..values.groups().len().max(1) as u32).collect::<Vec<_>>());
        let people = aggregate.people();
        let split =
            (!self.scope.breakdown.is_empty()).then_some(Split { groups: values.groups(), limit: self.scope.limit });
        let labels = buckets.as_ref().map_or(&[][..], |buckets| buckets.labels());
        let result = FunnelResult {
            header: self.header(Funnel::NAME),
            groups: aggregate.finish(split, labels),
            people: None,
            compare: None,
            titles: self.scope.titles(),
        };
        let mut shown = check_forms(&result, result.to_table(), result.groups.len() * funnel.steps.len());
        if let Some(people) = people {
            shown["people"] = people.into_iter().collect::<Vec<u32>>().into();
        }
        shown
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
            compare: None,
            titles: self.scope.titles(),
        };
        let cells = result.groups.iter().flat_map(|group| &group.rows).map(|row| row.values.len()).sum();
        check_forms(&result, result.to_table(), cells)
    }

    fn stickiness(&mut self, stickiness: &Stickiness) -> Value {
        let buckets = Arc::new(self.buckets(stickiness.interval, stickiness.week_start));
        let mut units = self.units::<()>(&[&stickiness.event], None);
        // Groups of what lies outside of the range are none of the answer's.
        for hits in units.values_mut() {
            hits.retain(|hit| self.range.contains(hit.timestamp));
        }
        let mut parts = [Tally::new(stickiness, Arc::clone(&buckets)), Tally::new(stickiness, buckets)];
        for (unit, hits) in units {
            parts[unit as usize % 2].add_unit(&hits);
        }
        let [mut tally, other] = parts;
        tally.merge(&other, &self.identity());
        let intervals = tally.intervals();
        let header = self.header(Stickiness::NAME);
        let groups = tally.finish(self.split());
        let result =
            StickinessResult { header, intervals, groups, at_least: stickiness.at_least, titles: self.scope.titles() };
        check_forms(&result, result.to_table(), result.groups.len() * result.intervals.len())
    }

    fn sessions(&mut self, sessions: &Sessions) -> Value {
        let interval = sessions.interval.unwrap_or(Interval::Year);
        let buckets = Arc::new(self.buckets(interval, sessions.week_start));
        let text = |event: &OracleEvent, name: &str| match event.properties.get(name).cloned().flatten() {
            None => None,
            Some(Scalar::Text(text)) => Some(text),
            Some(Scalar::Number(number)) => Some(number.to_string()),
        };
        let names = match &sessions.page {
            Some(name) => vec![name.as_str()],
            None => vec!["url", "page.url", "$current_url"],
        };
        let page = |event: &OracleEvent| names.iter().find_map(|name| text(event, name));
        let by_id = sessions.by == By::SessionId;
        let id = |event: &OracleEvent| text(event, "session_id").filter(|_| by_id);
        let mut values: Vec<Scalar> = Vec::new();
        let mut units: BTreeMap<u32, Vec<SessionEvent>> = BTreeMap::new();
        for event in &self.events {
            let mut split = [0; MAX_SPLITS];
            for (split, name) in split.iter_mut().zip(&sessions.split_on) {
                let Some(value) = event.properties.get(name).cloned().flatten() else { continue };
                let place = values.iter().position(|known| *known == value).unwrap_or_else(|| {
                    values.push(value);
                    values.len() - 1
                });
                *split = place as u32 + 1;
            }
            // The ids of a unit are told apart by their texts.
            let key = id(event).map(|id| id.bytes().fold(0, |key, byte| key << 8 | u128::from(byte)));
            let mark = Mark { timestamp: event.timestamp_us, key, split };
            let has_touch = sessions.touch.iter().any(|name| event.properties.get(name).cloned().flatten().is_some());
            let own = SessionEvent { mark, sequence: event.sequence, has_page: page(event).is_some(), has_touch };
            units.entry(event.unit).or_default().push(own);
        }
        let empty = Counter::new(sessions, Arc::clone(&buckets), &self.zone);
        let mut parts = [empty.clone(), empty];
        for (unit, events) in units {
            parts[unit as usize % 2].add_unit(unit, &events);
        }
        let [mut counter, other] = parts;
        counter.merge(other);
        let counted = counter.finish().expect("generated stores are small");
        let of = |sequence| self.events.iter().find(|event| event.sequence == sequence).expect("it has an event");
        let shown = |sequence| page(of(sequence)).unwrap_or_else(|| of(sequence).event.clone());
        let row = |session: &Session| {
            let person = session.unit.to_string();
            let mut row =
                SessionRow::new(session, person, id(of(session.first)), shown(session.entry), shown(session.exit));
            let touch = |at: usize| match session.touches {
                Some(ends) => touch_of(of(ends[at]), &sessions.touch),
                None => serde_json::Map::new(),
            };
            row.touches = (!sessions.touch.is_empty()).then(|| Touches { first: touch(0), last: touch(1) });
            row
        };
        let rows = counted.rows.as_ref().map(|rows| rows.iter().map(row).collect::<Vec<_>>());
        let labels = sessions.interval.map(|_| buckets.labels().to_vec());
        let count = match (&rows, &labels) {
            (Some(rows), _) => rows.len(),
            (None, Some(labels)) => labels.len(),
            (None, None) => 1,
        };
        let result = SessionsResult::new(self.header(Sessions::NAME), counted, labels, rows);
        check_forms(&result, result.to_table(), count)
    }

    fn paths(&mut self, paths: &Paths) -> Value {
        let any = Selector::any();
        let selectors = [&any].into_iter().chain(&paths.anchor).chain(&paths.end).chain(&paths.exclude);
        let selectors: Vec<&Selector> = selectors.collect();
        let mut units = self.units::<()>(&selectors, None);
        for event in self.events.clone() {
            let value = if paths.node == "event" { event.event.as_str().into() } else { value_of(event, &paths.node) };
            let node = self.groups.intern(&[value]);
            let own = units.get_mut(&event.unit).into_iter().flatten();
            own.filter(|hit| hit.sequence == event.sequence).for_each(|hit| hit.group = node);
        }
        let null = (0..self.groups.len() as u32).find(|node| self.groups.values(*node) == [GroupValue::Null]);
        let mut walker = Walker::new(paths, self.range);
        let mut parts = [PathsTally::new(paths), PathsTally::new(paths)];
        for (unit, hits) in units {
            let part = &mut parts[unit as usize % 2];
            part.begin_unit();
            walker.walk(&hits, null, |path, has_ended| part.add(path, has_ended));
        }
        let [mut tally, other] = parts;
        tally.merge(&other);
        let (count, edges, travelled, left_out) = tally.finish(&self.groups, self.scope.limit);
        let result = PathsResult { header: self.header(Paths::NAME), count, edges, paths: travelled, left_out };
        check_forms(&result, result.to_table(), result.edges.len())
    }

    fn lifecycle(&mut self, lifecycle: &Lifecycle) -> Value {
        let buckets = Arc::new(self.buckets(lifecycle.interval, lifecycle.week_start));
        let states =
            States::new(lifecycle, Arc::clone(&buckets), &self.zone).expect("generated ranges are of our time");
        let mut parts = [states.clone(), states];
        for (unit, hits) in self.units::<()>(&[&lifecycle.event], None) {
            // What comes after the range is not read.
            let end = hits.partition_point(|hit| hit.timestamp < self.range.to_us);
            parts[unit as usize % 2].add_unit(&hits[..end]);
        }
        let [mut states, other] = parts;
        states.merge(&other);
        let result = LifecycleResult::new(self.header(Lifecycle::NAME), buckets.labels().to_vec(), states.finish());
        check_forms(&result, result.to_table(), buckets.len())
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

fn value_of(event: &OracleEvent, name: &str) -> GroupValue {
    match event.properties.get(name).cloned().flatten() {
        None => GroupValue::Null,
        Some(Scalar::Text(text)) => text.as_str().into(),
        Some(Scalar::Number(number)) => number.into(),
    }
}

/// What an event has of these properties, as texts.
fn touch_of(event: &OracleEvent, properties: &[String]) -> serde_json::Map<String, Value> {
    let text = |name: &String| match event.properties.get(name).cloned().flatten()? {
        Scalar::Text(text) => Some((name.clone(), text.into())),
        Scalar::Number(number) => Some((name.clone(), number.to_string().into())),
    };
    properties.iter().filter_map(text).collect()
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

fn shown(event: &OracleEvent) -> JourneyEvent {
    let json = |value: &Scalar| match value {
        Scalar::Text(text) => json!(text),
        Scalar::Number(number) => json!(number),
    };
    let mut session_id = None;
    let mut properties = serde_json::Map::new();
    for (name, value) in &event.properties {
        match (name.as_str(), value) {
            ("session_id", Some(Scalar::Text(id))) => session_id = Some(id.clone()),
            (name, Some(value)) => drop(properties.insert(name.to_owned(), json(value))),
            (_, None) => {}
        }
    }
    JourneyEvent {
        sequence: event.sequence,
        event: event.event.clone(),
        timestamp_us: event.timestamp_us,
        distinct_id: Some(event.unit.to_string()),
        properties,
        session_id,
    }
}
