//! Trees of files of git and of links to content, and the contents of keys.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::annex::{LIMIT, Repo, content};
use super::run::run;

/// What is at a path.
#[derive(Clone)]
pub enum File {
    /// A file of git.
    Plain(Vec<u8>),
    /// A link to content of this key.
    Annexed(String),
}

/// The files of a commit, by path.
pub type Tree = BTreeMap<String, File>;

/// Contents by key. Nearly all are of the same length, so that no length tells them apart.
#[derive(Default)]
pub struct Contents(pub BTreeMap<String, Vec<u8>>);

/// The length of nearly all contents.
pub const LEN: usize = 1000;

impl Contents {
    /// A key whose name is the digest of its content.
    pub fn digest(&mut self, seed: u64) -> String {
        self.keep(format!("SHA256-s{LEN}--{}", hex(&content(seed, LEN))), seed)
    }

    /// A key that does not tell its length either.
    pub fn without_length(&mut self, seed: u64) -> String {
        self.keep(format!("SHA256--{}", hex(&content(seed, LEN))), seed)
    }

    /// A key of which nobody can tell whether content is its.
    pub fn unverifiable(&mut self, seed: u64) -> String {
        self.keep(format!("WORM-s{LEN}-m1--file{seed}"), seed)
    }

    fn keep(&mut self, key: String, seed: u64) -> String {
        self.0.insert(key.clone(), content(seed, LEN));
        key
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes a commit of each tree, which the ref of that name is at then.
pub fn import(repo: &Repo, trees: &[(&str, Tree)]) {
    let mut stream = Vec::new();
    for (n, (name, tree)) in trees.iter().enumerate() {
        let head = format!("commit {name}\ncommitter T <t@example.org> {n} +0000\ndata 0\ndeleteall\n");
        stream.extend_from_slice(head.as_bytes());
        for (path, file) in tree {
            let link;
            let (mode, content) = match file {
                File::Plain(content) => ("100644", content),
                File::Annexed(key) => {
                    link = format!(".git/annex/objects/{key}/{key}").into_bytes();
                    ("120000", &link)
                }
            };
            stream.extend_from_slice(format!("M {mode} inline {path}\ndata {}\n", content.len()).as_bytes());
            stream.extend_from_slice(content);
            stream.push(b'\n');
        }
    }
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), stream).expect("written");
    let mut command = repo.command(Path::new("sh"));
    command.args(["-c", "exec git fast-import --quiet --force < \"$1\"", "sh"]).arg(file.path());
    run(&mut command, LIMIT).ok();
}
