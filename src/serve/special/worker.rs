//! One request at a store: decide, open, pump, settle.

use std::cell::RefCell;
use std::fs::File;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use remotes::pump::{self, Budget, FileSource, Meter};
use remotes::{Context, Error, Kind, ObjectName, Op, Result, Store, registry, units};
use tokio::sync::{OnceCell, watch};

use super::Settings;
use super::data::Work;
use super::port::Port;
use super::verdict;
use crate::annex::key::Fields;
use crate::gateway::remote::setup::Ready;
use crate::proto::special::progress::{INTERVAL, Throttle};
use crate::proto::special::{FileName, Job, Key, Reply};

/// How long a failed upload may take to leave nothing behind, before its failure is reported anyway.
const ABORT: Duration = Duration::from_secs(10);

/// What the tasks of the data thread share.
pub(super) struct Worker {
    port: Arc<Port>,
    context: Context,
    /// The stores of the last PREPARE or INITREMOTE.
    place: RefCell<Option<Rc<Place>>>,
}

/// A remote, opened.
struct Place {
    ready: Arc<Ready>,
    context: Context,
    store: Rc<dyn Store>,
    /// The store that keeps space free; the same where that is no matter.
    writer: OnceCell<Rc<dyn Store>>,
}

/// A transfer under way.
struct Watch {
    job: Job,
    started: Instant,
    meter: Meter,
    throttle: Throttle,
}

impl Watch {
    fn new(job: Job) -> Self {
        Self { job, started: Instant::now(), meter: Meter::new(), throttle: Throttle::new() }
    }
}

/// A transfer that is done, for the log.
struct Moved {
    bytes: u64,
    note: String,
}

impl Worker {
    pub(super) fn new(port: &Arc<Port>, settings: &Settings) -> Self {
        let context = Context { budget: Budget::new(settings.memory), idle: settings.idle, ..Context::default() };
        Self { port: Arc::clone(port), context, place: RefCell::default() }
    }

    /// Does `work` and gives the reply to it, soon after `stop` at the latest.
    pub(super) async fn run(&self, job: Job, ready: &Arc<Ready>, work: Work, stop: watch::Receiver<bool>) -> Reply {
        let asked = work.asked();
        match self.attempt(job, ready, work, stop).await {
            Ok(reply) => reply,
            Err(error) => verdict::reply(asked, &error),
        }
    }

    async fn attempt(&self, job: Job, ready: &Arc<Ready>, work: Work, stop: watch::Receiver<bool>) -> Result<Reply> {
        let place = self.place(ready)?;
        let store = &place.store;
        match work {
            Work::Prove { owner } => {
                cancellable(stop, Op::Prove, store.prove(&owner)).await?;
                Ok(Reply::Success)
            }
            Work::Check { key } => {
                let object = name(Op::Stat, ready, &key)?;
                let stat = cancellable(stop, Op::Stat, store.stat(&object)).await?;
                let Some(stat) = stat else { return Ok(Reply::Absent) };
                whole(Op::Stat, &**store, &object, &key, stat.len)?;
                Ok(Reply::Present)
            }
            Work::Remove { key } => {
                let object = name(Op::Remove, ready, &key)?;
                cancellable(stop, Op::Remove, store.remove(&object)).await?;
                Ok(Reply::Success)
            }
            Work::Store { key, file } => {
                let started = Instant::now();
                let moved = self.store(job, &place, &key, &file, stop).await?;
                self.settled(job, "store", &key, started, &moved);
                Ok(Reply::Success)
            }
            Work::Retrieve { key, file } => {
                let started = Instant::now();
                let moved = self.retrieve(job, &place, &key, &file, stop).await?;
                self.settled(job, "retrieve", &key, started, &moved);
                Ok(Reply::Success)
            }
        }
    }

    /// The opened stores of `ready`.
    fn place(&self, ready: &Arc<Ready>) -> Result<Rc<Place>> {
        let mut current = self.place.borrow_mut();
        if let Some(place) = current.as_ref().filter(|place| Arc::ptr_eq(&place.ready, ready)) {
            return Ok(Rc::clone(place));
        }
        let store = registry::open(ready.scheme.name, &ready.options, &self.context)?;
        let place =
            Rc::new(Place { ready: Arc::clone(ready), context: self.context.clone(), store, writer: OnceCell::new() });
        *current = Some(Rc::clone(&place));
        Ok(place)
    }

