//! How numbers are written, in one place. Every result is ASCII and short enough for its column.

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;

/// Up to this a count is written digit by digit, so that it can be compared with other tools.
const EXACT: u64 = 9_999_999;

/// A count: exact up to 9999999, then `12.3M`. At most 7 columns.
#[must_use]
pub fn count(n: u64) -> String {
    if n <= EXACT { n.to_string() } else { scaled(n as f64, 1000.0, &["", "k", "M", "G", "T", "P", "E"]) }
}

/// A rate per second without its unit: `0`, `0.4`, `12.3`, `123`, `12.3k`. At most 5 columns.
#[must_use]
pub fn rate(per_second: f64) -> String {
    if !per_second.is_finite() || per_second < 0.05 {
        return "0".to_owned();
    }
    if per_second < 999.5 {
        let text = three_digits(per_second);
        return text.strip_suffix(".0").map(str::to_owned).unwrap_or(text);
    }
    scaled(per_second, 1000.0, &["", "k", "M", "G", "T"])
}

/// A time given in microseconds: `0us`, `850us`, `1.25ms`, `12.3ms`, `1.20s`, `3m12s`. At most 6 columns.
#[must_use]
pub fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us}us"),
        1_000..999_500 => format!("{}ms", significant(us as f64 / 1e3)),
        999_500..99_950_000 => format!("{}s", significant(us as f64 / 1e6)),
        _ => span(us / 1_000_000),
    }
}

/// A time given in nanoseconds, as [`micros`].
#[must_use]
pub fn nanos(ns: u64) -> String {
    micros(ns / 1_000)
}

/// Whole seconds: `42s`, `3m12s`, `2h05m`, `3d04h`.
#[must_use]
pub fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
        86_400..8_640_000 => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A size: `0B`, `512B`, `1.2kB`, `34.5MB`. At most 6 columns.
#[must_use]
pub fn bytes(n: u64) -> String {
    format!("{}B", scaled(n as f64, 1000.0, &["", "k", "M", "G", "T", "P", "E"]))
}

/// What share `part` is of `whole`: empty without errors, `<0.1%`, `0.4%`, `12%`, `100%`. At most 5 columns.
#[must_use]
pub fn share(part: u64, whole: u64) -> String {
    if part == 0 || whole == 0 {
        return String::new();
    }
    let percent = part as f64 * 100.0 / whole as f64;
    if percent < 0.1 {
        "<0.1%".to_owned()
    } else if percent < 9.95 {
        format!("{percent:.1}%")
    } else if part < whole {
        format!("{}%", (percent.round() as u64).min(99))
    } else {
        "100%".to_owned()
    }
}

/// Unix nanoseconds as `12:03:44` UTC.
#[must_use]
pub fn clock(ns: u64) -> String {
    let seconds = ns / SECOND % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds % 3_600 / 60, seconds % 60)
}

/// Unix nanoseconds as `12:03:44.123` UTC.
#[must_use]
pub fn clock_millis(ns: u64) -> String {
    format!("{}.{:03}", clock(ns), ns % SECOND / 1_000_000)
}

fn scaled(mut value: f64, step: f64, units: &[&str]) -> String {
    let mut units = units.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    while value >= step - 0.5 {
        let Some(larger) = units.next() else { break };
        value /= step;
        unit = larger;
    }
    if unit.is_empty() { format!("{value:.0}{unit}") } else { format!("{}{unit}", three_digits(value)) }
}

/// `0.4`, `12.3`, `123`: one decimal until three digits stand before the point.
fn three_digits(value: f64) -> String {
    if value < 99.95 { format!("{value:.1}") } else { format!("{value:.0}") }
}

/// Three significant digits: `1.25`, `12.3`, `123`.
fn significant(value: f64) -> String {
    if value < 9.995 { format!("{value:.2}") } else { three_digits(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        assert_eq!(count(0), "0");
        assert_eq!(count(9_999_999), "9999999");
        assert_eq!(count(12_345_678), "12.3M");
        assert_eq!(count(u64::MAX), "18.4E");
    }

    #[test]
    fn rates() {
        for (value, text) in
            [(0.0, "0"), (0.4, "0.4"), (1.0, "1"), (12.34, "12.3"), (123.4, "123"), (999.7, "1.0k")]
        {
            assert_eq!(rate(value), text);
        }
        assert_eq!(rate(f64::NAN), "0");
        assert_eq!(rate(f64::INFINITY), "0");
    }

    #[test]
    fn times() {
        let table = [
            (0, "0us"),
            (850, "850us"),
            (1_250, "1.25ms"),
            (12_340, "12.3ms"),
            (123_400, "123ms"),
            (999_600, "1.00s"),
            (12_340_000, "12.3s"),
            (192_000_000, "3m12s"),
        ];
        for (us, text) in table {
            assert_eq!(micros(us), text);
        }
        assert!(micros(u64::MAX).ends_with('d'));
    }

    #[test]
    fn shares_never_round_to_all_or_nothing() {
        assert_eq!(share(0, 10), "");
        assert_eq!(share(1, 0), "");
        assert_eq!(share(1, 100_000), "<0.1%");
        assert_eq!(share(1, 250), "0.4%");
        assert_eq!(share(9_999, 10_000), "99%");
        assert_eq!(share(10, 10), "100%");
    }

    #[test]
    fn sizes_and_clocks() {
        assert_eq!(bytes(0), "0B");
        assert_eq!(bytes(999), "999B");
        assert_eq!(bytes(1_234), "1.2kB");
        assert_eq!(bytes(34_500_000), "34.5MB");
        assert_eq!(clock_millis(3_723 * SECOND + 45_000_000), "01:02:03.045");
        assert_eq!(span(7_500), "2h05m");
    }

    #[test]
    fn columns_never_overflow() {
        let mut n = 1u64;
        while n < u64::MAX / 3 {
            assert!(count(n).len() <= 7 && bytes(n).len() <= 6, "{n}");
            assert!(n > 86_400_000_000_000 || micros(n).len() <= 6, "{n} {}", micros(n));
            n = n * 3 + 1;
        }
    }
}
