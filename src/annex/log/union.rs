//! Two versions of a log made one: every line of both.

/// The lines of `ours` and `theirs`, each once, sorted by bytes, as git-annex merges any file of its branch.
///
/// Older lines of the same fact stay; who reads the log takes the newest. Where one side is empty or both are the same, that
/// side is the result as it is.
pub fn union(ours: &[u8], theirs: &[u8]) -> Vec<u8> {
    let is_empty = |log: &[u8]| log.iter().all(|byte| *byte == b'\n');
    if is_empty(theirs) || ours == theirs {
        return if is_empty(ours) { Vec::new() } else { ours.to_vec() };
    }
    if is_empty(ours) {
        return theirs.to_vec();
    }
    let mut lines: Vec<&[u8]> = ours.split(|byte| *byte == b'\n').chain(theirs.split(|byte| *byte == b'\n')).collect();
    lines.sort_unstable();
    lines.dedup();
    let mut out = Vec::with_capacity(ours.len() + theirs.len());
    for line in lines.into_iter().filter(|line| !line.is_empty()) {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::annex::log::LocationLog;

    /// Recorded: one key's log in two clones, and after `git annex merge`.
    #[test]
    fn lines_of_both_sides_are_sorted_and_older_ones_stay() {
        assert_eq!(
            union(b"8s 1 n1\n7s 1 n3\n8s 1 na\n", b"6s 0 n1\n6s 1 n2\n"),
            b"6s 0 n1\n6s 1 n2\n7s 1 n3\n8s 1 n1\n8s 1 na\n"
        );
        assert_eq!(union(b"b\na\n", b"a\n"), b"a\nb\n");
        assert_eq!(union(b"b\na\n", b""), b"b\na\n");
        assert_eq!(union(b"", b"b\na\n"), b"b\na\n");
        assert_eq!(union(b"b", b"a"), b"a\nb\n");
        for (ours, theirs) in [(&b"\n"[..], &b""[..]), (b"", b"\n"), (b"\n", b"\n\n")] {
            assert_eq!(union(ours, theirs), b"", "newlines alone say nothing");
        }
    }

    fn log() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            ("[0-9]{1,2}(\\.[0-9])?", "[01X]", "[abc]").prop_map(|(t, s, u)| format!("{t}s {s} {u}\n").into_bytes()),
            "[a-c 0-9]{0,3}\n".prop_map(String::into_bytes),
        ];
        prop::collection::vec(line, 0..6).prop_map(|lines| lines.concat())
    }

    fn set(log: &[u8]) -> Vec<Vec<u8>> {
        let lines = log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(<[u8]>::to_vec).collect::<BTreeSet<_>>().into_iter().collect()
    }

    proptest! {
        #[test]
        fn merging_is_commutative_associative_and_idempotent(a in log(), b in log(), c in log()) {
            prop_assert_eq!(set(&union(&a, &b)), set(&union(&b, &a)));
            prop_assert_eq!(set(&union(&a, &union(&b, &c))), set(&union(&union(&a, &b), &c)));
            let once = union(&a, &b);
            prop_assert_eq!(union(&once, &b), once.clone());
            prop_assert_eq!(union(&once, &a), once.clone());
            prop_assert_eq!(set(&union(&once, &once)), set(&once));
        }

        #[test]
        fn any_bytes_are_read_and_what_is_written_reads_the_same(bytes in prop::collection::vec(any::<u8>(), 0..200), lines in log()) {
            for log in [LocationLog::parse(&bytes), LocationLog::parse(&lines)] {
                prop_assert_eq!(LocationLog::parse(&log.to_bytes()), log);
            }
        }
    }
}
