//! What a push is to change, and what of it one who may only append is not to.
//!
//! The commands stand at the front of a push, before the objects, so they can be looked at while nothing has been done.
//!
//! | | full | append only |
//! |---|---|---|
//! | a new branch or tag | yes | yes |
//! | a branch goes on to a commit that holds the old one | yes | yes: git looks (`receive.denyNonFastForwards`) |
//! | a branch is rewritten or deleted | yes | no: git refuses (`receive.denyNonFastForwards`, `receive.denyDeletes`) |
//! | a tag is changed or deleted | yes | no: hidden from the push (`receive.hideRefs`) |
//! | any other reference, such as `refs/replace/` | yes | no: hidden |
//! | a branch `git-annex` | yes | its lines are united with ours (`receive.procReceiveRefs`) |
//!
//! `refs/replace/` would have git take one commit for another, and so a rewritten branch for one that went on.

use super::packet::{self, BadPacket, Packet};

/// Most bytes of commands that are looked at: some ten thousand references.
pub const MOST: usize = 1 << 20;

/// Most references of one push that are refused one by one.
pub const MOST_HIDDEN: usize = 1000;

/// One reference that is to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What it is at, in hexadecimal; zeros where it is to be made.
    pub old: String,
    /// What it is to be at; zeros where it is to be deleted.
    pub new: String,
    /// Its name.
    pub name: Vec<u8>,
}

/// All that a push is to change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commands {
    /// In the order of the push.
    pub all: Vec<Command>,
    /// The client shows what it is told beside the report.
    pub sideband: bool,
    /// The commands are signed, and only git looks at them.
    pub signed: bool,
}

/// Why a push cannot be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadPush {
    /// It is no push.
    Malformed,
    /// Its commands take more than [`MOST`] bytes.
    TooLong,
}

/// What git is to be told beside its configuration, so that a push only appends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restricted {
    /// References that it does not see.
    pub hidden: Vec<Vec<u8>>,
    /// Branches of which the lines are united with those of the git-annex branch.
    pub united: Vec<Vec<u8>>,
}

impl Commands {
    /// Reads the commands at the front of a push; `None` where their end has not come.
    ///
    /// # Errors
    ///
    /// [`BadPush`].
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, BadPush> {
        let (mut commands, mut at, mut first) = (Self::default(), 0, true);
        loop {
            let window = &bytes[at..bytes.len().min(MOST)];
            match packet::parse(window) {
                Err(BadPacket) => return Err(BadPush::Malformed),
                Ok(None) if bytes.len() >= MOST => return Err(BadPush::TooLong),
                Ok(None) => return Ok(None),
                Ok(Some((Packet::Flush, _))) => return Ok(Some(commands)),
                Ok(Some((Packet::Data(line), length))) => {
                    at += length;
                    if line.starts_with(b"shallow ") {
                        continue;
                    }
                    let (line, capabilities) = match line.iter().position(|byte| *byte == 0) {
                        Some(nul) => (&line[..nul], &line[nul + 1..]),
                        None => (line, &b""[..]),
                    };
                    if std::mem::take(&mut first) {
                        let mut words = capabilities.split(|byte| matches!(byte, b' ' | b'\n'));
                        commands.sideband = words.any(|word| word == b"side-band-64k");
                    }
                    if line == b"push-cert" {
                        // The certificate has an end of its own in it, and nothing else is to be learnt.
                        commands.signed = true;
                        return Ok(Some(commands));
                    }
                    commands.all.push(Command::parse(line).ok_or(BadPush::Malformed)?);
                }
            }
        }
    }

    /// What keeps the push to appending. `None`: it cannot be kept to that, and must not be passed on.
    pub fn restricted(&self) -> Option<Restricted> {
        let mut restricted = Restricted::default();
        if self.signed {
            return None;
        }
        for command in &self.all {
            let name = &command.name;
            if let Some(branch) = name.strip_prefix(b"refs/heads/") {
                let is_annex = branch == b"git-annex" || branch.ends_with(b"/git-annex");
                if is_annex && !command.is_delete() {
                    restricted.united.push(name.clone());
                }
            } else if !(name.starts_with(b"refs/tags/") && command.is_create()) {
                restricted.hidden.push(name.clone());
            }
        }
        (restricted.hidden.len() <= MOST_HIDDEN && restricted.united.len() <= MOST_HIDDEN).then_some(restricted)
    }
}

impl Command {
    fn parse(line: &[u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let mut words = line.splitn(3, |byte| *byte == b' ');
        let mut id = || {
            let word = std::str::from_utf8(words.next()?).ok()?;
            let hex = word.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
            (hex && matches!(word.len(), 40 | 64)).then(|| word.to_string())
        };
        let (old, new) = (id()?, id()?);
        let name = words.next()?.to_vec();
        // What git would not take for the name of a reference is not passed on: it could mean something else in a setting.
        let plain = |byte: &u8| !byte.is_ascii_control() && !b" ~^:?*[\\".contains(byte);
        let begins = name.first().is_some_and(u8::is_ascii_alphanumeric);
        (old.len() == new.len() && begins && name.iter().all(plain)).then_some(Self { old, new, name })
    }

    /// Whether the reference is to be made.
    pub fn is_create(&self) -> bool {
        is_nothing(&self.old)
    }

    /// Whether it is to be deleted.
    pub fn is_delete(&self) -> bool {
        is_nothing(&self.new)
    }
}

fn is_nothing(id: &str) -> bool {
    id.bytes().all(|byte| byte == b'0')
}

#[cfg(test)]
#[path = "push_tests.rs"]
mod tests;
