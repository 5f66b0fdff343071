//! Sizes as people write them for git-annex: `1 gb`, `500 MiB`, `100`.

/// The bytes `text` stands for; `None` where git-annex would not read it either.
///
/// Digits, perhaps a fraction or an exponent, then a unit in any case; without one, bytes. What follows the unit is
/// ignored. Decimal units are powers of 1000, `kib` and its kin of 1024; bits are an eighth. More than 2^64 is the most.
pub fn parse(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?.trim_start();
    let (value, rest) = number(text)?;
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    // `as` keeps within the range, which is what is wanted of more than there is.
    Some((value * factor(&rest[..end].to_ascii_lowercase())?) as u64)
}

fn number(text: &str) -> Option<(f64, &str)> {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = digits(0);
    if end == 0 {
        return None;
    }
    if bytes.get(end) == Some(&b'.') && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
    }
    Some((text[..end].parse().ok()?, &text[end..]))
}

fn factor(unit: &str) -> Option<f64> {
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
    if matches!(unit, "" | "b" | "byte" | "bytes") {
        return Some(1.0);
    }
    for (power, (letter, decimal, binary)) in (1..).zip(PREFIXES) {
        let (thousands, kibis) = (1000f64.powi(power), 1024f64.powi(power));
        if let Some(rest) = unit.strip_prefix(decimal) {
            return tail(rest, thousands);
        }
        if let Some(rest) = unit.strip_prefix(binary) {
            return tail(rest, kibis);
        }
        match unit.strip_prefix(letter) {
            Some("" | "b") => return Some(thousands),
            Some("ib") => return Some(kibis),
            Some("bit") => return Some(thousands / 8.0),
            Some("ibit") => return Some(kibis / 8.0),
            _ => {}
        }
    }
    None
}

fn tail(unit: &str, factor: f64) -> Option<f64> {
    match unit {
        "byte" | "bytes" => Some(factor),
        "bit" | "bits" => Some(factor / 8.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded: what `git annex maxsize` of git-annex 10.20261026 makes of these.
    #[test]
    fn sizes_are_read_as_git_annex_reads_them() {
        for (text, bytes) in [
            ("1", Some(1)),
            ("1k", Some(1000)),
            ("1 K", Some(1000)),
            ("1KB", Some(1000)),
            ("1 kib", Some(1024)),
            ("1.5gb", Some(1_500_000_000)),
            ("1 gigabyte", Some(1_000_000_000)),
            ("2 kilobytes", Some(2000)),
            ("1 kibibytes", Some(1024)),
            ("1mib", Some(1_048_576)),
            ("1 m", Some(1_000_000)),
            ("1 Kbit", Some(125)),
            ("1kilobit", Some(125)),
            ("1pb", Some(1_000_000_000_000_000)),
            ("1e3", Some(1000)),
            ("1,5 gb", Some(1)),
            ("-1", None),
            (".5 gb", None),
            ("1.", Some(1)),
            (" 1 gb ", Some(1_000_000_000)),
            ("1gb 2", Some(1_000_000_000)),
            ("1byte", Some(1)),
            ("1 B", Some(1)),
            ("1xb", None),
            ("1 kbyte", None),
            ("", None),
            ("gb", None),
            ("1 YiB", Some(u64::MAX)),
        ] {
            assert_eq!(parse(text.as_bytes()), bytes, "{text}");
        }
    }
}
