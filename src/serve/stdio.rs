//! The P2P protocol over stdin and stdout: `git-annex-shell p2pstdio`.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use remotes::budget::Budget;
use tracing::Instrument as _;

use super::special::Settings;
use crate::gateway::node::find;
use crate::gateway::{
    Asker, End, Failure, HeldLock, Limits, LocalRepository, Node, Offer, Removal, Settled, Unsettled, Upload,
};
use crate::name::{Key, Uuid};
use crate::proto::p2p::{Access, AssociatedFile, Close, Event, Reply, Request, Server};
use crate::request;
use crate::serve::conn::flow::Flow;
use crate::serve::conn::link::{self, Link};
use crate::serve::conn::payload::{Framing, Payload};

/// Longest time in which nothing of a content moves. The client may have been stopped for a while, so it is long; what it
/// waits with between two requests is its own business, since it has this process for itself.
const IDLE: Duration = Duration::from_secs(3600);

/// Bytes in flight.
const MEMORY: u64 = 16 << 20;

/// Bytes of content that are read and thrown away so that an error can be told; beyond this the connection is closed.
const DRAIN: u64 = 256 << 20;

/// Serves the repository at `path` to `client` until it leaves. With `uuid`, refuses any other repository.
pub fn main(path: &Path, client: &Uuid, uuid: Option<&Uuid>, access: Access) -> ExitCode {
    let served = match LocalRepository::open(path) {
        Ok(served) => Arc::new(served),
        Err(error) => return complain(&error.to_string()),
    };
    let limits = match limits() {
        Ok(limits) => limits,
        Err(words) => return complain(&words),
    };
    let wanted = uuid.unwrap_or(served.uuid()).clone();
    let talk = async {
        let asker = Asker { client: client.clone(), bypass: Vec::new() };
        let node = find(&served, &wanted, &limits, &asker).await.map_err(io::Error::other)?;
        let Some(node) = node else {
            let words = format!("expected repository UUID {wanted} but found UUID {}", served.uuid());
            return Err(io::Error::other(words));
        };
        let (link, _restore) = link::stdio()?;
        let session = Session { served: Arc::clone(&served), node, uuid: wanted.clone(), asker, link, limits };
        session.run(access).await
    };
    let close = remotes::sys::run(std::env::var_os("STREAM_URING").is_none_or(|value| value != "no"), talk);
    if let Err(failure) = served.settle() {
        eprintln!("git-annex-shell: {failure}; it stays in the journal");
    }
    match close.and_then(|close| close) {
        Ok(Close::Left) => ExitCode::SUCCESS,
        // It says so at its own end, and ssh would put our words among its own.
        Ok(Close::PeerError) => ExitCode::SUCCESS,
        Ok(close) => {
            eprintln!("git-annex-shell: {close}");
            ExitCode::from(close.status())
        }
        Err(error) => complain(&error.to_string()),
    }
}

/// What stores get. Errors: a variable is invalid.
pub(super) fn limits() -> Result<Limits, String> {
    // Nobody may have stopped what is behind this repository, so that is waited for as a special remote waits for it.
    let Settings { idle, connections, .. } = Settings::from_env(&|name| std::env::var_os(name))?;
    Ok(Limits { budget: Budget::new(MEMORY), idle, connections, quotas: None })
}

/// Says on stderr what the reply has no place for, with the request it is about.
fn mention(words: &str) {
    eprintln!("git-annex-shell: {words}{}", request::tag());
}

fn complain(words: &str) -> ExitCode {
    eprintln!("git-annex-shell: {words}");
    ExitCode::FAILURE
}

struct Session {
    served: Arc<LocalRepository>,
    node: Box<dyn Node>,
    uuid: Uuid,
    asker: Asker,
    link: Link,
    limits: Limits,
}

impl Session {
    async fn run(mut self, access: Access) -> io::Result<Close> {
        let mut server = Server::new(&self.uuid, access);
        let (mut lock, mut upload) = (None, None);
        let close = self.talk(&mut server, &mut lock, &mut upload).await;
        // However it ended: what has come is kept for the client to go on with, and nothing stays locked.
        if let Some(upload) = upload {
            let _ = upload.keep().await;
        }
        release(&mut lock).await;
        // The client may not be there to read it.
        let _ = self.link.write(&server.take_output(), IDLE).await;
        close
    }

    async fn talk(
        &mut self,
        server: &mut Server,
        lock: &mut Option<HeldLock>,
        upload: &mut Option<Box<Upload>>,
    ) -> io::Result<Close> {
        let mut trouble: Option<Failure> = None;
        // What follows a request, such as its payload, is about it too.
        let mut current = tracing::Span::none();
        let mut buf = vec![0; 16 << 10];
        loop {
            while let Some(event) = server.next_event() {
                let span = match &event {
                    Event::Request(request) => {
                        let span = request::begin();
                        span.in_scope(|| self.about(request));
                        current = span;
                        &current
                    }
                    _ => &current,
                };
                let done = self.event(event, server, lock, upload, &mut trouble).instrument(span.clone());
                if let Some(close) = done.await? {
                    return Ok(close);
                }
            }
            let output = server.take_output();
            if !output.is_empty() {
                self.link.write(&output, IDLE).await?;
            }
            let read = tokio::select! {
                biased;
                // With a server of its own the client would see the connection end.
                () = lost(lock) => return Err(io::Error::other("the other repository released its lock on the content")),
                read = self.link.read(&mut buf) => read?,
            };
            match read {
                0 => server.eof(),
                n => server.push(&buf[..n]),
            }
        }
    }

