//! `profile(name)` and `profile_at(name)`: a trait of the person, now and when the event happened.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringViewArray, StringViewBuilder, UInt32Array,
};
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimestampMicrosecondType, UInt32Type, UInt64Type};
use datafusion::common::{Result, ScalarValue, exec_err, internal_err, plan_err};
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use pugmark_identity::{Persons, Profiles, Seen, Timeline, Trait, TraitKind, View};
use pugmark_registry::ColumnType;
use pugmark_store::{Hidden, Sequence, SubjectId, ValueRef};

use crate::columns::{data_type, instant};
use crate::engine::QuerySnapshot;
use crate::local::{ColumnCache, Kept};

/// Name of the function that reads a trait as it is in the snapshot.
pub(crate) const PROFILE: &str = "profile";
/// Name of the function that reads a trait as it was when an event happened.
pub(crate) const PROFILE_AT: &str = "profile_at";

/// Memory for each change of a trait while it is made what it was of everybody.
const MAKING_BYTES: usize = 96;
/// Texts of a batch that take more than this beside its rows are copied out of those of everybody.
const SHARED_BYTES: usize = 64 << 10;

/// The functions over the traits of a snapshot. What they make of them is of `pool`, where `cache` does not keep it.
pub(super) fn scalars(
    snapshot: &QuerySnapshot,
    pool: &Arc<dyn MemoryPool>,
    cache: Option<&Arc<ColumnCache>>,
) -> [ScalarUDF; 2] {
    let traits = Arc::new(Traits {
        profiles: Arc::clone(&snapshot.profiles),
        persons: Arc::clone(&snapshot.persons),
        hidden: Arc::clone(&snapshot.hidden),
        through: snapshot.sequence(),
        pool: Arc::clone(pool),
        cache: cache.map(Arc::clone),
        resolved: Mutex::default(),
    });
    [false, true].map(|past| {
        let signature = Signature::variadic_any(Volatility::Immutable);
        ScalarUDF::from(OfProfile { past, signature, traits: Arc::clone(&traits) })
    })
}

/// `profile(name, person)` and `profile_at(name, person, timestamp, sequence)`: the syntax tree's `profile('name')` gets the columns before planning.
#[derive(Debug)]
struct OfProfile {
    past: bool,
    signature: Signature,
    traits: Arc<Traits>,
}

impl PartialEq for OfProfile {
    fn eq(&self, other: &Self) -> bool {
        self.past == other.past && Arc::ptr_eq(&self.traits, &other.traits)
    }
}

impl Eq for OfProfile {}

impl Hash for OfProfile {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.past, Arc::as_ptr(&self.traits)).hash(state);
    }
}

