//! The SQL functions that the engine adds; `docs/sql.md` tells users of them.

mod at_end;
mod bitmap;
mod bounded;
mod calendar;
mod funnel;
mod group_profile;
mod history;
mod in_segment;
mod last;
mod paths;
mod pattern;
mod profile;
mod prop;
mod retention;
mod sequence;
mod sum;
mod values;

use std::sync::Arc;

use datafusion::execution::FunctionRegistry;
use datafusion::execution::memory_pool::{MemoryPool, UnboundedMemoryPool};

pub(crate) use at_end::{FIRST_HOLDS, LAST_HOLDS};
pub(crate) use bitmap::serialized;
pub(crate) use bounded::{Bounds, Types, bytes_of_rows};
pub(crate) use calendar::{CALENDAR_BUCKET, word_of};
pub(crate) use funnel::{FUNNEL_ATTEMPTS, question as funnel_question};
pub(crate) use group_profile::GROUP_PROFILE;
pub(crate) use in_segment::{IN_SEGMENT, in_segment};
pub(crate) use paths::{UNIT_PATHS, question as paths_question};
pub(crate) use profile::{PROFILE, PROFILE_AT};
pub(crate) use prop::PROP;
pub(crate) use retention::{RETENTION_CELLS, cells_type as retention_cells_type, question as retention_question};
pub(crate) use sum::EXACT_SUM;
pub(crate) use values::{BREAKDOWN_VALUES, NULL_VALUE, PROPERTY_NUMBER, name_literal, read_values};

use crate::engine::QuerySnapshot;
use crate::error::Result;
use crate::local::ColumnCache;

/// Registers the functions that pugmark's SQL and plans use with a session of DataFusion's, in which a [`PortablePlan`](crate::PortablePlan) over the snapshot can
/// then run. Those of profiles are of this snapshot.
///
/// # Errors
/// Those of the registry.
pub fn register_functions(with: &mut dyn FunctionRegistry, snapshot: &QuerySnapshot) -> Result<()> {
    register_common(with)?;
    let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
    register_profiles(with, snapshot, &pool, None)
}

/// Registers the functions over the traits of people and groups of a snapshot. What they make of them is of `pool`, where `cache` does not keep it.
pub(crate) fn register_profiles(
    with: &mut dyn FunctionRegistry,
    snapshot: &QuerySnapshot,
    pool: &Arc<dyn MemoryPool>,
    cache: Option<&Arc<ColumnCache>>,
) -> Result<()> {
    for function in profile::scalars(snapshot, pool, cache) {
        with.register_udf(Arc::new(function))?;
    }
    with.register_udf(Arc::new(group_profile::scalar(snapshot)))?;
    Ok(())
}

/// Registers the functions that are the same for every snapshot.
pub(crate) fn register_common(with: &mut dyn FunctionRegistry) -> Result<()> {
    let scalars = [prop::prop(), calendar::scalar()].into_iter().chain(bitmap::scalars()).chain(values::scalars());
    for function in scalars {
        with.register_udf(Arc::new(function))?;
    }
    let aggregates = [sum::aggregate()].into_iter().chain(bitmap::aggregates());
    let aggregates = aggregates.chain(funnel::aggregates()).chain(retention::aggregates()).chain([paths::aggregate()]);
    for function in aggregates.chain(sequence::aggregates()).chain(at_end::aggregates()) {
        with.register_udaf(Arc::new(function))?;
    }
    Ok(())
}
