//! Units that are no subjects, as numbers that windows over the rows give.

use datafusion::arrow::datatypes::DataType;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::functions_window::expr_fn::{dense_rank, lag};
use datafusion::logical_expr::expr::{Sort, WindowFunction};
use datafusion::logical_expr::{Expr, ExprFunctionExt, LogicalPlanBuilder, cast, col, lit, when};

use super::super::lowering::column;
use crate::columns::system;
use crate::error::Result;
use crate::sessions::Rule;
use crate::table::PERSON;

/// The column that holds the number of a row's unit.
const UNIT: &str = "unit_number";

/// `rows` of `events` with their sessions numbered, and the column of the number.
pub(in crate::analysis) fn of_sessions(rows: LogicalPlanBuilder) -> Result<(LogicalPlanBuilder, Expr)> {
    let (person, key) = (column(PERSON), column(system::SESSION_ID.1));
    let by = || vec![person.clone(), key.clone()];
    let order = || vec![ascending(column(system::TIMESTAMP.1)), ascending(column(system::SEQUENCE.1))];
    let us = || cast(column(system::TIMESTAMP.1), DataType::Int64);
    let before = lag(us(), Some(1), None).partition_by(by()).order_by(order()).build()?.alias("before_us");
    let rows = rows.window([before])?;
    // The events of a key are one session, however far apart.
    let is_far = col("before_us").is_null().or((us() - col("before_us")).gt(lit(Rule::default().gap_us)));
    let begins = when(key.clone().is_null().and(is_far), lit(1_i64)).otherwise(lit(0_i64))?.alias("begins");
    let rows = with_column(rows, begins)?;
    let cut = Expr::from(WindowFunction::new(sum_udaf(), vec![col("begins")]));
    let rows = rows.window([cut.partition_by(by()).order_by(order()).build()?.alias("cut")])?;
    numbered(rows, vec![person, key, col("cut")])
}

/// `rows` of `events` whose `value`, the text of a value, is not that of NULL, with their values numbered, and the column of the number.
pub(in crate::analysis) fn of_values(
    rows: LogicalPlanBuilder,
    value: Expr,
    null: &str,
) -> Result<(LogicalPlanBuilder, Expr)> {
    let rows = with_column(rows, value.alias("unit_value"))?.filter(col("unit_value").not_eq(lit(null)))?;
    numbered(rows, vec![col("unit_value")])
}

fn numbered(rows: LogicalPlanBuilder, by: Vec<Expr>) -> Result<(LogicalPlanBuilder, Expr)> {
    let rank = dense_rank().order_by(by.into_iter().map(ascending).collect()).build()?.alias(UNIT);
    Ok((rows.window([rank])?, cast(col(UNIT), DataType::UInt32)))
}

fn with_column(rows: LogicalPlanBuilder, added: Expr) -> Result<LogicalPlanBuilder> {
    let own: Vec<Expr> = rows.schema().columns().into_iter().map(Expr::Column).collect();
    Ok(rows.project(own.into_iter().chain([added]))?)
}

fn ascending(expr: Expr) -> Sort {
    expr.sort(true, true)
}
