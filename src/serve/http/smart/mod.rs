//! git over the same address: cloned, fetched from and pushed to by `git http-backend`, with our rights.
//!
//! ```text
//!   slot (PATIENCE) -> commands of a push -> start git -> body to git  -> head of git -> its output to the client -> trees
//!        503              400 403 415                      | and its output held (HELD)      |  chunks            | after a push
//!                                                          +-- client gone: git is ended ----+--------------------+
//! ```
//!
//! Both ways bytes pass through memory of a fixed size. Each wait for bytes has the limit `--timeout`; git says every five seconds
//! that it is still at work, and that alone is believed for [`SILENT_WORK`].

mod backend;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backend::Sent;

use super::call::Asked;
use super::connection::Connection;
use super::git::hooks::Hooks;
use super::git::program::Backend;
use super::git::{Git, GitAsk, trees};
use crate::gateway::{Failure, LocalRepository, blocking};
use crate::process::Process;
use crate::proto::git::config::{PublicUrl, url_below, url_of, write};
use crate::proto::git::push::{BadPush, Commands, MOST, Restricted};
use crate::proto::git::route::{GitOp, Service};
use crate::proto::http::response::{Media, Response};
use crate::serve::conn::patience::Patience;

/// Longest time in which git does nothing but say that it is at work: hooks, and the deltas of a large push.
const SILENT_WORK: Duration = Duration::from_secs(3600);

impl Connection {
    /// Does what git asks for, of one who may.
    pub(super) async fn git(
        &mut self,
        asked: Asked,
        ask: GitAsk,
        served: &Arc<LocalRepository>,
        prefix: &[u8],
    ) -> io::Result<bool> {
        let shared = Arc::clone(&self.shared);
        let Some(git) = &shared.git else { return self.answer(asked, Response::of(404), b"").await };
        if ask.op == GitOp::Config {
            return self.git_config(asked, &ask, served, prefix, git.public.as_ref()).await;
        }
        let Some(slot) = git.slots.take(asked.user.as_deref()).await else {
            let words = "too many are fetching and pushing now (--git-processes); try again later";
            return self.fail(asked, &Failure::busy(words)).await;
        };
        let started = Instant::now();
        let mut asked = asked;
        let (mut front, mut commands) = (Vec::new(), Commands::default());
        let mut patience = Patience::new(git.min_rate, self.shared.limits.idle);
        if ask.op == GitOp::Pack(Service::ReceivePack) {
            self.go_on(&mut asked).await?;
            let read = match self.commands(&mut asked, &mut front, &mut patience).await {
                Ok(read) => read,
                Err(e) => {
                    let line = self.shared.log.line("git").with("op", ask.op.name()).bytes("repository", prefix);
                    line.with("error", format!("the request broke off: {e}")).warn();
                    return Err(e);
                }
            };
            commands = match read {
                Ok(commands) => commands,
                Err(BadPush::Malformed) => return self.text(asked, 400, "this is no push").await,
                Err(BadPush::TooLong) => {
                    return self.text(asked, 403, "too many references at once: push some after the others").await;
                }
            };
        }
        let restricted = match (ask.may_remove, commands.restricted()) {
            (true, _) => None,
            (false, Some(restricted)) => Some(restricted),
            (false, None) => {
                return self.text(asked, 403, "who may only append pushes no certificates, and few references").await;
            }
        };
        let hooks = match hooks_for(restricted.as_ref(), served, git).await {
            Ok(hooks) => hooks,
            Err(failure) => return self.fail(asked, &failure).await,
        };
        let command = git.program.command(&Backend {
            git_dir: served.repository().git_dir(),
            op: ask.op,
            protocol: ask.protocol.as_deref(),
            gzip: ask.gzip,
            user: asked.user.as_deref(),
            address: self.link.peer().map(|address| address.to_string()),
            restricted: restricted.as_ref().map(|restricted| {
                (restricted, hooks.as_ref().map_or(std::path::Path::new("/nonexistent"), Hooks::path))
            }),
        });
        self.go_on(&mut asked).await?;
        // The slot and the hooks last as long as git does, which may be longer than this request.
        let process = match Process::start_with(command, Some(Box::new((slot, hooks)))).await {
            Ok(process) => process,
            Err(failure) => return self.fail(asked, &failure).await,
        };
        let follows = !commands.all.is_empty() && commands.sideband && trees::has_trees(served);
        let after = follows.then(|| trees::After { served: Arc::clone(served), commands });
        let user = asked.user.clone();
        let sent = self.backend(asked, &ask, process, front, after, patience).await;
        let mut line = self.shared.log.line("git").with("op", ask.op.name()).bytes("repository", prefix);
        line = line.seconds("seconds", started.elapsed());
        if let Some(user) = &user {
            line = line.bytes("user", user);
        }
        match sent {
            Ok(Sent { kept, received, sent, words }) => {
                line = line.with("received", received).with("sent", sent);
                if words.is_empty() {
                    line.info()
                } else {
                    line.with("error", words).warn()
                }
                Ok(kept)
            }
            Err(e) => {
                line.with("error", e.to_string()).warn();
                Err(e)
            }
        }
    }

    async fn git_config(
        &mut self,
        asked: Asked,
        ask: &GitAsk,
        served: &LocalRepository,
        prefix: &[u8],
        public: Option<&PublicUrl>,
    ) -> io::Result<bool> {
        let secure = self.link.is_secure();
        let url = match public {
            Some(public) => Some(url_below(public, prefix)),
            None => ask.host.as_deref().and_then(|host| url_of(host, secure, prefix)),
        };
        let Some(url) = url else { return self.text(asked, 400, "Host is missing or malformed").await };
        let body = write(served.uuid(), &url);
        let response = Response { media: Some(Media::Git("text/plain; charset=utf-8")), ..Response::of(200) };
        self.answer(asked, Response { length: body.len() as u64, ..response }, &body).await
    }

    /// Reads a push up to the end of its commands. What was read of it is in `front`.
    async fn commands(
        &mut self,
        asked: &mut Asked,
        front: &mut Vec<u8>,
        patience: &mut Patience,
    ) -> io::Result<Result<Commands, BadPush>> {
        loop {
            match Commands::parse(front) {
                Ok(Some(commands)) => return Ok(Ok(commands)),
                Ok(None) if front.len() > MOST => return Ok(Err(BadPush::TooLong)),
                Ok(None) => {}
                Err(bad) => return Ok(Err(bad)),
            }
            let before = front.len();
            let mut rest = &self.early[..];
            let piece = asked.body.next(&mut rest).map_err(|bad| io::Error::other(bad.0))?;
            front.extend_from_slice(piece.unwrap_or_default());
            let used = self.early.len() - rest.len();
            self.early.drain(..used);
            if front.len() == before {
                if asked.body.is_done() {
                    return Ok(Err(BadPush::Malformed));
                }
                if self.more_with(patience).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }

    async fn text(&mut self, asked: Asked, status: u16, words: &str) -> io::Result<bool> {
        let response = Response { media: Some(Media::Text), ..Response::of(status) };
        self.answer_saying(words, asked, response, words.as_bytes()).await
    }
}

async fn hooks_for(
    restricted: Option<&Restricted>,
    served: &Arc<LocalRepository>,
    git: &Git,
) -> Result<Option<Hooks>, Failure> {
    if restricted.is_none_or(|restricted| restricted.united.is_empty()) {
        return Ok(None);
    }
    let (served, this) = (Arc::clone(served), git.program.this.clone());
    let made = blocking(move || Hooks::make(&served, &this)).await?;
    made.map(Some).map_err(|e| Failure::io("make the hooks of a push that may only append", &e))
}
