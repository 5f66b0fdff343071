//! A relay to a store that gives each connection so much a second: a store that is far away.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Bytes that are let through at once.
const CHUNK: usize = 64 << 10;

/// Bytes after which a connection is cut that is to be: fewer than any range has, however many are read side by side.
const CUT: usize = 512 << 10;

/// A running relay.
pub struct Trickle {
    /// Where to connect instead of the store.
    pub port: u16,
    counted: Arc<Counted>,
}

#[derive(Default)]
struct Counted {
    /// Which carried content a moment ago.
    now: AtomicUsize,
    most: AtomicUsize,
    /// How many more are to be cut.
    cuts: AtomicUsize,
}

impl Trickle {
    /// Relays to `target` on loopback, `rate` bytes a second each way on each connection.
    pub fn start(target: u16, rate: u64) -> Trickle {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port on loopback");
        let port = listener.local_addr().expect("it is bound").port();
        let counted = Arc::new(Counted::default());
        let counts = Arc::clone(&counted);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(store) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                let clone = |stream: &TcpStream| stream.try_clone().expect("a descriptor");
                for (from, to, may_cut) in [(clone(&client), clone(&store), false), (store, client, true)] {
                    let counts = Arc::clone(&counts);
                    std::thread::spawn(move || carry(from, to, rate, may_cut, &counts));
                }
            }
        });
        Trickle { port, counted }
    }

    /// The next `cuts` connections end when they have carried some [`CUT`] bytes from the store.
    pub fn cut(&self, cuts: usize) {
        self.counted.cuts.store(cuts, Ordering::Relaxed);
    }

    /// How many of them did not.
    pub fn uncut(&self) -> usize {
        self.counted.cuts.load(Ordering::Relaxed)
    }

    /// The most connections that carried content at one time since this was asked before.
    pub fn most(&self) -> usize {
        self.counted.most.swap(0, Ordering::Relaxed)
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, rate: u64, may_cut: bool, counts: &Counted) {
    let mut carried = 0;
    let mut chunk = vec![0; CHUNK];
    let mut due = Instant::now();
    while let Ok(n @ 1..) = from.read(&mut chunk) {
        // What is less is a request, or an answer without content.
        let is_content = n > CHUNK / 4;
        if is_content {
            let now = counts.now.fetch_add(1, Ordering::Relaxed) + 1;
            counts.most.fetch_max(now, Ordering::Relaxed);
        }
        due = due.max(Instant::now()) + Duration::from_secs_f64(n as f64 / rate as f64);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let sent = to.write_all(&chunk[..n]).is_ok();
        if is_content {
            counts.now.fetch_sub(1, Ordering::Relaxed);
        }
        carried += n;
        let is_cut = may_cut
            && carried >= CUT
            && counts.cuts.try_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok();
        if !sent || is_cut {
            let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
