//! A drop: allowed only while enough other copies are locked, or were seen in this moment.
//!
//! ```text
//! lock the key among all who balance --> read its log, plan again --> lock or look at other copies --> remove, within a limit
//! ```
//!
//! Copies in git repositories are locked, as git-annex does it. Special remotes have no locks: a copy there counts when it is seen
//! after this key was locked here. git-annex itself refuses to drop from a special remote where all other copies are on such;
//! docs/semantics.md says what that difference means.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::planner::Planned;
use super::subject::Subject;
use super::{Doing, What};
use crate::annex::lock::{LockFile, LockKind};
use crate::annex::log::Presence;
use crate::cluster::Moves;
use crate::gateway::held::HeldLock;
use crate::gateway::node::Member;
use crate::gateway::node::open;
use crate::gateway::{Failure, FailureKind, blocking};
use crate::name::Key;

/// Copies that are there, and what keeps them there.
struct Proof {
    count: u64,
    locks: Vec<HeldLock>,
}

impl Proof {
    fn holds(&self) -> bool {
        !self.locks.iter().any(|lock| lock.lost().is_so())
    }
}

/// Pauses between two looks at whether others are done with a key.
const PAUSE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(100));

impl Doing<'_> {
    /// Drops it from `node`, if that is still to be done. Failures: it stays there, and it is told.
    pub(super) async fn drop(&self, subject: &Subject, counted: &Moves, node: &Arc<Member>) -> Result<(), Failure> {
        let size = subject.key.size().unwrap_or(0);
        match self.drop_proven(subject, counted, node).await {
            Ok(true) => {
                self.told(subject, What::Drop(node.uuid().clone()), size, Ok(()));
                Ok(())
            }
            Ok(false) => Ok(()),
            Err(failure) => {
                self.told(subject, What::Drop(node.uuid().clone()), size, Err(&failure));
                Err(failure)
            }
        }
    }

    /// False where it is not to be dropped any more.
    async fn drop_proven(&self, subject: &Subject, counted: &Moves, node: &Arc<Member>) -> Result<bool, Failure> {
        let _locked = self.lock(&subject.key).await?;
        // What others did meanwhile is in the log by now.
        let (subject, planned) = self.planned_anew(subject, counted).await?;
        let is_due = planned.moves.drops.iter().any(|repo| self.planner.policy().uuid(*repo) == node.uuid());
        if !is_due || !planned.moves.to.is_empty() {
            return Ok(false);
        }
        let proof = self.proof(&subject, &planned, node).await?;
        if !proof.holds() {
            return Err(Failure::new(
                FailureKind::Busy,
                "a lock on another copy was lost; try again later".to_string(),
            ));
        }
        let removed = self.cluster.remove_from(&subject.key, node).await;
        // Not before it is removed, or cannot be any more.
        drop(proof);
        match removed {
            Ok(removal) if removal.gone => Ok(true),
            Ok(_) => Err(Failure::internal("it is not certain that it is gone".to_string())),
            Err(failure) => Err(failure),
        }
    }

    /// That enough copies stay when `leaving` drops it.
    async fn proof(&self, subject: &Subject, planned: &Planned, leaving: &Arc<Member>) -> Result<Proof, Failure> {
        let (key, needed) = (&subject.key, planned.copies.needed);
        let mut proof = Proof { count: self.planner.trusted(subject), locks: Vec::new() };
        let (mut on_nodes, mut doubts) = (0, Vec::new());
        for (node, condition) in self.planner.holders(subject).filter(|(node, _)| node.uuid() != leaving.uuid()) {
            if proof.count >= needed && on_nodes > 0 {
                break;
            }
            if !condition.is_up || !condition.is_sure {
                continue;
            }
            match self.evidence(subject, node).await {
                Ok(Some(lock)) => {
                    on_nodes += 1;
                    proof.count += u64::from(self.planner.is_relied_on(node.uuid()));
                    proof.locks.extend(lock);
                }
                Ok(None) => doubts.push(format!("{} has it not", node.name())),
                Err(failure) => doubts.push(format!("{}: {failure}", node.name())),
            }
        }
        let own = self.home.uuid();
        let is_here = subject.log.presence(own) == Some(Presence::Present) && self.planner.is_relied_on(own);
        if proof.count < needed
            && is_here
            && let Some(lock) = self.home.lock(key).await?
        {
            proof.count += 1;
            proof.locks.push(HeldLock::Content(lock));
        }
        if proof.count >= needed && on_nodes > 0 {
            return Ok(proof);
        }
        let why = if doubts.is_empty() { String::new() } else { format!(" ({})", doubts.join("; ")) };
        let words = match on_nodes {
            0 => format!("no other node has it for sure{why}"),
            _ => format!("only {} of {needed} necessary copies could be verified{why}", proof.count),
        };
        Err(Failure::refused(words))
    }

    /// A lock on the copy of a node; an empty one where it has none and was seen to have it. `None` where it has it not.
    async fn evidence(&self, subject: &Subject, node: &Arc<Member>) -> Result<Option<Option<HeldLock>>, Failure> {
        let key = &subject.key;
        let asked = async {
            let opened = open(self.home, &node.remote, &self.limits, &node.asker).await?;
            if opened.special().is_none() {
                return Ok(opened.lock(key).await?.map(Some));
            }
            Ok(opened.check(key).await?.then_some(None))
        };
        let asked = tokio::time::timeout(self.limits.idle, asked).await;
        let found = asked.unwrap_or_else(|_| Err(Failure::busy("it gave no answer")))?;
        if found.is_none() && !self.is_on_by_look(subject, node).await? {
            self.absent(subject, node).await?;
        }
        Ok(found)
    }

    /// Whether a node that would not lock it has it all the same, such as while somebody else drops it.
    async fn is_on_by_look(&self, subject: &Subject, node: &Arc<Member>) -> Result<bool, Failure> {
        self.cluster.is_on(&subject.key, node).await
    }

    /// The key, for this alone among all who balance in this repository.
    async fn lock(&self, key: &Key) -> Result<LockFile, Failure> {
        let dir: PathBuf = self.home.repository().annex_dir().join("stream/balance");
        // A file for each of 256 kinds of keys, since files of locks stay.
        let path = dir.join(format!("{:02x}.lck", Sha256::digest(key.as_bytes())[0]));
        let (begun, mut pause) = (Instant::now(), PAUSE.0);
        loop {
            let (dir, path) = (dir.clone(), path.clone());
            let locked = blocking(move || {
                std::fs::create_dir_all(dir)?;
                LockFile::try_lock(&path, LockKind::Exclusive, 0o666)
            });
            match locked.await?.map_err(|e| Failure::io("lock the key", &e))? {
                Some(lock) => return Ok(lock),
                None if begun.elapsed() > self.limits.idle * 2 => {
                    return Err(Failure::busy("another balance is at work on this key"));
                }
                None => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE.1);
                }
            }
        }
    }
}
