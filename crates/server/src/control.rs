//! Keys, and who did what: a store of its own beside those of the projects. What keys there are is a fold of its events.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use pugmark::arrow::array::{Array, AsArray, RecordBatch};
use pugmark::arrow::compute::cast;
use pugmark::arrow::datatypes::DataType;
use pugmark::{EngineOptions, Error, ErrorKind, Event, Options, Outcome, Pugmark, Result, StoreOptions};

use crate::key::{Grant, Key, KeyId, Secret, is_origin};
use crate::limits::KEY_USE_NOTED_EVERY_S;

/// Where it is, under the directory of the server. No project has a name that begins with a dot.
const DIR: &str = ".control";
const CREATED: &str = "key.created";
const REVOKED: &str = "key.revoked";
const USED: &str = "key.used";

/// The keys of a server, and the log of what admins did: a store of events whose distinct id is the key that did it.
///
/// ```
/// use pugmark_server::{Control, Grant, Scope};
/// let root = tempfile::tempdir()?;
/// let control = Control::open(root.path())?;
/// let grant = Grant { project: Some("shop".parse()?), scope: Scope::Write, origins: vec![], note: None };
/// let secret = control.create(grant, None)?;
/// assert_eq!(control.keys().len(), 1);
/// assert!(control.revoke(secret.id(), None)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Control {
    db: Pugmark,
    keys: RwLock<BTreeMap<KeyId, Arc<Key>>>,
}

impl Control {
    /// Opens the control store under the directory of a server.
    ///
    /// # Errors
    /// As [`Pugmark::open`]: [`ErrorKind::Locked`] while a server runs; [`ErrorKind::Corrupt`] for an event of a key that cannot be read.
    pub fn open(root: &Path) -> Result<Self> {
        let engine = EngineOptions { memory_bytes: 64 << 20, threads: 1, ..EngineOptions::default() };
        let store = StoreOptions { index_cache_bytes: 4 << 20, ..StoreOptions::default() };
        let db = Pugmark::open_with(root.join(DIR), Options { engine, store, ..Options::default() })?;
        let keys = RwLock::new(fold(&db)?);
        Ok(Self { db, keys })
    }

