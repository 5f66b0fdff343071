//! What a repository can do about a file, as far as it knows.

use std::cell::{Cell, OnceCell};
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use super::files::Files;
use super::knowledge::Knowledge;
use super::network::Network;
use super::rows::ones;
use super::script::Placement;
use crate::name::{Key, Uuid};
use crate::wanted::{Assumed, Facts, Policy, Question, Repo, RepoSet, Trust, UNKEPT, Unknown};

/// All that is looked at.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    /// Who there is.
    pub network: &'a Network,
    /// What they want.
    pub policy: &'a Policy,
    /// Of which files.
    pub files: &'a Files,
    /// Where these are.
    pub knowledge: &'a Knowledge,
    /// What was computed of their keys.
    pub numbers: &'a Numbers,
}

/// The numbers of keys in groups that they are balanced in, for one policy: a digest each, and asked for again and again.
#[derive(Debug)]
pub struct Numbers {
    files: usize,
    /// By group, once one is asked for; then by file.
    groups: Vec<OnceLock<Vec<AtomicU64>>>,
}

impl Numbers {
    /// Of so many files, in the groups of a policy.
    pub fn new(policy: &Policy, files: usize) -> Self {
        Self { files, groups: (0..policy.group_count()).map(|_| OnceLock::new()).collect() }
    }

    fn of(&self, group: usize, file: u32) -> Option<&AtomicU64> {
        let none = || (0..self.files).map(|_| AtomicU64::new(UNKEPT)).collect();
        self.groups.get(group)?.get_or_init(none).get(file as usize)
    }
}

/// What is done about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It gets it from a remote.
    Get,
    /// It sends it to a remote.
    Send,
    /// It drops it.
    Drop,
    /// It drops it from a remote.
    DropFrom,
}

/// Something that can be done: what, and by which of its remotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Deed {
    /// What.
    pub kind: Kind,
    /// The number of the remote among those of the one who does it. 0 for [`Kind::Drop`].
    pub link: usize,
}

impl Deed {
    /// Whose content changes when `actor` does it.
    pub fn target(self, network: &Network, actor: usize) -> usize {
        match self.kind {
            Kind::Get | Kind::Drop => actor,
            Kind::Send | Kind::DropFrom => network.links(actor).get(self.link).map_or(actor, |link| link.to),
        }
    }
}

impl Look<'_> {
    /// Adds what `actor` can do about `file` of the kinds that `asks` names. Whether an answer depends on how full repositories
    /// are.
    ///
    /// # Errors
    /// [`Unknown`] where it cannot be told who wants it: a glob that git-annex stops at.
    pub fn deeds(
        &self,
        actor: usize,
        file: u32,
        asks: &dyn Fn(Deed) -> bool,
        into: &mut Vec<Deed>,
    ) -> Result<bool, Unknown> {
        let knowledge = self.knowledge;
        let reads_sizes = Cell::new(false);
        let facts = Known::new(self, actor, file, &reads_sizes);
        let question = self.policy.about(&facts);
        let sight = Sight {
            network: self.network,
            sees: &|repo| knowledge.sees(actor, file, repo),
            has: &|repo| knowledge.has(repo, file),
        };
        sight.deeds(&question, actor, asks, into)?;
        Ok(reads_sizes.get())
    }
}

/// What one repository sees of one file.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    /// Who there is.
    pub network: &'a Network,
    /// Whether it takes a repository to have it.
    pub sees: &'a dyn Fn(usize) -> bool,
    /// Whether a repository has it.
    pub has: &'a dyn Fn(usize) -> bool,
}

