//! What we say: replies that end a request, questions, and notes that get no answer.

use super::Extensions;
use super::misuse::Misuse;
use super::name::{Key, Secret};
use super::wire::{Message, Param};

/// The reply that ends a request. Messages are for people; control characters in them become spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// INITREMOTE, PREPARE, a transfer, a removal, a rename or a listing is done.
    Success,
    /// INITREMOTE, PREPARE, a transfer, a removal, a listing, IMPORTKEY or CHECKURL could not be done, and why. For
    /// RENAMEEXPORT and REMOVEEXPORTDIRECTORY git-annex is not told why.
    Failure(Vec<u8>),
    /// CHECKPRESENT: verified to be there.
    Present,
    /// CHECKPRESENT: verified not to be there.
    Absent,
    /// CHECKPRESENT: could not tell, and why.
    Unknown(Vec<u8>),
    /// LISTCONFIGS: name and description of each setting.
    Configs(Vec<(Vec<u8>, Vec<u8>)>),
    /// GETCOST: git-annex's own remotes lie between 100 (local) and 200 (network) and above.
    Cost(u32),
    /// GETORDERED: whether files grow strictly in order.
    Ordered(bool),
    /// GETAVAILABILITY.
    Availability(Availability),
    /// GETINFO: name and value of each field.
    Info(Vec<(Vec<u8>, Vec<u8>)>),
    /// WHEREIS: a place in words, or none known.
    WhereIs(Option<Vec<u8>>),
    /// CLAIMURL: whether the url is ours.
    Claim(bool),
    /// CHECKURL: the url leads to one file.
    UrlContents {
        /// Bytes, if known.
        size: Option<u64>,
        /// Suggested file name; empty for none.
        name: Vec<u8>,
    },
    /// CHECKURL: the url leads to several files.
    UrlMulti(Vec<UrlPart>),
    /// EXPORTSUPPORTED, IMPORTSUPPORTED: whether trees can be exported there, or imported.
    Supported(bool),
    /// IMPORTKEY: the key of the file.
    Key(Key),
    /// IMPORTKEY: the file is not to be imported.
    Skip,
    /// The request is optional and not supported.
    Unsupported,
}

/// One file behind an url that leads to several. Neither url nor name may hold a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlPart {
    /// The url of this file alone.
    pub url: Vec<u8>,
    /// Bytes, if known.
    pub size: Option<u64>,
    /// Suggested file name.
    pub name: Vec<u8>,
}

/// Where a remote can be reached from, and whether it can be now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Availability {
    /// From this machine only, or from anywhere.
    pub reach: Reach,
    /// `false` is said only to a git-annex that understands it; others get the reach alone.
    pub now: bool,
}

/// From where a remote can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// From anywhere.
    Global,
    /// From this machine only.
    Local,
}

/// A question to git-annex; exactly one answer follows, unless the session ends first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// A setting of the remote; empty when not set.
    GetConfig(Vec<u8>),
    /// Credentials kept under this setting; both empty when there are none.
    GetCreds(Vec<u8>),
    /// The uuid of the remote.
    GetUuid,
    /// The git directory, possibly relative to the directory git-annex started the program in.
    GetGitDir,
    /// The name of the git remote. Only when the extension is [`negotiated`](super::Session::negotiated).
    GetGitRemoteName,
    /// The preferred content expression of the remote.
    GetWanted,
    /// State kept with [`Note::SetState`].
    GetState(Key),
    /// Recorded urls of a key that begin with a prefix; answered by [`Answer::Values`].
    GetUrls {
        /// The key in question.
        key: Key,
        /// What the urls begin with; empty for all.
        prefix: Vec<u8>,
    },
    /// Two-level hash directory of a key, mixed case, as in `.git/annex/objects`.
    DirHash(Key),
    /// Two-level hash directory of a key, lower case, as in git-annex's directory remote.
    DirHashLower(Key),
}

/// What git-annex answered to a [`Query`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A value, empty when there is none.
    Value(Vec<u8>),
    /// Answer to [`Query::GetCreds`].
    Creds {
        /// User name, or whatever was stored as one.
        user: Vec<u8>,
        /// Password; may hold spaces.
        password: Secret,
    },
    /// Answer to [`Query::GetUrls`], without the empty value that ends it.
    Values(Vec<Vec<u8>>),
}

