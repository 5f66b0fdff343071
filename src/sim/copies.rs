//! How many copies files had over time: what a run came through, and not only where it ended.
//!
//! It is read from what the sim has anyway: the list of events, and the log, which tells transfers and drops from files that were
//! added.

use super::history::Entry;
use super::world::World;

/// The most moments that are told.
pub const MOST: usize = 64;

/// How many copies files had in the course of a sim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// Moments at equal distances from the beginning on, and the end.
    pub moments: Vec<Moment>,
    /// The fewest copies that a file ever had; `None` where there never was a file.
    pub fewest: Option<Fewest>,
}

/// A moment of a sim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Transfers and drops before it.
    pub after: u64,
    /// Files by how many copies they have then, from none on.
    pub copies: Vec<u64>,
}

/// The fewest copies a file ever had. A file is there once it was added, with all copies that it was added with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fewest {
    /// How many.
    pub copies: usize,
    /// The file that had so few first: its number.
    pub file: u32,
    /// Transfers and drops before it had.
    pub first: u64,
    /// Transfers and drops before the last moment at which any file had so few.
    pub last: u64,
}

/// That of a sim, at no more than `most` moments beside the beginning and the end.
pub fn course(world: &World, most: usize) -> Course {
    let mut tally = Tally::new(world, most);
    let mut events = world.knowledge.events().filter(|event| event.author == event.repo);
    for entry in world.history.entries() {
        let Entry::Did { via, file, present } = entry else { continue };
        let Ok(repo) = world.network.find(world.history.name(*via)) else { continue };
        // What stands before it in the list was added: only a transfer or a drop can be followed by its like.
        for event in events.by_ref() {
            if (usize::from(event.repo), event.file, event.present) == (repo, *file, *present) {
                tally.moved(repo, *file, *present);
                break;
            }
            tally.added(usize::from(event.repo), event.file, event.present);
        }
    }
    for event in events {
        tally.added(usize::from(event.repo), event.file, event.present);
    }
    tally.done()
}

struct Tally<'a> {
    world: &'a World,
    /// Words of bits for each file.
    stride: usize,
    holders: Vec<u64>,
    /// Whether a file has come, and is not replaced.
    is_there: Vec<bool>,
    /// The file of the same name that each one replaces.
    replaces: Vec<Option<u32>>,
    copies: Vec<u64>,
    deeds: u64,
    /// Whether something was added since the last transfer or drop.
    has_more: bool,
    fewest: Option<Fewest>,
    moments: Vec<Moment>,
    every: u64,
    most: usize,
}

impl<'a> Tally<'a> {
    fn new(world: &'a World, most: usize) -> Self {
        let (files, stride) = (world.files.len(), world.network.members.len().div_ceil(64));
        let mut replaces = vec![None; files];
        if world.files.current().count() < files {
            let mut last = std::collections::HashMap::new();
            for file in 0..files as u32 {
                replaces[file as usize] = last.insert(world.files.name(file), file);
            }
        }
        Self {
            world,
            stride,
            holders: vec![0; files * stride],
            is_there: vec![false; files],
            replaces,
            copies: Vec::new(),
            deeds: 0,
            has_more: false,
            fewest: None,
            moments: Vec::new(),
            every: 1,
            most: most.max(2),
        }
    }

    fn count(&self, file: u32) -> usize {
        let at = file as usize * self.stride;
        self.holders[at..at + self.stride].iter().map(|word| word.count_ones() as usize).sum()
    }

    /// One more file has so many copies, or one less.
    fn tally(&mut self, copies: usize, by: i64) {
        if self.copies.len() <= copies {
            self.copies.resize(copies + 1, 0);
        }
        self.copies[copies] = self.copies[copies].saturating_add_signed(by);
    }

    fn come(&mut self, file: u32) {
        if !std::mem::replace(&mut self.is_there[file as usize], true) {
            self.tally(0, 1);
            let before = self.replaces[file as usize];
            if let Some(before) = before.filter(|before| std::mem::take(&mut self.is_there[*before as usize])) {
                let copies = self.count(before);
                self.tally(copies, -1);
            }
        }
    }

