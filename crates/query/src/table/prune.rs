//! Which files a filter leaves to read, by what the catalog knows of each.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, StringViewArray, TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;

use crate::columns::{ColumnFile, system};

/// The files that may hold a row for which `predicate` is true.
pub(super) fn files<'a>(
    files: &'a [Arc<ColumnFile>],
    predicate: Option<&Arc<dyn PhysicalExpr>>,
    schema: &SchemaRef,
) -> Result<Vec<&'a Arc<ColumnFile>>> {
    let Some(predicate) = predicate else { return Ok(files.iter().collect()) };
    let pruning =
        PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema)).try_build(Arc::clone(predicate))?;
    let keep = pruning.prune(&Catalog(files))?;
    Ok(files.iter().zip(keep).filter(|(_, keep)| *keep).map(|(file, _)| file).collect())
}

struct Catalog<'a>(&'a [Arc<ColumnFile>]);

impl Catalog<'_> {
    fn bounds(&self, column: &Column, high: bool) -> Option<ArrayRef> {
        let pick = |low: u64, top: u64| if high { top } else { low };
        Some(match column.name.as_str() {
            name if name == system::SEQUENCE.1 => Arc::new(UInt64Array::from_iter_values(
                self.0.iter().map(|file| pick(file.first_sequence.number(), file.last_sequence.number())),
            )),
            name if name == system::SUBJECT.1 => Arc::new(UInt32Array::from_iter_values(
                self.0.iter().map(|file| if high { file.last_subject } else { file.first_subject }.number()),
            )),
            name if name == system::TIMESTAMP.1 => {
                let instants = self
                    .0
                    .iter()
                    .map(|file| if high { file.max_timestamp } else { file.min_timestamp }.as_microsecond());
                let instants = TimestampMicrosecondArray::from_iter_values(instants);
                Arc::new(instants.with_timezone("+00:00"))
            }
            name if name == system::EVENT.1 => Arc::new(StringViewArray::from_iter(self.0.iter().map(|file| {
                let names = file.events.as_ref()?;
                if high { names.last() } else { names.first() }.cloned()
            }))),
            _ => return None,
        })
    }
}

impl PruningStatistics for Catalog<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, false)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, true)
    }

    fn num_containers(&self) -> usize {
        self.0.len()
    }

    fn null_counts(&self, _column: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(UInt64Array::from_iter_values(self.0.iter().map(|file| file.rows))))
    }

    fn contained(&self, column: &Column, values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        if column.name != system::EVENT.1 {
            return None;
        }
        let names: Vec<&str> = values
            .iter()
            .map(|value| match value {
                ScalarValue::Utf8(Some(name))
                | ScalarValue::Utf8View(Some(name))
                | ScalarValue::LargeUtf8(Some(name)) => Some(name.as_str()),
                _ => None,
            })
            .collect::<Option<_>>()?;
        let verdict = |file: &Arc<ColumnFile>| {
            if !names.iter().any(|name| file.may_hold_event(name)) {
                return Some(false);
            }
            let all = file.events.as_ref()?.iter().all(|event| names.contains(&event.as_str()));
            all.then_some(true)
        };
        Some(self.0.iter().map(verdict).collect())
    }
}
