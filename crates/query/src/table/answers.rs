//! Analyses in SQL: `funnel('{…}')` and the like are tables of their answers, `sessions('{…}')` is one of sessions.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{exec_datafusion_err, plan_datafusion_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream;
use serde_json::{Value, json};

use super::{SessionsTable, external};
use crate::engine::{Engine, QuerySnapshot};
use crate::error::Error;
use crate::spec::{Analysis, ColumnKind, Query};

/// The table function of one analysis.
pub(crate) struct AnswerFunction {
    name: &'static str,
    engine: Engine,
    snapshot: QuerySnapshot,
}

impl AnswerFunction {
    /// Of the analysis called `name`, over a snapshot.
    pub(crate) fn new(name: &'static str, engine: &Engine, snapshot: &QuerySnapshot) -> Self {
        Self { name, engine: engine.clone(), snapshot: snapshot.clone() }
    }

    fn question(&self, args: &[Expr]) -> std::result::Result<Query, Error> {
        let name = self.name;
        let text = match args {
            [] => "{}",
            [Expr::Literal(value, _)] => value.try_as_str().flatten().unwrap_or_default(),
            _ => "",
        };
        let fields: Value = serde_json::from_str(text).map_err(|error| {
            Error::invalid(format!("{name} takes its question as one JSON text, as in {name}('{{…}}'): {error}"))
        })?;
        let mut query = Query::from_value(&json!({ name: fields }))?;
        if query.analysis.scope().compare.is_some() {
            let message = "a table answers over one range: ask for the earlier one in a table of its own";
            return Err(Error::unsupported(message).on("compare"));
        }
        // As everywhere in SQL, what was never seen is an error.
        query.strict_names = true;
        Ok(query)
    }
}

impl fmt::Debug for AnswerFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerFunction").field("name", &self.name).finish_non_exhaustive()
    }
}

impl TableFunctionImpl for AnswerFunction {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let query = self.question(args.exprs()).map_err(external)?;
        if let Analysis::Sessions(sessions) = query.analysis {
            let (name, field) = (self.name, if sessions.rows { "rows" } else { "interval" });
            if sessions.rows || sessions.interval.is_some() {
                let message = format!("{name} in SQL has a row for each session: aggregate them with GROUP BY");
                return Err(external(Error::invalid(message).on(field)));
            }
            if !sessions.scope.segments.is_empty() {
                let message = format!("{name} in SQL is of one segment: ask for each in a table of its own");
                return Err(external(Error::unsupported(message).on("segment")));
            }
            if !sessions.scope.unit.is_of_subjects() {
                let message = format!("{name} in SQL is of persons or distinct ids");
                return Err(external(Error::unsupported(message).on("unit")));
            }
            return Ok(Arc::new(SessionsTable::new(&self.engine, &self.snapshot, sessions)));
        }
        let fields = query.analysis.columns().into_iter().map(|(name, kind)| Field::new(name, kind.data_type(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let (engine, snapshot) = (self.engine.clone(), self.snapshot.clone());
        let answer = Answer { query: Arc::new(query), engine, snapshot, schema: Arc::clone(&schema) };
        Ok(Arc::new(StreamingTable::try_new(schema, vec![Arc::new(answer)])?))
    }
}

impl ColumnKind {
    fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Count => DataType::Int64,
            Self::Number => DataType::Float64,
            Self::Bool => DataType::Boolean,
        }
    }

    fn array(self, values: &[&Value]) -> ArrayRef {
        let text = |value: &&Value| match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        match self {
            Self::Text => Arc::new(values.iter().map(text).collect::<StringArray>()),
            Self::Count => Arc::new(values.iter().map(|value| value.as_i64()).collect::<Int64Array>()),
            Self::Number => Arc::new(values.iter().map(|value| value.as_f64()).collect::<Float64Array>()),
            Self::Bool => Arc::new(values.iter().map(|value| value.as_bool()).collect::<BooleanArray>()),
        }
    }
}

/// The rows of an answer; it is asked for when they are read.
struct Answer {
    query: Arc<Query>,
    engine: Engine,
    snapshot: QuerySnapshot,
    schema: SchemaRef,
}

/// Shown by `EXPLAIN`.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let question = serde_json::to_string(&self.query.analysis).unwrap_or_default();
        write!(f, "answer: {question}")
    }
}

impl PartitionStream for Answer {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let Self { query, engine, snapshot, schema } = self;
        let (query, engine, snapshot) = (Arc::clone(query), engine.clone(), snapshot.clone());
        let (own, schema) = (Arc::clone(schema), Arc::clone(schema));
        let made = async move {
            let answer = engine.run(&snapshot, &query).await.map_err(external)?;
            let (headings, rows) = answer.to_table();
            batch(&query.analysis, &schema, &headings, &rows)
        };
        Box::pin(RecordBatchStreamAdapter::new(own, stream::once(made)))
    }
}

fn batch(analysis: &Analysis, schema: &SchemaRef, headings: &[String], rows: &[Vec<Value>]) -> Result<RecordBatch> {
    let columns = analysis.columns();
    if !columns.iter().map(|(name, _)| name).eq(headings) {
        return Err(exec_datafusion_err!("invariant: the columns {columns:?} are those of the answer, {headings:?}"));
    }
    let arrays = columns.iter().enumerate().map(|(place, (_, kind))| {
        let values: Vec<&Value> = rows.iter().map(|row| row.get(place).unwrap_or(&Value::Null)).collect();
        kind.array(&values)
    });
    RecordBatch::try_new(Arc::clone(schema), arrays.collect()).map_err(|error| plan_datafusion_err!("{error}"))
}
