//! Whose events came after a sequence.

use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{UInt32Type, UInt64Type};
use pugmark_store::Sequence;
use roaring::RoaringBitmap;

use super::part::Local;
use super::work::Work;
use crate::columns::system;
use crate::error::Result;

/// Fewer rows than this are gone through at once, without a thread.
const SMALL_ROWS: usize = 20_000;

impl Local {
    /// The subjects of all events of later sequences. Whole parts that end before are not read.
    pub(crate) async fn subjects_since(&self, since: Sequence, work: Work) -> Result<RoaringBitmap> {
        let since = since.number();
        let mut pieces = Vec::new();
        for part in self.parts()?.into_iter().filter(|part| part.sequences.1 > since) {
            for (group, rows) in self.groups(&part.source)?.into_iter().enumerate() {
                pieces.push((Arc::clone(&part), group, rows.len()));
            }
        }
        let rows: usize = pieces.iter().map(|(_, _, rows)| rows).sum();
        let (local, count, pieces) = (self.clone(), pieces.len(), Arc::new(pieces));
        let read = move |found: &mut RoaringBitmap, at: usize| {
            let (part, group, rows) = &pieces[at];
            let column = |place: usize| local.column(&part.source, *group, place)?.slice(0, *rows, local.kind(place));
            let (sequences, subjects) = (column(system::SEQUENCE.0)?, column(system::SUBJECT.0)?);
            let sequences = sequences.as_primitive::<UInt64Type>().values();
            let subjects = subjects.as_primitive::<UInt32Type>().values();
            found.extend(sequences.iter().zip(subjects).filter(|(at, _)| **at > since).map(|(_, subject)| *subject));
            Ok(())
        };
        let found = work.each(count, rows < SMALL_ROWS, RoaringBitmap::new, read).await?;
        Ok(found.into_iter().fold(RoaringBitmap::new(), |all, own| all | own))
    }
}
