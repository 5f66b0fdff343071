//! What all threads and connections of a server share.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::SystemTime;

use super::audit::Audit;
use super::authenticator::{AuthHeader, Authenticator};
use super::forward::Forward;
use super::git::Git;
use super::log::Log;
use super::room::Room;
use super::transfers::Transfers;
use crate::gateway::{ClientLocks, Limits, Metrics, Repositories};
use crate::serve::conn::share::Shares;
use crate::serve::conn::tls::Tls;

/// What all threads and connections share.
pub(super) struct Shared {
    pub(super) repositories: Arc<Repositories>,
    pub(super) authenticator: Authenticator,
    pub(super) leases: ClientLocks,
    pub(super) metrics: Metrics,
    pub(super) limits: Limits,
    pub(super) log: Log,
    pub(super) tls: Option<Tls>,
    pub(super) room: Arc<Room>,
    /// What is under way.
    pub(super) transfers: Arc<Transfers>,
    /// The bandwidth that clients share: what they send, and what they take.
    pub(super) incoming: Shares,
    pub(super) outgoing: Shares,
    /// Where changes are written down.
    pub(super) audit: Option<Audit>,
    /// Another server that knows who may do what.
    pub(super) forward: Option<Forward>,
    /// The header in which somebody in front names the user.
    pub(super) header: Option<AuthHeader>,
    /// Names that a server in front passes on, where anyone may do everything.
    pub(super) hosts: &'static [String],
    /// What names and passwords are asked for.
    pub(super) realm: &'static str,
    /// None where git is not served.
    pub(super) git: Option<Git>,
}

/// The time as HTTP writes it. Made once a second on each thread.
pub(super) fn date() -> String {
    thread_local! {
        static LAST: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = SystemTime::now();
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    LAST.with_borrow_mut(|(last, text)| {
        if *last != seconds || text.is_empty() {
            (*last, *text) = (seconds, httpdate::fmt_http_date(now));
        }
        text.clone()
    })
}
