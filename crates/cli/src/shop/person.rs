//! One visitor of the shop: who they are, and what they do on a visit.

use serde_json::{Value, json};

use super::dice::Dice;

pub(crate) const SECONDS_A_DAY: f64 = 86_400.0;

/// Country, share of the visitors, hours from UTC, and how readily people there buy.
const COUNTRIES: [(&str, f64, f64, f64); 6] = [
    ("DE", 0.34, 1.0, 1.15),
    ("US", 0.24, -6.0, 1.0),
    ("GB", 0.16, 0.0, 1.05),
    ("FR", 0.12, 1.0, 0.85),
    ("NL", 0.08, 1.0, 1.25),
    ("JP", 0.06, 9.0, 0.7),
];
const PLATFORMS: [((&str, &str), f64); 4] =
    [(("web", "Firefox"), 0.16), (("web", "Chrome"), 0.34), (("ios", "Safari"), 0.29), (("android", "Chrome"), 0.21)];
const SOURCES: [(&str, f64); 4] = [("search", 0.42), ("direct", 0.25), ("social", 0.21), ("newsletter", 0.12)];
/// Category, share of the views, usual price.
const CATEGORIES: [(&str, f64, f64); 5] = [
    ("boots", 0.28, 129.0),
    ("tents", 0.14, 239.0),
    ("jackets", 0.26, 99.0),
    ("bottles", 0.2, 19.0),
    ("maps", 0.12, 12.0),
];

/// A line of the file and the second of the year at which it arrives; sorting by arrival makes late events late.
pub(crate) struct Line {
    pub(crate) arrives: f64,
    pub(crate) value: Value,
}

/// A visitor from the first visit on.
pub(crate) struct Person {
    dice: Dice,
    number: usize,
    country: &'static str,
    hours_from_utc: f64,
    eagerness: f64,
    platform: (&'static str, &'static str),
    source: &'static str,
    device: String,
    logged_in: bool,
    signed_up: bool,
    visits_left: u32,
    mean_days_between: f64,
}

/// What one visit needs to know of the outer world.
pub(crate) struct Visit<'a> {
    pub(crate) second: f64,
    pub(crate) year_seconds: f64,
    pub(crate) instant: &'a dyn Fn(f64) -> String,
    pub(crate) lines: &'a mut Vec<Line>,
}

impl Person {
    pub(crate) fn new(number: usize, mut dice: Dice) -> Self {
        let countries: Vec<f64> = COUNTRIES.iter().map(|(_, share, ..)| *share).collect();
        let (country, _, hours_from_utc, eagerness) = COUNTRIES[dice.weighted(&countries)];
        let platform = dice.pick(&PLATFORMS);
        let source = dice.pick(&SOURCES);
        // Half come once, most others now and then, a few keep coming.
        let (visits_left, mean_days_between) = match dice.weighted(&[0.5, 0.36, 0.14]) {
            0 => (0, 1.0),
            1 => (1 + dice.waiting(2.2) as u32, 24.0),
            _ => (5 + dice.waiting(9.0) as u32, 13.0),
        };
        let device = format!("anon-{:08x}", dice.bits() >> 32);
        Self {
            dice,
            number,
            country,
            hours_from_utc,
            eagerness,
            platform,
            source,
            device,
            logged_in: false,
            signed_up: false,
            visits_left,
            mean_days_between,
        }
    }

    pub(crate) fn user_id(&self) -> String {
        format!("user-{}", self.number)
    }

    /// The id that the person's device has at present.
    pub(crate) fn device(&self) -> &str {
        &self.device
    }

    pub(crate) fn has_signed_up(&self) -> bool {
        self.signed_up
    }

    /// A second of the day at which people of this country are awake and shopping.
    pub(crate) fn second_of_day(&mut self) -> f64 {
        const BY_HOUR: [f64; 24] = [
            1.0, 0.5, 0.3, 0.2, 0.2, 0.4, 1.0, 2.0, 3.0, 3.5, 4.0, 4.2, 4.6, 4.2, 3.8, 3.8, 4.0, 4.6, 5.4, 6.4, 7.0,
            6.2, 4.2, 2.2,
        ];
        let hour = self.dice.weighted(&BY_HOUR) as f64 - self.hours_from_utc;
        (hour * 3600.0 + self.dice.unit() * 3600.0).rem_euclid(SECONDS_A_DAY)
    }

    /// Days until the next visit, if there is one.
    pub(crate) fn next_visit_in_days(&mut self) -> Option<f64> {
        self.visits_left = self.visits_left.checked_sub(1)?;
        Some(self.dice.waiting(self.mean_days_between).max(0.2))
    }

