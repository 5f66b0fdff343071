//! The git-annex branch shared with the real git-annex: what either records, the other sees, and nothing is lost.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use git_annex_remote_stream::annex::branch::SkipReason;
use git_annex_remote_stream::annex::log::{LocationLog, LogHashing, Presence, location_file};
use git_annex_remote_stream::annex::recorder::{Evidence, Recorder, RecorderConfig};
use git_annex_remote_stream::annex::repository::Repository;
use git_annex_remote_stream::name::{Key, Uuid};
use testbed::annex::{LIMIT, Repo};
use testbed::run::run;

fn key(name: &str) -> Key {
    Key::parse(format!("WORM-s1-m5--{name}").as_bytes()).expect("a key")
}

fn uuid(text: &str) -> Uuid {
    Uuid::parse(text.as_bytes()).expect("a uuid")
}

fn open(repo: &Repo) -> Arc<Repository> {
    repo.git(&["config", "user.name", "T"]).ok();
    repo.git(&["config", "user.email", "t@example.org"]).ok();
    Arc::new(Repository::open(&repo.dir()).unwrap_or_else(|e| panic!("{e}")))
}

fn recorder(repository: &Arc<Repository>) -> Recorder {
    Recorder::start(Arc::clone(repository), RecorderConfig::default()).expect("a thread")
}

/// Records and waits until it is in the journal.
fn record(recorder: &Recorder, key: &Key, uuid: &Uuid, presence: Presence) {
    let (done, told) = mpsc::channel();
    let done = Box::new(move |result| done.send(result).expect("somebody waits"));
    recorder.record(key.clone(), uuid.clone(), presence, Evidence::Done, done);
    told.recv_timeout(LIMIT).expect("it is told").unwrap_or_else(|e| panic!("{e}"));
}

/// What is committed of `key`, by git's own reading.
fn committed(repo: &Repo, key: &Key) -> String {
    let file = String::from_utf8(location_file(key, LogHashing::TwoLevels)).expect("the keys of these tests are text");
    repo.git(&["show", &format!("refs/heads/git-annex:{file}")]).ok().stdout
}

/// The lines of a log without their times, which differ from run to run.
fn timeless(log: &str) -> Vec<&str> {
    log.lines().map(|line| line.split_once(' ').expect("a time and more").1).collect()
}

fn commits(repo: &Repo) -> usize {
    let counted = repo.git(&["rev-list", "--count", "refs/heads/git-annex"]).ok().stdout;
    counted.trim().parse().expect("a number")
}

/// Each knows what the other recorded, in the directories that git-annex uses there.
#[test]
fn repositories_with_tuned_branches_are_shared_too() {
    let repo = Repo::tuned(&["annex.tune.branchhash1=true", "annex.tune.objecthash1=true"]);
    let repository = open(&repo);
    let recorder = recorder(&repository);
    let (a, key) = (uuid("00000000-0000-4000-8000-00000000000a"), key("x"));
    let told = |uuid: &Uuid| repo.annex(&["readpresentkey", &key.to_string(), &uuid.to_string()]).status.code();
    record(&recorder, &key, &a, Presence::Present);
    assert_eq!(told(&a), Some(0), "from the journal");
    repo.annex(&["setpresentkey", &key.to_string(), &a.to_string(), "0"]).ok();
    assert_eq!(repository.branch().locations(&key).expect("read").presence(&a), Some(Presence::Missing));
    record(&recorder, &key, &a, Presence::Present);
    recorder.shutdown().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(told(&a), Some(0), "from the branch");
    let files = repo.git(&["ls-tree", "-r", "--name-only", "git-annex"]).ok().stdout;
    assert_eq!(files.lines().filter(|file| file.contains(&key.to_string())).count(), 1, "{files}");
}

