//! Sizes as people write them in an expression: `100kb`, `0.5gb`, `1mib`.

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

const PREFIXES: [(&str, &str, &str); 8] = [
    ("k", "kilo", "kibi"),
    ("m", "mega", "mebi"),
    ("g", "giga", "gibi"),
    ("t", "tera", "tebi"),
    ("p", "peta", "pebi"),
    ("e", "exa", "exbi"),
    ("z", "zetta", "zebi"),
    ("y", "yotta", "yobi"),
];

fn factor(unit: &str) -> Option<f64> {
    if matches!(unit, "" | "b" | "byte" | "bytes") {
        return Some(1.0);
    }
    for (power, (letter, decimal, binary)) in (1..).zip(PREFIXES) {
        let (thousands, kibis) = (1000f64.powi(power), 1024f64.powi(power));
        if let Some(rest) = unit.strip_prefix(decimal) {
            return named(rest, thousands, true);
        }
        if let Some(rest) = unit.strip_prefix(binary) {
            return named(rest, kibis, false);
        }
        match unit.strip_prefix(letter) {
            Some("" | "b") => return Some(thousands),
            Some("i" | "ib") => return Some(kibis),
            Some("bit") => return Some(thousands / 8.0),
            Some("ibit") => return Some(kibis / 8.0),
            _ => {}
        }
    }
    None
}

fn named(unit: &str, factor: f64, bits: bool) -> Option<f64> {
    match unit {
        "byte" | "bytes" => Some(factor),
        "bit" | "bits" if bits => Some(factor / 8.0),
        _ => None,
    }
}
