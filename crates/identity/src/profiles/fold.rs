//! Profiles as a fold of the log.

use std::any::Any;
use std::sync::Arc;

use pugmark_store::redb::{ReadTransaction, WriteTransaction};
use pugmark_store::{Committed, Error, ErrorKind, Findings, Fold, Profile, Record, Result, Verifier};

use super::saved::{self, Saved};
use super::state::{Maker, Profiles};

/// Keeps every change of every trait, and publishes [`Profiles`].
///
/// # Example
/// ```
/// use pugmark_identity::{Persons, ProfileFold, Profiles, Seen, View};
/// use pugmark_store::{Committed, Fold, MessageId, Payload, Profile, ProfileChange, Record, Sequence, SubjectId, ValueRef};
/// let set = |timestamp, plan| {
///     let traits = vec![(0, ValueRef::Text(plan))];
///     let (change, message_id) = (ProfileChange::Set, MessageId::Text("m"));
///     Record::Profile(Profile { subject: 7, timestamp, time_sent: true, message_id, change, traits })
/// };
/// let payload = Payload {
///     received_at: 0,
///     import: None,
///     base_time: 0,
///     names: vec!["plan"],
///     subjects: vec![],
///     records: vec![set(1_000, "free"), set(2_000, "pro")],
/// };
/// let mut fold = ProfileFold::default();
/// fold.apply(&Committed { first_sequence: Sequence::FIRST, payload: &payload })?;
/// let profiles = fold.publish().downcast::<Profiles>().expect("profiles");
///
/// let persons = Persons::default();
/// let view = View { persons: &persons, through: Sequence::new(2), past: true };
/// let plan = profiles.of("plan", view.through).expect("it was set");
/// let timeline = profiles.timeline(plan, view, |_, _| false);
/// let ann = persons.person_of(SubjectId::new(7));
/// let plan = |place: Option<u32>| place.map(|place| timeline.with_value(place, |value| value.to_json().to_string()));
/// assert_eq!(plan(timeline.last(ann, &mut Seen::default())).as_deref(), Some("\"pro\""));
/// assert_eq!(plan(timeline.at(ann, (1_500, 9), &mut Seen::default())).as_deref(), Some("\"free\""));
/// assert_eq!(plan(timeline.at(ann, (500, 9), &mut Seen::default())), None);
/// # Ok::<(), pugmark_store::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct ProfileFold {
    maker: Maker,
    /// What was published last, until something changes.
    published: Option<Arc<Profiles>>,
    /// Names that are not in the index yet; those before them are.
    traits_unsaved: Vec<String>,
    traits_saved: u32,
    unsaved: Vec<Saved>,
}

impl ProfileFold {
    fn apply_record(&mut self, sequence: u64, profile: &Profile<'_>, names: &[&str], keep: bool) -> Result<()> {
        let Profile { subject, timestamp, change, traits, .. } = profile;
        for (place, (name, value)) in (0_u32..).zip(traits) {
            let Some(name) = names.get(*name as usize) else {
                let message =
                    format!("sequence {sequence}: trait {place} has name {name}, its frame has {}", names.len());
                return Err(Error::new(ErrorKind::Corrupt, message));
            };
            let known = self.maker.trait_count();
            let of = self.maker.number(name, sequence);
            let value = self.maker.add(of, (*subject, *timestamp, sequence), *change, *value);
            if keep {
                if of == known {
                    self.traits_unsaved.push((*name).to_owned());
                }
                let (subject, timestamp, change) = (*subject, *timestamp, *change);
                self.unsaved.push(Saved { sequence, place, subject, timestamp, change, of, value });
            }
        }
        self.published = None;
        Ok(())
    }

    fn apply_all(&mut self, batch: &Committed<'_>, keep: bool) -> Result<()> {
        for (sequence, record) in (batch.first_sequence.number()..).zip(&batch.payload.records) {
            if let Record::Profile(profile) = record {
                self.apply_record(sequence, profile, &batch.payload.names, keep)?;
            }
        }
        Ok(())
    }

    fn profiles(&mut self) -> Arc<Profiles> {
        Arc::clone(self.published.get_or_insert_with(|| Arc::new(self.maker.profiles())))
    }
}

impl Fold for ProfileFold {
    fn name(&self) -> &'static str {
        "profiles"
    }

    fn version(&self) -> u32 {
        1
    }

    fn apply(&mut self, batch: &Committed<'_>) -> Result<()> {
        self.apply_all(batch, true)
    }

    fn apply_base(&mut self, batch: &Committed<'_>) -> Result<()> {
        self.apply(batch)
    }

    fn publish(&mut self) -> Arc<dyn Any + Send + Sync> {
        self.profiles()
    }

    fn checkpoint(&mut self, txn: &WriteTransaction) -> Result<()> {
        for name in self.traits_unsaved.drain(..) {
            saved::write_trait(txn, self.traits_saved, &name)?;
            self.traits_saved += 1;
        }
        if !self.unsaved.is_empty() {
            saved::write_changes(txn, &self.unsaved, |number| self.maker.value(number))?;
            self.unsaved = Vec::new();
        }
        Ok(())
    }

    fn load(&mut self, txn: &ReadTransaction) -> Result<()> {
        let mut loaded = Self::default();
        let mut names = Vec::new();
        saved::read_traits(txn, |name| names.push(name.to_owned()))?;
        loaded.traits_saved = u32::try_from(names.len()).expect("invariant: numbers of rows are of 32 bits");
        saved::read_changes(txn, loaded.traits_saved, |saved, value| {
            let Saved { sequence, subject, timestamp, change, of, .. } = saved;
            // In the order of the log, traits are first seen in the order of their numbers.
            let of = loaded.maker.number(&names[of as usize], sequence);
            loaded.maker.add(of, (subject, timestamp, sequence), change, value);
        })?;
        let found = loaded.maker.trait_count();
        if found != loaded.traits_saved {
            let message = format!("index.redb: profiles.traits: {} traits, {found} with changes", names.len());
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        *self = loaded;
        Ok(())
    }

    fn fresh(&self) -> Box<dyn Fold> {
        Box::new(Self::default())
    }

    fn copy(&self, from: &ReadTransaction, to: &WriteTransaction) -> Result<()> {
        saved::copy(from, to)
    }

    fn verifier<'a>(&'a self, index: Option<&ReadTransaction>) -> Result<Option<Box<dyn Verifier + 'a>>> {
        let mut stored = None;
        if let Some(index) = index {
            stored.insert(Self::default()).load(index)?;
        }
        let live = self.maker.present();
        let stored = stored.as_mut().map(Self::profiles);
        Ok(Some(Box::new(ProfileVerifier { live, stored, replayed: Self::default() })))
    }

    fn reset(&mut self, txn: &WriteTransaction) -> Result<()> {
        saved::delete(txn)?;
        *self = Self::default();
        Ok(())
    }
}

/// Compares profiles with what the log alone says.
struct ProfileVerifier {
    live: Profiles,
    stored: Option<Arc<Profiles>>,
    replayed: ProfileFold,
}

impl Verifier for ProfileVerifier {
    fn apply(&mut self, batch: &Committed<'_>, _found: &mut Findings<'_>) -> Result<()> {
        self.replayed.apply_all(batch, false)
    }

    fn finish(&mut self, found: &mut Findings<'_>) -> Result<()> {
        let replayed = self.replayed.profiles();
        for (place, state) in [("in memory", Some(&self.live)), ("index.redb", self.stored.as_deref())] {
            if let Some(what) = state.and_then(|state| replayed.difference(state)) {
                found.add(format!("{place}: {what}"));
            }
        }
        Ok(())
    }
}
