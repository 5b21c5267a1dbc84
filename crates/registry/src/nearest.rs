//! Suggestions for a name that was never seen.

/// Most suggestions for one name.
const SUGGESTIONS: usize = 3;
/// Longer names are compared by their beginning only: a distance takes time by the product of the lengths.
const COMPARED_CHARS: usize = 64;

/// The names `among` which `name` was perhaps meant: at most three, the nearest first, none when none is near.
///
/// Upper and lower case are one. Near is a name that begins with the other, and one whose edit distance (a
/// transposition counts as one) is at most a third of the longer name.
///
/// # Example
/// ```
/// use pugmark_registry::nearest;
/// assert_eq!(nearest("purchse", ["purchase", "page_view", "signup"]), ["purchase"]);
/// assert_eq!(nearest("Signup", ["signup", "sign_up", "logout"]), ["signup", "sign_up"]);
/// assert!(nearest("refund", ["purchase"]).is_empty());
/// ```
pub fn nearest<'a>(name: &str, among: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let wanted = name.to_lowercase();
    let wanted_chars = wanted.chars().count();
    let mut near: Vec<(usize, &str)> = Vec::new();
    for candidate in among {
        if candidate == name {
            continue;
        }
        if let Some(distance) = distance(&wanted, wanted_chars, candidate) {
            near.push((distance, candidate));
        }
    }
    near.sort_unstable();
    near.into_iter().take(SUGGESTIONS).map(|(_, candidate)| candidate.to_owned()).collect()
}

fn distance(wanted: &str, wanted_chars: usize, candidate: &str) -> Option<usize> {
    let candidate = candidate.to_lowercase();
    let chars = candidate.chars().count();
    let allowed = wanted_chars.max(chars) / 3;
    let shorter = wanted_chars.min(chars);
    if shorter >= 3 && (candidate.starts_with(wanted) || wanted.starts_with(candidate.as_str())) {
        return Some(wanted_chars.abs_diff(chars).min(allowed.max(1)));
    }
    if wanted_chars.abs_diff(chars) > allowed || wanted_chars.max(chars) > COMPARED_CHARS {
        return None;
    }
    Some(strsim::osa_distance(wanted, &candidate)).filter(|distance| *distance <= allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_come_first_and_far_ones_not_at_all() {
        let known = ["purchase", "purchase_completed", "purchases", "page_view", "pruchase", "search"];
        assert_eq!(nearest("purchase", known), ["pruchase", "purchases", "purchase_completed"]);
        assert_eq!(nearest("PAGE_VIEW", known), ["page_view"]);
        assert_eq!(nearest("zebra", known), Vec::<String>::new());
        assert_eq!(nearest("", known), Vec::<String>::new());
    }

    #[test]
    fn a_name_is_no_suggestion_for_itself() {
        assert_eq!(nearest("a", ["a"]), Vec::<String>::new());
        assert_eq!(nearest("A", ["a"]), ["a"]);
    }
}