impl Sight<'_> {
    /// Adds what `actor` can do of the kinds that `asks` names, by what it knows, which is what `question` is of.
    ///
    /// # Errors
    /// As [`Look::deeds`].
    pub fn deeds<F: Facts + ?Sized>(
        &self,
        question: &Question<'_, F>,
        actor: usize,
        asks: &dyn Fn(Deed) -> bool,
        into: &mut Vec<Deed>,
    ) -> Result<(), Unknown> {
        let links = self.network.links(actor);
        let is_there = |link: usize| {
            let to = links[link].to;
            to != actor && (self.sees)(to) && (self.has)(to)
        };
        let lacks = |link: usize| {
            let to = links[link].to;
            to != actor && !(self.sees)(to) && !(self.has)(to)
        };
        if (self.has)(actor) {
            for (link, remote) in links.iter().enumerate() {
                let deed = Deed { kind: Kind::Send, link };
                if asks(deed) && lacks(link) && self.wants(question, remote.to)? {
                    into.push(deed);
                }
            }
            let deed = Deed { kind: Kind::Drop, link: 0 };
            if asks(deed) && self.enough(actor, actor) && !self.keeps(question, actor)? {
                into.push(deed);
            }
        } else {
            let from = |link: &usize| asks(Deed { kind: Kind::Get, link: *link }) && is_there(*link);
            let mut sources = (0..links.len()).filter(from).peekable();
            if sources.peek().is_some() && self.wants(question, actor)? {
                into.extend(sources.map(|link| Deed { kind: Kind::Get, link }));
            }
        }
        for (link, remote) in links.iter().enumerate() {
            let deed = Deed { kind: Kind::DropFrom, link };
            // Also what is gone there is dropped, as git-annex does: it is not asked before.
            let is_seen = remote.to != actor && (self.sees)(remote.to);
            if asks(deed) && is_seen && self.enough(actor, remote.to) && !self.keeps(question, remote.to)? {
                into.push(deed);
            }
        }
        Ok(())
    }

    /// Whether there are copies enough without that of `dropper`: those of `actor` and of its remotes, which it asks, and those of
    /// trusted repositories. `git annex sim` counts those of any trust, where they are (recorded); else those of untrusted
    /// repositories do not count, and trusted ones are not asked.
    fn enough(&self, actor: usize, dropper: usize) -> bool {
        let needed = self.network.needed();
        let mut found: Vec<usize> = Vec::new();
        let all_count = self.network.placement == Placement::GitAnnex;
        let counts = |repo: usize| all_count || self.network.members[repo].trust > Trust::Untrusted;
        if actor != dropper && (self.has)(actor) && counts(actor) {
            found.push(actor);
        }
        // Who is trusted counts without a connection. git-annex does not ask there; its sim knows that it is there.
        let is_believed = |repo: &usize| {
            *repo != dropper
                && *repo != actor
                && self.network.members[*repo].trust == Trust::Trusted
                && (self.sees)(*repo)
                && (!all_count || (self.has)(*repo))
        };
        found.extend((0..self.network.members.len()).filter(is_believed));
        for link in self.network.links(actor) {
            if found.len() >= needed {
                break;
            }
            let to = link.to;
            // What is reached as a node of a cluster alone is not counted by `git annex sim`: recorded.
            let is_counted = counts(to) && !(all_count && link.is_node);
            let is_other = to != dropper && to != actor && !found.contains(&to) && is_counted;
            if is_other && (self.sees)(to) && (self.has)(to) {
                found.push(to);
            }
        }
        found.len() >= needed
    }

    /// A repository of which nothing is configured gets all and drops nothing, as with `git annex sync`; in `git annex sim` it
    /// gets nothing, and drops what it can. Source: recorded.
    fn wants<F: Facts + ?Sized>(&self, question: &Question<'_, F>, repo: usize) -> Result<bool, Unknown> {
        match question.policy().numbered(repo) {
            Some(repo) if question.policy().is_configured(repo) => question.wants(repo, Assumed::NOTHING),
            _ => Ok(self.network.placement == Placement::Stream),
        }
    }

    fn keeps<F: Facts + ?Sized>(&self, question: &Question<'_, F>, repo: usize) -> Result<bool, Unknown> {
        match question.policy().numbered(repo) {
            Some(repo) if question.policy().is_configured(repo) => question.keeps(repo, Assumed::NOTHING),
            _ => Ok(self.network.placement == Placement::Stream),
        }
    }
}

/// Where `git annex sim` sees files: from within a directory of its own, so that `include=f` does not match the file `f`, and
/// `include=*f` does. Source: recorded.
const FROM_WITHIN: &[u8] = b"../../../../";

/// What a repository knows of a file.
pub struct Known<'a> {
    files: &'a Files,
    numbers: &'a Numbers,
    file: u32,
    /// Its name as git-annex takes it.
    path: OnceCell<Vec<u8>>,
    row: &'a [u8],
    used: &'a [u64],
    network: &'a Network,
    reads_sizes: &'a Cell<bool>,
}

impl<'a> Known<'a> {
    /// A file that these have, a bit for each, while each holds so many bytes.
    pub fn with(look: &Look<'a>, file: u32, row: &'a [u8], used: &'a [u64], reads_sizes: &'a Cell<bool>) -> Self {
        Self {
            files: look.files,
            numbers: look.numbers,
            file,
            path: OnceCell::new(),
            row,
            used,
            network: look.network,
            reads_sizes,
        }
    }

    /// What `viewer` knows of `file`. Tells by `reads_sizes` whether it was asked how full somebody is.
    pub fn new(look: &Look<'a>, viewer: usize, file: u32, reads_sizes: &'a Cell<bool>) -> Self {
        let knowledge = look.knowledge;
        Self::with(look, file, knowledge.row(viewer, file), knowledge.used(viewer), reads_sizes)
    }
}

impl Facts for Known<'_> {
    fn key(&self) -> Result<&Key, Unknown> {
        Ok(self.files.key(self.file))
    }

    fn key_size(&self) -> Result<Option<u64>, Unknown> {
        match self.files.size(self.file) {
            0 => Ok(self.key()?.size()),
            size => Ok(Some(size)),
        }
    }

    fn file(&self) -> Result<Option<&[u8]>, Unknown> {
        if self.network.placement == Placement::Stream {
            return Ok(Some(self.files.name(self.file)));
        }
        Ok(Some(self.path.get_or_init(|| [FROM_WITHIN, self.files.name(self.file)].concat())))
    }

    fn kept_number(&self, group: usize) -> Option<&AtomicU64> {
        self.numbers.of(group, self.file)
    }

    fn holders(&self, holder: &mut dyn FnMut(&Uuid)) -> Result<(), Unknown> {
        ones(self.row).for_each(|repo| holder(&self.network.members[repo].uuid));
        Ok(())
    }

    fn numbered_holders(&self) -> Option<RepoSet> {
        // The policy has the repositories in the same order.
        Some(RepoSet::of_bytes(self.row))
    }

    fn used(&self, repo: Repo, _: &Uuid) -> Result<u64, Unknown> {
        self.reads_sizes.set(true);
        Ok(self.used.get(repo.index()).copied().unwrap_or(0))
    }

    fn numcopies(&self) -> Result<Option<u64>, Unknown> {
        Ok(None)
    }

    fn metadata(&self, field: &[u8], value: &mut dyn FnMut(&[u8])) -> Result<(), Unknown> {
        self.files
            .metadata(self.file)
            .and_then(|fields| fields.get(field))
            .into_iter()
            .flatten()
            .for_each(|found| value(found));
        Ok(())
    }

    fn urls(&self, _: &mut dyn FnMut(&[u8])) -> Result<(), Unknown> {
        Ok(())
    }

    fn unused(&self) -> Result<bool, Unknown> {
        Ok(false)
    }
}
