//! A line to a store that is far away: what passes takes its time, each connection has so much, and all together too.

use crate::chance::Chance;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;

/// Chunks on their way in one direction of one connection: some 4 MiB, as a sender's and a receiver's buffers would hold.
const ON_THE_WAY: usize = 64;

/// How far behind its rate a connection may catch up: what a busy machine delays, and no more.
const SLACK: Duration = Duration::from_millis(20);

const STACK: usize = 256 << 10;

/// What a line is like.
#[derive(Debug, Clone, Copy)]
pub struct Distance {
    /// From one end to the other and back. A connection costs one before anything passes.
    pub round_trip: Duration,
    /// A round trip takes up to so much more, by chance, which is the same in every run. Bytes do not overtake each other.
    pub jitter: Duration,
    /// Bytes a second of each connection, in each direction.
    pub each: u64,
    /// Bytes a second of all together, in each direction.
    pub all: u64,
    /// Every so many connections one is cut after some MiB; 0 for never.
    pub cut_every: u64,
}

/// What Amazon and its kin give.
pub const FAR: Distance = Distance {
    round_trip: Duration::from_millis(30),
    jitter: Duration::ZERO,
    each: 60_000_000,
    all: 1_000_000_000,
    cut_every: 0,
};

/// A running line; it takes no more connections once this is dropped.
pub struct Line {
    /// Port on 127.0.0.1 at which the store is found.
    pub port: u16,
    stop: Arc<AtomicBool>,
}

/// When the next byte may pass.
#[derive(Default)]
struct Due(Mutex<Option<Instant>>);

/// One direction of one connection.
#[derive(Clone, Copy)]
struct Way {
    is_up: bool,
    /// When the connection is made.
    open: Instant,
    /// Bytes that pass before it is cut.
    allowed: u64,
    /// For chance.
    seed: u64,
}

struct Shared {
    distance: Distance,
    up: Due,
    down: Due,
    connections: AtomicU64,
}

impl Line {
    /// A line to the store at `store`. Errors: no port.
    pub fn start(store: u16, distance: Distance) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let stop = Arc::new(AtomicBool::new(false));
        let shared =
            Arc::new(Shared { distance, up: Due::default(), down: Due::default(), connections: AtomicU64::new(0) });
        let stopped = Arc::clone(&stop);
        thread::Builder::new().name("line".into()).spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(near) = stream else { continue };
                if let Err(error) = carry(near, store, &shared) {
                    eprintln!("line: {error}");
                }
            }
        })?;
        Ok(Self { port, stop })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts; where that fails it has gone.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Due {
    /// Until when `bytes` have to wait, at `rate` bytes a second.
    fn after(&self, bytes: usize, rate: u64) -> Instant {
        let mut due = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let earliest = due.map_or(now, |due| due.max(now.checked_sub(SLACK).unwrap_or(now)));
        *due.insert(earliest + Duration::from_secs_f64(bytes as f64 / rate as f64))
    }
}

fn carry(near: TcpStream, store: u16, shared: &Arc<Shared>) -> io::Result<()> {
    let far = TcpStream::connect(("127.0.0.1", store))?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let nth = shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
    let is_cut = shared.distance.cut_every > 0 && nth.is_multiple_of(shared.distance.cut_every);
    let allowed = if is_cut { (1 + nth % 7) << 20 } else { u64::MAX };
    let open = Instant::now() + shared.distance.round_trip;
    let up = Way { is_up: true, open, allowed, seed: 2 * nth };
    one_way(near.try_clone()?, far.try_clone()?, shared, up)?;
    one_way(far, near, shared, Way { is_up: false, seed: 2 * nth + 1, ..up })
}

/// Two threads: one reads and notes when, the other lets pass what is due. The end of the one direction is passed on.
fn one_way(from: TcpStream, to: TcpStream, shared: &Arc<Shared>, way: Way) -> io::Result<()> {
    let (sender, receiver) = sync_channel(ON_THE_WAY);
    let reader = thread::Builder::new().stack_size(STACK);
    reader.spawn(move || read(from, &sender))?;
    let shared = Arc::clone(shared);
    let writer = thread::Builder::new().stack_size(STACK);
    writer.spawn(move || write(to, &receiver, &shared, way))?;
    Ok(())
}

fn read(mut from: TcpStream, sender: &SyncSender<(Instant, Vec<u8>)>) {
    loop {
        let mut chunk = vec![0; CHUNK];
        match from.read(&mut chunk) {
            Ok(n) if n > 0 => {
                chunk.truncate(n);
                if sender.send((Instant::now(), chunk)).is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}

fn write(mut to: TcpStream, receiver: &Receiver<(Instant, Vec<u8>)>, shared: &Shared, way: Way) {
    let Way { is_up, open, mut allowed, seed } = way;
    let (all, own) = (if is_up { &shared.up } else { &shared.down }, Due::default());
    let Distance { round_trip, jitter, each, all: rate, .. } = shared.distance;
    let mut chance = Chance::new(seed);
    while let Ok((came, chunk)) = receiver.recv() {
        let arrives = came.max(open) + round_trip / 2 + (jitter / 2).mul_f64(chance.fraction());
        let due = arrives.max(own.after(chunk.len(), each)).max(all.after(chunk.len(), rate));
        thread::sleep(due.saturating_duration_since(Instant::now()));
        allowed = allowed.saturating_sub(chunk.len() as u64);
        if allowed == 0 || to.write_all(&chunk).is_err() {
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
    }
    // The other side may be gone already.
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::null::NullStore;

    #[test]
    fn what_passes_takes_its_time() {
        let store = NullStore::start().expect("start");
        store.hold("/b/k", 4 << 20);
        let distance = Distance { round_trip: Duration::from_millis(100), each: 16 << 20, all: 1 << 40, ..FAR };
        let line = Line::start(store.port, distance).expect("start");
        let mut stream = TcpStream::connect(("127.0.0.1", line.port)).expect("connect");
        let begun = Instant::now();
        write!(stream, "GET /b/k HTTP/1.1\r\n\r\n").expect("send");
        let mut first = [0];
        stream.read_exact(&mut first).expect("an answer");
        assert!(begun.elapsed() >= Duration::from_millis(200) - SLACK);
        let mut rest = vec![0; 4 << 20];
        stream.read_exact(&mut rest).expect("the content");
        assert!(begun.elapsed() >= Duration::from_millis(400) - SLACK, "{:?}", begun.elapsed());
    }
}
