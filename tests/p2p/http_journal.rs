//! When what clients did is in the git-annex branch, as recorded of git-annex or as listed.

use crate::http_transcripts::transcript;

use std::time::{Duration, Instant};

use testbed::annex::Repo;
use testbed::gateway::{Gateway, eventually};
use transcript::{Exchange, Told};

const GATEWAY: &str = "00000000-0000-4000-8000-00000000a001";

/// What is done otherwise: when, what git-annex has recorded then, what is recorded here, and why.
const DIFFERENCES: &[(&str, &str, &str, &str)] = &[(
    "after SIGTERM",
    "journal SECONDSs 0 00000000-0000-4000-8000-00000000a001, branch SECONDSs 1 00000000-0000-4000-8000-00000000a001",
    "journal nothing, branch SECONDSs 0 00000000-0000-4000-8000-00000000a001",
    "it may be long until somebody else commits it",
)];

#[test]
fn records_are_in_the_journal_at_once_and_in_the_branch_in_time_and_after_sigterm() {
    let repo = Repo::with_uuid(GATEWAY);
    let mut server = Some(Gateway::serve(&repo, &["--wideopen"]));
    let all: Vec<Exchange> = transcript::all().into_iter().filter(|exchange| exchange.file == "19-journal").collect();
    let mut within = Vec::new();
    let mut observed = 0;
    for exchange in &all {
        let client = &mut server.as_ref().expect("SIGTERM is last").connect();
        client.send(exchange.request(&Told::default()));
        let answer = client.answer(false);
        let answered = Instant::now();
        assert_eq!((answer.status, answer.text()), (200, exchange.answer.body.clone()), "{}", exchange.name);
        let (_, rest) = exchange.head.split_once("key=").expect("it is about a key");
        let (key, _) = rest.split_once('&').expect("and has a client");
        for (when, theirs) in &exchange.observed {
            observed += 1;
            let place = format!("{}, {when}", exchange.name);
            match when.as_str() {
                // At that time it was in git-annex's journal. Here it may be committed already, if this is late.
                "0 s" | "0.1 s" => assert_eq!(counts(&recorded(&repo, key)), counts(theirs), "{place}"),
                "3 s" => {
                    eventually(&place, || recorded(&repo, key) == *theirs);
                    within.push(answered.elapsed());
                }
                _ => {
                    server.take().expect("SIGTERM is last").stop();
                    let (_, named, ours, _) =
                        DIFFERENCES.iter().find(|(name, ..)| name == when).unwrap_or_else(|| panic!("{place}"));
                    assert_eq!(theirs, named, "{place}");
                    assert_eq!(recorded(&repo, key), *ours, "{place}");
                }
            }
        }
    }
    assert_eq!((all.len(), observed), (6, 10), "all that was recorded");
    // A busy computer may be late; it is not late each time.
    assert!(within.iter().any(|time| *time < Duration::from_secs(3)), "{within:?}");
    repo.git(&["fsck", "--strict"]).ok();
}

#[test]
fn every_difference_is_named_in_the_documentation() {
    let page = include_str!("../../docs/protocols.md");
    for (name, _, _, why) in DIFFERENCES {
        assert!(page.contains(&format!("`{name}`")), "docs/protocols.md does not name `{name}`: {why}");
    }
}

/// The location log of `key`, in the words of the transcript.
fn recorded(repo: &Repo, key: &str) -> String {
    let journal = repo.dir().join(".git/annex/journal");
    let is_log = |name: &std::path::Path| name.to_string_lossy().ends_with(&format!("{key}.log"));
    let entries = std::fs::read_dir(journal).into_iter().flatten().flatten().map(|entry| entry.path());
    // It may be committed, and gone, while this looks.
    let journal: Option<String> =
        entries.filter(|path| is_log(path)).find_map(|path| std::fs::read_to_string(path).ok());
    let branch = repo.git(&["grep", "-h", "", "git-annex", "--", &format!("*{key}.log")]).stdout;
    let told = |text: &str| match text.trim_end() {
        "" => "nothing".to_string(),
        text => match text.split_once("s ") {
            Some((time, rest)) if time.parse::<f64>().is_ok() => format!("SECONDSs {rest}"),
            _ => format!("{text:?}"),
        },
    };
    format!("journal {}, branch {}", told(&journal.unwrap_or_default()), told(&branch))
}

/// The line that counts: the journal's, where it has one.
fn counts(state: &str) -> &str {
    let (journal, branch) = state.split_once(", branch ").expect("journal and branch");
    match journal.strip_prefix("journal ") {
        Some("nothing") | None => branch,
        Some(line) => line,
    }
}

/// A server that was killed after content was in its place, and before that was recorded.
#[test]
fn content_that_is_here_and_not_recorded_is_recorded_when_it_comes_again() {
    let content = b"here already";
    let key = testbed::wire::key_of(content);
    for again in ["put", "putoffset"] {
        let repo = Repo::with_uuid(GATEWAY);
        let server = Gateway::serve(&repo, &["--wideopen"]);
        let mut wire = testbed::wire::Wire::of(repo, server);
        let line = format!("1 {GATEWAY}");
        wire.put(&key, content);
        eventually("it is recorded", || recorded(&wire.repo, &key).contains(&line));
        wire.server.stop();
        wire.repo.git(&["update-ref", "-d", "refs/heads/git-annex"]).ok();
        assert!(!recorded(&wire.repo, &key).contains(&line), "nobody knows of it");
        let server = Gateway::serve(&wire.repo, &["--wideopen"]);
        wire = testbed::wire::Wire::of(wire.repo, server);
        let answer = match again {
            "put" => wire.put(&key, content).text(),
            _ => wire.ask("putoffset", &key),
        };
        let told = [r#""stored":true"#, r#""alreadyhave":true"#];
        assert!(told.iter().any(|told| answer.contains(told)), "{again}: {answer}");
        eventually(&format!("it is recorded by {again}"), || recorded(&wire.repo, &key).contains(&line));
        wire.server.stop();
    }
}
