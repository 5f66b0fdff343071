//! A watch over data threads, in debug builds: one that sleeps in anything but its wait for events keeps all of its
//! connections waiting.
//!
//! Only sleep counts, told by the kernel from waiting for the processor and for the disk: a slow machine is no fault.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

/// How long a data thread may sleep for a lock or the like.
const LIMIT: Duration = Duration::from_millis(250);

/// How often the threads are looked at.
const TICK: Duration = Duration::from_millis(25);

/// System calls in which a thread of ours waits for events: epoll_wait and its kin, io_uring_enter. None where they have
/// other numbers, and then nothing is watched.
const EVENTS: &[u64] = if cfg!(target_arch = "x86_64") {
    &[232, 281, 441, 426]
} else if cfg!(target_arch = "aarch64") {
    &[22, 441, 426]
} else {
    &[]
};

/// That this thread is watched, until it is dropped.
#[must_use = "the watch ends when this is dropped"]
pub struct Watched(Option<Arc<Thread>>);

struct Thread {
    /// As `/proc/self/task` has it.
    id: u32,
    say: fn(&str),
    name: String,
    gone: AtomicBool,
    /// What it is at.
    what: Mutex<&'static str>,
}

thread_local! {
    static THIS: std::cell::RefCell<Option<Arc<Thread>>> = const { std::cell::RefCell::new(None) };
}

static WATCHED: Mutex<Vec<(Arc<Thread>, Sleep)>> = Mutex::new(Vec::new());

/// Watches the calling thread, and gives what is found to `say`; in release builds nothing is done.
pub fn watched(say: fn(&str)) -> Watched {
    static START: Once = Once::new();
    let id = if cfg!(debug_assertions) && !EVENTS.is_empty() { own_id() } else { None };
    let Some(id) = id else { return Watched(None) };
    let this = std::thread::current();
    let thread = Arc::new(Thread {
        id,
        say,
        name: this.name().unwrap_or("unnamed").to_string(),
        gone: AtomicBool::new(false),
        what: Mutex::new(""),
    });
    whole(&WATCHED).push((Arc::clone(&thread), Sleep::default()));
    THIS.set(Some(Arc::clone(&thread)));
    // Without it nothing is watched, which no user would notice.
    START.call_once(|| drop(std::thread::Builder::new().name("watchdog".to_string()).spawn(watch)));
    Watched(Some(thread))
}

/// Does `work`, which the watch calls `what`.
pub async fn named<F: Future>(what: &'static str, work: F) -> F::Output {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|context| {
        if cfg!(debug_assertions) {
            let _at = At::new(what);
            return work.as_mut().poll(context);
        }
        work.as_mut().poll(context)
    })
    .await
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(thread) = &self.0 {
            thread.gone.store(true, Ordering::Relaxed);
            THIS.set(None);
        }
    }
}

struct At(Option<Arc<Thread>>);

impl At {
    fn new(what: &'static str) -> Self {
        let thread = THIS.with_borrow(Clone::clone);
        if let Some(thread) = &thread {
            *whole(&thread.what) = what;
        }
        Self(thread)
    }
}

impl Drop for At {
    fn drop(&mut self) {
        if let Some(thread) = &self.0 {
            *whole(&thread.what) = "";
        }
    }
}

/// One sleep of a thread.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Sleep {
    /// The system call, its arguments, and how often the thread had gone to sleep by then: together, this sleep and no other.
    call: Option<(String, String)>,
    lasted: Duration,
}

impl Sleep {
    /// The thread has been found sleeping in `call`, `passed` after the last look, or not at all. True once for each sleep
    /// that lasts too long.
    fn goes_on(&mut self, call: Option<(String, String)>, passed: Duration) -> bool {
        if call.is_none() || self.call != call {
            *self = Self { call, lasted: Duration::ZERO };
            return false;
        }
        let before = self.lasted;
        // Where looks come late the whole machine is slow, and who holds what is waited for does not run either.
        self.lasted += passed.min(TICK * 2);
        before < LIMIT && self.lasted >= LIMIT
    }
}

fn watch() {
    let mut last = Instant::now();
    loop {
        std::thread::sleep(TICK);
        let passed = last.elapsed();
        last = Instant::now();
        let mut found = Vec::new();
        whole(&WATCHED).retain_mut(|(thread, sleep)| {
            if thread.gone.load(Ordering::Relaxed) {
                return false;
            }
            if sleep.goes_on(asleep(thread.id), passed) {
                found.push((Arc::clone(thread), sleep.call.clone().unwrap_or_default().0));
            }
            true
        });
        for (thread, call) in found {
            let place = std::fs::read_to_string(format!("/proc/self/task/{}/wchan", thread.id)).unwrap_or_default();
            let number = call.split(' ').next().unwrap_or_default();
            let (name, what) = (&thread.name, *whole(&thread.what));
            let limit = LIMIT.as_millis();
            (thread.say)(&format!(
                "data thread {name} has slept for {limit} ms in system call {number} ({place}), at {what:?}"
            ));
        }
    }
}

fn own_id() -> Option<u32> {
    let link = std::fs::read_link("/proc/thread-self").ok()?;
    link.file_name()?.to_str()?.parse().ok()
}

/// What the thread `id` sleeps in, if it does, and that is not its wait for events.
fn asleep(id: u32) -> Option<(String, String)> {
    let read = |what: &str| std::fs::read_to_string(format!("/proc/self/task/{id}/{what}")).ok();
    // The number, arguments and pointers; or `running`.
    let call = read("syscall")?;
    let number: u64 = call.split(' ').next()?.parse().ok()?;
    if EVENTS.contains(&number) {
        return None;
    }
    let status = read("status")?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let switches = field("voluntary_ctxt_switches")?.trim().to_string();
    field("State")?.trim().starts_with('S').then_some((call, switches))
}

fn whole<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sleep_is_told_once_and_late_looks_count_little() {
        let call = |switches: &str| Some(("202 0x1".to_string(), switches.to_string()));
        let mut sleep = Sleep::default();
        assert!(!sleep.goes_on(call("1"), LIMIT * 9), "it may just have begun");
        let told: Vec<_> = (0..20).filter(|_| sleep.goes_on(call("1"), TICK)).collect();
        assert_eq!(told, [9]);
        assert!(!sleep.goes_on(call("2"), LIMIT), "another sleep");
        assert_eq!((0..4).filter(|_| sleep.goes_on(call("2"), LIMIT * 9)).count(), 0, "the machine is slow");
        assert!(!sleep.goes_on(None, TICK) && !sleep.goes_on(call("2"), TICK));
    }

    #[test]
    fn a_thread_that_waits_for_a_lock_is_told_from_one_that_waits_for_events() {
        if EVENTS.is_empty() || std::fs::read_to_string("/proc/thread-self/syscall").is_err() {
            eprintln!("NOT TESTED: the watch over data threads, which this kernel does not support");
            return;
        }
        let held = Mutex::new(());
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let guard = whole(&held);
            let waits = scope.spawn(|| {
                let work = named("a lock", async {
                    tell.send(own_id().expect("it has one")).expect("somebody waits");
                    // Its first wait is for an event, its second for the lock.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    drop(whole(&held));
                });
                crate::sys::run(false, work).expect("a runtime");
            });
            let id = told.recv().expect("told");
            let mut sleep = Sleep::default();
            while !sleep.goes_on(asleep(id), TICK) {
                assert!(!waits.is_finished());
                std::thread::sleep(TICK);
            }
            assert_eq!(asleep(id), sleep.call);
            drop(guard);
        });
    }
}
