//! Steps: in each, somebody transfers or drops one file.
//!
//! ```text
//! queue of (repository, file) --one at random--> what can it do? --one at random--> done --> who saw a change is queued
//!        ^ empty                                   nothing: dropped from the queue
//!        |-- those that depended on how full repositories are, where that has changed so that it can matter
//!        |-- one connection at random over which there is something to learn: pulled, then pushed
//!        '-- none: the sim is at rest
//! ```
//!
//! So only what an event can have changed is looked at again.

use std::collections::HashSet;

use super::queue::Queues;
use super::script::Problem;
use super::world::World;

/// What steps came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stepped {
    /// Transfers and drops that were done.
    pub deeds: u64,
    /// Whether nothing is left to do, with everybody told of everything.
    pub is_stable: bool,
    /// Whether it came back to a state that it had before: it can go on for ever.
    pub circles: bool,
    /// Questions what somebody can do about a file: most of what it costs.
    pub looks: u64,
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
            return Ok(Stepped { deeds, is_stable: true, circles: false, looks: queues.looks });
        };
        if deeds == most {
            return Ok(Stepped { deeds, is_stable: false, circles, looks: queues.looks });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::script::{Name, parse};
    use crate::sim::{Nowhere, guess, random::Generator, run};

    /// As the bench has it: eight repositories with sizes, all connected, among which files are balanced.
    fn balanced(files: u64, seed: u64) -> World {
        let mut text = format!("seed {seed}\n");
        (0..8).for_each(|at| text += &format!("init r{at}\n"));
        for a in 0..8 {
            (0..8).filter(|b| *b != a).for_each(|b| text += &format!("connect r{a} -> r{b}\n"));
            text += &format!("group r{a} nodes\nwanted r{a} balanced=nodes:2\nmaxsize r{a} {}b\n", files * 400_000);
        }
        text += &format!("numcopies 2\naddmulti {files} f 100kb 1mb r0\n");
        let mut world = World::new(0);
        for line in text.lines() {
            run(&mut world, &parse(line.as_bytes()).expect("a line"), &mut Nowhere).expect("it runs");
        }
        world
    }

    /// Work and not time, so that it is the same everywhere. Who learns what from whom first is by chance: many seeds are taken together.
    #[test]
    fn twice_the_files_are_at_most_2_2_times_the_looks() {
        let looks = |files: u64| {
            let one = |seed| step(&mut balanced(files, seed), u64::MAX).expect("it runs");
            let all: Vec<Stepped> = (1..=16).map(one).collect();
            assert!(all.iter().all(|stepped| stepped.is_stable));
            all.iter().map(|stepped| stepped.looks).sum::<u64>()
        };
        let found = [50, 100, 200, 400].map(looks);
        for pair in found.windows(2) {
            assert!(pair[1] * 10 <= pair[0] * 22, "{found:?}");
        }
        assert!(found[3] <= 400 * 16 * 32, "{found:?}");
    }

    /// What is left out is what nothing can be done about: else it would be called stable while somebody wants something.
    #[test]
    fn nobody_can_do_anything_where_it_is_stable() {
        const TERMS: [&[u8]; 8] = [
            b"present",
            b"copies=2",
            b"largerthan=1mb",
            b"balanced=g",
            b"balanced=g:2",
            b"fullybalanced=h",
            b"sizebalanced=g",
            b"fullysizebalanced=h:2",
        ];
        let terms: Vec<Name> = TERMS.iter().map(|term| Name::from(*term)).collect();
        let (mut stable, mut full) = (0, 0);
        for case in 0..400 {
            let mut random = Generator::new(case);
            let lines = guess::network(&mut random, &terms, 5);
            let mut world = World::new(case);
            let mut go = |text: String| {
                let line = parse(text.as_bytes()).expect("a line");
                run(&mut world, &line, &mut Nowhere).expect("it runs");
            };
            lines.iter().for_each(|line| go(line.to_string()));
            let names: Vec<String> = lines
                .iter()
                .filter_map(|line| {
                    line.to_string().strip_prefix("init").map(|rest| rest.replace("remote", "").trim().to_string())
                })
                .collect();
            for name in &names {
                if random.below(3) > 0 {
                    go(format!("maxsize {name} {}kb", 1000 + random.below(9000)));
                }
            }
            if random.below(3) == 0 {
                go("rebalance on".to_string());
            }
            for number in 0..12 {
                let holder = &names[random.place(names.len())];
                go(format!("add f{number} {}kb {holder}", 1 + random.below(2500)));
            }
            let stepped = step(&mut world, 2000).expect("it runs");
            if !stepped.is_stable {
                continue;
            }
            stable += 1;
            world.compile();
            for (actor, member) in world.network.members.iter().enumerate().filter(|(_, member)| !member.is_special) {
                full +=
                    u64::from(member.maxsize.is_some_and(|max| world.knowledge.used(actor)[actor] + 2_500_000 > max));
                for file in world.files.current() {
                    let mut deeds = Vec::new();
                    world.look().deeds(actor, file, &|_| true, &mut deeds).expect("it can be told");
                    assert_eq!(deeds, [], "case {case}: {actor} and file {file}");
                }
            }
        }
        assert!(stable > 100 && full > 100, "{stable} of them are stable, {full} repositories are nearly full");
    }
}
