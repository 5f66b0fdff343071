//! Who may do what: one function from configuration, credentials and action to the verdict.
//!
//! | | read | lock | store | remove |
//! |---|---|---|---|---|
//! | user, full | yes | yes | yes | yes |
//! | user, appendonly | yes | yes | yes | 403 |
//! | user, readonly | yes | 403 | 403 | 403 |
//! | anyone, `--wideopen` | yes | yes | yes | yes |
//! | anyone, `--unauth-appendonly` | yes | yes, unless `--unauth-nolocking` | yes | no |
//! | anyone, `--unauth-readonly` | yes | yes, unless `--unauth-nolocking` | no | no |
//! | anyone, otherwise | no: 401 |||
//!
//! Users of a file have rights of their own in each repository, and so has anyone there; who has none may do what anyone may.
//!
//! "No" is 401 to who sent no credentials and could have; else 403. Wrong credentials leave what anyone may do.
//! Source: git-annex-p2phttp(1), and the server of git-annex 10.20261026 asked about every field.

use super::auth::{Credentials, Password};
use crate::proto::users::file::UsersFile;
use crate::proto::users::hash::Hash;
pub use crate::proto::users::rights::Rights;
use crate::proto::users::rights::{ANONYMOUS, Pattern};
use crate::proto::users::token::{self, PREFIX};

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// checkpresent, gettimestamp, GET and HEAD of a key.
    Read,
    /// lockcontent, keeplocked.
    Lock,
    /// put, putoffset.
    Store,
    /// remove, remove-before.
    Remove,
}

/// One user, from the environment.
#[derive(Debug, Clone)]
pub struct User {
    /// The name, which has no colon and is not empty.
    pub name: Vec<u8>,
    /// The password, never empty.
    pub password: Password,
    /// What the user may do.
    pub rights: Rights,
}

/// Whether users may log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Logins {
    /// Nobody can.
    #[default]
    No,
    /// `--authenv`: over TLS only.
    Secure,
    /// `--authenv-http`: over plain HTTP too.
    Anyhow,
}

/// What is allowed without logging in. Where several flags are given the one that allows most counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Open {
    /// Nothing.
    #[default]
    Closed,
    /// `--unauth-readonly`
    ReadOnly,
    /// `--unauth-appendonly`
    AppendOnly,
    /// `--wideopen`
    Full,
}

/// The whole configuration of permissions.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Those who can log in.
    pub users: Vec<User>,
    /// Whether and how they can.
    pub logins: Logins,
    /// What the rest may do.
    pub open: Open,
    /// `--unauth-nolocking`
    pub nolocking: bool,
    /// `--users` and `--rights`: users with rights of their own in each repository.
    pub file: Option<UsersFile>,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// No credentials were sent.
    Nobody,
    /// Credentials were sent that are wrong, or of no use over this connection.
    Stranger,
    /// A user who has no rights of their own here: may do what anyone may.
    Guest,
    /// A user with these rights.
    Known(Rights),
}

/// Who asks, before it is known where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name, for logs and hooks; none where nobody logged in.
    pub name: Option<Vec<u8>>,
    rights: Origin,
}

/// Where the rights of a caller are from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    /// The same everywhere.
    Everywhere(Who),
    /// The table has them.
    Table,
    /// The table has them, and a token allows no more than this, and only here.
    Token(Option<String>, Rights, Pattern),
}

/// What is to be done to find out who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Nothing.
    Known(Caller),
    /// To see whether the password is that of the hash, which takes long. There may be no such user: then nobody is let in,
    /// whatever comes of it.
    Hashed {
        /// The hash.
        hash: Hash,
        /// Who it is, if the password is right.
        caller: Option<Caller>,
    },
}

impl Caller {
    /// One with the same rights everywhere, or nobody.
    pub fn everywhere(name: Option<Vec<u8>>, who: Who) -> Self {
        Self { name, rights: Origin::Everywhere(who) }
    }

    /// One whose rights are in the table.
    pub fn of_table(name: Vec<u8>) -> Self {
        Self { name: Some(name), rights: Origin::Table }
    }

    /// One whom another server lets in, request by request.
    pub fn forwarded(name: Option<Vec<u8>>) -> Self {
        Self { name, rights: Origin::Everywhere(Who::Guest) }
    }

    /// Whether somebody logged in.
    pub fn is_known(&self) -> bool {
        !matches!(self.rights, Origin::Everywhere(Who::Nobody | Who::Stranger))
    }
}

/// What to do with the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Serve it.
    Allow,
    /// 401: ask for credentials.
    Authenticate,
    /// 403
    Forbid,
}

impl Access {
    /// Whose `credentials` these are; `secure` says that they came over TLS.
    pub fn identify(&self, credentials: Option<&Credentials>, secure: bool) -> Who {
        let Some(credentials) = credentials else { return Who::Nobody };
        let usable = self.is_usable(secure);
        // Every user is looked at, so that time does not tell which names exist.
        let mut who = Who::Stranger;
        for user in &self.users {
            let right = user.password == credentials.password;
            if right & (user.name == credentials.name) & usable {
                who = Who::Known(user.rights);
            }
        }
        who
    }

