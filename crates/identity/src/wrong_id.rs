//! Ids that are mistakes of the sender's program.

const WRONG_IDS: [&str; 15] = [
    "null",
    "undefined",
    "none",
    "nil",
    "0",
    "-1",
    "nan",
    "true",
    "false",
    "anonymous",
    "guest",
    "[object object]",
    "distinct_id",
    "00000000-0000-0000-0000-000000000000",
    "00000000000000000000000000000000",
];

/// Whether a distinct id is a well-known mistake, such as `null` or `undefined`: it stands for many people and is
/// never linked. Upper and lower case are one, and quotes around the id make no difference.
///
/// The list is that of `docs/semantics.md`, section 5.
///
/// # Example
/// ```
/// use pugmark_identity::is_wrong_id;
/// assert!(is_wrong_id("NULL") && is_wrong_id("\"undefined\"") && is_wrong_id("[object Object]"));
/// assert!(!is_wrong_id("user-42") && !is_wrong_id("nullable"));
/// ```
pub fn is_wrong_id(distinct_id: &str) -> bool {
    let bare = unquoted(distinct_id.trim());
    WRONG_IDS.iter().any(|wrong| wrong.eq_ignore_ascii_case(bare))
}

fn unquoted(text: &str) -> &str {
    ['"', '\'', '`']
        .into_iter()
        .find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
        .map_or(text, |inner| unquoted(inner.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listed_mistakes_are_wrong_in_any_case_and_quotes() {
        for wrong in WRONG_IDS {
            for form in [
                wrong.to_owned(),
                wrong.to_uppercase(),
                format!("\"{wrong}\""),
                format!("'{wrong}'"),
                format!(" '\"{wrong}\"' "),
            ] {
                assert!(is_wrong_id(&form), "{form}");
            }
        }
        assert!(is_wrong_id("[object Object]"));
        assert!(is_wrong_id("NaN"));
    }

    #[test]
    fn ids_that_only_look_alike_are_right() {
        for right in [
            "00",
            "1",
            "-10",
            "null1",
            "guest-7",
            "'null",
            "null\"",
            "\"",
            "''x",
            "falsey",
            "user",
            "00000000-0000-0000-0000-000000000001",
        ] {
            assert!(!is_wrong_id(right), "{right}");
        }
    }
}
