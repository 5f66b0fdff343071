//! Content that is kept from being removed for a client.

use tokio::sync::{oneshot, watch};

use super::commands::InUse;
use crate::annex::content::ContentLock;
use crate::peer::PeerLock;

/// A lock, held until it is dropped.
pub enum HeldLock {
    /// On content in a repository on this computer.
    Content(ContentLock),
    /// In a repository elsewhere. The task that holds it ends with this, or when the repository lets go of it.
    Elsewhere {
        /// How to let go; dropped, the repository is told.
        let_go: oneshot::Sender<Leave>,
        /// Closed when the lock is lost.
        held: watch::Receiver<()>,
    },
    /// On a remote that is in use for as long.
    InUse(Box<HeldLock>, InUse),
}

/// Nobody is to be told: content stays locked for its time.
pub struct Leave;

/// Tells when a lock that rests on something else is lost.
pub struct Lost(Option<watch::Receiver<()>>);

impl HeldLock {
    /// Holds `lock` by a task of this thread, so that whoever lets go of it may be on another.
    pub(super) fn elsewhere(mut lock: PeerLock) -> Self {
        let (let_go, told) = oneshot::channel::<Leave>();
        let (holds, held) = watch::channel(());
        tokio::task::spawn_local(async move {
            tokio::select! {
                biased;
                told = told => match told {
                    Ok(Leave) => lock.leave(),
                    Err(_) => lock.unlock().await,
                },
                () = lock.ended() => lock.leave(),
            }
            drop(holds);
        });
        Self::Elsewhere { let_go, held }
    }

    /// What tells when the lock is lost, though nobody let go of it. What lies on this computer is not.
    pub fn lost(&self) -> Lost {
        match self {
            Self::Content(_) => Lost(None),
            Self::Elsewhere { held, .. } => Lost(Some(held.clone())),
            Self::InUse(held, _) => held.lost(),
        }
    }

    /// The client is gone, or this process goes: content stays locked for its time where that can be had.
    pub fn leave(self) {
        match self {
            Self::Content(lock) => lock.leave(),
            // It may have been lost in this moment.
            Self::Elsewhere { let_go, .. } => drop(let_go.send(Leave)),
            Self::InUse(held, _in_use) => held.leave(),
        }
    }
}

impl Lost {
    /// Waits until the lock is lost, which may be for ever.
    pub async fn wait(&mut self) {
        match &mut self.0 {
            Some(held) => while held.changed().await.is_ok() {},
            None => std::future::pending().await,
        }
    }

    /// Whether it is lost.
    pub fn is_so(&self) -> bool {
        self.0.as_ref().is_some_and(|held| held.has_changed().is_err())
    }
}
