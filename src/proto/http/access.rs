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
//! "No" is 401 to who sent no credentials and could have; else 403. Wrong credentials leave what anyone may do.
//! Source: git-annex-p2phttp(1), and the server of git-annex 10.20261026 asked about every field.

use super::auth::{Credentials, Password};

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

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// Read.
    ReadOnly,
    /// Read, lock, store.
    AppendOnly,
    /// All.
    Full,
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
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// No credentials were sent.
    Nobody,
    /// Credentials were sent that are wrong, or of no use over this connection.
    Stranger,
    /// A user with these rights.
    Known(Rights),
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
        let usable = match self.logins {
            Logins::No => false,
            Logins::Secure => secure,
            Logins::Anyhow => true,
        };
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

    /// Whether `who` may do `action`.
    pub fn decide(&self, who: Who, action: Action) -> Verdict {
        let open_lock = !self.nolocking;
        let allowed = match (who, action) {
            (Who::Known(Rights::Full), _) | (Who::Known(_), Action::Read) => true,
            (Who::Known(Rights::AppendOnly), action) => action != Action::Remove,
            (Who::Known(Rights::ReadOnly), _) => false,
            (Who::Nobody | Who::Stranger, action) => match self.open {
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
