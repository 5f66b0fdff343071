//! Files that repositories have to look at, for a sim that goes on by steps.

use super::look::{Deed, Kind};
use super::room::{Room, Rooms};
use super::script::{Placement, Problem};
use super::world::{World, undecided};

/// What each repository has to look at.
pub struct Queues {
    each: Vec<Queue>,
    waiting: u64,
    /// How often somebody looked at a file.
    pub looks: u64,
    rooms: Rooms,
}

#[derive(Default)]
struct Queue {
    /// Whether it does anything: a special remote does not.
    is_actor: bool,
    files: Vec<u32>,
    /// A bit for each file that is in there.
    within: Vec<u64>,
    /// Files of which nothing can be done as full as repositories are.
    asleep: Vec<u32>,
    /// The room there was when the first of these was put there.
    rooms: Vec<Room>,
    /// How often sizes had changed when the last one was.
    changes: u64,
    /// Whether the room was another when one of the others was.
    differs: bool,
}

impl Queue {
    fn sleep(&mut self, world: &World, rooms: &Rooms, actor: usize, file: u32) {
        let changes = world.knowledge.size_changes(actor);
        if self.asleep.is_empty() {
            self.rooms.clear();
            self.rooms.extend(rooms.seen(world, actor));
            self.differs = false;
        } else if self.changes != changes {
            self.differs |= self.has_changed(world, rooms, actor);
        }
        self.changes = changes;
        self.asleep.push(file);
    }

    fn has_changed(&self, world: &World, rooms: &Rooms, actor: usize) -> bool {
        !self.rooms.iter().copied().eq(rooms.seen(world, actor))
    }
}

impl Queues {
    /// Everybody looks at everything.
    pub fn new(world: &World) -> Self {
        let mut queues = Self { each: Vec::new(), waiting: 0, looks: 0, rooms: Rooms::of(world) };
        for (repo, member) in world.network.members.iter().enumerate() {
            queues.each.push(Queue { is_actor: !member.is_special, ..Queue::default() });
            if !member.is_special && !world.network.links(repo).is_empty() {
                world.files.current().for_each(|file| queues.push(repo, file));
            }
        }
        queues
    }

    /// A repository looks at a file once more.
    pub fn push(&mut self, repo: usize, file: u32) {
        let queue = &mut self.each[repo];
        let (word, bit) = (file as usize / 64, 1u64 << (file % 64));
        if queue.within.len() <= word {
            queue.within.resize(word + 1, 0);
        }
        if queue.is_actor && queue.within[word] & bit == 0 {
            queue.within[word] |= bit;
            queue.files.push(file);
            self.waiting += 1;
        }
    }

    fn take(&mut self, mut at: u64) -> Option<(usize, u32)> {
        for (repo, queue) in self.each.iter_mut().enumerate() {
            let len = queue.files.len() as u64;
            if at < len {
                let file = queue.files.swap_remove(at as usize);
                queue.within[file as usize / 64] &= !(1 << (file % 64));
                self.waiting -= 1;
                return Some((repo, file));
            }
            at -= len;
        }
        None
    }

    /// The next thing that can be done: one at random of those of one at random of what is queued.
    pub fn next(&mut self, world: &mut World) -> Result<Option<(usize, u32, Deed)>, Problem> {
        let mut deeds = Vec::new();
        // In a step of `git annex sim` nobody drops anything of its own, only from remotes: recorded.
        let all = world.network.placement == Placement::Stream;
        while self.waiting > 0 {
            let at = world.random.below(self.waiting);
            let Some((actor, file)) = self.take(at) else { break };
            if !world.files.is_current(file) {
                continue;
            }
            self.looks += 1;
            let reads_sizes = world
                .look()
                .deeds(actor, file, &|deed| all || deed.kind != Kind::Drop, &mut deeds)
                .map_err(|unknown| undecided(&unknown))?;
            if deeds.is_empty() {
                if reads_sizes {
                    self.each[actor].sleep(world, &self.rooms, actor, file);
                }
                continue;
            }
            let deed = deeds[if deeds.len() == 1 { 0 } else { world.random.place(deeds.len()) }];
            return Ok(Some((actor, file, deed)));
        }
        Ok(None)
    }

    /// Has those looked at again that depended on room which has changed since. Whether there are any.
    pub fn wake(&mut self, world: &World) -> bool {
        for repo in 0..self.each.len() {
            let queue = &mut self.each[repo];
            if queue.asleep.is_empty() || queue.changes == world.knowledge.size_changes(repo) && !queue.differs {
                continue;
            }
            if queue.differs || queue.has_changed(world, &self.rooms, repo) {
                let asleep = std::mem::take(&mut queue.asleep);
                asleep.into_iter().for_each(|file| self.push(repo, file));
            }
        }
        self.waiting > 0
    }
}
