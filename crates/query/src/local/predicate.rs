//! Expressions over decoded columns: on the values of a column in codes, not on its rows.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column as ColumnName, DFSchema};
use datafusion::execution::SessionState;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, Volatility};
use datafusion::physical_expr::PhysicalExpr;

use super::column::Column;
use super::part::{Local, Part};
use crate::columns::{EventSchema, system};
use crate::error::Result;
use crate::functions::{IN_SEGMENT, PROFILE, PROFILE_AT};
use crate::table::PERSON;

/// Columns that find rows rather than describe them.
const KEYS: [&str; 6] = [
    system::SEQUENCE.1,
    system::SUBJECT.1,
    system::TIMESTAMP.1,
    system::RECEIVED_AT.1,
    system::MESSAGE_ID.1,
    system::SESSION_ID.1,
];

/// A boolean over events.
#[derive(Debug)]
pub(crate) struct Predicate {
    /// All of these hold.
    conjuncts: Vec<Value>,
}

/// An expression over events.
#[derive(Debug)]
pub(crate) struct Value {
    expr: Arc<dyn PhysicalExpr>,
    /// The stored columns that it reads, by place, in the order of `schema`.
    inputs: Vec<usize>,
    schema: SchemaRef,
}

/// Rows of one piece of a part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'a> {
    pub(crate) local: &'a Local,
    pub(crate) part: &'a Part,
    pub(crate) group: usize,
    pub(crate) start: usize,
    pub(crate) rows: usize,
}

impl Piece<'_> {
    pub(crate) fn column(&self, place: usize) -> Result<Column> {
        Ok(self.local.column(&self.part.source, self.group, place)?)
    }

    /// The rows of a column as an array.
    pub(crate) fn array(&self, place: usize) -> Result<ArrayRef> {
        Ok(self.column(place)?.slice(self.start, self.rows, self.local.kind(place))?)
    }
}

impl Predicate {
    /// `None` for one that reads what only the scan makes.
    pub(crate) fn of(
        state: &SessionState,
        events: &DFSchema,
        columns: &EventSchema,
        expr: &Expr,
    ) -> Result<Option<Self>> {
        let conjuncts = split_conjunction(expr).into_iter().map(|part| Value::of(state, events, columns, part));
        let conjuncts: Option<Vec<Value>> = conjuncts.collect::<Result<_>>()?;
        Ok(conjuncts.map(|conjuncts| Self { conjuncts }))
    }

    /// Which rows it is true for.
    pub(crate) fn rows(&self, piece: Piece<'_>) -> Result<BooleanBuffer> {
        let mut all: Option<BooleanBuffer> = None;
        for conjunct in &self.conjuncts {
            let own = conjunct.rows(piece)?;
            all = Some(match all {
                Some(all) => &all & &own,
                None => own,
            });
        }
        Ok(all.unwrap_or_else(|| BooleanBuffer::new_set(piece.rows)))
    }
}

impl Predicate {
    /// The stored columns that it reads, by place.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = usize> {
        self.conjuncts.iter().flat_map(|conjunct| conjunct.inputs.iter().copied())
    }

    /// Which of some rows it is true for; `column` gives the columns that it reads.
    pub(crate) fn of_values(&self, rows: usize, column: impl Fn(usize) -> ArrayRef) -> Result<BooleanBuffer> {
        let mut all = BooleanBuffer::new_set(rows);
        for conjunct in &self.conjuncts {
            let columns = conjunct.inputs.iter().map(|place| column(*place)).collect();
            all = &all & &true_rows(&conjunct.evaluate(columns, rows)?);
        }
        Ok(all)
    }
}

