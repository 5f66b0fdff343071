use std::path::Path;

use super::*;
use crate::annex::repository::tests::{git, make};

const LOG: &str = "\
d1 encryption=none name=d1 type=directory timestamp=5s
d2 encryption=none name=d2 type=S3 bucket=theirs timestamp=9s
d3 sameas-uuid=d2 sameas-name=d3 type=S3 bucket=b timestamp=9s
d4 embedcreds=yes encryption=none s3creds=aWQKc2VjcmV0Cg== type=S3 timestamp=9s
d5 encryption=none exporttree=yes type=directory timestamp=9s
d6 annexobjects=yes encryption=none exporttree=yes type=directory timestamp=9s
";

/// A repository of this git config, with these files below `annex/`.
fn repository(config: &[(&str, &str)], files: &[(&str, &str)]) -> (tempfile::TempDir, Repository) {
    let dir = tempfile::tempdir().expect("a directory");
    make(dir.path(), &[]);
    for (name, value) in config {
        git(dir.path(), &["config", name, value]);
    }
    for (name, text) in files {
        write(dir.path(), name, text);
    }
    let repository = Repository::open(dir.path()).unwrap_or_else(|e| panic!("{e}"));
    (dir, repository)
}

fn write(dir: &Path, name: &str, text: &str) {
    let path = dir.join(".git/annex").join(name);
    std::fs::create_dir_all(path.parent().expect("a file")).expect("its directory");
    std::fs::write(path, text).expect("written");
}

fn special(remote: &Remote) -> &SpecialConfig {
    match &remote.kind {
        RemoteKind::Special(special) => special,
        RemoteKind::Git(_) => panic!("{remote:?}"),
    }
}

fn name(remote: &Remote) -> String {
    String::from_utf8(remote.name.clone()).expect("text")
}

/// Recorded: what git-annex-shell allowed for each pair of a mark and a record, but that it reads where nobody looked and the
/// mark is `automatic` or `verified`.
#[test]
fn a_configuration_is_in_force_as_far_as_it_was_looked_at() {
    for (mark, recorded, trust, blocks) in [
        ("verified", true, Trust::Verified, false),
        ("automatic", true, Trust::Verified, false),
        ("manual", true, Trust::Verified, false),
        ("", true, Trust::Verified, false),
        ("automatic", false, Trust::Automatic, true),
        ("manual", false, Trust::Manual, false),
        ("junk", false, Trust::Unverified, true),
        ("", false, Trust::Unverified, true),
        ("verified", false, Trust::Unrecorded, false),
    ] {
        let line = "d2 bucket=ours encryption=none type=S3 timestamp=1s\n";
        let verified = if recorded { line } else { "other type=S3 timestamp=1s\n" };
        let (_dir, repository) = repository(
            &[("remote.x.annex-uuid", "d2"), ("remote.x.annex-verified", mark)],
            &[("journal/remote.log", LOG), ("verified-remote.log", verified)],
        );
        let known = remotes_of(&repository).expect("read");
        let [remote] = &known[..] else { panic!("{known:?}") };
        assert_eq!(special(remote).trust, trust, "{mark:?} {recorded}");
        assert_eq!(write_block(&known).is_some(), blocks, "{mark:?} {recorded}");
        let bucket = if recorded { "ours" } else { "theirs" };
        assert_eq!(special(remote).value("bucket"), Some(bucket.as_bytes()), "{mark:?} {recorded}");
        assert_eq!(trust.may_read(), recorded, "{mark:?}");
    }
}

#[test]
fn where_nothing_was_ever_recorded_no_special_remote_is_used() {
    let (_dir, repository) = repository(
        &[("remote.x.annex-uuid", "d1"), ("remote.y.annex-uuid", "d2"), ("remote.y.annex-verified", "verified")],
        &[("journal/remote.log", LOG)],
    );
    let known = remotes_of(&repository).expect("read");
    assert_eq!(known.len(), 2);
    assert!(known.iter().all(|remote| special(remote).trust == Trust::Unrecorded && !special(remote).trust.may_read()));
}

