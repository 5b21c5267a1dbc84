//! Numbers exactly as they are written.

use pugmark_store::Value;

/// A whole number beyond 64 bits reaches a visitor as a float. Lines that may hold one are read again, with their literals at hand.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// Numbers visited so far, in the order of the line.
    visited: usize,
    /// Every literal of the line, on the second reading.
    literals: Option<Vec<String>>,
    /// A float was visited that may be a whole number.
    doubtful: bool,
}

/// Floats from here on may be whole numbers that fit no integer.
const DOUBTFUL_FROM: f64 = 9_223_372_036_854_775_808.0;

impl Numbers {
    /// Numbers of a line of which every literal is known.
    pub(super) fn of_line(line: &str) -> Self {
        Self { literals: Some(literals(line)), ..Self::default() }
    }

    /// Whether the line must be read again with its literals.
    pub(super) fn is_doubtful(&self) -> bool {
        self.doubtful && self.literals.is_none()
    }

    pub(super) fn int(&mut self, number: i64) -> Value {
        self.visited += 1;
        Value::Int(number)
    }

    pub(super) fn uint(&mut self, number: u64) -> Value {
        self.visited += 1;
        Value::from(number)
    }

    pub(super) fn float(&mut self, number: f64) -> Value {
        let at = self.visited;
        self.visited += 1;
        if number.abs() >= DOUBTFUL_FROM {
            self.doubtful = true;
            let literal = self.literals.as_ref().and_then(|literals| literals.get(at));
            if let Some(literal) = literal.filter(|literal| !literal.contains(['.', 'e', 'E'])) {
                return Value::Number(literal.clone());
            }
        }
        Value::Float(number)
    }
}

/// The number literals of a valid JSON text.
fn literals(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let bytes = text.as_bytes();
    let mut rest = bytes.iter().enumerate();
    while let Some((at, byte)) = rest.next() {
        match byte {
            b'"' => {
                while let Some((_, byte)) = rest.next() {
                    match byte {
                        b'\\' => drop(rest.next()),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            b'-' | b'0'..=b'9' => {
                let tail = text.get(at..).unwrap_or_default();
                let end =
                    tail.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')).unwrap_or(tail.len());
                found.push(tail[..end].to_owned());
                if end > 1 {
                    rest.nth(end - 2);
                }
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_found_outside_strings_only() {
        assert_eq!(literals(r#"{"a\"1":-1,"2":[3.5e+7,"4\\",5],"e":true,"x":6}"#), ["-1", "3.5e+7", "5", "6"]);
        assert_eq!(literals("12"), ["12"]);
        assert!(literals("").is_empty());
    }
}
