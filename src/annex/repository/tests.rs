use std::process::Command;

use super::*;

/// Runs git in `dir`, with no configuration but the repository's.
pub(crate) fn git(dir: &Path, words: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(dir).args(words).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    for person in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{person}_NAME"), "Tester").env(format!("GIT_{person}_EMAIL"), "tester@example.org");
    }
    let done = command.output().expect("git runs");
    assert!(done.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim_end().to_string()
}

/// A repository as git-annex leaves one, with nothing recorded in it.
pub(crate) fn make(dir: &Path, more: &[&str]) {
    std::fs::create_dir_all(dir).expect("a directory");
    git(dir, &[&["init", "--quiet", "--initial-branch=main"], more].concat());
    for (name, value) in [("annex.uuid", "u-1"), ("annex.version", "10"), ("user.name", "T"), ("user.email", "t@e")] {
        git(dir, &["config", name, value]);
    }
    std::fs::create_dir_all(dir.join(git(dir, &["rev-parse", "--git-dir"])).join("annex")).expect("a directory");
}

fn refusal(path: &Path) -> String {
    Repository::open(path).err().expect("it is refused").to_string()
}

#[test]
fn every_shape_of_repository_opens() {
    fn shared<T: Send + Sync>() {}
    shared::<Repository>();
    let top = tempfile::tempdir().expect("a directory");
    let top = top.path().canonicalize().expect("it is there");
    let (plain, bare) = (top.join("plain"), top.join("bare.git"));
    make(&plain, &[]);
    make(&bare, &["--bare"]);
    git(&plain, &["commit", "--quiet", "--allow-empty", "-m", "x"]);
    git(&plain, &["worktree", "add", "--quiet", "../linked"]);
    let outer = top.join("outer");
    make(&outer, &[]);
    git(&outer, &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../plain", "inner"]);
    let inner = outer.join("inner");
    for (name, value) in [("annex.uuid", "u-2"), ("annex.version", "10")] {
        git(&inner, &["config", name, value]);
    }
    for (path, git_dir, work_tree, uuid) in [
        (plain.clone(), plain.join(".git"), Some(plain.clone()), "u-1"),
        (plain.join(".git"), plain.join(".git"), Some(plain.clone()), "u-1"),
        (top.join("linked"), plain.join(".git"), Some(top.join("linked")), "u-1"),
        (bare.clone(), bare.clone(), None, "u-1"),
        (top.join("bare"), bare, None, "u-1"),
        (inner.clone(), outer.join(".git/modules/inner"), Some(inner), "u-2"),
    ] {
        let repository = Repository::open(&path).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(repository.git_dir(), git_dir, "{}", path.display());
        assert_eq!(repository.annex_dir(), git_dir.join("annex"));
        assert_eq!(repository.work_tree(), work_tree.as_deref(), "{}", path.display());
        assert_eq!(repository.is_bare(), work_tree.is_none());
        assert_eq!(repository.uuid().to_string(), uuid);
        assert_eq!(repository.hooks_dir(), git_dir.join("hooks"));
    }
}

#[test]
fn what_is_refused_is_named_with_the_way_out() {
    let top = tempfile::tempdir().expect("a directory");
    let path = top.path().join("r");
    assert!(refusal(&path).contains("not a git repository"), "{}", refusal(&path));
    make(&path, &[]);
    std::fs::create_dir(path.join("below")).expect("a directory");
    assert!(refusal(&path.join("below")).contains("give its top directory"));
    git(&path, &["config", "annex.version", "7"]);
    let told = refusal(&path);
    for part in [&path.display().to_string(), "annex.version is 7", "8 to 10", "git annex upgrade"] {
        assert!(told.contains(part), "{told}");
    }
    git(&path, &["config", "annex.version", "11"]);
    assert!(refusal(&path).contains("annex.version is 11"));
    git(&path, &["config", "--unset", "annex.version"]);
    assert!(refusal(&path).contains("no annex.version"));
    git(&path, &["config", "annex.version", "8"]);
    assert!(Repository::open(&path).is_ok());
    git(&path, &["config", "annex.pidlock", "true"]);
    assert!(refusal(&path).contains("annex.pidlock"));
    git(&path, &["config", "annex.pidlock", "false"]);
    git(&path, &["config", "--unset", "annex.uuid"]);
    assert!(refusal(&path).contains("git annex init"));
}

#[test]
fn configuration_is_read_again_when_it_changed() {
    let top = tempfile::tempdir().expect("a directory");
    make(top.path(), &[]);
    let set = |name: &str, value: &str| {
        git(top.path(), &["config", "--add", name, value]);
    };
    set("annex.diskreserve", "1.5 gb");
    set("remote.a.b.annex-uuid", "u-9");
    set("annex.private", "yes");
    let repository = Repository::open(top.path()).expect("it opens");
    assert_eq!(repository.config_size("annex.diskreserve"), Some(1_500_000_000));
    assert_eq!(repository.config("remote.a.b.annex-uuid").as_deref(), Some(&b"u-9"[..]));
    assert_eq!(repository.config_bool("annex.private"), Some(true));
    assert_eq!(repository.config_bool("annex.other"), None);
    assert!(!repository.reload_config(), "nothing changed");
    let uuid = |text: &[u8]| Uuid::parse(text).expect("a uuid");
    assert!(repository.is_private(&uuid(b"u-1")) && !repository.is_private(&uuid(b"u-9")));
    set("remote.a.b.annex-private", "true");
    set("annex.diskreserve", "10");
    assert!(repository.reload_config());
    assert!(!repository.reload_config());
    assert_eq!(repository.config_size("annex.diskreserve"), Some(10));
    assert_eq!(repository.config_all("annex.diskreserve"), [&b"1.5 gb"[..], b"10"]);
    assert_eq!(repository.settings().subsections("remote"), [b"a.b"]);
    assert!(repository.is_private(&uuid(b"u-9")));
}

/// What another file says counts as soon as it says so: one that is included, also where it was not there before.
#[test]
fn included_files_are_read_again_too() {
    let top = tempfile::tempdir().expect("a directory");
    make(top.path(), &[]);
    git(top.path(), &["config", "include.path", "more/site"]);
    let repository = Repository::open(top.path()).expect("it opens");
    let readonly = || repository.config_bool("remote.r.annex-readonly");
    assert_eq!((readonly(), repository.reload_config()), (None, false));
    std::fs::create_dir(top.path().join(".git/more")).expect("made");
    let site = top.path().join(".git/more/site");
    for (text, is) in [("", None), ("[remote \"r\"]\n\tannex-readonly = true\n", Some(true)), ("# nothing\n", None)] {
        std::fs::write(&site, text).expect("written");
        assert!(repository.reload_config(), "{text}");
        assert_eq!((readonly(), repository.reload_config()), (is, false), "{text}");
    }
}

/// Recorded: `git annex initremote second --sameas=first --private` keeps what the remote holds in the branch.
#[test]
fn a_private_second_name_makes_nothing_else_private() {
    let top = tempfile::tempdir().expect("a directory");
    make(top.path(), &[]);
    for (name, value) in [
        ("remote.first.annex-uuid", "u-2"),
        ("remote.second.annex-uuid", "u-2"),
        ("remote.second.annex-config-uuid", "u-3"),
        ("remote.second.annex-private", "true"),
    ] {
        git(top.path(), &["config", name, value]);
    }
    let repository = Repository::open(top.path()).expect("it opens");
    let is_private = |uuid: &[u8]| repository.is_private(&Uuid::parse(uuid).expect("a uuid"));
    assert_eq!((is_private(b"u-2"), is_private(b"u-3")), (false, true));
}

#[test]
#[ignore = "needs root, to give a directory away"]
fn a_repository_of_another_user_is_refused() {
    let top = tempfile::tempdir().expect("a directory");
    make(top.path(), &[]);
    for path in [top.path().join(".git"), top.path().to_path_buf()] {
        std::os::unix::fs::chown(path, Some(12345), None).expect("we are root");
    }
    let told = refusal(top.path());
    assert!(told.contains("belongs to another user") && told.contains("safe.directory"), "{told}");
    git(top.path(), &["-c", "safe.directory=*", "config", "safe.directory", "*"]);
    assert!(refusal(top.path()).contains("another user"), "its own word does not count");
    println!("{told}");
}
