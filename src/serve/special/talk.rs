//! The main thread: reads what git-annex sends and answers everything that needs no store.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use remotes::{Context, ObjectName, Store, Write, registry};

use super::data::{Data, Task};
use super::names::{Inquiry, Next, Places};
use super::port::{self, Port, say};
use super::rates::{Limits, Rates};
use super::verdict::{self, Asked};
use super::work::{At, Work};
use super::{Settings, environment};
use crate::proto::special::{
    Answer, Availability, Event, Extensions, Job, Key, Misuse, Options, Query, Reach, Reply, Request, Session,
};
use crate::resolve::setup::{Purpose, Ready, Setup, Step};

/// The conversation, from VERSION to the end of stdin.
pub(super) fn run(settings: Settings) -> ExitCode {
    let options = Options {
        offer: Some(Extensions { async_jobs: settings.async_jobs, import_key: settings.import_key, ..Extensions::ALL }),
        ..Options::default()
    };
    let port = Arc::new(Port::new(Session::new(options)));
    port.with(|_| ());
    let mut talk = Talk {
        port: Arc::clone(&port),
        settings,
        setups: BTreeMap::new(),
        ready: None,
        data: None,
        wheres: BTreeMap::new(),
        limits: None,
        rates: None,
        nameless: BTreeMap::new(),
        places: None,
    };
    let mut buf = vec![0; 16 * 1024];
    let mut code = ExitCode::SUCCESS;
    loop {
        match port::read(&mut buf) {
            Ok(0) => break,
            Ok(count) => {
                let over = port.with(|session| {
                    session.receive(&buf[..count]);
                    while let Some(event) = session.next_event() {
                        talk.handle(session, event);
                    }
                    session.is_ended()
                });
                if over {
                    code = ExitCode::FAILURE;
                    break;
                }
            }
            Err(error) => {
                eprintln!("git-annex-remote-stream: reading from git-annex: {error}");
                code = ExitCode::FAILURE;
                break;
            }
        }
    }
    match talk.data {
        Some(data) => data.finish(code),
        None => code,
    }
}

/// Tells git-annex why nothing can be done.
pub(super) fn refuse(why: &str) -> ExitCode {
    let port = Port::new(Session::new(Options::default()));
    port.with(|session| session.fail(why.as_bytes()));
    ExitCode::FAILURE
}

struct Talk {
    port: Arc<Port>,
    settings: Settings,
    /// Conversations of INITREMOTE and PREPARE that wait for an answer.
    setups: BTreeMap<Job, Setup>,
    ready: Option<Prepared>,
    data: Option<Data>,
    /// WHEREIS that wait for an answer.
    wheres: BTreeMap<Job, (Key, Inquiry)>,
    /// What git config limits, once content moves.
    limits: Option<Limits>,
    /// That of this remote, once it is known.
    rates: Option<Arc<Rates>>,
    /// Work that waits for what this remote is called.
    nameless: BTreeMap<Job, Work>,
    /// Where the remote has content, once that was asked.
    places: Option<Places>,
}

/// What PREPARE settled.
struct Prepared {
    ready: Arc<Ready>,
    /// For questions that need no network. The data thread has one of its own.
    store: Rc<dyn Store>,
}

impl Talk {
    fn handle(&mut self, session: &mut Session, event: Event) {
        match event {
            Event::Request { job, request } => self.request(session, job, request),
            Event::Answer { job, answer } => {
                if let Some(setup) = self.setups.remove(&job) {
                    self.advance(session, job, setup, Some(answer));
                } else if let Some((key, inquiry)) = self.wheres.remove(&job) {
                    self.inquire(session, job, key, inquiry, Some(answer));
                } else if let Some(work) = self.nameless.remove(&job) {
                    let name = if let Answer::Value(name) = answer { Some(name) } else { None };
                    self.limit(name.as_deref());
                    self.work(session, job, work);
                }
            }
            Event::PeerError { message } => {
                eprintln!("git-annex-remote-stream: git-annex says: {}", message.escape_ascii());
            }
            Event::Fatal(violation) => eprintln!("git-annex-remote-stream: {violation}"),
        }
    }

