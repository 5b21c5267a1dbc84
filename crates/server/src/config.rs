//! How the server is set up: a file, then the environment, then flags, each over the one before.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use pugmark::Sampling;
use pugmark::enrich::Places;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::key::is_origin;
use crate::serve::acceptor;

/// Everything that can be said of a server. What is not said has the default that stands beside it.
///
/// ```
/// use pugmark_server::Config;
/// let config = Config::load(Some("body_max_bytes = 1000"), [("PUGMARK_SERVE_LISTEN", "127.0.0.1:9000")], &["query_timeout_ms=5"]).unwrap();
/// assert_eq!((config.body_max_bytes, config.listen.port(), config.query_timeout_ms), (1000, 9000, 5));
/// assert!(Config::load(Some("body_max = 1"), [], &["rows_max=1"]).is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where it listens: `127.0.0.1:7450`.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// The longest body, before and after it is decompressed: 4 MiB.
    pub body_max_bytes: usize,
    /// The most events in a body: 10,000.
    pub batch_max_events: usize,
    /// Bytes of bodies that may be under way at once; past half of it callers get 429, past all of it 503: 64 MiB. What is made of a body takes about three times its bytes.
    pub queue_max_bytes: usize,
    /// Events that a key may send in a second, in the long run; 0 for no bound: 0.
    pub events_per_second: u32,
    /// Events that a key may send at once, where there is a bound: 10,000.
    pub events_burst: u32,
    /// The share of distinct ids whose events are stored, by a hash of the id; answers say so where it is less than all of them: 1.
    pub sample_rate: f64,
    /// Requests other than those that bring events which a key may make in a second; 0 for no bound: 50.
    pub requests_per_second: u32,
    /// How long a question may take, in milliseconds: 30,000.
    pub query_timeout_ms: u64,
    /// Questions that are answered at once; others wait: 4.
    pub queries_at_once: usize,
    /// Threads that answer questions: 2.
    pub query_threads: usize,
    /// Rows of an answer to SQL; more is an error. 0 for no bound: rows are then sent as they are found: 100,000.
    pub rows_max: usize,
    /// Memory of all questions together, in bytes: 1 GiB, whichever stores they are to.
    pub query_memory_bytes: usize,
    /// Memory in which the open stores keep what tells new message ids from stored ones, in bytes, 2.2 for each id: 1 GiB, of which each of the `stores_open_max` has an equal part; as much for distinct ids, and again as much while runs are merged. What has no room is asked of the disk, or of what the system keeps of it in memory.
    pub filters_max_bytes: usize,
    /// Stores that are open at once: 4.
    pub stores_open_max: usize,
    /// Connections at once; one more takes the place of that which has been idle for longest, and waits where none is: 10,000.
    pub connections_max: usize,
    /// How long a caller may take for the head of a request, in milliseconds: 10,000. An idle connection is closed after as long.
    pub header_timeout_ms: u64,
    /// How long a caller may take for a body, and for the next part of an answer, in milliseconds: 30,000.
    pub body_timeout_ms: u64,
    /// How long a shutdown may take, in milliseconds: 8,000.
    pub shutdown_ms: u64,
    /// Proxies whose `X-Forwarded-For` is believed, as networks: none.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins whose pages may send events, beside those of a key; `*` for all: none.
    pub origins: Vec<String>,
    /// What is found out about whoever sends an event.
    pub enrich: Enrich,
    /// The certificate; without one it is plain HTTP.
    pub tls: Option<Tls>,
}

/// What is found out about whoever sends an event, before it is stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Enrich {
    /// Browser, system and kind of device.
    pub device: bool,
    /// Where the visit came from.
    pub source: bool,
    /// Hosts of one's own, from which no visit comes.
    pub own_hosts: Vec<String>,
    /// Sites of one's own by their names, each with its host or hosts: which of them an event is of.
    pub sites: BTreeMap<String, Hosts>,
    /// Ids for visitors without any, by a salt of the day.
    pub visitor: bool,
    /// A database of places in the form of MaxMind.
    pub places: Option<PathBuf>,
    /// How much of the address is kept: `none`, `truncated` or `whole`.
    pub keep_address: KeepAddress,
}

/// One host, or several; `*.` before one takes in all below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Hosts {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl Hosts {
    pub(crate) fn all(&self) -> &[String] {
        match self {
            Self::One(host) => std::slice::from_ref(host),
            Self::Several(hosts) => hosts,
        }
    }
}

/// How much of an address is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeepAddress {
    /// Nothing.
    #[default]
    None,
    /// The network that it is of.
    Truncated,
    /// All of it.
    Whole,
}

