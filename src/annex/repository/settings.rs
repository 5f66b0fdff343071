//! Every setting in git-annex's manual, and its effect here.
//!
//! Silence is no answer: what a server of git-annex's own would heed, and this program does not, is warned of where it is set.

use super::Config;

/// What becomes of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heed {
    /// It has the effect it has in git-annex, or the repository is refused.
    Honoured,
    /// It is about something that this program does not do.
    NotConcerned(&'static str),
    /// A server of git-annex's own would heed it, and this one does not. What happens instead.
    Unheeded(&'static str),
}

/// Read somewhere in this program.
const HONOURED: &[&str] = &[
    "annex.alwayscommit",
    "annex.bwlimit",
    "annex.bwlimit-download",
    "annex.bwlimit-upload",
    "annex.cluster.<name>",
    "annex.commitmessage",
    "annex.crippledfilesystem",
    "annex.dbdir",
    "annex.diskreserve",
    "annex.freezecontent-command",
    "annex.merge-annex-branches",
    "annex.pidlock",
    "annex.private",
    "annex.secure-erase-command",
    "annex.securehashesonly",
    "annex.security.allowed-http-addresses",
    "annex.security.allowed-ip-addresses",
    "annex.ssh-options",
    "annex.thawcontent-command",
    "annex.thin",
    "annex.trashbin",
    "annex.tune.branchhash1",
    "annex.tune.objecthash1",
    "annex.tune.objecthashlower",
    "annex.uuid",
    "annex.version",
    "remote.<name>.annex-bwlimit",
    "remote.<name>.annex-bwlimit-download",
    "remote.<name>.annex-bwlimit-upload",
    "remote.<name>.annex-cluster-gateway",
    "remote.<name>.annex-cluster-node",
    "remote.<name>.annex-config-uuid",
    "remote.<name>.annex-cost",
    "remote.<name>.annex-directory",
    "remote.<name>.annex-ignore",
    "remote.<name>.annex-private",
    "remote.<name>.annex-proxy",
    "remote.<name>.annex-readonly",
    "remote.<name>.annex-shell",
    "remote.<name>.annex-ssh-options",
    "remote.<name>.annex-start-command",
    "remote.<name>.annex-stop-command",
    "remote.<name>.annex-tracking-branch",
    "remote.<name>.annex-uuid",
    "remote.<name>.annex-verified",
    "remote.<name>.annexUrl",
];

const WORK_TREE: (&str, &[&str]) = (
    "what people do in a work tree, with files and branches of it",
    &[
        "annex.addsmallfiles",
        "annex.addunlocked",
        "annex.adjustedbranchrefresh",
        "annex.backend",
        "annex.dotfiles",
        "annex.genmetadata",
        "annex.gitaddtoannex",
        "annex.hardlink",
        "annex.initgroups",
        "annex.initrequired",
        "annex.initwanted",
        "annex.largefiles",
        "annex.maxextensionlength",
        "annex.maxextensions",
        "annex.numcopies",
        "annex.pre-commit-command",
        "annex.pre-init-command",
        "annex.resolvemerge",
        "annex.skipunknown",
        "annex.supportunlocked",
        "annex.synccontent",
        "annex.syncmigrations",
        "annex.synconlyannex",
        "annex.used-refspec",
        "annex.viewunsetdirectory",
    ],
);

const ASSISTANT: (&str, &[&str]) = (
    "the assistant and the webapp",
    &[
        "annex.assistant.allowunlocked",
        "annex.autocommit",
        "annex.autoupgrade",
        "annex.delayadd",
        "annex.expireunused",
        "annex.fscknudge",
        "annex.listen",
        "annex.port",
        "annex.startupscan",
    ],
);

const PROCESS: (&str, &[&str]) = (
    "how a process of git-annex works inside",
    &[
        "annex.adviceNoSshCaching",
        "annex.alwayscompact",
        "annex.autoupgraderepository",
        "annex.bloomaccuracy",
        "annex.bloomcapacity",
        "annex.cachecreds",
        "annex.debug",
        "annex.debugfilter",
        "annex.jobs",
        "annex.pidlocktimeout",
        "annex.queuesize",
        "annex.sshcaching",
    ],
);

const VERIFIED: (&str, &[&str]) = (
    "content is verified always, or proven by whoever verified the remote",
    &[
        "annex.security.allow-insecure-https",
        "annex.security.allow-unverified-downloads",
        "annex.security.allowed-compute-programs",
        "annex.security.allowed-url-schemes",
        "annex.verify",
        "remote.<name>.annex-security-allow-unverified-downloads",
        "remote.<name>.annex-verify",
    ],
);

const CLIENT: (&str, &[&str]) = (
    "what a client of the server does: which remotes it asks, how often, and what it believes",
    &[
        "annex.fastcopy",
        "annex.forward-retry",
        "annex.max-git-bundles",
        "annex.retry",
        "annex.retry-delay",
        "annex.url",
        "remote.<name>.annex-allow-encrypted-gitrepo",
        "remote.<name>.annex-availability",
        "remote.<name>.annex-bare",
        "remote.<name>.annex-checkuuid",
        "remote.<name>.annex-cost-command",
        "remote.<name>.annex-export-tracking",
        "remote.<name>.annex-fastcopy",
        "remote.<name>.annex-forward-retry",
        "remote.<name>.annex-ignore-auto",
        "remote.<name>.annex-ignore-command",
        "remote.<name>.annex-mask",
        "remote.<name>.annex-max-git-bundles",
        "remote.<name>.annex-proxied-by",
        "remote.<name>.annex-pull",
        "remote.<name>.annex-push",
        "remote.<name>.annex-retry",
        "remote.<name>.annex-retry-delay",
        "remote.<name>.annex-speculate-present",
        "remote.<name>.annex-sync",
        "remote.<name>.annex-sync-command",
        "remote.<name>.annex-trustlevel",
    ],
);

const ELSEWHERE: (&str, &[&str]) = (
    "kinds of remotes and programs that are not used here",
    &[
        "annex.aria-torrent-options",
        "annex.bup-split-options",
        "annex.gnupg-decrypt-options",
        "annex.gnupg-options",
        "annex.rsync-download-options",
        "annex.rsync-options",
        "annex.rsync-upload-options",
        "annex.s3-restore-days",
        "annex.s3-restore-tier",
        "annex.shared-sop-command",
        "annex.shared-sop-profile",
        "annex.web-options",
        "annex.youtube-dl-command",
        "annex.youtube-dl-options",
        "remote.<name>.annex-adb",
        "remote.<name>.annex-androiddirectory",
        "remote.<name>.annex-androidserial",
        "remote.<name>.annex-borgrepo",
        "remote.<name>.annex-bup-split-options",
        "remote.<name>.annex-buprepo",
        "remote.<name>.annex-compute",
        "remote.<name>.annex-ddarrepo",
        "remote.<name>.annex-externaltype",
        "remote.<name>.annex-gcrypt",
        "remote.<name>.annex-git-lfs",
        "remote.<name>.annex-glacier",
        "remote.<name>.annex-gnupg-decrypt-options",
        "remote.<name>.annex-gnupg-options",
        "remote.<name>.annex-hooktype",
        "remote.<name>.annex-httpalso",
        "remote.<name>.annex-rclone",
        "remote.<name>.annex-rsync-download-options",
        "remote.<name>.annex-rsync-options",
        "remote.<name>.annex-rsync-transport",
        "remote.<name>.annex-rsync-upload-options",
        "remote.<name>.annex-rsyncurl",
        "remote.<name>.annex-s3",
        "remote.<name>.annex-s3-restore-days",
        "remote.<name>.annex-s3-restore-tier",
        "remote.<name>.annex-shared-sop-command",
        "remote.<name>.annex-shared-sop-profile",
        "remote.<name>.annex-tahoe",
        "remote.<name>.annex-web",
        "remote.<name>.annex-web-options",
        "remote.<name>.annex-webdav",
    ],
);

/// A server cannot tell a remote that is slow from a client that is.
const STALLS: &str =
    "a transfer that stands still ends after --timeout, or STREAM_TIMEOUT; what is too slow, its client says";

/// With what happens instead.
const UNHEEDED: &[(&str, &str)] = &[
    ("annex.allowsign", "commits of the git-annex branch are not signed"),
    ("annex.commitmessage-command", "commits of the git-annex branch have the message of annex.commitmessage"),
    ("annex.fullybalancedthreshhold", "it counts with --rebalance alone, which no server has"),
    ("annex.http-headers", "peers and stores are sent no other headers"),
    ("annex.http-headers-command", "peers and stores are sent no other headers"),
    ("annex.post-update-command", "nothing is run after a commit of the git-annex branch"),
    ("annex.stalldetection", STALLS),
    ("annex.stalldetection-download", STALLS),
    ("annex.stalldetection-upload", STALLS),
    ("remote.<name>.annex-stalldetection", STALLS),
    ("remote.<name>.annex-stalldetection-download", STALLS),
    ("remote.<name>.annex-stalldetection-upload", STALLS),
];

/// All settings, as the manual spells them: `annex.NAME`, or `remote.<name>.annex-NAME`.
pub fn all() -> impl Iterator<Item = (&'static str, Heed)> {
    let honoured = HONOURED.iter().map(|name| (*name, Heed::Honoured));
    let others = [WORK_TREE, ASSISTANT, PROCESS, VERIFIED, CLIENT, ELSEWHERE].into_iter();
    let others = others.flat_map(|(why, names)| names.iter().map(move |name| (*name, Heed::NotConcerned(why))));
    let unheeded = UNHEEDED.iter().map(|(name, why)| (*name, Heed::Unheeded(why)));
    honoured.chain(others).chain(unheeded)
}

/// The settings of `config` that are set and not heeded, for the repository itself and for the remotes that it proxies, each
/// with what happens instead. Sorted.
pub fn unheeded(config: &Config) -> Vec<(String, &'static str)> {
    let mut found = Vec::new();
    for (name, heed) in all() {
        let Heed::Unheeded(why) = heed else { continue };
        match name.strip_prefix("remote.<name>.") {
            None if config.value(name).is_some() => found.push((name.to_string(), why)),
            None => {}
            Some(key) => {
                let sections = config.subsections("remote").into_iter();
                let set = sections.filter(|remote| {
                    config.bool_in("remote", remote, "annex-proxy") == Some(true)
                        && config.value_in("remote", remote, key).is_some()
                });
                found.extend(set.map(|remote| (format!("remote.{}.{key}", remote.escape_ascii()), why)));
            }
        }
    }
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::tests::{git, make};
    use super::*;
    use crate::annex::repository::Repository;

    /// `testdata/annex/settings.txt` is what the manual of git-annex lists; `testdata/annex/settings.py` makes it again.
    #[test]
    fn every_setting_of_the_manual_is_sorted_once() {
        let manual: Vec<&str> = include_str!("../../../testdata/annex/settings.txt").lines().collect();
        let mut here: Vec<&str> = all().map(|(name, _)| name).collect();
        here.sort_unstable();
        assert_eq!(here, manual);
    }

    /// What is told to users is what is there.
    #[test]
    fn the_documentation_lists_them_alike() {
        let docs = include_str!("../../../docs/settings.md");
        let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, heed) in all() {
            let row = match heed {
                Heed::Honoured => "honoured".to_string(),
                Heed::NotConcerned(what) => format!("no concern of a server: {what}"),
                Heed::Unheeded(why) => format!("warned of: {why}"),
            };
            rows.entry(row).or_default().push(name.to_string());
        }
        for (row, mut names) in rows {
            names.sort_unstable();
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            let line = format!("| {row} | {} |", names.join(", "));
            assert!(docs.lines().any(|have| have == line), "docs/settings.md lacks this line:\n{line}");
        }
    }

    #[test]
    fn what_is_set_and_not_heeded_is_found() {
        let dir = tempfile::tempdir().expect("a directory");
        make(dir.path(), &[]);
        for (name, value) in [
            ("annex.stalldetection", "1mb/1m"),
            ("annex.bwlimit", "1mb"),
            ("annex.largefiles", "anything"),
            ("remote.a.annex-stalldetection", "1mb/1m"),
            ("remote.a.annex-proxy", "true"),
            ("remote.b.annex-stalldetection", "1mb/1m"),
        ] {
            git(dir.path(), &["config", name, value]);
        }
        let repository = Repository::open(dir.path()).unwrap_or_else(|e| panic!("{e}"));
        let found = unheeded(&repository.settings());
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["annex.stalldetection", "remote.a.annex-stalldetection"]);
    }
}