/// git-annex merges nothing while such a branch is there; we leave that one alone and merge the other.
#[test]
fn a_pushed_branch_that_is_tuned_otherwise_is_merged_by_neither() {
    let (server, tuned) = (Repo::bare(), Repo::tuned(&["annex.tune.branchhash1=true"]));
    let plain = Repo::clone_of(&server);
    let dir = server.dir().display().to_string();
    let (a, key) = ("00000000-0000-4000-8000-00000000000a", key("x").to_string());
    for (repo, name) in [(&tuned, "tuned"), (&plain, "plain")] {
        repo.annex(&["setpresentkey", &key, a, "1"]).ok();
        // That leaves it in the journal.
        repo.annex(&["merge", "--quiet"]).ok();
        let to = format!("refs/heads/git-annex:refs/heads/{name}/git-annex");
        repo.git(&["push", "--quiet", &dir, &to]).ok();
    }
    let refused = server.annex(&["merge"]).failed().all();
    assert!(refused.contains("tuned in incompatible way"), "{refused}");
    let repository = open(&server);
    let report = repository.branch().merge_arrived().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(report.skipped, [(b"refs/heads/tuned/git-annex".to_vec(), SkipReason::TunedOtherwise)]);
    assert_eq!(report.merged, [b"refs/heads/plain/git-annex".to_vec()]);
    server.git(&["update-ref", "-d", "refs/heads/tuned/git-annex"]).ok();
    assert_eq!(server.annex(&["readpresentkey", &key, a]).status.code(), Some(0), "git-annex finds it merged");
    let files = server.git(&["ls-tree", "-r", "--name-only", "git-annex"]).ok().stdout;
    assert_eq!(files.lines().filter(|file| file.contains(&key)).count(), 1, "{files}");
}

#[test]
fn git_annex_knows_what_was_recorded() {
    let repo = Repo::new();
    let repository = open(&repo);
    let before = commits(&repo);
    let recorder = recorder(&repository);
    let (a, b) = (uuid("00000000-0000-4000-8000-00000000000a"), uuid("00000000-0000-4000-8000-00000000000b"));
    for name in ["x", "y_z", "sub/f%:&"] {
        record(&recorder, &key(name), &a, Presence::Present);
        record(&recorder, &key(name), &b, Presence::Present);
        record(&recorder, &key(name), &b, Presence::Missing);
    }
    let told = |name: &str, uuid: &Uuid| {
        repo.annex(&["readpresentkey", &key(name).to_string(), &uuid.to_string()]).status.code()
    };
    assert_eq!((told("x", &a), told("x", &b)), (Some(0), Some(1)), "from the journal");
    recorder.shutdown().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(commits(&repo), before + 1, "all of it in one commit");
    for name in ["x", "y_z", "sub/f%:&"] {
        assert_eq!((told(name, &a), told(name, &b)), (Some(0), Some(1)), "from the branch: {name}");
        assert_eq!(timeless(&committed(&repo, &key(name))), [format!("1 {a}"), format!("0 {b}")]);
    }
    let whereis = repo.annex(&["whereis", "--key", &key("y_z").to_string()]).ok();
    assert!(whereis.stdout.contains("(1 copy)") && whereis.stdout.contains(&a.to_string()), "{}", whereis.stdout);
    repo.git(&["fsck", "--strict"]).ok();
    repo.annex(&["merge"]).ok();
    assert_eq!(commits(&repo), before + 1, "git-annex finds nothing to mend");
}

#[test]
fn a_commit_of_many_records_is_whole_to_git_and_git_annex() {
    const KEYS: usize = 1500;
    let repo = Repo::new();
    let before = commits(&repo);
    let config = RecorderConfig { idle: LIMIT, latest: LIMIT, ..RecorderConfig::default() };
    let recorder = Recorder::start(open(&repo), config).expect("a thread");
    let (done, told) = mpsc::channel();
    for n in 0..KEYS {
        let done = done.clone();
        let done = Box::new(move |result| done.send(result).expect("somebody waits"));
        recorder.record(key(&n.to_string()), uuid("somebody"), Presence::Present, Evidence::Done, done);
    }
    for _ in 0..KEYS {
        told.recv_timeout(LIMIT).expect("it is told").unwrap_or_else(|e| panic!("{e}"));
    }
    recorder.shutdown().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(commits(&repo), before + 1);
    repo.git(&["fsck", "--strict"]).ok();
    repo.annex(&["setpresentkey", &key("7").to_string(), "else", "1"]).ok();
    repo.annex(&["merge"]).ok();
    let files = repo.git(&["ls-tree", "-r", "--name-only", "refs/heads/git-annex"]).ok().stdout;
    assert_eq!(files.lines().filter(|file| file.contains("/WORM-s1-m5--")).count(), KEYS);
    assert_eq!(timeless(&committed(&repo, &key("7"))), ["1 else", "1 somebody"]);
    assert_eq!(timeless(&committed(&repo, &key("1499"))), ["1 somebody"]);
}

