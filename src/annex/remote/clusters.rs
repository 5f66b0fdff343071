//! The clusters that a repository is a gateway of, as git config names them.

use std::collections::{BTreeMap, BTreeSet};

use super::words;
use crate::annex::log::is_cluster;
use crate::annex::log::proxy::ProxiedName;
use crate::annex::repository::{Config, Repository};
use crate::name::Uuid;

/// `annex.cluster.NAME` of git config, as far as they are clusters, by uuid. A name that is set twice is the last.
///
/// What stands behind the last dot of a name is in lower case, as git has it.
pub fn clusters(repository: &Repository) -> BTreeSet<ProxiedName> {
    clusters_in(&repository.settings())
}

pub(super) fn clusters_in(settings: &Config) -> BTreeSet<ProxiedName> {
    let mut found: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for sub in settings.subsections("annex") {
        // A dot in the name makes a section of what stands before it.
        let Some(rest) = sub.strip_prefix(b"cluster") else { continue };
        let before = match rest {
            [] => Vec::new(),
            [b'.', before @ ..] => [before, b"."].concat(),
            _ => continue,
        };
        for (name, uuid) in settings.entries("annex", &sub) {
            found.insert([&before[..], name.to_ascii_lowercase().as_bytes()].concat(), uuid);
        }
    }
    let is_one = |(name, uuid): (Vec<u8>, Vec<u8>)| {
        Some(ProxiedName { uuid: Uuid::parse(&uuid).ok().filter(is_cluster)?, name })
    };
    found.into_iter().filter_map(is_one).collect()
}

/// The name under which git config has the cluster that people call `name`.
pub fn name_in_config(name: &[u8]) -> Vec<u8> {
    let at = name.iter().rposition(|byte| *byte == b'.').map_or(0, |dot| dot + 1);
    [&name[..at], &name[at..].to_ascii_lowercase()].concat()
}

/// Words of `remote.NAME.annex-cluster-node` that name no cluster of git config, by the name of the remote. git-annex says
/// nothing of them.
pub fn unknown_clusters(repository: &Repository) -> Vec<(Vec<u8>, Vec<u8>)> {
    let settings = repository.settings();
    let known = clusters_in(&settings);
    let mut unknown = Vec::new();
    for remote in settings.subsections("remote") {
        let node = settings.value_in("remote", &remote, "annex-cluster-node").unwrap_or_default();
        let strange = words(&node).filter(|word| !known.iter().any(|cluster| cluster.name == *word));
        unknown.extend(strange.map(|word| (remote.clone(), word.to_vec())));
    }
    unknown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annex::repository::tests::{git, make};

    /// Recorded: the names in what `git annex updatecluster` says of such a configuration.
    #[test]
    fn clusters_are_named_as_git_annex_names_them() {
        let dir = tempfile::tempdir().expect("a directory");
        make(dir.path(), &[]);
        let uuid = |at: u32| format!("ac000000-0000-8000-8000-00000000000{at}");
        for (name, uuid) in [
            ("myc", uuid(1)),
            ("MYC2", uuid(2)),
            ("Up.x-Y", uuid(3)),
            ("a.b.c", uuid(4)),
            ("a..b", uuid(5)),
            ("bad", "notauuid".to_string()),
            ("bad2", "00000000-0000-4000-8000-00000000a001".to_string()),
        ] {
            git(dir.path(), &["config", &format!("annex.cluster.{name}"), &uuid]);
        }
        git(dir.path(), &["config", "--add", "annex.cluster.myc", &uuid(6)]);
        git(dir.path(), &["config", "annex.clusters.no", &uuid(7)]);
        git(dir.path(), &["config", "remote.x.annex-cluster-node", "myc MYC  Up.x-y nosuch"]);
        let repository = Repository::open(dir.path()).unwrap_or_else(|e| panic!("{e}"));
        let named = clusters(&repository)
            .into_iter()
            .map(|it| (String::from_utf8(it.name).expect("text"), it.uuid.to_string()));
        let expected = [("myc2", 2), ("Up.x-y", 3), ("a.b.c", 4), ("a..b", 5), ("myc", 6)];
        assert_eq!(named.collect::<Vec<_>>(), expected.map(|(name, at)| (name.to_string(), uuid(at))));
        assert_eq!((&name_in_config(b"Up.X-Y")[..], &name_in_config(b"MYC2")[..]), (&b"Up.x-y"[..], &b"myc2"[..]));
        let unknown: Vec<_> = unknown_clusters(&repository);
        assert_eq!(unknown, [(b"x".to_vec(), b"MYC".to_vec()), (b"x".to_vec(), b"nosuch".to_vec())]);
    }
}
