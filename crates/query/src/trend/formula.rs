//! Formulas over series: a small language with a parser and a stack.

use super::Number;
use crate::spec::SpecError;

/// How many bytes a formula may have.
pub const MAX_FORMULA_BYTES: usize = 1_000;
/// How deep parentheses and signs may lie within each other.
const MAX_DEPTH: usize = 32;

/// A formula over series, such as `A / B * 100`: series by their letters (A to Z, then AA and so on), numbers, `+ - * /` with the usual ranks, signs and parentheses.
///
/// ```
/// use pugmark_query::trend::{Formula, Number};
///
/// let share = Formula::parse("A / (A + B) * 100", 2)?;
/// assert_eq!(share.of(&[1.into(), 3.into()]), Number::Real(25.0));
/// assert!(share.of(&[0.into(), 0.into()]).is_null());
/// assert_eq!(Formula::parse("A + C", 2).unwrap_err().at, Some(4));
/// # Ok::<(), pugmark_query::spec::SpecError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Formula {
    /// In the order in which they are done.
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Number(f64),
    /// The value of a series, by place.
    Series(usize),
    Negate,
    Add,
    Subtract,
    Multiply,
    Divide,
}

impl Formula {
    /// Reads a formula over so many series.
    ///
    /// # Errors
    /// [`SpecErrorKind::Invalid`](crate::spec::SpecErrorKind::Invalid) with the byte at which the text is no formula or names a series that there is not; for more than
    /// [`MAX_FORMULA_BYTES`] and for more than 32 levels.
    pub fn parse(text: &str, series: usize) -> Result<Self, SpecError> {
        if text.len() > MAX_FORMULA_BYTES {
            let length = text.len();
            return Err(SpecError::invalid(format!("takes at most {MAX_FORMULA_BYTES} bytes, found {length}")));
        }
        let mut parser = Parser { text, at: 0, series, depth: 0, steps: Vec::new() };
        parser.sum()?;
        match parser.peek() {
            None => Ok(Self { steps: parser.steps }),
            Some(found) => Err(parser.wrong(format_args!("has \"{found}\" where an operator or its end was expected"))),
        }
    }

    /// Its value where the series have these: NULL where one that it needs is, where something is divided by zero, and beyond the largest double.
    pub fn of(&self, series: &[Number]) -> Number {
        let mut stack: Vec<f64> = Vec::with_capacity(self.steps.len());
        // What is no number stays none, whatever is made of it.
        let pop = |stack: &mut Vec<f64>| stack.pop().unwrap_or(f64::NAN);
        for step in &self.steps {
            let value = match step {
                Step::Number(number) => *number,
                Step::Series(place) => series.get(*place).map_or(f64::NAN, |number| number.as_f64()),
                Step::Negate => -pop(&mut stack),
                Step::Add | Step::Subtract | Step::Multiply | Step::Divide => {
                    let (right, left) = (pop(&mut stack), pop(&mut stack));
                    match step {
                        Step::Add => left + right,
                        Step::Subtract => left - right,
                        Step::Multiply => left * right,
                        _ if right == 0.0 => f64::NAN,
                        _ => left / right,
                    }
                }
            };
            stack.push(value);
        }
        Number::of(Some(pop(&mut stack)).filter(|value| value.is_finite()))
    }
}

