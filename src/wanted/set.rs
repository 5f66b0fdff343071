//! Character sets of a glob, in brackets.

/// The characters that one may be.
#[derive(Debug, Clone)]
pub(in crate::wanted) struct Set {
    negated: bool,
    ranges: Vec<(u32, u32)>,
    classes: Vec<Class>,
}

type Class = fn(&u8) -> bool;

/// What stands between `[:` and `:]` may have so many characters with the latter, or it is no name.
const LONGEST_NAME: usize = 64;

/// The classes there are; what is not among them is the class of nothing. Of ASCII alone. Source: recorded.
const CLASSES: &[(&str, Class)] = &[
    ("alnum", u8::is_ascii_alphanumeric),
    ("alpha", u8::is_ascii_alphabetic),
    ("blank", |byte| matches!(byte, b' ' | b'\t')),
    ("cntrl", u8::is_ascii_control),
    ("digit", u8::is_ascii_digit),
    ("graph", u8::is_ascii_graphic),
    ("lower", u8::is_ascii_lowercase),
    ("print", |byte| matches!(byte, b' '..=b'~')),
    ("punct", u8::is_ascii_punctuation),
    ("space", |byte| matches!(byte, b' ' | b'\t'..=b'\r')),
    ("upper", u8::is_ascii_uppercase),
    ("word", |byte| byte.is_ascii_alphanumeric() || *byte == b'_'),
    ("xdigit", u8::is_ascii_hexdigit),
];

impl Set {
    /// Reads a set whose `[` has been read, and how many characters of `text` it takes. `None` where it has no end, or a
    /// range begins after its end.
    pub fn parse(text: &[u32]) -> Option<(Self, usize)> {
        let is = |at: usize, wanted: char| text.get(at) == Some(&u32::from(wanted));
        let mut set = Self { negated: is(0, '^'), ranges: Vec::new(), classes: Vec::new() };
        let start = usize::from(set.negated);
        let mut at = start;
        loop {
            let first = *text.get(at)?;
            if is(at, ']') && at > start {
                return Some((set, at + 1));
            }
            if let Some(len) = set.named(&text[at..]) {
                at += len;
            } else if is(at + 1, '-') && text.get(at + 2).is_some_and(|last| *last != u32::from(']')) {
                let last = text[at + 2];
                if first > last {
                    return None;
                }
                set.ranges.push((first, last));
                at += 3;
            } else {
                set.ranges.push((first, first));
                at += 1;
            }
        }
    }

    /// `[:alpha:]`, `[=a=]` or `[.a.]`, of which the last means nothing. Its length where there is one.
    fn named(&mut self, text: &[u32]) -> Option<usize> {
        let (open, mark) = (*text.first()?, *text.get(1)?);
        let mark = char::from_u32(mark).filter(|mark| open == u32::from('[') && matches!(mark, ':' | '=' | '.'))?;
        // No further than that: a glob may be long, and begin many of them.
        let near = &text[2..text.len().min(2 + LONGEST_NAME)];
        let end = near.windows(2).position(|pair| *pair == [u32::from(mark), u32::from(']')])?;
        let name = &text[2..2 + end];
        if name.is_empty() || name.contains(&u32::from(']')) {
            return None;
        }
        match mark {
            ':' => {
                let found = CLASSES.iter().find(|(known, _)| known.chars().map(u32::from).eq(name.iter().copied()));
                self.classes.extend(found.map(|(_, class)| *class));
            }
            '=' => self.ranges.extend(name.iter().map(|one| (*one, *one))),
            _ => {}
        }
        Some(end + 4)
    }

    /// Whether one of these, which are one character in different cases, is in the set.
    pub fn has_any(&self, cases: &[u32]) -> bool {
        let has = |found: u32| {
            self.ranges.iter().any(|(first, last)| (*first..=*last).contains(&found))
                || u8::try_from(found)
                    .is_ok_and(|byte| byte.is_ascii() && self.classes.iter().any(|class| class(&byte)))
        };
        cases.iter().any(|found| has(*found)) != self.negated
    }
}
