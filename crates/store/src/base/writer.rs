//! Writes a base.

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use super::chain::BaseDir;
use crate::error::{Error, ErrorKind, Result};
use crate::fold::Committed;
use crate::format::{FileHeader, FileKind, FrameOf, FrameSeed, encode_base, encode_frame};
use crate::id::Sequence;
use crate::log::{closing_frame, drop_unused_names};
use crate::record::{BaseRecord, BaseSection, NewSubject, Payload, Record, Tombstone};
use crate::runs::{Fingerprint, content_hash_of_profile_record, content_hash_of_record};
use crate::storage::{FileWriter, OpenMode};
use crate::time::Timestamp;

/// Entries of a section, so that its list and its payload stay within what a reader takes.
const SECTION_MAX: usize = 100_000;

/// A base in the making. It holds the message ids of what it covers in memory, 24 bytes each, until it is [finished](Self::finish).
pub(crate) struct BaseWriter<'a> {
    dir: &'a BaseDir,
    store_id: [u8; 16],
    level: i32,
    from: Sequence,
    end: Sequence,
    temporary: PathBuf,
    out: BufWriter<FileWriter>,
    subjects: Vec<(u32, Option<String>)>,
    message_ids: Vec<([u8; 16], u64)>,
}

impl<'a> BaseWriter<'a> {
    /// Begins the base that covers the sequences from `from` to just before `end`.
    pub(crate) fn create(
        dir: &'a BaseDir,
        store_id: [u8; 16],
        (from, end): (Sequence, Sequence),
        level: i32,
        now: Timestamp,
    ) -> Result<Self> {
        dir.create()?;
        let temporary = dir.unfinished_path(end);
        let file = dir.storage.open(&temporary, OpenMode::Truncate);
        let file = file.map_err(|e| Error::io("writing", &temporary, e))?;
        let header = FileHeader {
            kind: FileKind::Base,
            store_id,
            first_sequence: end.number(),
            created_at: now.as_microsecond(),
        };
        let out = BufWriter::with_capacity(1 << 20, FileWriter::new(file, 0));
        let (subjects, message_ids) = (Vec::new(), Vec::new());
        let mut writer = Self { dir, store_id, level, from, end, temporary, out, subjects, message_ids };
        writer.write(&header.encode())?;
        Ok(writer)
    }

    /// Takes over what outlives a batch. Batches come in order.
    pub(crate) fn add(&mut self, batch: &Committed<'_>) -> Result<()> {
        let payload = batch.payload;
        self.subjects.extend(payload.subjects.iter().map(|new| (new.subject, new.distinct_id.map(str::to_owned))));
        let mut operations = Vec::new();
        let mut sequences = Vec::new();
        for (sequence, record) in (batch.first_sequence.number()..).zip(&payload.records) {
            match record {
                Record::Event(event) => {
                    let content = content_hash_of_record(event, payload)?;
                    self.message_ids.push((*Fingerprint::of_message_id(&event.message_id).as_bytes(), content));
                }
                Record::Tombstone(Tombstone { message, .. }) => {
                    self.message_ids.extend(message.map(|message| (message.fingerprint, message.content)));
                }
                Record::Profile(profile) => {
                    let content = content_hash_of_profile_record(profile, payload)?;
                    self.message_ids.push((*Fingerprint::of_message_id(&profile.message_id).as_bytes(), content));
                    operations.push(record.clone());
                    sequences.push(sequence);
                }
                // They have a message id of something else, and go with the events of their time.
                Record::Conflict(_) | Record::Settlement { .. } => {}
                Record::Identify(_)
                | Record::Alias(_)
                | Record::Merge(_)
                | Record::Split { .. }
                | Record::SplitLink { .. }
                | Record::Setting { .. }
                | Record::Definition(_)
                | Record::Retraction(_)
                | Record::Erasure { .. }
                | Record::Expiry { .. }
                | Record::Completion { .. }
                | Record::Remark(_) => {
                    operations.push(record.clone());
                    sequences.push(sequence);
                }
            }
        }
        if self.subjects.len() >= SECTION_MAX {
            self.write_subjects()?;
        }
        if operations.is_empty() { Ok(()) } else { self.write_operations(payload, operations, &sequences) }
    }

    fn write_operations(&mut self, of: &Payload<'_>, records: Vec<Record<'_>>, sequences: &[u64]) -> Result<()> {
        let (names, subjects, received_at) = (of.names.clone(), Vec::new(), of.received_at);
        let mut payload = Payload { received_at, import: None, base_time: of.base_time, names, subjects, records };
        drop_unused_names(&mut payload).map_err(|what| self.refused(&what))?;
        let records = sequences.iter().zip(payload.records);
        let records = records.map(|(sequence, record)| BaseRecord { sequence: *sequence, received_at, record });
        self.write_section(&BaseSection::Operations { names: payload.names, records: records.collect() })
    }

    fn write_subjects(&mut self) -> Result<()> {
        let subjects = std::mem::take(&mut self.subjects);
        for subjects in subjects.chunks(SECTION_MAX) {
            let new = subjects.iter().map(|(subject, id)| NewSubject { subject: *subject, distinct_id: id.as_deref() });
            let section = BaseSection::Subjects(new.collect());
            self.write_section(&section)?;
        }
        Ok(())
    }

    /// Writes the rest durably, and gives the base its name. The directory is still to be synced.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.write_subjects()?;
        let mut message_ids = std::mem::take(&mut self.message_ids);
        message_ids.sort_unstable();
        for ids in message_ids.chunks(SECTION_MAX) {
            self.write_section(&BaseSection::MessageIds(ids.to_vec()))?;
        }
        drop(message_ids);
        if self.from < self.end && self.is_empty() {
            // The first frame says where the base begins.
            self.write_section(&BaseSection::Subjects(Vec::new()))?;
        }
        let last = Sequence::new(self.end.number() - 1);
        let closing = closing_frame(&self.store_id, last).map_err(|e| self.refused(&e.to_string()))?;
        self.write(&closing)?;
        let synced = self.out.flush().and_then(|()| self.out.get_ref().file().sync_data());
        synced.map_err(|e| Error::io("syncing", &self.temporary, e))?;
        let path = self.dir.base_path(self.end);
        let renamed = self.dir.storage.rename(&self.temporary, &path);
        renamed.map_err(|e| Error::io("renaming", &self.temporary, e))
    }

    fn is_empty(&self) -> bool {
        self.out.get_ref().offset() + self.out.buffer().len() as u64 == crate::format::HEADER_BYTES as u64
    }

    pub(super) fn write_section(&mut self, section: &BaseSection<'_>) -> Result<()> {
        let payload = encode_base(section).map_err(|what| self.refused(&what))?;
        let frame = FrameOf {
            first_sequence: self.from.number(),
            count: 0,
            synced_through: 0,
            closing: false,
            payload: &payload,
            compress: Some(self.level),
        };
        let frame = encode_frame(FrameSeed::of(&self.store_id), &frame).map_err(|e| self.refused(&e.to_string()))?;
        self.write(&frame)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|e| Error::io("writing", &self.temporary, e))
    }

    fn refused(&self, what: &str) -> Error {
        let message = format!("{}: a section cannot be encoded: {what}", self.temporary.display());
        Error::new(ErrorKind::Invalid, message)
    }
}
