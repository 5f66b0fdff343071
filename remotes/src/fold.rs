//! Names that a store does not distinguish: by case, Unicode form, or dots at the end.
//!
//! vfat, NTFS, the file systems of macOS, ext4 and tmpfs where they were told so, and servers on top of them keep one file where
//! two were given. What such a place does is found out by [`Store::folding`](crate::Store::folding), on a file of our own. Where objects have directories a tree is
//! kept by its names all the same: what has another name than the one that is asked for is not there, and not replaced.

use std::borrow::Cow;
use std::fmt;

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use serde::Serialize;

/// What a place does not tell apart in names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Folding {
    /// `a` and `A` are one name.
    pub case: bool,
    /// `é` is one name, however it is composed (NFC and NFD).
    pub unicode: bool,
    /// `a` and `a.` are one name, and `a ` too.
    pub endings: bool,
}

impl Folding {
    /// All names are told apart.
    pub const NONE: Self = Self { case: false, unicode: false, endings: false };
    /// All that any place folds.
    pub const ALL: Self = Self { case: true, unicode: true, endings: true };

    /// What all names have in common that are one at such a place. Case is folded wholly, also where a place knows only ASCII:
    /// then some names are taken for one that are not. Bytes that are no text are as they are.
    pub fn fold(self, name: &[u8]) -> Vec<u8> {
        if self == Self::NONE {
            return name.to_vec();
        }
        let mut out = Vec::with_capacity(name.len());
        for (at, part) in name.split(|byte| *byte == b'/').enumerate() {
            if at > 0 {
                out.push(b'/');
            }
            let trimmed = part.trim_ascii_end_matches();
            let part = if self.endings && !trimmed.is_empty() { trimmed } else { part };
            for chunk in part.utf8_chunks() {
                out.extend_from_slice(self.text(chunk.valid()).as_bytes());
                out.extend_from_slice(chunk.invalid());
            }
        }
        out
    }

    fn text(self, text: &str) -> Cow<'_, str> {
        let form = DecomposingNormalizerBorrowed::new_nfd();
        let mut text = Cow::Borrowed(text);
        if self.unicode {
            text = form.normalize(text.as_ref()).into_owned().into();
        }
        if self.case {
            // Through both cases: some letters have no partner in one of them.
            let lower = text.chars().flat_map(char::to_lowercase);
            let upper = lower.flat_map(char::to_uppercase);
            text = upper.flat_map(char::to_lowercase).collect::<String>().into();
        }
        if self.unicode && self.case {
            text = form.normalize(text.as_ref()).into_owned().into();
        }
        text
    }
}

impl fmt::Display for Folding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [(self.case, "case"), (self.unicode, "forms of Unicode"), (self.endings, "dots at the end")];
        let words: Vec<&str> = all.into_iter().filter(|(folds, _)| *folds).map(|(_, word)| word).collect();
        f.write_str(&if words.is_empty() { "nothing".into() } else { words.join(", ") })
    }
}

trait Trim {
    fn trim_ascii_end_matches(&self) -> &[u8];
}

impl Trim for [u8] {
    fn trim_ascii_end_matches(&self) -> &[u8] {
        let end = self.iter().rposition(|byte| !matches!(byte, b'.' | b' ')).map_or(0, |at| at + 1);
        &self[..end]
    }
}

/// Another spelling of `name`, in its last level, for each that a place may fold: in case (of ASCII, and of other letters), in
/// the form of Unicode, and at the end. A place that finds nothing by them does not fold this name so.
pub(crate) fn respellings(name: &[u8]) -> [Option<Vec<u8>>; 4] {
    let start = name.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    let (above, last) = name.split_at(start);
    let with = |last: &[u8]| Some([above, last].concat());
    let ascii = last.iter().position(u8::is_ascii_alphabetic).and_then(|at| {
        let mut other = last.to_vec();
        other[at] ^= 0x20;
        with(&other)
    });
    let Ok(text) = std::str::from_utf8(last) else { return [ascii, None, None, with(&[last, b"."].concat())] };
    let other_case = text.char_indices().filter(|(_, c)| !c.is_ascii()).find_map(|(at, c)| {
        let all = [c.to_uppercase().to_string(), c.to_lowercase().to_string()];
        let other = all.into_iter().find(|other| *other != c.to_string())?;
        with([&text[..at], &other, &text[at + c.len_utf8()..]].concat().as_bytes())
    });
    let forms = [
        DecomposingNormalizerBorrowed::new_nfd().normalize(text),
        ComposingNormalizerBorrowed::new_nfc().normalize(text),
    ];
    let form = forms.iter().find(|form| **form != text).and_then(|form| with(form.as_bytes()));
    [ascii, other_case, form, with(&[last, b"."].concat())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_some_place_takes_for_one_fold_to_one() {
        let (case, unicode) = (Folding { case: true, ..Folding::NONE }, Folding { unicode: true, ..Folding::NONE });
        let endings = Folding { endings: true, ..Folding::NONE };
        for (folding, a, b, same) in [
            (Folding::NONE, "a", "A", false),
            (case, "a/B", "A/b", true),
            (case, "a", "b", false),
            (case, "\u{e9}", "\u{c9}", true),
            (case, "\u{e9}", "e\u{301}", false),
            (case, "stra\u{df}e", "STRASSE", true),
            (case, "\u{1e9e}", "\u{df}", true),
            (case, "\u{3c3}", "\u{3c2}", true),
            (case, "\u{212a}", "k", true),
            (case, "\u{fb01}x", "FIX", true),
            (unicode, "\u{e9}", "e\u{301}", true),
            (unicode, "\u{e9}", "E\u{301}", false),
            (unicode, "\u{ac00}", "\u{1100}\u{1161}", true),
            (unicode, "a", "A", false),
            (Folding::ALL, "\u{c9}", "e\u{301}", true),
            (Folding::ALL, "\u{1fb3}", "\u{391}\u{345}", true),
            (endings, "a./b", "a/b . ", true),
            (endings, "...", "..", false),
            (endings, ".a", "a", false),
            (Folding::ALL, "a/b", "a.b", false),
        ] {
            assert_eq!(folding.fold(a.as_bytes()) == folding.fold(b.as_bytes()), same, "{folding:?}: {a} and {b}");
        }
        assert_eq!(Folding::ALL.fold(b"A\xff\xe9B"), b"a\xff\xe9b");
    }

    #[test]
    fn a_respelled_name_is_one_with_the_name_where_that_is_folded() {
        for name in ["a", "d/1x", "\u{e9}", "e\u{301}", "1", "A/\u{3a9}b", "stra\u{df}e"] {
            for other in respellings(name.as_bytes()).into_iter().flatten() {
                assert_ne!(other, name.as_bytes());
                assert_eq!(Folding::ALL.fold(&other), Folding::ALL.fold(name.as_bytes()), "{name}");
            }
        }
        let none = |name: &str| respellings(name.as_bytes()).map(|other| other.is_none());
        assert_eq!(none("d/1"), [true, true, true, false], "the directory is another matter");
        assert_eq!(none("e\u{301}"), [false, true, false, false]);
    }

    proptest::proptest! {
        #[test]
        fn folding_twice_is_folding_once(name in "\\PC{0,20}", case: bool, unicode: bool, endings: bool) {
            let folding = Folding { case, unicode, endings };
            let once = folding.fold(name.as_bytes());
            proptest::prop_assert_eq!(folding.fold(&once), once);
        }
    }
}
