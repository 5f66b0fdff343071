//! Removals and locks behind a gateway: a limit in time holds whatever was waited for, and a lock that is lost is told of.

use std::time::Duration;

use git_annex_remote_stream::annex::lock::{LockFile, LockKind};
use testbed::annex::content;
use testbed::gateway::{Gateway, eventually};
use testbed::p2p::Session;
use testbed::place::{Place, Whose};
use testbed::product;
use testbed::proxy::{Behind, NAME, Proxy};
use testbed::way::{Outcome, Way};
use testbed::wire::{CLIENT, Wire, key_of, length};

const SERVE: [&str; 2] = ["--wideopen", "--quiet"];

fn session(proxy: &Proxy) -> Session {
    let command = proxy.repo.command(product());
    Session::greeted(command, &proxy.repo.dir(), &proxy.uuid())
}

fn now(server: &Gateway, uuid: &str) -> u64 {
    let path = format!("/git-annex/{uuid}/v4/gettimestamp?clientuuid={CLIENT}");
    let told = server.connect().post(&path, &[], b"").text();
    told.trim_matches(|c: char| !c.is_ascii_digit()).parse().expect("a timestamp")
}

/// Somebody exports while a removal waits, until its time is over.
#[test]
fn a_removal_that_waited_for_an_export_past_its_time_removes_nothing() {
    let trees = ["exporttree=yes", "annexobjects=yes"];
    let proxy = Proxy::with(Behind::Special(Place::fs(), Whose::Theirs), &trees);
    let server = Gateway::serve(&proxy.repo, &SERVE);
    let (http, uuid) = (Way::Http(&server), proxy.uuid());
    let body = content(1, 1000);
    let key = key_of(&body);
    // The first makes the database, and its lock.
    for _ in 0..2 {
        assert_eq!(http.put(&uuid, &key, &body), Outcome::Yes);
        assert_eq!(http.remove(&uuid, &key), Outcome::Yes);
    }
    let lock = proxy.repo.dir().join(format!(".git/annex/export/{uuid}/exportdb.lck"));
    for there in [true, false] {
        assert_eq!(http.put(&uuid, &key, &body), Outcome::Yes);
        let exports = LockFile::wait(&lock, LockKind::Exclusive, 0o666, Duration::from_secs(60)).expect("free");
        let limit = now(&server, &uuid) + 1;
        let mut client = server.connect();
        let path = format!("/git-annex/{uuid}/v4/remove-before?key={key}&timestamp={limit}&clientuuid={CLIENT}");
        client.send(format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"));
        eventually("its time is over", || now(&server, &uuid) > limit);
        if !there {
            // It is gone by itself: what is too late is not needed.
            let Behind::Special(place, _) = &proxy.behind else { panic!("a special remote") };
            let name = place.names().into_iter().find(|name| name.contains(&key)).expect("there");
            std::fs::remove_file(place.path().join(name)).expect("removed");
        }
        drop(exports);
        let expected = format!(r#"{{"plusuuids":[],"removed":{}}}"#, !there);
        assert_eq!(client.answer(false).text(), expected);
        assert_eq!(http.check(&uuid, &key), if there { Outcome::Yes } else { Outcome::No });
    }
    server.stop();
}

/// Ends the repository elsewhere while it keeps content for a client of the gateway, over both wires.
fn a_lost_lock_is_told_of(proxy: Proxy, key: &str, mut kill: impl FnMut(), mut again: impl FnMut()) {
    let mut stdio = session(&proxy);
    assert_eq!(stdio.ask(&format!("LOCKCONTENT {key}")), "SUCCESS");
    kill();
    assert_eq!(stdio.line(), None, "nothing is said of it");
    assert!(!stdio.ended().success());
    again();
    let uuid = proxy.uuid();
    let Proxy { repo, .. } = proxy;
    let server = Gateway::serve(&repo, &SERVE);
    let wire = Wire::behind(repo, server, uuid);
    let lockid = wire.lock(key);
    let mut kept = wire.keep(&lockid);
    kill();
    assert_eq!(String::from_utf8_lossy(&kept.rest()), "", "the connection ends without an answer");
    // Who comes back for it finds no lock, as for one that ended.
    let mut late = wire.server.connect();
    let path = wire.path("keeplocked", key).replace(&format!("key={key}"), &format!("lockid={lockid}"));
    let answer = late.post(&path, &[], b"{\"unlock\":false}\n");
    assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"locked":false}"#));
    again();
    // One that nobody keeps yet is lost too.
    let lockid = wire.lock(key);
    kill();
    let path = path.split("lockid=").next().map(|start| format!("{start}lockid={lockid}&clientuuid={CLIENT}"));
    let path = path.expect("a path");
    let mut late = wire.server.connect();
    late.send(format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"));
    late.send("11\r\n{\"unlock\":false}\n\r\n");
    // Told at once, or as soon as it is noticed.
    let answer = late.try_answer(false).ok().flatten().map(|answer| answer.text());
    assert_eq!(answer.unwrap_or_else(|| r#"{"locked":false}"#.into()), r#"{"locked":false}"#);
    wire.server.stop();
}

#[test]
fn a_lock_that_a_repository_behind_http_loses_is_told_of() {
    let proxy = Proxy::new(Behind::http());
    let Proxy { repo, behind: Behind::Http(far, gateway) } = proxy else { panic!("behind HTTP") };
    let key = far.add("f", 1, 5000);
    let (port, gateway) = (gateway.port(), std::cell::RefCell::new(Some(gateway)));
    let start = || {
        let mut command = Gateway::command(&far);
        let server = Gateway::start(command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]).args(SERVE));
        *gateway.borrow_mut() = Some(server);
    };
    let kill = || gateway.borrow_mut().take().expect("it runs").kill();
    let proxy = Proxy { repo, behind: Behind::Special(Place::fs(), Whose::Ours) };
    a_lost_lock_is_told_of(proxy, &key, kill, start);
}

#[test]
fn a_lock_that_a_repository_behind_ssh_loses_is_told_of() {
    let mut proxy = Proxy::new(Behind::ssh());
    // So that the process there can be killed.
    proxy.repo.set("PRETEND_KEEP", "1");
    let Proxy { repo, behind: Behind::Ssh(far, ssh) } = proxy else { panic!("behind ssh") };
    let key = far.add("f", 1, 5000);
    let proxy = Proxy { repo, behind: Behind::Special(Place::fs(), Whose::Ours) };
    a_lost_lock_is_told_of(proxy, &key, || ssh.kill_server(), || {});
}

/// A key that git-annex cannot record is refused before its content comes, on every wire and for all that may be behind.
#[test]
fn a_key_that_cannot_be_recorded_is_stored_nowhere() {
    // A file of the journal is named `abc_def_KEY.log`, and `_` counts twice.
    let body = content(1, 2000);
    let named = |len: usize| format!("WORM-s2000-m1--{}", "x".repeat(len - 15));
    let (longest, too_long) = (named(243), named(244));
    let underscores = format!("WORM-s2000-m1--{}", "_".repeat(115));
    for behind in [
        None,
        Some(Behind::Path(testbed::annex::Repo::new())),
        Some(Behind::Special(Place::fs(), Whose::Ours)),
        Some(Behind::Special(Place::weed(), Whose::Ours)),
        Some(Behind::http()),
        Some(Behind::ssh()),
    ] {
        let own = behind.is_none();
        let proxy = match behind {
            Some(behind) => Proxy::new(behind),
            None => Proxy { repo: testbed::annex::Repo::new(), behind: Behind::Special(Place::fs(), Whose::Ours) },
        };
        let uuid = if own { proxy.repo.uuid() } else { proxy.uuid() };
        let server = Gateway::serve(&proxy.repo, &SERVE);
        for way in [Way::Http(&server), Way::Stdio(&proxy.repo, "60")] {
            for key in [&too_long, &underscores] {
                let put = way.put(&uuid, key, &body);
                let Outcome::Failed(why) = &put else { panic!("{put:?}") };
                assert!(why.contains("name of more than 255 bytes"), "{why}");
                assert_eq!(way.check(&uuid, key), Outcome::No);
                assert_eq!(way.remove(&uuid, key), Outcome::Yes, "there is nothing, and nothing to record");
            }
        }
        for op in ["putoffset", "put"] {
            let path = format!("/git-annex/{uuid}/v4/{op}?clientuuid={CLIENT}&key={too_long}&data-present=true");
            let answer = server.connect().post(&path, &[&length(0)], b"");
            assert_eq!(answer.status, 500, "{op}: {}", answer.text());
            assert!(answer.text().contains("name of more than 255 bytes"), "{op}: {}", answer.text());
        }
        if let Behind::Special(place, _) = &proxy.behind
            && !own
        {
            assert!(!place.names().iter().any(|name| name.contains("xxx")), "nothing of it was stored");
        }
        assert_eq!(Way::Http(&server).put(&uuid, &longest, &body), Outcome::Yes);
        eventually("the longest is recorded", || {
            let here = if own { "here" } else { NAME };
            proxy.repo.annex(&["findkeys", "--in", here]).ok().stdout.lines().any(|line| line == longest)
        });
        server.stop();
    }
}
