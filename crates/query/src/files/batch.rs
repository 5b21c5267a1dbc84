//! Entries of the body of one request.

use pugmark_store::{Entry, EventBlock, Operation, Rejection};
use serde::de::IgnoredAny;

use super::ndjson::{Line, LineParser};
use super::pipeline::Reading;
use crate::error::{Error, Result};

/// Events and operations of one text, in its order: an object, a list of objects, or lines of objects, each in the form of a line of an
/// [import](super::Import).
///
/// # Example
/// ```
/// use pugmark_query::files::Batch;
/// let body = r#"[{"event": "view", "distinct_id": "ann"}, {"event": "view"}, {"type": "identify", "anonymous_id": "a7", "user_id": "ann"}]"#;
/// let entries: Vec<_> = Batch::of_json(body)?.into_entries().collect();
/// assert!(entries[0].is_ok() && entries[2].is_ok());
/// assert_eq!(entries[1].as_ref().unwrap_err().to_string(), "distinct_id: missing or blank");
/// # Ok::<(), pugmark_query::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Batch {
    block: EventBlock,
    items: Vec<Item>,
}

#[derive(Debug)]
enum Item {
    /// The event at this place of the block.
    Packed(usize),
    Operation(Box<Operation>),
    Refused(Rejection),
}

/// How a body is read, where it is not as [`Batch::of_json`] and [`Batch::of_lines`] do it.
///
/// ```
/// use pugmark_query::files::BatchReader;
/// let visit = BatchReader::default().nameless().json(r#"{"event": "view"}"#)?;
/// assert!(visit.into_entries().all(|entry| entry.is_ok()));
/// # Ok::<(), pugmark_query::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct BatchReader {
    reading: Reading,
}

impl BatchReader {
    /// An event may come without a distinct id: whoever reads it gives it one, since none is stored without.
    #[must_use]
    pub fn nameless(mut self) -> Self {
        self.reading.nameless = true;
        self
    }

    /// Reads one JSON object, or a list of them. An object that is no entry, or breaks a rule, is refused by itself.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a text that is neither, with the byte where reading it stopped: nothing of it is read.
    pub fn json(&self, text: &str) -> Result<Batch> {
        let mut batch = Batch { block: EventBlock::with_capacity(text.len() / 2), items: Vec::new() };
        let mut parser = LineParser::new(&self.reading);
        let mut rest = Rest { text, at: 0 };
        if !rest.skips('[') {
            let object = rest.value()?;
            rest.ends()?;
            batch.take(&mut parser, object);
            return Ok(batch);
        }
        if !rest.skips(']') {
            loop {
                let object = rest.value()?;
                batch.take(&mut parser, object);
                if rest.skips(']') {
                    break;
                }
                if !rest.skips(',') {
                    return Err(rest.wrong("expected a comma or the end of the list"));
                }
            }
        }
        rest.ends()?;
        Ok(batch)
    }

    /// Reads one JSON object a line; empty lines are passed over. A line that is no entry, or breaks a rule, is refused by itself.
    pub fn lines(&self, text: &str) -> Batch {
        let mut batch = Batch { block: EventBlock::with_capacity(text.len() / 2), items: Vec::new() };
        let mut parser = LineParser::new(&self.reading);
        text.split('\n').map(str::trim).filter(|line| !line.is_empty()).for_each(|line| batch.take(&mut parser, line));
        batch
    }
}

impl Batch {
    /// [`BatchReader::json`] by its defaults.
    ///
    /// # Errors
    /// As it.
    pub fn of_json(text: &str) -> Result<Self> {
        BatchReader::default().json(text)
    }

    /// [`BatchReader::lines`] by its defaults.
    pub fn of_lines(text: &str) -> Self {
        BatchReader::default().lines(text)
    }

    /// How many objects were read, refused ones included.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Gives a message id to every event and change of traits that came without one and without a key: that of the text as a whole, and its place in it. The
    /// same text under the same id is then stored once.
    pub fn identified_by(&mut self, id: &str) {
        for (place, item) in self.items.iter_mut().enumerate() {
            match item {
                Item::Packed(at) if !self.block.has_id(*at) => self.block.set_message_id(*at, &format!("{id}/{place}")),
                Item::Operation(operation) => {
                    if let Operation::Profile(update) = operation.as_mut()
                        && update.message_id.is_none()
                    {
                        update.message_id = Some(format!("{id}/{place}"));
                    }
                }
                Item::Packed(_) | Item::Refused(_) => {}
            }
        }
    }

    /// What is to be appended, or why it is not.
    pub fn into_entries(self) -> impl ExactSizeIterator<Item = std::result::Result<Entry, Rejection>> {
        let mut packed = self.block.into_events();
        self.items.into_iter().map(move |item| match item {
            Item::Packed(_) => Ok(Entry::Packed(
                packed.next().expect("invariant: an item for each event of the block, in their order"),
            )),
            Item::Operation(operation) => Ok((*operation).into()),
            Item::Refused(rejection) => Err(rejection),
        })
    }

    fn take(&mut self, parser: &mut LineParser<'_>, object: &str) {
        let item = match parser.parse(object, &mut self.block) {
            Ok(Line::Event) => Item::Packed(self.block.len() - 1),
            Ok(Line::Operation(operation)) => Item::Operation(Box::new(operation)),
            Err(reason) => Item::Refused(rejection(&reason)),
        };
        self.items.push(item);
    }
}

