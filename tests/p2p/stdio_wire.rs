//! The P2P protocol over stdio, with the program itself on a real repository: the recorded conversations, and clients that
//! vanish at every byte.

use crate::stdio_replay;
use testbed::recorded::differences;
use testbed::recorded::transcript;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use differences::DIFFERENCES;
use sha2::{Digest, Sha256};
use stdio_replay::{Stage, product};
use testbed::annex::{Repo, content};
use testbed::p2p::{Host, Session};
use transcript::{FILES, File, replace, unquote};

/// Where the program differs beyond what its protocol does, in the same form.
const PROGRAM: &[(&str, &[&str], &[&str], &str)] = &[
    (
        "PUT with INVALID, then PUT again",
        &["< SUCCESS", "> CHECKPRESENT *", "< SUCCESS"],
        &["< FAILURE", "> CHECKPRESENT *", "< FAILURE"],
        "the client says that its file changed while it was sent: that is no content to be relied on",
    ),
    (
        "PUT with INVALID, then PUT again",
        &["< ALREADY-HAVE"],
        &["< PUT-FROM 27"],
        "the same; what was sent is kept for going on with",
    ),
    (
        "PUT with INVALID, then PUT again",
        &["< ERROR unexpected command", "< ERROR unknown command"],
        &["< FAILURE"],
        "the same; there is nothing left to send",
    ),
    (
        "LOCKCONTENT again, clean unlock, then REMOVE",
        &["> UNLOCKCONTENT", "> REMOVE *", "< SUCCESS"],
        &["> UNLOCKCONTENT", "> REMOVE *", "< FAILURE"],
        "another client's lock, of a server that was killed, is still good for ten minutes",
    ),
];

/// The key that a server had locked when it was killed.
const STILL_LOCKED: &str = "SHA256E-s27--69fd5531d9e29f2548a83ae51517c04ec5c258142b47549f36e93f4266f51a42.dat";

/// Where content of this repository is, and what belongs to it.
fn annex_dir(repo: &Repo) -> PathBuf {
    let inner = repo.dir().join(".git");
    if inner.exists() { inner.join("annex") } else { repo.dir().join("annex") }
}

/// All files below `dir` of which `wanted` likes the name.
fn files(dir: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path(), wanted)),
            _ if wanted(&entry.file_name().to_string_lossy()) => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

/// Files that tell of a lock on content.
fn locks(repo: &Repo) -> Vec<PathBuf> {
    let lock = |name: &str| [".lck", ".rtl", ".rtm"].iter().any(|end| name.ends_with(end));
    files(&annex_dir(repo).join("objects"), &lock)
}

fn is_of(path: &Path, key: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(key))
}

fn setkey(repo: &Repo, key: &str, content: &[u8]) {
    let scratch = repo.dir().join("scratch");
    std::fs::write(&scratch, content).expect("written");
    repo.annex(&["setkey", "--quiet", key, "scratch"]).ok();
}

/// The time of the lock that was left behind for `key` is over.
fn expire(repo: &Repo, key: &str) {
    let found = files(&annex_dir(repo).join("objects"), &|name| name == format!("{key}.rtm"));
    assert_eq!(found.len(), 1, "one lock was left behind for {key}");
    std::fs::write(&found[0], "10s").expect("written");
}

fn replay(repo: &Repo, host: &Host, step: usize) {
    let outside = |_: &str, word: &str, rest: &str| match word {
        "expire" => expire(repo, rest),
        _ => {
            let (key, content) = rest.split_once(' ').expect("setkey KEY CONTENT");
            setkey(repo, key, &unquote(content));
        }
    };
    for (name, text) in FILES {
        let file = File::parse(text);
        let uuid = file.expand("$uuid");
        repo.git(&["config", "annex.uuid", &uuid]).ok();
        file.have.iter().for_each(|(key, content)| setkey(repo, key, content));
        for section in &file.sections {
            let mut items = differences::expected(section);
            for (_, theirs, ours, _) in PROGRAM.iter().filter(|(title, ..)| *title == section.title) {
                replace(&mut items, theirs, ours).unwrap_or_else(|| panic!("{}: not as named", section.title));
            }
            Stage { repo, host, uuid: &uuid, outside: &outside }.hold(section, &items, step);
        }
        let left: Vec<PathBuf> = locks(repo).into_iter().filter(|path| !is_of(path, STILL_LOCKED)).collect();
        assert_eq!(left, Vec::<PathBuf>::new(), "{name}: locks are left");
    }
    repo.git(&["fsck", "--strict"]).ok();
}

