//! The data thread: every request to a store is a task here, and signals arrive here.

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use remotes::{Error, Kind, Op, sys};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tracing::Instrument as _;

use super::Settings;
use super::port::Port;
use super::rates::Rates;
use super::trace;
use super::verdict::{self, Asked};
use super::work::Work;
use super::worker::Worker;
use crate::proto::special::Job;
use crate::request;
use crate::resolve::setup::Ready;

/// How long transfers may take to leave nothing behind once a signal says so.
const HURRY: Duration = Duration::from_millis(800);

/// Likewise when stdin ends, where nobody waits.
const LEISURE: Duration = Duration::from_secs(5);

/// A request for the data thread.
pub(super) struct Task {
    pub(super) job: Job,
    pub(super) ready: Arc<Ready>,
    pub(super) work: Work,
    pub(super) rates: Arc<Rates>,
}

/// The handle to the data thread.
pub(super) struct Data {
    tasks: mpsc::UnboundedSender<Task>,
    thread: JoinHandle<()>,
}

impl Data {
    /// Starts the thread.
    pub(super) fn start(port: &Arc<Port>, settings: &Settings) -> std::io::Result<Self> {
        // git-annex bounds what is under way at once, and so does the session.
        let (tasks, inbox) = mpsc::unbounded_channel();
        trace::start(port);
        let (port, settings) = (Arc::clone(port), settings.clone());
        let thread = std::thread::Builder::new()
            .name("data".into())
            .stack_size(sys::STACK)
            .spawn(move || run(&port, settings, inbox))?;
        Ok(Self { tasks, thread })
    }

    /// Does `task` and replies to it.
    pub(super) fn send(&self, task: Task) {
        // It ends only with the process.
        let _ = self.tasks.send(task);
    }

    /// stdin is at its end: gives up what is under way and ends the process, with `code` where it has not ended before.
    pub(super) fn finish(self, code: ExitCode) -> ExitCode {
        drop(self.tasks);
        let _ = self.thread.join();
        code
    }
}

fn run(port: &Arc<Port>, settings: Settings, inbox: mpsc::UnboundedReceiver<Task>) {
    let worker = Worker::new(port, &settings);
    let ended = sys::run(settings.uring, async { serve(port, worker, inbox).await.map(leave) });
    if let Err(error) = ended.and_then(|served| served) {
        port.with(|session| session.fail(format!("the data thread cannot run: {error}").as_bytes()));
        std::process::exit(1);
    }
}

/// How it ended.
enum End {
    Signal(i32),
    Stdin,
}

async fn serve(port: &Arc<Port>, worker: Worker, mut inbox: mpsc::UnboundedReceiver<Task>) -> std::io::Result<End> {
    let mut signals = Signals::new()?;
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let at_first = alive();
    let (stop, stopped) = watch::channel(false);
    let worker = std::rc::Rc::new(worker);
    let mut tasks = JoinSet::new();
    let mut running: HashMap<Id, (Job, Asked)> = HashMap::new();
    let end = loop {
        tokio::select! {
            signal = signals.next() => break End::Signal(signal),
            task = inbox.recv() => match task {
                None => break End::Stdin,
                Some(Task { job, ready, work, rates }) => {
                    let asked = work.asked();
                    port.begin(job);
                    let (worker, port, stopped) = (worker.clone(), Arc::clone(port), stopped.clone());
                    let request = request::begin();
                    request.in_scope(|| about(&work, &ready));
                    let done = async move {
                        let reply = worker.run(job, &ready, work, &rates, stopped).await;
                        port.end(job, reply);
                    };
                    let handle = tasks.spawn_local(done.instrument(request));
                    running.insert(handle.id(), (job, asked));
                }
            },
            Some(ended) = tasks.join_next_with_id() => reap(port, &mut running, ended),
        }
    };
    stop.send_replace(true);
    let patience = if matches!(end, End::Signal(_)) { HURRY } else { LEISURE };
    let all = async {
        while tasks.join_next().await.is_some() {}
        worker.tidy().await;
        if worker.has_programs() {
            // An `ssh` that nobody told to end stays for good, with its connection. Those who keep it tell it when all else of
            // the store is gone, and say to nobody that they have.
            drop(worker);
            while alive() > at_first {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    };
    tokio::select! {
        _ = tokio::time::timeout(patience, all) => Ok(end),
        signal = signals.next() => Ok(End::Signal(signal)),
    }
}

/// Says in the span of a request what it is about.
fn about(work: &Work, ready: &Ready) {
    request::of(&ready.scheme.name);
    if let Some(key) = work.key() {
        request::about(&key.as_bytes().escape_ascii());
    }
}

/// A task that panicked has not replied, and git-annex would wait for ever.
fn reap(port: &Port, running: &mut HashMap<Id, (Job, Asked)>, ended: Result<(Id, ()), JoinError>) {
    let id = match &ended {
        Ok((id, ())) => *id,
        Err(error) => error.id(),
    };
    if let (Some((job, asked)), Err(_)) = (running.remove(&id), ended) {
        let error = Error::new(Op::Open, Kind::Other, "bug in git-annex-remote-stream: see the message on stderr");
        port.end(job, verdict::reply(asked, &error));
    }
}

/// Ends the process at once: system calls that hang in other threads must not keep it.
fn leave(end: End) {
    if let End::Signal(number) = end {
        // Dies of the signal itself, so that whoever waits sees the right status. It cannot fail for these.
        let _ = signal_hook::low_level::emulate_default_handler(number);
    }
    std::process::exit(0);
}

/// The signals that ask a program to end.
struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.term.recv() => SIGTERM,
            _ = self.int.recv() => SIGINT,
            _ = self.hup.recv() => SIGHUP,
        }
    }
}
