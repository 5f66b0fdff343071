//! Content that is being received.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::proven::feed;
use super::space::Promise;
use super::staging::{Staged, partial_len};
use super::{Content, ContentError};
use crate::annex::backend::{Verification, Verifier};
use crate::name::{Key, Uuid, is_secure};

/// The answer to an offer of content.
#[derive(Debug)]
pub enum Receive {
    /// The content is here.
    AlreadyHave,
    /// It may be sent.
    Incoming(Incoming),
}

/// A partial file that is being filled. Dropping it is [`keep`](Self::keep).
///
/// Who fills it decides whether it is the content, by digest; [`commit`](Self::commit) only looks at the length.
#[derive(Debug)]
pub struct Incoming {
    pub(super) content: Content,
    pub(super) key: Key,
    pub(super) file: Arc<File>,
    pub(super) staged: Staged,
    offset: u64,
    /// The partial file has been moved or removed.
    pub(super) settled: bool,
    _promise: Option<Promise>,
}

impl Content {
    /// Gets ready to receive the content of `key` from the repository `from`. Waits for no other transfer: a second one of
    /// the same key goes to a private file, and whichever ends last finds the content there.
    ///
    /// # Errors
    ///
    /// [`Insecure`](ContentError::Insecure) under `annex.securehashesonly`,
    /// [`Unverifiable`](ContentError::Unverifiable) for hashes unknown here, [`Reserve`](ContentError::Reserve) where
    /// the content would not fit, and `Io`, also where it can not be told whether the content is here.
    pub fn receive(&self, key: &Key, from: &Uuid) -> Result<Receive, ContentError> {
        let config = self.config();
        if self.has_for_good(key)? {
            return Ok(Receive::AlreadyHave);
        }
        self.check_kind(key)?;
        let staged = Staged::take(config, key, from).map_err(ContentError::io("lock the transfer"))?;
        let file = staged.open().map_err(ContentError::io("open the partial file"))?;
        let (content, key) = (self.clone(), key.clone());
        let mut incoming =
            Incoming { content, key, file: Arc::new(file), staged, offset: 0, settled: false, _promise: None };
        let start = incoming.file.metadata().map_err(ContentError::io("look at the partial file"))?.len();
        incoming.offset = start;
        if let Some(len) = incoming.key.content_len() {
            if start > len {
                incoming.truncate_to(0)?;
            }
            let promises = &self.0.promises;
            incoming._promise = Some(promises.keep(&config.annex_dir, &incoming.file, len, config.reserve)?);
        }
        Ok(Receive::Incoming(incoming))
    }
}

impl Content {
    /// Whether the content of `key` is here, and stays when the power fails now: what a client may be told who then drops
    /// its own. [`present`](Self::present) does not ask for the second.
    ///
    /// # Errors
    ///
    /// It could not be told, or not be made to last.
    pub fn has_for_good(&self, key: &Key) -> Result<bool, ContentError> {
        let here = self.present(key).map_err(ContentError::io("look for the content"))?;
        Ok(here && self.make_lasting(key).map_err(ContentError::io("sync the content"))?)
    }

    /// Bytes of the content of `key` that are kept from a transfer before this one, as far as they can be told without
    /// getting in the way of a transfer that is running: taking its locks, even for a moment, would make another one that
    /// begins meanwhile lose what it brings. Promises no room.
    ///
    /// # Errors
    ///
    /// Those of [`receive`](Self::receive), so that a client need not send anything to meet them.
    pub fn offset(&self, key: &Key) -> Result<u64, ContentError> {
        self.check_kind(key)?;
        let config = self.config();
        let kept = partial_len(config, key).map_err(ContentError::io("look at the partial file"))?;
        let Some(whole) = key.content_len() else { return Ok(kept) };
        // What is longer than the content is none of it.
        let kept = if kept > whole { 0 } else { kept };
        self.0.promises.check(&config.annex_dir, whole - kept, config.reserve)?;
        Ok(kept)
    }

    fn check_kind(&self, key: &Key) -> Result<(), ContentError> {
        let backend = || key.backend().escape_ascii().to_string();
        if self.config().secure_hashes_only && !is_secure(key) {
            return Err(ContentError::Insecure { backend: backend() });
        }
        if matches!(Verification::for_key(key), Verification::Impossible) {
            return Err(ContentError::Unverifiable { backend: backend() });
        }
        Ok(())
    }
}

impl Incoming {
    /// Bytes kept from a transfer before this one.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The partial file, to be written at any place beyond [`offset`](Self::offset).
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Whether bytes that were kept are found again by the next transfer. False for the second of two at the same time.
    pub fn resumable(&self) -> bool {
        self.staged.resumable
    }

    /// Gives the bytes kept from before to `verifier`.
    ///
    /// # Errors
    ///
    /// Those of reading; `UnexpectedEof` where they have gone.
    pub fn verify_prefix(&self, verifier: &mut Verifier) -> io::Result<()> {
        if feed(&self.file, self.offset, verifier)? { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Forgets what lies beyond `len` bytes: for a client that sends from an earlier offset than it was told, and before
    /// keeping what came without a gap.
    pub fn truncate_to(&mut self, len: u64) -> Result<(), ContentError> {
        self.file.set_len(len).map_err(ContentError::io("cut the partial file"))?;
        self.offset = self.offset.min(len);
        Ok(())
    }

    /// Brings what was written so far to the disk, where [`commit`](Self::commit) would do so at the end. Blocks.
    ///
    /// # Errors
    ///
    /// A write was lost, which is told only once.
    pub fn sync_so_far(&self) -> io::Result<()> {
        if self.content.config().durable { self.file.sync_data() } else { Ok(()) }
    }

    /// Leaves the partial file for a later transfer to go on with.
    pub fn keep(self) {
        drop(self);
    }

    /// Removes the partial file: what came is not the content.
    pub fn discard(mut self) {
        self.remove_partial();
    }

    pub(super) fn remove_partial(&mut self) {
        // While the locks are held. Where it fails the next transfer finds it, and its digest tells.
        let _ = std::fs::remove_file(&self.staged.path);
        self.settled = true;
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let empty = || self.file.metadata().is_ok_and(|metadata| metadata.len() == 0);
        if !self.settled && (!self.staged.resumable || empty()) {
            self.remove_partial();
        }
    }
}