    /// Makes a key, and returns it once: only its hash is kept. `by` is the key that asks for it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a key of all projects that is no admin's, and for one of a browser that may do more than write; errors of the disk.
    pub fn create(&self, grant: Grant, by: Option<&KeyId>) -> Result<Secret> {
        if grant.project.is_none() && grant.scope != crate::Scope::Admin {
            return Err(Error::invalid("only the key of an admin may be of all projects"));
        }
        if !grant.origins.is_empty() && grant.scope != crate::Scope::Write {
            return Err(Error::invalid("the key of a browser may only write: everybody can read it there"));
        }
        if let Some(origin) = grant.origins.iter().find(|origin| !is_origin(origin)) {
            return Err(Error::invalid(format!(
                "{origin:?} is no origin, expected such as https://shop.example, or *"
            )));
        }
        let random = |e: getrandom::Error| Error::new(ErrorKind::Io, format!("randomness of the system: {e}"));
        let (secret, hash) = Secret::generate().map_err(random)?;
        let mut event = Event::new(CREATED, by_text(by))
            .property("key", secret.id().as_str())
            .property("hash", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
            .property("scope", grant.scope.as_str())
            .property("origins", grant.origins.join(" "));
        if let Some(project) = &grant.project {
            event = event.property("project", project.to_string());
        }
        if let Some(note) = &grant.note {
            event = event.property("note", note.as_str());
        }
        self.record(event)?;
        let created_us = self.db.now().as_microsecond();
        let key = Key { id: secret.id().clone(), grant, created_us, used_us: None, revoked_us: None, hash };
        self.put(key);
        Ok(secret)
    }

    /// Revokes a key, for good; whether there was one that stood.
    ///
    /// # Errors
    /// Errors of the disk.
    pub fn revoke(&self, id: &KeyId, by: Option<&KeyId>) -> Result<bool> {
        let Some(key) = self.key(id).filter(|key| key.revoked_us.is_none()) else { return Ok(false) };
        self.record(Event::new(REVOKED, by_text(by)).property("key", id.as_str()))?;
        self.put(Key { revoked_us: Some(self.db.now().as_microsecond()), ..(*key).clone() });
        Ok(true)
    }

    /// All keys, revoked ones included, by their ids.
    pub fn keys(&self) -> Vec<Arc<Key>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Closes the store.
    ///
    /// # Errors
    /// Errors of the disk.
    pub fn close(self) -> Result<()> {
        self.db.close()
    }

    /// The key that a caller shows, if it stands.
    pub(crate) fn verify(&self, shown: &str) -> Option<Arc<Key>> {
        let secret = Secret::parse(shown)?;
        self.key(secret.id()).filter(|key| key.is_of(&secret))
    }

    /// Whether there is such a key, and it is not revoked.
    pub(crate) fn stands(&self, id: &KeyId) -> bool {
        self.key(id).is_some_and(|key| key.revoked_us.is_none())
    }

    /// Notes that a key is used, now and then.
    pub(crate) fn note_use(&self, key: &Key) {
        let now_us = self.db.now().as_microsecond();
        let every_us = KEY_USE_NOTED_EVERY_S as i64 * 1_000_000;
        if key.used_us.is_some_and(|used_us| now_us - used_us < every_us) {
            return;
        }
        self.put(Key { used_us: Some(now_us), ..key.clone() });
        // Whoever uses the key does not wait for it.
        let event = Event::new(USED, key.id.as_str()).property("key", key.id.as_str());
        if let Err(error) = self.db.submit(vec![event.into()], &pugmark::AppendOptions::default()) {
            tracing::warn!("noting the use of key {}: {error}", key.id);
        }
    }

    /// Records what an admin did. People are not named: what is erased would stand here.
    pub(crate) fn audit(&self, action: &str, key: &Key, project: &str, properties: &[(&str, u64)]) -> Result<()> {
        let event = Event::new(action, key.id.as_str()).property("project", project);
        self.record(properties.iter().fold(event, |event, (name, value)| event.property(*name, *value as i64)))
    }

    fn record(&self, event: Event) -> Result<()> {
        match self.db.track(event)? {
            Outcome::Accepted(_) => Ok(()),
            other => Err(Error::new(ErrorKind::Io, format!("recording what was done: {other}"))),
        }
    }

    fn key(&self, id: &KeyId) -> Option<Arc<Key>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn put(&self, key: Key) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let key = match keys.get(&key.id) {
            // Revoked is revoked, whatever is written at the same time.
            Some(known) if known.revoked_us.is_some() => Key { revoked_us: known.revoked_us, ..key },
            _ => key,
        };
        keys.insert(key.id.clone(), Arc::new(key));
    }
}

fn by_text(by: Option<&KeyId>) -> &str {
    by.map_or("command line", KeyId::as_str)
}

/// The keys that the events make.
fn fold(db: &Pugmark) -> Result<BTreeMap<KeyId, Arc<Key>>> {
    let mut keys: BTreeMap<KeyId, Key> = BTreeMap::new();
    if db.info()?.events == 0 {
        return Ok(BTreeMap::new());
    }
    let statement = format!(
        "SELECT event, arrow_cast(timestamp, 'Int64'), prop('key'), prop('hash'), prop('scope'), prop('origins'), prop('project'), prop('note') \
         FROM events WHERE event IN ('{CREATED}', '{REVOKED}', '{USED}') ORDER BY sequence"
    );
    for batch in rows_of(db, &statement)? {
        for row in 0..batch.num_rows() {
            let text = |column| text(&batch, column, row);
            let damaged = |what: &str| {
                Error::new(ErrorKind::Corrupt, format!("an event of a key has no {what} that can be read"))
            };
            let at_us = text(1)?.and_then(|at| at.parse().ok()).ok_or_else(|| damaged("time"))?;
            let id: KeyId = text(2)?.and_then(|id| id.parse().ok()).ok_or_else(|| damaged("id"))?;
            if text(0)?.as_deref() == Some(CREATED) {
                let hash = text(3)?.and_then(|hash| bytes_of(&hash)).ok_or_else(|| damaged("hash"))?;
                let scope = text(4)?.and_then(|scope| scope.parse().ok()).ok_or_else(|| damaged("scope"))?;
                let origins = text(5)?.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
                let project = text(6)?.map(|name| name.parse().map_err(|_| damaged("project"))).transpose()?;
                let grant = Grant { project, scope, origins, note: text(7)? };
                let key = Key { id: id.clone(), grant, created_us: at_us, used_us: None, revoked_us: None, hash };
                keys.insert(id, key);
                continue;
            }
            let Some(key) = keys.get_mut(&id) else { continue };
            let what = if text(0)?.as_deref() == Some(REVOKED) { &mut key.revoked_us } else { &mut key.used_us };
            *what = Some(at_us);
        }
    }
    Ok(keys.into_iter().map(|(id, key)| (id, Arc::new(key))).collect())
}

