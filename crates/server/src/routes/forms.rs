//! Forms of bodies that are read by hand, for the document that describes them.
#![expect(
    dead_code,
    clippy::large_enum_variant,
    reason = "none is ever made: the derive reads off what the document says of them"
)]

use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Events and operations: one, or a list of them.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum EventsBody {
    One(Entry),
    Several(Several),
}

#[derive(ToSchema)]
#[schema(min_items = 1)]
pub(crate) struct Several(Vec<Entry>);

/// What names an event is one.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum Entry {
    Event(EventInput),
    Operation(Operation),
}

/// Something that somebody did. Fields other than these are properties, too; of a name that comes twice the first value counts.
#[derive(ToSchema)]
pub(crate) struct EventInput {
    event: Name,
    /// Who did it; required unless the server names visitors (the setting `enrich.visitor`).
    distinct_id: Option<Id>,
    /// The instant of receipt without it.
    timestamp: Option<Instant>,
    /// Under this id it is stored once.
    message_id: Option<Id>,
    /// What makes it one of a kind in the domain of its sender: a message id is made of it.
    key: Option<Id>,
    session_id: Option<Id>,
    /// Where it was sent from.
    context: Option<Map<String, Value>>,
    properties: Option<Map<String, Value>>,
}

/// Text that is not blank.
#[derive(ToSchema)]
#[schema(min_length = 1, pattern = r"\S")]
pub(crate) struct Name(String);

/// An id as its sender knows it; a number is its text.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum Id {
    Text(Name),
    Number(i64),
}

/// An instant: RFC 3339, a date (its midnight in UTC), or a number of seconds or milliseconds since 1970.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum Instant {
    Text(String),
    Number(f64),
}

/// Who is who, and what somebody or a group is.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum Operation {
    Identify(IdentifyOperation),
    Alias(AliasOperation),
    Ids(MergeOperation),
    Split(SplitOperation),
    Traits(TraitsOperation),
    Unset(UnsetOperation),
    Group(GroupOperation),
}

macro_rules! kinds {
    ($($name:ident = $($kind:ident)|+;)+) => {$(
        #[derive(ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub(crate) enum $name { $($kind),+ }
    )+};
}

kinds! {
    IdentifyKind = Identify;
    AliasKind = Alias;
    IdsKind = Merge | SplitLink;
    SplitKind = Split;
    TraitsKind = Set | SetOnce | Add | Append | Union;
    UnsetKind = Unset;
    GroupKind = Group;
}

/// A visitor is somebody who is known; with `force` also where both are known already.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdentifyOperation {
    #[schema(inline)]
    r#type: IdentifyKind,
    anonymous_id: Id,
    user_id: Id,
    force: Option<bool>,
}

/// An id is another name of somebody.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AliasOperation {
    #[schema(inline)]
    r#type: AliasKind,
    id: Id,
    to: Id,
    force: Option<bool>,
}

/// Ids are one person, or the links between them are taken back (`split_link`).
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MergeOperation {
    #[schema(inline)]
    r#type: IdsKind,
    #[schema(min_items = 2)]
    ids: Vec<Id>,
    by: Option<String>,
    why: Option<String>,
}

/// The links that touch an id are taken back.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SplitOperation {
    #[schema(inline)]
    r#type: SplitKind,
    id: Id,
    by: Option<String>,
    why: Option<String>,
}

/// Traits of somebody change: they are set, set where they are not yet, added to, or a value is added to a list (`union`: unless it is in it).
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TraitsOperation {
    #[schema(inline)]
    r#type: TraitsKind,
    distinct_id: Id,
    traits: Map<String, Value>,
    timestamp: Option<Instant>,
    message_id: Option<Id>,
}

/// Traits of somebody are taken away.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnsetOperation {
    #[schema(inline)]
    r#type: UnsetKind,
    distinct_id: Id,
    #[schema(min_items = 1)]
    traits: Vec<String>,
    timestamp: Option<Instant>,
    message_id: Option<Id>,
}

/// Traits of a group of people, such as a company: `group` is the property that names it in events.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupOperation {
    #[schema(inline)]
    r#type: GroupKind,
    /// The property that names it in events.
    group: Name,
    id: Id,
    /// What changes; null takes a trait away.
    #[schema(nullable = false)]
    traits: Option<Map<String, Value>>,
    /// Traits that are taken away.
    #[schema(nullable = false)]
    unset: Option<Vec<String>>,
}
