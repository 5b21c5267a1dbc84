//! What a store holds, for people.

use pugmark_identity::Persons;
use pugmark_query::columns::Columns;
use pugmark_query::{Error, Result};
use pugmark_registry::{ColumnType, Registry};
use pugmark_store::{Hidden, Store, SubjectId, Timestamp};
use serde::{Serialize, Serializer};

/// What a store holds, at one sequence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Info {
    /// The last sequence.
    pub sequence: u64,
    /// How many events there are.
    pub events: u64,
    /// How many distinct ids there are.
    pub distinct_ids: u64,
    /// How many people they are, links counted.
    pub people: u64,
    /// How many links between ids stand.
    pub links: u64,
    /// How many identity operations were refused.
    pub refused: u64,
    /// Properties that have no column, because there were as many columns as are allowed; `prop('name')` reads them.
    pub properties_without_column: u64,
    /// The log.
    pub log: LogInfo,
    /// The columnar files, and the events that are in none yet.
    pub columns: ColumnsInfo,
    /// The message ids that were taken.
    pub message_ids: MessageIdsInfo,
    /// The events that are kept aside because their message id was taken.
    pub quarantine: QuarantineInfo,
    /// Bytes of the index, and of the runs of message ids and distinct ids.
    pub index_bytes: u64,
    /// Every event name, in order of first sight.
    pub event_names: Vec<EventInfo>,
    /// Every property, in order of first sight.
    pub properties: Vec<PropertyInfo>,
}

/// The log of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LogInfo {
    /// How many segments it has.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The events whose message id is stored with other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct QuarantineInfo {
    /// Those about which nobody has decided.
    pub waiting: u64,
    /// Those that came since the store was opened and were not kept, because too many wait.
    pub turned_away: u64,
}

/// The columns of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ColumnsInfo {
    /// How many files there are.
    pub files: u64,
    /// Events in them.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Events that are in memory and in the log only.
    pub tail_rows: u64,
    /// Bytes of memory that they take.
    pub tail_bytes: u64,
    /// How often events were moved from there to a file in the background since the store was opened.
    pub flushes: u64,
    /// How often files were merged in the background since then.
    pub merges: u64,
}

/// The message ids of a store, each of which is stored once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MessageIdsInfo {
    /// How many there are.
    pub ids: u64,
    /// Files that they are in.
    pub files: u64,
    /// Those of them that a new one may have to be looked for in, as there was no room for their filters in memory.
    pub unfiltered: u64,
    /// Bytes of memory by which nearly every new one is known to be new.
    pub resident_bytes: u64,
    /// Blocks that were read from files to tell the others, since the store was opened.
    pub blocks_read: u64,
}

/// An event name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventInfo {
    /// The name.
    pub name: String,
    /// How many events have it.
    pub count: u64,
    /// When the first of them happened.
    #[serde(serialize_with = "as_text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub first: Timestamp,
    /// When the last of them happened.
    #[serde(serialize_with = "as_text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub last: Timestamp,
}

/// A property.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PropertyInfo {
    /// The name.
    pub name: String,
    /// The name of its column in SQL.
    pub column: String,
    /// The type of its column: `bool`, `int`, `float`, `text` or `json`; `None` where it has none.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub kind: Option<&'static str>,
    /// How many values there are.
    pub count: u64,
}

fn as_text<S: Serializer>(at: &Timestamp, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

const fn type_name(column: ColumnType) -> &'static str {
    match column {
        ColumnType::Bool => "bool",
        ColumnType::Int => "int",
        ColumnType::Float => "float",
        ColumnType::Text => "text",
        ColumnType::Json => "json",
    }
}

pub(crate) fn info(store: &Store) -> Result<Info> {
    let snapshot = store.snapshot();
    let published = || Error::invalid("the store was opened without its folds");
    let registry = snapshot.state::<Registry>().ok_or_else(published)?;
    let persons = snapshot.state::<Persons>().ok_or_else(published)?;
    let columns = snapshot.state::<Columns>().ok_or_else(published)?;
    let (columns, background) = (columns.stats(), columns.background());
    let stats = store.stats()?;
    let log = stats.log;
    let event_names: Vec<EventInfo> = registry
        .events()
        .map(|event| EventInfo {
            name: event.name.to_owned(),
            count: event.count,
            first: event.first_seen,
            last: event.last_seen,
        })
        .collect();
    let properties: Vec<PropertyInfo> = registry
        .properties()
        .map(|property| PropertyInfo {
            name: property.definition.name.to_owned(),
            column: property.definition.column_name().into_owned(),
            kind: property.definition.column.map(type_name),
            count: property.count,
        })
        .collect();
    // A person is its smallest subject: every other subject of it is one person less.
    let joined = persons.merged_subjects().filter(|(subject, person)| subject.number() != person.number()).count();
    // Who was erased keeps a number, and has neither id nor links.
    let hidden = snapshot.state::<Hidden>().unwrap_or_default();
    let is_erased = |subject: &u32| hidden.is_erased(SubjectId::new(*subject));
    let erased = if hidden.nobody_erased() { 0 } else { (0..snapshot.subject_count()).filter(is_erased).count() };
    let distinct_ids = u64::from(snapshot.subject_count()) - erased as u64;
    Ok(Info {
        sequence: snapshot.sequence().number(),
        events: event_names.iter().map(|event| event.count).sum(),
        distinct_ids,
        people: distinct_ids - joined as u64,
        links: persons.link_count(),
        refused: persons.refusals().total(),
        properties_without_column: properties.iter().filter(|property| property.kind.is_none()).count() as u64,
        log: LogInfo { segments: log.segments as u64, bytes: log.bytes },
        columns: ColumnsInfo {
            files: columns.files as u64,
            rows: columns.file_rows,
            bytes: columns.file_bytes,
            tail_rows: columns.tail_rows,
            tail_bytes: columns.tail_bytes,
            flushes: background.flushes,
            merges: background.merges,
        },
        message_ids: MessageIdsInfo {
            ids: stats.message_ids.recent + stats.message_ids.stored,
            files: stats.message_ids.files,
            unfiltered: stats.message_ids.unfiltered,
            resident_bytes: stats.message_ids.resident_bytes,
            blocks_read: stats.message_ids.blocks_read,
        },
        quarantine: QuarantineInfo { waiting: stats.quarantine.waiting, turned_away: stats.quarantine.turned_away },
        index_bytes: stats.index_bytes,
        event_names,
        properties,
    })
}
