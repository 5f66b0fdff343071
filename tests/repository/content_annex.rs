//! Content of a repository, side by side with the real git-annex: what one keeps the other finds, and neither takes away
//! what the other holds.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;

use git_annex_remote_stream::annex::backend::Verifier;
use git_annex_remote_stream::annex::content::{Content, ContentConfig, ContentError, Incoming, Receive, Sharing};
use git_annex_remote_stream::annex::layout::Hashing;
use git_annex_remote_stream::name::{Key, Uuid};
use testbed::annex::{LIMIT, Repo, content};
use testbed::servers::peers;

/// The content of the repository, as ours.
fn ours(repo: &Repo) -> Content {
    let mut config = ContentConfig::new(repo.dir().join(".git"), false);
    config.reserve = 0;
    Content::new(config)
}

fn parse(key: &str) -> Key {
    Key::parse(key.as_bytes()).expect("git-annex made this key")
}

fn uuid() -> Uuid {
    Uuid::parse(CLIENT.as_bytes()).expect("a uuid")
}

const CLIENT: &str = "00000000-0000-4000-8000-00000000c001";

fn incoming(content: &Content, key: &Key) -> Incoming {
    match content.receive(key, &uuid()).expect("it can be received") {
        Receive::Incoming(incoming) => incoming,
        Receive::AlreadyHave => panic!("{key} is here already"),
    }
}

/// Receives the rest of `bytes`, verified, as a server does.
fn put(content: &Content, key: &Key, bytes: &[u8]) {
    let incoming = incoming(content, key);
    let from = incoming.offset();
    let mut verifier = Verifier::for_key(key).expect("it has a digest");
    incoming.verify_prefix(&mut verifier).expect("the beginning is read");
    let rest = &bytes[usize::try_from(from).expect("it fits")..];
    incoming.file().write_all_at(rest, from).expect("it is written");
    verifier.update(rest);
    assert!(verifier.finish());
    incoming.commit(bytes.len() as u64).expect("it is committed");
}

/// Every path below the annex's objects, with its mode.
fn tree(dir: &Path) -> Vec<(PathBuf, u32)> {
    let mut dirs = vec![dir.to_path_buf()];
    let mut found = Vec::new();
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            found.push((path.clone(), std::fs::symlink_metadata(&path).expect("it is there").mode()));
            if path.is_dir() && !path.is_symlink() {
                dirs.push(path);
            }
        }
    }
    found.sort();
    found
}

fn objects(repo: &Repo) -> PathBuf {
    [repo.dir().join(".git/annex/objects"), repo.dir().join("annex/objects")]
        .into_iter()
        .find(|dir| dir.exists())
        .expect("the repository has objects")
}

/// `git-annex-shell p2pstdio` on the repository, past its greeting.
struct Shell {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
}

impl Shell {
    fn start(repo: &Repo) -> Self {
        let mut command: Command = repo.command(&peers().join("git-annex-shell"));
        command.arg("p2pstdio").arg(repo.dir()).arg(CLIENT);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("git-annex-shell starts");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let stdin = child.stdin.take();
        let mut shell = Self { child, stdin, lines };
        assert!(shell.line().starts_with("AUTH-SUCCESS"));
        assert_eq!(shell.ask("VERSION 4"), "VERSION 4");
        shell
    }

    fn line(&mut self) -> String {
        self.lines.recv_timeout(LIMIT).unwrap_or_else(|_| "(end)".to_string())
    }

    fn say(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().expect("it is open").write_all(bytes).expect("it reads");
    }

    fn ask(&mut self, line: &str) -> String {
        self.say(format!("{line}\n").as_bytes());
        self.line()
    }

    fn end(mut self) {
        self.stdin = None;
        self.child.wait().expect("it ends");
    }

    fn kill(mut self) {
        self.child.kill().expect("it is killed");
        self.child.wait().expect("it is gone");
    }
}

