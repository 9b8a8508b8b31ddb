//! RFC 3339 in UTC from Unix nanoseconds, without reading a clock or a time zone.

use crate::load::SECOND;

/// `at` as RFC 3339 with nine digits, such as `2026-11-22T07:41:55.000000001Z`.
#[must_use]
pub fn rfc3339(at: u64) -> String {
    let seconds = at / SECOND;
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let nanos = at % SECOND;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
}

/// Year, month and day of the proleptic Gregorian calendar, `days` after 1970-01-01.
///
/// Counts from 0000-03-01, so that the leap day is the last of its year.
const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// The first moment of a day in UTC, Unix nanoseconds; `None` for what is no day since 1970.
#[must_use]
pub fn midnight(year: u64, month: u64, day: u64) -> Option<u64> {
    let near = year.checked_sub(1970)?.checked_mul(365)?;
    // There are at most so many leap days between, and a year has fewer days than that.
    let days = (near..near.checked_add(year / 4)?.checked_add(366)?)
        .find(|days| civil(*days) == (year, month, day))?;
    days.checked_mul(86_400)?.checked_mul(SECOND)
}

/// What [`rfc3339`] wrote, with nine digits or fewer.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))?;
        digits.parse::<u64>().ok()
    };
    let marks = [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")];
    if marks.iter().any(|(at, mark)| text.get(*at..at + 1) != Some(mark)) {
        return None;
    }
    let day = midnight(number(0, 4)?, number(5, 7)?, number(8, 10)?)?;
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let fraction = text.get(19..)?.strip_suffix('Z')?.strip_prefix('.').unwrap_or("0");
    let nanos: u64 = format!("{fraction:0<9}").parse().ok().filter(|nanos| *nanos < SECOND)?;
    let within = hour < 24 && minute < 60 && second < 60;
    within.then_some(())?;
    day.checked_add((hour * 3600 + minute * 60 + second) * SECOND + nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for at in
            [0, 1, 1_795_333_315 * SECOND + 1, 4_107_542_399 * SECOND, 951_782_400 * SECOND + 120_000_000]
        {
            assert_eq!(parse(&rfc3339(at)), Some(at));
        }
        assert_eq!(parse("1970-01-01T00:00:01Z"), Some(SECOND));
        for odd in
            ["", "1970-01-01", "1970-01-01T25:00:00Z", "1970-01-01T00:00:00.Z0", "+970-01-01T00:00:00Z"]
        {
            assert_eq!(parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn known_moments() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(rfc3339(951_782_400 * SECOND), "2000-02-29T00:00:00.000000000Z");
        assert_eq!(rfc3339(1_795_333_315 * SECOND + 1), "2026-11-22T07:41:55.000000001Z");
        assert_eq!(rfc3339(4_107_542_399 * SECOND), "2100-02-28T23:59:59.000000000Z");
        assert_eq!(rfc3339(4_107_542_400 * SECOND), "2100-03-01T00:00:00.000000000Z");
        assert_eq!(rfc3339(u64::MAX), "2554-07-21T23:34:33.709551615Z");
    }

    #[test]
    fn days_begin_at_midnight() {
        assert_eq!(midnight(1970, 1, 1), Some(0));
        assert_eq!(midnight(2000, 2, 29), Some(951_782_400 * SECOND));
        assert_eq!(midnight(2100, 3, 1), Some(4_107_542_400 * SECOND));
        assert_eq!(midnight(2100, 2, 29), None);
        assert_eq!(midnight(1969, 12, 31), None);
        assert_eq!(midnight(u64::MAX, 1, 1), None);
    }
}
