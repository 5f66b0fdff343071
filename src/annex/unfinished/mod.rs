//! Unfinished uploads, so that they can be resumed after this process has ended: `.git/annex/stream/`.
//!
//! One file for each remote and key that an upload was begun for. It begins with a [header](record) that says what the store
//! calls the upload, and grows by one record of fixed size for each mark, a place up to which the store keeps what it has.
//! Each record carries a checksum over itself and all before it. What does not fit is cut off: an upload then goes on from
//! an earlier mark, never from one that was not reached.
//!
//! Who has a [`Ledger`] is the only one who uploads this key to this remote. That is kept within the process from the first
//! moment, and between processes from [`begin`](Ledger::begin) on, by a lock file: an upload that is done before anything
//! had to be remembered leaves no trace on the disk.

mod claim;
mod keep;
mod list;
mod record;
#[cfg(test)]
mod tests;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub use keep::{KEEP, duration, keep};
pub use list::Entry;

use super::fresh::{self, Durability};
use super::lock::{LockFile, LockKind};
use crate::name::{Key, Uuid};
use claim::Claim;
use record::{Header, Image};

/// The ledgers of a repository.
#[derive(Debug, Clone)]
pub struct Ledgers {
    dir: PathBuf,
}

/// Whether an upload may begin.
#[derive(Debug)]
// Few are made, and each is used at once.
#[allow(clippy::large_enum_variant)]
pub enum Taken {
    /// Another upload of this key to this remote is under way, in this process or another.
    Busy,
    /// None is.
    Free(Ledger),
}

/// What is remembered of one upload. Dropped, it stays on the disk and others may take it.
#[derive(Debug)]
pub struct Ledger {
    dir: PathBuf,
    remote: Uuid,
    key: Key,
    path: PathBuf,
    /// Both are let go in this order.
    lock: Option<LockFile>,
    _claim: Claim,
    open: Option<Open>,
    /// Something is there that is malformed, and may be the only trace of an upload.
    corrupt: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    begun: Begun,
    /// Where the next record goes, in bytes, and the checksum of the one before it.
    at: u64,
    chain: u64,
}

/// An upload that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The name of the object in the store.
    pub object: Vec<u8>,
    /// Length of the whole in bytes.
    pub len: u64,
    /// What the store calls the upload.
    pub token: Vec<u8>,
    /// Bytes become lasting in steps of so many.
    pub step: u64,
    /// When it was begun, in seconds since 1970.
    pub created: u64,
    /// When the last mark was made.
    pub touched: u64,
    /// The ends of what lasts, in bytes and rising, with what the store calls each step.
    pub marks: Vec<(u64, Vec<u8>)>,
    /// The state of the digest at the last mark, as [`Verifier::save`](super::backend::Verifier::save) gave it.
    pub digest: Vec<u8>,
}

impl Begun {
    /// Bytes that last.
    pub fn reached(&self) -> u64 {
        self.marks.last().map_or(0, |(end, _)| *end)
    }
}

impl Ledgers {
    /// Those of the repository whose `annex` directory this is. Touches nothing.
    pub fn new(annex_dir: &Path) -> Self {
        Self { dir: annex_dir.join("stream").join("uploads") }
    }

    /// Takes the ledger of uploads of `key` to `remote`, with what it says. Makes no file; never waits.
    ///
    /// # Errors
    ///
    /// It is there and cannot be read. An upload that need not be remembered can go on without it.
    pub fn take(&self, remote: &Uuid, key: &Key) -> io::Result<Taken> {
        let path = self.dir.join(record::file_name(remote, key));
        let Some(claim) = Claim::take(&path) else { return Ok(Taken::Busy) };
        let mut ledger = Ledger {
            dir: self.dir.clone(),
            remote: remote.clone(),
            key: key.clone(),
            path,
            lock: None,
            _claim: claim,
            open: None,
            corrupt: false,
        };
        if !ledger.path.try_exists()? {
            return Ok(Taken::Free(ledger));
        }
        if !ledger.lock()? {
            return Ok(Taken::Busy);
        }
        ledger.read()?;
        if ledger.adopt()? {
            ledger.read()?;
        }
        Ok(Taken::Free(ledger))
    }

    /// All that is remembered, in no order. Takes no lock: what is under way may be a mark further than told.
    ///
    /// One that is not there holds nothing.
    ///
    /// # Errors
    ///
    /// The directory cannot be read.
    pub fn list(&self) -> io::Result<Vec<Entry>> {
        list::list(&self.dir)
    }

    /// Removes the file of an entry that is not the ledger's own, or is malformed.
    pub fn discard(&self, file: &Path) -> io::Result<()> {
        if file.parent() != Some(&self.dir) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a ledger file"));
        }
        gone(std::fs::remove_file(file))
    }
}

impl Ledger {
    /// The upload that can be resumed.
    pub fn begun(&self) -> Option<&Begun> {
        self.open.as_ref().map(|open| &open.begun)
    }

