//! In which order people are listed, and where a page ends.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::Totals;
use crate::spec::{FromJson, Place, SpecError, Word};

/// What people are sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SortBy {
    /// When they were last seen.
    #[default]
    LastSeen,
    /// When they were first seen.
    FirstSeen,
    /// How many events they had.
    Events,
    /// How many sessions.
    Sessions,
    /// On how many days they were active.
    DaysActive,
    /// How much they brought of what is declared as revenue.
    Revenue,
}

impl Word for SortBy {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("last_seen", Self::LastSeen),
        ("first_seen", Self::FirstSeen),
        ("events", Self::Events),
        ("sessions", Self::Sessions),
        ("days_active", Self::DaysActive),
        ("revenue", Self::Revenue),
    ];
}

impl SortBy {
    /// Its letter in a cursor.
    fn letter(self) -> char {
        match self {
            Self::LastSeen => 'l',
            Self::FirstSeen => 'f',
            Self::Events => 'e',
            Self::Sessions => 's',
            Self::DaysActive => 'd',
            Self::Revenue => 'r',
        }
    }

    /// What somebody is sorted by, as a number of the same order; `None` where there is nothing.
    pub(crate) fn key(self, totals: &Totals) -> Option<u64> {
        let instant = |us: i64| (totals.events > 0).then_some(us.cast_unsigned() ^ 1 << 63);
        match self {
            Self::LastSeen => instant(totals.last_seen_us),
            Self::FirstSeen => instant(totals.first_seen_us),
            Self::Events => Some(totals.events),
            Self::Sessions => Some(totals.sessions.into()),
            Self::DaysActive => Some(totals.days_active.into()),
            Self::Revenue => {
                // One zero, and the bits of negative numbers the other way round.
                let bits = (totals.revenue + 0.0).to_bits();
                Some(if bits >> 63 == 1 { !bits } else { bits | 1 << 63 })
            }
        }
    }
}

/// Which end of the order comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The latest, or the most.
    #[default]
    Descending,
    /// The earliest, or the least.
    Ascending,
}

impl Word for Direction {
    const WORDS: &'static [(&'static str, Self)] = &[("descending", Self::Descending), ("ascending", Self::Ascending)];
}

/// Where somebody stands in a list: by what it is sorted by, those who were never seen last where that is a time, then in the order in which the store came to know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Standing {
    pub(crate) key: Option<u64>,
    pub(crate) person: u32,
}

impl Standing {
    /// Which of two comes first.
    pub(crate) fn before(&self, other: &Self, direction: Direction) -> Ordering {
        let by_key = match (self.key, other.key) {
            (Some(own), Some(other)) if direction == Direction::Descending => other.cmp(&own),
            (Some(own), Some(other)) => own.cmp(&other),
            (own, other) => other.is_some().cmp(&own.is_some()),
        };
        by_key.then(self.person.cmp(&other.person))
    }
}

/// The place after the last of a page, as an opaque text.
///
/// It names somebody and what they were sorted by, so that the next page begins there whoever has been seen in the meantime; who was seen since may be shown twice, or not at all.
///
/// ```
/// use pugmark_query::people::Cursor;
///
/// let cursor: Cursor = "ld1800600000000000000000007".parse()?;
/// assert_eq!(cursor.to_string().parse(), Ok(cursor));
/// assert!("ld18".parse::<Cursor>().is_err());
/// # Ok::<(), pugmark_query::spec::SpecError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    sort: SortBy,
    direction: Direction,
    last: Standing,
}

impl Cursor {
    pub(crate) fn new(sort: SortBy, direction: Direction, last: Standing) -> Self {
        Self { sort, direction, last }
    }

    /// The order of the pages that it leads through.
    pub fn order(&self) -> (SortBy, Direction) {
        (self.sort, self.direction)
    }

    /// Whether somebody comes after the page before.
    pub(crate) fn is_before(&self, standing: &Standing) -> bool {
        self.last.before(standing, self.direction) == Ordering::Less
    }
}

/// Digits of the numbers in a cursor.
const KEY_DIGITS: usize = 16;
const PERSON_DIGITS: usize = 8;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.direction == Direction::Descending { 'd' } else { 'a' };
        let Standing { key, person } = self.last;
        let (has_key, key) = (u8::from(key.is_some()), key.unwrap_or(0));
        write!(f, "{}{direction}{has_key}{key:0KEY_DIGITS$x}{person:0PERSON_DIGITS$x}", self.sort.letter())
    }
}

