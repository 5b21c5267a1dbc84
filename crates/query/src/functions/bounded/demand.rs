//! What a call may take, told from its arguments before it is made.

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Result;
use datafusion::logical_expr::ColumnarValue;

use super::amount::Amount;
use super::concatenation::CONCATENATION;
use super::series;
use super::sizes::{self, SLOT};
use super::types;

/// The most bytes that a letter has in UTF-8.
const LETTER: u64 = 4;
/// The most that `to_char` makes of one letter of its format (`%+` is an instant in full), and of a duration.
const FORMATTED: u64 = 32;
const DURATION: u64 = 256;
/// A search of a pattern looks at so many letters in the time that a comparison of two elements takes.
const LETTERS_A_STEP: u64 = 128;

/// What a call may take at most.
#[derive(Debug)]
pub(super) struct Demand {
    /// Of its result.
    pub(super) bytes: Amount,
    /// Comparisons.
    pub(super) steps: Amount,
}

impl Demand {
    fn bytes(bytes: Amount) -> Self {
        Self { bytes, steps: Amount::Each(0) }
    }

    fn steps(steps: Amount) -> Self {
        Self { bytes: Amount::Each(0), steps }
    }
}

/// Tells what a call may take.
pub(super) type Rule = fn(&Call<'_>) -> Result<Demand>;

/// The arguments of a call.
pub(super) struct Call<'a> {
    pub(super) arguments: &'a [ColumnarValue],
    pub(super) rows: usize,
}

impl Call<'_> {
    pub(super) fn amount(&self, argument: &ColumnarValue, of: impl Fn(&dyn Array) -> Vec<u64>) -> Result<Amount> {
        Ok(match argument {
            ColumnarValue::Array(array) => Amount::Rows(of(array)),
            ColumnarValue::Scalar(scalar) => Amount::Each(of(&scalar.to_array()?).first().copied().unwrap_or(0)),
        })
    }

    /// Of the argument at this place, 0 where there is none.
    fn of(&self, at: usize, of: impl Fn(&dyn Array) -> Vec<u64>) -> Result<Amount> {
        self.arguments.get(at).map_or(Ok(Amount::Each(0)), |argument| self.amount(argument, of))
    }

    fn bytes(&self, at: usize) -> Result<Amount> {
        self.of(at, sizes::bytes)
    }

    fn lengths(&self, at: usize) -> Result<Amount> {
        self.of(at, sizes::lengths)
    }

    /// The number of the argument at this place, 0 for one below.
    fn count(&self, at: usize) -> Result<Amount> {
        let Some(argument) = self.arguments.get(at) else { return Ok(Amount::Each(0)) };
        let argument = argument.cast_to(&DataType::Int64, None)?;
        self.amount(&argument, |array| {
            let numbers = array.as_primitive::<Int64Type>();
            numbers.iter().map(|number| number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0)).collect()
        })
    }

    /// The bytes of all arguments, and `more` for each.
    fn all(&self, more: u64) -> Result<Amount> {
        let each = (0..self.arguments.len()).map(|at| self.bytes(at));
        each.reduce(|sum, bytes| Ok(sum?.plus(&bytes?)))
            .unwrap_or(Ok(Amount::Each(0)))
            .map(|sum| sum.and(more.saturating_mul(self.arguments.len() as u64)))
    }

    /// What an element of the list at this place takes whatever it is.
    fn element(&self, at: usize) -> u64 {
        self.arguments.get(at).map_or(SLOT, |list| types::element_bytes(&list.data_type()).max(SLOT))
    }
}

