//! Lowering of a journey: the events of one person in order of time, no more of them than a page needs.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, StringViewArray};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType, UInt64Type};
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, lit};
use datafusion::physical_plan::collect;
use pugmark_identity::PersonId;
use pugmark_registry::{ColumnType, Schema};
use serde_json::{Map, Value};

use super::explain::Explain;
use super::lowering::Begun;
use super::run::Asked;
use crate::columns::{Overflow, system};
use crate::engine::{Engine, QuerySnapshot};
use crate::error::{Error, Result};
use crate::filter::Expressions;
use crate::journey::{Journey, JourneyEvent, JourneyResult, Order, Page};
use crate::overflow::OverflowValue;
use crate::spec::GroupValue;
use crate::table::{EventsTable, PERSON};

const EVENTS: &str = "events";
const DISTINCT_ID: &str = "distinct_id";

impl Engine {
    pub(super) async fn journey(&self, asked: &Asked<'_>, journey: &Journey) -> Result<JourneyResult> {
        // Of this table the rows of few people are found by the order of the files.
        let Begun { plan, state, warnings } = self.page_of(asked, journey, self.events(asked.snapshot))?;
        let plan = state.create_physical_plan(&plan).await?;
        let rows = collect(Arc::clone(&plan), state.task_ctx()).await?;
        let page = Page::of(journey, events_of(asked.snapshot, &rows)?);
        let header = asked.header(Journey::NAME, warnings, || Explain::of(&plan))?;
        Ok(JourneyResult::new(header, name(asked, journey)?, page))
    }

    /// The rows of a page and one more, in order.
    pub(super) fn page_of(&self, asked: &Asked<'_>, journey: &Journey, table: EventsTable) -> Result<Begun> {
        let snapshot = asked.snapshot;
        let state = self.session(snapshot)?;
        let schema = DFSchema::try_from_qualified_schema(EVENTS, &table.schema())?;
        let strict = asked.query.strict_names;
        let mut expressions = Expressions::new(&state, snapshot.vocabulary(), &schema, strict);
        let mut all = vec![match person(snapshot, journey)? {
            Some(person) => column(PERSON).eq(lit(person.number())),
            None => {
                let message = format!("the distinct id \"{}\" was never seen", journey.distinct_id);
                if strict {
                    return Err(Error::invalid(message).on(DISTINCT_ID));
                }
                expressions.warn(message);
                lit(false)
            }
        }];
        // All time needs no test of each row, which would keep the scan from reading the first rows alone.
        if !journey.scope.range.is_default() {
            all.push(column(system::TIMESTAMP.1).gt_eq(instant(asked.range.from_us)));
            all.push(column(system::TIMESTAMP.1).lt(instant(asked.range.to_us)));
        }
        all.extend(journey.cursor.map(|cursor| {
            let (timestamp, sequence) = (column(system::TIMESTAMP.1), column(system::SEQUENCE.1));
            let (at, last) = (instant(cursor.last().timestamp_us), lit(cursor.last().sequence));
            let (beyond, further) = match journey.order {
                Order::Newest => (timestamp.clone().lt(at.clone()), sequence.lt(last)),
                Order::Oldest => (timestamp.clone().gt(at.clone()), sequence.gt(last)),
            };
            beyond.or(timestamp.eq(at).and(further))
        }));
        if let Some(filter) = &journey.scope.filter {
            all.push(expressions.filter(filter, "filter")?);
        }
        let warnings = expressions.into_warnings();
        let own = [system::SEQUENCE.1, system::EVENT.1, system::TIMESTAMP.1, DISTINCT_ID, system::SESSION_ID.1];
        let mut columns: Vec<Expr> = own.map(column).to_vec();
        columns.extend(typed(snapshot.registry.schema()).map(|(_, name, _)| column(&name)));
        columns.push(column(system::OVERFLOW));
        let forwards = journey.order == Order::Oldest;
        let order = [system::TIMESTAMP.1, system::SEQUENCE.1].map(|name| column(name).sort(forwards, false));
        let plan = LogicalPlanBuilder::scan(EVENTS, provider_as_source(Arc::new(table)), None)?
            .filter(conjunction(all).unwrap_or_else(|| lit(true)))?
            .project(columns)?
            .sort(order)?
            .limit(0, Some(journey.limit + 1))?
            .build()?;
        Ok(Begun { plan, state, warnings })
    }
}

/// Whom the question is about.
fn person(snapshot: &QuerySnapshot, journey: &Journey) -> Result<Option<PersonId>> {
    let subject = snapshot.subjects.resolve(&journey.distinct_id)?;
    // Ids that came later were not known then.
    let subject = subject.filter(|subject| subject.number() < snapshot.subject_count);
    Ok(subject.map(|subject| snapshot.persons.person_of(subject)))
}

/// The name of the person, if there is one.
pub(super) fn name(asked: &Asked<'_>, journey: &Journey) -> Result<Option<String>> {
    let Some(person) = person(asked.snapshot, journey)? else { return Ok(None) };
    Ok(asked.names(&[person.number()])?.pop().flatten())
}

/// The properties that have a column, each with the name and the type of it.
fn typed(schema: &Schema) -> impl Iterator<Item = (&str, String, ColumnType)> {
    schema.columns().filter_map(|own| Some((own.name, own.column_name().into_owned(), own.column?)))
}

