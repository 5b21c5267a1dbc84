//! What a projection makes is accounted in the pool of memory, too, whichever expression made it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

use super::call::Bounded;
use super::held::{self, HELD_MIN_BYTES};
use super::{Bounds, sizes};
use crate::error::{Error, ErrorKind};
use crate::table::external;

impl Bounds {
    /// The same plan, in which what projections make takes its memory from the pool.
    pub(crate) fn held(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = plan.transform_up(|node| {
            let Some(projection) = node.downcast_ref::<ProjectionExec>() else { return Ok(Transformed::no(node)) };
            let input = Arc::clone(projection.input());
            let held = |of: &ProjectionExpr| {
                Ok(ProjectionExpr { expr: self.held_expr(&of.expr, &input.schema())?, alias: of.alias.clone() })
            };
            let exprs = projection.expr().iter().map(held).collect::<Result<Vec<_>>>()?;
            let made = ProjectionExec::try_new_with_schema_metadata(exprs, Arc::clone(&input), &projection.schema())?;
            Ok(Transformed::yes(Arc::new(made) as Arc<dyn ExecutionPlan>))
        });
        plan.data()
    }

    fn held_expr(&self, expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
        let made = Arc::clone(expr).transform_up(|part| {
            let is_bounded =
                part.downcast_ref::<ScalarFunctionExpr>().is_some_and(|call| call.fun().inner().is::<Bounded>());
            let makes_much =
                !part.children().is_empty() && !is_bounded && is_as_long_as_its_value(&part.data_type(schema)?);
            Ok(if makes_much { Transformed::yes(self.of(part)) } else { Transformed::no(part) })
        });
        let made = made.data()?;
        // A constant is written out for each row.
        let is_long =
            made.downcast_ref::<Literal>().is_some_and(|literal| is_as_long_as_its_value(&literal.value().data_type()));
        Ok(if is_long { self.of(made) } else { made })
    }

    fn of(&self, inner: Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
        Arc::new(HeldExpr { inner, bounds: self.clone() })
    }
}

/// An expression whose result is held in the pool.
struct HeldExpr {
    inner: Arc<dyn PhysicalExpr>,
    bounds: Bounds,
}

impl PhysicalExpr for HeldExpr {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.inner.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.inner.nullable(schema)
    }

    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.inner.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let reservation = || MemoryConsumer::new("what a projection makes").register(&self.bounds.pool);
        let (made, rows) = (self.inner.evaluate(batch)?, batch.num_rows());
        let is_literal = self.inner.downcast_ref::<Literal>().is_some();
        match made {
            ColumnarValue::Array(array) => Ok(ColumnarValue::Array(held::hold(array, reservation())?)),
            ColumnarValue::Scalar(scalar) if is_literal => {
                let one = sizes::bytes(&scalar.to_array()?).first().copied().unwrap_or(0);
                let all = one.saturating_mul(rows as u64);
                if all > self.bounds.limits.batch_bytes {
                    let message = format!(
                        "a constant of {one} bytes takes {all} in {rows} rows, at most {}: ask for a shorter one, or for it alone",
                        self.bounds.limits.batch_bytes
                    );
                    return Err(external(Error::new(ErrorKind::Full, message)));
                }
                let bytes = usize::try_from(all).unwrap_or(usize::MAX);
                if bytes < HELD_MIN_BYTES {
                    return Ok(ColumnarValue::Scalar(scalar));
                }
                let reservation = reservation();
                reservation.try_grow(bytes)?;
                Ok(ColumnarValue::Array(held::hold(scalar.to_array_of_size(rows)?, reservation)?))
            }
            scalar => Ok(scalar),
        }
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let inner = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.inner));
        Ok(self.bounds.of(inner))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}

impl fmt::Debug for HeldExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}

impl fmt::Display for HeldExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.inner, f)
    }
}

impl PartialEq for HeldExpr {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Eq for HeldExpr {}

impl Hash for HeldExpr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

fn is_as_long_as_its_value(kind: &DataType) -> bool {
    !matches!(kind, DataType::Null | DataType::Boolean) && kind.primitive_width().is_none()
}
