//! Visitors without cookies: the same within a day, nobody after it.
//!
//! # What it is good for, and against whom
//!
//! A visitor is the SHA-256 of a random salt, the address, the user agent and the language, each with its length before it. Within a day of UTC that counts people who have said nothing of themselves,
//! across all sites of a store. The salt is random, 32 bytes, and held in memory and in the file `salt` alone, which only its owner may read and which is in no backup. When the day is over it is overwritten, unlinked and
//! forgotten, by the first event of another day, by [`Visitors::forget_before`] or when the store is opened again, whichever comes first: nothing that is left tells which visitor of yesterday is which of today, and whoever takes the store cannot try addresses to find out who yesterday's visitors were.
//!
//! It does not keep secrets while the day lasts: who can read the salt can try all addresses. It does not tell two people apart behind one address with the same browser, and takes one person for two whose
//! address changes. A file system that keeps old blocks (snapshots, copy on write, wear levelling) may keep the salt longer than the file; keep the directory where that is not so, or encrypted under a key that goes with it.
//! How long hashing takes depends on the lengths alone, and nothing is compared.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

/// The name of the file, as `docs/format.md` has it.
pub const SALT_FILE: &str = "salt";

const DAY_US: i64 = 86_400_000_000;
const SALT_BYTES: usize = 32;
/// The day, then the salt, then a check of both.
const FILE_BYTES: usize = 8 + SALT_BYTES + CHECK_BYTES;
const CHECK_BYTES: usize = 8;
/// Bytes of the hash that are an id.
const ID_BYTES: usize = 16;

/// What is known of somebody who sends an event.
#[derive(Debug, Clone, Copy)]
pub struct Visitor<'a> {
    /// The address that the event came from. It is not kept.
    pub ip: IpAddr,
    /// The header `User-Agent`; empty where there was none.
    pub user_agent: &'a str,
    /// The header `Accept-Language`, or what the browser calls its language; empty where there was none.
    pub language: &'a str,
}

/// Gives visitors ids that hold for a day of UTC.
///
/// ```
/// use pugmark_enrich::{Visitor, Visitors};
///
/// let (noon, day) = (1_735_732_800_000_000, 86_400_000_000);
/// let dir = tempfile::tempdir()?;
/// let visitors = Visitors::open(dir.path(), noon)?;
/// let ann = Visitor { ip: "203.0.113.7".parse()?, user_agent: "Firefox", language: "de" };
/// let first = visitors.id(&ann, noon)?;
/// assert_eq!(visitors.id(&ann, noon + day / 3)?, first);
/// assert_ne!(visitors.id(&Visitor { language: "fr", ..ann }, noon)?, first);
/// assert_ne!(visitors.id(&ann, noon + day)?, first);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Visitors {
    dir: PathBuf,
    salt: Mutex<Option<Salt>>,
}

#[derive(Clone)]
struct Salt {
    /// Days since 1970.
    day: i64,
    bytes: [u8; SALT_BYTES],
}

/// Nothing of it is printed.
impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Salt").field("day", &self.day).finish_non_exhaustive()
    }
}

impl Visitors {
    /// With the salt in this directory, that of the store, if it is that of the day of `now_us`: it is read again when the program begins anew within the day. One of another day, or one that is not whole, as after a crash, is destroyed.
    ///
    /// There is to be one of these for a directory: each has the file to itself.
    ///
    /// # Errors
    /// What reading or destroying the file meets.
    pub fn open(dir: impl Into<PathBuf>, now_us: i64) -> io::Result<Self> {
        let dir = dir.into();
        let path = dir.join(SALT_FILE);
        let salt = read(&path)?.filter(|salt| salt.is_of(day_of(now_us)));
        if salt.is_none() {
            destroy(&path, &dir)?;
        }
        Ok(Self { dir, salt: Mutex::new(salt) })
    }

    /// Destroys the salt if the day of `now_us` is another one: a program in which few events arrive calls it at midnight, so that the salt does not wait for the next of them.
    ///
    /// # Errors
    /// What destroying the file meets.
    pub fn forget_before(&self, now_us: i64) -> io::Result<()> {
        let mut salt = self.salt.lock().unwrap_or_else(PoisonError::into_inner);
        if salt.as_ref().is_some_and(|salt| !salt.is_of(day_of(now_us))) {
            *salt = None;
            destroy(&self.dir.join(SALT_FILE), &self.dir)?;
        }
        Ok(())
    }

