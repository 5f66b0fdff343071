//! What we make of the remotes that git-annex's own commands set up: where their content is, and whether they are proxied.

use git_annex_remote_stream::annex::remote::{RemoteKind, Trust, proxied, remotes_of, write_block};
use git_annex_remote_stream::annex::repository::Repository;
use git_annex_remote_stream::name::{Key, Uuid};
use git_annex_remote_stream::resolve::{Destination, StoreConfig, destination};
use remotes::{Context, ObjectName, registry, sys};

use testbed::annex::{LIMIT, Repo};
use testbed::place::{Place, Whose};
use testbed::product;
use testbed::run::run;
use testbed::servers::peers;

const CLIENT: &str = "00000000-0000-4000-8000-00000000c001";

fn open(repo: &Repo) -> Repository {
    Repository::open(&repo.dir()).unwrap_or_else(|e| panic!("{e}"))
}

fn store(repo: &Repo, name: &str) -> StoreConfig {
    let all = remotes_of(&open(repo)).expect("read");
    let remote = all.iter().find(|remote| remote.name == name.as_bytes()).expect("it is there");
    match destination(remote, |_| None).unwrap_or_else(|e| panic!("{e}")) {
        Destination::Store(store) => store,
        Destination::Git(place) => panic!("{place:?}"),
    }
}

/// Length of the key's object in the store; none where it is not there.
fn len(store: &StoreConfig, key: &str) -> Option<u64> {
    let object = ObjectName::new(store.naming.name(&Key::parse(key.as_bytes()).expect("a key"))).expect("a name");
    let looked = sys::run(false, async {
        let opened = registry::open(store.scheme.name, &store.options, &Context::default())?;
        opened.stat(&object).await
    });
    looked.expect("a runtime").unwrap_or_else(|e| panic!("{e}")).map(|stat| stat.len)
}

#[test]
fn content_is_found_where_git_annex_put_it_for_each_type_and_way_of_keeping_credentials() {
    let repo = Repo::new();
    let key = repo.add("file", 1, 1234);
    let absent = key.replace("SHA256E-s1234", "SHA256E-s1235");
    for (nth, (place, whose)) in [
        (Place::fs(), Whose::Theirs),
        (Place::fs(), Whose::Ours),
        (Place::weed(), Whose::Theirs),
        (Place::weed(), Whose::Ours),
        (Place::webdav(), Whose::Theirs),
        (Place::webdav(), Whose::Ours),
    ]
    .into_iter()
    .enumerate()
    {
        for (embed, more) in [("", &[][..]), ("e", &["embedcreds=yes"])] {
            if place.secret().is_none() && !embed.is_empty() {
                continue;
            }
            let name = format!("r{nth}{embed}");
            let mut more: Vec<&str> = more.to_vec();
            let prefix = format!("fileprefix=in/{name}/");
            if matches!(place, Place::S3(..)) {
                more.push(&prefix);
            }
            repo.initremote(&name, &place, whose, &more).ok();
            repo.annex(&["copy", "--quiet", "--to", &name]).ok();
            if !embed.is_empty() {
                std::fs::remove_dir_all(repo.dir().join(".git/annex/creds")).expect("only what is embedded stays");
            }
            let found = store(&repo, &name);
            assert!(found.writable, "{name}");
            assert_eq!(len(&found, &key), Some(1234), "{name} {whose:?} {}", found.label);
            assert_eq!(len(&found, &absent), None, "{name}");
            if let Some(secret) = place.secret() {
                assert!(!format!("{found:?}").contains(secret), "{name}");
            }
        }
    }
}

/// Whether git-annex's own git-annex-shell serves `uuid`, and whether we would.
fn served(repo: &Repo, uuid: &str) -> (bool, bool) {
    let mut command = repo.command(&peers().join("git-annex-shell"));
    let directory = repo.dir().display().to_string();
    let theirs = run(command.args(["p2pstdio", &directory, CLIENT, "--uuid", uuid]), LIMIT);
    let ours = proxied(&open(repo)).expect("read");
    (theirs.stdout.contains("AUTH-SUCCESS"), ours.get(&Uuid::parse(uuid.as_bytes()).expect("a uuid")).is_some())
}