/// The events in rows of the plan.
pub(super) fn events_of(snapshot: &QuerySnapshot, rows: &[RecordBatch]) -> Result<Vec<JourneyEvent>> {
    let mut events = Vec::new();
    for batch in rows {
        let sequences = of_type(batch, system::SEQUENCE.1, &DataType::UInt64)?.as_primitive::<UInt64Type>();
        let times = of_type(batch, system::TIMESTAMP.1, &instant_type())?.as_primitive::<TimestampMicrosecondType>();
        let names = Texts::of(batch, system::EVENT.1)?;
        let distinct_ids = Texts::of(batch, DISTINCT_ID)?;
        let sessions = Texts::of(batch, system::SESSION_ID.1)?;
        let overflow = Texts::of(batch, system::OVERFLOW)?;
        let properties: Vec<(&str, ColumnType, &ArrayRef)> = typed(snapshot.registry.schema())
            .map(|(name, column, kind)| Ok((name, kind, any(batch, &column)?)))
            .collect::<Result<_>>()?;
        for row in 0..batch.num_rows() {
            let mut own = Map::new();
            for (name, kind, column) in &properties {
                if let Some(value) = value(column, *kind, row)? {
                    own.insert((*name).to_owned(), value);
                }
            }
            let is_double =
                |name: &str| properties.iter().any(|(own, kind, _)| *own == name && *kind == ColumnType::Float);
            add_overflow(&mut own, overflow.get(row).unwrap_or_default(), is_double);
            events.push(JourneyEvent {
                sequence: sequences.value(row),
                event: names.get(row).unwrap_or_default().to_owned(),
                timestamp_us: times.value(row),
                distinct_id: distinct_ids.get(row).map(str::to_owned),
                properties: own,
                session_id: sessions.get(row).map(str::to_owned),
            });
        }
    }
    Ok(events)
}

/// What the overflow of an event holds beside its columns, and the exact form of what a column rounds. Further values of a property are passed over.
fn add_overflow(properties: &mut Map<String, Value>, overflow: &str, is_double: impl Fn(&str) -> bool) {
    let mut seen: Vec<String> = Vec::new();
    for (name, _) in Overflow::new(overflow) {
        if seen.iter().any(|seen| *seen == name) {
            continue;
        }
        let name = name.into_owned();
        if let Some(found) = OverflowValue::find(overflow, &name) {
            let in_column = properties.get(&name);
            let rounded = in_column.and_then(Value::as_f64).filter(|_| is_double(&name));
            if in_column.is_none() || found.is_exact_form_of(rounded) {
                properties.insert(name.clone(), found.to_json());
            }
        }
        seen.push(name);
    }
}

/// The value of a column in a row, unless that is NULL.
fn value(column: &ArrayRef, kind: ColumnType, row: usize) -> Result<Option<Value>> {
    if column.is_null(row) {
        return Ok(None);
    }
    let text = |row| Texts::new(column).and_then(|texts| texts.get(row));
    let value = match (kind, column.data_type()) {
        (ColumnType::Bool, DataType::Boolean) => Some(Value::from(column.as_boolean().value(row))),
        (ColumnType::Int, DataType::Int64) => Some(Value::from(column.as_primitive::<Int64Type>().value(row))),
        (ColumnType::Float, DataType::Float64) => {
            // A whole number is one number, whichever type its column has by now.
            serde_json::to_value(GroupValue::from(column.as_primitive::<Float64Type>().value(row))).ok()
        }
        (ColumnType::Text, _) => text(row).map(Value::from),
        (ColumnType::Json, _) => text(row).map(|text| serde_json::from_str(text).unwrap_or_else(|_| text.into())),
        _ => None,
    };
    value.map(Some).ok_or_else(|| {
        Error::invalid(format!("the rows are not of this plan: a column has values of type {}", column.data_type()))
    })
}

/// Texts as scans and plans have them.
enum Texts<'a> {
    Views(&'a StringViewArray),
    Plain(&'a StringArray),
}

impl<'a> Texts<'a> {
    fn new(column: &'a ArrayRef) -> Option<Self> {
        match column.data_type() {
            DataType::Utf8View => Some(Self::Views(column.as_string_view())),
            DataType::Utf8 => Some(Self::Plain(column.as_string())),
            _ => None,
        }
    }

    fn of(batch: &'a RecordBatch, name: &str) -> Result<Self> {
        Self::new(any(batch, name)?).ok_or_else(|| missing(batch, name))
    }

    /// `None` for NULL.
    fn get(&self, row: usize) -> Option<&'a str> {
        match self {
            Self::Views(texts) => texts.is_valid(row).then(|| texts.value(row)),
            Self::Plain(texts) => texts.is_valid(row).then(|| texts.value(row)),
        }
    }
}

fn any<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| missing(batch, name))
}

fn of_type<'a>(batch: &'a RecordBatch, name: &str, kind: &DataType) -> Result<&'a ArrayRef> {
    Some(any(batch, name)?).filter(|column| column.data_type() == kind).ok_or_else(|| missing(batch, name))
}

fn missing(batch: &RecordBatch, name: &str) -> Error {
    Error::invalid(format!("the rows have no column {name} of the plan's: {}", batch.schema()))
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::new(Some(EVENTS), name))
}

fn instant(us: i64) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(Some(us), Some("+00:00".into())))
}

fn instant_type() -> DataType {
    ScalarValue::TimestampMicrosecond(None, Some("+00:00".into())).data_type()
}
