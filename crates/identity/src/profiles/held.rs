//! What a trait of one person is: `docs/semantics.md`, section 5, profiles.

use foldhash::HashSet;
use pugmark_store::{ProfileChange, Value, ValueRef};
use serde::de::IgnoredAny;

/// The value that stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Standing {
    Nothing,
    /// As it was given, under its number.
    Given(u32),
    Sum(Sum),
    /// The last list that was begun, as far as it goes.
    List,
}

/// A sum of numbers: exact as long as all are whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Sum {
    Whole(i128),
    Double(f64),
}

impl Sum {
    /// `None` for what is no number.
    pub(super) fn of(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Int(v) => Some(Self::Whole(v.into())),
            ValueRef::Float(v) => Some(Self::Double(v)),
            ValueRef::Number(text) => match text.parse() {
                Ok(whole) => Some(Self::Whole(whole)),
                Err(_) => text.parse().ok().filter(|v: &f64| v.is_finite()).map(Self::Double),
            },
            ValueRef::Bool(_) | ValueRef::Text(_) | ValueRef::Json(_) => None,
        }
    }

    fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => a.checked_add(b).map_or(Self::double(a as f64 + b as f64), Self::Whole),
            (a, b) => Self::double(a.as_double() + b.as_double()),
        }
    }

    /// Beyond the range of doubles it is the largest of them.
    fn double(sum: f64) -> Self {
        Self::Double(sum.clamp(f64::MIN, f64::MAX))
    }

    fn as_double(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Double(double) => double,
        }
    }

    pub(super) fn value(self) -> Value {
        match self {
            Self::Whole(whole) => i64::try_from(whole).map_or_else(|_| Value::Number(whole.to_string()), Value::Int),
            Self::Double(double) => Value::Float(double),
        }
    }
}

/// The fold of the changes of one trait of one person, given in the order of (timestamp, sequence).
#[derive(Debug)]
pub(super) struct Held {
    pub(super) standing: Standing,
    /// Whether an id that is known had part in it.
    by_known: bool,
    /// Every list that was begun, its elements as JSON text.
    pub(super) lists: Vec<Vec<String>>,
    /// The elements of the last, once something may not be in it twice.
    seen: Option<HashSet<String>>,
}

impl Held {
    pub(super) fn new() -> Self {
        Self { standing: Standing::Nothing, by_known: false, lists: Vec::new(), seen: None }
    }

    /// Takes in the value under `number` from an id that is known or not; `value` gives a value by number. Whether something may have changed.
    pub(super) fn apply<'v>(
        &mut self,
        change: ProfileChange,
        number: u32,
        is_known: bool,
        value: &impl Fn(u32) -> ValueRef<'v>,
    ) -> bool {
        match change {
            // What a known id had part in, no anonymous one replaces.
            ProfileChange::Set | ProfileChange::Unset if self.by_known && !is_known => return false,
            ProfileChange::Set => {
                self.standing = Standing::Given(number);
                self.by_known = is_known;
                return true;
            }
            ProfileChange::Unset => {
                self.standing = Standing::Nothing;
                self.by_known = is_known;
                return true;
            }
            ProfileChange::SetOnce => {
                if self.standing != Standing::Nothing {
                    return false;
                }
                self.standing = Standing::Given(number);
            }
            ProfileChange::Add => {
                let before = match &self.standing {
                    Standing::Nothing => Some(Sum::Whole(0)),
                    Standing::Given(standing) => Sum::of(value(*standing)),
                    Standing::Sum(sum) => Some(*sum),
                    Standing::List => None,
                };
                let Some((before, more)) = before.zip(Sum::of(value(number))) else { return false };
                self.standing = Standing::Sum(before.plus(more));
            }
            ProfileChange::Append | ProfileChange::Union => {
                self.begin_list(value);
                for element in elements_of(value(number)) {
                    self.push(element, change == ProfileChange::Union);
                }
            }
        }
        self.by_known |= is_known;
        true
    }

    /// What stands, by itself.
    pub(super) fn value<'v>(&self, value: &impl Fn(u32) -> ValueRef<'v>) -> Option<Value> {
        match &self.standing {
            Standing::Nothing => None,
            Standing::Given(number) => Some(value(*number).to_owned()),
            Standing::Sum(sum) => Some(sum.value()),
            Standing::List => {
                let elements = self.lists.last().map(|list| list.join(",")).unwrap_or_default();
                Some(Value::Json(format!("[{elements}]")))
            }
        }
    }

    /// What stands becomes a list, if it is none.
    fn begin_list<'v>(&mut self, value: &impl Fn(u32) -> ValueRef<'v>) {
        let elements = match &self.standing {
            Standing::List => return,
            Standing::Nothing => Vec::new(),
            Standing::Given(standing) => elements_of(value(*standing)),
            Standing::Sum(sum) => elements_of(sum.value().borrowed()),
        };
        self.lists.push(elements);
        (self.seen, self.standing) = (None, Standing::List);
    }

    fn push(&mut self, element: String, once: bool) {
        let Some(list) = self.lists.last_mut() else { return };
        if once {
            let seen = self.seen.get_or_insert_with(|| list.iter().cloned().collect());
            if seen.contains(&element) {
                return;
            }
        }
        if let Some(seen) = &mut self.seen {
            seen.insert(element.clone());
        }
        list.push(element);
    }
}

