//! Steps: in each, somebody transfers or drops one file.
//!
//! ```text
//! queue of (repository, file) --one at random--> what can it do? --one at random--> done --> who saw a change is queued
//!        ^ empty                                   nothing: dropped from the queue
//!        |-- those that depended on how full repositories are, where that has changed since
//!        |-- one connection at random over which there is something to learn: pulled, then pushed
//!        '-- none: the sim is at rest
//! ```
//!
//! So only what an event can have changed is looked at again.

use std::collections::HashSet;

use super::look::{Deed, Kind};
use super::script::{Placement, Problem};
use super::world::{World, undecided};

/// What steps came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stepped {
    /// Transfers and drops that were done.
    pub deeds: u64,
    /// Whether nothing is left to do, with everybody told of everything.
    pub is_stable: bool,
    /// Whether it came back to a state that it had before: it can go on for ever.
    pub circles: bool,
}

/// States that are remembered to find a circle. More would only cost memory: a run that long is not found to circle.
const REMEMBERED: usize = 1 << 21;

/// Does up to `most` transfers and drops, and looks whether more are left.
///
/// # Errors
/// It cannot be told who wants a file.
pub fn step(world: &mut World, most: u64) -> Result<Stepped, Problem> {
    world.compile();
    let mut queues = Queues::new(world);
    let (mut deeds, mut circles) = (0, false);
    let mut seen = HashSet::from([world.knowledge.digest()]);
    loop {
        let Some((actor, file, deed)) = queues.next(world)? else {
            if queues.wake(world) || exchange(world, &mut queues) {
                continue;
            }
            return Ok(Stepped { deeds, is_stable: true, circles: false });
        };
        if deeds == most {
            return Ok(Stepped { deeds, is_stable: false, circles });
        }
        deeds += 1;
        let to = deed.target(&world.network, actor);
        let mut told = Vec::new();
        world.perform(actor, file, deed, &mut |author| told.push(author));
        told.into_iter().for_each(|viewer| queues.push(viewer, file));
        queues.push(actor, file);
        // Who took it to be there all along can get it from there, or count on it, only now.
        for viewer in 0..world.network.members.len() {
            if viewer != to && world.knowledge.sees(viewer, file, to) {
                queues.push(viewer, file);
            }
        }
        if seen.len() < REMEMBERED {
            circles |= !seen.insert(world.knowledge.digest());
        }
    }
}

/// One connection at random over which there is something to learn, there and back. Whether there was one. Nodes of clusters are
/// not pulled from under that name: who reaches them so knows at once what was done by it.
fn exchange(world: &mut World, queues: &mut Queues) -> bool {
    let mut links: Vec<(usize, usize)> = Vec::new();
    for repo in 0..world.network.members.len() {
        links.extend(world.network.links(repo).iter().filter(|link| !link.is_node).map(|link| (repo, link.to)));
    }
    let knowledge = &world.knowledge;
    links.retain(|(a, b)| a != b && (knowledge.knows_less(*a, *b) || knowledge.knows_less(*b, *a)));
    if links.is_empty() {
        return false;
    }
    let (a, b) = links[world.random.place(links.len())];
    world.learn(a, b, &mut |file| queues.push(a, file));
    world.learn(b, a, &mut |file| queues.push(b, file));
    true
}

/// What each repository has to look at.
struct Queues {
    each: Vec<Queue>,
    waiting: u64,
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
    /// How often sizes had changed when the first of these was put there.
    asleep_since: u64,
}

impl Queues {
    /// Everybody looks at everything.
    fn new(world: &World) -> Self {
        let mut queues = Self { each: Vec::new(), waiting: 0 };
        for (repo, member) in world.network.members.iter().enumerate() {
            queues.each.push(Queue { is_actor: !member.is_special, ..Queue::default() });
            if !member.is_special && !world.network.links(repo).is_empty() {
                world.files.current().for_each(|file| queues.push(repo, file));
            }
        }
        queues
    }

    fn push(&mut self, repo: usize, file: u32) {
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
    fn next(&mut self, world: &mut World) -> Result<Option<(usize, u32, Deed)>, Problem> {
        let mut deeds = Vec::new();
        // In a step of `git annex sim` nobody drops anything of its own, only from remotes: recorded.
        let all = world.network.placement == Placement::Stream;
        while self.waiting > 0 {
            let at = world.random.below(self.waiting);
            let Some((actor, file)) = self.take(at) else { break };
            if !world.files.is_current(file) {
                continue;
            }
            let reads_sizes = world
                .look()
                .deeds(actor, file, &|deed| all || deed.kind != Kind::Drop, &mut deeds)
                .map_err(|unknown| undecided(&unknown))?;
            if deeds.is_empty() {
                if reads_sizes {
                    let queue = &mut self.each[actor];
                    if queue.asleep.is_empty() {
                        queue.asleep_since = world.knowledge.size_changes(actor);
                    }
                    queue.asleep.push(file);
                }
                continue;
            }
            let deed = deeds[if deeds.len() == 1 { 0 } else { world.random.place(deeds.len()) }];
            return Ok(Some((actor, file, deed)));
        }
        Ok(None)
    }

    /// Has those looked at again that depended on sizes which have changed since. Whether there are any.
    fn wake(&mut self, world: &World) -> bool {
        for repo in 0..self.each.len() {
            let queue = &mut self.each[repo];
            if !queue.asleep.is_empty() && world.knowledge.size_changes(repo) != queue.asleep_since {
                let asleep = std::mem::take(&mut queue.asleep);
                asleep.into_iter().for_each(|file| self.push(repo, file));
            }
        }
        self.waiting > 0
    }
}
