//! The one table from errors to replies.

use remotes::{Error, Kind};

use crate::proto::special::Reply;

/// What a reply is for, as far as errors differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// INITREMOTE or PREPARE.
    Ready,
    /// TRANSFER and TRANSFEREXPORT, STORE or RETRIEVE.
    Transfer,
    /// CHECKPRESENT, CHECKPRESENTEXPORT, CHECKPRESENTIMPORT.
    Presence,
    /// REMOVE and REMOVEEXPORT.
    Removal,
    /// RENAMEEXPORT, LISTIMPORTABLECONTENTS, RETRIEVEIMPORT, IMPORTKEY.
    Tree,
}

/// The reply that says `error`. What is positively not there is absent and removed; every other doubt stays one.
pub(super) fn reply(asked: Asked, error: &Error) -> Reply {
    match (asked, error.kind()) {
        (Asked::Presence, Kind::NotFound) => Reply::Absent,
        (Asked::Removal, Kind::NotFound) => Reply::Success,
        (Asked::Presence, _) => Reply::Unknown(error.to_string().into_bytes()),
        (Asked::Ready | Asked::Transfer | Asked::Removal | Asked::Tree, _) => {
            Reply::Failure(error.to_string().into_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use remotes::Op;

    use super::*;

    /// The kind after `kind`; the compiler asks for a place here when there is a new one.
    fn after(kind: Kind) -> Option<Kind> {
        Some(match kind {
            Kind::NotFound => Kind::NoSuchPlace,
            Kind::NoSuchPlace => Kind::WrongKeyId,
            Kind::WrongKeyId => Kind::WrongSecret,
            Kind::WrongSecret => Kind::NoCredentials,
            Kind::NoCredentials => Kind::Denied,
            Kind::Denied => Kind::Dns,
            Kind::Dns => Kind::Refused,
            Kind::Refused => Kind::Reset,
            Kind::Reset => Kind::Timeout,
            Kind::Timeout => Kind::Tls,
            Kind::Tls => Kind::Throttled,
            Kind::Throttled => Kind::Unavailable,
            Kind::Unavailable => Kind::Elsewhere,
            Kind::Elsewhere => Kind::DiskFull,
            Kind::DiskFull => Kind::Reserve,
            Kind::Reserve => Kind::ReadOnly,
            Kind::ReadOnly => Kind::Option,
            Kind::Option => Kind::Truncated,
            Kind::Truncated => Kind::Corrupt,
            Kind::Corrupt => Kind::Unsupported,
            Kind::Unsupported => Kind::TooLarge,
            Kind::TooLarge => Kind::Archived,
            Kind::Archived => Kind::Protocol,
            Kind::Protocol => Kind::Cancelled,
            Kind::Cancelled => Kind::TooLate,
            Kind::TooLate => Kind::Io,
            Kind::Io => Kind::Other,
            Kind::Other => return None,
        })
    }

    #[test]
    fn absence_is_an_answer_and_every_other_kind_a_doubt() {
        let mut next = Some(Kind::NotFound);
        let mut count = 0;
        while let Some(kind) = next {
            let error = Error::new(Op::Stat, kind, "so it is");
            let text = error.to_string().into_bytes();
            let absent = kind == Kind::NotFound;
            let failure = Reply::Failure(text.clone());
            assert_eq!(reply(Asked::Ready, &error), failure, "{kind:?}");
            assert_eq!(reply(Asked::Transfer, &error), failure, "{kind:?}");
            assert_eq!(reply(Asked::Tree, &error), failure, "{kind:?}");
            let presence = if absent { Reply::Absent } else { Reply::Unknown(text) };
            assert_eq!(reply(Asked::Presence, &error), presence, "{kind:?}");
            let removal = if absent { Reply::Success } else { failure };
            assert_eq!(reply(Asked::Removal, &error), removal, "{kind:?}");
            next = after(kind);
            count += 1;
        }
        assert_eq!(count, 28);
    }
}
