//! Where a remote git repository is, read from its url.

use std::ffi::OsString;
use std::fmt;

use annex_types::percent;

use crate::proto::http::auth::{Credentials, Password};

/// The port of `annex+http` and `annex+https` urls that name none.
pub const HTTP_PORT: u16 = 9417;

/// How a peer is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// By `git-annex-shell p2pstdio` on another computer.
    Ssh(SshRemote),
    /// By P2P over HTTP.
    Http(HttpRemote),
}

/// A repository that ssh leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshRemote {
    /// `user@host` or `host`, as ssh takes it. Never begins with `-`.
    pub destination: String,
    /// The port, where it is not the one ssh would take.
    pub port: Option<u16>,
    /// The directory there; `/~/x` is `x` in the user's home.
    pub path: Vec<u8>,
    /// What else decides how it is reached.
    pub ways: SshWays,
}

/// What configuration says of reaching a repository over ssh.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SshWays {
    /// `remote.NAME.annex-shell`, which is given to the shell there as it is; `git-annex-shell` where there is none.
    pub shell: Option<String>,
    /// `remote.NAME.annex-ssh-options`, in words.
    pub options: Vec<String>,
    /// What runs here.
    pub program: SshProgram,
}

/// What runs as ssh.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SshProgram {
    /// `ssh`
    #[default]
    Ssh,
    /// A command of the shell: `GIT_SSH_COMMAND`, `core.sshCommand`.
    Command(OsString),
    /// A program: `GIT_SSH`.
    Program(OsString),
}

/// A repository that p2phttp serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRemote {
    /// Whether it is `annex+https`.
    pub secure: bool,
    /// The name or address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Host and port as the url has them, for git's credential helpers.
    pub authority: String,
    /// What stands before `/git-annex` in the path, as the url has it: `/org`, or nothing.
    pub prefix: Vec<u8>,
    /// The name in the url.
    pub user: Option<String>,
    /// The name and the password in the url.
    pub credentials: Option<Credentials>,
}

impl Location {
    /// Reads the url of a remote, `remote.NAME.annexurl` or `remote.NAME.url`. `None` for anything that is reached in another
    /// way, such as a local path, and for a host that ssh would take for an option.
    pub fn parse(url: &[u8], ways: SshWays) -> Option<Self> {
        let url = std::str::from_utf8(url).ok();
        let (scheme, rest) = match url.and_then(|url| url.split_once("://")) {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            None => return scp(url?, ways).map(Location::Ssh),
        };
        match scheme.as_str() {
            "ssh" | "git+ssh" | "ssh+git" => ssh(rest, ways).map(Location::Ssh),
            "annex+http" => http(rest, false).map(Location::Http),
            "annex+https" => http(rest, true).map(Location::Http),
            _ => None,
        }
    }
}

impl SshProgram {
    /// The one that git would run: `GIT_SSH_COMMAND`, `core.sshCommand`, `GIT_SSH`, in this order, then `ssh`.
    pub fn choose(configured: Option<OsString>, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        match set("GIT_SSH_COMMAND").or(configured) {
            Some(command) => Self::Command(command),
            None => set("GIT_SSH").map_or(Self::Ssh, Self::Program),
        }
    }
}

impl fmt::Display for Location {
    /// As people know it, without passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Ssh(ssh) => {
                write!(f, "ssh://{}", ssh.destination)?;
                ssh.port.map_or(Ok(()), |port| write!(f, ":{port}"))?;
                write!(f, "{}", ssh.path.escape_ascii())
            }
            Location::Http(http) => {
                let scheme = if http.secure { "annex+https" } else { "annex+http" };
                write!(f, "{scheme}://{}{}", http.authority, http.prefix.escape_ascii())
            }
        }
    }
}

fn ssh(rest: &str, ways: SshWays) -> Option<SshRemote> {
    let (authority, path) = rest.split_at(rest.find('/')?);
    let (user, place) = split_user(authority);
    let (host, port) = split_port(place)?;
    let user = user.map(|user| user.split(':').next().unwrap_or_default().to_string());
    remote(user, host, port, decoded(path), ways)
}

