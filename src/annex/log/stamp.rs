//! The times of log lines, which are clocks of a value and not only of the world.

use std::fmt;
use std::time::Duration;

/// When a line was recorded: seconds since 1970, perhaps with a fraction, written `1795387138s`.
///
/// git-annex writes whole seconds today and wrote fractions once; digits past the twelfth are cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    picoseconds: i128,
}

const SECOND: i128 = 1_000_000_000_000;

const MICROSECOND: i128 = SECOND / 1_000_000;

/// The last time that [`Stamp::parse`] reads. A change is not recorded later than that, or nobody could read it.
const LATEST: i128 = 10i128.pow(MOST_DIGITS) * SECOND - 1;

/// Of whole seconds. git-annex reads any number; more have no room here.
const MOST_DIGITS: u32 = 24;

impl Stamp {
    /// Earlier than every other: of a line that carries no time.
    pub const UNKNOWN: Self = Self { picoseconds: i128::MIN };

    /// Whole `seconds` since 1970.
    pub fn of_seconds(seconds: u64) -> Self {
        Self { picoseconds: i128::from(seconds) * SECOND }
    }

    /// Reads `1795387138.25s`; the `s` may be missing, a minus may stand before. `None` where it is no time.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.strip_suffix(b"s").unwrap_or(bytes);
        let (sign, digits) = bytes.strip_prefix(b"-").map_or((1, bytes), |rest| (-1, rest));
        let dot = digits.iter().position(|byte| *byte == b'.');
        let (whole, fraction) = dot.map_or((digits, None), |at| (&digits[..at], Some(&digits[at + 1..])));
        let whole = number(whole)?;
        let fraction = match fraction {
            None => 0,
            Some(fraction) => {
                let cut = &fraction[..fraction.len().min(12)];
                if !fraction.iter().all(u8::is_ascii_digit) {
                    return None;
                }
                number(cut)? * 10i128.pow(12 - u32::try_from(cut.len()).ok()?)
            }
        };
        Some(Self { picoseconds: sign * (whole * SECOND + fraction) })
    }

    /// The day and the time of day in UTC, to the second: `2026-11-29@18-06-17`.
    pub fn date(self) -> String {
        let seconds = self.picoseconds.div_euclid(SECOND);
        let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        // Days from 1 March of the year 0 on, so that a leap day ends a year: 400 of these years are always as long.
        let days = days + 719_468;
        let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        format!("{:04}-{month:02}-{day:02}@{hour:02}-{minute:02}-{second:02}", era * 400 + year)
    }

    /// The time to record a changed value with, `now` being seconds since 1970: later than `self`, the time of the old one,
    /// even where clocks disagree, so that the change wins. Source: recorded from git-annex.
    pub fn after(self, now: u64) -> Self {
        let now = Self::of_seconds(now);
        let later = if now > self { now.picoseconds } else { self.picoseconds.saturating_add(SECOND) };
        Self { picoseconds: later.min(LATEST) }
    }
}

impl Stamp {
    /// The same for what several write who do not know each other's lines yet: to the microsecond, and no later than it has to be.
    /// With whole seconds a line that was changed twice within one runs ahead of the clock, and what another writes after that
    /// would count as older.
    pub fn soon_after(self, now: Duration) -> Self {
        let now = i128::try_from(now.as_micros()).unwrap_or(LATEST / MICROSECOND).saturating_mul(MICROSECOND);
        let later = if now > self.picoseconds { now } else { self.picoseconds.saturating_add(MICROSECOND) };
        Self { picoseconds: later.min(LATEST) }
    }
}

