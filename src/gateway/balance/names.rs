//! The files that keys are known as: those of the branch that is checked out, or that clients sync with.
//!
//! A wish such as `include=*.mp3` is about a file, and a key by itself has none. All files are held at once, in their paths and 16
//! bytes for each.

use std::fs;
use std::hash::{BuildHasher, RandomState};

use crate::annex::branch::{BranchError, FileKind};
use crate::annex::export::pointer::{LONGEST_POINTER, pointed_to};
use crate::annex::repository::Repository;
use crate::name::Key;

/// The paths of each key, from the top of the tree.
#[derive(Default)]
pub struct Names {
    hasher: RandomState,
    /// The hash of a key, and where the path of a file of it is.
    index: Vec<(u64, usize)>,
    /// Keys and paths, each with its length.
    text: Vec<u8>,
}

/// The most files of one key that are asked about.
const MOST: usize = 100;

impl Names {
    /// Reads those of the branch at HEAD of `repository`, or of `synced` beside it where that is newer. Blocks.
    pub fn read(repository: &Repository) -> Result<Self, BranchError> {
        let branch = repository.branch();
        let head = fs::read(repository.git_dir().join("HEAD")).unwrap_or_default();
        let name = head.strip_prefix(b"ref: refs/heads/").map(<[u8]>::trim_ascii_end);
        let synced = name.map(|name| [b"refs/heads/synced/", name].concat());
        let mut names = Self::default();
        let Some(tree) = branch.followed_tree(b"HEAD", synced.as_deref(), b"")?.tree else { return Ok(names) };
        branch.each_file(tree, &mut |path, file| {
            let may_point = file.kind != FileKind::Submodule
                && (file.kind == FileKind::Link || branch.blob_len(file.id)? <= LONGEST_POINTER);
            if may_point && let Some(key) = pointed_to(&branch.blob(file.id, LONGEST_POINTER)?, file.kind) {
                names.add(&key, path);
            }
            Ok(())
        })?;
        names.index.sort_unstable();
        Ok(names)
    }

    fn add(&mut self, key: &Key, path: &[u8]) {
        self.index.push((self.hasher.hash_one(key.as_bytes()), self.text.len()));
        for text in [key.as_bytes(), path] {
            self.text.extend_from_slice(&(text.len() as u64).to_le_bytes());
            self.text.extend_from_slice(text);
        }
    }

    /// The files of `key`.
    pub fn of(&self, key: &Key) -> Vec<Vec<u8>> {
        let hash = self.hasher.hash_one(key.as_bytes());
        let first = self.index.partition_point(|(other, _)| *other < hash);
        let same = self.index[first..].iter().take_while(|(other, _)| *other == hash);
        let found = same.filter_map(|(_, at)| {
            let (found, at) = self.text_at(*at);
            // Two keys may have one hash.
            (found == key.as_bytes()).then(|| self.text_at(at).0.to_vec())
        });
        found.take(MOST).collect()
    }

    fn text_at(&self, at: usize) -> (&[u8], usize) {
        let mut len = [0; 8];
        len.copy_from_slice(&self.text[at..at + 8]);
        let end = at + 8 + usize::try_from(u64::from_le_bytes(len)).expect("it is in memory");
        (&self.text[at + 8..end], end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_files() {
        let key = |at: u32| Key::parse(format!("SHA256-s1--{at}").as_bytes()).expect("a key");
        let mut names = Names::default();
        for at in 0..100 {
            names.add(&key(at % 60), format!("d/{at}").as_bytes());
        }
        names.index.sort_unstable();
        let of =
            |at| names.of(&key(at)).into_iter().map(|path| String::from_utf8(path).expect("text")).collect::<Vec<_>>();
        assert_eq!((of(7), of(59), of(60)), (vec!["d/7".into(), "d/67".into()], vec!["d/59".to_string()], vec![]));
    }
}