/// A reason, with the field that it names first as that which is at fault.
fn rejection(reason: &str) -> Rejection {
    let is_path = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
    match reason.split_once(": ").filter(|(field, _)| is_path(field)) {
        Some((field, reason)) => Rejection::new(field, reason),
        None => Rejection::new("", reason),
    }
}

/// A text, and how far it was read.
struct Rest<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Rest<'t> {
    /// Passes over blanks, and over `token` where it comes next.
    fn skips(&mut self, token: char) -> bool {
        let ahead = self.blanks();
        let is_next = ahead.starts_with(token);
        self.at += usize::from(is_next);
        is_next
    }

    fn blanks(&mut self) -> &'t str {
        let ahead = self.text[self.at..].trim_start_matches([' ', '\t', '\r', '\n']);
        self.at = self.text.len() - ahead.len();
        ahead
    }

    /// The text of the next value.
    fn value(&mut self) -> Result<&'t str> {
        let ahead = self.blanks();
        let mut values = serde_json::Deserializer::from_str(ahead).into_iter::<IgnoredAny>();
        match values.next() {
            Some(Ok(IgnoredAny)) => {
                let (value, _) = ahead.split_at(values.byte_offset());
                self.at += value.len();
                Ok(value)
            }
            Some(Err(error)) => {
                let text = error.to_string();
                let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what).to_owned();
                self.at += offset_of(ahead, error.line(), error.column());
                Err(self.wrong(&what))
            }
            None => Err(self.wrong("expected an object")),
        }
    }

    fn ends(&mut self) -> Result<()> {
        if self.blanks().is_empty() { Ok(()) } else { Err(self.wrong("expected nothing more")) }
    }

    fn wrong(&self, what: &str) -> Error {
        Error::invalid(format!("the body is not JSON: {what}")).at(self.at)
    }
}

/// The byte at a line and a column, both from 1, as the reader of JSON counts.
fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (before + column.saturating_sub(1)).min(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(batch: Batch) -> Vec<String> {
        let told = batch.into_entries().map(|entry| match entry {
            Ok(Entry::Packed(event)) => {
                let view = event.view();
                format!("{} {} {}", view.name, view.distinct_id, view.message_id.unwrap_or("-"))
            }
            Ok(other) => format!("{other:?}").split([' ', '(']).next().unwrap_or_default().to_owned(),
            Err(rejection) => rejection.to_string(),
        });
        told.collect()
    }

    const VIEW: &str = r#"{"event":"view","distinct_id":"a","properties":{"t":"],}\"{["}}"#;

    #[test]
    fn an_object_a_list_and_lines_are_read_alike() {
        assert_eq!(told(Batch::of_json(VIEW).unwrap()), ["view a -"]);
        assert_eq!(told(Batch::of_json(&format!(" [ {VIEW} ,\n{VIEW}\t] ")).unwrap()), ["view a -", "view a -"]);
        assert_eq!(told(Batch::of_lines(&format!("{VIEW}\r\n\n  {VIEW}"))), ["view a -", "view a -"]);
        assert!(Batch::of_json(" [ ] ").unwrap().is_empty());
        assert!(Batch::of_lines("\n \n").is_empty());
    }

    #[test]
    fn what_is_no_entry_is_refused_by_itself_and_what_is_no_json_as_a_whole() {
        let mixed = format!(r#"[7, {{"event":"view"}}, null, "x", {VIEW}, {{"type":"identify"}}]"#);
        let found = told(Batch::of_json(&mixed).unwrap());
        assert_eq!(found[1], "distinct_id: missing or blank");
        assert_eq!((found[4].as_str(), found[5].as_str()), ("view a -", "anonymous_id: missing, blank or no text"));
        assert!(found[0].contains("expected an object"), "{found:?}");
        for (body, at) in [
            ("", 0),
            ("  ", 2),
            ("[", 1),
            ("[{},]", 4),
            ("[{} {}]", 4),
            ("{} x", 3),
            ("[{}]]", 4),
            ("{\"a\":1", 5),
            ("[{\"event\":\n nul}]", 15),
        ] {
            let error = Batch::of_json(body).unwrap_err();
            assert_eq!(error.position(), Some(at), "{body}: {error}");
        }
        let deep = format!("[{}]", "[".repeat(100_000));
        assert!(Batch::of_json(&deep).is_err());
        let nested = format!("{}1{}", r#"{"a":"#.repeat(1_000), "}".repeat(1_000));
        assert!(told(Batch::of_json(&nested).unwrap())[0].contains("recursion limit"));
    }

    #[test]
    fn an_id_of_the_whole_is_given_to_whatever_has_none() {
        let own = r#"{"event":"view","distinct_id":"a","message_id":"m"}"#;
        let set = r#"{"type":"set","distinct_id":"a","traits":{"x":1}}"#;
        let mut batch = Batch::of_lines(&format!("{VIEW}\n{own}\n{set}\nno\n{VIEW}"));
        assert_eq!(batch.len(), 5);
        batch.identified_by("r1");
        let ids: Vec<Option<String>> = batch
            .into_entries()
            .map(|entry| match entry.ok()? {
                Entry::Packed(event) => event.view().message_id.map(str::to_owned),
                Entry::Operation(Operation::Profile(update)) => update.message_id,
                _ => None,
            })
            .collect();
        let id = |text: &str| Some(text.to_owned());
        assert_eq!(ids, [id("r1/0"), id("m"), id("r1/2"), None, id("r1/4")]);
    }
}
