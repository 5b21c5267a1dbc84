//! Lines that import to the same records.

use std::io::Write;

use pugmark_store::{ProfileChange, ValueRef, limits};

use super::rows::{EventRow, OperationField, OperationRow, ProfileRow, Row};
use super::run::{RowWriter, write_failed};
use crate::error::Result;
use crate::files::ndjson::{compact, kind_name, put_string};

/// JSON text with more brackets is written as a string: nested in a line it might be too deep to read.
const BRACKETS_MAX: usize = 64;
/// Whole numbers with more digits are written as a string: a reader takes none beyond the range of floats.
const NUMBER_MAX_BYTES: usize = 300;

pub(super) struct NdjsonWriter<W> {
    out: W,
    line: Vec<u8>,
}

impl<W: Write> NdjsonWriter<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, line: Vec::new() }
    }
}

impl<W: Write> RowWriter for NdjsonWriter<W> {
    fn write(&mut self, row: &Row<'_>) -> Result<()> {
        self.line.clear();
        match row {
            Row::Event(event) => put_event(&mut self.line, event)?,
            Row::Operation(operation) => put_operation(&mut self.line, operation),
            Row::Profile(profile) => put_profile(&mut self.line, profile)?,
        }
        self.line.push(b'\n');
        self.out.write_all(&self.line).map_err(write_failed)
    }

    fn finish(mut self) -> Result<()> {
        self.out.flush().map_err(write_failed)
    }
}

fn put_event(line: &mut Vec<u8>, event: &EventRow<'_>) -> Result<()> {
    line.extend_from_slice(b"{\"event\":");
    put_string(line, event.name);
    line.extend_from_slice(b",\"distinct_id\":");
    put_string(line, event.distinct_id);
    line.extend_from_slice(b",\"timestamp\":");
    put_string(line, &event.timestamp.to_string());
    line.extend_from_slice(b",\"message_id\":");
    put_string(line, &event.message_id.to_string());
    if let Some(session_id) = event.session_id {
        line.extend_from_slice(b",\"session_id\":");
        put_string(line, session_id);
    }
    let properties = event.properties().collect::<Result<Vec<_>>>()?;
    if !properties.is_empty() {
        line.extend_from_slice(b",\"properties\":");
        put_properties(line, &properties);
    }
    if let Some(context) = event.context {
        line.extend_from_slice(b",\"context\":");
        if context.starts_with('{') && is_compact(context) {
            line.extend_from_slice(context.as_bytes());
        } else {
            put_string(line, context);
        }
    }
    line.push(b'}');
    Ok(())
}

fn put_operation(line: &mut Vec<u8>, operation: &OperationRow<'_>) {
    line.extend_from_slice(b"{\"type\":");
    put_string(line, operation.kind);
    for (field, value) in &operation.fields {
        line.push(b',');
        put_string(line, field);
        line.push(b':');
        match value {
            OperationField::Text(text) => put_string(line, text),
            OperationField::Yes => line.extend_from_slice(b"true"),
            OperationField::Json(text) => line.extend_from_slice(text.as_bytes()),
            OperationField::Ids(ids) => {
                for (at, id) in ids.iter().enumerate() {
                    line.push(if at == 0 { b'[' } else { b',' });
                    put_string(line, id);
                }
                line.push(b']');
            }
        }
    }
    line.push(b'}');
}

fn put_profile(line: &mut Vec<u8>, profile: &ProfileRow<'_>) -> Result<()> {
    line.extend_from_slice(b"{\"type\":");
    put_string(line, kind_name(profile.change));
    line.extend_from_slice(b",\"distinct_id\":");
    put_string(line, profile.distinct_id);
    line.extend_from_slice(b",\"traits\":");
    let traits = profile.traits()?;
    if profile.change == ProfileChange::Unset {
        line.push(b'[');
        for (at, (name, _)) in traits.iter().enumerate() {
            if at > 0 {
                line.push(b',');
            }
            put_string(line, name);
        }
        line.push(b']');
    } else {
        put_properties(line, &traits);
    }
    line.extend_from_slice(b",\"timestamp\":");
    put_string(line, &profile.timestamp.to_string());
    line.extend_from_slice(b",\"message_id\":");
    put_string(line, &profile.message_id.to_string());
    line.push(b'}');
    Ok(())
}

/// Writes an object, or the list of pairs if an object would not bring back the same values.
fn put_properties(out: &mut Vec<u8>, properties: &[(&str, ValueRef<'_>)]) {
    if properties.iter().any(|(name, value)| !is_plain(name, *value)) {
        return put_pairs(out, properties);
    }
    out.push(b'{');
    for (at, (name, value)) in properties.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        put_string(out, name);
        out.push(b':');
        put_plain(out, *value);
    }
    out.push(b'}');
}

/// Writes a list of `[name, value]`, which brings back every value as it is.
pub(super) fn put_pairs(out: &mut Vec<u8>, properties: &[(&str, ValueRef<'_>)]) {
    out.push(b'[');
    for (at, (name, value)) in properties.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.push(b'[');
        put_string(out, name);
        out.push(b',');
        match value {
            ValueRef::Json(text) if !(text.starts_with('[') && is_compact(text)) => put_exact(out, "json", text),
            ValueRef::Number(text) if !is_plain(name, *value) => put_exact(out, "number", text),
            _ => put_plain(out, *value),
        }
        out.push(b']');
    }
    out.push(b']');
}

fn put_exact(out: &mut Vec<u8>, kind: &str, text: &str) {
    out.push(b'{');
    put_string(out, kind);
    out.push(b':');
    put_string(out, text);
    out.push(b'}');
}

fn put_plain(out: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Number(text) | ValueRef::Json(text) => out.extend_from_slice(text.as_bytes()),
        ValueRef::Text(text) => put_string(out, text),
        ValueRef::Bool(_) | ValueRef::Int(_) | ValueRef::Float(_) => {
            out.extend_from_slice(value.to_json().to_string().as_bytes());
        }
    }
}

/// Whether the member of an object comes back as this value.
fn is_plain(name: &str, value: ValueRef<'_>) -> bool {
    match value {
        ValueRef::Bool(_) | ValueRef::Int(_) | ValueRef::Float(_) | ValueRef::Text(_) => true,
        ValueRef::Number(text) => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            digits.starts_with(|c| ('1'..='9').contains(&c))
                && digits.bytes().all(|b| b.is_ascii_digit())
                && digits.len() <= NUMBER_MAX_BYTES
                && text.parse::<i64>().is_err()
        }
        ValueRef::Json(text) => {
            let depth = name.bytes().filter(|b| *b == b'.').count() + 1;
            let stays =
                text.starts_with('[') || text == "{}" || (text.starts_with('{') && depth >= limits::FLATTEN_DEPTH);
            stays && is_compact(text)
        }
    }
}

/// Whether JSON text comes back byte for byte.
fn is_compact(text: &str) -> bool {
    text.bytes().filter(|b| matches!(b, b'[' | b'{')).count() <= BRACKETS_MAX
        && compact(text).is_some_and(|same| same == text)
}