    fn set(&mut self, repo: usize, file: u32, present: bool) {
        let before = self.count(file);
        let word = &mut self.holders[file as usize * self.stride + repo / 64];
        let bit = 1u64 << (repo % 64);
        *word = if present { *word | bit } else { *word & !bit };
        let after = self.count(file);
        if self.is_there[file as usize] && before != after {
            self.tally(before, -1);
            self.tally(after, 1);
        }
    }

    fn added(&mut self, repo: usize, file: u32, present: bool) {
        self.come(file);
        self.set(repo, file, present);
        self.has_more = true;
    }

    fn moved(&mut self, repo: usize, file: u32, present: bool) {
        self.look_at_all();
        self.set(repo, file, present);
        self.deeds += 1;
        if self.is_there[file as usize] {
            let copies = self.count(file);
            self.had(copies, file);
        }
        self.go_on();
        if self.deeds.is_multiple_of(self.every) {
            self.moment();
        }
    }

    /// After files were added, all of them are looked at, and that is a moment of its own.
    fn look_at_all(&mut self) {
        let is_first = self.moments.is_empty();
        if std::mem::take(&mut self.has_more) {
            if let Some(least) = self.copies.iter().position(|files| *files > 0)
                && self.fewest.is_none_or(|fewest| least < fewest.copies)
            {
                let mut files = (0..self.world.files.len() as u32).filter(|file| self.is_there[*file as usize]);
                if let Some(file) = files.find(|file| self.count(*file) == least) {
                    self.had(least, file);
                }
            }
            self.go_on();
            // What was there at this moment is so no more.
            if self.moments.last().is_some_and(|moment| moment.after == self.deeds) {
                self.moments.pop();
            }
            if is_first || self.deeds.is_multiple_of(self.every) {
                self.moment();
            }
        } else if is_first {
            self.moment();
        }
    }

    fn had(&mut self, copies: usize, file: u32) {
        if self.fewest.is_none_or(|fewest| copies < fewest.copies) {
            self.fewest = Some(Fewest { copies, file, first: self.deeds, last: self.deeds });
        }
    }

    /// Whether some file still has as few.
    fn go_on(&mut self) {
        if let Some(fewest) = &mut self.fewest
            && self.copies.get(fewest.copies).is_some_and(|files| *files > 0)
        {
            fewest.last = self.deeds;
        }
    }

    fn moment(&mut self) {
        self.moments.push(Moment { after: self.deeds, copies: trimmed(&self.copies) });
        if self.moments.len() > self.most {
            self.every *= 2;
            let every = self.every;
            self.moments.retain(|moment| moment.after.is_multiple_of(every));
        }
    }

    fn done(mut self) -> Course {
        // Nobody ever had it.
        for file in self.world.files.current().filter(|file| !self.is_there[*file as usize]).collect::<Vec<_>>() {
            self.come(file);
            self.has_more = true;
        }
        self.look_at_all();
        if self.moments.last().is_none_or(|moment| moment.after != self.deeds) {
            self.moments.push(Moment { after: self.deeds, copies: trimmed(&self.copies) });
        }
        Course { moments: self.moments, fewest: self.fewest }
    }
}

