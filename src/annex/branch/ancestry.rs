//! Whether one commit is part of the history of another.

use std::cell::Cell;
use std::collections::{BinaryHeap, HashMap};

use gix::ObjectId;
use gix::objs::CommitRefIter;

use crate::annex::git::error::BranchError;
use crate::annex::git::read;

/// Most commits that are looked at, unless others were asked about before. Beyond them a commit counts as no part of the
/// history: to merge once more what is merged already loses nothing.
pub(super) const MOST_COMMITS: usize = 250_000;

/// Longest commit that is read, in bytes.
const LONGEST: u64 = 256 << 10;

/// Bytes of commits that count as one commit more.
const BYTES: usize = 4096;

/// Whose history a commit is part of, and whether its parents are yet to be looked at.
#[derive(Clone, Copy, Default)]
struct Node {
    of_at: bool,
    of_commit: bool,
    is_queued: bool,
}

impl Node {
    /// Whether it may lead to what is looked for: nothing that is part of its history does.
    fn is_open(self) -> bool {
        self.is_queued && self.of_at && !self.of_commit
    }
}

struct Walk<'a> {
    git: &'a gix::Repository,
    nodes: HashMap<ObjectId, Node>,
    queue: BinaryHeap<(i64, ObjectId)>,
    open: usize,
    most: usize,
    /// For the bytes of what was read.
    read: Cell<usize>,
}

/// Whether `commit` is part of the history of `at`. What cannot be read is no part of it.
///
/// Walks both histories, the newest commits first, so two that parted lately are soon told. Where clocks were wrong it may
/// miss one, which does no harm. Takes what it looks at off `most`; `None` where too little was left of that to tell.
///
/// Errors: `stop` said that it is time to.
pub(super) fn holds(
    git: &gix::Repository,
    at: ObjectId,
    commit: ObjectId,
    most: &mut usize,
    stop: &dyn Fn() -> bool,
) -> Result<Option<bool>, BranchError> {
    if at == commit {
        return Ok(Some(true));
    }
    let all = *most;
    let mut walk =
        Walk { git, nodes: HashMap::new(), queue: BinaryHeap::new(), open: 0, most: all, read: Cell::new(0) };
    walk.add(at, Node { of_at: true, ..Node::default() });
    walk.add(commit, Node { of_commit: true, ..Node::default() });
    while walk.open > 0 {
        if stop() {
            return Err(BranchError::Stopped);
        }
        if walk.cost() >= all {
            *most = 0;
            return Ok((all >= MOST_COMMITS).then_some(false));
        }
        walk.step();
        if walk.nodes.get(&commit).is_some_and(|node| node.of_at) {
            *most = all.saturating_sub(walk.cost());
            return Ok(Some(true));
        }
    }
    *most = all.saturating_sub(walk.cost());
    Ok(Some(false))
}

impl Walk<'_> {
    fn cost(&self) -> usize {
        self.nodes.len() + self.read.get() / BYTES
    }

    fn add(&mut self, id: ObjectId, of: Node) {
        let before = self.nodes.get(&id).copied();
        let have = before.unwrap_or_default();
        let mut now = Node { of_at: have.of_at || of.of_at, of_commit: have.of_commit || of.of_commit, ..have };
        if before.is_some() && (now.of_at, now.of_commit) == (have.of_at, have.of_commit) {
            return;
        }
        if !have.is_queued
            && let Some(time) = self.time(id)
        {
            now.is_queued = true;
            self.queue.push((time, id));
        }
        self.open = self.open - usize::from(have.is_open()) + usize::from(now.is_open());
        self.nodes.insert(id, now);
    }

    fn step(&mut self) {
        let Some((_, id)) = self.queue.pop() else { return };
        let Some(node) = self.nodes.get_mut(&id) else { return };
        self.open -= usize::from(node.is_open());
        node.is_queued = false;
        let of = Node { is_queued: false, ..*node };
        let Some(data) = self.read(id) else { return };
        let room = self.most.saturating_sub(self.nodes.len()) + 1;
        let parents: Vec<ObjectId> =
            CommitRefIter::from_bytes(&data, self.git.object_hash()).parent_ids().take(room).collect();
        parents.into_iter().for_each(|parent| self.add(parent, of));
    }

    fn time(&self, id: ObjectId) -> Option<i64> {
        let data = self.read(id)?;
        let committer = CommitRefIter::from_bytes(&data, self.git.object_hash()).committer().ok()?;
        Some(committer.seconds())
    }

    fn read(&self, id: ObjectId) -> Option<Vec<u8>> {
        let data = read::object(self.git, id, LONGEST).ok()?;
        // Most commits have a few hundred bytes, and are read twice.
        self.read.set(self.read.get() + data.len().saturating_sub(BYTES));
        Some(data)
    }
}
