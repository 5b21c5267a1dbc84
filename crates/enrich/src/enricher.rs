//! All of it together, each part where it is wanted.

use std::io;
use std::net::IpAddr;

use serde_json::Value;

use crate::device::{Agent, Devices, Hints, Screen};
use crate::source::{TrafficSource, Visit};
use crate::{Clock, Corrected, Hosts, Places, Sites, Visitor, Visitors, network_of};

/// Whether the address that an event came from is kept, in the property `ip`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeepAddress {
    /// Nothing of it.
    #[default]
    No,
    /// Its network: 24 bits of IPv4, 48 of IPv6.
    Network,
    /// All of it.
    Whole,
}

/// What came with an event, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'a> {
    /// What the sender says of its device.
    pub agent: Agent<'a>,
    /// The page that it was on, the page before, and tags that were sent by themselves.
    pub visit: Visit<'a>,
    /// The headers that name a host.
    pub hosts: Hosts<'a>,
    /// The address that it came from.
    pub ip: Option<IpAddr>,
    /// `Accept-Language`, or what the browser calls its language.
    pub language: Option<&'a str>,
    /// What the sender's clock showed when it sent it, in microseconds since 1970.
    pub sent_at: Option<i64>,
}

impl<'a> Context<'a> {
    /// What the `context` of an event says, by the names that libraries commonly give: `userAgent`, `ip`, `locale`, `page.url`, `page.referrer`, `screen.width`, `screen.height`, `screen.touchPoints`, `campaign.source`, `campaign.medium`,
    /// `campaign.name`, and the headers `sec-ch-ua…`, `origin`, `referer` and `host` under `headers`. Anything else, and what is of another type, is passed over.
    ///
    /// ```
    /// use pugmark_enrich::Context;
    ///
    /// let json = serde_json::json!({"userAgent": "curl/8.0", "ip": "203.0.113.7", "page": {"url": "https://shop.example/"}});
    /// let context = Context::of_json(&json);
    /// assert_eq!(context.agent.user_agent, Some("curl/8.0"));
    /// assert_eq!(context.visit.url, Some("https://shop.example/"));
    /// assert_eq!(context.ip, Some("203.0.113.7".parse()?));
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn of_json(json: &'a Value) -> Self {
        let at = |path: &[&str]| path.iter().try_fold(json, |at, name| at.get(name));
        let text = |paths: &[&[&str]]| paths.iter().find_map(|path| at(path)?.as_str());
        let header = |name: &str| json.get("headers")?.get(name)?.as_str();
        let number = |path: &[&str]| u32::try_from(at(path)?.as_u64()?).ok();
        let screen = number(&["screen", "width"]).zip(number(&["screen", "height"]));
        let screen =
            screen.map(|(width, height)| Screen { width, height, touch_points: number(&["screen", "touchPoints"]) });
        let hints = Hints {
            brands: header("sec-ch-ua-full-version-list").or_else(|| header("sec-ch-ua")),
            mobile: header("sec-ch-ua-mobile"),
            platform: header("sec-ch-ua-platform"),
            platform_version: header("sec-ch-ua-platform-version"),
            model: header("sec-ch-ua-model"),
        };
        let user_agent = text(&[&["userAgent"], &["user_agent"]]).or_else(|| header("user-agent"));
        Self {
            agent: Agent { user_agent, hints, screen },
            visit: Visit {
                url: text(&[&["page", "url"], &["url"]]),
                referrer: text(&[&["page", "referrer"], &["referrer"]]),
                medium: text(&[&["campaign", "medium"]]),
                source: text(&[&["campaign", "source"]]),
                campaign: text(&[&["campaign", "name"]]),
                own_hosts: &[],
            },
            hosts: Hosts { origin: header("origin"), referer: header("referer"), host: header("host") },
            ip: text(&[&["ip"]]).and_then(|ip| ip.trim().parse().ok()),
            language: text(&[&["locale"], &["language"]]).or_else(|| header("accept-language")),
            sent_at: None,
        }
    }
}

/// What an event says about its sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enriched {
    /// Names and values of properties, each name once.
    pub properties: Vec<(&'static str, String)>,
    /// When it happened.
    pub corrected: Corrected,
    /// Who it is today, where nobody says more.
    pub visitor: Option<String>,
}

