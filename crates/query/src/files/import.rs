//! From a source into a store.

use std::collections::VecDeque;
use std::sync::Arc;

use pugmark_store::{AppendOptions, Entry, Event, ImportId, Operation, Outcome, Pending, Store, Timestamp, limits};

use super::csv::CsvReader;
use super::mapping::Mapping;
use super::message_id::Ordinals;
use super::ndjson::LineReader;
use super::parquet::ParquetReader;
use super::pipeline::{self, Parsed, Piece, PieceReader, Place, Reading, Reject, Row};
use super::source::{ByteCount, Source};
use crate::error::{Error, Result};

/// Batches handed to the store that have not been answered.
const BATCHES_IN_FLIGHT: usize = 16;
/// Entries in them: what a slow disk syncs at once.
const ENTRIES_IN_FLIGHT: usize = 4 * BATCH_ENTRIES;
/// Entries in one batch.
const BATCH_ENTRIES: usize = 8_192;
/// Bytes of entries in one batch, as the store counts them; one entry more may lie above, far below the store's own limit.
const BATCH_BYTES: usize = limits::BATCH_MAX_BYTES / 4;
/// How much of the input tells its format.
const FORMAT_PEEK_BYTES: usize = 4 << 10;

/// The form of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ImportFormat {
    /// Told by the first bytes and the name: Parquet by its magic, CSV and NDJSON by the name's ending, else NDJSON where a line begins with
    /// `{` and CSV where the first line has a delimiter.
    #[default]
    Auto,
    /// One JSON object a line.
    Ndjson,
    /// A header row, then rows; delimited by comma, or by tab, semicolon or bar where the header has no comma.
    Csv,
    /// Apache Parquet.
    Parquet,
}

/// What becomes of an event of an input before it is stored, such as what its context says of its sender being added.
///
/// A row without a message id gets that of the row as it was read: read again and prepared otherwise, it is a conflict.
#[derive(Clone)]
pub struct Prepare(Arc<dyn Fn(Event) -> Result<Event> + Send + Sync>);

impl Prepare {
    /// Puts in the place of every event what `prepare` makes of it. An error of it ends the import.
    pub fn new(prepare: impl Fn(Event) -> Result<Event> + Send + Sync + 'static) -> Self {
        Self(Arc::new(prepare))
    }
}

impl std::fmt::Debug for Prepare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Prepare")
    }
}

/// Reads files of events into a store.
///
/// # Example
/// ```
/// use pugmark_query::files::{Import, Source};
/// use pugmark_store::{Options, Store};
/// let dir = tempfile::tempdir()?;
/// let store = Store::open(dir.path(), Options::default(), Vec::new())?;
/// let csv = "customer_id,date,amount\n00004,1997-01-01,29.33\n00004,1997-01-01,29.33\n";
/// let import = Import { mapping: "distinct_id=customer_id,timestamp=date".parse()?, event: Some("purchase".into()), ..Import::default() };
/// let mut run = || import.run(&store, Source::from_reader("cd.csv", csv.as_bytes())?, |_| {}, |_| {});
/// assert_eq!(run()?.accepted, 2);
/// assert_eq!(run()?.duplicates, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Import {
    /// Which field of the input is which field of an event.
    pub mapping: Mapping,
    /// The name of events whose row brings none.
    pub event: Option<String>,
    /// The form of the input.
    pub format: ImportFormat,
    /// Marks everything that this import brings; a UUIDv7 where none is given.
    pub import_id: Option<ImportId>,
    /// Threads that parse, at least one. Results do not depend on it.
    pub parsers: usize,
    /// What becomes of each event before it is stored; nothing by default.
    pub prepare: Option<Prepare>,
}

impl Default for Import {
    fn default() -> Self {
        let (mapping, format) = (Mapping::default(), ImportFormat::Auto);
        Self { mapping, event: None, format, import_id: None, parsers: 1, prepare: None }
    }
}

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the input read so far, as it lies on disk.
    pub bytes_read: u64,
    /// Bytes of the input, where that is known.
    pub bytes_total: Option<u64>,
    /// Entries read so far, rejected ones included.
    pub entries_read: u64,
    /// Entries whose outcome is known: those in the store are durable.
    pub entries_settled: u64,
    /// Entries rejected so far.
    pub rejected: u64,
}