    /// Says in the span of a request what it is about.
    fn about(&self, request: &Request) {
        request::of(&self.uuid);
        match request {
            Request::CheckPresent(key) | Request::Lock(key) | Request::Remove(key) => request::about(key),
            Request::RemoveBefore { key, .. } | Request::Put { key, .. } | Request::Get { key, .. } => {
                request::about(key)
            }
            Request::Timestamp => {}
        }
    }

    async fn event(
        &mut self,
        event: Event,
        server: &mut Server,
        lock: &mut Option<HeldLock>,
        upload: &mut Option<Box<Upload>>,
        trouble: &mut Option<Failure>,
    ) -> io::Result<Option<Close>> {
        match event {
            Event::Request(request) => match self.answer(request, server, lock).await? {
                Some(Offer::Upload(begun)) => *upload = Some(begun),
                Some(Offer::AlreadyHave(_)) | None => {}
            },
            Event::Bypass(bypass) => {
                self.asker.bypass = bypass;
                let found = find(&self.served, &self.uuid, &self.limits, &self.asker).await;
                if let Some(node) = found.map_err(io::Error::other)? {
                    self.node = node;
                }
            }
            Event::Unlock => release(lock).await,
            Event::Payload { len } => {
                *trouble = self.receive(server, upload.as_deref_mut(), len).await?;
                if let Some(failure) = &*trouble {
                    mention(&failure.to_string());
                }
            }
            Event::Verdict { valid } => {
                let reply = match (upload.take(), trouble.take()) {
                    (Some(upload), None) => settle(*upload, valid).await,
                    (upload, failure) => {
                        if let Some(upload) = upload {
                            // Its own failure would only repeat the first.
                            let _ = upload.keep().await;
                        }
                        error(&failure.unwrap_or_else(|| Failure::internal("nothing was being put".into())))
                    }
                };
                said(server.reply(reply))?;
            }
            Event::DataPresent => {
                let key = upload.take().map(|upload| upload.key().clone());
                let reply = match key {
                    Some(key) => match self.node.take_note(&key).await {
                        Ok(Some(others)) => Reply::Success(others),
                        Ok(None) => Reply::Failure(Vec::new()),
                        Err(failure) => error(&failure),
                    },
                    None => error(&Failure::internal("nothing was being put".into())),
                };
                said(server.reply(reply))?;
            }
            Event::Abandoned => {
                if let Some(upload) = upload.take() {
                    // There is nobody to tell.
                    let _ = upload.keep().await;
                }
            }
            Event::Got(_) => {}
            Event::Close(close) => return Ok(Some(close)),
        }
        Ok(None)
    }

    async fn answer(
        &mut self,
        request: Request,
        server: &mut Server,
        lock: &mut Option<HeldLock>,
    ) -> io::Result<Option<Offer>> {
        let reply = match request {
            Request::CheckPresent(key) => outcome(self.node.check(&key).await),
            Request::Lock(key) => match self.node.lock(&key).await {
                Ok(Some(held)) => {
                    *lock = Some(held);
                    Reply::Success(Vec::new())
                }
                Ok(None) => Reply::Failure(Vec::new()),
                Err(failure) => refusal(&failure),
            },
            Request::Remove(key) => removal(self.node.remove(&key, None).await),
            Request::RemoveBefore { timestamp, key } => removal(self.node.remove(&key, Some(timestamp)).await),
            Request::Timestamp => match self.node.timestamp().await {
                Ok(now) => Reply::Timestamp(now),
                Err(failure) => error(&failure),
            },
            Request::Put { key, file } => match self.node.put(&key, &file).await {
                Ok(Offer::AlreadyHave(others)) => Reply::AlreadyHave(others),
                Ok(Offer::Upload(upload)) => {
                    said(server.reply(Reply::PutFrom(upload.offset())))?;
                    return Ok(Some(Offer::Upload(upload)));
                }
                Err(failure) => error(&failure),
            },
            Request::Get { offset, key, file } => {
                self.send(&key, &file, offset, server).await?;
                return Ok(None);
            }
        };
        said(server.reply(reply))?;
        Ok(None)
    }

