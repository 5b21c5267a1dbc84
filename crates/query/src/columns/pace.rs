//! How fast work in the background may read and write, and whether it may go on.

use std::fmt;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// Shorter waits are put off until they add up to one.
const SHORTEST_WAIT: Duration = Duration::from_millis(2);

/// What a piece of work asks while it is under way.
pub(crate) trait Pace: fmt::Debug + Send + Sync {
    /// Whether nobody wants it any more.
    fn gives_up(&self) -> bool;

    /// Waits until `bytes` more may be read or written.
    fn spend(&self, bytes: u64);
}

/// The pace of flushes, and of what is small.
#[derive(Debug)]
pub(crate) struct Freely;

impl Pace for Freely {
    fn gives_up(&self) -> bool {
        false
    }

    fn spend(&self, _bytes: u64) {}
}

/// Bytes that may be read and written in a second.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// `None`: any number.
    pub(crate) bytes_per_second: Option<NonZeroU64>,
    /// When all that was spent is within the budget.
    paid_at: Option<Instant>,
}

impl Budget {
    pub(crate) fn new(bytes_per_second: Option<NonZeroU64>) -> Self {
        Self { bytes_per_second, paid_at: None }
    }

    /// Takes `bytes` from the budget, and says how long to wait before they are read or written. What is not spent is not saved up.
    pub(crate) fn spend(&mut self, bytes: u64, now: Instant) -> Duration {
        let Some(rate) = self.bytes_per_second else { return Duration::ZERO };
        let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(rate.get());
        let cost = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        let from = self.paid_at.map_or(now, |paid| paid.max(now));
        // The clock has room for centuries: who spends more at once waits no longer.
        let paid = from.checked_add(cost).unwrap_or(from);
        self.paid_at = Some(paid);
        let wait = from.saturating_duration_since(now);
        if wait < SHORTEST_WAIT { Duration::ZERO } else { wait }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "instants have no other beginning")]
mod tests {
    use super::*;

    #[test]
    fn work_takes_as_long_as_its_bytes_are_worth() {
        let start = Instant::now();
        for bytes in [1_u64, 1_000, 16_384, 1 << 20] {
            let mut budget = Budget::new(NonZeroU64::new(1 << 20));
            let mut now = start;
            let pieces = (10_u64 << 20) / bytes;
            for _ in 0..pieces {
                now += budget.spend(bytes, now);
            }
            // The last piece is within the budget some time after it was begun, and nanoseconds are whole.
            let last = Duration::from_secs_f64(bytes as f64 / f64::from(1 << 20)) + SHORTEST_WAIT;
            let took = now - start;
            let whole = Duration::from_secs(10);
            assert!(took <= whole && took + last >= whole - Duration::from_millis(10), "{bytes}: {took:?}");
        }
    }

    #[test]
    fn time_without_work_is_not_saved_up_and_no_budget_never_waits() {
        let start = Instant::now();
        let mut budget = Budget::new(NonZeroU64::new(1_000));
        assert_eq!(budget.spend(1_000, start), Duration::ZERO);
        assert_eq!(budget.spend(1_000, start), Duration::from_secs(1));
        let later = start + Duration::from_secs(60);
        assert_eq!(budget.spend(1_000, later), Duration::ZERO);
        assert_eq!(budget.spend(1_000, later), Duration::from_secs(1));
        assert_eq!(Budget::new(None).spend(u64::MAX, start), Duration::ZERO);
    }
}
