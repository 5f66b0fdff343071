//! Exports and imports, as git-annex asks for them.

use std::fs;
use std::os::unix::fs::symlink;

use super::annex::Annex;
use super::{Scratch, files_below};

#[test]
fn a_life_of_an_exported_file() {
    let scratch = Scratch::new();
    let key = "SHA256E-s11--a.txt";
    scratch.write("a file", b"hello world");
    let mut annex = scratch.annex();
    let mut at = |name: &str, request: &str| {
        annex.send(&format!("EXPORT {name}"));
        annex.ask(request)
    };
    let store = scratch.path().join("store");
    assert_eq!(at("d/x y", &format!("CHECKPRESENTEXPORT {key}")), format!("CHECKPRESENT-FAILURE {key}"));
    let stored = format!("TRANSFER-SUCCESS STORE {key}");
    assert_eq!(at("d/x y", &format!("TRANSFEREXPORT STORE {key} a file")), stored);
    assert_eq!(fs::read(store.join("d/x y")).expect("stored"), b"hello world");
    assert_eq!(at("d/x y", &format!("CHECKPRESENTEXPORT {key}")), format!("CHECKPRESENT-SUCCESS {key}"));
    // Under this name is something, and it is not the content of that key.
    assert_eq!(at("d/x y", "CHECKPRESENTEXPORT MD5-s9--x"), "CHECKPRESENT-FAILURE MD5-s9--x");
    assert_eq!(at("d/x y", &format!("RENAMEEXPORT {key} e/z")), format!("RENAMEEXPORT-SUCCESS {key}"));
    assert_eq!(at("d/x y", &format!("RENAMEEXPORT {key} e/z")), format!("RENAMEEXPORT-FAILURE {key}"));
    assert!(!store.join("d").exists() && store.join("e/z").exists());
    scratch.write("back", b"hello");
    assert_eq!(at("e/z", &format!("TRANSFEREXPORT RETRIEVE {key} back")), format!("TRANSFER-SUCCESS RETRIEVE {key}"));
    assert_eq!(scratch.read("back"), b"hello world");
    assert_eq!(at("e/z", &format!("REMOVEEXPORT {key}")), format!("REMOVE-SUCCESS {key}"));
    assert_eq!(at("e/z", &format!("REMOVEEXPORT {key}")), format!("REMOVE-SUCCESS {key}"));
    assert_eq!(annex.ask("REMOVEEXPORTDIRECTORY e"), "REMOVEEXPORTDIRECTORY-SUCCESS");
    assert_eq!(files_below(&store), 0);
    assert!(annex.debug.iter().any(|line| line.contains("settled: 6 bytes")), "resumed: {:?}", annex.debug);
}

#[test]
fn no_name_leaves_the_tree() {
    let scratch = Scratch::new();
    scratch.write("f", b"x");
    symlink(scratch.path(), scratch.path().join("store/link")).expect("a link");
    let mut annex = scratch.annex();
    for name in ["../f2", "/tmp/f2", "a/../../f2", "a//b", "./a", "", "link/f2"] {
        annex.send(&format!("EXPORT {name}"));
        let reply = annex.ask("TRANSFEREXPORT STORE WORM-s1--f f");
        assert!(reply.starts_with("TRANSFER-FAILURE STORE WORM-s1--f put fs"), "{name}: {reply}");
        annex.send(&format!("EXPORT {name}"));
        let reply = annex.ask("REMOVEEXPORT K");
        assert!(reply.starts_with("REMOVE-FAILURE K remove fs"), "{name}: {reply}");
        annex.send(&format!("EXPORT {name}"));
        let reply = annex.ask("CHECKPRESENTEXPORT K");
        assert!(reply.starts_with("CHECKPRESENT-UNKNOWN K check fs"), "{name}: {reply}");
        annex.send(&format!("IMPORT {name}"));
        assert!(annex.ask("RETRIEVEIMPORT g").starts_with("RETRIEVEIMPORT-FAILURE "), "{name}");
    }
    assert!(!scratch.path().join("f2").exists() && !scratch.path().join("g").exists());
}

#[test]
fn what_changed_since_it_was_listed_is_not_imported_for_it() {
    let scratch = Scratch::new();
    let file = scratch.path().join("store/a b");
    fs::write(&file, "before").expect("written");
    let mut annex = scratch.annex();
    annex.send("LISTIMPORTABLECONTENTS");
    assert_eq!(annex.reply().as_deref(), Some("IMPORTABLECONTENT 6 a b"));
    let line = annex.reply().expect("an identifier");
    let id = line.strip_prefix("IMPORTABLECONTENTIDENTIFIER ").expect("an identifier").to_string();
    assert_eq!(annex.reply().as_deref(), Some("LISTIMPORTABLECONTENTS-SUCCESS"));
    let mut import = |target: &str| {
        annex.send("IMPORT a b");
        annex.ask(&format!("RETRIEVEIMPORT {target}"))
    };
    let target = format!("CID-s6--{id}");
    assert_eq!(import(&target), "RETRIEVEIMPORT-SUCCESS");
    assert_eq!(scratch.read(&target), b"before");
    fs::write(&file, "AFTER!").expect("written");
    scratch.write(&target, b"bef");
    let refused = import(&target);
    assert!(refused.contains("changed since it was listed"), "{refused}");
    assert_eq!(scratch.read(&target), b"", "nothing to go on from");
    // A key that tells its content is checked by git-annex itself.
    assert_eq!(import("SHA256-s6--x"), "RETRIEVEIMPORT-SUCCESS");
    fs::remove_file(&file).expect("removed");
    assert!(import("SHA256-s6--y").starts_with("RETRIEVEIMPORT-FAILURE "));
}

#[test]
fn a_hundred_thousand_files_are_listed_in_little_memory() {
    let scratch = Scratch::new();
    let count = 100_000;
    for n in 0..count {
        let dir = scratch.path().join(format!("store/{:02}", n % 50));
        if n < 50 {
            fs::create_dir(&dir).expect("a directory");
        }
        fs::File::create(dir.join(format!("a file with a name of some length {n}"))).expect("a file");
    }
    let configs = [("scheme", "fs"), ("directory", &scratch.store())];
    let mut annex = Annex::ready(scratch.path(), &configs, &[]);
    annex.send("LISTIMPORTABLECONTENTS");
    let mut listed = 0;
    loop {
        let line = annex.reply().expect("a line");
        if line == "LISTIMPORTABLECONTENTS-SUCCESS" {
            break;
        }
        listed += usize::from(line.starts_with("IMPORTABLECONTENT "));
    }
    assert_eq!(listed, count);
    let status = fs::read_to_string(format!("/proc/{}/status", annex.pid().as_raw_nonzero())).expect("its status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    let kib: usize = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    println!("{kib} KiB at most");
    assert!(kib < 96 << 10, "{kib} KiB");
}
