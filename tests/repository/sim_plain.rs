//! `git annex sim` step by step as it was found to be, slow and plain: what the simulator's ends are held against where git-annex
//! comes to another one.
//!
//! Two rules of git-annex are not the simulator's:
//!
//! - A record of where a file is has the time of its command. Steps of one command record at the same time, so that of two records
//!   that meet in a pull or push neither is the newer one: either may win, and a copy that was dropped counts as present again, with
//!   whom it was dropped from, too. Here chance decides which.
//! - Where nobody can do anything, it pulls and pushes over some connections, and not over one, before it looks again.
//!
//! Without them this comes to the ends of the simulator.

use std::collections::BTreeSet;

use git_annex_remote_stream::name::{Key, Uuid};
use git_annex_remote_stream::sim::{Fields, Network, World};
use git_annex_remote_stream::wanted::{Assumed, Facts, Policy, Repo, Trust, Unknown};

use super::sims_annex::{Chance, Places};

/// What of git-annex is done as it does it.
#[derive(Clone, Copy)]
pub struct Rules {
    /// Records of one command have one time.
    pub one_time: bool,
    /// Several connections are pulled and pushed over at once.
    pub several_meet: bool,
}

/// A file that there is.
pub struct File<'a> {
    pub name: &'a [u8],
    pub key: &'a Key,
    pub metadata: Option<&'a Fields>,
}

/// When somebody recorded that a repository has a file, or has it not.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Record {
    time: u64,
    present: bool,
}

/// What somebody does about a file.
#[derive(Clone, Copy)]
struct Deed {
    actor: usize,
    /// Whose content changes.
    at: usize,
    /// The name of the remote, which may be that of a node.
    link: Option<usize>,
    file: usize,
    present: bool,
}

/// A sim of which all is done but the steps.
pub struct Plain<'a> {
    network: &'a Network,
    policy: Policy,
    files: Vec<File<'a>>,
    /// By viewer, file and repository.
    known: Vec<Vec<Vec<Record>>>,
    places: Places,
    now: u64,
    chance: Chance,
}

impl<'a> Plain<'a> {
    pub fn new(world: &'a World, seed: u64) -> Self {
        let (network, count) = (&world.network, world.network.members.len());
        let file = |file| File {
            name: world.files.name(file),
            key: world.files.key(file),
            metadata: world.files.metadata(file),
        };
        let files: Vec<File<'_>> = world.files.current().map(file).collect();
        let known = vec![vec![vec![Record::default(); count]; files.len()]; count];
        let policy = Policy::new(network.configuration());
        let mut plain = Self { network, policy, files, known, places: Places::new(), now: 1, chance: Chance(seed) };
        for file in 0..plain.files.len() {
            for repo in (0..count).filter(|repo| world.knowledge.has(*repo, file as u32)) {
                plain.known[repo][file][repo] = Record { time: 1, present: true };
                plain.place(repo, file, true);
            }
        }
        plain
    }

    /// Where files are after so many commands of so many steps.
    pub fn end(mut self, rules: Rules, commands: usize, steps: usize) -> Places {
        for _ in 0..commands {
            self.now += 1;
            let (mut done, mut met) = (0, 0);
            // Without a time of its own, a record can be undone and made again for ever.
            while done < steps && met < 64 {
                let all = self.deeds();
                if all.is_empty() {
                    if !self.meet() {
                        break;
                    }
                    met += 1;
                    while rules.several_meet && self.chance.below(2) == 0 && self.meet() {}
                } else {
                    let deed = all[self.chance.below(all.len() as u64) as usize];
                    self.now += u64::from(!rules.one_time);
                    self.perform(deed);
                    done += 1;
                }
            }
        }
        self.places
    }

