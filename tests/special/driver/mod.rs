//! The program as git-annex meets it: started, talked to, interrupted.

mod annex;
mod requests;
mod s3;
mod trees;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use annex::Annex;
use git_annex_remote_stream::annex::layout;
use rustix::process::{Signal, kill_process};
use s3::Stuck;
use tempfile::TempDir;

/// A directory to work in, with a directory to store in.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("store")).expect("a directory");
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn store(&self) -> String {
        self.path().join("store").to_str().expect("text").to_string()
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path().join(name), content).expect("written");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path().join(name)).expect(name)
    }

    /// Where the object of a key lies.
    fn object(&self, key: &str) -> PathBuf {
        self.path().join("store").join(String::from_utf8(layout::tree(key.as_bytes())).expect("text"))
    }

    /// Puts content where git-annex would have put it.
    fn place(&self, key: &str, content: &[u8]) {
        let path = self.object(key);
        fs::create_dir_all(path.parent().expect("in directories")).expect("directories");
        fs::write(path, content).expect("written");
    }

    fn annex(&self) -> Annex {
        Annex::ready(self.path(), &[("scheme", "fs"), ("directory", &self.store())], &[])
    }
}

impl Drop for Scratch {
    /// Directories of objects are read-only, and the temporary directory could not be removed with them.
    fn drop(&mut self) {
        fn open(dir: &Path) {
            use std::os::unix::fs::PermissionsExt;
            let _ = fs::set_permissions(dir, fs::Permissions::from_mode(0o755));
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    open(&entry.path());
                }
            }
        }
        open(self.path());
    }
}

fn files_below(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|e| if e.path().is_dir() { files_below(&e.path()) } else { 1 }).sum()
}

#[test]
fn settings_are_listed_and_the_end_of_stdin_ends_it() {
    let scratch = Scratch::new();
    let mut annex = Annex::start(scratch.path(), &[], &[]);
    annex.send("LISTCONFIGS");
    let mut listed = Vec::new();
    while let Some(line) = annex.line().filter(|line| line != "CONFIGEND") {
        listed.push(line.split(' ').nth(1).expect("CONFIG name").to_string());
    }
    for name in ["scheme", "directory", "bucket"] {
        assert!(listed.iter().any(|listed| listed == name), "{name} in {listed:?}");
    }
    assert_eq!(listed.len(), listed.iter().collect::<BTreeSet<_>>().len(), "each once");
    assert_eq!(annex.finish().code(), Some(0));
}

#[test]
fn a_life_of_an_object() {
    let scratch = Scratch::new();
    let key = "SHA256E-s11--a.txt";
    scratch.write("a file", b"hello world");
    let mut annex = scratch.annex();
    assert_eq!(annex.ask(&format!("CHECKPRESENT {key}")), format!("CHECKPRESENT-FAILURE {key}"));
    assert_eq!(annex.ask(&format!("TRANSFER STORE {key} a file")), format!("TRANSFER-SUCCESS STORE {key}"));
    assert_eq!(fs::read(scratch.object(key)).expect("stored"), b"hello world");
    assert_eq!(annex.ask(&format!("CHECKPRESENT {key}")), format!("CHECKPRESENT-SUCCESS {key}"));
    let place = scratch.object(key).display().to_string();
    assert_eq!(annex.ask(&format!("WHEREIS {key}")), format!("WHEREIS-SUCCESS {place}"));
    assert_eq!(annex.ask(&format!("TRANSFER RETRIEVE {key} back")), format!("TRANSFER-SUCCESS RETRIEVE {key}"));
    assert_eq!(scratch.read("back"), b"hello world");
    assert_eq!(annex.ask(&format!("REMOVE {key}")), format!("REMOVE-SUCCESS {key}"));
    assert_eq!(annex.ask(&format!("REMOVE {key}")), format!("REMOVE-SUCCESS {key}"));
    let gone = annex.ask(&format!("TRANSFER RETRIEVE {key} none"));
    assert!(gone.starts_with(&format!("TRANSFER-FAILURE RETRIEVE {key} get fs ")), "{gone}");
    assert!(!scratch.path().join("none").exists(), "a file that never got a byte goes");
    let lines = annex.debug.join("\n");
    for said in ["store SHA256E-s11--a.txt: fs ", "lane=", "settled: 11 bytes"] {
        assert!(lines.contains(said), "{said} in {lines}");
    }
    assert_eq!(annex.finish().code(), Some(0));
}

