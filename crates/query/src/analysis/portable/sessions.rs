//! Sessions: the events of each unit, with what a rule looks at of them; they are cut where the answer is made.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, TimestampMicrosecondType, UInt32Type, UInt64Type};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{LogicalPlanBuilder, col};

use super::super::lowering::Begun;
use super::super::run::Asked;
use super::super::sessions::{Said, Told, answered, buckets, expression, pages, reading};
use super::super::units::in_order;
use super::{Values, column, numbers};
use crate::columns::system;
use crate::engine::Engine;
use crate::error::Result;
use crate::sessions::{By, Counter, Sessions, SessionsResult};
use crate::spec::{GroupValue, Hit, Selector, SessionKey};

impl Engine {
    pub(super) fn sessions_plan(&self, asked: &Asked<'_>, sessions: &Sessions) -> Result<Begun> {
        let (any, pages) = (Selector::any(), pages(asked, sessions));
        let mut reading = reading(asked, sessions, &any);
        if sessions.rows {
            // Whoever has the rows has no events to look pages up in.
            let page = || expression(format!("coalesce({})", pages.join(", ")), "page");
            reading.items.extend((!pages.is_empty()).then(page));
            reading.items.push(expression(system::EVENT.1, "rows"));
        }
        reading.items.extend((sessions.by == By::SessionId).then(|| expression(system::SESSION_ID.1, "by")));
        let begun = self.rows(asked, &reading)?;
        let columns = ["unit", "timestamp", "sequence", "value"].map(col);
        Ok(Begun { plan: LogicalPlanBuilder::from(begun.plan).project(columns)?.build()?, ..begun })
    }
}

pub(super) fn answer(
    asked: &Asked<'_>,
    sessions: &Sessions,
    rows: &[RecordBatch],
    warnings: Vec<String>,
) -> Result<SessionsResult> {
    let text = |value: Option<&GroupValue>| match value {
        Some(GroupValue::Text(text)) => Some(text.to_string()),
        _ => None,
    };
    let mut values = Values::default();
    let mut units: BTreeMap<u32, Vec<Hit<SessionKey>>> = BTreeMap::new();
    let mut group_of: HashMap<u64, u32> = HashMap::new();
    for batch in rows {
        let times = column(batch, "timestamp", |kind| matches!(kind, DataType::Timestamp(..)))?;
        let times = times.as_primitive_opt::<TimestampMicrosecondType>();
        let texts =
            column(batch, "value", |kind| matches!(kind, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8))?;
        let texts = cast(texts, &DataType::Utf8).map_err(DataFusionError::from)?;
        let (ids, sequences) = (numbers::<UInt32Type>(batch, "unit")?, numbers::<UInt64Type>(batch, "sequence")?);
        let times = times.map_or(&[][..], |times| times.values());
        for (row, ((unit, sequence), timestamp)) in ids.iter().zip(sequences).zip(times).enumerate() {
            let group = values.group(texts.as_string::<i32>().value(row))?;
            let session = text(values.groups.values(group).last().filter(|_| sessions.by == By::SessionId));
            units.entry(*unit).or_default().push(Hit {
                timestamp: *timestamp,
                sequence: *sequence,
                matches: 1,
                group,
                value: session.map_or_else(SessionKey::default, |session| SessionKey::of(&session)),
            });
            if sessions.rows {
                group_of.insert(*sequence, group);
            }
        }
    }
    let (groups, has_page) = (values.groups, !pages(asked, sessions).is_empty());
    let told = Told::of(&groups, sessions, has_page);
    let buckets = buckets(asked, sessions)?;
    let mut counter = Counter::new(sessions, Arc::clone(&buckets), &asked.zone);
    for (unit, mut hits) in units {
        let events: Vec<_> = in_order(&mut hits).iter().map(|hit| Told::event(&told, hit)).collect();
        counter.add_unit(unit, &events);
    }
    let said = |sequence: u64| {
        let mut values = groups.values(*group_of.get(&sequence)?).iter().skip(sessions.split_on.len());
        let session = text(values.clone().last().filter(|_| sessions.by == By::SessionId));
        let page = has_page.then(|| text(values.next())).flatten();
        Some(Said { session, shown: page.or_else(|| text(values.next()))? })
    };
    let header = asked.plain_header(Sessions::NAME, warnings);
    answered(asked, sessions, header, &buckets, counter.finish()?, said)
}
