//! `install-shell`: makes the link by which this program is found as git-annex-shell.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use clap::Args;

pub(super) const EXAMPLES: &str = "\
git-annex clients that come over ssh start git-annex-shell on the server. Packages of this program have no file of that name, since
git-annex has one. As root, on a server without git-annex:

  git-annex-remote-stream install-shell /usr/local/bin

For one user, where ssh gives a PATH that begins with ~/bin:

  git-annex-remote-stream install-shell ~/bin

A link to this program is made, or led here from an older place of it. What is not such a link is left alone. To end it,
remove the link: rm /usr/local/bin/git-annex-shell";

/// The name that clients ask for.
const SHELL: &str = "git-annex-shell";
/// The name that says of a link that it leads to this program, also where that is gone.
const OWN: &str = "git-annex-remote-stream";

#[derive(Args)]
pub(super) struct InstallShell {
    /// Where the link belongs: a directory of the PATH that ssh gives, before that of git-annex's own git-annex-shell.
    directory: PathBuf,
}

/// Makes it, and says where it is.
pub(super) fn main(args: &InstallShell) -> io::Result<()> {
    let own = std::env::current_exe()?;
    let installed = install(&own, &args.directory).map_err(io::Error::other)?;
    println!("{installed}");
    let path = std::env::var_os("PATH").unwrap_or_default();
    if let Some(other) = before(&path, &own) {
        eprintln!("{OWN}: note: in the PATH of this shell {} is found instead", other.display());
    }
    Ok(())
}

/// What was done.
#[derive(Debug, PartialEq, Eq)]
enum Installed {
    New(PathBuf),
    There(PathBuf),
    /// And where it led before.
    Moved(PathBuf, PathBuf),
}

impl fmt::Display for Installed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New(link) => write!(f, "{}: made", link.display()),
            Self::There(link) => write!(f, "{}: is there already", link.display()),
            Self::Moved(link, old) => write!(f, "{}: leads here now, not to {}", link.display(), old.display()),
        }
    }
}

/// Has `directory/git-annex-shell` lead to `own`.
fn install(own: &Path, directory: &Path) -> Result<Installed, String> {
    let link = directory.join(SHELL);
    let told = |e: &io::Error| format!("{}: {e}", link.display());
    match fs::metadata(directory) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => {
            return Err(format!("{}: is no directory: name the directory the link belongs in", directory.display()));
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(format!("{}: there is no such directory: make it first, or name another", directory.display()));
        }
        Err(e) => return Err(format!("{}: {e}", directory.display())),
    }
    let old = match fs::symlink_metadata(&link) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(told(&e)),
        Ok(found) if found.is_symlink() => Some(fs::read_link(&link).map_err(|e| told(&e))?),
        Ok(_) => return Err(foreign(&link, "is no link")),
    };
    let Some(old) = old else {
        return match symlink(target(own, directory), &link) {
            Ok(()) => Ok(Installed::New(link)),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                Err(format!("{}: {e}: run it as root, or name a directory of yours", link.display()))
            }
            Err(e) => Err(told(&e)),
        };
    };
    if is_same(&link, own) {
        return Ok(Installed::There(link));
    }
    if old.file_name() != Some(OsStr::new(OWN)) {
        return Err(foreign(&link, &format!("leads to {}", old.display())));
    }
    replace(own, directory, &link).map_err(|e| told(&e))?;
    Ok(Installed::Moved(link, old))
}

/// By a rename, so that there is no moment without the link.
fn replace(own: &Path, directory: &Path, link: &Path) -> io::Result<()> {
    let new = directory.join(format!(".{SHELL}.{}", std::process::id()));
    symlink(target(own, directory), &new)?;
    fs::rename(&new, link).inspect_err(|_| drop(fs::remove_file(&new)))
}

/// What the link holds: the name alone where both are in one directory, which may move then.
fn target(own: &Path, directory: &Path) -> PathBuf {
    let beside = own.parent().is_some_and(|parent| is_same(parent, directory));
    own.file_name().filter(|_| beside).map_or_else(|| own.to_path_buf(), PathBuf::from)
}

fn foreign(link: &Path, what: &str) -> String {
    format!(
        "{}: {what}, and is left alone: name a directory that comes before it in the PATH that ssh gives, or remove it first",
        link.display()
    )
}

