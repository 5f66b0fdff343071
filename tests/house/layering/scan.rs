//! Paths of a Rust source file: enough of a lexer to skip comments and literals, enough of a parser for `use` trees.

/// A path and where it starts.
#[derive(Debug)]
pub struct Found {
    /// Line, from 1.
    pub line: usize,
    /// Its segments; `self` and `super` are resolved to `super::...`. `*` is a segment.
    pub path: Vec<String>,
}

/// Every path and lone identifier of `source`, which is the module `module`, outside modules named `tests`.
pub fn paths(source: &str, module: &[String]) -> Vec<Found> {
    let tokens = tokens(source);
    let mut scan = Scan { tokens: &tokens, at: 0, module: module.to_vec(), found: Vec::new() };
    scan.items();
    scan.found
}

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Colons,
    Mark(char),
}

/// Keywords that may stand before a path with a leading `::`; they are no part of it.
const BEFORE_PATHS: &[&str] =
    &["use", "as", "in", "let", "mut", "dyn", "impl", "for", "return", "if", "else", "match", "while", "move", "where"];

struct Scan<'a> {
    tokens: &'a [(usize, Token)],
    at: usize,
    module: Vec<String>,
    found: Vec<Found>,
}

impl Scan<'_> {
    /// Everything up to the closing brace of the block we are in, or the end.
    fn items(&mut self) {
        while let Some(token) = self.peek(0) {
            match token {
                Token::Mark('}') => return,
                Token::Mark('{') => {
                    self.at += 1;
                    self.items();
                    self.at += 1;
                }
                Token::Word(word) if word == "mod" => self.module(),
                Token::Word(word) if BEFORE_PATHS.contains(&word.as_str()) => self.at += 1,
                Token::Word(_) | Token::Colons | Token::Mark('*') => self.path(&[]),
                Token::Mark(_) => self.at += 1,
            }
        }
    }

    fn module(&mut self) {
        let (name, open) = (self.peek(1), self.peek(2));
        let (Some(Token::Word(name)), Some(Token::Mark('{'))) = (name, open) else {
            self.at += 1;
            return;
        };
        let (name, found_before) = (name.clone(), self.found.len());
        self.module.push(name.clone());
        self.at += 3;
        self.items();
        self.at += 1;
        self.module.pop();
        if name == "tests" {
            self.found.truncate(found_before);
        }
    }

    /// A path, or a tree of them below `prefix`.
    fn path(&mut self, prefix: &[String]) {
        let Some(&(line, _)) = self.tokens.get(self.at) else { return };
        let mut path = prefix.to_vec();
        if self.peek(0) == Some(&Token::Colons) {
            self.at += 1;
        }
        loop {
            match self.peek(0) {
                Some(Token::Word(word)) => path.push(word.clone()),
                Some(Token::Mark('*')) => path.push("*".to_string()),
                Some(Token::Mark('{'))
                    if !path.is_empty() && self.at > 0 && self.tokens[self.at - 1].1 == Token::Colons =>
                {
                    return self.group(&path);
                }
                _ => break,
            }
            self.at += 1;
            if self.peek(0) != Some(&Token::Colons) {
                break;
            }
            self.at += 1;
        }
        if path.len() > prefix.len() {
            let path = self.resolve(path);
            self.found.push(Found { line, path });
        } else {
            // `::` before something that is no path, as in a turbofish.
            self.at += usize::from(prefix.is_empty() && self.peek(0) == Some(&Token::Colons));
        }
    }

    fn group(&mut self, prefix: &[String]) {
        self.at += 1;
        while let Some(token) = self.peek(0) {
            match token {
                Token::Mark('}') => {
                    self.at += 1;
                    return;
                }
                Token::Word(word) if word == "as" => self.at += 2,
                Token::Word(_) | Token::Colons | Token::Mark('*') => self.path(prefix),
                Token::Mark(_) => self.at += 1,
            }
        }
    }

    fn resolve(&self, path: Vec<String>) -> Vec<String> {
        let relative = path.iter().take_while(|word| *word == "super" || *word == "self").count();
        if relative == 0 || path.len() == 1 {
            // `use a::{self}` names a itself.
            return path
                .into_iter()
                .enumerate()
                .filter(|(i, word)| *i == 0 || word != "self")
                .map(|(_, w)| w)
                .collect();
        }
        let ups = path.iter().take(relative).filter(|word| *word == "super").count();
        let kept = self.module.len().saturating_sub(ups);
        let base = std::iter::once("crate".to_string()).chain(self.module[..kept].iter().cloned());
        base.chain(path[relative..].iter().filter(|word| *word != "self").cloned()).collect()
    }

    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead).map(|(_, token)| token)
    }
}

fn tokens(source: &str) -> Vec<(usize, Token)> {
    let bytes = source.as_bytes();
    let (mut at, mut line, mut tokens) = (0, 1, Vec::new());
    while at < bytes.len() {
        let rest = &bytes[at..];
        let skipped = match rest[0] {
            b'/' if rest.starts_with(b"//") => until(rest, b"\n"),
            b'/' if rest.starts_with(b"/*") => comment(rest),
            b'"' => quoted(rest, b'"'),
            b'\'' => character(rest),
            b':' if rest.starts_with(b"::") => {
                tokens.push((line, Token::Colons));
                2
            }
            first if first.is_ascii_alphabetic() || first == b'_' || first >= 0x80 => {
                let len = word(rest);
                match (&rest[..len], rest.get(len)) {
                    (b"r" | b"br" | b"cr", Some(b'"' | b'#')) if raw(&rest[len..]) > 0 => len + raw(&rest[len..]),
                    // A raw identifier, r#try: the mark goes, the word comes next.
                    (b"r", Some(b'#')) => len + 1,
                    (text, _) => {
                        tokens.push((line, Token::Word(String::from_utf8_lossy(text).into_owned())));
                        len
                    }
                }
            }
            // A number may hold letters (0x7fff, 1e9) that are no identifiers.
            first if first.is_ascii_digit() => word(rest),
            first => {
                if !first.is_ascii_whitespace() {
                    tokens.push((line, Token::Mark(char::from(first))));
                }
                1
            }
        };
        line += rest[..skipped].iter().filter(|&&byte| byte == b'\n').count();
        at += skipped;
    }
    tokens
}

fn word(rest: &[u8]) -> usize {
    rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_' || **byte >= 0x80).count()
}

fn until(rest: &[u8], end: &[u8]) -> usize {
    rest.windows(end.len()).position(|window| window == end).map_or(rest.len(), |at| at + end.len())
}

fn comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (1, 2);
    while depth > 0 && at < rest.len() {
        let step = match &rest[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                2
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                2
            }
            _ => 1,
        };
        at += step;
    }
    at
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// Length of a raw string whose `r` is behind us, 0 when this is none.
fn raw(rest: &[u8]) -> usize {
    let hashes = rest.iter().take_while(|byte| **byte == b'#').count();
    if rest.get(hashes) != Some(&b'"') {
        return 0;
    }
    let end: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    hashes + 1 + until(&rest[hashes + 1..], &end)
}

/// A character literal, or the mark of a lifetime, whose name then is skipped too.
fn character(rest: &[u8]) -> usize {
    match rest {
        [_, b'\\', ..] => quoted(rest, b'\''),
        _ => {
            let len = word(&rest[1..]).max(1);
            let is_literal = rest.get(1 + len) == Some(&b'\'');
            if is_literal { len + 2 } else { 1 + word(&rest[1..]) }
        }
    }
}