    /// The id of a visitor on the day of UTC of `now_us`, the time of receipt in microseconds since 1970: 32 hexadecimal digits.
    ///
    /// On the first event of a new day the salt of the day before is destroyed and another made. A clock that goes back by a day does not bring it back: the later day's holds. One that was further ahead was wrong, and its salt goes, too.
    ///
    /// # Errors
    /// What destroying the old salt or storing the new one meets; there is no id then, rather than one that could be made again later.
    pub fn id(&self, visitor: &Visitor<'_>, now_us: i64) -> io::Result<String> {
        let day = day_of(now_us);
        let bytes = {
            let mut salt = self.salt.lock().unwrap_or_else(PoisonError::into_inner);
            match &*salt {
                Some(salt) if salt.is_of(day) => salt.bytes,
                _ => {
                    // Gone from memory whatever becomes of the file.
                    *salt = None;
                    let made = self.rotate(day)?;
                    salt.insert(made).bytes
                }
            }
        };
        let ip = visitor.ip.to_canonical().to_string();
        let mut hash = Sha256::new();
        hash.update(bytes);
        for part in [ip.as_str(), visitor.user_agent, visitor.language] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        Ok(digest.iter().take(ID_BYTES).map(|byte| format!("{byte:02x}")).collect())
    }

    /// Destroys the salt that there is, and makes that of a day.
    fn rotate(&self, day: i64) -> io::Result<Salt> {
        let path = self.dir.join(SALT_FILE);
        destroy(&path, &self.dir)?;
        let mut bytes = [0; SALT_BYTES];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        let salt = Salt { day, bytes };
        let mut file = new_file(&path)?;
        file.write_all(&salt.stored())?;
        file.sync_all()?;
        sync_dir(&self.dir)?;
        Ok(salt)
    }
}

fn day_of(now_us: i64) -> i64 {
    now_us.div_euclid(DAY_US)
}

impl Salt {
    /// Whether it holds on a day: its own, or the one before where a clock was set back over midnight.
    fn is_of(&self, day: i64) -> bool {
        (day..=day + 1).contains(&self.day)
    }

    fn stored(&self) -> [u8; FILE_BYTES] {
        let mut stored = [0; FILE_BYTES];
        let (content, check) = stored.split_at_mut(FILE_BYTES - CHECK_BYTES);
        content[..8].copy_from_slice(&self.day.to_le_bytes());
        content[8..].copy_from_slice(&self.bytes);
        check.copy_from_slice(&check_of(content));
        stored
    }
}

fn check_of(content: &[u8]) -> [u8; CHECK_BYTES] {
    let digest = Sha256::digest(content);
    std::array::from_fn(|at| digest[at])
}

/// The salt in a file; `None` where there is none, or it is not whole.
fn read(path: &Path) -> io::Result<Option<Salt>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut stored = Vec::new();
    file.take(FILE_BYTES as u64 + 1).read_to_end(&mut stored)?;
    let Ok(stored) = <[u8; FILE_BYTES]>::try_from(stored) else { return Ok(None) };
    let (content, check) = stored.split_at(FILE_BYTES - CHECK_BYTES);
    if check_of(content) != *check {
        return Ok(None);
    }
    let (day, bytes) = content.split_at(8);
    let day = i64::from_le_bytes(std::array::from_fn(|at| day[at]));
    Ok(Some(Salt { day, bytes: std::array::from_fn(|at| bytes[at]) }))
}

/// Overwrites what is in the file, makes that durable, and takes its name away.
fn destroy(path: &Path, dir: &Path) -> io::Result<()> {
    let mut file = match OpenOptions::new().write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len().min(1 << 16);
    file.rewind()?;
    file.write_all(&vec![0; usize::try_from(length).unwrap_or(0)])?;
    file.sync_all()?;
    std::fs::remove_file(path)?;
    sync_dir(dir)
}

/// One that only its owner may read.
fn new_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

