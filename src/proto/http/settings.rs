//! Permissions as flags and environment set them, or why these are invalid.
//!
//! Whoever sets up a server means something by each of these. One that changes nothing was misspelt, or is not what it was
//! taken for, and the server would give more away than was meant: so it does not start. git-annex 10.20261026 takes all of
//! them, and ignores what has no effect.

use std::fmt;

use super::access::{Access, Logins, Open, Rights, User};
use super::auth::Password;

/// The flags about permissions, as they were given.
#[derive(Debug, Clone, Copy, Default)]
pub struct Flags {
    /// `--authenv`
    pub authenv: bool,
    /// `--authenv-http`
    pub authenv_http: bool,
    /// `--unauth-readonly`
    pub unauth_readonly: bool,
    /// `--unauth-appendonly`
    pub unauth_appendonly: bool,
    /// `--unauth-nolocking`
    pub unauth_nolocking: bool,
    /// `--wideopen`
    pub wideopen: bool,
    /// `--users`
    pub users: bool,
    /// `--auth-http`
    pub auth_http: bool,
    /// There is a certificate, so that clients come over TLS.
    pub tls: bool,
}

/// What is wrong with flags or environment, with the way out. Shows names, and never a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// Nobody could do anything.
    Nobody,
    /// A flag changes nothing beside another.
    Idle {
        /// The one that changes nothing.
        flag: &'static str,
        /// The one that it changes nothing beside.
        beside: &'static str,
    },
    /// `--unauth-nolocking` alone: only who logs in may lock as it is.
    NoLocking,
    /// `--authenv` without a certificate.
    Plain,
    /// `--users` without a certificate.
    PlainUsers,
    /// Users may log in, and there are none.
    NoUsers,
    /// This variable configures a user, and nobody can log in.
    NoLogins(Vec<u8>),
    /// This variable is not known.
    Unknown(Vec<u8>),
    /// The permissions are neither `readonly` nor `appendonly`.
    Permissions(Vec<u8>),
    /// Permissions of a user that there is not.
    NoPassword(Vec<u8>),
    /// The password is empty: everyone could log in who knows the name.
    EmptyPassword(Vec<u8>),
    /// The user has no name.
    EmptyName(&'static str),
    /// The name has a colon in it, which HTTP cannot transport.
    Colon(Vec<u8>),
    /// The variable is there more than once.
    Twice(Vec<u8>),
}

const PREFIX: &[u8] = b"GIT_ANNEX_P2PHTTP_";
const PASSWORD: &str = "GIT_ANNEX_P2PHTTP_PASSWORD_";
const PERMISSIONS: &str = "GIT_ANNEX_P2PHTTP_PERMISSIONS_";

/// Who may do what, by `flags` and the environment `variables`: `GIT_ANNEX_P2PHTTP_PASSWORD_alice=...` makes a user, and
/// `GIT_ANNEX_P2PHTTP_PERMISSIONS_alice=readonly` or `appendonly` limits it.
///
/// # Errors
///
/// [`Misfit`], where something is invalid or changes nothing.
pub fn access<N: AsRef<[u8]>, V: AsRef<[u8]>>(
    flags: Flags,
    variables: impl IntoIterator<Item = (N, V)>,
) -> Result<Access, Misfit> {
    let open = open(flags)?;
    let logins = logins(flags, open)?;
    if flags.unauth_nolocking && open == Open::Closed && !flags.users {
        return Err(Misfit::NoLocking);
    }
    let (users, first) = users(variables)?;
    match (logins, first) {
        (Logins::No, Some(variable)) => Err(Misfit::NoLogins(variable)),
        (_, Some(variable)) if !flags.authenv && !flags.authenv_http => Err(Misfit::NoLogins(variable)),
        _ if users.is_empty() && (flags.authenv || flags.authenv_http) => Err(Misfit::NoUsers),
        _ => Ok(Access { users, logins, open, nolocking: flags.unauth_nolocking, file: None }),
    }
}

fn open(flags: Flags) -> Result<Open, Misfit> {
    let idle = |flag, beside| Err(Misfit::Idle { flag, beside });
    match (flags.wideopen, flags.unauth_appendonly, flags.unauth_readonly) {
        (true, true, _) => idle("--unauth-appendonly", "--wideopen"),
        (true, _, true) => idle("--unauth-readonly", "--wideopen"),
        (true, ..) if flags.unauth_nolocking => idle("--unauth-nolocking", "--wideopen"),
        (true, false, false) => Ok(Open::Full),
        (false, true, true) => idle("--unauth-readonly", "--unauth-appendonly"),
        (false, true, false) => Ok(Open::AppendOnly),
        (false, false, true) => Ok(Open::ReadOnly),
        (false, false, false) => Ok(Open::Closed),
    }
}

