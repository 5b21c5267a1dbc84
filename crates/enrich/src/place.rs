//! Where an address is, by a database that the user has.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use maxminddb::{MaxMindDbError, Reader, geoip2};

/// Where an address is, in the words of the database; English where it knows several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// ISO 3166-1, such as `DE`.
    pub country: Option<String>,
    /// The largest part of the country, by ISO 3166-2 without it, such as `BY`, or by its name where there is no code.
    pub region: Option<String>,
    /// The name.
    pub city: Option<String>,
}

impl Place {
    /// Name and value of everything that is known, as properties of an event.
    pub fn properties(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [("country", &self.country), ("region", &self.region), ("city", &self.city)];
        all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }
}

/// Tells where addresses are, by a database in the format of MaxMind: a city's or a country's, of whatever maker. Without one nothing is anywhere.
#[derive(Default)]
pub struct Places(Option<Reader<Vec<u8>>>);

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.0.as_ref().map(|reader| reader.metadata().database_type.as_str());
        f.debug_tuple("Places").field(&kind).finish()
    }
}

/// Why a file cannot tell where addresses are.
#[derive(Debug)]
pub struct PlacesError(String);

impl fmt::Display for PlacesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PlacesError {}

impl Places {
    /// Reads a database into memory.
    ///
    /// # Errors
    /// For a file that cannot be read or is no such database, with its name.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, PlacesError> {
        let path = path.as_ref();
        let reader = Reader::open_readfile(path).map_err(|error: MaxMindDbError| {
            PlacesError(format!("{}: no database of places can be read: {error}", path.display()))
        })?;
        Ok(Self(Some(reader)))
    }

    /// Where an address is; nothing where the database does not know it, or there is none.
    pub fn of(&self, ip: IpAddr) -> Place {
        // What the database says wrongly of an address is as if it said nothing.
        let found = self
            .0
            .as_ref()
            .and_then(|reader| reader.lookup(ip.to_canonical()).ok()?.decode::<geoip2::City<'_>>().ok()?);
        let Some(found) = found else { return Place::default() };
        let region = found.subdivisions.first();
        let region = region.and_then(|region| region.iso_code.or(region.names.english));
        Place {
            country: found.country.iso_code.map(str::to_owned),
            region: region.map(str::to_owned),
            city: found.city.names.english.map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `fixtures/places.py`.
    const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/places.mmdb");

    #[test]
    fn an_address_is_where_the_database_says() {
        let places = Places::open(FIXTURE).expect("opens");
        let of = |ip: &str| {
            let place = places.of(ip.parse().expect("an address"));
            place.properties().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of("203.0.113.7"), "country=DE region=BY city=Munich");
        assert_eq!(of("::ffff:203.0.113.7"), "country=DE region=BY city=Munich");
        assert_eq!(of("198.51.100.9"), "country=IN region=Assam");
        assert_eq!(of("2001:db8::7"), "country=NO");
        assert_eq!(of("192.0.2.1"), "");
        assert_eq!(Places::default().of("203.0.113.7".parse().expect("an address")), Place::default());
    }

    #[test]
    fn what_is_no_database_says_so() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("places.mmdb");
        assert!(Places::open(&path).expect_err("missing").to_string().contains("places.mmdb"));
        let whole = std::fs::read(FIXTURE).expect("reads");
        for content in [&b""[..], b"no database", &whole[..whole.len() / 2]] {
            std::fs::write(&path, content).expect("writes");
            assert!(Places::open(&path).is_err());
        }
        // Bytes that are wrong within it make answers wrong, or none, and nothing else.
        for at in (0..whole.len()).step_by(3) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            std::fs::write(&path, bytes).expect("writes");
            if let Ok(places) = Places::open(&path) {
                for ip in ["203.0.113.7", "198.51.100.9", "2001:db8::7"] {
                    places.of(ip.parse().expect("an address"));
                }
            }
        }
    }
}
