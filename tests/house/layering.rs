//! The arrows of the house hold: serve -> gateway -> {peer, resolve, cluster, wanted} -> {annex, proto, remotes}, and none the
//! other way; wanted knows `name` and sizes alone, and cluster knows wanted beside.
//!
//! `docs/architecture.md` draws them. The scanner reads paths (`use` trees, `super`, inline paths), not text, so comments
//! and strings may say anything. Test modules are left out: they may read transcripts from disk.

pub(crate) mod scan;

use std::path::{Path, PathBuf};

use scan::{Found, paths};

/// What files under some directories must not mention.
struct Rule {
    under: &'static [&'static str],
    except: &'static [&'static str],
    /// Path prefixes, `crate` resolved; one that ends in `!` must match whole; a lone `@word` matches any segment.
    forbids: &'static [&'static str],
    why: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        under: &["remotes/src"],
        except: &[],
        forbids: &["git_annex_remote_stream", "@Key", "@Uuid", "@uuid"],
        why: "remotes knows no key, uuid or protocol",
    },
    Rule {
        under: &["src/proto"],
        except: &[],
        forbids: &["crate::annex", "crate::gateway", "crate::serve", "crate::cli", "remotes"],
        why: "proto knows only the wire",
    },
    Rule {
        under: &["src/proto"],
        except: &[],
        forbids: &[
            "std::net",
            "std::fs",
            "std::process",
            "std::thread",
            "std::time!",
            "std::time::*",
            "std::time::Instant",
            "std::time::SystemTime",
            "std::time::UNIX_EPOCH",
            "rustix",
        ],
        why: "proto is sans-IO: bytes and time are arguments",
    },
    Rule {
        under: &["src/annex"],
        except: &[],
        forbids: &["crate::proto", "crate::gateway", "crate::serve", "crate::cli", "remotes"],
        why: "annex knows a repository and nothing of wires or stores",
    },
    Rule {
        under: &["src/proto", "src/annex", "src/wanted", "src/cluster", "src/sim"],
        except: &[],
        forbids: &["tokio", "tokio_uring", "async_trait"],
        why: "proto, annex, wanted, cluster and sim run in no runtime",
    },
    Rule {
        under: &["src/wanted", "src/cluster", "src/sim"],
        except: &[],
        forbids: &[
            "crate::annex",
            "crate::proto",
            "crate::gateway",
            "crate::peer",
            "crate::resolve",
            "crate::serve",
            "crate::cli",
            "crate::failure",
            "crate::pool",
            "remotes",
        ],
        why: "wanted, cluster and sim know keys and uuids, and nothing of where facts come from",
    },
    Rule {
        under: &["src/wanted"],
        except: &[],
        forbids: &["crate::cluster"],
        why: "cluster asks what is wanted, and wanted knows nothing of clusters",
    },
    Rule {
        under: &["src/wanted", "src/cluster", "src/sim"],
        except: &[],
        forbids: &["std::net", "std::fs", "std::process", "std::thread", "std::time", "rustix"],
        why: "wanted, cluster and sim decide from arguments: no IO, no clock",
    },
    Rule {
        under: &["src/name", "src/proto", "src/annex", "src/peer", "src/resolve"],
        except: &[],
        forbids: &["crate::wanted", "crate::cluster", "crate::sim"],
        why: "the gateway alone joins what is wanted with what is known",
    },
    Rule {
        under: &["src/wanted"],
        except: &[],
        forbids: &["crate::cluster"],
        why: "what a repository wants does not depend on the cluster that it is a node of",
    },
    Rule {
        under: &["src"],
        except: &["src/annex/git", "src/annex/branch", "src/annex/repository"],
        forbids: &["gix"],
        why: "annex/git, annex/branch and annex/repository alone touch git",
    },
    Rule {
        under: &["src/wanted", "src/cluster", "src/gateway"],
        except: &[],
        forbids: &["crate::sim"],
        why: "what is simulated knows nothing of being simulated",
    },
    Rule {
        under: &["src/peer", "src/resolve"],
        except: &[],
        forbids: &["crate::gateway"],
        why: "clients of other repositories and the reading of remotes know nothing of what clients ask here",
    },
    Rule {
        under: &["src"],
        except: &["src/serve", "src/serve.rs", "src/main.rs", "src/cli.rs", "src/cli", "src/lib.rs"],
        forbids: &["crate::serve", "crate::cli"],
        why: "the layers below do not know who drives them",
    },
    Rule {
        under: &["tests/servers/src", "tests/testbed/src"],
        except: &[],
        forbids: &["git_annex_remote_stream", "remotes", "annex_types"],
        why: "the testbed runs the product and has no crate of it, or unit tests would meet a second copy of theirs",
    },
    Rule {
        // The bench asks the kernel what its children used, which no safe crate does; it is no part of the product.
        under: &["src", "remotes/src"],
        except: &["remotes/src/sys", "remotes/src/sys.rs"],
        forbids: &["@unsafe"],
        why: "unsafe lives in remotes/src/sys alone",
    },
];

