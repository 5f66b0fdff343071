//! From arguments and environment to the command to run. Nothing else is looked at.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use super::words::split;
use crate::name::{Key, Uuid};
use crate::proto::p2p::Access;

/// What the environment allows. Default: everything, with no home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    /// GIT_ANNEX_SHELL_READONLY or GIT_ANNEX_SHELL_APPENDONLY, not empty; the former wins.
    pub access: Access,
    /// GIT_ANNEX_SHELL_LIMITED, not empty: nothing goes to git-shell.
    pub limited: bool,
    /// GIT_ANNEX_SHELL_DIRECTORY: the one directory that may be used; below the home where it is not absolute.
    pub directory: Option<PathBuf>,
    /// HOME, which relative directories are relative to.
    pub home: PathBuf,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Not ours: git-shell with these arguments.
    GitShell(Vec<OsString>),
    /// Ours, in a directory.
    Annex {
        /// The repository, absolute.
        directory: PathBuf,
        /// Who it is expected to be, as it was said: what is no uuid is nobody's.
        uuid: Option<Vec<u8>>,
        /// What to do there.
        verb: Verb,
    },
}

/// What is to be done in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// Print its uuid; with `autoinit`, give it one first.
    ConfigList {
        /// The field `autoinit=1`.
        autoinit: bool,
        /// What may be done.
        access: Access,
    },
    /// Serve it over stdin and stdout.
    P2pStdio {
        /// Who is asking; git-annex takes anything here.
        client: Option<Uuid>,
        /// What may be done.
        access: Access,
    },
    /// Tell of changed refs until stdin ends.
    NotifyChanges,
    /// Are all of these present?
    InAnnex(Vec<Key>),
    /// Remove these.
    DropKey(Vec<Key>),
}

impl Verb {
    /// Its word on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Verb::ConfigList { .. } => "configlist",
            Verb::P2pStdio { .. } => "p2pstdio",
            Verb::NotifyChanges => "notifychanges",
            Verb::InAnnex(_) => "inannex",
            Verb::DropKey(_) => "dropkey",
        }
    }
}

/// Why nothing is done. `Display` is what stands behind `git-annex-shell: `.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// GIT_ANNEX_SHELL_LIMITED, GIT_ANNEX_SHELL_READONLY or GIT_ANNEX_SHELL_APPENDONLY forbids it.
    Blocked(&'static str),
    /// GIT_ANNEX_SHELL_DIRECTORY is another one than this.
    OtherDirectory(PathBuf, PathBuf),
    /// A variable of git-annex-shell that there is not: what was meant to be forbidden would be allowed.
    Unknown(OsString),
    /// A parameter is missing, or not what it should be.
    Parameter(&'static str),
    /// An option that is not known.
    Option(Vec<u8>),
    /// A command of gcrypt's, which needs rsync: not served.
    Gcrypt(&'static str),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Blocked(by) => write!(f, "Action blocked by {by}"),
            Refusal::OtherDirectory(only, other) => {
                write!(f, "Only allowed to access {} not {}", only.display(), other.display())
            }
            Refusal::Unknown(name) => write!(
                f,
                "{} is not known: there are {PREFIX}READONLY, APPENDONLY, LIMITED and DIRECTORY",
                name.as_bytes().escape_ascii()
            ),
            Refusal::Parameter(what) => f.write_str(what),
            Refusal::Option(option) => write!(f, "unknown option {}", option.escape_ascii()),
            Refusal::Gcrypt(what) => write!(f, "{what} is not served here; only gcrypt remotes use it"),
        }
    }
}

const PREFIX: &str = "GIT_ANNEX_SHELL_";
const DIRECTORY: &str = "GIT_ANNEX_SHELL_DIRECTORY";
const LIMITED: &str = "GIT_ANNEX_SHELL_LIMITED";
pub(super) const READ_ONLY: &str = "GIT_ANNEX_SHELL_READONLY";
const APPEND_ONLY: &str = "GIT_ANNEX_SHELL_APPENDONLY";

/// Options of every git-annex command that a client may send along, and that change nothing here.
const COMMON: &[&[u8]] = &[b"--quiet", b"-q", b"--verbose", b"-v", b"--debug", b"-d", b"--no-debug", b"--fast", b"-F"];

