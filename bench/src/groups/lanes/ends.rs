//! The far ends of a lane: what feeds a socket and what drains one.

use rustix::fs::sendfile;
use rustix::net::{RecvFlags, recv};
use std::fs::File;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

/// A connected pair of TCP sockets on loopback.
pub fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let one = TcpStream::connect(listener.local_addr()?)?;
    let (other, _) = listener.accept()?;
    Ok((one, other))
}

/// Sends `len` bytes of `file` into `socket` and closes it, at the least cost the kernel offers.
pub fn feed(file: File, socket: TcpStream, len: u64) -> JoinHandle<io::Result<()>> {
    thread::spawn(move || {
        let mut offset = 0;
        while offset < len {
            let most = (len - offset).min(1 << 20) as usize;
            if sendfile(&socket, &file, Some(&mut offset), most)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    })
}

/// Counts what comes out of `socket` until its end, without copying it.
pub fn drain(socket: TcpStream) -> JoinHandle<io::Result<u64>> {
    thread::spawn(move || {
        let mut block = vec![0; 1 << 20];
        let mut total = 0;
        loop {
            // With MSG_TRUNC the kernel drops the bytes of a TCP socket in place of copying them out.
            let (_, n) = recv(&socket, block.as_mut_slice(), RecvFlags::TRUNC)?;
            if n == 0 {
                return Ok(total);
            }
            total += n as u64;
        }
    })
}