/// Every breach in one file, as `file:line: path: why`.
fn breaches(file: &str, source: &str) -> Vec<String> {
    let applying: Vec<&Rule> = RULES
        .iter()
        .filter(|rule| rule.under.iter().any(|dir| inside(file, dir)))
        .filter(|rule| !rule.except.iter().any(|dir| inside(file, dir)))
        .collect();
    let mut breaches = Vec::new();
    for Found { line, path } in paths(source, &module_of(file)) {
        for rule in &applying {
            if rule.forbids.iter().any(|forbidden| matches(&path, forbidden)) {
                breaches.push(format!("{file}:{line}: {}: {}", path.join("::"), rule.why));
            }
        }
    }
    breaches
}

fn inside(file: &str, dir: &str) -> bool {
    // `src/proto` also means `src/proto.rs`.
    file.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest == ".rs")
}

fn matches(path: &[String], forbidden: &str) -> bool {
    if let Some(word) = forbidden.strip_prefix('@') {
        return path.iter().any(|segment| segment == word);
    }
    let (prefix, whole) = forbidden.strip_suffix('!').map_or((forbidden, false), |prefix| (prefix, true));
    let wanted: Vec<&str> = prefix.split("::").collect();
    path.len() >= wanted.len()
        && path.iter().zip(&wanted).all(|(a, b)| a == b)
        && (!whole || path.len() == wanted.len())
}

/// The module a file is, from the crate root: `src/proto/special/session.rs` is `proto::special::session`.
pub(crate) fn module_of(file: &str) -> Vec<String> {
    let inner = file.split_once("src/").map_or(file, |(_, inner)| inner);
    let mut module: Vec<String> = inner.trim_end_matches(".rs").split('/').map(str::to_string).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    module
}

pub(crate) fn rust_files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
        let path = entry.expect("a directory entry").path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|ext| ext == "rs") && !path.ends_with("tests.rs") {
            into.push(path);
        }
    }
}

#[test]
fn every_arrow_of_the_house_holds() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for dir in ["src", "remotes/src", "bench/src", "tests/servers/src", "tests/testbed/src"] {
        rust_files(&top.join(dir), &mut files);
    }
    assert!(files.len() > 5, "only {} files found: is the scan in the right place?", files.len());
    let mut all = Vec::new();
    for file in files {
        let source = std::fs::read_to_string(&file).expect("a source file is text");
        let name = file.strip_prefix(top).expect("it is below the top").to_str().expect("its name is text");
        all.extend(breaches(name, &source));
    }
    assert!(all.is_empty(), "arrows broken:\n{}", all.join("\n"));
}

/// A file that several crates compile by its path: nothing in it tells who does, and each compiles it again.
#[test]
fn no_file_is_reached_into_by_its_path() {
    // Cargo runs an example in no other way among the tests.
    const LEFT: &[&str] = &["remotes/tests/own_store.rs"];
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for dir in ["src", "remotes", "bench", "tests"] {
        rust_files(&top.join(dir), &mut files);
    }
    files.retain(|file| reaches(&std::fs::read_to_string(file).expect("a source file is text")));
    let mut names: Vec<&Path> = files.iter().map(|file| file.strip_prefix(top).expect("below the top")).collect();
    names.sort();
    assert_eq!(names, LEFT.iter().map(Path::new).collect::<Vec<_>>());
}

/// Whether a module of `source` is a file in another folder.
fn reaches(source: &str) -> bool {
    source.lines().filter_map(|line| line.trim_start().strip_prefix("#[path = \"")).any(|path| path.contains('/'))
}

#[test]
fn a_path_into_another_folder_is_found() {
    assert!(reaches("mod a;\n#[path = \"../b/c.rs\"]\nmod c;\n"));
    assert!(!reaches("#[cfg(test)]\n#[path = \"a_tests.rs\"]\nmod tests;\n"));
}

