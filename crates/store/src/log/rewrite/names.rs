//! Names that nothing refers to any more.

use crate::record::{Payload, Record};
use crate::value::ValueRef;

/// Removes the names that no record refers to, and has the records refer to where the others are then. Says what is wrong with a
/// record that refers to a name which is not there.
pub(crate) fn drop_unused_names(payload: &mut Payload<'_>) -> Result<(), String> {
    let count = payload.names.len();
    let mut used = vec![false; count];
    visit(&mut payload.records, |place| match used.get_mut(*place as usize) {
        Some(used) => {
            *used = true;
            Ok(())
        }
        None => Err(format!("name {place} of a record but {count} names")),
    })?;
    let mut kept = 0;
    let places: Vec<u32> = used
        .iter()
        .map(|used| {
            let place = kept;
            kept += u32::from(*used);
            place
        })
        .collect();
    let mut used = used.into_iter();
    payload.names.retain(|_| used.next().unwrap_or(false));
    visit(&mut payload.records, |place| {
        if let Some(new) = places.get(*place as usize) {
            *place = *new;
        }
        Ok(())
    })
}

/// Gives every place of a name to `visit`.
fn visit(records: &mut [Record<'_>], mut visit: impl FnMut(&mut u32) -> Result<(), String>) -> Result<(), String> {
    let mut visit_all = |name: Option<&mut u32>, values: &mut [(u32, ValueRef<'_>)]| {
        name.into_iter().chain(values.iter_mut().map(|(place, _)| place)).try_for_each(&mut visit)
    };
    for record in records {
        match record {
            Record::Event(event) => visit_all(Some(&mut event.name), &mut event.properties)?,
            Record::Conflict(conflict) => visit_all(Some(&mut conflict.name), &mut conflict.properties)?,
            Record::Profile(profile) => visit_all(None, &mut profile.traits)?,
            Record::Tombstone(_)
            | Record::Identify(_)
            | Record::Alias(_)
            | Record::Merge(_)
            | Record::Split { .. }
            | Record::SplitLink { .. }
            | Record::Setting { .. }
            | Record::Definition(_)
            | Record::Retraction(_)
            | Record::Erasure { .. }
            | Record::Settlement { .. }
            | Record::Expiry { .. }
            | Record::Completion { .. }
            | Record::Remark(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{EventRecord, MessageId, Profile, ProfileChange, Removal, Tombstone};

    fn event<'a>(name: u32, places: &[u32]) -> Record<'a> {
        Record::Event(EventRecord {
            name,
            subject: 0,
            time: 0,
            time_sent: true,
            message_id: MessageId::Text("m"),
            session_id: None,
            properties: places.iter().map(|place| (*place, ValueRef::Bool(true))).collect(),
            context: None,
        })
    }

    fn payload<'a>(records: Vec<Record<'a>>) -> Payload<'a> {
        let names = vec!["a", "b", "c", "d", "e"];
        Payload { received_at: 0, import: None, base_time: 0, names, subjects: vec![], records }
    }

    #[test]
    fn names_that_are_left_keep_their_meaning() {
        let profile = Profile {
            subject: 0,
            timestamp: 0,
            time_sent: false,
            message_id: MessageId::Text("m"),
            change: ProfileChange::Set,
            traits: vec![(4, ValueRef::Bool(true))],
        };
        let gone = Record::Tombstone(Tombstone { why: Removal::Erased, message: None });
        let mut payload = payload(vec![gone.clone(), event(3, &[1, 3]), Record::Profile(profile)]);
        drop_unused_names(&mut payload).unwrap();
        assert_eq!(payload.names, ["b", "d", "e"]);
        assert_eq!(payload.records[1], event(1, &[0, 1]));
        let Record::Profile(profile) = &payload.records[2] else { panic!("{:?}", payload.records) };
        assert_eq!(profile.traits, [(2, ValueRef::Bool(true))]);

        payload.records = vec![gone];
        drop_unused_names(&mut payload).unwrap();
        assert!(payload.names.is_empty());
    }

    #[test]
    fn a_place_past_the_names_is_damage() {
        let error = drop_unused_names(&mut payload(vec![event(5, &[])])).unwrap_err();
        assert_eq!(error, "name 5 of a record but 5 names");
    }
}