#[test]
fn the_same_changes_make_the_same_logs() {
    let changes = [("b", true), ("a", true), ("b", false), ("b", false), ("c", false), ("a", true), ("b", true)];
    let key = key("same");
    let (theirs, ours) = (Repo::new(), Repo::new());
    for (who, present) in changes {
        theirs.annex(&["setpresentkey", &key.to_string(), who, if present { "1" } else { "0" }]).ok();
    }
    theirs.annex(&["merge"]).ok();
    let recorder = recorder(&open(&ours));
    for (who, present) in changes {
        record(&recorder, &key, &uuid(who), if present { Presence::Present } else { Presence::Missing });
    }
    recorder.shutdown().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(timeless(&committed(&ours, &key)), timeless(&committed(&theirs, &key)));
}

#[test]
fn a_journal_git_annex_left_is_committed() {
    let repo = Repo::new();
    repo.annex(&["setpresentkey", &key("left").to_string(), "somebody", "1"]).ok();
    let repository = open(&repo);
    let locations = repository.branch().locations(&key("left")).expect("readable");
    assert_eq!(locations.presence(&uuid("somebody")), Some(Presence::Present));
    recorder(&repository).shutdown().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(timeless(&committed(&repo, &key("left"))), ["1 somebody"]);
    assert_eq!(std::fs::read_dir(repo.dir().join(".git/annex/journal")).expect("it is there").count(), 0);
}

#[test]
fn git_annex_goes_on_from_our_commits() {
    let repo = Repo::new();
    let repository = open(&repo);
    for round in 0..3 {
        let recorder = recorder(&repository);
        record(&recorder, &key("shared"), &uuid(&format!("ours-{round}")), Presence::Present);
        record(&recorder, &key("shared"), &uuid("moving"), Presence::Missing);
        recorder.shutdown().unwrap_or_else(|e| panic!("{e}"));
        for (who, present) in [(format!("theirs-{round}"), "1"), ("moving".to_string(), "1")] {
            repo.annex(&["setpresentkey", &key("shared").to_string(), &who, present]).ok();
        }
        repo.annex(&["merge"]).ok();
    }
    let log = LocationLog::parse(committed(&repo, &key("shared")).as_bytes());
    for who in ["ours-0", "ours-1", "ours-2", "theirs-0", "theirs-1", "theirs-2", "moving"] {
        assert_eq!(log.presence(&uuid(who)), Some(Presence::Present), "{who}");
    }
    repo.git(&["fsck", "--strict"]).ok();
}

