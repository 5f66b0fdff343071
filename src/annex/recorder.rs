//! A thread for each repository that records where content is.
//!
//! So many requests share one hold of the journal, and many records share one commit.

#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::branch::{Branch, BranchError, Edit};
use crate::annex::log::{LocationLine, LocationLog, MetaLog, Presence, location_file, meta, remote_meta_file};
use crate::annex::repository::Repository;
use crate::name::{Key, Uuid};

/// Called when a record is in the journal, or could not be put there.
pub type Done = Box<dyn FnOnce(Result<(), Arc<BranchError>>) + Send>;

/// When the recorder commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecorderConfig {
    /// How long nothing must have been recorded. Default 1 s, so that a burst is one commit.
    pub idle: Duration,
    /// How long a record waits at most. Default 5 s, git-annex's p2phttp taking up to 3.
    pub latest: Duration,
    /// How long to wait after a commit that failed. Default 5 s.
    pub again: Duration,
    /// Most records under one hold of the journal. Default 1000, so that git-annex need not wait long for it.
    pub batch: usize,
}

/// Records where content is, for one repository. Ends with [`shutdown`](Self::shutdown), or when dropped, which does the
/// same and says nothing of errors.
pub struct Recorder {
    repository: Arc<Repository>,
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<Result<(), Arc<BranchError>>>>,
    /// Closed when the thread has ended.
    ended: Mutex<Receiver<()>>,
}

/// How long a commit waits for what arrived to be merged, so that both are one. What takes longer goes on beside it.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long [`Recorder::shutdown`] lets merging go on.
const GRACE: Duration = Duration::from_secs(2);

/// How often it is asked to end after that.
const AGAIN: Duration = Duration::from_millis(100);

enum Order {
    Record(Record),
    Commit(Done),
}

struct Record {
    key: Key,
    uuid: Uuid,
    what: What,
    done: Done,
}

/// What is recorded of a key and a remote.
#[derive(Debug, Clone)]
enum What {
    Presence(Presence, Evidence),
    /// Only where the log still has this line of the remote.
    Correction(Presence, Option<LocationLine>),
    Version(Version),
}

/// How it is known where content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// It was stored or removed just now. This is recorded also where the log says so already: another repository may have done
    /// the opposite before, and its line, which comes here later, must not win.
    Done,
    /// Somebody looked. What the log says already keeps its time.
    Seen,
}

/// What finds an old version of the content of a key in a store that keeps such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its name; only the store understands it.
    pub name: String,
    /// Whether it counts only where no other is recorded.
    pub spare: bool,
}

impl Default for RecorderConfig {
    fn default() -> Self {
        let (idle, latest) = (Duration::from_secs(1), Duration::from_secs(5));
        Self { idle, latest, again: Duration::from_secs(5), batch: 1000 }
    }
}

impl Recorder {
    /// Starts the thread. What it finds in the journal is committed like records of its own.
    ///
    /// # Errors
    ///
    /// No thread can be started.
    pub fn start(repository: Arc<Repository>, config: RecorderConfig) -> std::io::Result<Self> {
        let (orders, inbox) = mpsc::channel();
        let (end, ended) = mpsc::sync_channel(0);
        let worker = Worker { repository: Arc::clone(&repository), config, uncommitted: None, merger: None, _end: end };
        let thread = std::thread::Builder::new().name("recorder".to_string()).spawn(move || worker.run(&inbox))?;
        Ok(Self { repository, orders: Some(orders), thread: Some(thread), ended: Mutex::new(ended) })
    }

    /// Records that `uuid` has `key`, or has it no more, which `evidence` tells. Returns at once; `done` is called, on the recorder's thread and so
    /// shortly, once the journal holds the record, and only then may anybody be told.
    ///
    /// What waits is one entry for each request that waits for its `done`, no more.
    pub fn record(&self, key: Key, uuid: Uuid, presence: Presence, evidence: Evidence, done: Done) {
        self.order(Order::Record(Record { key, uuid, what: What::Presence(presence, evidence), done }));
    }

