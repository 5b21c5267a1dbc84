//! What a request says of whoever sent an event.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};
use ipnet::IpNet;
use pugmark::enrich::device::Devices;
use pugmark::enrich::{Enricher, KeepAddress as Keep, Places, Site, Sites, Visitors};
use pugmark::{Error, ErrorKind, Event, Pugmark};
use serde_json::{Map, Value};

use crate::config::{Enrich, Hosts, KeepAddress};
use crate::limits::HEADER_MAX_BYTES;
use crate::problem::Problem;

/// Who sent a request, as far as its head says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sender {
    pub(crate) address: Option<IpAddr>,
    /// Whether it is a page, which has no say in where it is.
    is_page: bool,
    user_agent: Option<String>,
    language: Option<String>,
    /// Headers that events are enriched by.
    headers: Vec<(&'static str, String)>,
}

/// Headers that say what device, page and site it is.
const HEADERS: [&str; 8] = [
    "sec-ch-ua",
    "sec-ch-ua-full-version-list",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "sec-ch-ua-platform-version",
    "sec-ch-ua-model",
    "origin",
    "referer",
];

impl Sender {
    pub(crate) fn of(headers: &HeaderMap, peer: Option<IpAddr>, trusted: &[IpNet], is_page: bool) -> Self {
        // They are written to each event of a body.
        let is_short = |text: &&str| text.len() <= HEADER_MAX_BYTES;
        let text =
            |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).filter(is_short).map(str::to_owned);
        Self {
            address: peer.map(|peer| client_of(headers, peer, trusted)),
            is_page,
            user_agent: text(header::USER_AGENT.as_str()),
            language: text(header::ACCEPT_LANGUAGE.as_str()),
            headers: HEADERS.iter().filter_map(|name| Some((*name, text(name)?))).collect(),
        }
    }

    /// Adds what is known of the sender to the context of an event. What the event says itself stands: a server speaks for others. A page speaks for itself, and its address is that of the request.
    pub(crate) fn describe(&self, event: &mut Event) {
        let mut context = match event.context.as_deref().map(serde_json::from_str) {
            None => Map::new(),
            Some(Ok(Value::Object(context))) => context,
            // What cannot be read stays as it is.
            Some(_) => return,
        };
        if self.is_page {
            context.remove("ip");
        }
        let mut add = |name: &str, value: Option<String>| {
            if let Some(value) = value.filter(|_| !context.contains_key(name)) {
                context.insert(name.to_owned(), value.into());
            }
        };
        add("userAgent", self.user_agent.clone());
        add("ip", self.address.map(|address| address.to_string()));
        add("locale", self.language.clone());
        if !context.contains_key("headers") && !self.headers.is_empty() {
            let headers: Map<String, Value> =
                self.headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect();
            context.insert("headers".to_owned(), headers.into());
        }
        event.context = (!context.is_empty()).then(|| Value::Object(context).to_string());
    }
}

/// The address that a request came from: that of the connection, or, where that is a proxy that is trusted, the last one in `X-Forwarded-For` that is none. What
/// stands before it may be forged.
fn client_of(headers: &HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    if !is_trusted(peer) {
        return peer;
    }
    let all: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    let mut client = peer;
    for hop in all.iter().rev().flat_map(|value| value.rsplit(',')) {
        let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
        client = address.to_canonical();
        if !is_trusted(client) {
            break;
        }
    }
    client
}

/// What adds to events what they say of their sender, as it is set up.
pub(crate) fn enricher(enrich: &Enrich, db: &Pugmark) -> Result<Enricher, Problem> {
    let failed = |what: &str, why: String| Problem::from(Error::new(ErrorKind::Io, format!("{what}: {why}")));
    let mut enricher = Enricher::new().keep_address(match enrich.keep_address {
        KeepAddress::None => Keep::No,
        KeepAddress::Truncated => Keep::Network,
        KeepAddress::Whole => Keep::Whole,
    });
    if enrich.device {
        enricher = enricher.devices(Devices::new());
    }
    if enrich.source {
        enricher = enricher.sources(&enrich.own_hosts);
    }
    if !enrich.sites.is_empty() {
        let site =
            |(name, hosts): (&String, &Hosts)| Site { name: name.clone(), owner: None, hosts: hosts.all().to_vec() };
        enricher = enricher.sites(Sites::new(enrich.sites.iter().map(site)));
    }
    if enrich.visitor {
        let visitors = Visitors::open(db.dir(), db.now().as_microsecond());
        enricher = enricher.visitors(visitors.map_err(|e| failed("the salt of visitors", e.to_string()))?);
    }
    if let Some(path) = &enrich.places {
        enricher = enricher.places(Places::open(path).map_err(|e| failed("the places", e.to_string()))?);
    }
    Ok(enricher)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(forwarded: &[&str], peer: &str) -> String {
        let mut headers = HeaderMap::new();
        forwarded.iter().for_each(|value| {
            headers.append("x-forwarded-for", value.parse().unwrap());
        });
        let trusted = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        client_of(&headers, peer.parse().unwrap(), &trusted).to_string()
    }

    #[test]
    fn a_forwarded_address_is_believed_of_trusted_proxies_only() {
        assert_eq!(client(&["203.0.113.7"], "198.51.100.1"), "198.51.100.1");
        assert_eq!(client(&["203.0.113.7"], "10.1.2.3"), "203.0.113.7");
        assert_eq!(client(&["203.0.113.7"], "::ffff:10.1.2.3"), "203.0.113.7");
        // Whoever sends one first has it before that of the proxy.
        assert_eq!(client(&["1.1.1.1, 203.0.113.7, 10.9.9.9"], "10.1.2.3"), "203.0.113.7");
        assert_eq!(client(&["1.1.1.1", "203.0.113.7"], "10.1.2.3"), "203.0.113.7");
        assert_eq!(client(&["203.0.113.7, nonsense"], "10.1.2.3"), "10.1.2.3");
        assert_eq!(client(&[], "10.1.2.3"), "10.1.2.3");
    }

    #[test]
    fn what_an_event_says_itself_stands() {
        let mut headers = HeaderMap::new();
        headers.insert("user-agent", "curl/8".parse().unwrap());
        headers.insert("origin", "https://a.example".parse().unwrap());
        let of = |is_page| Sender::of(&headers, Some("192.0.2.1".parse().unwrap()), &[], is_page);
        let sender = of(false);
        let mut event = Event::new("view", "ann");
        event.context = Some(r#"{"userAgent":"mine"}"#.to_owned());
        sender.describe(&mut event);
        let expected = r#"{"userAgent":"mine","ip":"192.0.2.1","headers":{"origin":"https://a.example"}}"#;
        assert_eq!(event.context.as_deref(), Some(expected));
        for (is_page, address) in [(false, "203.0.113.9"), (true, "192.0.2.1")] {
            event.context = Some(r#"{"ip":"203.0.113.9"}"#.to_owned());
            of(is_page).describe(&mut event);
            assert!(event.context.as_ref().unwrap().contains(&format!("\"ip\":\"{address}\"")), "{:?}", event.context);
        }
        event.context = Some("no json".to_owned());
        sender.describe(&mut event);
        assert_eq!(event.context.as_deref(), Some("no json"));
    }
}
