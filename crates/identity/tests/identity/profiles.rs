//! Profiles against a naive model: every change kept in a list, a trait folded anew for each question.

use std::collections::BTreeSet;

use proptest::prelude::*;
use pugmark_identity::{IdentityFold, IdentityOptions, Persons, ProfileFold, Profiles, Seen, View};
use pugmark_store::redb::backends::InMemoryBackend;
use pugmark_store::redb::{Database, ReadableDatabase};
use pugmark_store::{
    Committed, Fold, Link, MessageId, Payload, Profile, ProfileChange, Record, Sequence, SubjectId, Value, ValueRef,
    Verdict,
};
use serde_json::{Value as Json, json};

const SUBJECTS: u32 = 6;
const NAMES: [&str; 3] = ["plan", "seats", "tags"];
const CHANGES: [ProfileChange; 6] = [
    ProfileChange::Set,
    ProfileChange::SetOnce,
    ProfileChange::Unset,
    ProfileChange::Add,
    ProfileChange::Append,
    ProfileChange::Union,
];

/// What one record says.
#[derive(Debug, Clone)]
enum Said {
    Change { subject: u32, timestamp: i64, change: ProfileChange, traits: Vec<(u32, Value)> },
    Identify(u32, u32),
}

fn value(change: ProfileChange) -> BoxedStrategy<Value> {
    let number = prop_oneof![(-2_i64..3).prop_map(Value::Int), Just(Value::Float(0.5))];
    match change {
        ProfileChange::Unset => Just(Value::Bool(true)).boxed(),
        ProfileChange::Add => number.boxed(),
        _ => prop_oneof![
            3 => prop_oneof![Just("a"), Just("b")].prop_map(Value::from),
            3 => number,
            1 => prop_oneof![Just("[1,\"a\"]"), Just("[]")].prop_map(|text| Value::Json(text.to_owned())),
        ]
        .boxed(),
    }
}

fn said() -> impl Strategy<Value = Said> {
    let change = prop::sample::select(CHANGES.to_vec()).prop_flat_map(|change| {
        let traits = prop::collection::vec((0..NAMES.len() as u32, value(change)), 1..3);
        (0..SUBJECTS, 0_i64..6, traits).prop_map(move |(subject, timestamp, traits)| Said::Change {
            subject,
            timestamp,
            change,
            traits,
        })
    });
    prop_oneof![6 => change, 1 => (0..SUBJECTS, 0..SUBJECTS).prop_map(|(a, b)| Said::Identify(a, b))]
}

/// The history up to one sequence, and who is who by it.
struct Model<'a> {
    history: &'a [Said],
}

impl Model<'_> {
    fn known(&self) -> BTreeSet<u32> {
        self.history.iter().filter_map(|said| if let Said::Identify(_, to) = said { Some(*to) } else { None }).collect()
    }

    /// Every identify links here, whatever the rules: the fold follows the verdicts of the log.
    fn ids_of(&self, subject: u32) -> BTreeSet<u32> {
        let mut ids = BTreeSet::from([subject]);
        for _ in 0..SUBJECTS {
            for said in self.history {
                if let Said::Identify(a, b) = said
                    && (ids.contains(a) || ids.contains(b))
                {
                    ids.extend([*a, *b]);
                }
            }
        }
        ids
    }

    /// The trait of the person of `subject`, by the changes up to (timestamp, sequence).
    fn value(&self, name: u32, subject: u32, through: (i64, u64)) -> Json {
        let (ids, known) = (self.ids_of(subject), self.known());
        let mut changes = Vec::new();
        for (sequence, said) in (1_u64..).zip(self.history) {
            let Said::Change { subject, timestamp, change, traits } = said else { continue };
            if ids.contains(subject) && (*timestamp, sequence) <= through {
                for (place, (_, value)) in traits.iter().enumerate().filter(|(_, (of, _))| *of == name) {
                    changes.push((*timestamp, sequence, place, *change, value, known.contains(subject)));
                }
            }
        }
        changes.sort_by_key(|(timestamp, sequence, place, ..)| (*timestamp, *sequence, *place));
        let (mut standing, mut by_known) = (Json::Null, false);
        for (_, _, _, change, value, is_known) in changes {
            let given = value.borrowed().to_json();
            match change {
                ProfileChange::Set | ProfileChange::Unset => {
                    if is_known || !by_known {
                        standing = if change == ProfileChange::Set { given } else { Json::Null };
                        by_known = is_known;
                    }
                    continue;
                }
                ProfileChange::SetOnce if standing.is_null() => standing = given,
                ProfileChange::SetOnce => continue,
                ProfileChange::Add => {
                    standing = match &standing {
                        Json::Null => given,
                        Json::Number(number) => match (number.as_i64(), given.as_i64()) {
                            (Some(a), Some(b)) => json!(a + b),
                            _ => json!(number.as_f64().unwrap() + given.as_f64().unwrap()),
                        },
                        _ => continue,
                    }
                }
                ProfileChange::Append | ProfileChange::Union => {
                    let list = |value: Json| match value {
                        Json::Null => vec![],
                        Json::Array(list) => list,
                        one => vec![one],
                    };
                    let mut all = list(standing);
                    for element in list(given) {
                        if change == ProfileChange::Append || !all.contains(&element) {
                            all.push(element);
                        }
                    }
                    standing = Json::Array(all);
                }
            }
            by_known |= is_known;
        }
        standing
    }
}

