//! Who is in a segment: the plan of its people, joined with nothing.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::UInt32Type;

use super::super::audience::answered;
use super::super::lowering::Begun;
use super::super::run::Asked;
use super::numbers;
use crate::audience::{Audience, AudienceResult};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::local::People;
use crate::spec::Segment;
use crate::table::PERSON;

impl Engine {
    pub(super) fn audience_plan(&self, asked: &Asked<'_>, audience: &Audience) -> Result<Begun> {
        nobody(audience)?;
        let (plan, _, warnings) = self.segment_plan(asked, segment(audience)?)?;
        Ok(Begun { plan, state: self.session(asked.snapshot)?, warnings })
    }
}

fn segment(audience: &Audience) -> Result<&Segment> {
    audience.scope.segment.as_ref().ok_or_else(|| Error::invalid("the question needs a segment"))
}

/// Whether the rows are those of people who are not in it.
fn nobody(audience: &Audience) -> Result<bool> {
    segment(audience)?.of_nobody().ok_or_else(|| {
        Error::unsupported(
            "a plan reads events, and people without any may be in this segment: ask who did what, or ask the engine",
        )
    })
}

pub(super) fn answer(
    asked: &Asked<'_>,
    audience: &Audience,
    rows: &[RecordBatch],
    warnings: Vec<String>,
) -> Result<AudienceResult> {
    let nobody = nobody(audience)?;
    let mut people = People::new(asked.snapshot.subject_count, nobody);
    for batch in rows {
        numbers::<UInt32Type>(batch, PERSON)?.iter().for_each(|person| people.set(*person, !nobody));
    }
    let people = people.unite(&asked.snapshot.persons);
    answered(asked, audience, asked.plain_header(Audience::NAME, warnings), &people)
}