#[test]
fn eight_jobs_run_at_once_in_one_process() {
    let scratch = Scratch::new();
    let configs = [("scheme", "fs"), ("directory", &scratch.store())];
    let mut annex = Annex::open(scratch.path(), &configs, &[], "INFO ASYNC");
    assert_eq!(annex.ask("J 1 PREPARE"), "J 1 PREPARE-SUCCESS");
    for round in 0..3 {
        let key = |job: usize| format!("SHA256E-s{}--{job}.{round}", 100_000 + job);
        for job in 1..=8 {
            scratch.write(&format!("in{job}"), &vec![job as u8; 100_000 + job]);
            annex.send(&format!("J {job} TRANSFER STORE {} in{job}", key(job)));
        }
        let mut replies: Vec<_> = (1..=8).map(|_| annex.reply().expect("a reply")).collect();
        replies.sort();
        let expected: Vec<_> = (1..=8).map(|job| format!("J {job} TRANSFER-SUCCESS STORE {}", key(job))).collect();
        assert_eq!(replies, expected);
        // The numbers are used again at once, and not for the same keys.
        let mut expected = BTreeMap::new();
        for job in 1..=8 {
            let other = 9 - job;
            annex.send(&format!("J {job} TRANSFER RETRIEVE {} out{other}.{round}", key(other)));
            expected.insert(format!("J {job} TRANSFER-SUCCESS RETRIEVE {}", key(other)), other);
        }
        for _ in 1..=8 {
            let reply = annex.reply().expect("a reply");
            let job = expected.remove(&reply).expect(&reply);
            assert_eq!(scratch.read(&format!("out{job}.{round}")), vec![job as u8; 100_000 + job]);
        }
    }
    assert_eq!(annex.finish().code(), Some(0));
}

#[test]
fn async_is_not_offered_where_it_is_not_wanted() {
    let scratch = Scratch::new();
    let mut annex = Annex::start(scratch.path(), &[], &[("STREAM_ASYNC", "no")]);
    assert_eq!(annex.ask("EXTENSIONS INFO ASYNC"), "EXTENSIONS INFO");
}

#[test]
fn a_bad_variable_is_named_to_git_annex() {
    let scratch = Scratch::new();
    let mut annex = Annex::start(scratch.path(), &[], &[("STREAM_MEMORY", "lots")]);
    let line = annex.line().expect("an error");
    assert!(line.starts_with("ERROR STREAM_MEMORY="), "{line}");
}

#[test]
fn a_retrieve_takes_up_what_is_there() {
    let scratch = Scratch::new();
    let content: Vec<u8> = (0..3_000_000u32).map(|n| (n % 253) as u8).collect();
    let key = "SHA256E-s3000000--x";
    scratch.place(key, &content);
    for (have, moved) in [(1_000_000, 2_000_000), (3_000_000, 0)] {
        scratch.write("back", &content[..have]);
        let mut annex = scratch.annex();
        assert_eq!(annex.ask(&format!("TRANSFER RETRIEVE {key} back")), format!("TRANSFER-SUCCESS RETRIEVE {key}"));
        assert_eq!(scratch.read("back"), content);
        let lines = annex.debug.join("\n");
        assert!(lines.contains(&format!("settled: {moved} bytes")), "{lines}");
    }
}

#[test]
fn a_failed_retrieve_keeps_what_is_there() {
    let scratch = Scratch::new();
    scratch.write("back", b"the beginning");
    let mut annex = scratch.annex();
    let reply = annex.ask("TRANSFER RETRIEVE SHA256E-s100--absent back");
    assert!(reply.starts_with("TRANSFER-FAILURE RETRIEVE SHA256E-s100--absent "), "{reply}");
    assert_eq!(scratch.read("back"), b"the beginning");
}

#[test]
fn a_directory_that_is_missing_is_a_doubt_and_not_an_absence() {
    let scratch = Scratch::new();
    let missing = scratch.path().join("not mounted").display().to_string();
    scratch.write("f", b"x");
    let mut annex = Annex::ready(scratch.path(), &[("scheme", "fs"), ("directory", &missing)], &[]);
    assert_eq!(annex.ask("GETAVAILABILITY"), "AVAILABILITY UNAVAILABLE");
    for (request, reply) in [
        ("CHECKPRESENT K", "CHECKPRESENT-UNKNOWN K "),
        ("REMOVE K", "REMOVE-FAILURE K "),
        ("TRANSFER STORE K f", "TRANSFER-FAILURE STORE K "),
        ("TRANSFER RETRIEVE K g", "TRANSFER-FAILURE RETRIEVE K "),
    ] {
        let said = annex.ask(request);
        assert!(said.starts_with(reply) && said.contains("is its drive mounted?"), "{said}");
    }
    assert!(!Path::new(&missing).exists(), "nothing makes it but initremote");
}

