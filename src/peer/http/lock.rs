//! A lock that a peer keeps as long as a keeplocked request lasts.

use std::time::Duration;

use super::connection::Connection;
use super::{Failure, Http};
use crate::proto::http::client::request::{self, KEEP, UNLOCK};
use crate::proto::http::route::{Api, Op};

/// How long a lock that was dropped may take to be let go.
const LAST: Duration = Duration::from_secs(10);

/// A lock. Closing the connection would leave it for ten minutes, so dropping this lets go of it in a task of its own.
pub(in super::super) struct Lock {
    connection: Option<Connection>,
    idle: Duration,
}

impl Lock {
    /// Keeps the lock with this name.
    pub(super) async fn keep(http: &Http, lockid: Vec<u8>) -> Result<Self, Failure> {
        let mut bytes = Vec::new();
        let op = Op::KeepLocked { lockid };
        // Sent as v4 whatever was agreed on, as git-annex does.
        request::write(&http.place(), Api::V4, &op, http.passwords.current().as_deref(), &mut bytes);
        bytes.extend_from_slice(KEEP);
        let mut connection = Connection::open(http).await?;
        let idle = http.shared.settings.idle;
        connection.link.write(&bytes, idle).await.map_err(|e| http.shared.broken(e))?;
        Ok(Self { connection: Some(connection), idle })
    }

    pub(in super::super) async fn ended(&mut self) {
        if let Some(connection) = &mut self.connection {
            // Its end, an error, or the answer, which says that the lock is over.
            let _ = connection.link.read(&mut [0; 64]).await;
        }
    }

    pub(in super::super) fn leave(mut self) {
        self.connection = None;
    }

    pub(in super::super) async fn unlock(mut self) {
        if let Some(connection) = self.connection.take() {
            let _ = tokio::time::timeout(self.idle, let_go(connection, self.idle)).await;
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(tokio::time::timeout(LAST, let_go(connection, LAST)));
        }
    }
}

/// Says so, and waits until the peer has heard it. It keeps the lock for its time if it has not.
async fn let_go(mut connection: Connection, limit: Duration) {
    if connection.link.write(UNLOCK, limit).await.is_ok() {
        let _ = connection.head(limit).await;
    }
}
