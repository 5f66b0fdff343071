//! WHEREIS of a remote with a tree: the paths at which the content of a key is.
//!
//! git-annex does not tell that a remote has a tree, nor what it exported to it, so it is asked where its database is, once a
//! process. The names are those that the database notes, whether git-annex wrote it or we; in a clone that never exported they
//! are those that the exported trees have, by `export.log`. Nothing is said where neither tells a name: the place that a key
//! would have without a tree is empty there.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use remotes::{Context, ObjectName, Store, registry};

use crate::annex::export::db::ExportDb;
use crate::annex::export::names;
use crate::annex::log::export::ExportLog;
use crate::annex::repository::Repository;
use crate::name::{Key, Uuid};
use crate::proto::special::{Answer, Query};
use crate::resolve::setup::Ready;
use crate::serve::special::server_copy::{blobs, entries, git};

/// Names that are told; of more only how many they are.
const TOLD: usize = 8;

/// Most names that are remembered of the trees that others exported.
const MOST: usize = 250_000;

/// The questions, until it is known where names are noted.
#[derive(Default)]
pub(super) struct Inquiry {
    answers: Vec<Vec<u8>>,
}

/// What is asked, in this order. Where the first two are not set, that is all.
const QUESTIONS: [fn() -> Query; 5] = [
    || Query::GetConfig(b"exporttree".to_vec()),
    || Query::GetConfig(b"importtree".to_vec()),
    || Query::GetConfig(b"annexobjects".to_vec()),
    || Query::GetUuid,
    || Query::GetGitDir,
];

/// What comes next.
pub(super) enum Next {
    Ask(Query),
    Done(Places),
}

/// Where a remote has content.
pub(super) enum Places {
    /// Under names made of keys.
    Keys,
    /// In a tree.
    Tree(Box<TreeNames>),
}

/// A remote that has a tree.
pub(super) struct TreeNames {
    uuid: Option<Uuid>,
    git_dir: PathBuf,
    /// `annexobjects=yes`: content that is not in the tree lies beside it.
    beside: bool,
    store: Option<Rc<dyn Store>>,
    /// The names in the trees that were exported, by git's blobs; read when it is first needed.
    exported: Option<HashMap<Vec<u8>, Vec<Vec<u8>>>>,
}

impl Inquiry {
    /// The next question; `answer` is that to the one before.
    pub(super) fn next(&mut self, answer: Option<Answer>) -> Next {
        if let Some(answer) = answer {
            self.answers.push(match answer {
                Answer::Value(value) => value,
                _ => Vec::new(),
            });
        }
        let is_set = |nth: usize| self.answers.get(nth).is_some_and(|value| matches!(&value[..], b"yes" | b"true"));
        if self.answers.len() == 2 && !is_set(0) && !is_set(1) {
            return Next::Done(Places::Keys);
        }
        if let Some(question) = QUESTIONS.get(self.answers.len()) {
            return Next::Ask(question());
        }
        Next::Done(Places::Tree(Box::new(TreeNames {
            uuid: Uuid::parse(&self.answers[3]).ok(),
            git_dir: PathBuf::from(OsStr::from_bytes(&self.answers[4])),
            beside: is_set(2),
            store: None,
            exported: None,
        })))
    }
}

impl TreeNames {
    /// Where the content of `key` is, for people to read.
    pub(super) fn locate(&mut self, ready: &Ready, key: &[u8]) -> Option<String> {
        let key = Key::parse(key).ok()?;
        let names = self.names(&key);
        let store = match &self.store {
            Some(store) => Rc::clone(store),
            None => {
                let context = Context { tree: true, ..Context::default() };
                let store = registry::open(ready.scheme.name, &ready.options, &context).ok()?;
                Rc::clone(self.store.insert(store))
            }
        };
        let told: Vec<String> =
            names.iter().take(TOLD).filter_map(|name| store.locate(&ObjectName::new(name).ok()?)).collect();
        show(&told, names.len())
    }

    fn names(&mut self, key: &Key) -> Vec<Vec<u8>> {
        let mut found = self.noted(key);
        if found.is_empty() {
            found = self.exported(key);
        }
        // What is recorded to be there, and is not in the tree, is beside it.
        if found.is_empty() && self.beside {
            found.push(names::object(key));
        }
        found
    }

