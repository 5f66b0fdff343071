//! Which objects that may be modified were hashed, and with which result.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::object::State;
use crate::annex::backend::{Verification, Verifier};
use crate::name::Key;

/// Verdicts about objects that somebody may write to. git-annex keeps the like in sqlite (inode caches); this one lives as
/// long as the process, so such an object is read once in a process and then again whenever it has been touched.
#[derive(Debug, Default)]
pub struct Proven {
    verdicts: Mutex<HashMap<Key, (State, bool)>>,
}

/// Verdicts kept at most. Beyond it all are forgotten, which costs time and nothing else.
const MOST: usize = 100_000;

/// How long, in seconds, a file must have been left alone for its times to tell the next change. File systems count time
/// in steps, so of two changes in one step only the first shows.
const SETTLED: i64 = 2;

/// Bytes read at once.
const BLOCK: usize = 256 << 10;

impl Proven {
    /// What is known of the content of `key` in `state`.
    pub fn verdict(&self, key: &Key, state: &State) -> Option<bool> {
        let verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        verdicts.get(key).filter(|(known, _)| known == state).map(|(_, verdict)| *verdict)
    }

    /// Reads `file` and decides whether it is the content of `key`. False also where it changes meanwhile.
    ///
    /// # Errors
    ///
    /// Those of reading, and `Unsupported` for a key whose hash cannot be computed here.
    pub fn prove(&self, key: &Key, file: &File) -> io::Result<bool> {
        self.prove_at(key, file, now())
    }

    fn prove_at(&self, key: &Key, file: &File, now: i64) -> io::Result<bool> {
        let before = State::of(&file.metadata()?);
        let verdict = match Verification::for_key(key) {
            Verification::SizeOnly => true,
            Verification::Digest(mut verifier) => feed(file, before.len(), &mut verifier)? && verifier.finish(),
            Verification::Impossible => {
                let text = "this content may have been changed, and its hash is not known here";
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
        };
        if State::of(&file.metadata()?) != before {
            return Ok(false);
        }
        if before.touched() + SETTLED < now {
            let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
            if verdicts.len() >= MOST {
                verdicts.clear();
            }
            verdicts.insert(key.clone(), (before, verdict));
        }
        Ok(verdict)
    }
}

/// Gives the first `len` bytes of `file` to `verifier`, wherever the file stands. False where it ends before.
pub fn feed(file: &File, len: u64, verifier: &mut Verifier) -> io::Result<bool> {
    let mut block = vec![0; BLOCK];
    let mut at = 0;
    while at < len {
        let most = usize::try_from(len - at).unwrap_or(BLOCK).min(BLOCK);
        let got = match std::os::unix::fs::FileExt::read_at(file, &mut block[..most], at) {
            Ok(0) => return Ok(false),
            Ok(got) => got,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        verifier.update(&block[..got]);
        at += got as u64;
    }
    Ok(true)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_holds_until_the_file_changes_and_only_once_its_times_tell() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x");
        std::fs::write(&path, "").expect("written");
        let key = Key::parse(b"MD5-s0--d41d8cd98f00b204e9800998ecf8427e").expect("a key");
        let (proven, file) = (Proven::default(), File::open(&path).expect("opened"));
        let state = || State::of(&file.metadata().expect("there"));
        assert!(proven.prove_at(&key, &file, now()).expect("read"));
        assert_eq!(proven.verdict(&key, &state()), None, "the next change could come in the same moment");
        assert!(proven.prove_at(&key, &file, now() + 60).expect("read"));
        assert_eq!(proven.verdict(&key, &state()), Some(true));
        std::fs::write(&path, "x").expect("written");
        assert_eq!(proven.verdict(&key, &state()), None);
        assert!(!proven.prove_at(&key, &file, now() + 60).expect("read"));
        assert_eq!(proven.verdict(&key, &state()), Some(false));
    }

    #[test]
    fn what_cannot_be_hashed_is_not_guessed() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = File::create_new(dir.path().join("x")).expect("made");
        let key = |text: &[u8]| Key::parse(text).expect("a key");
        let proven = Proven::default();
        let error = proven.prove(&key(b"SKEIN256-s0--x"), &file).expect_err("unknown");
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(proven.prove(&key(b"WORM-s0--x"), &file).expect("its length is all there is"));
    }
}
