//! Content that is kept from being removed for a client.

use tokio::sync::oneshot;

use super::peer::PeerLock;
use crate::annex::content::ContentLock;

/// A lock, held until it is dropped.
pub enum Held {
    /// On content in a repository on this computer.
    Content(ContentLock),
    /// In a repository elsewhere. The task that holds it ends with this.
    Elsewhere(oneshot::Sender<()>),
}

impl Held {
    /// Holds `lock` by a task of this thread, so that whoever lets go of it may be on another.
    pub(super) fn elsewhere(lock: PeerLock) -> Self {
        let (held, let_go) = oneshot::channel::<()>();
        tokio::task::spawn_local(async move {
            // Sent or dropped, it is over.
            let _ = let_go.await;
            lock.unlock().await;
        });
        Self::Elsewhere(held)
    }

    /// The client is gone, or this process goes: content stays locked for its time where that can be had.
    pub fn leave(self) {
        if let Self::Content(lock) = self {
            lock.leave();
        }
    }
}
