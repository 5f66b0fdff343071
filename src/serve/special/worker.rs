//! One request at a store: decide, open, pump, settle.

use annex_types::size;
use std::cell::RefCell;
use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use remotes::budget::Budget;
use remotes::connections::Connections;
use remotes::fold::Folding;
use remotes::pump::Meter;
use remotes::registry::Layout;
use remotes::retrieve::{self, Retrieved};
use remotes::{Context, Error, Kind, ObjectName, Op, Result, Store, Write};
use tokio::sync::watch;

use super::Settings;
use super::local::{Sink, open_source};
use super::port::Port;
use super::rates::{self, Rates};
use super::verdict;
use super::work::{At, Work};
use crate::annex::key::Fields;
use crate::proto::special::progress::{INTERVAL, Throttle};
use crate::proto::special::{FileName, Job, Key, Note, Reply};
use crate::request;
use crate::resolve::setup::{Ready, TreeKind};
use crate::serve::special::opened::OpenedRemote;
use crate::serve::special::server_copy::ServerCopies;

/// How long a failed upload may take to leave nothing behind, before its failure is reported anyway.
const ABORT: Duration = Duration::from_secs(10);

/// What the tasks of the data thread share.
pub(super) struct Worker {
    pub(super) port: Arc<Port>,
    context: Context,
    /// The stores of the last PREPARE or INITREMOTE.
    place: RefCell<Option<Rc<OpenedRemote>>>,
    pub(super) copies: ServerCopies,
}

/// A transfer under way.
pub(super) struct Watch {
    job: Job,
    started: Instant,
    pub(super) meter: Meter,
    throttle: Throttle,
}

impl Watch {
    pub(super) fn new(job: Job) -> Self {
        Self { job, started: Instant::now(), meter: Meter::new(), throttle: Throttle::new() }
    }
}

/// Content that is to move between a place and a file.
struct Transfer<'a> {
    key: &'a Key,
    at: &'a At,
    file: &'a FileName,
}

/// A transfer that is done, for the log.
struct Moved {
    bytes: u64,
    note: String,
}

impl Worker {
    pub(super) fn new(port: &Arc<Port>, settings: &Settings) -> Self {
        let (budget, idle) = (Budget::new(settings.memory), settings.idle);
        let site = crate::resolve::site::of(Path::new("."));
        let connections = Arc::new(Connections::new(settings.connections));
        let context = Context { budget, connections, idle, late: idle, site, ..Context::default() };
        Self { port: Arc::clone(port), context, place: RefCell::default(), copies: ServerCopies::default() }
    }

    /// Does `work` and gives the reply to it, soon after `stop` at the latest.
    pub(super) async fn run(
        &self,
        job: Job,
        ready: &Arc<Ready>,
        work: Work,
        rates: &Rates,
        stop: watch::Receiver<bool>,
    ) -> Reply {
        let asked = work.asked();
        match self.attempt(job, ready, work, rates, stop).await {
            Ok(reply) => reply,
            Err(error) => verdict::reply(asked, &error),
        }
    }

