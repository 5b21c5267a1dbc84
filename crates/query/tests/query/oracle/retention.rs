//! Retention, `docs/semantics.md`, section 3.

use serde_json::{Value, json};

use super::{
    Flip, OracleEvent, Rules, Scalar,
    breakdown::{Group, distinct, group_of, shown},
    by_unit,
    calendar::Time,
    selector::matches,
};

/// A unit in the cohort of a bucket.
struct Member {
    group: Group,
    row: usize,
    /// The return events of each period, until what is read ends.
    returns: Vec<Vec<f64>>,
    start_events: usize,
}

/// What the question asks for, flips included.
struct Asked {
    buckets: Vec<String>,
    /// The buckets of the range and those that follow until returns are no longer read.
    reach: Vec<String>,
    until_us: i64,
    /// The first and the last period of each column, none for one that never ends.
    columns: Vec<(usize, Option<usize>)>,
    criterion: String,
    rolling: bool,
    rounds: bool,
    enough: usize,
    returned_in_zero: bool,
    /// `sum` or `avg`; none for units.
    measure: Option<String>,
    /// When the last start of each cohort can be, where that matters.
    last_starts_us: Vec<i64>,
}

impl Asked {
    fn of(retention: &Value, time: &Time, rules: Rules) -> Self {
        let word = |name: &str, usual: &str| retention[name].as_str().unwrap_or(usual).to_owned();
        let buckets = time.buckets();
        let open = (retention["returns"] == "open") != rules.flip(Flip::ReturnsOther);
        let until_us = if open { time.to_us.max(time.now_us) } else { time.to_us };
        let reach = if buckets.is_empty() { Vec::new() } else { time.buckets_until(until_us) };
        let brackets: Vec<usize> = retention["brackets"].as_array().map_or_else(Vec::new, |starts| {
            starts.iter().map(|start| start.as_u64().expect("a bracket is a number") as usize).collect()
        });
        let columns: Vec<(usize, Option<usize>)> = if brackets.is_empty() {
            let periods =
                retention["periods"].as_u64().map_or(reach.len(), |periods| reach.len().min(periods as usize));
            (0..periods).map(|period| (period, Some(period))).collect()
        } else {
            let last = |at: usize| match brackets.get(at + 1) {
                _ if rules.flip(Flip::BracketsAreOnePeriod) => Some(brackets[at]),
                Some(next) => Some(next - usize::from(!rules.flip(Flip::BracketsIncludeTheirEnd))),
                None => (rules.flip(Flip::LastBracketEnds)).then_some(brackets[at]),
            };
            let all = (0..brackets.len()).map(|at| (brackets[at], last(at)));
            all.filter(|(first, _)| *first < reach.len()).collect()
        };
        let on = word("criterion", "on");
        let criterion = match on.as_str() {
            "on_or_after" if rules.flip(Flip::OnOrAfterIsOn) => "on",
            "on_or_before" if rules.flip(Flip::OnOrBeforeIsOn) => "on",
            "on_or_before" if rules.flip(Flip::OnOrBeforeIsStreak) => "streak",
            "streak" if rules.flip(Flip::StreakIsOn) => "on",
            "on" if rules.flip(Flip::OnIsOnOrAfter) && brackets.is_empty() => "on_or_after",
            own => own,
        };
        let rolling = retention["clock"] == "rolling";
        let rolling = match () {
            () if rules.flip(Flip::CalendarIsRolling) => true,
            () if rules.flip(Flip::RollingIsCalendar) => false,
            () => rolling,
        };
        let measure = retention["measure"].as_str().filter(|measure| *measure != "units");
        let measure = match measure {
            Some("sum") if rules.flip(Flip::ReturnSumIsAvg) => Some("avg"),
            Some("avg") if rules.flip(Flip::ReturnAvgIsSum) => Some("sum"),
            Some(_) if rules.flip(Flip::MeasureIsUnits) => None,
            other => other,
        };
        let enough = retention["min_occurrences"].as_u64().unwrap_or(1) as usize;
        let rows = if rolling { buckets.len() } else { 0 };
        Self {
            last_starts_us: (0..rows).map(|row| time.last_us_of(row, &buckets)).collect(),
            buckets,
            reach,
            until_us,
            columns,
            criterion: criterion.to_owned(),
            rolling,
            rounds: retention["round_to"] == "hour" && !rules.flip(Flip::RoundToIgnored),
            enough: if rules.flip(Flip::OccurrencesIgnored) { 1 } else { enough },
            returned_in_zero: (retention["period_zero"] == "returned") != rules.flip(Flip::PeriodZeroOther),
            measure: measure.map(str::to_owned),
        }
    }