impl Permit {
    /// Reads the environment through `get`. A variable that is set to nothing is not set.
    pub fn read(get: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| get(name).filter(|value| !value.is_empty());
        let access = match (set(READ_ONLY), set(APPEND_ONLY)) {
            (Some(_), _) => Access::ReadOnly,
            (None, Some(_)) => Access::AppendOnly,
            (None, None) => Access::Full,
        };
        Self {
            access,
            limited: set(LIMITED).is_some(),
            // git-annex takes the empty one for the home, and so for a restriction.
            directory: get(DIRECTORY).map(PathBuf::from),
            home: set("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from),
        }
    }

    /// Looks at the names of all variables.
    ///
    /// # Errors
    ///
    /// One of them is like those that are read, and is none of them.
    pub fn check(names: impl IntoIterator<Item = OsString>) -> Result<(), Refusal> {
        let ours = |name: &OsString| {
            let start = name.as_bytes().get(..PREFIX.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(PREFIX.as_bytes()))
        };
        let known = |name: &OsString| [READ_ONLY, APPEND_ONLY, LIMITED, DIRECTORY].iter().any(|known| name == known);
        match names.into_iter().find(|name| ours(name) && !known(name)) {
            Some(name) => Err(Refusal::Unknown(name)),
            None => Ok(()),
        }
    }

    /// Reads the arguments, without the program's own name.
    ///
    /// # Errors
    ///
    /// [`Refusal`], where nothing is to be done but to say so.
    pub fn parse(&self, arguments: &[Vec<u8>]) -> Result<Command, Refusal> {
        match arguments {
            [flag, line] if flag == b"-c" => self.parse_line(line),
            [flag] if flag == b"-c" => Err(USAGE),
            [] => Err(USAGE),
            [verb, rest @ ..] if is_ours(verb) => self.parse_ours(verb, rest),
            [alone] => self.pass_on(&[b"-c".to_vec(), alone.clone()], &split(alone)),
            words => self.pass_on(words, words),
        }
    }

    /// The one string sshd hands over.
    fn parse_line(&self, line: &[u8]) -> Result<Command, Refusal> {
        let words = split(line);
        match words.as_slice() {
            [own, verb, rest @ ..] if own == b"git-annex-shell" && is_ours(verb) => self.parse_ours(verb, rest),
            // Each level of quoting is shorter than the one around it, so this ends.
            [own, flag, inner] if own == b"git-annex-shell" && flag == b"-c" => self.parse_line(inner),
            words => self.pass_on(&[b"-c".to_vec(), line.to_vec()], words),
        }
    }

    fn pass_on(&self, arguments: &[Vec<u8>], words: &[Vec<u8>]) -> Result<Command, Refusal> {
        if self.limited {
            return Err(Refusal::Blocked(LIMITED));
        }
        if self.directory.is_some() {
            let named = words.last().map_or(&b""[..], Vec::as_slice);
            self.may_use(&self.resolve(named))?;
            // git-shell and git take the name as it is: it must not mean another place to them than it does here.
            let plain = !arguments.iter().any(|word| word.iter().any(|byte| matches!(byte, b'\\' | b'"')));
            if !plain || named.split(|byte| *byte == b'/').any(|part| part == b"..") {
                return Err(Refusal::Parameter("this directory has to be named in a simpler way"));
            }
        }
        Ok(Command::GitShell(arguments.iter().cloned().map(OsString::from_vec).collect()))
    }

    fn parse_ours(&self, verb: &[u8], rest: &[Vec<u8>]) -> Result<Command, Refusal> {
        let [named, rest @ ..] = rest else { return Err(USAGE) };
        let directory = self.resolve(named);
        self.may_use(&directory)?;
        let words = Words::sort(rest)?;
        let writes = matches!(verb, b"recvkey" | b"dropkey" | b"gcryptsetup");
        match self.access {
            Access::ReadOnly if writes => return Err(Refusal::Blocked(READ_ONLY)),
            Access::AppendOnly if verb == b"dropkey" => return Err(Refusal::Blocked(APPEND_ONLY)),
            _ => {}
        }
        let verb = match (verb, words.plain.as_slice()) {
            (b"configlist", []) => Verb::ConfigList { autoinit: words.autoinit, access: self.access },
            (b"notifychanges", []) => Verb::NotifyChanges,
            (b"configlist" | b"notifychanges", _) => {
                return Err(Refusal::Parameter("This command takes no parameters."));
            }
            (b"p2pstdio", [client]) => Verb::P2pStdio { client: Uuid::parse(client).ok(), access: self.access },
            (b"p2pstdio", _) => return Err(Refusal::Parameter("missing UUID parameter")),
            (b"inannex", keys) => Verb::InAnnex(parse_keys(keys)?),
            (b"dropkey", _) if !words.force => {
                return Err(Refusal::Parameter(
                    "dropkey removes content without checking for other copies: use --force",
                ));
            }
            (b"dropkey", keys) => Verb::DropKey(parse_keys(keys)?),
            (b"recvkey", _) => return Err(Refusal::Gcrypt("recvkey")),
            (b"sendkey", _) => return Err(Refusal::Gcrypt("sendkey")),
            _ => return Err(Refusal::Gcrypt("gcryptsetup")),
        };
        Ok(Command::Annex { directory, uuid: words.uuid, verb })
    }

    /// The directory a client named, absolute and without `.` and `..`. `/~/x` is below the home, as is `x`.
    fn resolve(&self, named: &[u8]) -> PathBuf {
        let below_home = match named {
            [b'/', b'~'] | [b'~'] => Some(&b""[..]),
            [b'/', b'~', b'/', rest @ ..] | [b'~', b'/', rest @ ..] => Some(rest),
            _ => None,
        };
        let path = match below_home {
            Some(rest) => self.home.join(std::ffi::OsStr::from_bytes(rest)),
            None => self.home.join(std::ffi::OsStr::from_bytes(named)),
        };
        tidy(&path)
    }

    fn may_use(&self, directory: &Path) -> Result<(), Refusal> {
        match &self.directory {
            Some(only) if self.resolve(only.as_os_str().as_bytes()) != directory => {
                Err(Refusal::OtherDirectory(only.clone(), directory.to_path_buf()))
            }
            _ => Ok(()),
        }
    }
}

/// What follows the directory.
#[derive(Default)]
struct Words<'a> {
    plain: Vec<&'a [u8]>,
    uuid: Option<Vec<u8>>,
    force: bool,
    autoinit: bool,
}

