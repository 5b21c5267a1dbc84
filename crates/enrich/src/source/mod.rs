//! Where a visitor came from, by what the link says and by the page that it was on.

mod names;

use std::fmt;

use url::{Host, Url};

use names::{CLICK_IDS, ClickBy, Known};

/// The kind of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// An advertisement.
    Paid,
    /// A mail.
    Email,
    /// A social network.
    Social,
    /// A partner who is paid for it.
    Affiliate,
    /// A search engine.
    Organic,
    /// Any other site.
    Referral,
    /// Nobody: typed in, a bookmark, an own page, or a referrer that cannot be read.
    Direct,
}

impl Class {
    /// The word that stands for it in a property.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::Email => "email",
            Self::Social => "social",
            Self::Affiliate => "affiliate",
            Self::Organic => "organic",
            Self::Referral => "referral",
            Self::Direct => "direct",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known of a visit: the page that was opened and the page that led to it, and tags where they were sent by themselves.
#[derive(Debug, Clone, Copy, Default)]
pub struct Visit<'a> {
    /// The address that was opened: its `utm_…` and click ids are read where no tags are given.
    pub url: Option<&'a str>,
    /// The address of the page before.
    pub referrer: Option<&'a str>,
    /// In place of `utm_medium` of the address.
    pub medium: Option<&'a str>,
    /// In place of `utm_source`.
    pub source: Option<&'a str>,
    /// In place of `utm_campaign`.
    pub campaign: Option<&'a str>,
    /// Hosts of one's own, with all of their subdomains: what comes from them comes from nowhere. The host of the address is always one.
    pub own_hosts: &'a [&'a str],
}

impl Visit<'_> {
    /// Whether anything is known of it: an event that a server sent is no visit.
    pub(crate) fn says_anything(&self) -> bool {
        [self.url, self.referrer, self.medium, self.source, self.campaign].iter().any(Option::is_some)
    }
}

/// Where a visitor came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrafficSource {
    /// The kind.
    pub class: Class,
    /// Who: the name of a network or an engine, else the tag as it was given, else the registrable domain of the referrer. Nothing for [`Class::Direct`].
    pub source: Option<String>,
    /// `utm_medium` as it was given.
    pub medium: Option<String>,
    /// `utm_source` as it was given.
    pub utm_source: Option<String>,
    /// `utm_campaign` as it was given.
    pub campaign: Option<String>,
    /// `utm_term`.
    pub term: Option<String>,
    /// `utm_content`.
    pub content: Option<String>,
    /// The name of the click id of the address, if it has one.
    pub click_id: Option<&'static str>,
    /// The registrable domain of the referrer, of whatever site.
    pub referring_domain: Option<String>,
}

impl TrafficSource {
    /// Classifies a visit, letter case aside: first by the medium (`cpc`, `ppc`, `paid`, `paidsearch`; `email`, `newsletter`; `social`, `social-media`; `affiliate`, `partner`; `organic`; `referral`), then by the id of an advertisement's click
    /// (`gclid`, `msclkid`, …: paid), then by the source (a social network, a search engine, anybody else: a referral), then by the id of a network's click (`fbclid`, …: social), then by the referrer: a network, an engine (in every country), mail in a browser, an own
    /// host or none that can be read (direct), any other site (a referral).
    ///
    /// ```
    /// use pugmark_enrich::source::{Class, TrafficSource, Visit};
    ///
    /// let visit = |url, referrer| TrafficSource::of(&Visit { url: Some(url), referrer: Some(referrer), ..Visit::default() });
    /// let news = visit("https://shop.example/?utm_medium=Newsletter&utm_campaign=may", "https://mail.google.com/");
    /// assert_eq!((news.class, news.campaign.as_deref()), (Class::Email, Some("may")));
    /// let search = visit("https://shop.example/", "https://www.google.co.in/search?q=tea");
    /// assert_eq!((search.class, search.source.as_deref()), (Class::Organic, Some("google")));
    /// let own = visit("https://shop.example/cart", "https://shop.example/");
    /// assert_eq!((own.class, own.source), (Class::Direct, None));
    /// ```
    pub fn of(visit: &Visit<'_>) -> Self {
        let url = visit.url.and_then(parsed);
        let pairs: Vec<_> = url.as_ref().map(|url| url.query_pairs().collect()).unwrap_or_default();
        let tag = |name: &str| {
            let (_, found) = pairs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
            Some(found.trim()).filter(|value| !value.is_empty()).map(str::to_owned)
        };
        let given = |given: Option<&str>, name| match given.map(str::trim).filter(|value| !value.is_empty()) {
            Some(given) => Some(given.to_owned()),
            None => tag(name),
        };
        let medium = given(visit.medium, "utm_medium");
        let utm_source = given(visit.source, "utm_source");
        let click = CLICK_IDS.iter().find(|(name, ..)| tag(name).is_some());
        let referrer = visit.referrer.and_then(parsed).and_then(|referrer| Referrer::of(&referrer));
        let is_own = |host: &str| {
            let within = |own: &str| host == own || host.strip_suffix(own).is_some_and(|rest| rest.ends_with('.'));
            let own_host = url.as_ref().and_then(Url::host_str).map(without_www);
            own_host.is_some_and(within) || visit.own_hosts.iter().any(|own| within(&own.to_lowercase()))
        };
        let (class, source) = classify(medium.as_deref(), utm_source.as_deref(), click, referrer.as_ref(), is_own);
        Self {
            class,
            source,
            campaign: given(visit.campaign, "utm_campaign"),
            term: tag("utm_term"),
            content: tag("utm_content"),
            click_id: click.map(|(name, ..)| *name),
            referring_domain: referrer.map(|referrer| referrer.domain),
            medium,
            utm_source,
        }
    }
}

