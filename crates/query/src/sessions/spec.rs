//! The question of sessions.

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{GapAt, MAX_SPLITS, Rule};
use crate::{
    calendar::{Interval, Span, TimeZone, WeekStart, minutes},
    spec::{Fields, FromJson, Known, Place, SCOPE_FIELDS, Scope, SpecError, Touches, Unit, Word, scope_builders},
};

/// What tells sessions apart before the gap between events does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum By {
    /// The `session_id` of the sender, where an event has one.
    #[default]
    SessionId,
    /// Nothing: all events are cut.
    Nothing,
}

impl Serialize for By {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::SessionId => serializer.serialize_str("session_id"),
            Self::Nothing => serializer.serialize_unit(),
        }
    }
}

impl Word for By {
    const WORDS: &'static [(&'static str, Self)] = &[("session_id", Self::SessionId)];
}

/// How many sessions there were, how long they took, and how many were of one event.
///
/// Five events of two people, asked for `Sessions::new()`:
///
/// | person | event    | when             |
/// |--------|----------|------------------|
/// | ann    | view     | 2025-01-01 09:00 |
/// | ann    | view     | 2025-01-01 09:30 |
/// | ann    | purchase | 2025-01-01 09:40 |
/// | ann    | view     | 2025-01-01 10:11 |
/// | bob    | view     | 2025-01-01 10:00 |
///
/// answer 3 sessions, two of which bounced: a rate of 2/3, a median of 0 and a mean of 800 seconds.
///
/// ```
/// use pugmark_query::{calendar::hours, sessions::Sessions};
///
/// let sessions = Sessions::new().gap(hours(1)).split_on("campaign").without_ids().rows().from("2025-01-01");
/// let json = r#"{"gap":"1h","by":null,"split_on":["campaign"],"rows":true,"range":{"from":"2025-01-01"}}"#;
/// assert_eq!(serde_json::to_string(&sessions)?, json);
/// assert_eq!(serde_json::from_str::<Sessions>(json)?, sessions);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Sessions {
    /// The longest time between two events of a session; 30 minutes by default.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub gap: Span,
    /// Whether exactly the gap cuts.
    #[serde(skip_serializing_if = "is_default")]
    pub gap_at: GapAt,
    /// The longest time from the first event of a session to another one of it; any by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Span>,
    /// Whether every session ends at midnight of the question's zone.
    #[serde(skip_serializing_if = "is_default")]
    pub midnight: bool,
    /// What tells sessions apart before the gap does.
    #[serde(skip_serializing_if = "is_default")]
    pub by: By,
    /// Properties that cut where their value changes; at most [`MAX_SPLITS`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub split_on: Vec<String>,
    /// The property that names the page of an event; by default the first that it has of `url`, `page.url` and `$current_url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// Properties that say where a session came from, at most [`MAX_TOUCH`](crate::spec::MAX_TOUCH): each row says what the first and the last of its events with any of them says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub touch: Vec<String>,
    /// Whether the answer lists the sessions.
    #[serde(skip_serializing_if = "is_default")]
    pub rows: bool,
    /// The calendar unit of the buckets by which sessions are counted besides; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// The first day of a week; Monday by default.
    #[serde(skip_serializing_if = "is_default")]
    pub week_start: WeekStart,
    /// What all analyses share; sessions have no breakdown.
    #[serde(flatten)]
    pub scope: Scope,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for Sessions {
    fn default() -> Self {
        Self::new()
    }
}

impl Sessions {
    /// The word of the JSON form.
    pub const NAME: &'static str = "sessions";

    /// Those of the senders, and else those that half an hour without an event cuts.
    pub fn new() -> Self {
        Self {
            gap: minutes(30),
            gap_at: GapAt::default(),
            max: None,
            midnight: false,
            by: By::default(),
            split_on: Vec::new(),
            page: None,
            touch: Vec::new(),
            rows: false,
            interval: None,
            week_start: WeekStart::default(),
            scope: Scope::default(),
        }
    }

    /// Ends sessions where more than this lies between two events.
    #[must_use]
    pub fn gap(mut self, gap: Span) -> Self {
        self.gap = gap;
        self
    }

