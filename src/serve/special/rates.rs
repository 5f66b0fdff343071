//! `annex.bwlimit`, which git-annex leaves to special remotes that are programs of their own.
//!
//! All transfers of this process in one direction share one rate. Without `ASYNC` git-annex starts a process for each job, each
//! with a rate of its own.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use remotes::pump::{FileSource, Meter, Source};
use remotes::retrieve::{Retrieved, read};
use remotes::{Context, Error, Get, Kind, ObjectName, Op, Put, Range, Result, Store};

use crate::gateway::pace::Pace;

/// How fast content moves; as fast as it can where there is no pace.
#[derive(Default)]
pub(super) struct Rates {
    pub(super) upload: Option<Arc<Pace>>,
    pub(super) download: Option<Arc<Pace>>,
}

/// What git config says of limits, of all remotes.
pub(super) struct Limits {
    /// Names as git prints them, and values.
    set: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Limits {
    /// Asks git, in the repository that git-annex runs us in. Where there is none, nothing is limited.
    pub(super) fn read() -> Self {
        let names = r"^(annex\.|remote\..*\.annex-)bwlimit(-download|-upload)?$";
        let mut git = Command::new("git");
        git.args(["config", "--null", "--get-regexp", names]).stdin(Stdio::null()).stderr(Stdio::null());
        let said = git.output().map(|output| output.stdout).unwrap_or_default();
        Self::parse(&said)
    }

    fn parse(said: &[u8]) -> Self {
        let entry = |entry: &[u8]| {
            let at = entry.iter().position(|byte| *byte == b'\n')?;
            Some((entry[..at].to_vec(), entry[at + 1..].to_vec()))
        };
        Self { set: said.split(|byte| *byte == 0).filter_map(entry).collect() }
    }

    /// Whether it matters what the remote is called.
    pub(super) fn are_of_remotes(&self) -> bool {
        self.set.iter().any(|(name, _)| name.starts_with(b"remote."))
    }

    /// Those of the remote that is called so here.
    pub(super) fn of(&self, remote: Option<&[u8]>) -> Rates {
        // The last value counts.
        let value = |name: &[u8]| self.set.iter().rev().find(|(set, _)| set == name).map(|(_, value)| value.clone());
        let pace = |direction: &str| {
            let nearest = |key: &str| {
                let own = remote.and_then(|of| value(&[b"remote.", of, b".annex-", key.as_bytes()].concat()));
                own.or_else(|| value(&[b"annex.", key.as_bytes()].concat()))
            };
            Pace::told(direction, nearest).map(Arc::new)
        };
        Rates { upload: pace("upload"), download: pace("download") }
    }
}

/// Takes everything from a file, at this pace.
pub(super) async fn fill_paced(
    put: &mut dyn Put,
    from: &FileSource,
    meter: &Meter,
    context: &Context,
    pace: &Pace,
) -> Result<()> {
    let get = Get { len: from.len, total: from.len, tag: None, source: Source::File(from.clone()) };
    read(get, context, async |block| {
        for piece in pieces(block, pace) {
            pace.turn(piece.len()).await;
            let len = piece.len() as u64;
            put.write(piece).await?;
            meter.add(len);
        }
        Ok(())
    })
    .await
}

/// As [`into_file`](remotes::retrieve::into_file), at this pace: in one request, since more of them bring nothing.
pub(super) async fn into_file_paced(
    store: &Rc<dyn Store>,
    object: &ObjectName,
    file: &Arc<File>,
    have: u64,
    meter: &Meter,
    context: &Context,
    pace: &Pace,
) -> Result<Retrieved> {
    let have = if store.capabilities().ranges { have } else { 0 };
    let (mut from, mut get) = (have, store.get(object, Range::from(have)).await?);
    if from > get.total {
        from = 0;
        get = store.get(object, Range::from(0)).await?;
    }
    let written = |e| Error::io(Op::Get, "the file to write", e);
    file.set_len(from).map_err(written)?;
    meter.set(from);
    let (total, tag, mut at) = (get.total, get.tag.clone(), from);
    read(get, context, async |block| {
        for piece in pieces(block, pace) {
            pace.turn(piece.len()).await;
            let (file, len) = (Arc::clone(file), piece.len() as u64);
            let done = tokio::task::spawn_blocking(move || file.write_all_at(&piece, at)).await;
            done.map_err(|e| Error::new(Op::Get, Kind::Other, e.to_string()))?.map_err(written)?;
            at += len;
            meter.add(len);
        }
        Ok(())
    })
    .await?;
    if at != total {
        return Err(Error::new(Op::Get, Kind::Truncated, format!("{at} bytes came where {total} are due")));
    }
    Ok(Retrieved { total, tag, resumed: from, lane: "paced".to_string() })
}

fn pieces(mut block: Bytes, pace: &Pace) -> impl Iterator<Item = Bytes> {
    let piece = pace.piece();
    std::iter::from_fn(move || (!block.is_empty()).then(|| block.split_to(piece.min(block.len()))))
}

#[cfg(test)]
mod tests {
    use remotes::mem::Mem;
    use remotes::wrap::{Fault, Faults};

