//! A special remote behind this gateway: content in a store that clients need not be able to reach.

mod node;
mod publish;
mod sink;
pub mod unfinished;

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use remotes::retrieve::Ranges;
use remotes::retry::Backoff;
use remotes::{Context, Error, Get, Kind, ObjectName, Op, Range, Resumption, Stat, Store, Until, Versions};

use crate::annex::export::tracking::Tracking;
use crate::annex::export::tree::blob_of;
use crate::annex::log::Presence;
use crate::annex::unfinished::{Ledgers, Taken};
use crate::gateway::far::Far;
use crate::gateway::pace::Pace;
use crate::gateway::receive::{Offer, Upload};
use crate::gateway::repository::StoreTarget;
use crate::gateway::send::Outgoing;
use crate::gateway::tree::{Exported, Progress, Repaired, Tree};
use crate::gateway::{Failure, LocalRepository, blocking};
use crate::name::{Key, Uuid};
use sink::StoreSink;

/// A special remote, opened on a data thread.
pub struct StoreNode {
    home: Arc<LocalRepository>,
    uuid: Uuid,
    name: String,
    target: Arc<StoreTarget>,
    pub(in crate::gateway) store: Rc<dyn Store>,
    context: Context,
    /// The tree it holds, if it holds one.
    tree: Option<Rc<Tree>>,
}

/// How content is looked for.
#[derive(Clone, Copy)]
struct How {
    /// Old versions count.
    old: bool,
    /// What is there has to last, whoever put it there.
    lasting: bool,
}

impl StoreNode {
    pub(in crate::gateway) fn new(
        home: &Arc<LocalRepository>,
        uuid: &Uuid,
        name: &str,
        target: &Arc<StoreTarget>,
        store: Rc<dyn Store>,
        context: Context,
        pace: Option<Arc<Pace>>,
    ) -> Self {
        let exports = target.config.tree.as_ref();
        let tree = exports.map(|exports| Tree::new(home, uuid, name, exports.tracking.as_ref(), &store, &context));
        let tree = tree.map(|tree| Rc::new(tree.at(pace)));
        let (home, target) = (Arc::clone(home), Arc::clone(target));
        Self { home, uuid: uuid.clone(), name: name.into(), target, store, context, tree }
    }

    /// What this repository calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the store has the content of `key`. Content of another length is none; outside trees, where nobody but git-annex
    /// puts anything, it is not absent either.
    pub(in crate::gateway) async fn check(&self, key: &Key) -> Result<bool, Failure> {
        let asked = Instant::now();
        let is_there = self.is_there(key, How { old: true, lasting: false }, |stat| self.fits(key, stat.len)).await?;
        // In a tree, what lies at a name may not be the content, and more is looked at.
        if !is_there && self.tree.is_none() {
            self.target.absences.note(key, asked);
        }
        Ok(is_there)
    }

    /// Whether its content is there for good, so that whoever asks will not send it: in a tree, where people put files too, for
    /// sure. Old versions do not count.
    async fn is_at_a_name(&self, key: &Key) -> Result<bool, Failure> {
        let how = How { old: false, lasting: true };
        match &self.tree {
            Some(tree) => Ok(self.is_there(key, how, |_| Ok(true)).await? && tree.has(key).await?),
            None => self.is_there(key, how, |stat| self.fits(key, stat.len)).await,
        }
    }

    /// Whether anything is there for `key`; `fits` says whether it may be its content.
    async fn is_there(
        &self,
        key: &Key,
        how: How,
        fits: impl Fn(&Stat) -> Result<bool, Failure>,
    ) -> Result<bool, Failure> {
        let told = |stat: remotes::Result<Option<Stat>>| {
            let stat = stat.map_err(|e| self.failure(&e))?;
            let fits = stat.as_ref().map(&fits).transpose()?;
            Ok(fits.filter(|fits| *fits).map(drop))
        };
        let look = async |object: &ObjectName| {
            self.store.settled(object).await;
            let found = told(self.store.stat(object).await)?;
            if found.is_some() && how.lasting {
                self.store.make_lasting(object).await.map_err(|e| self.failure(&e))?;
            }
            Ok(found)
        };
        let Some(tree) = &self.tree else {
            let found = look(&self.object(key)?).await?;
            return Ok(self.seen(key, found).is_some());
        };
        if tree.find(key, look).await?.is_some() {
            return Ok(true);
        }
        let look = async |versions: &dyn Versions, version: &str| told(versions.stat_version(version).await);
        Ok(how.old && tree.find_version(key, look).await?.is_some())
    }

