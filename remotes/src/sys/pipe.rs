//! A pipe, for moving bytes between two descriptors inside the kernel.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// Wished capacity in bytes: four times the default gives most of what splice can gain; unprivileged users may be refused
/// more than 64 KiB once their pipes hold too much.
const CAPACITY: usize = 1 << 20;

/// A pipe whose both ends never block. Used again only when empty.
pub struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    held: usize,
}

impl Pipe {
    /// A new pipe, as large as the kernel grants.
    pub fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        for size in [CAPACITY, CAPACITY / 4] {
            if fcntl_setpipe_size(&write, size).is_ok() {
                break;
            }
        }
        Ok(Self { read, write, held: 0 })
    }

    /// Bytes in the pipe now.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Moves up to `len` bytes from `from` into the pipe. `Ok(0)` is the end of `from`. `from` must not block.
    pub fn fill(&mut self, from: impl AsFd, len: usize) -> io::Result<usize> {
        let n = splice(from, None, &self.write, None, len, SpliceFlags::MOVE | SpliceFlags::NONBLOCK)?;
        self.held += n;
        Ok(n)
    }

    /// Moves what the pipe holds to `to`, which must not block. `more` tells the socket that more follows.
    pub fn drain(&mut self, to: impl AsFd, more: bool) -> io::Result<usize> {
        let mut flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        if more {
            flags |= SpliceFlags::MORE;
        }
        let n = splice(&self.read, None, to, None, self.held, flags)?;
        self.held -= n;
        Ok(n)
    }
}