/// Gives every text by which somebody would look for a value: that of the value, and those of the elements of a list.
pub fn search_texts(value: ValueRef<'_>, mut take: impl FnMut(&str)) {
    match value {
        ValueRef::Text(text) | ValueRef::Number(text) => take(text),
        ValueRef::Json(_) => {
            for element in elements_of(value) {
                match serde_json::from_str::<String>(&element) {
                    Ok(text) => take(&text),
                    Err(_) => take(&element),
                }
            }
        }
        other => take(&other.to_json().to_string()),
    }
}

/// The elements of a list, or the one that another value is, as JSON text. Numbers keep their digits.
fn elements_of(value: ValueRef<'_>) -> Vec<String> {
    match value {
        ValueRef::Json(text) | ValueRef::Number(text) if serde_json::from_str::<IgnoredAny>(text).is_err() => {
            vec![serde_json::Value::from(text).to_string()]
        }
        ValueRef::Json(text) => match text.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(elements) => elements_in(elements),
            None => vec![text.trim().to_owned()],
        },
        ValueRef::Number(text) => vec![text.to_owned()],
        _ => vec![value.to_json().to_string()],
    }
}

/// The elements between the brackets of a JSON array.
fn elements_in(array: &str) -> Vec<String> {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let ends = |c: char| {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => in_text = !in_text,
            '[' | '{' if !in_text => depth += 1,
            ']' | '}' if !in_text => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0 && !in_text
    };
    let elements = array.split(ends).map(str::trim);
    elements.filter(|element| !element.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change, its value, and whether the id is known.
    type Given = (ProfileChange, Value, bool);

    /// What stands after these changes, as JSON text.
    fn after(changes: &[Given]) -> Option<String> {
        let value = |number: u32| changes[number as usize].1.borrowed();
        let mut held = Held::new();
        for (number, (change, _, is_known)) in (0_u32..).zip(changes) {
            held.apply(*change, number, *is_known, &value);
        }
        match held.standing {
            Standing::Nothing => None,
            Standing::Given(number) => elements_of(value(number)).pop(),
            Standing::Sum(sum) => elements_of(sum.value().borrowed()).pop(),
            Standing::List => Some(format!("[{}]", held.lists.last().map(|list| list.join(",")).unwrap_or_default())),
        }
    }

    #[test]
    fn a_value_is_looked_for_by_its_text_or_those_of_its_elements() {
        let texts = |value: &Value| {
            let mut texts = Vec::new();
            search_texts(value.borrowed(), |text| texts.push(text.to_owned()));
            texts
        };
        let list = Value::Json(r#"["Vip", 7, {"a": "b"}]"#.to_owned());
        assert_eq!(texts(&list), ["Vip", "7", r#"{"a": "b"}"#]);
        let others = [(Value::from("Ann"), "Ann"), (1.5.into(), "1.5"), (true.into(), "true")];
        for (value, text) in others {
            assert_eq!(texts(&value), [text]);
        }
    }

    #[test]
    fn a_list_is_cut_into_its_elements() {
        let json = |text| elements_of(ValueRef::Json(text));
        assert!(json("[]").is_empty() && json(" [ ] ").is_empty());
        let odd = r#"[ "a,]\"", [1, [2,3]], {"b": ["}"]}, 12345678901234567890123 ,null]"#;
        let parts = [r#""a,]\"""#, "[1, [2,3]]", r#"{"b": ["}"]}"#, "12345678901234567890123", "null"];
        assert_eq!(json(odd), parts);
        assert_eq!(json(r#"["\\","x"]"#), [r#""\\""#, "\"x\""]);
        assert_eq!(json(r#"{"a": [1]}"#), [r#"{"a": [1]}"#]);
        assert_eq!(json("[1,"), ["\"[1,\""]);
        assert_eq!(elements_of(ValueRef::Text("a\"b")), [r#""a\"b""#]);
    }

    #[test]
    fn every_change_does_what_the_semantics_say() {
        use ProfileChange::{Add, Append, Set, SetOnce, Union, Unset};
        let text = |text: &str| Value::from(text);
        let json = |text: &str| Value::Json(text.to_owned());
        let number = |text: &str| Value::Number(text.to_owned());
        let cases: Vec<(Vec<Given>, Option<&str>)> = vec![
            (vec![], None),
            (vec![(Set, 1.into(), false), (Set, 2.into(), false)], Some("2")),
            (vec![(Set, 1.into(), true), (Set, 2.into(), false)], Some("1")),
            (vec![(Set, 1.into(), false), (Set, 2.into(), true), (Set, 3.into(), true)], Some("3")),
            (vec![(Set, 1.into(), true), (Unset, true.into(), false)], Some("1")),
            (vec![(Set, 1.into(), false), (Unset, true.into(), false)], None),
            (vec![(Unset, true.into(), true), (Set, 1.into(), false)], None),
            (vec![(Unset, true.into(), true), (SetOnce, 1.into(), false)], Some("1")),
            (vec![(SetOnce, 1.into(), false), (SetOnce, 2.into(), true)], Some("1")),
            (vec![(SetOnce, 1.into(), true), (Set, 2.into(), false)], Some("1")),
            (vec![(SetOnce, 1.into(), false), (Set, 2.into(), false)], Some("2")),
            (vec![(Add, 2.into(), false), (Add, 3.into(), true), (Add, (-1).into(), false)], Some("4")),
            (vec![(Set, 2.into(), true), (Add, 0.5.into(), false)], Some("2.5")),
            (vec![(Set, text("x"), false), (Add, 1.into(), false)], Some("\"x\"")),
            (vec![(Append, 1.into(), false), (Add, 1.into(), false)], Some("[1]")),
            (vec![(Add, i64::MAX.into(), false), (Add, 1.into(), false)], Some("9223372036854775808")),
            (
                vec![(Add, i64::MAX.into(), false), (Add, 1.into(), false), (Add, (-1).into(), false)],
                Some("9223372036854775807"),
            ),
            (vec![(Set, number("18446744073709551616"), false), (Add, 1.into(), false)], Some("18446744073709551617")),
            (vec![(Add, f64::MAX.into(), false), (Add, f64::MAX.into(), false)], Some("1.7976931348623157e+308")),
            (vec![(Append, text("a"), false), (Append, text("a"), true)], Some("[\"a\",\"a\"]")),
            (
                vec![(Union, text("a"), false), (Union, text("a"), true), (Union, text("b"), true)],
                Some("[\"a\",\"b\"]"),
            ),
            (vec![(Set, 1.into(), false), (Append, json("[2, {\"a\": 1}]"), false)], Some("[1,2,{\"a\": 1}]")),
            (vec![(Set, json("[1,1]"), false), (Union, json("[1,2,2]"), false)], Some("[1,1,2]")),
            (vec![(Union, 1.into(), false), (Append, 2.into(), false), (Union, json("[2,3]"), false)], Some("[1,2,3]")),
            (vec![(Append, 1.into(), false), (Unset, true.into(), false), (Append, 2.into(), false)], Some("[2]")),
            (vec![(Append, 1.into(), true), (Set, 5.into(), false)], Some("[1]")),
            (vec![(Add, 1.into(), false), (Append, 7.into(), false)], Some("[1,7]")),
        ];
        for (changes, expected) in cases {
            assert_eq!(after(&changes).as_deref(), expected, "{changes:?}");
        }
    }
}
