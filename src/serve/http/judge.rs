//! Whether who asks may do what is asked.

use std::net::IpAddr;
use std::sync::Arc;

use super::authenticator::Untold;
use super::forward::{Decision, Question};
use super::shared::Shared;
use crate::gateway::Failure;
use crate::proto::http::access::{Access, Action, Caller, Verdict};
use crate::proto::http::auth::Credentials;
use crate::proto::http::head::Method;

/// Who asks, and who knows what they may do. All requests are judged here.
pub(super) struct Judge {
    shared: Arc<Shared>,
    access: Arc<Access>,
    pub(super) caller: Caller,
    credentials: Option<Credentials>,
    method: &'static str,
    /// Where the request came from.
    from: Option<IpAddr>,
    /// The other server said who the caller is.
    is_forwarded: bool,
}

/// Why it is not told whether somebody may do something.
pub(super) enum Unjudged {
    /// Who is asked does not say.
    Failed(Failure),
    /// Nobody is asked.
    Untold(Untold),
}

impl Judge {
    /// One for `caller`, who sent `credentials`, as far as they count over this connection.
    pub(super) fn new(
        shared: &Arc<Shared>,
        access: Arc<Access>,
        caller: Caller,
        credentials: Option<Credentials>,
        method: Method,
        from: Option<IpAddr>,
    ) -> Self {
        let method = if method == Method::Post { "POST" } else { "GET" };
        Self { shared: Arc::clone(shared), access, caller, credentials, method, from, is_forwarded: false }
    }

    /// Whether the caller may do `action` in the repository that is called `name`: by our own rules, or else by those of another
    /// server, where one is asked. Then it also says who the caller is.
    ///
    /// # Errors
    ///
    /// It could not be told.
    pub(super) async fn judge(&mut self, action: Action, name: &[u8]) -> Result<Verdict, Unjudged> {
        let own = self.access.judge(&self.caller, action, name);
        // The password of who is known here is nothing to others.
        let asks = own != Verdict::Allow && (self.is_forwarded || !self.caller.is_known());
        let Some(forward) = self.shared.forward.as_ref().filter(|_| asks) else { return Ok(own) };
        let credentials = self.credentials.as_ref();
        let authenticator = &self.shared.authenticator;
        if credentials.is_some_and(|sent| !authenticator.may_ask(sent, self.from)) {
            return Err(Unjudged::Untold(Untold::TooMany));
        }
        let question = Question { credentials, method: self.method, action, name };
        let decision = forward.ask(question).await.map_err(Unjudged::Failed)?;
        match (credentials, &decision) {
            (Some(sent), Decision::Allowed(_)) => authenticator.told(sent, self.from, true),
            // 403 may be said of a right password, too.
            (Some(sent), Decision::Authenticate) => authenticator.told(sent, self.from, false),
            _ => {}
        }
        Ok(match decision {
            Decision::Allowed(user) => {
                if user.is_some() || credentials.is_some() {
                    (self.caller, self.is_forwarded) = (Caller::forwarded(user), true);
                }
                Verdict::Allow
            }
            Decision::Authenticate => Verdict::Authenticate,
            Decision::Forbidden => Verdict::Forbid,
        })
    }

    /// Whether the caller may not. What cannot be told is no refusal.
    pub(super) async fn refuses(&mut self, action: Action, name: &[u8]) -> bool {
        self.judge(action, name).await.is_ok_and(|verdict| verdict != Verdict::Allow)
    }

    /// Whether the caller may. What cannot be told is no leave.
    pub(super) async fn may(&mut self, action: Action, name: &[u8]) -> bool {
        matches!(self.judge(action, name).await, Ok(Verdict::Allow))
    }
}
