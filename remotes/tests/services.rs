//! Services that are tried on real servers, each where it is installed: sftp on OpenSSH's sshd, azblob on Azurite, swift on
//! OpenStack Swift, and a third S3, moto. The same for all: the examination, and the same faults.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use remotes::conformance::{examine, pattern};
use remotes::options::Options;
use remotes::pump::{FileSource, Meter};
use remotes::retrieve::{self, read_small};
use remotes::s3::{KEY_ID, SECRET};
use remotes::{Context, Error, Kind, ObjectName, Store, registry};

#[allow(dead_code, reason = "shared with the other tests, each of which uses a part")]
mod support;

use servers::{Kind as Which, Server, unique};
use support::Relay;

/// More than a part, so that services which take parts are in the middle of several.
const LONG: usize = 24 << 20;

/// A service, and what of it this test has to itself.
struct Service {
    which: Which,
    server: &'static Server,
    dir: tempfile::TempDir,
    name: String,
}

impl Service {
    /// On the server that all share.
    fn shared(which: Which) -> Option<Self> {
        let server = match which {
            Which::Sftp => servers::sftp(),
            Which::Azurite => servers::azurite(),
            Which::Swift => servers::swift(),
            _ => servers::moto(),
        };
        server.map(|server| Self::on(which, server))
    }

    /// On a server of its own, which can be killed.
    fn own(which: Which) -> Option<Self> {
        let server: &'static Server = Box::leak(Box::new(Server::try_start(which)?));
        Some(Self::on(which, server))
    }

    fn on(which: Which, server: &'static Server) -> Self {
        if which == Which::Sftp {
            lead(server);
        }
        Self { which, server, dir: tempfile::tempdir().expect("a directory"), name: unique("test") }
    }

    /// Opened by way of `port`.
    fn open(&self, port: u16, context: &Context) -> Rc<dyn Store> {
        let server = self.server;
        let endpoint = format!("http://127.0.0.1:{port}");
        let mut o = Options::new();
        let mut set = |name: &str, value: &str| o.set(name, value);
        let scheme = match self.which {
            Which::Sftp => {
                set("endpoint", &format!("ssh://127.0.0.1:{port}"));
                set("root", &self.dir.path().display().to_string());
                set("user", &server.user);
                set("key", &server.secret);
                "sftp"
            }
            Which::Azurite => {
                set("endpoint", &format!("{endpoint}/{}", server.user));
                set("container", "annex");
                set("root", &self.name);
                set("account_name", &server.user);
                set("account_key", &server.secret);
                "azblob"
            }
            Which::Swift => {
                set("endpoint", &format!("{endpoint}/v1/{}", server.user));
                set("container", "annex");
                set("root", &self.name);
                set("token", &server.secret);
                "swift"
            }
            _ => {
                set("bucket", &self.name);
                set("host", "127.0.0.1");
                set("port", &port.to_string());
                set("requeststyle", "path");
                set(KEY_ID, &server.user);
                set(SECRET, &server.secret);
                "s3"
            }
        };
        registry::open(scheme, &o, context).expect("good options")
    }

    fn straight(&self, context: &Context) -> Rc<dyn Store> {
        self.open(self.server.port, context)
    }

    fn through(&self, relay: &Relay, context: &Context) -> Rc<dyn Store> {
        let port = relay.endpoint.rsplit(':').next().and_then(|port| port.parse().ok());
        self.open(port.expect("a port"), context)
    }

    /// Files on this machine, where it keeps them as such: none else are left.
    #[track_caller]
    fn holds_only(&self, names: &[&str]) {
        if self.which == Which::Sftp {
            let mut found = Vec::new();
            below(self.dir.path(), self.dir.path(), &mut found);
            found.sort();
            assert_eq!(found, names);
        }
    }
}

fn below(top: &Path, dir: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => below(top, &path, found),
            path => found.push(path.strip_prefix(top).expect("below it").display().to_string()),
        }
    }
}

const ALONE: &str = "STREAM_TEST_SSH";

/// Runs `body` for a service; for sftp as the test of that name in a process of its own, where `ssh` is what [`lead`] says. It
/// is OpenDAL that starts `ssh`, by that name alone, and neither the user's configuration nor the user's known hosts are ours.
fn for_each(test: &str, body: fn(Which)) {
    if std::env::var_os(ALONE).is_some() {
        return body(Which::Sftp);
    }
    let dir = tempfile::tempdir().expect("a directory");
    let ssh = dir.path().join("ssh");
    let script = format!("#!/bin/sh\nexec \"$(cat {}/to)/ssh\" \"$@\"\n", dir.path().display());
    std::fs::write(&ssh, script).expect("written");
    std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755)).expect("a program");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([dir.path().to_path_buf()].into_iter().chain(std::env::split_paths(&path)));
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args([test, "--exact", "--nocapture"])
        .env("PATH", path.expect("no colons"))
        .env("HOME", dir.path())
        .env_remove("XDG_STATE_HOME")
        .env(ALONE, dir.path())
        .spawn()
        .expect("it starts");
    for which in [Which::Azurite, Which::Swift, Which::Moto] {
        body(which);
    }
    assert!(child.wait().expect("it ends").success(), "sftp failed; it says why above");
}

