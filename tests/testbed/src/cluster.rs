//! A repository that is the gateway to a cluster of remotes of some kinds, and clients of it over either wire.

use std::path::{Path, PathBuf};

use super::annex::Repo;
use super::clients;
use super::gateway::Gateway;
use super::proxy::Behind;
use super::ssh::Ssh;

/// What a client calls the cluster.
pub const SEEN: &str = "origin-myc";

/// The gateway's repository, and the nodes behind it, which it calls `m0`, `m1` and so on.
pub struct Cluster {
    /// The gateway's.
    pub repo: Repo,
    /// The nodes.
    pub nodes: Vec<Behind>,
    /// The uuid of the cluster.
    pub uuid: String,
    /// Those of the nodes.
    pub uuids: Vec<String>,
}

impl Cluster {
    /// Sets all of it up, with the real git-annex.
    #[track_caller]
    pub fn new(nodes: Vec<Behind>) -> Cluster {
        Self::with(nodes.into_iter().map(|node| (node, &[][..])).collect())
    }

    /// The same, where nodes that are special remotes have further options.
    #[track_caller]
    pub fn with(nodes: Vec<(Behind, &[&str])>) -> Cluster {
        let (nodes, options): (Vec<Behind>, Vec<&[&str]>) = nodes.into_iter().unzip();
        let mut repo = Repo::new();
        repo.git(&["commit", "--quiet", "--allow-empty", "--message", "start"]).ok();
        for (nth, node) in nodes.iter().enumerate() {
            let name = format!("m{nth}");
            match node {
                Behind::Special(place, whose) => drop(repo.initremote(&name, place, *whose, options[nth]).ok()),
                Behind::Path(far) => drop(repo.git(&["remote", "add", &name, &far.dir().display().to_string()]).ok()),
                Behind::Ssh(far, ssh) => {
                    ssh.lead(&mut repo);
                    repo.git(&["remote", "add", &name, &Ssh::url(far)]).ok();
                }
                Behind::Http(far, gateway) => {
                    repo.git(&["remote", "add", &name, &far.dir().display().to_string()]).ok();
                    repo.git(&["config", &format!("remote.{name}.annexUrl"), &gateway.url()]).ok();
                }
            }
            if let Behind::Path(far) | Behind::Ssh(far, _) | Behind::Http(far, _) = node {
                repo.git(&["config", &format!("remote.{name}.annex-uuid"), &far.uuid()]).ok();
                repo.git(&["fetch", "--quiet", &far.dir().display().to_string(), "git-annex"]).ok();
            }
        }
        repo.annex(&["initcluster", "myc"]).ok();
        for nth in 0..nodes.len() {
            repo.git(&["config", &format!("remote.m{nth}.annex-cluster-node"), "myc"]).ok();
        }
        repo.annex(&["updatecluster"]).ok();
        let told = |name: &str| repo.git(&["config", name]).ok().stdout.trim().to_string();
        let uuid = told("annex.cluster.myc");
        let uuids = (0..nodes.len()).map(|nth| told(&format!("remote.m{nth}.annex-uuid"))).collect();
        Cluster { repo, nodes, uuid, uuids }
    }

    /// A client of `server`, which serves this.
    #[track_caller]
    pub fn client(&self, server: &Gateway) -> Repo {
        clients::client_over_http(&self.repo, server)
    }

    /// A client by way of `ssh`.
    #[track_caller]
    pub fn client_by(&self, ssh: &Ssh) -> Repo {
        clients::client_over_ssh(&self.repo, ssh)
    }

    /// Which nodes the gateway's git-annex branch says have `key`, as the real git-annex there reads it.
    #[track_caller]
    pub fn holders(&self, key: &str) -> Vec<usize> {
        let has = |nth: &usize| {
            let there = self.repo.annex(&["findkeys", "--in", &format!("m{nth}")]).ok().stdout;
            there.lines().any(|line| line == key)
        };
        (0..self.nodes.len()).filter(has).collect()
    }

    /// Where a node on this computer is.
    pub fn dir(&self, nth: usize) -> PathBuf {
        match &self.nodes[nth] {
            Behind::Special(place, _) => place.path().to_path_buf(),
            Behind::Path(far) | Behind::Ssh(far, _) | Behind::Http(far, _) => far.dir(),
        }
    }

    /// Takes a node away, as if its disk were unmounted, or brings it back.
    pub fn unplug(&self, nth: usize, away: bool) {
        let (dir, gone) = (self.dir(nth), self.dir(nth).with_extension("away"));
        let (from, to) = if away { (&dir, &gone) } else { (&gone, &dir) };
        std::fs::rename(from, to).expect("it can be moved");
    }

    /// Removes what a node has of `key`, behind everybody's back.
    pub fn lose(&self, nth: usize, key: &str) {
        let lost = remove_named(&self.dir(nth), key);
        assert!(lost > 0, "m{nth} does not have {key}");
    }
}

fn remove_named(dir: &Path, name: &str) -> usize {
    use std::os::unix::fs::PermissionsExt;
    let mut removed = 0;
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            removed += remove_named(&path, name);
        } else if path.file_name().is_some_and(|file| file == name) {
            let _ = std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755));
            std::fs::remove_file(&path).expect("it is ours");
            removed += 1;
        }
    }
    removed
}
