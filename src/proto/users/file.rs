//! A file of users, read.

use std::collections::HashSet;
use std::fmt;

use super::hash::Hash;
use super::lines::Lines;
use super::quota::Allotment;
use super::rights::{ANONYMOUS, Pattern, Rule, Table, rights};
use super::token::{Token, end_of};

/// Longest file that is taken, in bytes.
pub const LONGEST: usize = 16 << 20;

/// One who logs in by a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub name: String,
    /// The password.
    pub hash: Hash,
}

/// All that a file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsersFile {
    /// Those with a password, by their names.
    pub logins: Lines<Login>,
    /// Those with a token, by the names that they log in with.
    pub tokens: Lines<Token>,
    /// What they may do.
    pub rights: Table,
    /// What repositories may hold together.
    pub quotas: Vec<Allotment>,
}

/// What is wrong with a file, and in which line. Shows no hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFile {
    /// Counted from 1; 0 where it is about all of it.
    pub line: usize,
    /// Why.
    pub why: String,
}

impl fmt::Display for BadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 { f.write_str(&self.why) } else { write!(f, "line {}: {}", self.line, self.why) }
    }
}

impl std::error::Error for BadFile {}

/// Where in a file a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Logins,
    Tokens,
    Rights,
    Quotas,
}

impl Section {
    /// What a line of `[name]` begins; none where it is none.
    pub(super) fn of(line: &str) -> Option<Result<Self, &'static str>> {
        if !line.starts_with('[') {
            return None;
        }
        Some(match line {
            "[users]" => Ok(Self::Logins),
            "[tokens]" => Ok(Self::Tokens),
            "[rights]" => Ok(Self::Rights),
            "[quotas]" => Ok(Self::Quotas),
            _ => Err("there are the sections [users], [tokens], [rights] and [quotas]"),
        })
    }

    /// The line that begins it.
    pub(super) fn head(self) -> &'static str {
        match self {
            Self::Logins => "[users]",
            Self::Tokens => "[tokens]",
            Self::Rights => "[rights]",
            Self::Quotas => "[quotas]",
        }
    }
}

impl UsersFile {
    /// Reads a file. One of rights and quotas alone begins with `[rights]` or `[quotas]`.
    ///
    /// # Errors
    ///
    /// [`BadFile`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BadFile> {
        let whole = |why: &str| BadFile { line: 0, why: why.to_string() };
        if bytes.len() > LONGEST {
            return Err(whole("it is longer than 16 MiB"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| whole("it is not text in UTF-8"))?;
        if !text.is_empty() && !text.ends_with('\n') {
            return Err(whole("its last line has no end, as if it were still being written"));
        }
        let (mut file, mut section) = (Self::default(), Section::Logins);
        let mut tokens = HashSet::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bad = |why: &str| BadFile { line: number + 1, why: why.to_string() };
            if let Some(begun) = Section::of(line) {
                section = begun.map_err(bad)?;
                continue;
            }
            match section {
                Section::Logins => file.login(line),
                Section::Tokens => file.token(line, &mut tokens),
                Section::Rights => file.rule(line),
                Section::Quotas => file.quota(line),
            }
            .map_err(bad)?;
        }
        Ok(file)
    }