#[test]
fn recorded_conversations_go_as_they_went() {
    replay(&Repo::new(), &Host::new(false), usize::MAX);
}

#[test]
fn recorded_conversations_go_as_they_went_byte_by_byte_in_a_bare_repository() {
    replay(&Repo::bare(), &Host::new(true), 1);
}

#[test]
fn each_difference_of_the_program_belongs_to_a_conversation() {
    let files: Vec<File> = FILES.iter().map(|(_, text)| File::parse(text)).collect();
    for (title, ..) in PROGRAM {
        let count = files.iter().flat_map(|file| &file.sections).filter(|section| section.title == *title).count();
        assert_eq!(count, 1, "{title}");
    }
}

/// A key and its content of `len` bytes.
fn keyed(seed: u64, len: usize) -> (String, Vec<u8>) {
    let bytes = content(seed, len);
    let hex: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    (format!("SHA256-s{len}--{hex}"), bytes)
}

/// Does `work` for each number below `count`, four at a time.
fn side_by_side(count: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(n) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|n| *n < count) {
                    work(n);
                }
            });
        }
    });
}

/// Says the first `cut` bytes of `words` and leaves: with both ends where `deaf`, else listening to the end.
fn say_and_leave(repo: &Repo, uuid: &str, words: &[u8], cut: usize, deaf: bool) {
    let mut session = Session::start(product(repo), &repo.dir(), uuid);
    session.send(&words[..cut]);
    if deaf {
        session.vanish();
        return;
    }
    session.close();
    while !session.bytes(1 << 20).is_empty() {}
    session.ended();
}

#[test]
fn a_client_that_vanishes_while_it_puts_leaves_what_it_sent_and_no_lock() {
    const LEN: usize = 20;
    let repo = Repo::new();
    let uuid = repo.uuid();
    let conversation = |seed| {
        let (key, bytes) = keyed(seed, LEN);
        let head = format!("VERSION 4\nPUT file {key}\nDATA {LEN}\n");
        let begin = head.len();
        (key, [head.as_bytes(), &bytes, b"VALID\n"].concat(), begin)
    };
    let whole = conversation(0).1.len();
    let tmp = annex_dir(&repo).join("tmp");
    side_by_side(whole + 1, |cut| {
        let (key, words, begin) = conversation(cut as u64);
        say_and_leave(&repo, &uuid, &words, cut, cut % 2 == 0);
        let partial = std::fs::read(tmp.join(&key)).unwrap_or_default();
        let sent = cut.saturating_sub(begin).min(LEN);
        let object = files(&annex_dir(&repo).join("objects"), &|name| name == key);
        if cut == whole {
            assert_eq!((object.len(), partial.len()), (1, 0), "all of it was said");
        } else {
            assert!(object.is_empty(), "stored after {cut} of {whole} bytes");
            assert_eq!(partial, &words[begin.min(cut)..begin.min(cut) + sent], "kept after {cut} bytes");
        }
        // Nobody else is kept from going on, and where something was kept, from there.
        let mut session = Session::greeted(product(&repo), &repo.dir(), &uuid);
        if cut < whole {
            assert_eq!(session.ask(&format!("PUT file {key}")), format!("PUT-FROM {sent}"), "after {cut} bytes");
            session.send(&[format!("DATA {}\n", LEN - sent).as_bytes(), &words[begin + sent..]].concat());
            assert_eq!(session.line().as_deref(), Some("SUCCESS"), "after {cut} bytes");
        }
        assert_eq!(session.ask(&format!("REMOVE {key}")), "SUCCESS", "after {cut} bytes");
    });
    assert_eq!(locks(&repo), Vec::<PathBuf>::new());
    repo.git(&["fsck", "--strict"]).ok();
}

