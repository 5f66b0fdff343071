//! Writing git config.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Repository;

impl Repository {
    /// Sets `name` in the configuration of this repository alone, and reads it anew. Waits for the program git.
    ///
    /// # Errors
    ///
    /// What git said, on one line: it is no name that git takes, or the file cannot be written.
    pub fn set_config(&self, name: &[u8], value: &[u8]) -> Result<(), String> {
        self.write_config(&[name, value])
    }

    /// Takes `name` out of it, as [`set_config`](Self::set_config) puts it there.
    ///
    /// # Errors
    ///
    /// As those; it is not set there, too.
    pub fn unset_config(&self, name: &[u8]) -> Result<(), String> {
        self.write_config(&[b"--unset-all", name])
    }

    fn write_config(&self, words: &[&[u8]]) -> Result<(), String> {
        let words: Vec<&OsStr> = words.iter().map(|word| OsStr::from_bytes(word)).collect();
        // Of the whole repository, not of one of its work trees.
        let file = self.annex_dir().parent().unwrap_or(self.git_dir()).join("config");
        write(&file, &words)?;
        self.reload_config();
        Ok(())
    }
}

/// git alone knows how to write its configuration beside others who do.
pub(super) fn write(file: &Path, words: &[&OsStr]) -> Result<(), String> {
    let mut git = Command::new("git");
    git.args(["config", "--file"]).arg(file).args(words).stdin(Stdio::null()).stdout(Stdio::null());
    let done = git.output().map_err(|e| format!("git: {e}"))?;
    match done.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&done.stderr).split_whitespace().collect::<Vec<_>>().join(" ")),
    }
}
