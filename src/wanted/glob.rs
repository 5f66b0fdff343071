//! Globs: `*.mp3`, `b?r`, `[a-c]x`.

use super::set::Set;

/// A glob as git-annex matches with it: against the whole of a name, `*` and `?` also matching `/`, newline and a leading
/// dot, and `\` an ordinary character.
///
/// Characters are UTF-8's; a byte that is none is a character of its own. Source: recorded.
#[derive(Debug, Clone)]
pub struct Glob {
    /// `None` for one that git-annex stops at when it is used.
    pieces: Option<Box<[Piece]>>,
    any_case: bool,
}

#[derive(Debug, Clone)]
enum Piece {
    Character(u32),
    One,
    Many,
    Set(Set),
}

/// git-annex stops with an error at this glob: a `[` without `]`, or a range from a greater to a lesser character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadGlob;

impl Glob {
    /// A glob that tells upper from lower case, as those for names of files do.
    pub fn parse(glob: &[u8]) -> Self {
        Self::compile(glob, false)
    }

    /// A glob to which upper and lower case are the same, as for metadata.
    pub fn parse_any_case(glob: &[u8]) -> Self {
        Self::compile(glob, true)
    }

    /// Whether git-annex stops at it.
    pub fn is_bad(&self) -> bool {
        self.pieces.is_none()
    }

    /// Whether all of `text` is matched. Takes no more steps than the product of both lengths.
    ///
    /// # Errors
    /// [`BadGlob`] where git-annex stops with an error too.
    pub fn matches(&self, text: &[u8]) -> Result<bool, BadGlob> {
        let pieces = self.pieces.as_deref().ok_or(BadGlob)?;
        let (mut piece, mut at, mut retry) = (0, 0, None);
        loop {
            match pieces.get(piece) {
                Some(Piece::Many) => {
                    piece += 1;
                    if piece == pieces.len() {
                        return Ok(true);
                    }
                    retry = Some((piece, at));
                    continue;
                }
                Some(wanted) if at < text.len() => {
                    let (found, len) = character(&text[at..]);
                    if wanted.is(found, self.any_case) {
                        (piece, at) = (piece + 1, at + len);
                        continue;
                    }
                }
                None if at == text.len() => return Ok(true),
                Some(_) | None => {}
            }
            // The last star takes one character more; what an earlier one takes need not change.
            let Some((after_star, from)) = retry.filter(|(_, from)| *from < text.len()) else { return Ok(false) };
            let from = from + character(&text[from..]).1;
            (piece, at, retry) = (after_star, from, Some((after_star, from)));
        }
    }

    /// git-annex writes a glob as a regular expression, whose idea of a set is another: `[[:alpha:]]` ends at the first `]`
    /// for the one, and for the other at the second, before which a `\` was put that so becomes part of the set. To match
    /// the same, we do the same.
    fn compile(glob: &[u8], any_case: bool) -> Self {
        let expression = expression(glob);
        let (mut pieces, mut at) = (Vec::new(), 0);
        while let Some(found) = expression.get(at) {
            at += 1;
            let piece = match char::from_u32(*found) {
                Some('.') if expression.get(at) == Some(&u32::from('*')) => {
                    at += 1;
                    Piece::Many
                }
                Some('.') => Piece::One,
                Some('\\') => {
                    at += 1;
                    Piece::Character(expression.get(at - 1).copied().unwrap_or(*found))
                }
                Some('[') => match Set::parse(&expression[at..]) {
                    Some((set, len)) => {
                        at += len;
                        Piece::Set(set)
                    }
                    None => return Self { pieces: None, any_case },
                },
                _ => Piece::Character(*found),
            };
            if !(matches!(piece, Piece::Many) && matches!(pieces.last(), Some(Piece::Many))) {
                pieces.push(piece);
            }
        }
        Self { pieces: Some(pieces.into()), any_case }
    }
}

impl Piece {
    fn is(&self, found: u32, any_case: bool) -> bool {
        match self {
            Self::Many => false,
            Self::One => true,
            Self::Character(wanted) => {
                found == *wanted || any_case && cases(found).into_iter().any(|found| cases(*wanted).contains(&found))
            }
            Self::Set(set) if any_case => set.has_any(&cases(found)),
            Self::Set(set) => set.has_any(&[found]),
        }
    }
}

/// A character as it is, in lower and in upper case.
fn cases(character: u32) -> [u32; 3] {
    let Some(known) = char::from_u32(character) else { return [character; 3] };
    let single = |mut all: Box<dyn Iterator<Item = char>>| match (all.next(), all.next()) {
        (Some(one), None) => u32::from(one),
        _ => character,
    };
    if known.is_ascii() {
        return [character, u32::from(known.to_ascii_lowercase()), u32::from(known.to_ascii_uppercase())];
    }
    [character, single(Box::new(known.to_lowercase())), single(Box::new(known.to_uppercase()))]
}

/// The first character of `text`, which is not empty, and how many bytes it has. A byte that begins none stands for itself,
/// apart from all characters.
fn character(text: &[u8]) -> (u32, usize) {
    let first = text[0];
    if first < 0x80 {
        return (u32::from(first), 1);
    }
    let len = match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    let known = text.get(..len).and_then(|bytes| std::str::from_utf8(bytes).ok());
    // 0xdc80 and what follows are no characters; GHC puts stray bytes there as well.
    known.and_then(|text| text.chars().next()).map_or((0xdc00 + u32::from(first), 1), |found| (u32::from(found), len))
}

/// The regular expression for a glob, in characters.
fn expression(glob: &[u8]) -> Vec<u32> {
    let (mut rest, mut characters) = (glob, Vec::new());
    while !rest.is_empty() {
        let (found, len) = character(rest);
        characters.push(found);
        rest = &rest[len..];
    }
    let (mut written, mut at) = (Vec::new(), 0);
    let is = |at: usize, wanted: char| characters.get(at) == Some(&u32::from(wanted));
    let put = |written: &mut Vec<u32>, text: &str| written.extend(text.chars().map(u32::from));
    while let Some(&found) = characters.get(at) {
        at += 1;
        match char::from_u32(found) {
            Some('*') => put(&mut written, ".*"),
            Some('?') => put(&mut written, "."),
            Some('[') => {
                let end = characters[at..].iter().position(|found| *found == u32::from(']')).map(|len| at + len);
                put(&mut written, "[");
                if is(at, '!') {
                    put(&mut written, "^");
                    at += 1;
                }
                for &inner in end.and_then(|end| characters.get(at..end)).unwrap_or_default() {
                    if inner == u32::from('\\') {
                        put(&mut written, "\\");
                    }
                    written.push(inner);
                }
                if let Some(end) = end {
                    put(&mut written, "]");
                    at = end + 1;
                }
            }
            Some(plain) if plain.is_alphanumeric() => written.push(found),
            _ => {
                put(&mut written, "\\");
                written.push(found);
            }
        }
    }
    written
}
