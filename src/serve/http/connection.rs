//! One connection: its requests, one after the other, until either side ends it.
//!
//! ```text
//!   wait for a request (IDLE) -> read its head (HEAD) -> guard -> route -> permit -> find -> do it -> answer -> wait ...
//! ```
//!
//! A body that nobody read is skipped where it is short; else the answer closes the connection.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use remotes::sys::named;
use tokio::sync::watch;
use tracing::Instrument as _;

use super::audit::Change;
use super::authenticator::Untold;
use super::call::{Asked, Call, What, understood};
use super::git::GitAsk;
use super::judge::{Judge, Unjudged};
use super::room::Seat;
use super::shared::{Shared, date};
use super::transfers::{Listed, Transfer};
use crate::gateway::{Failure, FailureKind, LocalRepository, Named, Node, Unserved};
use crate::proto::git::route::{self as git, GitOp};
use crate::proto::http::access::{Action, Caller, Verdict};
use crate::proto::http::head::{self, Method};
use crate::proto::http::json;
use crate::proto::http::origin::Guard;
use crate::proto::http::response::{CONTINUE, Connection as Kept, Media, Response};
use crate::proto::http::route::Op;
use crate::request;
use crate::serve::conn::link::{Link, within};
use crate::serve::conn::share::Who;

/// Longest wait for the next request of a connection that is kept.
const IDLE: Duration = Duration::from_secs(120);

/// Longest time the answer to somebody who may not ask for this may take.
const REFUSAL: Duration = Duration::from_secs(10);

/// Longest time a head may take from its first byte to its last, where `--timeout` is not shorter.
const HEAD: Duration = Duration::from_secs(30);

/// Bytes read at a time where heads are expected.
pub(super) const READ: usize = 8 << 10;

/// A connection and what is known of it.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) link: Link,
    /// Bytes that arrived and belong to nobody yet.
    pub(super) early: Vec<u8>,
    out: Vec<u8>,
    guard: Guard,
    pub(super) seat: Seat,
    told: Told,
    stop: watch::Receiver<bool>,
}

/// The last answer.
#[derive(Default)]
struct Told {
    status: u16,
    /// Whether what was asked for was done, where the answer says so.
    done: Option<bool>,
}

/// What the client says about what it puts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Announced {
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) data_present: bool,
}