#[test]
fn we_proxy_for_whom_git_annex_shell_does() {
    let repo = Repo::new();
    let place = Place::fs();
    repo.initremote("d1", &place, Whose::Theirs, &[]).ok();
    let uuid = repo.git(&["config", "remote.d1.annex-uuid"]).ok().stdout.trim().to_string();
    let config = |words: &[&str]| repo.git(&[&["config"], words].concat()).ok();
    let update = || repo.annex(&["updateproxy"]).ok();
    assert_eq!(served(&repo, &uuid), (false, false), "nothing said");
    config(&["remote.d1.annex-proxy", "true"]);
    assert_eq!(served(&repo, &uuid), (false, false), "not recorded");
    update();
    assert_eq!(served(&repo, &uuid), (true, true), "both");
    config(&["remote.d1.annex-ignore", "true"]);
    assert_eq!(served(&repo, &uuid), (true, true), "ignored");
    config(&["remote.d1.annex-proxy", "false"]);
    assert_eq!(served(&repo, &uuid), (false, false), "withdrawn, still recorded");
    config(&["remote.d1.annex-cluster-node", "myc"]);
    assert_eq!(served(&repo, &uuid), (false, false), "a node of a cluster that is not known");
    config(&["annex.cluster.myc", "ac033f93-51f0-8a24-837b-f45d6f2db388"]);
    assert_eq!(served(&repo, &uuid), (true, true), "a node of a cluster");
    config(&["--rename-section", "remote.d1", "remote.other"]);
    assert_eq!(served(&repo, &uuid), (false, false), "recorded under another name");
    update();
    assert_eq!(served(&repo, &uuid), (true, true), "recorded anew");
    config(&["--remove-section", "remote.other"]);
    assert_eq!(served(&repo, &uuid), (false, false), "gone");
}

/// What git-annex's gateway answers to CHECKPRESENT and PUT, and what we think of the remote. It reads from what was enabled
/// by itself, and we do not.
#[test]
fn what_nobody_verified_is_used_as_far_as_git_annex_uses_it() {
    let repo = Repo::new();
    let place = Place::fs();
    let key = repo.add("file", 1, 7);
    repo.initremote("d1", &place, Whose::Theirs, &[]).ok();
    repo.initremote("d2", &place, Whose::Theirs, &[]).ok();
    for name in ["d1", "d2"] {
        repo.git(&["config", &format!("remote.{name}.annex-proxy"), "true"]).ok();
    }
    repo.annex(&["updateproxy"]).ok();
    let uuid = |name: &str| repo.git(&["config", &format!("remote.{name}.annex-uuid")]).ok().stdout.trim().to_string();
    let asked = |shell: &str, name: &str, request: &str| {
        let mut command = repo.command(&std::path::PathBuf::from("sh"));
        let script = "printf 'VERSION 4\\n%s\\n' \"$2\" | $0 p2pstdio \"$1\" \"$3\" --uuid \"$4\"";
        let directory = repo.dir().display().to_string();
        let done = run(command.args(["-c", script, shell, &directory, request, CLIENT, &uuid(name)]), LIMIT);
        done.stdout.lines().nth(2).unwrap_or(&done.stderr).to_string()
    };
    let shell = peers().join("git-annex-shell").display().to_string();
    let says = |name: &str, request: &str| asked(&shell, name, request).starts_with("ERROR");
    let ours = format!("{} shell", product().display());
    let record = repo.dir().join(".git/annex/verified-remote.log");
    let whole = std::fs::read_to_string(&record).expect("recorded");
    let without: String = whole.split_inclusive('\n').filter(|line| !line.starts_with(&uuid("d1"))).collect();
    for (mark, log, trust) in [
        ("manual", &whole, Trust::Verified),
        ("automatic", &without, Trust::Automatic),
        ("manual", &without, Trust::Manual),
        ("junk", &without, Trust::Unverified),
    ] {
        std::fs::write(&record, log).expect("written");
        repo.git(&["config", "remote.d1.annex-verified", mark]).ok();
        let all = remotes_of(&open(&repo)).expect("read");
        let d1 = all.iter().find(|remote| remote.name == b"d1").expect("it is there");
        let RemoteKind::Special(special) = &d1.kind else { panic!("{d1:?}") };
        assert_eq!(special.trust, trust, "{mark}");
        let theirs = trust.may_read() || trust == Trust::Automatic;
        assert_eq!(says("d1", &format!("CHECKPRESENT {key}")), !theirs, "{mark}");
        for request in [format!("CHECKPRESENT {key}"), format!("GET 0  {key}"), format!("PUT  {key}")] {
            let answer = asked(&ours, "d1", &request);
            // The session is refused before it begins.
            let refused = answer.contains("verifyremote d1");
            assert_eq!(refused, !trust.may_read(), "{mark} {request}: {answer}");
        }
        assert_eq!(says("d2", &format!("REMOVE {key}")), write_block(&all).is_some(), "{mark}");
        assert_eq!(says("d1", &format!("REMOVE {key}")), write_block(&all).is_some() || !trust.may_read(), "{mark}");
    }
}