#[test]
fn remotes_are_what_git_config_says() {
    let (dir, repository) = repository(
        &[
            ("remote.dir.annex-uuid", "d1"),
            ("remote.dir.annex-directory", "/media/x"),
            ("remote.dir.annex-readonly", "true"),
            ("remote.dir.annex-proxy", "yes"),
            ("remote.same.annex-uuid", "d2"),
            ("remote.same.annex-config-uuid", "d3"),
            ("remote.nothing.annex-uuid", "d99"),
            ("remote.stranger.url", "ssh://h/x"),
            ("remote.stranger.annex-proxy", "true"),
            ("remote.far.url", "ssh://h/y"),
            ("remote.far.annex-uuid", "g1"),
            ("remote.far.annexurl", "annex+http://h/"),
            ("remote.far.annex-shell", "/opt/shell"),
            ("remote.far.annex-ssh-options", "-p  22 -v"),
            ("remote.far.annex-cluster-node", "c1 c2"),
            ("remote.far.annex-cluster-gateway", "ac1 ac2"),
        ],
        &[("journal/remote.log", LOG), ("verified-remote.log", LOG)],
    );
    let known = remotes_of(&repository).expect("read");
    assert_eq!(known.iter().map(name).collect::<Vec<_>>(), ["dir", "same", "far"]);
    let [directory, same, far] = &known[..] else { panic!("{known:?}") };
    assert_eq!(special(directory).directory.as_deref(), Some(&b"/media/x"[..]));
    assert!(directory.readonly && directory.proxied && !same.proxied && !far.proxied);
    assert!(directory.offered && !same.offered && far.offered);
    assert_eq!(same.uuid.as_bytes(), b"d2");
    assert_eq!(special(same).value("bucket"), Some(&b"b"[..]));
    let RemoteKind::Git(git) = &far.kind else { panic!("{far:?}") };
    assert_eq!(
        (git.annex_url.as_deref(), git.shell.as_deref()),
        (Some(&b"annex+http://h/"[..]), Some(&b"/opt/shell"[..]))
    );
    assert_eq!(git.ssh_options, [&b"-p"[..], b"22", b"-v"]);
    assert_eq!(git.base, dir.path().canonicalize().expect("it is there"));
    assert_eq!(far.gateway_for.len(), 2);
    assert_eq!(strangers(&repository), [(b"stranger".to_vec(), true)]);
}

#[test]
fn a_remote_that_is_the_same_as_another_is_encrypted_like_it() {
    let log = "d2 encryption=shared cipher=x type=S3 timestamp=9s\nd3 sameas-uuid=d2 type=S3 timestamp=9s\n";
    let config =
        [("remote.x.annex-uuid", "d2"), ("remote.x.annex-config-uuid", "d3"), ("remote.x.annex-verified", "automatic")];
    let (_dir, repository) = repository(&config, &[("journal/remote.log", log), ("verified-remote.log", "")]);
    let known = remotes_of(&repository).expect("read");
    assert_eq!(special(&known[0]).value("encryption"), Some(&b"shared"[..]));
}

#[test]
fn credentials_come_from_files_and_else_from_the_configuration() {
    let (_dir, repository) = repository(
        &[("remote.a.annex-uuid", "d1"), ("remote.b.annex-uuid", "d4"), ("remote.c.annex-uuid", "../d6")],
        &[
            ("journal/remote.log", &format!("{LOG}../d6 encryption=none type=S3 timestamp=1s\n")),
            ("verified-remote.log", &format!("{LOG}../d6 encryption=none type=S3 timestamp=1s\n")),
            ("creds/d1", "user\npass word\n"),
            ("creds/d1-s3creds", "id\nhidden\n"),
            ("d6", "out\nside\n"),
        ],
    );
    let known = remotes_of(&repository).expect("read");
    let creds = |nth: usize| special(&known[nth]).creds.clone();
    let login = |found: io::Result<Option<Login>>| {
        let found = found.expect("readable");
        found.map(|login| format!("{} {}", login.user.escape_ascii(), login.password.escape_ascii()))
    };
    assert_eq!(login(creds(0).own("s3creds")).as_deref(), Some("user pass word"));
    assert_eq!(login(creds(0).setting("s3creds")).as_deref(), Some("id hidden"));
    assert_eq!(login(creds(0).setting("../d1")), None);
    assert_eq!(login(creds(1).own("s3creds")).as_deref(), Some("id secret"));
    assert_eq!(login(creds(2).own("s3creds")), None, "a uuid must not lead out of the directory");
    let shown = format!("{known:?} {:?}", creds(0).own("s3creds"));
    assert!(!shown.contains("pass word") && !shown.contains("aWQK"), "{shown}");
}

