//! Receiving content over ssh.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use remotes::pump::{Blocks, Source};
use remotes::{Error, Op};

use super::{Connection, Ssh};
use crate::name::Key;
use crate::peer::link::within;
use crate::peer::transfer::End as AnyEnd;
use crate::peer::{Failure, PeerEnd, PeerGet};
use crate::proto::p2p::{Answer, AssociatedFile, Request};

/// Less than this is not worth a block of its own.
const LITTLE: usize = 64 << 10;

/// Where a connection waits for the verdict once all content was read.
type Slot = Rc<RefCell<Option<Connection>>>;

pub(super) async fn get(
    ssh: &Rc<Ssh>,
    key: &Key,
    file: &AssociatedFile,
    from: u64,
) -> Result<Option<PeerGet>, Failure> {
    let request = Request::Get { offset: from, file: file.clone(), key: key.clone() };
    let (mut connection, answer) = ssh.ask(request).await?;
    let Answer::Data(len) = answer else { return Err(ssh.refused(answer)) };
    let slot = Slot::default();
    if len > 0 {
        let blocks = Incoming { ssh: Rc::clone(ssh), connection: Some(connection), slot: Rc::clone(&slot) };
        let end = End { ssh: Rc::clone(ssh), slot, judged: false };
        let source = Source::Stream(Box::new(blocks));
        return Ok(Some(PeerGet { len, source, end: PeerEnd(AnyEnd::Ssh(end)) }));
    }
    // Nothing to send is said of absent content, and of content that ends where it was to begin.
    let there = match connection.answer(&ssh.shared).await {
        Ok(Answer::Judged(there)) => there,
        Ok(other) => return Err(ssh.refused(other)),
        Err(trouble) => return Err(connection.failure(&ssh.shared, trouble).await),
    };
    let unclear = !connection.client.version().tells_validity();
    if !there || unclear {
        finish(ssh, connection, there).await;
        if !unclear || !ssh.check(key).await? {
            return Ok(None);
        }
    } else {
        *slot.borrow_mut() = Some(connection);
    }
    let end = End { ssh: Rc::clone(ssh), slot, judged: true };
    Ok(Some(PeerGet { len: 0, source: Source::Stream(Box::new(Nothing)), end: PeerEnd(AnyEnd::Ssh(end)) }))
}

/// Says whether the content was taken, and keeps the connection.
async fn finish(ssh: &Rc<Ssh>, mut connection: Connection, taken: bool) {
    if connection.client.got(taken).is_ok() && connection.flush(&ssh.shared).await.is_ok() {
        ssh.release(connection);
    }
}

/// The end of content.
pub(in super::super) struct End {
    ssh: Rc<Ssh>,
    slot: Slot,
    /// Whether the peer said already that it is the content, which is so where there is none to send.
    judged: bool,
}

impl End {
    pub(in super::super) async fn finish(self) -> bool {
        let Some(mut connection) = self.slot.take() else { return self.judged };
        let valid = match self.judged {
            true => true,
            false => matches!(connection.answer(&self.ssh.shared).await, Ok(Answer::Judged(true))),
        };
        finish(&self.ssh, connection, valid).await;
        valid
    }
}

struct Nothing;

#[async_trait(?Send)]
impl Blocks for Nothing {
    async fn next(&mut self) -> remotes::Result<Option<Bytes>> {
        Ok(None)
    }
}

/// Content as blocks.
struct Incoming {
    ssh: Rc<Ssh>,
    connection: Option<Connection>,
    slot: Slot,
}

#[async_trait(?Send)]
impl Blocks for Incoming {
    async fn next(&mut self) -> remotes::Result<Option<Bytes>> {
        let Some(connection) = &mut self.connection else { return Ok(None) };
        let block = match read(&self.ssh, connection).await {
            Ok(block) => block,
            Err(e) => {
                self.connection = None;
                let e = Error::io(Op::Get, "reading content", e);
                return Err(e.on(self.ssh.shared.name.as_str()));
            }
        };
        if connection.client.payload_left() == 0 {
            self.slot.replace(self.connection.take());
        }
        Ok(Some(block))
    }
}

/// The next bytes of the payload, as many as there are now.
async fn read(ssh: &Ssh, connection: &mut Connection) -> io::Result<Bytes> {
    let came = connection.client.take_payload(usize::MAX);
    if !came.is_empty() {
        return Ok(came.into());
    }
    let settings = &ssh.shared.settings;
    // No block is held for a peer that says nothing.
    let mut first = [0; 1 << 10];
    let want = |left: u64, room: usize| usize::try_from(left).unwrap_or(usize::MAX).min(room);
    let left = connection.client.payload_left();
    let room = want(left, first.len());
    let n = connection.link.read_within(&mut first[..room], settings.idle).await?;
    if n == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended in the middle of the content"));
    }
    connection.client.payload_read(n as u64);
    let lease = within(settings.idle, async { Ok(settings.budget.lease(remotes::budget::BLOCK as u64).await) }).await?;
    let mut block = settings.budget.block().under(&Arc::new(lease));
    block.push(&first[..n]);
    while !block.is_full() && connection.client.payload_left() > 0 {
        let room = want(connection.client.payload_left(), block.spare().len());
        let more = tokio::select! {
            biased;
            read = connection.link.read(&mut block.spare()[..room]) => read,
            () = std::future::ready(()) => break,
        };
        // An end is met again by the next read, which then has nothing to give.
        match more {
            Ok(n) if n > 0 => {
                block.advance(n);
                connection.client.payload_read(n as u64);
            }
            _ => break,
        }
    }
    Ok(if block.len() < LITTLE { Bytes::copy_from_slice(block.as_ref()) } else { block.freeze() })
}