/// Waits for what another process is about to do.
fn until(done: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !done() {
        assert!(start.elapsed() < LIMIT, "it did not happen");
        std::thread::yield_now();
    }
}

#[test]
fn what_we_receive_looks_like_what_git_annex_adds_and_passes_its_fsck() {
    for config in [None, Some("group"), Some("all"), Some("0640"), Some("0660")] {
        let repo = Repo::new();
        if let Some(value) = config {
            repo.git(&["config", "core.sharedRepository", value]).ok();
        }
        let bytes = content(11, 300_000);
        let key = parse(&repo.add("file.bin", 11, 300_000));
        let theirs = tree(&objects(&repo));
        let mut settings = ContentConfig::new(repo.dir().join(".git"), false);
        settings.sharing = Sharing::parse(config.unwrap_or("umask"));
        let content = Content::new(ContentConfig { reserve: 0, ..settings });
        content.remove(&key, || true).expect("it is removed");
        assert_eq!(tree(&objects(&repo)), [], "nothing is left, {config:?}");
        repo.annex(&["fsck", "--quiet"]).failed();
        put(&content, &key, &bytes);
        assert_eq!(tree(&objects(&repo)), theirs, "same names and modes, {config:?}");
        repo.annex(&["fsck", "--quiet"]).ok();
        assert_eq!(repo.read("file.bin").as_deref(), Some(&bytes[..]));
        if config.is_some_and(|value| value.starts_with('0')) {
            // Only root can drop here with git-annex 10.20261026: it does not make the directory writable before.
            content.remove(&key, || true).expect("it is removed");
        } else {
            repo.annex(&["drop", "--force", "--quiet", "file.bin"]).ok();
        }
        assert!(!content.present(&key).expect("it can be told"));
        assert_eq!(tree(&objects(&repo)), [], "git-annex removes all we made, {config:?}");
    }
}

#[test]
fn content_git_annex_added_is_opened_as_it_is() {
    let repo = Repo::new();
    for (name, seed, len) in [("a", 1, 0), ("b.tar.gz", 2, 70_000), ("c d", 3, 1)] {
        let key = parse(&repo.add(name, seed, len));
        let open = ours(&repo).open(&key).expect("it opens").expect("it is here");
        let mut bytes = vec![0; len];
        open.file.read_exact_at(&mut bytes, 0).expect("it is read");
        assert!(open.stable && open.len == len as u64 && bytes == content(seed, len), "{name}");
    }
}

#[test]
fn bare_and_tuned_repositories_have_their_own_directories() {
    let source = Repo::new();
    let text = source.add("file", 5, 1000);
    for (options, bare, one_level, lower) in [
        (&[][..], true, false, false),
        (&["annex.tune.objecthash1=true"], false, true, false),
        (&["annex.tune.objecthashlower=true"], false, false, true),
        (&["annex.tune.objecthash1=true", "annex.tune.objecthashlower=true"], true, true, true),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().display().to_string();
        source.git(&["init", "--quiet", if bare { "--bare" } else { "--quiet" }, &path]).ok();
        let mut words = vec!["-C", &path];
        options.iter().for_each(|option| words.extend(["-c", option]));
        words.extend(["annex", "init", "--quiet"]);
        source.git(&words).ok();
        let git_dir = if bare { dir.path().to_path_buf() } else { dir.path().join(".git") };
        let hashing = Hashing { bare, one_level, lower };
        let content = Content::new(ContentConfig { hashing, reserve: 0, ..ContentConfig::new(git_dir.clone(), bare) });
        let key = parse(&text);
        put(&content, &key, &testbed::annex::content(5, 1000));
        source.git(&["-C", &path, "annex", "fsck", "--key", &text, "--quiet"]).ok();
        let ours = tree(&git_dir.join("annex/objects"));
        source.git(&["-C", &path, "annex", "drop", "--force", "--key", &text, "--quiet"]).ok();
        assert!(!content.present(&key).expect("it can be told"));
        let file = source.dir().join("file").display().to_string();
        source.git(&["-C", &path, "annex", "setkey", &text, &copy_of(&file, dir.path())]).ok();
        assert!(content.present(&key).expect("it can be told"), "{options:?}");
        assert_eq!(tree(&git_dir.join("annex/objects")), ours, "{options:?}");
    }
}