/// Applies what is wanted. Nothing is, to begin with, and each part can be left out.
///
/// ```
/// use pugmark_enrich::device::Devices;
/// use pugmark_enrich::{Context, Enricher, Site, Sites};
///
/// let enricher = Enricher::new().devices(Devices::new()).sources(["shop.example"]).sites(Sites::new([Site::new("shop", "shop.example")]));
/// let json = serde_json::json!({
///     "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
///     "page": {"url": "https://shop.example/?utm_source=news", "referrer": "https://mail.example/"},
///     "headers": {"origin": "https://shop.example"},
/// });
/// let now = 1_735_732_800_000_000;
/// let enriched = enricher.apply(&Context::of_json(&json), Some(now), now)?;
/// let of = |name| enriched.properties.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_str());
/// assert_eq!([of("browser"), of("device_type"), of("traffic_class"), of("site")], [Some("Firefox"), Some("desktop"), Some("referral"), Some("shop")]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Enricher {
    devices: Option<Devices>,
    own_hosts: Option<Vec<String>>,
    visitors: Option<Visitors>,
    sites: Option<Sites>,
    places: Option<Places>,
    clock: Option<Clock>,
    address: KeepAddress,
}

impl Enricher {
    /// One that adds nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what events were sent with.
    #[must_use]
    pub fn devices(mut self, devices: Devices) -> Self {
        self.devices = Some(devices);
        self
    }

    /// Says where visitors came from; these hosts are one's own, beside that of the page. Of an event whose context names no page, referrer or tag nothing is said: it is no visit.
    #[must_use]
    pub fn sources(mut self, own_hosts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.own_hosts = Some(own_hosts.into_iter().map(Into::into).collect());
        self
    }

    /// Gives visitors ids for a day, by address, user agent and language.
    #[must_use]
    pub fn visitors(mut self, visitors: Visitors) -> Self {
        self.visitors = Some(visitors);
        self
    }

    /// Says which site events come from, and whose it is.
    #[must_use]
    pub fn sites(mut self, sites: Sites) -> Self {
        self.sites = Some(sites);
        self
    }

    /// Says where addresses are.
    #[must_use]
    pub fn places(mut self, places: Places) -> Self {
        self.places = Some(places);
        self
    }

    /// Corrects the clocks of senders.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Keeps the address, or its network.
    #[must_use]
    pub fn keep_address(mut self, keep: KeepAddress) -> Self {
        self.address = keep;
        self
    }

    /// Whether the address is kept.
    pub fn keeps_address(&self) -> KeepAddress {
        self.address
    }

