//! git-annex's side of the external special remote protocol, just enough to drive a program and to time it.

use crate::lab::Lab;
use crate::proc::{Peaks, Sampler};
use crate::program::Program;
use crate::usage;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

// Longer than any transfer here takes; a program that hangs ends its row, not the bench.
const SILENCE: Timespec = Timespec { tv_sec: 300, tv_nsec: 0 };
const ASKED: &str = "EXTENSIONS INFO GETGITREMOTENAME UNAVAILABLERESPONSE";

/// A running special remote program that has been greeted.
pub struct Driver {
    child: Option<Child>,
    stdin: ChildStdin,
    stdout: ChildStdout,
    unread: Vec<u8>,
    config: BTreeMap<String, String>,
    creds: (String, String),
    jobs: bool,
    sampler: Option<Sampler>,
    log: PathBuf,
}

/// Cost of a program from start to exit, with what the sampler saw.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// User and system seconds of the whole process.
    pub cpu: f64,
    /// Peaks of memory, threads and descriptors.
    pub peaks: Peaks,
}

impl Driver {
    /// Starts `program` and negotiates; with `jobs` ASYNC is offered.
    ///
    /// Errors: it cannot be started, does not greet, or was offered ASYNC and did not take it.
    pub fn start(lab: &Lab, program: &Program, jobs: bool) -> io::Result<Self> {
        Self::over(program.command(lab), program, lab.at("program.log"), jobs)
    }

    fn over(mut command: Command, program: &Program, log: PathBuf, jobs: bool) -> io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(std::fs::File::create(&log)?);
        let mut child = command.spawn()?;
        let sampler = Some(Sampler::start(child.id()));
        let (stdin, stdout) = (child.stdin.take().expect("stdin piped"), child.stdout.take().expect("stdout piped"));
        let (user, password) = program.creds();
        let mut driver = Self {
            child: Some(child),
            stdin,
            stdout,
            unread: Vec::new(),
            config: program.config.clone(),
            creds: (user.into(), password.into()),
            jobs: false,
            sampler,
            log,
        };
        let greeting = driver.line()?;
        if !greeting.starts_with("VERSION ") {
            return Err(driver.unexpected(&greeting));
        }
        driver.say(&if jobs { format!("{ASKED} ASYNC") } else { ASKED.into() })?;
        let taken = driver.line()?;
        driver.jobs = jobs && taken.split(' ').any(|word| word == "ASYNC");
        if jobs && !driver.jobs {
            return Err(io::Error::other(format!("ASYNC was offered, the answer was {taken:?}")));
        }
        Ok(driver)
    }

    /// Runs one request to its end; seconds from sending it to its last line.
    ///
    /// Errors: the program reports failure or breaks the protocol.
    pub fn request(&mut self, request: &str) -> io::Result<f64> {
        self.requests(std::slice::from_ref(&request.to_string()))
    }

    /// Runs requests all at once, each as a job of its own; one after another when there are no jobs.
    ///
    /// The result is seconds from sending the first to the last line of the last one. Errors: any of them failed.
    pub fn requests(&mut self, requests: &[String]) -> io::Result<f64> {
        self.requests_by(requests, usize::MAX)
    }

    /// The same, `most` of them at a time.
    pub fn requests_by(&mut self, requests: &[String], most: usize) -> io::Result<f64> {
        let begin = Instant::now();
        if !self.jobs {
            for request in requests {
                self.say(request)?;
                while !self.answer(None, request)? {}
            }
            return Ok(begin.elapsed().as_secs_f64());
        }
        let mut open: BTreeMap<usize, &String> = BTreeMap::new();
        let mut waiting = (1..).zip(requests);
        loop {
            while open.len() < most
                && let Some((job, request)) = waiting.next()
            {
                self.say(&format!("J {job} {request}"))?;
                open.insert(job, request);
            }
            if open.is_empty() {
                break;
            }
            let line = self.line()?;
            let parsed = line.strip_prefix("J ").and_then(|rest| rest.split_once(' '));
            let job = parsed.and_then(|(job, text)| Some((job.parse::<usize>().ok()?, text)));
            let Some((job, text)) = job else { return Err(self.unexpected(&line)) };
            let Some(request) = open.get(&job).copied() else { return Err(self.unexpected(&line)) };
            if self.react(Some(job), request, text)? {
                open.remove(&job);
            }
        }
        Ok(begin.elapsed().as_secs_f64())
    }

    /// Closes the program's stdin and waits for its end. Errors: it exits with anything but success.
    pub fn finish(mut self) -> io::Result<Cost> {
        let peaks = self.sampler.take().expect("taken only here").finish();
        let child = self.child.take().expect("taken only here");
        let log = self.log.clone();
        drop(self);
        let (status, cpu, _) = usage::reap(child)?;
        if !status.success() {
            return Err(io::Error::other(format!("the program ended with {status}: {}", usage::tail(&log))));
        }
        Ok(Cost { cpu, peaks })
    }

    fn answer(&mut self, job: Option<usize>, request: &str) -> io::Result<bool> {
        let line = self.line()?;
        self.react(job, request, &line)
    }

    /// Answers a question of the program; true when `line` ends the request.
    fn react(&mut self, job: Option<usize>, request: &str, line: &str) -> io::Result<bool> {
        let verb = request.split(' ').next().unwrap_or(request);
        match reply(&mut self.config, &self.creds, verb, line) {
            Reply::Nothing => Ok(false),
            Reply::Done => Ok(true),
            Reply::Failed => Err(self.unexpected(line)),
            Reply::Say(lines) => {
                for text in lines {
                    match job {
                        Some(job) => self.say(&format!("J {job} {text}"))?,
                        None => self.say(&text)?,
                    }
                }
                Ok(false)
            }
        }
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        self.stdin.write_all(format!("{line}\n").as_bytes())
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.unread.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            let mut block = [0; 4096];
            if poll(&mut [PollFd::new(&self.stdout, PollFlags::IN)], Some(&SILENCE))? == 0 {
                return Err(io::Error::other(format!("no word from the program for {} s", SILENCE.tv_sec)));
            }
            let n = self.stdout.read(&mut block)?;
            if n == 0 {
                return Err(io::Error::other(format!("the program went away: {}", usage::tail(&self.log))));
            }
            self.unread.extend_from_slice(&block[..n]);
        }
    }

    fn unexpected(&self, line: &str) -> io::Error {
        io::Error::other(format!("the program said {line:?}; stderr: {}", usage::tail(&self.log)))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // Only after an error: the program is in an unknown state and its exit tells nothing.
        let _ = child.kill();
        let _ = child.wait();
        if let Some(sampler) = self.sampler.take() {
            sampler.finish();
        }
    }
}

