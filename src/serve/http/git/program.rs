//! The git that is run, and what it gets to know.
//!
//! Its environment is made from nothing: what a repository's configuration or hooks run then knows no password of ours. What its
//! own configuration may run is the admin's to decide, as over ssh; nobody else can write there, since no repository is served that
//! lies in another.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::proto::git::push::Restricted;
use crate::proto::git::route::{GitOp, Service};

/// What the program passes on of its own environment: where programs are, and whose configuration of git counts.
const PASSED: [&str; 9] = [
    "PATH",
    "HOME",
    "XDG_CONFIG_HOME",
    "TMPDIR",
    "TZ",
    "GIT_EXEC_PATH",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_GLOBAL",
];

/// The first version with `receive.procReceiveRefs`, by which a push is kept to adding.
const OLDEST: (u32, u32) = (2, 29);

/// A git that can serve.
#[derive(Debug)]
pub(in crate::serve::http) struct Program {
    path: PathBuf,
    /// This program, which is a hook of some pushes.
    pub(in crate::serve::http) this: PathBuf,
    passed: Vec<(&'static str, OsString)>,
}

/// One request that git is to answer.
pub(in crate::serve::http) struct Backend<'a> {
    pub(in crate::serve::http) git_dir: &'a Path,
    pub(in crate::serve::http) op: GitOp,
    pub(in crate::serve::http) protocol: Option<&'a str>,
    pub(in crate::serve::http) gzip: bool,
    /// The name of the user, where there is one.
    pub(in crate::serve::http) user: Option<&'a [u8]>,
    /// Where the request is from.
    pub(in crate::serve::http) address: Option<String>,
    /// What keeps it to appending, and where the hooks for that are.
    pub(in crate::serve::http) restricted: Option<(&'a Restricted, &'a Path)>,
}

impl Program {
    /// Looks for git. Blocks.
    ///
    /// # Errors
    ///
    /// There is none that can serve: why, and the way out.
    pub(in crate::serve::http) fn find() -> Result<Self, String> {
        let path = in_path(OsStr::new("git")).ok_or("--git needs git on this computer: install it")?;
        let says = |word: &str| {
            let done = Command::new(&path).arg(word).output().map_err(|e| format!("{} {word}: {e}", path.display()))?;
            Ok::<_, String>(String::from_utf8_lossy(&done.stdout).trim().to_string())
        };
        let version = says("version")?;
        if version_of(&version).is_none_or(|version| version < OLDEST) {
            return Err(format!("--git needs git {}.{} or newer: this is {version:?}", OLDEST.0, OLDEST.1));
        }
        let programs = PathBuf::from(says("--exec-path")?);
        if !programs.join("git-http-backend").is_file() {
            return Err(format!(
                "--git needs git-http-backend, which is not in {}: it is in a package of its own (git-daemon, git-core)",
                programs.display()
            ));
        }
        let passed = PASSED.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))).collect();
        let this = std::env::current_exe().map_err(|e| format!("--git: where this program is: {e}"))?;
        Ok(Self { path, this, passed })
    }

    /// git, knowing nothing.
    pub(in crate::serve::http) fn plain(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.env_clear().envs(self.passed.iter().map(|(name, value)| (name, value))).env("LC_ALL", "C.UTF-8");
        command
    }

    /// The command that answers a request.
    pub(in crate::serve::http) fn command(&self, backend: &Backend<'_>) -> Command {
        let mut command = self.plain();
        command.arg("http-backend").current_dir(backend.git_dir);
        let (method, path, query, media) = match backend.op {
            GitOp::Config => ("GET", "/config".to_string(), String::new(), ""),
            GitOp::Refs(service) => ("GET", "/info/refs".to_string(), format!("service={}", service.name()), ""),
            GitOp::Pack(service) => ("POST", format!("/{}", service.name()), String::new(), service.request_type()),
        };
        command.env("GATEWAY_INTERFACE", "CGI/1.1").env("GIT_HTTP_EXPORT_ALL", "1");
        command.env("GIT_PROJECT_ROOT", backend.git_dir).env("PATH_INFO", path).env("QUERY_STRING", query);
        command.env("REQUEST_METHOD", method).env("CONTENT_TYPE", media);
        // Nobody is there who could answer a question; nothing is fetched from elsewhere because a client asks for it; and a commit
        // is what it is.
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_NO_LAZY_FETCH", "1").env("GIT_NO_REPLACE_OBJECTS", "1");
        if let Some(protocol) = backend.protocol {
            command.env("GIT_PROTOCOL", protocol);
        }
        if backend.gzip {
            command.env("HTTP_CONTENT_ENCODING", "gzip");
        }
        if let Some(user) = backend.user.filter(|user| !user.contains(&0)) {
            command.env("REMOTE_USER", OsStr::from_bytes(user));
        }
        if let Some(address) = &backend.address {
            command.env("REMOTE_ADDR", address);
        }
        let settings = settings(backend);
        command.env("GIT_CONFIG_COUNT", settings.len().to_string());
        for (number, (name, value)) in settings.into_iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{number}"), name);
            command.env(format!("GIT_CONFIG_VALUE_{number}"), OsString::from_vec(value));
        }
        command
    }
}