    fn request(&mut self, session: &mut Session, job: Job, request: Request) {
        let reply = match request {
            Request::InitRemote => return self.advance(session, job, Setup::new(Purpose::Init, environment), None),
            Request::Prepare => return self.advance(session, job, Setup::new(Purpose::Prepare, environment), None),
            // Before PREPARE nothing is known of the store; most can, and a store that cannot says so in time.
            Request::ExportSupported => {
                Reply::Supported(self.can(|store| store.capabilities().write != Write::ReadOnly))
            }
            Request::ImportSupported => Reply::Supported(self.can(|store| store.lists().is_some())),
            Request::ListConfigs => Reply::Configs(configs()),
            Request::GetCost => Reply::Cost(self.cost()),
            Request::GetOrdered => Reply::Ordered(true),
            Request::GetAvailability => Reply::Availability(self.availability()),
            Request::GetInfo => Reply::Info(self.info()),
            Request::WhereIs { key } if self.places.is_none() && self.ready.is_some() => {
                return self.inquire(session, job, key, Inquiry::default(), None);
            }
            Request::WhereIs { key } => Reply::WhereIs(self.whereis(&key)),
            Request::ClaimUrl { .. } => Reply::Claim(false),
            Request::CheckUrl { .. } => Reply::Unsupported,
            stored => match stored_work(stored) {
                Some(work) => return self.work(session, job, work),
                None => Reply::Unsupported,
            },
        };
        say(session, job, reply);
    }

    /// Runs a setup until it waits for git-annex or is done.
    fn advance(&mut self, session: &mut Session, job: Job, mut setup: Setup, mut answer: Option<Answer>) {
        loop {
            let said = match setup.next(answer.take()) {
                Step::Ask(query) => match session.ask(job, query) {
                    Ok(()) => {
                        self.setups.insert(job, setup);
                        return;
                    }
                    Err(misuse) => Err(misuse),
                },
                Step::Tell(note) => session.tell(job, note),
                Step::Failed(error) => return say(session, job, verdict::reply(Asked::Ready, &error)),
                Step::Done(ready) => return self.settle(session, job, ready),
            };
            match said {
                Ok(()) => {}
                Err(Misuse::Ended) => return,
                Err(misuse) => return say(session, job, Reply::Failure(misuse.to_string().into_bytes())),
            }
        }
    }

    fn settle(&mut self, session: &mut Session, job: Job, ready: Ready) {
        let store = match registry::open(ready.scheme.name, &ready.options, &Context::default()) {
            Ok(store) => store,
            Err(error) => return say(session, job, verdict::reply(Asked::Ready, &error)),
        };
        let ready = Arc::new(ready);
        match &ready.owner {
            Some(owner) => {
                let work = Work::Prove { owner: owner.clone() };
                self.start(session, Task { job, ready: Arc::clone(&ready), work, rates: Arc::default() });
            }
            None => {
                self.ready = Some(Prepared { ready, store });
                say(session, job, Reply::Success);
            }
        }
    }

    /// The rates of this remote, which is called `name` here, where that is known.
    fn limit(&mut self, name: Option<&[u8]>) {
        let limits = self.limits.get_or_insert_with(Limits::read);
        self.rates.get_or_insert_with(|| Arc::new(limits.of(name)));
    }

    fn work(&mut self, session: &mut Session, job: Job, work: Work) {
        if work.moves() && self.rates.is_none() && self.ready.is_some() {
            if self.limits.get_or_insert_with(Limits::read).are_of_remotes() {
                match session.ask(job, Query::GetGitRemoteName) {
                    Ok(()) => return drop(self.nameless.insert(job, work)),
                    Err(Misuse::Ended) => return,
                    // An older git-annex does not tell: what is set for all remotes counts.
                    Err(_) => {}
                }
            }
            self.limit(None);
        }
        match &self.ready {
            Some(prepared) => {
                let ready = Arc::clone(&prepared.ready);
                let rates = self.rates.clone().unwrap_or_default();
                self.start(session, Task { job, ready, work, rates });
            }
            None => session.fail(b"protocol error: a request that needs the remote came before PREPARE"),
        }
    }