/// Something git-annex is told while a request runs; it does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Bytes transferred, counted from the beginning of the file. Only during a transfer.
    Progress(u64),
    /// Set a setting; kept only during INITREMOTE.
    SetConfig {
        /// Name of the setting, without spaces.
        name: Vec<u8>,
        /// Its value, without newline.
        value: Vec<u8>,
    },
    /// Keep credentials; only during INITREMOTE.
    SetCreds {
        /// Name of the setting they are kept under.
        name: Vec<u8>,
        /// User name, without spaces.
        user: Vec<u8>,
        /// Password, without newline.
        password: Secret,
    },
    /// Set the preferred content expression.
    SetWanted(Vec<u8>),
    /// Keep state for a key in the git-annex branch.
    SetState {
        /// The key.
        key: Key,
        /// The state, without newline.
        value: Vec<u8>,
    },
    /// Record an url the key can be downloaded from.
    SetUrlPresent {
        /// The key.
        key: Key,
        /// The url.
        url: Vec<u8>,
    },
    /// Record that the key is no longer at the url.
    SetUrlMissing {
        /// The key.
        key: Key,
        /// The url.
        url: Vec<u8>,
    },
    /// Record an uri that is not for http.
    SetUriPresent {
        /// The key.
        key: Key,
        /// The uri.
        uri: Vec<u8>,
    },
    /// Record that the key is no longer at the uri.
    SetUriMissing {
        /// The key.
        key: Key,
        /// The uri.
        uri: Vec<u8>,
    },
    /// A file on the remote. Only during LISTIMPORTABLECONTENTS.
    Importable {
        /// Its length in bytes.
        size: u64,
        /// Its name, without newline.
        name: Vec<u8>,
        /// What changes when it does, without newline.
        id: Vec<u8>,
    },
    /// Shown with `--debug`.
    Debug(Vec<u8>),
    /// Shown to the user; becomes [`Debug`](Note::Debug) when git-annex does not know INFO.
    Info(Vec<u8>),
}

pub(super) fn write_query(query: &Query, negotiated: Extensions, message: &mut Message) -> Result<(), Misuse> {
    match query {
        Query::GetConfig(name) => message.line("GETCONFIG", &[Param::setting(name)?]),
        Query::GetCreds(name) => message.line("GETCREDS", &[Param::setting(name)?]),
        Query::GetUuid => message.line("GETUUID", &[]),
        Query::GetGitDir => message.line("GETGITDIR", &[]),
        Query::GetGitRemoteName if !negotiated.git_remote_name => return Err(Misuse::NotNegotiated),
        Query::GetGitRemoteName => message.line("GETGITREMOTENAME", &[]),
        Query::GetWanted => message.line("GETWANTED", &[]),
        Query::GetState(key) => message.line("GETSTATE", &[Param::key(key)]),
        Query::GetUrls { key, prefix } => message.line("GETURLS", &[Param::key(key), Param::value(prefix)?]),
        Query::DirHash(key) => message.line("DIRHASH", &[Param::key(key)]),
        Query::DirHashLower(key) => message.line("DIRHASH-LOWER", &[Param::key(key)]),
    }
    Ok(())
}

pub(super) fn write_note(note: &Note, negotiated: Extensions, message: &mut Message) -> Result<(), Misuse> {
    match note {
        Note::Progress(bytes) => message.line("PROGRESS", &[Param::number(*bytes)]),
        Note::SetConfig { name, value } => message.line("SETCONFIG", &[Param::setting(name)?, Param::value(value)?]),
        Note::SetCreds { name, user, password } => {
            message.line("SETCREDS", &[Param::setting(name)?, Param::inner(user)?, Param::value(password.reveal())?])
        }
        Note::SetWanted(expression) => message.line("SETWANTED", &[Param::value(expression)?]),
        Note::SetState { key, value } => message.line("SETSTATE", &[Param::key(key), Param::value(value)?]),
        Note::SetUrlPresent { key, url } => message.line("SETURLPRESENT", &[Param::key(key), Param::value(url)?]),
        Note::SetUrlMissing { key, url } => message.line("SETURLMISSING", &[Param::key(key), Param::value(url)?]),
        Note::SetUriPresent { key, uri } => message.line("SETURIPRESENT", &[Param::key(key), Param::value(uri)?]),
        Note::SetUriMissing { key, uri } => message.line("SETURIMISSING", &[Param::key(key), Param::value(uri)?]),
        Note::Importable { size, name, id } => {
            let (name, id) = (Param::value(name)?, Param::value(id)?);
            message.line("IMPORTABLECONTENT", &[Param::number(*size), name]);
            message.line("IMPORTABLECONTENTIDENTIFIER", &[id]);
        }
        Note::Info(text) if negotiated.info => message.line("INFO", &[Param::text(text)]),
        Note::Info(text) | Note::Debug(text) => message.line("DEBUG", &[Param::text(text)]),
    }
    Ok(())
}
