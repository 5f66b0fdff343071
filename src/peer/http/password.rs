//! Passwords, from the url or from git's credential helpers.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::peer::HttpRemote;
use crate::process::Process;
use crate::proto::http::auth::{Credentials, Password};

/// Most that a helper may say, in bytes.
const MOST: usize = 64 << 10;

/// What is known of the password of one peer.
pub(super) struct Passwords {
    /// What every question to a helper begins with.
    place: Vec<u8>,
    directory: Option<PathBuf>,
    current: RefCell<Option<Rc<Credentials>>>,
    /// Whether git is still to be told that the current one is right.
    unproven: Cell<bool>,
    /// One asks, and the others wait for what comes of it.
    asking: Mutex<()>,
}

impl Passwords {
    pub(super) fn new(remote: &HttpRemote, directory: Option<PathBuf>) -> Self {
        let scheme = if remote.secure { "annex+https" } else { "annex+http" };
        let path = [remote.prefix.as_slice(), b"/git-annex"].concat();
        let mut place = format!("protocol={scheme}\nhost={}\npath=", remote.authority).into_bytes();
        place.extend_from_slice(path.strip_prefix(b"/").unwrap_or(&path));
        place.push(b'\n');
        if let Some(user) = remote.user.as_ref().filter(|user| !user.contains(['\n', '\0'])) {
            place.extend_from_slice(format!("username={user}\n").as_bytes());
        }
        let current = RefCell::new(remote.credentials.clone().map(Rc::new));
        Self { place, directory, current, unproven: Cell::new(false), asking: Mutex::new(()) }
    }

    /// What to send, if anything was asked for so far.
    pub(super) fn current(&self) -> Option<Rc<Credentials>> {
        self.current.borrow().clone()
    }

    /// What to send next, now that `used` was not taken. `None`: there is nothing else.
    ///
    /// Waits no longer than `limit` for a helper.
    pub(super) async fn next(
        &self,
        used: Option<&Rc<Credentials>>,
        authenticate: &[Vec<u8>],
        limit: Duration,
    ) -> Option<Rc<Credentials>> {
        let _asking = tokio::time::timeout(limit, self.asking.lock()).await.ok()?;
        let current = self.current();
        if current.as_deref() != used.map(Rc::as_ref) {
            // Somebody else was told another one meanwhile.
            return current;
        }
        if let Some(wrong) = current {
            self.current.replace(None);
            self.unproven.set(false);
            self.run("reject", &self.with(&wrong), limit).await;
        }
        let mut question = self.place.clone();
        for value in authenticate {
            question.extend_from_slice(b"wwwauth[]=");
            question.extend(value.iter().filter(|byte| !byte.is_ascii_control()));
            question.push(b'\n');
        }
        let answer = self.run("fill", &question, limit).await?;
        let found = Rc::new(parse(&answer)?);
        if used.is_some_and(|used| **used == *found) {
            return None;
        }
        self.unproven.set(true);
        self.current.replace(Some(Rc::clone(&found)));
        Some(found)
    }

    /// `used` was taken: lets git's helpers keep it.
    pub(super) async fn approve(&self, used: Option<&Rc<Credentials>>) {
        if let Some(used) = used
            && self.unproven.replace(false)
        {
            self.run("approve", &self.with(used), Duration::from_secs(10)).await;
        }
    }

    fn with(&self, credentials: &Credentials) -> Vec<u8> {
        let mut text = self.place.clone();
        for (name, value) in [("username", credentials.name.as_slice()), ("password", credentials.password.reveal())] {
            text.extend_from_slice(format!("{name}=").as_bytes());
            text.extend(value.iter().filter(|byte| !matches!(byte, b'\n' | b'\0')));
            text.push(b'\n');
        }
        text
    }

    /// `git credential WORD`. `None` where that fails or takes too long; what it says to people is not ours to repeat.
    async fn run(&self, word: &str, question: &[u8], limit: Duration) -> Option<Vec<u8>> {
        let mut command = Command::new("git");
        command.args(["credential", word]);
        // Nobody is there who could answer a question.
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_ASKPASS", "").env("SSH_ASKPASS", "");
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let talk = async {
            let mut process = Process::start(command).await.ok()?;
            let question = [question, b"\n"].concat();
            let mut rest = question.as_slice();
            while !rest.is_empty() {
                let n = process.write_some(rest).await.ok()?;
                rest = &rest[n..];
            }
            process.close_input();
            let (mut answer, mut buf) = (Vec::new(), [0; 1024]);
            loop {
                match process.read(&mut buf).await.ok()? {
                    0 => return Some(answer),
                    n if answer.len() + n <= MOST => answer.extend_from_slice(&buf[..n]),
                    _ => return None,
                }
            }
        };
        tokio::time::timeout(limit, talk).await.ok().flatten()
    }
}

fn parse(answer: &[u8]) -> Option<Credentials> {
    let value = |name: &[u8]| {
        let lines = answer.split(|byte| *byte == b'\n');
        lines.filter_map(|line| line.strip_prefix(name)).next_back().map(<[u8]>::to_vec)
    };
    Some(Credentials { name: value(b"username=")?, password: Password::new(value(b"password=")?) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{Location, SshWays};

    #[test]
    fn helpers_are_asked_as_git_annex_asks_them() {
        for (url, place) in [
            ("annex+http://127.0.0.1:9514/git-annex/", "protocol=annex+http\nhost=127.0.0.1:9514\npath=git-annex\n"),
            ("annex+https://u@h/org", "protocol=annex+https\nhost=h\npath=org/git-annex\nusername=u\n"),
        ] {
            let location = Location::parse(url.as_bytes(), SshWays::default());
            let Some(Location::Http(remote)) = location else { panic!("{url}") };
            let passwords = Passwords::new(&remote, None);
            assert_eq!(passwords.place, place.as_bytes());
            let right = Credentials { name: b"a".to_vec(), password: Password::new(b"p\n\0w".to_vec()) };
            assert_eq!(passwords.with(&right), format!("{place}username=a\npassword=pw\n").as_bytes());
        }
    }

    #[test]
    fn only_a_name_and_a_password_together_are_of_use() {
        let found = parse(b"protocol=x\nusername=a=b\npassword=p w\n").expect("both");
        assert_eq!((found.name.as_slice(), found.password.reveal()), (&b"a=b"[..], &b"p w"[..]));
        assert_eq!((parse(b"username=a\n"), parse(b"password=a\n"), parse(b"")), (None, None, None));
    }
}
