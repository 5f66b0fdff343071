//! What the server receives, and what it can reply.

use std::fmt;

use super::file::AssociatedFile;
use crate::name::{Key, Uuid};

/// Something the driver has to act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The client asks for something; [`Server::reply`](super::Server::reply) ends it, or takes it a step further.
    Request(Request),
    /// The client names gateways of a cluster not to go through, from now on. No reply is made.
    Bypass(Vec<Uuid>),
    /// The lock is to be let go: the client said so, said something else, or is gone. No reply is made.
    Unlock,
    /// PUT goes on: `len` bytes of content follow, from the offset that was asked for.
    ///
    /// They are what [`take_payload`](super::Server::take_payload) gives, and after that what the connection gives.
    Payload {
        /// How many, in bytes. The client chose it: it may be any number, whatever the key tells.
        len: u64,
    },
    /// PUT goes on: all of the payload was taken, and this is what the client thinks of it. A reply is due: whether
    /// the content is stored.
    ///
    /// `false`: the content changed while it was sent. What was received may serve a later PUT.
    Verdict {
        /// Whether what was sent is the content.
        valid: bool,
    },
    /// PUT goes on: the client stored the content by another way. A reply is due: whether it is there.
    DataPresent,
    /// PUT came to nothing: the client broke it off. No reply is made. What was received may serve a later PUT.
    Abandoned,
    /// GET is over: whether the client took what was sent. No reply is made.
    Got(bool),
    /// The conversation is over. Once the output is written, the connection can be closed.
    Close(Close),
}

/// What a client can ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Is it there? Success, Failure, Error.
    CheckPresent(Key),
    /// Keep it from being removed until [`Event::Unlock`]. Success, Failure, Error.
    Lock(Key),
    /// Remove it; it is a success when it was not there. Success, Failure, Error.
    Remove(Key),
    /// Remove it, unless the clock that answers [`Timestamp`](Request::Timestamp) is past this. Success, Failure, Error.
    RemoveBefore {
        /// In seconds.
        timestamp: i64,
        /// The key to remove.
        key: Key,
    },
    /// Send it. Data, then [`Server::sent`](super::Server::sent); Error. Absent content is `Data(0)` and `sent(false)`.
    Get {
        /// Where to begin, in bytes; past the end there is nothing to send, and that is no error.
        offset: u64,
        /// The name of a file it is for, if any.
        file: AssociatedFile,
        /// The key to send.
        key: Key,
    },
    /// May the client send it? PutFrom, AlreadyHave, Error; then, after what PutFrom leads to, Success, Failure, Error.
    Put {
        /// The name of a file it is for, if any.
        file: AssociatedFile,
        /// The key to store.
        key: Key,
    },
    /// What does the clock say? Timestamp, Error.
    Timestamp,
}

/// What can be said to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Done; also in these other repositories, which versions that cannot say so leave out.
    Success(Vec<Uuid>),
    /// Not done; but in these other repositories, which versions that cannot say so leave out.
    Failure(Vec<Uuid>),
    /// Send the content from this offset, in bytes.
    PutFrom(u64),
    /// No need to send: it is there, and in these other repositories.
    AlreadyHave(Vec<Uuid>),
    /// This many bytes of content come now. The driver sends them behind the output, then says
    /// [`sent`](super::Server::sent).
    Data(u64),
    /// The clock, in seconds.
    Timestamp(u64),
    /// It went wrong, or could not be told. The connection stays open. One line; control characters become spaces.
    Error(Vec<u8>),
}

/// A reply that does not fit what was asked, or no reply is due. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misuse;

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this reply does not fit what was asked")
    }
}

impl std::error::Error for Misuse {}

/// Why a conversation is over. `Display` is a line for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// The client left between two requests, or where nothing is lost by it.
    Left,
    /// The client left in the middle of a payload.
    CutShort,
    /// The client said ERROR where a request was expected.
    PeerError,
    /// CONNECT git-receive-pack on a connection that may not write.
    Denied,
    /// CONNECT: git is not served over this protocol.
    NoRelay,
    /// NOTIFYCHANGE: changes are not told over this protocol.
    NoNotice,
    /// A line was longer than [`LINE_LIMIT`](super::LINE_LIMIT).
    LongLine,
}

impl Close {
    /// The exit status git-annex-shell has in this case.
    pub fn status(self) -> u8 {
        match self {
            Close::Left | Close::PeerError | Close::Denied => 0,
            Close::CutShort | Close::NoRelay | Close::NoNotice | Close::LongLine => 1,
        }
    }
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Close::Left => "the client is done",
            Close::CutShort => "the client left in the middle of a transfer",
            Close::PeerError => "the client reported an error",
            Close::Denied => "write access denied",
            Close::NoRelay => "relaying to git not supported on this connection",
            Close::NoNotice => "change notification not available",
            Close::LongLine => "protocol error: a line is too long",
        })
    }
}
