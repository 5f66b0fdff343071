//! A special remote that holds a tree: content lies under the names of its files, and outside the tree where it has none.
//!
//! Clients read and store by key. What they store lies outside the tree first, where nothing is in its way, and is moved to
//! its names on the store. Whoever changes names holds git-annex's lock for exports; whoever reads holds nothing, and
//! looks again where what is noted and what is there do not fit together.

mod apart;
mod arrivals;
mod concurrency;
mod export;
mod fence;
mod find;
mod moves;
mod obstacles;
mod others;
mod outcome;
mod proof;
mod reading;
mod repair;
mod steps;
mod stored;
mod survey;
mod versions;
mod wishes;

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use remotes::budget::Budget;
use remotes::{Context, ObjectName, Store};

use self::fence::Fencing;
use self::stored::NewlyStored;
use super::pace::Pace;
use super::{Failure, LocalRepository, blocking};
use crate::annex::export::WorkError;
use crate::annex::export::db::{DbError, ExportDb, LockedDb};
use crate::annex::export::tracking::Tracking;
use crate::name::Uuid;
use crate::wanted::Unknown;

pub(super) use arrivals::Arrival;
pub use export::Exported;
pub use repair::{Damage, Damaged, Progress, Repaired};

/// The tree of a special remote, on a data thread.
pub(super) struct Tree {
    home: Arc<LocalRepository>,
    uuid: Uuid,
    /// What this repository calls the remote.
    name: String,
    tracking: Option<Tracking>,
    store: Rc<dyn Store>,
    context: Context,
    /// Memory for files of git on their way.
    blobs: Budget,
    /// What was proven of the store's content.
    proofs: proof::Table,
    /// How many requests to the store go on at once, at first; always where that is few.
    width: usize,
    /// How fast content is stored from here.
    pace: Option<Arc<Pace>>,
}

/// Bytes of files of git that are on their way at once; one that is longer goes alone.
const BLOBS: u64 = 32 << 20;

/// The database of the exports, and that nobody else exports. Blocking work on it is done on pool threads.
#[derive(Clone)]
struct Session {
    book: Arc<Mutex<LockedDb>>,
    /// Other gateways were told that it is our turn.
    turn: bool,
    /// What they are told when they get it.
    newly_stored: Arc<NewlyStored>,
    /// Names that cannot be filled as long as a person leaves something there.
    blocked: Arc<Mutex<BTreeSet<Vec<u8>>>>,
}

/// So many requests at once, or fewer, are never made more: there is a disk behind them.
const FEW: usize = 4;

/// First and longest pause between two tries to get the lock.
const PAUSE: (Duration, Duration) = (Duration::from_millis(4), Duration::from_millis(250));

impl Tree {
    pub(super) fn new(
        home: &Arc<LocalRepository>,
        uuid: &Uuid,
        name: &str,
        tracking: Option<&Tracking>,
        store: &Rc<dyn Store>,
        context: &Context,
    ) -> Self {
        Self {
            home: Arc::clone(home),
            uuid: uuid.clone(),
            name: name.into(),
            tracking: tracking.cloned(),
            store: Rc::clone(store),
            context: context.clone(),
            blobs: Budget::new(BLOBS),
            proofs: proof::Table::default(),
            width: if store.capabilities().local { FEW } else { 32 },
            pace: None,
        }
    }

    /// The same, where content is stored from here at this pace.
    pub(super) fn at(self, pace: Option<Arc<Pace>>) -> Self {
        Self { pace, ..self }
    }

    /// What it follows, if anything.
    pub(super) fn tracking(&self) -> Option<&Tracking> {
        self.tracking.as_ref()
    }

