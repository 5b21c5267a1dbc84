//! The SQL functions that the engine adds; `docs/sql.md` tells users of them.

mod bitmap;
mod prop;

use std::sync::Arc;

use datafusion::execution::FunctionRegistry;

pub(crate) use bitmap::serialized;
pub(crate) use prop::PROP;

use crate::error::Result;

/// Registers them.
pub(crate) fn register(with: &mut impl FunctionRegistry) -> Result<()> {
    with.register_udf(Arc::new(prop::prop()))?;
    for function in bitmap::scalars() {
        with.register_udf(Arc::new(function))?;
    }
    for function in bitmap::aggregates() {
        with.register_udaf(Arc::new(function))?;
    }
    Ok(())
}
