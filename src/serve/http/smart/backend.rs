//! One request passed on to git, and its answer passed back.

use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};

use remotes::pump::Meter;

use super::SILENT_WORK;
use crate::process::Process;
use crate::proto::git::cgi::{self, CgiHead};
use crate::proto::git::packet::{BeforeTheEnd, FLUSH};
use crate::proto::git::route::{GitOp, Service};
use crate::proto::http::body::{BodyReader, CHUNK_END, LAST_CHUNK, begin_chunk};
use crate::proto::http::head::Version;
use crate::proto::http::response::{Connection as Kept, Framing, Media, Response};
use crate::serve::conn::link::Link;
use crate::serve::conn::patience::Patience;
use crate::serve::conn::share::{Owed, Share};
use crate::serve::http::call::Asked;
use crate::serve::http::connection::{Connection, READ};
use crate::serve::http::git::GitAsk;
use crate::serve::http::git::trees::{self, After};

/// Bytes that are moved at once.
const PIECE: usize = 64 << 10;

/// Most bytes of git's answer that are held while the request is still coming. git that says more has to wait.
const HELD: usize = 1 << 20;

/// How long a push may go on that its client has left.
const LEAVE: Duration = Duration::from_secs(10);

/// How often it is looked whether git has ended and left its output to something that goes on.
const TICK: Duration = Duration::from_secs(1);

/// What git says while it has nothing to say: packets for people and of content, without any.
const SILENCE: [&[u8]; 2] = [b"0005\x01", b"0005\x02"];

/// A request that was answered.
pub(super) struct Sent {
    /// The connection may be used again.
    pub(super) kept: bool,
    /// Bytes of the request's body.
    pub(super) received: u64,
    /// Bytes of the answer's body.
    pub(super) sent: u64,
    /// What git said of what went wrong.
    pub(super) words: String,
}

/// How a body went to git.
enum Fed {
    /// All of it.
    Whole,
    /// git takes no more.
    Closed,
}

/// An answer on its way to the client.
struct Answer {
    framing: Framing,
    out: Vec<u8>,
    sent: u64,
    /// With whoever takes it.
    patience: Patience,
    share: Option<Share>,
    meter: Meter,
}

impl Connection {
    /// Passes the body on to git, after `front`, and its answer back.
    ///
    /// # Errors
    ///
    /// The client is gone or stalled, or git is. git is ended.
    pub(super) async fn backend(
        &mut self,
        mut asked: Asked,
        ask: &GitAsk,
        mut process: Process,
        front: Vec<u8>,
        after: Option<After>,
        mut patience: Patience,
    ) -> io::Result<Sent> {
        if ask.op != GitOp::Pack(Service::ReceivePack) {
            // Nothing is begun that should be ended in order.
            process.hurry();
        }
        let idle = self.shared.limits.idle;
        let listed = self.list(ask.op.name(), &asked, None, None);
        let mut held = Vec::new();
        let (mut received, mut ended) = (0, false);
        let fed = {
            let owed = Owed::new(self.shared.incoming.of(self.who(&asked)));
            let meter = listed.meter.clone();
            let body = Incoming { link: &mut self.link, early: &mut self.early, body: &mut asked.body, owed, meter };
            let mut feed = pin!(feed(body, &process, &front, idle, &mut patience, &mut received));
            let mut buf = vec![0; PIECE];
            loop {
                tokio::select! {
                    biased;
                    fed = &mut feed => break fed,
                    // While the answer is not wanted yet, git must not wait for somebody to take it.
                    read = process.read(&mut buf), if !ended && held.len() < HELD => match read {
                        Ok(n) if n > 0 => held.extend_from_slice(&buf[..n]),
                        _ => ended = true,
                    },
                }
            }
        };
        if let Err(e) = fed {
            return Err(self.given_up(process, "the request broke off", e).await);
        }
        process.close_input();
        let (head, length) = loop {
            match cgi::parse(&held) {
                Ok(Some(found)) => break found,
                Ok(None) if !ended => {}
                _ => {
                    let words = format!("git http-backend gave no answer ({})", process.last_words().await);
                    let failure = crate::gateway::Failure::internal(words.clone());
                    let kept = self.fail(asked, &failure).await?;
                    return Ok(Sent { kept, received, sent: 0, words });
                }
            }
            let mut buf = vec![0; READ];
            let n = match self.said(&process, &mut buf, idle).await {
                Ok(n) => n,
                Err(e) => return Err(self.given_up(process, "git gave no answer", e).await),
            };
            ended = n == 0;
            held.extend_from_slice(&buf[..n]);
        };
        let mut answer = self.begin_git(&asked, head, patience, listed.meter.clone()).await?;
        let mut end = after.is_some().then(BeforeTheEnd::default);
        let pass = |bytes: &[u8], end: &mut Option<BeforeTheEnd>| match end {
            None => bytes.to_vec(),
            Some(end) => {
                let mut out = Vec::with_capacity(bytes.len());
                end.push(bytes, &mut out);
                out
            }
        };
        let first = pass(&held[length..], &mut end);
        drop(held);
        self.pass(&mut answer, &first).await?;
        let (mut buf, mut worked) = (vec![0; PIECE], Instant::now());
        while !ended {
            let n = match self.said(&process, &mut buf, idle).await {
                Ok(n) => n,
                Err(e) => return Err(self.given_up(process, "the answer broke off", e).await),
            };
            if !is_silence(&buf[..n]) {
                worked = Instant::now();
            } else if worked.elapsed() > SILENT_WORK {
                process.hurry();
                let e = io::Error::new(io::ErrorKind::TimedOut, format!("at work for {} s", SILENT_WORK.as_secs()));
                return Err(self.given_up(process, "git was ended", e).await);
            }
            ended = n == 0;
            let piece = pass(&buf[..n], &mut end);
            if let Err(e) = self.pass(&mut answer, &piece).await {
                return Err(self.given_up(process, "the client takes no answer", e).await);
            }
        }
        let words = match process.ended() {
            Some(Some(0)) => String::new(),
            _ => process.last_words().await,
        };
        if let (Some(end), Some(after)) = (end, after) {
            let ends = end.ends();
            let mut rest = Vec::new();
            end.finish(&mut rest);
            if ends {
                self.follow(&mut answer, &after).await?;
                rest.extend_from_slice(FLUSH);
            }
            self.pass(&mut answer, &rest).await?;
        }
        if answer.framing == Framing::Chunked {
            answer.patience.write(&mut self.link, LAST_CHUNK).await?;
        }
        let whole = matches!(fed, Ok(Fed::Whole)) && asked.body.is_done();
        Ok(Sent {
            kept: whole && self.keeps(&asked) && answer.framing != Framing::Close,
            received,
            sent: answer.sent,
            words,
        })
    }

