//! How large a statement is once everything that it says by name is written out.
//!
//! `SELECT a + a AS a FROM (…)` said thirty times is a thousand letters, and a thousand million parts where a condition on `a` is moved to what it is made of; so
//! are tables of a `WITH` that are joined with themselves. A plan keeps what is named once, and whoever changes the plan goes through all of it.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result as DataFusionResult};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, GroupByExpr, ObjectName, Query, Select, TableFactor, TableWithJoins, Visit, Visitor,
};

use crate::error::{Error, Result};

/// The most parts of the expressions of one step of a plan.
const PARTS_MAX: u64 = 50_000;
/// The most steps of a plan, and the most that lie above each other.
const STEPS_MAX: u64 = 10_000;
const HEIGHT_MAX: u64 = 1_000;
/// The most fields that are looked through for the columns that a plan names: each is sought among all that its step is given, in every pass over the plan.
/// Of 4 million a plan takes a third of a second.
const LOOKUPS_MAX: u64 = 400_000_000;
/// The most subqueries in conditions and columns inside each other: each doubles how often the innermost is gone through.
const SUBQUERIES_DEPTH_MAX: u64 = 10;
/// The most tables of one `FROM`, and the most pipe operators of a query, each of which may be a join: the time to join them in a plan grows with the cube of their number.
const JOINED_MAX: u64 = 64;
/// The most columns that the groupings of one `GROUP BY` have together: a `CUBE` of 12 columns groups by 4,096 subsets of them.
const GROUPED_MAX: u64 = 100_000;
/// How deep an expression may be. It is evaluated part below part, on threads of tokio: their 2 MiB last for 500 where nothing is optimised, and for more than
/// a statement can say where it is.
const DEPTH_MAX: u64 = 475;

/// Whether the tables of a statement are within bounds: to make a plan of it takes as long as they are written out.
///
/// # Errors
/// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for one whose are not.
pub(crate) fn check_tables<T: Visit>(tree: &T) -> Result<()> {
    // The statement itself is one, beside the queries in it.
    let mut tables = Tables { open: vec![Open::default()], ..Tables::default() };
    if let ControlFlow::Break(error) = tree.visit(&mut tables) {
        return Err(error);
    }
    tables.open.pop().unwrap_or_default().extent.check()
}

/// What the queries of a statement have, with what they name.
#[derive(Default)]
struct Tables {
    /// Those that are being read, the outermost first.
    open: Vec<Open>,
    /// Which name the queries of a `WITH` have.
    named: HashMap<*const Query, String>,
    /// Of each name the most.
    known: HashMap<String, OfTables>,
}

#[derive(Default)]
struct Open {
    extent: OfTables,
    /// Expressions of its own that are being read: a query in one of them is a subquery.
    expressions: usize,
}

#[derive(Default, Clone, Copy)]
struct OfTables {
    /// Tables and queries.
    tables: u64,
    /// Subqueries inside each other.
    depth: u64,
}

impl OfTables {
    fn check(self) -> Result<()> {
        at_most(self.depth, SUBQUERIES_DEPTH_MAX, "the statement has", "subqueries inside each other")?;
        too_many(self.tables, STEPS_MAX, "tables")
    }
}

impl Tables {
    fn add(&mut self, more: OfTables) {
        if let Some(Open { extent, .. }) = self.open.last_mut() {
            extent.tables = extent.tables.saturating_add(more.tables);
            extent.depth = extent.depth.max(more.depth);
        }
    }
}

