//! One thread reads, some parse, the caller's takes the results in the order of the input.

use std::sync::mpsc::sync_channel;
use std::thread;

use pugmark_store::{Entry, Event, EventBlock, EventDraft, Operation, Value, ValueRef, limits};

use super::mapping::Mapping;
use super::message_id::RowHash;
use crate::error::Result;

/// A row, or part of one, or the reason why it is refused.
pub(super) type RowResult<T> = std::result::Result<T, String>;

/// Bytes of texts up to which the events of a piece are packed together.
const BLOCK_BYTES: usize = 64 << 20;
/// Pieces of input that wait between two threads.
const PIECES_WAITING: usize = 1;

/// A line or row that was not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The line of a text file, from 1 (of a CSV record: the one on which it begins); the row of a Parquet file, from 1.
    pub line: u64,
    /// What is wrong with it: the field, the value found and the value expected.
    pub reason: String,
    /// The line as it was read, at most its first 64 KiB; a row as JSON. Bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// Longest text of a [`Reject`].
pub(super) const REJECT_TEXT_MAX_BYTES: usize = 64 << 10;

/// How rows become entries.
#[derive(Debug, Clone, Default)]
pub(super) struct Reading {
    pub(super) mapping: Mapping,
    pub(super) default_event: Option<String>,
    /// Whether an event may be without a distinct id, which it then gets before it is appended.
    pub(super) nameless: bool,
}

impl Reading {
    /// Completes an event with the default name and checks what every event needs.
    pub(super) fn complete(&self, mut event: Event) -> RowResult<Event> {
        if event.name.is_empty()
            && let Some(name) = &self.default_event
        {
            event.name.clone_from(name);
        }
        self.check(&event.name, &event.distinct_id)?;
        Ok(event)
    }

    /// The same of an event that is being packed.
    pub(super) fn finish(&self, mut event: EventDraft<'_>) -> RowResult<()> {
        if event.name().is_empty()
            && let Some(name) = &self.default_event
        {
            event.set_name(name);
        }
        self.check(event.name(), event.distinct_id())?;
        event.finish();
        Ok(())
    }

    fn check(&self, name: &str, distinct_id: &str) -> RowResult<()> {
        if name.trim().is_empty() {
            return Err("event: missing or blank".to_owned());
        }
        if distinct_id.trim().is_empty() && !self.nameless {
            return Err("distinct_id: missing or blank".to_owned());
        }
        Ok(())
    }
}

/// Where an entry stands in its piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Line or row; counted from that of the piece.
    pub(super) line: u64,
    /// Where its text begins in the piece, as the piece counts.
    pub(super) start: usize,
    /// How long its text is.
    pub(super) len: usize,
}

/// An entry of a piece.
#[derive(Debug)]
pub(super) enum Row {
    /// The event at this place of [`Parsed::block`].
    Packed(usize),
    /// An operation, or an event for which the block has no room.
    Entry(Box<Entry>),
}

/// What a piece of input holds.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) rows: Vec<Row>,
    /// The events of [`Row::Packed`], in their order.
    pub(super) block: EventBlock,
    /// One for each row.
    pub(super) places: Vec<Place>,
    /// Rows that are changes of traits without message id or events without it and a key, by place in the list, and their hashes.
    pub(super) without_id: Vec<(usize, RowHash)>,
    /// Lines are counted from that of the piece.
    pub(super) rejects: Vec<Reject>,
    /// How many lines the piece moves those of the next on.
    pub(super) lines: u64,
}

impl Parsed {
    /// Takes in one row: an event, or the reason why it is none.
    pub(super) fn push(
        &mut self,
        row: RowResult<Event>,
        place: Place,
        buffer: &mut Vec<u8>,
        text: impl FnOnce() -> String,
    ) {
        match row {
            Ok(event) if self.block.text_bytes() + event.size() <= BLOCK_BYTES => {
                self.block.push(&event);
                self.push_packed(place, buffer);
            }
            Ok(event) => {
                if event.message_id.is_none() && event.key.is_none() {
                    self.without_id.push((self.rows.len(), RowHash::of(event.view(), buffer)));
                }
                self.push_row(Row::Entry(Box::new(event.into())), place);
            }
            Err(reason) => self.reject(reason, place, text()),
        }
    }

    /// Takes in the last event of the block.
    pub(super) fn push_packed(&mut self, place: Place, buffer: &mut Vec<u8>) {
        let last = self.block.len().saturating_sub(1);
        if !self.block.has_id(last)
            && let Some(event) = self.block.event(last)
        {
            let hash = RowHash::of(event, buffer);
            self.without_id.push((self.rows.len(), hash));
        }
        self.push_row(Row::Packed(last), place);
    }

