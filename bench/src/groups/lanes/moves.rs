//! The lanes: each moves a number of bytes from one descriptor to another with one kind of kernel call.

use rustix::fs::{copy_file_range, sendfile};
use rustix::io::{read, write};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use std::io;
use std::os::fd::BorrowedFd;

/// A way to move bytes.
#[derive(Debug, Clone, Copy)]
pub enum Move {
    /// `read` and `write` through a buffer of this many bytes, as much at a time as there is.
    Buffered(usize),
    /// The same, but written only when the buffer is full.
    Filled(usize),
    /// `splice` in and out through a pipe of this many bytes.
    Splice(usize),
    /// `sendfile`, source a file.
    Sendfile,
    /// `copy_file_range`, both ends files.
    CopyFileRange,
}

const STEP: usize = 8 << 20;

impl Move {
    /// Moves `len` bytes. Errors: a call fails, or the source ends early.
    pub fn run(self, from: BorrowedFd, to: BorrowedFd, len: u64) -> io::Result<()> {
        match self {
            Self::Buffered(size) => buffered(from, to, len, size, false),
            Self::Filled(size) => buffered(from, to, len, size, true),
            Self::Splice(size) => spliced(from, to, len, size),
            Self::Sendfile => {
                let mut offset = 0;
                repeat(len, STEP, |most| sendfile(to, from, Some(&mut offset), most))
            }
            Self::CopyFileRange => {
                let (mut here, mut there) = (0, 0);
                repeat(len, 1 << 30, |most| copy_file_range(from, Some(&mut here), to, Some(&mut there), most))
            }
        }
    }
}

fn buffered(from: BorrowedFd, to: BorrowedFd, len: u64, size: usize, fill: bool) -> io::Result<()> {
    let mut block = vec![0; size];
    repeat(len, size, |most| {
        let mut held = read(from, &mut block[..most])?;
        while fill && held < most {
            match read(from, &mut block[held..most])? {
                0 => break,
                n => held += n,
            }
        }
        let mut written = 0;
        while written < held {
            written += write(to, &block[written..held])?;
        }
        Ok(held)
    })
}

fn spliced(from: BorrowedFd, to: BorrowedFd, len: u64, size: usize) -> io::Result<()> {
    let (out, into) = pipe_with(PipeFlags::CLOEXEC)?;
    let size = fcntl_setpipe_size(&into, size)?;
    let flags = SpliceFlags::MOVE | SpliceFlags::MORE;
    repeat(len, size, |most| {
        let held = splice(from, None, &into, None, most, flags)?;
        let mut left = held;
        while left > 0 {
            left -= splice(&out, None, to, None, left, flags)?;
        }
        Ok(held)
    })
}

fn repeat(len: u64, most: usize, mut step: impl FnMut(usize) -> rustix::io::Result<usize>) -> io::Result<()> {
    let mut left = len;
    while left > 0 {
        match step(left.min(most as u64) as usize)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => left -= n as u64,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::{fill, same};
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn every_lane_between_files_moves_the_same_bytes() {
        let dir = tempfile::tempdir().expect("temp dir");
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        fill(&one, 3_000_001, 5).expect("fill");
        for how in [Move::Buffered(4096), Move::Filled(4096), Move::Splice(65536), Move::Sendfile, Move::CopyFileRange]
        {
            let (from, to) = (File::open(&one).expect("open"), File::create(&other).expect("create"));
            how.run(from.as_fd(), to.as_fd(), 3_000_001).expect("moves");
            same(&one, &other).unwrap_or_else(|e| panic!("{how:?}: {e}"));
        }
    }

    #[test]
    fn a_source_that_ends_early_is_an_error() {
        let dir = tempfile::tempdir().expect("temp dir");
        let one = dir.path().join("one");
        fill(&one, 1000, 5).expect("fill");
        let (from, to) = (File::open(&one).expect("open"), File::create(dir.path().join("other")).expect("create"));
        assert!(Move::Buffered(64).run(from.as_fd(), to.as_fd(), 1001).is_err());
    }
}
