//! Work on trees: rename, list, import.

use std::sync::Arc;

use remotes::pump::{FileSource, Source};
use remotes::{Error, Kind, ObjectName, Op, Range, Result};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::local::Sink;
use super::rates::Rates;
use super::worker::{Watch, Worker, cancellable, into_sink};
use crate::annex::layout;
use crate::proto::special::{FileName, Job, Key, Note, Reply};
use crate::serve::special::opened::{Opened, OpenedRemote};

/// Bytes read at once to make a key.
const STEP: usize = 1 << 20;

impl Worker {
    pub(super) async fn rename(
        &self,
        job: Job,
        place: &OpenedRemote,
        key: &Key,
        from: &FileName,
        to: &FileName,
        stop: watch::Receiver<bool>,
    ) -> Result<Reply> {
        let (opened, source) = place.named(Op::Rename, from)?;
        let (_, target) = place.named(Op::Rename, to)?;
        let renamed = async { opened.renames()?.rename(&source, &target).await };
        let renamed = cancellable(stop, Op::Rename, renamed).await;
        self.copies.learn(key, &target);
        if let Err(error) = &renamed {
            // The reply has no place for it, and git-annex stores the file again.
            self.port.debug_soon(job, &format!("rename {}: {error}", key.as_bytes().escape_ascii()));
        }
        renamed.map(|()| Reply::Success)
    }

    /// Tells git-annex of all files, a page at a time: what it has not read yet is not asked for.
    pub(super) async fn list(&self, job: Job, place: &OpenedRemote, stop: watch::Receiver<bool>) -> Result<Reply> {
        let opened = place.tree()?;
        let mut listing = cancellable(stop.clone(), Op::List, opened.lists()?.list(None)).await?;
        while let Some(page) = cancellable(stop.clone(), Op::List, listing.next()).await? {
            let mut notes = Vec::with_capacity(page.entries.len());
            for skipped in page.skipped {
                notes.push(Note::Info(format!("left out: {skipped}").into_bytes()));
            }
            for entry in page.entries {
                let id = identify(&opened, &entry.name, entry.len, entry.tag.as_deref())?;
                let name = entry.name.as_bytes().to_vec();
                notes.push(Note::Importable { size: entry.len, name, id: id.into_bytes() });
            }
            cancellable(stop.clone(), Op::List, self.port.tell(job, notes)).await?;
        }
        Ok(Reply::Success)
    }

    pub(super) async fn import(
        &self,
        job: Job,
        place: &OpenedRemote,
        name: &FileName,
        file: &FileName,
        rates: &Rates,
        stop: watch::Receiver<bool>,
    ) -> Result<Reply> {
        let (opened, object) = place.named(Op::Get, name)?;
        let store = &opened.store;
        let named = |e: Error| e.object(&object).on(store.label());
        let sink = Sink::open(file).map_err(|e| named(Error::io(Op::Get, "the file to write", e)))?;
        let mut watch = Watch::new(job);
        let meter = watch.meter.clone();
        let retrieve = into_sink(store, &object, &sink, &meter, &place.context, rates);
        let retrieved = self.watched(&mut watch, cancellable(stop.clone(), Op::Get, retrieve)).await;
        let retrieved = match retrieved {
            Ok(retrieved) => retrieved,
            Err(error) => {
                sink.leave();
                return Err(named(error));
            }
        };
        let Some(listed) = listed(file) else { return Ok(Reply::Success) };
        // A file in a directory may have been written to while it was read.
        let mut found = vec![(retrieved.total, retrieved.tag)];
        if store.capabilities().local {
            let stat = cancellable(stop, Op::Get, store.stat(&object)).await.map_err(named)?;
            found.push(stat.map_or((0, None), |stat| (stat.len, stat.tag)));
        }
        if found.iter().all(|(len, tag)| store.identify(&object, *len, tag.as_deref()).as_deref() == Some(&*listed)) {
            return Ok(Reply::Success);
        }
        // It is not what will be recorded under this name, and nothing to go on from.
        sink.file.set_len(0).map_err(|e| named(Error::io(Op::Get, "the file to write", e)))?;
        sink.leave();
        Err(named(Error::new(Op::Get, Kind::Corrupt, "changed since it was listed; import again")))
    }