    /// Tells whoever pushed what became of the trees that follow a branch.
    async fn follow(&mut self, answer: &mut Answer, after: &After) -> io::Result<()> {
        let idle = self.shared.limits.idle;
        let mut process = match trees::start(after).await {
            Ok(process) => process,
            Err(failure) => return self.pass(answer, &trees::words(&failure.to_string())).await,
        };
        let (mut buf, begun) = (vec![0; READ], Instant::now());
        loop {
            let said = self.said_or_silent(&process, &mut buf, trees::KEEP_ALIVE.min(idle)).await?;
            let piece = match said {
                Some(0) => break,
                Some(n) => trees::words(&String::from_utf8_lossy(&buf[..n])),
                None if begun.elapsed() > SILENT_WORK => break,
                // Whoever waits in between must not take the silence for the end.
                None => trees::words(""),
            };
            self.pass(answer, &piece).await?;
        }
        let words = process.last_words().await;
        if words.is_empty() { Ok(()) } else { self.pass(answer, &trees::words(&format!("{words}\n"))).await }
    }

    /// The next bytes that git says; none at its end.
    ///
    /// # Errors
    ///
    /// It says nothing for `idle`, or the client is gone.
    async fn said(&mut self, process: &Process, buf: &mut [u8], idle: Duration) -> io::Result<usize> {
        let silent = || io::Error::new(io::ErrorKind::TimedOut, format!("git said nothing for {} s", idle.as_secs()));
        self.said_or_silent(process, buf, idle).await?.ok_or_else(silent)
    }

    async fn said_or_silent(&mut self, process: &Process, buf: &mut [u8], idle: Duration) -> io::Result<Option<usize>> {
        let begun = Instant::now();
        let mut seen = false;
        loop {
            let mut more = [0; READ];
            tokio::select! {
                biased;
                read = process.read(buf) => return read.map(Some),
                // What comes is the next request; its end is that of whoever waits for this one.
                read = self.link.read(&mut more), if self.early.len() < READ => match read {
                    Ok(n) if n > 0 => self.early.extend_from_slice(&more[..n]),
                    _ => return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the client is gone")),
                },
                () = tokio::time::sleep(TICK.min(idle)) => {
                    if process.ended().is_some() && std::mem::replace(&mut seen, true) {
                        return Ok(Some(0));
                    }
                    if begun.elapsed() >= idle {
                        return Ok(None);
                    }
                }
            }
        }
    }

