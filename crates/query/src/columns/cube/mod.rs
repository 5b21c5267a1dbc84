//! Cubes: what rollups hold by day and event, cut by declared properties as well, with sums of declared ones.
//!
//! A cube is of one columnar file and one [`Declaration`]. Counts and sums add and sets unite, so that cubes of files answer for all of them; a file without its
//! cube, because it is new or has too many values, is answered from its columns.

mod build;
mod declaration;
mod file;

use pugmark_registry::column_name;
use roaring::RoaringBitmap;

use super::rollup::Day;
use crate::spec::GroupValue;
use crate::trend::Sum;

pub(super) use build::{CubeRows, build_cube, cube_of_file};
pub use declaration::{Declaration, MAX_DECLARATIONS, MAX_MEASURES};
pub(crate) use declaration::{Declared, SETTING_PREFIX};
pub(crate) use file::read_cube;
pub(super) use file::{decode_rows, schema, write_cube};

/// A file with more different values of a property has no cube.
const VALUES_MAX: usize = 1_000;
/// A file with more combinations of values has no cube.
const GROUPS_MAX: usize = 10_000;

/// The events of one file, cut as a declaration says.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Cube {
    /// The combinations of values, ascending.
    pub(crate) groups: Vec<Vec<GroupValue>>,
    /// By name, ascending.
    pub(crate) events: Vec<CubeEvent>,
}

/// The part of a cube about one event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CubeEvent {
    pub(crate) name: Box<str>,
    /// The cells of each group that it has, by place among the cube's, ascending.
    pub(crate) groups: Vec<(usize, Vec<CubeCell>)>,
}

/// One day.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CubeCell {
    pub(crate) day: Day,
    /// How many events.
    pub(crate) count: u64,
    /// Who had them.
    pub(crate) subjects: RoaringBitmap,
    /// For each measure, what its numbers come to.
    pub(crate) numbers: Vec<Numbers>,
}

/// What the numbers of a property come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Numbers {
    /// How many events have one.
    pub(crate) count: u64,
    pub(crate) sum: Sum,
    /// The least and the largest; beyond all others where there is none.
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { count: 0, sum: Sum::default(), min: f64::INFINITY, max: f64::NEG_INFINITY }
    }
}

impl Numbers {
    pub(crate) fn add(&mut self, number: f64) {
        self.count += 1;
        self.sum.add(number);
        self.min = self.min.min(number);
        self.max = self.max.max(number);
    }

    pub(crate) fn add_all(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Whether `events` events may have them.
    fn is_of(&self, events: u64) -> bool {
        match self.count {
            0 => *self == Self::default(),
            count => count <= events && self.min <= self.max && !self.sum.value().is_nan(),
        }
    }
}

impl Cube {
    /// Bytes in memory, nearly.
    pub(crate) fn bytes(&self) -> usize {
        let cell = |cell: &CubeCell| {
            size_of::<CubeCell>() + cell.subjects.serialized_size() + cell.numbers.len() * size_of::<Numbers>()
        };
        let cells = self.events.iter().flat_map(|event| &event.groups).flat_map(|(_, cells)| cells);
        let texts = |value: &GroupValue| match value {
            GroupValue::Text(text) => text.len(),
            _ => 0,
        };
        let groups = self.groups.iter().flatten().map(|value| size_of::<GroupValue>() + texts(value));
        cells.map(cell).sum::<usize>() + groups.sum::<usize>()
    }
}

/// What the columns of the properties of a declaration are called, dimensions and then measures.
pub(crate) fn column_names(declaration: &Declaration) -> Vec<String> {
    let properties = declaration.dimensions.iter().chain(&declaration.measures);
    properties.map(|name| column_name(name).into_owned()).collect()
}
