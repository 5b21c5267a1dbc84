//! Lowering of funnels.

use std::collections::HashSet;
use std::marker::PhantomData;
use std::sync::Arc;

use super::by_unit::Needs;
use super::explain::Explain;
use super::lowering::{ReadItem, Reading, Wanted};
use super::run::Asked;
use super::units::{Core, in_order};
use crate::calendar::Buckets;
use crate::columns::system;
use crate::engine::Engine;
use crate::error::Result;
use crate::funnel::{
    Aggregate, BreakdownAt, Funnel, FunnelEntry, FunnelGroup, FunnelResult, HitValues, MatchedEvent, Matcher,
    StepOrder, Ties, Window,
};
use crate::spec::{Breakdown, EventNames, Groups, Header, Hit, HitValue, Selector, SessionKey};

/// The attempts of everybody, and how they were found.
pub(super) struct CountedFunnel {
    pub(super) counted: Aggregate,
    groups: Groups,
    pub(super) warnings: Vec<String>,
    pub(super) explain: Explain,
}

impl Engine {
    pub(super) async fn funnel(&self, asked: &Asked<'_>, funnel: &Funnel) -> Result<FunnelResult> {
        let buckets = buckets(asked, funnel)?;
        let CountedFunnel { counted, groups, warnings, explain } =
            self.count_funnel(asked, funnel, buckets.as_ref()).await?;
        let header = asked.header(Funnel::NAME, warnings, || explain)?;
        let mut result = answered(asked, header, counted, &groups, buckets.as_ref())?;
        self.add_message_ids(asked, &mut result.groups).await?;
        Ok(result)
    }

    /// Counts the attempts of everybody.
    pub(super) async fn count_funnel(
        &self,
        asked: &Asked<'_>,
        funnel: &Funnel,
        buckets: Option<&Arc<Buckets>>,
    ) -> Result<CountedFunnel> {
        let any = Selector::any();
        let reading = reading(asked, funnel, &any);
        let empty = Aggregate::new(funnel, buckets.map(|buckets| buckets.len()));
        let steps = funnel.steps.len();
        let opening = if funnel.order == StepOrder::Any { u32::MAX >> (32 - steps) } else { 1 };
        let needs = Needs { bits: opening, sequences: wants_sequences(asked, funnel) };
        let begun = Begun { reading, needs, matcher: matcher(asked, funnel, buckets), empty };
        match funnel.window {
            Window::Span(_) => self.match_all::<()>(asked, funnel, begun).await,
            Window::Session => self.match_all::<SessionKey>(asked, funnel, begun).await,
        }
    }

    /// Matches every unit, of whose events `V` is wanted besides.
    async fn match_all<V: HitValue>(
        &self,
        asked: &Asked<'_>,
        funnel: &Funnel,
        begun: Begun<'_>,
    ) -> Result<CountedFunnel>
    where
        Matching<V>: Core<Value = V>,
    {
        let Begun { reading, needs, matcher, empty } = begun;
        let make = |groups: &Groups| Matching {
            matcher: matcher.clone(),
            values: HitValues::new(funnel, groups),
            aggregate: empty.clone(),
            wants: PhantomData::<V>,
        };
        let found = self.by_unit(asked, &reading, needs, "LocalFunnel", make).await?;
        let values = HitValues::new(funnel, &found.groups);
        let same: Vec<u32> = (0_u32..).take(values.groups().len().max(1)).collect();
        let mut all = empty.clone();
        for part in &found.cores {
            all.merge(&part.aggregate, &same);
        }
        let explain = found.explain();
        Ok(CountedFunnel { counted: all, groups: values.groups().clone(), warnings: found.warnings, explain })
    }

    /// Looks up the message ids of matched events.
    async fn add_message_ids(&self, asked: &Asked<'_>, groups: &mut [FunnelGroup]) -> Result<()> {
        fn events(groups: &mut [FunnelGroup]) -> impl Iterator<Item = &mut MatchedEvent> {
            groups.iter_mut().flat_map(|group| &mut group.rows).flatten().flat_map(|row| &mut row.steps).flatten()
        }
        let sequences: Vec<u64> = events(groups).map(|event| event.sequence).collect();
        let ids = self.texts_of(asked, sequences, &[system::MESSAGE_ID.1]).await?;
        for event in events(groups) {
            let id = ids.get(&event.sequence).and_then(|texts| texts.first()).cloned().flatten();
            event.message_id = id.unwrap_or_default();
        }
        Ok(())
    }
}

/// The buckets that attempts are told apart by.
pub(super) fn buckets(asked: &Asked<'_>, funnel: &Funnel) -> Result<Option<Arc<Buckets>>> {
    let cut = |interval| Buckets::new(asked.range, interval, &asked.zone, funnel.week_start).map(Arc::new);
    Ok(funnel.trend.map(cut).transpose()?)
}

pub(super) fn matcher(asked: &Asked<'_>, funnel: &Funnel, buckets: Option<&Arc<Buckets>>) -> Matcher {
    let matcher = Matcher::new(funnel, asked.range);
    match buckets {
        Some(buckets) => matcher.by_bucket(Arc::clone(buckets)),
        None => matcher,
    }
}