    pub(super) fn push_operation(&mut self, operation: Operation, place: Place, buffer: &mut Vec<u8>) {
        if let Operation::Profile(update) = &operation
            && update.message_id.is_none()
        {
            self.without_id.push((self.rows.len(), RowHash::of_profile(update, buffer)));
        }
        self.push_row(Row::Entry(Box::new(operation.into())), place);
    }

    pub(super) fn reject(&mut self, reason: String, place: Place, text: String) {
        self.rejects.push(Reject { line: place.line, reason, text });
    }

    fn push_row(&mut self, row: Row, place: Place) {
        self.rows.push(row);
        self.places.push(place);
    }
}

/// What properties are read into.
pub(super) trait PropertySink {
    fn property_count(&self) -> usize;

    fn push_property(&mut self, name: &str, value: ValueRef<'_>);
}

impl PropertySink for Event {
    fn property_count(&self) -> usize {
        self.properties.len()
    }

    fn push_property(&mut self, name: &str, value: ValueRef<'_>) {
        self.properties.push((name.to_owned(), value.to_owned()));
    }
}

impl PropertySink for EventDraft<'_> {
    fn property_count(&self) -> usize {
        self.property_count()
    }

    fn push_property(&mut self, name: &str, value: ValueRef<'_>) {
        self.push_property(name, value);
    }
}

/// Says why no property `name` may follow `count` others: a limit without which a short input might grow without bound.
pub(super) fn check_property(count: usize, name: &str) -> RowResult<()> {
    if count >= limits::PROPERTIES_MAX {
        return Err(format!("properties: more than {}", limits::PROPERTIES_MAX));
    }
    if name.len() > limits::NAME_MAX_BYTES {
        return Err(format!(
            "properties: a name of {} bytes, at most {} are allowed",
            name.len(),
            limits::NAME_MAX_BYTES
        ));
    }
    Ok(())
}

/// Adds a property, unless that breaks a limit.
pub(super) fn push_property(event: &mut Event, name: &str, value: Value) -> RowResult<()> {
    check_property(event.properties.len(), name)?;
    event.properties.push((name.to_owned(), value));
    Ok(())
}

/// A part of the input that can be parsed by itself.
pub(super) trait Piece: Send {
    fn parse(&self, reading: &Reading) -> Parsed;

    /// The text of an entry.
    fn text(&self, place: Place) -> String;
}

/// Cuts an input into pieces.
pub(super) trait PieceReader: Send {
    type Piece: Piece;

    fn next_piece(&mut self) -> Result<Option<Self::Piece>>;
}

/// Reads to the end and hands each piece, with what it holds, to `take` in the order of the input. It ends at the first error, of the
/// reader or of `take`.
pub(super) fn run<R: PieceReader>(
    mut reader: R,
    reading: &Reading,
    parsers: usize,
    mut take: impl FnMut(R::Piece, Parsed) -> Result<()>,
) -> Result<()> {
    thread::scope(|scope| {
        let (mut to_parsers, mut from_parsers) = (Vec::new(), Vec::new());
        for _ in 0..parsers.max(1) {
            let (to_parser, pieces) = sync_channel::<Result<R::Piece>>(PIECES_WAITING);
            let (to_taker, parsed) = sync_channel(PIECES_WAITING);
            to_parsers.push(to_parser);
            from_parsers.push(parsed);
            scope.spawn(move || {
                for piece in pieces {
                    let parsed = piece.map(|piece| {
                        let parsed = piece.parse(reading);
                        (piece, parsed)
                    });
                    // Nobody listens any more once `take` has failed.
                    if to_taker.send(parsed).is_err() {
                        break;
                    }
                }
            });
        }
        scope.spawn(move || {
            // Pieces go round the parsers, and their results are fetched the same way round: the order is that of the input.
            for to_parser in to_parsers.iter().cycle() {
                let piece = match reader.next_piece() {
                    Ok(Some(piece)) => Ok(piece),
                    Ok(None) => break,
                    Err(error) => Err(error),
                };
                let last = piece.is_err();
                if to_parser.send(piece).is_err() || last {
                    break;
                }
            }
        });
        // The receivers are dropped when this ends, which stops the other threads.
        let from_parsers = from_parsers;
        for parsed in from_parsers.iter().cycle() {
            let Ok(parsed) = parsed.recv() else { break };
            let (piece, parsed) = parsed?;
            take(piece, parsed)?;
        }
        Ok(())
    })
}
