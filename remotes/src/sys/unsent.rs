//! What the other end of a connection has not confirmed yet.

use std::ffi::c_int;
use std::os::fd::AsFd;

/// Bytes that were written to a TCP socket and that the other end's kernel has not confirmed. An answer carries the
/// confirmation of all that came before it, so with some left it was given before everything was there. None where that
/// cannot be told.
pub fn unsent(socket: impl AsFd) -> usize {
    // SIOCOUTQ. Its number is another on mips, powerpc, sparc and alpha, where nothing is told.
    #[cfg(any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "s390x",
        target_arch = "x86",
        target_arch = "arm",
        target_arch = "loongarch64"
    ))]
    {
        // SAFETY: for this opcode the kernel writes one int.
        let asked = unsafe { rustix::ioctl::ioctl(socket, rustix::ioctl::Getter::<0x5411, c_int>::new()) };
        asked.map_or(0, |n| usize::try_from(n).unwrap_or(0))
    }
    #[cfg(not(any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "s390x",
        target_arch = "x86",
        target_arch = "arm",
        target_arch = "loongarch64"
    )))]
    {
        let _ = socket;
        0
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_nobody_takes_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut client = TcpStream::connect(listener.local_addr().expect("its address")).expect("connected");
        let (mut server, _) = listener.accept().expect("accepted");
        client.write_all(b"hello").expect("written");
        server.read_exact(&mut [0; 5]).expect("read");
        server.write_all(b"x").expect("answered");
        client.read_exact(&mut [0]).expect("the answer");
        assert_eq!(unsent(&client), 0, "an answer confirms what came before it");
        client.set_nonblocking(true).expect("set");
        while client.write(&[0; 1 << 16]).is_ok() {}
        assert!(unsent(&client) > 0, "both buffers are full");
    }
}
