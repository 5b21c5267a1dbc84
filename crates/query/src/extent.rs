//! How large a statement is once everything that it says by name is written out.
//!
//! `SELECT a + a AS a FROM (…)` said thirty times is a thousand letters, and a thousand million parts where a condition on `a` is moved to what it is made of; so
//! are tables of a `WITH` that are joined with themselves. A plan keeps what is named once, and whoever changes the plan goes through all of it.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result as DataFusionResult};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::sqlparser::ast::{ObjectName, Query, Visit, Visitor};

use crate::error::{Error, Result};

/// The most parts of the expressions of one step of a plan.
const PARTS_MAX: u64 = 50_000;
/// The most steps of a plan, and the most that lie above each other.
const STEPS_MAX: u64 = 10_000;
const HEIGHT_MAX: u64 = 1_000;

/// Whether the tables of a statement are within bounds: to make a plan of it takes as long as they are written out.
///
/// # Errors
/// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for one whose are not.
pub(crate) fn check_tables<T: Visit>(tree: &T) -> Result<()> {
    let mut tables = Tables { open: vec![0], ..Tables::default() };
    let ControlFlow::Continue(()) = tree.visit(&mut tables);
    too_many(tables.open.iter().copied().fold(0, u64::saturating_add), STEPS_MAX, "tables")
}

/// How many tables and queries each query has, with those of what it names.
#[derive(Default)]
struct Tables {
    /// Of the queries that are being read, the outermost first.
    open: Vec<u64>,
    /// Which name the queries of a `WITH` have.
    named: HashMap<*const Query, String>,
    /// Of each name the most.
    known: HashMap<String, u64>,
}

impl Tables {
    fn add(&mut self, count: u64) {
        if let Some(sum) = self.open.last_mut() {
            *sum = sum.saturating_add(count);
        }
    }
}

impl Visitor for Tables {
    type Break = std::convert::Infallible;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.named
            .extend(tables.map(|table| (std::ptr::from_ref(&*table.query), table.alias.name.value.to_lowercase())));
        self.open.push(1);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        let count = self.open.pop().unwrap_or(0);
        match self.named.get(&std::ptr::from_ref(query)) {
            Some(name) => {
                let known = self.known.entry(name.clone()).or_insert(0);
                *known = count.max(*known);
            }
            None => self.add(count),
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<Self::Break> {
        let name = name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.to_lowercase());
        let known = name.and_then(|name| self.known.get(&name).copied());
        self.add(known.unwrap_or(1));
        ControlFlow::Continue(())
    }
}

/// Whether a plan is within bounds.
///
/// # Errors
/// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for one that is not.
pub(crate) fn check(plan: &LogicalPlan) -> Result<()> {
    let extent = Extents::default().of(plan, 0)?;
    too_many(extent.steps, STEPS_MAX, "steps")
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
    /// The parts of what each column is made of.
    columns: Vec<u64>,
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
        let mut of_subqueries = Ok((0_u64, 0_u64));
        plan.apply_subqueries(|subquery| {
            if let Ok((steps, height)) = of_subqueries {
                // It is made for this call: what lies below it is there for longer.
                of_subqueries = self
                    .of(subquery, above + 1)
                    .map(|extent| (steps.saturating_add(extent.steps), height.max(extent.height)));
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        let (steps, height) = of_subqueries?;
        let steps = below.iter().fold(steps, |sum, input| sum.saturating_add(input.steps)).saturating_add(1);
        let height = below.iter().fold(height, |height, input| height.max(input.height)) + 1;
        too_many(above + height, HEIGHT_MAX, "steps above each other")?;
        Ok(Rc::new(Extent { steps, height, columns: columns(plan, &below)? }))
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

fn columns(plan: &LogicalPlan, below: &[Rc<Extent>]) -> Result<Vec<u64>> {
    let inputs = plan.inputs();
    let mut each = Vec::new();
    plan.apply_expressions(|expr| {
        each.push(parts(expr, &inputs, below)?);
        Ok(TreeNodeRecursion::Continue)
    })?;
    too_many(each.iter().copied().fold(0, u64::saturating_add), PARTS_MAX, "parts of an expression")?;
    let width = plan.schema().fields().len();
    let through = || below.iter().flat_map(|input| input.columns.iter().copied());
    Ok(match plan {
        LogicalPlan::Projection(_) if each.len() == width => each,
        LogicalPlan::Aggregate(aggregate) => {
            let groups = each.into_iter().take(aggregate.group_expr.len());
            groups.chain(std::iter::repeat(1)).take(width).collect()
        }
        LogicalPlan::Window(_) => through().chain(std::iter::repeat(1)).take(width).collect(),
        _ if through().count() == width => through().collect(),
        // Whichever it is made of.
        _ => vec![through().max().unwrap_or(1); width],
    })
}

fn parts(expr: &Expr, inputs: &[&LogicalPlan], below: &[Rc<Extent>]) -> DataFusionResult<u64> {
    let of_column = |schema: &DFSchema, extent: &Extent, expr: &Expr| match expr {
        Expr::Column(column) => schema.maybe_index_of_column(column).and_then(|at| extent.columns.get(at).copied()),
        _ => None,
    };
    let mut count = 0_u64;
    expr.apply(|part| {
        let made_of = inputs.iter().zip(below).find_map(|(input, extent)| of_column(input.schema(), extent, part));
        count = count.saturating_add(made_of.unwrap_or(1));
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(count)
}