    /// Remembers that an upload began which the store calls `token`, in place of what was remembered before. Survives a
    /// power cut from then on.
    ///
    /// # Errors
    ///
    /// `WouldBlock` where another process began one first, `InvalidInput` where something is too long to remember, and
    /// those of writing. Nothing is remembered then, and the upload can be done all the same.
    pub fn begin(&mut self, object: &[u8], len: u64, token: &[u8], step: u64) -> io::Result<()> {
        let created = now();
        let header = Header { remote: &self.remote, key: &self.key, object, token, len, step, created };
        let (bytes, chain) = header.to_bytes()?;
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        if !self.lock()? {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "another process uploads this key to this remote"));
        }
        if self.lock_found_more()? {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "another process uploaded to this remote meanwhile"));
        }
        if self.corrupt {
            self.set_aside()?;
        }
        for left in self.left_behind()? {
            gone(std::fs::remove_file(left))?;
        }
        let file = self.replace(&bytes)?;
        let begun = Begun {
            object: object.to_vec(),
            len,
            token: token.to_vec(),
            step,
            created,
            touched: created,
            marks: Vec::new(),
            digest: Vec::new(),
        };
        self.open = Some(Open { file, begun, at: bytes.len() as u64, chain });
        Ok(())
    }

    /// Remembers that all bytes up to `end` last, that the store calls the last step `tag`, and the state `digest` of the
    /// digest there. Survives the end of this process from then on.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where nothing was begun, `end` does not rise or is past the end, or one of them is too long; and
    /// those of writing. The marks before stay.
    pub fn mark(&mut self, end: u64, tag: &[u8], digest: &[u8]) -> io::Result<()> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_string());
        let open = self.open.as_mut().ok_or_else(|| invalid("no upload was begun"))?;
        if end <= open.begun.reached() || end > open.begun.len {
            return Err(invalid("a mark that does not rise, or is past the end"));
        }
        if open.at + record::MARK as u64 > record::MOST {
            return Err(invalid("too many marks"));
        }
        let touched = now();
        let (bytes, chain) = record::mark(open.chain, end, touched, tag, digest)?;
        open.file.write_all_at(&bytes, open.at)?;
        (open.at, open.chain) = (open.at + bytes.len() as u64, chain);
        open.begun.marks.push((end, tag.to_vec()));
        open.begun.digest = digest.to_vec();
        open.begun.touched = touched;
        Ok(())
    }

    /// Forgets the upload: it was finished, or undone. What is malformed stays.
    pub fn remove(mut self) -> io::Result<()> {
        self.clear()
    }

    /// The same, and stays the only one who may begin another.
    pub fn clear(&mut self) -> io::Result<()> {
        if self.open.take().is_some() {
            gone(std::fs::remove_file(&self.path))?;
        }
        Ok(())
    }

    /// Puts a file of these bytes in place of the ledger's, in one step and for good.
    fn replace(&self, bytes: &[u8]) -> io::Result<File> {
        let name = fresh::name(&record::file_name(&self.remote, &self.key))?;
        let new = self.dir.join(name).with_added_extension("new");
        fresh::replace(&self.path, bytes, &new, 0o600, Durability::Machine)
    }

    /// What was to become the ledger where a process ended before it did. Whoever asks has the lock, so nobody else uses it.
    fn left_behind(&self) -> io::Result<Vec<PathBuf>> {
        let own = format!("{}.", record::file_name(&self.remote, &self.key));
        let mut left = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            if name.to_str().is_some_and(|name| name.starts_with(&own) && name.ends_with(".new")) {
                left.push(self.dir.join(name));
            }
        }
        Ok(left)
    }

    /// Puts what was left behind in place of the ledger where it tells what the ledger does not: what the store calls the
    /// upload. True where it did.
    fn adopt(&mut self) -> io::Result<bool> {
        let mut adopted = false;
        for left in self.left_behind()? {
            let image = record::read(&File::open(&left)?)?.filter(|image| self.is_of(image));
            let is_named = |image: &Image| {
                let known = self.begun().map(|begun| (begun.token.is_empty(), begun.created));
                !image.begun.token.is_empty()
                    && known.is_some_and(|(unnamed, created)| unnamed && created <= image.begun.created)
            };
            match image.is_some_and(|image| is_named(&image)) {
                true => {
                    std::fs::rename(&left, &self.path)?;
                    adopted = true;
                }
                false => gone(std::fs::remove_file(&left))?,
            }
        }
        Ok(adopted)
    }

    /// False where another process has it.
    fn lock(&mut self) -> io::Result<bool> {
        if self.lock.is_none() {
            self.lock = LockFile::try_lock(&self.path.with_extension("lck"), LockKind::Exclusive, 0o600)?;
        }
        Ok(self.lock.is_some())
    }

    /// Whether a ledger came to be between [`Ledgers::take`] and the lock.
    fn lock_found_more(&self) -> io::Result<bool> {
        Ok(self.open.is_none() && !self.corrupt && self.path.try_exists()?)
    }

    fn read(&mut self) -> io::Result<()> {
        let file = match OpenOptions::new().read(true).write(true).open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e),
        };
        let image = record::read(&file)?;
        let Some(Image { remote, key, begun, at, chain }) = image.filter(|image| self.is_of(image)) else {
            self.corrupt = true;
            return Ok(());
        };
        debug_assert!(remote == self.remote && key == self.key);
        // A torn tail must not lie behind what is appended now.
        file.set_len(at)?;
        self.open = Some(Open { file, begun, at, chain });
        Ok(())
    }

    fn is_of(&self, image: &Image) -> bool {
        image.remote == self.remote && image.key == self.key
    }

    /// Keeps what is malformed under another name, for [`Ledgers::list`].
    fn set_aside(&mut self) -> io::Result<()> {
        const NAMES: u32 = 16;
        let names = (0..NAMES).map(|n| self.path.with_extension(format!("bad{n}")));
        let mut free = names.filter(|name| !name.exists());
        // Each may be the only trace of an upload.
        let name = free.next().ok_or_else(|| io::Error::other("too many ledgers of this upload are malformed"))?;
        std::fs::rename(&self.path, name)?;
        self.corrupt = false;
        Ok(())
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if self.lock.is_some() && self.open.is_none() && !self.corrupt {
            // Still held, so nobody else has it; who opened it meanwhile sees that it is gone.
            let _ = std::fs::remove_file(self.path.with_extension("lck"));
        }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