    async fn store(
        &self,
        job: Job,
        place: &Place,
        key: &Key,
        file: &FileName,
        stop: watch::Receiver<bool>,
    ) -> Result<Moved> {
        let object = name(Op::Put, &place.ready, key)?;
        let store = place.writer().await?;
        let named = |e: Error| e.object(&object).on(store.label());
        let source = open_source(file).map_err(named)?;
        if let Some(len) = Fields::of(key.as_bytes()).stored_len().filter(|len| *len != source.len) {
            let detail = format!("the file has {} bytes, and the key says {len}", source.len);
            return Err(named(Error::new(Op::Put, Kind::Corrupt, detail)));
        }
        let mut put = cancellable(stop.clone(), Op::Put, store.put(&object, source.len)).await.map_err(named)?;
        let lane = put.lane();
        let size = units::show(source.len);
        self.port.debug_soon(
            job,
            format!("store {}: {}, lane={lane}, {size}", key.as_bytes().escape_ascii(), store.label()),
        );
        let mut watch = Watch::new(job);
        let meter = watch.meter.clone();
        let filled = self.watched(&mut watch, cancellable(stop, Op::Put, put.fill(&source, &meter))).await;
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
        place: &Place,
        key: &Key,
        file: &FileName,
        stop: watch::Receiver<bool>,
    ) -> Result<Moved> {
        let object = name(Op::Get, &place.ready, key)?;
        let store = &place.store;
        let named = |e: Error| e.object(&object).on(store.label());
        let sink = open_sink(file).map_err(|e| named(Error::io(Op::Get, "the file to write", e)))?;
        let mut watch = Watch::new(job);
        let meter = watch.meter.clone();
        let fetch = pump::fetch(store, &object, &sink.file, sink.have, &meter, &place.context);
        self.port.debug_soon(
            job,
            format!("retrieve {}: {}, from byte {}", key.as_bytes().escape_ascii(), store.label(), sink.have),
        );
        let fetched = self.watched(&mut watch, cancellable(stop, Op::Get, fetch)).await;
        let fetched = fetched.map_err(|error| {
            sink.leave(file);
            named(error)
        })?;
        whole(Op::Get, &**store, &object, key, fetched.total)?;
        let note = format!(" lane={}", fetched.lane);
        Ok(Moved { bytes: fetched.total.saturating_sub(fetched.resumed), note })
    }

    /// Runs a part of a transfer and says how far it is, a few times a second.
    async fn watched<T>(&self, watch: &mut Watch, transfer: impl Future<Output = T>) -> T {
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
            .debug_soon(job, format!("{verb} {key} settled: {bytes} bytes in {seconds:.2} s, {rate:.0} MB/s{note}"));
    }
}

impl Place {
    /// The store to write to. Only a local one has to know how much space git-annex wants free.
    async fn writer(&self) -> Result<Rc<dyn Store>> {
        let open = async || {
            if !self.ready.scheme.local {
                return Ok(Rc::clone(&self.store));
            }
            let context = Context { reserve: reserve(self.context.reserve).await?, ..self.context.clone() };
            registry::open(self.ready.scheme.name, &self.ready.options, &context)
        };
        self.writer.get_or_try_init(open).await.cloned()
    }
}

/// annex.diskreserve of the repository we run in, or `default`.
async fn reserve(default: u64) -> Result<u64> {
    let asked = tokio::task::spawn_blocking(|| {
        std::process::Command::new("git")
            .args(["config", "--get", "annex.diskreserve"])
            .stdin(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .output()
    });
    match asked.await {
        Ok(Ok(output)) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            units::parse(text.trim()).ok_or_else(|| {
                let detail = format!("git config annex.diskreserve is a size like 1GB, not {:?}", text.trim());
                Error::new(Op::Put, Kind::Option, detail)
            })
        }
        // Not set, or not even a repository here.
        _ => Ok(default),
    }
}

/// The name of the key's object.
fn name(op: Op, ready: &Ready, key: &Key) -> Result<ObjectName> {
    ObjectName::new(ready.name(key)).map_err(|e| Error::new(op, Kind::Unsupported, e.to_string()).on(ready.scheme.name))
}

/// Fails where the key tells another length than the store: what is there is not what was put there.
fn whole(op: Op, store: &dyn Store, object: &ObjectName, key: &Key, len: u64) -> Result<()> {
    match Fields::of(key.as_bytes()).stored_len() {
        Some(wanted) if wanted != len => {
            let (kind, what) = if len < wanted { (Kind::Truncated, "truncated") } else { (Kind::Corrupt, "too long") };
            let detail = format!(
                "{what} on the store: it has {len} bytes, and the key says {wanted}; drop it there and copy it again"
            );
            Err(Error::new(op, kind, detail).object(object).on(store.label()))
        }
        _ => Ok(()),
    }
}

/// Gives `work` up when told to stop.
async fn cancellable<T>(mut stop: watch::Receiver<bool>, op: Op, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        result = work => result,
        _ = stop.wait_for(|stop| *stop) => Err(Error::new(op, Kind::Cancelled, "given up: told to stop")),
    }
}

fn open_source(file: &FileName) -> Result<FileSource> {
    let failed = |e| Error::io(Op::Put, "the file to read", e);
    // Opening anything else might wait for ever.
    if !std::fs::metadata(file.as_path()).map_err(failed)?.is_file() {
        return Err(Error::new(Op::Put, Kind::Io, "the file to read is no plain file"));
    }
    let file = File::open(file.as_path()).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    Ok(FileSource { file: Arc::new(file), at: 0, len })
}

/// The file a key is retrieved to.
struct Sink {
    file: Arc<File>,
    /// Bytes it holds from an earlier try.
    have: u64,
    created: bool,
}

impl Sink {
    /// After a failure, what arrived stays for the next try; a file without content that was not there before goes.
    fn leave(&self, name: &FileName) {
        if self.created && self.file.metadata().is_ok_and(|meta| meta.len() == 0) {
            let _ = std::fs::remove_file(name.as_path());
        }
    }
}

fn open_sink(name: &FileName) -> io::Result<Sink> {
    let mut options = File::options();
    options.read(true).write(true);
    match std::fs::metadata(name.as_path()) {
        Ok(meta) if meta.is_file() => {
            let file = options.open(name.as_path())?;
            let have = file.metadata()?.len();
            Ok(Sink { file: Arc::new(file), have, created: false })
        }
        Ok(_) => Err(io::Error::other("it is no plain file")),
        Err(_) => {
            let file = options.create(true).truncate(false).open(name.as_path())?;
            Ok(Sink { file: Arc::new(file), have: 0, created: true })
        }
    }
}
