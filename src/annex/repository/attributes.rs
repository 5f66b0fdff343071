//! Attributes that git gives to files: `.gitattributes` and what stands above it.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use gix::bstr::ByteSlice;
use gix_attributes::search::{MetadataCollection, Outcome};
use gix_attributes::{Search, Source, StateRef};
use gix_glob::pattern::Case;

use super::Repository;
use crate::annex::branch::FileKind;

/// The value that git gives to an attribute of a file, as `git check-attr` shows it: of the work tree as it is, and of the branch
/// that is checked out where there is no work tree.
///
/// What is above the directories is read once, and each directory as long as it is among the last that were asked for.
pub struct Attributes<'a> {
    repository: &'a Repository,
    name: &'static str,
    case: Case,
    rules: HashMap<Vec<u8>, (Search, MetadataCollection)>,
}

/// Most directories whose rules are kept.
const MOST_KEPT: usize = 256;

/// Longest file of attributes that git reads, in bytes.
const LONGEST: u64 = 100 << 20;

impl<'a> Attributes<'a> {
    /// The attribute `name` in `repository`.
    pub fn new(repository: &'a Repository, name: &'static str) -> Self {
        let folds = repository.config_bool("core.ignorecase") == Some(true);
        let case = if folds { Case::Fold } else { Case::Sensitive };
        Self { repository, name, case, rules: HashMap::new() }
    }

    /// The value for the file at `path` from the top of the tree; `None` where no value is assigned: also where the attribute is
    /// only set or unset.
    ///
    /// # Errors
    /// In a line: a file of attributes is there and cannot be read.
    pub fn value(&mut self, path: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let directory = path.rfind_byte(b'/').map_or(&b""[..], |at| &path[..at]);
        if !self.rules.contains_key(directory) {
            let read = self.read(directory)?;
            if self.rules.len() >= MOST_KEPT {
                self.rules.clear();
            }
            self.rules.insert(directory.to_vec(), read);
        }
        let Some((rules, names)) = self.rules.get(directory) else { return Ok(None) };
        let mut found = Outcome::default();
        found.initialize_with_selection(names, [self.name]);
        rules.pattern_matching_relative_path(path.as_bstr(), self.case, Some(false), &mut found);
        let value = found.iter_selected().find_map(|found| match found.assignment.state {
            StateRef::Value(value) => Some(value.as_bstr().to_vec()),
            _ => None,
        });
        Ok(value)
    }

    /// The rules for the files of a directory, the weakest first.
    fn read(&self, directory: &[u8]) -> Result<(Search, MetadataCollection), String> {
        let (mut rules, mut names) = (Search::default(), MetadataCollection::default());
        let mut add = |bytes: &[u8], source: PathBuf, root: Option<&Path>, macros| {
            let text = source.display().to_string();
            rules.add_patterns_buffer(bytes, source, root, &mut names, macros).map_err(|e| format!("read {text}: {e}"))
        };
        add(b"[attr]binary -diff -merge -text", "[builtin]".into(), None, true)?;
        for global in self.globals() {
            if let Some(bytes) = read_file(&global)? {
                add(&bytes, global, None, true)?;
            }
        }
        let parents = (0..directory.len()).filter(|at| directory[*at] == b'/').map(|at| &directory[..at]);
        let below = parents.chain((!directory.is_empty()).then_some(directory));
        for (depth, directory) in std::iter::once(&b""[..]).chain(below).enumerate() {
            let place = Path::new(std::ffi::OsStr::from_bytes(directory)).join(".gitattributes");
            if let Some(bytes) = self.in_tree(&place)? {
                // The root is what patterns are relative to: paths here are relative to the top.
                add(&bytes, place, Some(Path::new("")), depth == 0)?;
            }
        }
        let info = self.repository.git_dir().join("info/attributes");
        if let Some(bytes) = read_file(&info)? {
            add(&bytes, info, None, true)?;
        }
        Ok((rules, names))
    }

    /// Files above the repository, the weakest first.
    fn globals(&self) -> impl Iterator<Item = PathBuf> {
        let set = self.repository.config("core.attributesFile").filter(|set| !set.is_empty());
        let of_user = match set {
            Some(set) => match set.strip_prefix(b"~/") {
                Some(below) => std::env::var_os("HOME").map(|home| Path::new(&home).join(bytes_to_path(below))),
                None => Some(bytes_to_path(&set)),
            },
            None => Source::Git.storage_location(&mut |name| std::env::var_os(name)),
        };
        let of_system = std::env::var_os("GIT_ATTR_NOSYSTEM").is_none().then(|| PathBuf::from("/etc/gitattributes"));
        of_system.into_iter().chain(of_user)
    }

