//! The question of who people are: a list of them, sorted, searched, page by page.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Cursor, Direction, SortBy};
use crate::spec::{Fields, FromJson, Known, Place, Scope, Segment, SpecError, Touches, Word, json_form};

/// How many people a page shows unless the question says otherwise.
pub const DEFAULT_PEOPLE: usize = 50;
/// How many a page shows at most.
pub const MAX_PEOPLE: usize = 1_000;
/// How many traits a list shows at most.
pub const MAX_TRAITS: usize = 32;
/// The longest text that is looked for, in bytes.
pub const MAX_SEARCH_BYTES: usize = 255;

/// How a text is compared with what is looked for; upper and lower case are one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Match {
    /// It is that.
    Exact,
    /// It begins with that.
    Prefix,
    /// That is in it, anywhere.
    #[default]
    Contains,
}

impl Word for Match {
    const WORDS: &'static [(&'static str, Self)] =
        &[("exact", Self::Exact), ("prefix", Self::Prefix), ("contains", Self::Contains)];
}

/// Where a text is looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum SearchIn {
    /// In ids and in every trait.
    #[default]
    Anywhere,
    /// In ids.
    Ids,
    /// In one trait.
    Trait(String),
}

/// What people are looked for by.
///
/// ```
/// use pugmark_query::people::Search;
///
/// let search = Search::prefix("ann@").in_trait("email");
/// let json = r#"{"text":"ann@","match":"prefix","trait":"email"}"#;
/// assert_eq!(serde_json::to_string(&search)?, json);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Search {
    /// The text, 1 to [`MAX_SEARCH_BYTES`] bytes.
    pub text: String,
    /// How it is compared.
    pub by: Match,
    /// Where it is looked for.
    pub within: SearchIn,
}

impl Search {
    fn new(text: impl Into<String>, by: Match) -> Self {
        Self { text: text.into(), by, within: SearchIn::default() }
    }

    /// Who has an id or a trait that is this.
    pub fn exact(text: impl Into<String>) -> Self {
        Self::new(text, Match::Exact)
    }

    /// Who has an id or a trait that begins with this.
    pub fn prefix(text: impl Into<String>) -> Self {
        Self::new(text, Match::Prefix)
    }

    /// Who has an id or a trait with this in it.
    pub fn contains(text: impl Into<String>) -> Self {
        Self::new(text, Match::Contains)
    }

    /// Looks at ids alone.
    #[must_use]
    pub fn in_ids(mut self) -> Self {
        self.within = SearchIn::Ids;
        self
    }

    /// Looks at this trait alone.
    #[must_use]
    pub fn in_trait(mut self, name: impl Into<String>) -> Self {
        self.within = SearchIn::Trait(name.into());
        self
    }
}

impl Serialize for Search {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Map::new();
        fields.insert("text".to_owned(), self.text.as_str().into());
        let by = serde_json::to_value(self.by).map_err(serde::ser::Error::custom)?;
        fields.insert("match".to_owned(), by);
        match &self.within {
            SearchIn::Anywhere => None,
            SearchIn::Ids => fields.insert("in".to_owned(), "ids".into()),
            SearchIn::Trait(name) => fields.insert("trait".to_owned(), name.as_str().into()),
        };
        fields.serialize(serializer)
    }
}

/// The words of `in`.
#[derive(Clone, Copy)]
enum Where {
    Anywhere,
    Ids,
}

impl Word for Where {
    const WORDS: &'static [(&'static str, Self)] = &[("anywhere", Self::Anywhere), ("ids", Self::Ids)];
}

impl FromJson for Search {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        const KNOWN: Known = Known { names: &[&["text", "match", "in", "trait"]] };
        // A text alone is looked for anywhere.
        if let Value::String(text) = value {
            return Ok(Self::contains(text.as_str()));
        }
        let fields = Fields::open(value, place, &KNOWN)?;
        let within = match (fields.word::<Where>("in")?, fields.read::<String>("trait")?) {
            (None | Some(Where::Anywhere), None) => SearchIn::Anywhere,
            (Some(Where::Ids), None) => SearchIn::Ids,
            (None, Some(name)) => SearchIn::Trait(name),
            (Some(_), Some(_)) => return Err(place.child("in").invalid("does not go with trait: give one of them")),
        };
        Ok(Self { text: fields.require("text")?, by: fields.word("match")?.unwrap_or_default(), within })
    }
}

