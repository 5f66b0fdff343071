//! Sizes as people write them for git-annex, and as they are shown: `1 gb`, `500 MiB`, `100`.

/// The bytes that `text` stands for; `None` where git-annex would not read it either.
///
/// Digits, perhaps a fraction or an exponent, then a unit in any case; without a unit, bytes. What follows the unit is ignored.
/// Units: `kb` and its kin are powers of 1000, `kib` of 1024; names in full too, and bits, of which eight are a byte.
/// Half a byte goes to the even neighbour. More than a `u64` holds is the most it holds.
///
/// Source: recorded from `git annex maxsize` of git-annex 10.20261026.
pub fn parse(text: impl AsRef<[u8]>) -> Option<u64> {
    Some(u64::try_from(parse_large(text)?).unwrap_or(u64::MAX))
}

/// The same of what is more than a `u64` holds: `1 YiB`.
pub fn parse_large(text: impl AsRef<[u8]>) -> Option<u128> {
    let text = std::str::from_utf8(text.as_ref()).ok()?.trim_start();
    let (value, rest) = number(text)?;
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    // `as` keeps within the range, which is what is wanted of more than there is.
    Some((value * factor(&rest[..end].to_ascii_lowercase())?).round_ties_even() as u128)
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

/// The bytes that one of `unit` is, which is in small letters: 1000 for `kb`, 1024 for `kib`; 1 for no unit. `None` where git-annex
/// knows no such unit.
pub fn factor(unit: &str) -> Option<f64> {
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
        match (unit.strip_prefix(letter), unit.strip_prefix(decimal), unit.strip_prefix(binary)) {
            (Some("" | "b"), _, _) | (_, Some("byte" | "bytes"), _) => return Some(thousands),
            (Some("i" | "ib"), _, _) | (_, _, Some("byte" | "bytes")) => return Some(kibis),
            (Some("bit"), _, _) | (_, Some("bit" | "bits"), _) => return Some(thousands / 8.0),
            _ => {}
        }
    }
    None
}

/// A size for people: `1.5 GiB`, `12 MiB`, `300 B`.
pub fn show(bytes: u64) -> String {
    const NAMES: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = bytes as f64;
    let mut name = "B";
    for next in NAMES {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        name = next;
    }
    if name == "B" || value.fract() < 0.05 { format!("{value:.0} {name}") } else { format!("{value:.1} {name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded: `git annex maxsize here SIZE; git annex maxsize --bytes here`, of git-annex 10.20261026.
    #[test]
    fn sizes_are_read_as_git_annex_reads_them() {
        for (text, bytes) in [
            ("1", Some(1)),
            ("1k", Some(1000)),
            ("1 K", Some(1000)),
            ("1KB", Some(1000)),
            ("1 kb", Some(1000)),
            ("1 kib", Some(1024)),
            ("1 ki", Some(1024)),
            ("1KiB", Some(1024)),
            ("1.5gb", Some(1_500_000_000)),
            ("1 gigabyte", Some(1_000_000_000)),
            ("2 kilobytes", Some(2000)),
            ("2 megabytes", Some(2_000_000)),
            ("1 kibibytes", Some(1024)),
            ("1 tebibytes", Some(1_099_511_627_776)),
            ("1 Tb", Some(1_000_000_000_000)),
            ("3 GiB", Some(3_221_225_472)),
            ("1mib", Some(1_048_576)),
            ("1 m", Some(1_000_000)),
            ("1 Kbit", Some(125)),
            ("1kilobit", Some(125)),
            ("1 kilobits", Some(125)),
            ("1pb", Some(1_000_000_000_000_000)),
            ("1e3", Some(1000)),
            ("1e9", Some(1_000_000_000)),
            ("1.5e2kb", Some(150_000)),
            ("1.5", Some(2)),
            ("2.5", Some(2)),
            ("0.5", Some(0)),
            ("1.4999", Some(1)),
            ("1.0005k", Some(1000)),
            ("1.0015k", Some(1002)),
            ("1.001kbit", Some(125)),
            ("1,5 gb", Some(1)),
            ("-1", None),
            (".5 gb", None),
            ("1.", Some(1)),
            ("1.e3", Some(1)),
            (" 1 gb ", Some(1_000_000_000)),
            ("1gb 2", Some(1_000_000_000)),
            ("100 mb foo", Some(100_000_000)),
            ("1kb5", Some(1000)),
            ("1 kib.", Some(1024)),
            ("10 bytes", Some(10)),
            ("1byte", Some(1)),
            ("1 B", Some(1)),
            ("1xb", None),
            ("1 parsec", None),
            ("1 kbyte", None),
            ("1 kbits", None),
            ("1 kibit", None),
            ("1 kibibit", None),
            ("1 kilob", None),
            ("8 bits", None),
            ("1 ib", None),
            ("", None),
            ("gb", None),
            // git-annex counts on; nothing has so many bytes.
            ("1 YiB", Some(u64::MAX)),
            ("18446744073709551616", Some(u64::MAX)),
        ] {
            assert_eq!(parse(text), bytes, "{text}");
        }
        assert_eq!(parse(b"1 \xffb"), None);
        for (text, bytes) in [
            ("1 YiB", 1_208_925_819_614_629_174_706_176),
            ("99999999999999999999999999999", 99_999_999_999_999_991_433_150_857_216),
        ] {
            assert_eq!(parse_large(text), Some(bytes), "{text}");
        }
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!(show(300), "300 B");
        assert_eq!(show(8 << 20), "8 MiB");
        assert_eq!(show(3 << 29), "1.5 GiB");
    }
}
