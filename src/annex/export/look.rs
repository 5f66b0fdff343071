//! What a path on the remote holds, from what is recorded and from what a look at it found.

use super::plan::Holds;
use crate::name::Key;

/// What a look at a name found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing is there.
    Absent,
    /// Something is there, of this length in bytes where the store tells.
    Present(Option<u64>),
    /// The content of this key is there: it was read, and digested; or it is the very file that was; or nobody could find out
    /// more.
    Verified(Key),
    /// Something is there that is content of none of the keys it might be of: it was read.
    Other,
}

impl Found {
    /// Whether anything is there that may be content of `key`, by its length.
    pub fn may_be(&self, key: &Key) -> bool {
        match self {
            Self::Absent | Self::Other => false,
            Self::Present(len) => fits(key, *len),
            Self::Verified(is) => is == key || fits(key, is.content_len()),
        }
    }
}

/// Whether content of `key` can have this length.
pub fn fits(key: &Key, len: Option<u64>) -> bool {
    len.is_none() || key.content_len().is_none_or(|wanted| Some(wanted) == len)
}

/// What a name holds: `noted` is what the database has of it.
///
/// A name is emptied, then that is noted for good, and only then it is filled ([`Step::Settle`](super::plan::Step::Settle)).
/// So where something is noted, no other key of ours is there. A person may have put another file there, which nothing but
/// its digest would tell: a note is good enough to move what is there, and never to remove another copy for it. What is found
/// where nothing is noted is of no key until it is proven to be.
pub fn resolve(noted: Option<&Key>, found: Found) -> Option<Holds> {
    Some(match (found, noted) {
        (Found::Absent, _) => return None,
        (Found::Verified(key), _) => Holds::Key(key),
        (Found::Present(len), Some(key)) if fits(key, len) => Holds::Key(key.clone()),
        (Found::Present(_) | Found::Other, _) => Holds::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_name_holds_is_told_or_admitted_to_be_unknown() {
        let key = |text: &str| Key::parse(text.as_bytes()).expect("a key");
        let (small, large) = (key("SHA256-s1--a"), key("SHA256-s2--b"));
        let told = |noted: Option<&Key>, found| {
            resolve(noted, found).map(|holds| match holds {
                Holds::Key(key) => key.to_string(),
                Holds::Unknown => "?".to_string(),
            })
        };
        let some = |text: &str| Some(text.to_string());
        let (at_two, any) = (Found::Present(Some(2)), Found::Present(None));
        assert_eq!(told(Some(&small), Found::Absent), None);
        assert_eq!(told(Some(&small), any.clone()), some("SHA256-s1--a"));
        assert_eq!(told(Some(&small), at_two.clone()), some("?"), "a stranger put it there");
        assert_eq!(told(Some(&small), Found::Other), some("?"), "it was read");
        assert_eq!(told(None, any), some("?"));
        assert_eq!(told(None, at_two), some("?"), "a length proves nothing");
        assert_eq!(told(Some(&large), Found::Verified(small.clone())), some("SHA256-s1--a"));
        assert!(Found::Present(Some(1)).may_be(&small) && !Found::Present(Some(1)).may_be(&large));
    }
}
