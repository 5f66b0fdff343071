//! What who may do in which repository: lines of a name, rights, and a pattern. The line with the longest pattern that fits counts.

use annex_types::percent::decode;

use super::lines::Lines;

/// What a user may do. Each allows all that those before it do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rights {
    /// Read.
    ReadOnly,
    /// Read, lock, store.
    AppendOnly,
    /// All.
    Full,
}

/// Whom lines without a user are about.
pub const ANONYMOUS: &str = "anonymous";

/// Which repositories are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// `*`: all.
    All,
    /// `org/`: those below it.
    Below(Vec<u8>),
    /// `org/photos`: this one, whether it ends in `.git` or not.
    One(Vec<u8>),
}

impl Pattern {
    /// Reads one, written as a url has it: `%20` is a space.
    ///
    /// # Errors
    ///
    /// It could never fit.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text == "*" {
            return Ok(Self::All);
        }
        let name = decode(text.as_bytes()).into_owned();
        let (name, below) = match name.strip_suffix(b"/") {
            Some(name) => (name.to_vec(), true),
            None => (name, false),
        };
        let plain = |part: &[u8]| !matches!(part, b"" | b"." | b".." | b".git") && !part.contains(&b'*');
        if !name.split(|byte| *byte == b'/').all(plain) {
            return Err("give repositories as * for all, org/ for those below it, or org/photos for one");
        }
        Ok(if below { Self::Below([&name[..], b"/"].concat()) } else { Self::One(without_git(&name).to_vec()) })
    }

    /// How well it fits the repository that is called `name`: more for more; none where it does not.
    pub fn fits(&self, name: &[u8]) -> Option<usize> {
        match self {
            Self::All => Some(0),
            Self::Below(start) => name.starts_with(start).then_some(start.len()),
            Self::One(one) => (without_git(name) == &one[..]).then_some(usize::MAX),
        }
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Below(name) | Self::One(name) => f.write_str(&String::from_utf8_lossy(name)),
        }
    }
}

fn without_git(name: &[u8]) -> &[u8] {
    name.strip_suffix(b".git").filter(|rest| !rest.is_empty() && !rest.ends_with(b"/")).unwrap_or(name)
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// A user, or [`ANONYMOUS`].
    pub who: String,
    /// What is allowed; none: nothing, where a shorter pattern would allow something.
    pub rights: Option<Rights>,
    /// Where.
    pub repositories: Pattern,
}

/// All lines, by whom they are about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table(pub Lines<Rule>);

impl Table {
    /// Adds a line. False: there is one of the same user and repositories already.
    pub fn add(&mut self, rule: Rule) -> bool {
        let is_new = self.0.of(rule.who.as_bytes()).all(|known| known.repositories != rule.repositories);
        if is_new {
            self.0.push(rule.who.clone().as_bytes(), rule);
        }
        is_new
    }

    /// What `who` may do in the repository that is called `name`. `None`: no line says it.
    pub fn of(&self, who: &[u8], name: &[u8]) -> Option<Option<Rights>> {
        let fitting = self.0.of(who).filter_map(|rule| Some((rule.repositories.fits(name)?, rule.rights)));
        fitting.max_by_key(|(fit, _)| *fit).map(|(_, rights)| rights)
    }
}

/// The word of a file.
pub fn word(rights: Option<Rights>) -> &'static str {
    match rights {
        None => "none",
        Some(Rights::ReadOnly) => "readonly",
        Some(Rights::AppendOnly) => "appendonly",
        Some(Rights::Full) => "full",
    }
}

/// Reads the word of a file.
///
/// # Errors
///
/// It is another one.
pub fn rights(word: &str) -> Result<Option<Rights>, &'static str> {
    Ok(match word {
        "none" => None,
        "readonly" => Some(Rights::ReadOnly),
        "appendonly" => Some(Rights::AppendOnly),
        "full" => Some(Rights::Full),
        _ => return Err("rights are readonly, appendonly, full, or none"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pattern_that_fits_counts() {
        let rule = |who: &str, word: &str, pattern: &str| Rule {
            who: who.into(),
            rights: rights(word).expect(word),
            repositories: Pattern::parse(pattern).expect(pattern),
        };
        let mut table = Table::default();
        for line in [
            rule("alice", "full", "*"),
            rule("alice", "readonly", "org/"),
            rule("alice", "none", "org/secret/"),
            rule("alice", "appendonly", "org/secret/inbox"),
            rule("bob", "readonly", "org/my%20photos.git"),
            rule("anonymous", "readonly", "public/"),
        ] {
            assert!(table.add(line.clone()));
            assert!(!table.add(line), "one line is enough");
        }
        for (who, name, expected) in [
            ("alice", "x", Some("full")),
            ("alice", "", Some("full")),
            ("alice", "org", Some("full")),
            ("alice", "organ/x", Some("full")),
            ("alice", "org/x", Some("readonly")),
            ("alice", "org/secret/x", Some("none")),
            ("alice", "org/secret/inbox.git", Some("appendonly")),
            ("alice", "org/secret/inbox", Some("appendonly")),
            ("alice", "org/secret/inbox/x", Some("none")),
            ("bob", "org/my photos", Some("readonly")),
            ("bob", "org/my photos.git", Some("readonly")),
            ("bob", "org/my photos.git.git", None),
            ("bob", "x", None),
            ("Alice", "x", None),
            ("anonymous", "public/x", Some("readonly")),
            ("anonymous", "public", None),
        ] {
            let got = table.of(who.as_bytes(), name.as_bytes()).map(word);
            assert_eq!(got, expected, "{who} {name}");
        }
        for pattern in ["", "/", "/org", "org//x", "org/../x", "org/*", "%2e%2e/x", ".git", "org/.git/"] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
