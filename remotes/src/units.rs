//! Sizes as git-annex reads and prints them.

/// Bytes in `text`: a number, then a unit in any case, in full or short, binary or decimal; no unit means bytes.
///
/// Source: what `git annex maxsize` accepts; the table below was recorded from it.
pub fn parse(text: &str) -> Option<u64> {
    let text = text.trim_start();
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let number: f64 = number.parse().ok()?;
    let unit = unit.split_whitespace().next().unwrap_or("").to_ascii_lowercase();
    let scale = scale(&unit)?;
    let bytes = number * scale;
    (bytes.is_finite() && bytes < u64::MAX as f64).then_some(bytes as u64)
}

fn scale(unit: &str) -> Option<f64> {
    if matches!(unit, "" | "b" | "byte" | "bytes") {
        return Some(1.0);
    }
    const SHORT: &str = "kmgtpezy";
    const DECIMAL: [&str; 8] = ["kilo", "mega", "giga", "tera", "peta", "exa", "zetta", "yotta"];
    const BINARY: [&str; 8] = ["kibi", "mebi", "gibi", "tebi", "pebi", "exbi", "zebi", "yobi"];
    let power = |i: usize, base: f64| base.powi(i32::try_from(i).unwrap_or(8) + 1);
    for (i, letter) in SHORT.char_indices() {
        if let Some(rest) = unit.strip_prefix(letter) {
            match rest {
                "" | "b" => return Some(power(i, 1000.0)),
                "i" | "ib" => return Some(power(i, 1024.0)),
                _ => {}
            }
        }
    }
    let long = |names: [&str; 8], base: f64| {
        names
            .iter()
            .enumerate()
            .find_map(|(i, name)| matches!(unit.strip_prefix(name)?, "byte" | "bytes").then_some(power(i, base)))
    };
    long(DECIMAL, 1000.0).or_else(|| long(BINARY, 1024.0))
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

    #[test]
    fn git_annex_reads_the_same() {
        // Recorded: git annex maxsize here SIZE; git annex maxsize --bytes here
        for (text, bytes) in [
            ("1", 1),
            ("1k", 1000),
            ("1 kb", 1000),
            ("1KiB", 1024),
            ("1 kibibyte", 1024),
            ("2 megabytes", 2_000_000),
            ("1.5 MB", 1_500_000),
            ("1mb", 1_000_000),
            ("3 GiB", 3_221_225_472),
            ("1 g", 1_000_000_000),
            ("1 Tb", 1_000_000_000_000),
            ("1 tebibytes", 1_099_511_627_776),
            ("10 bytes", 10),
            ("1 ki", 1024),
            ("100 mb foo", 100_000_000),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for text in ["", ".5 kb", "-1", "kb", "1 parsec"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!(show(300), "300 B");
        assert_eq!(show(8 << 20), "8 MiB");
        assert_eq!(show(3 << 29), "1.5 GiB");
    }
}
