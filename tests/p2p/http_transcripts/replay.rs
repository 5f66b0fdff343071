//! Recorded requests, asked of the program itself.

use super::differences::settle;
use super::transcript::{Answer, Exchange, Told, escaped};
use testbed::gateway::Gateway;
use testbed::http::{self, Client};

/// How the bytes of a request arrive.
#[derive(Clone, Copy, PartialEq)]
pub enum Manner {
    /// At once, and on one connection as long as the server keeps it.
    Kept,
    /// So many at a time, each request on a connection of its own.
    Pieces(usize),
}

/// The answer of `server`. `kept` is the connection, for as long as it is kept.
pub fn ask(
    server: &Gateway,
    kept: &mut Option<Client>,
    exchange: &Exchange,
    told: &mut Told,
    manner: Manner,
) -> Answer {
    let mut bytes = exchange.request(told);
    // What clients were recorded with names a host that is none; with --wideopen, ours answers for its own names only.
    if let Some(at) = bytes.windows(9).position(|nine| nine == b"Host: x\r\n") {
        bytes.splice(at..at + 9, *b"Host: localhost\r\n");
    }
    let to_head = bytes.starts_with(b"HEAD ");
    let mut client = kept.take().unwrap_or_else(|| server.connect());
    match manner {
        Manner::Kept => client.send(&bytes),
        // A refusal may come before all of it is sent. Of a large body the pieces are larger, or it would take minutes.
        Manner::Pieces(step) => {
            bytes.chunks(step.max(bytes.len() / 5000)).for_each(|piece| drop(client.try_send(piece)))
        }
    }
    let raw = client.answer(to_head);
    if manner == Manner::Kept && raw.header("connection") != Some("close") {
        *kept = Some(client);
    }
    let mut answer = seen(raw);
    settle(&mut answer, told);
    answer
}

/// The part of an answer that the transcripts hold.
fn seen(answer: http::Answer) -> Answer {
    let compared = ["content-type", "x-git-annex-data-length", "www-authenticate"];
    let mut headers: Vec<_> =
        answer.headers.into_iter().filter(|(name, _)| compared.contains(&name.as_str())).collect();
    headers.sort();
    Answer { status: answer.status, headers, body: escaped(&answer.body) }
}
