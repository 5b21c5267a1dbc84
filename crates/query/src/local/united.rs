//! A cube in memory, with the days of each combination of values united: a question about weeks has the most of its days in the middle of a file.

use std::ops::Range;

use roaring::{MultiOps, RoaringBitmap};

use crate::columns::{Cube, CubeCell};

/// A cube, and whose the events of each of its groups are on any day.
#[derive(Debug)]
pub(crate) struct UnitedCube {
    pub(crate) cube: Cube,
    /// By event and by place among its groups; `None` for a group of one day.
    any_day: Vec<Vec<Option<RoaringBitmap>>>,
}

impl UnitedCube {
    pub(crate) fn new(cube: Cube) -> Self {
        let united = |cells: &[CubeCell]| (cells.len() > 1).then(|| cells.iter().map(|cell| &cell.subjects).union());
        let of_event = |groups: &[(usize, Vec<CubeCell>)]| groups.iter().map(|(_, cells)| united(cells)).collect();
        let any_day = cube.events.iter().map(|event| of_event(&event.groups)).collect();
        Self { cube, any_day }
    }

    /// The sets whose union are the subjects of these cells of a group of an event.
    pub(crate) fn sets(
        &self,
        event: usize,
        group: usize,
        cells: &Range<usize>,
    ) -> impl Iterator<Item = &RoaringBitmap> {
        let of_event = self.cube.events.get(event).and_then(|event| event.groups.get(group));
        let all: &[CubeCell] = of_event.map_or(&[], |(_, cells)| cells.as_slice());
        let any_day = self.any_day.get(event).and_then(|groups| groups.get(group)?.as_ref());
        let any_day = any_day.filter(|_| cells.len() == all.len());
        let each = if any_day.is_some() { &[] } else { all.get(cells.clone()).unwrap_or_default() };
        any_day.into_iter().chain(each.iter().map(|cell| &cell.subjects))
    }

    /// Bytes in memory, nearly.
    pub(crate) fn bytes(&self) -> usize {
        let united = self.any_day.iter().flatten();
        let set =
            |set: &Option<RoaringBitmap>| size_of_val(set) + set.as_ref().map_or(0, RoaringBitmap::serialized_size);
        self.cube.bytes() + united.map(set).sum::<usize>()
    }
}