impl ScalarUDFImpl for OfProfile {
    fn name(&self) -> &str {
        if self.past { PROFILE_AT } else { PROFILE }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        internal_err!("the type of {} follows from the trait", self.name())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let (found, expected) = (args.arg_fields.len(), if self.past { 4 } else { 2 });
        if found != expected {
            return match self.past {
                true => plan_err!(
                    "profile_at takes a name, or a name, a person, a timestamp and a sequence, found {found} arguments"
                ),
                false => plan_err!("profile takes a name, or a name and a person, found {found} arguments"),
            };
        }
        let kinds: Vec<&DataType> = args.arg_fields.iter().map(|field| field.data_type()).collect();
        let is_number = |kind: &DataType| kind.is_integer() || *kind == DataType::Null;
        let is_instant = |kind: &DataType| match kind {
            DataType::Timestamp(..) | DataType::Null => true,
            other => other.is_string(),
        };
        match kinds.as_slice() {
            [_, person, ..] if !is_number(person) => {
                return plan_err!("{} takes the number of a person, as in events.person, found {person}", self.name());
            }
            [_, _, at, sequence] if !is_instant(at) || !is_number(sequence) => {
                return plan_err!("profile_at takes a timestamp and a sequence, found {at} and {sequence}");
            }
            _ => {}
        }
        let name = args.scalar_arguments.first().copied().flatten().and_then(ScalarValue::try_as_str);
        let Some(Some(name)) = name else { return plan_err!("{} takes one name in single quotes", self.name()) };
        Ok(Arc::new(Field::new(self.name(), data_type(self.traits.column(name)), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let [name, person, when @ ..] = args.args.as_slice() else {
            return exec_err!("{} takes a name and a person", self.name());
        };
        let ColumnarValue::Scalar(name) = name else {
            return exec_err!("{} takes one name in single quotes", self.name());
        };
        let Some(Some(name)) = name.try_as_str() else { return exec_err!("{} takes a name", self.name()) };
        let persons = cast(&person.to_array(rows)?, &DataType::UInt32)?;
        let held = self.traits.resolved(name, self.past)?;
        let timeline = &held.resolved.timeline;
        let mut seen = Seen::default();
        let of = |row: usize| {
            let subject = persons.as_primitive::<UInt32Type>().value(row);
            persons.is_valid(row).then(|| self.traits.persons.person_of(SubjectId::new(subject)))
        };
        let places: UInt32Array = match when {
            [] => (0..rows).map(|row| timeline.last(of(row)?, &mut seen)).collect(),
            [timestamps, sequences] => {
                let timestamps = cast(&timestamps.to_array(rows)?, &instant())?;
                let sequences = cast(&sequences.to_array(rows)?, &DataType::UInt64)?;
                let at = timestamps.as_primitive::<TimestampMicrosecondType>();
                let number = sequences.as_primitive::<UInt64Type>();
                let place = |row| {
                    let told = at.is_valid(row) && number.is_valid(row);
                    let person = of(row).filter(|_| told)?;
                    timeline.at(person, (at.value(row), number.value(row)), &mut seen)
                };
                (0..rows).map(place).collect()
            }
            _ => return exec_err!("{} takes a name, a person and an instant", self.name()),
        };
        Ok(ColumnarValue::Array(held.take(&places)?))
    }
}

/// The traits of one snapshot, each resolved when it is first asked for.
struct Traits {
    profiles: Arc<Profiles>,
    persons: Arc<Persons>,
    hidden: Arc<Hidden>,
    through: Sequence,
    pool: Arc<dyn MemoryPool>,
    cache: Option<Arc<ColumnCache>>,
    /// By name, and whether the past is in it.
    resolved: Mutex<HashMap<(String, bool), Held>>,
}

impl fmt::Debug for Traits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traits").field("through", &self.through).finish_non_exhaustive()
    }
}

impl Traits {
    /// The type of a trait: that of its first value, doubles once a number had a fraction. Text for one that never had a value.
    fn column(&self, name: &str) -> ColumnType {
        let kinds = self.profiles.kinds(name, self.through).unwrap_or_default();
        match kinds.first() {
            Some(TraitKind::Bool) => ColumnType::Bool,
            Some(TraitKind::Int) if !kinds.contains(&TraitKind::Float) => ColumnType::Int,
            Some(TraitKind::Int | TraitKind::Float | TraitKind::Number) => ColumnType::Float,
            Some(TraitKind::Json) => ColumnType::Json,
            Some(TraitKind::Text) | None => ColumnType::Text,
        }
    }

    fn resolved(&self, name: &str, past: bool) -> Result<Held> {
        // Whoever else wants it waits: it would make the same.
        let mut all = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(&(name.to_owned(), past)) {
            return Ok(known.clone());
        }
        let reservation = MemoryConsumer::new("traits").register(&self.pool);
        let (resolved, is_kept) = match self.profiles.of(name, self.through) {
            Some(of) => {
                if !self.is_kept(of, past) {
                    reservation.try_grow(of.change_count() * MAKING_BYTES)?;
                }
                self.made(name, of, past)?
            }
            None => (Arc::new(self.make(name, None, past)), false),
        };
        reservation.try_resize(if is_kept { 0 } else { resolved.bytes() })?;
        let held = Held { resolved, reservation: Arc::new(reservation) };
        all.insert((name.to_owned(), past), held.clone());
        Ok(held)
    }

    fn is_kept(&self, of: &Arc<Trait>, past: bool) -> bool {
        self.cache.as_ref().is_some_and(|cache| cache.has(of, Kept::Trait(past)))
    }

    /// What is made of a trait, and whether the cache keeps it.
    fn made(&self, name: &str, of: &Arc<Trait>, past: bool) -> Result<(Arc<Resolved>, bool)> {
        let (Some(cache), true) = (&self.cache, of.is_whole(self.through)) else {
            return Ok((Arc::new(self.make(name, Some(of), past)), false));
        };
        let is_it =
            |kept: &Resolved| Arc::ptr_eq(&kept.persons, &self.persons) && Arc::ptr_eq(&kept.hidden, &self.hidden);
        let make = || {
            let made = self.make(name, Some(of), past);
            let bytes = made.bytes();
            Ok::<_, DataFusionError>((made, bytes))
        };
        let resolved = cache.get_if(of, Kept::Trait(past), is_it, make)?;
        Ok((resolved, self.is_kept(of, past)))
    }

