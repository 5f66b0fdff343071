//! Why a line is no command, or a command cannot be done, in git-annex's words.

use std::fmt;

/// One line, as `git annex sim` says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(pub String);

impl Problem {
    /// A value of a command that cannot be read.
    pub(super) fn value(what: &str, word: &[u8]) -> Self {
        Self(format!("Unable to parse {what} {}", quoted(word)))
    }

    /// Words that are no command.
    pub(super) fn command(words: &[&[u8]]) -> Self {
        Self(format!("Unable to parse sim command: {}", quoted(&words.join(&b' '))))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Problem {}

/// In quotation marks, with what could disturb a terminal escaped.
fn quoted(text: &[u8]) -> String {
    let mut shown = String::from("\"");
    for c in String::from_utf8_lossy(text).chars() {
        match c {
            '"' | '\\' => shown.extend(['\\', c]),
            '\t' => shown.push_str("\\t"),
            c if c.is_control() => shown.push_str(&format!("\\{}", u32::from(c))),
            c => shown.push(c),
        }
    }
    shown.push('"');
    shown
}
