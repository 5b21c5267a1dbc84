//! Runs a query of any kind.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::task::JoinError;

use super::explain::Explain;
use super::lowering::Reading;
use super::segment::FoundPeople;
use super::unit_map::{Named, UnitMap};
use super::{OfSegment, QueryResult, SideBySide};
use crate::calendar::{ResolvedRange, TimeZone};
use crate::engine::{Engine, QuerySnapshot};
use crate::error::{Error, ErrorKind, Result};
use crate::spec::{Analysis, Breakdown, Groups, Header, Place, Query, Scope, Split, Unit};
use pugmark_store::SubjectId;

impl Engine {
    /// Answers a query over the snapshot.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a question that contradicts itself, with its field, and for one `as_of` another sequence than that of the snapshot, which
    /// [`QuerySnapshot::as_of`] makes; [`ErrorKind::Unsupported`] for what is not built;
    /// [`ErrorKind::Full`] when the memory does not suffice; [`ErrorKind::Busy`] when `timeout` has passed.
    pub async fn run(&self, snapshot: &QuerySnapshot, query: &Query) -> Result<QueryResult> {
        if let Some(as_of) = query.as_of.filter(|as_of| *as_of != snapshot.sequence.number()) {
            let message = format!("the question is as of sequence {as_of}, the snapshot of {}", snapshot.sequence);
            return Err(Error::invalid(message).on("as_of"));
        }
        // Behind a pointer, so that the plan of a query is compiled here and not again in every crate that asks.
        let answer: BoxFuture<'_, Result<QueryResult>> = Box::pin(self.answer(snapshot, query));
        let Some(timeout) = &query.timeout else { return answer.await };
        let limit = Duration::from_micros(u64::try_from(timeout.as_us()).unwrap_or(0));
        let passed = || {
            let message = format!("the answer took longer than the timeout of {} ms", limit.as_millis());
            Err(Error::new(ErrorKind::Busy, message).on("timeout"))
        };
        // A Tokio timeout polls the answer first, and a small one would be ready before a limit of nothing is looked at.
        if limit.is_zero() {
            return passed();
        }
        tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| passed())
    }

    async fn answer(&self, snapshot: &QuerySnapshot, query: &Query) -> Result<QueryResult> {
        let query = &*resolved(snapshot, query)?;
        let segments = &query.analysis.scope().segments;
        if segments.is_empty() {
            return self.answer_about_one(snapshot, query).await;
        }
        let mut answers = Vec::with_capacity(segments.len());
        for (at, named) in segments.iter().enumerate() {
            let mut one = query.clone();
            let scope = one.analysis.scope_mut();
            (scope.segment, scope.segments) = (Some(named.segment.clone()), Vec::new());
            let answer = self.answer_about_one(snapshot, &one).await;
            let answer = answer.map_err(|error| error.of_item(segment_place(&one).path(), at))?;
            let segment = named.title().map_or_else(|| (at + 1).to_string(), str::to_owned);
            answers.push(OfSegment { segment, answer });
        }
        Ok(QueryResult::SideBySide(SideBySide::of(answers)))
    }

    async fn answer_about_one(&self, snapshot: &QuerySnapshot, query: &Query) -> Result<QueryResult> {
        let mut asked = self.asked(snapshot, query).await?;
        let mut answer = self.answer_over(&asked).await?;
        if let Some(compare) = asked.scope().compare {
            let (interval, week_start) = query.analysis.interval();
            asked.range = compare.earlier(asked.range, interval, &asked.zone, week_start)?;
            let earlier = self.answer_over(&asked).await?;
            match (&mut answer, earlier) {
                (QueryResult::Trend(now), QueryResult::Trend(then)) => now.compare = Some(Box::new(then)),
                (QueryResult::Funnel(now), QueryResult::Funnel(then)) => now.compare = Some(Box::new(then)),
                (QueryResult::Retention(now), QueryResult::Retention(then)) => now.compare = Some(Box::new(then)),
                _ => {}
            }
        }
        Ok(answer)
    }

    /// What the question is about: its range, its people and its units.
    pub(super) async fn asked<'a>(&self, snapshot: &'a QuerySnapshot, query: &'a Query) -> Result<Asked<'a>> {
        let mut asked = Asked::new(self, snapshot, query).await?;
        if let Some(segment) = &asked.scope().segment {
            asked.people = Some(self.people(&asked, segment, segment_place(query)).await?);
        }
        asked.cuts = self.cuts(&asked).await?;
        asked.units = self.units(&asked).await?.map(Arc::new);
        Ok(asked)
    }

    /// Answers over the range at hand.
    async fn answer_over(&self, asked: &Asked<'_>) -> Result<QueryResult> {
        Ok(match &asked.query.analysis {
            Analysis::Trend(trend) => QueryResult::Trend(self.trend(asked, trend).await?),
            Analysis::Funnel(funnel) => QueryResult::Funnel(self.funnel(asked, funnel).await?),
            Analysis::Retention(retention) => QueryResult::Retention(self.retention(asked, retention).await?),
            Analysis::Stickiness(stickiness) => QueryResult::Stickiness(self.stickiness(asked, stickiness).await?),
            Analysis::Lifecycle(lifecycle) => QueryResult::Lifecycle(self.lifecycle(asked, lifecycle).await?),
            Analysis::Journey(of) => QueryResult::Journey(self.journey(asked, of).await?),
            Analysis::Sessions(of) => QueryResult::Sessions(self.sessions(asked, of).await?),
            Analysis::Paths(of) => QueryResult::Paths(self.paths(asked, of).await?),
            Analysis::Audience(of) => QueryResult::Audience(self.audience(asked, of)?),
            Analysis::People(of) => QueryResult::People(self.list_people(asked, of).await?),
        })
    }
}

