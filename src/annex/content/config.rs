//! How the content of a repository is kept: what git config and the layout of the repository say about it.

use std::path::PathBuf;
use std::time::Duration;

use super::super::layout::Hashing;

/// What [`Content`](super::Content) has to know of its repository. Everything here comes from git config, read elsewhere.
#[derive(Debug, Clone)]
pub struct ContentConfig {
    /// The `annex` directory below the git directory, as an absolute path.
    pub annex_dir: PathBuf,
    /// Which hash directories are in use: a bare repository, `annex.tune.objecthash1`, `annex.tune.objecthashlower`.
    pub hashing: Hashing,
    /// `annex.securehashesonly`. Default: false.
    pub secure_hashes_only: bool,
    /// `annex.diskreserve`: bytes to keep free. Default: [`RESERVE`](Self::RESERVE).
    pub reserve: u64,
    /// `core.sharedRepository`: who else may use the files. Default: nobody but whom the umask lets in.
    pub sharing: Sharing,
    /// `annex.thin`: files in the work tree may be hard links to content, so any object may change. Default: false.
    pub thin: bool,
    /// `annex.crippledfilesystem`: write permission can not be taken away, and says nothing. Default: false.
    pub crippled: bool,
    /// Content is locked with files of their own, as in repository version 10. Before, git-annex locked the content file
    /// itself, which this program cannot: there, nothing is locked or removed. Default: true.
    pub lock_files: bool,
    /// Programs of the user's that are run around changes.
    pub hooks: Hooks,
    /// Whether content and its directory are synced to the disk before a commit succeeds. Default: true, because the
    /// client may drop its own copy the moment it hears of success.
    pub durable: bool,
}

/// `core.sharedRepository`, as far as files of the annex go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// `false`, `umask`: as the umask says.
    #[default]
    Unshared,
    /// `group`, `true`: the group may read and write.
    Group,
    /// `all`, `world`, `everybody`: the group may read and write, and everybody read.
    All,
    /// An octal number: exactly these bits, on files; directories get the matching `x` bits too.
    Mode(u32),
}

/// Programs that git config or the hooks directory name.
#[derive(Debug, Clone)]
pub struct Hooks {
    /// Where hook scripts are: `hooks` in the git directory, or `core.hooksPath`.
    pub dir: PathBuf,
    /// Where programs are started: the top of the work tree, or the git directory of a bare repository.
    pub cwd: PathBuf,
    /// `annex.freezecontent-command`, in place of the script `freezecontent-annex`.
    pub freeze: Option<String>,
    /// `annex.thawcontent-command`, in place of the script `thawcontent-annex`.
    pub thaw: Option<String>,
    /// `annex.secure-erase-command`, in place of the script `secure-erase-annex`.
    pub erase: Option<String>,
    /// Longest a program may take before it is killed. Default: ten minutes.
    pub limit: Duration,
}

impl ContentConfig {
    /// What git-annex keeps free unless it is told otherwise: 100 MB.
    pub const RESERVE: u64 = 100_000_000;

    /// Everything as git-annex has it in a new repository whose git directory is `git_dir`.
    pub fn new(git_dir: impl Into<PathBuf>, bare: bool) -> Self {
        let git_dir = git_dir.into();
        let top = git_dir.parent().filter(|_| !bare).unwrap_or(&git_dir);
        let hooks = Hooks::new(git_dir.join("hooks"), top);
        Self {
            annex_dir: git_dir.join("annex"),
            hashing: Hashing { bare, ..Hashing::default() },
            secure_hashes_only: false,
            reserve: Self::RESERVE,
            sharing: Sharing::default(),
            thin: false,
            crippled: false,
            lock_files: true,
            hooks,
            durable: true,
        }
    }
}

impl Sharing {
    /// What a value of `core.sharedRepository` means. A value that git does not know shares nothing.
    pub fn parse(value: &str) -> Self {
        match value.to_ascii_lowercase().as_str() {
            "1" | "group" | "true" | "yes" | "on" => Self::Group,
            "2" | "all" | "world" | "everybody" => Self::All,
            octal => match u32::from_str_radix(octal, 8) {
                Ok(mode) if (0o600..=0o777).contains(&mode) => Self::Mode(mode & 0o666),
                _ => Self::Unshared,
            },
        }
    }
}

impl Hooks {
    /// Only the scripts in `dir`, started in `cwd`.
    pub fn new(dir: impl Into<PathBuf>, cwd: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            cwd: cwd.into(),
            freeze: None,
            thaw: None,
            erase: None,
            limit: Duration::from_secs(600),
        }
    }
}
