//! Trees in a bucket that keeps old versions, behind a gateway: beside git-annex's own S3 type, which reads a key from such a
//! bucket by the versions that are recorded of it, and by nothing else.

use std::path::Path;
use std::process::Stdio;

use git_annex_remote_stream::annex::branch::Edit;
use git_annex_remote_stream::annex::log::{LogHashing, meta, remote_meta_file};
use git_annex_remote_stream::annex::repository::Repository;
use git_annex_remote_stream::name::{Key, Uuid};
use testbed::annex::{LIMIT, Repo};
use testbed::gateway::Gateway;
use testbed::place::{Place, Whose};
use testbed::product;
use testbed::proxy::{Behind, NAME, Proxy};
use testbed::run::{Done, run};
use testbed::way::{Outcome, Way};
use testbed::wire::key_of;

/// A repository that exports its branch to a bucket with versions, and its gateway.
struct Lab {
    proxy: Proxy,
    server: Gateway,
    uuid: String,
}

impl Lab {
    fn new(whose: Whose) -> Lab {
        let versions = if whose == Whose::Theirs { "versioning=yes" } else { "versions=yes" };
        let more = ["exporttree=yes", "annexobjects=yes", "fileprefix=pre/", versions];
        let proxy = Proxy::with(Behind::Special(Place::weed(), whose), &more);
        proxy.repo.git(&["branch", "--move", "main"]).ok();
        proxy.repo.git(&["config", &format!("remote.{NAME}.annex-tracking-branch"), "main"]).ok();
        let server = Gateway::serve(&proxy.repo, &["--wideopen", "--quiet"]);
        let uuid = proxy.uuid();
        Lab { proxy, server, uuid }
    }

    fn repo(&self) -> &Repo {
        &self.proxy.repo
    }

    fn place(&self) -> &Place {
        match &self.proxy.behind {
            Behind::Special(place, _) => place,
            _ => panic!("a special remote"),
        }
    }

    fn way(&self) -> Way<'_> {
        Way::Http(&self.server)
    }

    fn commit(&self, script: &str) {
        let script = format!("set -e\n{script}\ngit annex add -q .\ngit commit -qm x");
        run(self.repo().command(Path::new("sh")).arg("-c").arg(&script), LIMIT).ok();
    }

    #[track_caller]
    fn post_receive(&self) -> Done {
        let mut command = self.repo().command(product());
        run(command.arg("post-receive").stdin(Stdio::null()), LIMIT).ok()
    }

    /// What is recorded of the versions of a key.
    fn versions(&self, key: &str) -> Vec<String> {
        self.repo().annex(&["merge", "--quiet"]).ok();
        let format = "--format=${hashdirlower}${key}.log.rmet";
        let file = self.repo().annex(&["examinekey", format, key]).ok().stdout;
        let log = self.repo().git(&["show", &format!("git-annex:{}", file.trim())]).stdout;
        log.lines().filter_map(|line| Some(line.split_once(&format!("{}:V +", self.uuid))?.1.to_string())).collect()
    }

    /// Removes whatever the bucket shows of a key, past all.
    fn hide(&self, key: &str) {
        for name in self.place().names().iter().filter(|name| name.contains(key)) {
            self.place().delete(name);
        }
        assert!(!self.place().names().iter().any(|name| name.contains(key)));
    }

    #[track_caller]
    fn is_had(&self, content: &[u8]) {
        let key = &*key_of(content);
        assert_eq!(self.way().check(&self.uuid, key), Outcome::Yes, "{key}");
        assert_eq!(self.way().get(&self.uuid, key), Outcome::Content(content.to_vec()), "{key}");
    }

    /// The real git-annex has it from the bucket, without the gateway.
    #[track_caller]
    fn is_had_by_git_annex(&self, content: &[u8]) {
        let key = &*key_of(content);
        self.repo().annex(&["checkpresentkey", key, NAME]).ok();
        self.repo().annex(&["dropkey", "--quiet", "--force", key]).ok();
        self.repo().annex(&["get", "--quiet", "--from", NAME, "--key", key]).ok();
        self.repo().annex(&["dropkey", "--quiet", "--force", key]).ok();
    }

    #[track_caller]
    fn is_refused(&self, key: &str, why: &str) {
        match self.way().remove(&self.uuid, key) {
            Outcome::Failed(words) if words.contains(why) => {}
            other => panic!("removal of {key}: {other:?}, not: {why}"),
        }
    }
}

