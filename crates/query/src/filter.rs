//! Filters and breakdown expressions: one SQL expression over an event.

use std::ops::ControlFlow;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, ExprSchemable, Volatility, lit};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, ExprWithAlias, Function, Query, Spanned, Visit, Visitor};

use crate::error::{Error, Result};
use crate::functions::PROP;
use crate::names::{Names, Unknown, Vocabulary};
use crate::text::Text;

/// Checks that a text is one SQL expression without a subquery and nothing more, so that it can stand in parentheses, on lines of its own, within a statement. Names and types are not looked at.
///
/// # Errors
/// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for anything else, and for a text of more than 64 KiB, with the place.
///
/// ```
/// use pugmark_query::check_filter;
/// assert!(check_filter("country = 'US' -- and no other").is_ok());
/// assert!(check_filter("true) UNION SELECT (1").is_err());
/// assert!(check_filter("country IN (SELECT country FROM events)").is_err());
/// ```
pub fn check_filter(text: &str) -> Result<()> {
    let text = Text::new(text, "filter");
    match Visit::visit(&text.expression()?, &mut Subqueries(text)) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// Refuses subqueries.
struct Subqueries<'a>(Text<'a>);

impl Subqueries<'_> {
    fn refuse(&self, query: &Query) -> ControlFlow<Error> {
        let error = Error::invalid("an expression over events may not contain a subquery");
        ControlFlow::Break(self.0.placed(error, query.span().start))
    }
}

impl Visitor for Subqueries<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        self.refuse(query)
    }
}

/// Reads SQL expressions over the columns of one snapshot and gathers what the asker should know.
pub(crate) struct Expressions<'a> {
    state: &'a SessionState,
    known: Vocabulary<'a>,
    schema: &'a DFSchema,
    strict: bool,
    warnings: Vec<String>,
}

impl<'a> Expressions<'a> {
    /// With `strict`, a name never seen is an error and no warning.
    pub(crate) fn new(state: &'a SessionState, known: Vocabulary<'a>, schema: &'a DFSchema, strict: bool) -> Self {
        Self { state, known, schema, strict, warnings: Vec::new() }
    }

    /// What has been found worth saying so far, each once.
    pub(crate) fn into_warnings(self) -> Vec<String> {
        self.warnings
    }

    /// Adds what the asker should know, once.
    pub(crate) fn warn(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Reads a filter: a boolean that is never NULL, so that NULL is not a match. `field` is its path in the question.
    pub(crate) fn filter(&mut self, text: &str, field: &str) -> Result<Expr> {
        let expr = self.read(Text::new(text, "filter"), field, Names::new)?;
        self.boolean(expr, field)
    }

    /// Reads a filter over the traits of a person; the schema has the column `person` alone.
    pub(crate) fn traits(&mut self, text: &str, field: &str) -> Result<Expr> {
        let expr = self.read(Text::new(text, "filter"), field, Names::of_traits)?;
        self.boolean(expr, field)
    }

    fn boolean(&self, expr: Expr, field: &str) -> Result<Expr> {
        let found = expr.get_type(self.schema).map_err(|error| Error::from(error).on(field))?;
        match found {
            DataType::Boolean => Ok(expr),
            DataType::Null => Ok(lit(ScalarValue::Boolean(None))),
            other => Err(Error::invalid(format!("a filter must be true or false, but this is of type {other}"))
                .on(field)
                .at(0)),
        }
    }

    /// Reads an expression of whatever type, for a breakdown.
    pub(crate) fn value(&mut self, text: &str, field: &str) -> Result<Expr> {
        self.read(Text::new(text, "expression"), field, Names::new)
    }

    fn read<'t>(
        &mut self,
        text: Text<'t>,
        field: &str,
        names: impl FnOnce(Vocabulary<'t>, Unknown, Text<'t>) -> Names<'t>,
    ) -> Result<Expr>
    where
        'a: 't,
    {
        let mut tree = text.expression().map_err(|error| error.on(field))?;
        let mut refusals = Refusals { state: self.state, text };
        if let ControlFlow::Break(error) = Visit::visit(&tree, &mut refusals) {
            return Err(error.on(field));
        }
        let unknown = if self.strict { Unknown::Refuse } else { Unknown::Null };
        let warnings = names(self.known, unknown, text).rewrite(&mut tree).map_err(|error| error.on(field))?;
        let expr = self.plan(tree).map_err(|error| error.on(field))?;
        warnings.into_iter().for_each(|warning| self.warn(warning));
        Ok(expr)
    }

    fn plan(&self, tree: SqlExpr) -> Result<Expr> {
        let tree = ExprWithAlias { expr: tree, alias: None };
        let expr = self.state.create_logical_expr_from_sql_expr(tree, self.schema)?;
        // Types are checked here, where the field is known, and not when the whole plan is made.
        self.state.create_physical_expr(expr.clone(), self.schema)?;
        Ok(expr)
    }
}

/// Refuses what an expression over one event may not contain.
struct Refusals<'a> {
    state: &'a SessionState,
    text: Text<'a>,
}

impl Refusals<'_> {
    fn refuse(&self, what: &str, place: &impl Spanned) -> ControlFlow<Error> {
        let error = Error::invalid(format!("an expression over events may not contain {what}"));
        ControlFlow::Break(self.text.placed(error, place.span().start))
    }

    fn function(&self, function: &Function) -> ControlFlow<Error> {
        let name = match function.name.0.as_slice() {
            [part] => part.as_ident().map(|ident| ident.value.to_lowercase()),
            _ => None,
        };
        let Some(name) = name else { return self.refuse("a qualified function", &function.name) };
        if function.over.is_some() || self.state.window_functions().contains_key(&name) {
            return self.refuse("a window function", &function.name);
        }
        if name == PROP {
            return ControlFlow::Continue(());
        }
        match self.state.scalar_functions().get(&name) {
            Some(known) if known.signature().volatility == Volatility::Volatile => {
                self.refuse("a function whose value changes from call to call", &function.name)
            }
            Some(_) => ControlFlow::Continue(()),
            None if self.state.aggregate_functions().contains_key(&name) => {
                self.refuse("an aggregate function", &function.name)
            }
            None => {
                let known = self.state.scalar_functions().keys().map(String::as_str);
                let error = Error::invalid(format!("there is no function \"{name}\""))
                    .nearest_names(pugmark_registry::nearest(&name, known));
                ControlFlow::Break(self.text.placed(error, function.name.span().start))
            }
        }
    }
}

impl Visitor for Refusals<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        Subqueries(self.text).refuse(query)
    }

    fn pre_visit_expr(&mut self, expr: &SqlExpr) -> ControlFlow<Error> {
        match expr {
            SqlExpr::Function(function) => self.function(function),
            SqlExpr::Wildcard(_) | SqlExpr::QualifiedWildcard(..) => self.refuse("*", expr),
            _ => ControlFlow::Continue(()),
        }
    }
}
