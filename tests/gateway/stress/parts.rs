//! Who works in the repository, and how.

use std::sync::atomic::{AtomicBool, Ordering};

use super::ledger::{Ledger, keyed};
use testbed::annex::Repo;
use testbed::gateway::Gateway;
use testbed::http::Client;
use testbed::p2p::{CLIENT, Session};
use testbed::product;

/// What all parts share.
pub struct Scene<'a> {
    pub server: &'a Repo,
    pub uuid: String,
    pub gateway: Gateway,
    pub ledger: Ledger,
}

/// The part whose keys all write about, so that the lines of one file come from several sides at once.
pub const WEB: u64 = 12;

/// Some other repository, which is only spoken of.
pub const ELSEWHERE: &str = "00000000-0000-4000-8000-00000000e001";

/// Makes `server`, behind `gateway`, the remote `server` of `client`.
pub fn add_over_http(client: &mut Repo, server: &Repo, gateway: &Gateway) {
    client.git(&["remote", "add", "server", &server.dir().display().to_string()]).ok();
    client.git(&["config", "remote.server.annexurl", &gateway.url()]).ok();
    client.git(&["config", "remote.server.annex-uuid", &server.uuid()]).ok();
}

impl Scene<'_> {
    /// Puts key `n` of `part` over HTTP.
    pub fn put_over_http(&self, client: &mut Client, part: u64, n: u64) {
        let (key, bytes) = keyed(part, n, 1000);
        let announced = format!("X-git-annex-data-length: {}", bytes.len());
        let answer = client.post(&self.path("put", &key), &[&announced], &bytes);
        assert_eq!((answer.status, answer.text().contains(r#""stored":true"#)), (200, true), "{}", answer.text());
        self.ledger.line(&key, &self.uuid, true);
    }

    fn path(&self, verb: &str, key: &str) -> String {
        format!("/git-annex/{}/v4/{verb}?key={key}&clientuuid={CLIENT}", self.uuid)
    }
}

/// A real client: copies, drops there, drops here while the server holds its copy locked.
pub fn real_client(scene: &Scene<'_>, client: &Repo, part: u64) {
    let mut keys = Vec::new();
    for n in 0..24 {
        let directory = ["keep", "drop-there", "drop-here"][n % 3];
        let path = client.dir().join(directory).join(format!("{n}"));
        std::fs::create_dir_all(path.parent().expect("below")).expect("a directory");
        let (key, bytes) = keyed(part, n as u64, 4000);
        std::fs::write(path, bytes).expect("written");
        keys.push((directory, key));
    }
    client.annex(&["add", "--quiet", "--backend", "SHA256"]).ok();
    client.annex(&["copy", "-J4", "--to", "server", "--quiet"]).ok();
    client.annex(&["drop", "-J2", "--from", "server", "--quiet", "drop-there"]).ok();
    client.annex(&["drop", "-J2", "--quiet", "drop-here"]).ok();
    for (directory, key) in keys {
        scene.ledger.line(&key, &scene.uuid, directory != "drop-there");
    }
}

/// Puts and removals over one connection.
pub fn raw_http(scene: &Scene<'_>, part: u64) {
    let mut client = scene.gateway.connect();
    for n in 0..50 {
        scene.put_over_http(&mut client, part, n);
        if n % 5 == 0 {
            let (key, _) = keyed(part, n, 1000);
            let answer = client.post(&scene.path("remove", &key), &[], b"");
            assert!(answer.text().contains(r#""removed":true"#), "{}", answer.text());
            scene.ledger.line(&key, &scene.uuid, false);
        }
    }
}

/// Sessions of git-annex-shell, each of which commits at its end.
pub fn raw_stdio(scene: &Scene<'_>, part: u64) {
    for session in 0..5 {
        let command = scene.server.command(product());
        let mut shell = Session::greeted(command, &scene.server.dir(), &scene.uuid);
        for n in session * 10..session * 10 + 10 {
            let (key, bytes) = keyed(part, n, 1000);
            assert_eq!(shell.put(&key, &bytes), "SUCCESS");
            scene.ledger.line(&key, &scene.uuid, true);
            match n % 5 {
                0 => {
                    assert_eq!(shell.ask(&format!("REMOVE {key}")), "SUCCESS");
                    scene.ledger.line(&key, &scene.uuid, false);
                }
                1 => {
                    assert_eq!(shell.ask(&format!("LOCKCONTENT {key}")), "SUCCESS");
                    shell.send(b"UNLOCKCONTENT\n");
                }
                _ => {}
            }
        }
        shell.close();
        assert_eq!(shell.line(), None);
        assert!(shell.ended().success());
    }
}

/// Commands in the repository itself, again and again while the others are busy.
pub fn real_commands(scene: &Scene<'_>, busy: &AtomicBool) {
    let (server, part) = (scene.server, 15);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let place = format!("directory={}", directory.path().display());
    server.annex(&["initremote", "--quiet", "backup", "type=directory", "encryption=none", &place]).ok();
    let backup = server.git(&["config", "remote.backup.annex-uuid"]).ok().stdout.trim().to_string();
    let mut n = 0;
    while n < 3 || (busy.load(Ordering::Relaxed) && n < 100) {
        let (key, bytes) = keyed(part, n, 2000);
        let scratch = directory.path().join("scratch");
        std::fs::write(&scratch, bytes).expect("written");
        server.annex(&["setkey", "--quiet", &key, &scratch.display().to_string()]).ok();
        scene.ledger.line(&key, &scene.uuid, true);
        server.annex(&["copy", "--quiet", "--key", &key, "--to", "backup"]).ok();
        scene.ledger.line(&key, &backup, true);
        if n % 2 == 0 {
            server.annex(&["drop", "--quiet", "--key", &key]).ok();
            scene.ledger.line(&key, &scene.uuid, false);
        }
        let (key, _) = keyed(WEB, n, 1000);
        server.annex(&["setpresentkey", "--quiet", &key, ELSEWHERE, "1"]).ok();
        scene.ledger.line(&key, ELSEWHERE, true);
        server.annex(&["merge", "--quiet"]).ok();
        n += 1;
    }
}

/// A clone that records and pushes its git-annex branch to `branch`, as a sync does: a push that comes too late is
/// preceded by a fetch the next time.
pub fn real_pushes(scene: &Scene<'_>, clone: &Repo, branch: &str, part: u64, uuid: &str, busy: &AtomicBool) {
    let (mut n, mut pushed) = (0, 0);
    let mut waiting = Vec::new();
    // The last push has to arrive, and it does once nobody is faster.
    while pushed < 3 || !waiting.is_empty() || (busy.load(Ordering::Relaxed) && n < 100) {
        let (key, _) = keyed(part, n, 1000);
        clone.annex(&["setpresentkey", "--quiet", &key, uuid, "1"]).ok();
        waiting.push(key);
        n += 1;
        // setpresentkey leaves its line in the journal.
        clone.annex(&["merge", "--quiet"]).ok();
        if clone.git(&["push", "--quiet", "origin", &format!("git-annex:{branch}")]).status.success() {
            waiting.drain(..).for_each(|key| scene.ledger.line(&key, uuid, true));
            pushed += 1;
        } else {
            clone.git(&["fetch", "--quiet", "origin"]).ok();
        }
        assert!(n < 300, "no push arrives");
    }
}