/// `user@host:path`. git-annex decodes `%20` in it, which git does not.
fn scp(url: &str, ways: SshWays) -> Option<SshRemote> {
    let end = if url.split_once('@').map_or(url, |(_, host)| host).starts_with('[') {
        url.find("]:")? + 1
    } else {
        url.find(':')?
    };
    let (authority, path) = (&url[..end], &url[end + 1..]);
    // A colon behind a slash belongs to a path, and `helper::address` to a helper of git.
    if authority.contains('/') || path.starts_with(':') {
        return None;
    }
    let path = decoded(path);
    let path = match path.first() {
        Some(b'/') => path,
        Some(b'~') => [b"/", path.as_slice()].concat(),
        _ => [b"/~/", path.as_slice()].concat(),
    };
    let (user, place) = split_user(authority);
    let host = place.strip_prefix('[').and_then(|place| place.strip_suffix(']')).unwrap_or(place);
    remote(user.map(str::to_string), host.to_string(), None, path, ways)
}

fn remote(user: Option<String>, host: String, port: Option<u16>, path: Vec<u8>, ways: SshWays) -> Option<SshRemote> {
    let odd = |text: &str| text.starts_with('-') || text.chars().any(|c| c.is_control() || c.is_whitespace());
    let user = user.filter(|user| !user.is_empty());
    if host.is_empty() || odd(&host) || user.as_deref().is_some_and(odd) || path.contains(&0) {
        return None;
    }
    let destination = match user {
        Some(user) => format!("{user}@{host}"),
        None => host,
    };
    Some(SshRemote { destination, port, path, ways })
}

fn http(rest: &str, secure: bool) -> Option<HttpRemote> {
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if rest.bytes().any(|byte| byte.is_ascii_control() || byte == b' ') {
        return None;
    }
    let (user, place) = split_user(authority);
    let (host, port) = split_port(place)?;
    if host.is_empty() {
        return None;
    }
    let path = path.trim_end_matches('/');
    let prefix = path.strip_suffix("/git-annex").unwrap_or(path).as_bytes().to_vec();
    let (name, password) = match user.map(|user| user.split_once(':').map_or((user, None), |(a, b)| (a, Some(b)))) {
        Some((name, password)) => (Some(decoded(name)), password.map(decoded)),
        None => (None, None),
    };
    let user = name.clone().and_then(|name| String::from_utf8(name).ok());
    let credentials =
        name.zip(password).map(|(name, password)| Credentials { name, password: Password::new(password) });
    let authority = place.to_string();
    Some(HttpRemote { secure, host, port: port.unwrap_or(HTTP_PORT), authority, prefix, user, credentials })
}

fn decoded(text: &str) -> Vec<u8> {
    percent::decode(text.as_bytes()).into_owned()
}

fn split_user(authority: &str) -> (Option<&str>, &str) {
    authority.rsplit_once('@').map_or((None, authority), |(user, place)| (Some(user), place))
}

