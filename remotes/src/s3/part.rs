//! Which bytes of an object an answer holds, and whether they are those that were asked for.

use crate::{Error, Kind, Op, Range, Result};

/// What `Content-Range` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ContentRange {
    first: u64,
    last: u64,
    total: u64,
}

impl ContentRange {
    /// `bytes 0-9/100`. `None` where it is malformed, or does not tell the length of the whole.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.trim().strip_prefix("bytes")?.trim().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let number = |text: &str| text.trim().parse::<u64>().ok();
        let part = Self { first: number(first)?, last: number(last)?, total: number(total)? };
        (part.first <= part.last && part.last < part.total).then_some(part)
    }
}

/// What an answer with a payload of `len` bytes says of the object's length, where that is beyond doubt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Total {
    /// So many bytes.
    Known(u64),
    /// It may end where the payload ends, or go on.
    Ask,
    /// So many bytes, and the payload is all of them, where a part was asked for.
    Whole(u64),
}

/// Holds an answer against what was asked for. Errors: other bytes came.
pub(super) fn check(asked: &Range, len: u64, told: Option<ContentRange>) -> Result<Total> {
    let wrong = |detail| Err(Error::new(Op::Get, Kind::Protocol, detail));
    let Some(part) = told else {
        return match asked.len {
            _ if asked.from > 0 => Ok(Total::Whole(len)),
            None => Ok(Total::Known(len)),
            // quirk: rclone serve s3 answers 200 where the range covers the whole object.
            Some(wanted) if len < wanted => Ok(Total::Known(len)),
            Some(wanted) if len == wanted => Ok(Total::Ask),
            Some(_) => Ok(Total::Whole(len)),
        };
    };
    let wanted = asked.len.unwrap_or(u64::MAX).min(part.total.saturating_sub(asked.from));
    if part.first != asked.from || part.last - part.first + 1 != len || len != wanted {
        return wrong("the server sends other bytes of the object than were asked for");
    }
    Ok(Total::Known(part.total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_no_part() {
        assert_eq!(ContentRange::parse("bytes 5-14/200"), Some(ContentRange { first: 5, last: 14, total: 200 }));
        for odd in
            ["", "bytes", "bytes */200", "bytes 5-14/*", "bytes 14-5/200", "bytes 5-200/200", "5-14/200", "bytes 5-/9"]
        {
            assert_eq!(ContentRange::parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn only_the_bytes_that_were_asked_for_are_taken() {
        for (from, wanted, len, told, expected) in [
            (0, None, 100, None, Some(Total::Known(100))),
            (0, Some(10), 10, Some("bytes 0-9/100"), Some(Total::Known(100))),
            (0, Some(10), 10, Some("bytes 0-9/10"), Some(Total::Known(10))),
            (90, Some(20), 10, Some("bytes 90-99/100"), Some(Total::Known(100))),
            (7, None, 93, Some("bytes 7-99/100"), Some(Total::Known(100))),
            (0, Some(10), 4, None, Some(Total::Known(4))),
            (0, Some(10), 10, None, Some(Total::Ask)),
            // The whole where a part was asked for.
            (7, None, 100, None, Some(Total::Whole(100))),
            (7, Some(3), 100, None, Some(Total::Whole(100))),
            (0, Some(3), 100, None, Some(Total::Whole(100))),
            // Other bytes.
            (7, Some(3), 3, Some("bytes 6-8/100"), None),
            (7, Some(3), 3, Some("bytes 7-10/100"), None),
            (7, Some(3), 4, Some("bytes 7-10/100"), None),
            // Fewer than there are.
            (7, Some(3), 2, Some("bytes 7-8/100"), None),
            (0, None, 10, Some("bytes 0-9/100"), None),
            (7, None, 10, Some("bytes 7-16/100"), None),
            (90, Some(20), 5, Some("bytes 90-94/100"), None),
        ] {
            let asked = Range { from, len: wanted, tag: None };
            let told = told.map(|text| ContentRange::parse(text).expect("a range"));
            assert_eq!(check(&asked, len, told).ok(), expected, "{from} {wanted:?}: {len} {told:?}");
        }
    }
}