    fn login(&mut self, line: &str) -> Result<(), &'static str> {
        let (name, hash) = line.split_once(':').ok_or("give NAME:HASH")?;
        is_name(name)?;
        if self.login_of(name.as_bytes()).is_some() {
            return Err("this user is there twice");
        }
        self.logins.push(name.as_bytes(), Login { name: name.to_string(), hash: Hash::parse(hash.trim())? });
        Ok(())
    }

    /// `known` are the names of those before.
    fn token(&mut self, line: &str, known: &mut HashSet<String>) -> Result<(), &'static str> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, user, allowed, repositories, expires, kept] = words[..] else {
            return Err("give NAME USER RIGHTS REPOSITORIES EXPIRES sha256:DIGEST");
        };
        is_name(name)?;
        let user = match user {
            "-" => None,
            user => Some(is_name(user).map(|()| user.to_string())?),
        };
        let expires = match expires {
            "never" => None,
            day => Some(end_of(day).ok_or("give the last day as YYYY-MM-DD, or never")?),
        };
        let kept = kept.strip_prefix("sha256:").and_then(digest_of).ok_or("malformed digest of a token")?;
        if !known.insert(name.to_string()) {
            return Err("this token is there twice");
        }
        let token = Token {
            name: name.to_string(),
            user,
            rights: rights(allowed)?.ok_or("a token without rights is of no use")?,
            repositories: Pattern::parse(repositories)?,
            expires,
            digest: kept,
        };
        self.tokens.push(token.login().to_string().as_bytes(), token);
        Ok(())
    }

    fn rule(&mut self, line: &str) -> Result<(), &'static str> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [who, allowed, repositories] = words[..] else { return Err("give WHO RIGHTS REPOSITORIES") };
        if who != ANONYMOUS {
            is_name(who)?;
        }
        let rule = Rule { who: who.to_string(), rights: rights(allowed)?, repositories: Pattern::parse(repositories)? };
        if self.rights.add(rule) { Ok(()) } else { Err("this user has two lines for the same repositories") }
    }

    fn quota(&mut self, line: &str) -> Result<(), &'static str> {
        let quota = Allotment::parse(line)?;
        if self.quotas.iter().any(|known| known.repositories == quota.repositories) {
            return Err("there are two quotas of the same repositories");
        }
        self.quotas.push(quota);
        Ok(())
    }

    /// This, and the rights and quotas of another file.
    ///
    /// # Errors
    ///
    /// The other has users, or a line that is here.
    pub fn with_rights(mut self, other: Self) -> Result<Self, BadFile> {
        let bad = |why: &str| Err(BadFile { line: 0, why: why.to_string() });
        if !other.logins.is_empty() || !other.tokens.is_empty() {
            return bad("a file of rights has no users and no tokens: begin it with [rights] or [quotas]");
        }
        for rule in other.rights.0 {
            if !self.rights.add(rule) {
                return bad("a user has two lines for the same repositories, one in each file");
            }
        }
        for quota in other.quotas {
            if self.quotas.iter().any(|known| known.repositories == quota.repositories) {
                return bad("there are two quotas of the same repositories, one in each file");
            }
            self.quotas.push(quota);
        }
        Ok(self)
    }

    /// Who logs in by this name and a password.
    pub fn login_of(&self, name: &[u8]) -> Option<&Login> {
        self.logins.of(name).next()
    }

    /// Whether nobody could do anything by it.
    pub fn is_idle(&self) -> bool {
        let has_rights = |name: &str| self.rights.0.of(name.as_bytes()).any(|rule| rule.rights.is_some());
        let logs_in = self.logins.iter().any(|login| !login.hash.is_nothing() && has_rights(&login.name));
        let has_token = self.tokens.iter().any(|token| token.user.as_deref().is_none_or(has_rights));
        !logs_in && !has_token && !has_rights(ANONYMOUS)
    }
}

/// Whether this can be the name of a user.
///
/// # Errors
///
/// Why not.
pub fn is_name(name: &str) -> Result<(), &'static str> {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, ':' | '#' | '[');
    match name {
        "" => Err("a name is missing"),
        ANONYMOUS | "-" => Err("nobody is called that: anonymous is who does not log in, and - is none"),
        _ if name.len() > 255 || !name.chars().all(plain) => {
            Err("a name has no spaces, colons, # or [, and at most 255 bytes")
        }
        _ => Ok(()),
    }
}

fn digest_of(text: &str) -> Option<[u8; 32]> {
    annex_types::hex::read(text.as_bytes())?.try_into().ok()
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
