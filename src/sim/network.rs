//! The repositories of a sim: their names, connections and configuration.

use std::collections::{BTreeMap, BTreeSet};

use super::script::{Chain, Name, Placement, Problem, What};
use crate::name::Uuid;
use crate::wanted::{Configuration, Repository, Trust, is_cluster};

/// A repository.
#[derive(Debug, Clone)]
pub struct Member {
    /// What it is called.
    pub name: Name,
    /// Who it is.
    pub uuid: Uuid,
    /// A special remote does nothing by itself.
    pub is_special: bool,
    /// How far it is trusted.
    pub trust: Trust,
    /// Its groups.
    pub groups: BTreeSet<Name>,
    /// Its preferred content; empty where none is set.
    pub wanted: Name,
    /// Its required content; empty where none is set.
    pub required: Name,
    /// Bytes that it may hold.
    pub maxsize: Option<u64>,
    /// For `inpreferreddir`.
    pub preferreddir: Option<Name>,
    /// The names of its remotes.
    pub remote_names: BTreeSet<Name>,
}

/// A remote of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// What it is called there.
    pub name: Name,
    /// Which repository it is.
    pub to: usize,
    /// Whether it is reached as a node of a cluster.
    pub is_node: bool,
}

/// Everything that is configured.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// The repositories, by number.
    pub members: Vec<Member>,
    /// Names of nodes of clusters, and which repository each is.
    pub nodes: BTreeMap<Name, usize>,
    /// What `groupwanted` stands for in groups.
    pub groupwanted: BTreeMap<Name, Name>,
    /// As configured.
    pub numcopies: Option<i64>,
    /// As configured.
    pub mincopies: Option<i64>,
    /// `--rebalance`.
    pub rebalance: bool,
    /// annex.fullybalancedthreshhold in percent.
    pub threshold: Option<u64>,
    /// Whose placement it is.
    pub placement: Placement,
    names: BTreeMap<Name, usize>,
    links: Vec<Vec<Link>>,
}

impl Network {
    /// The most repositories there can be.
    pub const MOST: usize = 4096;

    /// The same configuration without repositories.
    pub fn emptied(&self) -> Self {
        Self {
            groupwanted: self.groupwanted.clone(),
            numcopies: self.numcopies,
            mincopies: self.mincopies,
            rebalance: self.rebalance,
            threshold: self.threshold,
            placement: self.placement,
            ..Self::default()
        }
    }

    /// The same without a repository; `None` where nobody is left.
    pub fn without(&self, gone: usize) -> Option<Self> {
        let mut left = self.emptied();
        for (repo, member) in self.members.iter().enumerate() {
            if repo != gone {
                let at = left.add(&member.name, member.uuid.clone(), member.is_special).ok()?;
                left.members[at] = member.clone();
                left.members[at].remote_names.remove(&self.members[gone].name);
            }
        }
        for (node, repo) in self.nodes.iter().filter(|(_, repo)| **repo != gone) {
            left.add_node(node, &self.members[*repo].name).ok()?;
        }
        left.relink();
        (!left.members.is_empty()).then_some(left)
    }

    /// Adds a repository of which nothing is configured.
    ///
    /// # Errors
    /// The name is taken, or there are too many.
    pub fn add(&mut self, name: &Name, uuid: Uuid, is_special: bool) -> Result<usize, Problem> {
        self.is_free(name)?;
        if self.members.len() >= Self::MOST {
            return Err(Problem(format!("There are {} repositories, and no more can be simulated.", Self::MOST)));
        }
        if is_cluster(&uuid) {
            return Err(Problem(format!("{} has the uuid of a cluster: {uuid}", shown(name))));
        }
        if let Some(other) = self.members.iter().find(|member| member.uuid == uuid) {
            return Err(Problem(format!("{} has the uuid of {}: {uuid}", shown(name), shown(&other.name))));
        }
        let number = self.members.len();
        self.names.insert(name.clone(), number);
        self.members.push(Member {
            name: name.clone(),
            uuid,
            is_special,
            trust: Trust::default(),
            groups: BTreeSet::new(),
            wanted: Name::from(&b""[..]),
            required: Name::from(&b""[..]),
            maxsize: None,
            preferreddir: None,
            remote_names: BTreeSet::new(),
        });
        self.relink();
        Ok(number)
    }

    /// Gives a repository another name, as a node of a cluster.
    ///
    /// # Errors
    /// The name is taken, or there is no such repository.
    pub fn add_node(&mut self, name: &Name, repo: &[u8]) -> Result<(), Problem> {
        let repo = self.find(repo)?;
        self.is_free(name)?;
        self.nodes.insert(name.clone(), repo);
        self.relink();
        Ok(())
    }

    /// Whether a name can be given to a repository.
    ///
    /// # Errors
    /// It is taken.
    pub fn is_free(&self, name: &Name) -> Result<(), Problem> {
        if self.names.contains_key(name) {
            return Err(Problem(format!("There is already a repository in the simulation named \"{}\".", shown(name))));
        }
        if self.nodes.contains_key(name) {
            return Err(Problem(format!(
                "There is already a cluster node in the simulation named \"{}\".",
                shown(name)
            )));
        }
        Ok(())
    }

