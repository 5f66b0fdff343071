//! A pretend git-annex that starts the real program.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use testbed::product;

/// No answer of the program takes this long; waiting longer is a failure of the test and not a hang.
const LIMIT: Duration = Duration::from_secs(60);

/// git-annex as the program sees it.
pub struct Annex {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    configs: BTreeMap<String, String>,
    /// What it was told with DEBUG.
    pub debug: Vec<String>,
    /// How often it was told of progress.
    pub progress: usize,
}

impl Annex {
    /// Starts the program in `dir`, with these settings of the remote, and these variables in its environment.
    pub fn start(dir: &Path, configs: &[(&str, &str)], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(product());
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"] {
            command.env_remove(name);
        }
        // The settings of whoever runs the tests are not those of the test.
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("GIT_CEILING_DIRECTORIES", dir.parent().unwrap_or(dir));
        let mut child = command
            .current_dir(dir)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (tx, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.split(b'\n').map_while(Result::ok) {
                if tx.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take();
        let configs = configs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let mut annex = Self { child, stdin, lines, configs, debug: Vec::new(), progress: 0 };
        assert_eq!(annex.line().as_deref(), Some("VERSION 2"));
        annex
    }

    /// Likewise, past EXTENSIONS.
    pub fn open(dir: &Path, configs: &[(&str, &str)], environment: &[(&str, &str)], extensions: &str) -> Self {
        let mut annex = Self::start(dir, configs, environment);
        annex.send(&format!("EXTENSIONS {extensions}"));
        let reply = annex.line().expect("a reply to EXTENSIONS");
        assert!(reply.starts_with("EXTENSIONS"), "{reply}");
        annex
    }

    /// Likewise, past PREPARE, one request at a time.
    pub fn ready(dir: &Path, configs: &[(&str, &str)], environment: &[(&str, &str)]) -> Self {
        let mut annex = Self::open(dir, configs, environment, "INFO UNAVAILABLERESPONSE");
        assert_eq!(annex.ask("PREPARE"), "PREPARE-SUCCESS");
        annex
    }

    /// Says a line.
    pub fn send(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("stdin was not ended");
        stdin.write_all(format!("{line}\n").as_bytes()).expect("the program reads");
    }

    /// The next line as it is; none at the end.
    pub fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(LIMIT) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("the program said nothing for {} s", LIMIT.as_secs()),
        }
    }

    /// The next line that is no question and no note; those are answered and counted.
    pub fn reply(&mut self) -> Option<String> {
        loop {
            let line = self.line()?;
            let (tag, body) = match line.strip_prefix("J ").and_then(|rest| rest.split_once(' ')) {
                Some((number, body)) => (format!("J {number} "), body),
                None => (String::new(), line.as_str()),
            };
            match body.split_once(' ').unwrap_or((body, "")) {
                ("GETCONFIG", name) => {
                    let value = self.configs.get(name).cloned().unwrap_or_default();
                    self.send(&format!("{tag}VALUE {value}"));
                }
                ("GETCREDS", "s3creds") if self.configs.contains_key("port") => {
                    self.send(&format!("{tag}CREDS key secret"));
                }
                ("GETCREDS", _) => self.send(&format!("{tag}CREDS  ")),
                ("GETUUID", _) => self.send(&format!("{tag}VALUE 6d09a91e-1111-2222-3333-444455556666")),
                ("DEBUG" | "INFO", text) => self.debug.push(text.to_string()),
                ("PROGRESS", _) => self.progress += 1,
                _ => return Some(line),
            }
        }
    }

    /// Says a line and gives the reply to it.
    pub fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.reply().expect("a reply")
    }

    /// Ends stdin and waits for the program to end.
    pub fn finish(mut self) -> ExitStatus {
        self.stdin = None;
        self.wait(LIMIT)
    }

    /// The process id.
    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// Waits for the program to end, for `limit` at most.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let started = Instant::now();
        // Its stdout is at its end just before it is.
        while self.line().is_some() {
            assert!(started.elapsed() < limit, "the program still runs after {limit:?}");
        }
        let status = self.child.wait().expect("it is our child");
        assert!(started.elapsed() < limit, "the program ran for {:?}", started.elapsed());
        status
    }
}

impl Drop for Annex {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
