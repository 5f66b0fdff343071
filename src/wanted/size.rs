//! Sizes as people write them in an expression: `100kb`, `0.5gb`, `1mib`.

use annex_types::size::factor;

use super::number;

/// A number of bytes to compare with; may be negative, or more than any content has.
pub(in crate::wanted) type Bytes = i128;

/// The bytes that `text` stands for, and whether something after it was passed over. `None` where git-annex reads none
/// either.
///
/// Powers of 1000, and of 1024 for `kib` and its kin; bits are an eighth. Rounded to the nearest, halves to the even one.
/// Source: recorded, for the units what `git annex maxsize` takes.
pub(in crate::wanted) fn parse(text: &[u8]) -> Option<(Bytes, bool)> {
    let (value, rest) = number::leading(text)?;
    let rest = String::from_utf8_lossy(rest);
    let end = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let bytes = value * factor(&rest[..end].to_lowercase())?;
    // Haskell rounds what is no number to a large negative one.
    Some((if bytes.is_nan() { Bytes::MIN } else { bytes.round_ties_even() as Bytes }, end < rest.len()))
}
