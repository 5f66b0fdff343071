//! Where two git trees differ, found without reading all of their entries.

/// The entries of two trees, as git writes them, without those that both begin with and those that both end with. In a directory of
/// hundreds one log is another, mostly: to sort and compare all of them takes longer than to read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Differing<'a> {
    pub old: &'a [u8],
    pub new: &'a [u8],
    /// Entries that were looked at and are the same in both.
    pub passed: usize,
}

impl<'a> Differing<'a> {
    /// Of the trees `old` and `new`, whose objects have names of `hash` bytes. What is no tree is left as it is, for whoever
    /// reads it.
    pub fn of(old: &'a [u8], new: &'a [u8], hash: usize) -> Self {
        let same = same_first(old, new);
        let (mut begin, mut passed) = (0, 0);
        while let Some(end) = entry_end(old, begin, hash).filter(|end| *end <= same) {
            begin = end;
            passed += 1;
        }
        let (old, new) = (&old[begin..], &new[begin..]);
        let same = same_last(old, new);
        let left = |tree: &[u8]| {
            let mut at = 0;
            while at < tree.len() - same {
                at = entry_end(tree, at, hash)?;
            }
            Some(tree.len() - at)
        };
        // Where an entry begins is told from the one before alone: the name of an object may hold any byte. So what is the same
        // at the end is left out only where both have an entry that begins there.
        let last = left(old).filter(|last| left(new) == Some(*last)).unwrap_or(0);
        Self { old: &old[..old.len() - last], new: &new[..new.len() - last], passed }
    }
}

/// Where the entry at `at` ends; `None` where there is none that is whole.
fn entry_end(tree: &[u8], at: usize, hash: usize) -> Option<usize> {
    let zero = tree[at..].iter().position(|byte| *byte == 0)?;
    Some(at + zero + 1 + hash).filter(|end| *end <= tree.len())
}

/// How many bytes are the same at the start of both.
fn same_first(one: &[u8], other: &[u8]) -> usize {
    const BLOCK: usize = 64;
    let blocks = one.chunks_exact(BLOCK).zip(other.chunks_exact(BLOCK)).take_while(|(one, other)| one == other).count();
    let at = blocks * BLOCK;
    at + one[at..].iter().zip(&other[at..]).take_while(|(one, other)| one == other).count()
}

/// How many bytes are the same at the end of both.
fn same_last(one: &[u8], other: &[u8]) -> usize {
    const BLOCK: usize = 64;
    let blocks =
        one.rchunks_exact(BLOCK).zip(other.rchunks_exact(BLOCK)).take_while(|(one, other)| one == other).count();
    let at = blocks * BLOCK;
    let (one, other) = (&one[..one.len() - at], &other[..other.len() - at]);
    at + one.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const HASH: usize = 20;

    fn tree(entries: &BTreeMap<String, u8>) -> Vec<u8> {
        let entry = |(name, id): (&String, &u8)| [format!("100644 {name}\0").as_bytes(), &[*id; HASH]].concat();
        entries.iter().flat_map(entry).collect()
    }

    fn parse(mut tree: &[u8]) -> Vec<Vec<u8>> {
        let mut entries = Vec::new();
        while let Some(end) = entry_end(tree, 0, HASH) {
            entries.push(tree[..end].to_vec());
            tree = &tree[end..];
        }
        assert!(tree.is_empty(), "an entry is cut");
        entries
    }

    #[test]
    fn one_entry_of_many_is_left() {
        let mut entries: BTreeMap<String, u8> = (0..200).map(|nth| (format!("{nth:03}"), nth)).collect();
        let old = tree(&entries);
        entries.insert("100".to_string(), 7);
        let new = tree(&entries);
        let left = Differing::of(&old, &new, HASH);
        assert_eq!((parse(left.old).len(), parse(left.new).len(), left.passed), (1, 1, 100));
        let same = Differing::of(&new, &new, HASH);
        assert_eq!((same.old, same.new, same.passed), (&[][..], &[][..], 200));
    }

    proptest! {
        // Few ids and names, so that what is the same does not end where entries do.
        #[test]
        fn what_differs_is_what_differs_of_all(
            old in proptest::collection::btree_map("[a0]{1,3}", prop_oneof![Just(0u8), Just(b'0'), Just(b'a')], 0..8),
            new in proptest::collection::btree_map("[a0]{1,3}", prop_oneof![Just(0u8), Just(b'0'), Just(b'a')], 0..8),
        ) {
            let (old, new) = (tree(&old), tree(&new));
            let left = Differing::of(&old, &new, HASH);
            let (was, is) = (parse(&old), parse(&new));
            let (left_old, left_new) = (parse(left.old), parse(left.new));
            let only = |these: &[Vec<u8>], those: &[Vec<u8>]| -> Vec<Vec<u8>> {
                these.iter().filter(|entry| !those.contains(entry)).cloned().collect()
            };
            prop_assert_eq!(only(&left_old, &left_new), only(&was, &is));
            prop_assert_eq!(only(&left_new, &left_old), only(&is, &was));
        }

        #[test]
        fn bytes_that_are_no_tree_are_taken(old in proptest::collection::vec(any::<u8>(), 0..90), new in proptest::collection::vec(any::<u8>(), 0..90)) {
            let left = Differing::of(&old, &new, HASH);
            prop_assert!(old.windows(left.old.len().max(1)).any(|part| part == left.old) || left.old.is_empty());
            prop_assert!(new.windows(left.new.len().max(1)).any(|part| part == left.new) || left.new.is_empty());
        }
    }
}