#[test]
fn answers_without_the_network() {
    let scratch = Scratch::new();
    let configs = [("scheme", "s3"), ("bucket", "photos"), ("host", "host.invalid")];
    for (configs, cost, availability) in [
        (&configs[..], "COST 200", "AVAILABILITY GLOBAL"),
        (&[("scheme", "fs"), ("directory", &*scratch.store())][..], "COST 100", "AVAILABILITY LOCAL"),
    ] {
        let mut annex = Annex::ready(scratch.path(), configs, &[]);
        assert_eq!(annex.ask("GETCOST"), cost);
        assert_eq!(annex.ask("GETAVAILABILITY"), availability);
        assert_eq!(annex.ask("GETORDERED"), "ORDERED");
        assert_eq!(annex.ask("CLAIMURL http://host/x"), "CLAIMURL-FAILURE");
        assert_eq!(annex.ask("CHECKURL http://host/x"), "UNSUPPORTED-REQUEST");
        assert_eq!(annex.ask("EXPORTSUPPORTED"), "EXPORTSUPPORTED-SUCCESS");
        assert_eq!(annex.ask("GETINFO"), "INFOFIELD scheme");
        while annex.line().expect("a list") != "INFOEND" {}
        assert_eq!(annex.finish().code(), Some(0));
    }
}

#[test]
fn options_that_make_no_sense_are_named() {
    let scratch = Scratch::new();
    for (configs, says) in [
        (&[][..], "option scheme= is missing; it is one of fs, s3"),
        (&[("scheme", "nfs")][..], "option scheme= is one of fs, s3"),
        (&[("scheme", "fs")][..], "option directory= is missing"),
        (&[("scheme", "fs"), ("directory", "rel/ative")][..], "option directory= must be an absolute path"),
        (&[("scheme", "s3"), ("bucket", "photos"), ("port", "many")][..], "option port= is a number"),
    ] {
        for request in ["INITREMOTE", "PREPARE"] {
            let mut annex = Annex::open(scratch.path(), configs, &[], "INFO");
            let reply = annex.ask(request);
            assert!(reply.starts_with(&format!("{request}-FAILURE open: {says}")), "{reply}");
        }
    }
    let configs = [("scheme", "fs"), ("directory", &*scratch.store()), ("bucket", "photos")];
    let reply = Annex::open(scratch.path(), &configs, &[], "INFO").ask("INITREMOTE");
    assert_eq!(reply, "INITREMOTE-FAILURE open: option bucket= is not an option of scheme=fs");
}

#[test]
fn a_request_before_prepare_is_an_error_and_not_a_crash() {
    let scratch = Scratch::new();
    let mut annex = Annex::open(scratch.path(), &[("scheme", "fs"), ("directory", &scratch.store())], &[], "INFO");
    let reply = annex.ask("CHECKPRESENT K");
    assert!(reply.starts_with("ERROR ") && reply.contains("PREPARE"), "{reply}");
    assert_eq!(annex.finish().code(), Some(1));
}

#[test]
fn init_makes_the_directory_and_may_come_again() {
    let scratch = Scratch::new();
    let new = scratch.path().join("new").display().to_string();
    for _ in 0..2 {
        let mut annex = Annex::open(scratch.path(), &[("scheme", "fs"), ("directory", &new)], &[], "INFO");
        assert_eq!(annex.ask("INITREMOTE"), "INITREMOTE-SUCCESS");
        assert!(Path::new(&new).is_dir());
        assert_eq!(annex.finish().code(), Some(0));
    }
}

#[test]
fn a_file_of_another_length_than_the_key_says_is_not_stored() {
    let scratch = Scratch::new();
    scratch.write("f", b"five!");
    let mut annex = scratch.annex();
    for key in ["SHA256E-s4--x", "SHA256E-s6--x"] {
        let reply = annex.ask(&format!("TRANSFER STORE {key} f"));
        assert!(reply.starts_with(&format!("TRANSFER-FAILURE STORE {key} put fs ")), "{reply}");
        assert!(reply.contains("the file has 5 bytes, and the key says"), "{reply}");
    }
    // Chunks and encrypted content are as long as they are.
    for key in ["SHA256E-s100-S10-C10--x", "GPGHMACSHA1--00ff", "URL--x"] {
        assert_eq!(annex.ask(&format!("TRANSFER STORE {key} f")), format!("TRANSFER-SUCCESS STORE {key}"));
    }
    assert_eq!(files_below(&scratch.path().join("store")), 3);
}

