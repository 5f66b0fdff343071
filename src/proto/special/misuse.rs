//! What a driver must not send.

use std::fmt;

/// The driver said something that must not be said here. All but [`Ended`](Misuse::Ended) are bugs of the driver.
///
/// Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misuse {
    /// The session is over; what was meant for it is of no use to anyone any more.
    Ended,
    /// No request runs on this job.
    NoRequest,
    /// The reply does not belong to the request that runs on this job.
    WrongReply,
    /// A question of this job is not answered yet.
    Unanswered,
    /// PROGRESS outside of a transfer.
    NotATransfer,
    /// A file of the remote outside of a listing.
    NotAListing,
    /// git-annex did not negotiate the extension that this message needs.
    NotNegotiated,
    /// A value holds a newline.
    Newline,
    /// A value that another one follows holds a space.
    Space,
    /// The name of a setting is empty.
    NoName,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Misuse::Ended => "the session with git-annex is over",
            Misuse::NoRequest => "no request runs on this job",
            Misuse::WrongReply => "the reply does not belong to the request of this job",
            Misuse::Unanswered => "a question of this job is not answered yet",
            Misuse::NotATransfer => "progress outside of a transfer",
            Misuse::NotAListing => "a file of the remote outside of a listing",
            Misuse::NotNegotiated => "git-annex did not negotiate this message",
            Misuse::Newline => "a value must not contain a newline",
            Misuse::Space => "a value must not contain a space here",
            Misuse::NoName => "a setting must have a name",
        })
    }
}

impl std::error::Error for Misuse {}
