//! Arguments by name in SQL: `sessions(gap => '10m')` is `sessions('{"gap": "10m"}')`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, TableFactor, UnaryOperator, Value, VisitMut, VisitorMut,
};
use serde_json::{Map, Value as Json};

use crate::error::{Error, Result};
use crate::spec::ANALYSES;

/// Puts the arguments by name of the analyses in a statement into one JSON text.
pub(crate) struct Arguments;

impl Arguments {
    /// Rewrites `tree`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for an argument that is no literal, or given twice.
    pub(crate) fn rewrite<T: VisitMut>(tree: &mut T) -> Result<()> {
        match VisitMut::visit(tree, &mut Self) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(error),
        }
    }
}

impl VisitorMut for Arguments {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<Error> {
        let TableFactor::Table { name, args: Some(args), .. } = table else { return ControlFlow::Continue(()) };
        let is_ours = ANALYSES.iter().any(|analysis| name.to_string() == *analysis);
        let is_named = |arg: &FunctionArg| !matches!(arg, FunctionArg::Unnamed(_));
        if !is_ours || !args.args.iter().any(is_named) {
            return ControlFlow::Continue(());
        }
        match fields(&args.args) {
            Ok(fields) => {
                let text = Value::SingleQuotedString(Json::Object(fields).to_string());
                args.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(text.into())))];
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

fn fields(args: &[FunctionArg]) -> Result<Map<String, Json>> {
    let mut fields = Map::new();
    for given in args {
        let FunctionArg::Named { name, arg: FunctionArgExpr::Expr(expr), .. } = given else {
            return Err(Error::invalid(format!("arguments are given by name, or all in one JSON text, found {given}")));
        };
        let value = literal(expr).ok_or_else(|| {
            Error::invalid(format!("must be a literal, a list of literals or a JSON text, found {expr}"))
                .on(&name.value)
        })?;
        if fields.insert(name.value.clone(), value).is_some() {
            return Err(Error::invalid("is given twice").on(&name.value));
        }
    }
    Ok(fields)
}

/// The JSON value of a literal; a text that is a JSON object stands for the object.
fn literal(expr: &Expr) -> Option<Json> {
    match expr {
        Expr::Value(value) => Some(match &value.value {
            Value::SingleQuotedString(text) if text.trim_start().starts_with('{') => serde_json::from_str(text).ok()?,
            Value::SingleQuotedString(text) => Json::String(text.clone()),
            Value::Number(number, _) => serde_json::from_str(&number.to_string()).ok()?,
            Value::Boolean(value) => Json::Bool(*value),
            Value::Null => Json::Null,
            _ => return None,
        }),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match literal(expr)? {
            Json::Number(number) => serde_json::from_str(&format!("-{number}")).ok(),
            _ => None,
        },
        Expr::Array(array) => array.elem.iter().map(literal).collect::<Option<Vec<_>>>().map(Json::Array),
        _ => None,
    }
}
