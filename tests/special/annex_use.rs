//! Everyday use through the real git-annex, on every kind of place.

use std::os::unix::ffi::OsStrExt;

use testbed::annex::{LIMIT, Repo, content};
use testbed::place::{Place, Whose, subject};
use testbed::run::run;
use testbed::servers::{Kind, Server};

/// A new repository with a remote `x` on `place`.
fn with_remote(place: &Place, options: &[&str]) -> Repo {
    let repo = Repo::new();
    repo.initremote("x", place, subject(), options).ok();
    repo
}

/// Store, drop, get, check and drop there, many files at once.
fn round_trip(place: Place, options: &[&str]) {
    let repo = with_remote(&place, options);
    let files: Vec<(String, u64, usize)> =
        (0..12).map(|n| (format!("file{n}"), n, 1000 + n as usize * 200_000)).collect();
    let keys: Vec<String> = files.iter().map(|(name, seed, len)| repo.add(name, *seed, *len)).collect();
    repo.annex(&["copy", "-J4", "--to", "x", "--quiet"]).ok();
    repo.annex(&["fsck", "--from", "x", "-J2", "--quiet"]).ok();
    repo.annex(&["drop", "-J4", "--quiet"]).ok();
    assert!(repo.read("file3").is_none(), "dropped");
    repo.annex(&["get", "-J4", "--quiet"]).ok();
    for (name, seed, len) in &files {
        assert!(repo.read(name).as_deref() == Some(content(*seed, *len).as_slice()), "{name} came back different");
    }
    let whereis = repo.annex(&["whereis", "file3"]).ok();
    assert!(whereis.stdout.contains("[x]"), "{}", whereis.stdout);
    repo.annex(&["drop", "--from", "x", "-J4", "--quiet"]).ok();
    let left = place.names();
    assert!(!left.iter().any(|name| keys.iter().any(|key| name.contains(key.as_str()))), "left behind: {left:?}");
    repo.annex(&["fsck", "--from", "x", "--quiet"]).ok();
}

#[test]
fn fs_round_trip() {
    round_trip(Place::fs(), &[]);
}

#[test]
fn seaweedfs_round_trip() {
    round_trip(Place::weed(), &["fileprefix=a/b-"]);
}

#[test]
fn rclone_s3_round_trip() {
    round_trip(Place::rclone_s3(), &[]);
}

#[test]
fn webdav_round_trip() {
    round_trip(Place::webdav(), &[]);
}

#[test]
fn chunks_round_trip() {
    round_trip(Place::weed(), &["chunk=1MiB"]);
}

#[test]
fn shared_encryption_round_trip_or_a_clear_word_about_gpg() {
    let gpg = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join("gpg").exists());
    if gpg {
        round_trip(Place::fs(), &["encryption=shared"]);
    } else {
        // git-annex itself runs gpg for this, so without one there is nothing of ours to see.
        println!("gpg is not installed: only git-annex's own refusal is checked");
        let refused = Repo::new().initremote("x", &Place::fs(), subject(), &["encryption=shared"]).failed();
        assert!(refused.all().contains("gpg"), "{}", refused.all());
    }
}

#[test]
fn odd_names_and_keys_in_any_encoding() {
    let names: [&[u8]; 6] =
        [b"a b", b"-dash", b"per%cent&amp;", "\u{e4}\u{2713}.t\u{e4}r".as_bytes(), b"lat\xe4in", b"q'\"`$(x)"];
    for place in [Place::fs(), Place::weed()] {
        let repo = with_remote(&place, &[]);
        for (n, name) in names.iter().enumerate() {
            // WORM keys carry the file name.
            std::fs::write(repo.dir().join(std::ffi::OsStr::from_bytes(name)), content(n as u64, 50)).expect("a file");
        }
        repo.annex(&["add", "--quiet", "--backend=WORM", "."]).ok();
        repo.annex(&["copy", "--to", "x", "--quiet"]).ok();
        repo.annex(&["drop", "--quiet"]).ok();
        repo.annex(&["fsck", "--from", "x", "--quiet"]).ok();
        // WORM keys hold no digest, and git-annex wants to be told that this is meant.
        repo.annex(&["get", "--quiet", "-c", "annex.security.allow-unverified-downloads=ACKTHPPT"]).ok();
        for (n, name) in names.iter().enumerate() {
            let back = std::fs::read(repo.dir().join(std::ffi::OsStr::from_bytes(name))).expect("it is back");
            assert_eq!(back, content(n as u64, 50), "{}", name.escape_ascii());
        }
    }
}

#[test]
fn info_tells_where_it_stores() {
    let place = Place::weed();
    let repo = with_remote(&place, &[]);
    let info = repo.annex(&["info", "x"]).ok();
    let Place::S3(_, bucket, _) = &place else { unreachable!("it is a bucket") };
    assert!(info.stdout.contains(bucket.as_str()), "{}", info.stdout);
    assert!(place.secret().is_none_or(|secret| !info.all().contains(secret)), "the secret is in `info`");
}