/// Recorded: git-annex-shell on each of these.
#[test]
fn a_remote_is_proxied_where_the_log_and_git_config_agree() {
    let gateway = "u-1";
    for (told, config, proxied_) in [
        ("d1:x", &[("remote.x.annex-uuid", "d1"), ("remote.x.annex-proxy", "true")][..], true),
        ("d1:x", &[("remote.x.annex-uuid", "d1"), ("remote.x.annex-cluster-node", "c")], false),
        (
            "d1:x",
            &[("remote.x.annex-uuid", "d1"), ("remote.x.annex-cluster-node", "a c"), ("annex.cluster.c", "bad")],
            false,
        ),
        (
            "d1:x",
            &[
                ("remote.x.annex-uuid", "d1"),
                ("remote.x.annex-cluster-node", "a c"),
                ("annex.cluster.c", "ac033f93-51f0-8a24-837b-f45d6f2db388"),
            ],
            true,
        ),
        ("d1:x", &[("remote.x.annex-uuid", "d1")], false),
        ("d1:x", &[("remote.x.annex-uuid", "d1"), ("remote.x.annex-proxy", "false")], false),
        ("d1:x", &[("remote.y.annex-uuid", "d1"), ("remote.y.annex-proxy", "true")], false),
        ("d2:x", &[("remote.x.annex-uuid", "d1"), ("remote.x.annex-proxy", "true")], false),
        ("", &[("remote.x.annex-uuid", "d1"), ("remote.x.annex-proxy", "true")], false),
        (
            "d1:x",
            &[("remote.x.annex-uuid", "d1"), ("remote.x.annex-proxy", "true"), ("remote.x.annex-ignore", "true")],
            true,
        ),
    ] {
        let log = format!("5s {gateway} {told}\n6s other d1:x\n");
        let (_dir, repository) = repository(
            config,
            &[("journal/remote.log", LOG), ("verified-remote.log", LOG), ("journal/proxy.log", &log)],
        );
        let proxies = proxied(&repository).expect("read");
        let uuid = Uuid::parse(b"d1").expect("a uuid");
        assert_eq!(proxies.get(&uuid).is_some(), proxied_, "{told} {config:?}");
        assert_eq!(proxies.iter().count(), usize::from(proxied_));
        assert_eq!(proxies.blocked_by(), None);
    }
}

