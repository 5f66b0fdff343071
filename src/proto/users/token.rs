//! Tokens: passwords made by chance, each with rights of its own and an end.
//!
//! They have 160 bits, so nobody guesses one, and a digest is enough to keep.

use sha2::{Digest, Sha256};

use super::rights::{Pattern, Rights};

/// What every token begins with.
pub const PREFIX: &[u8] = b"gat_";

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is called.
    pub name: String,
    /// Who logs in with it; none where it has rights of its own.
    pub user: Option<String>,
    /// What it allows at the most.
    pub rights: Rights,
    /// Where.
    pub repositories: Pattern,
    /// The first second, since 1970, in which it is of no use; none where it has no end.
    pub expires: Option<u64>,
    /// SHA-256 of it.
    pub digest: [u8; 32],
}

impl Token {
    /// The name to log in with.
    pub fn login(&self) -> &str {
        self.user.as_ref().unwrap_or(&self.name)
    }

    /// Whether it is of use at `now`, in seconds since 1970.
    pub fn is_valid(&self, now: u64) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

/// The text of a token, of 20 bytes by chance.
pub fn text(bytes: [u8; 20]) -> String {
    let mut text = String::from_utf8_lossy(PREFIX).into_owned();
    text.push_str(&annex_types::hex::show(&bytes));
    text
}

/// What is kept of one.
pub fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// Seconds from 1970 to the beginning of the day after `YYYY-MM-DD`, in UTC; none where there is no such day.
pub fn end_of(day: &str) -> Option<u64> {
    let mut parts = day.split('-');
    let mut number = |len: usize| {
        let part = parts.next()?;
        (part.len() == len && part.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| part.parse::<i64>().ok())
            .flatten()
    };
    let (year, month, date) = (number(4)?, number(2)?, number(2)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if parts.next().is_some() || !(1..=longest).contains(&date) || year < 1970 {
        return None;
    }
    // Days since 1970-01-01, with years that begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + date - 1 - 719_468;
    u64::try_from((days + 1) * 86_400).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_where_the_next_begins() {
        for (day, seconds) in [
            ("1970-01-01", Some(86_400)),
            ("2000-02-29", Some(951_868_800)),
            ("2026-11-30", Some(1_796_083_200)),
            ("2026-12-31", Some(1_798_761_600)),
            ("2027-02-29", None),
            ("2026-13-01", None),
            ("2026-00-01", None),
            ("2026-1-1", None),
            ("2026-11-31", None),
            ("2026-11-30-1", None),
            ("1969-12-31", None),
            ("never", None),
        ] {
            assert_eq!(end_of(day), seconds, "{day}");
        }
    }
}
