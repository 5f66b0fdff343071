//! Every exchange of `testdata/http/` with the program itself, on a repository like the recorded one.

use crate::http_transcripts::differences;
use crate::http_transcripts::replay;
use crate::http_transcripts::transcript;

use differences::DIFFERENCES;
use replay::{Manner, ask};
use testbed::annex::Repo;
use testbed::gateway::{Gateway, eventually};
use testbed::run::run;
use transcript::{Answer, Told};

const GATEWAY: &str = "00000000-0000-4000-8000-00000000a001";

/// Flags with which ours does not start, and what it says. Theirs starts, and lets nobody log in, or everyone do everything.
const REFUSED: &[(&str, &str)] = &[
    ("", "nobody could do anything"),
    ("--authenv --unauth-readonly", "lets users log in over HTTPS only"),
    ("--authenv-http --wideopen", "--authenv-http changes nothing beside --wideopen"),
];

#[test]
fn every_exchange_on_kept_connections_is_answered_as_recorded_or_as_listed() {
    replay(Manner::Kept);
}

#[test]
fn every_exchange_in_pieces_is_answered_as_recorded_or_as_listed() {
    replay(Manner::Pieces(7));
}

fn replay(manner: Manner) {
    let all = transcript::all();
    let mut repo = recorded();
    let (mut file, mut flags, mut told) = ("", "", Told::default());
    let (mut server, mut client, mut closed) = (None, None, false);
    let mut used = vec![false; DIFFERENCES.len()];
    let (mut replayed, mut wrong) = (0, Vec::new());
    for exchange in &all {
        if !file.is_empty() && file != exchange.file {
            server = None;
            (repo, told) = (recorded(), Told::default());
        }
        file = &exchange.file;
        if let Some(next) = &exchange.flags {
            (flags, client) = (next, None);
            drop(server.take());
            server = start(&repo, flags);
        }
        let Some(server) = &server else { continue };
        if let Some((key, bytes)) = &exchange.partial {
            std::fs::write(repo.dir().join(".git/annex/tmp").join(key), bytes).expect("written");
        }
        replayed += 1;
        let place = format!("{file}, {flags}, {}", exchange.name);
        let ours = DIFFERENCES.iter().find(|difference| difference.concerns(exchange, flags));
        let compare = |answer: &Answer| match ours {
            None => *answer == exchange.answer,
            Some(ours) => (answer.status, answer.body.as_str()) == (ours.status, ours.body),
        };
        if exchange.closed {
            let mut gone = server.connect();
            gone.send(exchange.request(&told));
            closed = true;
            continue;
        }
        let mut answer = ask(server, &mut client, exchange, &mut told, manner);
        if std::mem::take(&mut closed) {
            // The server may not have noticed yet that the client has gone.
            eventually(&format!("{place}: {answer:?}"), || {
                answer = ask(server, &mut client, exchange, &mut told, manner);
                compare(&answer)
            });
            // What it had begun is in the way of the next put until it is given up.
            eventually(&place, || server.metric("uploads") == 0);
        }
        if !compare(&answer) {
            let why = ours.map_or("", |ours| ours.why);
            wrong.push(format!("{place}\n    ours: {answer:?}\nrecorded: {:?} {why}", exchange.answer));
        }
        if let Some(at) = DIFFERENCES.iter().position(|difference| difference.concerns(exchange, flags)) {
            used[at] = true;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(replayed > 780, "sections are missing: {replayed} of {} exchanges", all.len());
    assert!(used.iter().all(|used| *used), "differences that no transcript shows: {used:?}");
}

/// A repository as it was when the recording began.
fn recorded() -> Repo {
    let repo = Repo::with_uuid(GATEWAY);
    std::fs::write(repo.dir().join("f.txt"), "hello annex").expect("a file");
    repo.annex(&["add", "--quiet", "f.txt"]).ok();
    repo
}

/// A server with `flags`; none where it refuses them, as it should.
fn start(repo: &Repo, flags: &str) -> Option<Gateway> {
    let mut command = Gateway::command(repo);
    command.args(["--bind", "127.0.0.1", "--port", "0"]).args(flags.split_whitespace());
    // Theirs was recorded with them always; ours takes none where nobody can log in.
    if flags.contains("--authenv") {
        command.envs([
            ("GIT_ANNEX_P2PHTTP_PASSWORD_alice", "pw1"),
            ("GIT_ANNEX_P2PHTTP_PASSWORD_bob", "pw2"),
            ("GIT_ANNEX_P2PHTTP_PERMISSIONS_bob", "readonly"),
            ("GIT_ANNEX_P2PHTTP_PASSWORD_carol", "pw3"),
            ("GIT_ANNEX_P2PHTTP_PERMISSIONS_carol", "appendonly"),
        ]);
    }
    match REFUSED.iter().find(|(refused, _)| *refused == flags) {
        None => Some(Gateway::start(&mut command)),
        Some((_, words)) => {
            let done = run(&mut command, testbed::gateway::SOON).failed();
            assert!(done.stderr.contains(words) && done.stderr.lines().count() == 1, "{flags:?}: {}", done.stderr);
            None
        }
    }
}
