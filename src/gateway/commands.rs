//! `remote.NAME.annex-start-command` and `annex-stop-command`: what is run before a remote is used, and after it was.
//!
//! They come from git config of this computer alone. As git-annex does it, whoever uses the remote keeps a shared lock of
//! `annex/remotes/UUID.lck`, and who gets it alone runs the stop command. What git-annex does not: where the start command
//! fails, the remote is not used, since what should have been mounted is not.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Failure;
use crate::annex::lock::{LockFile, LockKind};
use crate::annex::program;
use crate::annex::repository::{Config, Repository};
use crate::name::Uuid;

/// Longest time that one of the commands may take.
const LIMIT: Duration = Duration::from_secs(60);

/// How long nobody must have used a remote before it is stopped: requests come one after another.
pub(super) const PAUSE: Duration = Duration::from_secs(10);

/// The commands of one remote.
pub struct Commands {
    remote: String,
    start: Option<String>,
    stop: Option<String>,
    cwd: PathBuf,
    lock: PathBuf,
    /// HeldLock while one of the commands runs. The lock is there from the start on.
    started: Arc<tokio::sync::Mutex<Option<LockFile>>>,
    users: Mutex<Users>,
}

struct Users {
    count: usize,
    /// When the last of them left.
    since: Instant,
    /// Nobody comes by any more to see whether there are none.
    is_ending: bool,
}

/// The remote is in use, until this is dropped.
pub struct InUse(Arc<Commands>);

/// All that were met, so that a reading of the configuration anew does not make a second one.
#[derive(Default)]
pub(super) struct AllCommands(Mutex<HashMap<(Uuid, Lines), Arc<Commands>>>);

/// What is run before and after.
type Lines = [Option<String>; 2];

impl AllCommands {
    /// Those of the remote `uuid`, called `name`; `None` where there are none.
    pub(super) fn of(
        &self,
        repository: &Repository,
        config: &Config,
        name: &[u8],
        uuid: &Uuid,
    ) -> Option<Arc<Commands>> {
        let set = |key: &str| {
            let value = config.value_in("remote", name, key).filter(|value| !value.trim_ascii().is_empty())?;
            Some(String::from_utf8_lossy(&value).into_owned())
        };
        let lines = [set("annex-start-command"), set("annex-stop-command")];
        if lines.iter().all(Option::is_none) {
            return None;
        }
        let make = || {
            let [start, stop] = lines.clone();
            let file: String = uuid.to_string().chars().map(|c| if c == '/' { '_' } else { c }).collect();
            Arc::new(Commands {
                remote: String::from_utf8_lossy(name).into_owned(),
                start,
                stop,
                cwd: repository.work_tree().unwrap_or(repository.git_dir()).to_path_buf(),
                lock: repository.annex_dir().join("remotes").join(format!("{file}.lck")),
                started: Arc::default(),
                users: Mutex::new(Users { count: 0, since: Instant::now(), is_ending: false }),
            })
        };
        Some(Arc::clone(whole(&self.0).entry((uuid.clone(), lines.clone())).or_insert_with(make)))
    }

    /// Stops what nobody used for a while, beside whoever calls this.
    pub(super) fn tidy(&self) {
        for commands in self.all() {
            if commands.is_idle(PAUSE) {
                beside(move || commands.stop_idle(PAUSE));
            }
        }
    }

    /// Stops what nobody uses, and from now on all else as soon as it is used no more. Blocks.
    pub(super) fn end(&self) {
        for commands in self.all() {
            whole(&commands.users).is_ending = true;
            commands.stop_idle(Duration::ZERO);
        }
    }

    fn all(&self) -> Vec<Arc<Commands>> {
        whole(&self.0).values().map(Arc::clone).collect()
    }
}

impl Commands {
    /// Begins to use the remote; runs its start command where nobody uses it yet.
    ///
    /// Failures: that ended badly, or took too long.
    pub(super) async fn enter(self: &Arc<Self>) -> Result<InUse, Failure> {
        // Counted first, so that nobody stops it from here on.
        whole(&self.users).count += 1;
        let in_use = InUse(Arc::clone(self));
        let turn = tokio::time::timeout(LIMIT * 2, Arc::clone(&self.started).lock_owned()).await;
        let mut started = turn.map_err(|_| Failure::busy(&format!("remote {} is being started", self.remote)))?;
        if started.is_none() {
            let commands = Arc::clone(self);
            // Not among the pool threads that are counted, and done to its end if whoever waits leaves.
            let work = move || {
                *started = Some(commands.start()?);
                Ok::<_, Failure>(())
            };
            tokio::task::spawn_blocking(work).await.map_err(|e| Failure::internal(e.to_string()))??;
        }
        Ok(in_use)
    }

    /// Blocks.
    fn start(&self) -> Result<LockFile, Failure> {
        let io = |e: std::io::Error| Failure::io(&format!("lock {}", self.lock.display()), &e);
        if let Some(dir) = self.lock.parent() {
            fs::create_dir_all(dir).map_err(io)?;
        }
        let lock = LockFile::wait(&self.lock, LockKind::Shared, 0o666, LIMIT).map_err(io)?;
        if let Some(line) = &self.start {
            program::run(&mut program::shell(line), &self.cwd, LIMIT).map_err(|why| {
                let words = format!(
                    "annex-start-command of remote {}: {why}; until it works the remote is not used",
                    self.remote
                );
                tracing::warn!("{words}");
                Failure::internal(words)
            })?;
        }
        Ok(lock)
    }

