//! Projects: one store each, opened when it is first needed.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use pugmark::enrich::Enricher;
use pugmark::{Error, ErrorKind, Options, Pugmark, Sampling};
use serde::Serialize;
use tokio::sync::OnceCell;

use crate::config::{Config, Enrich};
use crate::enrich::enricher;
use crate::limits::NAME_MAX_BYTES;
use crate::problem::{Answer, Problem};

/// A project and one of its environments, such as `shop/production`: the directory of its store.
///
/// ```
/// use pugmark_server::ProjectName;
/// let name: ProjectName = "shop/production".parse().unwrap();
/// assert_eq!(name.to_string(), "shop/production");
/// assert!("../etc".parse::<ProjectName>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct ProjectName {
    project: String,
    environment: String,
}

impl ProjectName {
    /// The environment where none is said.
    pub const DEFAULT_ENVIRONMENT: &str = "production";

    fn dir(&self, root: &Path) -> PathBuf {
        root.join(&self.project).join(&self.environment)
    }
}

impl From<ProjectName> for String {
    fn from(name: ProjectName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.environment)
    }
}

impl FromStr for ProjectName {
    type Err = String;

    /// Reads `project/environment`, or `project` alone for its environment `production`.
    ///
    /// # Errors
    /// A name that has anything but small letters, digits, `-` and `_`, does not begin with a letter or a digit, or is longer than 63 bytes: nothing else becomes a part of a path.
    fn from_str(text: &str) -> Result<Self, String> {
        let (project, environment) = text.split_once('/').unwrap_or((text, Self::DEFAULT_ENVIRONMENT));
        for part in [project, environment] {
            let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            let begins = part.bytes().next().is_some_and(is_plain);
            let goes_on = part.bytes().all(|byte| is_plain(byte) || matches!(byte, b'-' | b'_'));
            if !begins || !goes_on || part.len() > NAME_MAX_BYTES {
                return Err(format!(
                    "{part:?} names no project or environment: small letters, digits, - and _, at most {NAME_MAX_BYTES}, a letter or digit first"
                ));
            }
        }
        Ok(Self { project: project.to_owned(), environment: environment.to_owned() })
    }
}

/// A project that is open.
pub(crate) struct Project {
    pub(crate) name: ProjectName,
    pub(crate) db: Pugmark,
    /// Adds to events what they say of their sender, and takes addresses away.
    pub(crate) enricher: Enricher,
    /// Whether it does more than take addresses away.
    pub(crate) enriches: bool,
    /// Whether an event without a distinct id gets that of its visitor.
    pub(crate) names_visitors: bool,
    /// Whose events are stored.
    pub(crate) sampling: Sampling,
}

/// The stores under a directory.
pub(crate) struct Projects {
    root: PathBuf,
    options: Options,
    enrich: Enrich,
    sampling: Sampling,
    open_max: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    stores: HashMap<ProjectName, Slot>,
    /// Counts uses, so that the store that was used longest ago can be told.
    uses: u64,
    closed: bool,
}

#[derive(Default)]
struct Slot {
    store: Arc<OnceCell<Arc<Project>>>,
    used: u64,
}

