//! Schemas of questions. Words and names of fields are those of the readers; what a question has in common with others is among its own fields.

use std::borrow::Cow;

use serde_json::{Value, json};
use utoipa::openapi::schema::{AdditionalProperties, Object};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::Found;
use crate::audience::Audience;
use crate::calendar::{Compare, Interval, Moment, Range, Span, WeekStart};
use crate::funnel::{
    self, BreakdownAt, Completion, ExclusionOutcome, Funnel, FunnelEntry, Like, Pick, Repeats, StepOrder, StepOutcome,
    Ties, Window,
};
use crate::journey::{self, Journey};
use crate::lifecycle::Lifecycle;
use crate::paths::{self, PathCount, PathWithin, Paths};
use crate::people::{self, Match, People, Search, SortBy};
use crate::retention::{Cohort, Criterion, PeriodClock, PeriodZero, Retention, Returns, RoundTo};
use crate::sessions::{self, By, GapAt, Sessions};
use crate::spec::{
    Breakdown, EventNames, Known, MAX_BREAKDOWNS, MAX_SEGMENTS, MAX_TOUCH, NamedSegment, Query, Scope, Segment,
    Selector, Times, Unit, Word,
};
use crate::stickiness::Stickiness;
use crate::trend::{self, AttributionModel, Measure, Trend};

const DURATION: &str = r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d|w)$";

/// The limits that descriptions name.
const LIMITS: [(&str, usize); 11] = [
    ("MAX_BREAKDOWNS", MAX_BREAKDOWNS),
    ("MAX_DEPTH", paths::MAX_DEPTH),
    ("MAX_EVENTS", journey::MAX_EVENTS),
    ("MAX_HELD", funnel::MAX_HELD),
    ("MAX_PEOPLE", people::MAX_PEOPLE),
    ("MAX_ROLLING", trend::MAX_ROLLING),
    ("MAX_SEGMENTS", MAX_SEGMENTS),
    ("MAX_SPLITS", sessions::MAX_SPLITS),
    ("MAX_STEPS", funnel::MAX_STEPS),
    ("MAX_TOUCH", MAX_TOUCH),
    ("MAX_TRAITS", people::MAX_TRAITS),
];

/// Any text, or what is read as it.
fn text() -> Value {
    json!({ "type": "string" })
}