/// A copy that git-annex may move away.
fn copy_of(file: &str, dir: &Path) -> String {
    let copy = dir.join("copy");
    std::fs::write(&copy, std::fs::read(file).expect("it is read")).expect("it is written");
    copy.display().to_string()
}

#[test]
fn git_annex_does_not_drop_what_we_have_locked() {
    let repo = Repo::new();
    let key = parse(&repo.add("file", 6, 100));
    let content = ours(&repo);
    let lock = content.lock(&key).expect("it locks").expect("it is here");
    repo.annex(&["drop", "--force", "file"]).failed();
    assert!(content.present(&key).expect("it can be told"));
    let mut shell = Shell::start(&repo);
    assert_eq!(shell.ask(&format!("LOCKCONTENT {key}")), "SUCCESS", "shared locks go together");
    drop(lock);
    repo.annex(&["drop", "--force", "file"]).failed();
    shell.end();
    repo.annex(&["drop", "--force", "file"]).ok();
    assert!(!content.present(&key).expect("it can be told"));
}

#[test]
fn a_lock_we_leave_behind_holds_for_git_annex_too() {
    let repo = Repo::new();
    let key = parse(&repo.add("file", 7, 100));
    ours(&repo).lock(&key).expect("it locks").expect("it is here").leave();
    repo.annex(&["drop", "--force", "file"]).failed();
    assert!(ours(&repo).present(&key).expect("it can be told"));
}

#[test]
fn we_do_not_remove_what_git_annex_has_locked_even_once_it_was_killed() {
    let repo = Repo::new();
    let key = parse(&repo.add("file", 8, 100));
    let content = ours(&repo);
    let mut shell = Shell::start(&repo);
    assert_eq!(shell.ask(&format!("LOCKCONTENT {key}")), "SUCCESS");
    assert!(matches!(content.remove(&key, || true), Err(ContentError::Locked)));
    shell.kill();
    assert!(matches!(content.remove(&key, || true), Err(ContentError::Locked)), "ten minutes are not over");
    drop(content.lock(&key).expect("it locks").expect("it is here"));
    assert!(matches!(content.remove(&key, || true), Err(ContentError::Locked)), "a clean end is not theirs");
}

#[test]
fn a_transfer_that_broke_off_is_taken_up_by_the_other_side() {
    let repo = Repo::new();
    let bytes = content(9, 10_000);
    let text = repo.add("file", 9, bytes.len());
    let (key, content) = (parse(&text), ours(&repo));
    content.remove(&key, || true).expect("it is removed");
    // Theirs, then ours.
    let mut shell = Shell::start(&repo);
    assert_eq!(shell.ask(&format!("PUT  {key}")), "PUT-FROM 0");
    shell.say(b"DATA 10000\n");
    shell.say(&bytes[..4000]);
    shell.end();
    assert_eq!(incoming(&content, &key).offset(), 4000);
    put(&content, &key, &bytes);
    repo.annex(&["fsck", "--quiet"]).ok();
    content.remove(&key, || true).expect("it is removed");
    // Ours, then theirs.
    let partial = incoming(&content, &key);
    partial.file().write_all_at(&bytes[..7000], 0).expect("it is written");
    partial.keep();
    let mut shell = Shell::start(&repo);
    assert_eq!(shell.ask(&format!("PUT  {key}")), "PUT-FROM 7000");
    shell.say(b"DATA 3000\n");
    shell.say(&bytes[7000..]);
    assert_eq!(shell.ask("VALID"), "SUCCESS");
    shell.end();
    assert!(content.present(&key).expect("it can be told"));
    let left = tree(&repo.dir().join(".git/annex/tmp"));
    assert_eq!(left, [], "no partial file is left");
}

