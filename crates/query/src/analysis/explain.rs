//! How an answer was found.

use std::sync::Arc;

use datafusion::physical_plan::metrics::{MetricValue, MetricsSet};
use datafusion::physical_plan::{ExecutionPlan, displayable};
use serde::Serialize;

use crate::table::EventsExec;

/// How an answer was found: what was read, and the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explain {
    /// `columns`, `tail`, `columns and tail`, or `nothing`.
    pub source: &'static str,
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
}

impl Explain {
    /// Of a plan that has run.
    pub(crate) fn of(plan: &Arc<dyn ExecutionPlan>) -> Self {
        let mut explain = Self {
            source: "nothing",
            files: 0,
            files_read: 0,
            row_groups_pruned: 0,
            row_groups_read: 0,
            rows: 0,
            bytes: 0,
            plan: displayable(plan.as_ref()).indent(false).to_string(),
        };
        explain.add(plan);
        explain
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
            };
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