/// The network of an address, by its first 24 bits of IPv4 or 48 of IPv6: what may be kept in its place.
///
/// ```
/// use pugmark_enrich::network_of;
///
/// assert_eq!(network_of("203.0.113.7".parse()?).to_string(), "203.0.113.0");
/// assert_eq!(network_of("2001:db8:aa:bb::7".parse()?).to_string(), "2001:db8:aa::");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4((ip.to_bits() & 0xFFFF_FF00).into()),
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() >> 80 << 80).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_735_732_800_000_000;

    fn ann() -> Visitor<'static> {
        Visitor { ip: IpAddr::from([203, 0, 113, 7]), user_agent: "Firefox/143", language: "de" }
    }

    #[test]
    fn an_id_is_of_everything_that_is_known_and_of_nothing_else() {
        let dir = tempfile::tempdir().expect("a directory");
        let visitors = Visitors::open(dir.path(), NOON).expect("opens");
        let id = |visitor: &Visitor<'_>, now| visitors.id(visitor, now).expect("an id");
        let first = id(&ann(), NOON);
        assert!(first.len() == 32 && first.bytes().all(|byte| byte.is_ascii_hexdigit()), "{first}");
        assert_eq!(id(&ann(), NOON + DAY_US / 2 - 1), first);
        let mapped = IpAddr::from([0, 0, 0, 0, 0, 0xFFFF, 0xCB00, 0x7107]);
        assert_eq!(id(&Visitor { ip: mapped, ..ann() }, NOON), first);
        let others = [
            Visitor { ip: IpAddr::from([203, 0, 113, 8]), ..ann() },
            Visitor { user_agent: "Firefox/144", ..ann() },
            Visitor { language: "fr", ..ann() },
            // What is moved from one to the other is another one.
            Visitor { user_agent: "Firefox/143d", language: "e", ..ann() },
        ];
        for other in others {
            assert_ne!(id(&other, NOON), first, "{other:?}");
        }
    }

    #[test]
    fn a_salt_survives_a_restart_within_its_day_and_nothing_of_it_the_day() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(SALT_FILE);
        let before = Visitors::open(dir.path(), NOON).expect("opens").id(&ann(), NOON).expect("an id");
        let held = std::fs::read(&path).expect("a salt");
        let visitors = Visitors::open(dir.path(), NOON).expect("opens again");
        assert_eq!(visitors.id(&ann(), NOON + 1).expect("an id"), before);
        // The file is kept open by its other name: what was in it is overwritten, not only without a name.
        let other_name = dir.path().join("other");
        std::fs::hard_link(&path, &other_name).expect("links");
        let after = visitors.id(&ann(), NOON + DAY_US).expect("an id");
        assert_ne!(after, before);
        assert_eq!(std::fs::read(&other_name).expect("it is there"), vec![0; FILE_BYTES]);
        let salt = &held[8..8 + SALT_BYTES];
        for entry in std::fs::read_dir(dir.path()).expect("lists") {
            let content = std::fs::read(entry.expect("an entry").path()).expect("reads");
            assert!(!content.windows(8).any(|bytes| bytes == &salt[..8]));
        }
        // With all that is left, also with a clock set back, yesterday's id cannot be made again.
        for visitors in [&visitors, &Visitors::open(dir.path(), NOON).expect("opens")] {
            assert_eq!(visitors.id(&ann(), NOON).expect("an id"), after);
        }
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_read_it_and_what_is_not_whole_is_made_anew() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(SALT_FILE);
        let id = || Visitors::open(dir.path(), NOON).expect("opens").id(&ann(), NOON).expect("an id");
        let first = id();
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let whole = std::fs::read(&path).expect("reads");
        for cut in [0, 1, 8, FILE_BYTES - 1] {
            std::fs::write(&path, &whole[..cut]).expect("writes");
            assert_ne!(id(), first, "{cut} bytes");
        }
        std::fs::write(&path, [whole.as_slice(), b"x"].concat()).expect("writes");
        assert_ne!(id(), first);
        std::fs::write(&path, &whole).expect("writes");
        assert_eq!(id(), first);
    }

    #[test]
    fn where_the_old_one_cannot_be_destroyed_there_is_no_id() {
        let dir = tempfile::tempdir().expect("a directory");
        let visitors = Visitors::open(dir.path(), NOON).expect("opens");
        std::fs::create_dir(dir.path().join(SALT_FILE)).expect("makes");
        assert!(visitors.id(&ann(), NOON).is_err());
        std::fs::remove_dir(dir.path().join(SALT_FILE)).expect("removes");
        assert!(visitors.id(&ann(), NOON).is_ok());
    }

    #[test]
    fn a_salt_does_not_wait_for_the_next_event_and_a_wrong_clock_does_not_keep_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(SALT_FILE);
        let visitors = Visitors::open(dir.path(), NOON).expect("opens");
        let first = visitors.id(&ann(), NOON).expect("an id");
        visitors.forget_before(NOON + 1).expect("it is of today");
        assert_eq!(visitors.id(&ann(), NOON).expect("an id"), first);
        visitors.forget_before(NOON + DAY_US).expect("destroys");
        assert!(!path.exists());
        visitors.id(&ann(), NOON).expect("an id");
        Visitors::open(dir.path(), NOON + DAY_US).expect("opens");
        assert!(!path.exists());
        // Somebody's clock was a century ahead.
        let wrong = visitors.id(&ann(), NOON + 36_500 * DAY_US).expect("an id");
        assert_ne!(visitors.id(&ann(), NOON).expect("an id"), wrong);
        let held = read(&path).expect("reads").expect("it is whole");
        assert_eq!(held.day, day_of(NOON));
    }
}
