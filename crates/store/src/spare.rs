//! Memory of batches that are done, for those that follow.

use crate::record::{Payload, Record};
use crate::value::ValueRef;

/// Most records, and most lists of properties, that room is kept for; an import's batches are smaller.
const RECORDS_MAX: usize = 16_384;
/// Most properties of an event whose list is kept.
const PROPERTIES_MAX: usize = 32;

/// Empty vectors that were those of batches. A committer that makes and frees them anew is busy with fresh pages, which the system has to clear.
#[derive(Default)]
pub(crate) struct Spare {
    records: Vec<Record<'static>>,
    properties: Vec<Vec<(u32, ValueRef<'static>)>>,
}

impl Spare {
    /// Room for `count` records.
    pub(crate) fn records<'a>(&mut self, count: usize) -> Vec<Record<'a>> {
        let mut records = std::mem::take(&mut self.records);
        records.reserve(count);
        records
    }

    /// Room for the properties of one event.
    pub(crate) fn properties<'a>(&mut self) -> Vec<(u32, ValueRef<'a>)> {
        self.properties.pop().unwrap_or_default()
    }

    /// Takes the vectors of a batch back.
    pub(crate) fn take_back(&mut self, payload: Payload<'_>) {
        let mut records = payload.records;
        for record in records.drain(..) {
            if let Record::Event(event) = record
                && event.properties.capacity() <= PROPERTIES_MAX
                && self.properties.len() < RECORDS_MAX
            {
                self.properties.push(emptied(event.properties));
            }
        }
        if records.capacity() <= RECORDS_MAX {
            self.records = emptied(records);
        }
    }
}

/// The room of `vec`, for elements of another lifetime: collecting in place keeps it.
fn emptied<T, U>(mut vec: Vec<T>) -> Vec<U> {
    vec.clear();
    vec.into_iter().map(|_| unreachable!("a vector that was cleared has no elements")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{EventRecord, MessageId};

    fn payload(records: usize, properties: usize) -> Payload<'static> {
        let event = || {
            Record::Event(EventRecord {
                name: 0,
                subject: 0,
                time: 0,
                time_sent: true,
                message_id: MessageId::Text("m"),
                session_id: None,
                properties: vec![(0, ValueRef::Int(1)); properties],
                context: None,
            })
        };
        let records = (0..records).map(|_| event()).collect();
        Payload { received_at: 0, import: None, base_time: 0, names: vec!["n"], subjects: vec![], records }
    }

    #[test]
    fn what_was_taken_back_is_given_out_empty_and_with_its_room() {
        let mut spare = Spare::default();
        spare.take_back(payload(3, 5));
        for _ in 0..3 {
            let properties = spare.properties();
            assert_eq!((properties.len(), properties.capacity()), (0, 5));
        }
        assert_eq!(spare.properties().capacity(), 0);
        let records = spare.records(2);
        assert_eq!((records.len(), records.capacity()), (0, 3));
    }

    #[test]
    fn what_a_single_large_batch_took_is_not_kept() {
        let mut spare = Spare::default();
        spare.take_back(payload(RECORDS_MAX + 1, 1));
        assert_eq!((spare.records.capacity(), spare.properties.len()), (0, RECORDS_MAX));
        let mut spare = Spare::default();
        spare.take_back(payload(1, PROPERTIES_MAX + 1));
        assert_eq!(spare.properties().capacity(), 0);
    }
}
