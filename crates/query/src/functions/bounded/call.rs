//! A function that is called for so many rows at a time as its result may take memory.

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, ExprSchema, Result, ScalarValue};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ExpressionPlacement, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, StructFieldMapping,
};

use super::amount::Amount;
use super::demand::{Call, Rule};
use super::sizes::SLOT;
use super::{Bounds, held, sizes, types};
use crate::error::{Error, ErrorKind};
use crate::table::external;

/// A function within bounds, and the same as that function in all else.
#[derive(Clone)]
pub(super) struct Bounded {
    pub(super) inner: Arc<dyn ScalarUDFImpl>,
    pub(super) rule: Rule,
    pub(super) bounds: Bounds,
}

impl Bounded {
    fn invoke(&self, args: &ScalarFunctionArgs, rows: Range<usize>) -> Result<ColumnarValue> {
        let cut = |argument: &ColumnarValue| match argument {
            ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(rows.start, rows.len())),
            scalar => scalar.clone(),
        };
        let mut cut: Vec<ColumnarValue> = args.args.iter().map(cut).collect();
        // Where any argument is a column DataFusion takes memory for a length below 0 as well, and panics.
        if let ("lpad" | "rpad", Some(lengths)) = (self.name(), cut.get_mut(1)) {
            match lengths {
                ColumnarValue::Scalar(ScalarValue::Int64(Some(length))) => *length = (*length).max(0),
                ColumnarValue::Array(array) => {
                    if let Some(numbers) = array.as_primitive_opt::<Int64Type>() {
                        *array = Arc::new(numbers.unary::<_, Int64Type>(|length| length.max(0)));
                    }
                }
                ColumnarValue::Scalar(_) => {}
            }
        }
        self.inner.invoke_with_args(ScalarFunctionArgs { args: cut, number_rows: rows.len(), ..args.clone() })
    }

    fn refuse<T>(&self, message: String) -> Result<T> {
        Err(external(Error::new(ErrorKind::Full, format!("{} {message}", self.name()))))
    }

    /// How many rows from `start` on fit together.
    fn fitting(&self, bytes: &Amount, start: usize, end: usize) -> Result<(Range<usize>, u64)> {
        let first = bytes.at(start);
        if first > self.bounds.limits.slice_bytes {
            return self.refuse(format!(
                "would make up to {first} bytes of one row, at most {}: ask for less, as by a shorter text or a smaller number",
                self.bounds.limits.slice_bytes
            ));
        }
        let (mut at, mut sum) = (start + 1, first);
        while at < end && sum + bytes.at(at) <= self.bounds.limits.slice_bytes {
            sum += bytes.at(at);
            at += 1;
        }
        Ok((start..at, sum))
    }

    /// The result for arguments that are the same for all rows.
    fn constant(&self, args: &ScalarFunctionArgs, bytes: &Amount) -> Result<ColumnarValue> {
        let (rows, most) = self.fitting(bytes, 0, 1)?;
        let reservation = MemoryConsumer::new(self.name()).register(&self.bounds.pool);
        reservation.try_grow(in_memory(most))?;
        let made = self.invoke(args, rows)?;
        let found = sizes::bytes(&made.to_array(1)?).first().copied().unwrap_or(0);
        if found > self.bounds.limits.constant_bytes {
            return self.refuse(format!(
                "makes a constant of {found} bytes, at most {}: a constant is written out for every row",
                self.bounds.limits.constant_bytes
            ));
        }
        Ok(made)
    }

    fn by_row(&self, args: &ScalarFunctionArgs, bytes: &Amount) -> Result<ColumnarValue> {
        let all = args.number_rows;
        let reservation = MemoryConsumer::new(self.name()).register(&self.bounds.pool);
        let (rows, most) = self.fitting(bytes, 0, all)?;
        reservation.try_grow(in_memory(most))?;
        let whole = rows.end == all;
        let first = self.invoke(args, rows.clone())?;
        if whole {
            return match first {
                ColumnarValue::Array(array) => Ok(ColumnarValue::Array(held::hold(array, reservation)?)),
                scalar => Ok(scalar),
            };
        }
        let mut done = rows.end;
        let first = first.into_array(rows.len())?;
        let mut sum = bytes_of(&first);
        let mut parts = vec![first];
        while done < all {
            let (rows, most) = self.fitting(bytes, done, all)?;
            reservation.try_resize(sum + in_memory(most))?;
            let part = self.invoke(args, rows.clone())?.into_array(rows.len())?;
            sum += bytes_of(&part);
            if sum as u64 > self.bounds.limits.batch_bytes {
                return self.refuse(format!(
                    "would make more than {} bytes of {all} rows: ask for less, as by shorter texts or smaller numbers",
                    self.bounds.limits.batch_bytes
                ));
            }
            parts.push(part);
            done = rows.end;
        }
        reservation.try_resize(2 * sum)?;
        let whole = joined(parts)?;
        Ok(ColumnarValue::Array(held::hold(whole, reservation)?))
    }
}