    async fn send(&mut self, key: &Key, file: &AssociatedFile, offset: u64, server: &mut Server) -> io::Result<()> {
        let found = match self.node.get(key, file, offset, None).await {
            Ok(found) => found,
            Err(failure) => return said(server.reply(error(&failure))),
        };
        let Some(content) = found else {
            said(server.reply(Reply::Data(0)))?;
            return said(server.sent(false));
        };
        let pace = content.pace();
        let part = content.part(offset, u64::MAX);
        let len = part.len;
        said(server.reply(Reply::Data(len)))?;
        self.link.write(&server.take_output(), IDLE).await?;
        let mut flow = Flow::new(part, self.limits.idle).at(pace);
        self.link.pass(&mut flow, len, &self.limits.budget, IDLE).await.map_err(io::Error::other)?;
        said(server.sent(flow.finish().is_content().await))
    }

    /// Takes the payload to its end. A failure of the disk is given back once the client can be told.
    async fn receive(
        &mut self,
        server: &mut Server,
        upload: Option<&mut Upload>,
        len: u64,
    ) -> io::Result<Option<Failure>> {
        let Some(upload) = upload else {
            return self.drain(server, Failure::internal("nothing was being put".into())).await.map(Some);
        };
        let offset = upload.offset();
        if let Err(failure) = upload.begin(offset, len).await {
            return self.drain(server, failure).await.map(Some);
        }
        if upload.is_spoiled() && server.payload_due() > DRAIN {
            return Err(io::Error::other("the content is longer than its key says"));
        }
        let mut payload = Payload::new(&mut self.link, P2pData(server), &self.limits.budget, IDLE);
        match upload.receive(&mut payload, len, self.node.upload_pace()).await {
            End::Failed(failure) => self.drain(server, failure).await.map(Some),
            // What came before it left is worth keeping.
            End::Broken(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            End::Broken(e) => Err(e),
            End::Whole | End::Short | End::Long => Ok(None),
        }
    }

    /// Reads the rest of a payload that nothing can be done with, where that is little.
    async fn drain(&mut self, server: &mut Server, failure: Failure) -> io::Result<Failure> {
        if server.payload_due() > DRAIN {
            return Err(io::Error::other(failure));
        }
        let mut payload = Payload::new(&mut self.link, P2pData(server), &self.limits.budget, IDLE);
        match payload.skip(IDLE).await {
            Ok(true) => Ok(failure),
            Ok(false) => Err(io::Error::other(failure)),
            // It has left, and the next to be read is that.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(failure),
            Err(e) => Err(e),
        }
    }
}

/// What follows `DATA`.
struct P2pData<'a>(&'a mut Server);

impl Framing for P2pData<'_> {
    fn early(&mut self, most: usize) -> io::Result<Bytes> {
        Ok(self.0.take_payload(most).into())
    }

    fn is_done(&self) -> bool {
        self.0.payload_due() == 0
    }

    fn ahead(&self) -> Option<u64> {
        Some(self.0.payload_due())
    }

    fn passed(&mut self, count: u64) {
        self.0.payload_read(count);
    }

    fn unpack(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("all of it is payload"))
    }

    fn push(&mut self, came: &[u8]) {
        self.0.push(came);
    }

    fn eof(&mut self) {
        self.0.eof();
    }
}

/// Waits until what is locked is lost, which may be for ever.
async fn lost(lock: &Option<HeldLock>) {
    match lock {
        Some(held) => held.lost().wait().await,
        None => std::future::pending().await,
    }
}

async fn release(lock: &mut Option<HeldLock>) {
    if let Some(held) = lock.take() {
        // Letting go touches files.
        let _ = crate::gateway::blocking(move || drop(held)).await;
    }
}

async fn settle(upload: Upload, valid: bool) -> Reply {
    match upload.settle(if valid { End::Whole } else { End::Short }).await {
        Ok(Settled::Stored(others)) => Reply::Success(others),
        Ok(Settled::Wrong) => {
            if valid {
                mention("verification of content failed");
            }
            Reply::Failure(Vec::new())
        }
        Err(Unsettled::Content(failure)) => error(&failure),
        Err(Unsettled::Connection(e)) => error(&Failure::internal(e.to_string())),
    }
}

fn outcome(result: Result<bool, Failure>) -> Reply {
    match result {
        Ok(true) => Reply::Success(Vec::new()),
        Ok(false) => Reply::Failure(Vec::new()),
        Err(failure) => error(&failure),
    }
}

fn removal(result: Result<Removal, Failure>) -> Reply {
    match result {
        Ok(Removal { gone: true, from }) => Reply::Success(from),
        Ok(Removal { gone: false, from }) => Reply::Failure(from),
        Err(failure) => refusal(&failure),
    }
}

/// "No" where that is the answer, the reason on stderr; else an error.
fn refusal(failure: &Failure) -> Reply {
    use crate::gateway::FailureKind::{Locked, TooLate};
    if matches!(failure.kind(), Locked | TooLate) {
        mention(&failure.to_string());
        return Reply::Failure(Vec::new());
    }
    error(failure)
}

fn error(failure: &Failure) -> Reply {
    Reply::Error(failure.to_string().into_bytes())
}

fn said(result: Result<(), crate::proto::p2p::Misuse>) -> io::Result<()> {
    result.map_err(io::Error::other)
}