/// Where the segment stands in the analysis: that of who is in one is the segment itself.
pub(super) fn segment_place(query: &Query) -> Place {
    let place = Place::root("");
    if matches!(query.analysis, Analysis::Audience(_)) { place } else { place.child("segment") }
}

/// The question, if it does not contradict itself, with what is saved in the place of its names: nothing else can be asked.
pub(super) fn resolved<'q>(snapshot: &QuerySnapshot, query: &'q Query) -> Result<Cow<'q, Query>> {
    validate(query)?;
    snapshot.names().resolve(query)
}

/// Whether the question contradicts itself.
pub(crate) fn validate(query: &Query) -> Result<()> {
    match &query.analysis {
        Analysis::Trend(trend) => trend.validate()?,
        Analysis::Funnel(funnel) => funnel.validate()?,
        Analysis::Retention(retention) => retention.validate()?,
        Analysis::Stickiness(stickiness) => stickiness.validate()?,
        Analysis::Lifecycle(lifecycle) => lifecycle.validate()?,
        Analysis::Journey(journey) => journey.validate()?,
        Analysis::Sessions(sessions) => sessions.validate()?,
        Analysis::Paths(paths) => paths.validate()?,
        Analysis::Audience(audience) => audience.validate()?,
        Analysis::People(people) => people.validate()?,
    }
    Ok(())
}

/// A query with its range resolved.
pub(super) struct Asked<'a> {
    pub(super) snapshot: &'a QuerySnapshot,
    pub(super) query: &'a Query,
    pub(super) zone: TimeZone,
    pub(super) range: ResolvedRange,
    /// Of the question's segment, once they are found.
    pub(super) people: Option<FoundPeople>,
    /// Those of the question, where they are no subjects, once they are found.
    pub(super) units: Option<Arc<UnitMap>>,
    /// Of each item of the breakdown that is a segment, its place and people.
    pub(super) cuts: Vec<(usize, FoundPeople)>,
}

impl<'a> Asked<'a> {
    pub(super) async fn new(engine: &Engine, snapshot: &'a QuerySnapshot, query: &'a Query) -> Result<Self> {
        let scope = query.analysis.scope();
        let zone = match &scope.time_zone {
            Some(name) => TimeZone::named(name).map_err(|error| Error::from(error).on("time_zone"))?,
            None => TimeZone::utc(),
        };
        let now_us = snapshot.now.as_microsecond();
        let data = match scope.range.is_of_data() {
            true => engine.time_of_data(snapshot).await?,
            false => ResolvedRange { from_us: now_us, to_us: now_us },
        };
        let range = scope.range.resolve(&zone, now_us, data);
        let range = range.map_err(|error| Error::from(error).on("range"))?;
        Ok(Self { snapshot, query, zone, range, people: None, units: None, cuts: Vec::new() })
    }