/// The git-annex-shell that is first in `path`, where it is not this program.
fn before(path: &OsStr, own: &Path) -> Option<PathBuf> {
    let all = path.as_bytes().split(|byte| *byte == b':').map(|one| Path::new(OsStr::from_bytes(one)).join(SHELL));
    all.filter(|file| file.is_absolute()).find(|file| file.is_file()).filter(|file| !is_same(file, own))
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        directory: tempfile::TempDir,
        own: PathBuf,
    }

    impl Place {
        fn new() -> Self {
            let directory = tempfile::tempdir().expect("a directory");
            for name in ["old", "new", "bin"] {
                fs::create_dir(directory.path().join(name)).expect("made");
            }
            let own = directory.path().join("new").join(OWN);
            fs::write(&own, "").expect("written");
            Self { directory, own }
        }

        fn at(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        fn install(&self, name: &str) -> Result<Installed, String> {
            install(&self.own, &self.at(name))
        }

        /// Where the link in `bin` leads.
        fn leads(&self) -> PathBuf {
            fs::read_link(self.at("bin/git-annex-shell")).expect("a link")
        }
    }

    #[test]
    fn the_link_is_made_once_and_is_there_the_second_time() {
        let place = Place::new();
        let link = place.at("bin/git-annex-shell");
        assert_eq!(place.install("bin"), Ok(Installed::New(link.clone())));
        assert_eq!(place.leads(), place.own);
        assert_eq!(place.install("bin"), Ok(Installed::There(link)));
        assert_eq!(fs::read_dir(place.at("bin")).expect("read").count(), 1);
    }

    #[test]
    fn beside_the_program_the_link_is_its_name() {
        let place = Place::new();
        place.install("new").expect("made");
        assert_eq!(fs::read_link(place.at("new/git-annex-shell")).expect("a link"), Path::new(OWN));
    }

    #[test]
    fn a_link_to_an_older_place_of_the_program_leads_here_whether_that_is_gone_or_not() {
        for is_gone in [true, false] {
            let place = Place::new();
            let (link, old) = (place.at("bin/git-annex-shell"), place.at("old").join(OWN));
            symlink(&old, &link).expect("made");
            if !is_gone {
                fs::write(&old, "").expect("written");
            }
            assert_eq!(place.install("bin"), Ok(Installed::Moved(link, old)));
            assert_eq!(place.leads(), place.own);
            assert_eq!(fs::read_dir(place.at("bin")).expect("read").count(), 1);
        }
    }

    #[test]
    fn what_is_of_another_program_is_left_alone_and_named() {
        let place = Place::new();
        let link = place.at("bin/git-annex-shell");
        symlink("/opt/git-annex/git-annex", &link).expect("made");
        let why = place.install("bin").expect_err("another's");
        assert!(why.contains("leads to /opt/git-annex/git-annex, and is left alone: name a directory"), "{why}");
        assert_eq!(place.leads(), Path::new("/opt/git-annex/git-annex"));
        fs::remove_file(&link).expect("removed");
        fs::write(&link, "#!/bin/sh\n").expect("written");
        let why = place.install("bin").expect_err("another's");
        assert!(why.contains("is no link, and is left alone"), "{why}");
        assert_eq!(fs::read(&link).expect("read"), b"#!/bin/sh\n");
    }

    #[test]
    fn a_directory_that_is_none_is_named_with_the_way_out() {
        let place = Place::new();
        let why = place.install("missing").expect_err("not there");
        assert!(why.contains("missing: there is no such directory: make it first"), "{why}");
        fs::write(place.at("file"), "").expect("written");
        let why = place.install("file").expect_err("a file");
        assert!(why.contains("file: is no directory"), "{why}");
    }

    #[test]
    fn another_git_annex_shell_that_comes_first_is_named() {
        let place = Place::new();
        let path = format!("relative:{}:{}", place.at("old").display(), place.at("bin").display());
        assert_eq!(before(OsStr::new(&path), &place.own), None);
        place.install("bin").expect("made");
        assert_eq!(before(OsStr::new(&path), &place.own), None);
        fs::write(place.at("old/git-annex-shell"), "").expect("written");
        assert_eq!(before(OsStr::new(&path), &place.own), Some(place.at("old/git-annex-shell")));
    }
}