/// `host`, `host:port`, `[::1]:port`.
fn split_port(place: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = annex_types::host::split(place)?;
    match port.filter(|port| !port.is_empty()) {
        Some(port) => Some((host.to_string(), Some(port.parse().ok()?))),
        None => Some((host.to_string(), None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Option<Location> {
        Location::parse(url.as_bytes(), SshWays::default())
    }

    #[test]
    fn urls_of_ssh_are_read_as_git_annex_reads_them() {
        // Recorded: what git-annex gave to ssh for remotes with these urls.
        for (url, destination, port, path) in [
            ("user@h:rel/a%20b", "user@h", None, "/~/rel/a b"),
            ("h:~/x y", "h", None, "/~/x y"),
            ("h:~bob/x", "h", None, "/~bob/x"),
            ("h:/abs/it's", "h", None, "/abs/it's"),
            ("ssh://u@h:22/a%20b/c", "u@h", Some(22), "/a b/c"),
            ("ssh://h/~/x", "h", None, "/~/x"),
            ("git+ssh://h/x", "h", None, "/x"),
            ("ssh://u:secret@[::1]:2222/x", "u@::1", Some(2222), "/x"),
            ("[::1]:x", "::1", None, "/~/x"),
            ("u@[::1]:/x", "u@::1", None, "/x"),
        ] {
            let ways = SshWays::default();
            let remote = SshRemote { destination: destination.into(), port, path: path.into(), ways };
            assert_eq!(parse(url), Some(Location::Ssh(remote)), "{url}");
        }
    }

    #[test]
    fn urls_of_p2phttp_are_read_with_their_prefix() {
        for (url, secure, host, port, prefix) in [
            ("annex+http://h/git-annex/", false, "h", 9417, ""),
            ("annex+http://h", false, "h", 9417, ""),
            ("annex+https://h:443/", true, "h", 443, ""),
            ("annex+http://h:8080/org/repo", false, "h", 8080, "/org/repo"),
            ("annex+http://h/a%20b/git-annex", false, "h", 9417, "/a%20b"),
            ("ANNEX+HTTP://[::1]:1/", false, "::1", 1, ""),
        ] {
            let Some(Location::Http(remote)) = parse(url) else { panic!("{url}") };
            assert_eq!((remote.secure, remote.host.as_str(), remote.port), (secure, host, port), "{url}");
            assert_eq!(remote.prefix, prefix.as_bytes(), "{url}");
        }
    }

    #[test]
    fn what_is_no_peer_is_none() {
        for url in [
            "/path",
            "../path",
            "./a:b",
            "dir/a:b",
            "file:///x",
            "http://h/x",
            "https://h/x",
            "rsync://h/x",
            "ext::sh -c x",
            "ssh://-oProxyCommand=x/y",
            "ssh://-x@h/y",
            "-oProxyCommand=x:y",
            "ssh://h",
            "ssh://h:99999/x",
            "ssh:///x",
            "",
            "annex+http:///x",
            "annex+http://h:x/",
            "annex+http://h/a b",
            "h\n:x",
            "ssh://h/%00",
        ] {
            assert_eq!(parse(url), None, "{url}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        let location = parse("annex+http://alice:se%63ret@h/x/git-annex").expect("a peer");
        let Location::Http(remote) = &location else { panic!("{location:?}") };
        let secret = Credentials { name: b"alice".to_vec(), password: Password::new(b"secret".to_vec()) };
        assert_eq!((remote.credentials.as_ref(), remote.user.as_deref()), (Some(&secret), Some("alice")));
        for shown in [location.to_string(), format!("{location:?}")] {
            assert!(!shown.contains("secret") && !shown.contains("se%63ret"), "{shown}");
        }
        assert_eq!(location.to_string(), "annex+http://h/x");
        let ssh = parse("ssh://u:secret@h:1/p").expect("a peer");
        assert_eq!(ssh.to_string(), "ssh://u@h:1/p");
    }

    #[test]
    fn ssh_is_chosen_as_git_chooses_it() {
        let with = |set: &'static [(&str, &str)], configured: Option<&str>| {
            let variable = |name: &str| set.iter().find(|(have, _)| *have == name).map(|(_, value)| value.into());
            SshProgram::choose(configured.map(OsString::from), variable)
        };
        let command = |text: &str| SshProgram::Command(text.into());
        assert_eq!(with(&[], None), SshProgram::Ssh);
        assert_eq!(with(&[("GIT_SSH", "s")], None), SshProgram::Program("s".into()));
        assert_eq!(with(&[("GIT_SSH", "s")], Some("c")), command("c"));
        assert_eq!(with(&[("GIT_SSH_COMMAND", "e"), ("GIT_SSH", "s")], Some("c")), command("e"));
        assert_eq!(with(&[("GIT_SSH_COMMAND", "")], None), SshProgram::Ssh);
    }
}