/// What git is told over its configuration.
fn settings(backend: &Backend<'_>) -> Vec<(&'static str, Vec<u8>)> {
    let pushes = matches!(backend.op, GitOp::Refs(Service::ReceivePack) | GitOp::Pack(Service::ReceivePack));
    let is = |value: bool| if value { b"true".to_vec() } else { b"false".to_vec() };
    let mut settings = vec![
        // Whose it may be was looked at when the repository was opened, by the same rules.
        ("safe.directory", backend.git_dir.as_os_str().as_bytes().to_vec()),
        ("http.getanyfile", is(false)),
        ("http.uploadarchive", is(false)),
        ("http.uploadpack", is(true)),
        ("http.receivepack", is(pushes)),
        // What can be fetched is what this repository has references to, not what one has that it borrows objects from.
        ("core.alternateRefsPrefixes", b"refs/of/nobody/".to_vec()),
        // It would go on after the push, with nobody to end it.
        ("receive.autogc", is(false)),
    ];
    if let Some((restricted, hooks)) = backend.restricted {
        settings.push(("receive.denyDeletes", is(true)));
        settings.push(("receive.denyNonFastForwards", is(true)));
        settings.push(("receive.shallowUpdate", is(false)));
        settings.extend(restricted.hidden.iter().map(|name| ("receive.hideRefs", name.clone())));
        if !restricted.united.is_empty() {
            settings.extend(restricted.united.iter().map(|name| ("receive.procReceiveRefs", name.clone())));
            settings.push(("core.hooksPath", hooks.as_os_str().as_bytes().to_vec()));
        }
    }
    settings
}

/// Where a program is. By its whole path it is started without copying the tables of this process.
pub(in crate::serve::http) fn in_path(name: &OsStr) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let is_program = |path: &PathBuf| path.metadata().is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0);
    std::env::split_paths(&path).filter(|dir| dir.is_absolute()).map(|dir| dir.join(name)).find(is_program)
}

/// The first two numbers of `git version 2.47.3`.
fn version_of(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.strip_prefix("git version ")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(op: GitOp) -> Backend<'static> {
        let git_dir = Path::new("/srv/a.git");
        Backend { git_dir, op, protocol: None, gzip: false, user: None, address: None, restricted: None }
    }

    fn set(settings: &[(&str, Vec<u8>)], name: &str) -> Vec<String> {
        let values = settings.iter().filter(|(known, _)| *known == name);
        values.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    #[test]
    fn the_environment_holds_nothing_but_what_is_named_here() {
        let program =
            Program { path: "/usr/bin/git".into(), this: PathBuf::new(), passed: vec![("PATH", "/usr/bin".into())] };
        let user = Some(&b"al"[..]);
        let command = program.command(&Backend {
            user,
            protocol: Some("version=2"),
            ..backend(GitOp::Refs(Service::UploadPack))
        });
        let mut names: Vec<_> = command.get_envs().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
        names.retain(|name| !name.starts_with("GIT_CONFIG_KEY_") && !name.starts_with("GIT_CONFIG_VALUE_"));
        names.sort();
        let expected = [
            "CONTENT_TYPE",
            "GATEWAY_INTERFACE",
            "GIT_CONFIG_COUNT",
            "GIT_HTTP_EXPORT_ALL",
            "GIT_NO_LAZY_FETCH",
            "GIT_NO_REPLACE_OBJECTS",
            "GIT_PROJECT_ROOT",
            "GIT_PROTOCOL",
            "GIT_TERMINAL_PROMPT",
            "LC_ALL",
            "PATH",
            "PATH_INFO",
            "QUERY_STRING",
            "REMOTE_USER",
            "REQUEST_METHOD",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn only_a_push_may_push_and_only_an_unrestricted_one_may_rewrite() {
        let fetch = settings(&backend(GitOp::Pack(Service::UploadPack)));
        assert_eq!(set(&fetch, "http.receivepack"), ["false"]);
        assert_eq!(set(&fetch, "safe.directory"), ["/srv/a.git"]);
        let full = settings(&backend(GitOp::Pack(Service::ReceivePack)));
        assert_eq!(set(&full, "http.receivepack"), ["true"]);
        assert!(set(&full, "receive.denyDeletes").is_empty() && set(&full, "core.hooksPath").is_empty());
        let mut restricted = Restricted { hidden: vec![b"refs/tags/v1".to_vec()], united: Vec::new() };
        let appends = |restricted: &Restricted| {
            let restricted = Some((restricted, Path::new("/tmp/hooks")));
            settings(&Backend { restricted, ..backend(GitOp::Pack(Service::ReceivePack)) })
        };
        let append = appends(&restricted);
        assert_eq!(set(&append, "receive.denyDeletes"), ["true"]);
        assert_eq!(set(&append, "receive.denyNonFastForwards"), ["true"]);
        assert_eq!(set(&append, "receive.hideRefs"), ["refs/tags/v1"]);
        assert!(set(&append, "core.hooksPath").is_empty(), "the repository's own hooks run");
        restricted.united.push(b"refs/heads/git-annex".to_vec());
        let append = appends(&restricted);
        assert_eq!(set(&append, "receive.procReceiveRefs"), ["refs/heads/git-annex"]);
        assert_eq!(set(&append, "core.hooksPath"), ["/tmp/hooks"]);
    }

    #[test]
    fn versions_are_numbers() {
        assert_eq!(version_of("git version 2.47.3"), Some((2, 47)));
        assert_eq!(version_of("git version 2.39.5 (Apple Git-154)"), Some((2, 39)));
        assert!(version_of("git version 2.9").is_some_and(|version| version < OLDEST));
        assert_eq!(version_of("hg"), None);
    }
}