fn component(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn of<T: ToSchema>() -> Value {
    component(&T::name())
}

/// An object of these fields and no others.
fn object(properties: Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// Exactly one of several forms.
fn either(description: &str, forms: impl IntoIterator<Item = Value>) -> Value {
    json!({ "description": description, "oneOf": Vec::from_iter(forms) })
}

fn made(schema: Value) -> RefOr<Schema> {
    serde_json::from_value(schema).expect("invariant: a test makes every schema that is written here")
}

fn words<T: Word>() -> Value {
    json!({ "type": "string", "enum": T::WORDS.iter().map(|(word, _)| *word).collect::<Vec<_>>() })
}

/// The forms of a segment by their names, each with what may stand beside it.
fn segments(beside: &[(&str, Value)]) -> Vec<(&'static str, Value)> {
    let did = || of::<Selector>();
    let range = || of::<Range>();
    let several = || json!({ "type": "array", "items": of::<Segment>() });
    let period = json!({ "type": ["string", "integer"] });
    let forms = [
        ("SegmentAll", json!({ "all": several() }), "all"),
        ("SegmentAny", json!({ "any": several() }), "any"),
        ("SegmentNot", json!({ "not": of::<Segment>() }), "not"),
        ("SegmentDid", json!({ "did": did(), "times": of::<Times>(), "range": range() }), "did"),
        ("SegmentDidNot", json!({ "did_not": did(), "range": range() }), "did_not"),
        ("SegmentFirst", json!({ "first": did(), "range": range() }), "first"),
        ("SegmentLast", json!({ "last": did(), "range": range() }), "last"),
        ("SegmentProfile", json!({ "profile": text() }), "profile"),
        (
            "SegmentFunnel",
            json!({ "funnel": of::<Funnel>(), "step": usize::schema(), "outcome": of::<StepOutcome>() }),
            "funnel step outcome",
        ),
        (
            "SegmentRetention",
            json!({ "retention": of::<Retention>(), "cohort": text(), "period": period }),
            "retention cohort period",
        ),
        ("SegmentCohort", json!({ "cohort": text() }), "cohort"),
    ];
    let of_form = |(form, mut fields, required): (_, Value, &str)| {
        for (name, schema) in beside {
            fields[name] = schema.clone();
        }
        (form, object(fields, &required.split(' ').collect::<Vec<_>>()))
    };
    forms.into_iter().map(of_form).collect()
}

fn segments_with(beside: &[(&str, Value)]) -> impl Iterator<Item = Value> {
    segments(beside).into_iter().map(|(_, form)| form)
}

/// One segment, or several that the same is asked about.
pub(crate) struct Segments;

macro_rules! schemas {
    ($($type:ty, $name:literal => $schema:expr;)+) => {
        $(
            impl PartialSchema for $type {
                fn schema() -> RefOr<Schema> {
                    made($schema)
                }
            }

            impl ToSchema for $type {
                fn name() -> Cow<'static, str> {
                    Cow::Borrowed($name)
                }
            }
        )+

        fn add_values(found: &mut Found) {
            $(found.push((<$type as ToSchema>::name().into_owned(), <$type>::schema()));)+
        }
    };
}

schemas! {
    Interval, "Interval" => words::<Interval>();
    WeekStart, "WeekStart" => words::<WeekStart>();
    StepOrder, "StepOrder" => words::<StepOrder>();
    Repeats, "Repeats" => words::<Repeats>();
    Ties, "Ties" => words::<Ties>();
    FunnelEntry, "FunnelEntry" => words::<FunnelEntry>();
    Pick, "Pick" => words::<Pick>();
    Completion, "Completion" => words::<Completion>();
    ExclusionOutcome, "ExclusionOutcome" => words::<ExclusionOutcome>();
    StepOutcome, "StepOutcome" => words::<StepOutcome>();
    Like, "Like" => words::<Like>();
    journey::Order, "JourneyOrder" => words::<journey::Order>();
    paths::Direction, "PathDirection" => words::<paths::Direction>();
    PathCount, "PathCount" => words::<PathCount>();
    SortBy, "SortBy" => words::<SortBy>();
    people::Direction, "SortOrder" => words::<people::Direction>();
    Match, "Match" => words::<Match>();
    Cohort, "Cohort" => words::<Cohort>();
    PeriodClock, "PeriodClock" => words::<PeriodClock>();
    RoundTo, "RoundTo" => words::<RoundTo>();
    Returns, "Returns" => words::<Returns>();
    PeriodZero, "PeriodZero" => words::<PeriodZero>();
    Criterion, "Criterion" => words::<Criterion>();
    GapAt, "GapAt" => words::<GapAt>();
    Measure, "Measure" => words::<Measure>();
    AttributionModel, "AttributionModel" => words::<AttributionModel>();

    Span, "Duration" => json!({ "type": "string", "pattern": DURATION, "description": "A duration, such as `7d`, `1.5h` or `250ms`" });
    Moment, "Moment" => json!({
        "type": "string",
        "description": "An instant such as `2025-01-31T10:00:00Z`, or a local date or time such as `2025-01-31`",
    });
    Range, "Range" => either("From an instant to another, which is no more in it; or the last so much", [
        object(json!({ "from": of::<Moment>(), "to": of::<Moment>() }), &[]),
        object(json!({ "last": of::<Span>() }), &["last"]),
    ]);
    Compare, "Compare" => either("With the range just before, or with this one so much earlier", [
        json!({ "type": "string", "enum": ["previous"] }),
        object(json!({ "shift": { "type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d|w|mo|q|y)$" } }), &["shift"]),
    ]);
    EventNames, "EventNames" => either("The name of an event, several, or `*`: any event", [
        json!({ "type": "string", "minLength": 1 }),
        json!({ "type": "array", "items": { "type": "string", "minLength": 1, "pattern": r"^([^*]|.{2,})" }, "minItems": 1 }),
    ]);
    Unit, "Unit" => json!({
        "type": "string",
        "pattern": "^(person|distinct_id|session|group:.+)$",
        "description": "`person`, `distinct_id`, `session`, or `group:` and a property, whose values are counted",
    });
    Window, "ConversionWindow" => either("A duration, or as long as the session of the first step lasts", [
        of::<Span>(),
        json!({ "type": "string", "enum": ["session"] }),
    ]);
    PathWithin, "PathWithin" => either("A duration, in one session, or anywhere in the range", [
        of::<Span>(),
        json!({ "type": "string", "enum": ["session", "all"] }),
    ]);
    BreakdownAt, "BreakdownAt" => either("At which event the values of the breakdown are read", [
        json!({ "type": "string", "enum": BreakdownAt::WORDS.map(|(word, _)| word) }),
        object(json!({ "step": usize::schema() }), &["step"]),
    ]);
    By, "SessionsBy" => json!({
        "type": ["string", "null"],
        "enum": By::WORDS.iter().map(|(word, _)| json!(word)).chain([Value::Null]).collect::<Vec<_>>(),
        "description": "The `session_id` of the sender; null: nothing",
    });
    Times, "Times" => either("How often", [
        object(json!({ "at_least": u64::schema() }), &["at_least"]),
        object(json!({ "at_most": u64::schema() }), &["at_most"]),
        object(json!({ "exactly": u64::schema() }), &["exactly"]),
    ]);
    Breakdown, "Breakdown" => either("A property, an SQL expression over one event, a trait, or whether somebody is in a segment", [
        object(json!({ "property": text() }), &["property"]),
        object(json!({ "expression": text() }), &["expression"]),
        object(json!({ "profile": text() }), &["profile"]),
        object(json!({ "segment": of::<Segment>(), "name": text() }), &["segment"]),
    ]);
    Search, "Search" => either("A text that is in an id or a trait, or how and where it is", [
        text(),
        object(json!({ "text": text(), "match": of::<Match>(), "in": { "type": "string", "enum": ["anywhere", "ids"] } }), &["text"]),
        object(json!({ "text": text(), "match": of::<Match>(), "trait": text() }), &["text", "trait"]),
    ]);
    Segment, "Segment" => either("The people of a saved segment, or who somebody is by what was done and by traits",
        // Named, since generators of clients go round in circles only through objects with names.
        [text()].into_iter().chain(segments(&[]).into_iter().map(|(form, _)| component(form))),
    );
    NamedSegment, "NamedSegment" => either(
        "A segment, and what the question calls it",
        [text()].into_iter().chain(segments_with(&[("name", text())])),
    );
    Segments, "Segments" => either("One segment, or several that the same is asked about", [
        of::<Segment>(),
        json!({ "type": "array", "items": of::<NamedSegment>(), "minItems": 1 }),
    ]);
    Audience, "Audience" => either(
        "A segment, or several, and whether its people are named",
        [text(), json!({ "type": "array", "items": of::<NamedSegment>(), "minItems": 1 })]
            .into_iter()
            .chain(segments_with(&[("people", json!({ "type": "boolean" })), ("time_zone", text())])),
    );
}

/// A question as the derive sees it, and what its reader says.
struct Form {
    name: &'static str,
    known: Known,
    /// What the reader knows beside the fields of the type, such as another way to say them.
    more: Vec<(&'static str, Value)>,
    /// What it knows only to refuse it.
    refused: &'static [&'static str],
}

fn forms() -> Vec<Form> {
    let form = |name, known| Form { name, known, more: Vec::new(), refused: &[] };
    vec![
        Form {
            more: vec![("rolling", made_value::<Option<usize>>()), ("cumulative", made_value::<bool>())],
            ..form("Trend", Trend::FIELDS)
        },
        Form { more: vec![("like", of::<Like>())], ..form("Funnel", Funnel::FIELDS) },
        form("Retention", Retention::FIELDS),
        Form { refused: &["compare"], ..form("Stickiness", Stickiness::FIELDS) },
        Form { refused: &["breakdown", "limit", "compare"], ..form("Lifecycle", Lifecycle::FIELDS) },
        Form { refused: &["segment", "unit", "breakdown"], ..form("Journey", Journey::FIELDS) },
        Form { refused: &["breakdown", "compare"], ..form("Sessions", Sessions::FIELDS) },
        Form { refused: &["breakdown", "compare"], ..form("Paths", Paths::FIELDS) },
        Form { more: vec![("segment", of::<Segment>()), ("time_zone", text())], ..form("People", People::FIELDS) },
    ]
}

fn made_value<T: PartialSchema>() -> Value {
    serde_json::to_value(T::schema()).expect("invariant: a test makes every schema that is written here")
}

/// The fields of an object, with those of what is flattened into it.
fn flat(schema: Schema) -> Option<Object> {
    match schema {
        Schema::Object(object) => Some(object),
        Schema::AllOf(all) => {
            let mut whole = Object::default();
            for item in all.items {
                let part = match item {
                    RefOr::T(schema) => flat(schema)?,
                    RefOr::Ref(to) if to.ref_location.ends_with("/Selector") => flat(Selector::schema().into())?,
                    // Beside selectors only what all questions share is flattened.
                    RefOr::Ref(_) => flat(Scope::schema().into())?,
                };
                whole.schema_type = part.schema_type;
                whole.properties.extend(part.properties);
                whole.required.extend(part.required);
                whole.description = part.description.or(whole.description);
            }
            whole.description = all.description.or(whole.description);
            Some(whole)
        }
        _ => None,
    }
}

/// A question, or a part of one: all its fields are there, and no others may be.
fn question(name: &str, schema: RefOr<Schema>) -> RefOr<Schema> {
    let RefOr::T(schema) = schema else { return schema };
    let Some(mut object) = flat(schema.clone()).filter(|object| !object.properties.is_empty()) else {
        return schema.into();
    };
    if let Some(form) = forms().into_iter().find(|form| form.name == name) {
        let more = form.more.into_iter().map(|(name, schema)| (name.to_owned(), made(schema)));
        object.properties.extend(more);
        object.properties.retain(|name, _| form.known.has(name) && !form.refused.contains(&name.as_str()));
        object.required.retain(|name| form.known.has(name));
    }
    // What follows are examples.
    object.description = object.description.map(|text| text.split("\n\n").next().unwrap_or_default().to_owned());
    object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
    let mut whole = serde_json::to_value(object).expect("invariant: a test makes every schema that is written here");
    for field in whole["properties"].as_object_mut().into_iter().flat_map(|fields| fields.values_mut()) {
        if let Some(Value::String(text)) = field.get_mut("description") {
            *text = with_limits(text);
        }
    }
    made(whole)
}

/// The text with numbers in place of their names, which mean nothing outside of this library.
fn with_limits(text: &str) -> String {
    let (mut made, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, named)) = rest.split_once("[`MAX_") {
        let (name, after) = named.split_once("`]").unwrap_or((named, ""));
        let limit = LIMITS.iter().find(|(of, _)| of.strip_prefix("MAX_") == Some(name));
        made += before;
        made += &limit.map_or_else(|| name.to_owned(), |(_, most)| most.to_string());
        // Where the link leads.
        let target = after.strip_prefix('(').and_then(|target| target.split_once(')'));
        rest = target.map_or(after, |(_, after)| after);
    }
    made + rest
}

