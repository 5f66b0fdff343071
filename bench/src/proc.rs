//! What /proc says of a process that is still running.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The most that was seen of a process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Peaks {
    /// Peak resident set in bytes, kept by the kernel.
    pub rss: u64,
    /// Most threads in any sample.
    pub threads: u64,
    /// Most open descriptors in any sample.
    pub fds: u64,
}

/// Looks at a process every few milliseconds until it is stopped.
pub struct Sampler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Peaks>,
}

impl Sampler {
    /// Starts sampling `pid`.
    pub fn start(pid: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut peaks = Peaks::default();
            while !flag.load(Ordering::Relaxed) {
                peaks = peaks.max(peek(pid));
                thread::park_timeout(Duration::from_millis(10));
            }
            peaks.max(peek(pid))
        });
        Self { stop, thread }
    }

    /// Ends sampling, with one last look: call it while the process still lives.
    pub fn finish(self) -> Peaks {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.thread.join().expect("the sampler reads files and cannot panic")
    }
}

impl Peaks {
    fn max(self, other: Self) -> Self {
        Self { rss: self.rss.max(other.rss), threads: self.threads.max(other.threads), fds: self.fds.max(other.fds) }
    }
}

/// CPU seconds `pid` has used so far, in steps of the kernel's clock tick.
///
/// Errors: there is no such process.
pub fn cpu(pid: u32) -> io::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    ticks(&stat).map(|t| t as f64 / 100.0).ok_or_else(|| io::Error::other(format!("odd /proc/{pid}/stat")))
}

/// CPU seconds `pid` has used so far in all its threads, those that ended too, to the nanosecond.
///
/// Errors: there is no such process.
pub fn cpu_exact(pid: u32) -> io::Result<f64> {
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    let mut clock = 0;
    // SAFETY: the pointer is to a local that outlives the call.
    let status = unsafe { libc::clock_getcpuclockid(pid, &mut clock) };
    if status != 0 {
        return Err(io::Error::from_raw_os_error(status));
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: as above; a clock of a process that has gone meanwhile is an error of the call.
    if unsafe { libc::clock_gettime(clock, &mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
}

/// Bytes `pid` has written to files so far that went to a disk or will.
///
/// Errors: there is no such process, or it is somebody else's.
pub fn written(pid: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/io"))?;
    let line = text.lines().find_map(|l| l.strip_prefix("write_bytes:"));
    line.and_then(|v| v.trim().parse().ok()).ok_or_else(|| io::Error::other(format!("odd /proc/{pid}/io")))
}

// USER_HZ is 100 on every architecture Linux runs git-annex on.
fn ticks(stat: &str) -> Option<u64> {
    // The command name may hold spaces and parentheses; fields are counted after the last one.
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// One look at `pid`: its peak memory so far, its threads and descriptors now; zeroes when it has gone.
pub fn peek(pid: u32) -> Peaks {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(name));
        line.and_then(|v| v.split_ascii_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).map(|d| d.count() as u64).unwrap_or(0);
    Peaks { rss: field("VmHWM:") * 1024, threads: field("Threads:"), fds }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_survive_an_odd_command_name() {
        let stat = "42 (a b) c) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0 20";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("junk"), None);
    }

    #[test]
    fn the_exact_clock_agrees_with_the_coarse_one() {
        let pid = std::process::id();
        let begin = cpu_exact(pid).expect("alive");
        let mut n = 0u64;
        while cpu_exact(pid).expect("alive") < begin + 0.05 {
            n = std::hint::black_box(n + 1);
        }
        let (coarse, exact) = (cpu(pid).expect("alive"), cpu_exact(pid).expect("alive"));
        assert!((coarse - exact).abs() < 0.1, "{coarse} {exact}");
    }

    #[test]
    fn what_we_write_is_counted() {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("temp dir");
        let before = written(std::process::id()).expect("ours");
        fs::write(dir.path().join("file"), vec![1; 1 << 20]).expect("write");
        assert!(written(std::process::id()).expect("ours") >= before + (1 << 20));
    }

    #[test]
    fn a_look_at_ourselves_sees_memory_threads_and_descriptors() {
        let sampler = Sampler::start(std::process::id());
        let peaks = sampler.finish();
        assert!(peaks.rss > 100 << 10 && peaks.threads >= 2 && peaks.fds >= 3, "{peaks:?}");
    }
}