#[test]
fn an_object_truncated_on_the_store_is_not_called_present() {
    let scratch = Scratch::new();
    scratch.place("SHA256E-s9--x", b"short");
    let mut annex = scratch.annex();
    let reply = annex.ask("CHECKPRESENT SHA256E-s9--x");
    assert!(reply.starts_with("CHECKPRESENT-UNKNOWN SHA256E-s9--x "), "{reply}");
    assert!(reply.contains("truncated on the store: it has 5 bytes, and the key says 9"), "{reply}");
    let reply = annex.ask("TRANSFER RETRIEVE SHA256E-s9--x back");
    assert!(reply.starts_with("TRANSFER-FAILURE RETRIEVE SHA256E-s9--x ") && reply.contains("truncated"), "{reply}");
}

#[test]
fn what_is_no_plain_file_is_refused_and_not_waited_for() {
    let scratch = Scratch::new();
    let fifo = scratch.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).expect("made");
    let mut annex = scratch.annex();
    for request in ["STORE", "RETRIEVE"] {
        let reply = annex.ask(&format!("TRANSFER {request} K fifo"));
        assert!(reply.contains("not a regular file"), "{reply}");
    }
}

#[test]
fn the_disk_reserve_of_the_repository_is_kept() {
    let scratch = Scratch::new();
    scratch.write("f", b"x");
    let git = |arguments: &[&str]| {
        let status = std::process::Command::new("git").args(arguments).current_dir(scratch.path()).status();
        assert!(status.expect("git runs").success(), "{arguments:?}");
    };
    git(&["init", "-q"]);
    git(&["config", "annex.diskreserve", "1000TB"]);
    let reply = scratch.annex().ask("TRANSFER STORE K f");
    assert!(reply.starts_with("TRANSFER-FAILURE STORE K ") && reply.contains("annex.diskreserve"), "{reply}");
    git(&["config", "annex.diskreserve", "1B"]);
    assert_eq!(scratch.annex().ask("TRANSFER STORE K f"), "TRANSFER-SUCCESS STORE K");
}

#[test]
fn a_signal_before_any_transfer_has_its_usual_effect() {
    let scratch = Scratch::new();
    let mut annex = Annex::start(scratch.path(), &[], &[]);
    kill_process(annex.pid(), Signal::TERM).expect("sent");
    assert_eq!(annex.wait(Duration::from_secs(30)).signal(), Some(15));
}

/// A program in the middle of an upload in parts, and the server that will never take one.
fn half_way(scratch: &Scratch) -> (Annex, Stuck) {
    let server = Stuck::start();
    let file = fs::File::create(scratch.path().join("f")).expect("a file");
    file.set_len(12 << 20).expect("sparse");
    let port = server.port.to_string();
    let configs = [
        ("scheme", "s3"),
        ("bucket", "photos"),
        ("host", "127.0.0.1"),
        ("port", &port),
        ("partsize", "5MiB"),
        ("requeststyle", "path"),
    ];
    let mut annex = Annex::ready(scratch.path(), &configs, &[]);
    annex.send("TRANSFER STORE K f");
    server.until("put /photos/k?");
    (annex, server)
}

#[test]
fn signals_abort_uploads_and_end_it_as_signals_do() {
    for (signal, number) in [(Signal::TERM, 15), (Signal::INT, 2)] {
        let scratch = Scratch::new();
        let (mut annex, server) = half_way(&scratch);
        kill_process(annex.pid(), signal).expect("sent");
        let reply = annex.reply().expect("a reply");
        assert!(reply.starts_with("TRANSFER-FAILURE STORE K ") && reply.contains("told to stop"), "{reply}");
        server.until("delete /photos/k?");
        assert_eq!(annex.wait(Duration::from_secs(30)).signal(), Some(number));
    }
}

#[test]
fn the_end_of_stdin_aborts_uploads_too() {
    let scratch = Scratch::new();
    let (annex, server) = half_way(&scratch);
    assert_eq!(annex.finish().code(), Some(0));
    server.until("delete /photos/k?");
}

#[test]
fn the_end_of_stdin_leaves_nothing_half_stored() {
    let scratch = Scratch::new();
    let len: u64 = 1 << 30;
    fs::File::create(scratch.path().join("f")).expect("a file").set_len(len).expect("sparse");
    let mut annex = scratch.annex();
    let key = format!("SHA256E-s{len}--x");
    annex.send(&format!("TRANSFER STORE {key} f"));
    assert_eq!(annex.finish().code(), Some(0));
    let object = fs::metadata(scratch.object(&key));
    assert!(object.as_ref().is_err() || object.is_ok_and(|meta| meta.len() == len), "whole or absent");
    let staged = files_below(&scratch.path().join("store"));
    assert_eq!(staged, usize::from(scratch.object(&key).exists()), "nothing else is left");
}
