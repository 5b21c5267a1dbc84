//! How the pages of a generated journey are turned.

use serde_json::Value;

/// The page that a question of a case is about: what stands there for a cursor says how many pages are turned before, as far as there are so many. The person is
/// numbered, and what follows is told by whether it does.
pub(crate) fn page(query: &Value, mut ask: impl FnMut(&Value) -> Value) -> Value {
    let mut query = query.clone();
    let journey = query["journey"].as_object_mut().expect("it is a journey");
    let turned = journey.remove("cursor").and_then(|turned| turned.as_u64()).unwrap_or(0);
    let mut page = ask(&query);
    for _ in 0..turned {
        if page["next"].is_null() {
            break;
        }
        query["journey"]["cursor"] = page["next"].clone();
        page = ask(&query);
    }
    page["is_last"] = page["next"].is_null().into();
    let person = page["person"].as_str().and_then(|name| name.split('-').next()?.parse::<u32>().ok());
    page["person"] = person.into();
    page
}
