//! What is done in a repository, with a host that only pretends.

use std::cell::RefCell;

use super::*;

#[derive(Default)]
struct Pretend {
    info: RepoInfo,
    served: RefCell<Option<Uuid>>,
}

fn uuid(text: &str) -> Uuid {
    Uuid::parse(text.as_bytes()).expect("a uuid")
}

impl Host for Pretend {
    fn open(&self, directory: &Path) -> Result<RepoInfo, String> {
        if directory == Path::new("/no") { Err("nothing there".into()) } else { Ok(self.info.clone()) }
    }

    fn initialise(&self, _: &Path) -> Result<Uuid, String> {
        Err("initialised".into())
    }

    fn is_present(&self, _: &Path, key: &Key) -> Result<bool, String> {
        match key.name() {
            b"there" => Ok(true),
            b"absent" => Ok(false),
            _ => Err("could not tell".into()),
        }
    }

    fn drop_key(&self, _: &Path, _: &Key) -> Result<(), String> {
        Err("locked".into())
    }

    fn p2pstdio(&self, serve: Serve<'_>) -> ExitCode {
        *self.served.borrow_mut() = Some(serve.uuid.clone());
        ExitCode::SUCCESS
    }
}

fn host(own: Option<&str>) -> Pretend {
    let info = RepoInfo { uuid: own.map(uuid), proxied: vec![uuid("p")], ..RepoInfo::default() };
    Pretend { info, ..Pretend::default() }
}

#[test]
fn who_is_expected_decides_who_is_served() {
    for (own, expected, served) in [
        (Some("u"), None, Ok("u")),
        (Some("u"), Some("u"), Ok("u")),
        (Some("u"), Some("p"), Ok("p")),
        (Some("u"), Some("x"), Err("expected repository UUID x but found UUID u")),
        (Some("u"), Some(""), Err("expected repository UUID  but found UUID u")),
        (None, Some("x"), Err("expected repository UUID x but found uninitialized repository")),
        (None, None, Err("/g is not initialized for git-annex")),
    ] {
        let host = host(own);
        let verb = Verb::P2pStdio { client: None, access: Access::Full };
        let done = run(&host, Path::new("/g"), expected.map(str::as_bytes), verb);
        assert_eq!(done.err(), served.err().map(str::to_string), "{own:?} {expected:?}");
        assert_eq!(*host.served.borrow(), served.ok().map(uuid), "{own:?} {expected:?}");
    }
    let list = Verb::ConfigList { autoinit: false, access: Access::Full };
    let refused = run(&host(Some("u")), Path::new("/g"), Some(b"p"), list).expect_err("not for a proxied remote");
    assert_eq!(refused, "Cannot proxy configlist command.");
}

#[test]
fn who_may_only_read_initialises_nothing() {
    for (autoinit, pushed) in [(false, false), (true, false), (false, true), (true, true)] {
        for (access, own, words) in [
            (Access::Full, None, "initialised"),
            (Access::AppendOnly, None, "initialised"),
            (Access::ReadOnly, None, "Action blocked by GIT_ANNEX_SHELL_READONLY"),
            (Access::ReadOnly, Some("u"), ""),
        ] {
            let mut host = host(own);
            host.info.pushed = pushed;
            let done = run(&host, Path::new("/g"), None, Verb::ConfigList { autoinit, access });
            let expected = if autoinit || pushed { words } else { "" };
            assert_eq!(done.err().unwrap_or_default(), expected, "{access:?} {own:?} {autoinit} {pushed}");
        }
    }
}

#[test]
fn absent_and_could_not_tell_have_their_own_status() {
    let keys = |words: &[&str]| -> Vec<Key> {
        words.iter().map(|word| Key::parse(format!("A--{word}").as_bytes()).expect("a key")).collect()
    };
    for (words, status) in [
        (&[][..], ExitCode::SUCCESS),
        (&["there", "there"], ExitCode::SUCCESS),
        (&["there", "absent"], ExitCode::FAILURE),
        (&["unknown", "there"], ExitCode::from(100)),
        (&["unknown", "absent"], ExitCode::FAILURE),
    ] {
        assert_eq!(in_annex(&host(Some("u")), Path::new("/g"), &keys(words)), status, "{words:?}");
    }
    let verb = Verb::DropKey(keys(&["there"]));
    assert_eq!(run(&host(Some("u")), Path::new("/g"), None, verb).expect_err("locked"), "locked");
}