    fn is_idle(&self, pause: Duration) -> bool {
        let users = whole(&self.users);
        users.count == 0 && users.since.elapsed() >= pause && self.started.try_lock().is_ok_and(|it| it.is_some())
    }

    /// Runs the stop command where nobody used the remote for `pause`, here or by git-annex. Blocks.
    fn stop_idle(&self, pause: Duration) {
        // Whoever holds it is starting or stopping the remote.
        let Ok(mut started) = self.started.try_lock() else { return };
        // Whoever comes now waits for the turn, and starts it again.
        let is_idle = |users: MutexGuard<'_, Users>| users.count == 0 && users.since.elapsed() >= pause;
        if !is_idle(whole(&self.users)) || started.take().is_none() {
            return;
        }
        let Some(line) = &self.stop else { return };
        match LockFile::try_lock(&self.lock, LockKind::Exclusive, 0o666) {
            Ok(Some(_alone)) => {
                if let Err(why) = program::run(&mut program::shell(line), &self.cwd, LIMIT) {
                    tracing::warn!("annex-stop-command of remote {}: {why}", self.remote);
                }
            }
            // Others use it, and the last of them runs it.
            Ok(None) => {}
            Err(e) => {
                tracing::warn!("lock {}: {e}; annex-stop-command of {} is not run", self.lock.display(), self.remote)
            }
        }
    }
}

impl Clone for InUse {
    fn clone(&self) -> Self {
        whole(&self.0.users).count += 1;
        Self(Arc::clone(&self.0))
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let mut users = whole(&self.0.users);
        users.count -= 1;
        users.since = Instant::now();
        if users.count == 0 && users.is_ending {
            let commands = Arc::clone(&self.0);
            beside(move || commands.stop_idle(Duration::ZERO));
        }
    }
}

/// Where there is no thread for it, the next time does it.
fn beside(f: impl FnOnce() + Send + 'static) {
    let _ = std::thread::Builder::new().name("stop-command".to_string()).spawn(f);
}

/// What is guarded is changed in one step.
fn whole<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annex::repository::tests::{git, make};

    struct Lab {
        dir: tempfile::TempDir,
        repository: Repository,
        all: AllCommands,
    }

    impl Lab {
        fn new(start: &str, stop: &str) -> Self {
            let dir = tempfile::tempdir().expect("a directory");
            make(dir.path(), &[]);
            git(dir.path(), &["config", "remote.r.annex-start-command", start]);
            git(dir.path(), &["config", "remote.r.annex-stop-command", stop]);
            let repository = Repository::open(dir.path()).unwrap_or_else(|e| panic!("{e}"));
            Self { dir, repository, all: AllCommands::default() }
        }

        fn commands(&self) -> Option<Arc<Commands>> {
            let uuid = Uuid::parse(b"u-2").expect("a uuid");
            self.all.of(&self.repository, &self.repository.settings(), b"r", &uuid)
        }

        fn log(&self) -> String {
            fs::read_to_string(self.dir.path().join("log")).unwrap_or_default().replace('\n', " ")
        }
    }

    #[test]
    fn the_first_user_starts_it_and_the_last_stops_it() {
        let lab = Lab::new("echo start >>log", "echo stop >>log");
        let commands = lab.commands().expect("there are some");
        assert!(Arc::ptr_eq(&commands, &lab.commands().expect("the same")));
        let work = async {
            let first = commands.enter().await.unwrap_or_else(|e| panic!("{e}"));
            let second = commands.enter().await.unwrap_or_else(|e| panic!("{e}"));
            drop(first);
            commands.stop_idle(Duration::ZERO);
            assert_eq!(lab.log(), "start ", "somebody uses it");
            drop(second);
            commands.stop_idle(Duration::from_secs(1000));
            assert_eq!(lab.log(), "start ", "somebody may come soon");
            commands.stop_idle(Duration::ZERO);
            commands.stop_idle(Duration::ZERO);
            assert_eq!(lab.log(), "start stop ");
            let third = commands.enter().await.unwrap_or_else(|e| panic!("{e}"));
            // git-annex uses it too.
            drop(third);
            let lock = lab.repository.annex_dir().join("remotes/u-2.lck");
            let other = LockFile::try_lock(&lock, LockKind::Shared, 0o666).expect("asked").expect("free");
            commands.stop_idle(Duration::ZERO);
            drop(other);
            assert_eq!(lab.log(), "start stop start ");
        };
        remotes::sys::run(false, work).expect("a runtime");
    }

    #[test]
    fn a_remote_that_does_not_start_is_not_used() {
        let lab = Lab::new("echo start >>log; test -e disk", "echo stop >>log");
        let commands = lab.commands().expect("there are some");
        let work = async {
            let failed = commands.enter().await.err().expect("it is not started").to_string();
            assert!(failed.contains("annex-start-command of remote r: exit status: 1"), "{failed}");
            lab.all.end();
            assert_eq!(lab.log(), "start ", "what did not start is not stopped");
            fs::write(lab.dir.path().join("disk"), "").expect("written");
            drop(commands.enter().await.unwrap_or_else(|e| panic!("{e}")));
        };
        remotes::sys::run(false, work).expect("a runtime");
    }
}
