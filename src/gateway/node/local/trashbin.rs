//! `annex.trashbin`: content that is to be removed from a repository is brought to a remote first.
//!
//! As git-annex does it: where the remote is not known, cannot be reached or does not take the content, it stays where it is.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use remotes::budget::BLOCK;
use remotes::pump::{FileSource, Source};

use crate::gateway::node::open;
use crate::gateway::receive::{Body, End, Offer, Piece, Settled, Unsettled, Upload};
use crate::gateway::{Asker, Failure, Limits, LocalRepository, Node, Part, blocking};
use crate::name::Key;
use crate::proto::p2p::AssociatedFile;

/// Brings the content of `key` from `home` to its trashbin, and records that. Does nothing where there is none, or no content.
///
/// Failures: it is not there, and has to stay here.
pub(in crate::gateway) async fn fill(home: &Arc<LocalRepository>, key: &Key, limits: &Limits) -> Result<(), Failure> {
    let Some(bin) = home.trashbin().await? else { return Ok(()) };
    if !home.check(key).await? {
        return Ok(());
    }
    let name = bin.as_ref().map_or_else(String::clone, |bin| bin.name.clone());
    let brought = async {
        let bin = bin.map_err(|name| {
            Failure::refused(format!(
                "there is no remote {name} here; git config annex.trashbin names one, by its name"
            ))
        })?;
        let asker = Asker { client: home.uuid().clone(), bypass: Vec::new() };
        let node = open(home, &bin, limits, &asker).await?;
        // Nobody asked whether it is there already.
        if node.check(key).await? {
            return node.take_note(key).await.map(drop);
        }
        match node.put(key, &AssociatedFile::default()).await? {
            Offer::AlreadyHave(_) => Ok(()),
            Offer::Upload(upload) => bring(home, key, &*node, *upload, limits).await,
        }
    };
    brought.await.map_err(|failure: Failure| {
        let words = format!("annex.trashbin: the content stays here, since it cannot be moved to {name}: {failure}");
        tracing::warn!("{key}: {words}");
        Failure::new(failure.kind(), words)
    })
}

async fn bring(
    home: &Arc<LocalRepository>,
    key: &Key,
    node: &dyn Node,
    mut upload: Upload,
    limits: &Limits,
) -> Result<(), Failure> {
    let Some(content) = home.get(key).await? else {
        // Somebody else removed it meanwhile.
        return upload.discard().await;
    };
    let from = upload.offset().min(content.total());
    let Part { source, len, sent, .. } = content.part(from, u64::MAX);
    let Source::File(file) = source else { return Err(Failure::internal("content here is not a file".into())) };
    upload.begin(from, len).await?;
    let mut body = Reading { file, at: 0, limits };
    let end = upload.receive(&mut body, len, node.upload_pace()).await;
    if matches!(end, End::Whole) && !sent.is_content().await {
        let _ = upload.discard().await;
        return Err(Failure::busy("the content changed while it was read"));
    }
    match upload.settle(end).await {
        Ok(Settled::Stored(_)) => Ok(()),
        Ok(Settled::Wrong) => {
            Err(Failure::refused(format!("what is here is not the content of {key}; see git annex fsck")))
        }
        Err(Unsettled::Connection(e)) => Err(Failure::io("read the content", &e)),
        Err(Unsettled::Content(failure)) => Err(failure),
    }
}

/// A file of this repository on its way to the trashbin.
struct Reading<'a> {
    file: FileSource,
    at: u64,
    limits: &'a Limits,
}

impl Body for Reading<'_> {
    async fn next(&mut self, most: usize) -> Piece {
        let piece = self.file.part(self.at, (self.file.len - self.at).min(most as u64));
        if piece.len == 0 {
            return Piece::End;
        }
        let lease = Arc::new(self.limits.budget.lease(BLOCK as u64).await);
        let mut block = self.limits.budget.block().under(&lease);
        let read = move || {
            let len = piece.len as usize;
            piece.file.read_exact_at(&mut block.spare()[..len], piece.at)?;
            block.advance(len);
            Ok(block.freeze())
        };
        let read: Result<std::io::Result<Bytes>, Failure> = blocking(read).await;
        match read.map_err(std::io::Error::other).and_then(|read| read) {
            Ok(block) => {
                self.at += block.len() as u64;
                Piece::Bytes(block)
            }
            Err(e) => Piece::Broken(e),
        }
    }
}
