//! One repository that everybody works in at the same moment: clients of our p2phttp and of our git-annex-shell, clones that
//! push their git-annex branches, and real git-annex commands in the repository itself. No line may be lost on any side.

mod ledger;
mod parts;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use ledger::{Ledger, keyed};
use parts::{Scene, raw_http, raw_stdio, real_client, real_commands, real_pushes};
use testbed::annex::Repo;
use testbed::gateway::{Gateway, eventually};
use testbed::ssh::Ssh;

/// Whom the clones speak of.
const CLONES: [&str; 2] = ["00000000-0000-4000-8000-00000000f001", "00000000-0000-4000-8000-00000000f002"];

fn everybody_works_at_once(server: &Repo) {
    let gateway = Gateway::serve(server, &["--wideopen", "--quiet"]);
    let (mut web, ssh, mut shell) = (Repo::new(), Ssh::new(), Repo::new());
    ssh.lead(&mut shell);
    shell.git(&["remote", "add", "server", &Ssh::url(server)]).ok();
    parts::add_over_http(&mut web, server, &gateway);
    let clones = [Repo::clone_of(server), Repo::clone_of(server)];
    let scene = Scene { server, uuid: server.uuid(), gateway, ledger: Ledger::default() };
    let busy = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let scene = &scene;
        let _background = [
            scope.spawn(|| real_commands(scene, &busy)),
            scope.spawn(|| real_pushes(scene, &clones[0], "synced/git-annex", parts::WEB, CLONES[0], &busy)),
            // Keys of its own: a push straight to the branch may come between the moments in which a git-annex command
            // reads a log and commits it, and then the real one loses the pushed line.
            scope.spawn(|| real_pushes(scene, &clones[1], "git-annex", 2, CLONES[1], &busy)),
        ];
        let working = [
            scope.spawn(|| real_client(scene, &web, 10)),
            scope.spawn(|| real_client(scene, &shell, 11)),
            scope.spawn(|| raw_http(scene, parts::WEB)),
            scope.spawn(|| raw_http(scene, 13)),
            scope.spawn(|| raw_stdio(scene, 14)),
        ];
        // The others go on for as long as these do.
        let ended = working.map(|part| part.join());
        busy.store(false, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok), "a part failed");
    });
    let said = scene.gateway.log();
    assert!(!said.contains("cannot") && !said.contains("error"), "{said}");
    scene.gateway.stop();
    assert_eq!(journal(server), Vec::<PathBuf>::new(), "all is committed");
    server.annex(&["merge", "--quiet"]).ok();
    scene.ledger.hold_against(server);
    server.annex(&["fsck", "--all", "--in=here", "--quiet"]).ok();
    let said = server.git(&["fsck", "--strict", "--no-dangling"]).ok().all();
    let complaints: Vec<&str> = said.lines().filter(|line| !line.starts_with("notice: ")).collect();
    assert_eq!(complaints, Vec::<&str>::new(), "git fsck");
}

/// Files that wait to be committed.
fn journal(server: &Repo) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(ledger::annex_dir(server).join("journal"));
    entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

#[test]
fn no_line_is_lost_in_a_bare_repository() {
    everybody_works_at_once(&Repo::bare());
}

#[test]
fn no_line_is_lost_in_a_repository_with_a_work_tree() {
    everybody_works_at_once(&Repo::new());
}

#[test]
fn branches_that_clients_push_are_merged_by_a_running_server() {
    let server = Repo::bare();
    // Where git-annex is not installed no hook does it.
    assert!(!server.dir().join("hooks/post-receive").exists());
    let gateway = Gateway::serve(&server, &["--wideopen", "--quiet"]);
    let scene = Scene { server: &server, uuid: server.uuid(), gateway, ledger: Ledger::default() };
    let clone = Repo::clone_of(&server);
    for round in 0..3 {
        let (key, _) = keyed(1, round, 10);
        clone.annex(&["setpresentkey", "--quiet", &key, parts::ELSEWHERE, "1"]).ok();
        clone.annex(&["merge", "--quiet"]).ok();
        clone.git(&["push", "--quiet", "origin", "git-annex:synced/git-annex"]).ok();
        scene.ledger.line(&key, parts::ELSEWHERE, true);
        scene.put_over_http(&mut scene.gateway.connect(), 2, round);
        let merged = ["merge-base", "--is-ancestor", "synced/git-annex", "git-annex"];
        eventually("the branch is merged", || server.git(&merged).status.success());
        eventually("the record is committed", || journal(&server).is_empty());
        scene.ledger.hold_against(&server);
    }
    // No merge commit on top of a merge commit for ever: what is merged is merged.
    let at = server.git(&["rev-parse", "git-annex"]).ok().stdout;
    scene.gateway.stop();
    assert_eq!(server.git(&["rev-parse", "git-annex"]).ok().stdout, at);
    server.git(&["fsck", "--strict"]).ok();
}
