//! All operations of a run, in order, and the file systems that stops between them would leave.

use std::sync::{Arc, Mutex};

use super::SimulatedStorage;
use super::operation::Step;
use super::survival::Loss;
use super::world::World;
use crate::entropy::SplitMix64;
use crate::queue::lock;

/// Every operation of a [`SimulatedStorage`] up to a moment, numbered from 1, with the notes made between them.
///
/// It never changes. A clone shares the operations.
#[derive(Debug)]
pub struct Journal {
    record: Record,
    /// Where the last stop was: a sweep in ascending order applies each operation once.
    cursor: Mutex<Cursor>,
}

/// What is noted of a run.
#[derive(Debug, Clone)]
pub(super) struct Record {
    base: World,
    steps: Arc<Vec<Step>>,
    marks: Arc<Marks>,
}

/// Labels, and after which operation each was put; both ascending in time.
#[derive(Debug, Clone, Default)]
struct Marks {
    after: Vec<u64>,
    labels: Vec<u64>,
}

#[derive(Debug, Clone)]
struct Cursor {
    applied: usize,
    world: World,
}

impl Record {
    pub(super) fn new(base: World) -> Self {
        Self { base, steps: Arc::default(), marks: Arc::default() }
    }

    pub(super) fn len(&self) -> u64 {
        self.steps.len() as u64
    }

    pub(super) fn push(&mut self, step: Step) {
        Arc::make_mut(&mut self.steps).push(step);
    }

    pub(super) fn mark(&mut self, label: u64) {
        let after = self.len();
        let marks = Arc::make_mut(&mut self.marks);
        marks.after.push(after);
        marks.labels.push(label);
    }
}

impl Journal {
    pub(super) fn new(record: Record) -> Self {
        let cursor = Cursor { applied: 0, world: record.base.clone() };
        Self { record, cursor: Mutex::new(cursor) }
    }

    /// How many operations there were: the number of the last one.
    pub fn operations(&self) -> u64 {
        self.record.len()
    }

    /// The operation of this number.
    pub fn step(&self, number: u64) -> Option<&Step> {
        self.record.steps.get(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    /// The labels of the notes made before the operation after `number` began, in order: what the run knew when it stopped there at the latest.
    pub fn marks_through(&self, number: u64) -> &[u64] {
        let count = self.record.marks.after.partition_point(|after| *after <= number);
        self.record.marks.labels.get(..count).unwrap_or_default()
    }

    /// The file system that is found if everything stopped right after the operation of this number; 0 is before the first, and a number past the
    /// last stands for the last. Nobody has a lock on it or a file open, it has no failures to come and all the room there is, and its own journal
    /// is empty.
    ///
    /// The same journal, number, loss and seed give the same bytes and names. Another number gives another choice with the same seed.
    ///
    /// Asking for ascending numbers costs each operation once, and otherwise only what the stopped file system differs by; going back costs all
    /// operations from the first.
    pub fn stop_after(&self, number: u64, loss: Loss, seed: u64) -> SimulatedStorage {
        let number = number.min(self.record.len());
        let wanted = usize::try_from(number).expect("invariant: as many as are in memory");
        let mut cursor = lock(&self.cursor);
        if cursor.applied > wanted {
            *cursor = Cursor { applied: 0, world: self.record.base.clone() };
        }
        let ahead = self.record.steps.get(cursor.applied..wanted).unwrap_or_default();
        for step in ahead {
            cursor.world.apply(&step.operation);
        }
        cursor.applied = wanted;
        let found = stopped(&cursor.world, number, loss, seed);
        drop(cursor);
        SimulatedStorage::of(found)
    }
}

impl Clone for Journal {
    fn clone(&self) -> Self {
        Self { record: self.record.clone(), cursor: Mutex::new(lock(&self.cursor).clone()) }
    }
}

/// What is left of `world` if everything stops after this operation.
pub(super) fn stopped(world: &World, number: u64, loss: Loss, seed: u64) -> World {
    let mut row = SplitMix64::new(seed);
    let start = row.next() ^ number;
    world.after(loss, &mut SplitMix64::new(start))
}