/// Without what nobody has at the end of the list.
fn trimmed(copies: &[u64]) -> Vec<u64> {
    let end = copies.iter().rposition(|files| *files > 0).map_or(0, |at| at + 1);
    copies[..end].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::script::parse;
    use crate::sim::{Nowhere, begin, run};

    fn played(text: &str) -> World {
        let lines: Vec<_> = text.split("; ").map(|line| parse(line.as_bytes()).expect(text)).collect();
        let mut world = begin(lines.first(), 1);
        lines.iter().for_each(|line| run(&mut world, line, &mut Nowhere).expect(text));
        world
    }

    const FOUR: &str = "seed 1; init a; init b; init c; connect a <-> b; connect a <-> c; connect b <-> c";

    #[test]
    fn copies_are_told_at_each_moment() {
        let moments = |text: &str| -> Vec<(u64, Vec<u64>)> {
            let found = course(&played(&format!("{FOUR}; {text}")), MOST);
            found.moments.into_iter().map(|moment| (moment.after, moment.copies)).collect()
        };
        for (text, expected) in [
            ("numcopies 1", vec![(0, vec![])]),
            ("add f 1kb a", vec![(0, vec![0, 1])]),
            // Added with two copies is added at once.
            ("add f 1kb a b; add g 1kb c", vec![(0, vec![0, 1, 1])]),
            ("add f 1kb a; wanted b anything; action b getwanted a", vec![(0, vec![0, 1])]),
            (
                "add f 1kb a; wanted b anything; action b gitpull a; action b getwanted a",
                vec![(0, vec![0, 1]), (1, vec![0, 0, 1])],
            ),
            // Another file of this name: the first one is none any more.
            ("add f 1kb a; wanted b anything; action b pull a; add f 2kb c", vec![(0, vec![0, 1]), (1, vec![0, 1])]),
            (
                "add f 1kb a; add g 1kb a c; wanted b anything; action b pull a; add h 1kb a; action b pull a",
                vec![(0, vec![0, 1, 1]), (1, vec![0, 0, 2]), (2, vec![0, 1, 1, 1]), (3, vec![0, 0, 2, 1])],
            ),
        ] {
            assert_eq!(moments(text), expected, "{text}");
        }
    }

    #[test]
    fn the_fewest_copies_are_told_with_when() {
        let fewest = |text: &str| {
            let world = played(&format!("{FOUR}; --stream placement stream; {text}"));
            let found = course(&world, MOST).fewest?;
            let name = String::from_utf8_lossy(world.files.name(found.file)).into_owned();
            Some((found.copies, name, found.first, found.last))
        };
        let had = |copies, name: &str, first, last| Some((copies, name.to_string(), first, last));
        for (text, expected) in [
            ("numcopies 1", None),
            ("add f 1kb a b; add g 1kb b c", had(2, "f", 0, 0)),
            ("add f 1kb a b; add g 1kb b; wanted a anything; action a pull b", had(1, "g", 0, 0)),
            // One copy until the second transfer.
            ("add f 1kb b; add g 1kb b; add h 1kb b c; wanted a anything; action a pull b", had(1, "f", 0, 1)),
            // Dropped to one copy, and there it stays.
            (
                "add f 1kb a b c; add g 1kb a b c; wanted a nothing; wanted b nothing; --stream known; \
                 action a dropunwanted; action a gitpush b; action b dropunwanted",
                had(1, "f", 3, 4),
            ),
        ] {
            assert_eq!(fewest(text), expected, "{text}");
        }
    }

    /// Beside what the sim ended with, and what it moved.
    #[test]
    fn moments_are_bounded_and_end_where_the_sim_does() {
        for most in [2, 5, MOST] {
            let text = "addmulti 40 f 1kb 2kb a; wanted b anything; wanted c not copies=2; step 1000";
            let world = played(&format!("{FOUR}; {text}"));
            let found = course(&world, most);
            assert!(found.moments.len() <= most + 1, "{most}: {}", found.moments.len());
            assert_eq!(found.moments[0], Moment { after: 0, copies: vec![0, 40] });
            let last = found.moments.last().expect("the end");
            let moved: u64 = world.traffic.iter().map(|traffic| traffic.files_in + traffic.files_out).sum();
            assert_eq!(last.after, moved);
            let has = |file, repo| usize::from(world.knowledge.has(repo, file));
            let mut copies = vec![0; 4];
            world.files.current().for_each(|file| copies[(0..3).map(|repo| has(file, repo)).sum::<usize>()] += 1);
            assert_eq!(last.copies, trimmed(&copies));
            let distances: Vec<u64> = found.moments.windows(2).map(|pair| pair[1].after - pair[0].after).collect();
            assert!(distances[..distances.len() - 1].windows(2).all(|pair| pair[0] == pair[1]), "{distances:?}");
        }
    }
}