    use super::*;

    /// A store that gives fewer bytes than it announced, and no error.
    #[test]
    fn content_that_ends_early_is_an_error_also_at_a_pace() {
        let (context, object) = (Context::default(), ObjectName::new(b"a").expect("a name"));
        let pace = Pace::new(u64::MAX).expect("a rate");
        let dir = tempfile::tempdir().expect("a directory");
        remotes::sys::run(false, async {
            let inner: Rc<dyn Store> = Rc::new(Mem::new(1, &context));
            let mut put = inner.put(&object, 10).await.expect("taken");
            put.write(Bytes::from_static(b"0123456789")).await.expect("taken");
            put.commit().await.expect("stored");
            let retrieve = async |have: u64, fault: Option<u64>| {
                let fault = fault.map(|after| Fault { op: Op::Get, after, kind: Kind::Truncated });
                let store: Rc<dyn Store> = Rc::new(Faults::new(Rc::clone(&inner), fault));
                let file =
                    File::options().read(true).write(true).create(true).truncate(false).open(dir.path().join("f"));
                let (file, meter) = (Arc::new(file.expect("opened")), Meter::default());
                file.set_len(have).expect("so long");
                let came = into_file_paced(&store, &object, &file, have, &meter, &context, &pace).await;
                came.map(|came| (came.total, came.resumed)).map_err(|e| e.kind())
            };
            assert_eq!(retrieve(0, None).await, Ok((10, 0)));
            assert_eq!(retrieve(4, None).await, Ok((10, 4)));
            assert_eq!(retrieve(0, Some(9)).await, Err(Kind::Truncated));
            assert_eq!(retrieve(4, Some(5)).await, Err(Kind::Truncated));
            // More on disk than there is: begun anew.
            assert_eq!(retrieve(11, None).await, Ok((10, 0)));
        })
        .expect("a runtime");
    }

    #[test]
    fn the_nearest_limit_counts() {
        let limits = Limits::parse(
            b"annex.bwlimit\n1000\0annex.bwlimit\n1MB\0remote.a.b.annex-bwlimit-upload\n2MB\0annex.bwlimit-download\n8MB\0",
        );
        assert!(limits.are_of_remotes());
        // A quarter of a second is told.
        let told = |of: Option<&[u8]>| {
            let rates = limits.of(of);
            [rates.upload, rates.download].map(|pace| pace.map_or(0, |pace| pace.piece()))
        };
        assert_eq!(told(None), [250_000, 1 << 20]);
        assert_eq!(told(Some(b"other")), [250_000, 1 << 20]);
        assert_eq!(told(Some(b"a.b")), [500_000, 1 << 20]);
        let none = Limits::parse(b"");
        assert!(!none.are_of_remotes() && none.of(Some(b"x")).upload.is_none());
    }
}
