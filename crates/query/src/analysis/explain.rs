//! How an answer was found.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::physical_plan::metrics::{MetricValue, MetricsSet};
use datafusion::physical_plan::{ExecutionPlan, displayable};
use serde::Serialize;

use crate::local::Local;
use crate::table::EventsExec;

/// How an answer was found: what was read, and the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Explain {
    /// What was read: `rollups`, `columns` and `tail`, those of them that were, joined by `and`; or `nothing`.
    pub source: String,
    /// Columnar files of the snapshot.
    pub files: usize,
    /// Files that were opened; the others hold nothing that the question is about.
    pub files_read: usize,
    /// Row groups left unread in the files that were opened, by their statistics.
    pub row_groups_pruned: usize,
    /// Row groups read, in whole or in part.
    pub row_groups_read: usize,
    /// Rows read, of files and tail.
    pub rows: usize,
    /// Bytes read from files.
    pub bytes: usize,
    /// The plan, one operator a line.
    pub plan: String,
    /// How the people of the question's segment were found, where it has one; what was read for them is not counted above.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(no_recursion, nullable = false))]
    pub segment: Option<Box<Self>>,
}

impl Explain {
    /// Of a plan that has run.
    pub(crate) fn of(plan: &Arc<dyn ExecutionPlan>) -> Self {
        let mut explain = Self {
            source: String::new(),
            files: 0,
            files_read: 0,
            row_groups_pruned: 0,
            row_groups_read: 0,
            rows: 0,
            bytes: 0,
            plan: displayable(plan.as_ref()).indent(false).to_string(),
            segment: None,
        };
        explain.add(plan);
        if explain.source.is_empty() {
            explain.source = "nothing".to_owned();
        }
        explain
    }

    /// Of the local road: `operator` says what was done.
    pub(crate) fn of_local(local: &Local, operator: &str) -> Self {
        let read = &local.read;
        let (files_read, rows) = (read.files.load(Ordering::Relaxed), read.rows.load(Ordering::Relaxed));
        let cells = read.rollup_cells.load(Ordering::Relaxed);
        let tail = read.tails.load(Ordering::Relaxed) > 0;
        let sources = [("rollups", cells > 0), ("columns", files_read > 0), ("tail", tail)];
        let named: Vec<&str> = sources.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
        let source = if named.is_empty() { "nothing".to_owned() } else { named.join(" and ") };
        let files = local.snapshot.columns.files().len();
        let bytes = read.bytes.load(Ordering::Relaxed);
        let declared = match read.declared.get() {
            Some(name) => format!(", declared={name}, cubes={}", read.cubes.load(Ordering::Relaxed)),
            None => String::new(),
        };
        let plan = format!(
            "{operator}\n  Local: files={files}, files_read={files_read}, rows={rows}, rollup_cells={cells}, bytes={bytes}{declared}\n"
        );
        Self {
            source,
            files,
            files_read,
            row_groups_pruned: 0,
            row_groups_read: read.groups.load(Ordering::Relaxed),
            rows,
            bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
            plan,
            segment: None,
        }
    }

    /// Of this and what had to be found for it.
    pub(crate) fn with(mut self, other: &Self) -> Self {
        let has = |name: &&str| [&self.source, &other.source].iter().any(|source| source.contains(*name));
        let named: Vec<&str> = ["rollups", "columns", "tail"].into_iter().filter(has).collect();
        if !named.is_empty() {
            self.source = named.join(" and ");
        }
        self.files_read += other.files_read;
        self.row_groups_pruned += other.row_groups_pruned;
        self.row_groups_read += other.row_groups_read;
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.plan.push_str(&other.plan);
        self
    }

    fn add(&mut self, plan: &Arc<dyn ExecutionPlan>) {
        if let Some(scan) = plan.downcast_ref::<EventsExec>() {
            let facts = scan.facts();
            self.files += facts.files;
            self.files_read += facts.files_read;
            self.source = match (facts.files_read > 0, facts.tail_rows > 0) {
                (true, true) => "columns and tail",
                (true, false) => "columns",
                (false, true) => "tail",
                (false, false) => "nothing",
            }
            .to_owned();
            self.rows += plan.metrics().and_then(|metrics| metrics.output_rows()).unwrap_or(0);
        }
        if let Some(metrics) = plan.metrics() {
            self.bytes += metrics.sum_by_name("bytes_scanned").map_or(0, |sum| sum.as_usize());
            let (pruned, read) = row_groups(&metrics);
            self.row_groups_pruned += pruned;
            self.row_groups_read += read;
        }
        plan.children().into_iter().for_each(|child| self.add(child));
    }
}

fn row_groups(metrics: &MetricsSet) -> (usize, usize) {
    let mut sum = (0, 0);
    for metric in metrics.iter() {
        if let MetricValue::PruningMetrics { name, pruning_metrics } = metric.value()
            && name == "row_groups_pruned_statistics"
        {
            sum.0 += pruning_metrics.pruned();
            sum.1 += pruning_metrics.matched();
        }
    }
    sum
}
