//! `export.log`: which tree was exported to which remote, and by whom.
//!
//! A line is `TIME HERE:REMOTE TREE INCOMPLETE...`: HERE exported TREE to REMOTE, and began with INCOMPLETE since, the last
//! begun first. TREE counts as exported once nothing of another tree is in its way; content may still be missing. Source:
//! `internals`, and recorded from git-annex 10.20261026.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Stamp;
use crate::annex::git::object::GitId;
use crate::name::Uuid;

/// The name of this log in the branch.
pub const EXPORT_LOG: &[u8] = b"export.log";

/// What one repository exported to one remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The tree that was exported; the empty one before the first has been.
    pub tree: GitId,
    /// Trees whose export was begun since and has not come as far, the last one first.
    pub incomplete: Vec<GitId>,
}

/// `export.log`, read. The newest line of a pair of repository and remote counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportLog {
    exports: BTreeMap<(Uuid, Uuid), (Stamp, Exported)>,
}

impl ExportLog {
    /// Reads a log. Lines that make no sense are left out.
    pub fn parse(log: &[u8]) -> Self {
        let mut exports = BTreeMap::new();
        for (stamp, pair, exported) in lines(log).filter_map(parse_line) {
            let newer = exports.get(&pair).is_none_or(|(have, _)| stamp > *have);
            if newer {
                exports.insert(pair, (stamp, exported));
            }
        }
        Self { exports }
    }

    /// What `here` exported to `remote`.
    pub fn exported(&self, here: &Uuid, remote: &Uuid) -> Option<&Exported> {
        self.exports.get(&(here.clone(), remote.clone())).map(|(_, exported)| exported)
    }

    /// The trees that were exported to `remote`, by anybody, each once: more than one are a conflict, which the export of
    /// any tree resolves.
    pub fn trees(&self, remote: &Uuid) -> BTreeSet<GitId> {
        self.to(remote).map(|exported| exported.tree).filter(|tree| *tree != GitId::EMPTY_TREE).collect()
    }

    /// The tree that `remote` holds: what `here` exported, unless others have exported something else since.
    pub fn held(&self, here: &Uuid, remote: &Uuid) -> GitId {
        let trees = self.trees(remote);
        let own = self.exported(here, remote).map(|own| own.tree).filter(|tree| trees.contains(tree));
        own.or(trees.first().copied()).unwrap_or(GitId::EMPTY_TREE)
    }

    /// The trees that others than `here` exported to `remote`, or began to.
    pub fn of_others(&self, here: &Uuid, remote: &Uuid) -> BTreeSet<GitId> {
        let others = self.exports.iter().filter(|((by, to), _)| by != here && to == remote);
        let trees = others.flat_map(|(_, (_, exported))| std::iter::once(&exported.tree).chain(&exported.incomplete));
        trees.copied().filter(|tree| *tree != GitId::EMPTY_TREE).collect()
    }

    /// The trees whose export to `remote` was begun, by anybody, and has not come as far.
    pub fn incomplete(&self, remote: &Uuid) -> BTreeSet<GitId> {
        self.to(remote).flat_map(|exported| exported.incomplete.iter().copied()).collect()
    }

    /// Records that `here` begins with the export of `tree` to `remote`, `now` being the time since 1970. False, and nothing
    /// changed, where that is recorded already.
    pub fn begin(&mut self, here: &Uuid, remote: &Uuid, tree: GitId, now: Duration) -> bool {
        let old = self.exported(here, remote);
        let mut exported = old.cloned().unwrap_or(Exported { tree: tree.empty_tree_beside(), incomplete: Vec::new() });
        exported.incomplete.retain(|begun| *begun != tree);
        exported.incomplete.insert(0, tree);
        self.set(here, remote, exported, now)
    }

