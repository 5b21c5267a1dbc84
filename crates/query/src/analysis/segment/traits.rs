//! Who people are: a boolean over traits, computed once for each subject.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::DFSchema;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr;

use super::super::run::Asked;
use super::FoundPeople;
use crate::engine::Engine;
use crate::error::Result;
use crate::filter::Expressions;
use crate::local::{People, Work};
use crate::table::PERSON;

/// Subjects in one piece of work; a multiple of 64.
const PIECE: u32 = 1 << 15;

/// A boolean over the traits of the column `person`.
pub(in super::super) struct Traits {
    state: SessionState,
    schema: Arc<Schema>,
    named: DFSchema,
    pub(in super::super) holds: Expr,
    pub(in super::super) warnings: Vec<String>,
}

impl Engine {
    /// Reads a boolean over traits.
    pub(in super::super) fn traits(&self, asked: &Asked<'_>, sql: &str, path: &str) -> Result<Traits> {
        let state = self.session(asked.snapshot)?;
        let schema = Arc::new(Schema::new(vec![Field::new(PERSON, DataType::UInt32, false)]));
        let named = DFSchema::try_from(Arc::clone(&schema))?;
        let known = asked.snapshot.vocabulary();
        let mut expressions = Expressions::new(&state, known, &named, asked.query.strict_names);
        let holds = expressions.traits(sql, path)?;
        let warnings = expressions.into_warnings();
        Ok(Traits { state, schema, named, holds, warnings })
    }

    /// Those of whom a boolean over traits is true.
    pub(super) async fn people_by_traits(&self, asked: &Asked<'_>, sql: &str, path: &str) -> Result<FoundPeople> {
        let Traits { state, schema, named, holds, warnings } = self.traits(asked, sql, path)?;
        let holds = state.create_physical_expr(holds, &named)?;
        let subjects = asked.snapshot.subject_count;
        let piece = move |done: &mut Vec<(usize, Vec<u64>)>, at: usize| {
            let first = u32::try_from(at).unwrap_or(u32::MAX).saturating_mul(PIECE);
            let persons = UInt32Array::from_iter_values(first..first.saturating_add(PIECE).min(subjects));
            let rows = persons.len();
            let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(persons)]);
            let batch = batch.map_err(DataFusionError::from)?;
            let held = holds.evaluate(&batch)?.into_array(rows)?;
            let held = held.as_boolean();
            let mut words = vec![0_u64; rows.div_ceil(64)];
            for row in held.values().set_indices().filter(|row| held.is_valid(*row)) {
                words[row / 64] |= 1 << (row % 64);
            }
            done.push((at, words));
            Ok(())
        };
        let pieces = subjects.div_ceil(PIECE) as usize;
        let done = Work::new(self.threads()).each(pieces, pieces == 1, Vec::new, piece).await?;
        let mut done: Vec<(usize, Vec<u64>)> = done.into_iter().flatten().collect();
        done.sort_unstable_by_key(|(at, _)| *at);
        let words: Vec<u64> = done.into_iter().flat_map(|(_, words)| words).collect();
        let people = People::of_words(subjects, false, |at| words.get(at).copied().unwrap_or(0));
        Ok(FoundPeople { people: Arc::new(people), warnings, explain: self.nothing_read(asked) })
    }
}