/// What to read next.
enum Next {
    Call(Box<Call>),
    /// Answered already.
    Answered,
    Close,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, link: Link, seat: Seat, stop: watch::Receiver<bool>) -> Self {
        let secure = link.is_secure();
        // A page cannot have a certificate for a name that is not its own.
        let loopback_names = shared.authenticator.access().is_wide_open() && !secure && link.is_loopback();
        let guard = Guard { secure, loopback_names, names: shared.hosts };
        Self { shared, link, early: Vec::new(), out: Vec::new(), guard, seat, told: Told::default(), stop }
    }

    /// Serves until the connection ends. What ends it in the middle of something is nobody's business but the log's.
    pub(super) async fn run(mut self) {
        loop {
            match self.next().await {
                Ok(Next::Call(call)) => {
                    match named(call.what.name(), self.serve(*call)).instrument(request::begin()).await {
                        Ok(true) if !*self.stop.borrow() => self.seat.rest(),
                        Ok(_) => break self.linger().await,
                        Err(_) => break,
                    }
                }
                Ok(Next::Answered) => self.seat.rest(),
                Ok(Next::Close) => break self.linger().await,
                Err(_) => break,
            }
        }
    }

    /// Reads up to the end of a head.
    async fn next(&mut self) -> io::Result<Next> {
        let mut seen = 0;
        let mut begun = if self.early.is_empty() { None } else { Some(Instant::now()) };
        loop {
            if !self.early.is_empty() {
                match head::parse_more(&self.early, seen) {
                    Ok(Some((head, length))) => {
                        if let Err(foreign) = self.guard.admit(&head) {
                            self.turn_away(foreign).instrument(request::begin()).await?;
                            return Ok(Next::Close);
                        }
                        let named = match self.named_by_front(&self.early[..length]) {
                            Ok(named) => named,
                            Err(refusal) => {
                                self.say(Response { connection: Kept::Close, ..Response::of(refusal.status()) }, b"")
                                    .await?;
                                return Ok(Next::Close);
                            }
                        };
                        let call = understood(&head, &self.shared, named);
                        self.early.drain(..length);
                        return match call {
                            Ok(call) => Ok(Next::Call(Box::new(call))),
                            Err(answered) => {
                                let (asked, reject) = *answered;
                                self.shared.metrics.request("other");
                                self.take_room(false).await?;
                                let response = Response::of(reject.status);
                                let kept = self.answer(asked, response, reject.body.as_bytes()).await?;
                                Ok(if kept && !*self.stop.borrow() { Next::Answered } else { Next::Close })
                            }
                        };
                    }
                    Ok(None) => seen = self.early.len(),
                    Err(refusal) => {
                        let detail = refusal.detail().as_bytes();
                        let response = Response {
                            media: Some(Media::Text),
                            length: detail.len() as u64,
                            connection: Kept::Close,
                            ..Response::of(refusal.status())
                        };
                        self.say(response, detail).await?;
                        return Ok(Next::Close);
                    }
                }
            }
            let limit = begun.map_or(IDLE, |start| HEAD.min(self.shared.limits.idle).saturating_sub(start.elapsed()));
            let at = self.early.len();
            self.early.resize(at + READ, 0);
            let n = tokio::select! {
                biased;
                read = within(limit, self.link.read(&mut self.early[at..])) => read,
                // A connection that waits for nothing is not waited for.
                () = stopped(&mut self.stop), if begun.is_none() => Ok(0),
                () = self.seat.lost() => return Err(io::ErrorKind::ConnectionAborted.into()),
            };
            self.early.truncate(at + *n.as_ref().unwrap_or(&0));
            match n {
                Ok(0) => return Ok(Next::Close),
                Ok(_) => {
                    begun.get_or_insert_with(Instant::now);
                }
                Err(e) if e.kind() == io::ErrorKind::TimedOut && begun.is_some() => {
                    self.say(Response { connection: Kept::Close, ..Response::of(408) }, b"").await?;
                    return Ok(Next::Close);
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// Does one request and answers it; says whether the connection may be used again.
    async fn serve(&mut self, call: Call) -> io::Result<bool> {
        let Call { asked, prefix, what, credentials, named } = call;
        self.shared.metrics.request(what.name());
        if let What::Annex { uuid, op } = &what {
            request::of(uuid);
            if let Some(key) = op.key() {
                request::about(key);
            }
        }
        let access = self.shared.authenticator.access();
        let secure = self.link.is_secure();
        let identified = match named {
            Some(name) => Ok(Caller::of_table(name)),
            None => {
                let others_know = self.shared.forward.is_some();
                let from = self.link.peer();
                self.shared.authenticator.identify(&access, credentials.as_ref(), secure, from, others_know).await
            }
        };
        let caller = match identified {
            Ok(caller) => caller,
            Err(untold) => return self.untold(asked, untold).await,
        };
        let credentials = credentials.filter(|_| access.is_usable(secure));
        // Whoever may do something somewhere could have it looked for by the name of that place, too.
        let looks = caller.is_known() || self.shared.forward.is_some() || access.is_open_somewhere();
        let mut judge = Judge::new(&self.shared, access, caller, credentials, asked.method, self.link.peer());
        let mut called = self.shared.repositories.called(&prefix, what.uuid());
        if let (b"", Some(uuid), true) = (&prefix[..], what.uuid(), looks)
            && (called.is_empty() || judge.refuses(what.action(), &called).await)
            && self.shared.repositories.is_stale(uuid).await
        {
            // A new repository has no name yet, and one that was moved another, by which anybody could have rights there.
            self.take_room(judge.caller.is_known()).await?;
            called = match self.shared.repositories.look_for(uuid).await {
                Ok(called) => called,
                Err(unserved) => return self.unserved(asked, unserved).await,
            };
        }
        // Who has no permission does not learn what is served, nor makes the disk look for it.
        let mut asked = match self.admit(&mut judge, what.action(), &called, asked).await? {
            ControlFlow::Continue(asked) => asked,
            ControlFlow::Break(stays) => return Ok(stays),
        };
        self.take_room(judge.caller.is_known()).await?;
        asked.user.clone_from(&judge.caller.name);
        let change = self.shared.audit.as_ref().and_then(|_| what.change()).map(|change| Change {
            user: asked.user.clone(),
            address: self.link.peer(),
            agent: asked.agent.take(),
            req: request::current(),
            ..change
        });
        self.told = Told::default();
        let done = self.carry_out(&mut judge, asked, what, &prefix, &mut called).await;
        if let (Some(audit), Some(change)) = (&self.shared.audit, change)
            && !audit.tell(Change { repository: called.to_vec(), ..change }, self.told.status, self.told.done)
        {
            self.shared.log.line("failed").with("error", "changes are not written down in the file of --audit").warn();
        }
        done
    }

    /// Finds what is asked for, and does it. `called` becomes what it is called, which may be otherwise than what was asked for: so it is
    /// judged once more.
    async fn carry_out(
        &mut self,
        judge: &mut Judge,
        asked: Asked,
        what: What,
        prefix: &[u8],
        called: &mut Arc<[u8]>,
    ) -> io::Result<bool> {
        let action = what.action();
        match what {
            What::Git(mut ask) => {
                let found = match self.named_or_new(judge, &ask, prefix).await {
                    Ok(Named { name, found }) => {
                        *called = name;
                        found
                    }
                    Err(unserved) => return self.unserved(asked, unserved).await,
                };
                let asked = match self.admit(judge, action, called, asked).await? {
                    ControlFlow::Continue(asked) => asked,
                    ControlFlow::Break(stays) => return Ok(stays),
                };
                // Where that cannot be told, nothing is taken away.
                let pushes = ask.op == GitOp::Pack(git::Service::ReceivePack);
                ask.may_remove = pushes && judge.may(Action::Remove, called).await;
                // What is done is large, and would be part of every request.
                Box::pin(self.git(asked, ask, &found, prefix)).await
            }
            What::Annex { uuid, op } => {
                let repositories = &self.shared.repositories;
                let node = match repositories.find(prefix, &uuid, &self.shared.limits, &asked.asker()).await {
                    Ok(Named { name, found }) => {
                        *called = name;
                        found
                    }
                    Err(unserved) => return self.unserved(asked, unserved).await,
                };
                let asked = match self.admit(judge, action, called, asked).await? {
                    ControlFlow::Continue(asked) => asked,
                    ControlFlow::Break(stays) => return Ok(stays),
                };
                Box::pin(self.annex(asked, &*node, op)).await
            }
        }
    }

    /// Gives the request back where the caller may do it in the repository that is called `name`. Others are answered; then it says
    /// whether the connection may be used again.
    async fn admit(
        &mut self,
        judge: &mut Judge,
        action: Action,
        name: &Arc<[u8]>,
        asked: Asked,
    ) -> io::Result<ControlFlow<bool, Asked>> {
        let status = match judge.judge(action, name).await {
            Ok(Verdict::Allow) => return Ok(ControlFlow::Continue(Asked { called: Arc::clone(name), ..asked })),
            Ok(Verdict::Authenticate) => 401,
            Ok(Verdict::Forbid) => 403,
            Err(Unjudged::Failed(failure)) => return self.fail(asked, &failure).await.map(ControlFlow::Break),
            Err(Unjudged::Untold(untold)) => return self.untold(asked, untold).await.map(ControlFlow::Break),
        };
        // Needs no room, so that whoever logs in after the first 401 finds out also when strangers have taken all of theirs.
        let said = tokio::time::timeout(REFUSAL, self.answer(asked, Response::of(status), b"")).await;
        said.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map(ControlFlow::Break)
    }

    /// The repository at `prefix`; a new one, where somebody pushes who may do everything there, and may make it.
    async fn named_or_new(
        &self,
        judge: &mut Judge,
        ask: &GitAsk,
        prefix: &[u8],
    ) -> Result<Named<Arc<LocalRepository>>, Unserved> {
        let repositories = &self.shared.repositories;
        let found = repositories.named(prefix).await;
        let (Err(Unserved::Unknown), Some(git)) = (&found, &self.shared.git) else { return found };
        let name = repositories.called(prefix, None);
        let is_first = ask.op == GitOp::Refs(git::Service::ReceivePack) && git.creates(&name);
        if !is_first || !judge.caller.is_known() || !judge.may(Action::Remove, &name).await {
            return found;
        }
        let caller = &judge.caller;
        git.make(repositories, prefix).await?;
        self.shared
            .log
            .line("created")
            .bytes("repository", prefix)
            .bytes("user", caller.name.as_deref().unwrap_or_default())
            .warn();
        repositories.named(prefix).await
    }

    /// Whom somebody in front names, who is believed.
    fn named_by_front(&self, head: &[u8]) -> Result<Option<Vec<u8>>, head::Refusal> {
        let Some(header) = &self.shared.header else { return Ok(None) };
        if !header.believes(self.link.peer()) {
            return Ok(None);
        }
        let named = head::value_of(head, &header.name)?;
        Ok(named.filter(|name| !name.is_empty()).map(<[u8]>::to_vec))
    }

    async fn unserved(&mut self, asked: Asked, unserved: Unserved) -> io::Result<bool> {
        match unserved {
            Unserved::Unknown => self.answer(asked, Response::of(404), b"").await,
            Unserved::Broken(failure) => self.fail(asked, &failure).await,
            Unserved::Refused(why) => {
                self.shared.log.line("failed").with("error", why.clone()).warn();
                let response = Response { media: Some(Media::Text), ..Response::of(403) };
                self.answer_saying(&why, asked, response, why.as_bytes()).await
            }
        }
    }

    /// Answers that nobody looks at this password now.
    async fn untold(&mut self, asked: Asked, untold: Untold) -> io::Result<bool> {
        let (status, words, seconds) = match untold {
            Untold::TooMany => (429, "too many wrong passwords came from there: wait a minute", 60),
            Untold::Busy => (503, "too many passwords are being verified: try again later", 5),
        };
        let response = Response { media: Some(Media::Text), retry_after: Some(seconds), ..Response::of(status) };
        let said = tokio::time::timeout(REFUSAL, self.answer_saying(words, asked, response, words.as_bytes())).await;
        said.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Does what git-annex asks for, of one who may.
    async fn annex(&mut self, asked: Asked, node: &dyn Node, op: Op) -> io::Result<bool> {
        match op {
            Op::CheckPresent { key } => {
                let found = node.check(&key).await;
                self.outcome(asked, found, json::present).await
            }
            Op::Get { key, file, offset } => self.get(asked, node, &key, file, offset).await,
            Op::Put { key, file, offset, len, data_present } => {
                self.put(asked, node, &key, file, Announced { offset, len, data_present }).await
            }
            Op::PutOffset { key } => self.put_offset(asked, node, &key).await,
            Op::Remove { key } => self.remove(asked, node, &key, None).await,
            Op::RemoveBefore { key, timestamp } => {
                let before = i64::try_from(timestamp).unwrap_or(i64::MAX);
                self.remove(asked, node, &key, Some(before)).await
            }
            Op::Timestamp => {
                let now = match node.timestamp().await {
                    Ok(now) => now,
                    Err(failure) => return self.fail(asked, &failure).await,
                };
                let mut body = Vec::new();
                json::timestamp(now, &mut body);
                self.answer(asked, Response::json(body.len()), &body).await
            }
            Op::Lock { key } => self.lock(asked, node, &key).await,
            Op::KeepLocked { lockid } => self.keep_locked(asked, &lockid).await,
        }
    }

    /// A request begins. Errors: there is no room for it now, and the client has been told.
    async fn take_room(&mut self, known: bool) -> io::Result<()> {
        if self.seat.begin(known) {
            return Ok(());
        }
        self.shared.metrics.turned_away.add(1);
        self.say(Response { retry_after: Some(5), connection: Kept::Close, ..Response::of(503) }, b"").await?;
        self.link.finish().await;
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    async fn remove(
        &mut self,
        asked: Asked,
        node: &dyn Node,
        key: &crate::name::Key,
        before: Option<i64>,
    ) -> io::Result<bool> {
        let api = asked.api;
        let mut others = Vec::new();
        let removed = match node.remove(key, before).await {
            Ok(removal) => {
                others = removal.from;
                Ok(removal.gone)
            }
            Err(failure) if matches!(failure.kind(), FailureKind::Locked | FailureKind::TooLate) => {
                self.shared.metrics.failure(failure.kind());
                Ok(false)
            }
            Err(failure) => Err(failure),
        };
        self.shared.log.line("remove").bytes("key", key.as_bytes()).with("removed", matches!(removed, Ok(true))).info();
        self.outcome(asked, removed, |removed, out| json::removed(api, removed, &others, out)).await
    }

    /// Answers with what `write` makes of an outcome, or with its failure.
    pub(super) async fn outcome(
        &mut self,
        asked: Asked,
        outcome: Result<bool, Failure>,
        write: impl Fn(bool, &mut Vec<u8>),
    ) -> io::Result<bool> {
        match outcome {
            Ok(answer) => {
                self.told.done = Some(answer);
                let mut body = Vec::with_capacity(64);
                write(answer, &mut body);
                self.answer(asked, Response::json(body.len()), &body).await
            }
            Err(failure) => self.fail(asked, &failure).await,
        }
    }

    /// Lists a transfer, of `total` bytes where that is known, for as long as what is given lasts.
    pub(super) fn list(&self, op: &'static str, asked: &Asked, key: Option<&[u8]>, total: Option<u64>) -> Listed {
        let (repository, user, address) = (Arc::clone(&asked.called), asked.user.clone(), self.link.peer());
        let (key, req) = (key.map(<[u8]>::to_vec), request::current());
        self.shared.transfers.list(Transfer { op, repository, user, address, key, total, req })
    }

    /// Whose transfer it is.
    pub(super) fn who(&self, asked: &Asked) -> Who {
        Who::new(asked.user.as_deref(), self.link.peer())
    }

    /// Whether the connection may stay, if nothing is left of the request.
    pub(super) fn keeps(&self, asked: &Asked) -> bool {
        // A client that waits for 100-continue has not sent its body and, told something else, will not.
        asked.keep && !asked.expect && !*self.stop.borrow()
    }

    /// Sends an answer with all of its body, once the request's body is out of the way; says whether the connection stays.
    pub(super) async fn answer(&mut self, asked: Asked, response: Response, body: &[u8]) -> io::Result<bool> {
        self.answer_saying("", asked, response, body).await
    }

    /// The same, with words behind the name of the status.
    pub(super) async fn answer_saying(
        &mut self,
        words: &str,
        mut asked: Asked,
        response: Response,
        body: &[u8],
    ) -> io::Result<bool> {
        let kept = self.keeps(&asked) && self.skip(&mut asked.body).await?;
        let connection = Kept::of(asked.version, kept);
        let length = if response.length == 0 { body.len() as u64 } else { response.length };
        // The head tells of it; a body after it would be taken for the next answer.
        let body = if asked.method == Method::Head { b"" } else { body };
        self.say_words(words, Response { length, connection, ..response }, body).await?;
        Ok(kept)
    }

    /// Writes a head and what follows it at once.
    async fn say(&mut self, response: Response, body: &[u8]) -> io::Result<()> {
        self.say_words("", response, body).await
    }

    pub(super) async fn say_words(&mut self, words: &str, response: Response, body: &[u8]) -> io::Result<()> {
        self.shared.metrics.status(response.status);
        self.told.status = response.status;
        self.out.clear();
        let response = Response { realm: self.shared.realm, ..response };
        response.write_saying(words, &date(), &mut self.out);
        self.out.extend_from_slice(body);
        self.link.write(&self.out, self.shared.limits.idle).await
    }

    /// The head of an answer whose body the caller sends.
    pub(super) async fn begin(&mut self, asked: &Asked, response: Response) -> io::Result<()> {
        let connection = Kept::of(asked.version, asked.keep && !*self.stop.borrow());
        self.say(Response { connection, ..response }, b"").await
    }

    /// Lets a client that waits for it send its body.
    pub(super) async fn go_on(&mut self, asked: &mut Asked) -> io::Result<()> {
        if std::mem::take(&mut asked.expect) && self.early.is_empty() {
            self.link.write(CONTINUE, self.shared.limits.idle).await?;
        }
        Ok(())
    }
}

/// Waits until the server is told to stop.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Its sender lives as long as the server.
    let _ = stop.wait_for(|stop| *stop).await;
}
