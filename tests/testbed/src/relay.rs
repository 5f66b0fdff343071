//! A TCP relay that lets each connection pass a stated number of bytes to a server and then stalls it.
//!
//! So "in mid-transfer" is a state a test can wait for and not a guess. The count is per connection so that small requests (create, list, abort) still pass while payloads hang.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A relay on 127.0.0.1; it stops relaying on drop.
pub struct Relay {
    /// Where to connect instead of the server.
    pub port: u16,
    gate: Arc<Gate>,
    stalled: Receiver<()>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Stalling,
    Open,
    Gone,
}

struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

impl Relay {
    /// Relay to `target` on loopback, and stall every connection that has sent `allowance` bytes that way.
    pub fn start(target: u16, allowance: u64) -> Relay {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port on loopback");
        let port = listener.local_addr().expect("it is bound").port();
        let (news, stalled) = channel();
        let gate = Arc::new(Gate { state: Mutex::new(State::Stalling), changed: Condvar::new() });
        let accepting = gate.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.is(State::Gone) {
                    break;
                }
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", target))) else { continue };
                relay(client, server, allowance, accepting.clone(), news.clone());
            }
        });
        Relay { port, gate, stalled }
    }

    /// Wait until a connection has used up its allowance. Panics after a minute.
    #[track_caller]
    pub fn wait_stalled(&self) {
        self.stalled.recv_timeout(Duration::from_secs(60)).expect("the transfer reaches the allowance within a minute");
    }

    /// Let everything through from now on.
    pub fn open(&self) {
        self.gate.set(State::Open);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.gate.set(State::Gone);
        // A last connection wakes the accepting thread, which then ends.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Gate {
    fn is(&self, state: State) -> bool {
        *self.state.lock().expect("no holder panics") == state
    }

    fn set(&self, state: State) {
        *self.state.lock().expect("no holder panics") = state;
        self.changed.notify_all();
    }

    /// Wait while stalling; whether to go on.
    fn wait(&self) -> bool {
        let state = self.state.lock().expect("no holder panics");
        let state = self.changed.wait_while(state, |state| *state == State::Stalling).expect("no holder panics");
        *state == State::Open
    }
}

fn relay(client: TcpStream, server: TcpStream, allowance: u64, gate: Arc<Gate>, news: Sender<()>) {
    let (Ok(from_server), Ok(to_client)) = (server.try_clone(), client.try_clone()) else { return };
    std::thread::spawn(move || {
        let mut sent = 0;
        copy(client, server, |n| {
            sent += n as u64;
            if sent <= allowance || gate.is(State::Open) {
                return true;
            }
            // Nobody listening means the test is over.
            let _ = news.send(());
            gate.wait()
        });
    });
    std::thread::spawn(move || copy(from_server, to_client, |_| true));
}

fn copy(mut from: TcpStream, mut to: TcpStream, mut pass: impl FnMut(usize) -> bool) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(n) = from.read(&mut buffer) {
        if n == 0 || !pass(n) || to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