    /// The bytes of a file of the tree; `None` where there is none.
    fn in_tree(&self, path: &Path) -> Result<Option<Vec<u8>>, String> {
        match self.repository.work_tree() {
            // git follows no link there, lest a tree names files outside of it.
            Some(top) => match fs::symlink_metadata(top.join(path)) {
                Ok(found) if found.is_file() => read_file(&top.join(path)),
                Ok(_) => Ok(None),
                Err(e) if is_absence(&e) => Ok(None),
                Err(e) => Err(format!("read {}: {e}", top.join(path).display())),
            },
            None => {
                let branch = self.repository.branch();
                let found = branch.tree_file(b"HEAD", path.as_os_str().as_bytes()).map_err(|e| e.to_string())?;
                let plain = found.filter(|found| matches!(found.kind, FileKind::Plain | FileKind::Executable));
                plain.map(|found| branch.blob(found.id, LONGEST).map_err(|e| e.to_string())).transpose()
            }
        }
    }
}

fn bytes_to_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(bytes.to_vec()))
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn read_file(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let read = || {
        let mut bytes = Vec::new();
        fs::File::open(path)?.take(LONGEST).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if is_absence(&e) => Ok(None),
        Err(e) => Err(format!("read {}: {e}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::make;
    use super::*;

    /// `git check-attr` says the same.
    #[test]
    fn files_have_the_attributes_that_git_gives_them() {
        let top = tempfile::tempdir().expect("a directory");
        make(top.path(), &[]);
        let repository = Repository::open(top.path()).unwrap_or_else(|e| panic!("{e}"));
        let write = |path: &str, text: &str| {
            let path = top.path().join(path);
            fs::create_dir_all(path.parent().expect("below the top")).expect("a directory");
            fs::write(path, text).expect("written");
        };
        write(
            ".gitattributes",
            "[attr]many annex.numcopies=9\n* annex.numcopies=2\n*.mp3 annex.numcopies=3\n/top many\n\
             *.set annex.numcopies\n*.unset -annex.numcopies\n*.none !annex.numcopies\n\"sp ace\" annex.numcopies=6\n",
        );
        write(
            "a/.gitattributes",
            "*.mp3 annex.numcopies=4\nb/*.ogg annex.numcopies=5\n/x annex.numcopies=8\n[attr]many annex.numcopies=1\n",
        );
        write(".git/info/attributes", "last annex.numcopies=7\n");
        let mut attributes = Attributes::new(&repository, "annex.numcopies");
        for (path, value) in [
            ("f", Some("2")),
            ("f.mp3", Some("3")),
            ("a/f.mp3", Some("4")),
            ("a/b/f.mp3", Some("4")),
            ("b/f.mp3", Some("3")),
            ("a/b/f.ogg", Some("5")),
            ("a/f.ogg", Some("2")),
            ("a/x", Some("8")),
            ("a/b/x", Some("2")),
            ("top", Some("9")),
            ("a/top", Some("2")),
            ("sp ace", Some("6")),
            ("a/last", Some("7")),
            ("f.set", None),
            ("f.unset", None),
            ("f.none", None),
        ] {
            let found = attributes.value(path.as_bytes()).expect("readable");
            assert_eq!(found.as_deref(), value.map(str::as_bytes), "{path}");
            let mut git = std::process::Command::new("git");
            let shown = git.current_dir(top.path()).args(["check-attr", "annex.numcopies", "--", path]).output();
            let shown = String::from_utf8(shown.expect("git runs").stdout).expect("text");
            let shown = shown.trim_end().rsplit(": ").next().expect("a value").to_string();
            assert_eq!(
                value,
                Some(&*shown).filter(|shown| !matches!(*shown, "set" | "unset" | "unspecified")),
                "{path}"
            );
        }
    }

    #[test]
    fn without_a_work_tree_they_are_those_of_head() {
        use super::super::tests::git;
        let top = tempfile::tempdir().expect("a directory");
        let (plain, bare) = (top.path().join("plain"), top.path().join("bare"));
        make(&plain, &[]);
        fs::create_dir(plain.join("a")).expect("a directory");
        fs::write(plain.join("a/.gitattributes"), "* annex.numcopies=4\n").expect("written");
        git(&plain, &["add", "."]);
        git(&plain, &["commit", "--quiet", "-m", "x"]);
        make(&bare, &["--bare"]);
        git(&bare, &["fetch", "--quiet", "../plain", "main:main"]);
        let repository = Repository::open(&bare).unwrap_or_else(|e| panic!("{e}"));
        let mut attributes = Attributes::new(&repository, "annex.numcopies");
        assert_eq!(attributes.value(b"a/f").expect("readable").as_deref(), Some(&b"4"[..]));
        assert_eq!(attributes.value(b"f"), Ok(None));
    }

    #[test]
    fn attributes_that_cannot_be_read_are_an_error() {
        let top = tempfile::tempdir().expect("a directory");
        make(top.path(), &[]);
        let repository = Repository::open(top.path()).unwrap_or_else(|e| panic!("{e}"));
        fs::create_dir_all(top.path().join(".git/info/attributes")).expect("a directory");
        let error = Attributes::new(&repository, "annex.numcopies").value(b"f").expect_err("unreadable");
        assert!(error.contains("info/attributes"), "{error}");
    }
}
