//! What single events say, looked up by their sequences.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, UInt64Type};
use datafusion::catalog::TableProvider;
use datafusion::common::DFSchema;
use datafusion::datasource::provider_as_source;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{LogicalPlanBuilder, col, lit};
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;

use super::run::Asked;
use crate::columns::system;
use crate::engine::Engine;
use crate::error::Result;
use crate::filter::Expressions;
use crate::table::EventsTable;

const EVENTS: &str = "events";

/// The texts of one event, `None` for NULL.
pub(super) type Texts = Vec<Option<String>>;

impl Engine {
    /// The values of SQL expressions as texts in the events of these sequences. Events that are not there have none; what is to be said of names never seen is said elsewhere.
    pub(super) async fn texts_of(
        &self,
        asked: &Asked<'_>,
        sequences: impl IntoIterator<Item = u64>,
        expressions: &[&str],
    ) -> Result<HashMap<u64, Texts>> {
        let mut texts: HashMap<u64, Texts> = sequences.into_iter().map(|sequence| (sequence, Texts::new())).collect();
        let (Some(first), Some(last)) = (texts.keys().min().copied(), texts.keys().max().copied()) else {
            return Ok(texts);
        };
        let state = self.session(asked.snapshot)?;
        let table = Arc::new(EventsTable::new(asked.snapshot.clone()));
        let schema = DFSchema::try_from_qualified_schema(EVENTS, &table.schema())?;
        let mut read = Expressions::new(&state, asked.snapshot.vocabulary(), &schema, false);
        let mut columns = vec![col(system::SEQUENCE.1)];
        for (at, expression) in expressions.iter().enumerate() {
            columns.push(read.value(expression, "rows")?.alias(format!("c{at}")));
        }
        let plan = LogicalPlanBuilder::scan(EVENTS, provider_as_source(table), None)?
            .filter(col(system::SEQUENCE.1).between(lit(first), lit(last)))?
            .project(columns)?
            .build()?;
        let physical = state.create_physical_plan(&plan).await?;
        let mut batches = execute_stream(physical, state.task_ctx())?;
        while let Some(batch) = batches.try_next().await? {
            let (sequences, columns) = batch.columns().split_first().expect("invariant: the sequence is projected");
            let text = |column: &ArrayRef| Ok(cast(column, &DataType::Utf8).map_err(DataFusionError::from)?);
            let columns = columns.iter().map(text).collect::<Result<Vec<ArrayRef>>>()?;
            for (row, sequence) in sequences.as_primitive::<UInt64Type>().values().iter().enumerate() {
                let Some(own) = texts.get_mut(sequence) else { continue };
                let columns = columns.iter().map(|column| column.as_string::<i32>());
                *own = columns.map(|column| column.is_valid(row).then(|| column.value(row).to_owned())).collect();
            }
        }
        Ok(texts)
    }
}