    /// Opens the content of `key` from byte `from` on, `len` bytes where that is known; `None` where it is not there.
    pub(in crate::gateway) async fn get(
        &self,
        key: &Key,
        from: u64,
        len: Option<u64>,
    ) -> Result<Option<Outgoing>, Failure> {
        let range = || Range { from, len, tag: None };
        let open = async |object: &ObjectName| {
            let get = self.open(key, || self.store.get(object, range())).await?;
            Ok(get.map(|get| {
                let far = self.far(object, &get);
                Outgoing::from_store(get, from).or_from(far)
            }))
        };
        let Some(tree) = &self.tree else {
            let found = open(&self.object(key)?).await?;
            return Ok(self.seen(key, found));
        };
        if let Some(found) = tree.find(key, open).await? {
            return Ok(Some(found));
        }
        let open = async |versions: &dyn Versions, version: &str| {
            self.open(key, || versions.get_version(version, range())).await
        };
        Ok(tree.find_version(key, open).await?.map(|get| Outgoing::from_store(get, from)))
    }

    /// What was found of `key`: where it is there, that it was absent a moment ago says nothing any more.
    fn seen<T>(&self, key: &Key, found: Option<T>) -> Option<T> {
        if found.is_some() {
            self.target.absences.forget(key);
        }
        found
    }

    /// How `object`, of which `get` was opened, may be had by other connections.
    fn far(&self, object: &ObjectName, get: &Get) -> Option<Far> {
        let (store, context) = (Rc::clone(&self.store), self.context.clone());
        Far::new(Ranges { store, object: object.clone(), tag: get.tag.clone(), context }, get.len)
    }

    async fn open<F: Future<Output = remotes::Result<Get>>>(
        &self,
        key: &Key,
        mut get: impl FnMut() -> F,
    ) -> Result<Option<Get>, Failure> {
        let mut backoff = Backoff::new(&self.context);
        loop {
            match get().await {
                Ok(get) => return Ok(self.fits(key, get.total)?.then_some(get)),
                Err(e) if e.kind() == Kind::NotFound => return Ok(None),
                // What the store has tried itself need not be tried again.
                Err(e) if e.tries() > 1 => return Err(self.failure(&e)),
                Err(e) => backoff.pause(e).await.map_err(|e| self.failure(&e))?,
            }
        }
    }

    /// Gets ready to take the content of `key`. What is in the tree need not lie outside it too.
    pub(in crate::gateway) async fn put(self: &Rc<Self>, key: &Key) -> Result<Offer, Failure> {
        self.takes(key)?;
        if self.tree.is_some() && self.is_at_a_name(key).await? {
            self.home.record_seen(key, &self.uuid, Presence::Present).await?;
            // Whoever put it there may have been killed before it got its names.
            self.settle(self.announce(key).await?).await;
            return Ok(Offer::AlreadyHave(Vec::new()));
        }
        self.open_upload(key).await.map(|upload| Offer::Upload(Box::new(upload)))
    }

    async fn open_upload(self: &Rc<Self>, key: &Key) -> Result<Upload, Failure> {
        let sink = StoreSink::open(self, key, self.object(key)?, self.ledger(key).await?).await?;
        Ok(Upload::new(key, sink))
    }

    /// The branch whose tree it holds, if it follows one.
    pub fn tracking(&self) -> Option<&Tracking> {
        self.tree.as_ref().and_then(|tree| tree.tracking())
    }

    /// Whether its branch has changed since it was exported here, or the export was cut.
    pub async fn is_behind(&self) -> Result<bool, Failure> {
        match &self.tree {
            Some(tree) => tree.has_more().await,
            None => Ok(false),
        }
    }

    /// Makes it hold the tree that its branch is at now. Waits up to `limit` for others who export to it; `None` where they
    /// are still exporting then, or where it follows no branch.
    ///
    /// # Errors
    ///
    /// It does not hold all of it yet; the next call goes on with it.
    pub async fn export(&self, limit: Duration) -> Result<Option<Exported>, Failure> {
        self.writable()?;
        match &self.tree {
            Some(tree) => tree.export(limit).await,
            None => Ok(None),
        }
    }

    /// Looks at all files of the tree it holds, and puts right what is damaged; `told` hears how far that is. Waits up to `limit`
    /// for others who export to it; `None` where they are still exporting then, or where it follows no branch.
    pub async fn repair(&self, limit: Duration, told: &dyn Fn(Progress)) -> Result<Option<Repaired>, Failure> {
        self.writable()?;
        match &self.tree {
            Some(tree) => tree.repair(limit, told).await,
            None => Ok(None),
        }
    }

    /// The client has stored the content of `key` there by another way: looks, and records it. False where it is not there.
    pub(in crate::gateway) async fn take_note(&self, key: &Key) -> Result<bool, Failure> {
        self.home.recordable(key)?;
        if !self.is_there(key, How { old: true, lasting: true }, |stat| self.fits(key, stat.len)).await? {
            return Ok(false);
        }
        self.record(key, Presence::Present).await?;
        self.settle(self.announce(key).await?).await;
        Ok(true)
    }