    /// Does `work` while nobody else exports, git-annex neither; waits up to `limit` for them. `None` where they are still at it
    /// then.
    async fn alone<T>(
        &self,
        limit: Duration,
        work: impl AsyncFnOnce(&Session) -> Result<T, Failure>,
    ) -> Result<Option<T>, Failure> {
        let begun = Instant::now();
        let Some(mut session) = self.hold(limit).await? else { return Ok(None) };
        let fence = match self.fence(limit.saturating_sub(begun.elapsed())).await? {
            Fencing::Waits => return Ok(None),
            Fencing::Needless => None,
            Fencing::Up(fence) => Some(fence),
        };
        let done = self.fenced(fence.as_ref(), async {
            session.turn = self.take_turn().await?;
            let done = work(&session).await;
            if let Err(e) = self.tell_stored(&session).await {
                tracing::warn!("remote {}: other gateways are not told what was stored: {e}", self.name);
            }
            self.let_go(&session).await;
            done
        });
        let done = done.await;
        self.unfence(fence).await?;
        drop(session);
        done.map(Some)
    }

    /// The same where it has to be.
    async fn surely_alone<T>(&self, work: impl AsyncFnOnce(&Session) -> Result<T, Failure>) -> Result<T, Failure> {
        let done = self.alone(self.context.idle + self.longest_fence(), work).await?;
        done.ok_or_else(|| Failure::busy(&format!("a tree is being exported to remote {}", self.name)))
    }

    /// Keeps others here from exporting. No pool thread is kept while waiting: whoever exports needs some.
    async fn hold(&self, limit: Duration) -> Result<Option<Session>, Failure> {
        let (start, mut pause) = (Instant::now(), PAUSE.0);
        loop {
            let (home, uuid) = (Arc::clone(&self.home), self.uuid.clone());
            let taken = blocking(move || {
                let db = ExportDb::open(&home.repository().db_dir(), &uuid)?;
                Ok::<_, DbError>(db.try_lock()?.map(|lock| LockedDb { db, lock }))
            });
            if let Some(book) = taken.await?.map_err(failed)? {
                let book = Arc::new(Mutex::new(book));
                return Ok(Some(Session { book, turn: false, newly_stored: Arc::default(), blocked: Arc::default() }));
            }
            if start.elapsed() >= limit {
                return Ok(None);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    fn object(&self, name: &[u8]) -> Result<ObjectName, Failure> {
        ObjectName::new(name).map_err(|e| Failure::internal(format!("remote {}: {e}", self.name)))
    }

    fn warn(&self, failure: &Failure) {
        tracing::warn!("remote {}: {failure}; its tree is not complete until the next push or upload", self.name);
    }
}

impl Session {
    fn block(&self, names: BTreeSet<Vec<u8>>) {
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner).extend(names);
    }

    /// What [cannot be filled](Self::blocked), as far as was found out.
    fn blocked(&self) -> BTreeSet<Vec<u8>> {
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Does what may block.
    async fn with<T: Send + 'static, E: Into<Why> + Send + 'static>(
        &self,
        f: impl FnOnce(&mut LockedDb) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Failure> {
        let book = Arc::clone(&self.book);
        let done = blocking(move || f(&mut book.lock().unwrap_or_else(PoisonError::into_inner))).await?;
        done.map_err(failed)
    }
}

/// What went wrong while an export was worked out or written down.
enum Why {
    Work(WorkError),
    Io(std::io::Error),
    /// Whether a file is wanted cannot be told.
    Wish(Vec<u8>, Unknown),
}

impl From<WorkError> for Why {
    fn from(e: WorkError) -> Self {
        Self::Work(e)
    }
}

impl From<DbError> for Why {
    fn from(e: DbError) -> Self {
        Self::Work(e.into())
    }
}

impl From<crate::annex::branch::BranchError> for Why {
    fn from(e: crate::annex::branch::BranchError) -> Self {
        Self::Work(e.into())
    }
}

impl From<std::io::Error> for Why {
    fn from(e: std::io::Error) -> Self {
        Self::Io(e)
    }
}

fn failed(why: impl Into<Why>) -> Failure {
    match why.into() {
        Why::Work(e) => Failure::internal(format!("export: {e}")),
        Why::Io(e) => Failure::io("write down what is exported", &e),
        Why::Wish(name, why) => {
            let name = name.escape_ascii();
            Failure::internal(format!("export: cannot determine whether its preferred content matches {name}: {why}"))
        }
    }
}

#[cfg(test)]
mod tests;
