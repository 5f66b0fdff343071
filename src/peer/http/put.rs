//! Sending content over HTTP.

use std::rc::Rc;

use bytes::Bytes;

use super::connection::Connection;
use super::{Failure, Http, Stored, word};
use crate::name::Key;
use crate::peer::link::Wrote;
use crate::proto::http::client::answer::{self, LONGEST_BODY};
use crate::proto::http::client::request;
use crate::proto::http::route::{Api, Op};

/// The last bytes are held back until they are known to be right: there is no other word for content that is wrong than
/// closing the connection short of the end. Little content goes out in one write with the head that way.
const HOLD: usize = 64 << 10;

/// An upload that was offered and taken. The request is made with the first bytes that go out.
pub(in super::super) struct Put {
    http: Rc<Http>,
    key: Key,
    file: Option<Vec<u8>>,
    offset: u64,
    from: u64,
    len: u64,
    /// Bytes that were not given yet; `None` before any were announced.
    left: Option<u64>,
    held: Bytes,
    connection: Option<Connection>,
    /// The peer answered before it had everything.
    answered: bool,
}

impl Put {
    pub(super) fn new(http: Rc<Http>, key: Key, file: Option<Vec<u8>>, offset: u64) -> Self {
        let held = Bytes::new();
        Self { http, key, file, offset, from: 0, len: 0, left: None, held, connection: None, answered: false }
    }

    pub(in super::super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(in super::super) async fn begin(&mut self, from: u64, len: u64) -> Result<(), Failure> {
        if from > self.offset || self.left.is_some() {
            return Err(self.http.shared.broken(format_args!("it takes content up to byte {} on", self.offset)));
        }
        (self.from, self.len, self.left) = (from, len, Some(len));
        Ok(())
    }

    pub(in super::super) async fn write(&mut self, mut block: Bytes) -> Result<(), Failure> {
        let left = self.left.and_then(|left| left.checked_sub(block.len() as u64));
        let Some(left) = left else { return Err(self.http.shared.broken("more content than was announced")) };
        self.left = Some(left);
        if left == 0 && !block.is_empty() {
            self.held = block.split_off(block.len().saturating_sub(HOLD));
        }
        if block.is_empty() { Ok(()) } else { self.send(&block).await }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.answered {
            // Nothing but the answer is of interest any more, and that comes at the end.
            return Ok(());
        }
        let idle = self.http.shared.settings.idle;
        let (wrote, connection) = match &mut self.connection {
            Some(connection) => (connection.link.write_unless_answered(bytes, idle).await, connection),
            None => {
                let mut head = self.head();
                if bytes.len() <= HOLD {
                    head.extend_from_slice(bytes);
                }
                let fresh = match self.http.idle.take(Connection::is_usable) {
                    Some(connection) => connection,
                    None => Connection::open(&self.http).await?,
                };
                let connection = self.connection.insert(fresh);
                let wrote = match connection.link.write(&head, idle).await {
                    Ok(()) if bytes.len() > HOLD => connection.link.write_unless_answered(bytes, idle).await,
                    wrote => wrote.map(|()| Wrote::All),
                };
                (wrote, connection)
            }
        };
        match wrote {
            Ok(Wrote::All) => return Ok(()),
            Ok(Wrote::Answered) => {}
            // It may have said why before it went.
            Err(e) if matches!(e.kind(), std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset) => {}
            Err(e) => return Err(self.http.shared.broken(format_args!("it takes no content: {e}"))),
        }
        self.answered = true;
        let refused = match connection.head(idle).await {
            Ok(head) => {
                let body = connection.body(&head, LONGEST_BODY, idle).await.unwrap_or_default();
                // Content that got there meanwhile is no failure, but is not known to be whole either.
                if head.status == 200 {
                    self.http.shared.broken("it took only a part")
                } else {
                    self.http.status(&head, &body)
                }
            }
            Err(e) => self.http.shared.broken(format_args!("it takes no content: {e}")),
        };
        Err(refused)
    }

    fn head(&self) -> Vec<u8> {
        let (key, file) = (self.key.clone(), self.file.clone());
        let op = Op::Put { key, file, offset: self.from, len: self.len, data_present: false };
        let api = self.http.api.get().unwrap_or(Api::V4);
        let mut head = Vec::new();
        request::write(&self.http.place(), api, &op, self.http.passwords.current().as_deref(), &mut head);
        head
    }

    pub(in super::super) async fn finish(mut self, valid: bool) -> Result<Stored, Failure> {
        if !valid {
            return Ok((false, Vec::new()));
        }
        if self.left != Some(0) {
            return Err(self.http.shared.broken("less content than was announced"));
        }
        let held = std::mem::take(&mut self.held);
        self.send(&held).await?;
        let Self { http, connection, .. } = self;
        let Some(mut connection) = connection else { return Err(http.shared.broken("nothing was sent")) };
        let idle = http.shared.settings.idle;
        let failed = |e: std::io::Error| http.shared.broken(format_args!("it does not say whether it stored it: {e}"));
        let head = connection.head(idle).await.map_err(failed)?;
        let body = connection.body(&head, LONGEST_BODY, idle).await.map_err(failed)?;
        if head.status != 200 {
            return Err(http.status(&head, &body));
        }
        // Whatever it says, its kernel has not confirmed all of the content.
        if connection.link.unsent() > 0 {
            return Err(http.shared.broken("it took only a part"));
        }
        let stored = answer::stored(&body).ok();
        http.release(connection, &head);
        let op = Op::PutOffset { key: self.key };
        stored.ok_or_else(|| http.shared.broken(format_args!("malformed response to {}", word(&op))))
    }
}