    /// The repository with this name, also that of a node of a cluster.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, name: &[u8]) -> Result<usize, Problem> {
        let found = self.names.get(name).or_else(|| self.nodes.get(name)).copied();
        found.ok_or_else(|| {
            let all: Vec<String> = self.names.keys().map(|name| shown(name)).collect();
            let (name, all) = (shown(name), all.join(" "));
            Problem(format!("No repository in the simulation is named \"{name}\". Choose from: {all}"))
        })
    }

    /// The remote that a repository calls so.
    ///
    /// # Errors
    /// It has none of this name.
    pub fn link(&self, repo: usize, name: &[u8]) -> Result<usize, Problem> {
        let found = self.links[repo].iter().position(|link| *link.name == *name);
        found.ok_or_else(|| {
            let repo = shown(&self.members[repo].name);
            Problem(format!("Repository {repo} does not have a remote \"{}\".", shown(name)))
        })
    }

    /// The remotes of a repository that are repositories of the sim, in the order of their names.
    pub fn links(&self, repo: usize) -> &[Link] {
        &self.links[repo]
    }

    /// Repositories that have a remote of this name.
    pub fn connected_to(&self, name: &[u8]) -> impl Iterator<Item = usize> {
        self.links
            .iter()
            .enumerate()
            .filter_map(|(repo, links)| links.iter().any(|link| *link.name == *name).then_some(repo))
    }

    /// Adds connections.
    ///
    /// # Errors
    /// One of them begins at no repository, or at a special remote.
    pub fn connect(&mut self, chain: &Chain) -> Result<(), Problem> {
        let pairs = if self.placement == Placement::Stream { chain.meant() } else { chain.connected() };
        let pairs = self.checked(chain, pairs)?;
        for (from, to) in pairs {
            self.members[from].remote_names.insert(to);
        }
        self.relink();
        Ok(())
    }

    /// Takes connections away.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn disconnect(&mut self, chain: &Chain) -> Result<(), Problem> {
        let pairs = if self.placement == Placement::Stream { chain.meant() } else { chain.disconnected() };
        for (from, to) in self.checked(chain, pairs)? {
            self.members[from].remote_names.remove(&to);
        }
        self.relink();
        Ok(())
    }

    fn checked(&self, chain: &Chain, pairs: Vec<(Name, Name)>) -> Result<Vec<(usize, Name)>, Problem> {
        for (from, to) in chain.meant() {
            let at = self.find(&from)?;
            if self.members[at].is_special {
                return Err(Problem(format!(
                    "{} is a special remote, and cannot connect to {}",
                    shown(&from),
                    shown(&to)
                )));
            }
        }
        pairs.into_iter().map(|(from, to)| Ok((self.find(&from)?, to))).collect()
    }

    /// Sets an expression.
    ///
    /// # Errors
    /// There is no such repository.
    pub fn set(&mut self, what: What, of: &Name, expression: Name) -> Result<(), Problem> {
        match what {
            What::Wanted => {
                let repo = self.find(of)?;
                self.members[repo].wanted = expression;
            }
            What::Required => {
                let repo = self.find(of)?;
                self.members[repo].required = expression;
            }
            What::GroupWanted => {
                self.groupwanted.insert(of.clone(), expression);
            }
        }
        Ok(())
    }

    /// Copies that have to be left when something is dropped.
    pub fn needed(&self) -> usize {
        let needed = self.numcopies.unwrap_or(1).max(self.mincopies.unwrap_or(1)).max(1);
        usize::try_from(needed).unwrap_or(usize::MAX)
    }

    /// What is configured, with the repositories in their order.
    pub fn configuration(&self) -> Configuration {
        let expression = |text: &Name| (!text.is_empty()).then(|| Box::from(&text[..]));
        let repository = |member: &Member| Repository {
            uuid: member.uuid.clone(),
            trust: member.trust,
            groups: member.groups.iter().map(|group| Box::from(&group[..])).collect(),
            wanted: expression(&member.wanted),
            required: expression(&member.required),
            maxsize: member.maxsize,
            preferreddir: member.preferreddir.as_ref().map(|dir| Box::from(&dir[..])),
        };
        let groupwanted = self.groupwanted.iter().filter(|(_, expression)| !expression.is_empty());
        Configuration {
            repositories: self.members.iter().map(repository).collect(),
            groupwanted: groupwanted.map(|(group, text)| (Box::from(&group[..]), Box::from(&text[..]))).collect(),
            numcopies: self.numcopies.map(|copies| u64::try_from(copies).unwrap_or(0)),
            threshold: self.threshold,
            rebalance: self.rebalance,
        }
    }

    /// Finds the repositories behind the names of remotes anew.
    pub fn relink(&mut self) {
        let link = |name: &Name| {
            let node = self.nodes.get(name).map(|to| (*to, true));
            let (to, is_node) = self.names.get(name).map(|to| (*to, false)).or(node)?;
            Some(Link { name: name.clone(), to, is_node })
        };
        self.links = self.members.iter().map(|member| member.remote_names.iter().filter_map(link).collect()).collect();
    }
}

/// A name for people.
pub fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