    /// Records that a look at `uuid` told otherwise than the log, in the same way. `read` is what the log said of it before that look;
    /// where it says anything else by now, what happened since counts.
    pub fn correct(&self, key: Key, uuid: Uuid, presence: Presence, read: Option<LocationLine>, done: Done) {
        self.order(Order::Record(Record { key, uuid, what: What::Correction(presence, read), done }));
    }

    /// Records a version of the content of `key` that `uuid` keeps, in the same way.
    pub fn record_version(&self, key: Key, uuid: Uuid, version: Version, done: Done) {
        self.order(Order::Record(Record { key, uuid, what: What::Version(version), done }));
    }

    /// Commits what is recorded by now, without waiting for a pause; `done` is called after it.
    pub fn commit(&self, done: Done) {
        self.order(Order::Commit(done));
    }

    /// Records what waits, commits, and ends; what others pushed is merged where that is soon done.
    ///
    /// # Errors
    ///
    /// Those of the commit; the journal keeps what was not committed.
    pub fn shutdown(mut self) -> Result<(), Arc<BranchError>> {
        self.stop()
    }

    fn order(&self, order: Order) {
        let refused = match &self.orders {
            Some(orders) => orders.send(order).err().map(|refused| refused.0),
            None => Some(order),
        };
        if let Some(Order::Record(Record { done, .. }) | Order::Commit(done)) = refused {
            done(Err(Arc::new(BranchError::Stopped)));
        }
    }

