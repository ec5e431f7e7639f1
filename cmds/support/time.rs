//! Times as people write and read them. Inside they are nanoseconds since 1970-01-01T00:00:00Z in 64 bits, which
//! last until the year 2554; a time outside of that is an error, never another time.

use jiff::civil;
use jiff::tz::TimeZone;
use libwoofstream::duration;
use libwoofstream::error::{Code, Error, Result};

const SECOND_NS: u64 = 1_000_000_000;
const MINUTE_NS: u64 = 60 * SECOND_NS;
const HOUR_NS: u64 = 60 * MINUTE_NS;
const DAY_NS: u64 = 24 * HOUR_NS;

/// Reads a point in time: RFC 3339 (`2026-11-22T01:02:03Z`, `2026-11-22T02:02:03.5+01:00`), the same without an
/// offset or without the time of day (then in the local time zone), or an age before `now_ns` (`10m`, `2h30m`, `1d`).
///
/// ```
/// use woofcmds::support::time::parse_time;
/// assert_eq!(parse_time("1970-01-01T00:00:10Z", 0).unwrap(), 10_000_000_000);
/// assert_eq!(parse_time("10s", 60_000_000_000).unwrap(), 50_000_000_000);
/// ```
///
/// # Errors
/// [`Code::Invalid`] for what is no time, or lies before 1970 or after 2554.
pub fn parse_time(text: &str, now_ns: u64) -> Result<u64> {
    parse_time_in(text, now_ns, TimeZone::system)
}

fn parse_time_in(text: &str, now_ns: u64, zone: impl FnOnce() -> TimeZone) -> Result<u64> {
    if let Some(age_ns) = duration::parse(text) {
        return now_ns
            .checked_sub(age_ns)
            .ok_or_else(|| Error::new(Code::Invalid, text, "that is before 1970"));
    }
    let refused =
        || Error::new(Code::Invalid, text, "not a time: 2026-11-22T01:02:03Z, 2026-11-22 or an age like 10m");
    // Only with its dashes, as 20261122 may be any number; a zone in brackets would be passed over.
    if text.as_bytes().get(4) != Some(&b'-') || text.contains('[') {
        return Err(refused());
    }
    let nanoseconds = match text.parse::<jiff::Timestamp>() {
        Ok(time) => time.as_nanosecond(),
        Err(_) => text
            .parse::<civil::DateTime>()
            .ok()
            .and_then(|local| zone().to_zoned(local).ok())
            .map(|zoned| zoned.timestamp().as_nanosecond())
            .ok_or_else(refused)?,
    };
    u64::try_from(nanoseconds)
        .map_err(|_| Error::new(Code::Invalid, text, "not between the years 1970 and 2554"))
}

/// Reads a length of time as nanoseconds: `500ms`, `10m`, `2h30m`, `1.5d`.
///
/// ```
/// assert_eq!(woofcmds::support::time::parse_duration("2h30m").unwrap(), 9_000_000_000_000);
/// ```
///
/// # Errors
/// [`Code::Invalid`] for what is no length of time, or over 584 years.
pub fn parse_duration(text: &str) -> Result<u64> {
    duration::parse(text).ok_or_else(|| {
        Error::new(Code::Invalid, text, "not a length of time: 500ms, 10s, 10m, 2h30m, 1d or 1w")
    })
}

/// Appends the exact form, always 30 bytes: `2026-11-22T01:02:03.000000004Z`.
///
/// Written by hand because it is on the way of every element that is printed as JSON.
pub fn write_rfc3339(time_ns: u64, out: &mut Vec<u8>) {
    let secs = time_ns / SECOND_NS;
    let (year, month, day) = civil_from_days(secs / 86_400);
    let of_day = secs % 86_400;
    let mut put = |value: u64, width: u32, after: u8| {
        for place in (0..width).rev() {
            out.push(b'0'.wrapping_add((value / 10u64.pow(place) % 10) as u8));
        }
        out.push(after);
    };
    put(year, 4, b'-');
    put(month, 2, b'-');
    put(day, 2, b'T');
    put(of_day / 3600, 2, b':');
    put(of_day / 60 % 60, 2, b':');
    put(of_day % 60, 2, b'.');
    put(time_ns % SECOND_NS, 9, b'Z');
}

