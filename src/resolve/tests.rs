//! Remotes as git-annex 10.20261026 recorded them, and what becomes of each.

use super::*;
use crate::annex::remote::remotes_of;
use crate::annex::repository::Repository;
use crate::annex::repository::tests::{git, make};

const NOTHING: Environment = |_| None;

/// A repository with one remote `x`, uuid `d1`, of this configuration and git config, and these files below `annex/`.
fn remote(recorded: &str, config: &[(&str, &str)], files: &[(&str, &str)]) -> (tempfile::TempDir, Remote) {
    let dir = tempfile::tempdir().expect("a directory");
    make(dir.path(), &[]);
    git(dir.path(), &["config", "remote.x.annex-uuid", "d1"]);
    for (name, value) in config {
        git(dir.path(), &["config", &format!("remote.x.{name}"), value]);
    }
    let line = format!("d1 {recorded} timestamp=1s\n");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(".git/annex").join(name);
        std::fs::create_dir_all(path.parent().expect("a file")).expect("its directory");
        std::fs::write(path, text).expect("written");
    };
    write("journal/remote.log", &line);
    write("verified-remote.log", &line);
    for (name, text) in files {
        write(name, text);
    }
    let repository = Repository::open(dir.path()).unwrap_or_else(|e| panic!("{e}"));
    let remote = remotes_of(&repository).expect("read").pop().expect("it is there");
    (dir, remote)
}

fn stored(remote: &Remote, environment: Environment) -> StoreConfig {
    match destination(remote, environment).unwrap_or_else(|e| panic!("{e}")) {
        Destination::Store(store) => store,
        Destination::Git(place) => panic!("{place:?}"),
    }
}