    fn stop(&mut self) -> Result<(), Arc<BranchError>> {
        drop(self.orders.take());
        let Some(thread) = self.thread.take() else { return Ok(()) };
        let mut patience = GRACE;
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(patience) {
            self.repository.branch().stop_merging();
            patience = AGAIN;
        }
        thread.join().unwrap_or_else(|_| Err(Arc::new(BranchError::Stopped)))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

struct Worker {
    repository: Arc<Repository>,
    config: RecorderConfig,
    uncommitted: Option<Uncommitted>,
    merger: Option<Merger>,
    _end: SyncSender<()>,
}

/// A thread that merges what others pushed.
struct Merger {
    thread: JoinHandle<()>,
    done: Receiver<Result<(), BranchError>>,
    /// How long the next commit waits for it.
    patience: Duration,
}

/// That something is to be committed, and when.
#[derive(Clone, Copy)]
struct Uncommitted {
    latest: Instant,
    next: Instant,
}

impl Worker {
    fn run(mut self, inbox: &Receiver<Order>) -> Result<(), Arc<BranchError>> {
        self.note();
        loop {
            let order = match self.uncommitted {
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(Uncommitted { next, .. }) => inbox.recv_timeout(next.saturating_duration_since(Instant::now())),
            };
            match order {
                Ok(first) => self.serve(first, inbox),
                Err(RecvTimeoutError::Timeout) => {
                    let _ = self.commit();
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let committed = self.commit();
                    if let Some(merger) = self.merger.take() {
                        let _ = merger.thread.join();
                    }
                    return committed;
                }
            }
            // Under steady load the inbox is never empty when it is looked at.
            if self.uncommitted.is_some_and(|uncommitted| uncommitted.latest <= Instant::now()) {
                let _ = self.commit();
            }
        }
    }

    fn serve(&mut self, first: Order, inbox: &Receiver<Order>) {
        let (mut records, mut commits) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(order) = next {
            match order {
                Order::Record(record) => records.push(record),
                Order::Commit(done) => commits.push(done),
            }
            next = if records.len() < self.config.batch && commits.is_empty() { inbox.try_recv().ok() } else { None };
        }
        if !records.is_empty() {
            self.record(records);
        }
        if !commits.is_empty() {
            let committed = self.commit();
            commits.into_iter().for_each(|done| call(done, committed.clone()));
        }
    }

    fn record(&mut self, records: Vec<Record>) {
        let together = self.change(&records);
        self.note();
        if together.is_ok() || records.len() == 1 {
            records.into_iter().for_each(|record| call(record.done, together.clone()));
            return;
        }
        // One record that cannot be written, such as of a key longer than file names may be, must not fail the others.
        for record in records {
            let alone = self.change(std::slice::from_ref(&record));
            call(record.done, alone);
        }
    }

    fn change(&self, records: &[Record]) -> Result<(), Arc<BranchError>> {
        let edits = records.iter().map(|record| self.edit(record)).collect();
        self.branch().change(edits).map_err(Arc::new)
    }

    fn edit(&self, record: &Record) -> Edit {
        let (uuid, hashing) = (record.uuid.clone(), self.branch().log_hashing());
        let edit = match record.what.clone() {
            What::Presence(presence, evidence) => Edit::new(location_file(&record.key, hashing), move |log| {
                let mut log = LocationLog::parse(log);
                let changed = match evidence {
                    Evidence::Done => log.renew(&uuid, presence, now()),
                    Evidence::Seen => log.set(&uuid, presence, now()),
                };
                changed.then(|| log.to_bytes())
            }),
            What::Correction(presence, read) => Edit::new(location_file(&record.key, hashing), move |log| {
                let mut log = LocationLog::parse(log);
                let changed = log.line(&uuid) == read && log.set(&uuid, presence, now());
                changed.then(|| log.to_bytes())
            }),
            What::Version(version) => Edit::new(remote_meta_file(&record.key, hashing), move |log| {
                if version.spare && !MetaLog::parse(log).values(&uuid, meta::VERSION).is_empty() {
                    return None;
                }
                meta::with_value(log, &uuid, meta::VERSION, version.name.as_bytes(), now())
            }),
        };
        if self.repository.is_private(&record.uuid) { edit.private() } else { edit }
    }

    /// Notes that something is to be committed, as of now.
    fn note(&mut self) {
        let now = Instant::now();
        let latest = self.uncommitted.map_or(now + self.config.latest, |uncommitted| uncommitted.latest);
        self.uncommitted = Some(Uncommitted { latest, next: (now + self.config.idle).min(latest) });
    }

    fn commit(&mut self) -> Result<(), Arc<BranchError>> {
        self.uncommitted = None;
        if self.repository.config_bool("annex.alwayscommit") == Some(false) {
            return Ok(());
        }
        // What others pushed comes first, as with git-annex: its own commits begin with a merge.
        let merged = self.merge();
        let committed = self.branch().commit("update");
        match merged.and(committed.map(drop)) {
            Ok(()) => Ok(()),
            Err(e) => {
                tracing::warn!(repository = %self.repository.path().display(), "cannot commit yet: {e}");
                let again = Instant::now() + self.config.again;
                self.uncommitted = Some(Uncommitted { latest: again, next: again });
                Err(Arc::new(e))
            }
        }
    }

    /// Has merged what others pushed, on a thread of its own; waits for it a moment. Whoever made it large keeps nobody waiting.
    fn merge(&mut self) -> Result<(), BranchError> {
        if self.merger.is_none() && self.branch().has_arrivals()? {
            let repository = Arc::clone(&self.repository);
            let (tell, done) = mpsc::sync_channel(1);
            let thread = std::thread::Builder::new().name("merger".to_string()).spawn(move || {
                let merged = repository.branch().merge_arrived().map(drop);
                // The recorder may have ended.
                let _ = tell.send(merged);
            });
            let thread = thread.map_err(|source| BranchError::Io {
                what: "start a thread for",
                path: self.repository.annex_dir().to_path_buf(),
                source,
            })?;
            self.merger = Some(Merger { thread, done, patience: PATIENCE });
        }
        let Some(merger) = &mut self.merger else { return Ok(()) };
        match merger.done.recv_timeout(std::mem::take(&mut merger.patience)) {
            Err(RecvTimeoutError::Timeout) => {
                // Looked at again with the next commit, which comes by itself.
                self.note();
                Ok(())
            }
            merged => {
                self.merger = None;
                merged.unwrap_or(Err(BranchError::Stopped))
            }
        }
    }

    fn branch(&self) -> &Branch {
        self.repository.branch()
    }
}

/// A panic of one `done` must not take the others' records along.
fn call(done: Done, result: Result<(), Arc<BranchError>>) {
    if catch_unwind(AssertUnwindSafe(|| done(result))).is_err() {
        tracing::error!("a callback that waited for a record panicked");
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
