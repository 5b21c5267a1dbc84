//! What cubes are made of, as it is declared.

use pugmark_store::limits::NAME_MAX_BYTES;
use serde::Serialize;
use serde_json::Value;

use crate::spec::{EventNames, Fields, Known, MAX_BREAKDOWNS, Place, SpecError};

/// How many declarations a store may have at a time.
pub const MAX_DECLARATIONS: usize = 32;
/// How many measures a declaration may have.
pub const MAX_MEASURES: usize = 8;
/// What the names of settings begin with that hold a declaration.
pub(crate) const SETTING_PREFIX: &str = "rollup.";

/// Properties by which trends are often cut, and those that are often summed: columnar files keep counts, people and sums for each combination of values and day.
///
/// It changes no answer, only how fast it comes, save that what is revenue is said of people. It may be declared at any time: for what is stored already it is made in the background. A file with more than 1,000
/// values of a dimension, or 10,000 combinations, goes without.
///
/// ```
/// use pugmark_query::columns::Declaration;
///
/// let sales = Declaration::new("sales", "purchase").dimension("country").dimension("plan").measure("amount");
/// assert_eq!(
///     serde_json::to_string(&sales)?,
///     r#"{"event":"purchase","dimensions":["country","plan"],"measures":["amount"]}"#
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Declaration {
    /// What it is called.
    #[serde(skip)]
    pub name: String,
    /// The events that it is about.
    pub event: EventNames,
    /// The properties that they are cut by, at most three.
    pub dimensions: Vec<String>,
    /// The properties whose numbers are summed, at most [`MAX_MEASURES`].
    pub measures: Vec<String>,
    /// That of the measures which is revenue: what a person brought is its sum, over all declarations that have one, of each event once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revenue: Option<String>,
}

impl Declaration {
    /// Of these events, without dimensions and measures so far.
    pub fn new(name: impl Into<String>, event: impl Into<EventNames>) -> Self {
        Self { name: name.into(), event: event.into(), dimensions: Vec::new(), measures: Vec::new(), revenue: None }
    }

    /// Cut by one more property.
    #[must_use]
    pub fn dimension(mut self, property: impl Into<String>) -> Self {
        self.dimensions.push(property.into());
        self
    }

    /// With sums of one more property.
    #[must_use]
    pub fn measure(mut self, property: impl Into<String>) -> Self {
        self.measures.push(property.into());
        self
    }

    /// With sums of one more property, which is revenue.
    #[must_use]
    pub fn revenue(mut self, property: impl Into<String>) -> Self {
        let property = property.into();
        if !self.measures.contains(&property) {
            self.measures.push(property.clone());
        }
        self.revenue = Some(property);
        self
    }

    /// Reads the JSON form of the declaration called `name`.
    ///
    /// # Errors
    /// `Invalid` for an unknown field, a missing or malformed value.
    pub fn from_value(name: impl Into<String>, value: &Value) -> Result<Self, SpecError> {
        const KNOWN: Known = Known { names: &[&["event", "dimensions", "measures", "revenue"]] };
        let fields = Fields::open(value, &Place::root("declaration"), &KNOWN)?;
        let declaration = Self {
            name: name.into(),
            event: fields.require("event")?,
            dimensions: fields.read("dimensions")?.unwrap_or_default(),
            measures: fields.read("measures")?.unwrap_or_default(),
            revenue: fields.read("revenue")?,
        };
        declaration.validate()?;
        Ok(declaration)
    }

    /// The setting of the store that holds it.
    pub fn setting_name(&self) -> String {
        format!("{SETTING_PREFIX}{}", self.name)
    }

    /// The value of that setting, JSON text.
    pub fn setting_value(&self) -> String {
        serde_json::to_string(self).expect("invariant: names can be written")
    }

    /// Checks what a builder cannot.
    ///
    /// # Errors
    /// `Invalid`, naming the field and its value: a name of 1 to 248 bytes, at most three dimensions and [`MAX_MEASURES`] measures, no property twice, one at least.
    pub fn validate(&self) -> Result<(), SpecError> {
        let place = Place::root("declaration");
        let longest = NAME_MAX_BYTES - SETTING_PREFIX.len();
        if self.name.trim().is_empty() || self.name.len() > longest {
            let found = self.name.len();
            return Err(place.child("name").invalid(format_args!("must have 1 to {longest} bytes, found {found}")));
        }
        self.event.check(&place.child("event"))?;
        let both = [("dimensions", &self.dimensions, MAX_BREAKDOWNS), ("measures", &self.measures, MAX_MEASURES)];
        for (field, properties, most) in both {
            let place = place.child(field);
            if properties.len() > most {
                return Err(place.invalid(format_args!("takes at most {most} properties, found {}", properties.len())));
            }
            for (at, property) in properties.iter().enumerate() {
                if property.trim().is_empty() {
                    return Err(place.item(at).invalid("must not be empty"));
                }
                if properties[..at].contains(property) {
                    return Err(place.item(at).invalid(format_args!("names \"{property}\" twice")));
                }
            }
        }
        if let Some(revenue) = self.revenue.as_ref().filter(|revenue| !self.measures.contains(revenue)) {
            return Err(place.child("revenue").invalid(format_args!("is \"{revenue}\", which is no measure")));
        }
        if self.dimensions.is_empty() && self.measures.is_empty() {
            return Err(place.child("dimensions").invalid("must name a property, or measures one"));
        }
        Ok(())
    }
}

/// A declaration that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Declared {
    /// The sequence at which it was declared; no two have the same.
    pub(crate) number: u64,
    pub(crate) declaration: Declaration,
}
