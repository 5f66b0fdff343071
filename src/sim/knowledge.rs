//! What each repository knows of where files are.
//!
//! There is one list of events: who recorded which repository to have a file or not. A later one is newer. Of each other
//! repository a repository knows the events up to some number, and a pull or push takes over the greater numbers: that is the
//! union of two git-annex branches, since a branch that has an event of somebody has all that they recorded before. What a
//! repository takes for true is the newest event it knows about a file and a repository.

use super::random::mix;
use super::rows::{Rows, ones};

/// Somebody recorded that a repository has a file, or that it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Who recorded it.
    pub author: u16,
    /// Where it is, or is not.
    pub repo: u16,
    /// The file.
    pub file: u32,
    /// Whether it is there.
    pub present: bool,
}

#[derive(Debug, Clone, Copy)]
struct Recorded {
    event: Event,
    /// Which one of its author's it is.
    number: u32,
    /// The next one about the same file and repository.
    next: u32,
}

const NONE: u32 = u32::MAX;

/// The events, and who knows what of them.
#[derive(Debug, Clone, Default)]
pub struct Knowledge {
    events: Vec<Recorded>,
    /// The events of each author.
    authored: Vec<Vec<u32>>,
    /// How many events of each author each repository knows.
    known: Vec<Vec<u32>>,
    /// The newest event about each file and repository: rows of `stride` for each file.
    newest: Vec<u32>,
    stride: usize,
    views: Rows,
    /// Bytes that each repository takes each one to hold.
    used: Vec<Vec<u64>>,
    /// How often what a repository takes for used has changed.
    changes: Vec<u64>,
    digest: u64,
}

impl Knowledge {
    /// Another repository, which knows nothing.
    pub fn add_repository(&mut self) {
        let count = self.known.len() + 1;
        self.authored.push(Vec::new());
        self.changes.push(0);
        self.known.push(Vec::new());
        self.used.push(Vec::new());
        self.known.iter_mut().for_each(|known| known.resize(count, 0));
        self.used.iter_mut().for_each(|used| used.resize(count, 0));
    }

    /// The repositories that `viewer` takes to have a file.
    pub fn row(&self, viewer: usize, file: u32) -> &[u8] {
        self.views.row(viewer, file)
    }