    fn rounded(&self, us: i64) -> i64 {
        if self.rounds { us - us.rem_euclid(HOUR_US) } else { us }
    }

    /// How many columns a row has.
    fn columns_of(&self, row: usize, rules: Rules) -> usize {
        let periods = if rules.flip(Flip::RowsNotCutByRange) { usize::MAX } else { self.reach.len() - row };
        self.columns.iter().filter(|(first, _)| *first < periods).count()
    }

    /// The periods of a column that its criterion looks at.
    fn periods_of(&self, column: usize, rules: Rules) -> (usize, Option<usize>) {
        let (first, last) = self.columns[column];
        match self.criterion.as_str() {
            "on_or_after" if rules.flip(Flip::OnOrAfterWithinPeriods) => (first, Some(self.columns.len() - 1)),
            "on_or_after" => (first, None),
            "on_or_before" | "streak" if first > 0 => (usize::from(!rules.flip(Flip::ZeroBelongsToChain)), last),
            _ => (first, last),
        }
    }

    /// The returns of a member that count in a column; none where it does not count itself.
    fn counted<'m>(&self, member: &'m Member, column: usize, rules: Rules) -> Option<Vec<&'m f64>> {
        let (first, last) = self.periods_of(column, rules);
        let own = member.returns.iter().skip(first).take(last.map_or(usize::MAX, |last| last - first + 1));
        let own: Vec<&Vec<f64>> = own.collect();
        let brackets = self.columns.iter().any(|(first, last)| *last != Some(*first));
        let holds = match self.criterion.as_str() {
            "streak" => {
                own.iter().all(|returns| returns.len() >= self.enough)
                    && last.is_some_and(|last| own.len() == last - first + 1)
            }
            "on" if brackets => own.iter().map(|returns| returns.len()).sum::<usize>() >= self.enough,
            _ if rules.flip(Flip::OccurrencesOfAllPeriods) => {
                own.iter().map(|returns| returns.len()).sum::<usize>() >= self.enough
            }
            _ => own.iter().any(|returns| returns.len() >= self.enough),
        };
        holds.then(|| own.into_iter().flatten().collect())
    }
}

const HOUR_US: i64 = 3_600_000_000;

