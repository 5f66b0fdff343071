//! The user's commands that freeze, thaw and erase content.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::ContentError;
use super::config::ContentConfig;
use crate::annex::program;

/// After write permission was taken from `path`. One that fails is only told of, as git-annex goes on too.
pub fn freeze(config: &ContentConfig, path: &Path) {
    warn(run(config, "freezecontent-annex", config.hooks.freeze.as_deref(), "%path", path));
}

/// Before `path` gets write permission. One that fails is only told of.
pub fn thaw(config: &ContentConfig, path: &Path) {
    warn(run(config, "thawcontent-annex", config.hooks.thaw.as_deref(), "%path", path));
}

/// Whether there is something to erase content with.
pub fn is_erasing(config: &ContentConfig) -> bool {
    config.hooks.erase.is_some() || is_executable(&config.hooks.dir.join(ERASE))
}

/// Before the content at `path` is removed.
///
/// # Errors
///
/// `Hook` where it failed. git-annex goes on and removes the content then, and nobody learns that it was not erased.
pub fn erase(config: &ContentConfig, path: &Path) -> Result<(), ContentError> {
    run(config, ERASE, config.hooks.erase.as_deref(), "%file", path)
}

const ERASE: &str = "secure-erase-annex";

fn warn(done: Result<(), ContentError>) {
    if let Err(e) = done {
        tracing::warn!("{e}");
    }
}

/// Runs `command`, or else the script `name`, about `path`. Success where there is neither.
fn run(
    config: &ContentConfig,
    name: &'static str,
    command: Option<&str>,
    placeholder: &str,
    path: &Path,
) -> Result<(), ContentError> {
    let failed = |detail: String| ContentError::Hook { name, detail };
    let mut program = match command {
        Some(command) => program::shell(fill(command, placeholder, path)),
        None => {
            let script = config.hooks.dir.join(name);
            if !is_executable(&script) {
                return Ok(());
            }
            let mut program = Command::new(script);
            program.arg(path);
            program
        }
    };
    program::run(&mut program, &config.hooks.cwd, config.hooks.limit).map_err(failed)
}

fn is_executable(script: &Path) -> bool {
    std::fs::metadata(script).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// `command` with the path, quoted for the shell, in place of `placeholder`.
fn fill(command: &str, placeholder: &str, path: &Path) -> OsString {
    let mut quoted = vec![b'\''];
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'\'' => quoted.extend_from_slice(b"'\\''"),
            other => quoted.push(*other),
        }
    }
    quoted.push(b'\'');
    let parts: Vec<&[u8]> = command.split(placeholder).map(str::as_bytes).collect();
    OsStr::from_bytes(&parts.join(&quoted[..])).to_os_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn paths_reach_the_shell_as_one_word() {
        let filled = fill("wipe -f %file; echo %file", "%file", Path::new("/a b/it's"));
        assert_eq!(filled, r"wipe -f '/a b/it'\''s'; echo '/a b/it'\''s'");
    }

    #[test]
    fn a_program_that_fails_or_stays_is_an_error() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = ContentConfig::new(dir.path(), true);
        assert!(!is_erasing(&config) && erase(&config, dir.path()).is_ok(), "there is none");
        config.hooks.erase = Some("test -d %file".to_string());
        assert!(is_erasing(&config) && erase(&config, dir.path()).is_ok(), "it is a directory");
        let error = erase(&config, Path::new("/nothing/here")).expect_err("it is not");
        assert!(error.to_string().starts_with("secure-erase-annex: exit status: 1"), "{error}");
        config.hooks.erase = Some("exec sleep 1000".to_string());
        config.hooks.limit = Duration::from_millis(20);
        let error = erase(&config, dir.path()).expect_err("it stays");
        assert!(error.to_string().contains("killed"), "{error}");
    }
}