    /// The same by number.
    pub fn holders(&self, viewer: usize, file: u32) -> impl Iterator<Item = usize> + '_ {
        ones(self.row(viewer, file))
    }

    /// Whether `viewer` takes `repo` to have a file.
    pub fn sees(&self, viewer: usize, file: u32, repo: usize) -> bool {
        self.views.get(viewer, file, repo)
    }

    /// Whether a repository has a file, which it knows itself.
    pub fn has(&self, repo: usize, file: u32) -> bool {
        self.views.get(repo, file, repo)
    }

    /// Bytes that `viewer` takes each repository to hold.
    pub fn used(&self, viewer: usize) -> &[u64] {
        &self.used[viewer]
    }

    /// How often [`used`](Self::used) of `viewer` has changed.
    pub fn size_changes(&self, viewer: usize) -> u64 {
        self.changes[viewer]
    }

    /// A number for who has what and who knows what. Another state has another one, but for one in 2^64.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The events in the order in which they were recorded.
    pub fn events(&self) -> impl ExactSizeIterator<Item = Event> + '_ {
        self.events.iter().map(|recorded| recorded.event)
    }

    /// So many of them from number `first` on.
    pub fn events_from(&self, first: usize, count: usize) -> impl Iterator<Item = Event> + '_ {
        self.events.iter().skip(first).take(count).map(|recorded| recorded.event)
    }

    /// Whether `viewer` could learn something from `of`.
    pub fn knows_less(&self, viewer: usize, of: usize) -> bool {
        self.known[viewer].iter().zip(&self.known[of]).any(|(mine, theirs)| mine < theirs)
    }

    /// How many events of each author `viewer` knows.
    pub fn known(&self, viewer: usize) -> &[u32] {
        &self.known[viewer]
    }

    /// How many events an author recorded.
    pub fn authored(&self, author: usize) -> usize {
        self.authored[author].len()
    }

    /// Its author records an event about a file of `size` bytes. Whether that is news to the author.
    pub fn record(&mut self, event: Event, size: u64) -> bool {
        let author = usize::from(event.author);
        self.append(event);
        self.known[author][author] += 1;
        self.see(author, event, size)
    }

    /// The same without the author's knowing it yet: what was saved is put together again by this and [`learn`](Self::learn).
    pub fn append(&mut self, event: Event) {
        let (author, count) = (usize::from(event.author), self.known.len());
        if self.stride < count {
            self.widen(count);
        }
        let at = event.file as usize * self.stride + usize::from(event.repo);
        if self.newest.len() <= at {
            self.newest.resize((event.file as usize + 1) * self.stride, NONE);
        }
        let id = self.events.len() as u32;
        let before = std::mem::replace(&mut self.newest[at], id);
        if let Some(before) = self.events.get_mut(before as usize) {
            before.next = id;
        }
        let number = self.authored[author].len() as u32;
        self.authored[author].push(id);
        self.events.push(Recorded { event, number, next: NONE });
    }

    /// `viewer` learns what `of` knows. Gives each file to `changed` of which it takes something else for true now. Whether it
    /// learned of any event.
    pub fn join(&mut self, viewer: usize, of: usize, size: &dyn Fn(u32) -> u64, changed: &mut dyn FnMut(u32)) -> bool {
        let known = self.known[of].clone();
        self.learn(viewer, &known, size, changed)
    }

    /// `viewer` learns so many events of each author, where it did not know as many.
    pub fn learn(
        &mut self,
        viewer: usize,
        known: &[u32],
        size: &dyn Fn(u32) -> u64,
        changed: &mut dyn FnMut(u32),
    ) -> bool {
        let before = self.known[viewer].clone();
        let after: Vec<u32> = before.iter().zip(known).map(|(mine, theirs)| *mine.max(theirs)).collect();
        if after == before {
            return false;
        }
        self.known[viewer] = after;
        for (author, before) in before.into_iter().enumerate() {
            let known = self.known[viewer][author] as usize;
            for at in before as usize..known.min(self.authored[author].len()) {
                let id = self.authored[author][at];
                if !self.is_outdated(viewer, id) {
                    let event = self.events[id as usize].event;
                    if self.see(viewer, event, size(event.file)) {
                        changed(event.file);
                    }
                }
            }
        }
        true
    }

    /// Whether `viewer` knows a newer event about the same.
    fn is_outdated(&self, viewer: usize, id: u32) -> bool {
        let mut next = self.events[id as usize].next;
        while let Some(newer) = self.events.get(next as usize) {
            if newer.number < self.known[viewer][usize::from(newer.event.author)] {
                return true;
            }
            next = newer.next;
        }
        false
    }

    /// `viewer` takes it for true. Whether that is another thing than before.
    fn see(&mut self, viewer: usize, event: Event, size: u64) -> bool {
        let repo = usize::from(event.repo);
        if !self.views.set(self.known.len(), viewer, event.file, repo, event.present) {
            return false;
        }
        let used = &mut self.used[viewer][repo];
        *used = if event.present { used.saturating_add(size) } else { used.saturating_sub(size) };
        self.changes[viewer] += 1;
        self.digest ^= mix(u64::from(event.file) << 32 | (viewer as u64) << 16 | repo as u64);
        true
    }

    fn widen(&mut self, stride: usize) {
        let old = std::mem::take(&mut self.newest);
        if self.stride > 0 {
            for row in old.chunks(self.stride) {
                self.newest.extend_from_slice(row);
                self.newest.resize(self.newest.len() + stride - self.stride, NONE);
            }
        }
        self.stride = stride;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(author: u16, repo: u16, present: bool) -> Event {
        Event { author, repo, file: 0, present }
    }

    #[test]
    fn a_stale_log_does_not_undo_what_is_newer() {
        let mut knowledge = Knowledge::default();
        (0..3).for_each(|_| knowledge.add_repository());
        let size = |_: u32| 10;
        let join = |knowledge: &mut Knowledge, viewer, of| knowledge.join(viewer, of, &size, &mut |_| ());
        assert!(knowledge.record(event(0, 0, true), 10));
        assert!(join(&mut knowledge, 1, 0) && join(&mut knowledge, 2, 0));
        assert!(!join(&mut knowledge, 2, 0), "there is nothing new");
        assert!(knowledge.record(event(1, 0, false), 10) && knowledge.record(event(0, 0, false), 10));
        assert!(knowledge.record(event(0, 0, true), 10));
        // 2 learns of the newest first, then of one that is older.
        assert!(join(&mut knowledge, 2, 0));
        assert!(knowledge.sees(2, 0, 0));
        assert!(join(&mut knowledge, 2, 1));
        assert!(knowledge.sees(2, 0, 0), "an older event won");
        assert_eq!((knowledge.used(2), knowledge.used(1)), (&[10, 0, 0][..], &[0, 0, 0][..]));
        assert!(join(&mut knowledge, 1, 2));
        assert!(knowledge.sees(1, 0, 0));
    }

    #[test]
    fn states_that_come_again_have_the_same_digest() {
        let mut knowledge = Knowledge::default();
        (0..2).for_each(|_| knowledge.add_repository());
        let empty = knowledge.digest();
        knowledge.record(event(0, 1, true), 1);
        let one = knowledge.digest();
        knowledge.record(event(0, 1, false), 1);
        assert_eq!(knowledge.digest(), empty);
        knowledge.record(event(0, 1, true), 1);
        assert_eq!(knowledge.digest(), one);
        assert_ne!(one, empty);
    }
}