#[test]
fn what_is_offered_is_what_updateproxy_of_git_annex_offered() {
    let (dir, repository) = repository(
        &[
            ("remote.d1.annex-uuid", "d1"),
            ("remote.d1.annex-proxy", "1"),
            ("remote.d1b.annex-uuid", "d1"),
            ("remote.d1b.annex-proxy", "true"),
            ("remote.tree.annex-uuid", "d5"),
            ("remote.tree.annex-proxy", "true"),
            ("remote.both.annex-uuid", "d6"),
            ("remote.both.annex-proxy", "true"),
            ("remote.off.annex-uuid", "d2"),
            ("remote.off.annex-proxy", "junk"),
            ("remote.u9.url", "ssh://h/x"),
            ("remote.u9.annex-proxy", "true"),
            ("remote.u8.url", "ssh://h/x"),
            ("remote.sp ace.url", "ssh://h/x"),
            ("remote.sp ace.annex-uuid", "f3"),
            ("remote.sp ace.annex-proxy", "true"),
            ("annex.cluster.myc", "ac033f93-51f0-8a24-837b-f45d6f2db388"),
            ("annex.cluster.bad", "11111111-0000-4000-8000-000000000001"),
            ("remote.AMS.url", "host:/x"),
            ("remote.AMS.annex-uuid", "a1"),
            (
                "remote.AMS.annex-cluster-gateway",
                "ac033f93-51f0-8a24-837b-f45d6f2db388 ac099999-51f0-8a24-837b-f45d6f2db388",
            ),
            ("remote.own.url", "/local"),
            ("remote.own.annex-uuid", "a2"),
            ("remote.own.annex-proxy", "true"),
        ],
        &[
            ("journal/remote.log", LOG),
            ("verified-remote.log", LOG),
            (
                "journal/proxy.log",
                "5s u-1 d7:gone d1:d1\n6s a1 d1:d1 n1:n1 n2:n2 ac033f93-51f0-8a24-837b-f45d6f2db388:myc\n6s a2 q:q\n",
            ),
            (
                "journal/cluster.log",
                "5s ac033f93-51f0-8a24-837b-f45d6f2db388 n1 d1\n5s ac099999-51f0-8a24-837b-f45d6f2db388 n2\n",
            ),
        ],
    );
    let found = offers(&repository).expect("read");
    let shown: Vec<String> =
        found.wanted.iter().map(|offer| format!("{}:{}", offer.uuid, offer.name.escape_ascii())).collect();
    assert_eq!(
        shown,
        ["a2:own", "ac033f93-51f0-8a24-837b-f45d6f2db388:myc", "d1:d1", "d1:d1b", "d6:both", "n1:AMS-n1"]
    );
    assert_eq!(
        found.refused,
        [Refused::Stranger(b"u9".to_vec()), Refused::Export(b"tree".to_vec()), Refused::Name(b"sp ace".to_vec())]
    );
    let changes: Vec<String> =
        found.changes().iter().map(|(begins, offer)| format!("{begins} {}", offer.name.escape_ascii())).collect();
    assert_eq!(changes, ["true own", "true myc", "true d1b", "true both", "false gone", "true AMS-n1"]);
    record_offers(&repository, &found).expect("recorded");
    assert!(offers(&repository).expect("read").are_recorded());
    assert_eq!(git(dir.path(), &["log", "--format=%s", "git-annex"]), "update");
}

/// Recorded: the cost that `git annex info` shows of each.
#[test]
fn remotes_cost_what_git_annex_takes_them_to_cost() {
    let log = "d1 encryption=none name=d1 type=directory timestamp=5s\nd2 encryption=shared name=d2 type=directory timestamp=5s\n\
               d3 encryption=none name=d3 type=S3 timestamp=5s\nd4 encryption=none name=d4 type=external externaltype=stream scheme=fs timestamp=5s\n";
    for (config, costs) in [
        (&[("remote.x.url", "../t")][..], 100.0),
        (&[("remote.x.url", "/a:b/t")], 100.0),
        (&[("remote.x.url", "file:///t")], 100.0),
        (&[("remote.x.url", "ssh://h/t")], 200.0),
        (&[("remote.x.url", "h:t")], 200.0),
        (&[("remote.x.url", "/t"), ("remote.x.annexUrl", "annex+http://h/git-annex/")], 200.0),
        (&[("remote.x.url", "h:t"), ("remote.x.annex-cost", "5.5")], 5.5),
        (&[("remote.x.url", "h:t"), ("remote.x.annex-cost", "dear")], 200.0),
        (&[("remote.x.annex-uuid", "d1")], 100.0),
        (&[("remote.x.annex-uuid", "d2")], 150.0),
        (&[("remote.x.annex-uuid", "d2"), ("remote.x.annex-cost", "-3")], 47.0),
        (&[("remote.x.annex-uuid", "d3")], 200.0),
        (&[("remote.x.annex-uuid", "d4")], 100.0),
    ] {
        let config = [&[("remote.x.annex-uuid", "u5"), ("remote.x.annex-verified", "verified")], config].concat();
        let (_dir, repository) = repository(&config, &[("verified-remote.log", log), ("journal/remote.log", log)]);
        let remotes = remotes_of(&repository).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((remotes.len(), remotes[0].cost), (1, costs), "{config:?}");
    }
}

