//! Who was who at an earlier sequence.

use crate::graph::GraphLink;
use crate::persons::Persons;

/// What the persons of an earlier sequence are made of; see [`IdentityFold::past`](crate::IdentityFold::past).
#[derive(Debug)]
pub struct Past {
    persons: Persons,
    /// The links that stood and how many subjects were known, where that differs from `persons`.
    at: Option<(Vec<GraphLink>, u32)>,
}

impl Past {
    pub(crate) fn new(persons: Persons, at: Option<(Vec<GraphLink>, u32)>) -> Self {
        Self { persons, at }
    }

    /// The persons of that sequence. Refusals are not among what is known of it: they are those of the present.
    pub fn into_persons(self) -> Persons {
        let Some((links, known)) = self.at else { return self.persons };
        let mut persons = self.persons.of_first_known(known);
        for link in links {
            persons.link_count += 1;
            persons.join(link.from, link.to);
        }
        persons
    }
}
