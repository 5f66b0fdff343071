//! Parameters of a query, and the `[base64url]` form of names.

use std::borrow::Cow;

use annex_types::percent::decode_query;
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const FORGIVING: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A value in brackets is not base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotBase64;

/// Takes a value out of its brackets: `[Zm9v]` is `foo`; anything not in brackets is itself.
///
/// Padding may be there or not.
///
/// # Errors
///
/// [`NotBase64`].
pub fn unwrapped(value: Cow<'_, [u8]>) -> Result<Cow<'_, [u8]>, NotBase64> {
    match value.as_ref() {
        [b'[', inner @ .., b']'] => FORGIVING.decode(inner).map(Cow::Owned).map_err(|_| NotBase64),
        _ => Ok(value),
    }
}

/// The form in brackets of any bytes.
pub fn wrapped(bytes: &[u8]) -> String {
    format!("[{}]", FORGIVING.encode(bytes))
}

/// The parameters of a query in order, both halves raw; a value is `None` where there is no `=`.
///
/// Names are compared after decoding; `&` and `;` both separate.
pub fn parameters(query: &[u8]) -> impl Iterator<Item = (Cow<'_, [u8]>, Option<&[u8]>)> {
    query.split(|byte| matches!(byte, b'&' | b';')).filter(|piece| !piece.is_empty()).map(|piece| {
        match piece.iter().position(|byte| *byte == b'=') {
            Some(at) => (decode_query(&piece[..at]), Some(&piece[at + 1..])),
            None => (decode_query(piece), None),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_hold_base64_with_or_without_padding() {
        type Row<'a> = (&'a [u8], Result<&'a [u8], NotBase64>);
        let table: [Row<'_>; 9] = [
            (b"[Zm9v]", Ok(b"foo")),
            (b"[Zg==]", Ok(b"f")),
            (b"[Zg]", Ok(b"f")),
            (b"[_w]", Ok(b"\xff")),
            (b"[/w]", Err(NotBase64)),
            (b"[!!!]", Err(NotBase64)),
            (b"[]", Ok(b"")),
            (b"[", Ok(b"[")),
            (b"[Zm9v].txt", Ok(b"[Zm9v].txt")),
        ];
        for (value, bare) in table {
            let got = unwrapped(Cow::Borrowed(value));
            assert_eq!(got.as_deref().map_err(|error| *error), bare, "{}", value.escape_ascii());
        }
        assert_eq!(wrapped(b"[foo]"), "[W2Zvb10=]");
    }

    #[test]
    fn parameters_are_split_before_they_are_decoded() {
        let all: Vec<_> =
            parameters(b"&&a=1%262=3;b&ke%79=&=x").map(|(name, value)| (name.into_owned(), value)).collect();
        assert_eq!(
            all,
            [
                (b"a".to_vec(), Some(&b"1%262=3"[..])),
                (b"b".to_vec(), None),
                (b"key".to_vec(), Some(&b""[..])),
                (Vec::new(), Some(&b"x"[..])),
            ]
        );
    }
}