/// The exact form of a time: RFC 3339 in UTC with nine digits of a second.
///
/// ```
/// assert_eq!(woofcmds::support::time::rfc3339(4), "1970-01-01T00:00:00.000000004Z");
/// ```
pub fn rfc3339(time_ns: u64) -> String {
    let mut out = Vec::with_capacity(30);
    write_rfc3339(time_ns, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    // Years begin in March here, so that the leap day is the last of its year; eras have 400 years.
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// A time in words, seen from `now_ns`: `just now`, `2 minutes ago`, `in 5 seconds`; more than a week away it is
/// the local date and time, `2026-11-22 01:02`. At most 16 characters.
///
/// ```
/// assert_eq!(woofcmds::support::time::in_words(0, 120_000_000_000), "2 minutes ago");
/// ```
pub fn in_words(time_ns: u64, now_ns: u64) -> String {
    let distance_ns = now_ns.abs_diff(time_ns);
    if distance_ns < SECOND_NS {
        return "just now".to_owned();
    }
    if distance_ns >= 7 * DAY_NS {
        return local(time_ns);
    }
    let (count, unit) = match distance_ns {
        ns if ns < MINUTE_NS => (ns / SECOND_NS, "second"),
        ns if ns < HOUR_NS => (ns / MINUTE_NS, "minute"),
        ns if ns < DAY_NS => (ns / HOUR_NS, "hour"),
        ns => (ns / DAY_NS, "day"),
    };
    let words = super::units::counted(count, unit);
    if time_ns <= now_ns { format!("{words} ago") } else { format!("in {words}") }
}

/// The local date and time to the minute: `2026-11-22 01:02`.
pub fn local(time_ns: u64) -> String {
    local_in(time_ns, TimeZone::system())
}

fn local_in(time_ns: u64, zone: TimeZone) -> String {
    match jiff::Timestamp::from_nanosecond(i128::from(time_ns)) {
        Ok(time) => time.to_zoned(zone).strftime("%Y-%m-%d %H:%M").to_string(),
        Err(_) => rfc3339(time_ns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> TimeZone {
        TimeZone::fixed(jiff::tz::offset(2))
    }

    #[test]
    fn times_read_with_and_without_offset() {
        for (text, ns) in [
            ("2026-11-22T01:02:03.000000004Z", 1_795_309_323_000_000_004),
            ("2026-11-22t01:02:03z", 1_795_309_323_000_000_000),
            ("2026-11-22T02:02:03+01:00", 1_795_309_323_000_000_000),
            ("2026-11-22T03:02:03", 1_795_309_323_000_000_000),
            ("2026-11-22 03:02:03", 1_795_309_323_000_000_000),
            ("1970-01-02", 79_200_000_000_000),
        ] {
            assert_eq!(parse_time_in(text, 0, zone).unwrap(), ns, "{text}");
        }
    }

    #[test]
    fn ages_count_back_from_now() {
        let now = 10 * DAY_NS;
        assert_eq!(parse_time_in("10m", now, zone).unwrap(), now - 600 * SECOND_NS);
        assert_eq!(parse_time_in("2h30m", now, zone).unwrap(), now - 9000 * SECOND_NS);
        assert_eq!(parse_time_in("1d", now, zone).unwrap(), 9 * DAY_NS);
        assert_eq!(parse_time_in("1w1s", now, zone).unwrap(), 3 * DAY_NS - SECOND_NS);
        assert_eq!(parse_time_in("500ms", now, zone).unwrap(), now - 500_000_000);
        assert_eq!(parse_time_in("11d", now, zone).unwrap_err().to_string(), "11d: that is before 1970");
    }

    #[test]
    fn what_is_no_time_is_refused_by_name() {
        for text in [
            "",
            "10",
            "m",
            "-10m",
            "yesterday",
            "2026-13-01",
            "2026-11-22T25:00:00Z",
            "2026-11-22T01:02:03Z[Foo/Bar]",
            "20261122",
            "+002026-11-22",
            "1795309323",
            "1.5h",
            "+5m",
            " 5m",
            "5m ",
            "\u{665}m",
            "1e3s",
            "99999999999999999999d",
            "18446744073709551615s",
        ] {
            assert_eq!(parse_time_in(text, 0, zone).unwrap_err().code(), Code::Invalid, "{text}");
        }
        for text in ["1969-12-31T23:59:59Z", "2600-01-01T00:00:00Z"] {
            let err = parse_time_in(text, 0, zone).unwrap_err();
            assert_eq!(err.text(), "not between the years 1970 and 2554");
        }
    }

    #[test]
    fn the_exact_form_has_nine_digits_and_agrees_with_jiff() {
        assert_eq!(rfc3339(1_795_309_323_000_000_004), "2026-11-22T01:02:03.000000004Z");
        assert_eq!(rfc3339(u64::MAX), "2554-07-21T23:34:33.709551615Z");
        let mut time_ns = 1u64;
        for _ in 0..2000 {
            time_ns = time_ns.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let jiff = jiff::Timestamp::from_nanosecond(i128::from(time_ns)).unwrap();
            assert_eq!(rfc3339(time_ns), format!("{jiff:.9}"));
        }
        for day in [58, 59, 60, 789, 790, 11_015, 11_016, 11_017] {
            let jiff = jiff::Timestamp::from_second(day * 86_400).unwrap();
            assert_eq!(rfc3339(day as u64 * DAY_NS), format!("{jiff:.9}"));
        }
    }

    #[test]
    fn words_tell_the_distance() {
        let now = 30 * DAY_NS;
        for (time_ns, words) in [
            (now, "just now"),
            (now - SECOND_NS, "1 second ago"),
            (now - 125 * SECOND_NS, "2 minutes ago"),
            (now - 26 * HOUR_NS, "1 day ago"),
            (now + 5 * SECOND_NS, "in 5 seconds"),
        ] {
            assert_eq!(in_words(time_ns, now), words);
        }
        assert_eq!(local_in(1_795_309_323_000_000_000, zone()), "2026-11-22 03:02");
    }
}
