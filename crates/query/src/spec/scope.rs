//! What every analysis says beside its own parameters: range, zone, filter, unit and breakdown.

use serde::Serialize;
use serde_json::Value;

use super::{Breakdown, Fields, FromJson, NamedSegment, Place, Segment, SpecError, Unit};
use crate::calendar::{Compare, Range, TimeZone};

/// How many values a breakdown shows before the rest is folded into *other*, unless the question says otherwise.
pub const DEFAULT_LIMIT: usize = 25;
/// How many items a breakdown may have.
pub const MAX_BREAKDOWNS: usize = 3;
/// How many segments a question may be asked about side by side.
pub const MAX_SEGMENTS: usize = 10;
/// How many values of a row tell it apart: those of the breakdown, and as many that an analysis asks for besides.
pub(crate) const MAX_ITEMS: usize = 2 * MAX_BREAKDOWNS;

pub(crate) const SCOPE_FIELDS: &[&str] =
    &["range", "time_zone", "filter", "segment", "unit", "breakdown", "limit", "compare"];

/// The parameters that all analyses share; their fields stand beside `steps`, `series` and the like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Scope {
    /// The range asked about; by default all that the store holds.
    #[serde(skip_serializing_if = "Range::is_default")]
    pub range: Range,
    /// IANA name of the zone whose calendar counts; by default the store's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// A SQL boolean that applies to every event that the analysis reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// The only people that the question is about; by default everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::openapi::Segments>))]
    pub segment: Option<Segment>,
    /// Several segments that the same is asked about, side by side, in place of one; at most [`MAX_SEGMENTS`].
    #[serde(rename = "segment", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub segments: Vec<NamedSegment>,
    /// Whom to count.
    #[serde(skip_serializing_if = "is_default")]
    pub unit: Unit,
    /// What to cut the answer by; at most [`MAX_BREAKDOWNS`] items.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub breakdown: Vec<Breakdown>,
    /// How many breakdown values to show before folding the rest into *other*.
    #[serde(skip_serializing_if = "is_default_limit")]
    pub limit: usize,
    /// The earlier range that the same is asked of besides; of trends, funnels and retention.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compare: Option<Compare>,
}