macro_rules! analyses {
    ($($type:ty),+ $(,)?) => {
        fn add_analyses(found: &mut Found) {
            $(
                found.push((<$type as ToSchema>::name().into_owned(), <$type>::schema()));
                <$type>::schemas(found);
            )+
        }

        fn analyses() -> Vec<(&'static str, Value)> {
            vec![$((<$type>::NAME, of::<$type>())),+]
        }
    };
}

analyses!(Trend, Funnel, Retention, Stickiness, Lifecycle, Journey, Sessions, Paths, Audience, People);

impl PartialSchema for Query {
    fn schema() -> RefOr<Schema> {
        let form = |(name, analysis): (&str, Value)| {
            let mut fields = json!({
                "as_of": made_value::<u64>(),
                "strict_names": made_value::<bool>(),
                "explain": made_value::<bool>(),
                "timeout": of::<Span>(),
            });
            fields[name] = analysis;
            let mut object = object(fields, &[name]);
            object["title"] = json!(format!("{name} query"));
            object
        };
        made(either("One analysis, and what stands beside it", analyses().into_iter().map(form)))
    }
}

impl ToSchema for Query {
    fn schemas(found: &mut Found) {
        let mut own = Vec::new();
        add_analyses(&mut own);
        add_values(&mut own);
        own.extend(segments(&[]).into_iter().map(|(form, schema)| (form.to_owned(), made(schema))));
        own.retain(|(name, _)| *name != Scope::name());
        found.extend(own.into_iter().map(|(name, schema)| {
            let schema = question(&name, schema);
            (name, schema)
        }));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn all() -> BTreeMap<String, Value> {
        let mut found = vec![(Query::name().into_owned(), Query::schema())];
        Query::schemas(&mut found);
        found.into_iter().map(|(name, schema)| (name, serde_json::to_value(schema).expect("it serialises"))).collect()
    }

    #[test]
    fn a_question_has_the_fields_that_its_reader_knows() {
        let all = all();
        for form in forms() {
            let schema = &all[form.name];
            let told: BTreeSet<&str> =
                schema["properties"].as_object().expect("it has fields").keys().map(String::as_str).collect();
            let known = form.known.all().filter(|name| !form.refused.contains(name)).collect();
            assert_eq!(told, known, "{}", form.name);
            assert_eq!(schema["additionalProperties"], false, "{}", form.name);
            assert!(!schema["description"].as_str().expect("it is described").contains('|'), "{schema}");
            assert!(!schema.to_string().contains("MAX_"), "{schema}");
        }
    }

    #[test]
    fn limits_are_numbers() {
        let text = "Properties, at most [`MAX_TOUCH`](crate::spec::MAX_TOUCH): of 1 to [`MAX_STEPS`].";
        assert_eq!(with_limits(text), "Properties, at most 8: of 1 to 32.");
    }

    #[test]
    fn what_is_referred_to_is_there() {
        fn references(schema: &Value, found: &mut BTreeSet<String>) {
            match schema {
                Value::Object(fields) => {
                    found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    fields.values().for_each(|field| references(field, found));
                }
                Value::Array(items) => items.iter().for_each(|item| references(item, found)),
                _ => {}
            }
        }
        let all = all();
        let mut found = BTreeSet::new();
        all.values().for_each(|schema| references(schema, &mut found));
        for reference in found {
            let name = reference.strip_prefix("#/components/schemas/").expect("a component");
            assert!(all.contains_key(name), "{name}");
        }
    }
}