/// The answer of what has been counted.
pub(super) fn answered(
    asked: &Asked<'_>,
    header: Header,
    counted: Aggregate,
    groups: &Groups,
    buckets: Option<&Arc<Buckets>>,
) -> Result<FunnelResult> {
    let people = counted.people();
    let people = people.map(|people| asked.names(&people.into_iter().collect::<Vec<_>>())).transpose()?;
    let labels = buckets.map_or(&[][..], |buckets| buckets.labels());
    let people = people.map(|people| {
        let mut seen = HashSet::new();
        people.into_iter().flatten().filter(|name| seen.insert(name.clone())).collect()
    });
    let mut result = FunnelResult {
        header,
        groups: counted.finish(asked.split(groups), labels),
        people,
        compare: None,
        titles: asked.titles(),
    };
    for rows in result.groups.iter_mut().filter_map(|group| group.rows.as_mut()) {
        let units: Vec<u32> = rows.iter().map(|row| row.unit).collect();
        for (row, name) in rows.iter_mut().zip(asked.names(&units)?) {
            row.person = name.unwrap_or_default();
        }
    }
    Ok(result)
}

/// Whether it matters which of several events of one instant came first, also where they are of one name.
fn wants_sequences(asked: &Asked<'_>, funnel: &Funnel) -> bool {
    let by_one_name = matches!(funnel.steps.first().map(|step| &step.selector.event), Some(EventNames::One(_)));
    // The value of the breakdown is that of the first opening event, and events of one name come in the order of the log.
    let is_told_by_time = by_one_name || (asked.scope().breakdown.is_empty() && funnel.hold.is_empty());
    let by_time = funnel.order == StepOrder::Ordered
        && funnel.ties == Ties::Either
        && funnel.entry != FunnelEntry::Every
        && funnel.at == BreakdownAt::First
        && funnel.window != Window::Session
        && !funnel.rows;
    !(by_time && is_told_by_time)
}

/// What a funnel reads; `any` is the selector of every event.
pub(super) fn reading<'a>(asked: &Asked<'a>, funnel: &'a Funnel, any: &'a Selector) -> Reading<'a> {
    let range = asked.range;
    // A step may lie a little before the one that opens the attempt.
    let since_us = range.from_us.saturating_sub(funnel.tolerance.as_us());
    let steps = funnel.steps.iter().enumerate().map(|(at, step)| (&step.selector, format!("steps[{at}]")));
    let excluded = funnel.exclude.iter().enumerate().map(|(at, one)| (&one.selector, format!("exclude[{at}]")));
    let others = (funnel.order == StepOrder::Strict).then(|| (any, "order".to_owned()));
    let selectors = steps.chain(excluded).chain(others).map(|(selector, path)| Wanted { selector, path, since_us });
    // A session is cut among all events, also before the range.
    let by_session = funnel.window == Window::Session;
    let whole = by_session.then(|| Wanted { selector: any, path: "window".to_owned(), since_us: i64::MIN });
    // An attempt that begins in the range goes on until its window ends.
    let until_us = match funnel.window {
        Window::Span(window) => range.to_us.saturating_add(window.as_us()),
        Window::Session => i64::MAX,
    };
    let mut reading = Reading::new(selectors.chain(whole).collect(), asked.scope(), until_us);
    reading.keys = by_session;
    reading.items.extend(
        funnel
            .hold
            .iter()
            .enumerate()
            .map(|(at, property)| ReadItem::beside(Breakdown::Property(property.clone()), format!("hold[{at}]"))),
    );
    reading
}

/// A funnel before its events are read.
struct Begun<'a> {
    reading: Reading<'a>,
    needs: Needs,
    matcher: Matcher,
    empty: Aggregate,
}

struct Matching<V> {
    matcher: Matcher,
    values: HitValues,
    aggregate: Aggregate,
    wants: PhantomData<V>,
}

impl<V> Matching<V> {
    /// Counts the attempts of the unit that was matched last.
    fn count(&mut self, unit: u32) {
        for attempt in self.matcher.attempts() {
            self.aggregate.add(unit, attempt);
        }
        for (bucket, attempt) in self.matcher.in_buckets() {
            self.aggregate.add_in_bucket(unit, *bucket, attempt);
        }
    }
}

impl Core for Matching<SessionKey> {
    type Value = SessionKey;

    fn add_unit(&mut self, unit: u32, hits: &mut [Hit<SessionKey>]) {
        self.matcher.match_sessions(in_order(hits), &self.values);
        self.count(unit);
    }
}

impl Core for Matching<()> {
    type Value = ();

    fn add_unit(&mut self, unit: u32, hits: &mut [Hit]) {
        if self.aggregate.takes_times()
            && let Some(reached) = self.matcher.match_times(hits, &self.values)
        {
            if let Some(reached) = reached {
                self.aggregate.add_times(self.values.group_of(reached.group), &reached.times);
            }
            return;
        }
        self.matcher.match_unit(in_order(hits), &self.values);
        self.count(unit);
    }
}
