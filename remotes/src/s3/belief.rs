//! What this process has seen this S3 do, and so need not ask about again.
//!
//! Nothing is believed of an S3 that nobody has looked at. The first copies are read back, and conditions that cannot hold are
//! tried on them: where those are refused, and the copies were what the store had said, a CopyObjectResult with the ETag of the
//! original is a proof of the copy. One in [`SAMPLE`] is looked at still, and one that was not what was said ends all belief.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use aws_sdk_s3::types::StorageClass;

use super::version::Of;

/// Copies that have to be what the store said before it is believed.
const SEEN: u32 = 3;

/// Of so many copies one is looked at all the same.
const SAMPLE: u32 = 64;

/// Most objects whose ETags are remembered, some 250 bytes each.
const MOST: usize = 50_000;

/// So many objects are asked about one by one before a page of the names that come next is listed.
const ONE_BY_ONE: u32 = 8;

/// So many of a page have to be asked for, or the next page comes later.
const WORTH: u32 = 16;

/// An ETag that no object has.
pub(super) const NO_SUCH_TAG: &str = "\"00000000000000000000000000000000\"";

/// Whether a condition is honoured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Condition {
    /// Nobody has tried.
    #[default]
    Untried,
    /// One that cannot hold was refused.
    Holds,
    /// It was not, or nobody can tell.
    Ignored,
}

/// An object of which this process knows what the store calls it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Known {
    /// Its length in bytes.
    pub(super) len: u64,
    /// Its ETag.
    pub(super) tag: String,
    /// Its storage class, if it has another than the standard one.
    pub(super) class: Option<StorageClass>,
}

/// See the [module](self).
#[derive(Default)]
pub(super) struct Belief {
    /// `x-amz-copy-source-if-match` of a copy.
    pub(super) source: Cell<Condition>,
    /// `If-None-Match: *` of a copy.
    pub(super) target: Cell<Condition>,
    /// `If-Match` of a removal.
    pub(super) removal: Cell<Condition>,
    /// Copies that were looked at.
    seen: Cell<u32>,
    /// Copies that were believed.
    believed: Cell<u32>,
    lied: Cell<bool>,
    known: RefCell<HashMap<String, Known>>,
    ahead: RefCell<Ahead>,
}

/// What a listing told of names that may come next: renames go through a tree in order.
struct Ahead {
    page: HashMap<String, Known>,
    /// Objects of the page that were asked for.
    used: u32,
    /// Objects that nothing was known of, since the page.
    unknown: u32,
    /// After how many of those another page is listed.
    patience: u32,
}

impl Default for Ahead {
    fn default() -> Self {
        Self { page: HashMap::new(), used: WORTH, unknown: 0, patience: ONE_BY_ONE }
    }
}

impl Belief {
    /// Whether a copy of an object with the ETag `original` needs no look, of which the store says that it has `copy`.
    pub(super) fn is_proof(&self, original: &str, copy: &str) -> bool {
        // A copy of what was stored in parts, or enciphered, has an ETag of its own: it says nothing of the original.
        let is_same = !bare(original).is_empty() && bare(original) == bare(copy);
        let has_shown = self.seen.get() >= SEEN && self.source.get() == Condition::Holds && !self.lied.get();
        if !is_same || !has_shown {
            return false;
        }
        let believed = self.believed.get().wrapping_add(1);
        self.believed.set(believed);
        !believed.is_multiple_of(SAMPLE)
    }

    /// A copy was looked at, and was what the store had said.
    pub(super) fn saw(&self) {
        self.seen.set(self.seen.get().saturating_add(1));
    }

    /// A copy was looked at, and was not.
    pub(super) fn lied(&self) {
        self.lied.set(true);
        self.known.borrow_mut().clear();
        self.ahead.borrow_mut().page.clear();
    }

    /// Whether it is time to try conditions: one copy alone is not worth it.
    pub(super) fn is_curious(&self, condition: &Cell<Condition>) -> bool {
        condition.get() == Condition::Untried && self.seen.get() > 1
    }

    /// What is known of an object. It may have been replaced: the copy has to ask for this ETag, which is why nothing is known
    /// where that is not honoured.
    pub(super) fn of(&self, object: Of<'_>) -> Option<Known> {
        if !self.may_know(object) {
            return None;
        }
        let made = self.known.borrow().get(object.key).cloned();
        made.or_else(|| {
            let mut ahead = self.ahead.borrow_mut();
            let known = ahead.page.remove(object.key)?;
            ahead.used += 1;
            Some(known)
        })
    }

    fn may_know(&self, object: Of<'_>) -> bool {
        object.version.is_none() && self.source.get() == Condition::Holds && !self.lied.get()
    }