    /// One visit: arrival, looking around, and sometimes more.
    pub(crate) fn visit(&mut self, mut visit: Visit<'_>) {
        if self.logged_in && self.dice.chance(0.07) {
            // A new phone or a cleared browser: the shop does not know who it is until the next login.
            self.device = format!("anon-{:08x}", self.dice.bits() >> 32);
            self.logged_in = false;
        }
        let referrer = if self.signed_up && self.dice.chance(0.3) { "newsletter" } else { self.source };
        self.event(&mut visit, "visit", json!({"source": referrer, "page": {"url": "/"}}));
        if self.dice.chance(0.18) {
            return;
        }
        let views = 1 + self.dice.waiting(2.4) as usize;
        let mut basket = Vec::new();
        for _ in 0..views {
            visit.second += 20.0 + self.dice.waiting(70.0);
            let (category, product, price) = self.product();
            let url = format!("/{category}/{product}");
            self.event(
                &mut visit,
                "view",
                json!({"category": category, "product": product, "price": price, "page": {"url": url}}),
            );
            if self.dice.chance(0.12 * self.eagerness) {
                visit.second += 15.0 + self.dice.waiting(30.0);
                self.event(&mut visit, "cart", json!({"category": category, "product": product, "price": price}));
                basket.push(price);
            }
        }
        if basket.is_empty() {
            if !self.signed_up && self.dice.chance(0.06) {
                self.sign_up(&mut visit);
            } else if self.signed_up && !self.logged_in && self.dice.chance(0.4) {
                self.log_in(&mut visit);
            }
            return;
        }
        // Phones make people put a basket off; some come back to it within days.
        let hurry = if self.platform.0 == "web" { 0.62 } else { 0.48 };
        if !self.dice.chance(hurry) {
            if !self.dice.chance(0.3) {
                return;
            }
            visit.second += self.dice.waiting(2.0) * SECONDS_A_DAY;
            self.event(&mut visit, "visit", json!({"source": "reminder", "page": {"url": "/basket"}}));
            visit.second += 30.0 + self.dice.waiting(60.0);
        }
        self.check_out(&mut visit, &basket);
    }

    fn check_out(&mut self, visit: &mut Visit<'_>, basket: &[f64]) {
        self.event(visit, "checkout", json!({"items": basket.len()}));
        visit.second += 40.0 + self.dice.waiting(90.0);
        if !self.signed_up {
            self.sign_up(visit);
        } else if !self.logged_in {
            self.log_in(visit);
        }
        if !self.dice.chance(0.74 * self.eagerness.min(1.2)) {
            return;
        }
        visit.second += 20.0 + self.dice.waiting(40.0);
        let amount = (basket.iter().sum::<f64>() * 100.0).round() / 100.0;
        let order = format!("{:06}", self.dice.below(1_000_000));
        self.event(
            visit,
            "purchase",
            json!({"amount": amount, "currency": "EUR", "items": basket.len(), "order": order}),
        );
        if self.dice.chance(0.05) {
            visit.second += (2.0 + self.dice.waiting(5.0)) * SECONDS_A_DAY;
            self.event(visit, "refund", json!({"amount": amount, "currency": "EUR", "order": order}));
        }
    }

    fn sign_up(&mut self, visit: &mut Visit<'_>) {
        visit.second += 25.0 + self.dice.waiting(45.0);
        self.signed_up = true;
        self.log_in(visit);
        let plan = if self.dice.chance(0.2) { "plus" } else { "free" };
        self.event(visit, "signup", json!({"plan": plan}));
    }

    /// Tells the shop that the device is the person's.
    fn log_in(&mut self, visit: &mut Visit<'_>) {
        self.logged_in = true;
        visit.lines.push(Line {
            arrives: visit.second,
            value: json!({"type": "identify", "anonymous_id": self.device, "user_id": self.user_id()}),
        });
    }

    fn product(&mut self) -> (&'static str, String, f64) {
        let shares: Vec<f64> = CATEGORIES.iter().map(|(_, share, _)| *share).collect();
        let (category, _, usual) = CATEGORIES[self.dice.weighted(&shares)];
        let model = self.dice.below(9) + 1;
        let price = (usual * (0.6 + model as f64 * 0.1)).round() - 0.1;
        (category, format!("{}-{model}", category.trim_end_matches('s')), (price * 100.0).round() / 100.0)
    }

    fn event(&mut self, visit: &mut Visit<'_>, name: &str, mut properties: Value) {
        if visit.second >= visit.year_seconds {
            return;
        }
        if let Some(fields) = properties.as_object_mut() {
            fields.insert("country".into(), self.country.into());
            fields.insert("platform".into(), self.platform.0.into());
            fields.insert("$browser".into(), self.platform.1.into());
        }
        let who = if self.logged_in { self.user_id() } else { self.device.clone() };
        let value = json!({
            "event": name,
            "distinct_id": who,
            "timestamp": (visit.instant)(visit.second),
            "message_id": self.dice.uuid(),
            "properties": properties,
        });
        // A phone without reception sends hours later, and a client that hears no answer sends again.
        let late =
            if self.platform.0 != "web" && self.dice.chance(0.02) { self.dice.waiting(6.0 * 3600.0) } else { 0.0 };
        if self.dice.chance(0.003) {
            visit.lines.push(Line { arrives: visit.second + late + 5.0, value: value.clone() });
        }
        visit.lines.push(Line { arrives: visit.second + late, value });
    }
}
