//! Content on its way from a client into the store of a special remote: hashed as it flows, visible once it is right, and
//! gone on with where it was broken off, with nothing on this computer's disk but the ledger.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use bytes::Bytes;
use remotes::{Mark, ObjectName, Put, Resumption};

use super::StoreNode;
use crate::annex::backend::Verifier;
use crate::annex::unfinished::{Begun, Ledger};
use crate::gateway::receive::Settled;
use crate::gateway::receive::digest::{Digest, States};
use crate::gateway::{Failure, blocking};
use crate::name::Key;

/// One upload into a store. Dropping it lets go of the store; what reached a mark stays where the ledger tells of it.
pub struct StoreUpload {
    special: Rc<StoreNode>,
    key: Key,
    object: ObjectName,
    /// None where somebody else holds it, or it cannot be written: this upload cannot be gone on with then.
    ledger: Option<Ledger>,
    put: Option<Box<dyn Put>>,
    digest: Digest,
    states: Option<States>,
    /// Marks whose digest is not there yet.
    unmarked: VecDeque<Mark>,
    /// Bytes that an earlier upload brought to the store.
    offset: u64,
    /// Where the next byte belongs.
    at: u64,
    /// Where the content ends, once the client has announced it.
    end: u64,
}

impl StoreUpload {
    /// Looks for what an earlier upload left, and asks the store whether it is there still.
    pub(in crate::gateway) async fn open(
        special: &Rc<StoreNode>,
        key: &Key,
        object: ObjectName,
        ledger: Option<Ledger>,
    ) -> Result<Self, Failure> {
        let mut upload = Self {
            special: Rc::clone(special),
            key: key.clone(),
            object,
            ledger,
            put: None,
            digest: Digest::for_key(key),
            states: None,
            unmarked: VecDeque::new(),
            offset: 0,
            at: 0,
            end: 0,
        };
        upload.resume().await?;
        Ok(upload)
    }

    async fn resume(&mut self) -> Result<(), Failure> {
        let Some(begun) = self.ledger.as_ref().and_then(Ledger::begun).cloned() else { return Ok(()) };
        let resumption = Resumption { token: begun.token.clone(), step: begun.step };
        if let Some((verifier, end)) = self.state_of(&begun) {
            let marks: Vec<_> = begun.marks.iter().map(|(end, tag)| Mark { end: *end, tag: tag.clone() }).collect();
            let resumed = self.special.store.resume(&self.object, begun.len, &resumption, &marks).await;
            if let Some(put) = resumed.map_err(|e| self.special.failure(&e))? {
                self.put = Some(put);
                self.digest = Digest::fresh(verifier);
                self.states = self.digest.keep_states(end, begun.step);
                (self.offset, self.at, self.end) = (end, end, begun.len);
                return Ok(());
            }
        } else if begun.token.is_empty() {
            let gone = self.special.store.abandon_unnamed(&self.object, begun.created).await;
            if !gone.map_err(|e| self.special.failure(&e))? {
                // It has no parts, and costs nothing.
                tracing::info!(
                    "remote {}: the store may have an upload of {} that nobody resumes, or that another client has in \
                     progress; the store's rule for unfinished uploads removes it",
                    self.special.name(),
                    self.key
                );
            }
        } else {
            self.special.store.abandon(&self.object, &resumption).await.map_err(|e| self.special.failure(&e))?;
        }
        self.forget().await
    }

    /// The digest of what lies in the store, and how much that is. `None` where nothing of use does.
    fn state_of(&self, begun: &Begun) -> Option<(Verifier, u64)> {
        let (end, _) = begun.marks.last()?;
        let fits = begun.object == self.object.as_bytes() && self.key.size().is_none_or(|size| size == begun.len);
        Some((Verifier::restore(&self.key, &begun.digest)?, *end)).filter(|_| fits)
    }

    /// Bytes that are in the store from an upload that was broken off.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The key that is being put.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// What comes cannot be the content, whatever its digest.
    pub fn spoil(&mut self) {
        self.digest = Digest::Lost;
    }

    /// Bytes of the content that have come, those of an earlier upload included.
    pub fn received(&self) -> u64 {
        self.at
    }

    /// The client sends `len` bytes from byte `from` on: from where the earlier upload ended, or from the start.
    pub async fn begin(&mut self, from: u64, len: u64) -> Result<(), Failure> {
        let end = from.saturating_add(len);
        if from > 0 && (from != self.offset || self.put.is_none() || end != self.end) {
            let words = format!("an upload of {} resumes at byte {} or begins anew", self.key, self.offset);
            return Err(Failure::refused(words));
        }
        (self.at, self.end) = (from, end);
        if self.key.size().is_some_and(|size| size != end) {
            self.spoil();
        }
        if from > 0 || matches!(self.digest, Digest::Lost) {
            return Ok(());
        }
        if let Some(put) = self.put.take() {
            put.abort().await.map_err(|e| self.special.failure(&e))?;
            self.forget().await?;
            (self.digest, self.states, self.offset) = (Digest::for_key(&self.key), None, 0);
        }
        // Written down first: what the store begins now must be found even if this process ends before it is told more.
        let store = Rc::clone(&self.special.store);
        if store.outlives(end) {
            self.remember(end, Vec::new(), 0).await;
        }
        let put = store.put_stream(&self.object, end).await.map_err(|e| self.special.failure(&e))?;
        match put.resumption() {
            Some(Resumption { token, step }) => {
                self.states = self.digest.keep_states(0, step);
                self.remember(end, token, step).await;
            }
            // Without a way to go on with it, nothing has to be remembered.
            None => {
                self.forget().await?;
                self.ledger = None;
            }
        }
        self.put = Some(put);
        Ok(())
    }

