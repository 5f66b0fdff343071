//! put and putoffset.

use std::io;
use std::time::Instant;

use bytes::Bytes;

use super::call::Asked;
use super::connection::{Announced, Connection};
use crate::gateway::{Node, Offer, Offset, Settled, Unsettled};
use crate::name::Key;
use crate::proto::http::body::BodyReader;
use crate::proto::http::json;
use crate::proto::http::response::Response;
use crate::proto::p2p::AssociatedFile;
use crate::serve::conn::payload::{Framing, Payload};
use crate::serve::conn::share::Shared;

impl Connection {
    pub(super) async fn put_offset(&mut self, asked: Asked, node: &dyn Node, key: &Key) -> io::Result<bool> {
        let api = asked.api;
        let mut body = Vec::new();
        match node.offset(key).await {
            Ok(Offset::All(others)) => json::already_have(api, &others, &mut body),
            Ok(Offset::Bytes(offset)) => json::offset(offset, &mut body),
            Err(failure) => return self.fail(asked, &failure).await,
        }
        self.answer(asked, Response::json(body.len()), &body).await
    }

    pub(super) async fn put(
        &mut self,
        mut asked: Asked,
        node: &dyn Node,
        key: &Key,
        file: Option<Vec<u8>>,
        announced: Announced,
    ) -> io::Result<bool> {
        let api = asked.api;
        if announced.data_present {
            let (noted, others) = match node.take_note(key).await {
                Ok(noted) => (Ok(noted.is_some()), noted.unwrap_or_default()),
                Err(failure) => (Err(failure), Vec::new()),
            };
            return self.outcome(asked, noted, |stored, out| json::stored(api, stored, &others, out)).await;
        }
        let file = file.and_then(|name| AssociatedFile::new(&name)).unwrap_or_default();
        let mut upload = match node.put(key, &file).await {
            Ok(Offer::Upload(upload)) => upload,
            Ok(Offer::AlreadyHave(others)) => {
                self.go_on(&mut asked).await?;
                let limit = self.shared.limits.idle;
                asked.keep &= self.payload(&mut asked.body).skip(limit).await?;
                return self.outcome(asked, Ok(true), |stored, out| json::stored(api, stored, &others, out)).await;
            }
            Err(failure) => return self.fail(asked, &failure).await,
        };
        match upload.begin(announced.offset, announced.len).await {
            Ok(true) => {}
            Ok(false) => {
                let kept = upload.keep().await.map(|()| false);
                return self.outcome(asked, kept, |stored, out| json::stored(api, stored, &[], out)).await;
            }
            Err(failure) => return self.fail(asked, &failure).await,
        }
        self.go_on(&mut asked).await?;
        let started = Instant::now();
        self.shared.metrics.uploads.add(1);
        let share = self.shared.incoming.of(self.who(&asked));
        let listed = self.list("put", &asked, Some(key.as_bytes()), Some(announced.len));
        let mut body = Shared::new(self.payload(&mut asked.body), share, listed.meter.clone());
        let end = upload.receive(&mut body, announced.len, node.upload_pace()).await;
        drop(body);
        let bytes = upload.received() - announced.offset;
        let settled = upload.settle(end).await;
        self.shared.metrics.uploads.sub(1);
        self.shared.metrics.received.add(bytes);
        let mut line = self.shared.log.line("put").bytes("key", key.as_bytes()).with("bytes", bytes);
        line = line.with("from", announced.offset).seconds("seconds", started.elapsed());
        line = line.bytes("client", asked.asker().client.as_bytes());
        if let Some(user) = &asked.user {
            line = line.bytes("user", user);
        }
        match settled {
            Ok(settled) => {
                let (right, others) = match settled {
                    Settled::Stored(others) => (true, others),
                    Settled::Wrong => (false, Vec::new()),
                };
                line.with("stored", right).info();
                let stored = move |stored: bool, out: &mut Vec<u8>| json::stored(api, stored, &others, out);
                self.outcome(asked, Ok(right), stored).await
            }
            Err(Unsettled::Connection(e)) => {
                line.with("error", e.to_string()).warn();
                Err(e)
            }
            Err(Unsettled::Content(failure)) => {
                line.with("error", failure.to_string()).warn();
                self.fail(asked, &failure).await
            }
        }
    }

    /// What comes as the body of a request.
    fn payload<'a>(&'a mut self, body: &'a mut BodyReader) -> Payload<'a, HttpBody<'a>> {
        let limits = &self.shared.limits;
        Payload::new(&mut self.link, HttpBody { body, early: &mut self.early }, &limits.budget, limits.idle)
    }
}

/// The body of a request, and what arrived with it.
struct HttpBody<'a> {
    body: &'a mut BodyReader,
    early: &'a mut Vec<u8>,
}

impl Framing for HttpBody<'_> {
    fn early(&mut self, _: usize) -> io::Result<Bytes> {
        if self.early.is_empty() {
            return Ok(Bytes::new());
        }
        let done = self.body.compact(self.early).map_err(|e| io::Error::other(e.0))?;
        let payload = Bytes::copy_from_slice(&self.early[..done.payload]);
        self.early.drain(..done.used);
        Ok(payload)
    }

    fn is_done(&self) -> bool {
        self.body.is_done()
    }

    fn ahead(&self) -> Option<u64> {
        self.body.is_counted().then(|| self.body.payload_ahead())
    }

    fn passed(&mut self, count: u64) {
        self.body.passed(count);
    }

    fn unpack(&mut self, came: &mut [u8]) -> io::Result<usize> {
        let done = self.body.compact(came).map_err(|e| io::Error::other(e.0))?;
        self.early.extend_from_slice(&came[done.used..]);
        Ok(done.payload)
    }

    fn push(&mut self, came: &[u8]) {
        self.early.extend_from_slice(came);
    }
}
