//! Everything that a store holds from a sequence on, expired segments' operations included.

use crate::base::{BaseReader, each_operation};
use crate::error::{Error, Result};
use crate::fold::Committed;
use crate::id::Sequence;
use crate::log::{Scan, each_ahead};
use crate::queue::lock;
use crate::record::BaseSection;
use crate::snapshot::Snapshot;
use crate::store::Store;

impl Store {
    /// Gives every record to `each` that `snapshot` knows and that has a sequence of `from` or later, in order: first the operations that outlived their segments, each as a
    /// batch of its own with gaps between them, then the batches of the log, whose first may begin before `from`. What is removed or expires meanwhile waits until the end.
    ///
    /// # Errors
    /// Those of the disk, [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) for damage, and those of `each`; nothing follows an error.
    pub fn replay<E: From<Error>>(
        &self,
        snapshot: &Snapshot,
        from: Sequence,
        mut each: impl FnMut(&Committed<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let _alone = lock(&self.shared.maintenance);
        let (mut next, last) = (Sequence::FIRST, snapshot.sequence());
        for base in self.shared.base_dir.bases()? {
            next = base.end;
            if next <= from {
                continue;
            }
            let mut reader = BaseReader::open(&self.shared.base_dir, &base)?;
            while let Some(section) = reader.next()? {
                let BaseSection::Operations { names, records } = section.decode()? else { continue };
                each_operation(&names, records, |batch| {
                    if (from..=last).contains(&batch.first_sequence) { each(batch) } else { Ok(()) }
                })?;
            }
        }
        let next = next.max(from);
        let near = lock(&self.shared.state).index.position(next)?;
        each_ahead(Scan::new(&self.shared.log_dir, next, last, near)?, |frame| {
            let payload = frame.payload()?;
            each(&Committed { first_sequence: frame.first_sequence(), payload: &payload })
        })
    }
}
