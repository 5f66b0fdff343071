//! Where a sim is kept: `.git/annex/stream/sim/`.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::annex::fresh::{self, Durability};
use crate::annex::lock::{LockFile, LockKind};
use crate::annex::repository::Repository;
use crate::sim::{World, state};

/// How long a command waits for another one of the same sim.
const PATIENCE: Duration = Duration::from_secs(600);

/// Where repositories lie that are visited, below the directory of a sim.
pub(super) const VISITED: &str = "visited";

/// The directory.
pub(super) struct Store {
    dir: PathBuf,
}

/// The sim, held by this process alone.
pub(super) struct Held<'a> {
    store: &'a Store,
    _lock: LockFile,
}

impl Store {
    /// That of a repository.
    pub(super) fn of(repository: &Repository) -> Self {
        Self { dir: repository.annex_dir().join("stream/sim") }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Waits until no other command works on it. Blocks.
    pub(super) fn take(&self) -> Result<Held<'_>, String> {
        let told = |e: std::io::Error| format!("{}: {e}", self.dir.display());
        DirBuilder::new().recursive(true).mode(0o755).create(&self.dir).map_err(told)?;
        let lock = LockFile::wait(&self.dir.join("lock"), LockKind::Exclusive, 0o644, PATIENCE);
        let lock = lock.map_err(|e| match e.kind() {
            ErrorKind::TimedOut => format!("another command of this sim does not end: {e}"),
            _ => format!("lock the sim: {}: {e}", self.dir.display()),
        })?;
        Ok(Held { store: self, _lock: lock })
    }

    /// Whether one was started.
    pub(super) fn is_started(&self) -> bool {
        self.state().exists()
    }

    /// The sim as it is, which others may work on meanwhile.
    pub(super) fn look(&self) -> Result<World, String> {
        let path = self.state();
        let bytes = fs::read(&path).map_err(|e| match e.kind() {
            ErrorKind::NotFound => "No sim was started here. Begin one with: sim start [FILE]".to_string(),
            _ => format!("{}: {e}", path.display()),
        })?;
        state::restore(&bytes).map_err(|e| format!("{}: {e}; `sim end` removes it", path.display()))
    }

    /// Removes it, and all repositories that were visited.
    pub(super) fn end(&self) -> Result<(), String> {
        if !self.dir.exists() {
            return Ok(());
        }
        let held = self.take()?;
        let gone = |done: std::io::Result<()>| match done {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(format!("{}: {e}", self.dir.display())),
            _ => Ok(()),
        };
        // The state first: what is left of repositories is nothing without it.
        gone(fs::remove_file(self.state()))?;
        gone(fs::remove_dir_all(self.dir.join(VISITED)))?;
        // What a command that was killed had begun to save. Nobody else saves now.
        let told = |e: std::io::Error| format!("{}: {e}", self.dir.display());
        for entry in fs::read_dir(&self.dir).map_err(told)? {
            let entry = entry.map_err(told)?;
            if entry.file_name().as_encoded_bytes().starts_with(b"state.") {
                gone(fs::remove_file(entry.path()))?;
            }
        }
        drop(held);
        Ok(())
    }
}

impl Held<'_> {
    /// Fails where a sim was started.
    pub(super) fn is_free(&self) -> Result<(), String> {
        match self.store.state().exists() {
            true => Err("A sim was previously started. Use `git-annex-remote-stream sim end` to stop it before starting a new one."
                .to_string()),
            false => Ok(()),
        }
    }

    /// The sim.
    pub(super) fn load(&self) -> Result<World, String> {
        self.store.look()
    }

    /// Keeps it: killed at any moment, it is the one before or this one.
    pub(super) fn save(&mut self, world: &World) -> Result<(), String> {
        let path = self.store.state();
        let told = |e: std::io::Error| format!("{}: {e}", path.display());
        let temporary = self.store.dir.join(fresh::name("state").map_err(told)?);
        let write = |file: &mut fs::File| state::write(world, file);
        fresh::replace_written(&path, &temporary, 0o644, Durability::Machine, write).map_err(told)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_leaves_nothing_of_a_command_that_was_killed() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store { dir: dir.path().join("sim") };
        let world = World::new(1);
        store.take().expect("free").save(&world).expect("saved");
        fs::write(store.dir.join("state.00ff"), "begun").expect("written");
        fs::create_dir_all(store.dir.join(VISITED).join("visit.00ff")).expect("made");
        store.end().expect("ended");
        let left: Vec<_> =
            fs::read_dir(&store.dir).expect("there").map(|entry| entry.expect("one").file_name()).collect();
        assert_eq!(left, ["lock"]);
    }

    #[test]
    fn a_lock_that_cannot_be_taken_is_not_called_a_wait() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store { dir: dir.path().join("sim") };
        fs::create_dir_all(store.dir.join("lock")).expect("made");
        let why = store.take().err().expect("a directory is no lock");
        assert!(!why.contains("does not end") && why.contains("sim"), "{why}");
    }
}