    /// Bytes of the content of `key` that are there from an upload that was broken off; `None` where all of it is there. Where it
    /// was absent a moment ago, that is not asked again: content that came meanwhile would be sent once more, and nothing else.
    pub(in crate::gateway) async fn offset(self: &Rc<Self>, key: &Key) -> Result<Option<u64>, Failure> {
        self.takes(key)?;
        if !self.target.absences.take(key, Instant::now()) && self.is_at_a_name(key).await? {
            return Ok(None);
        }
        let upload = self.open_upload(key).await?;
        let offset = upload.offset();
        upload.keep().await.map(|()| Some(offset))
    }

    /// Removes the content of `key`, and records that, while there is time: `until` is asked before each request that can
    /// remove, after all that was waited for. Content that is not there is removed at any time.
    pub(in crate::gateway) async fn remove(&self, key: &Key, until: &Until) -> Result<(), Failure> {
        self.writable()?;
        let object = self.object(key)?;
        let removed = match &self.tree {
            _ if until.is_over() => Err(Failure::too_late()),
            Some(tree) => tree.remove(key, until).await,
            None => match self.store.remove_until(&object, until).await {
                Err(e) if e.kind() != Kind::NotFound => Err(self.failure(&e)),
                _ => Ok(()),
            },
        };
        if let Err(failure) = removed {
            // It may have been gone before, or be gone by what was tried in time.
            if !until.is_over() || self.is_there(key, How { old: true, lasting: false }, |_| Ok(true)).await? {
                return Err(failure);
            }
        }
        self.record(key, Presence::Missing).await
    }

    /// Records whether the content of `key` is there. Once this has returned the record outlives the process.
    pub(in crate::gateway) async fn record(&self, key: &Key, presence: Presence) -> Result<(), Failure> {
        self.home.record(key, &self.uuid, presence).await
    }

    /// Says what no client need know of.
    pub(in crate::gateway) fn warn(&self, failure: &Failure) {
        tracing::warn!("remote {}: {failure}; an upload that is interrupted now will start over", self.name);
    }

    /// What `error` is to a client: git-annex's own words before ours.
    pub(in crate::gateway) fn failure(&self, error: &Error) -> Failure {
        Failure::remote(error)
    }

    /// `None` where another upload of `key` to this remote is under way.
    async fn ledger(&self, key: &Key) -> Result<Option<crate::annex::unfinished::Ledger>, Failure> {
        let ledgers = Ledgers::new(self.home.repository().annex_dir());
        let (uuid, key) = (self.uuid.clone(), key.clone());
        let taken = blocking(move || ledgers.take(&uuid, &key)).await?;
        match taken.map_err(|e| Failure::io("open the ledger of unfinished uploads", &e))? {
            Taken::Free(ledger) => Ok(Some(ledger)),
            Taken::Busy => Ok(None),
        }
    }

    /// Leaves nothing of an upload in the store. One without such uploads keeps nothing of any.
    async fn abandon(&self, object: &ObjectName, upload: &Resumption) -> remotes::Result<()> {
        match self.store.uploads() {
            Some(uploads) => uploads.abandon(object, upload).await,
            None => Ok(()),
        }
    }

    fn object(&self, key: &Key) -> Result<ObjectName, Failure> {
        let name = ObjectName::new(self.target.config.name(key));
        name.map_err(|e| self.failure(&Error::new(Op::Stat, Kind::Unsupported, e.to_string()).on(self.store.label())))
    }

    /// What git holds is put into a tree from there, and nobody can prove that anything else is it.
    fn takes(&self, key: &Key) -> Result<(), Failure> {
        self.writable()?;
        self.home.recordable(key)?;
        if self.store.versions().is_some() {
            self.home.versions_recordable(key)?;
        }
        match &self.tree {
            Some(_) if blob_of(key).is_some() => {
                Err(Failure::refused(format!("{key} is a file of git, which comes by git push")))
            }
            _ => Ok(()),
        }
    }

    fn writable(&self) -> Result<(), Failure> {
        match &self.target.readonly {
            None => Ok(()),
            Some(why) => Err(Failure::refused(why.clone())),
        }
    }

    /// Whether something of this length may be the content of `key`. Failures: it is not, and is in the way where nothing else
    /// has a place. In a tree it is put aside once that content comes.
    fn fits(&self, key: &Key, len: u64) -> Result<bool, Failure> {
        match key.size() {
            Some(_) if self.tree.is_some() => Ok(key.content_len().is_none_or(|wanted| wanted == len)),
            Some(size) if size != len => {
                let detail = format!(
                    "it has {len} bytes, and the key {key} says {size}; drop it there and copy it again from elsewhere"
                );
                Err(self.failure(&Error::new(Op::Get, Kind::Corrupt, detail).on(self.store.label())))
            }
            _ => Ok(true),
        }
    }
}
