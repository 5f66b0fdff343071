//! notifychanges: reports changed refs for as long as the client listens.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long a change may go unnoticed. Looking costs a walk over the loose refs, and the client only saves itself a
/// fetch on a timer of its own.
const PAUSE: Duration = Duration::from_secs(1);

/// Says READY, and then `CHANGED SHA...` each time refs in `git_dir` change, with their new values, until `input` ends.
/// Deleted refs are not told.
///
/// # Errors
///
/// The output cannot be written, or the refs cannot be read.
pub fn run(git_dir: &Path, input: &impl AsFd, output: &mut dyn Write) -> io::Result<()> {
    let mut known = Refs::read(git_dir)?;
    output.write_all(b"READY\n")?;
    output.flush()?;
    while !ended(input, PAUSE)? {
        let now = Refs::read(git_dir)?;
        let changed = now.changed_since(&known);
        if !changed.is_empty() {
            let words: Vec<&[u8]> = std::iter::once(&b"CHANGED"[..]).chain(changed).collect();
            output.write_all(&[&words.join(&b' '), &b"\n"[..]].concat())?;
            output.flush()?;
        }
        known = now;
    }
    Ok(())
}

/// Waits up to `pause` for the end of `input`; what else comes from there means nothing.
fn ended(input: &impl AsFd, pause: Duration) -> io::Result<bool> {
    let pause = Timespec::try_from(pause).map_err(io::Error::other)?;
    let mut fds = [PollFd::new(input, PollFlags::IN)];
    match poll(&mut fds, Some(&pause)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => Ok(false),
        Ok(_) => Ok(rustix::io::read(input, &mut [0; 4096])? == 0),
        Err(e) => Err(e.into()),
    }
}

/// Each ref and its value.
#[derive(Debug, Default, PartialEq, Eq)]
struct Refs(HashMap<Vec<u8>, Vec<u8>>);

/// Longest loose ref read, in bytes: a SHA-256 in hex has 64.
const LONGEST: u64 = 4096;

impl Refs {
    fn read(git_dir: &Path) -> io::Result<Self> {
        let mut refs = Refs::default();
        match std::fs::read(git_dir.join("packed-refs")) {
            Ok(packed) => refs.take_packed(&packed),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        // Loose ones are newer.
        let mut todo = vec![git_dir.join("refs")];
        while let Some(directory) = todo.pop() {
            refs.take_loose(git_dir, &directory, &mut todo)?;
        }
        Ok(refs)
    }

    fn take_packed(&mut self, packed: &[u8]) {
        for line in packed.split(|byte| *byte == b'\n') {
            let mut parts = line.splitn(2, |byte| *byte == b' ');
            if let (Some(value), Some(name)) = (parts.next(), parts.next())
                && is_value(value)
            {
                self.0.insert(name.to_vec(), value.to_vec());
            }
        }
    }

    /// Refs come and go while they are looked at: what is gone is left out.
    fn take_loose(&mut self, git_dir: &Path, directory: &Path, todo: &mut Vec<PathBuf>) -> io::Result<()> {
        let entries = match std::fs::read_dir(directory) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            let mut content = Vec::new();
            match std::fs::symlink_metadata(&path) {
                Ok(meta) if meta.is_dir() => todo.push(path),
                Ok(meta) if meta.is_file() && path.extension().is_none_or(|end| end != "lock") => {
                    let Ok(file) = std::fs::File::open(&path) else { continue };
                    file.take(LONGEST).read_to_end(&mut content)?;
                    let value = content.trim_ascii_end();
                    if let (true, Ok(name)) = (is_value(value), path.strip_prefix(git_dir)) {
                        self.0.insert(name.as_os_str().as_encoded_bytes().to_vec(), value.to_vec());
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Values that refs have now and did not have before, sorted by the name of the ref; each once.
    fn changed_since<'a>(&'a self, before: &Refs) -> Vec<&'a [u8]> {
        let mut changed: Vec<_> = self.0.iter().filter(|(name, value)| before.0.get(*name) != Some(value)).collect();
        changed.sort();
        let mut values: Vec<&[u8]> = Vec::new();
        for (_, value) in changed {
            if !values.contains(&value.as_slice()) {
                values.push(value);
            }
        }
        values
    }
}

/// A symbolic ref is no value, nor are the comments of packed-refs.
fn is_value(bytes: &[u8]) -> bool {
    matches!(bytes.len(), 40 | 64) && bytes.iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha(letter: &str) -> String {
        letter.repeat(40)
    }

    #[test]
    fn loose_refs_beat_packed_ones_and_changes_are_told_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let put = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        assert_eq!(Refs::read(dir.path()).expect("empty"), Refs::default());
        put("packed-refs", &format!("# pack-refs with: peeled\n{} refs/heads/a\n^{}\n", sha("1"), sha("2")));
        let packed = Refs::read(dir.path()).expect("read");
        assert_eq!(packed.changed_since(&Refs::default()), [sha("1").as_bytes()]);
        put("refs/heads/a", &format!("{}\n", sha("3")));
        put("refs/remotes/x/a", &format!("{}\n", sha("3")));
        put("refs/remotes/x/HEAD", "ref: refs/remotes/x/a\n");
        put("refs/heads/b.lock", &format!("{}\n", sha("4")));
        let loose = Refs::read(dir.path()).expect("read");
        assert_eq!(loose.changed_since(&packed), [sha("3").as_bytes()]);
        assert!(loose.changed_since(&loose).is_empty());
        assert!(Refs::default().changed_since(&loose).is_empty(), "deleted refs are not told");
    }

    #[test]
    fn it_ends_with_its_input() {
        let dir = tempfile::tempdir().expect("a directory");
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(writer);
        let mut output = Vec::new();
        run(dir.path(), &reader, &mut output).expect("ended");
        assert_eq!(output, b"READY\n");
    }
}