#[test]
fn debug_shows_our_lines_without_secrets() {
    let place = Place::weed();
    let repo = with_remote(&place, &[]);
    repo.add("file", 1, 1000);
    let debug = repo.annex(&["copy", "--to", "x", "--debug"]).ok();
    if subject() == Whose::Ours {
        assert!(debug.all().lines().any(|line| line.contains("--> ") && line.contains("DEBUG ")), "{}", debug.all());
    }
    // git-annex prints the CREDS line it sends, with the secret; what it prints as coming from us must not hold it.
    let secret = place.secret().expect("S3 has one");
    let told = debug.all().lines().any(|line| line.contains("--> ") && line.contains(secret));
    assert!(!told, "the secret is in what we said");
}

#[test]
fn async_is_used_when_offered_and_only_then() {
    if subject() == Whose::Theirs {
        return;
    }
    for (switch, expected) in [("yes", true), ("no", false)] {
        let place = Place::fs();
        let mut repo = with_remote(&place, &[]);
        repo.set("STREAM_ASYNC", switch);
        repo.add("file", 1, 1000);
        let debug = repo.annex(&["copy", "--to", "x", "--debug"]).ok().all();
        let replies = debug.lines().filter(|line| line.contains("--> EXTENSIONS"));
        let accepted: Vec<bool> = replies.map(|line| line.contains("ASYNC")).collect();
        assert!(
            !accepted.is_empty() && accepted.iter().all(|&it| it == expected),
            "STREAM_ASYNC={switch}: {accepted:?}"
        );
    }
}

#[test]
fn a_misspelt_option_is_refused() {
    let place = Place::fs();
    let refused = Repo::new().initremote("x", &place, subject(), &["fileprefxi=a"]).failed();
    assert!(refused.all().contains("fileprefxi"), "{}", refused.all());
}

#[test]
fn secrets_stay_out_of_the_git_annex_branch() {
    for place in [Place::weed(), Place::webdav()] {
        let repo = with_remote(&place, &[]);
        repo.annex(&["sync", "--quiet", "--no-content"]).all();
        let secret = place.secret().expect("servers have one");
        let log = repo.git(&["log", "-p", "--all"]).ok();
        assert!(log.stdout.contains("remote.log"), "the branch was looked at");
        assert!(!log.stdout.contains(secret), "the secret is in the git-annex branch");
        let config = repo.git(&["config", "--list"]).ok();
        assert!(!config.stdout.contains(secret), "the secret is in git's config");
        // It is kept for later commands, though.
        repo.add("file", 5, 100);
        repo.annex(&["copy", "--to", "x", "--quiet"]).ok();
    }
}

#[test]
fn another_clone_enables_the_remote_and_gets() {
    let place = Place::weed();
    let repo = with_remote(&place, &[]);
    repo.add("file", 6, 300_000);
    repo.annex(&["copy", "--to", "x", "--quiet"]).ok();
    repo.git(&["commit", "--quiet", "-m", "a file"]).ok();
    let clone = Repo::clone_of(&repo);
    let shown = clone.enableremote("x", &place, &[]).ok().stdout;
    clone.verify("x", &shown);
    clone.annex(&["get", "--from", "x", "--quiet", "file"]).ok();
    assert!(clone.read("file").as_deref() == Some(content(6, 300_000).as_slice()));
}

#[test]
fn damage_on_the_store_is_found_by_fsck() {
    let place = Place::fs();
    let repo = with_remote(&place, &[]);
    let key = repo.add("file", 7, 100_000);
    repo.annex(&["copy", "--to", "x", "--quiet"]).ok();
    let name = place.names().into_iter().find(|name| name.ends_with(&key)).expect("it is stored");
    let path = place.path().join(name);
    let parent = path.parent().expect("it is in a directory");
    for it in [parent, &path] {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(it, std::fs::Permissions::from_mode(0o755)).expect("we own it");
    }
    let mut bytes = std::fs::read(&path).expect("it is readable");
    bytes[50_000] ^= 1;
    std::fs::write(&path, bytes).expect("it is writable now");
    repo.annex(&["fsck", "--from", "x", "--quiet"]).failed();
}

#[test]
fn a_server_that_is_gone_is_not_an_absent_file() {
    // Leaked so that the place may refer to it; stopping it is by hand below.
    let server: &'static Server = Box::leak(Box::new(Server::start(Kind::Weed)));
    let place = Place::S3(server, "gone".to_string(), server.port);
    let repo = with_remote(&place, &[]);
    repo.add("file", 8, 1000);
    repo.annex(&["copy", "--to", "x", "--quiet"]).ok();
    server.stop();
    repo.annex(&["drop", "--quiet"]).failed();
    repo.annex(&["fsck", "--from", "x", "--fast", "--quiet"]).failed();
    let whereis = repo.annex(&["whereis", "file"]).ok();
    assert!(whereis.stdout.contains("[x]"), "the location log was changed: {}", whereis.stdout);
    assert!(repo.read("file").is_some(), "the only reachable copy is still here");
}

#[test]
fn wrong_credentials_are_told_without_the_secret() {
    let place = Place::weed();
    let repo = Repo::new();
    let mut command = repo.annex_command(&["initremote", "x", "encryption=none"]);
    command.args(place.options(subject())).env("AWS_ACCESS_KEY_ID", "stream");
    command.env("AWS_SECRET_ACCESS_KEY", "notTheSecretAtAll");
    let refused = run(&mut command, LIMIT).failed();
    assert!(!refused.all().contains("notTheSecretAtAll"), "{}", refused.all());
}