impl Value {
    /// `None` for one that reads what only the scan makes.
    pub(crate) fn of(
        state: &SessionState,
        events: &DFSchema,
        columns: &EventSchema,
        expr: &Expr,
    ) -> Result<Option<Self>> {
        // What is the same for all of a query only its plan knows.
        let is_stable = |expr: &Expr| {
            Ok(matches!(expr, Expr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable))
        };
        if expr.exists(is_stable)? {
            return Ok(None);
        }
        let Some(expr) = by_subject(expr)? else { return Ok(None) };
        let mut names: Vec<&str> = expr.column_refs().into_iter().map(|column| column.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let mut inputs = Vec::with_capacity(names.len());
        let mut fields = Vec::with_capacity(names.len());
        for name in names {
            let Ok(place) = columns.arrow().index_of(name) else { return Ok(None) };
            inputs.push(place);
            let (qualifier, field) = events.qualified_field_with_unqualified_name(name)?;
            fields.push((qualifier.cloned(), Arc::clone(field)));
        }
        let schema = DFSchema::new_with_metadata(fields, std::collections::HashMap::new())?;
        let expr = state.create_physical_expr(expr, &schema)?;
        let schema = Arc::new(Schema::new(schema.fields().clone()));
        Ok(Some(Self { expr, inputs, schema }))
    }

    fn evaluate(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<ArrayRef> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(datafusion::error::DataFusionError::from)?;
        Ok(self.expr.evaluate(&batch)?.into_array(rows)?)
    }

    /// Its value for each row.
    pub(crate) fn array(&self, piece: Piece<'_>) -> Result<ArrayRef> {
        let columns = self.inputs.iter().map(|place| piece.array(*place));
        self.evaluate(columns.collect::<Result<_>>()?, piece.rows)
    }

    fn rows(&self, piece: Piece<'_>) -> Result<BooleanBuffer> {
        match self.inputs.as_slice() {
            [] => {
                let one = self.evaluate(Vec::new(), 1)?;
                let holds = true_rows(&one).value(0);
                Ok(if holds { BooleanBuffer::new_set(piece.rows) } else { BooleanBuffer::new_unset(piece.rows) })
            }
            [place] => match piece.column(*place)? {
                // The expression is a function of the value: what it is for each value it is for each row.
                Column::Coded(coded) => {
                    let of_values = self.evaluate(vec![Arc::clone(&coded.values)], coded.values.len())?;
                    let wanted: Vec<bool> = true_rows(&of_values).iter().collect();
                    Ok(coded.rows_of(&wanted, piece.start, piece.rows))
                }
                column => {
                    let array = column.slice(piece.start, piece.rows, piece.local.kind(*place))?;
                    Ok(true_rows(&self.evaluate(vec![array], piece.rows)?))
                }
            },
            _ => Ok(true_rows(&self.array(piece)?)),
        }
    }
}

/// The same expression, what it says of persons said of the person of the subject; `None` for one that reads one of [`KEYS`] besides.
fn by_subject(expr: &Expr) -> Result<Option<Expr>> {
    let is_of_person = |expr: &Expr| matches!(expr, Expr::ScalarFunction(call) if [PROFILE, PROFILE_AT, IN_SEGMENT].contains(&call.func.name()));
    let mut keys = false;
    expr.apply(|part| {
        if is_of_person(part) {
            return Ok(TreeNodeRecursion::Jump);
        }
        // Few rows have a certain one of these, and a scan knows which pages they are on.
        keys |= matches!(part, Expr::Column(column) if KEYS.contains(&column.name.as_str()));
        Ok(TreeNodeRecursion::Continue)
    })?;
    if keys {
        return Ok(None);
    }
    let renamed = expr.clone().transform(|part| {
        if !is_of_person(&part) {
            return Ok(Transformed::no(part));
        }
        part.map_children(|argument| {
            Ok(match argument {
                Expr::Column(column) if column.name == PERSON => {
                    Transformed::yes(Expr::Column(ColumnName::new(column.relation, system::SUBJECT.1)))
                }
                other => Transformed::no(other),
            })
        })
    })?;
    Ok(Some(renamed.data))
}

/// NULL is not a match.
fn true_rows(array: &ArrayRef) -> BooleanBuffer {
    if *array.data_type() == DataType::Null {
        return BooleanBuffer::new_unset(array.len());
    }
    let booleans = array.as_boolean();
    match booleans.nulls() {
        Some(valid) => booleans.values() & valid.inner(),
        None => booleans.values().clone(),
    }
}
