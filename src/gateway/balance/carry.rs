//! One key, moved: copies first, each recorded; then the drops, each proven anew.

use std::sync::Arc;

use super::body::Carried;
use super::planner::Planned;
use super::subject::Subject;
use super::{Doing, Item, What};
use crate::cluster::Moves;
use crate::gateway::node::Member;
use crate::gateway::node::Node;
use crate::gateway::receive::{End, Offer, Settled, Unsettled, Upload};
use crate::gateway::{Failure, Outgoing, blocking};
use crate::name::Uuid;
use crate::proto::p2p::AssociatedFile;

impl Doing<'_> {
    /// Does what is planned for a key, as it is recorded now. Failures: some of it is not done; what was done is recorded.
    pub(super) async fn carry(&self, item: Item) -> Result<(), Failure> {
        let Item { subject, mut counted } = item;
        let (subject, planned) = self.planned_anew(&subject, &counted).await?;
        if self.plea.check {
            self.planner.carry(&subject, &planned.moves);
            counted = planned.moves.clone();
        }
        let to: Vec<Arc<Member>> =
            planned.moves.to.iter().filter_map(|pick| self.planner.node(pick.repo).cloned()).collect();
        if !to.is_empty() {
            self.copy(&subject, &to).await?;
        }
        for repo in &planned.moves.drops {
            if self.stop.get() {
                return Ok(());
            }
            if let Some(node) = self.planner.node(*repo) {
                self.drop(&subject, &counted, node).await?;
            }
        }
        Ok(())
    }

    /// The key as it is recorded now, and what is to be done about it.
    pub(super) async fn planned_anew(&self, subject: &Subject, counted: &Moves) -> Result<(Subject, Planned), Failure> {
        let (home, subject) = (Arc::clone(self.home), subject.clone());
        let again = blocking(move || subject.again(home.repository().branch())).await?;
        let again = again.map_err(|e| Failure::internal(format!("read where it is: {e}")))?;
        let planned = self.planned(&again, counted).await?;
        Ok((again, planned))
    }

    /// Copies it to `to`, from whichever node gives it, or from here.
    async fn copy(&self, subject: &Subject, to: &[Arc<Member>]) -> Result<(), Failure> {
        let (key, size) = (&subject.key, subject.key.size().unwrap_or(0));
        let file = subject.files.first().and_then(|file| AssociatedFile::new(file)).unwrap_or_default();
        let (offer, mut failed) = match self.cluster.put_to(key, &file, to).await {
            Ok(offered) => offered,
            Err(failure) => {
                self.told(
                    subject,
                    What::Copy(to.iter().map(|node| node.uuid().clone()).collect()),
                    size,
                    Err(&failure),
                );
                return Err(failure);
            }
        };
        let has = match offer {
            Offer::AlreadyHave(_) => Ok(to.iter().map(|node| node.uuid().clone()).collect()),
            Offer::Upload(upload) => self.bring(subject, &file, *upload).await,
        };
        match has {
            Ok(has) => {
                let missing = to.iter().filter(|node| !has.contains(node.uuid()));
                for node in missing {
                    if !failed.iter().any(|(uuid, _)| uuid == node.uuid()) {
                        failed
                            .push((node.uuid().clone(), Failure::internal("it did not store it; see the log".into())));
                    }
                }
                let came: Vec<Uuid> =
                    to.iter().map(|node| node.uuid().clone()).filter(|uuid| has.contains(uuid)).collect();
                if !came.is_empty() {
                    self.told(subject, What::Copy(came), size, Ok(()));
                }
            }
            Err(failure) => {
                let taking = to.iter().map(|node| node.uuid().clone());
                let taking: Vec<Uuid> = taking.filter(|uuid| !failed.iter().any(|(other, _)| other == uuid)).collect();
                failed.extend(taking.into_iter().map(|uuid| (uuid, failure.clone())));
            }
        }
        for (uuid, failure) in &failed {
            self.told(subject, What::Copy(vec![uuid.clone()]), size, Err(failure));
        }
        failed.pop().map_or(Ok(()), |(_, failure)| Err(failure))
    }

    /// Who has it then.
    async fn bring(&self, subject: &Subject, file: &AssociatedFile, mut upload: Upload) -> Result<Vec<Uuid>, Failure> {
        let from = upload.offset();
        let content = match self.content(subject, file, from).await {
            Ok(content) => content,
            Err(failure) => {
                // Nothing was sent; what is there from before stays.
                let _ = upload.keep().await;
                return Err(failure);
            }
        };
        let (total, pace) = (content.total(), content.pace());
        let part = content.part(from, u64::MAX);
        if part.first != from || from + part.len != total {
            let _ = upload.keep().await;
            return Err(Failure::internal(format!("it has another length there: {total} bytes")));
        }
        let len = part.len;
        if let Err(failure) = upload.begin(from, len).await {
            // It begins anew when it is tried again.
            let _ = upload.discard().await;
            return Err(failure);
        }
        let mut body = Carried::new(part, pace, &self.limits, &self.stop);
        let end = upload.receive(&mut body, len, self.rate.as_ref()).await;
        if matches!(end, End::Whole) && !body.finish().await {
            let _ = upload.discard().await;
            return Err(Failure::busy("the content changed while it was read"));
        }
        match upload.settle(end).await {
            Ok(Settled::Stored(has)) => Ok(has),
            Ok(Settled::Wrong) => Err(Failure::refused(
                "what the node gave is not the content; git annex fsck --from says which copy is bad".to_string(),
            )),
            Err(Unsettled::Connection(e)) => Err(Failure::io("read the content", &e)),
            Err(Unsettled::Content(failure)) => Err(failure),
        }
    }

    async fn content(&self, subject: &Subject, file: &AssociatedFile, from: u64) -> Result<Outgoing, Failure> {
        let found = self.cluster.get(&subject.key, file, from, None).await;
        if let Ok(Some(content)) = found {
            return Ok(content);
        }
        if let Some(content) = self.home.get(&subject.key).await? {
            return Ok(content);
        }
        Err(found.err().unwrap_or_else(|| Failure::refused("no node has it, whatever is recorded".to_string())))
    }
}
