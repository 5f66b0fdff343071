//! Requests to a service: watched, limited in time, with errors explained.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use opendal::layers::RetryLayer;
use opendal::raw::{OpStat, Service as _};
use opendal::{HttpTransporter, Metadata, OperationContext, Operator, Writer};
use tokio::time::Instant;

use super::errors;
use super::service::{Layout, Service};
use super::staging::Staging;
use super::transport::{Answers, Client, Transport, Watch};
use crate::fold::{Folding, respellings};
use crate::retry::{Backoff, TRIES};
use crate::{Context, Error, Kind, Op, Result, Until, late};

/// How often progress is looked at.
const TICK: Duration = Duration::from_millis(250);

/// A service as it was opened.
pub(super) struct Link {
    pub(super) service: &'static Service,
    pub(super) label: String,
    pub(super) context: Context,
    operator: Operator,
    pub(super) client: Client,
    secrets: Vec<String>,
    pub(super) staging: Staging,
    /// Whether names of other case, other letters' case, other form and other ending are found; once that was asked.
    folds: [Cell<Option<bool>>; 4],
    /// Objects that were read last, with tags that a request can be made to depend on.
    seen: RefCell<VecDeque<(String, crate::Stat)>>,
}

/// Objects that are remembered: more are not read at once.
const SEEN: usize = 64;

/// What is found where something shall be put, and stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InTheWay {
    /// Nothing, or a file of that very name.
    Nothing,
    /// A directory.
    Directory,
    /// A file of another name that the service does not tell from this one.
    Twin,
}

/// How a name is listed that something is found at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listed {
    /// As it was asked for.
    So,
    /// Under another name that some place takes for it, and not under this one.
    Otherwise,
    /// Under neither.
    Not,
}

/// An operator whose requests report to a watch.
pub(super) struct Call {
    pub(super) operator: Operator,
    pub(super) watch: Arc<Watch>,
}

impl Link {
    pub(super) fn new(
        service: &'static Service,
        operator: Operator,
        label: String,
        secrets: Vec<String>,
        endpoint: Option<&str>,
        context: &Context,
    ) -> Self {
        let staging = Staging::new(context.tree);
        Self {
            service,
            label,
            context: context.clone(),
            operator,
            client: Client::new(context, service.scheme, endpoint),
            secrets,
            staging,
            folds: Default::default(),
            seen: RefCell::default(),
        }
    }

    pub(super) fn can(&self) -> opendal::Capability {
        self.operator.info().capability()
    }

    /// A call whose answers are short.
    pub(super) fn call(&self) -> Call {
        self.call_for(Answers::Small)
    }

    pub(super) fn call_for(&self, answers: Answers) -> Call {
        let watch = Arc::new(Watch::of(answers));
        let transport = Transport { client: self.client.clone(), watch: Arc::clone(&watch) };
        let context = OperationContext::new().with_http_transport(HttpTransporter::new(transport));
        Call { operator: self.operator.clone().with_context(context), watch }
    }

    /// A call whose parts are tried again one by one. OpenDAL alone keeps a part until it has arrived, so only its own layer
    /// can send it again; everything else is tried again by [`Backoff`], which tells the story and knows our kinds.
    pub(super) fn call_with_retries(&self) -> Call {
        let retries = RetryLayer::new()
            .with_min_delay(self.context.first_pause)
            .with_factor(2.0)
            .with_max_times(TRIES as usize - 1)
            .with_jitter();
        let call = self.call();
        Call { operator: call.operator.layer(retries), watch: call.watch }
    }

    pub(super) fn error(&self, op: Op, kind: Kind, detail: impl Into<String>) -> Error {
        Error::new(op, kind, detail).on(&self.label)
    }

    pub(super) fn explain(&self, op: Op, error: &opendal::Error, watch: &Watch) -> Error {
        errors::explain(op, self.service.scheme, error, watch.refusal(), &self.secrets).on(&self.label)
    }

