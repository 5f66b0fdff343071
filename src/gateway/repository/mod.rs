//! A served repository: its content, and the record of where content is.

mod health;
mod proxied;
mod quota;

pub(in crate::gateway) use health::{Health, NodeHealth};
pub use proxied::Proxied;
pub(in crate::gateway) use proxied::{Cluster, ClusterLine, StoreTarget, Target, open_here};
pub(in crate::gateway) use quota::{Quota, admits};

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::annex::branch;
use crate::annex::content::{Content, ContentLock, Glance, Opening};
use crate::annex::log::{LocationLine, Presence, location_file, remote_meta_file};
use crate::annex::recorder::{Done, Evidence, Recorder, RecorderConfig, Version};
use crate::annex::repository::{OpenError, Repository, settings};
use crate::annex::sizes::Sizes;
use crate::gateway::wanted::Policies;
use crate::gateway::{Failure, Outgoing, blocking, off_this_thread, timestamp};
use crate::name::{Key, Uuid};
use crate::wanted::Policy;
use proxied::Proxies;

/// One repository. Shared by all threads and connections.
pub struct LocalRepository {
    repository: Arc<Repository>,
    content: Content,
    /// Started with the first record: many repositories are only read.
    recorder: Mutex<Option<Recorder>>,
    /// What it is a proxy for, as of the last look.
    proxies: Proxies,
    /// How nodes of its clusters are doing.
    health: Health,
    sizes: Arc<Sizes>,
    policies: Policies,
    used: AtomicU64,
    id: (u64, u64),
}

