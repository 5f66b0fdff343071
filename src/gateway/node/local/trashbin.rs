//! `annex.trashbin`: content that is to be removed from a repository is brought to a remote first.
//!
//! As git-annex does it: where the remote is not known, cannot be reached or does not take the content, it stays where it is.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use remotes::pump::{BLOCK, FileSource, Source};

use crate::gateway::receive::{Offer, Settled, Upload};
use crate::gateway::{Failure, Limits, LocalRepository, Node, blocking};
use crate::name::Key;
use crate::proto::p2p::AssociatedFile;

/// Brings the content of `key` from `home` to its trashbin, and records that. Does nothing where there is none, or no content.
///
/// Failures: it is not there, and has to stay here.
pub(in crate::gateway) async fn fill(home: &Arc<LocalRepository>, key: &Key, means: &Limits) -> Result<(), Failure> {
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
        let node = Node::of(home, &bin, means).await?;
        // Nobody asked whether it is there already.
        if node.check(key).await? {
            return node.take_note(key).await.map(drop);
        }
        match node.put(key, &AssociatedFile::default(), home.uuid()).await? {
            Offer::AlreadyHave(_) => Ok(()),
            Offer::Upload(upload) => bring(home, key, &node, *upload, means).await,
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
    node: &Node,
    mut upload: Upload,
    means: &Limits,
) -> Result<(), Failure> {
    let Some(content) = home.get(key).await? else {
        // Somebody else removed it meanwhile.
        return upload.discard().await;
    };
    let from = upload.offset().min(content.total());
    let (source, len, proof) = content.part(from, u64::MAX);
    let Source::File(file) = source else { return Err(Failure::internal("content here is not a file".into())) };
    if let Err(failure) = send(&mut upload, from, &file, len, node, means).await {
        // Its own failure would only repeat the first.
        let _ = upload.keep().await;
        return Err(failure);
    }
    if !proof.is_content().await {
        let _ = upload.discard().await;
        return Err(Failure::busy("the content changed while it was read"));
    }
    match upload.finish().await? {
        Settled::Stored(_) => Ok(()),
        Settled::Wrong => {
            Err(Failure::refused(format!("what is here is not the content of {key}; see git annex fsck")))
        }
    }
}

async fn send(
    upload: &mut Upload,
    from: u64,
    file: &FileSource,
    len: u64,
    node: &Node,
    means: &Limits,
) -> Result<(), Failure> {
    upload.begin(from, len).await?;
    let mut at = 0;
    while at < len {
        let pace = node.upload_pace();
        let most = pace.map_or(BLOCK, |pace| pace.piece());
        let piece = file.part(at, (len - at).min(most as u64));
        if let Some(pace) = pace {
            pace.turn(piece.len as usize).await;
        }
        let lease = Arc::new(means.budget.lease(BLOCK as u64).await);
        let mut block = means.budget.block().under(&lease);
        let read = move || {
            let len = piece.len as usize;
            piece.file.read_exact_at(&mut block.spare()[..len], piece.at)?;
            block.advance(len);
            Ok(block.freeze())
        };
        let read: std::io::Result<Bytes> = blocking(read).await?;
        let block = read.map_err(|e| Failure::io("read the content", &e))?;
        at += block.len() as u64;
        upload.write(block).await?;
    }
    Ok(())
}