/// Recorded: a cluster is served where proxy.log offers it and git config has it; cluster.log alone says who its nodes are.
#[test]
fn a_cluster_is_served_where_the_logs_and_git_config_agree() {
    let cluster = "ac033f93-51f0-8a24-837b-f45d6f2db388";
    let nodes = format!("5s {cluster} d1 d9\n");
    for (offered, config, nodes, served) in [
        (true, true, &*nodes, Some(vec!["d1", "d9"])),
        (true, true, "", Some(vec![])),
        (false, true, &nodes, None),
        (true, false, &nodes, None),
    ] {
        let log = format!("5s u-1 d1:x{}\n", if offered { format!(" {cluster}:c") } else { String::new() });
        let name = if config { "annex.cluster.c" } else { "annex.other.c" };
        let (_dir, repository) =
            repository(&[(name, cluster)], &[("journal/proxy.log", &log), ("journal/cluster.log", nodes)]);
        let proxies = proxied(&repository).expect("read");
        let found = proxies.clusters().next().map(|found| {
            assert_eq!((found.cluster.uuid.to_string(), &found.cluster.name[..]), (cluster.to_string(), &b"c"[..]));
            found.nodes.iter().map(Uuid::to_string).collect::<Vec<_>>()
        });
        assert_eq!(found, served.map(|nodes| nodes.into_iter().map(str::to_string).collect()));
        assert_eq!(proxies.uuids().count(), proxies.clusters().count());
    }
}

/// Served are nodes behind a gateway that proxy.log has at both, and that git config leads to by ssh or annex+http.
#[test]
fn nodes_behind_other_gateways_are_found_by_both_logs() {
    let cluster = "ac033f93-51f0-8a24-837b-f45d6f2db388";
    let nodes = format!("5s {cluster} d1 d9\n");
    let gateway = ("remote.AMS.annex-cluster-gateway", cluster);
    for (what, url, more, ours, behind, gateways) in [
        ("by ssh", "ssh://h/x", &[gateway][..], "d9:AMS-n", &["d9"][..], 1),
        ("by annex+http", "annex+http://h/", &[gateway], "d9:AMS-n", &["d9"], 1),
        ("by path", "/x", &[gateway], "d9:AMS-n", &[], 0),
        ("no gateway", "ssh://h/x", &[], "d9:AMS-n", &[], 0),
        ("ignored", "ssh://h/x", &[gateway, ("remote.AMS.annex-ignore", "true")], "d9:AMS-n", &[], 0),
        ("not told by us", "ssh://h/x", &[gateway], "d1:AMS-n", &[], 1),
        ("under another name", "ssh://h/x", &[gateway], "d9:NYC-n", &[], 1),
        ("no node", "ssh://h/x", &[gateway], "d8:AMS-o", &[], 1),
    ] {
        let log = format!("5s u-1 {ours} {cluster}:c\n5s u-2 d9:n d8:o {cluster}:c\n5s u-3 d9:x\n");
        let config = [("annex.cluster.c", cluster), ("remote.AMS.url", url), ("remote.AMS.annex-uuid", "u-2")];
        let (_dir, repository) =
            repository(&[&config, more].concat(), &[("journal/proxy.log", &log), ("journal/cluster.log", &nodes)]);
        let proxies = proxied(&repository).expect("read");
        let served = proxies.clusters().next().expect("it is served");
        assert!(served.behind.iter().map(Uuid::to_string).eq(behind.iter().map(|node| node.to_string())), "{what}");
        assert_eq!(served.gateways.len(), gateways, "{what}");
        let told: Vec<String> = served.told.iter().map(|(who, of)| format!("{who} {}", of.uuid)).collect();
        let all: &[&str] = if ours.starts_with("d8") { &["u-2 d9"] } else { &["u-1", "u-2 d9"] };
        assert_eq!(told.len(), all.len(), "{what}: {told:?}");
        assert_eq!(proxies.uuids().count(), 1 + behind.len(), "{what}");
    }
}