fn record(said: &Said) -> Record<'_> {
    match said {
        Said::Change { subject, timestamp, change, traits } => Record::Profile(Profile {
            subject: *subject,
            timestamp: *timestamp,
            time_sent: true,
            message_id: MessageId::Text("m"),
            change: *change,
            traits: traits.iter().map(|(name, value)| (*name, value.borrowed())).collect::<Vec<(u32, ValueRef<'_>)>>(),
        }),
        Said::Identify(from, to) => {
            Record::Identify(Link { from: *from, to: *to, force: false, verdict: Verdict::Linked })
        }
    }
}

fn apply(folds: &mut [&mut dyn Fold], first: u64, said: &[Said]) {
    let payload = Payload {
        received_at: 0,
        import: None,
        base_time: 0,
        names: NAMES.to_vec(),
        subjects: vec![],
        records: said.iter().map(record).collect(),
    };
    let batch = Committed { first_sequence: Sequence::new(first), payload: &payload };
    folds.iter_mut().for_each(|fold| fold.apply(&batch).unwrap());
}

fn assert_same(profiles: &Profiles, persons: &Persons, history: &[Said], through: u64) {
    let model = Model { history: &history[..through as usize] };
    for (number, name) in (0_u32..).zip(NAMES) {
        let view = |past| View { persons, through: Sequence::new(through), past };
        let Some(of) = profiles.of(name, Sequence::new(through)) else {
            let is_named =
                |said: &Said| matches!(said, Said::Change { traits, .. } if traits.iter().any(|(of, _)| *of == number));
            assert!(!model.history.iter().any(is_named), "{name} through {through}");
            continue;
        };
        let (now, then) =
            (profiles.timeline(of, view(false), |_, _| false), profiles.timeline(of, view(true), |_, _| false));
        let mut seen = [Seen::default(); 2];
        // Forth and back, so that the place that was seen last lies on either side.
        for subject in (0..SUBJECTS).chain((0..SUBJECTS).rev()) {
            let person = persons.person_of(SubjectId::new(subject));
            let last = now.last(person, &mut seen[0]).map(|at| now.with_value(at, |value| value.to_json()));
            let expected = model.value(number, subject, (i64::MAX, u64::MAX));
            assert_eq!(last.unwrap_or_default(), expected, "{name} of {subject} through {through}");
            let own = profiles.value_of(of, person, (persons, Sequence::new(through)), |_, _| false);
            assert_eq!(
                own.map(|own| own.borrowed().to_json()).unwrap_or_default(),
                expected,
                "{name} of {subject} alone"
            );
            for timestamp in 0..6 {
                for sequence in [0, 2, through] {
                    let found = then.at(person, (timestamp, sequence), &mut seen[1]);
                    let found = found.map(|at| then.with_value(at, |value| value.to_json()));
                    let expected = model.value(number, subject, (timestamp, sequence));
                    assert_eq!(found.unwrap_or_default(), expected, "{name} of {subject} at {timestamp}, {sequence}");
                }
            }
        }
    }
}

fn cases() -> ProptestConfig {
    let cases = std::env::var("PUGMARK_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(400);
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn profiles_are_those_of_a_naive_fold_at_every_sequence(
        history in prop::collection::vec(said(), 1..24),
        cuts in prop::collection::vec(1..5_usize, 24),
        saves in prop::collection::vec(any::<bool>(), 24),
    ) {
        let (mut identity, mut fold) = (IdentityFold::new(IdentityOptions::default()), ProfileFold::default());
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let mut first = 1;
        for (cut, saves) in cuts.into_iter().zip(saves) {
            let end = (first - 1 + cut as u64).min(history.len() as u64);
            apply(&mut [&mut identity, &mut fold], first, &history[first as usize - 1..end as usize]);
            first = end + 1;
            if saves {
                let txn = database.begin_write().unwrap();
                fold.checkpoint(&txn).unwrap();
                txn.commit().unwrap();
                // What comes after it is applied to what is read.
                let mut loaded = ProfileFold::default();
                loaded.load(&database.begin_read().unwrap()).unwrap();
                fold = loaded;
            }
            let published = fold.publish().downcast::<Profiles>().unwrap();
            let persons = identity.publish().downcast::<Persons>().unwrap();
            assert_same(&published, &persons, &history, end);
        }
        let through = first - 1;
        let published = fold.publish().downcast::<Profiles>().unwrap();
        for earlier in [1, through.div_ceil(2)] {
            let persons = identity.past(Sequence::new(earlier)).into_persons();
            assert_same(&published, &persons, &history, earlier);
        }
    }
}
