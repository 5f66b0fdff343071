//! Content on its way from a client into the store of a special remote: visible once it is right, and resumed where it was
//! broken off, with nothing on this computer's disk but the ledger.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use async_trait::async_trait;
use bytes::Bytes;
use remotes::{Mark, ObjectName, Put, Resumption, put_stream};

use super::StoreNode;
use crate::annex::backend::Verifier;
use crate::annex::unfinished::{Begun, Ledger};
use crate::gateway::receive::{Savepoints, Settled, Sink, States};
use crate::gateway::{Failure, blocking};
use crate::name::Key;

/// One upload into a store. Dropping it lets go of the store; what reached a mark stays where the ledger tells of it.
pub(in crate::gateway) struct StoreSink {
    pub(super) node: Rc<StoreNode>,
    pub(super) key: Key,
    pub(super) object: ObjectName,
    /// None where somebody else holds it, or it cannot be written: this upload cannot be resumed then.
    pub(super) ledger: Option<Ledger>,
    pub(super) put: Option<Box<dyn Put>>,
    /// The digest of what an earlier upload brought to the store.
    digested: Option<Verifier>,
    /// Bytes that it brought, of how many.
    offset: u64,
    end: u64,
    has_begun: bool,
    states: Option<States>,
    /// Marks whose digest is not there yet.
    unmarked: VecDeque<Mark>,
}

impl StoreSink {
    /// Looks for what an earlier upload left, and asks the store whether it is there still.
    pub(in crate::gateway) async fn open(
        node: &Rc<StoreNode>,
        key: &Key,
        object: ObjectName,
        ledger: Option<Ledger>,
    ) -> Result<Self, Failure> {
        let mut sink = Self {
            node: Rc::clone(node),
            key: key.clone(),
            object,
            ledger,
            put: None,
            digested: None,
            offset: 0,
            end: 0,
            has_begun: false,
            states: None,
            unmarked: VecDeque::new(),
        };
        sink.resume().await?;
        Ok(sink)
    }

    async fn resume(&mut self) -> Result<(), Failure> {
        let Some(begun) = self.ledger.as_ref().and_then(Ledger::begun).cloned() else { return Ok(()) };
        let Some(uploads) = self.node.store.uploads() else { return self.forget().await };
        let resumption = Resumption { token: begun.token.clone(), step: begun.step };
        if let Some((verifier, end)) = self.state_of(&begun) {
            let marks: Vec<_> = begun.marks.iter().map(|(end, tag)| Mark { end: *end, tag: tag.clone() }).collect();
            let resumed = uploads.resume(&self.object, begun.len, &resumption, &marks).await;
            if let Some(put) = resumed.map_err(|e| self.node.failure(&e))? {
                self.put = Some(put);
                self.digested = Some(verifier);
                (self.offset, self.end) = (end, begun.len);
                return Ok(());
            }
        } else if begun.token.is_empty() {
            let gone = uploads.abandon_unnamed(&self.object, begun.created).await;
            if !gone.map_err(|e| self.node.failure(&e))? {
                // It has no parts, and costs nothing.
                tracing::info!(
                    "remote {}: the store may have an upload of {} that nobody resumes, or that another client has in \
                     progress; the store's rule for unfinished uploads removes it",
                    self.node.name(),
                    self.key
                );
            }
        } else {
            uploads.abandon(&self.object, &resumption).await.map_err(|e| self.node.failure(&e))?;
        }
        self.forget().await
    }

    /// The digest of what lies in the store, and how much that is. `None` where nothing of use does.
    fn state_of(&self, begun: &Begun) -> Option<(Verifier, u64)> {
        let (end, _) = begun.marks.last()?;
        let fits = begun.object == self.object.as_bytes() && self.key.size().is_none_or(|size| size == begun.len);
        Some((Verifier::restore(&self.key, &begun.digest)?, *end)).filter(|_| fits)
    }

    /// Writes into the ledger what the store calls the upload. Where that cannot be, it can come to its end all the same.
    async fn remember(&mut self, end: u64, token: Vec<u8>, step: u64) {
        let Some(ledger) = self.ledger.take() else { return };
        let object = self.object.as_bytes().to_vec();
        let written = write(ledger, move |ledger| ledger.begin(&object, end, &token, step)).await;
        self.wrote(written);
    }

    /// Takes a ledger back. One that could not be written stays locked where it tells of this upload, so that nobody takes
    /// that for over; it will not be resumed.
    fn wrote(&mut self, written: Result<(Ledger, io::Result<()>), Failure>) {
        let failed = match written {
            Ok((ledger, Ok(()))) => return self.ledger = Some(ledger),
            Ok((ledger, Err(e))) => {
                self.ledger = Some(ledger).filter(|ledger| ledger.begun().is_some());
                Failure::io("write the ledger of unfinished uploads", &e)
            }
            Err(failure) => failure,
        };
        self.states = None;
        self.node.warn(&failed);
    }

    /// Writes into the ledger what has reached the store for good, as far as the digest has come too.
    async fn mark(&mut self, marks: Vec<Mark>) {
        let Some(states) = &self.states else { return };
        self.unmarked.extend(marks);
        let mut marked = Vec::new();
        while let Some(digest) = self.unmarked.front().and_then(|mark| states.take(mark.end)) {
            marked.extend(self.unmarked.pop_front().map(|mark| (digest, mark)));
        }
        if marked.is_empty() {
            return;
        }
        if let Some(ledger) = self.ledger.take() {
            let all = move |ledger: &mut Ledger| {
                marked.iter().try_for_each(|(digest, mark)| ledger.mark(mark.end, &mark.tag, digest))
            };
            let written = write(ledger, all).await;
            self.wrote(written);
        }
    }

