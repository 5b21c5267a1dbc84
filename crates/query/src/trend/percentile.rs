//! Percentiles of numbers in no order.

/// What so large a share of the numbers lies at or below, interpolated linearly between the closest ranks; none of no number. Their order changes.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank is a small positive number"
)]
pub(crate) fn percentile(numbers: &mut [f64], share: f64) -> Option<f64> {
    let last = numbers.len().checked_sub(1)?;
    let rank = share * last as f64;
    // What is asked for is selected: sorting everything takes several times as long.
    let (_, low, above) = numbers.select_nth_unstable_by(rank as usize, f64::total_cmp);
    let low = *low;
    let next = above.iter().copied().min_by(f64::total_cmp).filter(|_| rank.fract() > 0.0);
    Some(next.map_or(low, |high| low + (high - low) * rank.fract()))
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_lie_between_the_closest_ranks() {
        let mut numbers = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(percentile(&mut numbers, 0.5), Some(2.5));
        assert!((percentile(&mut numbers, 0.9).unwrap_or(0.0) - 3.7).abs() < 1e-12);
        assert_eq!((percentile(&mut [7.0], 0.99), percentile(&mut [], 0.5)), (Some(7.0), None));
    }
}
