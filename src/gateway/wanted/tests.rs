//! Policies and facts from the files of a repository.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::{Counted, FactSource, NotCounted, Policies, Sizes};
use crate::annex::log::{LogHashing, location_file};
use crate::annex::repository::Repository;
use crate::annex::repository::tests::make;
use crate::name::{Key, Uuid};
use crate::wanted::{Assumed, Fact, Unknown};

const KEY: &str = "SHA256-s100--x";

fn key() -> Key {
    Key::parse(KEY.as_bytes()).expect("a key")
}

fn uuid(text: &str) -> Uuid {
    Uuid::parse(text.as_bytes()).expect("a uuid")
}

fn open(top: &Path) -> Arc<Repository> {
    make(top, &[]);
    Arc::new(Repository::open(top).unwrap_or_else(|e| panic!("{e}")))
}

/// Writes a file of the journal.
fn journal(top: &Path, file: &str, text: &str) {
    let dir = top.join(".git/annex/journal");
    fs::create_dir_all(&dir).expect("a directory");
    fs::write(dir.join(file.replace('_', "__").replace('/', "_")), text).expect("written");
}

fn of_key(suffix: &str) -> String {
    String::from_utf8(location_file(&key(), LogHashing::TwoLevels)).expect("text") + suffix
}

/// Whether `d1` wants the key, asked about `file`, with `wanted` for what it wants.
fn wants(repository: &Arc<Repository>, wanted: &str, file: Option<&str>) -> Result<bool, Unknown> {
    journal(
        repository.work_tree().expect("it has one"),
        "preferred-content.log",
        &format!("d1 {wanted} timestamp=1s\n"),
    );
    let policy = Policies::default().current(repository).expect("readable");
    let sizes = Counted::new(repository);
    let source = FactSource::new(repository, &sizes);
    let facts = source.about(key(), file.map(|file| file.as_bytes().to_vec()));
    let question = policy.about(&facts);
    question.wants(policy.repo(&uuid("d1")).expect("it is named"), Assumed::NOTHING)
}

#[test]
fn a_policy_is_compiled_anew_when_a_log_changed_and_not_before() {
    let top = tempfile::tempdir().expect("a directory");
    let repository = open(top.path());
    let policies = Policies::default();
    let first = policies.current(&repository).expect("readable");
    assert!(Arc::ptr_eq(&first, &policies.current(&repository).expect("readable")));
    for (file, text) in [
        ("uuid.log", "d1 one timestamp=1s\n"),
        ("preferred-content.log", "d1 groupwanted timestamp=1s\n"),
        ("required-content.log", "d1 nothing timestamp=1s\n"),
        ("group.log", "d1 a b timestamp=1s\nd2 a timestamp=1s\n"),
        ("group-preferred-content.log", "1s a copies=2\n"),
        ("trust.log", "d1 0 timestamp=1s\n"),
        ("maxsize.log", "1s d1 5\n"),
        ("numcopies.log", "1s 2\n"),
        ("remote.log", "d1 preferreddir=x timestamp=1s\n"),
        ("maxsize.log", "1s d1 6\n"),
    ] {
        let before = policies.current(&repository).expect("readable");
        journal(top.path(), file, text);
        let after = policies.current(&repository).expect("readable");
        assert!(!Arc::ptr_eq(&before, &after), "{file}");
    }
    let policy = policies.current(&repository).expect("readable");
    assert_eq!(policy.repos().count(), 2);
    assert_eq!(policy.group(b"a").expect("it has members").len(), 2);
    assert!(policy.is_configured(policy.repo(&uuid("d1")).expect("known")));
}

#[test]
fn a_log_that_cannot_be_read_is_an_error() {
    let top = tempfile::tempdir().expect("a directory");
    let repository = open(top.path());
    for file in ["trust.log", "maxsize.log", "group-preferred-content.log"] {
        let dir = top.path().join(".git/annex/journal").join(file);
        fs::create_dir_all(&dir).expect("a directory");
        assert!(Policies::default().current(&repository).is_err(), "{file}");
        fs::remove_dir(&dir).expect("removed");
    }
    for (suffix, expression, fact) in [
        ("", "copies=1", Fact::Holders),
        (".met", "metadata=a=b", Fact::Metadata),
        (".web", "url=*", Fact::Urls),
        ("", "fullybalanced=g", Fact::Used),
    ] {
        journal(top.path(), "group.log", "d1 g timestamp=1s\n");
        journal(top.path(), "maxsize.log", "1s d1 500\n");
        let dir = top.path().join(".git/annex/journal").join(of_key(suffix).replace('/', "_"));
        fs::create_dir_all(&dir).expect("a directory");
        let answer = wants(&repository, expression, Some("f")).expect_err(expression);
        assert_eq!(answer.fact, fact, "{answer}");
        assert_eq!(wants(&repository, &format!("nothing and {expression}"), Some("f")), Ok(false));
        fs::remove_dir(&dir).expect("removed");
        assert!(wants(&repository, expression, Some("f")).is_ok(), "{expression}");
    }
    fs::create_dir(top.path().join(".git/annex/unused")).expect("a directory");
    assert_eq!(wants(&repository, "unused", None).expect_err("unreadable").fact, Fact::Unused);
}

#[test]
fn each_fact_is_that_of_its_file() {
    let top = tempfile::tempdir().expect("a directory");
    let repository = open(top.path());
    journal(top.path(), &of_key(""), "1s 1 d2\n1s 0 d3\n");
    journal(top.path(), "numcopies.log", "1s 2\n");
    for (expression, file, answer) in [
        ("copies=1", None, true),
        ("copies=2", None, false),
        ("metadata=tag=A", None, false),
        ("url=http://a/*", None, false),
        ("unused", None, false),
        ("lackingcopies=1", Some("f"), true),
        ("lackingcopies=2", Some("f"), false),
        ("lackingcopies=3", Some("d/f"), true),
        ("approxlackingcopies=2", Some("d/f"), false),
    ] {
        fs::create_dir_all(top.path().join("d")).expect("a directory");
        fs::write(top.path().join("d/.gitattributes"), "* annex.numcopies=4\n").expect("written");
        assert_eq!(wants(&repository, expression, file), Ok(answer), "{expression}");
    }
    journal(top.path(), &of_key(".met"), "1s tag +a\n");
    journal(top.path(), &of_key(".web"), "1s 1 http://a/b\n");
    fs::write(top.path().join(".git/annex/unused"), format!("1 {KEY} 1s\n")).expect("written");
    for expression in ["metadata=tag=A", "url=http://a/*", "unused"] {
        assert_eq!(wants(&repository, expression, None), Ok(true), "{expression}");
    }
    assert_eq!(wants(&repository, "unused", Some("f")), Ok(false));
}

#[test]
fn sizes_are_the_sums_of_what_is_recorded() {
    let top = tempfile::tempdir().expect("a directory");
    let repository = open(top.path());
    journal(top.path(), &of_key(""), "1s 1 d2\n1s 0 d3\n");
    let other = location_file(&Key::parse(b"SHA256-s11--y").expect("a key"), LogHashing::TwoLevels);
    journal(top.path(), &String::from_utf8(other).expect("text"), "1s 1 d2\n1s 1 d4\n");
    let counted = Counted::new(&repository);
    for (who, used) in [("d2", 111), ("d3", 0), ("d4", 11), ("d5", 0)] {
        assert_eq!(counted.used(&uuid(who)), Ok(used), "{who}");
    }
    assert!(NotCounted.used(&uuid("d2")).is_err());
}
