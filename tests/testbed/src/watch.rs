//! A process that is killed at the n-th change below some directories.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A process; `None` where it has ended and was waited for.
pub fn aim(pid: u32) -> Option<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("the id of a process");
    match pidfd_open(pid, PidfdFlags::empty()) {
        Err(Errno::SRCH) => None,
        process => Some(process.expect("a process")),
    }
}

/// Directories, and what changes below them.
pub struct Watch {
    queue: OwnedFd,
    dirs: HashMap<i32, PathBuf>,
}

impl Watch {
    /// Looks at `roots` and all that is or comes below them.
    pub fn below(roots: &[PathBuf]) -> Watch {
        let queue = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).expect("inotify");
        let mut watch = Watch { queue, dirs: HashMap::new() };
        roots.iter().for_each(|root| watch.add(root));
        watch
    }

    /// Kills `pid` at the `nth` change; returns how many there were before it ended.
    pub fn kill_at(&mut self, pid: u32, nth: usize) -> usize {
        self.kill_when(&aim(pid).expect("it was not waited for"), nth)
    }

    /// The same for a process that may be waited for meanwhile.
    pub fn kill_when(&mut self, process: &OwnedFd, nth: usize) -> usize {
        let mut changes = 0;
        loop {
            let mut fds = [PollFd::new(&self.queue, PollFlags::IN), PollFd::new(process, PollFlags::IN)];
            let limit = Timespec { tv_sec: 120, tv_nsec: 0 };
            assert!(poll(&mut fds, Some(&limit)).expect("poll works") > 0, "it does nothing, and does not end");
            let ended = !fds[1].revents().is_empty();
            for new in self.changes() {
                changes += 1;
                if changes == nth {
                    // It may have ended by itself.
                    let _ = pidfd_send_signal(process, Signal::KILL);
                }
                if let Some(dir) = new {
                    self.add(&dir);
                }
            }
            if ended {
                return changes;
            }
        }
    }

    /// Looks past what changed so far.
    pub fn forget(&mut self) {
        for dir in self.changes().into_iter().flatten() {
            self.add(&dir);
        }
    }

    /// Each change; a directory, where one is new.
    fn changes(&self) -> Vec<Option<PathBuf>> {
        let (mut found, mut buffer) = (Vec::new(), [MaybeUninit::<u8>::uninit(); 16 << 10]);
        let mut reader = inotify::Reader::new(&self.queue, &mut buffer);
        loop {
            let event = match reader.next() {
                Err(Errno::AGAIN) => return found,
                event => event.expect("events"),
            };
            if event.events().contains(ReadFlags::IGNORED) {
                continue;
            }
            let dir = self.dirs.get(&event.wd()).filter(|_| event.events().contains(ReadFlags::ISDIR));
            let name =
                event.file_name().map(|name| Path::new(std::ffi::OsStr::from_bytes(name.to_bytes())).to_path_buf());
            found.push(dir.zip(name).map(|(dir, name)| dir.join(name)));
        }
    }

    fn add(&mut self, dir: &Path) {
        let about =
            WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE | WatchFlags::MODIFY | WatchFlags::ONLYDIR;
        // It may be gone again.
        let Ok(wd) = inotify::add_watch(&self.queue, dir, about) else { return };
        self.dirs.insert(wd, dir.to_path_buf());
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            self.add(&entry.path());
        }
    }
}