/// The rule of a function that may make much of little, by its name.
pub(super) fn rule(name: &str) -> Option<Rule> {
    Some(match name {
        "repeat" => |call| Ok(Demand::bytes(call.bytes(0)?.times(&call.count(1)?).and(SLOT))),
        "lpad" | "rpad" => |call| {
            let letters = call.count(1)?.map(|letters| letters.saturating_mul(LETTER));
            Ok(Demand::bytes(call.bytes(0)?.plus(&letters).plus(&call.bytes(2)?).and(SLOT)))
        },
        "replace" => replace,
        "regexp_replace" => regexp_replace,
        "regexp_count" | "regexp_instr" => |call| Ok(Demand::steps(search(&call.bytes(0)?))),
        "levenshtein" => |call| Ok(Demand::steps(call.bytes(0)?.times(&call.bytes(1)?))),
        "translate" => |call| Ok(Demand::bytes(call.bytes(0)?.map(|bytes| bytes.saturating_mul(LETTER)).and(SLOT))),
        "to_char" => {
            |call| Ok(Demand::bytes(call.bytes(1)?.map(|bytes| bytes.saturating_mul(FORMATTED)).and(DURATION)))
        }
        "overlay" | "concat" | CONCATENATION => |call| Ok(Demand::bytes(call.all(0)?.and(SLOT))),
        "concat_ws" => |call| {
            let separators = call.bytes(0)?.map(|bytes| bytes.saturating_mul(call.arguments.len() as u64));
            Ok(Demand::bytes(call.all(0)?.plus(&separators).and(SLOT)))
        },
        "string_to_array" => |call| {
            let parts = call.bytes(0)?.with(&call.bytes(1)?, |text, delimiter| text / delimiter.max(1)).and(1);
            Ok(Demand::bytes(parts.map(|parts| parts.saturating_mul(SLOT + 1)).plus(&call.bytes(0)?).and(SLOT)))
        },
        "array_to_string" => |call| {
            let between = call.of(0, sizes::leaves)?.times(&call.bytes(1)?.plus(&call.bytes(2)?));
            Ok(Demand::bytes(call.of(0, sizes::texts)?.plus(&between).and(SLOT)))
        },
        "make_array" | "array_append" | "array_prepend" => |call| Ok(Demand::bytes(call.all(SLOT)?.and(SLOT))),
        "array_concat" | "array_union" | "map" => |call| Ok(Demand::bytes(call.all(SLOT)?.and(SLOT))),
        "array_repeat" => |call| Ok(Demand::bytes(call.bytes(0)?.and(SLOT).times(&call.count(1)?).and(SLOT))),
        "array_resize" => |call| {
            let element = call.bytes(2)?.and(call.element(0));
            Ok(Demand::bytes(call.bytes(0)?.plus(&element.times(&call.count(1)?)).and(SLOT)))
        },
        "array_replace" | "array_replace_n" | "array_replace_all" => |call| {
            let others = call.lengths(0)?.times(&call.bytes(2)?.and(SLOT));
            Ok(Demand::bytes(call.bytes(0)?.plus(&others).and(SLOT)))
        },
        "arrays_zip" => |call| {
            // Shorter lists are filled up.
            let (mut longest, mut element) = (Amount::Each(0), 0_u64);
            for at in 0..call.arguments.len() {
                longest = longest.with(&call.lengths(at)?, u64::max);
                element = element.saturating_add(call.element(at));
            }
            Ok(Demand::bytes(call.all(0)?.plus(&longest.map(|length| length.saturating_mul(element))).and(SLOT)))
        },
        "range" | "generate_series" => |call| {
            let lengths = series::lengths(call)?;
            Ok(Demand::bytes(lengths.map(|length| length.saturating_mul(series::ELEMENT_BYTES)).and(SLOT)))
        },
        "array_has_all" | "array_has_any" => |call| Ok(Demand::steps(call.lengths(0)?.times(&call.lengths(1)?))),
        // Casts once a statement is planned, and what is made of its arguments as they are: only their types are bounded.
        "arrow_cast" | "arrow_try_cast" | "struct" | "named_struct" => |_| Ok(Demand::bytes(Amount::Each(0))),
        _ => return None,
    })
}

fn replace(call: &Call<'_>) -> Result<Demand> {
    let (text, from, to) = (call.bytes(0)?, call.bytes(1)?, call.bytes(2)?);
    let places = text.clone().with(&from, |text, from| text.checked_div(from).unwrap_or(0));
    // A constant is written out for each row where another argument is none.
    Ok(Demand::bytes(text.plus(&places.times(&to)).plus(&from).plus(&to).and(SLOT)))
}

/// Each place where the pattern matches becomes the replacement, with groups of the match in it.
fn regexp_replace(call: &Call<'_>) -> Result<Demand> {
    let (text, replacement) = (call.bytes(0)?, call.bytes(2)?);
    let is_global = match call.arguments.get(3) {
        None => false,
        Some(ColumnarValue::Scalar(flags)) => flags.try_as_str().flatten().is_none_or(|flags| flags.contains('g')),
        Some(ColumnarValue::Array(_)) => true,
    };
    let groups = match call.arguments.get(2) {
        Some(ColumnarValue::Scalar(text)) => {
            let text = text.try_as_str().flatten().unwrap_or_default();
            Amount::Each(text.bytes().filter(|byte| matches!(byte, b'$' | b'\\')).count() as u64)
        }
        _ => replacement.clone(),
    };
    // The matches do not overlap: a group of all of them together is no longer than the text.
    let places = if is_global { text.clone().and(1) } else { Amount::Each(1) };
    let bytes = text.clone().times(&groups.and(1)).plus(&places.times(&replacement)).plus(&replacement).and(SLOT);
    let steps = if is_global { search(&text) } else { Amount::Each(0) };
    Ok(Demand { bytes, steps })
}

/// To find all places of a pattern may take the square of the text.
fn search(text: &Amount) -> Amount {
    text.clone().times(text).map(|letters| letters / LETTERS_A_STEP)
}