/// What became of the entries of an import. Everything counted is settled and durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The mark on everything that the import brought.
    pub import_id: ImportId,
    /// Events stored.
    pub accepted: u64,
    /// Those of them that came without a timestamp: they are of the time of the import.
    pub untimed: u64,
    /// Events and changes of traits that were stored already.
    pub duplicates: u64,
    /// Events and changes of traits whose message id is stored with other content; the first stands. They are also reported as rejects.
    pub conflicts: u64,
    /// Lines and rows that are no entry or break a rule.
    pub rejected: u64,
    /// Operations that changed traits.
    pub profiles: u64,
    /// Operations that linked ids.
    pub linked: u64,
    /// Operations that revoked links.
    pub split: u64,
    /// Operations that found it so already: ids that were one person, or without links.
    pub already: u64,
    /// Operations that the rules of identity forbid.
    pub refused: u64,
}

impl Summary {
    /// Entries of the input, whatever became of them.
    pub fn entries(&self) -> u64 {
        let events = self.accepted + self.duplicates + self.conflicts;
        events + self.rejected + self.profiles + self.linked + self.split + self.already + self.refused
    }
}

impl Import {
    /// Reads `source` to its end and returns once everything in it is durable. Entries are stored in the order of the input.
    ///
    /// A line that is no entry, or breaks a rule, is given to `on_reject` and the import goes on.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if the source is not what its format says, is cut off or damaged, or has no column that the
    /// mapping names; errors of reading it, and of [`Store::submit`]. Whatever was stored before the error stays: importing the same again adds the rest.
    pub fn run(
        &self,
        store: &Store,
        mut source: Source,
        on_progress: impl FnMut(&Progress),
        on_reject: impl FnMut(Reject),
    ) -> Result<Summary> {
        let reading =
            Reading { mapping: self.mapping.clone(), default_event: self.event.clone(), ..Reading::default() };
        let format = match self.format {
            ImportFormat::Auto => detect(&mut source)?,
            given => given,
        };
        let import_id = self.import_id.unwrap_or_else(|| new_import_id(store.clock().now()));
        let begin = Begin {
            store,
            reading: &reading,
            parsers: self.parsers,
            prepare: self.prepare.as_ref(),
            import_id,
            read_bytes: source.byte_count(),
            bytes_total: source.total_bytes(),
        };
        match format {
            ImportFormat::Csv => begin.run(CsvReader::new(source, &reading)?, on_progress, on_reject),
            ImportFormat::Parquet => {
                begin.run(ParquetReader::new(source, &reading, store.dir())?, on_progress, on_reject)
            }
            ImportFormat::Ndjson | ImportFormat::Auto => {
                source.skip_byte_order_mark()?;
                let name = source.name().to_owned();
                begin.run(LineReader::new(source, &name), on_progress, on_reject)
            }
        }
    }
}

/// A UUIDv7 of `now`.
fn new_import_id(now: Timestamp) -> ImportId {
    let microseconds = u64::try_from(now.as_microsecond()).unwrap_or(0);
    let nanoseconds = u32::try_from(microseconds % 1_000_000 * 1_000).unwrap_or(0);
    let at = uuid::Timestamp::from_unix(uuid::NoContext, microseconds / 1_000_000, nanoseconds);
    ImportId::from_bytes(uuid::Uuid::new_v7(at).into_bytes())
}

fn detect(source: &mut Source) -> Result<ImportFormat> {
    source.skip_byte_order_mark()?;
    let name = source.plain_name();
    let beginning = source.peek(FORMAT_PEEK_BYTES)?;
    if beginning.starts_with(b"PAR1") {
        return Ok(ImportFormat::Parquet);
    }
    for (ending, format) in [
        (".parquet", ImportFormat::Parquet),
        (".csv", ImportFormat::Csv),
        (".tsv", ImportFormat::Csv),
        (".ndjson", ImportFormat::Ndjson),
        (".jsonl", ImportFormat::Ndjson),
        (".json", ImportFormat::Ndjson),
    ] {
        if name.ends_with(ending) {
            return Ok(format);
        }
    }
    let text = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning).trim_ascii_start();
    let header = text.split(|b| *b == b'\n').next().unwrap_or_default();
    let delimited = header.iter().any(|b| matches!(b, b',' | b'\t' | b';' | b'|'));
    Ok(if delimited && !text.starts_with(b"{") { ImportFormat::Csv } else { ImportFormat::Ndjson })
}

