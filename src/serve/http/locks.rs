//! lockcontent and keeplocked.

use std::io;
use std::time::Duration;

use super::call::Asked;
use super::connection::Connection;
use crate::gateway::{FailureKind, LockId, Node, blocking};
use crate::name::Key;
use crate::proto::http::json::{self, KeepLocked, Wish};
use crate::proto::http::response::Response;

/// How long a keeplocked connection may say nothing. It has nothing to say until its client is done, which may take days;
/// a client that is gone is noticed by TCP's keep-alive.
const QUIET: Duration = Duration::from_secs(7 * 24 * 3600);

impl Connection {
    pub(super) async fn lock(&mut self, asked: Asked, node: &dyn Node, key: &Key) -> io::Result<bool> {
        let leases = self.shared.leases.clone();
        if let Err(failure) = leases.check_room() {
            return self.fail(asked, &failure).await;
        }
        let id = match node.lock(key).await {
            Ok(Some(lock)) => match leases.add(lock) {
                Ok(id) => Some(id),
                Err(refused) => {
                    let (failure, lock) = *refused;
                    // What fails in letting go lapses by itself.
                    let _ = blocking(move || drop(lock)).await;
                    return self.fail(asked, &failure).await;
                }
            },
            Ok(None) => None,
            // Somebody is removing it at this moment.
            Err(failure) if failure.kind() == FailureKind::Locked => None,
            Err(failure) => return self.fail(asked, &failure).await,
        };
        let mut body = Vec::new();
        json::locked(id.as_ref().map(LockId::as_bytes), &mut body);
        let told = self.answer(asked, Response::json(body.len()), &body).await;
        if let (Err(_), Some(id)) = (&told, id) {
            // Nobody knows of it, so nobody would ever let go.
            let _ = blocking(move || drop(leases.end(&id))).await;
        }
        told
    }

    /// Keeps a lock while the client keeps the connection. A lock that is not known, or was lost, is answered at once like one
    /// that ended: nobody may wait in the belief that it is held.
    pub(super) async fn keep_locked(&mut self, mut asked: Asked, lockid: &[u8]) -> io::Result<bool> {
        let leases = self.shared.leases.clone();
        let known = LockId::parse(lockid).and_then(|id| leases.keep(&id).map(|lost| (id, lost)));
        let Some((id, mut lost)) = known else {
            // What of the body is here already may have been all of it.
            let mut rest = &self.early[..];
            while let Ok(Some(_)) = asked.body.next(&mut rest) {}
            let used = self.early.len() - rest.len();
            self.early.drain(..used);
            asked.keep &= asked.body.is_done();
            return self.unlocked(asked).await;
        };
        let kept = Kept { leases: &leases, id: &id };
        self.go_on(&mut asked).await?;
        let mut reader = KeepLocked::new();
        let ended = loop {
            let mut rest = &self.early[..];
            let mut wish = Wish::Keep;
            while let Ok(Some(piece)) = asked.body.next(&mut rest) {
                wish = reader.push(piece);
                if wish == Wish::Unlock {
                    break;
                }
            }
            let used = self.early.len() - rest.len();
            self.early.drain(..used);
            if wish == Wish::Unlock || asked.body.is_done() || !self.early.is_empty() {
                break true;
            }
            tokio::select! {
                biased;
                () = lost.wait() => {
                    drop(kept);
                    // An answer would say that it ended as the client wished.
                    let words = "the other repository released its lock on the content";
                    self.shared.log.line("keeplocked").with("error", words).warn();
                    drop(leases.end(&id));
                    return Err(io::Error::new(io::ErrorKind::ConnectionAborted, words));
                }
                read = self.more(QUIET) => match read {
                    Ok(0) | Err(_) => break false,
                    Ok(_) => {}
                },
            }
        };
        drop(kept);
        if !ended {
            // The client may come back for it within ten minutes.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(lock) = leases.end(&id) {
            // What fails in letting go lapses by itself.
            let _ = blocking(move || drop(lock)).await;
        }
        self.unlocked(asked).await
    }

    async fn unlocked(&mut self, asked: Asked) -> io::Result<bool> {
        let mut body = Vec::new();
        json::locked(None, &mut body);
        self.answer(asked, Response::json(body.len()), &body).await
    }
}

/// A connection that keeps a lock, until it is dropped.
struct Kept<'a> {
    leases: &'a crate::gateway::ClientLocks,
    id: &'a LockId,
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.leases.leave(self.id);
    }
}