    /// Chooses whether exactly the gap cuts.
    #[must_use]
    pub fn gap_at(mut self, gap_at: GapAt) -> Self {
        self.gap_at = gap_at;
        self
    }

    /// Ends sessions this long after their first event.
    #[must_use]
    pub fn max(mut self, max: Span) -> Self {
        self.max = Some(max);
        self
    }

    /// Ends every session at local midnight.
    #[must_use]
    pub fn midnight(mut self) -> Self {
        self.midnight = true;
        self
    }

    /// Cuts all events, whatever session their senders gave them.
    #[must_use]
    pub fn without_ids(mut self) -> Self {
        self.by = By::Nothing;
        self
    }

    /// Ends sessions where the value of one more property changes.
    #[must_use]
    pub fn split_on(mut self, property: impl Into<String>) -> Self {
        self.split_on.push(property.into());
        self
    }

    /// Takes this property for the page of an event.
    #[must_use]
    pub fn page(mut self, property: impl Into<String>) -> Self {
        self.page = Some(property.into());
        self
    }

    /// Says in each row what the first and the last event with any such property says of it.
    #[must_use]
    pub fn touch(mut self, property: impl Into<String>) -> Self {
        self.touch.push(property.into());
        self
    }

    /// Lists the sessions.
    #[must_use]
    pub fn rows(mut self) -> Self {
        self.rows = true;
        self
    }

    /// Counts sessions by buckets of this calendar unit besides.
    #[must_use]
    pub fn interval(mut self, interval: Interval) -> Self {
        self.interval = Some(interval);
        self
    }

    /// Begins weeks on this day.
    #[must_use]
    pub fn week_start(mut self, week_start: WeekStart) -> Self {
        self.week_start = week_start;
        self
    }

    /// How events without a sender's session are cut in this zone.
    pub fn rule(&self, zone: &TimeZone) -> Rule {
        Rule {
            gap_us: self.gap.as_us(),
            gap_at: self.gap_at,
            max_us: self.max.map(Span::as_us),
            midnight: self.midnight.then(|| zone.clone()),
        }
    }

    fn check(&self, place: &Place) -> Result<(), SpecError> {
        if self.split_on.len() > MAX_SPLITS {
            let found = self.split_on.len();
            let complaint = format_args!("takes at most {MAX_SPLITS} properties, found {found}").to_string();
            return Err(place.child("split_on").invalid(complaint));
        }
        Touches::check(&self.touch, &place.child("touch"))?;
        if !self.touch.is_empty() && !self.rows {
            return Err(place.child("touch").invalid("belongs to rows, which are not asked for"));
        }
        if !self.scope.breakdown.is_empty() {
            let complaint = "is not for sessions, which have no one value: ask with a filter for each";
            return Err(place.child("breakdown").invalid(complaint));
        }
        if self.scope.unit == Unit::Session {
            return Err(place.child("unit").invalid("is not for sessions, which would be their own units"));
        }
        self.scope.check_alone(place)?;
        self.scope.check(place)
    }
}

impl Sessions {
    /// All that its reader knows.
    pub(crate) const FIELDS: Known = Known {
        names: &[
            &["gap", "gap_at", "max", "midnight", "by", "split_on", "page", "touch", "rows", "interval", "week_start"],
            SCOPE_FIELDS,
        ],
    };
}

impl FromJson for Sessions {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        let fields = Fields::open(value, place, &Self::FIELDS)?;
        let by = match fields.is_null("by") {
            true => By::Nothing,
            false => fields.word("by")?.unwrap_or_default(),
        };
        let sessions = Self {
            gap: fields.read("gap")?.unwrap_or_else(|| minutes(30)),
            gap_at: fields.word("gap_at")?.unwrap_or_default(),
            max: fields.read("max")?,
            midnight: fields.read("midnight")?.unwrap_or(false),
            by,
            split_on: fields.read("split_on")?.unwrap_or_default(),
            page: fields.read("page")?,
            touch: fields.read("touch")?.unwrap_or_default(),
            rows: fields.read("rows")?.unwrap_or(false),
            interval: fields.word("interval")?,
            week_start: fields.word("week_start")?.unwrap_or_default(),
            scope: Scope::read(&fields)?,
        };
        sessions.check(place)?;
        Ok(sessions)
    }
}

scope_builders!(Sessions);
