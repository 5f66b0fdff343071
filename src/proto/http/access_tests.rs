use super::*;

fn users_of_the_table() -> Vec<User> {
    let user = |name: &str, password: &str, rights| User {
        name: name.into(),
        password: Password::new(password.into()),
        rights,
    };
    vec![
        user("alice", "pw1", Rights::Full),
        user("bob", "pw2", Rights::ReadOnly),
        user("carol", "pw3", Rights::AppendOnly),
    ]
}

fn access(flags: &[&str]) -> Access {
    let mut access = Access { users: users_of_the_table(), ..Access::default() };
    for flag in flags {
        match *flag {
            "--authenv" => access.logins = Logins::Secure,
            "--authenv-http" => access.logins = Logins::Anyhow,
            "--unauth-readonly" => access.open = access.open.max(Open::ReadOnly),
            "--unauth-appendonly" => access.open = access.open.max(Open::AppendOnly),
            "--wideopen" => access.open = Open::Full,
            "--unauth-nolocking" => access.nolocking = true,
            other => panic!("{other} is no flag"),
        }
    }
    access
}

/// Read, lock, store, remove: `+` allowed, `?` 401, `-` 403.
fn row(access: &Access, who: Who) -> String {
    [Action::Read, Action::Lock, Action::Store, Action::Remove]
        .map(|action| match access.decide(who, action) {
            Verdict::Allow => '+',
            Verdict::Authenticate => '?',
            Verdict::Forbid => '-',
        })
        .iter()
        .collect()
}

/// Asked of the server of git-annex 10.20261026 over plain HTTP, every field.
///
/// Columns: nobody, alice (full), bob (readonly), carol (appendonly), alice with a wrong password.
const RECORDED: &[(&[&str], [&str; 5])] = &[
    (&[], ["????", "????", "????", "????", "????"]),
    (&["--authenv"], ["????", "????", "????", "????", "????"]),
    (&["--authenv-http"], ["????", "++++", "+---", "+++-", "????"]),
    (&["--unauth-nolocking"], ["????", "????", "????", "????", "????"]),
    (&["--authenv-http", "--unauth-nolocking"], ["????", "++++", "+---", "+++-", "????"]),
    (&["--unauth-readonly"], ["++--", "++--", "++--", "++--", "++--"]),
    (&["--unauth-readonly", "--unauth-nolocking"], ["+---", "+---", "+---", "+---", "+---"]),
    (&["--authenv", "--unauth-readonly"], ["++??", "++--", "++--", "++--", "++--"]),
    (&["--authenv-http", "--unauth-readonly"], ["++??", "++++", "+---", "+++-", "++--"]),
    (&["--authenv-http", "--unauth-readonly", "--unauth-nolocking"], ["+???", "++++", "+---", "+++-", "+---"]),
    (&["--unauth-appendonly", "--unauth-readonly"], ["+++-", "+++-", "+++-", "+++-", "+++-"]),
    (&["--authenv-http", "--unauth-appendonly"], ["+++?", "++++", "+---", "+++-", "+++-"]),
    (&["--wideopen"], ["++++", "++++", "++++", "++++", "++++"]),
    (&["--wideopen", "--unauth-nolocking"], ["++++", "++++", "++++", "++++", "++++"]),
    (&["--wideopen", "--unauth-readonly"], ["++++", "++++", "++++", "++++", "++++"]),
    (&["--wideopen", "--authenv-http"], ["++++", "++++", "+---", "+++-", "++++"]),
    (&["--wideopen", "--authenv-http", "--unauth-nolocking"], ["++++", "++++", "+---", "+++-", "++++"]),
];

/// git-annex grants locks here, against its own documentation of --unauth-nolocking.
const DIFFERENT: &[(&[&str], [&str; 5])] = &[
    (&["--unauth-appendonly", "--unauth-nolocking"], ["+-+-", "+-+-", "+-+-", "+-+-", "+-+-"]),
    (&["--authenv-http", "--unauth-appendonly", "--unauth-nolocking"], ["+?+?", "++++", "+---", "+++-", "+-+-"]),
];

fn sent(header: &str) -> Credentials {
    Credentials::parse(header.as_bytes()).expect("the header is right")
}

#[test]
fn every_field_of_the_matrix_is_as_recorded() {
    let headers = ["Basic YWxpY2U6cHcx", "Basic Ym9iOnB3Mg==", "Basic Y2Fyb2w6cHcz", "Basic YWxpY2U6eA=="];
    for (flags, rows) in RECORDED.iter().chain(DIFFERENT) {
        let access = access(flags);
        let mut who = vec![access.identify(None, false)];
        who.extend(headers.map(|header| access.identify(Some(&sent(header)), false)));
        let got: Vec<String> = who.into_iter().map(|who| row(&access, who)).collect();
        assert_eq!(got, rows, "{flags:?}");
    }
}

#[test]
fn authenv_lets_users_in_over_tls_only() {
    let alice = sent("Basic YWxpY2U6cHcx");
    let over_tls = |flags: &[&str]| access(flags).identify(Some(&alice), true);
    let plain = |flags: &[&str]| access(flags).identify(Some(&alice), false);
    assert_eq!((over_tls(&["--authenv"]), plain(&["--authenv"])), (Who::Known(Rights::Full), Who::Stranger));
    assert_eq!(over_tls(&["--authenv-http"]), Who::Known(Rights::Full));
    assert_eq!(over_tls(&["--wideopen"]), Who::Stranger);
}

#[test]
fn no_password_is_shown() {
    let shown = format!("{:?}", access(&["--authenv"]));
    assert!(shown.contains("REDACTED") && !shown.contains("pw1"), "{shown}");
}
