//! How far people got: those of a funnel and of a retention table.

use std::sync::Arc;

use super::super::by_unit::Needs;
use super::super::explain::Explain;
use super::super::retention::{first_selector, reading};
use super::super::run::{Asked, validate};
use super::super::units::{Core, in_order};
use super::FoundPeople;
use crate::calendar::Buckets;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::funnel::Funnel;
use crate::local::People;
use crate::retention::Grid;
use crate::spec::{Analysis, Groups, Hit, OfFunnel, OfRetention, Place, Query, Scope};

impl Engine {
    pub(super) async fn people_of_funnel(
        &self,
        asked: &Asked<'_>,
        of: &OfFunnel,
        place: &Place,
    ) -> Result<FoundPeople> {
        // Who did the step is all that matters of the answer.
        let mut funnel = Funnel { people: Some(of.people), rows: false, trend: None, ..of.funnel.clone() };
        in_zone(asked, &mut funnel.scope);
        let query = inner(asked, Analysis::Funnel(funnel.clone()));
        let found = async {
            let own = self.within(asked, &query).await?;
            let counted = self.count_funnel(&own, &funnel, None).await?;
            let units = counted.counted.people().into_iter().flatten();
            Ok(self.found(&own, units, counted.warnings, counted.explain))
        };
        found.await.map_err(|error: Error| error.within(place.child("funnel").path()))
    }

    pub(super) async fn people_of_retention(
        &self,
        asked: &Asked<'_>,
        of: &OfRetention,
        place: &Place,
    ) -> Result<FoundPeople> {
        let mut retention = of.retention.clone();
        in_zone(asked, &mut retention.scope);
        let query = inner(asked, Analysis::Retention(retention.clone()));
        let asked_in = place.child("retention");
        let at_field = |error: Error, place: &Place| error.within(place.path());
        let own = self.within(asked, &query).await.map_err(|error| at_field(error, &asked_in))?;
        let found = async {
            let buckets = Buckets::new(own.range, retention.interval, &own.zone, retention.week_start)?;
            Ok(Grid::<()>::new(&retention, Arc::new(buckets), own.snapshot.now.as_microsecond())?)
        };
        let grid: Grid = found.await.map_err(|error: Error| at_field(error, &asked_in))?;
        let grid = grid.watching(&of.cohort, &of.period).map_err(|error| at_field(error.into(), place))?;
        let first = first_selector(&retention);
        let mut reading = reading(&own, &retention, first.as_ref(), grid.until_us());
        // The numbers of what they did do not matter.
        reading.numbers.clear();
        let make = |_: &Groups| InCell { grid: grid.clone(), units: Vec::new() };
        let found = self.by_unit(&own, &reading, Needs { bits: 1, sequences: true }, "LocalRetention", make).await;
        let found = found.map_err(|error| at_field(error, &asked_in))?;
        let explain = found.explain();
        let units = found.cores.into_iter().flat_map(|core| core.units);
        Ok(self.found(&own, units, found.warnings, explain))
    }

    /// The question within a segment, with the people of its own.
    async fn within<'q>(&self, asked: &Asked<'q>, query: &'q Query) -> Result<Asked<'q>> {
        validate(query)?;
        let mut own = Asked::new(self, asked.snapshot, query).await?;
        if let Some(segment) = &own.scope().segment {
            own.people = Some(self.people(&own, segment, Place::root("").child("segment")).await?);
        }
        own.cuts = self.cuts(&own).await?;
        Ok(own)
    }

    fn found(
        &self,
        own: &Asked<'_>,
        units: impl Iterator<Item = u32>,
        warnings: Vec<String>,
        explain: Explain,
    ) -> FoundPeople {
        let mut people = People::new(own.snapshot.subject_count, false);
        units.for_each(|unit| people.set(unit, true));
        let people = Arc::new(people.unite(&own.snapshot.persons));
        match &own.people {
            None => FoundPeople { people, warnings, explain },
            Some(within) => FoundPeople {
                people,
                warnings: within.warnings.iter().cloned().chain(warnings).collect(),
                explain: explain.with(&within.explain),
            },
        }
    }
}

/// A question within a segment is of the state of the whole one, and as strict.
fn inner(asked: &Asked<'_>, analysis: Analysis) -> Query {
    Query { as_of: asked.query.as_of, strict_names: asked.query.strict_names, ..Query::from(analysis) }
}

/// A question within a segment is in the zone of the whole one, unless it names its own.
fn in_zone(asked: &Asked<'_>, scope: &mut Scope) {
    scope.time_zone.get_or_insert_with(|| asked.zone.name().to_owned());
}

/// Which units count in the watched cell of a table.
struct InCell {
    grid: Grid,
    units: Vec<u32>,
}

impl Core for InCell {
    type Value = ();

    fn add_unit(&mut self, unit: u32, hits: &mut [Hit]) {
        self.grid.add_unit(in_order(hits));
        if self.grid.has_counted() {
            self.units.push(unit);
        }
    }
}
