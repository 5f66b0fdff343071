//! File to file, by copy_file_range(2): shares extents where the file system can, copies in the kernel elsewhere.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;

use crate::budget::BLOCK;
use crate::pump::{FileSource, Meter};
use crate::sys::on_a_thread;

/// How much is copied between two looks at the stop sign, in bytes.
const STEP: usize = 16 << 20;

/// Copies all of `from` into `to` at `at`, on a pool thread. Dropping the future stops the copy within a step.
///
/// # Errors
///
/// `UnexpectedEof` where the source ends early.
pub async fn copy_range(from: &FileSource, to: &Arc<File>, at: u64, meter: &Meter) -> io::Result<()> {
    let (from, to, meter) = (from.clone(), Arc::clone(to), meter.clone());
    let stop = Arc::new(AtomicBool::new(false));
    let _stop_on_drop = StopOnDrop(Arc::clone(&stop));
    on_a_thread(move || copy(&from, &to, at, &meter, &stop)).await?
}

struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn copy(from: &FileSource, to: &File, at: u64, meter: &Meter, stop: &AtomicBool) -> io::Result<()> {
    let mut done = 0;
    let mut in_kernel = true;
    let mut buf = Vec::new();
    while done < from.len {
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let left = usize::try_from(from.len - done).unwrap_or(usize::MAX).min(STEP);
        let n = if in_kernel {
            let (mut source, mut target) = (from.at + done, at + done);
            match rustix::fs::copy_file_range(&from.file, Some(&mut source), to, Some(&mut target), left) {
                Ok(n) => n,
                Err(Errno::INTR) => continue,
                // Between file systems, on old kernels, or on files that are no plain files.
                Err(Errno::XDEV | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL | Errno::PERM) => {
                    in_kernel = false;
                    continue;
                }
                Err(e) => return Err(e.into()),
            }
        } else {
            buf.resize(BLOCK, 0);
            let n = from.file.read_at(&mut buf[..left.min(BLOCK)], from.at + done)?;
            to.write_all_at(&buf[..n], at + done)?;
            n
        };
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        done += n as u64;
        meter.add(n as u64);
    }
    Ok(())
}