/// A batch that the store has, and what its outcomes are said of.
struct InFlight<P> {
    pending: Pending,
    piece: Arc<P>,
    entries: Vec<(Place, Kind)>,
    /// Lines before the piece.
    lines: u64,
}

/// What an entry of the input is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Event,
    /// One without a timestamp.
    Untimed,
    Profile,
    Link,
    Split,
}

impl Kind {
    fn of(entry: &Entry) -> Self {
        match entry {
            Entry::Event(event) if event.timestamp.is_none() => Self::Untimed,
            Entry::Packed(event) if event.view().timestamp.is_none() => Self::Untimed,
            Entry::Event(_) | Entry::Packed(_) => Self::Event,
            Entry::Operation(Operation::Profile(_) | Operation::Define { .. }) => Self::Profile,
            Entry::Operation(Operation::Split { .. } | Operation::SplitLink { .. }) => Self::Split,
            Entry::Operation(_) => Self::Link,
        }
    }
}

/// What an import begins with, whatever the form of its input.
struct Begin<'s> {
    store: &'s Store,
    reading: &'s Reading,
    parsers: usize,
    prepare: Option<&'s Prepare>,
    import_id: ImportId,
    read_bytes: ByteCount,
    bytes_total: Option<u64>,
}

impl Begin<'_> {
    fn run<R: PieceReader>(
        self,
        reader: R,
        on_progress: impl FnMut(&Progress),
        on_reject: impl FnMut(Reject),
    ) -> Result<Summary> {
        let mut run = Run {
            store: self.store,
            prepare: self.prepare,
            read_bytes: self.read_bytes,
            progress: Progress {
                bytes_read: 0,
                bytes_total: self.bytes_total,
                entries_read: 0,
                entries_settled: 0,
                rejected: 0,
            },
            summary: Summary {
                import_id: self.import_id,
                accepted: 0,
                duplicates: 0,
                conflicts: 0,
                rejected: 0,
                profiles: 0,
                linked: 0,
                split: 0,
                already: 0,
                refused: 0,
                untimed: 0,
            },
            ordinals: Ordinals::default(),
            lines: 0,
            in_flight: VecDeque::new(),
            entries_in_flight: 0,
            on_progress,
            on_reject,
        };
        let read = pipeline::run(reader, self.reading, self.parsers, |piece, parsed| run.take(piece, parsed));
        // What was handed over before an error of reading is settled all the same.
        let settled = run.settle_to(0, 0);
        run.report();
        read.and(settled)?;
        Ok(run.summary)
    }
}

struct Run<'s, P, OnProgress, OnReject> {
    store: &'s Store,
    prepare: Option<&'s Prepare>,
    read_bytes: ByteCount,
    progress: Progress,
    summary: Summary,
    ordinals: Ordinals,
    /// Lines before the present piece.
    lines: u64,
    in_flight: VecDeque<InFlight<P>>,
    entries_in_flight: usize,
    on_progress: OnProgress,
    on_reject: OnReject,
}