/// Makes `ssh` the one that knows `server`.
fn lead(server: &Server) {
    let dir = std::env::var_os(ALONE).expect("in a process of its own");
    std::fs::write(Path::new(&dir).join("to"), server.ssh().display().to_string()).expect("written");
}

fn quick() -> Context {
    Context { first_pause: Duration::from_millis(1), ..Context::default() }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    remotes::sys::run(true, future).expect("a runtime")
}

fn name(text: &str) -> ObjectName {
    ObjectName::new(format!("36a/30d/{text}/{text}")).expect("a name")
}

fn file(content: &Bytes) -> FileSource {
    let file = tempfile::tempfile().expect("a file");
    std::os::unix::fs::FileExt::write_all_at(&file, content, 0).expect("its content");
    FileSource { file: Arc::new(file), at: 0, len: content.len() as u64 }
}

async fn put(store: &dyn Store, object: &ObjectName, content: &Bytes, meter: &Meter) -> Result<(), Error> {
    let mut put = store.put(object, content.len() as u64).await?;
    match put.fill(&file(content), meter).await {
        Ok(()) => put.commit().await.map(|_| ()),
        Err(e) => {
            let _ = put.abort().await;
            Err(e)
        }
    }
}

fn examined(which: Which) {
    // moto does not let an upload in parts be gone on with, which the examination asks of every S3.
    if which == Which::Moto {
        return;
    }
    for tree in [false, true] {
        let Some(service) = Service::shared(which) else { return };
        let context = Context { tree, ..quick() };
        run(async { examine(&service.straight(&context), &context).await });
        service.holds_only(&[]);
        assert_eq!(context.budget.free(), context.budget.total(), "{which:?}: all memory was given back");
    }
}

#[test]
fn conformance() {
    for_each("conformance", examined);
}

/// A connection breaks off in the middle: nothing is shown, the object is absent and known to be, and the next try stores it.
fn cut(which: Which) {
    let Some(service) = Service::shared(which) else { return };
    let (context, object, content) = (quick(), name("cut"), pattern(1, LONG));
    run(async {
        let straight = service.straight(&context);
        straight.prove("owner").await.expect("proves itself");
        let relay = Relay::start(&service.server.endpoint(), 2 << 20);
        relay.cut();
        let store = service.through(&relay, &context);
        let e = put(&*store, &object, &content, &Meter::new()).await.expect_err("it is cut");
        assert!(e.kind().retry() && e.kind() != Kind::NotFound, "{which:?}: {e}");
        assert_eq!(straight.stat(&object).await.expect("told"), None, "{which:?}: nothing is shown");
        put(&*straight, &object, &content, &Meter::new()).await.expect("stored");
        assert!(read_small(&*straight, &object, LONG as u64, &context).await.expect("read") == content, "{which:?}");
        straight.remove(&object).await.expect("removed");
    });
}

#[test]
fn a_connection_that_breaks_in_a_put_shows_nothing() {
    for_each("a_connection_that_breaks_in_a_put_shows_nothing", cut);
}

/// Nothing moves any more: it is given up, and nothing is shown.
fn stalled(which: Which) {
    let Some(service) = Service::shared(which) else { return };
    let (context, object, content) = (quick(), name("stalled"), pattern(2, LONG));
    run(async {
        let straight = service.straight(&context);
        straight.prove("owner").await.expect("proves itself");
        let relay = Relay::start(&service.server.endpoint(), 2 << 20);
        let hasty = Context { idle: Duration::from_secs(1), late: Duration::from_secs(1), ..quick() };
        let store = service.through(&relay, &hasty);
        let e = put(&*store, &object, &content, &Meter::new()).await.expect_err("it stalls");
        assert!(e.kind().retry() && e.kind() != Kind::NotFound, "{which:?}: {e}");
        relay.cut();
        assert_eq!(straight.stat(&object).await.expect("told"), None, "{which:?}: nothing is shown");
    });
}

#[test]
fn a_put_that_stalls_is_given_up_and_shows_nothing() {
    for_each("a_put_that_stalls_is_given_up_and_shows_nothing", stalled);
}

