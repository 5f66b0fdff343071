//! Every exchange of `testdata/http/` with remotes behind the repository, with the program itself.

use crate::http_transcripts::behind;
use crate::http_transcripts::replay;
use crate::http_transcripts::transcript;

use behind::BEHIND;
use replay::{Manner, ask};
use testbed::annex::Repo;
use testbed::gateway::{Gateway, eventually};
use testbed::place::{Place, Whose};
use testbed::proxy::stream;
use transcript::{Answer, Told};

const GATEWAY: &str = "00000000-0000-4000-8000-00000000a001";
const SPECIAL: &str = "00000000-0000-4000-8000-00000000d001";
const GIT: &str = "00000000-0000-4000-8000-00000000b001";

#[test]
fn every_exchange_with_remotes_of_git_annexs_own_type_is_answered_as_recorded_or_as_listed() {
    replay(Whose::Theirs, Manner::Kept);
}

#[test]
fn every_exchange_with_remotes_of_ours_in_pieces_is_answered_as_recorded_or_as_listed() {
    replay(Whose::Ours, Manner::Pieces(7));
}

/// A repository with remotes behind it, as it was when the recording began.
struct Lab {
    repo: Repo,
    _place: Place,
    _git: Repo,
}

impl Lab {
    fn new(whose: Whose) -> Lab {
        let (repo, place, git) = (Repo::with_uuid(GATEWAY), Place::fs(), Repo::with_uuid(GIT));
        std::fs::write(repo.dir().join("f.txt"), "hello annex").expect("a file");
        repo.annex(&["add", "--quiet", "f.txt"]).ok();
        repo.initremote("d1", &place, whose, &[&format!("uuid={SPECIAL}")]).ok();
        repo.git(&["remote", "add", "n1", &git.dir().display().to_string()]).ok();
        for name in ["d1", "n1"] {
            repo.git(&["config", &format!("remote.{name}.annex-proxy"), "true"]).ok();
            repo.annex(&["copy", "--quiet", "--to", name, "f.txt"]).ok();
        }
        stream(&repo, &["updateproxy"]).ok();
        Lab { repo, _place: place, _git: git }
    }
}

fn replay(whose: Whose, manner: Manner) {
    let all = transcript::proxied();
    let lab = Lab::new(whose);
    let (mut file, mut flags, mut told) = ("", String::new(), Told::default());
    let (mut server, mut client, mut closed) = (None::<Gateway>, None, false);
    let (mut used, mut wrong) = (vec![false; BEHIND.len()], Vec::new());
    for exchange in &all {
        if file != exchange.file {
            (file, told) = (&exchange.file, Told::default());
        }
        // The real server was started anew where it had hung; ours goes on.
        if let Some(next) = exchange.flags.as_ref().filter(|next| **next != flags) {
            (flags, client) = (next.clone(), None);
            drop(server.take());
            server = Some(Gateway::serve(&lab.repo, &flags.split_whitespace().collect::<Vec<_>>()));
        }
        let server = server.as_ref().expect("flags come first");
        let place = format!("{file}, {flags}, {}", exchange.name);
        if exchange.closed {
            server.connect().send(exchange.request(&told));
            closed = true;
            continue;
        }
        let ours = BEHIND.iter().position(|one| one.concerns(exchange));
        let compare = |answer: &Answer| match ours.map(|at| &BEHIND[at]) {
            None => *answer == exchange.answer,
            Some(ours) => (answer.status, answer.body.as_str()) == (ours.status, ours.body),
        };
        let mut answer = ask(server, &mut client, exchange, &mut told, manner);
        if std::mem::take(&mut closed) {
            // The server may not have noticed yet that the client has gone.
            eventually(&format!("{place}: {answer:?}"), || {
                answer = ask(server, &mut client, exchange, &mut told, manner);
                compare(&answer)
            });
            eventually(&place, || server.metric("uploads") == 0);
        }
        if !compare(&answer) {
            wrong.push(format!("{place}\n    ours: {answer:?}\nrecorded: {:?}", exchange.answer));
        }
        if let Some(at) = ours {
            used[at] = true;
            assert_ne!(answer, exchange.answer, "no difference any more: {place}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(all.len() > 300, "exchanges are missing: {}", all.len());
    assert!(used.iter().all(|used| *used), "differences that no transcript shows: {used:?}");
}

#[test]
fn every_difference_is_a_line_of_the_documentation() {
    let page = include_str!("../../docs/protocols.md");
    for one in BEHIND {
        let named = [" |", " ("].iter().any(|end| page.contains(&format!("\n| {}{end}", one.name)));
        assert!(named, "docs/protocols.md has no line for {}", one.name);
    }
}
