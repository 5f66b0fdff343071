//! `rclone serve webdav` on loopback, with a user and a password.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// A running server; killed on drop.
pub struct Server {
    /// Where it listens.
    pub endpoint: String,
    /// Name of the one user.
    pub user: &'static str,
    /// The user's password.
    pub password: &'static str,
    child: Child,
}

impl Server {
    /// Serves `dir` as `kind` (`webdav`, `http`), with more arguments.
    pub fn start(kind: &str, dir: &Path, more: &[&str]) -> Self {
        let (user, password) = ("annex", "correct horse");
        let mut child = Command::new(servers::peers().join("rclone"))
            .args(["serve", kind, "--addr", "127.0.0.1:0", "--config", "/dev/null"])
            .args(["--user", user, "--pass", password, "-v"])
            .args(more)
            .arg(dir)
            .stderr(Stdio::piped())
            .spawn()
            .expect("rclone starts");
        let stderr = child.stderr.take().expect("stderr is piped");
        let (tx, rx) = std::sync::mpsc::channel();
        // Read to its end, or the server would stop at a full pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some(at) = line.find("http://127.0.0.1:") {
                    let url = line[at..].split([' ', ']', '"']).next().unwrap_or("").trim_end_matches('/');
                    let _ = tx.send(url.to_string());
                }
            }
        });
        let endpoint = rx.recv_timeout(Duration::from_secs(20)).expect("rclone says where it listens");
        let server = Self { endpoint, user, password, child };
        server.wait_ready();
        server
    }

    fn wait_ready(&self) {
        let address = self.endpoint.strip_prefix("http://").expect("an address");
        let start = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "rclone listens at {address}");
            std::thread::yield_now();
        }
    }

    /// Ends it at once, whatever it does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Passes connections on to a server; each stalls once it has carried some bytes, until [`Relay::cut`] breaks it off.
pub struct Relay {
    /// Where it listens.
    pub endpoint: String,
    gate: Arc<(Mutex<bool>, Condvar)>,
    stalled: Arc<(Mutex<bool>, Condvar)>,
}

impl Relay {
    /// Listens for connections to `target`, and lets `allowance` bytes through to it on each.
    pub fn start(target: &str, allowance: usize) -> Self {
        Self::both_ways(target, allowance, usize::MAX)
    }

    /// The same for what comes back from it.
    pub fn start_back(target: &str, allowance: usize) -> Self {
        Self::both_ways(target, usize::MAX, allowance)
    }

    fn both_ways(target: &str, there: usize, back: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("its address"));
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let address = target.strip_prefix("http://").expect("an address").to_string();
        let gate_of_all = Arc::clone(&gate);
        let stalled = Arc::new((Mutex::new(false), Condvar::new()));
        let stalled_of_all = Arc::clone(&stalled);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&address) else { continue };
                let (client, server) = (Arc::new(client), Arc::new(server));
                for (from, to, allowance) in [(&client, &server, there), (&server, &client, back)] {
                    let (from, to, gate) = (Arc::clone(from), Arc::clone(to), Arc::clone(&gate_of_all));
                    let stalled = Arc::clone(&stalled_of_all);
                    std::thread::spawn(move || {
                        if carry(&from, &to, allowance) {
                            *stalled.0.lock().expect("no panic") = true;
                            stalled.1.notify_all();
                            let (cut, changed) = &*gate;
                            let _cut =
                                changed.wait_while(cut.lock().expect("no panic"), |cut| !*cut).expect("no panic");
                        }
                        let _ = from.shutdown(Shutdown::Both);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self { endpoint, gate, stalled }
    }

    /// Waits until a connection stalls: for a thread that may.
    pub fn wait_stalled(&self) -> impl FnOnce() + Send + use<> {
        let stalled = Arc::clone(&self.stalled);
        move || {
            let (is, changed) = &*stalled;
            drop(changed.wait_while(is.lock().expect("no panic"), |is| !*is).expect("no panic"));
        }
    }

    /// Breaks off all connections that stall, now and later.
    pub fn cut(&self) {
        *self.gate.0.lock().expect("no panic") = true;
        self.gate.1.notify_all();
    }
}

/// True where the allowance ran out first.
fn carry(mut from: &TcpStream, mut to: &TcpStream, allowance: usize) -> bool {
    let mut left = allowance;
    let mut buf = vec![0; 64 << 10];
    while left > 0 {
        match from.read(&mut buf[..left.min(64 << 10)]) {
            Ok(n) if n > 0 && to.write_all(&buf[..n]).is_ok() => left -= n,
            _ => return false,
        }
    }
    true
}