    fn make(&self, name: &str, of: Option<&Arc<Trait>>, past: bool) -> Resolved {
        let view = View { persons: &self.persons, through: self.through, past };
        let hides = |subject, sequence| self.hidden.is_erased(subject) || self.hidden.hides(subject, sequence);
        let timeline = of.map(|of| self.profiles.timeline(of, view, hides)).unwrap_or_default();
        let values = values(&timeline, self.column(name));
        Resolved { timeline, values, persons: Arc::clone(&self.persons), hidden: Arc::clone(&self.hidden) }
    }
}

/// One trait of everybody, for one query.
#[derive(Clone)]
struct Held {
    resolved: Arc<Resolved>,
    // Held as long as what it is for.
    reservation: Arc<MemoryReservation>,
}

/// One trait of everybody.
struct Resolved {
    timeline: Timeline,
    /// Its different values in their type; none where that is a list: those are written when they are asked for, each is the beginning of another.
    values: Option<ArrayRef>,
    persons: Arc<Persons>,
    hidden: Arc<Hidden>,
}

/// The values of a timeline as a column; NULL for one of another type.
fn values(timeline: &Timeline, column: ColumnType) -> Option<ArrayRef> {
    let count = u32::try_from(timeline.value_count()).expect("invariant: places are of 32 bits");
    // A list in a column of another type is NULL, and need not be written for that.
    let scalar = |place| (!timeline.is_list(place)).then_some(place);
    Some(match column {
        ColumnType::Bool => Arc::new(BooleanArray::from_iter((0..count).map(|place| {
            timeline.with_value(scalar(place)?, |value| match value {
                ValueRef::Bool(v) => Some(v),
                _ => None,
            })
        }))),
        ColumnType::Int => Arc::new(Int64Array::from_iter((0..count).map(|place| {
            timeline.with_value(scalar(place)?, |value| match value {
                ValueRef::Int(v) => Some(v),
                _ => None,
            })
        }))),
        ColumnType::Float => Arc::new(Float64Array::from_iter(
            (0..count).map(|place| timeline.with_value(scalar(place)?, ColumnType::double)),
        )),
        ColumnType::Text => {
            let mut texts = StringViewBuilder::with_capacity(count as usize);
            for place in 0..count {
                match scalar(place) {
                    Some(place) => timeline.with_value(place, |value| match value {
                        ValueRef::Text(v) => texts.append_value(v),
                        _ => texts.append_null(),
                    }),
                    None => texts.append_null(),
                }
            }
            Arc::new(texts.finish())
        }
        ColumnType::Json => return None,
    })
}

impl Resolved {
    fn bytes(&self) -> usize {
        self.timeline.bytes() + self.values.as_ref().map_or(0, |values| values.get_array_memory_size())
    }
}

impl Held {
    /// The values at these places.
    fn take(&self, places: &UInt32Array) -> Result<ArrayRef> {
        let Resolved { timeline, values, .. } = &*self.resolved;
        if let Some(values) = values {
            let taken = take(values, places, None)?;
            // What holds a batch, a sort say, is charged with all that it refers to.
            return Ok(match taken.as_string_view_opt() {
                Some(texts) if texts.get_buffer_memory_size() > SHARED_BYTES => Arc::new(texts.gc()),
                _ => taken,
            });
        }
        let mut written: HashMap<u32, u32> = HashMap::new();
        let mut texts = StringViewBuilder::new();
        let room = self.reservation.new_empty();
        let mut indices: Vec<Option<u32>> = Vec::with_capacity(places.len());
        for place in places {
            let Some(place) = place else {
                indices.push(None);
                continue;
            };
            if let Some(at) = written.get(&place) {
                indices.push(Some(*at));
                continue;
            }
            let text = timeline.with_value(place, |value| match value {
                ValueRef::Json(text) => Some(text.to_owned()),
                _ => None,
            });
            // A batch of long lists is refused rather than the end of the process.
            room.try_grow(text.as_ref().map_or(0, String::len))?;
            let at = u32::try_from(written.len()).expect("invariant: a batch has few rows");
            texts.append_option(text);
            written.insert(place, at);
            indices.push(Some(at));
        }
        let texts: StringViewArray = texts.finish();
        Ok(take(&texts, &UInt32Array::from(indices), None)?)
    }
}
