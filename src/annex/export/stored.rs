//! Keys without a digest that gateways stored recently: a list on the store, which they read and write in turns.
//!
//! What is at a name of the tree may be content of such a key or what a stranger put there; nothing but a record tells. One
//! gateway has the records of another only once their git-annex branches are exchanged, and this list until then.

use super::check::Check;
use crate::name::Key;

/// Where the list is. No gateway has a word there: that is a directory.
pub const NAME: &[u8] = b".git/annex/stream/stored/keys";

/// The longest list, in bytes. Those stored first leave it first: what was stored long ago is in the records by now.
pub const LONGEST: usize = 64 << 10;

/// The list, those stored last at its end.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct StoredKeys(Vec<Key>);

impl StoredKeys {
    /// Reads the list: a key a line. What is malformed is left out.
    pub fn parse(text: &[u8]) -> Self {
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(&[][..], |end| &text[..end]);
        let keys = whole.split(|byte| *byte == b'\n').filter_map(|line| Key::parse(line).ok());
        Self(keys.filter(Self::concerns).collect())
    }

    /// Whether nothing but a record tells what is content of `key`.
    pub fn concerns(key: &Key) -> bool {
        !Check::is_known(key)
    }

    /// Puts `key` at the end. False where it is there already.
    pub fn add(&mut self, key: &Key) -> bool {
        if self.0.last() == Some(key) {
            return false;
        }
        self.remove(key);
        self.0.push(key.clone());
        true
    }

    /// Takes `key` out. False where it is not in it.
    pub fn remove(&mut self, key: &Key) -> bool {
        let before = self.0.len();
        self.0.retain(|other| other != key);
        self.0.len() < before
    }

    /// Whether `key` is in it.
    pub fn contains(&self, key: &Key) -> bool {
        self.0.contains(key)
    }

    /// What to write: at most [`LONGEST`] bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut left = LONGEST;
        let fits = |key: &&Key| {
            let room = left.checked_sub(key.as_bytes().len() + 1);
            left = room.unwrap_or_default();
            room.is_some()
        };
        let mut last: Vec<&Key> = self.0.iter().rev().take_while(fits).collect();
        last.reverse();
        last.iter().flat_map(|key| [key.as_bytes(), b"\n"].concat()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::parse(text.as_bytes()).expect("a key")
    }

    #[test]
    fn a_list_is_what_was_written_of_it() {
        let mut stored = StoredKeys::default();
        let (one, two) = (key("WORM-s1-m1--one"), key("URL--two"));
        assert!(stored.add(&one) && stored.add(&two) && !stored.add(&two) && stored.add(&one));
        let read = StoredKeys::parse(&stored.to_bytes());
        assert_eq!(read, stored);
        assert!(read.contains(&one) && read.contains(&two) && !read.contains(&key("URL--three")));
        assert_eq!(read.0, [two.clone(), one.clone()], "the one stored last is at the end");
        assert!(stored.remove(&two) && !stored.remove(&two));
        assert_eq!(StoredKeys::parse(&stored.to_bytes()).0, [one]);
    }

    #[test]
    fn what_is_malformed_is_left_out() {
        let read = StoredKeys::parse(b"\nnonsense\nURL--a\n\xff\nSHA256-s1--00\nURL--cut");
        assert_eq!(read.0, [key("URL--a")], "keys with a digest need no list, and the last line may be cut");
        assert_eq!(StoredKeys::parse(b""), StoredKeys::default());
    }

    #[test]
    fn the_oldest_leave_a_list_that_is_full() {
        let mut stored = StoredKeys::default();
        let nth = |n: usize| key(&format!("URL--{n:0>900}"));
        (0..100).for_each(|n| assert!(stored.add(&nth(n))));
        let text = stored.to_bytes();
        assert!(text.len() <= LONGEST && text.len() > LONGEST - 1000);
        let read = StoredKeys::parse(&text);
        assert!(read.contains(&nth(99)) && !read.contains(&nth(0)));
    }
}