    fn place(&mut self, repo: usize, file: usize, present: bool) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let place = (text(&self.network.members[repo].name), text(self.files[file].name));
        if present {
            self.places.insert(place);
        } else {
            self.places.remove(&place);
        }
    }

    fn sees(&self, viewer: usize, file: usize, repo: usize) -> bool {
        self.known[viewer][file][repo].present
    }

    fn has(&self, repo: usize, file: usize) -> bool {
        self.sees(repo, file, repo)
    }

    fn deeds(&self) -> Vec<Deed> {
        let mut found = Vec::new();
        for actor in (0..self.network.members.len()).filter(|actor| !self.network.members[*actor].is_special) {
            for file in 0..self.files.len() {
                for (link, remote) in self.network.links(actor).iter().enumerate() {
                    let to = remote.to;
                    if to == actor {
                        continue;
                    }
                    let (sees, there, here) = (self.sees(actor, file, to), self.has(to, file), self.has(actor, file));
                    let mut add = |at, present| found.push(Deed { actor, at, link: Some(link), file, present });
                    if here && !sees && !there && self.wants(actor, file, to) {
                        add(to, true);
                    }
                    if !here && sees && there && self.wants(actor, file, actor) {
                        add(actor, true);
                    }
                    if sees && self.is_enough(actor, file, to) && !self.keeps(actor, file, to) {
                        add(to, false);
                    }
                }
            }
        }
        found
    }

    /// Copies that are known and there, but for nodes: those of the actor, of its remotes, and of those who are trusted.
    fn is_enough(&self, actor: usize, file: usize, dropped: usize) -> bool {
        let reached: BTreeSet<usize> =
            self.network.links(actor).iter().filter(|link| !link.is_node).map(|link| link.to).collect();
        let counts = |repo: usize| {
            let is_reached =
                repo == actor || reached.contains(&repo) || self.network.members[repo].trust == Trust::Trusted;
            repo != dropped && is_reached && self.has(repo, file) && (repo == actor || self.sees(actor, file, repo))
        };
        (0..self.network.members.len()).filter(|repo| counts(*repo)).count() >= self.network.needed()
    }

    fn asked(&self, viewer: usize, file: usize, repo: usize, keeps: bool) -> bool {
        let Some(repo) = self.policy.numbered(repo).filter(|repo| self.policy.is_configured(*repo)) else {
            return false;
        };
        let view = View { plain: self, viewer, file };
        let question = self.policy.about(&view);
        let answer =
            if keeps { question.keeps(repo, Assumed::NOTHING) } else { question.wants(repo, Assumed::NOTHING) };
        answer.expect("it can be told")
    }

    fn wants(&self, viewer: usize, file: usize, repo: usize) -> bool {
        self.asked(viewer, file, repo, false)
    }

    fn keeps(&self, viewer: usize, file: usize, repo: usize) -> bool {
        self.asked(viewer, file, repo, true)
    }

    fn perform(&mut self, deed: Deed) {
        let record = Record { time: self.now, present: deed.present };
        let mut told = vec![deed.actor, deed.at];
        let link = deed.link.filter(|_| deed.actor != deed.at).map(|link| &self.network.links(deed.actor)[link]);
        if let Some(link) = link.filter(|link| link.is_node) {
            told.extend(self.network.connected_to(&link.name));
        }
        told.into_iter().for_each(|viewer| self.known[viewer][deed.file][deed.at] = record);
        self.place(deed.at, deed.file, deed.present);
    }

    /// A pull and a push over one connection where anything differs. Whether there was one.
    fn meet(&mut self) -> bool {
        let mut links = Vec::new();
        for a in 0..self.network.members.len() {
            let remotes = self.network.links(a).iter().filter(|link| !link.is_node && link.to != a);
            links.extend(remotes.map(|link| (a, link.to)).filter(|(a, b)| self.known[*a] != self.known[*b]));
        }
        if links.is_empty() {
            return false;
        }
        let (a, b) = links[self.chance.below(links.len() as u64) as usize];
        for file in 0..self.files.len() {
            for repo in 0..self.network.members.len() {
                let (mine, theirs) = (self.known[a][file][repo], self.known[b][file][repo]);
                let is_mine = match mine.time.cmp(&theirs.time) {
                    std::cmp::Ordering::Equal => self.chance.below(2) == 0,
                    order => order.is_gt(),
                };
                let newest = if is_mine { mine } else { theirs };
                (self.known[a][file][repo], self.known[b][file][repo]) = (newest, newest);
            }
        }
        true
    }
}

/// What one repository knows of a file.
struct View<'a> {
    plain: &'a Plain<'a>,
    viewer: usize,
    file: usize,
}

impl Facts for View<'_> {
    fn key(&self) -> Result<&Key, Unknown> {
        Ok(self.plain.files[self.file].key)
    }

    // Terms of these networks ask how a name ends alone.
    fn file(&self) -> Result<Option<&[u8]>, Unknown> {
        Ok(Some(self.plain.files[self.file].name))
    }

    fn holders(&self, holder: &mut dyn FnMut(&Uuid)) -> Result<(), Unknown> {
        let members = self.plain.network.members.iter().enumerate();
        members
            .filter(|(repo, _)| self.plain.sees(self.viewer, self.file, *repo))
            .for_each(|(_, member)| holder(&member.uuid));
        Ok(())
    }

    // None of them has a maximum size.
    fn used(&self, _: Repo, _: &Uuid) -> Result<u64, Unknown> {
        Ok(0)
    }

    fn numcopies(&self) -> Result<Option<u64>, Unknown> {
        Ok(None)
    }

    fn metadata(&self, field: &[u8], value: &mut dyn FnMut(&[u8])) -> Result<(), Unknown> {
        let values = self.plain.files[self.file].metadata.and_then(|fields| fields.get(field));
        values.into_iter().flatten().for_each(|found| value(found));
        Ok(())
    }

    fn urls(&self, _: &mut dyn FnMut(&[u8])) -> Result<(), Unknown> {
        Ok(())
    }

    fn unused(&self) -> Result<bool, Unknown> {
        Ok(false)
    }
}