impl Visitor for Tables {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.named
            .extend(tables.map(|table| (std::ptr::from_ref(&*table.query), table.alias.name.value.to_lowercase())));
        self.open.push(Open { extent: OfTables { tables: 1, depth: 0 }, expressions: 0 });
        // Each of them may be a join.
        ends(at_most(query.pipe_operators.len() as u64, JOINED_MAX, "a query has", "pipe operators"))
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        let mut extent = self.open.pop().unwrap_or_default().extent;
        // Also of a table that nobody names: it is planned all the same.
        if let Err(error) = extent.check() {
            return ControlFlow::Break(error);
        }
        match self.named.get(&std::ptr::from_ref(query)) {
            Some(name) => {
                let known = self.known.entry(name.clone()).or_default();
                known.tables = known.tables.max(extent.tables);
                known.depth = known.depth.max(extent.depth);
            }
            None => {
                if self.open.last().is_some_and(|above| above.expressions > 0) {
                    extent.depth += 1;
                    extent.tables = extent.tables.saturating_mul(2);
                }
                self.add(extent);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<Self::Break> {
        let name = name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.to_lowercase());
        let known = name.and_then(|name| self.known.get(&name).copied());
        self.add(known.unwrap_or(OfTables { tables: 1, depth: 0 }));
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Self::Break> {
        let joined = select.from.iter().map(joined).sum();
        ends(at_most(joined, JOINED_MAX, "a FROM joins", "tables").and_then(|()| {
            at_most(grouped(&select.group_by), GROUPED_MAX, "a GROUP BY has", "columns in all of its groupings")
        }))
    }

    fn pre_visit_expr(&mut self, _: &SqlExpr) -> ControlFlow<Self::Break> {
        if let Some(open) = self.open.last_mut() {
            open.expressions += 1;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _: &SqlExpr) -> ControlFlow<Self::Break> {
        if let Some(open) = self.open.last_mut() {
            open.expressions -= 1;
        }
        ControlFlow::Continue(())
    }
}

fn joined(tables: &TableWithJoins) -> u64 {
    std::iter::once(&tables.relation)
        .chain(tables.joins.iter().map(|join| &join.relation))
        .map(|table| match table {
            TableFactor::NestedJoin { table_with_joins, .. } => joined(table_with_joins),
            _ => 1,
        })
        .sum()
}

/// How many columns a `GROUP BY` has with all of its groupings written out: each of one expression with each of the others.
fn grouped(group_by: &GroupByExpr) -> u64 {
    let GroupByExpr::Expressions(expressions, _) = group_by else { return 0 };
    let (mut groupings, mut columns) = (1_u64, 0_u64);
    for expression in expressions {
        let (more, of) = match expression {
            SqlExpr::Cube(parts) => (1_u64.checked_shl(parts.len() as u32).unwrap_or(u64::MAX), parts),
            SqlExpr::Rollup(parts) => (parts.len() as u64 + 1, parts),
            SqlExpr::GroupingSets(parts) => (parts.len() as u64, parts),
            _ => {
                columns += 1;
                continue;
            }
        };
        groupings = groupings.saturating_mul(more.max(1));
        columns = columns.saturating_add(of.iter().map(|part| part.len() as u64).sum());
    }
    groupings.saturating_mul(columns)
}

fn at_most(found: u64, most: u64, has: &str, what: &str) -> Result<()> {
    if found <= most {
        return Ok(());
    }
    Err(Error::invalid(format!("{has} {found} {what}, at most {most} are allowed")))
}

fn ends(checked: Result<()>) -> ControlFlow<Error> {
    match checked {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}

/// Whether a plan is within bounds.
///
/// # Errors
/// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for one that is not.
pub(crate) fn check(plan: &LogicalPlan) -> Result<()> {
    let extent = Extents::default().of(plan, 0)?;
    too_many(extent.steps, STEPS_MAX, "steps")?;
    too_many(extent.lookups, LOOKUPS_MAX, "fields to look through for its columns")
}

fn too_many(found: u64, most: u64, what: &str) -> Result<()> {
    if found <= most {
        return Ok(());
    }
    let found = if found == u64::MAX { "very many".to_owned() } else { found.to_string() };
    Err(Error::invalid(format!(
        "with everything written out that it says by name the statement has {found} {what}, at most {most}: use what it names less often"
    )))
}

/// Of a step with all below it.
struct Extent {
    steps: u64,
    height: u64,
    /// The fields that are looked through for the columns it names.
    lookups: u64,
    /// What each column is made of.
    columns: Vec<Made>,
}

/// How large an expression is once what its columns are made of is written out.
#[derive(Clone, Copy)]
struct Made {
    parts: u64,
    depth: u64,
}

impl Made {
    const ONE: Self = Self { parts: 1, depth: 1 };

    fn larger(self, other: Self) -> Self {
        Self { parts: self.parts.max(other.parts), depth: self.depth.max(other.depth) }
    }
}

/// By where the step lies: what a statement names is there once.
#[derive(Default)]
struct Extents(HashMap<*const LogicalPlan, Rc<Extent>>);

impl Extents {
    fn of(&mut self, plan: &LogicalPlan, above: u64) -> Result<Rc<Extent>> {
        too_many(above, HEIGHT_MAX, "steps above each other")?;
        let mut below = Vec::new();
        for input in plan.inputs() {
            below.push(self.known(input, above + 1)?);
        }
        let mut of_subqueries = Ok(Vec::new());
        plan.apply_subqueries(|subquery| {
            if let Ok(found) = &mut of_subqueries {
                // It is made for this call: what lies below it is there for longer.
                match self.of(subquery, above + 1) {
                    Ok(extent) => found.push(extent),
                    Err(error) => of_subqueries = Err(error),
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        let (columns, named) = columns(plan, &below)?;
        let fields = below.iter().map(|input| input.columns.len() as u64).fold(0, u64::saturating_add);
        let of_subqueries = of_subqueries?;
        let all = || below.iter().chain(&of_subqueries);
        let steps = all().fold(1_u64, |sum, other| sum.saturating_add(other.steps));
        let height = all().map(|other| other.height).max().unwrap_or(0) + 1;
        let lookups = all().fold(named.saturating_mul(fields), |sum, other| sum.saturating_add(other.lookups));
        too_many(above + height, HEIGHT_MAX, "steps above each other")?;
        Ok(Rc::new(Extent { steps, height, lookups, columns }))
    }

    fn known(&mut self, plan: &LogicalPlan, above: u64) -> Result<Rc<Extent>> {
        if let Some(known) = self.0.get(&std::ptr::from_ref(plan)) {
            too_many(above + known.height, HEIGHT_MAX, "steps above each other")?;
            return Ok(Rc::clone(known));
        }
        let extent = self.of(plan, above)?;
        self.0.insert(plan, Rc::clone(&extent));
        Ok(extent)
    }
}

/// What each column of a step is made of, and how often the step names a column.
fn columns(plan: &LogicalPlan, below: &[Rc<Extent>]) -> Result<(Vec<Made>, u64)> {
    let inputs = plan.inputs();
    let (mut each, mut named) = (Vec::new(), 0);
    plan.apply_expressions(|expr| {
        each.push(made(expr, &inputs, below, &mut named)?);
        Ok(TreeNodeRecursion::Continue)
    })?;
    too_many(each.iter().map(|made| made.parts).fold(0, u64::saturating_add), PARTS_MAX, "parts of an expression")?;
    let deepest = each.iter().map(|made| made.depth).max().unwrap_or(0);
    too_many(deepest, DEPTH_MAX, "parts of an expression inside each other")?;
    let width = plan.schema().fields().len();
    let through = || below.iter().flat_map(|input| input.columns.iter().copied());
    let columns = match plan {
        LogicalPlan::Projection(_) if each.len() == width => each,
        LogicalPlan::Aggregate(aggregate) => {
            let groups = each.into_iter().take(aggregate.group_expr.len());
            groups.chain(std::iter::repeat(Made::ONE)).take(width).collect()
        }
        LogicalPlan::Window(_) => through().chain(std::iter::repeat(Made::ONE)).take(width).collect(),
        _ if through().count() == width => through().collect(),
        // Whichever it is made of.
        _ => vec![through().fold(Made::ONE, Made::larger); width],
    };
    Ok((columns, named))
}

/// An expression with what its columns are made of; each that it names is added to `named`.
fn made(expr: &Expr, inputs: &[&LogicalPlan], below: &[Rc<Extent>], named: &mut u64) -> DataFusionResult<Made> {
    let of_column = |schema: &DFSchema, extent: &Extent, column: &Column| {
        schema.maybe_index_of_column(column).and_then(|at| extent.columns.get(at).copied())
    };
    if let Expr::Column(column) = expr {
        *named += 1;
        let found = inputs.iter().zip(below).find_map(|(input, extent)| of_column(input.schema(), extent, column));
        return Ok(found.unwrap_or(Made::ONE));
    }
    let mut whole = Made::ONE;
    expr.apply_children(|part| {
        let of_part = made(part, inputs, below, named)?;
        whole.parts = whole.parts.saturating_add(of_part.parts);
        whole.depth = whole.depth.max(of_part.depth + 1);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use super::*;

    #[tokio::test]
    async fn columns_that_are_handed_on_are_looked_up_among_all_fields_at_each_step() {
        let lookups = async |statement: &str| {
            let plan = SessionContext::new().state().create_logical_plan(statement).await.expect("it is planned");
            Extents::default().of(&plan, 0).expect("it is within bounds").lookups
        };
        let columns = "SELECT 1 AS a, 2 AS b, 3 AS c";
        assert_eq!(lookups(columns).await, 0);
        assert_eq!(lookups(&format!("SELECT * FROM ({columns})")).await, 9);
        assert_eq!(lookups(&format!("SELECT * FROM (SELECT * FROM ({columns}))")).await, 18);
        // What is named once and used twice is gone through twice.
        let twice = format!("WITH t AS (SELECT a, b FROM ({columns})) SELECT x.a FROM t x JOIN t y ON x.b = y.b");
        assert_eq!(lookups(&twice).await, 2 * (2 * 3) + 2 * 4 + 4);
        assert!(too_many(LOOKUPS_MAX + 1, LOOKUPS_MAX, "fields").is_err());
    }
}
