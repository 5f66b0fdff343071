//! How long an unfinished upload is kept.

use std::time::Duration;

use crate::annex::repository::Repository;

/// How long, unless git config says otherwise: a week.
pub const KEEP: Duration = Duration::from_secs(7 * 24 * 3600);

/// `annex.stream.keep` of git config.
///
/// # Errors
///
/// It is set to what is no duration, in a sentence.
pub fn keep(repository: &Repository) -> Result<Duration, String> {
    match repository.config("annex.stream.keep") {
        None => Ok(KEEP),
        Some(text) => duration(&text).ok_or_else(|| {
            format!("git config annex.stream.keep is a duration like 7d or 12h, not \"{}\"", text.escape_ascii())
        }),
    }
}

/// A duration as git-annex writes them: `7d`, `1h30m`, in years (of 365 days), weeks, days, hours, minutes, seconds; or `0`.
pub fn duration(text: &[u8]) -> Option<Duration> {
    const UNITS: [(u8, u64); 6] =
        [(b'y', 365 * 86_400), (b'w', 7 * 86_400), (b'd', 86_400), (b'h', 3600), (b'm', 60), (b's', 1)];
    let text = text.trim_ascii();
    if text == b"0" {
        return Some(Duration::ZERO);
    }
    let (mut seconds, mut number) = (0u64, None::<u64>);
    for byte in text.iter().filter(|byte| **byte != b' ') {
        if byte.is_ascii_digit() {
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(u64::from(byte - b'0'))?);
        } else {
            let (_, unit) = UNITS.iter().find(|(letter, _)| letter == byte)?;
            seconds = seconds.checked_add(number.take()?.checked_mul(*unit)?)?;
        }
    }
    (number.is_none() && !text.is_empty()).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        for (text, seconds) in [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("7d", Some(604_800)),
            ("1w", Some(604_800)),
            (" 1h30m ", Some(5400)),
            ("1h 30m", Some(5400)),
            ("1y", Some(31_536_000)),
            ("", None),
            ("7", None),
            ("d", None),
            ("1dd", None),
            ("1h2", None),
            ("-1d", None),
            ("1.5h", None),
            ("99999999999999999999s", None),
            ("999999999999999999w", None),
        ] {
            assert_eq!(duration(text.as_bytes()).map(|found| found.as_secs()), seconds, "{text:?}");
        }
    }
}
