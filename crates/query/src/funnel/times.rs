//! How long steps take: exact order statistics, and the histogram from the first step to the last.

use serde::Serialize;

use super::Histogram;

const US_PER_SECOND: f64 = 1_000_000.0;

/// Mean, median and 90th percentile of durations, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Seconds {
    /// The arithmetic mean.
    pub mean: f64,
    /// The 50th percentile, interpolated linearly between the closest ranks.
    pub median: f64,
    /// The 90th percentile, interpolated linearly between the closest ranks.
    pub p90: f64,
}

impl Seconds {
    /// Of durations in microseconds, which it puts into another order; `None` of none.
    #[expect(clippy::cast_precision_loss, reason = "seconds are reported as floats")]
    pub(crate) fn of(durations_us: &mut [i64]) -> Option<Self> {
        if durations_us.is_empty() {
            return None;
        }
        let sum: i128 = durations_us.iter().map(|us| i128::from(*us)).sum();
        Some(Self {
            mean: sum as f64 / durations_us.len() as f64 / US_PER_SECOND,
            median: quantile(durations_us, 0.5),
            p90: quantile(durations_us, 0.9),
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank is a small positive number"
)]
fn quantile(durations_us: &mut [i64], share: f64) -> f64 {
    let rank = share * (durations_us.len() - 1) as f64;
    // What is asked for is selected: sorting everything takes several times as long.
    let (_, low, above) = durations_us.select_nth_unstable(rank as usize);
    let low = *low as f64;
    let next = above.iter().min().filter(|_| rank.fract() > 0.0);
    let high = next.map_or(low, |next| *next as f64);
    (low + (high - low) * rank.fract()) / US_PER_SECOND
}

/// Where the bars of a histogram begin, in seconds: the same for every funnel, as far as its window reaches, so that
/// bars are comparable and read as people speak of time.
const LADDER_SECONDS: [i64; 20] = [
    0,
    1,
    10,
    30,
    60,
    2 * 60,
    5 * 60,
    10 * 60,
    30 * 60,
    3_600,
    3 * 3_600,
    6 * 3_600,
    12 * 3_600,
    86_400,
    2 * 86_400,
    3 * 86_400,
    7 * 86_400,
    14 * 86_400,
    30 * 86_400,
    90 * 86_400,
];

impl Histogram {
    /// Counts durations by the ladder, as far as the window reaches; the last bar takes all from its start.
    pub(crate) fn of(durations_us: &[i64], window_us: i64) -> Self {
        let first_beyond = LADDER_SECONDS.partition_point(|seconds| *seconds == 0 || seconds * 1_000_000 < window_us);
        let starts = &LADDER_SECONDS[..first_beyond];
        let mut count = vec![0; starts.len()];
        for us in durations_us {
            let bar = starts.partition_point(|seconds| seconds * 1_000_000 <= *us);
            count[bar.saturating_sub(1)] += 1;
        }
        let from_seconds = starts.iter().map(|seconds| *seconds as f64).collect();
        Self { from_seconds, count }
    }

    /// Counts durations by so many bars of one width, from nothing to the window; a duration below nothing is in the first.
    pub(crate) fn even(durations_us: &[i64], window_us: i64, bins: usize) -> Self {
        let bars = i64::try_from(bins).unwrap_or(1).max(1);
        let start_us = |bar: i64| (i128::from(window_us) * i128::from(bar) / i128::from(bars)) as i64;
        let starts_us: Vec<i64> = (0..bars).map(start_us).collect();
        let mut count = vec![0; bins];
        for us in durations_us {
            count[starts_us.partition_point(|start| start <= us).saturating_sub(1)] += 1;
        }
        #[expect(clippy::cast_precision_loss, reason = "seconds are reported as floats")]
        let from_seconds = starts_us.iter().map(|us| *us as f64 / US_PER_SECOND).collect();
        Self { from_seconds, count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_interpolate_between_the_closest_ranks() {
        let mut durations = [4_000_000, 1_000_000, 3_000_000, 2_000_000];
        let seconds = Seconds::of(&mut durations).expect("there are durations");
        assert!((seconds.mean - 2.5).abs() < 1e-12);
        assert!((seconds.median - 2.5).abs() < 1e-12);
        assert!((seconds.p90 - 3.7).abs() < 1e-12);
        assert_eq!(Seconds::of(&mut []), None);
    }

    #[test]
    fn the_ladder_ends_with_the_window_and_its_last_bar_holds_the_window_itself() {
        let histogram = Histogram::of(&[30_000_000, 0, 1_000_000, 999_999], 30_000_000);
        assert_eq!((histogram.from_seconds, histogram.count), (vec![0.0, 1.0, 10.0], vec![2, 1, 1]));
        let instant = Histogram::of(&[0, 0], 0);
        assert_eq!((instant.from_seconds, instant.count), (vec![0.0], vec![2]));
    }
}
