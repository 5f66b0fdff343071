//! From the configuration of a remote to where its content is: a store, or another repository.

mod git;
mod own;
pub mod setup;
pub mod site;
#[cfg(test)]
mod tests;

use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::rc::Rc;

use remotes::options::Options;
use remotes::registry::{self, Layout, Scheme};
use remotes::{Context, Store};

pub use git::GitPlace;

use crate::annex::export::names;
use crate::annex::export::tracking::Tracking;
use crate::annex::layout;
use crate::annex::remote::{Remote, RemoteKind, SpecialConfig, Trust};
use crate::name::Key;
use crate::proto::special::{Answer, Query, Secret};
use setup::{Environment, Purpose, Setup, Step};

/// Where the content of a remote is.
#[derive(Debug, Clone)]
pub enum Destination {
    /// In a store that we reach ourselves.
    Store(StoreConfig),
    /// In a git repository.
    Git(GitPlace),
}

/// A store, as far as it can be known without a look at the place.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Kind of store.
    pub scheme: Scheme,
    /// Options with their values, secrets included.
    pub options: Options,
    /// How objects are named.
    pub naming: Naming,
    /// Whether content may be stored and removed: it is not `annex-readonly`. A special remote that nobody verified may keep
    /// all others from being written to as well, see [`Proxies::blocked_by`](crate::annex::remote::Proxies::blocked_by).
    pub writable: bool,
    /// The remote's name and type, for messages.
    pub label: String,
    /// What is exported to it, where it holds a tree (`exporttree=yes annexobjects=yes`): content of keys lies at
    /// [`names::object`] until the tree has a name for it.
    pub tree: Option<Exports>,
}

/// What is exported to a remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exports {
    /// The branch it follows; `None` where it follows none, and keys alone are stored.
    pub tracking: Option<Tracking>,
}

impl StoreConfig {
    /// Opens the store, on a data thread. No network.
    pub fn open(&self, context: &Context) -> remotes::Result<Rc<dyn Store>> {
        let context = Context { tree: self.tree.is_some(), ..context.clone() };
        registry::open(self.scheme.name, &self.options, &context)
    }

    /// The name of the object of `key`; in a tree, of the one outside it.
    pub fn name(&self, key: &Key) -> Vec<u8> {
        if self.tree.is_some() { names::object(key) } else { self.naming.name(key) }
    }
}

/// How the objects of keys are named in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// As git-annex's type `directory` does: `abc/def/KEYFILE/KEYFILE`.
    Tree,
    /// As its type `S3` does: the key.
    Flat,
}

/// Why a remote cannot be proxied, with the way out. Shown on one line, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    remote: String,
    why: String,
}

/// Where the content of `remote` is. No network. Reads the files that credentials are kept in.
///
/// # Errors
///
/// It is not verified, encrypted, chunked, a tree that takes nothing else, of a type that is not served, or its
/// settings make no sense.
pub fn destination(remote: &Remote, environment: Environment) -> Result<Destination, Refusal> {
    let name = remote.name.escape_ascii().to_string();
    let refuse = |why: String| Refusal { remote: name.clone(), why };
    match &remote.kind {
        RemoteKind::Git(git) => {
            trusted(git.trust, &name).map_err(refuse)?;
            git::place(git, &name).map(Destination::Git).map_err(refuse)
        }
        RemoteKind::Special(special) => {
            let (scheme, options) = store(special, &name, environment).map_err(refuse)?;
            Ok(Destination::Store(StoreConfig {
                scheme,
                options,
                naming: scheme.layout.into(),
                writable: !remote.readonly,
                label: format!("{name} ({})", text(special, "type")),
                tree: is_yes(special, "exporttree").then(|| Exports { tracking: remote.tracking.clone() }),
            }))
        }
    }
}

/// The bytes of an environment variable; none where it is empty.
pub fn environment(name: &str) -> Option<Vec<u8>> {
    std::env::var_os(name).map(OsStringExt::into_vec).filter(|value| !value.is_empty())
}

fn store(special: &SpecialConfig, name: &str, environment: Environment) -> Result<(Scheme, Options), String> {
    usable(special, name)?;
    match text(special, "type").as_str() {
        "external" => match text(special, "externaltype").as_str() {
            "stream" => stream(special, environment),
            other => Err(format!(
                "is of type external, and its program git-annex-remote-{other} is not run here; make it one of externaltype=stream"
            )),
        },
        "directory" => own::directory(special, name),
        "S3" => own::s3(special, &special.creds, environment),
        "webdav" => own::webdav(special, &special.creds, environment),
        other => Err(format!(
            "is of type {other}; only external (externaltype=stream), directory, S3 and webdav are proxied; copy its content to one of these"
        )),
    }
}

