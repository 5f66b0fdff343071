//! A web server that shows a directory to everybody.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::gateway::eventually;

/// A web server of Python's, which knows no ranges. It is gone when dropped.
pub struct Web {
    child: Child,
    /// Where it listens, on loopback.
    pub port: u16,
}

impl Web {
    /// Shows what is below `dir`.
    pub fn of(dir: &Path) -> Web {
        let port = free();
        let mut command = Command::new("python3");
        command.args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()]).current_dir(dir);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("python3 runs");
        eventually("the web server listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Web { child, port }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens at.
pub fn free() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("an address").port()
}