    /// Empties the ledger, and keeps it locked.
    pub(super) async fn forget(&mut self) -> Result<(), Failure> {
        if let Some(ledger) = self.ledger.take() {
            let (ledger, cleared) = write(ledger, Ledger::clear).await?;
            self.ledger = Some(ledger);
            cleared.map_err(|e| Failure::io("empty the ledger of unfinished uploads", &e))?;
        }
        Ok(())
    }
}

#[async_trait(?Send)]
impl Sink for StoreSink {
    fn offset(&self) -> u64 {
        self.offset
    }

    fn saved_state(&self) -> Option<Vec<u8>> {
        self.digested.as_ref().filter(|_| self.offset > 0).and_then(Verifier::save)
    }

    async fn digested(&mut self, from: u64, _: Verifier) -> Result<Option<Verifier>, Failure> {
        Ok(if from == self.offset { self.digested.take() } else { None })
    }

    /// Resumes where the earlier upload ended, or begins anew.
    async fn begin(&mut self, from: u64, end: u64, savepoints: &Savepoints) -> Result<(), Failure> {
        self.has_begun = true;
        if from > 0 {
            if from != self.offset || end != self.end {
                let words = format!("an upload of {} can resume at byte {} or start over", self.key, self.offset);
                return Err(Failure::refused(words));
            }
            let resumption = self.put.as_ref().ok_or_else(over)?.resumption();
            self.states = resumption.and_then(|resumption| savepoints.every(resumption.step));
            return Ok(());
        }
        if let Some(put) = self.put.take() {
            put.abort().await.map_err(|e| self.node.failure(&e))?;
            self.forget().await?;
        }
        // Written down first: what the store begins now must be found even if this process ends before it is told more.
        if self.node.store.uploads().is_some_and(|uploads| uploads.outlives(end)) {
            self.remember(end, Vec::new(), 0).await;
        }
        let put = put_stream(&*self.node.store, &self.object, end).await.map_err(|e| self.node.failure(&e))?;
        match put.resumption() {
            Some(Resumption { token, step }) => {
                self.states = savepoints.every(step);
                self.remember(end, token, step).await;
            }
            // Without a way to resume it, nothing has to be remembered.
            None => {
                self.forget().await?;
                self.ledger = None;
            }
        }
        self.put = Some(put);
        Ok(())
    }

    async fn write(&mut self, block: Bytes) -> Result<(), Failure> {
        let Some(put) = &mut self.put else { return Err(over()) };
        put.write(block).await.map_err(|e| self.node.failure(&e))?;
        let marks = put.take_marks();
        self.mark(marks).await;
        Ok(())
    }

    /// Lets go of memory that is only kept to send it again, and remembers what has reached the store meanwhile.
    async fn pause(&mut self) -> Result<(), Failure> {
        if let Some(put) = &mut self.put {
            put.relax();
            let marks = put.take_marks();
            self.mark(marks).await;
        }
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<Settled, Failure> {
        self.publish().await
    }

    async fn keep(mut self: Box<Self>) -> Result<(), Failure> {
        let Some(put) = self.put.take() else { return Ok(()) };
        if self.has_begun && (self.ledger.is_none() || self.states.is_none()) {
            put.abort().await.map_err(|e| self.node.failure(&e))?;
            return self.forget().await;
        }
        let object = self.object.clone();
        let resumption = put.resumption();
        let marks = put.suspend().await.map_err(|e| self.node.failure(&e))?;
        self.mark(marks).await;
        let empty = self.ledger.as_ref().and_then(Ledger::begun).is_some_and(|begun| begun.marks.is_empty());
        if let (true, Some(resumption)) = (empty, resumption) {
            self.node.abandon(&object, &resumption).await.map_err(|e| self.node.failure(&e))?;
            self.forget().await?;
        }
        Ok(())
    }

    /// Leaves nothing in the store, and nothing in the ledger.
    async fn discard(mut self: Box<Self>) -> Result<(), Failure> {
        if let Some(put) = self.put.take() {
            put.abort().await.map_err(|e| self.node.failure(&e))?;
        }
        self.forget().await
    }
}

impl Drop for StoreSink {
    fn drop(&mut self) {
        // One that the ledger tells of is let go of by being dropped.
        if let Some(put) = self.put.take().filter(|put| self.ledger.is_none() && put.resumption().is_some()) {
            let label = self.node.name().to_string();
            tokio::task::spawn_local(async move {
                if let Err(e) = put.abort().await {
                    tracing::warn!("{label}: an interrupted upload may have left parts behind: {e}");
                }
            });
        }
    }
}

/// Does something with the ledger on a pool thread.
async fn write(
    mut ledger: Ledger,
    f: impl FnOnce(&mut Ledger) -> io::Result<()> + Send + 'static,
) -> Result<(Ledger, io::Result<()>), Failure> {
    blocking(move || {
        let done = f(&mut ledger);
        (ledger, done)
    })
    .await
}

pub(super) fn over() -> Failure {
    Failure::internal("the upload is over".to_string())
}