/// Who people are and what they did in all, in pages: everybody, those in a segment, or those who are found by an id or a trait.
///
/// Five events of three people, of whom `ann` has set her e-mail address:
///
/// | id  | event    | when             |
/// |-----|----------|------------------|
/// | ann | view     | 2025-01-01 09:00 |
/// | ann | purchase | 2025-01-01 10:00 |
/// | bob | view     | 2025-01-02 12:00 |
/// | ann | view     | 2025-01-03 08:00 |
/// | cid | view     | 2025-01-03 07:00 |
///
/// asked for `People::new().sort(SortBy::Events).limit(2)`, answer `ann`, with three events in three sessions on two days, and then `bob`, whom the store knew
/// before `cid`; `next` leads to the page with `cid`.
///
/// ```
/// use pugmark_query::people::{People, Search, SortBy};
///
/// let people = People::new().search(Search::prefix("ann@").in_trait("email")).sort(SortBy::Events).show("email").limit(2);
/// let json = concat!(r#"{"sort":"events","limit":2,"search":{"text":"ann@","match":"prefix","trait":"email"},"#, r#""traits":["email"]}"#);
/// assert_eq!(serde_json::to_string(&people)?, json);
/// assert_eq!(serde_json::from_str::<People>(json)?, people);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct People {
    /// What they are sorted by.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub sort: SortBy,
    /// Which end comes first.
    #[cfg_attr(feature = "openapi", schema(required = false, rename = "order"))]
    pub direction: Direction,
    /// How many a page shows, 1 to [`MAX_PEOPLE`].
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub limit: usize,
    /// Where the page begins: the `next` of the page before; by default the first.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub cursor: Option<Cursor>,
    /// Whom to look for; by default everybody is shown.
    pub search: Option<Search>,
    /// The traits that are shown, at most [`MAX_TRAITS`].
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub traits: Vec<String>,
    /// Properties that say where somebody came from, at most [`MAX_TOUCH`](crate::spec::MAX_TOUCH): what the first and the last event with any of them says is shown.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub touch: Vec<String>,
    /// What analyses share, of which this has the segment and the zone that its dates are of.
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub scope: Scope,
}

impl Default for People {
    fn default() -> Self {
        Self::new()
    }
}

impl People {
    /// The word of the JSON form.
    pub const NAME: &'static str = "people";

    /// Everybody, the last seen first.
    pub fn new() -> Self {
        Self {
            sort: SortBy::default(),
            direction: Direction::default(),
            limit: DEFAULT_PEOPLE,
            cursor: None,
            search: None,
            traits: Vec::new(),
            touch: Vec::new(),
            scope: Scope::default(),
        }
    }

    /// Those in a segment.
    pub fn of(segment: impl Into<Segment>) -> Self {
        Self::new().segment(segment)
    }

    /// Shows those in this segment alone.
    #[must_use]
    pub fn segment(mut self, segment: impl Into<Segment>) -> Self {
        self.scope.segment = Some(segment.into());
        self
    }

    /// Shows those alone who are found by this.
    #[must_use]
    pub fn search(mut self, search: Search) -> Self {
        self.search = Some(search);
        self
    }

    /// Sorts by this, the latest or the most first.
    #[must_use]
    pub fn sort(mut self, by: SortBy) -> Self {
        self.sort = by;
        self
    }

    /// The earliest or the least first.
    #[must_use]
    pub fn ascending(mut self) -> Self {
        self.direction = Direction::Ascending;
        self
    }

    /// Shows this many on a page.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Goes on after the page whose `next` this is.
    #[must_use]
    pub fn cursor(mut self, cursor: Cursor) -> Self {
        self.cursor = Some(cursor);
        self
    }

    /// Shows one more trait.
    #[must_use]
    pub fn show(mut self, name: impl Into<String>) -> Self {
        self.traits.push(name.into());
        self
    }

    /// Shows what the first and the last event with any such property says of it.
    #[must_use]
    pub fn touch(mut self, property: impl Into<String>) -> Self {
        self.touch.push(property.into());
        self
    }

    /// Takes dates of the segment for those of this IANA zone.
    #[must_use]
    pub fn time_zone(mut self, name: impl Into<String>) -> Self {
        self.scope.time_zone = Some(name.into());
        self
    }

