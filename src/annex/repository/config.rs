//! git config, as one reading of it.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use gix::bstr::{BStr, ByteSlice};

use super::size;

/// All of git's configuration for one repository at one moment.
pub struct Config {
    file: gix::config::File,
    sources: Vec<(PathBuf, Option<Trace>)>,
}

/// Enough of a file's metadata to see that it was replaced or written.
type Trace = (u64, u64, SystemTime);

impl Config {
    pub(super) fn of(git: &gix::Repository) -> Self {
        let file = git.config_snapshot().plumbing().clone();
        // Files that are not there yet may come to be.
        let mut paths = vec![git.common_dir().join("config"), git.git_dir().join("config.worktree")];
        if let Some(home) = std::env::var_os("HOME") {
            paths.push(Path::new(&home).join(".gitconfig"));
        }
        paths.extend(file.sections().filter_map(|section| section.meta().path.clone()));
        paths.sort_unstable();
        paths.dedup();
        let sources = paths
            .into_iter()
            .map(|path| {
                let trace = trace(&path);
                (path, trace)
            })
            .collect();
        Self { file, sources }
    }

    /// Whether a file it was read from is another one now. A few calls of stat(2).
    pub(super) fn is_stale(&self) -> bool {
        self.sources.iter().any(|(path, was)| trace(path) != *was)
    }

    /// The value of `name`, `annex.uuid` or `remote.NAME.annex-uuid`; the last one where there are several.
    pub fn value(&self, name: &str) -> Option<Vec<u8>> {
        let (section, sub, key) = split(name)?;
        self.file.raw_value_by(section, sub, key).ok().map(Vec::from)
    }

    /// All values of `name`, in the order of the files.
    pub fn values(&self, name: &str) -> Vec<Vec<u8>> {
        let found = split(name).and_then(|(section, sub, key)| self.file.raw_values_by(section, sub, key).ok());
        found.unwrap_or_default().into_iter().map(Vec::from).collect()
    }

    /// The value of `name` as git reads truth; `None` where it is unset or no truth value.
    pub fn bool(&self, name: &str) -> Option<bool> {
        let (section, sub, key) = split(name)?;
        self.file.boolean_by(section, sub, key).ok()?
    }

    /// The value of `name` in bytes, as git-annex reads sizes; `None` where it is unset or no size.
    pub fn size(&self, name: &str) -> Option<u64> {
        size::parse(&self.value(name)?)
    }

    /// The value of `key` in the subsection `sub` of `section`, which may have any bytes in its name, as a remote may.
    pub fn value_in(&self, section: &str, sub: &[u8], key: &str) -> Option<Vec<u8>> {
        self.file.raw_value_by(section, Some(sub.as_bstr()), key).ok().map(Vec::from)
    }

    /// The same as git reads truth; `None` where it is unset or no truth value.
    pub fn bool_in(&self, section: &str, sub: &[u8], key: &str) -> Option<bool> {
        self.file.boolean_by(section, Some(sub.as_bstr()), key).ok()?
    }

    /// Names and values of all keys of the section `section.sub`: for `annex.cluster`, the clusters. Names are as written.
    pub fn entries(&self, section: &str, sub: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut entries = Vec::new();
        let sections = self.file.sections_by_name(section).into_iter().flatten();
        for found in sections.filter(|found| found.header().subsection_name().is_some_and(|name| name == sub)) {
            let mut names: Vec<String> = found.value_names().map(|name| name.to_string()).collect();
            names.dedup();
            for name in names {
                entries.extend(found.values(&name).into_iter().map(|value| (name.clone(), value.to_vec())));
            }
        }
        entries
    }

    /// The names of all subsections of `section`, each once, in the order of the files: for `remote`, the remotes.
    pub fn subsections(&self, section: &str) -> Vec<Vec<u8>> {
        let mut names: Vec<Vec<u8>> = Vec::new();
        let sections = self.file.sections_by_name(section).into_iter().flatten();
        for name in sections.filter_map(|section| section.header().subsection_name()) {
            if !names.iter().any(|have| have == name.as_bytes()) {
                names.push(name.to_vec());
            }
        }
        names
    }
}

/// Section, subsection and key; the subsection may hold dots.
fn split(name: &str) -> Option<(&str, Option<&BStr>, &str)> {
    let (section, rest) = name.split_once('.')?;
    Some(match rest.rsplit_once('.') {
        Some((sub, key)) => (section, Some(sub.into()), key),
        None => (section, None, rest),
    })
}

fn trace(path: &Path) -> Option<Trace> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.len(), metadata.modified().ok()?))
}
