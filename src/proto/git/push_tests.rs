use super::*;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const NO: &str = "0000000000000000000000000000000000000000";

fn push(lines: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    lines.iter().for_each(|line| packet::write(line.as_bytes(), &mut out));
    out.extend_from_slice(b"0000PACK...");
    out
}

#[test]
fn commands_are_read_whole_or_not_at_all() {
    let bytes = push(&[
        format!("shallow {A}"),
        format!("{A} {B} refs/heads/main\0 report-status side-band-64k agent=git/2\n"),
        format!("{NO} {B} refs/tags/v1\n"),
    ]);
    let commands = Commands::parse(&bytes).expect("a push").expect("whole");
    assert!(commands.sideband && !commands.signed);
    let names: Vec<_> =
        commands.all.iter().map(|command| String::from_utf8_lossy(&command.name).into_owned()).collect();
    assert_eq!(names, ["refs/heads/main", "refs/tags/v1"]);
    for short in 0..bytes.len() - 7 {
        assert_eq!(Commands::parse(&bytes[..short]), Ok(None), "{short}");
    }
    assert_eq!(Commands::parse(b"0000"), Ok(Some(Commands::default())), "git asks whether it may");
    for line in [
        format!("{A} {B}"),
        format!("{A} {B} "),
        format!("{A}a {B} refs/heads/x"),
        format!("{} {B} refs/heads/x", A.to_uppercase()),
        format!("{A} {B} refs/heads/x:y"),
        format!("{A} {B} refs/heads/x y"),
        format!("{A} {B} !refs/heads/x"),
        format!("{A} {B} refs/heads/x\ny"),
        format!("{A}{A}aaaaaaaaaaaaaaaaaaaaaaaa {B} refs/heads/x"),
        "hello".to_string(),
    ] {
        assert_eq!(Commands::parse(&push(std::slice::from_ref(&line))), Err(BadPush::Malformed), "{line}");
    }
    assert_eq!(Commands::parse(b"0001"), Err(BadPush::Malformed));
    let many: Vec<_> = (0..20_000).map(|n| format!("{A} {B} refs/heads/{n}")).collect();
    assert_eq!(Commands::parse(&push(&many)), Err(BadPush::TooLong));
}

#[test]
fn one_who_may_only_append_sees_no_reference_that_git_would_let_go() {
    for (old, new, name, expected) in [
        (NO, A, "refs/heads/new", "git"),
        (A, B, "refs/heads/main", "git"),
        (A, NO, "refs/heads/main", "git"),
        (NO, A, "refs/tags/v1", "git"),
        (A, B, "refs/tags/v1", "hidden"),
        (A, NO, "refs/tags/v1", "hidden"),
        (NO, A, "refs/replace/aaaa", "hidden"),
        (NO, A, "refs/remotes/x/git-annex", "hidden"),
        (NO, A, "refs/notes/commits", "hidden"),
        (A, B, "HEAD", "hidden"),
        (NO, A, "refs/headsx", "hidden"),
        (A, B, "refs/heads/git-annex", "united"),
        (NO, B, "refs/heads/synced/git-annex", "united"),
        (A, NO, "refs/heads/git-annex", "git"),
        (A, B, "refs/heads/not-git-annex", "git"),
    ] {
        let bytes = push(&[format!("{old} {new} {name}\0 side-band-64k")]);
        let restricted = Commands::parse(&bytes).expect("a push").expect("whole").restricted().expect("it can be");
        let got = match (restricted.hidden.len(), restricted.united.len()) {
            (0, 0) => "git",
            (1, 0) => "hidden",
            (0, 1) => "united",
            _ => "both",
        };
        assert_eq!(got, expected, "{old} {new} {name}");
    }
    let signed = push(&["push-cert\0 side-band-64k".to_string()]);
    let signed = Commands::parse(&signed).expect("a push").expect("whole");
    assert!(signed.signed && signed.restricted().is_none());
    let many = (0..=MOST_HIDDEN).map(|n| Command { old: A.into(), new: B.into(), name: format!("refs/x/{n}").into() });
    assert_eq!(Commands { all: many.collect(), ..Commands::default() }.restricted(), None);
}