fn logins(flags: Flags, open: Open) -> Result<Logins, Misfit> {
    let idle = |flag, beside| Err(Misfit::Idle { flag, beside });
    match (flags.authenv, flags.authenv_http) {
        // Limits of users mean nothing where they need only not log in.
        (true, _) if open == Open::Full => idle("--authenv", "--wideopen"),
        (_, true) if open == Open::Full => idle("--authenv-http", "--wideopen"),
        _ if flags.users && open == Open::Full => idle("--users", "--wideopen"),
        (true, true) => idle("--authenv", "--authenv-http"),
        (true, false) if !flags.tls => Err(Misfit::Plain),
        (true, false) => Ok(Logins::Secure),
        (false, true) => Ok(Logins::Anyhow),
        (false, false) if flags.users && flags.auth_http => Ok(Logins::Anyhow),
        (false, false) if flags.users && flags.tls => Ok(Logins::Secure),
        (false, false) if flags.users => Err(Misfit::PlainUsers),
        (false, false) if open == Open::Closed => Err(Misfit::Nobody),
        (false, false) => Ok(Logins::No),
    }
}

/// The users, and the first variable about one.
fn users<N: AsRef<[u8]>, V: AsRef<[u8]>>(
    variables: impl IntoIterator<Item = (N, V)>,
) -> Result<(Vec<User>, Option<Vec<u8>>), Misfit> {
    let mut users: Vec<User> = Vec::new();
    let mut limits: Vec<(Vec<u8>, Rights)> = Vec::new();
    let mut first = None;
    for (variable, value) in variables {
        let (variable, value) = (variable.as_ref(), value.as_ref());
        if !variable.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX)) {
            continue;
        }
        first.get_or_insert_with(|| variable.to_vec());
        if let Some(name) = named(variable, PASSWORD)? {
            let password = Password::new(value.to_vec());
            match () {
                () if name.contains(&b':') => return Err(Misfit::Colon(name)),
                () if password.is_empty() => return Err(Misfit::EmptyPassword(name)),
                () if users.iter().any(|user| user.name == name) => return Err(Misfit::Twice(variable.to_vec())),
                () => users.push(User { name, password, rights: Rights::Full }),
            }
        } else if let Some(name) = named(variable, PERMISSIONS)? {
            let rights = match value {
                b"readonly" => Rights::ReadOnly,
                b"appendonly" => Rights::AppendOnly,
                _ => return Err(Misfit::Permissions(name)),
            };
            if limits.iter().any(|(limited, _)| *limited == name) {
                return Err(Misfit::Twice(variable.to_vec()));
            }
            limits.push((name, rights));
        } else {
            return Err(Misfit::Unknown(variable.to_vec()));
        }
    }
    for (name, rights) in limits {
        match users.iter_mut().find(|user| user.name == name) {
            Some(user) => user.rights = rights,
            None => return Err(Misfit::NoPassword(name)),
        }
    }
    Ok((users, first))
}

/// The user that `variable` is about, where it begins with `prefix`.
fn named(variable: &[u8], prefix: &'static str) -> Result<Option<Vec<u8>>, Misfit> {
    match variable.strip_prefix(prefix.as_bytes()) {
        Some(b"") => Err(Misfit::EmptyName(prefix)),
        name => Ok(name.map(<[u8]>::to_vec)),
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str(
                "nobody could do anything: give --users, --authenv, --authenv-http, --unauth-readonly, --unauth-appendonly \
                 or --wideopen",
            ),
            Self::Idle { flag, beside } => write!(f, "{flag} changes nothing beside {beside}: leave one of them out"),
            Self::NoLocking => f.write_str(
                "--unauth-nolocking changes nothing without --unauth-readonly or --unauth-appendonly: leave it out",
            ),
            Self::Plain => f.write_str(
                "--authenv lets users log in over HTTPS only: give --certfile and --privatekeyfile, or, behind a server \
                 that speaks HTTPS for this one, --authenv-http",
            ),
            Self::PlainUsers => f.write_str(
                "--users and --auth-url let users log in over HTTPS only: give --certfile and --privatekeyfile, or, behind a server that \
                 speaks HTTPS for this one, --auth-http",
            ),
            Self::NoUsers => write!(f, "--authenv needs users: set {PASSWORD}name in the environment"),
            Self::NoLogins(variable) => write!(
                f,
                "{} is in the environment, and nobody can log in: give --authenv or --authenv-http, or take it away",
                variable.escape_ascii()
            ),
            Self::Unknown(variable) => {
                write!(f, "{} is not known: there are {PASSWORD}name and {PERMISSIONS}name", variable.escape_ascii())
            }
            Self::Permissions(name) => {
                write!(f, "{PERMISSIONS}{}: only readonly and appendonly are known", name.escape_ascii())
            }
            Self::NoPassword(name) => {
                let name = name.escape_ascii();
                write!(f, "{PERMISSIONS}{name} limits nobody: there is no {PASSWORD}{name} (names are case sensitive)")
            }
            Self::EmptyPassword(name) => write!(f, "{PASSWORD}{}: the password is empty", name.escape_ascii()),
            Self::EmptyName(prefix) => write!(f, "{prefix}: the name of the user is missing behind it"),
            Self::Colon(name) => write!(f, "{PASSWORD}{}: a name cannot hold a colon", name.escape_ascii()),
            Self::Twice(variable) => write!(f, "{} is there twice", variable.escape_ascii()),
        }
    }
}

impl std::error::Error for Misfit {}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
