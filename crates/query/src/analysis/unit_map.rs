//! Units that are no subjects: sessions, and the values of a property.
//!
//! They are found once, by sequence, before the question is answered; its events are then read by a scan, whatever it asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};

use super::by_unit::Needs;
use super::explain::Explain;
use super::lowering::{ReadItem, Reading, Wanted};
use super::run::Asked;
use super::units::{Core, in_order};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::sessions::{Cutter, Mark, Rule};
use crate::spec::{Breakdown, GroupValue, Groups, Hit, Scope, Selector, SessionKey, Unit};

/// In the place of the unit of an event that has none.
const NOBODY: u32 = u32::MAX;

/// Which unit the event of each sequence belongs to.
pub(super) struct UnitMap {
    units: Arc<[AtomicU32]>,
    pub(super) named: Named,
    pub(super) warnings: Vec<String>,
    /// How they were found.
    pub(super) explain: Explain,
    /// Of `units`.
    _reservation: MemoryReservation,
}

/// What each unit is called after.
pub(super) enum Named {
    /// The person who had the session.
    Persons(Vec<u32>),
    /// The value, as text.
    Values(Vec<String>),
}

impl UnitMap {
    /// The unit of an event, if it has one.
    pub(super) fn unit(&self, sequence: u64) -> Option<u32> {
        let unit = self.units.get(usize::try_from(sequence).ok()?)?.load(Ordering::Relaxed);
        (unit != NOBODY).then_some(unit)
    }

    pub(super) fn count(&self) -> u32 {
        let count = match &self.named {
            Named::Persons(persons) => persons.len(),
            Named::Values(values) => values.len(),
        };
        u32::try_from(count).unwrap_or(NOBODY)
    }
}

impl Engine {
    /// The units of the question; `None` where they are subjects.
    pub(super) async fn units(&self, asked: &Asked<'_>) -> Result<Option<UnitMap>> {
        let item = match &asked.scope().unit {
            Unit::Person | Unit::DistinctId => return Ok(None),
            Unit::Session => None,
            Unit::Group(property) => Some(ReadItem::beside(Breakdown::Property(property.clone()), "unit")),
        };
        let last = asked.snapshot.sequence.number();
        let entries = usize::try_from(last).ok().filter(|last| *last < NOBODY as usize).ok_or_else(|| {
            Error::unsupported(format!("at most {NOBODY} events have sessions or groups as units, found {last}"))
                .on("unit")
        })? + 1;
        let reservation = MemoryConsumer::new("units by sequence").register(self.pool());
        reservation.try_grow(entries * size_of::<AtomicU32>())?;
        let units: Arc<[AtomicU32]> = (0..entries).map(|_| AtomicU32::new(NOBODY)).collect();

        let scope = Scope { filter: asked.scope().filter.clone(), ..Scope::default() };
        let any = Selector::any();
        let all = Wanted { selector: &any, path: "filter".to_owned(), since_us: i64::MIN };
        let keys = item.is_none();
        let reading = Reading { items: item.into_iter().collect(), keys, ..Reading::new(vec![all], &scope, i64::MAX) };
        let needs = Needs { bits: 1, sequences: true };
        let (named, warnings, explain) = match asked.scope().unit {
            Unit::Group(_) => {
                let make = |groups: &Groups| Grouped { unit_of: numbers(groups).0, units: Arc::clone(&units) };
                let found = self.by_unit(asked, &reading, needs, "LocalGroups", make).await?;
                let explain = found.explain();
                (Named::Values(numbers(&found.groups).1), found.warnings, explain)
            }
            _ => {
                let next = Arc::new(AtomicU32::new(0));
                let make = |_: &Groups| Cut {
                    cutter: Cutter::new(Rule::default()),
                    numbers: Vec::new(),
                    next: Arc::clone(&next),
                    units: Arc::clone(&units),
                    persons: Vec::new(),
                };
                let found = self.by_unit(asked, &reading, needs, "LocalSessions", make).await?;
                let explain = found.explain();
                let mut persons = vec![0; next.load(Ordering::Relaxed) as usize];
                for (first, count, person) in found.cores.into_iter().flat_map(|core| core.persons) {
                    persons[first as usize..][..count as usize].fill(person);
                }
                (Named::Persons(persons), found.warnings, explain)
            }
        };
        Ok(Some(UnitMap { units, named, warnings, explain, _reservation: reservation }))
    }
}

/// The unit of each number of a value, and what the units are called; NULL is none.
fn numbers(groups: &Groups) -> (Vec<u32>, Vec<String>) {
    let mut names = Vec::new();
    let unit = |group| match groups.values(group).first() {
        None | Some(GroupValue::Null) => NOBODY,
        Some(value) => {
            names.push(value.text());
            u32::try_from(names.len() - 1).unwrap_or(NOBODY)
        }
    };
    ((0_u32..).take(groups.len()).map(unit).collect(), names)
}

/// Tells the units of events by their values.
struct Grouped {
    unit_of: Vec<u32>,
    units: Arc<[AtomicU32]>,
}

impl Core for Grouped {
    type Value = ();

    fn add_unit(&mut self, _person: u32, hits: &mut [Hit]) {
        for hit in hits {
            let unit = self.unit_of.get(hit.group as usize).copied().unwrap_or(NOBODY);
            self.units[hit.sequence as usize].store(unit, Ordering::Relaxed);
        }
    }
}

/// Numbers the sessions of everybody.
struct Cut {
    cutter: Cutter,
    numbers: Vec<u32>,
    next: Arc<AtomicU32>,
    units: Arc<[AtomicU32]>,
    /// The first unit of each person and how many there are.
    persons: Vec<(u32, u32, u32)>,
}

impl Core for Cut {
    type Value = SessionKey;

    fn add_unit(&mut self, person: u32, hits: &mut [Hit<SessionKey>]) {
        let hits = in_order(hits);
        let marks = hits.iter().map(|hit| Mark { timestamp: hit.timestamp, key: hit.value.get(), ..Mark::default() });
        let count = self.cutter.cut(marks, &mut self.numbers);
        let first = self.next.fetch_add(count, Ordering::Relaxed);
        self.persons.push((first, count, person));
        for (hit, number) in hits.iter().zip(&self.numbers) {
            self.units[hit.sequence as usize].store(first + number, Ordering::Relaxed);
        }
    }
}