impl<P, OnProgress, OnReject> Run<'_, P, OnProgress, OnReject>
where
    P: Piece,
    OnProgress: FnMut(&Progress),
    OnReject: FnMut(Reject),
{
    fn take(&mut self, piece: P, mut parsed: Parsed) -> Result<()> {
        for (at, hash) in parsed.without_id {
            let id = self.ordinals.message_id(hash);
            match parsed.rows.get_mut(at) {
                Some(Row::Packed(place)) => parsed.block.set_message_id(*place, &id),
                Some(Row::Entry(entry)) => match entry.as_mut() {
                    Entry::Event(event) => event.message_id = Some(id),
                    Entry::Operation(Operation::Profile(update)) => update.message_id = Some(id),
                    Entry::Packed(_) | Entry::Operation(_) => {}
                },
                None => {}
            }
        }
        self.progress.entries_read += (parsed.rows.len() + parsed.rejects.len()) as u64;
        for reject in parsed.rejects {
            self.summary.rejected += 1;
            self.progress.entries_settled += 1;
            (self.on_reject)(Reject { line: self.lines + reject.line, ..reject });
        }
        let piece = Arc::new(piece);
        let mut batch = Vec::with_capacity(parsed.rows.len().min(BATCH_ENTRIES));
        let mut places = Vec::with_capacity(batch.capacity());
        let mut bytes = 0;
        let mut packed = parsed.block.into_events();
        for (row, place) in parsed.rows.into_iter().zip(parsed.places) {
            let entry = match row {
                Row::Packed(_) => Entry::Packed(packed.next().expect("invariant: a row for each event of the block")),
                Row::Entry(entry) => *entry,
            };
            let entry = self.prepared(entry)?;
            bytes += entry.size();
            places.push((place, Kind::of(&entry)));
            batch.push(entry);
            if batch.len() >= BATCH_ENTRIES || bytes >= BATCH_BYTES {
                self.submit(std::mem::take(&mut batch), std::mem::take(&mut places), &piece)?;
                bytes = 0;
            }
        }
        self.submit(batch, places, &piece)?;
        self.lines += parsed.lines;
        self.report();
        Ok(())
    }

    fn prepared(&self, entry: Entry) -> Result<Entry> {
        let Some(Prepare(prepare)) = self.prepare else { return Ok(entry) };
        Ok(match entry {
            Entry::Event(event) => prepare(event)?.into(),
            Entry::Packed(event) => prepare(event.view().to_event())?.into(),
            Entry::Operation(_) => entry,
        })
    }

    fn submit(&mut self, batch: Vec<Entry>, entries: Vec<(Place, Kind)>, piece: &Arc<P>) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let options = AppendOptions { import: Some(self.summary.import_id), ..AppendOptions::default() };
        let pending = self.store.submit(batch, &options)?;
        self.entries_in_flight += entries.len();
        self.in_flight.push_back(InFlight { pending, piece: Arc::clone(piece), entries, lines: self.lines });
        self.settle_to(BATCHES_IN_FLIGHT, ENTRIES_IN_FLIGHT)
    }

    /// Waits for outcomes until at most so many batches and entries are in flight.
    fn settle_to(&mut self, batches: usize, entries: usize) -> Result<()> {
        while self.in_flight.len() > batches || self.entries_in_flight > entries {
            let Some(batch) = self.in_flight.pop_front() else { break };
            self.entries_in_flight -= batch.entries.len();
            let outcomes = batch.pending.wait()?;
            for (outcome, (place, kind)) in outcomes.into_iter().zip(batch.entries) {
                self.count(outcome, kind, place, batch.lines, &batch.piece);
            }
        }
        Ok(())
    }

    fn count(&mut self, outcome: Outcome, kind: Kind, place: Place, lines: u64, piece: &P) {
        let summary = &mut self.summary;
        self.progress.entries_settled += 1;
        let reason = match outcome {
            Outcome::Accepted(_) => {
                return match kind {
                    Kind::Event => summary.accepted += 1,
                    Kind::Untimed => {
                        summary.accepted += 1;
                        summary.untimed += 1;
                    }
                    Kind::Profile => summary.profiles += 1,
                    Kind::Link => summary.linked += 1,
                    Kind::Split => summary.split += 1,
                };
            }
            Outcome::Duplicate => return summary.duplicates += 1,
            Outcome::Already(_) => return summary.already += 1,
            Outcome::Refused(..) => return summary.refused += 1,
            Outcome::Conflict(_) => {
                summary.conflicts += 1;
                outcome.to_string()
            }
            Outcome::Rejected(rejection) => {
                summary.rejected += 1;
                rejection.to_string()
            }
            // An outcome that a later store may know: shown rather than lost.
            other => {
                summary.rejected += 1;
                other.to_string()
            }
        };
        (self.on_reject)(Reject { line: lines + place.line, reason, text: piece.text(place) });
    }

    fn report(&mut self) {
        self.progress.bytes_read = self.read_bytes.bytes();
        self.progress.rejected = self.summary.rejected;
        (self.on_progress)(&self.progress);
    }
}

impl std::fmt::Display for ImportFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        })
    }
}

impl std::str::FromStr for ImportFormat {
    type Err = Error;

    /// Reads `auto`, `ndjson`, `csv` or `parquet`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for anything else.
    fn from_str(text: &str) -> Result<Self> {
        [Self::Auto, Self::Ndjson, Self::Csv, Self::Parquet]
            .into_iter()
            .find(|format| format.to_string() == text)
            .ok_or_else(|| {
                Error::invalid(format!("\"{text}\" is no format of a file, expected auto, ndjson, csv or parquet"))
            })
    }
}
