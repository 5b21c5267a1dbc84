//! Schemas of questions and of what serialises by hand, for the document of an API over HTTP that answers with it.

mod question;

use std::borrow::Cow;

use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder, OneOfBuilder, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::QueryResult;
use crate::analysis::SideBySide;
use crate::audience::{Audience, AudienceResult};
use crate::funnel::{Funnel, FunnelResult};
use crate::journey::{Journey, JourneyResult};
use crate::lifecycle::{Lifecycle, LifecycleResult};
use crate::paths::{Paths, PathsResult};
use crate::people::{Found as FoundBy, People, PeopleResult, Told};
use crate::person::PersonEvent;
use crate::retention::{Retention, RetentionResult};
use crate::sessions::{Sessions, SessionsResult};
use crate::spec::{GroupLabel, GroupValue};
use crate::stickiness::{Stickiness, StickinessResult};
use crate::trend::{Trend, TrendResult};

pub(crate) use question::Segments;

type Found = Vec<(String, RefOr<Schema>)>;

impl PartialSchema for GroupValue {
    fn schema() -> RefOr<Schema> {
        let types = SchemaType::from_iter([Type::Null, Type::Boolean, Type::Number, Type::String]);
        ObjectBuilder::new().schema_type(types).description(Some("A value of a breakdown; null of none")).into()
    }
}

impl ToSchema for GroupValue {}

impl PartialSchema for GroupLabel {
    fn schema() -> RefOr<Schema> {
        let other = ObjectBuilder::new().property("other", bool::schema()).required("other");
        let item = AnyOfBuilder::new().item(Ref::from_schema_name(GroupValue::name())).item(other);
        let text = "A value for each item of the breakdown, or `[{\"other\": true}]` of all beyond the limit";
        ArrayBuilder::new().items(RefOr::T(Schema::AnyOf(item.build()))).description(Some(text)).into()
    }
}

impl ToSchema for GroupLabel {
    fn schemas(found: &mut Found) {
        found.push((GroupValue::name().into_owned(), GroupValue::schema()));
    }
}

impl PartialSchema for FoundBy {
    fn schema() -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let id = ObjectBuilder::new().property("id", text()).required("id");
        let of_trait = ObjectBuilder::new().property("trait", text()).property("value", text());
        let of_trait = of_trait.required("trait").required("value");
        let either = AnyOfBuilder::new().item(id).item(of_trait).description(Some("An id, or a trait and its text"));
        Schema::AnyOf(either.build()).into()
    }
}

impl ToSchema for FoundBy {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Found")
    }
}

/// A [`PersonEvent`], flat: what one of them has besides is by `what` it is.
#[derive(ToSchema)]
#[schema(as = PersonEvent)]
#[expect(dead_code, reason = "it is never made: the derive reads off what the document says of it")]
struct FlatPersonEvent {
    /// The sequence of the operation.
    sequence: u64,
    /// When the store received it.
    #[schema(value_type = String, format = DateTime)]
    at: String,
    #[schema(inline)]
    what: What,
    /// The operation that linked the ids, or was refused.
    #[schema(nullable = false)]
    operation: Option<String>,
    /// Why it was refused, such as `conflict`.
    #[schema(nullable = false)]
    reason: Option<String>,
    /// The same in prose.
    #[schema(nullable = false)]
    message: Option<String>,
    /// Of `split_link`, the sequence of the operation whose links were revoked.
    #[schema(nullable = false)]
    of: Option<u64>,
    /// The ids that it was about; those that have been erased since are not among them.
    ids: Vec<String>,
    /// Who asked for it.
    #[schema(nullable = false)]
    by: Option<String>,
    #[schema(nullable = false)]
    why: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "as above")]
enum What {
    Linked,
    Refused,
    Split,
    SplitLink,
}

impl PartialSchema for PersonEvent {
    fn schema() -> RefOr<Schema> {
        FlatPersonEvent::schema()
    }
}

impl ToSchema for PersonEvent {}

impl PartialSchema for PeopleResult {
    fn schema() -> RefOr<Schema> {
        Told::schema()
    }
}

impl ToSchema for PeopleResult {
    fn schemas(found: &mut Found) {
        Told::schemas(found);
    }
}

macro_rules! answers {
    ($($question:ty => $result:ty),+ $(,)?) => {
        /// The kind of each answer, and how its schema is called.
        fn answers() -> Vec<(&'static str, Cow<'static, str>)> {
            vec![$((<$question>::NAME, <$result>::name())),+]
        }

        fn add_answers(found: &mut Found) {
            $(
                found.push((<$result>::name().into_owned(), <$result>::schema()));
                <$result>::schemas(found);
            )+
        }
    };
}

answers! {
    Trend => TrendResult,
    Funnel => FunnelResult,
    Retention => RetentionResult,
    Stickiness => StickinessResult,
    Lifecycle => LifecycleResult,
    Journey => JourneyResult,
    Sessions => SessionsResult,
    Paths => PathsResult,
    Audience => AudienceResult,
    People => PeopleResult,
}

impl PartialSchema for QueryResult {
    fn schema() -> RefOr<Schema> {
        let names = answers().into_iter().map(|(_, name)| name).chain([SideBySide::name()]);
        let text = "The answer to a question, by its `kind`; to one about several segments it has those of each";
        let any = OneOfBuilder::new().description(Some(text));
        let any = names.fold(any, |any, name| any.item(Ref::from_schema_name(name)));
        Schema::OneOf(any.build()).into()
    }
}

impl QueryResult {
    /// The names of the schemas of answers, and the `kind` of each: no schema of a field that all have says so.
    pub fn schema_kinds() -> Vec<(&'static str, Cow<'static, str>)> {
        answers()
    }
}

impl ToSchema for QueryResult {
    fn schemas(found: &mut Found) {
        add_answers(found);
        found.push((SideBySide::name().into_owned(), SideBySide::schema()));
        SideBySide::schemas(found);
    }
}