#[test]
fn branches_that_arrive_are_merged_as_git_annex_merges_them() {
    let origin = Repo::new();
    let set = |repo: &Repo, who: &str, present: &str| {
        repo.annex(&["setpresentkey", &key("k").to_string(), who, present]).ok();
        repo.annex(&["merge"]).ok();
    };
    set(&origin, "a", "1");
    let (one, two) = (Repo::clone_of(&origin), Repo::clone_of(&origin));
    set(&one, "a", "0");
    set(&two, "b", "1");
    set(&origin, "c", "1");
    for (name, from) in [("one", &one), ("two", &two)] {
        let spec = format!("refs/heads/git-annex:refs/remotes/{name}/git-annex");
        origin.git(&["fetch", "--quiet", &from.dir().display().to_string(), &spec]).ok();
    }
    let copy = Repo::new();
    std::fs::remove_dir_all(copy.dir()).expect("removed");
    let done = run(Command::new("cp").arg("-a").arg(origin.dir()).arg(copy.dir()), LIMIT);
    assert!(done.status.success(), "{}", done.stderr);

    let report = open(&copy).branch().merge_arrived().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(report.merged, [&b"refs/remotes/one/git-annex"[..], b"refs/remotes/two/git-annex"]);
    origin.annex(&["merge"]).ok();
    let told = |repo: &Repo| repo.git(&["log", "-1", "--format=%T%n%P%n%s", "refs/heads/git-annex"]).ok().stdout;
    assert_eq!(told(&copy), told(&origin), "tree, parents and subject");
    copy.git(&["fsck", "--strict"]).ok();
    let before = told(&copy);
    copy.annex(&["merge"]).ok();
    assert_eq!(told(&copy), before, "git-annex finds nothing left to merge");
}

#[test]
fn a_forgotten_history_is_reported_and_not_merged() {
    let origin = Repo::new();
    let clone = Repo::clone_of(&origin);
    clone.annex(&["forget", "--force"]).ok();
    let spec = "+refs/heads/git-annex:refs/remotes/clone/git-annex";
    origin.git(&["fetch", "--quiet", &clone.dir().display().to_string(), spec]).ok();
    let before = origin.git(&["rev-parse", "refs/heads/git-annex"]).ok().stdout;
    let report = open(&origin).branch().merge_arrived().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(report.skipped.len(), 1, "{report:?}");
    assert_eq!(origin.git(&["rev-parse", "refs/heads/git-annex"]).ok().stdout, before);
}

/// A log that is no location log waits in the journal, and a clone pushes another line of it straight to the branch.
fn with_a_waiting_journal() -> (Repo, String) {
    let server = Repo::new();
    let client = Repo::clone_of(&server);
    // It would commit the journal before the push is taken.
    let _ = std::fs::remove_file(server.dir().join(".git/hooks/post-receive"));
    server.annex(&["describe", "here", "renamed", "-c", "annex.alwayscommit=false"]).ok();
    assert!(server.dir().join(".git/annex/journal/uuid.log").exists());
    let uuid = client.uuid();
    client.git(&["push", "--quiet", "origin", "git-annex:git-annex"]).ok();
    assert!(uuid_log(&server).contains(&uuid), "it was pushed");
    (server, uuid)
}

fn uuid_log(repo: &Repo) -> String {
    repo.git(&["show", "refs/heads/git-annex:uuid.log"]).ok().stdout
}

#[test]
fn a_line_pushed_while_the_journal_waits_is_lost_by_git_annex_and_kept_here() {
    let (theirs, pushed) = with_a_waiting_journal();
    theirs.annex(&["setpresentkey", &key("k").to_string(), "somebody", "1"]).ok();
    theirs.annex(&["merge"]).ok();
    let log = uuid_log(&theirs);
    assert!(log.contains("renamed") && !log.contains(&pushed), "git-annex keeps it now, so say so: {log}");

    let (ours, pushed) = with_a_waiting_journal();
    let repository = open(&ours);
    let read = repository.branch().read(b"uuid.log").unwrap_or_else(|e| panic!("{e}"));
    let recorder = recorder(&repository);
    record(&recorder, &key("k"), &uuid("somebody"), Presence::Present);
    recorder.shutdown().unwrap_or_else(|e| panic!("{e}"));
    for log in [String::from_utf8_lossy(&read).into_owned(), uuid_log(&ours)] {
        assert!(log.contains(" renamed timestamp=") && log.contains(&pushed), "{log}");
        assert_eq!(log.lines().count(), 2, "what was replaced stays away: {log}");
    }
    let info = ours.annex(&["info", &pushed]).ok().stdout;
    assert!(info.contains(&pushed), "git-annex knows both: {info}");
    ours.git(&["fsck", "--strict"]).ok();
}