    pub(super) fn scope(&self) -> &'a Scope {
        self.query.analysis.scope()
    }

    /// Plans the scan; see [`Engine::lower`].
    pub(super) async fn lower(
        &self,
        engine: &Engine,
        reading: &Reading<'_>,
        portable: bool,
    ) -> Result<super::lowering::Lowered> {
        let units = self.units.as_ref().filter(|_| !reading.scope.unit.is_of_subjects());
        let people = reading.among.as_ref().or(self.people.as_ref().map(|found| &found.people));
        let cuts = self.cuts.iter().map(|(place, found)| (*place, Arc::clone(&found.people))).collect();
        engine.lower(self.snapshot, reading, (people, units, cuts), self.query.strict_names, portable).await
    }

    pub(super) fn header(
        &self,
        kind: &'static str,
        warnings: Vec<String>,
        explain: impl FnOnce() -> Explain,
    ) -> Result<Header> {
        let beside = self.cuts.iter().map(|(_, cut)| &cut.explain).chain(self.units.iter().map(|units| &units.explain));
        let explain = || beside.fold(explain(), |all, one| all.with(one));
        let explain =
            || Explain { segment: self.people.as_ref().map(|found| found.explain.clone().into()), ..explain() };
        let before = self.people.iter().chain(self.cuts.iter().map(|(_, found)| found));
        let before = before.flat_map(|found| found.warnings.clone());
        let before = before.chain(self.units.iter().flat_map(|units| units.warnings.clone()));
        let all = before.chain(warnings).collect();
        let explain = match self.query.explain {
            true => Some(serde_json::to_value(explain()).map_err(|error| Error::invalid(error.to_string()))?),
            false => None,
        };
        Ok(Header { explain, ..self.plain_header(kind, all) })
    }

    /// Where the history begins, where the question looks at what has expired.
    fn history_from_us(&self) -> Option<i64> {
        let from_us = self.snapshot.hidden.expired_before()?.as_microsecond();
        let looks_back = self.query.analysis.looks_back() || self.range.from_us < from_us;
        looks_back.then_some(from_us)
    }

    /// Without a word on how the answer was found. Whichever way it was found, its warnings are each once and in their own order.
    pub(super) fn plain_header(&self, kind: &'static str, mut warnings: Vec<String>) -> Header {
        warnings.extend(self.snapshot.sampling_warnings());
        warnings.sort_unstable();
        warnings.dedup();
        Header {
            kind,
            as_of: self.snapshot.sequence.number(),
            now_us: self.snapshot.now.as_microsecond(),
            range: self.range,
            history_from_us: self.history_from_us(),
            time_zone: self.zone.clone(),
            warnings,
            explain: None,
        }
    }

    /// How many units there may be of what `scope` counts, numbered from 0.
    pub(super) fn unit_count(&self, scope: &Scope) -> u32 {
        match self.units.as_ref().filter(|_| !scope.unit.is_of_subjects()) {
            Some(units) => units.count(),
            None => self.snapshot.subject_count,
        }
    }

    /// Whether what is kept by subject may answer, by local operators.
    pub(super) fn goes_local(&self, engine: &Engine) -> bool {
        engine.takes_local_road() && self.scope().unit.is_of_subjects()
    }

    /// The names of units: of a person the first known id, else the first, also of a person who had a session. `None` for who has been erased.
    pub(super) fn names(&self, units: &[u32]) -> Result<Vec<Option<String>>> {
        let persons = &self.snapshot.persons;
        let of_person = |unit: u32| persons.name_subject(persons.person_of(SubjectId::new(unit)));
        let named: Vec<SubjectId> = match (&self.scope().unit, &self.units) {
            (Unit::DistinctId, _) => units.iter().copied().map(SubjectId::new).collect(),
            (_, None) => units.iter().copied().map(of_person).collect(),
            (_, Some(map)) => match &map.named {
                Named::Values(values) => {
                    return Ok(units.iter().map(|unit| values.get(*unit as usize).cloned()).collect());
                }
                Named::Persons(persons) => units.iter().map(|unit| of_person(persons[*unit as usize])).collect(),
            },
        };
        Ok(self.snapshot.subjects.distinct_ids(&named)?)
    }

    pub(super) fn titles(&self) -> Vec<String> {
        self.scope().breakdown.iter().map(Breakdown::title).map(str::to_owned).collect()
    }

    /// How the answer is cut; not at all without a breakdown.
    pub(super) fn split<'g>(&self, groups: &'g Groups) -> Option<Split<'g>> {
        let scope = self.scope();
        (!scope.breakdown.is_empty()).then_some(Split { groups, limit: scope.limit })
    }
}

/// The groups of several parts as one, and the numbers that each part's have in it; `[0]` without a breakdown.
pub(crate) fn absorb(parts: &[&Groups]) -> (Groups, Vec<Vec<u32>>) {
    let mut all = Groups::default();
    let numbers = parts.iter().map(|groups| if groups.is_empty() { vec![0] } else { all.absorb(groups) }).collect();
    (all, numbers)
}

/// What a task returned; a panic goes on in the one that waits.
pub(crate) fn joined<T>(done: std::result::Result<T, JoinError>) -> T {
    match done {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => panic!("a task of a query that is waited for is not cancelled: {error}"),
        },
    }
}
