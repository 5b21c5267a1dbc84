//! Which events a filter matches.

use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::UInt64Type;
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, DFSchema};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;
use futures::future::BoxFuture;
use pugmark_store::Sequence;

use crate::columns::system;
use crate::engine::{Engine, QuerySnapshot};
use crate::error::Result;
use crate::filter::Expressions;
use crate::table::EventsTable;

const EVENTS: &str = "events";

impl Engine {
    /// The events of the snapshot that `filter` matches, as ascending rows: a first sequence and how many follow each other from it on.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a filter that does not read, with the byte, and for names never seen; errors of the columnar files.
    pub async fn matching(&self, snapshot: &QuerySnapshot, filter: &str) -> Result<Vec<(Sequence, u64)>> {
        let found: BoxFuture<'_, _> = Box::pin(self.find_matching(snapshot, filter));
        found.await
    }

    async fn find_matching(&self, snapshot: &QuerySnapshot, filter: &str) -> Result<Vec<(Sequence, u64)>> {
        let state = self.session(snapshot)?;
        let table = Arc::new(EventsTable::new(snapshot.clone()));
        let schema = DFSchema::try_from_qualified_schema(EVENTS, &table.schema())?;
        // Strict: what is withdrawn by a misspelt name is withdrawn.
        let predicate = Expressions::new(&state, snapshot.vocabulary(), &schema, true).filter(filter, "filter")?;
        let sequence = Expr::Column(Column::new(Some(EVENTS), system::SEQUENCE.1));
        let plan = LogicalPlanBuilder::scan(EVENTS, provider_as_source(table), None)?
            .filter(predicate)?
            .project([sequence])?
            .build()?;
        let physical = state.create_physical_plan(&plan).await?;
        let mut stream = execute_stream(physical, state.task_ctx())?;
        let mut sequences: Vec<u64> = Vec::new();
        while let Some(batch) = stream.try_next().await? {
            sequences.extend_from_slice(batch.column(0).as_primitive::<UInt64Type>().values());
        }
        sequences.sort_unstable();
        let rows = sequences.chunk_by(|a, b| a + 1 == *b);
        Ok(rows.filter_map(|row| Some((Sequence::new(*row.first()?), row.len() as u64))).collect())
    }
}
