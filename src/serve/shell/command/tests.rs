//! Arguments and environment on one side, what is to be done on the other. All of them were tried with git-annex.

use super::*;

const U: &str = "00000000-0000-4000-8000-00000000a001";
const KEY: &str = "XYZ--foo";

/// Parses the words, with these variables set beside HOME=/home/me.
fn parse(variables: &str, words: &[&str]) -> Result<Command, Refusal> {
    let permit = Permit::read(|name| {
        let short = name.strip_prefix("GIT_ANNEX_SHELL_").unwrap_or(name);
        let mut set = variables.split_whitespace().chain(["HOME=/home/me"]);
        set.find_map(|pair| pair.split_once('=').filter(|(n, _)| *n == short).map(|(_, value)| value.into()))
    });
    permit.parse(&words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>())
}

fn annex(directory: &str, uuid: Option<&str>, verb: Verb) -> Result<Command, Refusal> {
    Ok(Command::Annex { directory: directory.into(), uuid: uuid.map(|uuid| uuid.as_bytes().to_vec()), verb })
}

fn git_shell(words: &[&str]) -> Result<Command, Refusal> {
    Ok(Command::GitShell(words.iter().map(OsString::from).collect()))
}

fn p2p(access: Access) -> Verb {
    Verb::P2pStdio { client: Uuid::parse(b"c").ok(), access }
}

#[test]
fn our_commands_are_found_in_every_form_they_come_in() {
    let full = p2p(Access::Full);
    let list = || Verb::ConfigList { autoinit: false, access: Access::Full };
    let keys = || vec![Key::parse(KEY.as_bytes()).expect("a key")];
    let line = format!("git-annex-shell 'p2pstdio' '/g' 'c' --uuid {U}");
    for (words, expected) in [
        (&["p2pstdio", "/g", "c"][..], annex("/g", None, full.clone())),
        (&["p2pstdio", "/g", "c", "--uuid", U], annex("/g", Some(U), full.clone())),
        (&["p2pstdio", "/g", "--uuid=", "c", "--debug"], annex("/g", Some(""), full.clone())),
        (&["p2pstdio", "/g", "c", "--", "remoteuuid=x", "associatedfile=f", "--"], annex("/g", None, full.clone())),
        (&["-c", &line], annex("/g", Some(U), full)),
        (&["-c", "git-annex-shell '-c' 'git-annex-shell configlist /g'"], annex("/g", None, list())),
        (&["-c", "git-annex-shell configlist '/a b'"], annex("/a b", None, list())),
        (&["configlist", "g"], annex("/home/me/g", None, list())),
        (&["configlist", "/~/g"], annex("/home/me/g", None, list())),
        (&["configlist", "~/g/"], annex("/home/me/g", None, list())),
        (&["configlist", "/x/../g/."], annex("/g", None, list())),
        (&["configlist", "--debug"], annex("/home/me/--debug", None, list())),
        (
            &["configlist", "/g", "--", "autoinit=1", "--", "x"],
            annex("/g", None, Verb::ConfigList { autoinit: true, access: Access::Full }),
        ),
        (&["notifychanges", "/g"], annex("/g", None, Verb::NotifyChanges)),
        (&["inannex", "/g"], annex("/g", None, Verb::InAnnex(Vec::new()))),
        (&["inannex", "/g", KEY], annex("/g", None, Verb::InAnnex(keys()))),
        (&["dropkey", "/g", KEY, "--force"], annex("/g", None, Verb::DropKey(keys()))),
    ] {
        assert_eq!(parse("", words), expected, "{words:?}");
    }
}

#[test]
fn everything_else_goes_to_git_shell() {
    for (words, expected) in [
        (&["-c", "git-upload-pack '/g'"][..], &["-c", "git-upload-pack '/g'"][..]),
        (&["-c", "p2pstdio /g c"], &["-c", "p2pstdio /g c"]),
        (&["-c", "/usr/bin/git-annex-shell configlist /g"], &["-c", "/usr/bin/git-annex-shell configlist /g"]),
        (&["-c", "git-annex-shell"], &["-c", "git-annex-shell"]),
        (&["-c", ""], &["-c", ""]),
        (&["help"], &["-c", "help"]),
        (&["commit", "/g"], &["commit", "/g"]),
        (&["CONFIGLIST", "/g"], &["CONFIGLIST", "/g"]),
    ] {
        assert_eq!(parse("READONLY=1", words), git_shell(expected), "{words:?}");
        assert_eq!(parse("LIMITED=1", words), Err(Refusal::Blocked(LIMITED)), "{words:?}");
        assert_eq!(parse("LIMITED=", words), git_shell(expected), "{words:?}");
    }
}

