use super::*;

/// What is set, and what is said of it; nothing where the server starts.
fn said(flags: &str, variables: &str) -> String {
    let given = |flag: &str| flags.split(' ').any(|word| word == flag);
    let flags = Flags {
        authenv: given("--authenv"),
        authenv_http: given("--authenv-http"),
        unauth_readonly: given("--unauth-readonly"),
        unauth_appendonly: given("--unauth-appendonly"),
        unauth_nolocking: given("--unauth-nolocking"),
        wideopen: given("--wideopen"),
        users: given("--users"),
        auth_http: given("--auth-http"),
        tls: given("--certfile"),
    };
    let variables = variables.split_whitespace().map(|one| {
        let (name, value) = one.split_once('=').expect("a value");
        let name = if name.contains('_') { format!("GIT_ANNEX_P2PHTTP_{name}") } else { name.to_string() };
        (name, value)
    });
    access(flags, variables).map_or_else(|misfit| misfit.to_string(), |_| String::new())
}

#[test]
fn what_changes_nothing_ends_the_start() {
    for (flags, variables, says) in [
        // What makes sense.
        ("--wideopen", "", ""),
        ("--unauth-readonly", "HOME=/srv", ""),
        ("--unauth-appendonly", "", ""),
        ("--unauth-readonly --unauth-nolocking", "", ""),
        ("--unauth-appendonly --unauth-nolocking", "", ""),
        ("--authenv-http", "PASSWORD_bob=x", ""),
        ("--authenv-http", "PERMISSIONS_bob=readonly PASSWORD_bob=x PASSWORD_Bob=y", ""),
        ("--authenv-http --unauth-readonly --unauth-nolocking", "PASSWORD_bob=x PERMISSIONS_bob=appendonly", ""),
        ("--authenv --certfile", "PASSWORD_bob=x", ""),
        ("--authenv --certfile --unauth-readonly", "PASSWORD_bob=x PASSWORD_eve=x", ""),
        ("--users --auth-http", "", ""),
        ("--users --certfile", "", ""),
        ("--users --certfile --unauth-readonly --unauth-nolocking", "", ""),
        ("--users --authenv-http", "PASSWORD_bob=x", ""),
        // Flags.
        ("--users", "", "let users log in over HTTPS only"),
        ("--users --certfile --wideopen", "", "--users changes nothing beside --wideopen"),
        ("--users --certfile", "PASSWORD_bob=x", "nobody can log in"),
        ("--users --authenv-http", "", "--authenv needs users"),
        ("", "", "nobody could do anything"),
        ("--certfile", "PASSWORD_bob=x", "nobody could do anything"),
        ("--unauth-nolocking", "", "nobody could do anything"),
        ("--authenv-http --unauth-nolocking", "PASSWORD_bob=x", "--unauth-nolocking changes nothing without"),
        ("--wideopen --unauth-nolocking", "", "--unauth-nolocking changes nothing beside --wideopen"),
        ("--wideopen --unauth-readonly", "", "--unauth-readonly changes nothing beside --wideopen"),
        ("--wideopen --unauth-appendonly", "", "--unauth-appendonly changes nothing beside --wideopen"),
        ("--wideopen --authenv --certfile", "PASSWORD_bob=x", "--authenv changes nothing beside --wideopen"),
        ("--wideopen --authenv-http", "PASSWORD_bob=x", "--authenv-http changes nothing beside --wideopen"),
        ("--unauth-appendonly --unauth-readonly", "", "--unauth-readonly changes nothing beside --unauth-appendonly"),
        ("--authenv --authenv-http --certfile", "PASSWORD_bob=x", "--authenv changes nothing beside --authenv-http"),
        ("--authenv", "PASSWORD_bob=x", "over HTTPS only"),
        // Users.
        ("--authenv-http", "", "--authenv needs users"),
        ("--authenv-http", "HOME=/srv", "--authenv needs users"),
        ("--unauth-readonly", "PASSWORD_bob=x", "PASSWORD_bob is in the environment, and nobody can log in"),
        ("--wideopen", "PASSWORD_bob=x", "nobody can log in"),
        ("--authenv-http", "PASSWORD_bob=x PERMISSIONS_Bob=readonly", "PERMISSIONS_Bob limits nobody"),
        ("--authenv-http", "PERMISSIONS_bob=readonly", "PERMISSIONS_bob limits nobody"),
        ("--authenv-http", "PASSWORD_bob=x PERMISSIONS_bob=ReadOnly", "PERMISSIONS_bob: only readonly and appendonly"),
        ("--authenv-http", "PASSWORD_bob=x PERMISSIONS_bob=", "PERMISSIONS_bob: only readonly and appendonly"),
        ("--authenv-http", "PASSWORD_bob=", "PASSWORD_bob: the password is empty"),
        ("--authenv-http", "PASSWORD_=x", "the name of the user is missing"),
        ("--authenv-http", "PASSWORD_bob=x PERMISSIONS_=readonly", "the name of the user is missing"),
        ("--authenv-http", "PASSWORD_a:b=x", "cannot hold a colon"),
        ("--authenv-http", "PASSWORD_bob=x PASSWORD_bob=y", "PASSWORD_bob is there twice"),
        ("--authenv-http", "PASSWORD_b=x PERMISSIONS_b=appendonly PERMISSIONS_b=readonly", "is there twice"),
        ("--authenv-http", "PASSWORD_bob=x PERMISSION_bob=readonly", "PERMISSION_bob is not known"),
        ("--authenv-http", "PASSWORD_bob=x PASSWORDS_eve=y", "PASSWORDS_eve is not known"),
        ("--authenv-http", "PASSWORD_bob=x permissions_bob=readonly", "permissions_bob is not known"),
        ("--authenv-http", "PASSWORD_bob=x _=y", "is not known"),
    ] {
        let words = said(flags, variables);
        assert!(words.contains(says) && words.is_empty() == says.is_empty(), "{flags} {variables}: {words}");
        assert!(!words.contains('\n') && !words.contains("=x"), "{words}");
    }
    let lower = [("git_annex_p2phttp_permissions_bob", "readonly"), ("GIT_ANNEX_P2PHTTP_PASSWORD_bob", "x")];
    let flags = Flags { authenv_http: true, ..Flags::default() };
    let unknown = Misfit::Unknown(b"git_annex_p2phttp_permissions_bob".to_vec());
    assert_eq!(access(flags, lower).map(|_| ()), Err(unknown));
}

#[test]
fn users_are_limited_as_their_variables_say() {
    let variables = [
        ("GIT_ANNEX_P2PHTTP_PERMISSIONS_bob", "readonly"),
        ("GIT_ANNEX_P2PHTTP_PASSWORD_alice", "pw1"),
        ("GIT_ANNEX_P2PHTTP_PASSWORD_bob", "pw2"),
        ("GIT_ANNEX_P2PHTTP_PASSWORD_carol", "pw3"),
        ("GIT_ANNEX_P2PHTTP_PERMISSIONS_carol", "appendonly"),
        ("HOME", "/home/annex"),
    ];
    let flags = Flags { authenv: true, unauth_readonly: true, tls: true, ..Flags::default() };
    let access = access(flags, variables).expect("all is right");
    let users: Vec<_> = access.users.iter().map(|user| (user.name.as_slice(), user.rights)).collect();
    let expected: [(&[u8], _); 3] =
        [(b"alice", Rights::Full), (b"bob", Rights::ReadOnly), (b"carol", Rights::AppendOnly)];
    assert_eq!(users, expected);
    assert_eq!((access.logins, access.open, access.nolocking), (Logins::Secure, Open::ReadOnly, false));
    assert!(!format!("{access:?}").contains("pw1"));
}
