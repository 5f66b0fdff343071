use super::super::head::parse;
use super::*;

const PLAIN: Guard = Guard { secure: false, loopback_names: false, names: &[] };
const TLS: Guard = Guard { secure: true, loopback_names: false, names: &[] };
const OPEN: Guard = Guard { secure: false, loopback_names: true, names: &[] };

fn admitted(guard: Guard, method: &str, headers: &[(&str, &str)]) -> Result<(), Foreign> {
    let mut text = format!("{method} /git-annex/u/v4/remove?key=K HTTP/1.1\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let (head, _) = parse(text.as_bytes()).expect("a head").expect("all of it");
    guard.admit(&head)
}

#[test]
fn what_changes_something_comes_from_a_page_of_the_same_origin_or_from_none() {
    let page = Err(Foreign::Page);
    for (guard, host, origin, site, forwarded, expected) in [
        // What is no browser.
        (PLAIN, "annex.example", "", "", "", Ok(())),
        (TLS, "annex.example", "", "", "", Ok(())),
        // The same origin, in every way that it is written.
        (PLAIN, "annex.example", "http://annex.example", "", "", Ok(())),
        (PLAIN, "annex.example:9417", "http://annex.example:9417", "same-origin", "", Ok(())),
        (PLAIN, "annex.example:80", "http://annex.example", "", "", Ok(())),
        (PLAIN, "annex.example", "http://annex.example:80", "", "", Ok(())),
        (TLS, "annex.example:443", "https://annex.example", "", "", Ok(())),
        (TLS, "Annex.Example", "https://annex.example", "", "", Ok(())),
        (PLAIN, "[::1]:9417", "http://[::1]:9417", "", "", Ok(())),
        (PLAIN, "annex.example", "", "none", "", Ok(())),
        (PLAIN, "annex.example", "", "same-origin", "", Ok(())),
        // A web server in front speaks TLS, and passes the name on, here or there.
        (PLAIN, "annex.example", "https://annex.example", "same-origin", "", Ok(())),
        (PLAIN, "127.0.0.1:9417", "https://annex.example", "same-origin", "annex.example", Ok(())),
        (PLAIN, "127.0.0.1:9417", "https://annex.example:8443", "", "annex.example:8443, inner", Ok(())),
        (PLAIN, "127.0.0.1:9417", "https://annex.example", "same-origin", "", page),
        (PLAIN, "127.0.0.1:9417", "https://evil.example", "", "annex.example, evil.example", page),
        // Another origin.
        (PLAIN, "annex.example", "https://evil.example", "", "", page),
        (PLAIN, "annex.example", "http://evil.example", "cross-site", "", page),
        (PLAIN, "annex.example", "", "cross-site", "", page),
        (PLAIN, "annex.example", "", "same-site", "", page),
        (PLAIN, "annex.example", "", "Cross-Site", "", page),
        (PLAIN, "annex.example", "", "anything", "", page),
        (PLAIN, "annex.example", "https://evil.example", "same-origin", "", page),
        (PLAIN, "annex.example", "http://annex.example", "cross-site", "", page),
        (PLAIN, "annex.example", "null", "", "", page),
        (PLAIN, "annex.example", "http://annex.example.evil.example", "", "", page),
        (PLAIN, "annex.example", "http://user@annex.example", "", "", page),
        (PLAIN, "annex.example:9417", "http://annex.example:9418", "", "", page),
        (PLAIN, "annex.example:9417", "http://annex.example", "", "", page),
        (PLAIN, "annex.example", "http://annex.example:9417", "", "", page),
        (PLAIN, "annex.example:80", "https://annex.example", "", "", page),
        (PLAIN, "annex.example", "file://annex.example", "", "", page),
        (PLAIN, "annex.example", "moz-extension://annex.example", "", "", page),
        (PLAIN, "annex.example", "annex.example", "", "", page),
        (PLAIN, "annex.example", "http://", "", "", page),
        (PLAIN, "annex.example", "http://annex.example:+80", "", "", page),
        // A page that anybody on the way may have written.
        (TLS, "annex.example", "http://annex.example", "", "", page),
        (TLS, "annex.example:443", "http://annex.example:443", "", "", page),
    ] {
        let headers: Vec<_> =
            [("Host", host), ("Origin", origin), ("Sec-Fetch-Site", site), ("X-Forwarded-Host", forwarded)]
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .collect();
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "REMOVE", "post"] {
            assert_eq!(admitted(guard, method, &headers), expected, "{method} {headers:?} {guard:?}");
        }
        for method in ["GET", "HEAD"] {
            assert_eq!(admitted(guard, method, &headers), Ok(()), "{method} {headers:?} {guard:?}");
        }
    }
}