    pub(super) async fn make_key(
        &self,
        place: &OpenedRemote,
        name: &FileName,
        size: u64,
        stop: watch::Receiver<bool>,
    ) -> Result<Reply> {
        let (opened, object) = place.named(Op::Get, name)?;
        let store = &opened.store;
        if !store.capabilities().local {
            let detail = "this kind of store knows no checksum that a key could be made of; import with content";
            return Err(Error::new(Op::Get, Kind::Unsupported, detail).object(&object).on(store.label()));
        }
        let named = |e: Error| e.object(&object).on(store.label());
        let get = cancellable(stop.clone(), Op::Get, store.get(&object, Range::default())).await?;
        let (len, before) = (get.total, get.tag.clone());
        let Source::File(source) = get.source else {
            return Err(named(Error::new(Op::Get, Kind::Unsupported, "is not a file here")));
        };
        let hashing = tokio::task::spawn_blocking(move || hash(&source));
        let hashed = async { hashing.await.unwrap_or_else(|e| Err(std::io::Error::other(e))) };
        let hashed = async { hashed.await.map_err(|e| Error::io(Op::Get, "reading", e)) };
        let digest = cancellable(stop.clone(), Op::Get, hashed).await.map_err(named)?;
        let after = cancellable(stop, Op::Get, store.stat(&object)).await?.and_then(|stat| stat.tag);
        if len != size || after != before {
            return Err(named(Error::new(Op::Get, Kind::Corrupt, "changed since it was listed; import again")));
        }
        let key = Key::new(format!("SHA256-s{len}--{digest}"));
        Ok(key.map_or(Reply::Unsupported, Reply::Key))
    }
}

fn identify(opened: &Opened, object: &ObjectName, len: u64, tag: Option<&str>) -> Result<String> {
    opened.store.identify(object, len, tag).ok_or_else(|| {
        let detail = "this store tells nothing that changes with a file's content, so nothing can be imported from it";
        Error::new(Op::List, Kind::Unsupported, detail).object(object).on(opened.store.label())
    })
}

/// What a file was listed with that git-annex imports, which it tells by the name of the file it wants: until it knows the
/// content, the key it works with is made of the identifier. `None` for other keys.
fn listed(file: &FileName) -> Option<String> {
    let base = file.as_bytes().rsplit(|byte| *byte == b'/').next()?;
    let key = layout::key_of_file(base)?;
    let fields = key.strip_prefix(b"CID-")?;
    let end = fields.windows(2).position(|pair| pair == b"--")?;
    String::from_utf8(fields[end + 2..].to_vec()).ok()
}

fn hash(source: &FileSource) -> std::io::Result<String> {
    use std::os::unix::fs::FileExt;
    let (mut hasher, mut at, mut block) = (Sha256::new(), 0, vec![0; STEP]);
    loop {
        let n = Arc::as_ref(&source.file).read_at(&mut block, at)?;
        if n == 0 {
            return Ok(annex_types::hex::show(&hasher.finalize()));
        }
        hasher.update(&block[..n]);
        at += n as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded: names of files that git-annex 10.20261026 wanted imports in.
    #[test]
    fn what_was_listed_is_read_from_the_file_that_is_wanted() {
        let read = |name: &str| listed(&FileName::new(name).expect("no newline"));
        assert_eq!(read(".git/annex/tmp/CID-s4--1795388736571369614&c4").as_deref(), Some("1795388736571369614:4"));
        assert_eq!(read(".git/annex/tmp/CID-s10--12-a.b_c").as_deref(), Some("12-a.b_c"));
        assert_eq!(read(".git/annex/tmp/MD5-s4--4e74842b97b7180ac51441cea6253d97"), None);
    }
}