fn shown(store: &StoreConfig) -> String {
    let options = store.options.iter().map(|(name, value)| format!("{name}={}", value.escape_ascii()));
    options.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_directory_is_where_git_config_says() {
    let (_dir, remote) = remote("encryption=none name=x type=directory", &[("annex-directory", "/media/x y")], &[]);
    let store = stored(&remote, NOTHING);
    assert_eq!((store.scheme.name, store.naming, store.writable), ("fs", Naming::Tree, true));
    assert_eq!(shown(&store), "directory=/media/x y");
    assert_eq!(store.label, "x (directory)");
    let key = Key::parse(b"WORM-s4--a_b__c").expect("a key");
    assert_eq!(store.naming.name(&key), b"ad1/82e/WORM-s4--a_b__c/WORM-s4--a_b__c");
}

/// The line that `git annex initremote type=S3` recorded.
const S3: &str = "bucket=b-1 datacenter=US encryption=none fileprefix=foo/ host=127.0.0.1 name=x partsize=8MiB port=18456 \
                  protocol=http requeststyle=path signature=v2 storageclass=STANDARD type=S3 x-amz-meta-color=red \
                  x-amz-meta-size=big";

#[test]
fn git_annex_s3_is_ours_with_the_same_options() {
    let (_dir, remote) = remote(S3, &[], &[("creds/d1", "id\nsecret\n")]);
    let store = stored(&remote, NOTHING);
    assert_eq!((store.scheme.name, store.naming), ("s3", Naming::Flat));
    let options = "bucket=b-1 datacenter=US fileprefix=foo/ host=127.0.0.1 partsize=8MiB port=18456 protocol=http \
                   requeststyle=path storageclass=STANDARD x-amz-meta=color=red&size=big";
    let plain: Vec<&str> = options.split(' ').filter(|word| !word.is_empty()).collect();
    let all = shown(&store);
    for option in &plain {
        assert!(all.split(' ').any(|word| word == *option), "{option} in {all}");
    }
    assert_eq!(all.split(' ').count(), plain.len() + 2, "and an id and a secret: {all}");
    assert_eq!(store.options.bytes(remotes::s3::SECRET), Some(&b"secret"[..]));
    remotes::registry::open("s3", &store.options, &remotes::Context::default()).expect("good options");
    assert!(!format!("{remote:?} {store:?}").contains("secret\""), "{store:?}");
    assert!(!format!("{:?}", destination(&remote, NOTHING)).contains("secret,"));
}

#[test]
fn git_annex_s3_takes_keys_of_the_environment_first_and_embedded_ones_last() {
    let (_dir, with_file) = remote(S3, &[], &[("creds/d1", "id\nsecret\n")]);
    let environment: Environment = |name| match name {
        "AWS_ACCESS_KEY_ID" => Some(b"fresh".to_vec()),
        "AWS_SECRET_ACCESS_KEY" => Some(b"new".to_vec()),
        "AWS_SESSION_TOKEN" => Some(b"token".to_vec()),
        _ => None,
    };
    let taken = |store: &StoreConfig| {
        [remotes::s3::KEY_ID, remotes::s3::TOKEN]
            .map(|name| store.options.bytes(name).unwrap_or_default().escape_ascii().to_string())
    };
    assert_eq!(taken(&stored(&with_file, environment)), ["fresh", "token"]);
    let (_dir, embedded) = remote(&format!("{S3} embedcreds=yes s3creds=aWQyCnNlY3JldAo="), &[], &[]);
    assert_eq!(taken(&stored(&embedded, NOTHING)), ["id2", ""]);
    let (_dir, anyone) = remote(&S3.replace("signature=v2", "signature=anonymous"), &[], &[("creds/d1", "id\ns\n")]);
    assert_eq!(taken(&stored(&anyone, environment)), ["", ""]);
}

#[test]
fn git_annex_s3_goes_by_http_where_it_does_not_say() {
    for (given, protocol) in [("port=80", "http"), ("port=443", "https"), ("", "http"), ("protocol=https", "https")] {
        let (_dir, remote) =
            remote(&format!("bucket=b-1 encryption=none type=S3 host=s3.amazonaws.com {given}"), &[], &[]);
        assert_eq!(stored(&remote, NOTHING).options.bytes("protocol"), Some(protocol.as_bytes()), "{given}");
    }
}

#[test]
fn git_annex_webdav_is_a_folder_of_a_server() {
    let (_dir, remote) = remote(
        "encryption=none name=x type=webdav url=https://box.example.com:8443/a%20b/annex",
        &[],
        &[("creds/d1", "user\npass word\n")],
    );
    let store = stored(&remote, NOTHING);
    assert_eq!((store.scheme.name, store.naming), ("webdav", Naming::Tree));
    assert_eq!(shown(&store), "endpoint=https://box.example.com:8443 password=pass word root=/a b/annex username=user");
    remotes::registry::open("webdav", &store.options, &remotes::Context::default()).expect("good options");
}

#[test]
fn our_own_remotes_are_settled_as_at_prepare() {
    let (_dir, remote) = remote(
        "bucket=b-1 encryption=none externaltype=stream host=127.0.0.1 name=x port=8333 protocol=http requeststyle=path \
         scheme=s3 type=external",
        &[("annex-readonly", "true")],
        &[("creds/d1-s3creds", "id\nsecret\n"), ("creds/d1", "other\nother\n")],
    );
    let store = stored(&remote, NOTHING);
    assert_eq!((store.scheme.name, store.writable), ("s3", false));
    assert_eq!(store.options.bytes(remotes::s3::SECRET), Some(&b"secret"[..]));
    assert_eq!(store.options.bytes("requeststyle"), Some(&b"path"[..]));
}

#[test]
fn our_webdav_takes_its_password_from_what_is_kept_or_embedded() {
    let recorded = "encryption=none endpoint=http://h:1 externaltype=stream root=/r scheme=webdav type=external";
    for (more, files) in
        [("", &[("creds/d1-password-creds", "user\npw\n")][..]), (" embedcreds=yes password-creds=dXNlcgpwdwo=", &[])]
    {
        let (_dir, remote) = remote(&format!("{recorded}{more}"), &[], files);
        assert_eq!(shown(&stored(&remote, NOTHING)), "endpoint=http://h:1 password=pw root=/r username=user");
    }
}

/// What somebody who may only push would like the server to open: places of the server itself, and hosts of their choice
/// that requests are to be signed for.
const WISHES: &[&str] = &[
    "type=external externaltype=stream scheme=fs directory=/etc",
    "type=external externaltype=stream scheme=fs directory=/etc exporttree=yes annexobjects=yes",
    "type=external externaltype=stream scheme=s3 bucket=b-1 host=evil.example",
    "type=external externaltype=stream scheme=s3 bucket=b-1 host=127.0.0.1 profile=default",
    "type=external externaltype=stream scheme=s3 bucket=b-1 host=evil.example signature=anonymous",
    "type=directory directory=/etc",
    "type=S3 bucket=b-1 host=evil.example s3creds=aWQyCnNlY3JldAo= embedcreds=yes",
    "type=S3 bucket=b-1 host=169.254.169.254 signature=anonymous",
    "type=webdav url=http://127.0.0.1:8080/",
    "type=webdav url=http://names.that.change.example/",
    "type=S3 sameas-uuid=d2 bucket=b-1 host=evil.example",
];

#[test]
fn what_nobody_verified_is_opened_nowhere() {
    let environment: Environment = |_| Some(b"leak".to_vec());
    let services = registry::schemes().map(|scheme| {
        format!(
            "type=external externaltype=stream scheme={} endpoint=http://127.0.0.1:1 root=/ bucket=b-1",
            scheme.name
        )
    });
    let wishes: Vec<String> = WISHES.iter().map(ToString::to_string).chain(services).collect();
    let files = [("verified-remote.log", ""), ("creds/d1", "id\nsecret\n"), ("creds/d1-s3creds", "id\nsecret\n")];
    // A directory is in git config because somebody here put it there; whose configuration that was for is not known.
    let place = ("annex-directory", "/etc");
    let configs = [
        &[place][..],
        &[place, ("annex-verified", "automatic")],
        &[place, ("annex-verified", "manual")],
        &[place, ("annex-verified", "verified")],
        &[place, ("annex-verified", "true")],
    ];
    for config in configs {
        let (dir, _) = remote("", config, &files);
        for wish in &wishes {
            let line = format!("d1 encryption=none name=x {wish} timestamp=1s\n");
            std::fs::write(dir.path().join(".git/annex/journal/remote.log"), line).expect("written");
            let repository = Repository::open(dir.path()).unwrap_or_else(|e| panic!("{e}"));
            let remote = remotes_of(&repository).expect("read").pop().expect("it is there");
            let refusal = destination(&remote, environment).expect_err(wish).to_string();
            assert!(refusal.contains("git annex verifyremote x"), "{config:?} {wish}: {refusal}");
        }
    }
}

#[test]
fn what_was_verified_stays_what_it_is_whatever_the_branch_says() {
    let verified = [
        ("type=external externaltype=stream scheme=fs directory=/media/x", "directory=/media/x"),
        ("type=directory", "directory=/media/y"),
        (
            "type=S3 bucket=b-1 host=ours.example signature=anonymous",
            "bucket=b-1 host=ours.example protocol=http signature=anonymous",
        ),
        ("type=webdav url=http://ours.example/r", "endpoint=http://ours.example root=/r"),
    ];
    for (line, place) in verified {
        let recorded = format!("d1 encryption=none name=x {line} timestamp=1s\n");
        let files = [("verified-remote.log", recorded.as_str())];
        let config = [("annex-directory", "/media/y"), ("annex-verified", "automatic")];
        let (dir, _) = remote("", &config, &files);
        for wish in WISHES {
            let line = format!("d1 encryption=none name=x {wish} timestamp=9s\n");
            std::fs::write(dir.path().join(".git/annex/journal/remote.log"), line).expect("written");
            let repository = Repository::open(dir.path()).unwrap_or_else(|e| panic!("{e}"));
            let remote = remotes_of(&repository).expect("read").pop().expect("it is there");
            let store = stored(&remote, NOTHING);
            assert_eq!((shown(&store).as_str(), store.tree.is_some()), (place, false), "{wish}");
        }
    }
}

#[test]
fn a_repository_that_came_with_the_branch_is_opened_once_somebody_looked_at_it() {
    // As recorded where `git annex init` autoenabled one of type=git.
    let recorded = "autoenable=true location=/srv/secret.git type=git";
    let url = ("url", "/srv/secret.git");
    for (mark, log, opened) in [
        (Some("automatic"), "", false),
        (Some("manual"), "", false),
        (Some("junk"), "", false),
        (Some("automatic"), "d1 location=/srv/secret.git type=git timestamp=1s\n", true),
        (Some("verified"), "", true),
        (None, "", true),
    ] {
        let mark = mark.map(|mark| ("annex-verified", mark));
        let config: Vec<_> = [url].into_iter().chain(mark).collect();
        let (_dir, remote) = remote(recorded, &config, &[("verified-remote.log", log)]);
        match destination(&remote, NOTHING) {
            Ok(Destination::Git(GitPlace::Path(path))) if opened => assert_eq!(path, std::path::Path::new(url.1)),
            Err(refusal) if !opened => assert!(refusal.to_string().contains("git annex verifyremote x"), "{refusal}"),
            other => panic!("{mark:?} {log:?}: {other:?}"),
        }
    }
}

#[test]
fn what_is_refused_is_named_with_the_way_out() {
    let verified = ("annex-verified", "verified");
    let place = ("annex-directory", "/media/x");
    for (recorded, config, files, says) in [
        ("encryption=shared cipher=x type=directory", &[place][..], &[][..], "encrypted (encryption=shared)"),
        ("encryption=none cipher=x type=directory", &[place], &[], "encrypted"),
        ("encryption=pubkey type=S3 bucket=b-1", &[], &[], "move its content"),
        ("type=directory", &[place], &[], "encryption=none"),
        ("encryption=none chunk=1MiB type=directory", &[place], &[], "chunked (chunk=1MiB)"),
        ("encryption=none chunksize=1MiB type=directory", &[place], &[], "chunked (chunksize=1MiB)"),
        ("encryption=none exporttree=yes type=directory", &[place], &[], "enableremote x annexobjects=yes"),
        ("encryption=none exporttree=maybe type=directory", &[place], &[], "neither yes nor no"),
        (
            "encryption=none exporttree=yes annexobjects=yes importtree=yes type=directory",
            &[place],
            &[],
            "importtree=yes",
        ),
        ("encryption=none importtree=yes type=directory", &[place], &[], "importtree=yes"),
        ("encryption=none type=rsync", &[], &[], "of type rsync"),
        ("encryption=none type=external externaltype=foo", &[], &[], "git-annex-remote-foo"),
        ("encryption=none type=external externaltype=stream", &[], &[], "option scheme= is missing"),
        ("encryption=none type=external externaltype=stream scheme=nfs", &[], &[], "scheme="),
        ("encryption=none type=directory", &[], &[], "remote.x.annex-directory"),
        ("encryption=none type=directory", &[("annex-directory", "rel")], &[], "\"rel\""),
        ("encryption=none type=webdav url=ftp://h/x", &[], &[], "url="),
        ("encryption=none type=webdav url=http://u:geheim@h/x", &[], &[], "url="),
        ("encryption=none type=webdav url=http://h/%zz", &[], &[], "url="),
        ("encryption=none type=S3 bucket=b-1 x-archive-meta-x=y", &[], &[], "Internet Archive"),
        ("encryption=none type=S3 bucket=b-1 x-amz-meta-x=a&38;b", &[], &[], "x-amz-meta-x="),
        ("encryption=none type=directory", &[place, verified], &[("verified-remote.log", "")], "verifyremote x"),
        ("encryption=none type=directory", &[place], &[("verified-remote.log", "")], "git annex verifyremote x"),
        (
            "encryption=none type=directory",
            &[place, ("annex-verified", "manual")],
            &[("verified-remote.log", "")],
            "verify",
        ),
    ] {
        let (_dir, remote) = remote(recorded, config, files);
        let refusal = destination(&remote, NOTHING).expect_err(recorded).to_string();
        assert!(refusal.contains(says) && refusal.starts_with("remote x: "), "{recorded}: {refusal}");
        assert!(!refusal.contains('\n') && !refusal.contains("geheim"), "{refusal}");
    }
}

#[test]
fn chunk_0_is_no_chunk() {
    let (_dir, remote) =
        remote("chunk=0 encryption=none exporttree=no type=directory", &[("annex-directory", "/m")], &[]);
    assert_eq!((stored(&remote, NOTHING).scheme.name, stored(&remote, NOTHING).tree), ("fs", None));
}

#[test]
fn a_tree_is_served_where_it_takes_other_content_too() {
    let key = Key::parse(b"WORM-s4--a").expect("a key");
    for (more, tracking) in [(&[("annex-tracking-branch", "main:pub")][..], Some("main:pub")), (&[], None)] {
        let config = [&[("annex-directory", "/m")], more].concat();
        let (_dir, remote) = remote("encryption=none exporttree=yes annexobjects=yes type=directory", &config, &[]);
        let store = stored(&remote, NOTHING);
        let exports = store.tree.as_ref().expect("a tree");
        assert_eq!(exports.tracking.as_ref().map(ToString::to_string).as_deref(), tracking);
        assert!(store.name(&key).starts_with(b".git/annex/objects/"));
    }
}

#[test]
fn git_remotes_are_paths_or_urls() {
    for (url, more, place) in [
        ("/srv/x", &[][..], Ok("path /srv/x")),
        ("../n1", &[], Ok("path BASE/../n1")),
        ("file:///srv/x", &[], Ok("path /srv/x")),
        ("file://localhost/srv/x", &[], Ok("path /srv/x")),
        ("/srv/a:b", &[], Ok("path /srv/a:b")),
        ("host:x", &[("annex-shell", "sh"), ("annex-ssh-options", "-p 22")], Ok("url host:x sh -p,22")),
        ("ssh://u@h/x", &[], Ok("url ssh://u@h/x")),
        ("http://h/x", &[("annexurl", "annex+http://h/")], Ok("url annex+http://h/")),
        ("annex+https://h/", &[], Ok("url annex+https://h/")),
        ("https://h/x", &[], Err("annexurl")),
        ("git://h/x", &[], Err("git")),
        ("gcrypt::host:x", &[], Err("gcrypt")),
    ] {
        let (dir, remote) = remote("", &[&[("url", url)], more].concat(), &[]);
        let base = dir.path().canonicalize().expect("it is there").display().to_string();
        let found = destination(&remote, NOTHING).map(|place| match place {
            Destination::Git(GitPlace::Path(path)) => format!("path {}", path.display()).replace(&base, "BASE"),
            Destination::Git(GitPlace::Url { url, shell, ssh_options }) => {
                let words = [url, shell.unwrap_or_default(), ssh_options.join(&b","[..])];
                format!("url {}", words.map(|word| String::from_utf8_lossy(&word).into_owned()).join(" "))
                    .trim_end()
                    .to_string()
            }
            Destination::Store(store) => panic!("{store:?}"),
        });
        match (found, place) {
            (Ok(found), Ok(place)) => assert_eq!(found, place),
            (Err(refusal), Err(says)) => assert!(refusal.to_string().contains(says), "{refusal}"),
            (found, _) => panic!("{url}: {found:?}"),
        }
    }
}