/// What the digits say, where there are not too many.
fn number(digits: &[u8]) -> Option<i128> {
    if digits.is_empty() || digits.len() > MOST_DIGITS as usize || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.picoseconds < 0 { "-" } else { "" };
        let picoseconds = self.picoseconds.unsigned_abs();
        let (whole, fraction) = (picoseconds / SECOND.unsigned_abs(), picoseconds % SECOND.unsigned_abs());
        if fraction == 0 {
            return write!(f, "{sign}{whole}s");
        }
        write!(f, "{sign}{whole}.{}s", format!("{fraction:012}").trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_git_annex_reads_them() {
        for (text, shown) in [
            ("1795387138s", Some("1795387138s")),
            ("1795388387", Some("1795388387s")),
            ("1795388387.5s", Some("1795388387.5s")),
            ("1.0s", Some("1s")),
            ("1.050s", Some("1.05s")),
            ("1795388399.123456789123s", Some("1795388399.123456789123s")),
            ("0.1234567890129s", Some("0.123456789012s")),
            ("-5s", Some("-5s")),
            ("-5.25s", Some("-5.25s")),
            ("0s", Some("0s")),
            ("1.5e3s", None),
            ("s", None),
            ("", None),
            ("1.s", None),
            (".5s", None),
            ("1.5.5s", None),
            ("+1s", None),
            ("1ss", None),
            ("99999999999999999999s", Some("99999999999999999999s")),
            ("1000000000000000000000000s", None),
        ] {
            let stamp = Stamp::parse(text.as_bytes());
            assert_eq!(stamp.map(|stamp| stamp.to_string()).as_deref(), shown, "{text}");
        }
    }

    /// Recorded, the first and the last but one: what `git annex metadata` shows as lastchanged.
    #[test]
    fn a_time_is_a_date() {
        for (time, date) in [
            ("-9s", "1969-12-31@23-59-51"),
            ("0s", "1970-01-01@00-00-00"),
            ("951782399s", "2000-02-28@23-59-59"),
            ("951782400s", "2000-02-29@00-00-00"),
            ("951868800s", "2000-03-01@00-00-00"),
            ("1795387138.25s", "2026-11-22@22-38-58"),
            ("4107542399s", "2100-02-28@23-59-59"),
            ("4107542400s", "2100-03-01@00-00-00"),
            ("99999999999s", "5138-11-16@09-46-39"),
        ] {
            assert_eq!(Stamp::parse(time.as_bytes()).expect("a time").date(), date, "{time}");
        }
        assert!(!Stamp::parse(b"999999999999999999999999s").expect("a time").date().is_empty());
        assert!(!Stamp::UNKNOWN.date().is_empty());
    }

    #[test]
    fn a_change_that_others_may_change_too_is_no_later_than_it_has_to_be() {
        for (old, micros, new) in [
            ("5s", 7_250_000, "7.25s"),
            ("7s", 7_000_000, "7.000001s"),
            ("7.5s", 7_400_000, "7.500001s"),
            ("999999999999999999999999s", 7, "999999999999999999999999.000001s"),
        ] {
            let stamp = Stamp::parse(old.as_bytes()).expect("a time");
            assert_eq!(stamp.soon_after(Duration::from_micros(micros)).to_string(), new, "{old}");
        }
        assert_eq!(Stamp::UNKNOWN.soon_after(Duration::from_secs(7)).to_string(), "7s");
    }

    #[test]
    fn a_change_is_later_than_what_it_changes() {
        for (old, now, new) in [
            ("5s", 7, "7s"),
            ("7s", 7, "8s"),
            ("9s", 7, "10s"),
            ("6.9s", 7, "7s"),
            ("7.25s", 7, "8.25s"),
            ("99999999999.9s", 1_795_404_782, "100000000000.9s"),
            ("99999999999999999999s", 7, "100000000000000000000s"),
            ("999999999999999999999999s", 7, "999999999999999999999999.999999999999s"),
        ] {
            assert_eq!(Stamp::parse(old.as_bytes()).expect("a time").after(now).to_string(), new, "{old}");
        }
        assert_eq!(Stamp::UNKNOWN.after(7).to_string(), "7s");
    }
}
