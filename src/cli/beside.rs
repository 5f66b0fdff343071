//! Started under the name git-annex: `p2phttp` is ours, and all else is handed to the real one.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Whether these arguments of git-annex are for us.
pub(super) fn is_ours(arguments: &[OsString]) -> bool {
    arguments.first().is_some_and(|word| word == "p2phttp")
}

/// Becomes the next git-annex in the PATH that is not this program. Returns only where there is none.
pub(super) fn hand_over(arguments: Vec<OsString>) -> ExitCode {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let Some(real) = real_one(&path, std::env::current_exe().ok().as_deref()) else {
        eprintln!("git-annex-remote-stream: started as git-annex, and no other git-annex is in the PATH: install it");
        return ExitCode::from(127);
    };
    let error = Command::new(&real).arg0("git-annex").args(arguments).exec();
    eprintln!("git-annex-remote-stream: {}: {error}", real.display());
    ExitCode::from(126)
}

/// The first program called git-annex in `path` that is another file than `own`, under whatever name that is there.
fn real_one(path: &std::ffi::OsStr, own: Option<&Path>) -> Option<PathBuf> {
    let id = |path: &Path| path.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
    let own = own.and_then(id);
    let is_program = |path: &Path| path.metadata().is_ok_and(|meta| meta.is_file() && meta.mode() & 0o111 != 0);
    std::env::split_paths(path)
        .map(|dir| dir.join("git-annex"))
        .find(|program| is_program(program) && id(program) != own)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn the_real_one_is_the_first_that_is_not_this_program() {
        let top = tempfile::tempdir().expect("a directory");
        let at = |name: &str| top.path().join(name);
        for dir in ["ours", "plain", "theirs", "bin"] {
            std::fs::create_dir(at(dir)).expect("a directory");
        }
        let program = |name: &str, mode: u32| {
            std::fs::write(at(name), "x").expect("a file");
            std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(mode)).expect("it is ours");
        };
        program("bin/stream", 0o755);
        symlink("../bin/stream", at("ours/git-annex")).expect("a link");
        program("plain/git-annex", 0o644);
        program("theirs/git-annex", 0o755);
        let path = |dirs: &[&str]| std::env::join_paths(dirs.iter().map(|dir| at(dir))).expect("a path");
        let found = |dirs: &[&str]| real_one(&path(dirs), Some(&at("bin/stream")));
        assert_eq!(found(&["ours", "none", "plain", "theirs"]), Some(at("theirs/git-annex")));
        assert_eq!(found(&["ours", "plain"]), None, "it never starts itself");
    }

    #[test]
    fn only_p2phttp_is_ours() {
        let words = |text: &str| text.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        assert!(is_ours(&words("p2phttp --directory x")));
        for other in ["", "init p2phttp", "--debug p2phttp", "p2pstdio"] {
            assert!(!is_ours(&words(other)), "{other}");
        }
    }
}
