//! The rival of splice: one thread that reads from the store and writes to the client, and nothing else.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use rustix::time::{ClockId, clock_gettime};

/// A relay for one connection; its result is the CPU seconds of its thread.
pub struct Relay {
    /// Port on 127.0.0.1.
    pub port: u16,
    thread: JoinHandle<io::Result<f64>>,
}

impl Relay {
    /// Waits for one client of the store at `store`, in blocks of `block` bytes.
    pub fn start(store: u16, block: usize) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        Ok(Self { port, thread: thread::spawn(move || relay(&listener, store, block)) })
    }

    /// CPU seconds it took, once its client is done. Errors: it could not be served.
    pub fn finish(self) -> io::Result<f64> {
        self.thread.join().expect("the relay returns its errors")
    }
}

fn relay(listener: &TcpListener, store: u16, block: usize) -> io::Result<f64> {
    let (mut client, _) = listener.accept()?;
    let begin = thread_cpu();
    let mut block = vec![0; block];
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let n = client.read(&mut block)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&block[..n]);
    }
    let mut store = TcpStream::connect(("127.0.0.1", store))?;
    store.write_all(&head)?;
    // The store ends the connection when the request is over, because nobody asks it for more.
    store.shutdown(std::net::Shutdown::Write)?;
    loop {
        let n = store.read(&mut block)?;
        if n == 0 {
            return Ok(thread_cpu() - begin);
        }
        client.write_all(&block[..n])?;
    }
}

/// CPU seconds of this thread.
pub fn thread_cpu() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
