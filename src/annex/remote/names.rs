//! What people call repositories: names of remotes, descriptions, uuids.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{RemoteError, remotes_of};
use crate::annex::log::UUID_LOG;
use crate::annex::log::uuid::UuidLog;
use crate::annex::repository::Repository;
use crate::name::Uuid;

/// The repositories that are known by a name in one of them.
#[derive(Debug, Clone)]
pub struct Names {
    own: Uuid,
    by_name: Vec<(Vec<u8>, Uuid)>,
    descriptions: BTreeMap<Uuid, Vec<u8>>,
}

/// Why a name is no repository's. Shown on one line, with the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameError {
    /// There was none.
    Empty,
    /// Nobody is called so.
    Unknown(Vec<u8>),
    /// Several are.
    Several(Vec<u8>),
}

/// What git-annex knows in each repository although nothing is recorded of it.
const BUILT_IN: [(&str, &str); 2] =
    [("web", "00000000-0000-0000-0000-000000000001"), ("bittorrent", "00000000-0000-0000-0000-000000000002")];

impl Names {
    /// Those that `repository` knows.
    ///
    /// # Errors
    ///
    /// The remotes or `uuid.log` could not be read.
    pub fn of(repository: &Repository) -> Result<Self, RemoteError> {
        let log = UuidLog::parse(&repository.branch().read(UUID_LOG)?);
        let by_name = remotes_of(repository)?.into_iter().map(|remote| (remote.name, remote.uuid)).collect();
        let descriptions = log.iter().map(|(uuid, text)| (uuid.clone(), text.to_vec())).collect();
        Ok(Self { own: repository.uuid().clone(), by_name, descriptions })
    }

    /// Everybody that is known by a name here.
    pub fn all(&self) -> BTreeSet<Uuid> {
        let built_in = BUILT_IN.iter().filter_map(|(_, uuid)| Uuid::parse(uuid.as_bytes()).ok());
        let named = self.by_name.iter().map(|(_, uuid)| uuid).chain(self.descriptions.keys()).chain([&self.own]);
        named.cloned().chain(built_in).collect()
    }

    /// The remote that is `uuid`: of several the last name in the alphabet.
    pub fn remote(&self, uuid: &Uuid) -> Option<&[u8]> {
        self.by_name.iter().filter(|(_, of)| of == uuid).map(|(name, _)| name.as_slice()).max()
    }

    /// The repositories that are described, by uuid.
    pub fn described(&self) -> impl Iterator<Item = &Uuid> {
        self.descriptions.keys()
    }

    /// The repository that is called `name`: `here` or `.`, a remote, a uuid or the whole of a description, in this order.
    ///
    /// # Errors
    ///
    /// [`NameError`].
    pub fn find(&self, name: &[u8]) -> Result<Uuid, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if matches!(name, b"here" | b".") {
            return Ok(self.own.clone());
        }
        let built_in = BUILT_IN.iter().find(|(known, _)| known.as_bytes() == name);
        let built_in = built_in.and_then(|(_, uuid)| Uuid::parse(uuid.as_bytes()).ok());
        let remote = self.by_name.iter().find(|(known, _)| known == name).map(|(_, uuid)| uuid.clone());
        if let Some(uuid) = remote.or(built_in) {
            return Ok(uuid);
        }
        let known = self.descriptions.keys().find(|uuid| uuid.as_bytes() == name);
        if let Some(uuid) = known {
            return Ok(uuid.clone());
        }
        let mut described = self.descriptions.iter().filter(|(_, text)| *text == name).map(|(uuid, _)| uuid);
        match (described.next(), described.next()) {
            (Some(uuid), None) => Ok(uuid.clone()),
            (None, _) => Err(NameError::Unknown(name.to_vec())),
            (Some(_), Some(_)) => Err(NameError::Several(name.to_vec())),
        }
    }

    /// How git-annex shows `uuid` beside its uuid: `laptop [here]`, `a drive [usb]`, `[usb]`; nothing where nobody calls it anything.
    /// Without `[here]`, which its JSON has elsewhere.
    pub fn shown(&self, uuid: &Uuid) -> Vec<u8> {
        let remote = self.remote(uuid);
        let text = self.descriptions.get(uuid).filter(|text| !text.is_empty());
        let bracketed = |name: &[u8]| [b"[", name, b"]"].concat();
        match (text, remote) {
            _ if *uuid == self.own => text.cloned().unwrap_or_default(),
            (Some(text), Some(name)) if text != name => [text.as_slice(), b" ", &bracketed(name)].concat(),
            (_, Some(name)) => bracketed(name),
            (Some(text), None) => text.clone(),
            (None, None) => {
                let built_in = BUILT_IN.iter().find(|(_, known)| known.as_bytes() == uuid.as_bytes());
                built_in.map_or(&[][..], |(name, _)| name.as_bytes()).to_vec()
            }
        }
    }

    /// The repository that knows these names.
    pub fn own(&self) -> &Uuid {
        &self.own
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no repository is named; give a remote, a uuid, a description, or here"),
            Self::Unknown(name) => write!(
                f,
                "no repository is called \"{}\"; git-annex-remote-stream info lists those that are known",
                name.escape_ascii()
            ),
            Self::Several(name) => {
                write!(f, "several repositories are described as \"{}\"; give the uuid", name.escape_ascii())
            }
        }
    }
}

impl std::error::Error for NameError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn uuid(text: &str) -> Uuid {
        Uuid::parse(text.as_bytes()).expect("a uuid")
    }

    fn names() -> Names {
        let by_name =
            [("d1", "u1"), ("gd", "u2"), ("zz", "u2"), ("aa", "u2"), ("d3", "u3"), ("here", "u3"), ("u6", "u5")];
        let descriptions =
            [("u0", "own"), ("u1", "d1"), ("u2", "dd desc"), ("u3", ""), ("u4", "same"), ("u5", "same"), ("u6", "x")];
        Names {
            own: uuid("u0"),
            by_name: by_name.map(|(name, of)| (name.as_bytes().to_vec(), uuid(of))).to_vec(),
            descriptions: descriptions.map(|(of, text)| (uuid(of), text.as_bytes().to_vec())).into(),
        }
    }

    /// Recorded: what `git annex maxsize` of git-annex 10.20261026 takes, and shows.
    #[test]
    fn repositories_are_found_and_shown_as_git_annex_does() {
        let names = names();
        let unknown = |name: &str| Err(NameError::Unknown(name.into()));
        for (name, found) in [
            ("here", Ok("u0")),
            (".", Ok("u0")),
            ("d1", Ok("u1")),
            ("dd desc", Ok("u2")),
            ("u4", Ok("u4")),
            ("u6", Ok("u5")),
            ("web", Ok("00000000-0000-0000-0000-000000000001")),
            ("", Err(NameError::Empty)),
            ("same", Err(NameError::Several(b"same".to_vec()))),
            ("Own", unknown("Own")),
            ("dd", unknown("dd")),
            ("HERE", unknown("HERE")),
            ("u9", unknown("u9")),
        ] {
            assert_eq!(names.find(name.as_bytes()), found.map(uuid), "{name}");
        }
        for (of, shown) in [
            ("u0", "own"),
            ("u1", "[d1]"),
            ("u2", "dd desc [zz]"),
            ("u3", "[here]"),
            ("u4", "same"),
            ("u9", ""),
            ("00000000-0000-0000-0000-000000000001", "web"),
        ] {
            assert_eq!(String::from_utf8(names.shown(&uuid(of))).expect("text"), shown, "{of}");
        }
    }
}
