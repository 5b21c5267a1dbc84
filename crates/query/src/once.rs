//! Joins by other conditions than equality: what is held of one side is read once.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::joins::NestedLoopJoinExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};

/// An [`OnceExec`] has those of its input.
const SAME_PROPERTIES: ReplaceChildrenOptions = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);

/// Puts an [`OnceExec`] under every join that would read its left side once more where memory runs out.
///
/// DataFusion 55 does so from plans that have run: files give nothing the second time, of which it makes a wrong answer, and repartitions panic. It also counts
/// rows without a match once for each partition of the right side there. No answer is better than these.
#[derive(Debug)]
pub(crate) struct ReadOnce;

impl PhysicalOptimizerRule for ReadOnce {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = plan.transform_up(|node| {
            let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() else { return Ok(Transformed::no(node)) };
            let left: Arc<dyn ExecutionPlan> = Arc::new(OnceExec::new(Arc::clone(join.left())));
            let right = Arc::clone(join.right());
            Ok(Transformed::yes(node.replace_children(vec![left, right], SAME_PROPERTIES)?))
        });
        plan.data()
    }

    fn name(&self) -> &str {
        "read_once"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Its input, which is run once.
#[derive(Debug)]
struct OnceExec {
    input: Arc<dyn ExecutionPlan>,
    has_run: AtomicBool,
}

impl OnceExec {
    fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        Self { input, has_run: AtomicBool::new(false) }
    }
}

impl DisplayAs for OnceExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnceExec")
    }
}

impl ExecutionPlan for OnceExec {
    fn name(&self) -> &str {
        "OnceExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _apply: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    // A plan that is made anew, as for each step of a recursion, may run again.
    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let (Some(input), true) = (children.pop(), children.is_empty()) else {
            return internal_err!("OnceExec has one input");
        };
        Ok(Arc::new(Self::new(input)))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if self.has_run.swap(true, Ordering::Relaxed) {
            let what = "memory ran out while one side of a join by other conditions than equality was read, which holds all rows of it";
            return Err(DataFusionError::ResourcesExhausted(what.to_owned()));
        }
        self.input.execute(partition, context)
    }
}
