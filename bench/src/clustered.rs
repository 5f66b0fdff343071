//! A repository that is the gateway of a cluster, and the nodes behind it.

use crate::annex::{Remote, Repo};
use crate::gateway::{Gateway, Kind};
use crate::lab::Lab;
use crate::servers::BUCKET;
use std::fs;
use std::io;
use std::path::PathBuf;

/// What the repository calls the cluster.
const CLUSTER: &str = "all";

/// What a node is.
#[derive(Debug, Clone, Copy)]
pub enum Member {
    /// A bucket of the S3 server at this port.
    S3(u16),
    /// A directory.
    Directory,
    /// A git-annex repository, by its path.
    Repository,
}

/// A node.
pub struct Node {
    /// Who it is.
    pub uuid: String,
    /// What the gateway calls it.
    pub name: String,
    member: Member,
    place: String,
}

/// A repository and its cluster.
pub struct Clustered<'a> {
    lab: &'a Lab,
    /// The gateway's.
    pub repo: Repo<'a>,
    /// Who the cluster is.
    pub uuid: String,
    /// The nodes, in the order they were asked for.
    pub nodes: Vec<Node>,
    far: Vec<Repo<'a>>,
}

impl<'a> Clustered<'a> {
    /// Sets it up for ours, or for git-annex with its own types of special remotes.
    pub fn create(lab: &'a Lab, kind: Kind, name: &str, members: &[Member]) -> io::Result<Self> {
        let repo = Repo::plain(lab, name)?;
        repo.run("git", &["commit", "-q", "--allow-empty", "-m", "start"])?;
        let theirs = kind == Kind::GitAnnex;
        let (mut nodes, mut far) = (Vec::new(), Vec::new());
        for (nth, member) in members.iter().enumerate() {
            let (node, place) = (format!("m{nth}"), format!("{name}-m{nth}"));
            match *member {
                Member::S3(port) => {
                    let remote = if theirs { Remote::AnnexS3 } else { Remote::OursS3 };
                    repo.init_remote_with(remote, port, &node, &place, &[])?;
                }
                Member::Directory => {
                    let remote = if theirs { Remote::AnnexDirectory } else { Remote::OursFs };
                    repo.init_remote_with(remote, 0, &node, &place, &[])?;
                }
                Member::Repository => {
                    let other = Repo::plain(lab, &place)?;
                    let path = other.dir().display().to_string();
                    repo.run("git", &["remote", "add", &node, &path])?;
                    repo.run("git", &["config", &format!("remote.{node}.annex-uuid"), &other.uuid()?])?;
                    repo.run("git", &["fetch", "-q", &node])?;
                    far.push(other);
                }
            }
            let uuid = repo.ask("git", &["config", &format!("remote.{node}.annex-uuid")])?;
            nodes.push(Node { uuid, name: node, member: *member, place });
        }
        let program = if theirs { "git-annex" } else { "git-annex-remote-stream" };
        repo.run(program, &["initcluster", CLUSTER])?;
        for node in &nodes {
            repo.run("git", &["config", &format!("remote.{}.annex-cluster-node", node.name), CLUSTER])?;
        }
        repo.run(program, &["updatecluster"])?;
        let uuid = repo.ask("git", &["config", &format!("annex.cluster.{CLUSTER}")])?;
        Ok(Self { lab, repo, uuid, nodes, far })
    }

    /// Serves the cluster, with `further` flags.
    pub fn serve(&self, kind: Kind, further: &[&str]) -> io::Result<Gateway> {
        Gateway::start_with(self.lab, kind, self.repo.dir(), &self.uuid, further)
    }

    /// Deletes the repositories and directories, not what is in buckets.
    pub fn delete(self) -> io::Result<()> {
        for node in &self.nodes {
            if matches!(node.member, Member::Directory) {
                let path = node.directory(self.lab);
                self.lab.run(self.lab.command("chmod").args(["-R", "u+w"]).arg(&path))?;
                fs::remove_dir_all(path)?;
            }
        }
        self.far.into_iter().try_for_each(Repo::delete)?;
        self.repo.delete()
    }
}

impl Node {
    /// Where a null store has `key` of this node.
    pub fn path(&self, key: &str) -> String {
        format!("/{BUCKET}/{}/{key}", self.place)
    }

    /// Where the objects of a directory are.
    pub fn directory(&self, lab: &Lab) -> PathBuf {
        lab.at(&format!("dir-{}", self.place))
    }
}
