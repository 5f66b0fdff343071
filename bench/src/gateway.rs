//! Servers of a git-annex repository over HTTP: ours, and git-annex's own.

use crate::http::Client;
use crate::lab::{Lab, certificate};
use crate::servers::mortal;
use crate::usage;
use crate::{curl, proc};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Who asks, in every request.
pub const CLIENT: &str = "00000000-0000-4000-8000-0000000000cc";

const READY_WITHIN: Duration = Duration::from_secs(60);
const ENDS_WITHIN: Duration = Duration::from_secs(120);

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Ours, on all cores.
    Ours,
    /// Ours with one data thread, bound to the first core with all its threads.
    OursOneCore,
    /// The same with the users in `users` of the lab's directory, in place of everybody.
    OursUsers,
    /// Ours with TLS.
    OursTls,
    /// `git annex p2phttp` with eight jobs.
    GitAnnex,
}

/// A running server of one repository; it is killed when this is dropped.
pub struct Gateway {
    /// Port on 127.0.0.1.
    pub port: u16,
    scheme: &'static str,
    uuid: String,
    child: Child,
    log: PathBuf,
}

impl Kind {
    /// Name in the result tables.
    pub fn subject(self) -> &'static str {
        match self {
            Self::Ours | Self::OursOneCore | Self::OursTls => "ours",
            Self::OursUsers => "with users",
            Self::GitAnnex => "git-annex p2phttp",
        }
    }

    fn command(self, lab: &Lab, port: u16) -> Command {
        let mut command = match self {
            Self::Ours | Self::OursTls => mortal(lab, "git-annex-remote-stream"),
            Self::OursOneCore | Self::OursUsers => {
                let mut command = mortal(lab, "taskset");
                command.args(["-c", "0", "git-annex-remote-stream"]);
                command
            }
            Self::GitAnnex => mortal(lab, "git-annex"),
        };
        command.args(["p2phttp", "--quiet", "--bind", "127.0.0.1", "--port"]).arg(port.to_string());
        match self {
            Self::OursUsers => drop(command.arg("--users").arg(lab.at("users")).arg("--auth-http")),
            _ => drop(command.arg("--wideopen")),
        }
        match self {
            Self::Ours => {}
            Self::OursOneCore | Self::OursUsers => drop(command.args(["--cpus", "1"])),
            Self::OursTls => {
                let (certificate, key) = certificate();
                command.arg("--certfile").arg(certificate).arg("--privatekeyfile").arg(key);
            }
            Self::GitAnnex => drop(command.arg("-J8")),
        }
        command
    }
}

impl Gateway {
    /// Serves the repository at `dir`, which is `uuid`.
    ///
    /// Errors: it does not start, or does not answer within a minute.
    pub fn start(lab: &Lab, kind: Kind, dir: &Path, uuid: &str) -> io::Result<Self> {
        Self::start_with(lab, kind, dir, uuid, &[])
    }

    /// The same with `further` flags.
    pub fn start_with(lab: &Lab, kind: Kind, dir: &Path, uuid: &str, further: &[&str]) -> io::Result<Self> {
        let port = free_port()?;
        let log = lab.at(&format!("gateway-{port}.log"));
        let sink = fs::File::create(&log)?;
        let mut command = kind.command(lab, port);
        command.args(further).current_dir(dir).stdin(Stdio::null()).stdout(sink.try_clone()?).stderr(sink);
        let child = command.spawn()?;
        let scheme = if kind == Kind::OursTls { "https" } else { "http" };
        let mut gateway = Self { port, scheme, uuid: uuid.into(), child, log };
        gateway.wait_until_ready(lab)?;
        Ok(gateway)
    }

    /// The path and query of a request about `key`, such as `checkpresent`.
    pub fn target(&self, call: &str, key: &str) -> String {
        target(&self.uuid, call, key)
    }

    /// The whole address of a request about `key`.
    pub fn url(&self, call: &str, key: &str) -> String {
        self.base() + &self.target(call, key)
    }

    /// Where the content of `key` is.
    pub fn content_url(&self, key: &str) -> String {
        self.base() + &self.content_target(key)
    }

    /// The same without the address.
    pub fn content_target(&self, key: &str) -> String {
        content_target(&self.uuid, key)
    }

    /// The address without a path.
    pub fn base(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    /// CPU seconds the server has used so far; programs that it started are not in it.
    pub fn cpu(&self) -> io::Result<f64> {
        proc::cpu_exact(self.child.id())
    }

    /// Its threads and descriptors now, and the most memory it has used so far.
    pub fn peek(&self) -> proc::Peaks {
        proc::peek(self.child.id())
    }

    /// Watches it until the sampler is finished.
    pub fn sample(&self) -> proc::Sampler {
        proc::Sampler::start(self.child.id())
    }

    /// Bytes it has written to disks so far; programs that it started are not in it.
    pub fn written(&self) -> io::Result<u64> {
        proc::written(self.child.id())
    }

    /// The most memory it has used so far, bytes.
    pub fn rss(&self) -> u64 {
        proc::peek(self.child.id()).rss
    }

    /// Removes the content of `key`. Errors: it is refused.
    pub fn remove(&self, key: &str) -> io::Result<()> {
        self.remove_from(&self.uuid, key)
    }

    /// The same from another repository that it serves.
    pub fn remove_from(&self, uuid: &str, key: &str) -> io::Result<()> {
        let answer = Client::connect(self.port)?.post(&target(uuid, "remove", key), "", b"")?;
        expect(&answer, r#""removed":true"#)
    }

    /// Asks the server to end and waits for it. Errors: it takes longer than two minutes, or ends with a failure.
    pub fn stop(mut self) -> io::Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.ok_or_else(|| io::Error::other("an odd pid"))?, Signal::TERM)?;
        let begin = Instant::now();
        while begin.elapsed() < ENDS_WITHIN {
            if let Some(status) = self.child.try_wait()? {
                use std::os::unix::process::ExitStatusExt;
                if status.success() || status.signal() == Some(Signal::TERM.as_raw()) {
                    return Ok(());
                }
                return Err(io::Error::other(format!("the server ended with {status}: {}", usage::tail(&self.log))));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(io::Error::other("the server does not end"))
    }

    fn wait_until_ready(&mut self, lab: &Lab) -> io::Result<()> {
        let begin = Instant::now();
        let url = self.url("checkpresent", "SHA256-s1--none");
        while let Err(error) = curl::ask(lab, &["-X", "POST", &url]) {
            let tail = || usage::tail(&self.log);
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("the server ended with {status}: {}", tail())));
            }
            if begin.elapsed() > READY_WITHIN {
                return Err(io::Error::other(format!("the server is not ready: {error}; its log ends: {}", tail())));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Already gone is fine, and there is nobody to tell otherwise.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The path and query of a request about `key` in the repository `uuid`.
pub fn target(uuid: &str, call: &str, key: &str) -> String {
    format!("/git-annex/{uuid}/v4/{call}?key={key}&clientuuid={CLIENT}")
}

/// Those of the content of `key` in the repository `uuid`.
pub fn content_target(uuid: &str, key: &str) -> String {
    format!("/git-annex/{uuid}/v4/key/{key}?clientuuid={CLIENT}")
}

/// Errors: `answer` does not hold `words`.
pub fn expect(answer: &[u8], words: &str) -> io::Result<()> {
    let text = String::from_utf8_lossy(answer);
    if text.contains(words) { Ok(()) } else { Err(io::Error::other(format!("the answer is {text}"))) }
}

/// A port that is free now.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