/// What TLS needs, as PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// The certificate and those that it hangs from.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7450)),
            body_max_bytes: 4 << 20,
            batch_max_events: 10_000,
            queue_max_bytes: 64 << 20,
            events_per_second: 0,
            events_burst: 10_000,
            sample_rate: 1.0,
            requests_per_second: 50,
            query_timeout_ms: 30_000,
            queries_at_once: 4,
            query_threads: 2,
            rows_max: 100_000,
            query_memory_bytes: 1 << 30,
            filters_max_bytes: 1 << 30,
            stores_open_max: 4,
            connections_max: 10_000,
            header_timeout_ms: 10_000,
            body_timeout_ms: 30_000,
            shutdown_ms: 8_000,
            trusted_proxies: Vec::new(),
            origins: Vec::new(),
            enrich: Enrich::default(),
            tls: None,
        }
    }
}

/// The smallest share that can be told.
const MILLIONTH: f64 = 0.000_001;

/// What variables of the environment begin with; `PUGMARK_SERVE_ENRICH__DEVICE` is the field `device` of `enrich`.
const VARIABLES: &str = "PUGMARK_SERVE_";

impl Config {
    /// The defaults, over them a file in TOML, over it the variables of an environment that begin with `PUGMARK_SERVE_`, over them `name=value` as flags have it. A value is
    /// read as TOML, and as text where it is none; a dot, and in a variable two underscores, leads into a table.
    ///
    /// # Errors
    /// What is not TOML, a field that there is not, a value of another type, and numbers out of their range, with where it was said.
    pub fn load<'v>(
        file: Option<&str>,
        variables: impl IntoIterator<Item = (&'v str, &'v str)>,
        flags: &[impl AsRef<str>],
    ) -> Result<Self, String> {
        Self::load_from(file.map(|text| ("the file", text)), variables, flags)
    }

    fn load_from<'v>(
        file: Option<(&str, &str)>,
        variables: impl IntoIterator<Item = (&'v str, &'v str)>,
        flags: &[impl AsRef<str>],
    ) -> Result<Self, String> {
        let (file, text) = file.unwrap_or(("the file", ""));
        // Read as a whole it says at which line it is wrong.
        toml::from_str::<Self>(text).map_err(|e| format!("{file}: {e}"))?;
        let mut table: Table = text.parse().map_err(|e| format!("{file}: {e}"))?;
        let mut said_by: Vec<(String, String)> = table.keys().map(|name| (name.clone(), file.to_owned())).collect();
        let mut variables: Vec<_> =
            variables.into_iter().filter_map(|(name, value)| Some((name.strip_prefix(VARIABLES)?, value))).collect();
        variables.sort_unstable();
        for (name, value) in variables {
            let path = name.to_lowercase().replace("__", ".");
            set(&mut table, &path, value);
            check(&table, &format!("{VARIABLES}{name}"))?;
            said_by.push((path, format!("{VARIABLES}{name}")));
        }
        for flag in flags {
            let flag = flag.as_ref();
            let (name, value) = flag.split_once('=').ok_or_else(|| format!("\"{flag}\": expected name=value"))?;
            set(&mut table, name.trim(), value.trim());
            check(&table, &format!("\"{flag}\""))?;
            said_by.push((name.trim().to_owned(), format!("\"{flag}\"")));
        }
        let config = check(&table, "the settings")?;
        config.check_ranges().map_err(|why| {
            let name = why.split(':').next().unwrap_or_default();
            let said = said_by.iter().rev().find(|(path, _)| path == name);
            said.map_or_else(|| why.clone(), |(_, by)| format!("{by}: {why}"))
        })?;
        Ok(config)
    }

    /// Reads the file at a path as [`load`](Self::load) does, under the environment of this process.
    ///
    /// # Errors
    /// As [`load`](Self::load), and a file that cannot be read.
    pub fn load_file(path: Option<&Path>, flags: &[impl AsRef<str>]) -> Result<Self, String> {
        let file =
            path.map(|path| std::fs::read_to_string(path).map_err(|e| format!("reading {}: {e}", path.display())));
        let file = file.transpose()?;
        let place = path.map(|path| path.display().to_string()).unwrap_or_default();
        let variables: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let file = file.as_deref().map(|text| (place.as_str(), text));
        Self::load_from(file, variables.iter().map(|(name, value)| (name.as_str(), value.as_str())), flags)
    }

    fn check_ranges(&self) -> Result<(), String> {
        let at_least_one = [
            ("body_max_bytes", self.body_max_bytes as u64),
            ("batch_max_events", self.batch_max_events as u64),
            ("queue_max_bytes", self.queue_max_bytes as u64),
            ("events_burst", self.events_burst.into()),
            ("query_timeout_ms", self.query_timeout_ms),
            ("queries_at_once", self.queries_at_once as u64),
            ("query_threads", self.query_threads as u64),
            ("stores_open_max", self.stores_open_max as u64),
            ("connections_max", self.connections_max as u64),
            ("header_timeout_ms", self.header_timeout_ms),
            ("body_timeout_ms", self.body_timeout_ms),
            ("shutdown_ms", self.shutdown_ms),
        ];
        if let Some((name, _)) = at_least_one.iter().find(|(_, value)| *value == 0) {
            return Err(format!("{name}: 0, expected at least 1"));
        }
        if self.batch_max_events > 32_768 {
            return Err(format!(
                "batch_max_events: {}, expected at most 32768: each may become two of the 65536 that a store takes at once",
                self.batch_max_events
            ));
        }
        if self.body_max_bytes > 15 << 20 {
            return Err(format!(
                "body_max_bytes: {}, expected at most {}, which a store takes at once",
                self.body_max_bytes,
                15 << 20
            ));
        }
        if self.events_per_second > 0 && (self.events_burst as usize) < self.batch_max_events {
            return Err(format!(
                "events_burst: {}, expected at least batch_max_events, {}: a larger body would never be taken",
                self.events_burst, self.batch_max_events
            ));
        }
        if let Some(Tls { certificate, key }) = &self.tls {
            let files = [("certificate", certificate), ("key", key)];
            if let Some((missing, _)) = files.iter().find(|(_, path)| path.as_os_str().is_empty()) {
                return Err(format!("tls.{missing}: missing, expected a file in PEM"));
            }
        }
        if let Some(origin) = self.origins.iter().find(|origin| !is_origin(origin)) {
            return Err(format!("origins: {origin:?}, expected such as https://shop.example, or *"));
        }
        if let Some((name, _)) = self.enrich.sites.iter().find(|(_, hosts)| hosts.all().iter().all(String::is_empty)) {
            return Err(format!("enrich: the site {name:?} has no host"));
        }
        if !(MILLIONTH..=1.0).contains(&self.sample_rate) {
            return Err(format!("sample_rate: {}, expected {MILLIONTH} to 1", self.sample_rate));
        }
        if self.query_memory_bytes < 1 << 20 {
            return Err(format!("query_memory_bytes: {}, expected at least {}", self.query_memory_bytes, 1 << 20));
        }
        if self.queue_max_bytes < 2 * self.body_max_bytes {
            return Err(format!(
                "queue_max_bytes: {}, expected at least twice body_max_bytes, {}",
                self.queue_max_bytes, self.body_max_bytes
            ));
        }
        Ok(())
    }

    /// Reads the files that the settings name: the certificate and its key, and the places.
    ///
    /// # Errors
    /// One that cannot be read, with its path.
    pub fn check_files(&self) -> Result<(), String> {
        if let Some(tls) = &self.tls {
            acceptor(tls).map_err(|error| format!("tls: {error}"))?;
        }
        if let Some(path) = &self.enrich.places {
            Places::open(path).map_err(|error| format!("enrich.places: {error}"))?;
        }
        Ok(())
    }

    /// The bytes of filters that one of the open stores has.
    pub(crate) fn filters_of_a_store(&self) -> usize {
        self.filters_max_bytes / self.stores_open_max.max(1)
    }

    pub(crate) fn query_timeout(&self) -> Duration {
        Duration::from_millis(self.query_timeout_ms)
    }

    /// Whose events are stored; an error for a share out of its range.
    pub(crate) fn sampling(&self) -> pugmark::Result<Sampling> {
        Sampling::per_million((self.sample_rate / MILLIONTH).round() as u32)
    }

    pub(crate) fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms)
    }
}

