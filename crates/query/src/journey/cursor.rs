//! Where a page ends and the next one begins.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::Order;
use crate::spec::{FromJson, Place, SpecError};

/// Where an event stands among all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// When it happened, in microseconds UTC.
    pub timestamp_us: i64,
    /// Its place in the log.
    pub sequence: u64,
}

/// The place after the last event of a page, as an opaque text.
///
/// It names an event and not a count, so that the next page begins there whatever has arrived in the meantime.
///
/// ```
/// use pugmark_query::journey::Cursor;
///
/// let cursor: Cursor = "n000600000000000000000000000000c8".parse()?;
/// assert_eq!(cursor.to_string().parse(), Ok(cursor));
/// assert!("n0006".parse::<Cursor>().is_err());
/// # Ok::<(), pugmark_query::spec::SpecError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    order: Order,
    last: Position,
}

/// Digits of a number of 64 bits.
const DIGITS: usize = 16;

impl Cursor {
    pub(super) fn new(order: Order, last: Position) -> Self {
        Self { order, last }
    }

    /// The order of the pages that it leads through.
    pub fn order(&self) -> Order {
        self.order
    }

    /// Where the last event of the page before stands.
    pub fn last(&self) -> Position {
        self.last
    }

    /// Whether an event comes after the page before.
    pub(super) fn is_before(&self, position: Position) -> bool {
        match self.order {
            Order::Newest => position < self.last,
            Order::Oldest => position > self.last,
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = match self.order {
            Order::Newest => 'n',
            Order::Oldest => 'o',
        };
        // Bit for bit: an instant may lie before 1970.
        let timestamp = u64::from_ne_bytes(self.last.timestamp_us.to_ne_bytes());
        write!(f, "{order}{timestamp:0DIGITS$x}{:0DIGITS$x}", self.last.sequence)
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
    let (order, digits) = match text.split_at_checked(1)? {
        ("n", digits) => (Order::Newest, digits),
        ("o", digits) => (Order::Oldest, digits),
        _ => return None,
    };
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if digits.len() != 2 * DIGITS || !digits.bytes().all(is_digit) {
        return None;
    }
    let (timestamp, sequence) = digits.split_at_checked(DIGITS)?;
    let timestamp = u64::from_str_radix(timestamp, 16).ok()?;
    let sequence = u64::from_str_radix(sequence, 16).ok()?;
    let timestamp_us = i64::from_ne_bytes(timestamp.to_ne_bytes());
    Some(Cursor { order, last: Position { timestamp_us, sequence } })
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
    fn a_cursor_reads_back_and_nothing_else_is_one() {
        for (order, timestamp_us, sequence) in
            [(Order::Newest, 0, 1), (Order::Oldest, -1, u64::MAX), (Order::Newest, i64::MIN, 7)]
        {
            let cursor = Cursor::new(order, Position { timestamp_us, sequence });
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        let plain = Cursor::new(Order::Newest, Position { timestamp_us: 171, sequence: 1 }).to_string();
        let others = [plain.to_uppercase(), plain.replace('n', "x"), format!("{plain}0"), format!("n+{}", &plain[2..])];
        for other in others.iter().map(String::as_str).chain(["", "n", "ä", &plain[1..]]) {
            assert!(other.parse::<Cursor>().is_err(), "{other}");
        }
    }
}
