//! The cohorts of all groups and their cells, in few pieces of memory.

use std::ops::Range;

use hashbrown::HashMap;

use super::Total;

/// Most cohorts that are found by a list; those beyond are found by a map.
const LISTED: usize = 1 << 18;

/// One period of one cohort.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cell<T> {
    /// Units that came back.
    pub(crate) units: u64,
    /// Of their return events.
    pub(crate) total: T,
}

impl<T: Total> Cell<T> {
    pub(crate) fn add(&mut self, units: u64, total: T) {
        self.units += units;
        self.total.add(total);
    }
}

/// One cohort of one group.
#[derive(Debug, Clone)]
pub(super) struct Cohort {
    pub(super) group: u32,
    pub(super) row: usize,
    pub(super) size: u64,
    cells: Range<usize>,
}

/// Cohorts by group and row.
#[derive(Debug, Clone, Default)]
pub(super) struct Cohorts<T> {
    /// The place of each cohort and one more, by group and row; 0 for one that nobody is in.
    listed: Vec<u32>,
    mapped: HashMap<(u32, usize), u32, foldhash::fast::RandomState>,
    cohorts: Vec<Cohort>,
    cells: Vec<Cell<T>>,
}

impl<T: Total> Cohorts<T> {
    /// Adds units to a cohort, of so many `rows` a group and so many `columns` a row, and gives its cells.
    pub(super) fn add(&mut self, group: u32, row: usize, size: u64, rows: usize, columns: usize) -> &mut [Cell<T>] {
        let at = (group as usize).saturating_mul(rows).saturating_add(row);
        let place = if at < LISTED {
            if self.listed.len() <= at {
                self.listed.resize(at + 1, 0);
            }
            &mut self.listed[at]
        } else {
            self.mapped.entry((group, row)).or_default()
        };
        if *place == 0 {
            let cells = self.cells.len()..self.cells.len() + columns;
            self.cells.resize(cells.end, Cell::default());
            self.cohorts.push(Cohort { group, row, size: 0, cells });
            *place = u32::try_from(self.cohorts.len()).expect("fewer than 2^32 cohorts: each takes many bytes");
        }
        let cohort = &mut self.cohorts[*place as usize - 1];
        cohort.size += size;
        &mut self.cells[cohort.cells.clone()]
    }

    /// Those that somebody is in.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Cohort, &[Cell<T>])> {
        self.cohorts.iter().map(|cohort| (cohort, &self.cells[cohort.cells.clone()]))
    }
}