/// Lines for `git annex setpresentkey --batch`, fed slowly enough to meet our commits.
fn batch(repo: &Repo, lines: &str, at: &Path) -> Command {
    std::fs::write(at, lines).expect("written");
    let git_annex = repo.annex_command(&[]);
    let mut command = repo.command(Path::new("sh"));
    command.arg("-c").arg(format!("'{}' setpresentkey --batch <'{}'", git_annex.get_program().display(), at.display()));
    command
}

#[test]
fn no_line_is_lost_while_git_annex_works_beside_us() {
    const KEYS: usize = 40;
    const THREADS: usize = 4;
    const BATCHES: usize = 3;
    let repo = Repo::new();
    let clone = Repo::clone_of(&repo);
    repo.git(&["config", "receive.denyCurrentBranch", "ignore"]).ok();
    let repository = open(&repo);
    let config = RecorderConfig {
        idle: Duration::from_millis(50),
        latest: Duration::from_millis(200),
        ..RecorderConfig::default()
    };
    let recorder = Recorder::start(Arc::clone(&repository), config).expect("a thread");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (repo, clone, recorder, stop) = (&repo, &clone, &recorder, &stop);
        let ours: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    // Goes on until git-annex is done, so that the two really meet.
                    let mut round = 0;
                    while round < 2 || !stop.load(Ordering::Relaxed) {
                        let presence = if round % 2 == 0 { Presence::Present } else { Presence::Missing };
                        for n in 0..KEYS {
                            record(recorder, &key(&n.to_string()), &uuid(&format!("ours-{thread}")), presence);
                        }
                        round += 1;
                    }
                    for n in 0..KEYS {
                        record(recorder, &key(&n.to_string()), &uuid(&format!("ours-{thread}")), Presence::Present);
                    }
                })
            })
            .collect();
        let theirs = scope.spawn(move || {
            for round in 0..BATCHES {
                let lines: String = (0..KEYS).map(|n| format!("{} theirs-{round} 1\n", key(&n.to_string()))).collect();
                run(&mut batch(repo, &lines, &repo.dir().join("../batch")), LIMIT).ok();
                repo.annex(&["merge"]).ok();
            }
        });
        let pushing = scope.spawn(move || {
            for round in 0..BATCHES {
                let lines: String = (0..KEYS).map(|n| format!("{} pushed-{round} 1\n", key(&n.to_string()))).collect();
                run(&mut batch(clone, &lines, &clone.dir().join("../batch")), LIMIT).ok();
                clone.annex(&["merge"]).ok();
                clone.git(&["push", "--quiet", "origin", "+git-annex:refs/heads/synced/git-annex"]).ok();
                // As git annex sync does; refused where it is no fast forward.
                clone.git(&["push", "--quiet", "origin", "git-annex"]);
                repository.branch().merge_arrived().unwrap_or_else(|e| panic!("{e}"));
                clone.git(&["fetch", "--quiet", "origin"]).ok();
            }
        });
        let (theirs, pushing) = (theirs.join(), pushing.join());
        stop.store(true, Ordering::Relaxed);
        let ours: Vec<_> = ours.into_iter().map(|thread| thread.join()).collect();
        assert!(theirs.is_ok() && pushing.is_ok() && ours.iter().all(Result::is_ok), "see above");
    });
    recorder.shutdown().unwrap_or_else(|e| panic!("{e}"));
    repo.annex(&["merge"]).ok();
    let names = (0..THREADS).map(|n| format!("ours-{n}"));
    let names = names.chain((0..BATCHES).flat_map(|n| [format!("theirs-{n}"), format!("pushed-{n}")]));
    let names: Vec<String> = names.collect();
    let mut lost = Vec::new();
    for n in 0..KEYS {
        let log = LocationLog::parse(committed(&repo, &key(&n.to_string())).as_bytes());
        lost.extend(names.iter().filter(|who| log.presence(&uuid(who)) != Some(Presence::Present)).map(|who| (n, who)));
    }
    assert!(lost.is_empty(), "lost: {lost:?}");
    repo.git(&["fsck", "--strict"]).ok();
}
