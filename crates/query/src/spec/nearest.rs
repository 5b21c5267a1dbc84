//! Known names close to a mistyped one.

const MOST: usize = 3;
const SIMILAR_ENOUGH: f64 = 0.6;

/// The known names closest to `name`, nearest first and at most three; empty when none is similar.
///
/// ```
/// use pugmark_query::spec::nearest;
///
/// assert_eq!(nearest("purchsae", ["view", "purchase", "cart"]), ["purchase"]);
/// assert!(nearest("zebra", ["view", "cart"]).is_empty());
/// ```
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let wanted = name.to_lowercase();
    let mut scored: Vec<(f64, &str)> = known
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(score, _)| *score >= SIMILAR_ENOUGH)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    scored.dedup_by(|a, b| a.1 == b.1);
    scored.into_iter().take(MOST).map(|(_, candidate)| candidate.to_owned()).collect()
}
