//! The events of each unit together, whichever road they come by.

use std::sync::Arc;

use super::explain::Explain;
use super::lowering::{Lowered, Reading, Road};
use super::run::{Asked, absorb};
use super::scan::EventScan;
use super::units::{Core, Ranges, collect, feed};
use crate::calendar::ResolvedRange;
use crate::engine::Engine;
use crate::error::Result;
use crate::local::{First, Local, Merged, Reads, Runs, Wants, Work, feed_runs, first_rows};
use crate::spec::{Groups, Hit};

/// What a core wants of the events of a unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needs {
    /// Units without an event that matches one of these selectors are of no interest.
    pub(super) bits: u32,
    /// Whether it matters which of several events of one instant came first, also where they are of one name.
    pub(super) sequences: bool,
}

/// What each thread made of its units: cores that have taken them in, or the first event of each.
pub(super) struct ByUnit<C> {
    pub(super) cores: Vec<C>,
    pub(super) groups: Groups,
    pub(super) warnings: Vec<String>,
    found: Found,
}

/// How the events were found.
enum Found {
    Local(Local, &'static str),
    Scan(EventScan),
}

impl<C> ByUnit<C> {
    /// What the events were found with, where they were read from decoded columns.
    pub(super) fn local(&self) -> Option<&Local> {
        match &self.found {
            Found::Local(local, _) => Some(local),
            Found::Scan(_) => None,
        }
    }

    pub(super) fn explain(&self) -> Explain {
        match &self.found {
            Found::Local(local, operator) => Explain::of_local(local, operator),
            Found::Scan(scan) => scan.explain(),
        }
    }
}

/// Rows of decoded columns, and whose they are.
struct Rows {
    local: Local,
    runs: Runs,
    merged: Merged,
    work: Work,
}

/// Keeps the first event of each unit.
struct Firsts {
    bits: u32,
    found: Vec<First>,
}

impl Core for Firsts {
    type Value = ();

    fn add_unit(&mut self, unit: u32, hits: &mut [Hit]) {
        let counting = hits.iter().filter(|hit| hit.matches & self.bits != 0);
        self.found.extend(counting.min_by_key(|hit| (hit.timestamp, hit.sequence)).map(|hit| {
            let Hit { timestamp, sequence, matches, group, .. } = *hit;
            First { unit, timestamp, sequence, matches, group }
        }));
    }
}

impl Engine {
    /// Gives every unit to one of several cores, each made for the values that rows are told apart by. `operator` names what they do.
    pub(super) async fn by_unit<C: Core>(
        &self,
        asked: &Asked<'_>,
        reading: &Reading<'_>,
        needs: Needs,
        operator: &'static str,
        make: impl Fn(&Groups) -> C,
    ) -> Result<ByUnit<C>> {
        let subjects = asked.unit_count(reading.scope);
        let Lowered { road, warnings } = asked.lower(self, reading, false).await?;
        match road {
            Road::Local(wants) => {
                let Rows { local, runs, merged, work } =
                    self.rows_of_units(asked, reading, wants, needs.sequences).await?;
                let groups = runs.groups.clone();
                let cores =
                    feed_runs(runs, subjects, merged, needs.bits, (self.pool(), work), || make(&groups)).await?;
                Ok(ByUnit { cores, groups, warnings, found: Found::Local(local, operator) })
            }
            Road::Scan(scan) => self.scan_by_unit(scan, subjects, warnings, make).await,
        }
    }

    /// Finds the first event of each unit that matches one of the selectors in `needs`.
    pub(super) async fn first_by_unit(
        &self,
        asked: &Asked<'_>,
        reading: &Reading<'_>,
        needs: Needs,
        operator: &'static str,
    ) -> Result<ByUnit<Vec<First>>> {
        let subjects = asked.unit_count(reading.scope);
        let Lowered { road, warnings } = asked.lower(self, reading, false).await?;
        match road {
            Road::Local(wants) => {
                let Rows { local, runs, merged, work } =
                    self.rows_of_units(asked, reading, wants, needs.sequences).await?;
                let groups = runs.groups.clone();
                let cores = first_rows(runs, subjects, merged, needs.bits, (self.pool(), work)).await?;
                Ok(ByUnit { cores, groups, warnings, found: Found::Local(local, operator) })
            }
            Road::Scan(scan) => {
                let make = |_: &Groups| Firsts { bits: needs.bits, found: Vec::new() };
                let ByUnit { cores, groups, warnings, found } =
                    self.scan_by_unit(scan, subjects, warnings, make).await?;
                Ok(ByUnit { cores: cores.into_iter().map(|core| core.found).collect(), groups, warnings, found })
            }
        }
    }

    /// The rows that `wants` wants of a reading, of decoded columns.
    async fn rows_of_units(
        &self,
        asked: &Asked<'_>,
        reading: &Reading<'_>,
        mut wants: Wants,
        sequences: bool,
    ) -> Result<Rows> {
        let local = self.local(asked.snapshot);
        let merged = local.merged(&reading.scope.unit);
        // Two ids of one person may have had the same event at one instant.
        let sequences = sequences || !merged.is_empty();
        wants.reads = Reads { timestamps: true, sequences, ..wants.reads };
        let since = wants.selected.iter().map(|selected| selected.since_us).min().unwrap_or(i64::MIN);
        let range = ResolvedRange { from_us: since, to_us: reading.until_us };
        let (parts, work) = (local.parts()?, Work::new(self.threads()));
        let runs = local.runs(&parts, Arc::new(wants), range, self.pool(), work).await?;
        Ok(Rows { local, runs, merged, work })
    }

    async fn scan_by_unit<C: Core>(
        &self,
        scan: EventScan,
        subjects: u32,
        warnings: Vec<String>,
        make: impl Fn(&Groups) -> C,
    ) -> Result<ByUnit<C>> {
        let ranges = Ranges::new(subjects);
        let parts = collect(&scan, ranges).await?;
        let (groups, numbers) = absorb(&parts.iter().map(|(_, groups)| groups).collect::<Vec<_>>());
        let parts = parts.into_iter().map(|(rows, _)| rows).zip(numbers).collect();
        let cores = feed(ranges, parts, self.threads(), || make(&groups)).await?;
        Ok(ByUnit { cores, groups, warnings, found: Found::Scan(scan) })
    }
}
