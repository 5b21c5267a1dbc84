//! SQL over `events` and `persons`: one SELECT, with properties by their own names.

use std::collections::VecDeque;
use std::fmt;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::utils::memory::RecordBatchMemoryCounter;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SQLOptions;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use futures::TryStreamExt;
use futures::future::BoxFuture;

use crate::analysis::count_locally;
use crate::arguments::Arguments;
use crate::engine::{Engine, QuerySnapshot};
use crate::error::{Error, ErrorKind, Result};
use crate::extent;
use crate::functions::bytes_of_rows;
use crate::names::{Names, Unknown};
use crate::room::with_room;
use crate::text::Text;

/// What rows that are handed out together take written out, at most, but for a single one.
const PIECE_BYTES: u64 = 16 << 20;

impl Engine {
    /// Runs one `SELECT` (or `EXPLAIN` of one) over the tables `events` and `persons` of the snapshot, and returns
    /// its rows; without rows, one empty batch, which has the columns.
    ///
    /// Names keep their case. A property is a column under its own name, dotted or not (`page.url`, `$browser`);
    /// `prop('name')` reads one of whatever type as text. `now()` is the snapshot's.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for what is not one `SELECT`, with the byte where reading it
    /// stopped, and for unknown columns, with the nearest known; [`ErrorKind::Full`](crate::ErrorKind::Full) when the
    /// memory does not suffice, also for the rows themselves.
    pub async fn sql(&self, snapshot: &QuerySnapshot, statement: &str) -> Result<Vec<RecordBatch>> {
        self.sql_up_to(snapshot, statement, usize::MAX).await
    }

    /// As [`sql`](Self::sql), of a statement that has so many rows at most.
    ///
    /// # Errors
    /// As [`sql`](Self::sql), and [`ErrorKind::Full`](crate::ErrorKind::Full) as soon as there are more: at most one batch more is ever in memory.
    pub async fn sql_up_to(
        &self,
        snapshot: &QuerySnapshot,
        statement: &str,
        rows_max: usize,
    ) -> Result<Vec<RecordBatch>> {
        let mut found = self.sql_stream(snapshot, statement).await?;
        let (mut batches, mut rows) = (Vec::new(), 0);
        let (held, mut counter) =
            (MemoryConsumer::new("rows of an answer").register(self.pool()), RecordBatchMemoryCounter::new());
        while let Some(batch) = found.next().await? {
            rows += batch.num_rows();
            if rows > rows_max {
                let message = format!(
                    "more than {rows_max} rows, which is as many as an answer has: add a LIMIT, or ask for totals"
                );
                return Err(Error::new(ErrorKind::Full, message));
            }
            held.try_grow(counter.count_batch(&batch)).map_err(|error| too_large(&error))?;
            batches.push(batch);
        }
        if batches.is_empty() {
            batches.push(RecordBatch::new_empty(found.schema()));
        }
        Ok(batches)
    }

    /// As [`sql`](Self::sql), batch by batch as they are found.
    ///
    /// # Errors
    /// As [`sql`](Self::sql); those of the computation come with the batches.
    pub async fn sql_stream(&self, snapshot: &QuerySnapshot, statement: &str) -> Result<Rows> {
        Ok(Rows { stream: self.planned(snapshot, statement).await?, pieces: VecDeque::new() })
    }

    /// Behind a pointer, so that planning is compiled here and not again in every crate that asks.
    fn planned<'a>(
        &'a self,
        snapshot: &'a QuerySnapshot,
        statement: &'a str,
    ) -> BoxFuture<'a, Result<SendableRecordBatchStream>> {
        Box::pin(with_room(async move {
            let state = self.session(snapshot)?;
            let mut plan = plan(&state, snapshot, statement).await?;
            if self.takes_local_road() {
                plan = count_locally(plan, &state, snapshot, &self.local(snapshot))?;
            }
            let physical = self.bounds().held(state.create_physical_plan(&plan).await?)?;
            Ok(execute_stream(physical, state.task_ctx())?)
        }))
    }
}

/// What is said of rows that the pool has no room for.
fn too_large(error: &DataFusionError) -> Error {
    let message = "the rows of the answer take more memory than the engine may use: add a LIMIT, ask for totals or for fewer columns, or raise the memory limit";
    Error::new(ErrorKind::Full, message).caused_by(error.strip_backtrace())
}

/// The rows of a statement, which are found as they are asked for.
pub struct Rows {
    stream: SendableRecordBatchStream,
    /// Those that were found and not asked for.
    pieces: VecDeque<RecordBatch>,
}

impl Rows {
    /// Their columns.
    pub fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }

    /// The next rows, at least one; `None` after the last.
    ///
    /// # Errors
    /// Those of the computation, after which there is no more.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Ok(Some(piece));
            }
            match self.stream.try_next().await? {
                Some(batch) => self.pieces.extend(pieces(&batch)),
                None => return Ok(None),
            }
        }
    }
}

/// The rows in pieces that are not too long written out: columns may have one and the same text in all their rows, which is in memory once.
fn pieces(batch: &RecordBatch) -> Vec<RecordBatch> {
    let (mut made, mut start, mut bytes) = (Vec::new(), 0, 0_u64);
    for (row, of_row) in bytes_of_rows(batch).into_iter().enumerate() {
        bytes = bytes.saturating_add(of_row);
        if bytes > PIECE_BYTES && row > start {
            made.push(batch.slice(start, row - start));
            (start, bytes) = (row, of_row);
        }
    }
    if start < batch.num_rows() {
        made.push(batch.slice(start, batch.num_rows() - start));
    }
    made
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("schema", &self.stream.schema()).finish_non_exhaustive()
    }
}

async fn plan(state: &SessionState, snapshot: &QuerySnapshot, text: &str) -> Result<LogicalPlan> {
    let text = Text::new(text, "statement");
    let mut statement = text.statement()?;
    extent::check_tables(select(&mut statement)?)?;
    Arguments::rewrite(select(&mut statement)?)?;
    let names = Names::new(snapshot.vocabulary(), Unknown::Keep, text);
    names.rewrite(select(&mut statement)?)?;
    let plan = state.statement_to_plan(statement).await?;
    extent::check(&plan)?;
    // SELECT … INTO and the like show in the plan only.
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false).verify_plan(&plan)?;
    Ok(plan)
}

/// The query in the statement; an error for any other statement.
fn select(statement: &mut Statement) -> Result<&mut SqlStatement> {
    let refuse = |what: &str| Error::invalid(format!("only SELECT is allowed, found {what}"));
    match statement {
        Statement::Statement(inner) => {
            if !matches!(**inner, SqlStatement::Query(_)) {
                return Err(refuse(inner.to_string().split_whitespace().next().unwrap_or("nothing")));
            }
            Ok(inner)
        }
        Statement::Explain(explain) => select(&mut explain.statement),
        Statement::CreateExternalTable(_) => Err(refuse("CREATE EXTERNAL TABLE")),
        Statement::CopyTo(_) => Err(refuse("COPY")),
        Statement::Reset(_) => Err(refuse("RESET")),
    }
}
