//! When something happened, where the sender's clock is wrong.

/// Corrects the times of events by what the sender's clock showed when it sent them.
///
/// Times are microseconds since 1970, UTC.
///
/// ```
/// use pugmark_enrich::{Clock, Corrected, Correction};
///
/// // A phone whose clock is an hour fast says that something happened ten seconds before it sent it.
/// let (hour, second) = (3_600_000_000, 1_000_000);
/// let (received, sent) = (1_735_689_600_000_000, 1_735_689_600_000_000 + hour);
/// let corrected = Clock::default().correct(Some(sent - 10 * second), Some(sent), received);
/// assert_eq!(corrected, Corrected { timestamp: received - 10 * second, correction: Correction::Offset(-hour) });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// A difference of at most this much between the clocks is the way that the event travelled, and nothing is corrected. 0 by default: every difference is.
    pub tolerance_us: i64,
    /// How long before it was received an event may have happened at most, where its sender says more it is taken for a clock that was never set. 10 years by default.
    pub age_max_us: i64,
}

/// Ten years of 365 days.
const TEN_YEARS_US: i64 = 10 * 365 * 86_400_000_000;

impl Default for Clock {
    fn default() -> Self {
        Self { tolerance_us: 0, age_max_us: TEN_YEARS_US }
    }
}

/// When an event happened, as far as can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corrected {
    /// The instant.
    pub timestamp: i64,
    /// How it was found.
    pub correction: Correction,
}

/// What was done to the time that a sender gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correction {
    /// It is as it was given.
    None,
    /// The sender's clock was off, and so much was added.
    Offset(i64),
    /// The sender gave no time: that of receipt.
    Missing,
    /// It lay after the instant of receipt: that of receipt.
    Future,
    /// It lay too long before it: that of receipt.
    Ancient,
}

impl Corrected {
    /// As the sender says, or the instant of receipt where it says nothing.
    pub fn as_given(timestamp: Option<i64>, received_at: i64) -> Self {
        match timestamp {
            Some(timestamp) => Self { timestamp, correction: Correction::None },
            None => Self { timestamp: received_at, correction: Correction::Missing },
        }
    }
}

impl Clock {
    /// When an event happened that says `timestamp`, was sent when the sender's clock showed `sent_at`, and was received at `received_at` by ours:
    /// `received_at - (sent_at - timestamp)`. Without `sent_at` the sender's clock is taken to be right. What then lies in the future, or is older than allowed, is of the instant of receipt.
    pub fn correct(&self, timestamp: Option<i64>, sent_at: Option<i64>, received_at: i64) -> Corrected {
        let Some(timestamp) = timestamp else {
            return Corrected { timestamp: received_at, correction: Correction::Missing };
        };
        let offset = sent_at.map_or(0, |sent_at| received_at.saturating_sub(sent_at));
        let offset = if offset.saturating_abs() <= self.tolerance_us { 0 } else { offset };
        let happened = timestamp.saturating_add(offset);
        let (timestamp, correction) = match () {
            () if happened > received_at => (received_at, Correction::Future),
            () if received_at.saturating_sub(happened) > self.age_max_us => (received_at, Correction::Ancient),
            () if offset != 0 => (happened, Correction::Offset(offset)),
            () => (happened, Correction::None),
        };
        Corrected { timestamp, correction }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_735_689_600_000_000;
    const MINUTE: i64 = 60_000_000;

    fn correct(timestamp: Option<i64>, sent_at: Option<i64>) -> (i64, Correction) {
        let Corrected { timestamp, correction } = Clock::default().correct(timestamp, sent_at, NOW);
        (timestamp - NOW, correction)
    }

    #[test]
    fn times_are_corrected_by_the_difference_of_the_clocks() {
        assert_eq!(correct(Some(NOW - MINUTE), Some(NOW)), (-MINUTE, Correction::None));
        assert_eq!(
            correct(Some(NOW - 61 * MINUTE), Some(NOW - 60 * MINUTE)),
            (-MINUTE, Correction::Offset(60 * MINUTE))
        );
        assert_eq!(
            correct(Some(NOW + 59 * MINUTE), Some(NOW + 60 * MINUTE)),
            (-MINUTE, Correction::Offset(-60 * MINUTE))
        );
        // Kept on a device for a week before it was sent.
        let week = 7 * 24 * 60 * MINUTE;
        assert_eq!(correct(Some(NOW - week), Some(NOW)), (-week, Correction::None));
        assert_eq!(correct(Some(NOW - MINUTE), None), (-MINUTE, Correction::None));
    }

    #[test]
    fn what_cannot_be_is_of_the_instant_of_receipt() {
        assert_eq!(correct(None, Some(NOW)), (0, Correction::Missing));
        assert_eq!(correct(Some(NOW + MINUTE), None), (0, Correction::Future));
        assert_eq!(correct(Some(NOW + 2 * MINUTE), Some(NOW + MINUTE)), (0, Correction::Future));
        assert_eq!(correct(Some(0), None), (0, Correction::Ancient));
        assert_eq!(correct(Some(i64::MIN), Some(i64::MAX)), (0, Correction::Ancient));
        assert_eq!(correct(Some(i64::MAX), Some(i64::MIN)), (0, Correction::Future));
        // A clock that was never set, but runs: what it says of the time between is right.
        assert_eq!(correct(Some(5 * MINUTE), Some(6 * MINUTE)), (-MINUTE, Correction::Offset(NOW - 6 * MINUTE)));
    }

    #[test]
    fn a_tolerance_leaves_the_way_that_an_event_travels() {
        let clock = Clock { tolerance_us: MINUTE, ..Clock::default() };
        let corrected = clock.correct(Some(NOW - 2 * MINUTE), Some(NOW - MINUTE), NOW);
        assert_eq!(corrected, Corrected { timestamp: NOW - 2 * MINUTE, correction: Correction::None });
        let corrected = clock.correct(Some(NOW - 3 * MINUTE), Some(NOW - 2 * MINUTE), NOW);
        assert_eq!(corrected.correction, Correction::Offset(2 * MINUTE));
    }
}
