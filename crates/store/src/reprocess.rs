//! Builds folds anew from the log, beside those that answer.

use std::sync::Arc;

use crate::base::{BaseReader, each_operation};
use crate::error::{Error, Result};
use crate::fold::{Committed, Fold};
use crate::id::Sequence;
use crate::log::{Scan, each_ahead};
use crate::queue::lock;
use crate::record::BaseSection;
use crate::store::{Shared, Store};

/// What is left of the log when commits are held up for the rest.
const HELD_UP_FOR: u64 = 65_536;

impl Store {
    /// Builds the folds whose name is `wanted` anew from the log, into new files, and puts them in place at the end; until then, and in snapshots taken before,
    /// the old ones answer. Of subjects and message ids there is nothing to build: what the log holds of them is checked on every append.
    ///
    /// # Errors
    /// Those of the disk; [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) for damage in the log. The old folds then stay.
    pub fn reprocess(&self, wanted: impl Fn(&str) -> bool) -> Result<()> {
        // Held, so that no segment goes between what the bases say and what the log does.
        let _alone = lock(&self.shared.maintenance);
        self.shared.reprocess(&wanted, &|| true).map(|_| ())
    }
}

impl Shared {
    /// As [`Store::reprocess`], for whoever holds the maintenance lock; told to stop it changes nothing, and says so.
    pub(crate) fn reprocess(&self, wanted: &dyn Fn(&str) -> bool, go_on: &dyn Fn() -> bool) -> Result<bool> {
        let mut built: Vec<Box<dyn Fold>> =
            lock(&self.state).folds.iter().filter(|fold| wanted(fold.name())).map(|fold| fold.fresh()).collect();
        let mut next = Sequence::FIRST;
        for base in self.base_dir.bases()? {
            let mut reader = BaseReader::open(&self.base_dir, &base)?;
            while let Some(section) = reader.next()? {
                let BaseSection::Operations { names, records } = section.decode()? else { continue };
                each_operation(&names, records, |batch| built.iter_mut().try_for_each(|fold| fold.apply_base(batch)))?;
            }
            next = base.end;
        }
        while self.snapshot().sequence().number() + 1 > next.number() + HELD_UP_FOR {
            match apply(self.scan(next)?, &mut built, next, go_on) {
                Ok(reached) => next = reached,
                Err(Halt::Told) => return Ok(false),
                Err(Halt::Failed(error)) => return Err(error),
            }
        }
        let mut state = lock(&self.state);
        state.check_poison()?;
        state.log.sync()?;
        let near = state.index.position(next)?;
        let rest = Scan::new(&self.log_dir, next, state.applied, near)?;
        if let Err(Halt::Failed(error)) = apply(rest, &mut built, next, &|| true) {
            return Err(error);
        }
        state.succeed(built)?;
        let snapshot = Arc::new(state.publish());
        drop(state);
        self.show_durable(snapshot);
        self.room.notify_all();
        Ok(true)
    }
}

/// Why folds were not applied to all of a scan.
enum Halt {
    Told,
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Applies a scan to folds; where the next one begins.
fn apply(
    scan: Scan,
    folds: &mut [Box<dyn Fold>],
    mut next: Sequence,
    go_on: &dyn Fn() -> bool,
) -> std::result::Result<Sequence, Halt> {
    each_ahead(scan, |frame| {
        if !go_on() {
            return Err(Halt::Told);
        }
        let payload = frame.payload()?;
        let batch = Committed { first_sequence: frame.first_sequence(), payload: &payload };
        next = batch.last_sequence().plus(1);
        Ok(folds.iter_mut().try_for_each(|fold| fold.apply(&batch))?)
    })?;
    Ok(next)
}