    async fn begin_git(
        &mut self,
        asked: &Asked,
        head: CgiHead,
        patience: Patience,
        meter: Meter,
    ) -> io::Result<Answer> {
        let framing = if asked.version == Version::Http11 { Framing::Chunked } else { Framing::Close };
        let media = Some(head.media.map_or(Media::Text, Media::Git));
        let connection = Kept::of(asked.version, framing == Framing::Chunked && self.keeps(asked));
        self.say_words("", Response { media, framing, connection, ..Response::of(head.status) }, b"").await?;
        Ok(Answer {
            framing,
            out: Vec::new(),
            sent: 0,
            patience,
            share: self.shared.outgoing.of(self.who(asked)),
            meter,
        })
    }

    async fn pass(&mut self, answer: &mut Answer, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let most = answer.share.as_ref().map_or(bytes.len(), Share::piece);
        for piece in bytes.chunks(most) {
            if let Some(share) = &answer.share {
                share.turn(piece.len()).await;
            }
            self.pass_piece(answer, piece).await?;
            answer.meter.add(piece.len() as u64);
        }
        Ok(())
    }

    async fn pass_piece(&mut self, answer: &mut Answer, bytes: &[u8]) -> io::Result<()> {
        answer.sent += bytes.len() as u64;
        if answer.framing != Framing::Chunked {
            return answer.patience.write(&mut self.link, bytes).await;
        }
        answer.out.clear();
        begin_chunk(bytes.len(), &mut answer.out);
        answer.out.extend_from_slice(bytes);
        answer.out.extend_from_slice(CHUNK_END);
        answer.patience.write(&mut self.link, &answer.out).await
    }

    /// The request ends here, and git with it. What git said of it is part of the error.
    async fn given_up(&mut self, mut process: Process, what: &str, error: io::Error) -> io::Error {
        process.close_input();
        if process.ended().is_none() && !process.is_hurried() {
            // A push that is not told to the end is undone by git itself, which must be heard for that.
            tokio::task::spawn_local(async move {
                let mut buf = vec![0; READ];
                let end = async { while process.read(&mut buf).await.is_ok_and(|n| n > 0) {} };
                if tokio::time::timeout(LEAVE, end).await.is_err() {
                    process.hurry();
                }
            });
            return io::Error::new(error.kind(), format!("{what}: {error}"));
        }
        let words = if process.ended().is_some() { process.last_words().await } else { String::new() };
        let words = if words.is_empty() { words } else { format!(" ({words})") };
        io::Error::new(error.kind(), format!("{what}: {error}{words}"))
    }
}

/// A body on its way from the client.
struct Incoming<'a> {
    link: &'a mut Link,
    early: &'a mut Vec<u8>,
    body: &'a mut BodyReader,
    owed: Owed,
    meter: Meter,
}

/// Passes what comes of a body on to git.
///
/// # Errors
///
/// The body is malformed or breaks off, the client sends nothing or too little for too long, or git takes nothing for `idle`.
async fn feed(
    body: Incoming<'_>,
    process: &Process,
    front: &[u8],
    idle: Duration,
    patience: &mut Patience,
    received: &mut u64,
) -> io::Result<Fed> {
    let Incoming { link, early, body, mut owed, meter } = body;
    let took = |written: io::Result<()>| match written {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    };
    *received += front.len() as u64;
    if !took(process.write_all(front, idle).await)? {
        return Ok(Fed::Closed);
    }
    loop {
        let done = body.compact(early).map_err(|bad| io::Error::other(bad.0))?;
        *received += done.payload as u64;
        let taken = took(process.write_all(&early[..done.payload], idle).await)?;
        early.drain(..done.used);
        if !taken {
            return Ok(Fed::Closed);
        }
        if body.is_done() {
            return Ok(Fed::Whole);
        }
        if early.is_empty() {
            owed.settle().await;
            early.resize(owed.piece(PIECE), 0);
            let read = patience.read(link, early).await;
            early.truncate(*read.as_ref().unwrap_or(&0));
            owed.came(early.len());
            meter.add(early.len() as u64);
            if read? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the client is gone"));
            }
        }
    }
}

/// Whether these bytes only say that git is at work.
fn is_silence(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.chunks(SILENCE[0].len()).all(|packet| SILENCE.contains(&packet))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_packets_are_silence_and_nothing_else_is() {
        for (bytes, expected) in [
            (&b"0005\x01"[..], true),
            (b"0005\x020005\x01", true),
            (b"0006\x02x", false),
            (b"0005\x010006\x02x", false),
            (b"0005", false),
            (b"", false),
        ] {
            assert_eq!(is_silence(bytes), expected, "{}", bytes.escape_ascii());
        }
    }
}