#[test]
fn an_open_server_on_loopback_answers_for_its_own_names_only() {
    for (host, expected) in [
        ("localhost", Ok(())),
        ("LocalHost:9417", Ok(())),
        ("127.0.0.1", Ok(())),
        ("127.0.0.1:9417", Ok(())),
        ("127.8.9.1:80", Ok(())),
        ("[::1]", Ok(())),
        ("[::1]:9417", Ok(())),
        ("[0:0:0:0:0:0:0:1]", Ok(())),
        ("[::ffff:127.0.0.1]:1", Ok(())),
        ("evil.example", Err(Foreign::Name)),
        ("evil.example:9417", Err(Foreign::Name)),
        ("localhost.evil.example", Err(Foreign::Name)),
        ("127.0.0.1.evil.example", Err(Foreign::Name)),
        ("evil.localhost", Err(Foreign::Name)),
        ("localhost.", Err(Foreign::Name)),
        ("127.1", Err(Foreign::Name)),
        ("0.0.0.0", Err(Foreign::Name)),
        ("192.168.1.1", Err(Foreign::Name)),
        ("[::]", Err(Foreign::Name)),
        ("[::ffff:192.168.1.1]", Err(Foreign::Name)),
        ("::1", Err(Foreign::Name)),
        ("[::1", Err(Foreign::Name)),
        ("[::1]x", Err(Foreign::Name)),
        ("[127.0.0.1]", Err(Foreign::Name)),
        ("localhost:x", Err(Foreign::Name)),
        ("localhost:99999", Err(Foreign::Name)),
        ("evil.example@localhost", Err(Foreign::Name)),
        ("localhost:80@evil.example", Err(Foreign::Name)),
        ("", Err(Foreign::Name)),
    ] {
        for method in ["GET", "HEAD", "POST", "OPTIONS"] {
            assert_eq!(admitted(OPEN, method, &[("Host", host)]), expected, "{method} {host:?}");
            assert_eq!(admitted(PLAIN, method, &[("Host", host)]), Ok(()), "{method} {host:?}");
        }
    }
    // What no browser sends may name one word; what one may send may not.
    assert_eq!(admitted(OPEN, "POST", &[("Host", "x")]), Ok(()));
    for more in [("Origin", "http://x"), ("Sec-Fetch-Site", "same-origin")] {
        assert_eq!(admitted(OPEN, "POST", &[("Host", "x"), more]), Err(Foreign::Name), "{more:?}");
    }
    for (method, host) in [("GET", "x"), ("HEAD", "x"), ("POST", "x:80"), ("POST", "x.y")] {
        assert_eq!(admitted(OPEN, method, &[("Host", host)]), Err(Foreign::Name), "{method} {host}");
    }
    // A rebound name is of the same origin as itself.
    let rebound =
        [("Host", "evil.example:9417"), ("Origin", "http://evil.example:9417"), ("Sec-Fetch-Site", "same-origin")];
    assert_eq!(admitted(OPEN, "POST", &rebound), Err(Foreign::Name));
}

#[test]
fn an_absolute_target_says_whom_it_is_for() {
    let text = "POST http://evil.example/git-annex/u/v4/remove HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let (head, _) = parse(text.as_bytes()).expect("a head").expect("all of it");
    assert_eq!((head.origins.host, OPEN.admit(&head)), (Some(&b"evil.example"[..]), Err(Foreign::Name)));
}

/// A forge passes on what it was asked as, over loopback.
#[test]
fn names_of_a_forge_in_front_are_answered_for() {
    let names: &'static [String] = vec!["forge.example.org".to_string()].leak();
    let guard = Guard { names, ..OPEN };
    for (host, origin, expected) in [
        ("forge.example.org", "", Ok(())),
        ("Forge.Example.org:443", "", Ok(())),
        ("forge.example.org", "https://forge.example.org", Ok(())),
        ("forge.example.org", "https://evil.example", Err(Foreign::Page)),
        ("evil.example", "", Err(Foreign::Name)),
        ("forge.example.org.evil.example", "", Err(Foreign::Name)),
        ("xforge.example.org", "", Err(Foreign::Name)),
        ("forge.example.org@evil.example", "", Err(Foreign::Name)),
        ("localhost", "", Ok(())),
    ] {
        let mut headers = vec![("Host", host)];
        if !origin.is_empty() {
            headers.push(("Origin", origin));
        }
        assert_eq!(admitted(guard, "POST", &headers), expected, "{host} {origin}");
    }
}