    /// Records that `tree` is exported to `remote`: by `here`, and by others whose trees, begun ones too, are all among
    /// `over`. False, and nothing changed, where that is recorded already.
    pub fn complete(&mut self, here: &Uuid, remote: &Uuid, tree: GitId, over: &BTreeSet<GitId>, now: Duration) -> bool {
        let whole = Exported { tree, incomplete: Vec::new() };
        let mut changed = self.set(here, remote, whole.clone(), now);
        let dealt_with = |exported: &Exported| {
            let known = |tree: &GitId| *tree == GitId::EMPTY_TREE || over.contains(tree);
            known(&exported.tree) && exported.incomplete.iter().all(known)
        };
        let others = self.exports.iter().filter(|((by, to), _)| by != here && to == remote);
        let others: Vec<Uuid> =
            others.filter(|(_, (_, exported))| dealt_with(exported)).map(|((by, _), _)| by.clone()).collect();
        for by in others {
            changed |= self.set(&by, remote, whole.clone(), now);
        }
        changed
    }

    /// The log as git-annex writes it: a line for each pair, by uuid.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for ((here, remote), (stamp, exported)) in &self.exports {
            out.extend_from_slice(stamp.to_string().as_bytes());
            out.push(b' ');
            out.extend_from_slice(here.as_bytes());
            out.push(b':');
            out.extend_from_slice(remote.as_bytes());
            for tree in std::iter::once(&exported.tree).chain(&exported.incomplete) {
                out.extend_from_slice(format!(" {tree}").as_bytes());
            }
            out.push(b'\n');
        }
        out
    }

    fn to<'a>(&'a self, remote: &'a Uuid) -> impl Iterator<Item = &'a Exported> {
        self.exports.iter().filter(move |((_, to), _)| to == remote).map(|(_, (_, exported))| exported)
    }

    fn set(&mut self, here: &Uuid, remote: &Uuid, exported: Exported, now: Duration) -> bool {
        let pair = (here.clone(), remote.clone());
        let old = self.exports.get(&pair);
        if old.is_some_and(|(_, old)| *old == exported) {
            return false;
        }
        let stamp = old.map_or(Stamp::UNKNOWN, |(stamp, _)| *stamp).soon_after(now);
        self.exports.insert(pair, (stamp, exported));
        true
    }
}

fn lines(log: &[u8]) -> impl Iterator<Item = &[u8]> {
    log.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty())
}

