//! One large content from the gateway into a pipe, as sshd takes it.

use super::serve_get::Held;
use crate::gateway::CLIENT;
use crate::lab::Lab;
use crate::rows::{Case, Sample, Table, interleave};
use crate::usage;
use std::io::{self, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Instant;

/// Rows of ours, cat and git-annex-shell, all read by the same reader.
///
/// Wall time is from spawn to the last byte of content, so that cat and the servers have the same to do.
pub fn stdio(lab: &Lab) -> io::Result<Vec<Table>> {
    let held = Held::create(lab, "repo-stdio")?;
    let title = format!("GET of {} MiB over stdio, from spawn to the last byte", lab.size >> 20);
    let table = Table::new("serve-get/stdio", title, lab.size, "cat");
    let shell = |subject: &str, program: &'static str, first: &'static [&'static str]| {
        let held = &held;
        Case::new(subject, move |_| {
            held.ready(lab)?;
            let mut command = lab.command(program);
            command.args(first).arg("p2pstdio").arg(held.repo.dir()).args([CLIENT, "--uuid", &held.uuid]);
            get(lab, command, &held.key).map(|sample| vec![sample])
        })
    };
    let cat = |_| {
        held.ready(lab)?;
        let mut command = lab.command("cat");
        command.arg(&held.object).stdin(Stdio::null()).stdout(Stdio::piped());
        let begin = Instant::now();
        let mut child = command.spawn()?;
        let mut from = Reader::of(&mut child);
        from.discard(lab.size)?;
        let wall = begin.elapsed().as_secs_f64();
        let (_, cpu, rss) = usage::reap(child)?;
        Ok(vec![Sample { wall, cpu, rss, ..Sample::default() }])
    };
    let cases = vec![
        shell("ours", "git-annex-remote-stream", &["shell"]),
        Case::new("cat", cat),
        shell("git-annex-shell", "git-annex-shell", &[]),
    ];
    let tables = interleave(vec![table], cases, lab.args.runs());
    held.repo.delete()?;
    Ok(tables)
}

/// One GET over the P2P protocol. Errors: the program breaks the protocol, or ends with a failure.
fn get(lab: &Lab, mut command: Command, key: &str) -> io::Result<Sample> {
    let log = lab.at("shell.log");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(std::fs::File::create(&log)?);
    let begin = Instant::now();
    let mut child = command.spawn()?;
    let talk = converse(&mut child, key, lab.size);
    let wall = begin.elapsed().as_secs_f64();
    if talk.is_err() {
        // It is in an unknown state and its exit tells nothing.
        let _ = child.kill();
    }
    let (status, cpu, rss) = usage::reap(child)?;
    let tail = || usage::tail(&log);
    talk.map_err(|e| io::Error::other(format!("{e}; stderr: {}", tail())))?;
    if !status.success() {
        return Err(io::Error::other(format!("it ended with {status}: {}", tail())));
    }
    Ok(Sample { wall, cpu, rss, ..Sample::default() })
}

fn converse(child: &mut Child, key: &str, size: u64) -> io::Result<()> {
    let mut to = child.stdin.take().expect("stdin piped");
    let mut from = Reader::of(child);
    from.line("AUTH-SUCCESS ")?;
    to.write_all(b"VERSION 4\n")?;
    from.line("VERSION 4")?;
    to.write_all(format!("GET 0  {key}\n").as_bytes())?;
    from.line(&format!("DATA {size}"))?;
    from.discard(size)?;
    from.line("VALID")?;
    to.write_all(b"SUCCESS\n")
}

/// Reads a pipe: lines, and content that nobody keeps.
struct Reader {
    from: ChildStdout,
    block: Vec<u8>,
    held: std::ops::Range<usize>,
}

impl Reader {
    fn of(child: &mut Child) -> Self {
        let from = child.stdout.take().expect("stdout piped");
        Self { from, block: vec![0; 256 << 10], held: 0..0 }
    }

    /// The next line, which begins with `words`.
    fn line(&mut self, words: &str) -> io::Result<()> {
        let mut line = Vec::new();
        loop {
            if self.held.is_empty() {
                self.more()?;
            }
            let byte = self.block[self.held.start];
            self.held.start += 1;
            if byte == b'\n' {
                break;
            }
            line.push(byte);
        }
        if line.starts_with(words.as_bytes()) {
            return Ok(());
        }
        Err(io::Error::other(format!("it said {:?} in place of {words:?}", String::from_utf8_lossy(&line))))
    }

    /// Takes `len` bytes of content.
    fn discard(&mut self, mut len: u64) -> io::Result<()> {
        while len > 0 {
            if self.held.is_empty() {
                self.more()?;
            }
            let take = len.min(self.held.len() as u64);
            self.held.start += take as usize;
            len -= take;
        }
        Ok(())
    }

    fn more(&mut self) -> io::Result<()> {
        let n = self.from.read(&mut self.block)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.held = 0..n;
        Ok(())
    }
}