pub(crate) fn answer(retention: &Value, events: &[&OracleEvent], time: &Time, rules: Rules) -> Value {
    let any = json!({ "event": "*" });
    let (start, returning) = match (retention.get("start"), retention.get("return")) {
        (Some(start), Some(returning)) => (start, returning),
        (Some(start), None) if rules.flip(Flip::ReturnDefaultsToAny) => (start, &any),
        (Some(both), None) | (None, Some(both)) => (both, both),
        (None, None) => panic!("a retention needs start or return"),
    };
    let asked = Asked::of(retention, time, rules);
    let buckets = &asked.buckets;
    let cohort = retention["cohort"].as_str().unwrap_or("first_time");
    let cohort = match cohort {
        "first_time" if rules.flip(Flip::FirstInRange) => "first_in_range",
        "first_of_event" if rules.flip(Flip::FirstOfEventIsFirstTime) => "first_time",
        "first_ever" if rules.flip(Flip::FirstEverIsFirstTime) => "first_time",
        "first_in_range" if rules.flip(Flip::FirstInRangeIsFirstTime) => "first_time",
        "first_of_event" if rules.flip(Flip::FirstOfEventIsFirstEver) => "first_ever",
        own => own,
    };
    let named = json!({ "event": start["event"] });
    let is_in = |event: &OracleEvent, labels: &[String]| {
        labels.iter().position(|label| *label == time.bucket_of(event.timestamp_us))
    };

    let mut members: Vec<Member> = Vec::new();
    for unit in by_unit(events) {
        let returns: Vec<(&OracleEvent, Option<usize>)> = unit
            .iter()
            .copied()
            .filter(|event| matches(returning, event, rules))
            .filter(|event| time.in_range(event.timestamp_us) || event.timestamp_us < asked.until_us)
            .map(|event| (event, is_in(event, &asked.reach)))
            .collect();
        let in_range = |event: &&OracleEvent| time.in_range(event.timestamp_us);
        let is_start = |event: &&OracleEvent| matches(start, event, rules);
        let all = || unit.iter().copied();
        let first = match cohort {
            "first_time" => all().find(is_start),
            "first_of_event" => all().find(|event| matches(&named, event, rules)).filter(is_start),
            "first_ever" => all().next().filter(is_start),
            "first_in_range" => all().filter(in_range).find(is_start),
            _ => None,
        };
        let starts: Vec<&OracleEvent> = match cohort {
            "recurring" => all().filter(in_range).filter(is_start).collect(),
            _ => first.into_iter().filter(in_range).collect(),
        };
        for row in 0..buckets.len() {
            let starts: Vec<&OracleEvent> =
                starts.iter().copied().filter(|event| is_in(event, buckets) == Some(row)).collect();
            let (Some(first), Some(last)) = (starts.first(), starts.last()) else { continue };
            let named = if rules.flip(Flip::GroupOfLastStart) { last } else { first };
            let Some(group) = group_of(retention, named, rules) else { continue };
            let is_same = |event: &OracleEvent| {
                retention["breakdown_match"] != true
                    || rules.flip(Flip::BreakdownMatchIgnored)
                    || group_of(retention, event, rules).as_ref() == Some(&group)
            };
            let spans = |event: &OracleEvent, start: &OracleEvent| {
                (asked.rounded(event.timestamp_us) - asked.rounded(start.timestamp_us)).div_euclid(time.span_us())
            };
            let judged = if rules.flip(Flip::RollingFromFirstStart) { &starts[..1] } else { &starts[..] };
            // Each return with all the periods in which it lies.
            let periods_of = |event: &OracleEvent, bucket: Option<usize>| -> Vec<i64> {
                let since = judged.iter().filter(|start| is_return(start, event, rules)).map(|start| {
                    let by_calendar = || bucket.map_or(-1, |bucket| bucket as i64 - row as i64);
                    if asked.rolling { spans(event, start) } else { by_calendar() }
                });
                since.collect()
            };
            let own = returns.iter().filter(|(event, _)| is_same(event));
            let own: Vec<(f64, Vec<i64>)> =
                own.map(|(event, bucket)| (number_of(retention, event), periods_of(event, *bucket))).collect();
            let in_period = |period: usize| {
                let own = own.iter().filter(|(_, periods)| periods.contains(&(period as i64)));
                own.map(|(number, _)| *number).collect::<Vec<f64>>()
            };
            let longest = asked.reach.len() + 2;
            members.push(Member {
                row,
                returns: (0..longest).map(in_period).collect(),
                start_events: starts.len(),
                group,
            });
            if rules.flip(Flip::RecurringFirstOnly) {
                break;
            }
        }
    }

    let ranked = distinct(members.iter().map(|member| &member.group)).into_iter().map(|group| {
        let size = members.iter().filter(|member| member.group == group).count();
        (group, size)
    });
    let parts = shown(retention, ranked.collect(), rules).into_iter().map(|(label, groups)| {
        let of_groups: Vec<&Member> = members.iter().filter(|member| groups.contains(&member.group)).collect();
        let rows: Vec<Row> = (0..buckets.len())
            .map(|row| {
                let members: Vec<&Member> = of_groups.iter().copied().filter(|member| member.row == row).collect();
                let columns = asked.columns_of(row, rules);
                let size = match rules.flip(Flip::CohortOfEvents) {
                    true => members.iter().map(|member| member.start_events).sum(),
                    false => members.len(),
                };
                Row {
                    cohort: buckets[row].clone(),
                    size,
                    values: (0..columns).map(|column| value(&asked, &members, size, column, rules)).collect(),
                    complete: (0..columns).map(|column| has_ended(row, column, &asked, time)).collect(),
                }
            })
            .collect();
        let shown_rows = rows.iter().map(
            |row| json!({ "cohort": row.cohort, "size": row.size, "values": row.values, "complete": row.complete }),
        );
        let average = |weighted: bool| {
            (0..asked.columns.len()).map(|column| average(&rows, column, weighted, &asked, rules)).collect::<Vec<_>>()
        };
        json!({
            "breakdown": label,
            "rows": shown_rows.collect::<Vec<_>>(),
            "average": { "weighted": average(true), "simple": average(false) },
        })
    });
    let label = |(first, last): &(usize, Option<usize>)| match last {
        Some(last) if last == first => first.to_string(),
        Some(last) => format!("{first}-{last}"),
        None => format!("{first}+"),
    };
    let labels: Vec<String> = asked.columns.iter().map(label).collect();
    json!({ "kind": "retention", "periods": labels, "groups": parts.collect::<Vec<_>>() })
}