    /// Waits for `work` for as long as anything moves; `tick` learns how many bytes were sent.
    pub(super) async fn watched<T>(
        &self,
        op: Op,
        watch: &Watch,
        work: impl Future<Output = opendal::Result<T>>,
        mut tick: impl FnMut(u64),
    ) -> Result<T> {
        let idle = self.context.idle;
        let mut work = std::pin::pin!(work);
        let (mut moved, mut since) = (watch.moved(), Instant::now());
        loop {
            match tokio::time::timeout(TICK.min(idle), &mut work).await {
                Ok(done) => return done.map_err(|e| self.explain(op, &e, watch)),
                Err(_) if watch.moved() != moved => {
                    (moved, since) = (watch.moved(), Instant::now());
                    tick(watch.sent());
                }
                Err(_) if since.elapsed() >= idle => {
                    return Err(self.error(op, Kind::Timeout, format!("nothing moved for {} s", idle.as_secs())));
                }
                Err(_) => {}
            }
        }
    }

    /// One request.
    pub(super) async fn once<T, F: Future<Output = opendal::Result<T>>>(
        &self,
        op: Op,
        request: impl FnOnce(Operator) -> F,
    ) -> Result<T> {
        self.once_on(&self.call(), op, request).await
    }

    async fn once_on<T, F: Future<Output = opendal::Result<T>>>(
        &self,
        call: &Call,
        op: Op,
        request: impl FnOnce(Operator) -> F,
    ) -> Result<T> {
        self.watched(op, &call.watch, request(call.operator.clone()), |_| {}).await
    }

    /// A request that may be made again, until it succeeds or trying is no use.
    pub(super) async fn often<T, F: Future<Output = opendal::Result<T>>>(
        &self,
        op: Op,
        mut request: impl FnMut(Operator) -> F,
    ) -> Result<T> {
        let mut backoff = Backoff::new(&self.context);
        loop {
            match self.once(op, &mut request).await {
                Ok(done) => return Ok(done),
                Err(e) => backoff.pause(e).await?,
            }
        }
    }

    /// Keeps in mind what was found at `path`, where its tag can be asked for.
    pub(super) fn remember(&self, path: &str, stat: &crate::Stat) {
        let mut seen = self.seen.borrow_mut();
        seen.retain(|(other, _)| other != path);
        if seen.len() == SEEN {
            seen.pop_front();
        }
        seen.push_back((path.into(), stat.clone()));
    }

    /// What is known of the object at `path` with this tag, without a look: the request for it will depend on the tag.
    pub(super) fn known(&self, path: &str, tag: &str) -> Option<crate::Stat> {
        if self.client.needs_looks() {
            return None;
        }
        let seen = self.seen.borrow();
        let (_, stat) = seen.iter().find(|(other, stat)| other == path && stat.tag.as_deref() == Some(tag))?;
        Some(stat.clone())
    }