fn old_content(whose: Whose) {
    let lab = Lab::new(whose);
    lab.repo().git(&["config", "annex.backend", "SHA256"]).ok();
    lab.commit("echo one>a; echo two>b; cp a twin; mkdir d; echo three>'d/sp ace'");
    lab.post_receive();
    let (one, two, three) = (&b"one\n"[..], &b"two\n"[..], &b"three\n"[..]);
    for content in [one, two, three] {
        assert_eq!(lab.versions(&key_of(content)).len(), 1);
        lab.is_had(content);
        lab.is_had_by_git_annex(content);
    }
    // Edited, renamed, gone.
    lab.commit("rm -f a; echo other>a; git mv b b2; git rm -q twin 'd/sp ace'");
    lab.post_receive();
    assert_eq!(lab.versions(&key_of(two)).len(), 1, "a new name is no new version, as with git-annex");
    for content in [one, two, three, b"other\n"] {
        lab.is_had(content);
        lab.is_had_by_git_annex(content);
    }
    // Nothing but old versions is left.
    lab.hide(&key_of(one));
    lab.is_had(one);
    if whose == Whose::Theirs {
        // It asks an external remote for names alone.
        lab.is_had_by_git_annex(one);
    }
    lab.is_refused(&key_of(two), "This key is part of the exported tree");
    lab.is_refused(&key_of(one), "the versioning preserves the content");
    let never = key_of(b"never");
    lab.is_refused(&never, "Remote is configured to use versioning, but no S3 version ID is recorded for this key");
    assert_eq!(lab.way().check(&lab.uuid, &never), Outcome::No);
    assert_eq!(lab.way().get(&lab.uuid, &never), Outcome::No);
    // It comes back into the tree although nobody else has it.
    lab.commit("git checkout -q HEAD~1 -- twin; cp -P twin twin2");
    lab.post_receive();
    let files = lab.place().files();
    let names: Vec<_> = files.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    for name in ["pre/twin", "pre/twin2"] {
        assert_eq!(files.get(name.as_bytes()).map(Vec::as_slice), Some(one), "{name} of {names:?}");
    }
    lab.is_had(one);
    lab.server.stop();
}

#[test]
fn content_that_was_replaced_is_had_from_git_annexs_own_type() {
    old_content(Whose::Theirs);
}

#[test]
fn content_that_was_replaced_is_had_from_ours() {
    old_content(Whose::Ours);
}

#[test]
fn git_annex_and_we_export_in_turns_and_each_has_what_the_other_replaced() {
    let lab = Lab::new(Whose::Theirs);
    lab.repo().git(&["config", "annex.backend", "SHA256"]).ok();
    let contents: Vec<String> = (0..6).map(|n| format!("content {n}\n")).collect();
    for (n, content) in contents.iter().enumerate() {
        lab.commit(&format!("rm -f a; printf '%s\n' '{}' >a; cp a twin{n}; git annex merge -q", content.trim()));
        if n % 2 == 0 {
            lab.repo().annex(&["export", "--quiet", "main", "--to", NAME]).ok();
        } else {
            lab.post_receive();
        }
    }
    let said = lab.repo().annex(&["export", "main", "--to", NAME]).ok().stdout;
    assert!(!said.contains("export "), "nothing is left to do: {said}");
    // Git-annex removes what is outside the tree, and what it was is there all the same.
    lab.commit("git rm -rq a twin*");
    lab.repo().annex(&["export", "--quiet", "main", "--to", NAME]).ok();
    for content in &contents {
        lab.repo().annex(&["drop", "--quiet", "--from", NAME, "--key", &key_of(content.as_bytes())]).ok();
    }
    let left = lab.place().names();
    assert!(left.iter().all(|name| name.ends_with("annex-uuid")), "{left:?}");
    for content in &contents {
        lab.is_had(content.as_bytes());
        lab.is_had_by_git_annex(content.as_bytes());
    }
    // What is stored by key is had by git-annex too, and moves into the tree as one version.
    let late = b"late\n";
    assert_eq!(lab.way().put(&lab.uuid, &key_of(late), late), Outcome::Yes);
    assert_eq!(lab.versions(&key_of(late)).len(), 1);
    lab.is_had_by_git_annex(late);
    lab.commit("echo late>late");
    lab.post_receive();
    lab.is_had(late);
    lab.is_had_by_git_annex(late);
    lab.repo().annex(&["fsck", "--quiet", "--all", "--from", NAME, "--numcopies=0"]).ok();
    lab.server.stop();
}

