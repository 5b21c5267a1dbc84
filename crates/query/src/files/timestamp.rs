//! Instants as files write them.

use pugmark_store::Timestamp;

const SECONDS_BELOW: i64 = 100_000_000_000;
const MILLISECONDS_BELOW: i64 = 100_000_000_000_000;
const MICROSECONDS_BELOW: i64 = 100_000_000_000_000_000;

/// The instant of a whole number since 1970, whose magnitude says its unit.
pub(super) fn from_integer(number: i64) -> Timestamp {
    Timestamp::from_microsecond(match number.unsigned_abs() {
        n if n < SECONDS_BELOW.unsigned_abs() => number * 1_000_000,
        n if n < MILLISECONDS_BELOW.unsigned_abs() => number * 1_000,
        n if n < MICROSECONDS_BELOW.unsigned_abs() => number,
        _ => number.div_euclid(1_000),
    })
}

/// The instant of a number with a fraction, cut to the microsecond.
pub(super) fn from_float(number: f64) -> Result<Timestamp, String> {
    let scale = match number.abs() {
        n if n < SECONDS_BELOW as f64 => 1e6,
        n if n < MILLISECONDS_BELOW as f64 => 1e3,
        n if n < MICROSECONDS_BELOW as f64 => 1.0,
        n if n < i64::MAX as f64 => 1e-3,
        _ => return Err(format!("{number} is not an instant: too large for a number since 1970")),
    };
    // The nearest microsecond: a float of seconds carries no more than about that.
    Ok(Timestamp::from_microsecond((number * scale).round() as i64))
}

/// The instant of a text.
pub(super) fn from_text(text: &str) -> Result<Timestamp, String> {
    if let Some(at) = usual_form(text.as_bytes()) {
        return Ok(at);
    }
    let trimmed = text.trim();
    let digits = trimmed.strip_prefix('-').unwrap_or(trimmed);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        if let (8, Ok(date)) = (trimmed.len(), trimmed.parse::<Timestamp>()) {
            return Ok(date);
        }
        if let Ok(number) = trimmed.parse::<i64>() {
            return Ok(from_integer(number));
        }
    } else if digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && let Ok(number) = trimmed.parse::<f64>()
    {
        return from_float(number);
    }
    trimmed.parse::<Timestamp>().map_err(|error| {
        let message = error.to_string();
        message.strip_prefix("timestamp ").unwrap_or(&message).to_owned()
    })
}

/// `2025-01-01T10:00:00.123Z`, also with a space for the `T` and without the `Z`; anything unusual is left to the full reader.
fn usual_form(text: &[u8]) -> Option<Timestamp> {
    let (head, tail) = text.split_first_chunk::<19>()?;
    let two = |at: usize| -> Option<i64> {
        let (high, low) = (head[at].wrapping_sub(b'0'), head[at + 1].wrapping_sub(b'0'));
        (high <= 9 && low <= 9).then(|| i64::from(high * 10 + low))
    };
    let separated =
        head[4] == b'-' && head[7] == b'-' && matches!(head[10], b'T' | b' ') && head[13] == b':' && head[16] == b':';
    if !separated {
        return None;
    }
    let (year, month, day) = (two(0)? * 100 + two(2)?, two(5)?, two(8)?);
    let (hour, minute, second) = (two(11)?, two(14)?, two(17)?);
    if !(1970..=9998).contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=month_days(year, month)).contains(&day)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    let tail = tail.strip_suffix(b"Z").unwrap_or(tail);
    let mut micros = 0;
    if !tail.is_empty() {
        let digits = tail.strip_prefix(b".")?;
        if digits.is_empty() || digits.len() > 6 || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        micros = digits.iter().fold(0, |n, digit| n * 10 + i64::from(digit - b'0'));
        micros *= 10_i64.pow(6 - digits.len() as u32);
    }
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(Timestamp::from_microsecond(seconds * 1_000_000 + micros))
}

fn month_days(year: i64, month: i64) -> i64 {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the proleptic Gregorian calendar, counted in years that begin in March so that a leap day is the last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days_of_years = year * 365 + year / 4 - year / 100 + year / 400;
    days_of_years + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cases() -> ProptestConfig {
        let cases = std::env::var("PUGMARK_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(256);
        ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
    }

    #[test]
    fn one_instant_reads_the_same_in_every_form() {
        let expected: Timestamp = "2025-01-01T10:00:00Z".parse().unwrap();
        for text in [
            "2025-01-01T10:00:00Z",
            "2025-01-01T10:00:00",
            "2025-01-01 10:00:00",
            "2025-01-01 10:00:00.000000Z",
            "2025-01-01T11:00:00+01:00",
            "2025-01-01T10:00:00.000000000Z",
            " 2025-01-01T10:00:00Z ",
            "1735725600",
            "1735725600.0",
            "1735725600000",
            "1735725600000000",
            "1735725600000000000",
        ] {
            assert_eq!(from_text(text), Ok(expected), "{text}");
        }
        assert_eq!(from_integer(1_735_725_600), expected);
        assert_eq!(from_float(1_735_725_600.0), Ok(expected));
        assert_eq!(from_float(1_735_725_600_000.0), Ok(expected));
    }

    #[test]
    fn a_date_is_its_midnight_in_utc() {
        let expected: Timestamp = "1997-01-18T00:00:00Z".parse().unwrap();
        assert_eq!(from_text("1997-01-18"), Ok(expected));
        assert_eq!(from_text("19970118"), Ok(expected));
    }

    #[test]
    fn fractions_are_kept_to_the_microsecond() {
        assert_eq!(from_text("1970-01-01T00:00:01.5Z").unwrap().as_microsecond(), 1_500_000);
        assert_eq!(from_text("1970-01-01T00:00:01.000001Z").unwrap().as_microsecond(), 1_000_001);
        assert_eq!(from_text("1.25").unwrap().as_microsecond(), 1_250_000);
        assert_eq!(from_float(1_735_725_600.123_456).unwrap().as_microsecond(), 1_735_725_600_123_456);
    }

    #[test]
    fn what_is_no_instant_is_refused_with_the_text() {
        for text in [
            "",
            "yesterday",
            "2025-02-29T00:00:00Z",
            "2025-13-01",
            "2025-01-01T25:00:00Z",
            "1.2.3",
            "10:00",
            "01/02/2025",
        ] {
            let reason = from_text(text).unwrap_err();
            assert!(reason.starts_with(&format!("\"{text}\" is not an instant")), "{text}: {reason}");
        }
        assert!(from_float(1e300).is_err());
    }

    proptest! {
        #![proptest_config(cases())]
        #[test]
        fn the_usual_form_reads_as_the_full_reader_does(micros in 0_i64..250_000_000_000_000_000, digits in 0_usize..=6) {
            let full = Timestamp::from_microsecond(micros - micros % 10_i64.pow(6 - digits as u32));
            let text = full.to_string();
            let (quick, slow) = (usual_form(text.as_bytes()), text.parse::<Timestamp>().unwrap());
            prop_assert_eq!(quick, Some(slow));
            prop_assert_eq!(slow, full);
        }
    }
}
