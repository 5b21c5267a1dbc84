//! How much a key may send and ask.

use std::num::NonZeroU32;

use axum::http::{HeaderName, HeaderValue};
use governor::clock::{Clock, QuantaClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

use crate::config::Config;
use crate::key::KeyId;
use crate::problem::{Answer, Problem};
use crate::request;

type Limiter = RateLimiter<KeyId, DefaultKeyedStateStore<KeyId>, QuantaClock, StateInformationMiddleware>;

/// How much a key may still send or ask, as the headers `RateLimit-…` tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limited {
    limit: u32,
    remaining: u32,
    reset_s: u64,
}

impl Limited {
    pub(crate) fn headers(&self) -> [(HeaderName, HeaderValue); 3] {
        [
            (HeaderName::from_static("ratelimit-limit"), self.limit.into()),
            (HeaderName::from_static("ratelimit-remaining"), self.remaining.into()),
            (HeaderName::from_static("ratelimit-reset"), self.reset_s.into()),
        ]
    }
}

/// The rates of all keys.
pub(crate) struct Rates {
    events: Option<(Limiter, Quota)>,
    requests: Option<(Limiter, Quota)>,
    clock: QuantaClock,
}

impl Rates {
    pub(crate) fn new(config: &Config) -> Self {
        let limiter = |quota: Quota| (RateLimiter::keyed(quota).with_middleware(), quota);
        let events = NonZeroU32::new(config.events_per_second).map(|rate| {
            let burst = NonZeroU32::new(config.events_burst).unwrap_or(NonZeroU32::MIN);
            limiter(Quota::per_second(rate).allow_burst(burst))
        });
        let requests = NonZeroU32::new(config.requests_per_second).map(|rate| limiter(Quota::per_second(rate)));
        Self { events, requests, clock: QuantaClock::default() }
    }

    /// Whether the key may send so many events now.
    pub(crate) fn events(&self, key: &KeyId, count: usize) -> Answer<()> {
        self.check(self.events.as_ref(), key, count, "events")
    }

    /// Whether the key may ask something now.
    pub(crate) fn request(&self, key: &KeyId) -> Answer<()> {
        self.check(self.requests.as_ref(), key, 1, "requests")
    }

    fn check(&self, of: Option<&(Limiter, Quota)>, key: &KeyId, count: usize, what: &str) -> Answer<()> {
        let (Some((limiter, quota)), Some(count)) = (of, u32::try_from(count).ok().and_then(NonZeroU32::new)) else {
            return Ok(());
        };
        let rate = 1.0 / quota.replenish_interval().as_secs_f64();
        let burst = quota.burst_size().get();
        let wait_s = match limiter.check_key_n(key, count) {
            Ok(Ok(state)) => {
                let remaining = state.remaining_burst_capacity();
                let full_s = f64::from(burst.saturating_sub(remaining)) / rate;
                request::limited(Limited { limit: burst, remaining, reset_s: full_s.ceil() as u64 });
                return Ok(());
            }
            Ok(Err(until)) => until.wait_time_from(self.clock.now()).as_secs_f64().ceil() as u64,
            Err(_) => {
                return Err(Problem::too_large(format!(
                    "{count} {what} at once, of which a key may send at most {burst}"
                )));
            }
        };
        let wait_s = wait_s.max(1);
        request::limited(Limited { limit: burst, remaining: 0, reset_s: wait_s });
        Err(Problem::too_many(format!("more than {rate:.0} {what} a second of this key"), wait_s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Secret;

    #[test]
    fn a_key_that_sends_too_much_waits_and_others_do_not() {
        let config = Config { events_per_second: 10, events_burst: 20, ..Config::default() };
        let rates = Rates::new(&config);
        let [one, other] = [(); 2].map(|()| Secret::generate().unwrap().0.id().clone());
        assert!(rates.events(&one, 15).is_ok());
        let problem = rates.events(&one, 15).unwrap_err();
        assert_eq!((problem.status, problem.retry_after_s), (429, Some(1)));
        assert!(rates.events(&one, 5).is_ok());
        assert!(rates.events(&other, 20).is_ok());
        assert_eq!(rates.events(&other, 21).unwrap_err().status, 413);
        assert!(rates.events(&other, 0).is_ok());
        let unbounded = Rates::new(&Config::default());
        assert!(unbounded.events(&one, 1_000_000).is_ok());
    }
}