#[test]
fn each_kind_of_breach_is_found() {
    for (file, source) in [
        ("remotes/src/fs.rs", "use git_annex_remote_stream::annex::Key;"),
        ("remotes/src/s3/mod.rs", "fn put(key: &Key) {}"),
        ("remotes/src/lib.rs", "fn id() -> uuid::Uuid { todo!() }"),
        ("remotes/src/fs.rs", "fn f() { unsafe { g() } }"),
        ("src/main.rs", "unsafe impl Send for X {}"),
        ("src/proto/line.rs", "use crate::annex::key::Key;"),
        ("src/proto/line.rs", "use crate::{bytes, annex};"),
        ("src/proto/special/session.rs", "use super::super::super::annex::Key;"),
        ("src/proto/special/session.rs", "use super::super::super::{proto::line, gateway as g};"),
        ("src/proto/mod.rs", "pub use super::serve::Driver;"),
        ("src/proto/line.rs", "fn now() { let _ = std::time::Instant::now(); }"),
        ("src/proto/line.rs", "use std::time::{Duration, SystemTime};"),
        ("src/proto/line.rs", "use std::time; fn f() { time::Instant::now(); }"),
        ("src/proto/line.rs", "use ::std::{io::{self, Read}, net::TcpStream};"),
        ("src/proto/line.rs", "fn f() { std::fs::read(\"x\"); }"),
        ("src/proto.rs", "use remotes::Store;"),
        ("src/proto/line.rs", "async fn f() { tokio::task::yield_now().await }"),
        ("src/annex/key.rs", "use crate::proto::line::Line;"),
        ("src/annex/key.rs", "mod inner { use super::super::super::proto; }"),
        ("src/annex/key.rs", "use tokio as t;"),
        ("src/annex/key.rs", "fn r#try() { gix::open(\".\"); }"),
        ("src/gateway/route.rs", "use crate::serve;"),
        ("src/peer/ssh/mod.rs", "use crate::gateway::Failure;"),
        ("src/resolve/setup.rs", "fn f() { super::super::gateway::timestamp(); }"),
        ("src/wanted/facts.rs", "use crate::annex::log::LocationLog;"),
        ("src/wanted/tests/world.rs", "fn f() { std::fs::read(\"x\"); }"),
        ("src/wanted/eval.rs", "use std::time::Instant;"),
        ("src/annex/key.rs", "use crate::wanted::Policy;"),
        ("src/annex/key.rs", "use crate::cluster::Pick;"),
        ("src/wanted/eval.rs", "use crate::cluster::Pick;"),
        ("src/cluster/place.rs", "use crate::annex::log::LocationLog;"),
        ("src/cluster/order.rs", "use std::time::Instant;"),
        ("src/cluster/place.rs", "async fn f() { tokio::task::yield_now().await }"),
        ("tests/testbed/src/annex.rs", "use git_annex_remote_stream::name::Key;"),
        ("tests/servers/src/lib.rs", "fn f() { remotes::sys::start(); }"),
    ] {
        assert!(!breaches(file, source).is_empty(), "not found in {file}: {source}");
    }
}

#[test]
fn what_is_allowed_is_left_alone() {
    for (file, source) in [
        ("remotes/src/sys/pipe.rs", "fn f() { unsafe { g() } }"),
        (
            "remotes/src/s3/mod.rs",
            "// a Key is not known here\nfn f() { client.key(\"Key::x\"); r#\"tokio::Uuid \"# ; }",
        ),
        ("src/proto/line.rs", "/* unsafe /* nested */ crate::annex */ use std::time::Duration;"),
        ("src/proto/line.rs", "fn f<'annex>(c: char) -> bool { c == '\"' || c == '\\'' || c == 'u' }"),
        ("src/proto/line.rs", "use super::special::annex_word; use crate::proto::annex;"),
        ("src/proto/line.rs", "#[cfg(test)] mod tests { use super::*; fn f() { std::fs::read(\"x\"); } }"),
        ("src/proto/line.rs", "mod inner { use super::super::special; }"),
        ("src/gateway/route.rs", "use crate::{annex::Key, proto::line}; use remotes::Store; use tokio::io;"),
        ("src/serve/special.rs", "use crate::serve::other; use crate::proto::special::Session;"),
        ("src/annex/branch/read.rs", "use gix::Repository;"),
        ("src/annex/repository.rs", "use gix::Repository;"),
        ("src/wanted/facts.rs", "use super::repos::Repo; use crate::name::Key; use crate::wanted::Policy;"),
        ("src/cluster/place.rs", "use super::draw::lot; use crate::name::Key; use crate::wanted::Question;"),
    ] {
        let found = breaches(file, source);
        assert!(found.is_empty(), "{found:?} in {source}");
    }
}