fn address<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let wrong =
        || serde::de::Error::custom(format!("listen: {value}, expected an address and port such as 127.0.0.1:7450"));
    value.as_str().and_then(|text| text.parse().ok()).ok_or_else(wrong)
}

/// The settings so far; who said what is wrong with them stands in the error.
fn check(table: &Table, said_by: &str) -> Result<Config, String> {
    table.clone().try_into().map_err(|e: toml::de::Error| format!("{said_by}: {}", e.message()))
}

fn set(table: &mut Table, path: &str, text: &str) {
    let value = format!("value = {text}").parse::<Table>().ok().and_then(|mut read| read.remove("value"));
    let value = value.unwrap_or_else(|| Value::String(text.to_owned()));
    let mut parts: Vec<&str> = path.split('.').collect();
    let Some(last) = parts.pop() else { return };
    let mut table = table;
    for part in parts {
        let inner = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
        if !inner.is_table() {
            *inner = Value::Table(Table::new());
        }
        let Value::Table(inner) = inner else { return };
        table = inner;
    }
    table.insert(last.to_owned(), value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_stand_over_variables_and_those_over_the_file() {
        let file = "listen = '0.0.0.0:1'\nrows_max = 1\nqueries_at_once = 1\n[enrich]\ndevice = true\nown_hosts = ['a.example']\nsites.shop = 'a.example'\nsites.blogs = ['b.example', '*.c.example']";
        let variables = [
            ("PUGMARK_SERVE_ROWS_MAX", "2"),
            ("PUGMARK_SERVE_QUERIES_AT_ONCE", "2"),
            ("PUGMARK_SERVE_ENRICH__SOURCE", "true"),
            ("PUGMARK_SERVE_TRUSTED_PROXIES", "['10.0.0.0/8']"),
            ("PUGMARK_SERVE_TLS__CERTIFICATE", "c.pem"),
            ("PUGMARK_SERVE_TLS__KEY", "k.pem"),
            ("HOME", "/x"),
        ];
        let config = Config::load(Some(file), variables, &["rows_max=3", "enrich.keep_address=truncated"]).unwrap();
        assert_eq!((config.listen.port(), config.rows_max, config.queries_at_once), (1, 3, 2));
        assert_eq!(config.tls, Some(Tls { certificate: "c.pem".into(), key: "k.pem".into() }));
        assert!(config.enrich.device && config.enrich.source);
        let hosts: Vec<(&str, usize)> =
            config.enrich.sites.iter().map(|(name, hosts)| (name.as_str(), hosts.all().len())).collect();
        assert_eq!(hosts, [("blogs", 2), ("shop", 1)]);
        assert_eq!(config.enrich.keep_address, KeepAddress::Truncated);
        assert_eq!(config.trusted_proxies, ["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(Config::load(None, [], &[] as &[&str]).unwrap(), Config::default());
    }

    #[test]
    fn what_is_wrong_is_said_with_where_it_was_said() {
        let none: &[&str] = &[];
        for (file, variables, flags, says) in [
            ("nonsense", vec![], vec![], "the file: "),
            ("rows_max = 5\nrows = 1", vec![], vec![], "the file: TOML parse error at line 2, column 1"),
            ("sample_rate = 3", vec![], vec![], "the file: sample_rate: 3, expected"),
            (
                "sample_rate = 1",
                vec![("PUGMARK_SERVE_SAMPLE_RATE", "0")],
                vec!["rows_max=1"],
                "PUGMARK_SERVE_SAMPLE_RATE: sample_rate: 0",
            ),
            ("", vec![], vec!["listen=7470"], "\"listen=7470\": listen: 7470, expected an address and port"),
            ("", vec![("PUGMARK_SERVE_ROWS_MAX", "many")], vec![], "PUGMARK_SERVE_ROWS_MAX: invalid type"),
            ("", vec![], vec!["listen=here"], "\"listen=here\": listen: \"here\", expected an address"),
            ("", vec![], vec!["listen"], "\"listen\": expected name=value"),
            ("", vec![], vec!["queries_at_once=0"], "queries_at_once: 0, expected at least 1"),
            ("", vec![], vec!["batch_max_events=100000"], "batch_max_events: 100000, expected at most"),
            (
                "",
                vec![],
                vec!["events_per_second=5", "events_burst=5"],
                "\"events_burst=5\": events_burst: 5, expected at",
            ),
            ("", vec![("PUGMARK_SERVE_TLS__KEY", "k.pem")], vec![], "tls.certificate: missing"),
            ("origins = ['https://a.example/']", vec![], vec![], "the file: origins: \"https://a.example/\", expected"),
            ("[enrich.sites]\nshop = []", vec![], vec![], "the file: enrich: the site \"shop\" has no host"),
            ("", vec![], vec!["queue_max_bytes=5"], "queue_max_bytes: 5, expected at least twice"),
            ("", vec![], vec!["sample_rate=0"], "sample_rate: 0, expected 0.000001 to 1"),
            ("", vec![], vec!["sample_rate=nan"], "sample_rate: NaN, expected 0.000001 to 1"),
        ] {
            let error = Config::load(Some(file), variables, &flags).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        let _whole: Config = Config::load(None, [], none).unwrap();
    }

    #[test]
    fn what_is_written_out_is_read_back() {
        let text = toml::to_string(&Config::default()).unwrap();
        assert_eq!(Config::load(Some(&text), [], &[] as &[&str]).unwrap(), Config::default());
    }
}