/// Asks on a thread of its own, which may wait wherever this is called from.
fn rows_of(db: &Pugmark, statement: &str) -> Result<Vec<RecordBatch>> {
    let asked = std::thread::scope(|scope| scope.spawn(|| db.blocking()?.sql(statement)).join());
    asked.unwrap_or_else(|_| Err(Error::new(ErrorKind::Io, "reading the keys: a thread ended")))
}

fn text(batch: &RecordBatch, column: usize, row: usize) -> Result<Option<String>> {
    let texts = cast(batch.column(column), &DataType::Utf8)
        .map_err(|e| Error::new(ErrorKind::Corrupt, format!("reading the keys: {e}")))?;
    let texts = texts.as_string::<i32>();
    Ok(texts.is_valid(row).then(|| texts.value(row).to_owned()))
}

fn bytes_of(hexadecimal: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let is_whole = hexadecimal.len() == 2 * bytes.len() && hexadecimal.is_ascii();
    for (at, byte) in bytes.iter_mut().enumerate().filter(|_| is_whole) {
        *byte = u8::from_str_radix(&hexadecimal[2 * at..2 * at + 2], 16).ok()?;
    }
    is_whole.then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Scope;

    fn grant(project: Option<&str>, scope: Scope, origins: &[&str]) -> Grant {
        let project = project.map(|name| name.parse().unwrap());
        Grant { project, scope, origins: origins.iter().map(|&origin| origin.to_owned()).collect(), note: None }
    }

    #[test]
    fn keys_are_there_again_after_a_restart() {
        let root = tempfile::tempdir().unwrap();
        let control = Control::open(root.path()).unwrap();
        let writer = control.create(grant(Some("shop"), Scope::Write, &["https://a.example"]), None).unwrap();
        let admin = control.create(grant(None, Scope::Admin, &[]), None).unwrap();
        let noted = Grant { note: Some("for \"reports\"".to_owned()), ..grant(Some("shop/test"), Scope::Read, &[]) };
        let reader = control.create(noted.clone(), Some(admin.id())).unwrap();
        assert!(control.revoke(writer.id(), Some(admin.id())).unwrap());
        assert!(!control.revoke(writer.id(), None).unwrap());
        control.note_use(&control.verify(reader.as_str()).unwrap());
        control.close().unwrap();
        let control = Control::open(root.path()).unwrap();
        assert_eq!(control.keys().len(), 3);
        assert!(control.verify(writer.as_str()).is_none());
        assert_eq!(control.verify(admin.as_str()).unwrap().grant, grant(None, Scope::Admin, &[]));
        let reader = control.verify(reader.as_str()).unwrap();
        assert_eq!(reader.grant, noted);
        assert!(reader.used_us.is_some());
        let other = Control::open(root.path()).map(|_| ()).unwrap_err();
        assert_eq!(other.kind(), ErrorKind::Locked);
    }

    #[test]
    fn no_secret_is_in_any_file() {
        let root = tempfile::tempdir().unwrap();
        let control = Control::open(root.path()).unwrap();
        let secret = control.create(grant(Some("shop"), Scope::Write, &[]), None).unwrap();
        control.close().unwrap();
        let secret = secret.as_str().splitn(3, '_').last().unwrap().to_owned();
        let mut dirs = vec![root.path().to_owned()];
        while let Some(path) = dirs.pop() {
            if path.is_dir() {
                dirs.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{path:?}");
        }
    }

    #[test]
    fn keys_that_may_too_much_are_not_made() {
        let root = tempfile::tempdir().unwrap();
        let control = Control::open(root.path()).unwrap();
        for wrong in
            [grant(None, Scope::Write, &[]), grant(None, Scope::Read, &[]), grant(Some("shop"), Scope::Read, &["*"])]
        {
            assert_eq!(control.create(wrong, None).unwrap_err().kind(), ErrorKind::Invalid);
        }
        for origin in ["", "https://a *", "https://a/", "a.example", "https://"] {
            assert!(control.create(grant(Some("shop"), Scope::Write, &[origin]), None).is_err(), "{origin}");
        }
        assert!(control.keys().is_empty());
    }
}
