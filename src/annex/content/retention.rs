//! How long a lock outlives a process that died holding it: `KEY.rtm` holds a time, `KEY.rtl` is locked to change it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::OFlags;

use super::config::ContentConfig;
use super::{modes, staging};
use crate::annex::fresh::{self, Durability};
use crate::annex::lock::{LockFile, LockKind};

/// The files beside an object that lock it.
#[derive(Debug, Clone)]
pub struct LockPaths {
    /// The directory of the object.
    pub dir: PathBuf,
    /// `KEY.lck`: locked shared to keep the content, exclusive to remove it.
    pub lock: PathBuf,
    /// `KEY.rtl`.
    pub retention_lock: PathBuf,
    /// `KEY.rtm`.
    pub retention: PathBuf,
}

/// How long content stays after a process that had it locked dies. Source: P2P protocol, LOCKCONTENT.
const KEPT: Duration = Duration::from_secs(600);

/// Longest wait for another process to write a time.
const WRITING: Duration = Duration::from_secs(10);

/// A time is this long at most, in bytes.
const LONGEST: u64 = 64;

impl LockPaths {
    /// Those of the object at `path`.
    pub fn of(path: &Path) -> Self {
        let with = |suffix: &str| {
            let mut name = OsString::from(path);
            name.push(suffix);
            PathBuf::from(name)
        };
        let dir = path.parent().expect("an object lies in a directory").to_path_buf();
        Self { dir, lock: with(".lck"), retention_lock: with(".rtl"), retention: with(".rtm") }
    }

    /// Removes the lock, and what belongs to it, but a time that has to be kept. To be called with the lock held
    /// exclusively and the directory writable.
    pub fn remove(&self) -> io::Result<()> {
        if !is_retained(self)? {
            remove(&self.retention)?;
            remove(&self.retention_lock)?;
        }
        remove(&self.lock)
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Whether the content has to be kept although nobody has it locked any more. What cannot be read as a time keeps nothing,
/// as in git-annex.
pub fn is_retained(paths: &LockPaths) -> io::Result<bool> {
    Ok(read(&paths.retention)?.as_deref().and_then(parse).is_some_and(|until| until > now()))
}

/// The times this process has written, so that it can take them back and leave those of others.
#[derive(Debug, Default)]
pub struct Retentions(Mutex<HashMap<PathBuf, Entry>>);

#[derive(Debug)]
struct Entry {
    /// Locks of this process on the content.
    holders: usize,
    /// What this process wrote last.
    written: Vec<u8>,
    /// What was there before and not ours: of a process that lives and will take it back, or one that died.
    before: Option<Vec<u8>>,
}

impl Retentions {
    /// Writes that the content is to be kept from now on for ten minutes. To be called with the lock held shared.
    pub fn retain(&self, config: &ContentConfig, paths: &LockPaths) -> io::Result<()> {
        let _lock = lock(config, paths)?;
        let there = read(&paths.retention)?;
        let until = now() + KEPT;
        let text = format!("{}.{:09}s", until.as_secs(), until.subsec_nanos()).into_bytes();
        write(config, paths, &text)?;
        let mut entries = self.entries();
        let entry =
            entries.entry(paths.retention.clone()).or_insert(Entry { holders: 0, written: Vec::new(), before: None });
        if there.as_deref() != Some(&entry.written) {
            entry.before = later(entry.before.take(), there);
        }
        entry.written = text;
        entry.holders += 1;
        Ok(())
    }

    /// Takes back what [`retain`](Self::retain) wrote, with the last of the locks of this process. To be called with the
    /// lock still held.
    pub fn release(&self, config: &ContentConfig, paths: &LockPaths) -> io::Result<()> {
        let _lock = lock(config, paths)?;
        let Some(entry) = self.last(paths) else { return Ok(()) };
        if read(&paths.retention)?.as_deref() != Some(&entry.written) {
            return Ok(());
        }
        match entry.before.filter(|text| parse(text).is_some_and(|until| until > now())) {
            Some(text) => write(config, paths, &text),
            None => remove(&paths.retention),
        }
    }

    /// Leaves what [`retain`](Self::retain) wrote, also when other locks of this process are released later.
    pub fn leave(&self, paths: &LockPaths) {
        if let Some(entry) = self.entries().get_mut(&paths.retention) {
            entry.before = later(entry.before.take(), Some(entry.written.clone()));
        }
        self.last(paths);
    }

    /// Counts one lock less, and gives the entry when it was the last.
    fn last(&self, paths: &LockPaths) -> Option<Entry> {
        let mut entries = self.entries();
        let entry = entries.get_mut(&paths.retention)?;
        entry.holders -= 1;
        if entry.holders == 0 { entries.remove(&paths.retention) } else { None }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<PathBuf, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one of two texts that tells the later time.
fn later(one: Option<Vec<u8>>, other: Option<Vec<u8>>) -> Option<Vec<u8>> {
    let time = |text: &Option<Vec<u8>>| text.as_deref().and_then(parse);
    if time(&other) > time(&one) { other } else { one }
}

fn lock(config: &ContentConfig, paths: &LockPaths) -> io::Result<LockFile> {
    let lock = LockFile::wait(&paths.retention_lock, LockKind::Exclusive, 0o666, WRITING)?;
    modes::share(config, lock.path(), false)?;
    Ok(lock)
}

/// Replaces the time in one step. To be called with `KEY.rtl` locked.
fn write(config: &ContentConfig, paths: &LockPaths, text: &[u8]) -> io::Result<()> {
    let _othertmp = staging::lock_othertmp(config)?;
    let dir = config.annex_dir.join("othertmp");
    modes::make_dirs(config, &dir)?;
    let temporary = dir.join(fresh::name("retention")?);
    fresh::replace(&paths.retention, text, &temporary, 0o666, Durability::Process).map(drop)
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let flags = (OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::NONBLOCK).bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text)?;
    Ok(Some(text))
}

/// `1795390055.286930041s`, since the epoch. git-annex was seen to read it without the fraction, the `s`, or a newline
/// after it too.
fn parse(text: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(text).ok()?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('s').unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let nanos = format!("{fraction:0<9.9}").parse().ok()?;
    Some(Duration::new(whole.parse().ok()?, nanos))
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_git_annex_writes_them() {
        for (text, time) in [
            (&b"1795390055.286930041s"[..], Some(Duration::new(1_795_390_055, 286_930_041))),
            (b"10s", Some(Duration::new(10, 0))),
            (b"10.5s", Some(Duration::new(10, 500_000_000))),
            (b"10.1234567890123s", Some(Duration::new(10, 123_456_789))),
            (b"", None),
            (b"s", None),
            (b"10", Some(Duration::new(10, 0))),
            (b"10s\n", Some(Duration::new(10, 0))),
            (b"10s\nx", None),
            (b" 10s", None),
            (b".5s", None),
            (b"10.s", None),
            (b"-5s", None),
            (b"99999999999999999999999s", None),
            (b"\xff", None),
        ] {
            assert_eq!(parse(text), time, "{}", text.escape_ascii());
        }
    }
}
