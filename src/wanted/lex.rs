//! Splits an expression into words, each with its position.

use std::ops::Range;

/// A word: a term, `and`, `or`, `not`, or one parenthesis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::wanted) enum Word {
    And,
    Or,
    Not,
    Open,
    Close,
    Term,
}

/// The words of `text` and the bytes they stand at. White space parts them; a parenthesis is a word wherever it stands,
/// inside a glob too. Source: recorded.
pub(in crate::wanted) fn words(text: &[u8]) -> Vec<(Word, Range<usize>)> {
    let (mut words, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let blank = space(&text[at..]);
        if blank > 0 {
            at += blank;
            continue;
        }
        let start = at;
        at += 1;
        let word = match text[start] {
            b'(' => Word::Open,
            b')' => Word::Close,
            _ => {
                while at < text.len() && !matches!(text[at], b'(' | b')') && space(&text[at..]) == 0 {
                    at += 1;
                }
                match &text[start..at] {
                    b"and" => Word::And,
                    b"or" => Word::Or,
                    b"not" => Word::Not,
                    _ => Word::Term,
                }
            }
        };
        words.push((word, start..at));
    }
    words
}

/// Length of the white space that `text` begins with, one character of it: ASCII's, and Unicode's space separators. Not
/// U+0085: recorded.
pub(in crate::wanted) fn space(text: &[u8]) -> usize {
    match text {
        [b' ' | b'\t'..=b'\r', ..] => 1,
        [0xc2, 0xa0, ..] => 2,
        [0xe1, 0x9a, 0x80, ..]
        | [0xe2, 0x80, 0x80..=0x8a | 0xaf, ..]
        | [0xe2, 0x81, 0x9f, ..]
        | [0xe3, 0x80, 0x80, ..] => 3,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_at_white_space_and_parentheses() {
        let words = |text: &str| -> Vec<String> {
            let found = words(text.as_bytes());
            found.into_iter().map(|(word, at)| format!("{word:?}:{}", &text[at])).collect()
        };
        assert_eq!(words("include=a(b)"), ["Term:include=a", "Open:(", "Term:b", "Close:)"]);
        assert_eq!(words("\tnot x\u{a0}and\u{2003}y\u{85}or"), ["Not:not", "Term:x", "And:and", "Term:y\u{85}or"]);
        assert_eq!(words(" "), [""; 0]);
    }
}
