//! First and last touches: which events they are, and what those say.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::by_unit::Needs;
use super::lowering::{Reading, Wanted};
use super::run::Asked;
use super::units::Core;
use crate::engine::Engine;
use crate::error::Result;
use crate::local::People;
use crate::spec::{EventNames, Hit, Selector, Touches};

const OPERATOR: &str = "LocalTouches";

/// The value of a property of whatever type, as an SQL expression.
pub(super) fn prop(name: &str) -> String {
    format!("prop('{}')", name.replace('\'', "''"))
}

/// Whether an event has any of these properties, as an SQL expression.
pub(super) fn has_any(properties: &[String]) -> String {
    properties.iter().map(|name| format!("{} IS NOT NULL", prop(name))).collect::<Vec<_>>().join(" OR ")
}

impl Engine {
    /// What the events of these sequences say of the properties.
    pub(super) async fn touches_of(
        &self,
        asked: &Asked<'_>,
        sequences: Vec<u64>,
        properties: &[String],
    ) -> Result<HashMap<u64, Map<String, Value>>> {
        let expressions: Vec<String> = properties.iter().map(|name| prop(name)).collect();
        let expressions: Vec<&str> = expressions.iter().map(String::as_str).collect();
        let texts = self.texts_of(asked, sequences, &expressions).await?;
        let told = |texts: Vec<Option<String>>| {
            properties.iter().zip(texts).filter_map(|(name, text)| Some((name.clone(), text?.into()))).collect()
        };
        Ok(texts.into_iter().map(|(sequence, texts)| (sequence, told(texts))).collect())
    }

    /// The touches of these persons, in their order.
    pub(super) async fn touches_of_people(
        &self,
        asked: &Asked<'_>,
        persons: &[u32],
        properties: &[String],
    ) -> Result<Vec<Touches>> {
        let mut among = People::new(asked.snapshot.subject_count, false);
        persons.iter().for_each(|person| among.set(*person, true));
        let among = among.unite(&asked.snapshot.persons);
        let selector = Selector { event: EventNames::Any, filter: Some(has_any(properties)) };
        let wanted = Wanted { selector: &selector, path: "touch".to_owned(), since_us: i64::MIN };
        let reading = Reading { among: Some(Arc::new(among)), ..Reading::new(vec![wanted], asked.scope(), i64::MAX) };
        let needs = Needs { bits: 1, sequences: true };
        let found = self.by_unit(asked, &reading, needs, OPERATOR, |_| Ends::default()).await?;
        let ends: HashMap<u32, [u64; 2]> = found.cores.into_iter().flat_map(|core| core.found).collect();
        let sequences = ends.values().flatten().copied().collect();
        let said = self.touches_of(asked, sequences, properties).await?;
        let said = |sequence: u64| said.get(&sequence).cloned().unwrap_or_default();
        let touches = |person: &u32| match ends.get(person) {
            Some([first, last]) => Touches { first: said(*first), last: said(*last) },
            None => Touches::default(),
        };
        Ok(persons.iter().map(touches).collect())
    }
}

/// The sequences of the first and the last event of each unit.
#[derive(Default)]
struct Ends {
    found: Vec<(u32, [u64; 2])>,
}

impl Core for Ends {
    type Value = ();

    fn add_unit(&mut self, unit: u32, hits: &mut [Hit]) {
        let order = |hit: &&Hit| (hit.timestamp, hit.sequence);
        let ends = hits.iter().min_by_key(order).zip(hits.iter().max_by_key(order));
        self.found.extend(ends.map(|(first, last)| (unit, [first.sequence, last.sequence])));
    }
}