impl TrafficSource {
    /// It as properties of an event, those that there are: `traffic_class`, `traffic_source`, the five of `utm_…`, `click_id` and `referring_domain`.
    ///
    /// ```
    /// use pugmark_enrich::source::{TrafficSource, Visit};
    ///
    /// let visit = Visit { url: Some("https://shop.example/?utm_source=fb&utm_campaign=may"), ..Visit::default() };
    /// let source = TrafficSource::of(&visit);
    /// let properties: Vec<_> = source.properties().collect();
    /// let expected = [("traffic_class", "social"), ("traffic_source", "facebook"), ("utm_source", "fb"), ("utm_campaign", "may")];
    /// assert_eq!(properties, expected);
    /// ```
    pub fn properties(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("traffic_class", Some(self.class.as_str())),
            ("traffic_source", self.source.as_deref()),
            ("utm_medium", self.medium.as_deref()),
            ("utm_source", self.utm_source.as_deref()),
            ("utm_campaign", self.campaign.as_deref()),
            ("utm_term", self.term.as_deref()),
            ("utm_content", self.content.as_deref()),
            ("click_id", self.click_id),
            ("referring_domain", self.referring_domain.as_deref()),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }
}

/// The site of the page before.
struct Referrer {
    host: String,
    /// The registrable domain, or the host of what has none.
    domain: String,
    /// What stands before the public suffix.
    label: String,
}

impl Referrer {
    /// `None` for an address without a host, such as that of a file or an application.
    fn of(url: &Url) -> Option<Self> {
        if !matches!(url.scheme(), "http" | "https" | "android-app") {
            return None;
        }
        let host = url.host_str()?.trim_end_matches('.').to_lowercase();
        // An application is named as a domain is, from the end: android-app://com.google.android.gm
        let host = match url.scheme() {
            "android-app" => host.rsplit('.').collect::<Vec<_>>().join("."),
            _ => host,
        };
        // An IP address has no domain.
        let domain = match url.host() {
            Some(Host::Domain(_)) => psl::domain_str(&host).unwrap_or(&host).to_owned(),
            _ => host.clone(),
        };
        let label = domain.split('.').next().unwrap_or_default().to_owned();
        (!host.is_empty()).then_some(Self { host, domain, label })
    }
}

/// An address, also one without its scheme.
fn parsed(text: &str) -> Option<Url> {
    let text = text.trim();
    match Url::parse(text) {
        Ok(url) if url.has_host() => Some(url),
        _ if text.starts_with("//") => Url::parse(&format!("https:{text}")).ok(),
        _ => None,
    }
}

fn without_www(host: &str) -> &str {
    host.strip_prefix("www.").unwrap_or(host)
}

fn classify(
    medium: Option<&str>,
    source: Option<&str>,
    click: Option<&(&'static str, ClickBy, &'static str)>,
    referrer: Option<&Referrer>,
    is_own: impl Fn(&str) -> bool,
) -> (Class, Option<String>) {
    let source_tag = source.map(str::to_lowercase);
    let by_tag = source_tag.as_deref().and_then(names::of_tag);
    let foreign = referrer.filter(|referrer| !is_own(&referrer.host));
    let by_host = foreign.and_then(|referrer| names::of_host(&referrer.host, &referrer.label));
    // Who it was, whatever decides on the class: the tag says it best.
    let who = || {
        let tagged = by_tag.map(|(_, name)| name.to_owned()).or_else(|| source.map(str::to_owned));
        let clicked = || click.map(|(_, _, by)| (*by).to_owned());
        let named = || by_host.map(|(_, name)| name.to_owned());
        tagged.or_else(clicked).or_else(named).or_else(|| foreign.map(|referrer| referrer.domain.clone()))
    };
    let of_kind = |known| match known {
        Known::Social => Class::Social,
        Known::Search => Class::Organic,
        Known::Mail => Class::Email,
    };
    if let Some(class) = medium.and_then(|medium| class_of_medium(&medium.to_lowercase())) {
        return (class, who());
    }
    match (click, source, foreign) {
        (Some((_, ClickBy::Ad, _)), _, _) => (Class::Paid, who()),
        (_, Some(_), _) => (by_tag.map_or(Class::Referral, |(known, _)| of_kind(known)), who()),
        (Some((_, ClickBy::Network, _)), ..) => (Class::Social, who()),
        (None, None, Some(_)) => (by_host.map_or(Class::Referral, |(known, _)| of_kind(known)), who()),
        (None, None, None) => (Class::Direct, None),
    }
}

fn class_of_medium(medium: &str) -> Option<Class> {
    Some(match medium {
        "cpc" | "ppc" | "paid" | "paidsearch" => Class::Paid,
        "email" | "newsletter" => Class::Email,
        "social" | "social-media" => Class::Social,
        "affiliate" | "partner" => Class::Affiliate,
        "organic" => Class::Organic,
        "referral" => Class::Referral,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