#[test]
fn a_client_that_vanishes_while_it_gets_leaves_nothing() {
    // More than a pipe holds, so that the server is in the middle of it.
    const LEN: usize = 300_000;
    let repo = Repo::new();
    let uuid = repo.uuid();
    let (key, bytes) = keyed(1, LEN);
    setkey(&repo, &key, &bytes);
    let words = format!("VERSION 4\nGET 0 file {key}\nSUCCESS\n");
    side_by_side(words.len() + 1, |cut| say_and_leave(&repo, &uuid, words.as_bytes(), cut, cut % 2 == 0));
    side_by_side(75, |at| {
        let mut session = Session::greeted(product(&repo), &repo.dir(), &uuid);
        assert_eq!(session.ask(&format!("GET 0 file {key}")), format!("DATA {LEN}"));
        let read = at * 4001;
        assert!(session.bytes(read) == bytes[..read], "the first {read} bytes");
        session.vanish();
    });
    assert_eq!(locks(&repo), Vec::<PathBuf>::new());
    repo.annex(&["fsck", "--quiet", "--key", &key]).ok();
    assert_eq!(files(&annex_dir(&repo).join("tmp"), &|_| true), Vec::<PathBuf>::new());
}

#[test]
fn a_client_that_vanishes_while_it_holds_a_lock_holds_it_no_longer() {
    let repo = Repo::new();
    let uuid = repo.uuid();
    let keys: Vec<String> = (0..4)
        .map(|seed| {
            let (key, bytes) = keyed(seed, 30);
            setkey(&repo, &key, &bytes);
            key
        })
        .collect();
    let words = |key: &str| format!("VERSION 4\nLOCKCONTENT {key}\nUNLOCKCONTENT\nCHECKPRESENT {key}\n");
    let whole = words(&keys[0]).len();
    // Clients of one key come one after the other: of two processes that lock it at once, the second keeps what the first
    // wrote for its ten minutes, because it cannot know that the first did not die.
    side_by_side(keys.len(), |number| {
        for cut in (number..=whole).step_by(keys.len()) {
            say_and_leave(&repo, &uuid, words(&keys[number]).as_bytes(), cut, (cut / keys.len()).is_multiple_of(2));
        }
    });
    assert_eq!(locks(&repo), Vec::<PathBuf>::new());
    let mut session = Session::greeted(product(&repo), &repo.dir(), &uuid);
    for key in &keys {
        assert_eq!(session.ask(&format!("REMOVE {key}")), "SUCCESS");
    }
}

#[test]
fn a_server_that_is_killed_while_content_is_locked_leaves_it_locked_for_all() {
    let repo = Repo::new();
    let uuid = repo.uuid();
    let (key, bytes) = keyed(1, 30);
    setkey(&repo, &key, &bytes);
    let mut session = Session::greeted(product(&repo), &repo.dir(), &uuid);
    assert_eq!(session.ask(&format!("LOCKCONTENT {key}")), "SUCCESS");
    session.kill();
    let mut other = Session::greeted(product(&repo), &repo.dir(), &uuid);
    assert_eq!(other.ask(&format!("REMOVE {key}")), "FAILURE");
    repo.annex(&["drop", "--force", "--key", &key]).failed();
    expire(&repo, &key);
    assert_eq!(other.ask(&format!("REMOVE {key}")), "SUCCESS");
}

#[test]
fn every_difference_is_named_in_the_documentation() {
    let page = include_str!("../../docs/protocols.md");
    for (name, ..) in DIFFERENCES.iter().chain(PROGRAM) {
        assert!(page.contains(&format!("`{name}`")), "docs/protocols.md does not name `{name}`");
    }
}
