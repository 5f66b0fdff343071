//! One conversation over ssh.

use std::io;
use std::rc::Rc;

use super::command;
use crate::name::Uuid;
use crate::peer::link::{Link, within};
use crate::peer::{Failure, FailureKind, Shared, SshRemote};
use crate::process::Process;
use crate::proto::p2p::{Answer, Broken, Client};

/// Bytes that are read at once while lines are expected.
const READ: usize = 8 << 10;

/// ssh, and where the conversation is.
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) link: Link,
    /// Whom the other side was told not to ask.
    pub(super) bypass: Rc<[Uuid]>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The other side is gone; `silent`: nothing was heard since it was asked.
    Gone { silent: bool, what: String },
    /// What comes is malformed, or takes too long.
    Lost(String),
}

impl Connection {
    /// Starts ssh and waits until the other side says that it is the repository it should be. What it is not to ask goes out with
    /// the first question.
    pub(super) async fn open(remote: &SshRemote, shared: &Shared, bypass: &Rc<[Uuid]>) -> Result<Self, Failure> {
        let mut command = command::here(remote, &shared.uuid, &shared.client);
        if let Some(directory) = &shared.settings.directory {
            command.current_dir(directory);
        }
        let process = Process::start(command).await.map_err(|e| shared.failure(e.kind(), e))?;
        let (client, bypass) = (Client::new(shared.uuid.clone()), Rc::clone(bypass));
        let mut connection = Self { client, link: Link::Process(process), bypass };
        let ready = async { Ok(connection.hear(shared).await) };
        let trouble = match within(shared.settings.connect, ready).await {
            Ok(Ok(Answer::Ready)) => {
                if !connection.bypass.is_empty() && connection.client.bypass(&connection.bypass).is_err() {
                    return Err(shared.broken("the conversation is somewhere else"));
                }
                return Ok(connection);
            }
            Ok(Ok(other)) => Trouble::Lost(format!("unexpected answer {other:?}")),
            Ok(Err(trouble)) => trouble,
            Err(_) => Trouble::Lost(format!("it did not answer within {} s", shared.settings.connect.as_secs())),
        };
        Err(connection.failure(shared, trouble).await)
    }

    /// Says what is to be said, and waits for the answer.
    pub(super) async fn answer(&mut self, shared: &Shared) -> Result<Answer, Trouble> {
        match self.flush(shared).await {
            Err(e) if e.kind() == io::ErrorKind::TimedOut => Err(Trouble::Lost(e.to_string())),
            // It may have said why before it went. A peer that sends byte by byte is given up as one that sends none.
            _ => match within(shared.settings.idle, async { Ok(self.hear(shared).await) }).await {
                Ok(heard) => heard,
                Err(e) => Err(Trouble::Lost(e.to_string())),
            },
        }
    }

    /// Says what is to be said.
    pub(super) async fn flush(&mut self, shared: &Shared) -> io::Result<()> {
        let output = self.client.take_output();
        self.link.write(&output, shared.settings.idle).await
    }

    async fn hear(&mut self, shared: &Shared) -> Result<Answer, Trouble> {
        let mut silent = true;
        loop {
            match self.client.next_answer() {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => {}
                Err(broken @ Broken::Gone) => return Err(Trouble::Gone { silent, what: broken.to_string() }),
                Err(broken) => return Err(Trouble::Lost(broken.to_string())),
            }
            if let Err(e) = self.flush(shared).await
                && e.kind() == io::ErrorKind::TimedOut
            {
                return Err(Trouble::Lost(e.to_string()));
            }
            let mut buf = [0; READ];
            match self.link.read_within(&mut buf, shared.settings.idle).await {
                Ok(0) => self.client.eof(),
                Ok(n) => {
                    silent = false;
                    self.client.push(&buf[..n]);
                }
                Err(e) if e.kind() == io::ErrorKind::TimedOut => return Err(Trouble::Lost(e.to_string())),
                Err(e) => return Err(Trouble::Gone { silent, what: e.to_string() }),
            }
        }
    }

    /// Whether another question may be asked.
    pub(super) fn is_usable(&self) -> bool {
        self.client.is_idle() && self.link.is_quiet()
    }

    /// What became of the connection, with what ssh or git-annex-shell said of it.
    pub(super) async fn failure(mut self, shared: &Shared, trouble: Trouble) -> Failure {
        let (words, is_answer) = match &mut self.link {
            Link::Process(process) => {
                process.close_input();
                (process.last_words().await, process.was_answered())
            }
            _ => (String::new(), false),
        };
        let (Trouble::Gone { what, .. } | Trouble::Lost(what)) = trouble;
        // What git-annex-shell says when it is to remove what somebody keeps.
        let kind = if words.contains("content is locked") { FailureKind::Locked } else { FailureKind::Broken };
        let failure = match words.is_empty() {
            true => shared.failure(kind, what),
            false => shared.failure(kind, format_args!("{what} ({words})")),
        };
        if is_answer { failure.answered() } else { failure }
    }
}
