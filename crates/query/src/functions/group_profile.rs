//! `group_profile(property, name)`: a trait of the group that an event is of.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use pugmark_registry::Definitions;
use pugmark_store::Sequence;
use serde_json::Value;

use super::prop::texts;
use crate::engine::QuerySnapshot;
use crate::group::traits_of;

/// Name of the function.
pub(crate) const GROUP_PROFILE: &str = "group_profile";

/// The function over the groups of a snapshot.
pub(super) fn scalar(snapshot: &QuerySnapshot) -> ScalarUDF {
    let groups = Groups {
        definitions: Arc::clone(&snapshot.definitions),
        through: snapshot.sequence(),
        known: Mutex::default(),
    };
    ScalarUDF::from(GroupProfile {
        groups: Arc::new(groups),
        signature: Signature::variadic_any(Volatility::Immutable),
    })
}

/// What is known of the groups of a property for one trait, by their values.
type OfTrait = Arc<HashMap<String, Value>>;

struct Groups {
    definitions: Arc<Definitions>,
    through: Sequence,
    /// What has been looked up, by property and trait.
    known: Mutex<HashMap<(String, String), OfTrait>>,
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Groups").field("through", &self.through).finish_non_exhaustive()
    }
}

impl Groups {
    fn of(&self, property: &str, name: &str) -> OfTrait {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let find = || {
            let groups = self.definitions.groups(Some(property), self.through);
            let value = |(_, id, changes): (&str, &str, &[_])| Some((id.to_owned(), traits_of(changes).remove(name)?));
            Arc::new(groups.filter_map(value).collect())
        };
        Arc::clone(known.entry((property.to_owned(), name.to_owned())).or_insert_with(find))
    }
}

/// Numbers or booleans where all values are that, else texts, as JSON where they are none.
fn kind_of(values: &HashMap<String, Value>) -> DataType {
    match values.values().next() {
        Some(Value::Number(_)) if values.values().all(Value::is_number) => DataType::Float64,
        Some(Value::Bool(_)) if values.values().all(Value::is_boolean) => DataType::Boolean,
        _ => DataType::Utf8,
    }
}

/// `group_profile(property, name, overflow [, column])`: the syntax tree's `group_profile('property', 'name')` gets the columns before planning.
#[derive(Debug)]
struct GroupProfile {
    groups: Arc<Groups>,
    signature: Signature,
}

impl PartialEq for GroupProfile {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.groups, &other.groups)
    }
}

impl Eq for GroupProfile {}

impl Hash for GroupProfile {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.groups).hash(state);
    }
}

impl ScalarUDFImpl for GroupProfile {
    fn name(&self) -> &str {
        GROUP_PROFILE
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        internal_err!("the type of {GROUP_PROFILE} follows from the trait")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let text =
            |at: usize| args.scalar_arguments.get(at).copied().flatten().and_then(ScalarValue::try_as_str).flatten();
        match (text(0), text(1), args.arg_fields.len()) {
            (Some(property), Some(name), 3 | 4) => {
                let kind = kind_of(&self.groups.of(property, name));
                Ok(Arc::new(Field::new(GROUP_PROFILE, kind, true)))
            }
            _ => plan_err!(
                "{GROUP_PROFILE} takes the name of a property and that of a trait in single quotes, as in group_profile('company', 'plan')"
            ),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [ColumnarValue::Scalar(property), ColumnarValue::Scalar(name), overflow, column @ ..] =
            args.args.as_slice()
        else {
            return exec_err!("{GROUP_PROFILE} takes two names and the value of a property");
        };
        let (Some(Some(property)), Some(Some(name))) = (property.try_as_str(), name.try_as_str()) else {
            return exec_err!("{GROUP_PROFILE} takes two names");
        };
        let values = self.groups.of(property, name);
        let overflow = cast(&overflow.to_array(args.number_rows)?, &DataType::Utf8)?;
        let column = column.first().map(|column| column.to_array(args.number_rows)).transpose()?;
        let ids = texts(property, &overflow, column.as_ref())?;
        let ids = ids.as_string::<i32>();
        // A whole number is the same group in a column that has fractions, too.
        let doubles = column.is_some_and(|column| column.data_type() == &DataType::Float64);
        let id = |row: usize| {
            let id = ids.value(row);
            if doubles { id.strip_suffix(".0").unwrap_or(id) } else { id }
        };
        let found = (0..ids.len()).map(|row| ids.is_valid(row).then(|| values.get(id(row))).flatten());
        let array: ArrayRef = match kind_of(&values) {
            DataType::Float64 => Arc::new(found.map(|value| value?.as_f64()).collect::<Float64Array>()),
            DataType::Boolean => Arc::new(found.map(|value| value?.as_bool()).collect::<BooleanArray>()),
            _ => {
                let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                Arc::new(found.map(|value| value.map(text)).collect::<StringArray>())
            }
        };
        Ok(ColumnarValue::Array(array))
    }
}