    /// The names that the database notes to hold it; else those at which the tree has it, which git-annex knows from the log.
    fn noted(&self, key: &Key) -> Vec<Vec<u8>> {
        let Some(uuid) = &self.uuid else { return Vec::new() };
        let opened = Repository::open(&self.git_dir);
        let dir = opened.map_or_else(|_| self.git_dir.join("annex"), |repository| repository.db_dir());
        // What cannot be read tells nothing, as where there is none.
        let Ok(Some(db)) = ExportDb::existing(&dir, uuid) else { return Vec::new() };
        let mut held = db.holding(key).unwrap_or_default();
        held.retain(|name| !name.starts_with(names::TEMPORARY));
        // In the tree before beside it.
        held.sort_by_key(|name| name.starts_with(b".git/"));
        if held.is_empty() { db.in_tree(key).unwrap_or_default() } else { held }
    }

    fn exported(&mut self, key: &Key) -> Vec<Vec<u8>> {
        let Some(uuid) = &self.uuid else { return Vec::new() };
        let (git_dir, uuid) = (self.git_dir.clone(), uuid.clone());
        let exported = self.exported.get_or_insert_with(|| read(&git_dir, &uuid));
        let mut names: Vec<Vec<u8>> =
            blobs(key.as_bytes()).iter().filter_map(|blob| exported.get(blob)).flatten().cloned().collect();
        names.sort();
        names.dedup();
        names
    }
}

/// The names of all files in the trees that were exported to `remote`, as far as git tells.
fn read(git_dir: &Path, remote: &Uuid) -> HashMap<Vec<u8>, Vec<Vec<u8>>> {
    let dir = [OsStr::new("--git-dir"), git_dir.as_os_str()];
    let mut log = Vec::new();
    git(&[&dir[..], &["cat-file", "blob", "git-annex:export.log"].map(OsStr::new)].concat(), b'\n', |line| {
        log.extend_from_slice(line);
        log.push(b'\n');
        log.len() < MOST
    });
    let (mut names, mut count): (HashMap<_, Vec<Vec<u8>>>, usize) = (HashMap::new(), 0);
    for tree in ExportLog::parse(&log).trees(remote) {
        let tree = tree.to_string();
        entries(&[&dir[..], &["ls-tree", "-r", "-z", &tree].map(OsStr::new)].concat(), |blob, name| {
            names.entry(blob).or_default().push(name.to_vec());
            count += 1;
            count < MOST
        });
    }
    names
}

/// Places on one line, `of` so many.
fn show(told: &[String], of: usize) -> Option<String> {
    let line = told.join(", ");
    let rest = of.saturating_sub(TOLD);
    match (told.is_empty(), rest) {
        (true, _) => None,
        (false, 0) => Some(line),
        (false, rest) => Some(format!("{line} and {rest} more")),
    }
    // The protocol is lines.
    .map(|line| line.replace(['\n', '\r'], "?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_is_asked_for_its_tree_once_and_only_where_it_has_one() {
        let value = |text: &str| Some(Answer::Value(text.as_bytes().to_vec()));
        let asked = |answers: &[&str]| {
            let (mut inquiry, mut asked) = (Inquiry::default(), Vec::new());
            let mut next = inquiry.next(None);
            for answer in answers {
                let Next::Ask(query) = next else { panic!("it is done after {asked:?}") };
                asked.push(query);
                next = inquiry.next(value(answer));
            }
            match next {
                Next::Ask(_) => panic!("it asks more than {asked:?}"),
                Next::Done(Places::Keys) => None,
                Next::Done(Places::Tree(tree)) => Some((tree.uuid.map(|uuid| uuid.to_string()), tree.beside)),
            }
        };
        assert_eq!(asked(&["", ""]), None);
        assert_eq!(asked(&["no", "no"]), None);
        assert_eq!(asked(&["yes", "", "yes", "u-1", ".git"]), Some((Some("u-1".into()), true)));
        assert_eq!(asked(&["", "yes", "", "u-1", ".git"]), Some((Some("u-1".into()), false)));
    }

    #[test]
    fn places_are_told_on_one_line() {
        let places = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(show(&[], 0), None);
        assert_eq!(show(&places(2), 2).as_deref(), Some("0, 1"));
        assert_eq!(show(&places(TOLD), TOLD + 3).as_deref(), Some("0, 1, 2, 3, 4, 5, 6, 7 and 3 more"));
        assert_eq!(show(&["a\nb".into()], 1).as_deref(), Some("a?b"));
    }
}