/// Anybody who may push may record what is no version of a key.
#[test]
fn what_others_recorded_wrongly_gets_no_name_in_the_tree() {
    let lab = Lab::new(Whose::Theirs);
    lab.repo().git(&["config", "annex.backend", "SHA256"]).ok();
    lab.commit("echo one>a");
    lab.post_receive();
    let (one, six) = (key_of(b"one\n"), key_of(b"six\n"));
    let version = lab.versions(&one).remove(0);
    let id = version.split_once('#').expect("an id and a name").0.to_string();
    let repository = Repository::open(&lab.repo().dir()).unwrap_or_else(|e| panic!("{e}"));
    let uuid = Uuid::parse(lab.uuid.as_bytes()).expect("a uuid");
    let file = remote_meta_file(&Key::parse(six.as_bytes()).expect("a key"), LogHashing::TwoLevels);
    for value in [version, format!("{id}#elsewhere"), "#".into(), String::new(), "x#pre/a".into()] {
        let uuid = uuid.clone();
        let add = move |log: &[u8]| meta::with_value(log, &uuid, meta::VERSION, value.as_bytes(), 7);
        repository.branch().change(vec![Edit::new(file.clone(), add)]).unwrap_or_else(|e| panic!("{e}"));
    }
    lab.commit("echo six>six");
    lab.repo().annex(&["dropkey", "--quiet", "--force", &six]).ok();
    lab.post_receive();
    let names = lab.place().names();
    assert!(names.iter().any(|name| name == "pre/a") && !names.iter().any(|name| name == "pre/six"), "{names:?}");
    assert_eq!(lab.way().put(&lab.uuid, &six, b"six\n"), Outcome::Yes, "what is recorded wrongly is in nobody's way");
    lab.is_had(b"six\n");
    assert_eq!(lab.place().files().get(&b"pre/six"[..]).map(Vec::as_slice), Some(&b"six\n"[..]));
    lab.server.stop();
}

/// Recorded: git-annex 10.20261026 takes `versioning=` for its own in a remote with a tree, and refuses all requests then.
#[test]
fn an_option_that_would_make_a_tree_unreadable_is_refused() {
    let (repo, place) = (Repo::new(), Place::weed());
    let refused = repo.initremote("far", &place, Whose::Ours, &["exporttree=yes", "versioning=yes"]).failed();
    assert!(refused.all().contains("versions=yes"), "{}", refused.all());
    repo.initremote("far", &place, Whose::Ours, &["exporttree=yes", "versions=yes"]).ok();
    let key = repo.add("a", 1, 1000);
    repo.git(&["commit", "--quiet", "--message", "a"]).ok();
    repo.annex(&["export", "--quiet", "HEAD", "--to", "far"]).ok();
    repo.annex(&["checkpresentkey", &key, "far"]).ok();
    repo.annex(&["drop", "--quiet", "--force", "a"]).ok();
    repo.annex(&["get", "--quiet", "a"]).ok();
}