#[derive(Debug, PartialEq)]
enum Reply {
    Nothing,
    Say(Vec<String>),
    Done,
    Failed,
}

fn reply(config: &mut BTreeMap<String, String>, creds: &(String, String), verb: &str, line: &str) -> Reply {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let value = |text: &str| Reply::Say(vec![format!("VALUE {text}")]);
    match word {
        "GETCONFIG" => value(config.get(rest).map_or("", String::as_str)),
        "SETCONFIG" => {
            let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
            config.insert(name.into(), text.into());
            Reply::Nothing
        }
        "GETCREDS" => Reply::Say(vec![format!("CREDS {} {}", creds.0, creds.1)]),
        "GETUUID" => value("b3e0c0de-0000-4000-8000-000000000001"),
        "GETGITDIR" => value(".git"),
        "GETGITREMOTENAME" => value("bench"),
        "GETSTATE" | "GETWANTED" => value(""),
        // Not git-annex's hash; any two levels do, as nothing else looks for these objects.
        "DIRHASH" => value("Kx/4q/"),
        "DIRHASH-LOWER" => value("3f7/a1c/"),
        "GETURLS" => Reply::Say(vec!["VALUE ".into()]),
        "ERROR" | "UNSUPPORTED-REQUEST" => Reply::Failed,
        _ => match word.strip_prefix(verb) {
            Some("-SUCCESS") => Reply::Done,
            Some(end) if end.starts_with('-') => Reply::Failed,
            _ => Reply::Nothing,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELL: &str = r#"
        echo VERSION 2; read extensions; echo "$extensions" | sed 's/.*ASYNC/EXTENSIONS ASYNC/'
        read one; read two
        echo J 2 GETCONFIG where; read answer; [ "$answer" = "J 2 VALUE there" ] || exit 1
        echo J 1 PROGRESS 5; echo J 2 TRANSFER-SUCCESS STORE b; echo "J 1 TRANSFER-$END STORE a"
        cat > /dev/null"#;

    fn shell(end: &str, dir: &std::path::Path) -> io::Result<Driver> {
        let program = Program::ours_fs(dir);
        let program = Program { config: BTreeMap::from([("where".into(), "there".into())]), ..program };
        let mut command = Command::new("sh");
        command.args(["-c", SHELL]).env("END", end);
        Driver::over(command, &program, dir.join("log"), true)
    }

    #[test]
    fn jobs_may_end_in_any_order_and_are_answered_under_their_number() {
        let dir = tempfile::tempdir().expect("temp dir");
        let both = ["TRANSFER STORE a f".to_string(), "TRANSFER STORE b f".to_string()];
        let mut driver = shell("SUCCESS", dir.path()).expect("greeting");
        driver.requests(&both).expect("both end well");
        let cost = driver.finish().expect("exit 0");
        assert!(cost.peaks.rss > 0 && cost.peaks.threads >= 1, "{cost:?}");
        let mut driver = shell("FAILURE", dir.path()).expect("greeting");
        let error = driver.requests(&both).expect_err("one fails");
        assert!(error.to_string().contains("TRANSFER-FAILURE"), "{error}");
    }

    #[test]
    fn questions_are_answered_and_ends_are_seen() {
        let mut config = BTreeMap::from([("scheme".to_string(), "s3".to_string())]);
        let creds = ("k".to_string(), "s".to_string());
        let mut ask = |line: &str| reply(&mut config, &creds, "TRANSFER", line);
        assert_eq!(ask("GETCONFIG scheme"), Reply::Say(vec!["VALUE s3".into()]));
        assert_eq!(ask("GETCONFIG what"), Reply::Say(vec!["VALUE ".into()]));
        assert_eq!(ask("SETCONFIG what a b"), Reply::Nothing);
        assert_eq!(ask("GETCONFIG what"), Reply::Say(vec!["VALUE a b".into()]));
        assert_eq!(ask("GETCREDS s3creds"), Reply::Say(vec!["CREDS k s".into()]));
        assert_eq!(ask("PROGRESS 12"), Reply::Nothing);
        assert_eq!(ask("TRANSFER-SUCCESS STORE K"), Reply::Done);
        assert_eq!(ask("TRANSFER-FAILURE STORE K why"), Reply::Failed);
        assert_eq!(ask("ERROR why"), Reply::Failed);
    }
}