/// Whether somebody here has looked at where it is. Nothing else is: a configuration that only came with the git-annex branch
/// could name any place that this computer can reach, with the rights and the credentials of this process.
fn trusted(trust: Trust, name: &str) -> Result<(), String> {
    match trust {
        Trust::Verified => Ok(()),
        Trust::Automatic | Trust::Manual | Trust::Unverified => {
            Err(format!("has a configuration that nobody verified here; look at it: git annex verifyremote {name}"))
        }
        Trust::Unrecorded => Err(format!(
            "has no record of what was verified here; any command of a newer git-annex makes one, or git annex verifyremote {name}"
        )),
    }
}

/// Whether it may be used, and its objects are the content itself.
fn usable(special: &SpecialConfig, name: &str) -> Result<(), String> {
    trusted(special.trust, name)?;
    let says = |key: &str| text(special, key);
    match says("encryption").as_str() {
        "none" if special.value("cipher").is_none() => {}
        "" => return Err("does not say encryption=none; git annex enableremote fixes that".into()),
        kind => {
            let kind = if kind == "none" { "shared" } else { kind };
            return Err(format!(
                "is encrypted (encryption={kind}), which is not proxied; move its content to one with encryption=none"
            ));
        }
    }
    for key in ["chunk", "chunksize"] {
        let size = special.value(key).unwrap_or_default();
        if !size.iter().all(|byte| *byte == b'0') {
            return Err(format!(
                "is chunked ({key}={}), which is not proxied; move its content to one without",
                says(key)
            ));
        }
    }
    let switch = |key: &str| match special.value(key) {
        None | Some(b"no" | b"false") => Ok(false),
        Some(b"yes" | b"true") => Ok(true),
        Some(_) => Err(format!("has {key}={}, which is neither yes nor no", says(key))),
    };
    if switch("importtree")? {
        return Err(
            "has importtree=yes: others change what it holds, so it is not proxied; import it where it is".into()
        );
    }
    if switch("exporttree")? && !switch("annexobjects")? {
        // git-annex's way out.
        return Err(format!(
            "has exporttree=yes, and can take files of a tree alone; git annex enableremote {name} annexobjects=yes"
        ));
    }
    Ok(())
}

fn is_yes(special: &SpecialConfig, name: &str) -> bool {
    matches!(special.value(name), Some(b"yes" | b"true"))
}

/// The store of an external special remote of this program, settled as at PREPARE.
fn stream(special: &SpecialConfig, environment: Environment) -> Result<(Scheme, Options), String> {
    let mut setup = Setup::new(Purpose::Prepare, environment);
    let mut answer = None;
    loop {
        match setup.next(answer.take()) {
            Step::Ask(Query::GetConfig(name)) => {
                answer = Some(Answer::Value(special.config.get(&name).cloned().unwrap_or_default()));
            }
            Step::Ask(Query::GetCreds(name)) => {
                let name = String::from_utf8_lossy(&name);
                let login = special.creds.setting(&name).map_err(|e| format!("credentials {name}: {e}"))?;
                let (user, password) = login.map(|login| (login.user, login.password)).unwrap_or_default();
                answer = Some(Answer::Creds { user, password: Secret::new(password) });
            }
            Step::Ask(_) => answer = Some(Answer::Value(Vec::new())),
            Step::Tell(_) => {}
            Step::Failed(error) => return Err(error.to_string()),
            Step::Done(ready) => return Ok((ready.scheme, ready.options)),
        }
    }
}

/// A value for messages and comparisons; empty where there is none.
fn text(special: &SpecialConfig, name: &str) -> String {
    special.value(name).unwrap_or_default().escape_ascii().to_string()
}

impl Naming {
    /// The name of the object of `key`.
    pub fn name(self, key: &Key) -> Vec<u8> {
        self.bytes(key.as_bytes())
    }

    fn bytes(self, key: &[u8]) -> Vec<u8> {
        match self {
            Self::Tree => layout::tree(key),
            Self::Flat => layout::flat(key),
        }
    }
}

impl From<Layout> for Naming {
    fn from(layout: Layout) -> Self {
        match layout {
            Layout::Tree => Self::Tree,
            Layout::Flat => Self::Flat,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line: String = self.why.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        write!(f, "remote {}: {line}", self.remote)
    }
}

impl std::error::Error for Refusal {}
