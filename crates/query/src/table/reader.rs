//! How scans read columnar files: every byte is checked before Parquet sees it.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use datafusion::common::{Result, exec_datafusion_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{
    CachedParquetMetaData, ParquetFileMetrics, ParquetFileReaderFactory,
};
use datafusion::execution::cache::cache_manager::{CachedFileMetadataEntry, FileMetadataCache};
use datafusion::object_store::ObjectMeta;
use datafusion::object_store::path::Path;
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::errors::Result as ParquetResult;
use datafusion::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::columns::{Bytes, ColumnFile, Guarded, external};

/// Makes readers of the files of one scan.
#[derive(Debug)]
pub(super) struct Readers {
    files: HashMap<Path, Arc<ColumnFile>>,
    cache: Arc<FileMetadataCache>,
}

impl Readers {
    pub(super) fn new(cache: Arc<FileMetadataCache>) -> Self {
        Self { files: HashMap::new(), cache }
    }

    pub(super) fn add(&mut self, at: Path, file: &Arc<ColumnFile>) {
        self.files.insert(at, Arc::clone(file));
    }
}

impl ParquetFileReaderFactory for Readers {
    fn create_reader(
        &self,
        partition_index: usize,
        partitioned_file: PartitionedFile,
        _metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let meta = partitioned_file.object_meta;
        let file = self.files.get(&meta.location);
        let file = file.ok_or_else(|| exec_datafusion_err!("invariant: {} is a file of the scan", meta.location))?;
        let metrics = ParquetFileMetrics::new(partition_index, meta.location.as_ref(), metrics);
        Ok(Box::new(Reader { file: Arc::clone(file), meta, metrics, cache: Arc::clone(&self.cache) }))
    }
}

struct Reader {
    file: Arc<ColumnFile>,
    meta: ObjectMeta,
    metrics: ParquetFileMetrics,
    cache: Arc<FileMetadataCache>,
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        let bytes = self.get_byte_ranges(vec![range]);
        async move { Ok(bytes.await?.into_iter().next().unwrap_or_default()) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        let bytes: u64 = ranges.iter().map(|range| range.end.saturating_sub(range.start)).sum();
        self.metrics.bytes_scanned.add(usize::try_from(bytes).unwrap_or(usize::MAX));
        let file = Arc::clone(&self.file.data);
        beside(move || {
            let file = Guarded::open(file).map_err(external)?;
            ranges.into_iter().map(|range| file.read(range).map_err(external)).collect()
        })
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        if let Some(cached) = self.cache.get(&self.meta.location)
            && cached.is_valid_for(&self.meta)
            && let Some(cached) = cached.file_metadata.as_any().downcast_ref::<CachedParquetMetaData>()
        {
            return std::future::ready(Ok(Arc::clone(cached.parquet_metadata()))).boxed();
        }
        let file = Arc::clone(&self.file.data);
        // With the page index, whoever asks first: all of it is kept for those who ask later.
        let read = beside(move || {
            let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
            Ok(Arc::new(reader.parse_and_finish(&Guarded::open(file).map_err(external)?)?))
        });
        async move {
            let metadata = read.await?;
            let entry = Arc::new(CachedParquetMetaData::new(Arc::clone(&metadata)));
            self.cache.put(&self.meta.location, CachedFileMetadataEntry::new(self.meta.clone(), entry));
            Ok(metadata)
        }
        .boxed()
    }
}

/// Reads on a thread that may wait for a disk.
fn beside<T: Send + 'static>(
    read: impl FnOnce() -> ParquetResult<T> + Send + 'static,
) -> BoxFuture<'static, ParquetResult<T>> {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => {
            let read = runtime.spawn_blocking(read);
            async move {
                read.await.unwrap_or_else(|e| Err(datafusion::parquet::errors::ParquetError::External(Box::new(e))))
            }
            .boxed()
        }
        Err(_) => std::future::ready(read()).boxed(),
    }
}