    /// What the service says of `path`; `None` where nothing is there for sure.
    pub(super) async fn meta(&self, op: Op, path: &str) -> Result<Option<Metadata>> {
        match self.often(op, |o| async move { o.stat(path).await }).await {
            Ok(meta) => Ok(Some(meta)),
            Err(e) if e.kind() == Kind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Length and tag of what is at `path`; `None` where it is positively absent. In a tree a directory of the name is no file
    /// of the name.
    pub(super) async fn look(&self, op: Op, path: &str) -> Result<Option<crate::Stat>> {
        match self.meta(op, path).await? {
            Some(meta) if meta.is_dir() && !self.context.tree => Err(self.error(op, Kind::Protocol, "is a directory")),
            meta => Ok(meta.filter(|meta| !meta.is_dir()).map(|meta| crate::Stat {
                len: meta.content_length(),
                tag: super::tag::tag(&meta),
                version: None,
            })),
        }
    }

    /// What is at `path`, where something of `len` bytes was just put. Where the service tells of anything else it is asked
    /// again for a while: some tell for a moment what they saw while the bytes came in (`rclone serve webdav`).
    pub(super) async fn look_for(&self, op: Op, path: &str, len: u64) -> Result<Option<crate::Stat>> {
        let mut backoff = Backoff::new(&self.context);
        loop {
            let found = self.look(op, path).await?;
            if found.as_ref().is_some_and(|stat| stat.len == len) || !backoff.again().await {
                return Ok(found);
            }
        }
    }

    /// Sees that neither a directory nor a file of another name is found at `path`, where something shall be put. Errors: one
    /// is, and stays with all that is in it.
    pub(super) async fn may_replace(&self, op: Op, path: &str) -> Result<()> {
        match self.in_the_way(op, path).await? {
            InTheWay::Nothing => Ok(()),
            InTheWay::Directory => Err(self.error(op, Kind::Io, "there is a directory of that name")),
            InTheWay::Twin => Err(self.twin(op)),
        }
    }

    pub(super) fn twin(&self, op: Op) -> Error {
        let detail = "there is a file or directory whose name this service does not tell from it; it stays, and one of the two must be renamed";
        self.error(op, Kind::Io, detail)
    }

    /// What is found at `path` of a tree and must not be replaced.
    pub(super) async fn in_the_way(&self, op: Op, path: &str) -> Result<InTheWay> {
        if !self.context.tree || !self.can().create_dir {
            return Ok(InTheWay::Nothing);
        }
        Ok(match self.meta(op, path).await? {
            None => InTheWay::Nothing,
            Some(meta) if meta.is_dir() => InTheWay::Directory,
            Some(_) if self.is_spelled(op, path).await? => InTheWay::Nothing,
            Some(_) => InTheWay::Twin,
        })
    }

    /// Whether what was found at `path` of a tree has that very name. Whether the service folds names is tried once for each way
    /// to do so, on the first name that tells; where it does, names are looked up in lists.
    pub(super) async fn is_exact(&self, op: Op, path: &str) -> Result<bool> {
        if !self.context.tree || self.service.layout == Layout::Flat {
            return Ok(true);
        }
        let mut folds = false;
        for (known, other) in self.folds.iter().zip(respellings(path.as_bytes())) {
            if known.get().is_none()
                && let Some(other) = other.and_then(|other| String::from_utf8(other).ok())
                && self.service.keeps(&other).is_ok()
            {
                // What is listed under both names is two files, and so they are told apart.
                let is_found = self.meta(op, &other).await?.is_some();
                let are_two = is_found
                    && self.listed(op, &other).await? == Listed::So
                    && self.listed(op, path).await? == Listed::So;
                known.set(Some(is_found && !are_two));
            }
            folds |= known.get() == Some(true);
        }
        Ok(!folds || self.is_spelled(op, path).await?)
    }

    /// What the service finds at `path`, be it of another name.
    pub(super) async fn finds(&self, op: Op, path: &str) -> Result<bool> {
        Ok(self.meta(op, path).await?.is_some())
    }

    /// False where what is found at `path`, or a directory above it, is listed under another spelling and not under this one. A
    /// list may be behind: where it knows nothing of the kind, what was found is believed.
    async fn is_spelled(&self, op: Op, path: &str) -> Result<bool> {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            if self.listed(op, &path[..end]).await? == Listed::Otherwise {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Under which spelling `path` is listed in its directory.
    async fn listed(&self, op: Op, path: &str) -> Result<Listed> {
        if !self.can().list {
            return Ok(Listed::Not);
        }
        let dir = path.rfind('/').map_or("/", |at| &path[..=at]);
        let folded = Folding::ALL.fold(path.as_bytes());
        let folded = &folded;
        let find = |o: Operator| async move {
            let mut lister = o.lister(dir).await?;
            let mut listed = Listed::Not;
            while let Some(entry) = lister.next().await.transpose()? {
                let name = entry.path().trim_end_matches('/');
                if name == path {
                    return Ok(Listed::So);
                }
                if Folding::ALL.fold(name.as_bytes()) == *folded {
                    listed = Listed::Otherwise;
                }
            }
            Ok(listed)
        };
        match self.often(op, find).await {
            Err(e) if e.kind() == Kind::NotFound => Ok(Listed::Not),
            listed => listed,
        }
    }

    /// Removes the file at `path`, if one of that name is there, while there is time.
    pub(super) async fn delete_file(&self, op: Op, path: &str, until: &Until) -> Result<()> {
        if self.context.tree && self.can().create_dir {
            match self.meta(op, path).await? {
                Some(meta) if meta.is_dir() || !self.is_exact(op, path).await? => return Ok(()),
                _ => {}
            }
        }
        self.delete_until(op, path, until).await
    }

    /// Removes what is at `path`, if anything is. Errors: it may be there.
    pub(super) async fn delete(&self, op: Op, path: &str) -> Result<()> {
        self.delete_until(op, path, &Until::ever()).await
    }

    async fn delete_until(&self, op: Op, path: &str, until: &Until) -> Result<()> {
        let mut backoff = Backoff::new(&self.context);
        loop {
            let call = self.call();
            let begun = Cell::new(false);
            let request = async {
                begun.set(true);
                self.once_on(&call, op, |o| async move { o.delete(path).await }).await
            };
            let done = until.within(op, request).await;
            let absent = matches!(call.watch.refusal(), Some(404 | 410));
            match done {
                // OpenDAL takes every 404 for an absent object, and it may be said of all of the place.
                Ok(()) if absent => return self.place(op).await,
                Ok(()) => return Ok(()),
                Err(e) if e.kind() == Kind::NotFound => return self.place(op).await,
                Err(e) => {
                    if begun.get() {
                        late::failed(&self.context, &self.label, path, &e);
                    }
                    backoff.pause(e).await.map_err(|e| e.on(&self.label))?;
                }
            }
        }
    }

    /// A request failed that was to fill `path`, or to take it away by moving it. Under the name of a key nothing else is ever
    /// stored, so there it does no harm when it is done later.
    pub(super) fn may_come_late(&self, path: &str, error: &Error) {
        if self.context.tree {
            late::failed(&self.context, &self.label, path, error);
        }
    }

    /// Waits until nothing can happen to `path` any more that was asked for before.
    pub(super) async fn over(&self, path: &str) {
        late::over(&self.label, path).await;
    }

    /// Tells an absent object from an absent place, as far as the service can tell. Errors: there is no such place.
    pub(super) async fn place(&self, op: Op) -> Result<()> {
        if self.service.layout == Layout::Flat || !self.can().create_dir {
            return Ok(());
        }
        // The service itself: OpenDAL above it takes the root for granted.
        let root = |o: Operator| async move { o.base_service().stat(o.base_context(), "/", OpStat::default()).await };
        match self.often(op, root).await {
            Ok(_) => Ok(()),
            Err(e) if e.kind() == Kind::NotFound => {
                Err(self.error(op, Kind::NoSuchPlace, "the root directory is not there"))
            }
            Err(e) => Err(e),
        }
    }

    /// Aborts a writer and removes what is at `path` some time soon, where nobody can wait for it.
    pub(super) fn clean_later(&self, writer: Option<Box<Writer>>, path: Option<String>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if writer.is_none() && path.is_none() {
            return;
        }
        let (operator, limit) = (self.call().operator, self.context.idle);
        let work = async move {
            if let Some(mut writer) = writer {
                let _ = writer.abort().await;
            }
            if let Some(path) = path {
                let _ = operator.delete(&path).await;
            }
        };
        runtime.spawn(async move { tokio::time::timeout(limit, work).await });
    }
}