impl LocalRepository {
    /// Opens the repository at `path`. Blocks.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let repository = Arc::new(Repository::open(path)?);
        for (name, why) in settings::unheeded(&repository.settings()) {
            warn_once(format!("{}: {name} is set in git config, and has no effect here: {why}", path.display()));
        }
        let content = Content::new(repository.content_config());
        let sizes = Arc::new(Sizes::new(Arc::clone(&repository)));
        // Where it cannot be made, as on a disk that is only read, the first request says what is wrong.
        let _ = content.prepare();
        // One that is gone again is found out when it is used.
        let id = std::fs::metadata(repository.git_dir()).map(|meta| (meta.dev(), meta.ino())).unwrap_or_default();
        Ok(Self {
            repository,
            content,
            recorder: Mutex::default(),
            proxies: Proxies::default(),
            health: Health::default(),
            sizes,
            policies: Policies::default(),
            used: AtomicU64::new(timestamp()),
            id,
        })
    }

    /// Who it is.
    pub fn uuid(&self) -> &Uuid {
        self.repository.uuid()
    }

    /// Whether it can be recorded where the content of `key` is. Asked before the first byte: what was stored and not recorded
    /// is found by nobody, and stored again with each new try.
    pub(in crate::gateway) fn recordable(&self, key: &Key) -> Result<(), Failure> {
        fits_the_journal(key, &location_file(key, self.repository.branch().log_hashing()))
    }

    /// The same, where versions are recorded too.
    pub(in crate::gateway) fn versions_recordable(&self, key: &Key) -> Result<(), Failure> {
        fits_the_journal(key, &remote_meta_file(key, self.repository.branch().log_hashing()))
    }

    /// The repository itself.
    pub fn repository(&self) -> &Arc<Repository> {
        &self.repository
    }

    /// Device and number of its git directory, when it was opened: the same by whichever path it is reached.
    pub(in crate::gateway) fn id(&self) -> (u64, u64) {
        self.id
    }

    /// Its content. What changes it has to be recorded.
    pub(in crate::gateway) fn content(&self) -> &Content {
        &self.content
    }

    /// Whether the content of `key` is here.
    pub async fn check(&self, key: &Key) -> Result<bool, Failure> {
        match self.content.glance(key).map_err(|e| Failure::io("look for the content", &e))? {
            Glance::Present => Ok(true),
            Glance::Absent => Ok(false),
            Glance::Unproven => {
                let (content, key) = (self.content.clone(), key.clone());
                let found = blocking(move || content.present(&key)).await?;
                found.map_err(|e| Failure::io("look for the content", &e))
            }
        }
    }

    /// Opens the content of `key`; `None` where it is not here.
    pub async fn get(&self, key: &Key) -> Result<Option<Outgoing>, Failure> {
        let failed = |e| Failure::io("open the content", &e);
        let found = match self.content.open_at_once(key).map_err(failed)? {
            Opening::Open(found) => Some(found),
            Opening::Absent => None,
            Opening::Unproven => {
                let (content, key) = (self.content.clone(), key.clone());
                blocking(move || content.open(&key)).await?.map_err(failed)?
            }
        };
        found.map(Outgoing::from_file).transpose().map_err(failed)
    }

    /// Bytes of the content of `key` that are here from an upload that was broken off; `None` where all of it is here
    /// for good.
    ///
    /// # Errors
    ///
    /// It cannot be recorded, or not be told.
    pub async fn offset(&self, key: &Key) -> Result<Option<u64>, Failure> {
        self.recordable(key)?;
        let (content, key, known) = (self.content.clone(), key.clone(), key.clone());
        let look = move || match content.has_for_good(&key)? {
            true => Ok(None),
            false => content.offset(&key).map(Some),
        };
        let offset = blocking(look).await??;
        if offset.is_none() {
            self.record_seen(&known, self.uuid(), Presence::Present).await?;
        }
        Ok(offset)
    }

    /// Keeps the content of `key` from being removed, until the lock is dropped; `None` where it is not here.
    pub async fn lock(&self, key: &Key) -> Result<Option<ContentLock>, Failure> {
        let (content, key) = (self.content.clone(), key.clone());
        Ok(blocking(move || content.lock(&key)).await??)
    }

    /// The client has stored the content of `key` here by another way: looks, and records it. False where it is not here.
    pub async fn take_note(&self, key: &Key) -> Result<bool, Failure> {
        self.recordable(key)?;
        let (content, wanted) = (self.content.clone(), key.clone());
        if !blocking(move || content.has_for_good(&wanted)).await?? {
            return Ok(false);
        }
        self.record(key, self.uuid(), Presence::Present).await?;
        Ok(true)
    }

    /// The remote `uuid` that this repository is a proxy for; `None` where it is not.
    pub async fn proxied(self: &Arc<Self>, uuid: &Uuid) -> Result<Option<Arc<Proxied>>, Failure> {
        self.proxies.find(self, uuid).await
    }

    /// The cluster `uuid` that this repository is a gateway to; `None` where it is not.
    pub(in crate::gateway) async fn cluster(self: &Arc<Self>, uuid: &Uuid) -> Result<Option<Arc<Cluster>>, Failure> {
        self.proxies.cluster(self, uuid).await
    }

    /// The cluster of the node `uuid`, which is behind another gateway and is served here, too.
    pub(in crate::gateway) async fn behind(self: &Arc<Self>, uuid: &Uuid) -> Result<Option<Arc<Cluster>>, Failure> {
        self.proxies.behind(self, uuid).await
    }

    /// What its repositories want, as it is recorded now. Blocks.
    pub(in crate::gateway) fn policy(&self) -> Result<Arc<Policy>, Failure> {
        let policy = self.policies.current(&self.repository);
        policy.map_err(|e| Failure::internal(format!("read what repositories want: {e}")))
    }

    /// How full its repositories are.
    pub(in crate::gateway) fn sizes(&self) -> &Arc<Sizes> {
        &self.sizes
    }

    /// How nodes of its clusters are doing.
    pub(in crate::gateway) fn health(&self) -> &Health {
        &self.health
    }

    /// How many nodes of its clusters are down.
    pub fn nodes_down(&self) -> usize {
        self.health.down_count()
    }

    /// Nodes of its clusters that are down, and why.
    pub fn down_nodes(&self) -> Vec<(Uuid, String)> {
        self.health.all_down()
    }

    /// All that it is a proxy for, clusters too. Blocks.
    pub fn proxied_uuids(&self) -> Result<Vec<Uuid>, Failure> {
        self.proxies.all(&self.repository)
    }

    /// Nodes behind other gateways that it serves under their own uuids. Blocks.
    pub fn uuids_behind(&self) -> Result<Vec<Uuid>, Failure> {
        self.proxies.all_behind(&self.repository)
    }

    /// What `annex.trashbin` names; the name alone where no remote has it. `None` where it is not set.
    pub(in crate::gateway) async fn trashbin(
        self: &Arc<Self>,
    ) -> Result<Option<Result<Arc<Proxied>, String>>, Failure> {
        self.proxies.trashbin(self).await
    }

    /// Stops remotes that nobody used for a while, beside whoever calls this.
    pub(in crate::gateway) fn rest(&self) {
        self.proxies.commands().tidy();
    }

    pub(in crate::gateway) fn proxies(&self) -> &Proxies {
        &self.proxies
    }

    /// Records that the content of `key` was just stored by `uuid`, or removed from there. Once this has returned the record
    /// outlives the process.
    pub(in crate::gateway) async fn record(&self, key: &Key, uuid: &Uuid, presence: Presence) -> Result<(), Failure> {
        self.record_by(key, uuid, presence, Evidence::Done).await
    }

    /// Records what was seen of the content of `key` on `uuid`, in the same way.
    pub(in crate::gateway) async fn record_seen(
        &self,
        key: &Key,
        uuid: &Uuid,
        presence: Presence,
    ) -> Result<(), Failure> {
        self.record_by(key, uuid, presence, Evidence::Seen).await
    }

    async fn record_by(&self, key: &Key, uuid: &Uuid, presence: Presence, evidence: Evidence) -> Result<(), Failure> {
        if presence == Presence::Missing && self.recordable(key).is_err() {
            // That it was there was never recorded.
            return Ok(());
        }
        self.recorded(|recorder, done| recorder.record(key.clone(), uuid.clone(), presence, evidence, done)).await
    }

    /// Records that a look at `uuid` told otherwise than the log, which said `read` of it before; not where that changed since.
    pub(in crate::gateway) async fn record_correction(
        &self,
        key: &Key,
        uuid: &Uuid,
        presence: Presence,
        read: Option<LocationLine>,
    ) -> Result<(), Failure> {
        self.recorded(|recorder, done| recorder.correct(key.clone(), uuid.clone(), presence, read, done)).await
    }

    /// Records a version of the content of `key` that `uuid` keeps, in the same way.
    pub(in crate::gateway) async fn record_version(
        &self,
        key: &Key,
        uuid: &Uuid,
        version: Version,
    ) -> Result<(), Failure> {
        self.recorded(|recorder, done| recorder.record_version(key.clone(), uuid.clone(), version, done)).await
    }

    async fn recorded(&self, order: impl FnOnce(&Recorder, Done)) -> Result<(), Failure> {
        let (done, recorded) = oneshot::channel();
        let done = Box::new(move |result| {
            // Whoever waited may have gone.
            let _ = done.send(result);
        });
        self.with_recorder(|recorder| order(recorder, done))?;
        match recorded.await {
            Ok(result) => Ok(result?),
            Err(_) => Err(Failure::internal("the recorder ended".to_string())),
        }
    }

    fn with_recorder(&self, f: impl FnOnce(&Recorder)) -> Result<(), Failure> {
        let mut recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        if recorder.is_none() {
            let started = Recorder::start(Arc::clone(&self.repository), RecorderConfig::default());
            *recorder = Some(started.map_err(|e| Failure::io("start the recorder", &e))?);
        }
        if let Some(recorder) = &*recorder {
            f(recorder);
        }
        Ok(())
    }

    /// Merges the git-annex branches that clients pushed, so that others who fetch see them. Blocks.
    pub fn merge_arrived(&self) {
        if let Err(e) = self.repository.branch().merge_arrived() {
            tracing::warn!(repository = %self.repository.path().display(), "cannot merge pushed branches yet: {e}");
        }
    }

    /// The same on a thread of its own, where there is something to merge: others wait for whoever calls this. Blocks for a look
    /// at the references.
    pub(in crate::gateway) fn merge_beside(self: &Arc<Self>) {
        let branch = self.repository.branch();
        if branch.is_merging() || !branch.has_arrivals().unwrap_or(false) {
            return;
        }
        let served = Arc::clone(self);
        // Where there is no thread for it, the next tick tries again. It may be ended with the process at any moment.
        let _ = std::thread::Builder::new().name("merger".to_string()).spawn(move || served.merge_arrived());
    }

    /// Marks the repository as used now.
    pub(in crate::gateway) fn touch(&self) {
        self.used.store(timestamp(), Ordering::Relaxed);
    }

    /// Seconds since it was last used.
    pub(in crate::gateway) fn idle(&self) -> u64 {
        timestamp().saturating_sub(self.used.load(Ordering::Relaxed))
    }

    /// Commits what was recorded and ends the recorder, which a new record starts again; stops the remotes that were started.
    /// Blocks.
    pub fn settle(&self) -> Result<(), Failure> {
        self.proxies.commands().end();
        let recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner).take();
        let settled = recorder.map_or(Ok(()), Recorder::shutdown);
        // That of others, too: whoever ends the process waits for it.
        self.repository.branch().stop_merging();
        Ok(settled?)
    }
}