    fn check(&self, place: &Place) -> Result<(), SpecError> {
        let default = Scope { segment: None, segments: Vec::new(), time_zone: None, ..self.scope.clone() };
        if default != Scope::default() {
            return Err(place.invalid("has a segment and a time_zone, and nothing else of what questions share"));
        }
        if !self.scope.segments.is_empty() {
            return Err(place.child("segment").invalid("is one: a list of people is of one segment"));
        }
        if !(1..=MAX_PEOPLE).contains(&self.limit) {
            let complaint = format!("must be from 1 to {MAX_PEOPLE}, found {}", self.limit);
            return Err(place.child("limit").invalid(complaint));
        }
        if self.cursor.is_some_and(|cursor| cursor.order() != (self.sort, self.direction)) {
            return Err(place.child("cursor").invalid("is of a list in another order"));
        }
        if let Some(Search { text, within, .. }) = &self.search {
            let place = place.child("search");
            if text.is_empty() || text.len() > MAX_SEARCH_BYTES {
                let complaint = format!("must have 1 to {MAX_SEARCH_BYTES} bytes, found {}", text.len());
                return Err(place.child("text").invalid(complaint));
            }
            if matches!(within, SearchIn::Trait(name) if name.is_empty()) {
                return Err(place.child("trait").invalid("must not be empty"));
            }
        }
        if self.traits.len() > MAX_TRAITS {
            let complaint = format!("takes at most {MAX_TRAITS} names, found {}", self.traits.len());
            return Err(place.child("traits").invalid(complaint));
        }
        for (at, name) in self.traits.iter().enumerate() {
            if name.is_empty() {
                return Err(place.child("traits").item(at).invalid("must not be empty"));
            }
            if self.traits[..at].contains(name) {
                return Err(place.child("traits").item(at).invalid(format_args!("names \"{name}\" twice")));
            }
        }
        Touches::check(&self.touch, &place.child("touch"))?;
        self.scope.check(place)
    }
}

impl Serialize for People {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Map::new();
        let json = |value: serde_json::Result<Value>| value.map_err(serde::ser::Error::custom);
        let mut add = |name: &str, is_told: bool, value: serde_json::Result<Value>| -> Result<(), S::Error> {
            if is_told {
                fields.insert(name.to_owned(), json(value)?);
            }
            Ok(())
        };
        add("sort", self.sort != SortBy::default(), serde_json::to_value(self.sort))?;
        add("order", self.direction != Direction::default(), serde_json::to_value(self.direction))?;
        add("limit", self.limit != DEFAULT_PEOPLE, serde_json::to_value(self.limit))?;
        add("cursor", self.cursor.is_some(), serde_json::to_value(self.cursor))?;
        add("search", self.search.is_some(), serde_json::to_value(&self.search))?;
        add("traits", !self.traits.is_empty(), serde_json::to_value(&self.traits))?;
        add("touch", !self.touch.is_empty(), serde_json::to_value(&self.touch))?;
        add("segment", self.scope.segment.is_some(), serde_json::to_value(&self.scope.segment))?;
        add("time_zone", self.scope.time_zone.is_some(), serde_json::to_value(&self.scope.time_zone))?;
        fields.serialize(serializer)
    }
}

impl People {
    /// All that its reader knows.
    pub(crate) const FIELDS: Known = Known {
        names: &[&["sort", "order", "limit", "cursor", "search", "traits", "touch"], &["segment", "time_zone"]],
    };
}

impl FromJson for People {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        let fields = Fields::open(value, place, &Self::FIELDS)?;
        let (segment, segments) = Scope::read_segments(fields.value("segment"))?;
        let people = Self {
            sort: fields.word("sort")?.unwrap_or_default(),
            direction: fields.word("order")?.unwrap_or_default(),
            limit: fields.read("limit")?.unwrap_or(DEFAULT_PEOPLE),
            cursor: fields.read("cursor")?,
            search: fields.read("search")?,
            traits: fields.read("traits")?.unwrap_or_default(),
            touch: fields.read("touch")?.unwrap_or_default(),
            scope: Scope { segment, segments, time_zone: fields.read("time_zone")?, ..Scope::default() },
        };
        people.check(place)?;
        Ok(people)
    }
}

json_form!(People);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_contradicts_itself_is_refused_with_its_field() {
        let long = format!(r#"{{"search":"{}"}}"#, "x".repeat(256));
        let cases = [
            (r#"{"limit":0}"#, "limit"),
            (r#"{"limit":1001}"#, "limit"),
            (r#"{"sort":"age"}"#, "sort"),
            (r#"{"order":"up"}"#, "order"),
            (r#"{"cursor":"ld1800600000000000000000007","sort":"events"}"#, "cursor"),
            (r#"{"cursor":"x"}"#, "cursor"),
            (r#"{"search":""}"#, "search.text"),
            (long.as_str(), "search.text"),
            (r#"{"search":{"text":"a","in":"ids","trait":"b"}}"#, "search.in"),
            (r#"{"search":{"match":"exact"}}"#, "search.text"),
            (r#"{"traits":["a","a"]}"#, "traits[1]"),
            (r#"{"touch":["a",""]}"#, "touch[1]"),
            (r#"{"touch":["a","b","c","d","e","f","g","h","i"]}"#, "touch"),
            (r#"{"segment":["a","b"]}"#, "segment"),
            (r#"{"range":{"last":"1d"}}"#, "range"),
        ];
        for (json, field) in cases {
            let error = People::from_value(&serde_json::from_str(json).expect("JSON")).expect_err(json);
            assert_eq!(error.field.as_deref(), Some(field), "{json}: {error}");
        }
    }
}