#[test]
fn the_environment_restricts_what_is_done() {
    for (variables, access) in [
        ("", Access::Full),
        ("READONLY=", Access::Full),
        ("READONLY=0", Access::ReadOnly),
        ("APPENDONLY=1", Access::AppendOnly),
        ("APPENDONLY=1 READONLY=1", Access::ReadOnly),
        ("LIMITED=1", Access::Full),
    ] {
        assert_eq!(parse(variables, &["p2pstdio", "/g", "c"]), annex("/g", None, p2p(access)), "{variables}");
    }
    for (variables, verb, by) in [
        ("READONLY=1", "dropkey", Some(READ_ONLY)),
        ("APPENDONLY=1", "dropkey", Some(APPEND_ONLY)),
        ("READONLY=1 APPENDONLY=1", "dropkey", Some(READ_ONLY)),
        ("READONLY=1", "recvkey", Some(READ_ONLY)),
        ("READONLY=1", "gcryptsetup", Some(READ_ONLY)),
        ("APPENDONLY=1", "recvkey", None),
        ("READONLY=1", "inannex", None),
        ("READONLY=1", "sendkey", None),
    ] {
        let blocked = match parse(variables, &[verb, "/g", KEY]) {
            Err(Refusal::Blocked(by)) => Some(by),
            _ => None,
        };
        assert_eq!(blocked, by, "{variables} {verb}");
    }
}

#[test]
fn one_directory_is_one_directory() {
    let allowed = |directory: &str, words: &[&str]| parse(&format!("DIRECTORY={directory}"), words).is_ok();
    for (directory, words, expected) in [
        ("/g", &["configlist", "/g"][..], true),
        ("/g/", &["configlist", "/g"], true),
        ("/g", &["configlist", "/g/."], true),
        ("/home/me/g", &["configlist", "g"], true),
        ("", &["configlist", "/g"], false),
        ("/g", &["configlist", "/g/.git"], false),
        ("/g", &["configlist", "/gg"], false),
        ("/g", &["configlist", "/g/../h"], false),
        ("/g", &["-c", "git-annex-shell 'p2pstdio' '/h' 'c'"], false),
        ("/g", &["-c", "git-upload-pack '/g'"], true),
        ("/g", &["-c", "git upload-pack '/g'"], true),
        ("/g", &["-c", "git-upload-pack '/h'"], false),
        ("/g", &["-c", "git-upload-pack '/h'\\'' /g'"], false),
        ("/g", &["-c", "git-upload-pack '/x/../g'"], false),
        ("/g", &["-c", "foo"], false),
        ("/g", &["commit", "/g"], true),
        ("/g", &["commit", "/h"], false),
    ] {
        assert_eq!(allowed(directory, words), expected, "{directory}: {words:?}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = |words: &[&str]| parse("", words).expect_err(&words.join(" ")).to_string();
    for (words, text) in [
        (&[][..], "bad parameters"),
        (&["-c"], "bad parameters"),
        (&["configlist"], "bad parameters"),
        (&["configlist", "/g", "x"], "This command takes no parameters."),
        (&["configlist", "/g", "--bogus"], "unknown option --bogus"),
        (&["configlist", "/g", "--uuid"], "unknown option --uuid"),
        (&["p2pstdio", "/g"], "missing UUID parameter"),
        (&["p2pstdio", "/g", "c", "d"], "missing UUID parameter"),
        (&["inannex", "/g", "notakey"], "bad key"),
        (&["dropkey", "/g", KEY], "dropkey removes content"),
        (&["sendkey", "/g", KEY], "sendkey is not served here"),
    ] {
        assert!(refused(words).starts_with(text), "{words:?}: {}", refused(words));
    }
}

#[test]
fn a_misspelt_restriction_does_nothing_at_all() {
    let check = |names: &[&str]| Permit::check(names.iter().map(OsString::from)).map_err(|refusal| refusal.to_string());
    assert_eq!(check(&["HOME", "GIT_ANNEX_SHELL_READONLY", "GIT_ANNEX_SHELL_APPENDONLY"]), Ok(()));
    assert_eq!(check(&["GIT_ANNEX_SHELL_LIMITED", "GIT_ANNEX_SHELL_DIRECTORY", "GIT_ANNEX_USE_GIT_SSH"]), Ok(()));
    for name in
        ["GIT_ANNEX_SHELL_READ_ONLY", "git_annex_shell_readonly", "GIT_ANNEX_SHELL_", "GIT_ANNEX_SHELL_READONLY "]
    {
        let refusal = check(&["HOME", name]).expect_err(name);
        assert!(refusal.starts_with(&format!("{name} is not known")), "{refusal}");
    }
}
