//! Numbers as git-annex reads them, which is as Haskell does.

use super::lex::space;

/// The whole number that `text` begins with, and what follows it. `None` where it begins with none, or with one that has a
/// fraction or an exponent.
///
/// `0x10` and `0o7` are numbers too. More than 64 bits wrap around. Source: recorded.
pub(crate) fn whole(text: &[u8]) -> Option<(i64, &[u8])> {
    let (negative, rest) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let (base, len) = digits(rest)?;
    let start = if base == 10 { 0 } else { 2 };
    let (found, rest) = rest.split_at(len);
    if base == 10 && (fraction(rest) > 0 || exponent(rest) > 0) {
        return None;
    }
    let value = found[start..].iter().fold(0u64, |sum, digit| {
        let digit = char::from(*digit).to_digit(16).unwrap_or_default();
        sum.wrapping_mul(base).wrapping_add(u64::from(digit))
    });
    let value = value.cast_signed();
    Some((if negative { value.wrapping_neg() } else { value }, rest))
}

/// The number that `text` begins with, and what follows it: also with a fraction and an exponent, `Infinity` and `NaN`.
pub(in crate::wanted) fn leading(text: &[u8]) -> Option<(f64, &[u8])> {
    match text.strip_prefix(b"-") {
        Some(rest) => unsigned(rest).map(|(value, rest)| (-value, rest)),
        None => unsigned(text),
    }
}

/// The number that `text` is, as a whole. White space may be around it, after the minus, and in parentheses around it.
/// Source: recorded.
pub(in crate::wanted) fn all(text: &[u8]) -> Option<f64> {
    let mut text = trim(text);
    while let Some(inner) = text.strip_prefix(b"(").and_then(|inner| inner.strip_suffix(b")")) {
        text = trim(inner);
    }
    let (negative, rest) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, trim(rest)));
    let (value, rest) = unsigned(rest)?;
    rest.is_empty().then_some(if negative { -value } else { value })
}

fn trim(mut text: &[u8]) -> &[u8] {
    while space(text) > 0 {
        text = &text[space(text)..];
    }
    // From behind by ASCII alone: nothing else was seen there.
    text.trim_ascii_end()
}

fn unsigned(text: &[u8]) -> Option<(f64, &[u8])> {
    let word = text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'\'')).count();
    match &text[..word] {
        b"Infinity" => return Some((f64::INFINITY, &text[word..])),
        b"NaN" => return Some((f64::NAN, &text[word..])),
        _ => {}
    }
    let (base, mut len) = digits(text)?;
    if base != 10 {
        let digits = text[2..len].iter().filter_map(|digit| char::from(*digit).to_digit(16));
        return Some((digits.fold(0.0, |sum, digit| sum * base as f64 + f64::from(digit)), &text[len..]));
    }
    len += fraction(&text[len..]);
    len += exponent(&text[len..]);
    Some((std::str::from_utf8(&text[..len]).ok()?.parse().ok()?, &text[len..]))
}

/// Base and length of the digits that `text` begins with, `0x` and `0o` included.
fn digits(text: &[u8]) -> Option<(u64, usize)> {
    let run = |from: usize, base: u32| text[from..].iter().take_while(|byte| char::from(**byte).is_digit(base)).count();
    match text {
        [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit() => Some((16, 2 + run(2, 16))),
        [b'0', b'o' | b'O', b'0'..=b'7', ..] => Some((8, 2 + run(2, 8))),
        [digit, ..] if digit.is_ascii_digit() => Some((10, run(0, 10))),
        _ => None,
    }
}

fn fraction(text: &[u8]) -> usize {
    match text {
        [b'.', rest @ ..] => match rest.iter().take_while(|byte| byte.is_ascii_digit()).count() {
            0 => 0,
            digits => 1 + digits,
        },
        _ => 0,
    }
}

fn exponent(text: &[u8]) -> usize {
    let [b'e' | b'E', rest @ ..] = text else { return 0 };
    let sign = usize::from(matches!(rest, [b'+' | b'-', ..]));
    match rest[sign..].iter().take_while(|byte| byte.is_ascii_digit()).count() {
        0 => 0,
        digits => 1 + sign + digits,
    }
}
