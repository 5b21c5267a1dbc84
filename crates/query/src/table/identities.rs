//! `identities` and `identity_refusals`: every link with what became of it, and every link that was refused.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream;
use pugmark_identity::{Effect, History, IdentityOperation, Reason};
use pugmark_store::{LinkKind, Sequence, SubjectId, Timestamp};

use super::events::external;
use crate::columns::instant;
use crate::engine::QuerySnapshot;

/// Operations that are looked at for one batch.
const BATCH_OPERATIONS: usize = 8_192;

/// `identities`: a row for each link that was made.
pub(crate) fn identities(snapshot: &QuerySnapshot) -> Result<Arc<dyn TableProvider>> {
    let schema = Schema::new(vec![
        Field::new("sequence", DataType::UInt64, false),
        Field::new("linked_at", instant(), false),
        Field::new("operation", DataType::Utf8, false),
        // NULL for one that has been erased since.
        Field::new("id", DataType::Utf8, true),
        Field::new("other_id", DataType::Utf8, true),
        Field::new("person", DataType::UInt32, false),
        Field::new("by", DataType::Utf8, true),
        Field::new("why", DataType::Utf8, true),
        Field::new("standing", DataType::Boolean, false),
        Field::new("revoked_sequence", DataType::UInt64, true),
        Field::new("revoked_at", instant(), true),
        Field::new("revoked_by", DataType::Utf8, true),
        Field::new("revoked_why", DataType::Utf8, true),
    ]);
    table(Kind::Links, schema, snapshot)
}

/// `identity_refusals`: a row for each operation that was refused.
pub(crate) fn refusals(snapshot: &QuerySnapshot) -> Result<Arc<dyn TableProvider>> {
    let schema = Schema::new(vec![
        Field::new("sequence", DataType::UInt64, false),
        Field::new("refused_at", instant(), false),
        Field::new("operation", DataType::Utf8, false),
        Field::new("ids", DataType::Utf8, false),
        Field::new("reason", DataType::Utf8, false),
        Field::new("message", DataType::Utf8, false),
        Field::new("by", DataType::Utf8, true),
        Field::new("why", DataType::Utf8, true),
    ]);
    table(Kind::Refusals, schema, snapshot)
}

fn table(kind: Kind, schema: Schema, snapshot: &QuerySnapshot) -> Result<Arc<dyn TableProvider>> {
    let schema = Arc::new(schema);
    let rows = Rows { kind, schema: Arc::clone(&schema), snapshot: snapshot.clone() };
    Ok(Arc::new(StreamingTable::try_new(schema, vec![Arc::new(rows)])?))
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Links,
    Refusals,
}

#[derive(Clone)]
struct Rows {
    kind: Kind,
    schema: SchemaRef,
    snapshot: QuerySnapshot,
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.clone();
        let revoked: BTreeMap<(Sequence, SubjectId, SubjectId), Sequence> = match self.kind {
            Kind::Links => rows.history().revoked(rows.snapshot.sequence).collect(),
            Kind::Refusals => BTreeMap::new(),
        };
        // A merge is several operations, of which no batch has only some.
        let batches = stream::iter((0..).scan(0, move |place, _: u32| {
            let operations = rows.history().page(*place, BATCH_OPERATIONS, rows.snapshot.sequence);
            *place += operations.len();
            (!operations.is_empty()).then(|| match rows.kind {
                Kind::Links => rows.links(&operations, &revoked),
                Kind::Refusals => rows.refusals(&operations),
            })
        }));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

impl Rows {
    fn history(&self) -> &History {
        self.snapshot.persons.history()
    }