impl<'a> Words<'a> {
    fn sort(words: &'a [Vec<u8>]) -> Result<Self, Refusal> {
        let mut sorted = Words::default();
        let mut words = words.iter().map(Vec::as_slice);
        while let Some(word) = words.next() {
            match word {
                // Fields, up to another `--`; what follows that is lost, as it is with git-annex.
                b"--" => {
                    sorted.autoinit =
                        words.by_ref().take_while(|word| *word != b"--").any(|word| word == b"autoinit=1");
                    break;
                }
                b"--uuid" => sorted.uuid = Some(words.next().ok_or(Refusal::Option(word.to_vec()))?.to_vec()),
                b"--force" => sorted.force = true,
                [b'-', b'-', b'u', b'u', b'i', b'd', b'=', uuid @ ..] => sorted.uuid = Some(uuid.to_vec()),
                option if COMMON.contains(&option) => {}
                [b'-', _, ..] => return Err(Refusal::Option(word.to_vec())),
                plain => sorted.plain.push(plain),
            }
        }
        Ok(sorted)
    }
}

const USAGE: Refusal = Refusal::Parameter("bad parameters: git-annex-shell [-c] command directory [parameters]");

fn is_ours(verb: &[u8]) -> bool {
    matches!(
        verb,
        b"configlist"
            | b"p2pstdio"
            | b"notifychanges"
            | b"inannex"
            | b"dropkey"
            | b"recvkey"
            | b"sendkey"
            | b"gcryptsetup"
    )
}

fn parse_keys(words: &[&[u8]]) -> Result<Vec<Key>, Refusal> {
    words.iter().map(|word| Key::parse(word).map_err(|_| Refusal::Parameter("bad key"))).collect()
}

/// Without `.` and `..`, looking at the name alone.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => tidy.push(name),
            Component::ParentDir => {
                tidy.pop();
            }
            _ => {}
        }
    }
    tidy
}

#[cfg(test)]
mod tests;
