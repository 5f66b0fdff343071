//! Which part of a content a Range header asks for.
//!
//! git-annex ignores Range and always answers with the whole. Parts are for other clients: a browser that seeks, a
//! download that is resumed. Source: RFC 9110, section 14.

use super::response::Part;
use crate::proto::line::parse_number;

/// What to answer to a GET.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// 200 and everything.
    Whole,
    /// 206 and `length` bytes from `first` on.
    Part {
        /// Offset in bytes.
        first: u64,
        /// How many bytes; never 0.
        length: u64,
    },
    /// 416: nothing that was asked for is there.
    Unsatisfied,
}

impl Choice {
    /// The Content-Range to send about a content of `total` bytes.
    pub fn part(self, total: u64) -> Option<Part> {
        match self {
            Self::Whole => None,
            Self::Part { first, length } => Some(Part::Bytes { first, last: first + (length - 1), total }),
            Self::Unsatisfied => Some(Part::Unsatisfied { total }),
        }
    }
}

/// Decides on the value of a Range header, for a content of `total` bytes.
///
/// Several ranges, other units and what cannot be read are answered with the whole, which is always right.
pub fn choose(value: Option<&[u8]>, total: u64) -> Choice {
    let Some(spec) = value.and_then(one_range) else { return Choice::Whole };
    match spec {
        (Some(first), Some(last)) if last < first => Choice::Whole,
        (Some(first), _) if first >= total => Choice::Unsatisfied,
        (Some(first), last) => {
            let last = last.unwrap_or(u64::MAX).min(total - 1);
            Choice::Part { first, length: last - first + 1 }
        }
        (None, Some(0)) => Choice::Unsatisfied,
        (None, Some(_)) if total == 0 => Choice::Unsatisfied,
        (None, Some(suffix)) => {
            let length = suffix.min(total);
            Choice::Part { first: total - length, length }
        }
        (None, None) => Choice::Whole,
    }
}

/// `bytes=2-4`, `bytes=2-` or `bytes=-2`; `None` where it is none of these.
fn one_range(value: &[u8]) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, spec) = value.split_at_checked(6)?;
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return None;
    }
    let dash = spec.iter().position(|byte| *byte == b'-')?;
    let number = |text: &[u8]| if text.is_empty() { Some(None) } else { parse_number(text).map(Some) };
    Some((number(spec[..dash].trim_ascii())?, number(spec[dash + 1..].trim_ascii())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_chosen_as_the_rfc_says() {
        let part = |first, length| Choice::Part { first, length };
        for (value, total, choice) in [
            ("bytes=2-4", 11, part(2, 3)),
            ("bytes=0-0", 11, part(0, 1)),
            ("bytes=5-", 11, part(5, 6)),
            ("bytes=5-99", 11, part(5, 6)),
            ("Bytes=-4", 11, part(7, 4)),
            ("bytes=-99", 11, part(0, 11)),
            ("bytes=10-", 11, part(10, 1)),
            ("bytes=11-", 11, Choice::Unsatisfied),
            ("bytes=0-", 0, Choice::Unsatisfied),
            ("bytes=-5", 0, Choice::Unsatisfied),
            ("bytes=-0", 11, Choice::Unsatisfied),
            ("bytes=18446744073709551615-", u64::MAX, Choice::Unsatisfied),
            ("bytes=0-18446744073709551615", u64::MAX, part(0, u64::MAX)),
            ("bytes=4-2", 11, Choice::Whole),
            ("bytes=0-1,3-4", 11, Choice::Whole),
            ("bytes=-", 11, Choice::Whole),
            ("bytes=x-", 11, Choice::Whole),
            ("bytes=18446744073709551616-", 11, Choice::Whole),
            ("lines=1-2", 11, Choice::Whole),
            ("", 11, Choice::Whole),
        ] {
            assert_eq!(choose(Some(value.as_bytes()), total), choice, "{value} of {total}");
        }
        assert_eq!(choose(None, 11), Choice::Whole);
    }

    #[test]
    fn what_is_sent_is_described() {
        assert_eq!(Choice::Whole.part(5), None);
        assert_eq!(choose(Some(b"bytes=-2"), 5).part(5), Some(Part::Bytes { first: 3, last: 4, total: 5 }));
        assert_eq!(choose(Some(b"bytes=7-"), 5).part(5), Some(Part::Unsatisfied { total: 5 }));
    }
}
