//! Functions of DataFusion's that make much of little, within bounds.
//!
//! A function makes its result at once and outside of the pool of memory: `repeat('x', 2000000000)` is two gigabytes before anybody is asked. Here what a call
//! may take is told from its arguments, taken from the pool, and refused where it is too much; the result has its memory from the pool until it is dropped.

mod amount;
mod call;
mod concatenation;
mod demand;
mod held;
mod projection;
mod series;
mod sizes;
#[cfg(test)]
mod tests;
mod types;

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::functions::core::{named_struct, r#struct};
use datafusion::logical_expr::expr::{ScalarFunction, WindowFunctionDefinition};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawDictionaryExpr};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, ScalarUDF};

use call::Bounded;
use concatenation::Concatenation;
pub(crate) use sizes::of_rows as bytes_of_rows;
pub(crate) use types::Types;

use crate::text::SQL_MAX_BYTES;

/// The most that a call may make of one row, and at a time.
const SLICE_BYTES: u64 = 64 << 20;
/// How much of the pool that is at most, as a divisor.
const SLICE_OF_POOL: u64 = 8;
/// The most that a call may make of the rows of a batch.
const BATCH_BYTES: u64 = 256 << 20;
/// The most steps that a call may take for the rows of a batch: it cannot be stopped before it has ended.
const STEPS_MAX: u64 = 1 << 31;
/// The most centroids of an approximate percentile: it has memory for all of them from the beginning.
const CENTROIDS_MAX: u64 = 10_000;

/// What calls may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limits {
    slice_bytes: u64,
    batch_bytes: u64,
    /// Of a result that is the same for all rows: no more than could be written in a statement.
    constant_bytes: u64,
    steps: u64,
}

/// Bounds of the functions of an engine.
#[derive(Clone)]
pub(crate) struct Bounds {
    limits: Limits,
    pool: Arc<dyn MemoryPool>,
}

impl Bounds {
    pub(crate) fn new(pool: &Arc<dyn MemoryPool>) -> Self {
        let of_pool = match pool.memory_limit() {
            MemoryLimit::Finite(bytes) => (bytes as u64 / SLICE_OF_POOL).max(SQL_MAX_BYTES as u64),
            _ => SLICE_BYTES,
        };
        let limits = Limits {
            slice_bytes: SLICE_BYTES.min(of_pool),
            batch_bytes: BATCH_BYTES,
            constant_bytes: SQL_MAX_BYTES as u64,
            steps: STEPS_MAX,
        };
        Self { limits, pool: Arc::clone(pool) }
    }

    /// Puts the functions of a session within these bounds.
    ///
    /// # Errors
    /// Those of the registry.
    pub(crate) fn apply(&self, state: &mut SessionState) -> Result<()> {
        let known: Vec<Arc<ScalarUDF>> = state.scalar_functions().values().cloned().collect();
        for bounded in known.iter().filter_map(|function| self.bounded(function)) {
            state.register_udf(Arc::new(bounded))?;
        }
        // They write out a value of the row for each element of a list of it.
        let of_lambdas: Vec<String> = state.higher_order_functions().keys().cloned().collect();
        for name in of_lambdas {
            state.deregister_higher_order_function(&name)?;
        }
        state.register_function_rewrite(Arc::new(self.clone()))
    }

    /// The function within these bounds; `None` for one that needs none, or is already.
    fn bounded(&self, function: &ScalarUDF) -> Option<ScalarUDF> {
        if function.inner().is::<Bounded>() {
            return None;
        }
        let rule = demand::rule(function.name())?;
        let inner = Arc::clone(function.inner());
        Some(ScalarUDF::from(Bounded { inner, rule, bounds: self.clone() }))
    }

    fn concatenation(&self, left: Expr, right: Expr) -> Expr {
        let operator = ScalarUDF::from(Concatenation::new());
        let bounded = self.bounded(&operator).unwrap_or(operator);
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(bounded), vec![left, right]))
    }
}

impl fmt::Debug for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounds").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// For what is no call of a function that was looked up by its name: operators, and what becomes of literals of lists.
impl FunctionRewrite for Bounds {
    fn name(&self) -> &str {
        "bounds"
    }

    fn rewrite(&self, expr: Expr, _: &DFSchema, _: &ConfigOptions) -> Result<Transformed<Expr>> {
        Ok(match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }) => {
                Transformed::yes(self.concatenation(*left, *right))
            }
            Expr::ScalarFunction(ScalarFunction { func, args }) => match self.bounded(&func) {
                Some(bounded) => {
                    Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(bounded), args)))
                }
                None => Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args })),
            },
            Expr::Cast(cast) => {
                types::check(cast.field.data_type())?;
                Transformed::no(Expr::Cast(cast))
            }
            Expr::TryCast(cast) => {
                types::check(cast.field.data_type())?;
                Transformed::no(Expr::TryCast(cast))
            }
            Expr::AggregateFunction(call) => {
                check_aggregate(call.func.name(), &call.params.args)?;
                Transformed::no(Expr::AggregateFunction(call))
            }
            Expr::WindowFunction(call) => {
                if let WindowFunctionDefinition::AggregateUDF(function) = &call.fun {
                    check_aggregate(function.name(), &call.params.args)?;
                }
                Transformed::no(Expr::WindowFunction(call))
            }
            other => Transformed::no(other),
        })
    }
}

/// Structs that are written as such are looked up by no name.
impl ExprPlanner for Bounds {
    fn plan_struct_literal(&self, args: Vec<Expr>, is_named: bool) -> Result<PlannerResult<Vec<Expr>>> {
        let function = if is_named { named_struct() } else { r#struct() };
        let function = self.bounded(&function).map_or(function, Arc::new);
        Ok(PlannerResult::Planned(function.call(args)))
    }

    fn plan_dictionary_literal(
        &self,
        expr: RawDictionaryExpr,
        _: &DFSchema,
    ) -> Result<PlannerResult<RawDictionaryExpr>> {
        let args = expr.keys.into_iter().zip(expr.values).flat_map(|(key, value)| [key, value]).collect();
        Ok(match self.plan_struct_literal(args, true)? {
            PlannerResult::Planned(planned) => PlannerResult::Planned(planned),
            PlannerResult::Original(args) => PlannerResult::Planned(named_struct().call(args)),
        })
    }
}

fn check_aggregate(name: &str, arguments: &[Expr]) -> Result<()> {
    let centroids = match name {
        "approx_percentile_cont" => arguments.get(2),
        "approx_percentile_cont_with_weight" => arguments.get(3),
        _ => None,
    };
    let Some(centroids) = centroids else { return Ok(()) };
    let number = match centroids {
        Expr::Literal(value, _) => value.cast_to(&DataType::UInt64).ok(),
        _ => None,
    };
    match number {
        Some(ScalarValue::UInt64(Some(number))) if number <= CENTROIDS_MAX => Ok(()),
        _ => {
            plan_err!("{name} takes the number of centroids as a literal of at most {CENTROIDS_MAX}, found {centroids}")
        }
    }
}