fn parse_line(line: &[u8]) -> Option<(Stamp, (Uuid, Uuid), Exported)> {
    let mut words = line.split(|byte| *byte == b' ');
    let stamp = Stamp::parse(words.next()?)?;
    let pair = words.next()?;
    let at = pair.iter().position(|byte| *byte == b':')?;
    let pair = (Uuid::parse(&pair[..at]).ok()?, Uuid::parse(&pair[at + 1..]).ok()?);
    let tree = GitId::parse(words.next()?)?;
    let incomplete = words.filter(|word| !word.is_empty()).map(GitId::parse).collect::<Option<_>>()?;
    Some((stamp, pair, Exported { tree, incomplete }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn uuid(text: &str) -> Uuid {
        Uuid::parse(text.as_bytes()).expect("a uuid")
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn tree(n: u8) -> GitId {
        GitId::parse(format!("{n:02x}").repeat(20).as_bytes()).expect("an id")
    }

    /// `a` exports what it has already, and within that second `b`, which has not its line, exports another tree over it.
    #[test]
    fn the_later_of_two_gateways_wins_within_a_second() {
        let (a, b, x) = (uuid("a"), uuid("b"), uuid("x"));
        let (one, two) = (tree(1), tree(2));
        let before = ExportLog::parse(format!("5s a:x {one}\n5s b:x {one}\n").as_bytes());
        let (mut of_a, mut of_b) = (before.clone(), before);
        let millis = Duration::from_millis;
        for now in [7_100, 7_200] {
            assert!(of_a.begin(&a, &x, one, millis(now)));
            assert!(of_a.complete(&a, &x, one, &BTreeSet::from([one]), millis(now)));
        }
        assert!(of_b.begin(&b, &x, two, millis(7_300)));
        assert!(of_b.complete(&b, &x, two, &BTreeSet::from([one]), millis(7_400)));
        let united = ExportLog::parse(&[of_a.to_bytes(), of_b.to_bytes()].concat());
        assert_eq!(united.trees(&x), BTreeSet::from([two]));
    }

    /// Recorded but for the fractions, with shorter names: what git-annex made of an export that failed, one after it, and one by a
    /// second gateway.
    #[test]
    fn an_export_is_begun_and_completed_as_git_annex_records_it() {
        let (a, b, x) = (uuid("a"), uuid("b"), uuid("x"));
        let (one, two) = (tree(1), tree(2));
        let mut log = ExportLog::parse(b"");
        assert_eq!(log.exported(&a, &x), None);
        assert!(log.begin(&a, &x, one, at(7)));
        assert_eq!(log.to_bytes(), format!("7s a:x {} {one}\n", GitId::EMPTY_TREE).as_bytes());
        assert!(log.trees(&x).is_empty());
        assert!(log.complete(&a, &x, one, &BTreeSet::new(), at(7)));
        assert_eq!(log.to_bytes(), format!("7.000001s a:x {one}\n").as_bytes());
        assert!(!log.complete(&a, &x, one, &BTreeSet::new(), at(20)), "that is recorded already");
        for n in [4, 3, 2] {
            assert!(log.begin(&b, &x, tree(n), at(9)));
        }
        let begun = [two, tree(3), tree(4)].map(|tree| tree.to_string()).join(" ");
        assert_eq!(
            log.to_bytes(),
            format!("7.000001s a:x {one}\n9.000002s b:x {} {begun}\n", GitId::EMPTY_TREE).as_bytes()
        );
        assert!(log.complete(&b, &x, two, &BTreeSet::from([one]), at(20)));
        assert_eq!(log.to_bytes(), format!("20s a:x {two}\n20s b:x {two}\n").as_bytes());
    }

    #[test]
    fn the_newest_line_of_each_gateway_counts_and_two_trees_are_a_conflict() {
        let (one, two, three) = (tree(1), tree(2), tree(3));
        let text = format!(
            "5s a:x {one}\n9s a:x {two} {three}\n7s a:x {one}\n8s b:x {one}\n8s b:y {three}\n\
             junk\n9s a {one}\n9s a:x zz\n9s a:z {one} zz\n9s :x {one}\n9s a:x\n"
        );
        let log = ExportLog::parse(text.as_bytes());
        let x = uuid("x");
        assert_eq!(log.exported(&uuid("a"), &x), Some(&Exported { tree: two, incomplete: vec![three] }));
        assert_eq!(log.trees(&x), BTreeSet::from([one, two]));
        assert_eq!(log.incomplete(&x), BTreeSet::from([three]));
        assert_eq!(log.exported(&uuid("a"), &uuid("z")), None);
        assert_eq!(log.to_bytes(), format!("9s a:x {two} {three}\n8s b:x {one}\n8s b:y {three}\n").as_bytes());
    }

    #[test]
    fn a_conflict_stays_where_the_other_tree_was_not_known() {
        let (a, b, x) = (uuid("a"), uuid("b"), uuid("x"));
        let mut log = ExportLog::parse(format!("8s b:x {}\n", tree(2)).as_bytes());
        log.complete(&a, &x, tree(3), &BTreeSet::from([tree(1)]), at(9));
        assert_eq!(log.trees(&x), BTreeSet::from([tree(2), tree(3)]));
        assert_eq!(log.exported(&b, &x).map(|exported| exported.tree), Some(tree(2)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_and_what_is_written_reads_the_same(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            lines in prop::collection::vec(("[0-9]{1,2}", "[ab]:[xy]", prop::collection::vec(0..4u8, 0..3)), 0..6),
        ) {
            let text: String = lines.iter().map(|(time, pair, trees)| {
                let trees: String = trees.iter().map(|n| format!(" {}", tree(*n))).collect();
                format!("{time}s {pair}{trees}\n")
            }).collect();
            for log in [ExportLog::parse(&bytes), ExportLog::parse(text.as_bytes())] {
                prop_assert_eq!(ExportLog::parse(&log.to_bytes()), log);
            }
        }
    }
}
