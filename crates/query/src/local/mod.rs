//! The local road: operators over decoded columns that use what the files of one machine have, their order, their rollups and dense subjects.
//!
//! A [`Part`] is a columnar file or a piece of the tail, sorted by event, subject, timestamp and sequence. A [`Run`] is what a question wants of one event in
//! one piece of a part: every row of it matters. Operators take the runs of all parts and go through the subjects in ascending order.

mod cache;
mod column;
mod few;
mod firsts;
mod ordered;
mod part;
mod people;
mod persons;
mod predicate;
mod run;
mod since;
mod sorted;
mod united;
mod units;
mod work;

pub(crate) use cache::{ColumnCache, Kept, YieldingPool};
pub(crate) use few::{Found, Whole};
pub(crate) use firsts::{First, first_rows};
pub(crate) use ordered::{Direction, Placed, first as first_placed};
pub(crate) use part::{Local, Part, Parts, Source};
pub(crate) use people::People;
pub(crate) use persons::Merged;
pub(crate) use predicate::{Predicate, Value};
pub(crate) use run::{Matches, Reads, Run, RunGroups, RunItem, RunValue, Runs, Selected, Wants};
pub(crate) use sorted::Sorted;
pub(crate) use united::UnitedCube;
pub(crate) use units::{Stretches, feed_runs};
pub(crate) use work::Work;