/// A get that breaks off leaves a prefix, and goes on from there.
fn got_in_two(which: Which) {
    let Some(service) = Service::shared(which) else { return };
    let (context, object, content) = (quick(), name("resumed"), pattern(3, LONG));
    run(async {
        let straight = service.straight(&context);
        straight.prove("owner").await.expect("proves itself");
        put(&*straight, &object, &content, &Meter::new()).await.expect("stored");
        let relay = Relay::start_back(&service.server.endpoint(), 3 << 20);
        relay.cut();
        let store = service.through(&relay, &context);
        let sink = Arc::new(tempfile::tempfile().expect("a file"));
        let got = |sink: &Arc<std::fs::File>| {
            let mut all = vec![0; sink.metadata().expect("its length").len() as usize];
            std::os::unix::fs::FileExt::read_exact_at(&**sink, &mut all, 0).expect("read");
            all
        };
        // What is tried again by itself goes on where it was, so it may well end.
        if let Err(e) = retrieve::into_file(&store, &object, &sink, 0, &Meter::new(), &context).await {
            assert!(e.kind().retry() && e.kind() != Kind::NotFound, "{which:?}: {e}");
        }
        let prefix = got(&sink);
        assert!(content.starts_with(&prefix), "{which:?}: what arrived is a prefix");
        let from = prefix.len() as u64;
        retrieve::into_file(&straight, &object, &sink, from, &Meter::new(), &context).await.expect("goes on");
        assert!(got(&sink) == content, "{which:?}: the rest was added");
        straight.remove(&object).await.expect("removed");
    });
}

#[test]
fn a_get_that_breaks_off_goes_on_from_its_prefix() {
    for_each("a_get_that_breaks_off_goes_on_from_its_prefix", got_in_two);
}

/// The server is killed while it takes an object. Nobody says that anything is absent that cannot be asked for.
fn killed(which: Which) {
    let Some(service) = Service::own(which) else { return };
    let (context, object, content) = (quick(), name("killed"), pattern(4, LONG));
    run(async {
        let straight = service.straight(&context);
        straight.prove("owner").await.expect("proves itself");
        put(&*straight, &name("there"), &pattern(5, 100), &Meter::new()).await.expect("stored");
        let relay = Relay::start(&service.server.endpoint(), 4 << 20);
        let store = service.through(&relay, &context);
        let meter = Meter::new();
        let killer = async {
            tokio::task::spawn_blocking(relay.wait_stalled()).await.expect("it stalls");
            service.server.stop();
            relay.cut();
        };
        let (done, ()) = tokio::join!(put(&*store, &object, &content, &meter), killer);
        let e = done.expect_err("the server is gone");
        assert!(e.kind().retry() && e.kind() != Kind::NotFound, "{which:?}: {e}");
        for asked in ["killed", "there"] {
            let e = straight.stat(&name(asked)).await.expect_err("nobody knows");
            assert_ne!(e.kind(), Kind::NotFound, "{which:?}: {e}");
        }
        straight.remove(&name("there")).await.expect_err("nobody is there to do it");
    });
    if which == Which::Sftp {
        let place = service.dir.path().join("36a/30d");
        assert!(!place.join("killed").exists(), "nothing is shown of what was on its way");
        assert_eq!(std::fs::read(place.join("there/there")).expect("there"), pattern(5, 100));
    }
}

#[test]
fn a_server_killed_while_it_takes_an_object_shows_none() {
    for_each("a_server_killed_while_it_takes_an_object_shows_none", killed);
}

/// In a tree only the files of the tree are there, whatever happened on the way.
#[test]
fn a_tree_over_sftp_shows_nothing_but_its_files() {
    for_each("a_tree_over_sftp_shows_nothing_but_its_files", |which| {
        if which != Which::Sftp {
            return;
        }
        let Some(service) = Service::shared(which) else { return };
        let context = Context { tree: true, ..quick() };
        let path = |text: &str| ObjectName::new(text).expect("a name");
        run(async {
            let store = service.straight(&context);
            store.prove("owner").await.expect("proves itself");
            store.directories().expect("it has some").tidy().await;
            assert_eq!(std::fs::read_dir(service.dir.path()).expect("a directory").count(), 0, "nothing of ours");
            put(&*store, &path("tmp"), &pattern(6, 10), &Meter::new()).await.expect("stored");
            put(&*store, &path("d/e"), &pattern(7, 10), &Meter::new()).await.expect("stored");
            let relay = Relay::start(&service.server.endpoint(), 1 << 20);
            relay.cut();
            let broken = service.through(&relay, &context);
            put(&*broken, &path("long"), &pattern(8, LONG), &Meter::new()).await.expect_err("it is cut");
            let shown: Vec<_> = std::fs::read_dir(service.dir.path()).expect("a directory").flatten().collect();
            let mut shown: Vec<_> = shown.iter().map(|entry| entry.file_name()).collect();
            shown.sort();
            assert_eq!(shown, [".git", "d", "tmp"], "an interrupted file waits where no tree can have one");
            store.directories().expect("it has some").tidy().await;
        });
    });
}