/// NaN for none.
fn number_of(retention: &Value, event: &OracleEvent) -> f64 {
    let property = retention["property"].as_str().and_then(|name| event.properties.get(name).cloned().flatten());
    match property {
        Some(Scalar::Number(number)) => number,
        Some(Scalar::Text(_)) | None => f64::NAN,
    }
}

fn value(asked: &Asked, members: &[&Member], size: usize, column: usize, rules: Rules) -> Option<f64> {
    let Some(measure) = &asked.measure else {
        if asked.columns[column].0 == 0 && !asked.returned_in_zero {
            return Some(size as f64);
        }
        let counted = members.iter().filter(|member| asked.counted(member, column, rules).is_some());
        return Some(counted.count() as f64);
    };
    let returns = members.iter().filter_map(|member| asked.counted(member, column, rules)).flatten();
    let numbers: Vec<f64> = returns.copied().filter(|number| !number.is_nan()).collect();
    let sum: f64 = numbers.iter().sum();
    match measure.as_str() {
        "sum" => Some(sum),
        _ => (!numbers.is_empty()).then(|| sum / numbers.len() as f64),
    }
}

fn is_return(start: &OracleEvent, event: &OracleEvent, rules: Rules) -> bool {
    let (from, at) = ((start.timestamp_us, start.sequence), (event.timestamp_us, event.sequence));
    match () {
        () if rules.flip(Flip::StartIsReturn) => at >= from,
        () if rules.flip(Flip::ReturnStrictlyLater) => at.0 > from.0,
        () if rules.flip(Flip::ReturnMayComeBefore) => at != from,
        () => at > from,
    }
}

struct Row {
    cohort: String,
    size: usize,
    values: Vec<Option<f64>>,
    complete: Vec<bool>,
}

/// Whether the last period of a cell has ended, for the last start that the cohort can have; what never ends is judged by its first period.
fn has_ended(row: usize, column: usize, asked: &Asked, time: &Time) -> bool {
    let rules = time.rules;
    let seen_us = match () {
        () if rules.flip(Flip::CompleteIgnoresNow) => asked.until_us,
        () if rules.flip(Flip::CompleteIgnoresRange) => time.now_us,
        () => asked.until_us.min(time.now_us),
    };
    let (first, last) = asked.columns[column];
    let last = if rules.flip(Flip::CompleteByFirstPeriod) { first } else { last.unwrap_or(first) };
    if asked.rolling && !rules.flip(Flip::CompleteByCalendar) {
        return asked.rounded(asked.last_starts_us[row]) + (last as i64 + 1) * time.span_us() <= seen_us;
    }
    if row + last >= asked.reach.len() {
        return false;
    }
    let seen = time.bucket_of(seen_us);
    let later = asked.reach.iter().position(|label| *label == seen).map(|seen| seen > row + last);
    later.unwrap_or(seen_us >= asked.until_us)
}

fn average(rows: &[Row], column: usize, weighted: bool, asked: &Asked, rules: Rules) -> Option<f64> {
    let complete = |row: &&Row| row.complete.get(column) == Some(&true);
    let with_cell = rows.iter().filter(|row| row.values.get(column).is_some_and(Option::is_some));
    let counted: Vec<&Row> = with_cell
        .filter(|row| complete(row) || rules.flip(Flip::AverageOfIncomplete))
        .filter(|row| row.size > 0 || (rules.flip(Flip::SimpleCountsEmpty) && !weighted))
        .collect();
    let size: usize = counted.iter().map(|row| row.size).sum();
    if size == 0 {
        return None;
    }
    let share = |row: &Row| match row.values[column].expect("it has the cell") {
        value if asked.measure.is_some() => value,
        value if row.size > 0 => value / row.size as f64,
        _ => 0.0,
    };
    if weighted && !rules.flip(Flip::WeightedIsSimple) {
        return Some(counted.iter().map(|row| share(row) * row.size as f64).sum::<f64>() / size as f64);
    }
    Some(counted.iter().map(|row| share(row)).sum::<f64>() / counted.len() as f64)
}
