//! How a store behaves: how fast it is, whether it stalls, whether it was killed, and how much has passed.

use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How far behind its rate a store may catch up: what a busy machine delays, and no more.
const SLACK: Duration = Duration::from_millis(50);

/// How far ahead of the rate of requests that are welcome a burst may be.
const BURST: Duration = Duration::from_millis(50);

/// How often a store that stalls looks whether it still does.
const LOOK: Duration = Duration::from_millis(20);

/// The behaviour of one store, for all its connections.
pub struct Temper {
    /// Bytes a second that all connections take and give together; as fast as it can where there is none.
    rate: AtomicU64,
    /// Bytes of a body after which no more of it is taken.
    stalls: AtomicU64,
    is_dead: AtomicBool,
    requests: AtomicU64,
    refused: AtomicU64,
    /// One in so many is refused; 0 for none.
    refusals: AtomicU64,
    /// Requests a second that are welcome; 0 for all.
    welcome: AtomicU64,
    /// When the next request would be one too many.
    asked: Mutex<Instant>,
    passed: AtomicU64,
    /// When what passed so far should have passed.
    due: Mutex<Instant>,
    connections: Mutex<BTreeMap<u64, TcpStream>>,
    count: AtomicU64,
}

/// A connection that ends when its store is killed. It is forgotten when this is dropped.
pub struct Mortal<'a>(&'a Temper, u64);

impl Temper {
    /// Of a store that costs nothing.
    pub fn new() -> Self {
        Self {
            rate: AtomicU64::new(0),
            stalls: AtomicU64::new(u64::MAX),
            is_dead: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
            welcome: AtomicU64::new(0),
            asked: Mutex::new(Instant::now()),
            passed: AtomicU64::new(0),
            due: Mutex::new(Instant::now()),
            connections: Mutex::default(),
            count: AtomicU64::new(0),
        }
    }

    /// Makes it take and give so many bytes a second.
    pub fn set_rate(&self, rate: u64) {
        self.rate.store(rate, Ordering::Relaxed);
    }

    /// Makes it take no more than so many bytes of each body.
    pub fn set_stall(&self, bytes: u64) {
        self.stalls.store(bytes, Ordering::Relaxed);
    }

    /// Makes it refuse one request in so many.
    pub fn set_refusals(&self, every: u64) {
        self.refusals.store(every, Ordering::Relaxed);
    }

    /// Makes it refuse what comes above so many requests a second.
    pub fn set_welcome(&self, rate: u64) {
        self.welcome.store(rate, Ordering::Relaxed);
    }

    /// Requests that came.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Requests that were refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Whether the request that comes now is welcome; it is counted.
    pub fn welcomes(&self) -> bool {
        let nth = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let every = self.refusals.load(Ordering::Relaxed);
        let rate = self.welcome.load(Ordering::Relaxed);
        let is_early = rate > 0 && {
            let (mut asked, now) = (self.asked.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
            let is_early = *asked > now + BURST;
            if !is_early {
                *asked = (*asked).max(now) + time_of(1, rate);
            }
            is_early
        };
        let is_welcome = !is_early && (every == 0 || !nth.is_multiple_of(every));
        self.refused.fetch_add(u64::from(!is_welcome), Ordering::Relaxed);
        is_welcome
    }

    /// Bytes of bodies that it took and gave.
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }

    /// Whether it was killed.
    pub fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }

    /// Lets nobody in any more, and ends all connections as a process that is killed does.
    pub fn kill(&self) {
        self.is_dead.store(true, Ordering::Relaxed);
        for stream in self.connections().values() {
            // One that has ended is what is wanted.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Undoes [`kill`](Self::kill).
    pub fn revive(&self) {
        self.is_dead.store(false, Ordering::Relaxed);
    }

    /// Takes note of a connection. Errors: it was killed.
    pub fn connected(&self, stream: &TcpStream) -> io::Result<Mortal<'_>> {
        let mut connections = self.connections();
        if self.is_dead() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        connections.insert(number, stream.try_clone()?);
        Ok(Mortal(self, number))
    }

    /// `bytes` of a body pass, of which `before` have passed: waits as long as they should take. Errors: it was killed.
    pub fn pass(&self, before: u64, bytes: u64) -> io::Result<()> {
        while before + bytes > self.stalls.load(Ordering::Relaxed) && !self.is_dead() {
            std::thread::sleep(LOOK);
        }
        if self.is_dead() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        self.passed.fetch_add(bytes, Ordering::Relaxed);
        let rate = self.rate.load(Ordering::Relaxed);
        if rate > 0 {
            let due = {
                let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Instant::now();
                *due = (*due).max(now.checked_sub(SLACK).unwrap_or(now)) + time_of(bytes, rate);
                *due
            };
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }

    /// Bytes to pass at once, so that they pass evenly.
    pub fn step(&self, most: usize) -> usize {
        match usize::try_from(self.rate.load(Ordering::Relaxed)) {
            Ok(0) | Err(_) => most,
            // Two milliseconds: below, sleeping is too coarse.
            Ok(rate) => (rate / 500).clamp(1, most),
        }
    }

    fn connections(&self) -> MutexGuard<'_, BTreeMap<u64, TcpStream>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Mortal<'_> {
    fn drop(&mut self) {
        self.0.connections().remove(&self.1);
    }
}

fn time_of(bytes: u64, rate: u64) -> Duration {
    Duration::from_secs_f64(bytes as f64 / rate as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_the_time_of_the_rate() {
        let temper = Temper::new();
        temper.set_rate(100 << 20);
        assert_eq!(temper.step(1 << 20), (100 << 20) / 500);
        let begun = Instant::now();
        for nth in 0..20 {
            temper.pass(nth << 20, 1 << 20).expect("alive");
        }
        assert!(begun.elapsed() >= Duration::from_millis(200) - SLACK);
        assert_eq!(temper.passed(), 20 << 20);
    }

    #[test]
    fn what_comes_above_a_rate_is_refused() {
        let temper = Temper::new();
        // So few that this test is over before the next is welcome.
        temper.set_welcome(1);
        assert_eq!([(); 3].map(|()| temper.welcomes()), [true, false, false]);
        assert_eq!((temper.requests(), temper.refused()), (3, 2));
    }

    #[test]
    fn nothing_passes_a_dead_one_and_a_stall_ends_with_it() {
        let temper = std::sync::Arc::new(Temper::new());
        temper.set_stall(100);
        temper.pass(0, 100).expect("below");
        let stalled = std::thread::spawn({
            let temper = std::sync::Arc::clone(&temper);
            move || temper.pass(100, 1)
        });
        temper.kill();
        assert!(stalled.join().expect("it ends").is_err());
        temper.revive();
        temper.pass(0, 1).expect("alive");
    }
}
