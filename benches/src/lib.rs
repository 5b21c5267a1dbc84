//! Seeded workloads for the benches: the same events in every run and on every machine.

use pugmark_store::{Event, Timestamp};

/// A small generator of numbers, the same for a seed everywhere (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Numbers that follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, small ones more often: the smaller of two.
    pub fn skewed(&mut self, bound: u64) -> u64 {
        (self.roll() % bound).min(self.roll() % bound)
    }

    /// One of `choices`.
    pub fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let at = (self.roll() % choices.len().max(1) as u64) as usize;
        choices.get(at).copied().unwrap_or_default()
    }
}

/// 2025-01-01T00:00:00Z.
const START_US: i64 = 1_735_689_600_000_000;

/// `count` events of a shop, about 200 bytes each as JSON, from number `first` on: ids do not repeat across calls.
pub fn shop_events(dice: &mut Dice, first: u64, count: usize, people: u64) -> Vec<Event> {
    let names = ["page_view", "page_view", "page_view", "product_view", "product_view", "add_to_cart", "purchase"];
    (0..count as u64)
        .map(|i| {
            let number = first + i;
            let who = dice.skewed(people);
            let name = dice.pick(&names);
            let mut event = Event::new(name, format!("u{who}"))
                .message_id(format!("{:016x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
                .at(Timestamp::from_microsecond(START_US + i64::try_from(number).unwrap_or(i64::MAX) * 350_000))
                .session(format!("s{who}-{}", number / 5_000))
                .property("country", dice.pick(&["US", "IN", "BR", "DE", "GB", "FR", "JP"]))
                .property("platform", dice.pick(&["web", "ios", "android"]))
                .property("plan", dice.pick(&["free", "free", "free", "pro"]))
                .property("url", format!("/p/{}", dice.skewed(5_000)));
            if name == "purchase" {
                event = event.property("amount", (dice.skewed(20_000) as f64) / 100.0);
            }
            event
        })
        .collect()
}