/// The letters of a series by its place.
pub(crate) fn letters(place: usize) -> String {
    let letter = |at: usize| char::from(b'A' + (at % 26) as u8);
    match place / 26 {
        0 => letter(place).to_string(),
        more => format!("{}{}", letter(more - 1), letter(place)),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    series: usize,
    depth: usize,
    steps: Vec<Step>,
}

impl Parser<'_> {
    fn peek(&mut self) -> Option<char> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.at += rest.len() - rest.trim_start().len();
        rest.trim_start().chars().next()
    }

    fn wrong(&self, complaint: impl std::fmt::Display) -> SpecError {
        SpecError::invalid(complaint.to_string()).at(self.at)
    }

    fn deeper(&mut self) -> Result<(), SpecError> {
        self.depth += 1;
        match self.depth > MAX_DEPTH {
            true => Err(self.wrong(format_args!("is more than {MAX_DEPTH} levels deep"))),
            false => Ok(()),
        }
    }

    fn sum(&mut self) -> Result<(), SpecError> {
        self.product()?;
        while let Some(operator @ ('+' | '-')) = self.peek() {
            self.at += 1;
            self.product()?;
            self.steps.push(if operator == '+' { Step::Add } else { Step::Subtract });
        }
        Ok(())
    }

    fn product(&mut self) -> Result<(), SpecError> {
        self.signed()?;
        while let Some(operator @ ('*' | '/')) = self.peek() {
            self.at += 1;
            self.signed()?;
            self.steps.push(if operator == '*' { Step::Multiply } else { Step::Divide });
        }
        Ok(())
    }

    fn signed(&mut self) -> Result<(), SpecError> {
        match self.peek() {
            Some('-') => {
                self.deeper()?;
                self.at += 1;
                self.signed()?;
                self.depth -= 1;
                self.steps.push(Step::Negate);
                Ok(())
            }
            Some('(') => {
                self.deeper()?;
                self.at += 1;
                self.sum()?;
                if self.peek() != Some(')') {
                    return Err(self.wrong("lacks a closing parenthesis"));
                }
                self.at += 1;
                self.depth -= 1;
                Ok(())
            }
            Some(first) if first.is_ascii_uppercase() => self.letters(),
            Some(first) if first.is_ascii_digit() => self.number(),
            Some(found) => {
                Err(self.wrong(format_args!("has \"{found}\" where a series, a number or a parenthesis was expected")))
            }
            None => Err(self.wrong("ends where a series, a number or a parenthesis was expected")),
        }
    }

    /// The text from here on as long as its characters are such ones.
    fn while_is(&self, is_own: impl Fn(char) -> bool) -> &str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = rest.find(|c| !is_own(c)).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    }

    fn letters(&mut self) -> Result<(), SpecError> {
        let own = self.while_is(|c| c.is_ascii_alphanumeric() || c == '_');
        let Some(place) = (0..self.series).find(|place| letters(*place) == own) else {
            let last = letters(self.series.saturating_sub(1));
            return Err(self.wrong(format_args!("names the series {own}, the series are A to {last}")));
        };
        self.at += own.len();
        self.steps.push(Step::Series(place));
        Ok(())
    }

    fn number(&mut self) -> Result<(), SpecError> {
        let own = self.while_is(|c| c.is_ascii_digit() || c == '.');
        match own.parse::<f64>() {
            Ok(number) if number.is_finite() => {
                self.at += own.len();
                self.steps.push(Step::Number(number));
                Ok(())
            }
            _ => Err(self.wrong(format_args!("has {own}, which is no number"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, series: &[Number]) -> Number {
        Formula::parse(text, series.len()).expect("it is a formula").of(series)
    }

    #[test]
    fn operators_have_their_ranks_and_bind_to_the_left() {
        let series = [Number::Count(8), Number::Real(2.0), Number::Count(5)];
        for (text, expected) in [
            ("A / B * 100", 400.0),
            ("A - B - C", 1.0),
            ("A - (B - C)", 11.0),
            ("A + B * C", 18.0),
            ("-A + --B", -6.0),
            ("A / B / C", 0.8),
            ("2 * -(A + 0.5)", -17.0),
            ("1.5", 1.5),
        ] {
            assert_eq!(value(text, &series), Number::Real(expected), "{text}");
        }
    }

    #[test]
    fn what_has_no_value_is_null() {
        let series = [Number::Count(1), Number::Count(0), Number::Null, Number::Real(f64::MAX)];
        for text in ["A / B", "B / B", "A + C", "C * 0", "D * 10", "A / (C + 1)"] {
            assert!(value(text, &series).is_null(), "{text}");
        }
        assert_eq!(value("B / A", &series), Number::Real(0.0));
    }

    #[test]
    fn the_place_of_what_is_wrong_is_told() {
        for (text, at) in [
            ("", 0),
            ("A +", 3),
            ("A + C", 4),
            ("A B", 2),
            ("(A", 2),
            ("A ++ B", 3),
            ("a / B", 0),
            ("A / 1.2.3", 4),
            ("A % B", 2),
            ("A / é", 4),
            ("A1", 0),
            ("A)", 1),
        ] {
            assert_eq!(Formula::parse(text, 2).expect_err(text).at, Some(at), "{text}");
        }
        let deep = format!("{}A{}", "(".repeat(400), ")".repeat(400));
        assert_eq!(Formula::parse(&deep, 1).expect_err("too deep").at, Some(32));
        assert_eq!(Formula::parse(&"-".repeat(999), 1).expect_err("too deep").at, Some(32));
        assert!(Formula::parse(&"A+".repeat(600), 1).expect_err("too long").message.contains("1000 bytes"));
    }

    #[test]
    fn series_have_letters_as_columns_of_a_sheet() {
        assert_eq!([0, 25, 26, 31].map(letters), ["A", "Z", "AA", "AF"]);
        assert_eq!(value("AF - Z", &(0_u64..32).map(Number::Count).collect::<Vec<_>>()), Number::Real(6.0));
    }
}
