//! The rules that can be flipped, one at a time.

/// A rule of `docs/semantics.md`, flipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flip {
    // Common.
    RangeEndInclusive,
    RangeStartExclusive,
    CalendarOfUtc,
    WeekStartsOtherDay,
    DayOf24Hours,
    NullFilterMatches,
    FilterIgnored,
    FirstNameOfListOnly,
    NullIsNoGroup,
    TextIsNumber,
    LimitOneMore,
    RankedByValueOnly,
    GroupTiesDescending,
    RestLeftOut,
    // Trend.
    EmptyBucketsLeftOut,
    FirstBucketLabelledByRange,
    PartialBucketsCountWhole,
    UniquesAreEvents,
    TotalIsSum,
    OtherIsSum,
    RankedByLastSeries,
    SumIsCount,
    RollingIgnored,
    RollingOneLess,
    RollingFromRange,
    // Funnel.
    WindowExclusive,
    WindowFromPrevious,
    WindowInFullDays,
    TiesBySequence,
    TiesApart,
    OneEventManySteps,
    FirstAttemptOnly,
    LatestOfEquals,
    LatestChain,
    NothingBetween,
    CompletionInRange,
    OpeningBeforeRange,
    GroupOfLastStep,
    PercentileNearestRank,
    ShareOfFirst,
    DroppedFromFirst,
    TimesFromFirst,
    // Retention.
    StartIsReturn,
    ReturnStrictlyLater,
    ReturnMayComeBefore,
    FirstInRange,
    RecurringFirstOnly,
    CohortOfEvents,
    PeriodZeroOther,
    OnOrAfter,
    RollingClock,
    ReturnsOpen,
    RowsNotCutByRange,
    OccurrencesIgnored,
    CompleteIgnoresNow,
    CompleteIgnoresRange,
    AverageOfIncomplete,
    WeightedIsSimple,
    SimpleCountsEmpty,
    ReturnDefaultsToAny,
    GroupOfLastStart,
}

/// Every rule with the analyses that it concerns, by the initials of trend, funnel and retention.
pub(crate) const FLIPS: &[(Flip, &str, &str)] = &[
    (Flip::RangeEndInclusive, "tfr", "the range includes its end"),
    (Flip::RangeStartExclusive, "tfr", "the range excludes its start"),
    (Flip::CalendarOfUtc, "tfr", "dates and buckets are those of UTC"),
    (Flip::WeekStartsOtherDay, "tr", "weeks begin on the other day"),
    (Flip::DayOf24Hours, "tr", "every day has 24 hours"),
    (Flip::NullFilterMatches, "tfr", "a filter that is NULL matches"),
    (Flip::FilterIgnored, "tfr", "filters are ignored"),
    (Flip::FirstNameOfListOnly, "tfr", "of a list of names only the first counts"),
    (Flip::NullIsNoGroup, "tfr", "NULL is no breakdown value"),
    (Flip::TextIsNumber, "tfr", "the text 0 and the number 0 are one value"),
    (Flip::LimitOneMore, "tfr", "the limit is off by one"),
    (Flip::RankedByValueOnly, "tfr", "groups are ranked by value only"),
    (Flip::GroupTiesDescending, "tfr", "ties between groups are broken by value descending"),
    (Flip::RestLeftOut, "tfr", "groups beyond the limit are left out"),
    (Flip::EmptyBucketsLeftOut, "t", "empty buckets are left out"),
    (Flip::FirstBucketLabelledByRange, "t", "the first bucket is labelled by the range"),
    (Flip::PartialBucketsCountWhole, "t", "partial buckets count beyond the range"),
    (Flip::UniquesAreEvents, "t", "uniques count events"),
    (Flip::TotalIsSum, "t", "the total of uniques is the sum"),
    (Flip::OtherIsSum, "t", "other is the sum of its uniques"),
    (Flip::RankedByLastSeries, "t", "groups are ranked by the last series"),
    (Flip::SumIsCount, "t", "a sum counts events"),
    (Flip::RollingIgnored, "t", "rolling series do not roll"),
    (Flip::RollingOneLess, "t", "rolling series look one bucket less far back"),
    (Flip::RollingFromRange, "t", "rolling series do not look back before the range"),
    (Flip::WindowExclusive, "f", "the window excludes its end"),
    (Flip::WindowFromPrevious, "f", "the window runs from the previous step"),
    (Flip::WindowInFullDays, "f", "the window ends with the last local day that it touches"),
    (Flip::TiesBySequence, "f", "equal timestamps serve in sequence only"),
    (Flip::TiesApart, "f", "steps must be strictly later"),
    (Flip::OneEventManySteps, "f", "one event may serve several steps"),
    (Flip::FirstAttemptOnly, "f", "only the first attempt counts"),
    (Flip::LatestOfEquals, "f", "the latest of equal attempts counts"),
    (Flip::LatestChain, "f", "the latest of equal chains counts"),
    (Flip::NothingBetween, "f", "no other event may lie between steps"),
    (Flip::CompletionInRange, "f", "every step must lie in the range"),
    (Flip::OpeningBeforeRange, "f", "an attempt may open before the range"),
    (Flip::GroupOfLastStep, "f", "the breakdown is that of the last step"),
    (Flip::PercentileNearestRank, "f", "percentiles take the nearest rank"),
    (Flip::ShareOfFirst, "f", "from_previous is from_first"),
    (Flip::DroppedFromFirst, "f", "dropped counts from the first step"),
    (Flip::TimesFromFirst, "f", "times from the previous step are from the first"),
    (Flip::StartIsReturn, "r", "a start event is its own return"),
    (Flip::ReturnStrictlyLater, "r", "a return needs a later timestamp"),
    (Flip::ReturnMayComeBefore, "r", "a return may lie before the start event"),
    (Flip::FirstInRange, "r", "first_time looks at the range only"),
    (Flip::RecurringFirstOnly, "r", "recurring takes the first bucket only"),
    (Flip::CohortOfEvents, "r", "cohorts count start events"),
    (Flip::PeriodZeroOther, "r", "period 0 is the other choice"),
    (Flip::OnOrAfter, "r", "a return in any later period counts"),
    (Flip::RollingClock, "r", "periods are spans after the start event"),
    (Flip::ReturnsOpen, "r", "returns after the range count"),
    (Flip::RowsNotCutByRange, "r", "every row has all columns"),
    (Flip::OccurrencesIgnored, "r", "one return event is enough"),
    (Flip::CompleteIgnoresNow, "r", "periods that have not ended by now are complete"),
    (Flip::CompleteIgnoresRange, "r", "periods that the range cuts are complete"),
    (Flip::AverageOfIncomplete, "r", "averages take incomplete cells"),
    (Flip::WeightedIsSimple, "r", "the weighted average is the simple one"),
    (Flip::SimpleCountsEmpty, "r", "the simple average counts empty cohorts as 0"),
    (Flip::ReturnDefaultsToAny, "r", "a missing return is any event"),
    (Flip::GroupOfLastStart, "r", "the breakdown is that of the last start event"),
];

/// The true rules, or all but one of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    flipped: Option<Flip>,
}

impl Rules {
    pub(crate) const TRUE: Self = Self { flipped: None };

    pub(crate) fn flipping(flip: Flip) -> Self {
        Self { flipped: Some(flip) }
    }

    pub(crate) fn flip(self, flip: Flip) -> bool {
        self.flipped == Some(flip)
    }
}
