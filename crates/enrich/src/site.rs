//! Which of one's sites an event comes from.

use url::Url;

/// A site, and the hosts that it is found under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// What it is called.
    pub name: String,
    /// Whose it is.
    pub owner: Option<String>,
    /// Its hosts; `*.` before one takes in everything below it.
    pub hosts: Vec<String>,
}

impl Site {
    /// A site under one host.
    pub fn new(name: impl Into<String>, host: impl Into<String>) -> Self {
        Self { name: name.into(), owner: None, hosts: vec![host.into()] }
    }

    /// Whose it is.
    #[must_use]
    pub fn owned_by(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// Found under one more host.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.hosts.push(host.into());
        self
    }
}

/// The headers that name a host, as they were sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hosts<'a> {
    /// `Origin`, such as `https://shop.example`.
    pub origin: Option<&'a str>,
    /// `Referer`, an address.
    pub referer: Option<&'a str>,
    /// `Host`, such as `shop.example:8080`.
    pub host: Option<&'a str>,
}

/// The sites that are one's own.
///
/// ```
/// use pugmark_enrich::{Hosts, Site, Sites};
///
/// let sites = Sites::new([Site::new("shop", "shop.example").owned_by("ann"), Site::new("blogs", "*.blog.example")]);
/// let of = |origin, referer| sites.of(&Hosts { origin, referer, host: Some("collect.example") }).map(|site| site.name.as_str());
/// assert_eq!(of(Some("https://www.shop.example"), None), Some("shop"));
/// assert_eq!(of(Some("null"), Some("https://tea.blog.example/may?x=1")), Some("blogs"));
/// assert_eq!(of(Some("https://evil.example"), Some("https://shop.example/")), None);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Sites(Vec<Site>);

impl Sites {
    /// These.
    pub fn new(sites: impl IntoIterator<Item = Site>) -> Self {
        let lower = |host: &String| host.trim_end_matches('.').to_lowercase();
        Self(sites.into_iter().map(|site| Site { hosts: site.hosts.iter().map(lower).collect(), ..site }).collect())
    }

    /// The site that an event comes from: by the first of Origin, Referer and Host that names a host at all. `www.` before it, its port and letter case are nothing; of several sites the first that has the
    /// host, and one that names it before one that takes in what is below.
    pub fn of(&self, hosts: &Hosts<'_>) -> Option<&Site> {
        let host_of = |address: &str| Some(Url::parse(address.trim()).ok()?.host_str()?.to_owned());
        let named = hosts.origin.and_then(host_of).or_else(|| hosts.referer.and_then(host_of));
        let named = named.or_else(|| hosts.host.and_then(|host| host_of(&format!("http://{host}"))))?;
        let named = named.trim_end_matches('.').to_lowercase();
        let bare = named.strip_prefix("www.").unwrap_or(&named);
        let is_it = |host: &String| host.strip_prefix("www.").unwrap_or(host) == bare;
        let is_below = |host: &String| {
            let above = host.strip_prefix("*.");
            above.is_some_and(|above| named.strip_suffix(above).is_some_and(|rest| rest.ends_with('.')))
        };
        let by_name = self.0.iter().find(|site| site.hosts.iter().any(is_it));
        by_name.or_else(|| self.0.iter().find(|site| site.hosts.iter().any(is_below)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_found_by_the_first_header_that_names_one() {
        let sites = Sites::new([
            Site::new("all", "*.Example.org"),
            Site::new("shop", "shop.example.org").host("xn--bcher-kva.example"),
            Site::new("local", "localhost"),
        ]);
        let cases: [(Hosts<'_>, Option<&str>); 12] = [
            (Hosts { origin: Some("https://shop.example.org"), ..Hosts::default() }, Some("shop")),
            (Hosts { origin: Some("HTTPS://WWW.SHOP.EXAMPLE.ORG:8443"), ..Hosts::default() }, Some("shop")),
            (Hosts { origin: Some("https://a.b.example.org"), ..Hosts::default() }, Some("all")),
            (Hosts { origin: Some("https://example.org"), ..Hosts::default() }, None),
            (Hosts { origin: Some("https://notexample.org"), ..Hosts::default() }, None),
            (Hosts { origin: Some("https://bücher.example"), ..Hosts::default() }, Some("shop")),
            (Hosts { referer: Some("https://shop.example.org/a?b#c"), ..Hosts::default() }, Some("shop")),
            (
                Hosts { origin: Some("null"), referer: Some("not an address"), host: Some("localhost:3000") },
                Some("local"),
            ),
            (Hosts { origin: Some("https://other.test"), host: Some("localhost"), ..Hosts::default() }, None),
            (Hosts { host: Some("shop.example.org."), ..Hosts::default() }, Some("shop")),
            (Hosts { host: Some(""), ..Hosts::default() }, None),
            (Hosts::default(), None),
        ];
        for (hosts, expected) in cases {
            assert_eq!(sites.of(&hosts).map(|site| site.name.as_str()), expected, "{hosts:?}");
        }
    }
}
