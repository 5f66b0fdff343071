//! Sending content over ssh.

use std::rc::Rc;

use bytes::{Buf, Bytes};

use super::connection::Trouble;
use super::{Connection, Ssh};
use crate::failure::Failure;
use crate::name::Uuid;
use crate::proto::p2p::Answer;

/// What version 0, which has no word for content that is wrong, holds back until it is known to be right.
const HOLD: usize = 64 << 10;

/// An upload that was offered and taken.
pub(in super::super) struct Put {
    ssh: Rc<Ssh>,
    connection: Connection,
    offset: u64,
    /// What was announced; `None` before that.
    left: Option<u64>,
    /// Bytes at the front that the peer holds already.
    skip: u64,
    held: Bytes,
}

impl Put {
    pub(super) fn new(ssh: Rc<Ssh>, connection: Connection, offset: u64) -> Self {
        Self { ssh, connection, offset, left: None, skip: 0, held: Bytes::new() }
    }

    pub(in super::super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(in super::super) async fn begin(&mut self, from: u64, len: u64) -> Result<(), Failure> {
        // The protocol has no word for where the bytes begin: they begin where the peer said, so what it holds is left out.
        let skip = self.offset.checked_sub(from).filter(|skip| *skip <= len);
        let Some(skip) = skip.filter(|skip| self.connection.client.data(len - skip).is_ok()) else {
            return Err(self.ssh.shared.broken(format_args!("it takes content from byte {} on", self.offset)));
        };
        self.skip = skip;
        self.left = Some(len);
        Ok(())
    }

    pub(in super::super) async fn write(&mut self, mut block: Bytes) -> Result<(), Failure> {
        let left = self.left.and_then(|left| left.checked_sub(block.len() as u64));
        let Some(left) = left else { return Err(self.ssh.shared.broken("more content than was announced")) };
        self.left = Some(left);
        let skip = usize::try_from(self.skip).unwrap_or(usize::MAX).min(block.len());
        self.skip -= skip as u64;
        block.advance(skip);
        if left == 0 && !self.connection.client.version().tells_validity() {
            self.held = block.split_off(block.len().saturating_sub(HOLD));
        }
        self.send(&block).await
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let shared = &self.ssh.shared;
        let sent = match self.connection.flush(shared).await {
            Ok(()) => self.connection.link.write(bytes, shared.settings.idle).await,
            failed => failed,
        };
        sent.map_err(|e| shared.broken(format_args!("it takes no content: {e}")))
    }

    pub(in super::super) async fn keep(self) {
        let Self { ssh, connection, left, .. } = self;
        if left.is_none() {
            ssh.take_back(connection).await;
        }
    }

    pub(in super::super) async fn finish(mut self, valid: bool) -> Result<(bool, Vec<Uuid>), Failure> {
        match (self.left, valid) {
            (Some(0), _) => {}
            (_, true) => return Err(self.ssh.shared.broken("less content than was announced")),
            // Closing it short of the end is the only way to say so.
            (_, false) => return Ok((false, Vec::new())),
        }
        let held = std::mem::take(&mut self.held);
        if !valid && !self.connection.client.version().tells_validity() {
            return Ok((false, Vec::new()));
        }
        self.send(&held).await?;
        if self.connection.client.sent(valid).is_err() {
            return Err(self.ssh.shared.broken("the conversation is somewhere else"));
        }
        let Self { ssh, mut connection, .. } = self;
        let outcome = match connection.answer(&ssh.shared).await {
            Ok(Answer::Success(others)) => (true, others),
            Ok(Answer::Failure(others)) => (false, others),
            Ok(other) => return Err(ssh.refused(other)),
            Err(trouble @ (Trouble::Gone { .. } | Trouble::Lost(_))) => {
                return Err(connection.failure(&ssh.shared, trouble).await);
            }
        };
        ssh.release(connection);
        Ok(outcome)
    }
}