/// Repositories are opened again and again, by whoever asks for what is not there.
fn warn_once(words: String) {
    static SAID: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);
    let is_new = SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(words.clone());
    if is_new {
        tracing::warn!("{words}");
    }
}

fn fits_the_journal(key: &Key, file: &[u8]) -> Result<(), Failure> {
    if branch::fits(file) {
        return Ok(());
    }
    let len = key.as_bytes().len();
    let words = format!(
        "the name of this key has {len} bytes, and git-annex can not record where its content is: the file that it makes \
         of it would have a name of more than 255 bytes; add the file again with a shorter extension, or with a hash as \
         its backend"
    );
    Err(Failure::refused(words))
}

impl Drop for LocalRepository {
    fn drop(&mut self) {
        let recorder = self.recorder.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(recorder) = recorder {
            // The last to hold on to it may be a request, and the recorder commits before it ends.
            off_this_thread(recorder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annex::lock::{LockFile, LockKind};
    use crate::annex::repository::tests::make;

    /// A request may be the last to hold on to a repository that was reopened meanwhile.
    #[test]
    fn a_data_thread_that_drops_a_repository_does_not_wait_for_its_commit() {
        let dir = tempfile::tempdir().expect("a directory");
        make(dir.path(), &[]);
        let work = async {
            let served = Arc::new(LocalRepository::open(dir.path()).expect("a repository"));
            let journal = served.repository().annex_dir().join("journal.lck");
            let held = LockFile::try_lock(&journal, LockKind::Exclusive, 0o666).expect("asked").expect("free");
            let key = Key::parse(b"SHA256-s1--x").expect("a key");
            let (done, recorded) = oneshot::channel();
            let told = Box::new(move |result: Result<(), _>| done.send(result.is_ok()).expect("it waits"));
            let order = |recorder: &Recorder| {
                recorder.record(key, served.uuid().clone(), Presence::Present, Evidence::Done, told)
            };
            served.with_recorder(order).expect("it starts");
            drop(served);
            // It is still to be recorded, which needs this: had the drop waited for it, it would have failed.
            drop(held);
            assert!(recorded.await.expect("told"));
        };
        remotes::sys::run(false, work).expect("a runtime");
    }
}
