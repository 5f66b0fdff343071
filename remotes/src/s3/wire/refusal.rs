//! Answers that come before the server has everything.

use std::io;
use std::time::Duration;

use super::link::Link;
use super::{Pool, Response};
use crate::{Error, Kind, Op, Result};

/// How long the answer may take that explains why the server closed the connection.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// What a server says that answers, or closes its end, before it has everything. Nothing but a refusal is believed then.
pub(super) async fn refusal(op: Op, link: Link, pool: &Pool, otherwise: io::Error) -> Result<Response> {
    match Response::read(op, link, pool, LAST_WORDS).await {
        Ok(response) if response.status() >= 300 => Ok(response),
        Ok(_) => Err(early(op)),
        Err(e) if e.kind() == Kind::Protocol => Err(e),
        Err(_) => Err(Error::io(op, "sending", otherwise)),
    }
}

/// An answer to a request that was sent to its end. Errors: the server cannot have had all of it yet.
pub(super) fn whole(op: Op, response: Response, payload: bool) -> Result<Response> {
    if payload && response.status() < 300 && response.is_early() { Err(early(op)) } else { Ok(response) }
}

fn early(op: Op) -> Error {
    Error::new(op, Kind::Protocol, "the server reported success before everything was sent")
}