    async fn attempt(
        &self,
        job: Job,
        ready: &Arc<Ready>,
        work: Work,
        rates: &Rates,
        stop: watch::Receiver<bool>,
    ) -> Result<Reply> {
        let place = self.place(ready);
        match work {
            Work::Prove { owner } => {
                self.tell_untried(job, ready).await?;
                let proof = async {
                    match ready.tree {
                        None => place.keys()?.store.prove(&owner).await,
                        Some(TreeKind::Exported) => {
                            let store = Rc::clone(&place.tree()?.store);
                            store.prove(&owner).await?;
                            self.tell_names(job, &*store, ready).await
                        }
                        // Whoever may only read can import.
                        Some(TreeKind::Imported) => place.tree()?.lists()?.list(None).await?.next().await.map(|_| ()),
                    }
                };
                cancellable(stop, Op::Prove, proof).await.map_err(|e| e.during(Op::Prove))?;
                self.keep_learnt(job, &place, ready).await?;
                Ok(Reply::Success)
            }
            Work::Check { key, at } => {
                let (opened, object) = place.find(Op::Stat, &key, &at)?;
                let stat = cancellable(stop, Op::Stat, opened.store.stat(&object)).await?;
                let Some(stat) = stat else { return Ok(Reply::Absent) };
                match at {
                    At::Own => whole(Op::Stat, &*opened.store, &object, &key, stat.len, &at)?,
                    // A file of another length is another file: what was there under this name was replaced.
                    At::Exported(_) | At::Imported(_) => {
                        if Fields::of(key.as_bytes()).stored_len().is_some_and(|len| len != stat.len) {
                            return Ok(Reply::Absent);
                        }
                    }
                }
                Ok(Reply::Present)
            }
            Work::Remove { key, at } => {
                let (opened, object) = place.find(Op::Remove, &key, &at)?;
                cancellable(stop, Op::Remove, opened.store.remove(&object)).await?;
                Ok(Reply::Success)
            }
            Work::Rename { key, from, to } => self.rename(job, &place, &key, &from, &to, stop).await,
            Work::RemoveDirectory { directory } => {
                let (opened, object) = place.named(Op::Remove, &directory)?;
                if let Some(directories) = opened.store.directories() {
                    cancellable(stop, Op::Remove, directories.remove_dir(&object)).await?;
                }
                Ok(Reply::Success)
            }
            Work::List => self.list(job, &place, stop).await,
            Work::Import { name, file } => self.import(job, &place, &name, &file, rates, stop).await,
            Work::MakeKey { name, size } => self.make_key(&place, &name, size, stop).await,
            Work::Store { key, at, file } => {
                let started = Instant::now();
                let moved = self.store(job, &place, Transfer { key: &key, at: &at, file: &file }, rates, stop).await?;
                self.settled(job, "store", &key, started, &moved);
                Ok(Reply::Success)
            }
            Work::Retrieve { key, at, file } => {
                let started = Instant::now();
                let moved =
                    self.retrieve(job, &place, Transfer { key: &key, at: &at, file: &file }, rates, stop).await?;
                self.settled(job, "retrieve", &key, started, &moved);
                Ok(Reply::Success)
            }
        }
    }

    /// Lets git-annex keep what the place has corrected, so that it need not be learnt again each time.
    async fn keep_learnt(&self, job: Job, place: &OpenedRemote, ready: &Ready) -> Result<()> {
        let opened = if ready.tree.is_some() { place.tree()? } else { place.keys()? };
        let notes: Vec<Note> = opened
            .store
            .learnt()
            .into_iter()
            .map(|(name, value)| Note::SetConfig { name: name.into(), value: value.into_bytes() })
            .collect();
        if notes.is_empty() { Ok(()) } else { self.port.tell(job, notes).await }
    }

    /// Says that a service was never tried, before whatever may come of that.
    async fn tell_untried(&self, job: Job, ready: &Ready) -> Result<()> {
        if ready.scheme.tried {
            return Ok(());
        }
        let words = format!(
            "scheme={} was never tried on a real server by the makers of this program (docs/stores.md): try it with git annex \
             testremote before you rely on it",
            ready.scheme.name
        );
        self.port.tell(job, vec![Note::Info(words.into_bytes())]).await
    }

    /// Finds out which names the store does not tell apart, and says so.
    ///
    /// Errors: it is one without directories that folds case, where nothing but the names keeps files from replacing each other.
    /// Forms of Unicode alone are told of: few trees have names that differ by them.
    async fn tell_names(&self, job: Job, store: &dyn Store, ready: &Ready) -> Result<()> {
        if store.capabilities().write == Write::ReadOnly || store.versions().is_some() {
            return Ok(());
        }
        let folding = store.folding().await?;
        if folding == Folding::NONE {
            return Ok(());
        }
        let label = store.label();
        if ready.scheme.layout == Layout::Flat && (folding.case || folding.endings) {
            let detail =
                format!("it does not tell all names apart ({folding}): files of a tree would replace each other");
            return Err(Error::new(Op::Prove, Kind::Unsupported, detail).on(label));
        }
        let words = format!(
            "{label} does not tell all names apart ({folding}): files of a tree whose names are one there are refused"
        );
        self.port.tell(job, vec![Note::Info(words.into_bytes())]).await
    }