impl FromStr for Cursor {
    type Err = SpecError;

    /// Reads the text of a cursor.
    ///
    /// # Errors
    /// `Invalid` for any other text.
    fn from_str(text: &str) -> Result<Self, SpecError> {
        parse(text).ok_or_else(|| {
            SpecError::invalid(format!("\"{text}\" is not a cursor: expected the text of next in an answer"))
        })
    }
}

fn parse(text: &str) -> Option<Cursor> {
    let (letters, digits) = text.split_at_checked(3)?;
    let mut letters = letters.chars();
    let letter = letters.next()?;
    let sort = SortBy::WORDS.iter().map(|(_, sort)| *sort).find(|sort| sort.letter() == letter)?;
    let direction = match letters.next()? {
        'd' => Direction::Descending,
        'a' => Direction::Ascending,
        _ => return None,
    };
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if digits.len() != KEY_DIGITS + PERSON_DIGITS || !digits.bytes().all(is_digit) {
        return None;
    }
    let (key, person) = digits.split_at_checked(KEY_DIGITS)?;
    let (key, person) = (u64::from_str_radix(key, 16).ok()?, u32::from_str_radix(person, 16).ok()?);
    let key = match (letters.next()?, key) {
        ('1', key) => Some(key),
        ('0', 0) => None,
        _ => return None,
    };
    Some(Cursor { sort, direction, last: Standing { key, person } })
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromJson for Cursor {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        String::from_json(value, place)?.parse().map_err(|error| place.locate(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_order_of_what_they_are_made_of() {
        let seen = |first_seen_us, last_seen_us| Totals { first_seen_us, last_seen_us, events: 1, ..Totals::NONE };
        for (earlier, later) in [(i64::MIN, -1), (-1, 0), (0, 1), (1, i64::MAX)] {
            assert!(SortBy::LastSeen.key(&seen(7, earlier)) < SortBy::LastSeen.key(&seen(7, later)));
            assert!(SortBy::FirstSeen.key(&seen(earlier, 7)) < SortBy::FirstSeen.key(&seen(later, 7)));
        }
        let brought = |revenue| SortBy::Revenue.key(&Totals { revenue, ..Totals::NONE });
        for (less, more) in [(f64::MIN, -1.0), (-1.0, -0.5), (-0.5, 0.0), (-0.0, 0.5), (0.5, f64::MAX)] {
            assert!(brought(less) < brought(more), "{less} {more}");
        }
        assert_eq!(brought(0.0), brought(-0.0));
        assert_eq!(SortBy::LastSeen.key(&Totals::NONE), None);
    }

    #[test]
    fn who_has_nothing_comes_last_in_either_direction() {
        let standing = |key, person| Standing { key, person };
        let all = [standing(Some(5), 1), standing(Some(5), 2), standing(Some(3), 0), standing(None, 0)];
        assert!(all.is_sorted_by(|a, b| a.before(b, Direction::Descending) == Ordering::Less));
        let upwards = [all[2], all[0], all[1], all[3]];
        assert!(upwards.is_sorted_by(|a, b| a.before(b, Direction::Ascending) == Ordering::Less));
    }

    #[test]
    fn a_cursor_reads_back_and_nothing_else_is_one() {
        for (_, sort) in SortBy::WORDS {
            for key in [None, Some(0), Some(u64::MAX)] {
                for (_, direction) in Direction::WORDS {
                    let cursor = Cursor::new(*sort, *direction, Standing { key, person: 77 });
                    assert_eq!(cursor.to_string().parse(), Ok(cursor));
                }
            }
        }
        let plain = Cursor::new(SortBy::Events, Direction::Ascending, Standing { key: Some(7), person: 1 }).to_string();
        let others =
            [plain.to_uppercase(), format!("x{}", &plain[1..]), format!("{plain}0"), plain.replacen('1', "0", 1)];
        for other in others.iter().map(String::as_str).chain(["", "e", "ed", "äää", &plain[1..]]) {
            assert!(other.parse::<Cursor>().is_err(), "{other}");
        }
    }
}
