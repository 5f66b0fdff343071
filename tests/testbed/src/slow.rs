//! A relay to a client that reads slowly: `relay` stalls what goes to a server, this what comes from it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// A relay that lets the answers of a server through up to a number of bytes, until it is opened.
pub struct Slow {
    /// Where to connect instead of the server.
    pub port: u16,
    open: Arc<(Mutex<bool>, Condvar)>,
}

impl Slow {
    /// Relays to `target` on loopback.
    pub fn start(target: u16, allowance: usize) -> Slow {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port on loopback");
        let port = listener.local_addr().expect("it is bound").port();
        let open = Arc::new((Mutex::new(false), Condvar::new()));
        let gate = open.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                let (mut up, mut down) = (client.try_clone().expect("a descriptor"), server.try_clone().expect("one"));
                let (mut client, mut server, gate) = (client, server, gate.clone());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut up, &mut server);
                    let _ = server.shutdown(Shutdown::Write);
                });
                std::thread::spawn(move || {
                    let (mut sent, mut buf) = (0, vec![0; 64 << 10]);
                    while let Ok(n @ 1..) = down.read(&mut buf) {
                        sent += n;
                        if sent > allowance {
                            let shut = gate.0.lock().expect("no holder panics");
                            drop(gate.1.wait_while(shut, |open| !*open).expect("no holder panics"));
                        }
                        if client.write_all(&buf[..n]).is_err() {
                            return;
                        }
                    }
                    let _ = client.shutdown(Shutdown::Both);
                });
            }
        });
        Slow { port, open }
    }

    /// Lets everything through from now on.
    pub fn open(&self) {
        *self.open.0.lock().expect("no holder panics") = true;
        self.open.1.notify_all();
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.open();
    }
}