    /// All is done: leaves no empty directory behind.
    pub(super) async fn tidy(&self) {
        let place = self.place.borrow().clone();
        if let Some(place) = place {
            place.tidy().await;
        }
    }

    /// Whether other programs may run for what is open.
    pub(super) fn has_programs(&self) -> bool {
        self.place.borrow().as_ref().is_some_and(|place| place.ready.scheme.programs)
    }

    /// The opened stores of `ready`.
    fn place(&self, ready: &Arc<Ready>) -> Rc<OpenedRemote> {
        let mut current = self.place.borrow_mut();
        if let Some(place) = current.as_ref().filter(|place| Arc::ptr_eq(&place.ready, ready)) {
            return Rc::clone(place);
        }
        let place = Rc::new(OpenedRemote::new(ready, &self.context));
        *current = Some(Rc::clone(&place));
        place
    }

    async fn store(
        &self,
        job: Job,
        place: &OpenedRemote,
        Transfer { key, at, file }: Transfer<'_>,
        rates: &Rates,
        stop: watch::Receiver<bool>,
    ) -> Result<Moved> {
        let (opened, object) = place.find(Op::Put, key, at)?;
        let store = opened.writer().await?;
        let named = |e: Error| e.object(&object).on(store.label());
        let source = open_source(file).map_err(named)?;
        if let Some(len) = Fields::of(key.as_bytes()).stored_len().filter(|len| *len != source.len) {
            let detail = format!("the file has {} bytes, and the key says {len}", source.len);
            return Err(named(Error::new(Op::Put, Kind::Corrupt, detail)));
        }
        if let At::Exported(_) = at {
            let copy = async { Ok(self.copies.copy(&store, key, &object, &source.file, source.len).await) };
            let copied = cancellable(stop.clone(), Op::Put, copy).await?;
            self.copies.learn(key, &object);
            if let Some((from, _)) = copied {
                return Ok(Moved { bytes: 0, note: format!(" copied from {from}") });
            }
        }
        let mut put = cancellable(stop.clone(), Op::Put, store.put(&object, source.len)).await.map_err(named)?;
        let lane = put.lane();
        request::by(&lane);
        let size = size::show(source.len);
        self.port.debug_soon(
            job,
            &format!("store {}: {}, lane={lane}, {size}", key.as_bytes().escape_ascii(), store.label()),
        );
        let mut watch = Watch::new(job);
        let meter = watch.meter.clone();
        let filling = async {
            match &rates.upload {
                Some(pace) => rates::fill_paced(&mut *put, &source, &meter, &place.context, pace).await,
                None => put.fill(&source, &meter).await,
            }
        };
        let filled = self.watched(&mut watch, cancellable(stop, Op::Put, filling)).await;
        if let Err(error) = filled {
            // What it leaves behind where it cannot clean up is invisible, and the first failure is the one to tell.
            let _ = tokio::time::timeout(ABORT, put.abort()).await;
            return Err(named(error));
        }
        let stored = self.watched(&mut watch, put.commit()).await.map_err(named)?;
        Ok(Moved { bytes: stored.len, note: String::new() })
    }