    fn links(
        &self,
        operations: &[IdentityOperation],
        revoked: &BTreeMap<(Sequence, SubjectId, SubjectId), Sequence>,
    ) -> Result<RecordBatch> {
        let links: Vec<(&IdentityOperation, LinkKind, SubjectId, SubjectId)> = operations
            .iter()
            .filter_map(|operation| match operation.effect {
                Effect::Linked { kind, from, to } => Some((operation, kind, from, to)),
                _ => None,
            })
            .collect();
        let gone: Vec<Option<Sequence>> = links
            .iter()
            .map(|(operation, _, from, to)| revoked.get(&(operation.sequence, *from, *to)).copied())
            .collect();
        let ids = |of: fn(&(&IdentityOperation, LinkKind, SubjectId, SubjectId)) -> SubjectId| {
            self.ids(&links.iter().map(of).collect::<Vec<_>>())
        };
        let said = |of: Vec<Option<&Reason>>| {
            let by = of.iter().map(|reason| reason.and_then(|reason| reason.by.as_deref())).collect::<StringArray>();
            let why = of.iter().map(|reason| reason.and_then(|reason| reason.why.as_deref())).collect::<StringArray>();
            (Arc::new(by) as ArrayRef, Arc::new(why) as ArrayRef)
        };
        let history = self.history();
        let (by, why) = said(links.iter().map(|(operation, ..)| history.reason(operation.sequence)).collect());
        let (revoked_by, revoked_why) = said(gone.iter().map(|at| history.reason((*at)?)).collect());
        let persons = links.iter().map(|(_, _, from, _)| self.snapshot.persons.person_of(*from).number());
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from_iter_values(links.iter().map(|(operation, ..)| operation.sequence.number()))),
            instants(links.iter().map(|(operation, ..)| Some(operation.received_at))),
            Arc::new(links.iter().map(|(_, kind, ..)| Some(kind.as_str())).collect::<StringArray>()),
            Arc::new(StringArray::from(ids(|link| link.2)?)),
            Arc::new(StringArray::from(ids(|link| link.3)?)),
            Arc::new(UInt32Array::from_iter_values(persons)),
            by,
            why,
            Arc::new(gone.iter().map(|at| Some(at.is_none())).collect::<BooleanArray>()),
            Arc::new(gone.iter().map(|at| at.map(Sequence::number)).collect::<UInt64Array>()),
            instants(gone.iter().map(|at| history.received_at((*at)?))),
            revoked_by,
            revoked_why,
        ];
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(DataFusionError::from)
    }

    fn refusals(&self, operations: &[IdentityOperation]) -> Result<RecordBatch> {
        let mut refused = Vec::new();
        let mut subjects = Vec::new();
        for same in operations.chunk_by(|a, b| a.sequence == b.sequence) {
            let Effect::Refused { kind, reason, from, .. } = same[0].effect else { continue };
            let first = subjects.len();
            subjects.push(from);
            subjects.extend(same.iter().filter_map(|operation| match operation.effect {
                Effect::Refused { to, .. } => Some(to),
                _ => None,
            }));
            refused.push((&same[0], kind, reason, first..subjects.len()));
        }
        let ids = self.ids(&subjects)?;
        let lists = refused.iter().map(|(.., own)| {
            let own: Vec<&str> = ids[own.clone()].iter().flatten().map(String::as_str).collect();
            Some(serde_json::Value::from(own).to_string())
        });
        let reasons: Vec<Option<&Reason>> =
            refused.iter().map(|(operation, ..)| self.history().reason(operation.sequence)).collect();
        let by = reasons.iter().map(|reason| reason.and_then(|reason| reason.by.as_deref()));
        let why = reasons.iter().map(|reason| reason.and_then(|reason| reason.why.as_deref()));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from_iter_values(refused.iter().map(|(operation, ..)| operation.sequence.number()))),
            instants(refused.iter().map(|(operation, ..)| Some(operation.received_at))),
            Arc::new(refused.iter().map(|(_, kind, ..)| Some(kind.as_str())).collect::<StringArray>()),
            Arc::new(lists.collect::<StringArray>()),
            Arc::new(refused.iter().map(|(_, _, reason, _)| Some(reason.as_str())).collect::<StringArray>()),
            Arc::new(refused.iter().map(|(_, _, reason, _)| Some(reason.to_string())).collect::<StringArray>()),
            Arc::new(by.collect::<StringArray>()),
            Arc::new(why.collect::<StringArray>()),
        ];
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(DataFusionError::from)
    }

    fn ids(&self, subjects: &[SubjectId]) -> Result<Vec<Option<String>>> {
        self.snapshot.subjects.distinct_ids(subjects).map_err(external)
    }
}

fn instants(instants: impl Iterator<Item = Option<Timestamp>>) -> ArrayRef {
    let instants = instants.map(|instant| instant.map(|instant| instant.as_microsecond()));
    Arc::new(TimestampMicrosecondArray::from_iter(instants).with_timezone("+00:00"))
}
