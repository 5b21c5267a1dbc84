//! `in_segment(person)`: whether a person is among people who were found before.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, UInt32Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::local::People;

/// Name of the function.
pub(crate) const IN_SEGMENT: &str = "in_segment";

/// The function of certain people, which is in no registry: a plan with it runs where it was made.
pub(crate) fn in_segment(people: Arc<People>) -> ScalarUDF {
    ScalarUDF::from(InSegment { people, signature: Signature::exact(vec![DataType::UInt32], Volatility::Immutable) })
}

#[derive(Debug)]
struct InSegment {
    people: Arc<People>,
    signature: Signature,
}

impl PartialEq for InSegment {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.people, &other.people)
    }
}

impl Eq for InSegment {}

impl Hash for InSegment {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.people).hash(state);
    }
}

impl ScalarUDFImpl for InSegment {
    fn name(&self) -> &str {
        IN_SEGMENT
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [person] = args.args.as_slice() else { return exec_err!("{IN_SEGMENT} takes a person") };
        let persons: ArrayRef = cast(&person.to_array(args.number_rows)?, &DataType::UInt32)?;
        let within = persons.as_primitive::<UInt32Type>().iter();
        let within: BooleanArray = within.map(|person| Some(self.people.contains(person?))).collect();
        Ok(ColumnarValue::Array(Arc::new(within)))
    }
}
