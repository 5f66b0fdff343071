//! git config, as read at one moment.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use gix::bstr::{BStr, ByteSlice};

use annex_types::size;

/// All of git's configuration for one repository at one moment.
pub struct Config {
    file: gix::config::File,
    own: (PathBuf, Option<Trace>),
    sources: Vec<(PathBuf, Option<Trace>)>,
}

/// The last reading of the configuration, which many share.
pub(in crate::annex) struct CurrentConfig(RwLock<Arc<Config>>);

/// Enough of a file's metadata to see that it was replaced or written.
type Trace = (u64, u64, SystemTime);

impl CurrentConfig {
    pub(in crate::annex) fn new(config: Config) -> Self {
        Self(RwLock::new(Arc::new(config)))
    }

    pub(in crate::annex) fn get(&self) -> Arc<Config> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(in crate::annex) fn set(&self, config: Config) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }
}

impl Config {
    pub(in crate::annex) fn of(git: &gix::Repository) -> Self {
        let file = git.config_snapshot().plumbing().clone();
        // Files that are not there yet may come to be.
        let own = git.common_dir().join("config");
        let mut paths = vec![git.git_dir().join("config.worktree")];
        paths.extend(of_user_and_system());
        paths.extend(file.sections().filter_map(|section| section.meta().path.clone()));
        paths.extend(included(&file));
        paths.sort_unstable();
        paths.dedup();
        let traced = |path: PathBuf| {
            let trace = trace(&path);
            (path, trace)
        };
        Self { file, own: traced(own), sources: paths.into_iter().map(traced).collect() }
    }

    /// Whether a file it was read from is another one now. A few calls of stat(2), also of files elsewhere than the repository.
    pub fn is_stale(&self) -> bool {
        self.is_own_stale() || self.sources.iter().any(|(path, was)| trace(path) != *was)
    }

    /// The same of the repository's own file. One call of stat(2).
    pub fn is_own_stale(&self) -> bool {
        trace(&self.own.0) != self.own.1
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

/// Where git looks for what holds for all repositories.
fn of_user_and_system() -> Vec<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = set("HOME");
    let of_user = match set("GIT_CONFIG_GLOBAL") {
        Some(only) => vec![Some(only)],
        None => {
            let xdg = set("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
            vec![home.map(|home| home.join(".gitconfig")), xdg.map(|xdg| xdg.join("git/config"))]
        }
    };
    let of_system = set("GIT_CONFIG_SYSTEM").unwrap_or_else(|| PathBuf::from("/etc/gitconfig"));
    of_user.into_iter().flatten().chain([of_system]).collect()
}

/// The files that others include, also where they are not there, or hold nothing, or are not for this repository.
fn included(file: &gix::config::File) -> Vec<PathBuf> {
    let sections =
        ["include", "includeIf"].into_iter().flat_map(|name| file.sections_by_name(name).into_iter().flatten());
    let mut paths = Vec::new();
    for section in sections {
        let beside = section.meta().path.as_deref().and_then(Path::parent);
        for value in section.values("path") {
            let path = PathBuf::from(OsString::from_vec(value.to_vec()));
            paths.extend(match (path.strip_prefix("~"), beside) {
                (Ok(below), _) => std::env::var_os("HOME").map(|home| Path::new(&home).join(below)),
                (Err(_), Some(beside)) => Some(beside.join(&path)),
                (Err(_), None) => path.is_absolute().then_some(path),
            });
        }
    }
    paths
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
