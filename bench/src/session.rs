//! A client of the P2P protocol over stdio, as sshd starts it for one.

use crate::clients::Stored;
use crate::gateway::CLIENT;
use crate::lab::Lab;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

/// A process that serves one client; it is killed when this is dropped.
pub struct Session {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Session {
    /// Starts ours in the repository at `dir`, for what is `uuid` there. Errors: it does not greet.
    pub fn start(lab: &Lab, dir: &Path, uuid: &str) -> io::Result<Self> {
        let mut command = lab.command("git-annex-remote-stream");
        command.args(["shell", "p2pstdio"]).arg(dir).args([CLIENT, "--uuid", uuid]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let (to, from) = (child.stdin.take().expect("stdin piped"), child.stdout.take().expect("stdout piped"));
        let mut session = Self { child, to, from: BufReader::new(from) };
        session.expect("AUTH-SUCCESS ")?;
        session.to.write_all(b"VERSION 4\n")?;
        session.expect("VERSION 4")?;
        Ok(session)
    }

    /// PUTs `content`. Errors: any answer but that it is stored, or that there is no room for it.
    pub fn put(&mut self, key: &str, content: &[u8]) -> io::Result<Stored> {
        self.to.write_all(format!("PUT  {key}\n").as_bytes())?;
        let offer = self.line()?;
        if offer.starts_with("ERROR ") && offer.contains("has room for it") {
            return Ok(Stored::NoRoom);
        }
        if offer != "PUT-FROM 0" {
            return Err(io::Error::other(format!("{key}: {offer}")));
        }
        let head = format!("DATA {}\n", content.len());
        self.to.write_all(&[head.as_bytes(), content, b"VALID\n"].concat())?;
        self.expect("SUCCESS")?;
        Ok(Stored::Yes)
    }

    fn expect(&mut self, words: &str) -> io::Result<()> {
        let line = self.line()?;
        if line.starts_with(words) { Ok(()) } else { Err(io::Error::other(format!("it said {line:?}, not {words:?}"))) }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end_matches('\n').to_string())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Already gone is fine, and there is nobody to tell otherwise.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
