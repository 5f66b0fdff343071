//! Requests of a dead process that a store may still carry out.
//!
//! A slow store may do them long after the names they are about were filled by somebody else. So whoever changes names on a
//! store that is not on this computer says so in a file first, and takes it away once everything was answered. Who finds
//! one that was left waits until the store has done, or never will, what it was asked for.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Tree, failed};
use crate::annex::export::record;
use crate::gateway::{Failure, blocking};

/// How often we report that we are still changing names.
const BEAT: Duration = Duration::from_secs(1);

/// That we change names: a file which says so for as long as it is there.
pub(super) struct Fence(PathBuf);

pub(super) enum Fencing {
    /// No request can outlive its process.
    Needless,
    Up(Fence),
    /// What others left may still happen, for longer than one may wait.
    Waits,
}

impl Tree {
    /// Says that we begin to change names; waits before for what those may have left who were cut, if that is over within
    /// `limit`. Nobody else may export.
    pub(super) async fn fence(&self, limit: Duration) -> Result<Fencing, Failure> {
        if self.store.capabilities().local {
            return Ok(Fencing::Needless);
        }
        let (home, uuid, late) = (Arc::clone(&self.home), self.uuid.clone(), self.context.late);
        let found = blocking(move || {
            let path = record::asking(home.repository(), &uuid)?;
            Ok((left(&path, late)?, path))
        });
        let (left, path) = found.await?.map_err(|e: io::Error| failed(e))?;
        if left > limit {
            return Ok(Fencing::Waits);
        }
        if !left.is_zero() {
            tracing::warn!(
                "remote {}: an export was interrupted, and the store may still carry out its requests; resuming in {} s",
                self.name,
                left.as_secs()
            );
            tokio::time::sleep(left).await;
        }
        touch(&path).await?;
        Ok(Fencing::Up(Fence(path)))
    }

    /// The longest that [`fence`](Self::fence) ever waits, but for clocks that were set back.
    pub(super) fn longest_fence(&self) -> Duration {
        if self.store.capabilities().local { Duration::ZERO } else { all(self.context.late) }
    }

    /// Does `work` behind a fence.
    pub(super) async fn fenced<T>(
        &self,
        fence: Option<&Fence>,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let Some(Fence(path)) = fence else { return work.await };
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::time::sleep(BEAT) => {
                    // Ending the work here would leave requests that nobody hears the answers to.
                    if let Err(e) = touch(path).await {
                        tracing::warn!("remote {}: {e}", self.name);
                    }
                }
            }
        }
    }

    /// All is done. The fence stays where not everything was answered.
    pub(super) async fn unfence(&self, fence: Option<Fence>) -> Result<(), Failure> {
        let Some(Fence(path)) = fence else { return Ok(()) };
        if remotes::late::left(self.store.label()).is_some() {
            return touch(&path).await;
        }
        match blocking(move || fs::remove_file(path)).await? {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed(e)),
            _ => Ok(()),
        }
    }
}

/// How long to wait for what those may have left who were cut.
fn left(path: &Path, late: Duration) -> io::Result<Duration> {
    let changed = match fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Duration::ZERO),
        found => found?.modified()?,
    };
    // A clock that was set back tells nothing.
    Ok(all(late).saturating_sub(SystemTime::now().duration_since(changed).unwrap_or_default()))
}

fn all(late: Duration) -> Duration {
    // Zero: whoever runs this knows that the store does nothing late.
    if late.is_zero() { late } else { late + 2 * BEAT }
}

async fn touch(path: &Path) -> Result<(), Failure> {
    let path = path.to_path_buf();
    let touched = blocking(move || {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let file: File = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        file.set_modified(SystemTime::now())
    });
    touched.await?.map_err(|e: io::Error| failed(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_is_waited_for_as_long_as_it_may_still_happen() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.asking");
        let late = Duration::from_secs(60);
        assert_eq!(left(&path, late).expect("read"), Duration::ZERO, "nobody was cut");
        let file = File::create(&path).expect("made");
        let at = |ago: u64| file.set_modified(SystemTime::now() - Duration::from_secs(ago)).expect("set");
        at(0);
        assert!(left(&path, late).expect("read") > Duration::from_secs(50));
        assert_eq!(left(&path, Duration::ZERO).expect("read"), Duration::ZERO);
        at(30);
        let some = left(&path, late).expect("read");
        assert!(some > Duration::from_secs(20) && some < Duration::from_secs(40), "{some:?}");
        at(100);
        assert_eq!(left(&path, late).expect("read"), Duration::ZERO);
        file.set_modified(SystemTime::now() + Duration::from_secs(5000)).expect("set");
        assert!(left(&path, late).expect("read") > late, "the clock was set back");
    }
}
