//! Columns of the table that a file does not hold as they are, for scans of it: they are made of those that it has.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr_adapter::{DefaultPhysicalExprAdapter, PhysicalExprAdapter, PhysicalExprAdapterFactory};

use super::events::external;
use crate::columns::{Arrivals, Contents, Held, Values, corrupt, in_microseconds, instant, is_instant};

/// Adapts what is asked of the table to one file after the other.
#[derive(Debug)]
pub(super) struct Adapters;

impl PhysicalExprAdapterFactory for Adapters {
    fn create(&self, table: SchemaRef, file: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let contents = Contents::of(&file).map_err(|what| external(corrupt("a columnar file", what)))?;
        let rest = DefaultPhysicalExprAdapter::new(table, Arc::clone(&file));
        Ok(Arc::new(Adapter { contents, file, rest }))
    }
}

#[derive(Debug)]
struct Adapter {
    contents: Contents,
    file: SchemaRef,
    /// Of columns that the file has: of another type, or none.
    rest: DefaultPhysicalExprAdapter,
}

impl PhysicalExprAdapter for Adapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let made = expr.transform_down(|expr| {
            let Some(column) = expr.downcast_ref::<Column>() else { return Ok(Transformed::no(expr)) };
            let name = column.name();
            let made = match self.contents.held(name) {
                Some(held) if !self.is_as_it_is(held, name) => self.made(held),
                _ => self.rest.rewrite(expr)?,
            };
            // Whole below here: the columns that it is made of are those of the file.
            Ok(Transformed::new(made, true, TreeNodeRecursion::Jump))
        });
        made.data()
    }
}

impl Adapter {
    /// Whether the file has the column, or the same in another type that is no instant.
    fn is_as_it_is(&self, held: Held, name: &str) -> bool {
        let own = self.file.field_with_name(name);
        matches!(held, Held::Plain(Values::Own(_)))
            && own.is_ok_and(|own| !is_instant(own.data_type()) || *own.data_type() == instant())
    }

    fn made(&self, held: Held) -> Arc<dyn PhysicalExpr> {
        let made = |what: What, of: Vec<Arc<dyn PhysicalExpr>>| -> Arc<dyn PhysicalExpr> {
            Arc::new(Made { what, of, arrivals: Arc::clone(self.contents.arrivals()) })
        };
        let own = |at: usize| {
            let (field, column) = (self.file.field(at), Arc::new(Column::new(self.file.field(at).name(), at)));
            match is_instant(field.data_type()) && *field.data_type() != instant() {
                // No cast: DataFusion would cast what it is compared with instead, to fewer digits.
                true => made(What::Instant, vec![column]),
                false => column,
            }
        };
        let values = match held.values() {
            Values::Own(at) => own(at),
            Values::Distance { timestamp, distance } => made(What::Sequence, vec![own(timestamp), own(distance)]),
        };
        match held {
            Held::Plain(_) => values,
            Held::Batch(_) => made(What::ReceivedAt, vec![values]),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum What {
    /// Of an instant in another unit.
    Instant,
    /// Of a timestamp and a distance.
    Sequence,
    /// Of a sequence.
    ReceivedAt,
}

/// A value that is made of others by what the file says of the order of arrival.
#[derive(Debug, Clone)]
struct Made {
    what: What,
    of: Vec<Arc<dyn PhysicalExpr>>,
    arrivals: Arc<Arrivals>,
}

impl PartialEq for Made {
    fn eq(&self, other: &Self) -> bool {
        self.what == other.what && self.of == other.of && Arc::ptr_eq(&self.arrivals, &other.arrivals)
    }
}

impl Eq for Made {}

impl Hash for Made {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.what.hash(state);
        self.of.hash(state);
        Arc::as_ptr(&self.arrivals).hash(state);
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.what {
            What::Instant => "instant",
            What::Sequence => "sequence",
            What::ReceivedAt => "received_at",
        };
        write!(f, "{name}(")?;
        for (at, of) in self.of.iter().enumerate() {
            write!(f, "{}{of}", if at > 0 { ", " } else { "" })?;
        }
        write!(f, ")")
    }
}

impl PhysicalExpr for Made {
    fn data_type(&self, _schema: &Schema) -> Result<DataType> {
        Ok(match self.what {
            What::Sequence => DataType::UInt64,
            What::Instant | What::ReceivedAt => instant(),
        })
    }

    fn nullable(&self, _schema: &Schema) -> Result<bool> {
        Ok(false)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let arrays = self.of.iter().map(|of| of.evaluate(batch)?.into_array(batch.num_rows()));
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        Ok(ColumnarValue::Array(match (self.what, arrays.as_slice()) {
            (What::Instant, [instants]) => in_microseconds(instants)?,
            (What::Sequence, [timestamps, distances]) => self.arrivals.sequences(timestamps, distances)?,
            (What::ReceivedAt, [sequences]) => self.arrivals.received(sequences)?,
            (what, arrays) => return internal_err!("{what:?} of {} columns", arrays.len()),
        }))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.of.iter().collect()
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(Self { what: self.what, of: children, arrivals: Arc::clone(&self.arrivals) }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