    /// Writes into the ledger what the store calls the upload. Where that cannot be, it can come to its end all the same.
    async fn remember(&mut self, end: u64, token: Vec<u8>, step: u64) {
        let Some(ledger) = self.ledger.take() else { return };
        let object = self.object.as_bytes().to_vec();
        let written = write(ledger, move |ledger| ledger.begin(&object, end, &token, step)).await;
        self.wrote(written);
    }

    /// Takes a ledger back. One that could not be written stays locked where it tells of this upload, so that nobody takes
    /// that for over; it will not be gone on with.
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
        self.special.warn(&failed);
    }

    /// Takes the next bytes.
    pub async fn write(&mut self, block: Bytes) -> Result<(), Failure> {
        self.at += block.len() as u64;
        if self.at > self.end {
            self.spoil();
        }
        if matches!(self.digest, Digest::Lost) {
            // It will be refused: what the store has of it is not worth more.
            return Ok(());
        }
        self.digest.push(block.clone()).await;
        let Some(put) = &mut self.put else { return Err(over()) };
        put.write(block).await.map_err(|e| self.special.failure(&e))?;
        let marks = put.take_marks();
        self.mark(marks).await;
        Ok(())
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

    /// The client makes a pause: lets go of memory that is only kept to send it again, and remembers what has reached the
    /// store meanwhile.
    pub async fn pause(&mut self) {
        if let Some(put) = &mut self.put {
            put.relax();
            let marks = put.take_marks();
            self.mark(marks).await;
        }
    }

    /// Proves what came, makes it visible, records it.
    pub async fn finish(mut self) -> Result<Settled, Failure> {
        let right = self.at == self.end && std::mem::replace(&mut self.digest, Digest::Lost).verdict().await?;
        if !right {
            self.discard().await?;
            return Ok(Settled::Wrong);
        }
        let put = self.put.take().ok_or_else(over)?;
        let resumption = put.resumption();
        let word = self.special.announce(&self.key).await?;
        let stored = match put.commit().await {
            Ok(stored) => stored,
            Err(e) => {
                // What no ledger tells of would stay for ever.
                if let (true, true, Some(resumption)) = (self.ledger.is_none(), e.kind().retry(), resumption) {
                    let _ = self.special.store.abandon(&self.object, &resumption).await;
                }
                return Err(self.special.failure(&e));
            }
        };
        let recorded = self.special.stored(&self.key, stored).await;
        self.forget().await?;
        recorded?;
        self.special.settle(word).await;
        Ok(Settled::Stored(Vec::new()))
    }

    /// Leaves in the store what the client can go on with.
    pub async fn keep(mut self) -> Result<(), Failure> {
        let Some(put) = self.put.take() else { return Ok(()) };
        if self.ledger.is_none() || self.states.is_none() || matches!(self.digest, Digest::Lost) {
            put.abort().await.map_err(|e| self.special.failure(&e))?;
            return self.forget().await;
        }
        self.digest.settle().await;
        let object = self.object.clone();
        let resumption = put.resumption();
        let marks = put.suspend().await.map_err(|e| self.special.failure(&e))?;
        self.mark(marks).await;
        let empty = self.ledger.as_ref().and_then(Ledger::begun).is_some_and(|begun| begun.marks.is_empty());
        if let (true, Some(resumption)) = (empty, resumption) {
            self.special.store.abandon(&object, &resumption).await.map_err(|e| self.special.failure(&e))?;
            self.forget().await?;
        }
        Ok(())
    }

    /// Leaves nothing in the store, and nothing in the ledger.
    pub async fn discard(mut self) -> Result<(), Failure> {
        if let Some(put) = self.put.take() {
            put.abort().await.map_err(|e| self.special.failure(&e))?;
        }
        self.forget().await
    }

    /// Empties the ledger, and keeps it locked.
    async fn forget(&mut self) -> Result<(), Failure> {
        if let Some(ledger) = self.ledger.take() {
            let (ledger, cleared) = write(ledger, Ledger::clear).await?;
            self.ledger = Some(ledger);
            cleared.map_err(|e| Failure::io("empty the ledger of unfinished uploads", &e))?;
        }
        Ok(())
    }
}

impl Drop for StoreUpload {
    fn drop(&mut self) {
        // One that the ledger tells of is let go of by being dropped.
        if let Some(put) = self.put.take().filter(|put| self.ledger.is_none() && put.resumption().is_some()) {
            let label = self.special.name().to_string();
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

fn over() -> Failure {
    Failure::internal("the upload is over".to_string())
}
