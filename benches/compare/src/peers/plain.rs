//! A file without any structure: write and `fdatasync`, the S beside which the others are read.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::Result;

use crate::measure::Peer;
use crate::work::Batch;

pub struct Plain(File);

impl Plain {
    pub fn open(dir: &Path) -> Result<Self> {
        Ok(Self(File::options().create_new(true).append(true).open(dir.join("plain"))?))
    }
}

impl Peer for Plain {
    type Prepared = (Vec<u8>, usize);

    fn prepare(&self, batch: &Batch) -> Self::Prepared {
        (batch.bytes(), batch.rows.len())
    }

    fn append(&self, (bytes, count): Self::Prepared) -> Result<usize> {
        (&self.0).write_all(&bytes)?;
        self.0.sync_data()?;
        Ok(count)
    }
}
