//! Receiving content over HTTP.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use remotes::budget::BLOCK;
use remotes::pump::{Blocks, Home, Socket, SocketSource, Source};
use remotes::{Error, Kind, Op as Doing};
use tokio::net::TcpStream;

use super::connection::Connection;
use super::{Http, Op};
use crate::peer::link::{Link, within};
use crate::peer::transfer::End as AnyEnd;
use crate::peer::{Failure, PeerEnd, PeerGet};
use crate::proto::http::body::BodyReader;
use crate::proto::http::client::response::ResponseHead;
use crate::proto::http::head::Body;

/// Less than this is not worth a block of its own.
const LITTLE: usize = 64 << 10;

/// Where a connection waits once all content was read.
#[derive(Default)]
struct Slot(RefCell<Option<(Connection, BodyReader)>>);

impl Home for Slot {
    fn welcome(&self, stream: TcpStream) {
        self.0.replace(Some((Connection::of(stream), BodyReader::new(Body::None))));
    }
}

pub(super) async fn get(http: &Rc<Http>, op: Op) -> Result<PeerGet, Failure> {
    let (connection, head) = http.send(&op).await.map_err(|refusal| http.give_up(refusal))?;
    let announced = |len| head.body == Body::Chunked || head.body == Body::Length(len);
    let len = match head.data_length {
        Some(len) if announced(len) => len,
        Some(_) => return Err(http.shared.broken("it names two lengths for the content")),
        None => return Err(http.shared.broken("it does not tell the length of the content")),
    };
    let slot = Rc::new(Slot::default());
    let source = match connection {
        Connection { link: Link::Tcp(stream), buffer, .. } if head.body == Body::Length(len) && len > 0 => {
            if buffer.len() as u64 > len {
                return Err(http.shared.broken("it sends more than the content"));
            }
            let home: Rc<dyn Home> = Rc::<Slot>::clone(&slot);
            Source::Socket(SocketSource { head: buffer.into(), len, socket: Socket::new(stream, Some(home)) })
        }
        connection => {
            let reader = BodyReader::new(head.body);
            let mut incoming = Incoming {
                http: Rc::clone(http),
                reading: Some((connection, reader)),
                left: len,
                slot: Rc::clone(&slot),
            };
            incoming.settle();
            Source::Stream(Box::new(incoming))
        }
    };
    let end = End { http: Rc::clone(http), slot, head };
    Ok(PeerGet { len, source, end: PeerEnd(AnyEnd::Http(end)) })
}

/// The end of content.
pub(in super::super) struct End {
    http: Rc<Http>,
    slot: Rc<Slot>,
    head: ResponseHead,
}

impl End {
    pub(in super::super) async fn finish(self) -> bool {
        let Some((mut connection, mut reader)) = self.slot.0.take() else { return false };
        // The end of the chunks may not have come yet. All of it comes within the limit on silence.
        let late = tokio::time::sleep(self.http.shared.settings.idle);
        let mut late = std::pin::pin!(late);
        loop {
            let mut rest = connection.buffer.as_slice();
            if !matches!(reader.next(&mut rest), Ok(None)) {
                return false;
            }
            let used = connection.buffer.len() - rest.len();
            connection.buffer.drain(..used);
            if reader.is_done() {
                break;
            }
            let more = tokio::select! {
                more = connection.more(self.http.shared.settings.idle) => more,
                () = &mut late => return false,
            };
            if !more.is_ok_and(|n| n > 0) {
                return false;
            }
        }
        self.http.release(connection, &self.head);
        true
    }
}

/// Content as blocks.
struct Incoming {
    http: Rc<Http>,
    reading: Option<(Connection, BodyReader)>,
    left: u64,
    slot: Rc<Slot>,
}

#[async_trait(?Send)]
impl Blocks for Incoming {
    async fn next(&mut self) -> remotes::Result<Option<Bytes>> {
        let Some((connection, reader)) = &mut self.reading else { return Ok(None) };
        let block = match read(&self.http, connection, reader, self.left).await {
            Ok(block) => block,
            Err(e) => {
                self.reading = None;
                return Err(Error::io(Doing::Get, "reading content", e).on(self.http.shared.name.as_str()));
            }
        };
        self.left = match self.left.checked_sub(block.len() as u64) {
            Some(left) => left,
            None => {
                self.reading = None;
                let e = Error::new(Doing::Get, Kind::Protocol, "it sends more than the content");
                return Err(e.on(self.http.shared.name.as_str()));
            }
        };
        self.settle();
        Ok(Some(block))
    }
}

impl Incoming {
    /// Once all content is there, the connection waits for the end of it elsewhere.
    fn settle(&mut self) {
        if self.left == 0 {
            self.slot.0.replace(self.reading.take());
        }
    }
}

/// The next bytes of the content, as many as there are now.
async fn read(http: &Http, connection: &mut Connection, reader: &mut BodyReader, left: u64) -> io::Result<Bytes> {
    let bad = |bad: crate::proto::http::body::BadBody| io::Error::other(bad.0);
    let short = || io::Error::new(io::ErrorKind::UnexpectedEof, "the content ended early");
    let settings = &http.shared.settings;
    // What came with the head, and what announces the next chunk. No block is held for a peer that says nothing.
    loop {
        let mut came = std::mem::take(&mut connection.buffer);
        let compacted = reader.compact(&mut came).map_err(bad)?;
        connection.buffer = came.split_off(compacted.used);
        if compacted.payload > 0 {
            came.truncate(compacted.payload);
            return more(http, connection, reader, came, left).await;
        }
        if reader.is_done() || connection.more(settings.idle).await? == 0 {
            return Err(short());
        }
    }
}

/// Adds what is there already to the first bytes that came.
async fn more(
    http: &Http,
    connection: &mut Connection,
    reader: &mut BodyReader,
    first: Vec<u8>,
    left: u64,
) -> io::Result<Bytes> {
    let settings = &http.shared.settings;
    if first.len() as u64 >= left || !connection.buffer.is_empty() {
        return Ok(first.into());
    }
    let lease = within(settings.idle, async { Ok(settings.budget.lease(BLOCK as u64).await) }).await?;
    let mut block = settings.budget.block().under(&Arc::new(lease));
    block.push(&first);
    while !block.is_full() && !reader.is_done() && block.len() as u64 != left {
        let read = tokio::select! {
            biased;
            read = connection.link.read(block.spare()) => read,
            () = std::future::ready(()) => break,
        };
        // An end is met again by the next read.
        let Ok(n @ 1..) = read else { break };
        let came = &mut block.spare()[..n];
        let compacted = reader.compact(came).map_err(|bad| io::Error::other(bad.0))?;
        connection.buffer.extend_from_slice(&came[compacted.used..]);
        block.advance(compacted.payload);
        if !connection.buffer.is_empty() {
            break;
        }
    }
    Ok(if block.len() < LITTLE { Bytes::copy_from_slice(block.as_ref()) } else { block.freeze() })
}
