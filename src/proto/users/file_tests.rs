use super::*;
use crate::proto::users::rights::Rights;

const WHOLE: &str = "\
# who may come
alice:$2y$05$abcdefghijklmnopqrstuuUO0ia.DNRpY0c0bDasaKMC9101OqwdW
bob : $5$saltsalt$FX9o.c.Ebp63AMveewHJIthA8pC7P7L/gi3LBLh8MK7

[tokens]
laptop alice readonly org/ 2026-11-30 sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
robot - appendonly inbox never sha256:ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff

[rights]
alice full *
anonymous readonly public/
alice none secret

[quotas]
org/ 500GB 20GB
* 2TB -
";

#[test]
fn a_file_is_read_whole() {
    let text = WHOLE.replace("bob : ", "bob:");
    let file = UsersFile::parse(text.as_bytes()).expect("it is right");
    let names: Vec<_> = file.logins.iter().map(|login| login.name.as_str()).collect();
    assert_eq!(names, ["alice", "bob"]);
    assert_eq!(file.tokens[0].user.as_deref(), Some("alice"));
    assert_eq!((file.tokens[0].expires, file.tokens[1].expires), (Some(1_796_083_200), None));
    assert!(file.tokens[0].is_valid(1_796_083_199) && !file.tokens[0].is_valid(1_796_083_200));
    assert_eq!(file.rights.of(b"alice", b"x"), Some(Some(Rights::Full)));
    assert_eq!(file.rights.of(b"alice", b"secret"), Some(None));
    assert!(!file.is_idle());
    let sums: Vec<_> = file.quotas.iter().filter(|quota| quota.fits(b"org/x")).map(|quota| quota.all).collect();
    assert_eq!(sums, [Some(500_000_000_000), Some(2_000_000_000_000)], "all that fit");
    let shown = format!("{file:?}");
    assert!(!shown.contains("$2y$"), "{shown}");
}

#[test]
fn a_file_with_a_fault_is_not_taken_and_the_line_is_named() {
    let with = |line: &str, by: &str| WHOLE.replace("bob : ", "bob:").replace(line, by);
    let token = "robot - appendonly inbox never sha256:";
    for (text, line, why) in [
        (WHOLE.to_string(), 3, "no spaces"),
        (with("bob:$5", "bob:x$5"), 3, "not a hash"),
        (with("bob:", "alice:"), 3, "twice"),
        (with("bob:", ":"), 3, "missing"),
        (with("bob:", "anonymous:"), 3, "anonymous"),
        (with("bob:$5$saltsalt$FX9o.c.Ebp63AMveewHJIthA8pC7P7L/gi3LBLh8MK7", "bob"), 3, "NAME:HASH"),
        (with("[tokens]", "[token]"), 5, "sections"),
        (with("2026-11-30", "tomorrow"), 6, "YYYY-MM-DD"),
        (with(token, "robot - none inbox never sha256:"), 7, "no use"),
        (with(token, "robot - all inbox never sha256:"), 7, "rights are"),
        (with(token, "laptop - full inbox never sha256:"), 7, "twice"),
        (with(token, "robot - full inbox never sha1:"), 7, "digest"),
        (with(token, "robot - full inbox never sha256:0"), 7, "digest"),
        (with("alice none secret", "alice none *"), 12, "two lines"),
        (with("alice none secret", "alice none ../x"), 12, "give repositories"),
        (with("alice none secret", "alice none"), 12, "WHO RIGHTS"),
        (with("* 2TB -", "* 2TB"), 16, "REPOSITORIES ALL LARGEST"),
        (with("* 2TB -", "* lots -"), 16, "a size"),
        (with("* 2TB -", "org/ 1TB -"), 16, "two quotas"),
        (WHOLE.trim_end().to_string(), 0, "no end"),
        ("\u{fffd}".repeat(6_000_000), 0, "16 MiB"),
    ] {
        let bad = UsersFile::parse(text.as_bytes()).expect_err(why);
        assert!(bad.line == line && bad.why.contains(why), "{bad} instead of {line}: {why}");
    }
    assert!(UsersFile::parse(b"\xff\n").is_err());
}

#[test]
fn a_second_file_has_rights_and_quotas_alone_and_none_twice() {
    let first = || UsersFile::parse(b"alice:!\n[quotas]\norg/ 1GB -\n").expect("it is right");
    let with = |text: &str| first().with_rights(UsersFile::parse(text.as_bytes()).expect("it is right"));
    let both = with("[rights]\nalice full *\n[quotas]\n* - 5GB\n").expect("it is right");
    assert_eq!((both.rights.0.len(), both.quotas.len()), (1, 2));
    for (text, why) in [("bob:!\n", "no users"), ("[quotas]\norg/ 2GB -\n", "one in each file")] {
        let bad = with(text).expect_err(why);
        assert!(bad.why.contains(why), "{bad}");
    }
}

#[test]
fn what_nobody_could_use_is_told() {
    for (text, idle) in [
        ("", true),
        ("alice:!\n[rights]\nalice full *\n", true),
        ("alice:$5$saltsalt$FX9o.c.Ebp63AMveewHJIthA8pC7P7L/gi3LBLh8MK7\n", true),
        ("alice:$5$saltsalt$FX9o.c.Ebp63AMveewHJIthA8pC7P7L/gi3LBLh8MK7\n[rights]\nbob full *\n", true),
        ("alice:$5$saltsalt$FX9o.c.Ebp63AMveewHJIthA8pC7P7L/gi3LBLh8MK7\n[rights]\nalice full *\n", false),
        ("[rights]\nanonymous readonly *\n", false),
        ("[quotas]\n* 1GB -\n", true),
    ] {
        assert_eq!(UsersFile::parse(text.as_bytes()).expect("it is right").is_idle(), idle, "{text}");
    }
}
