//! The end of an upload to many places: commit, keep or discard, side by side.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::{Fan, Running};
use crate::gateway::receive::{Settled, Sink};
use crate::gateway::{Failure, FailureKind};
use crate::name::Uuid;

impl Fan {
    /// Commits everywhere at once. What one place has is stored; those that fail, and those that take much longer than another,
    /// are left out of the answer.
    pub(super) async fn commit_all(mut self) -> Result<Settled, Failure> {
        self.legs.iter().for_each(|leg| leg.queue.close());
        self.ready(true).await?;
        let mut commits = FuturesUnordered::new();
        for mut leg in std::mem::take(&mut self.legs) {
            let (uuid, is_place, name) = (leg.uuid.clone(), leg.is_place, leg.name.clone());
            let commit = async move {
                let settled = match leg.sink().await {
                    Some(sink) => sink.commit().await,
                    None => Err(super::over()),
                };
                drop(leg);
                settled
            };
            // By tasks of their own: whoever commits does not stop half way because nobody waits for it any more.
            let commit = tokio::task::spawn_local(commit);
            commits.push(async move {
                let settled = commit.await.unwrap_or_else(|e| Err(Failure::internal(e.to_string())));
                (uuid, is_place, name, settled)
            });
        }
        let (mut stored, mut is_stored, mut until) = (BTreeSet::new(), false, None);
        let mut is_wrong = self.lost.is_empty();
        while let Some(next) = within(until, commits.next()).await {
            let Some((uuid, is_place, name, settled)) = next else { break };
            match settled {
                Ok(Settled::Stored(others)) => {
                    is_stored = true;
                    until.get_or_insert_with(|| Instant::now() + self.idle);
                    stored.extend(Some(uuid).filter(|_| is_place));
                    stored.extend(others);
                }
                Ok(Settled::Wrong) => {
                    let words = "it says that this is not the content";
                    self.left_out(&uuid, name, Failure::internal(words.to_string()));
                }
                Err(failure) => {
                    is_wrong = false;
                    self.left_out(&uuid, name, failure);
                }
            }
        }
        if !is_stored {
            return if is_wrong { Ok(Settled::Wrong) } else { Err(self.nobody()) };
        }
        if !commits.is_empty() {
            tracing::warn!(
                "{}: {} nodes take too long to store it, and are left out of the answer",
                self.key,
                commits.len()
            );
        }
        stored.append(&mut std::mem::take(&mut self.others).into_iter().collect());
        Ok(Settled::Stored(falling(stored)))
    }

    /// All legs take what they were given and keep it, or forget it at once. A leg that hangs is let go.
    pub(super) async fn end_all(mut self, keep: bool) -> Result<(), Failure> {
        for leg in &self.legs {
            if !keep {
                leg.queue.clear();
            }
            leg.queue.close();
        }
        let idle = self.idle;
        let end = async |mut leg: Running| -> Result<(), Failure> {
            let ended = async {
                match leg.sink().await {
                    Some(sink) if keep => sink.keep().await,
                    Some(sink) => sink.discard().await,
                    None => Ok(()),
                }
            };
            let ended = tokio::time::timeout(idle, ended).await;
            ended.unwrap_or_else(|_| Err(Failure::busy(&format!("node {} takes too long", leg.name))))
        };
        let ended: Vec<Result<(), Failure>> = join_all(std::mem::take(&mut self.legs).into_iter().map(end)).await;
        ended.into_iter().collect()
    }

    fn left_out(&mut self, uuid: &Uuid, name: String, failure: Failure) {
        tracing::warn!("{}: node {name} does not store it: {failure}", self.key);
        (self.parted)(uuid, &failure);
        self.lost.push((name, failure));
    }

    /// What is said where no place is left.
    pub(super) fn nobody(&self) -> Failure {
        let mut kinds = self.lost.iter().map(|(_, failure)| failure.kind());
        let first = kinds.next().unwrap_or(FailureKind::Broken);
        let kind = if kinds.all(|kind| kind == first) { first } else { FailureKind::Broken };
        let reasons: Vec<String> = self.lost.iter().map(|(name, failure)| format!("{name}: {failure}")).collect();
        Failure::new(kind, format!("no node of the cluster stores it ({})", reasons.join("; ")))
    }
}

impl Running {
    /// Its sink, once its task has taken all it was given; `None` where that failed.
    async fn sink(&mut self) -> Option<Box<dyn Sink>> {
        match self.task.as_mut() {
            Some(task) => {
                let sink = task.await.ok().flatten();
                self.task = None;
                sink
            }
            None => self.sink.take(),
        }
    }
}

/// The uuids as git-annex orders them in answers. Recorded: falling.
fn falling(uuids: BTreeSet<Uuid>) -> Vec<Uuid> {
    uuids.into_iter().rev().collect()
}

async fn within<T>(until: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    match until {
        Some(until) => tokio::time::timeout_at(until, future).await.ok(),
        None => Some(future.await),
    }
}