impl Projects {
    pub(crate) fn new(root: &Path, options: Options, config: &Config) -> pugmark::Result<Self> {
        let (enrich, sampling, open_max) = (config.enrich.clone(), config.sampling()?, config.stores_open_max.max(1));
        Ok(Self { root: root.to_owned(), options, enrich, sampling, open_max, open: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is a store of this project.
    pub(crate) fn has(&self, name: &ProjectName) -> bool {
        self.lock().stores.contains_key(name) || name.dir(&self.root).exists()
    }

    /// The store of a project, which is opened or made where it is not open.
    pub(crate) async fn store(&self, name: &ProjectName) -> Answer<Arc<Project>> {
        let (slot, idle) = {
            let mut open = self.lock();
            if open.closed {
                return Err(Problem::busy("the server is shutting down"));
            }
            open.uses += 1;
            let used = open.uses;
            let idle = if open.stores.contains_key(name) { None } else { open.make_room(self.open_max)? };
            let slot = open.stores.entry(name.clone()).or_default();
            slot.used = used;
            (Arc::clone(&slot.store), idle)
        };
        if let Some(idle) = idle {
            close(idle).await;
        }
        let store = slot
            .get_or_try_init(|| async {
                let (dir, options, enrich) = (name.dir(&self.root), self.options.clone(), self.enrich.clone());
                let (name, sampling) = (name.clone(), self.sampling);
                let opened = tokio::task::spawn_blocking(move || {
                    // Whatever is wrong with it, it is nothing that the caller could mend.
                    let db = Pugmark::open_with(dir, options).map_err(|error| match Problem::from(error) {
                        problem if problem.status < 500 => problem.with_status(StatusCode::INTERNAL_SERVER_ERROR),
                        problem => problem,
                    })?;
                    // It stands in the log before the first event that it decides about.
                    db.set_sampling(sampling)?;
                    let (enriches, names_visitors) = (enrich != Enrich::default(), enrich.visitor);
                    let enricher = enricher(&enrich, &db)?;
                    Ok::<_, Problem>(Project { name, db, enricher, enriches, names_visitors, sampling })
                });
                let opened = opened.await.map_err(|e| Problem::internal(format!("opening a store: {e}")))?;
                Ok::<_, Problem>(Arc::new(opened?))
            })
            .await?;
        Ok(Arc::clone(store))
    }

    /// Lets go of a store that cannot go on after this error, so that it is opened again when it is next needed, and then says what is on disk.
    pub(crate) fn heed(&self, project: &Project, error: &Error) {
        if error.kind() != ErrorKind::Poisoned {
            return;
        }
        let is_it = |slot: &Slot| slot.store.get().is_some_and(|open| std::ptr::eq(&**open, project));
        self.lock().stores.retain(|name, slot| *name != project.name || !is_it(slot));
    }

    /// The stores that are open.
    pub(crate) fn all_open(&self) -> Vec<Arc<Project>> {
        self.lock().stores.values().filter_map(|slot| slot.store.get().cloned()).collect()
    }

    /// Closes all stores, for good.
    pub(crate) async fn close(&self) {
        let stores = {
            let mut open = self.lock();
            open.closed = true;
            std::mem::take(&mut open.stores)
        };
        for slot in stores.into_values() {
            close(slot.store).await;
        }
    }
}

impl Open {
    /// Takes out the store that was used longest ago and is in use no more, where as many as may be are open.
    fn make_room(&mut self, open_max: usize) -> Answer<Option<Arc<OnceCell<Arc<Project>>>>> {
        if self.stores.len() < open_max {
            return Ok(None);
        }
        let is_idle = |slot: &Slot| {
            Arc::strong_count(&slot.store) == 1 && slot.store.get().is_none_or(|store| Arc::strong_count(store) == 1)
        };
        let idle = self.stores.iter().filter(|(_, slot)| is_idle(slot)).min_by_key(|(_, slot)| slot.used);
        let Some(name) = idle.map(|(name, _)| name.clone()) else {
            return Err(Problem::busy(format!(
                "{open_max} projects are in use, which is all that the server keeps open at once"
            )));
        };
        Ok(self.stores.remove(&name).map(|slot| slot.store))
    }
}

/// Closes a store of which nobody else has hold; somebody who has lets it close when they let go.
async fn close(slot: Arc<OnceCell<Arc<Project>>>) {
    let Some(project) = Arc::into_inner(slot).and_then(OnceCell::into_inner).and_then(Arc::into_inner) else { return };
    let closed = tokio::task::spawn_blocking(move || project.db.close()).await;
    match closed {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!("closing a store: {error}"),
        Err(error) => tracing::error!("closing a store: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_a_path_out_of_the_directory() {
        for good in ["a", "shop", "shop/staging", "0-9_z/x"] {
            assert!(good.parse::<ProjectName>().is_ok(), "{good}");
        }
        let long = "x".repeat(64);
        for bad in [
            "", "/", "a/", "/a", "..", "../x", "a/..", "a/../b", "a/b/c", ".control", "a/.x", "-a", "A", "ä", "a b",
            "a\0b", "a\\b", "con:", "a%2fb", &long,
        ] {
            let error = bad.parse::<ProjectName>().expect_err(bad);
            assert!(error.contains("names no project"), "{error}");
        }
        assert_eq!("shop".parse::<ProjectName>().unwrap().dir(Path::new("/r")), Path::new("/r/shop/production"));
    }

    #[tokio::test]
    async fn the_store_that_was_used_longest_ago_makes_room() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { stores_open_max: 2, ..Config::default() };
        let projects = Projects::new(dir.path(), Options::default(), &config).unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| name.parse::<ProjectName>().unwrap());
        let held = projects.store(&a).await.unwrap();
        drop(projects.store(&b).await.unwrap());
        // The first is in use, so that the second goes.
        drop(projects.store(&c).await.unwrap());
        let names: Vec<ProjectName> = projects.all_open().iter().map(|project| project.name.clone()).collect();
        assert!(names.contains(&a) && names.contains(&c) && names.len() == 2, "{names:?}");
        let busy = projects.store(&c).await.unwrap();
        assert_eq!(projects.store(&b).await.map(|_| ()).unwrap_err().status, 503);
        drop((held, busy));
        assert!(projects.store(&b).await.is_ok());
        projects.close().await;
        assert_eq!(projects.store(&b).await.map(|_| ()).unwrap_err().status, 503);
    }
}