fn joined(parts: Vec<ArrayRef>) -> Result<ArrayRef> {
    let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
    Ok(concat(&parts)?)
}

/// What a part takes of its own: texts may lie in buffers that they share with the arguments.
fn bytes_of(part: &ArrayRef) -> usize {
    in_memory(sizes::bytes(part).into_iter().map(|bytes| bytes.saturating_add(SLOT)).fold(0, u64::saturating_add))
}

fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

impl fmt::Debug for Bounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounded")
            .field("inner", &self.inner)
            .field("limits", &self.bounds.limits)
            .finish_non_exhaustive()
    }
}

/// Where a call takes its memory from makes no difference to what it is.
impl PartialEq for Bounded {
    fn eq(&self, other: &Self) -> bool {
        self.bounds.limits == other.bounds.limits && self.inner.dyn_eq(other.inner.as_ref() as &dyn Any)
    }
}

impl Eq for Bounded {}

impl Hash for Bounded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

#[warn(clippy::missing_trait_methods)]
impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        #[expect(deprecated)]
        self.inner.display_name(args)
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let inner = Arc::clone(self.inner.with_updated_config(config)?.inner());
        Some(ScalarUDF::from(Self { inner, ..self.clone() }))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = self.inner.return_field_from_args(args)?;
        types::check(field.data_type())?;
        Ok(field)
    }

    fn is_nullable(&self, args: &[Expr], schema: &dyn ExprSchema) -> bool {
        #[expect(deprecated)]
        self.inner.is_nullable(args, schema)
    }

    fn is_strict(&self) -> bool {
        self.inner.is_strict()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_constant = args.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let rows = if is_constant { 1 } else { args.number_rows };
        if args.args.is_empty() || rows == 0 {
            return self.inner.invoke_with_args(args);
        }
        let demand = (self.rule)(&Call { arguments: &args.args, rows })?;
        let steps = demand.steps.sum(rows);
        if steps > self.bounds.limits.steps {
            return self.refuse(format!(
                "would take up to {steps} steps for {rows} rows, at most {}: ask for shorter texts or lists",
                self.bounds.limits.steps
            ));
        }
        match is_constant {
            true => self.constant(&args, &demand.bytes),
            false => self.by_row(&args, &demand.bytes),
        }
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(match self.inner.simplify(args, info)? {
            // What it becomes is within bounds, too.
            ExprSimplifyResult::Simplified(expr) => {
                let schema = DFSchema::empty();
                let bounded = expr.transform_up(|part| self.bounds.rewrite(part, &schema, info.config_options()));
                ExprSimplifyResult::Simplified(bounded?.data)
            }
            original => original,
        })
    }

    fn preimage(&self, args: &[Expr], literal: &Expr, info: &SimplifyContext) -> Result<PreimageResult> {
        self.inner.preimage(args, literal, info)
    }

    fn short_circuits(&self) -> bool {
        self.inner.short_circuits()
    }

    fn conditional_arguments<'a>(&self, args: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.inner.conditional_arguments(args)
    }

    fn evaluate_bounds(&self, input: &[&Interval]) -> Result<Interval> {
        self.inner.evaluate_bounds(input)
    }

    fn propagate_constraints(&self, interval: &Interval, inputs: &[&Interval]) -> Result<Option<Vec<Interval>>> {
        self.inner.propagate_constraints(interval, inputs)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.inner.output_ordering(inputs)
    }

    fn preserves_lex_ordering(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.inner.preserves_lex_ordering(inputs)
    }

    fn strictly_order_preserving(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.inner.strictly_order_preserving(inputs)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn struct_field_mapping(&self, literals: &[Option<ScalarValue>]) -> Option<StructFieldMapping> {
        self.inner.struct_field_mapping(literals)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn placement(&self, args: &[ExpressionPlacement]) -> ExpressionPlacement {
        self.inner.placement(args)
    }
}