    fn start(&mut self, session: &mut Session, task: Task) {
        if self.data.is_none() {
            match Data::start(&self.port, &self.settings) {
                Ok(data) => self.data = Some(data),
                Err(error) => return session.fail(format!("no data thread can be started: {error}").as_bytes()),
            }
        }
        if let Some(data) = &self.data {
            data.send(task);
        }
    }

    /// git-annex's own figures: a directory costs 100, everything behind a network 200.
    fn cost(&self) -> u32 {
        if self.ready.as_ref().is_some_and(|prepared| prepared.ready.scheme.local) { 100 } else { 200 }
    }

    /// Whether the store can, as far as is known by now.
    fn can(&self, what: impl FnOnce(&dyn Store) -> bool) -> bool {
        self.ready.as_ref().is_none_or(|prepared| what(&*prepared.store))
    }

    fn availability(&self) -> Availability {
        let Some(Prepared { ready, .. }) = self.ready.as_ref().filter(|prepared| prepared.ready.scheme.local) else {
            return Availability { reach: Reach::Global, now: true };
        };
        let directory = ready.options.bytes("directory").map(std::ffi::OsStr::from_bytes);
        Availability { reach: Reach::Local, now: directory.is_none_or(|path| std::path::Path::new(path).is_dir()) }
    }

    fn info(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let Some(prepared) = &self.ready else { return Vec::new() };
        let scheme = ("scheme", prepared.ready.scheme.name.to_string());
        let fields = std::iter::once(scheme).chain(prepared.store.info());
        fields.map(|(name, value)| (name.into(), value.into_bytes())).collect()
    }

    /// Finds out whether the remote has a tree, then answers WHEREIS.
    fn inquire(&mut self, session: &mut Session, job: Job, key: Key, mut inquiry: Inquiry, answer: Option<Answer>) {
        match inquiry.next(answer) {
            Next::Ask(query) => match session.ask(job, query) {
                Ok(()) => drop(self.wheres.insert(job, (key, inquiry))),
                Err(Misuse::Ended) => {}
                Err(misuse) => say(session, job, Reply::Failure(misuse.to_string().into_bytes())),
            },
            Next::Done(places) => {
                self.places = Some(places);
                let told = self.whereis(&key);
                say(session, job, Reply::WhereIs(told));
            }
        }
    }

    fn whereis(&mut self, key: &Key) -> Option<Vec<u8>> {
        let prepared = self.ready.as_ref()?;
        if let Some(Places::Tree(tree)) = &mut self.places {
            return tree.locate(&prepared.ready, key.as_bytes()).map(String::into_bytes);
        }
        let name = ObjectName::new(prepared.ready.name(key)).ok()?;
        prepared.store.locate(&name).map(String::into_bytes)
    }
}

/// What is to be done at the store.
fn stored_work(request: Request) -> Option<Work> {
    Some(match request {
        Request::Store { key, file } => Work::Store { key, at: At::Own, file },
        Request::Retrieve { key, file } => Work::Retrieve { key, at: At::Own, file },
        Request::CheckPresent { key } => Work::Check { key, at: At::Own },
        Request::Remove { key } => Work::Remove { key, at: At::Own },
        Request::StoreExport { key, name, file } => Work::Store { key, at: At::Exported(name), file },
        Request::RetrieveExport { key, name, file } => Work::Retrieve { key, at: At::Exported(name), file },
        Request::CheckPresentExport { key, name } => Work::Check { key, at: At::Exported(name) },
        Request::RemoveExport { key, name } => Work::Remove { key, at: At::Exported(name) },
        Request::RemoveExportDirectory { directory } => Work::RemoveDirectory { directory },
        Request::RenameExport { key, name, to } => Work::Rename { key, from: name, to },
        Request::ListImportable => Work::List,
        Request::RetrieveImport { name, file } => Work::Import { name, file },
        Request::CheckPresentImport { key, name } => Work::Check { key, at: At::Imported(name) },
        Request::ImportKey { name, size, .. } => Work::MakeKey { name, size },
        _ => return None,
    })
}

fn configs() -> Vec<(Vec<u8>, Vec<u8>)> {
    let scheme = format!("what to store in: {}", registry::names());
    let mut configs = vec![(b"scheme".to_vec(), scheme.into_bytes())];
    configs.extend(registry::all_options().into_iter().map(|(name, about)| (name.into(), about.into_bytes())));
    configs
}
