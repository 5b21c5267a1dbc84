//! Doors to what reads strangers' text, for the fuzz targets; no part of the interface. Each takes any bytes and may refuse them, but not panic.

use std::sync::OnceLock;

use datafusion::common::DFSchema;
use datafusion::datasource::TableProvider;
use datafusion::execution::SessionState;
use pugmark_identity::{IdentityFold, IdentityOptions, ProfileFold};
use pugmark_registry::{DefinitionFold, RegistryFold, RegistryOptions};
use pugmark_store::{Event, Options, ProfileUpdate, Store, Timestamp, Value};

use crate::columns::{ColumnsFold, ColumnsOptions, Overflow};
use crate::engine::{Engine, EngineOptions, QuerySnapshot};
use crate::filter::Expressions;
use crate::spec::Query;
use crate::table::EventsTable;

/// Lines of NDJSON to entries and rejects.
pub fn import_line(bytes: &[u8]) {
    crate::files::fuzz_lines(bytes);
}

struct Known {
    state: SessionState,
    snapshot: QuerySnapshot,
    schema: DFSchema,
}

/// A store that has seen properties of every type and of odd names.
fn known() -> &'static Known {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a directory");
        let folds: Vec<Box<dyn pugmark_store::Fold>> = vec![
            Box::new(RegistryFold::new(RegistryOptions::default())),
            Box::new(IdentityFold::new(IdentityOptions::default())),
            Box::new(ProfileFold::default()),
            Box::new(DefinitionFold::default()),
            Box::new(ColumnsFold::new(dir.path(), ColumnsOptions::default())),
        ];
        let store = Store::open(dir.path(), Options::default(), folds).expect("it opens");
        let event = Event::new("e", "u")
            .property("amount", 1.5)
            .property("n", 1)
            .property("userId", "x")
            .property("$browser", "y");
        let event = event.property("page.url", "/").property("ok", true);
        let update =
            ProfileUpdate::set("u").with("plan", "pro").with("seats", 5).with("tags", Value::Json("[1]".into()));
        store.append(vec![event.into(), update.into()]).expect("it is stored");
        let snapshot = QuerySnapshot::new(&store.snapshot(), Timestamp::EPOCH).expect("it has all folds");
        let engine = Engine::new(EngineOptions::default()).expect("it starts");
        let schema = EventsTable::new(snapshot.clone()).schema();
        Known {
            state: engine.session(&snapshot).expect("it plans"),
            schema: DFSchema::try_from_qualified_schema("events", &schema).expect("its names are distinct"),
            snapshot,
        }
    })
}

/// A filter: SQL text to a planned expression.
pub fn filter(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let known = known();
    for strict in [false, true] {
        if let Err(error) =
            Expressions::new(&known.state, known.snapshot.vocabulary(), &known.schema, strict).filter(text, "filter")
        {
            assert!(!error.to_string().is_empty());
            assert!(error.position().is_none_or(|at| at <= text.len()), "{error}");
        }
    }
}

/// The JSON form of a question; what reads is written as something that reads the same.
pub fn query_json(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(query) = Query::from_json(text) {
        let written = serde_json::to_string(&query).expect("a question can be written");
        assert_eq!(Query::from_json(&written).as_ref(), Ok(&query), "{written}");
    }
}

/// The text of an overflow column.
pub fn overflow(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for (name, value) in Overflow::new(text) {
        assert!(name.len() <= text.len() && value.len() <= text.len());
    }
}

/// What the index says of a columnar file.
pub fn column_entry(bytes: &[u8]) {
    crate::columns::fuzz_entry(bytes);
}

/// What a columnar file says of the order of arrival: a line of text, and then its rows, twelve bytes each.
pub fn arrivals(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let Ok(text) = std::str::from_utf8(&bytes[..end]) else { return };
    let rows = bytes[end..].get(1..).unwrap_or_default().chunks_exact(12).map(|row| {
        let (timestamp, distance) = row.split_at(8);
        let timestamp = i64::from_le_bytes(timestamp.try_into().expect("eight bytes"));
        (timestamp, u32::from_le_bytes(distance.try_into().expect("four bytes")))
    });
    let (timestamps, distances) = rows.unzip();
    crate::columns::fuzz_arrivals(text, timestamps, distances);
}

/// The rollup of a columnar file: a file that is whole as far as its checksums tell, and rows of one.
pub fn rollup_file(bytes: &[u8]) {
    crate::columns::fuzz_rollup(bytes);
}

/// A cube, as [`rollup_file`].
pub fn cube_file(bytes: &[u8]) {
    crate::columns::fuzz_cube(bytes);
}

/// A declaration: a line with its name, and the JSON text of its setting.
pub fn declaration(bytes: &[u8]) {
    crate::columns::fuzz_declaration(bytes);
}