    /// Whether names and passwords are looked at over a connection.
    pub fn is_usable(&self, secure: bool) -> bool {
        match self.logins {
            Logins::No => false,
            Logins::Secure => secure,
            Logins::Anyhow => true,
        }
    }

    /// Who sent `credentials`, at `now`, in seconds since 1970, as far as that is known without long work.
    pub fn look_up(&self, credentials: Option<&Credentials>, secure: bool, now: u64) -> Identity {
        let who = self.identify(credentials, secure);
        let everywhere = |name| Identity::Known(Caller::everywhere(name, who));
        let Some(credentials) = credentials else { return everywhere(None) };
        let usable = self.is_usable(secure);
        let file = match (&self.file, who) {
            (Some(file), Who::Stranger) if usable => file,
            (_, Who::Known(_)) => return everywhere(Some(credentials.name.clone())),
            _ => return everywhere(None),
        };
        let password = credentials.password.reveal();
        // What git-annex 10.20261026 makes of a url that has a password in it, before it asks for one.
        if password.is_empty() || password == b"..." {
            return everywhere(None);
        }
        if password.starts_with(PREFIX) {
            let sent = token::digest(password);
            // How long it takes to find that digests differ tells nothing of the token.
            let found = file.tokens.of(&credentials.name).find(|token| token.digest == sent);
            return match found.filter(|token| token.is_valid(now)) {
                Some(token) => Identity::Known(Caller {
                    name: Some(credentials.name.clone()),
                    rights: Origin::Token(token.user.clone(), token.rights, token.repositories.clone()),
                }),
                None => everywhere(None),
            };
        }
        let login = file.login_of(&credentials.name);
        // Without a user it takes as long as with one.
        match login.or(file.logins.iter().find(|login| !login.hash.is_nothing())) {
            Some(any) => Identity::Hashed {
                hash: any.hash.clone(),
                caller: login.map(|login| Caller::of_table(login.name.clone().into_bytes())),
            },
            None => everywhere(None),
        }
    }

    /// Whether `caller` may do `action` in the repository that is called `name`. All requests come by here.
    pub fn judge(&self, caller: &Caller, action: Action, name: &[u8]) -> Verdict {
        let of = |who: &[u8]| self.file.as_ref().and_then(|file| file.rights.of(who, name));
        let open = match of(ANONYMOUS.as_bytes()) {
            None => self.open,
            Some(None) => Open::Closed,
            Some(Some(Rights::ReadOnly)) => Open::ReadOnly,
            Some(Some(Rights::AppendOnly)) => Open::AppendOnly,
            Some(Some(Rights::Full)) => Open::Full,
        };
        let known = |rights: Option<Rights>| rights.map_or(Who::Guest, Who::Known);
        let who = match &caller.rights {
            Origin::Everywhere(who) => *who,
            Origin::Table => known(caller.name.as_deref().and_then(of).flatten()),
            Origin::Token(_, _, pattern) if pattern.fits(name).is_none() => Who::Guest,
            Origin::Token(None, rights, _) => Who::Known(*rights),
            Origin::Token(Some(user), most, _) => known(of(user.as_bytes()).flatten().map(|rights| rights.min(*most))),
        };
        self.decide_with(open, who, action)
    }

    /// Whether anyone may do everything, at least somewhere.
    pub fn is_wide_open(&self) -> bool {
        let rules = self.file.iter().flat_map(|file| file.rights.0.of(ANONYMOUS.as_bytes()));
        self.open == Open::Full || rules.into_iter().any(|rule| rule.rights == Some(Rights::Full))
    }

    /// Whether anyone may do something, at least somewhere.
    pub fn is_open_somewhere(&self) -> bool {
        let mut rules = self.file.iter().flat_map(|file| file.rights.0.of(ANONYMOUS.as_bytes()));
        self.open != Open::Closed || rules.any(|rule| rule.rights.is_some())
    }

    /// Whether `who` may do `action`, wherever.
    pub fn decide(&self, who: Who, action: Action) -> Verdict {
        self.decide_with(self.open, who, action)
    }

    fn decide_with(&self, open: Open, who: Who, action: Action) -> Verdict {
        let open_lock = !self.nolocking;
        let allowed = match (who, action) {
            (Who::Known(Rights::Full), _) | (Who::Known(_), Action::Read) => true,
            (Who::Known(Rights::AppendOnly), action) => action != Action::Remove,
            (Who::Known(Rights::ReadOnly), _) => false,
            (Who::Nobody | Who::Stranger | Who::Guest, action) => match open {
                Open::Closed if who == Who::Guest => false,
                Open::Closed => return Verdict::Authenticate,
                Open::Full => true,
                Open::AppendOnly => match action {
                    Action::Read | Action::Store => true,
                    Action::Lock => open_lock,
                    Action::Remove => false,
                },
                Open::ReadOnly => action == Action::Read || (action == Action::Lock && open_lock),
            },
        };
        match who {
            _ if allowed => Verdict::Allow,
            Who::Nobody if self.logins != Logins::No => Verdict::Authenticate,
            _ => Verdict::Forbid,
        }
    }
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