    /// Nothing is known of an object: whether it is time to list what comes from there on.
    pub(super) fn is_worth_a_page(&self, object: Of<'_>) -> bool {
        let mut ahead = self.ahead.borrow_mut();
        ahead.unknown += 1;
        if !self.may_know(object) || ahead.unknown < ahead.patience {
            return false;
        }
        if ahead.used < WORTH {
            ahead.patience = ahead.patience.saturating_mul(4);
        }
        (ahead.unknown, ahead.used) = (0, 0);
        true
    }

    /// A page was listed.
    pub(super) fn foresee(&self, page: HashMap<String, Known>) {
        self.ahead.borrow_mut().page = page;
    }

    /// What was made, or seen.
    pub(super) fn learn(&self, key: &str, known: Known) {
        let mut all = self.known.borrow_mut();
        // What is renamed first is asked for first.
        if all.len() < MOST || all.contains_key(key) {
            all.insert(key.to_string(), known);
        }
    }

    /// The object was removed, or is another.
    pub(super) fn forget(&self, key: &str) {
        self.known.borrow_mut().remove(key);
        self.ahead.borrow_mut().page.remove(key);
    }
}

/// Not every server quotes them everywhere.
pub(super) fn bare(tag: &str) -> &str {
    tag.trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_believed_once_it_was_looked_at_and_until_it_lies() {
        let tag = "\"ab\"";
        let belief = Belief::default();
        assert!(!belief.is_proof(tag, tag), "nobody has looked");
        for _ in 0..SEEN {
            belief.saw();
        }
        assert!(!belief.is_proof(tag, tag), "no condition was tried");
        assert!(belief.is_curious(&belief.source) && belief.is_curious(&belief.removal));
        belief.source.set(Condition::Ignored);
        assert!(!belief.is_proof(tag, tag) && !belief.is_curious(&belief.source));
        belief.source.set(Condition::Holds);
        assert!(belief.is_proof(tag, "ab"), "quoted or not");
        for (original, copy) in [("\"ab-2\"", "\"cd\""), ("\"ab\"", "\"abc\""), ("", ""), ("\"\"", "\"\"")] {
            assert!(!belief.is_proof(original, copy), "{original} {copy}");
        }
        let looks = (0..10 * SAMPLE).filter(|_| !belief.is_proof(tag, tag)).count();
        assert_eq!(looks, 10, "one in {SAMPLE} is looked at");
        belief.lied();
        belief.saw();
        assert!(!belief.is_proof(tag, tag), "for good");
    }

    #[test]
    fn nothing_is_known_of_objects_where_a_copy_cannot_ask_for_them() {
        let known = Known { len: 1, tag: "x".into(), class: None };
        let belief = Belief::default();
        belief.learn("a", known.clone());
        assert_eq!(belief.of("a".into()), None, "nobody has tried");
        belief.source.set(Condition::Holds);
        assert_eq!(belief.of("a".into()), Some(known.clone()));
        assert_eq!(belief.of(Of { key: "a", version: Some("v") }), None, "that is another object");
        belief.forget("a");
        assert_eq!(belief.of("a".into()), None);
        (0..=MOST).for_each(|n| belief.learn(&n.to_string(), known.clone()));
        assert!(belief.known.borrow().len() <= MOST);
    }

    #[test]
    fn pages_are_listed_where_they_are_of_use() {
        let known = Known { len: 1, tag: "x".into(), class: None };
        let belief = Belief::default();
        assert!((0..100).all(|_| !belief.is_worth_a_page("a".into())), "a copy could not ask for what it lists");
        let belief = Belief::default();
        belief.source.set(Condition::Holds);
        let after = |belief: &Belief| (1..1000).find(|_| belief.is_worth_a_page("a".into()));
        assert_eq!(after(&belief), Some(ONE_BY_ONE));
        belief.foresee((0..100).map(|n| (n.to_string(), known.clone())).collect());
        assert_eq!((0..20).filter(|n| belief.of((&*n.to_string()).into()).is_some()).count(), 20);
        assert_eq!(belief.of("7".into()), None, "it may be there once");
        assert_eq!(after(&belief), Some(ONE_BY_ONE), "that page was of use");
        belief.foresee((200..300).map(|n| (n.to_string(), known.clone())).collect());
        assert_eq!(belief.of("70".into()), None, "of an earlier page");
        assert_eq!(after(&belief), Some(ONE_BY_ONE), "nobody knows yet");
        assert_eq!(after(&belief), Some(4 * ONE_BY_ONE), "that one was not");
    }
}