    /// What an event says that happened at `timestamp`, by its sender's clock, and was received at `received_at`, both in microseconds since 1970.
    ///
    /// # Errors
    /// Those of [`Visitors::id`]. Nothing that a sender says is an error.
    pub fn apply(&self, context: &Context<'_>, timestamp: Option<i64>, received_at: i64) -> io::Result<Enriched> {
        let mut properties: Vec<(&'static str, String)> = Vec::with_capacity(16);
        let mut add = |name: &'static str, value: &str| properties.push((name, value.to_owned()));
        if let Some(devices) = &self.devices {
            devices.of(&context.agent).properties().for_each(|(name, value)| add(name, value));
        }
        if let Some(own) = self.own_hosts.as_ref().filter(|_| context.visit.says_anything()) {
            let own_hosts: Vec<&str> = own.iter().map(String::as_str).collect();
            let source = TrafficSource::of(&Visit { own_hosts: &own_hosts, ..context.visit });
            source.properties().for_each(|(name, value)| add(name, value));
        }
        if let Some(site) = self.sites.as_ref().and_then(|sites| sites.of(&context.hosts)) {
            add("site", &site.name);
            if let Some(owner) = &site.owner {
                add("site_owner", owner);
            }
        }
        if let (Some(places), Some(ip)) = (&self.places, context.ip) {
            places.of(ip).properties().for_each(|(name, value)| add(name, value));
        }
        if let Some(ip) = context.ip {
            match self.address {
                KeepAddress::No => {}
                KeepAddress::Network => add("ip", &network_of(ip).to_string()),
                KeepAddress::Whole => add("ip", &ip.to_canonical().to_string()),
            }
        }
        let visitor = match (&self.visitors, context.ip) {
            (Some(visitors), Some(ip)) => {
                let user_agent = context.agent.user_agent.unwrap_or_default();
                let language = context.language.unwrap_or_default();
                Some(visitors.id(&Visitor { ip, user_agent, language }, received_at)?)
            }
            _ => None,
        };
        let corrected = match &self.clock {
            Some(clock) => clock.correct(timestamp, context.sent_at, received_at),
            None => Corrected::as_given(timestamp, received_at),
        };
        Ok(Enriched { properties, corrected, visitor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_735_732_800_000_000;

    fn json() -> Value {
        serde_json::json!({
            "userAgent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1",
            "ip": " 203.0.113.7 ",
            "locale": "de-DE",
            "page": {"url": "https://shop.example/?utm_medium=cpc", "referrer": 7},
            "screen": {"width": 393, "height": "852"},
            "campaign": {"name": "may"},
            "headers": {"origin": "https://shop.example", "sec-ch-ua-platform": "\"iOS\""},
        })
    }

    #[test]
    fn each_part_is_there_where_it_is_wanted_and_nowhere_else() {
        let json = json();
        let context = Context::of_json(&json);
        let names = |enricher: Enricher| {
            let enriched = enricher.apply(&context, Some(NOON), NOON).expect("applies");
            (
                enriched.properties.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "),
                enriched.visitor,
            )
        };
        assert_eq!(names(Enricher::new()), (String::new(), None));
        let (device, _) = names(Enricher::new().devices(Devices::new()));
        assert!(
            device.starts_with("browser=Mobile Safari browser_version=26.1 os=iOS os_version=18.7 device_type=mobile"),
            "{device}"
        );
        let (source, _) = names(Enricher::new().sources(["shop.example"]));
        assert_eq!(source, "traffic_class=paid utm_medium=cpc utm_campaign=may");
        let sites = Sites::new([crate::Site::new("shop", "shop.example").owned_by("ann")]);
        assert_eq!(names(Enricher::new().sites(sites)).0, "site=shop site_owner=ann");
        assert_eq!(names(Enricher::new().keep_address(KeepAddress::Network)).0, "ip=203.0.113.0");
        assert_eq!(names(Enricher::new().keep_address(KeepAddress::Whole)).0, "ip=203.0.113.7");
        assert_eq!(names(Enricher::new().places(Places::default())).0, "");
        let nothing = Context::default();
        let sources = Enricher::new().sources(["shop.example"]);
        assert_eq!(sources.apply(&nothing, Some(NOON), NOON).expect("applies").properties, []);
        let dir = tempfile::tempdir().expect("a directory");
        let (properties, visitor) = names(Enricher::new().visitors(Visitors::open(dir.path(), NOON).expect("opens")));
        assert_eq!((properties.as_str(), visitor.map(|id| id.len())), ("", Some(32)));
    }

    #[test]
    fn what_is_missing_is_no_visitor_and_a_clock_is_corrected_only_where_that_is_wanted() {
        let dir = tempfile::tempdir().expect("a directory");
        let enricher = Enricher::new().visitors(Visitors::open(dir.path(), NOON).expect("opens"));
        let late = Context { sent_at: Some(NOON + 60_000_000), ..Context::default() };
        let enriched = enricher.apply(&late, Some(NOON), NOON).expect("applies");
        assert_eq!((enriched.visitor, enriched.corrected.timestamp), (None, NOON));
        let enriched = Enricher::new().clock(Clock::default()).apply(&late, Some(NOON), NOON).expect("applies");
        assert_eq!(enriched.corrected.timestamp, NOON - 60_000_000);
        assert_eq!(Enricher::new().apply(&late, None, NOON).expect("applies").corrected.timestamp, NOON);
        for odd in
            [Value::Null, 7.into(), serde_json::json!({"page": [], "screen": {"width": -1, "height": 5}, "ip": "x"})]
        {
            let context = Context::of_json(&odd);
            assert!(context.ip.is_none() && context.agent.screen.is_none() && context.visit.url.is_none());
        }
    }
}