impl Default for Scope {
    fn default() -> Self {
        Self {
            range: Range::default(),
            time_zone: None,
            filter: None,
            segment: None,
            segments: Vec::new(),
            unit: Unit::default(),
            breakdown: Vec::new(),
            limit: DEFAULT_LIMIT,
            compare: None,
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn is_default_limit(limit: &usize) -> bool {
    *limit == DEFAULT_LIMIT
}

impl Scope {
    pub(crate) fn read(fields: &Fields<'_>) -> Result<Self, SpecError> {
        let (segment, segments) = Self::read_segments(fields.value("segment"))?;
        let scope = Self {
            range: fields.read("range")?.unwrap_or_default(),
            time_zone: fields.read("time_zone")?,
            filter: fields.read("filter")?,
            segment,
            segments,
            unit: Unit::read(fields)?,
            breakdown: fields.read("breakdown")?.unwrap_or_default(),
            limit: fields.read("limit")?.unwrap_or(DEFAULT_LIMIT),
            compare: fields.read("compare")?,
        };
        scope.check(fields.place())?;
        Ok(scope)
    }

    /// One segment, or a list of several.
    pub(crate) fn read_segments(
        given: Option<(&Value, Place)>,
    ) -> Result<(Option<Segment>, Vec<NamedSegment>), SpecError> {
        match given {
            None => Ok((None, Vec::new())),
            Some((Value::Array(list), place)) if list.is_empty() => {
                Err(place.invalid("must have at least one segment"))
            }
            Some((value @ Value::Array(_), place)) => Ok((None, Vec::from_json(value, &place)?)),
            Some((value, place)) => Ok((Some(Segment::from_json(value, &place)?), Vec::new())),
        }
    }

    /// Whether the segments, which stand at this place, can be asked about.
    pub(crate) fn check_segments(&self, place: &Place) -> Result<(), SpecError> {
        if let Some(segment) = &self.segment {
            segment.check(place)?;
            if !self.segments.is_empty() {
                return Err(place.invalid("is either one or a list of several"));
            }
        }
        if self.segments.len() > MAX_SEGMENTS {
            let found = self.segments.len();
            return Err(place.invalid(format_args!("takes at most {MAX_SEGMENTS} segments, found {found}")));
        }
        let mut segments = self.segments.iter().enumerate();
        segments.try_for_each(|(at, named)| named.segment.check(&place.item(at)))
    }

    pub(crate) fn check(&self, place: &Place) -> Result<(), SpecError> {
        self.range.check().map_err(|error| place.child("range").locate(error))?;
        self.check_zone(place)?;
        self.check_segments(&place.child("segment"))?;
        for (at, item) in self.breakdown.iter().enumerate() {
            item.check(&place.child("breakdown").item(at))?;
        }
        if self.breakdown.len() > MAX_BREAKDOWNS {
            let found = self.breakdown.len();
            return Err(place
                .child("breakdown")
                .invalid(format_args!("takes at most {MAX_BREAKDOWNS} items, found {found}")));
        }
        if self.limit == 0 {
            return Err(place.child("limit").invalid("must be at least 1, found 0"));
        }
        Ok(())
    }

    /// Whether something that is saved is named in it.
    pub(crate) fn has_names(&self) -> bool {
        let segments = self.segment.iter().chain(self.segments.iter().map(|named| &named.segment));
        segments.chain(self.breakdown.iter().filter_map(Breakdown::segment)).any(Segment::has_names)
    }

    pub(crate) fn check_zone(&self, place: &Place) -> Result<(), SpecError> {
        match &self.time_zone {
            Some(name) => TimeZone::named(name).map(|_| ()).map_err(|error| place.child("time_zone").locate(error)),
            None => Ok(()),
        }
    }

    /// Refuses a comparison, for an analysis that knows none.
    pub(crate) fn check_alone(&self, place: &Place) -> Result<(), SpecError> {
        match self.compare {
            Some(_) => Err(place.child("compare").invalid("is for trends, funnels and retention")),
            None => Ok(()),
        }
    }

    /// The zone of the question, or `store_zone` where it names none.
    ///
    /// # Errors
    /// [`SpecErrorKind::Invalid`](super::SpecErrorKind::Invalid) if no zone of that name is known.
    pub fn zone(&self, store_zone: &TimeZone) -> Result<TimeZone, SpecError> {
        self.time_zone.as_deref().map_or_else(|| Ok(store_zone.clone()), TimeZone::named)
    }

    /// The headings of the breakdown, in order.
    pub fn titles(&self) -> Vec<String> {
        self.breakdown.iter().map(|item| item.title().to_owned()).collect()
    }
}

/// The builder methods over `scope`, the same for every analysis that counts.
macro_rules! scope_builders {
    ($analysis:ty) => {
        $crate::spec::event_builders!($analysis);

        impl $analysis {
            /// Is about these people alone.
            #[must_use]
            pub fn segment(mut self, segment: impl Into<$crate::spec::Segment>) -> Self {
                self.scope.segment = Some(segment.into());
                self
            }

            /// Asks the same about one more of several segments, side by side.
            #[must_use]
            pub fn beside(mut self, segment: impl Into<$crate::spec::NamedSegment>) -> Self {
                self.scope.segments.push(segment.into());
                self
            }

            /// Counts these units instead of persons.
            #[must_use]
            pub fn unit(mut self, unit: $crate::spec::Unit) -> Self {
                self.scope.unit = unit;
                self
            }

            /// Cuts the answer by one more property or expression.
            #[must_use]
            pub fn breakdown(mut self, item: impl Into<$crate::spec::Breakdown>) -> Self {
                self.scope.breakdown.push(item.into());
                self
            }

            /// Asks the same of an earlier range besides.
            #[must_use]
            pub fn compare(mut self, compare: $crate::calendar::Compare) -> Self {
                self.scope.compare = Some(compare);
                self
            }

            /// Shows this many breakdown values before folding the rest into *other*.
            #[must_use]
            pub fn limit(mut self, limit: usize) -> Self {
                self.scope.limit = limit;
                self
            }
        }
    };
}

/// The builder methods over the part of `scope` that says which events are read.
macro_rules! event_builders {
    ($analysis:ty) => {
        impl $analysis {
            /// Begins the range here: an instant such as `2025-01-01T00:00:00Z`, or a local date such as `2025-01-01`.
            #[must_use]
            pub fn from(mut self, from: impl Into<$crate::calendar::Moment>) -> Self {
                self.scope.range = self.scope.range.starting(from.into());
                self
            }

            /// Ends the range before this instant or local date.
            #[must_use]
            pub fn to(mut self, to: impl Into<$crate::calendar::Moment>) -> Self {
                self.scope.range = self.scope.range.ending(to.into());
                self
            }

            /// Asks about the time of this length that ends now, in place of `from` and `to`.
            #[must_use]
            pub fn last(mut self, span: $crate::calendar::Span) -> Self {
                self.scope.range = $crate::calendar::Range::Last(span);
                self
            }

            /// Counts by the calendar of this IANA zone.
            #[must_use]
            pub fn time_zone(mut self, name: impl Into<String>) -> Self {
                self.scope.time_zone = Some(name.into());
                self
            }

            /// Reads only events for which this SQL boolean holds.
            #[must_use]
            pub fn filter(mut self, sql: impl Into<String>) -> Self {
                self.scope.filter = Some(sql.into());
                self
            }
        }

        $crate::spec::json_form!($analysis);
    };
}

/// The JSON form of an analysis object, and the check of one that was built.
macro_rules! json_form {
    ($analysis:ty) => {
        impl $analysis {
            /// Reads the JSON form of the analysis object, strictly.
            ///
            /// # Errors
            /// `Invalid` for an unknown field, a missing or malformed value.
            pub fn from_value(value: &serde_json::Value) -> Result<Self, $crate::spec::SpecError> {
                <Self as $crate::spec::FromJson>::from_json(value, &$crate::spec::Place::root(Self::NAME))
            }

            /// Checks what a builder cannot, so that a spec built in Rust is held to the same rules as JSON.
            ///
            /// # Errors
            /// `Invalid`, naming the field and its value.
            pub fn validate(&self) -> Result<(), $crate::spec::SpecError> {
                self.check(&$crate::spec::Place::root(Self::NAME))
            }
        }

        impl<'de> serde::Deserialize<'de> for $analysis {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = serde_json::Value::deserialize(deserializer)?;
                Self::from_value(&value).map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use event_builders;
pub(crate) use json_form;
pub(crate) use scope_builders;