#[test]
fn while_git_annex_receives_a_key_we_receive_it_elsewhere_and_the_other_way_round() {
    let repo = Repo::new();
    let bytes = content(10, 10_000);
    let text = repo.add("file", 10, bytes.len());
    let (key, content) = (parse(&text), ours(&repo));
    content.remove(&key, || true).expect("it is removed");
    let mut shell = Shell::start(&repo);
    assert_eq!(shell.ask(&format!("PUT  {key}")), "PUT-FROM 0");
    shell.say(b"DATA 10000\n");
    shell.say(&bytes[..4000]);
    // git-annex makes this file once it has its locks.
    until(|| repo.dir().join(".git/annex/tmp").join(key.to_string()).exists());
    let private = incoming(&content, &key);
    assert!(!private.resumable() && private.offset() == 0);
    private.file().write_all_at(&bytes, 0).expect("it is written");
    private.commit(10_000).expect("it is committed");
    shell.say(&bytes[4000..]);
    assert_eq!(shell.ask("VALID"), "SUCCESS");
    shell.end();
    repo.annex(&["fsck", "--quiet"]).ok();
    content.remove(&key, || true).expect("it is removed");
    let ours = incoming(&content, &key);
    assert!(ours.resumable());
    let mut shell = Shell::start(&repo);
    assert_eq!(shell.ask(&format!("PUT  {key}")), "PUT-FROM 0");
    shell.say(b"DATA 10000\n");
    assert_eq!(shell.line(), "(end)", "git-annex sees that a transfer is running, and gives up");
    shell.kill();
    ours.file().write_all_at(&bytes, 0).expect("it is written");
    ours.commit(10_000).expect("it is committed");
    repo.annex(&["fsck", "--quiet"]).ok();
}

#[test]
fn an_unlocked_thin_file_that_is_edited_is_no_longer_the_content() {
    let repo = Repo::new();
    repo.git(&["config", "annex.thin", "true"]).ok();
    let key = parse(&repo.add("file", 12, 1000));
    repo.annex(&["unlock", "--quiet", "file"]).ok();
    let content = ours(&repo);
    let open = content.open(&key).expect("it opens").expect("it is here");
    assert!(!open.stable && open.unchanged().expect("it can be asked"));
    std::fs::File::options()
        .write(true)
        .open(repo.dir().join("file"))
        .and_then(|file| file.write_all_at(b"edited", 10))
        .expect("it is edited");
    assert!(!open.unchanged().expect("it can be asked"));
    assert!(!content.present(&key).expect("it is read"));
    let mut shell = Shell::start(&repo);
    assert_eq!(shell.ask(&format!("CHECKPRESENT {key}")), "FAILURE", "git-annex says so too");
    shell.end();
}

#[test]
fn hooks_see_what_git_annex_would_show_them() {
    let repo = Repo::new();
    let log = repo.dir().join("../log");
    let line = |what: &str, place: &str| format!("echo {what} {place} >> '{}'", log.display());
    let bytes = content(13, 100);
    let key = parse(&repo.add("file", 13, bytes.len()));
    let mut config = ContentConfig::new(repo.dir().join(".git"), false);
    config.reserve = 0;
    config.hooks.freeze = Some(line("freeze", "%path"));
    config.hooks.erase = Some(line("erase", "%file"));
    let content = Content::new(config);
    content.remove(&key, || true).expect("it is removed");
    put(&content, &key, &bytes);
    let said = std::fs::read_to_string(&log).expect("they ran");
    let told: Vec<&str> = said.lines().map(|line| line.rsplit_once("/annex/objects/").expect("a path").1).collect();
    let object = told[0];
    let dir = object.rsplit_once('/').expect("it lies in a directory").0;
    assert_eq!(told, [object, object, dir]);
    let verbs: Vec<&str> = said.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(verbs, ["erase", "freeze", "freeze"]);
}
