//! The product spoken to directly, as git-annex speaks to it: for what git-annex gives no handle on.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::product;
/// Longest wait for a line or for the end of the process.
const LIMIT: Duration = Duration::from_secs(60);

/// A running product that was told `EXTENSIONS` without ASYNC, so that lines carry no job number.
pub struct Driver {
    process: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    config: Vec<(String, String)>,
    credentials: Option<(String, String)>,
}

impl Driver {
    /// Start the product in `dir` with the options of initremote and what GETCREDS shall answer.
    pub fn start(dir: &Path, options: &[String], credentials: Option<(String, String)>) -> Driver {
        let mut process = Command::new(product())
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the product starts");
        let stdout = process.stdout.take().expect("stdout is piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    break;
                }
            }
        });
        let split = |option: &String| option.split_once('=').map(|(n, v)| (n.to_string(), v.to_string()));
        let config = options.iter().filter_map(split).collect();
        let stdin = process.stdin.take().expect("stdin is piped");
        let mut driver = Driver { process, stdin, lines, config, credentials };
        assert_eq!(driver.line().as_deref(), Some("VERSION 2"), "the first line");
        driver.say("EXTENSIONS INFO GETGITREMOTENAME UNAVAILABLERESPONSE");
        let extensions = driver.line().expect("a reply to EXTENSIONS");
        assert!(extensions.starts_with("EXTENSIONS"), "{extensions}");
        driver
    }

    /// Send one line.
    pub fn say(&mut self, line: &str) {
        self.stdin.write_all(format!("{line}\n").as_bytes()).expect("the product reads");
    }

    /// The next line that is not a question of the product about its configuration; those are answered.
    /// None at the end of its output. Panics when nothing comes within a minute.
    #[track_caller]
    pub fn line(&mut self) -> Option<String> {
        loop {
            let line = match self.lines.recv_timeout(LIMIT) {
                Ok(line) => line,
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return None,
                Err(timeout) => panic!("no line from the product within {LIMIT:?}: {timeout}"),
            };
            match self.answer(&line) {
                Some(Some(reply)) => self.say(&reply),
                Some(None) => {}
                None => return Some(line),
            }
        }
    }

    /// Send a request and return the first line of the reply that is not PROGRESS.
    #[track_caller]
    pub fn ask(&mut self, request: &str) -> String {
        self.say(request);
        loop {
            let line = self.line().unwrap_or_else(|| panic!("the product ended instead of answering {request}"));
            if !line.starts_with("PROGRESS ") {
                return line;
            }
        }
    }

    /// Send a signal and wait for the end, at most `limit`; stdin stays open, as it does when git-annex lives on.
    #[track_caller]
    pub fn signal(mut self, signal: Signal) -> ExitStatus {
        kill_process(Pid::from_child(&self.process), signal).expect("it is running");
        self.ended()
    }

    fn ended(&mut self) -> ExitStatus {
        // The end of its output comes first; after that the process has nothing left to do but exit.
        while self.line_or_end() {}
        self.process.wait().expect("it was not waited for before")
    }

    fn line_or_end(&mut self) -> bool {
        match self.lines.recv_timeout(LIMIT) {
            Ok(_) => true,
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => false,
            Err(timeout) => panic!("the product neither ends nor speaks within {LIMIT:?}: {timeout}"),
        }
    }

    /// None for a line that is not for us; else what to reply, if anything.
    fn answer(&self, line: &str) -> Option<Option<String>> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let reply = match word {
            "GETCONFIG" => {
                let value = self.config.iter().find(|(name, _)| name == rest).map_or("", |(_, value)| value);
                format!("VALUE {value}")
            }
            "GETCREDS" => {
                let (user, secret) = self.credentials.as_ref().map_or(("", ""), |(u, s)| (u, s));
                format!("CREDS {user} {secret}")
            }
            "GETUUID" => "VALUE 11111111-2222-3333-4444-555555555555".to_string(),
            "GETGITDIR" => "VALUE .git".to_string(),
            "GETGITREMOTENAME" => "VALUE direct".to_string(),
            "GETSTATE" | "GETWANTED" => "VALUE ".to_string(),
            "DEBUG" | "INFO" | "SETCONFIG" | "SETCREDS" | "SETSTATE" => return Some(None),
            _ => return None,
        };
        Some(Some(reply))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
