//! What else than an answer a route may answer, for the document that describes it.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

/// What a problem is called in the document.
pub(crate) const PROBLEM: &str = "Problem";

fn problems(of: &[(u16, &str)]) -> BTreeMap<String, RefOr<Response>> {
    let problem = |says: &str| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(PROBLEM))).build();
        ResponseBuilder::new().description(says).content("application/problem+json", content).build()
    };
    of.iter().map(|(status, says)| (status.to_string(), problem(says).into())).collect()
}

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $($status:literal $says:literal),+;)+) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                problems(&[$(($status, $says)),+])
            }
        }
    )+};
}

problems! {
    /// Of every route that takes a key.
    Keyed =
        400 "The request is at fault; `field` and `at` say where",
        401 "No key, or none that stands",
        403 "The key may not do this, or not for this project or page",
        429 "Too much of this key, or more comes in than is stored; `Retry-After` says when to come again",
        500 "A fault in the server, or in the store",
        503 "Busy or shutting down; nothing was done, `Retry-After` says when to come again";
    /// Of one that reads a body.
    Bodied =
        408 "The body was not there in time",
        413 "More bytes or events than a body may have",
        415 "A body of another type, or packed in another way";
    /// Of one that stores something.
    Storing =
        507 "The disk is full";
    /// Of one that computes an answer.
    Computing =
        422 "The answer is larger than answers may be, or takes more memory than there is",
        504 "No answer in the time that there is for one";
    /// Of one about something that may not be there.
    Finding =
        404 "There is nothing of this name";
    /// Of one that answers in several forms.
    Choosing =
        406 "None of the forms that `Accept` names";
}