    async fn retrieve(
        &self,
        job: Job,
        place: &OpenedRemote,
        Transfer { key, at, file }: Transfer<'_>,
        rates: &Rates,
        stop: watch::Receiver<bool>,
    ) -> Result<Moved> {
        let (opened, object) = place.find(Op::Get, key, at)?;
        let store = &opened.store;
        let named = |e: Error| e.object(&object).on(store.label());
        let sink = match at {
            At::Exported(_) => Sink::open_beside(file),
            _ => Sink::open(file),
        };
        let unwritten = |e| named(Error::io(Op::Get, "the file to write", e));
        let sink = sink.map_err(unwritten)?;
        let mut watch = Watch::new(job);
        let meter = watch.meter.clone();
        let retrieve = into_sink(store, &object, &sink, &meter, &place.context, rates);
        self.port.debug_soon(
            job,
            &format!("retrieve {}: {}, from byte {}", key.as_bytes().escape_ascii(), store.label(), sink.have),
        );
        let retrieved = self.watched(&mut watch, cancellable(stop, Op::Get, retrieve)).await;
        let checked = retrieved.map_err(named).and_then(|retrieved| {
            whole(Op::Get, &**store, &object, key, retrieved.total, at)?;
            Ok(retrieved)
        });
        let retrieved = match checked {
            Ok(retrieved) => retrieved,
            Err(error) => {
                sink.leave();
                return Err(error);
            }
        };
        sink.done().map_err(unwritten)?;
        request::by(&retrieved.lane);
        let note = format!(" lane={}", retrieved.lane);
        Ok(Moved { bytes: retrieved.total.saturating_sub(retrieved.resumed), note })
    }

    /// Runs a part of a transfer and says how far it is, a few times a second.
    pub(super) async fn watched<T>(&self, watch: &mut Watch, transfer: impl Future<Output = T>) -> T {
        let mut transfer = std::pin::pin!(transfer);
        // What is over before the first tick needs no report.
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + INTERVAL, INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                result = &mut transfer => return result,
                _ = ticks.tick() => {
                    if let Some(bytes) = watch.throttle.due(watch.started.elapsed(), watch.meter.bytes()) {
                        self.port.progress(watch.job, bytes);
                    } else {
                        self.port.catch_up();
                    }
                }
            }
        }
    }

    fn settled(&self, job: Job, verb: &str, key: &Key, started: Instant, moved: &Moved) {
        let seconds = started.elapsed().as_secs_f64();
        let rate = moved.bytes as f64 / seconds.max(0.001) / 1e6;
        let (key, bytes, note) = (key.as_bytes().escape_ascii(), moved.bytes, &moved.note);
        self.port
            .debug_soon(job, &format!("{verb} {key} settled: {bytes} bytes in {seconds:.2} s, {rate:.0} MB/s{note}"));
    }
}

/// Reads `object` into the file of `sink`.
pub(super) async fn into_sink(
    store: &Rc<dyn Store>,
    object: &ObjectName,
    sink: &Sink,
    meter: &Meter,
    context: &Context,
    rates: &Rates,
) -> Result<Retrieved> {
    match &rates.download {
        Some(pace) => rates::into_file_paced(store, object, &sink.file, sink.have, meter, context, pace).await,
        None => retrieve::into_file(store, object, &sink.file, sink.have, meter, context).await,
    }
}

/// Fails where the key tells another length than the store: what is there is not what was put there.
fn whole(op: Op, store: &dyn Store, object: &ObjectName, key: &Key, len: u64, at: &At) -> Result<()> {
    match Fields::of(key.as_bytes()).stored_len() {
        Some(wanted) if wanted != len => {
            let (kind, what) = if len < wanted { (Kind::Truncated, "truncated") } else { (Kind::Corrupt, "too long") };
            let advice = match at {
                At::Own => "drop it there and copy it again",
                At::Exported(_) => "git annex fsck --from it, then export again",
                At::Imported(_) => "import again",
            };
            let detail = format!("{what} on the store: it has {len} bytes, and the key says {wanted}; {advice}");
            Err(Error::new(op, kind, detail).object(object).on(store.label()))
        }
        _ => Ok(()),
    }
}

/// Gives `work` up when told to stop.
pub(super) async fn cancellable<T>(
    mut stop: watch::Receiver<bool>,
    op: Op,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        result = work => result,
        _ = stop.wait_for(|stop| *stop) => Err(Error::new(op, Kind::Cancelled, "given up: told to stop")),
    }
}
