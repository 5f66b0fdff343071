//! What git-annex says: requests, answers to our questions, and the few lines the session handles alone.

use super::name::{FileName, Key, Secret};
use crate::proto::line::split_word;

/// A request of git-annex that the driver has to carry out and reply to.
///
/// Requests not listed here (those of the export and import interface among them) are answered by the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Set the remote up. May come again in another clone, and comes without [`Prepare`](Request::Prepare).
    InitRemote,
    /// Get ready to be used; once per process.
    Prepare,
    /// Store the content of `file` as `key`.
    Store {
        /// The key to store.
        key: Key,
        /// Where its content is.
        file: FileName,
    },
    /// Write the content of `key` to `file`, which may hold the beginning of it from an earlier try.
    Retrieve {
        /// The key to retrieve.
        key: Key,
        /// Where its content goes.
        file: FileName,
    },
    /// Is `key` on the remote?
    CheckPresent {
        /// The key in question.
        key: Key,
    },
    /// Remove `key`; it is a success when it was not there.
    Remove {
        /// The key to remove.
        key: Key,
    },
    /// List the settings of this remote.
    ListConfigs,
    /// How expensive is the remote?
    GetCost,
    /// Does [`Retrieve`](Request::Retrieve) write the file strictly in order?
    GetOrdered,
    /// Where can the remote be reached from? Must not touch the network.
    GetAvailability,
    /// Fields to show in `git annex info`.
    GetInfo,
    /// Where, in words a user can use, is `key`?
    WhereIs {
        /// The key in question.
        key: Key,
    },
    /// Is this url ours to download?
    ClaimUrl {
        /// The url, any bytes.
        url: Vec<u8>,
    },
    /// Can this url be downloaded now?
    CheckUrl {
        /// The url, any bytes.
        url: Vec<u8>,
    },
}

impl Request {
    /// The line git-annex sends for this request, without job tag and newline.
    pub fn encode(&self) -> Vec<u8> {
        let (command, parameters): (&str, &[&[u8]]) = match self {
            Request::InitRemote => ("INITREMOTE", &[]),
            Request::Prepare => ("PREPARE", &[]),
            Request::Store { key, file } => ("TRANSFER STORE", &[key.as_bytes(), file.as_bytes()]),
            Request::Retrieve { key, file } => ("TRANSFER RETRIEVE", &[key.as_bytes(), file.as_bytes()]),
            Request::CheckPresent { key } => ("CHECKPRESENT", &[key.as_bytes()]),
            Request::Remove { key } => ("REMOVE", &[key.as_bytes()]),
            Request::ListConfigs => ("LISTCONFIGS", &[]),
            Request::GetCost => ("GETCOST", &[]),
            Request::GetOrdered => ("GETORDERED", &[]),
            Request::GetAvailability => ("GETAVAILABILITY", &[]),
            Request::GetInfo => ("GETINFO", &[]),
            Request::WhereIs { key } => ("WHEREIS", &[key.as_bytes()]),
            Request::ClaimUrl { url } => ("CLAIMURL", &[url]),
            Request::CheckUrl { url } => ("CHECKURL", &[url]),
        };
        let mut line = command.as_bytes().to_vec();
        for parameter in parameters {
            line.push(b' ');
            line.extend_from_slice(parameter);
        }
        line
    }
}

/// One line of git-annex, job tag removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Incoming {
    /// A request for the driver.
    Request(Request),
    /// The list of extensions git-annex can use.
    Extensions(Vec<u8>),
    /// Answer to a question.
    Value(Vec<u8>),
    /// Answer to GETCREDS.
    Creds { user: Vec<u8>, password: Secret },
    /// git-annex gives up.
    Error(Vec<u8>),
    /// `EXPORT Name` or `IMPORT Name`: no reply is made; it names the file for the request that follows in the same job.
    Name,
    /// A request that this program does not know, or does not support.
    Unsupported,
}

/// A line that begins as the protocol says and does not go on so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

pub(super) fn parse(line: &[u8]) -> Result<Incoming, Malformed> {
    let (command, rest) = split_word(line);
    let request = match command {
        b"INITREMOTE" => nothing("INITREMOTE", rest, Request::InitRemote)?,
        b"PREPARE" => nothing("PREPARE", rest, Request::Prepare)?,
        b"TRANSFER" => transfer(rest).ok_or(Malformed("TRANSFER"))?,
        b"CHECKPRESENT" => Request::CheckPresent { key: key("CHECKPRESENT", rest)? },
        b"REMOVE" => Request::Remove { key: key("REMOVE", rest)? },
        b"LISTCONFIGS" => nothing("LISTCONFIGS", rest, Request::ListConfigs)?,
        b"GETCOST" => nothing("GETCOST", rest, Request::GetCost)?,
        b"GETORDERED" => nothing("GETORDERED", rest, Request::GetOrdered)?,
        b"GETAVAILABILITY" => nothing("GETAVAILABILITY", rest, Request::GetAvailability)?,
        b"GETINFO" => nothing("GETINFO", rest, Request::GetInfo)?,
        b"WHEREIS" => Request::WhereIs { key: key("WHEREIS", rest)? },
        b"CLAIMURL" => Request::ClaimUrl { url: last("CLAIMURL", rest)? },
        b"CHECKURL" => Request::CheckUrl { url: last("CHECKURL", rest)? },
        b"EXTENSIONS" => return Ok(Incoming::Extensions(rest.unwrap_or_default().to_vec())),
        b"VALUE" => return Ok(Incoming::Value(last("VALUE", rest)?)),
        b"CREDS" => return creds(rest).ok_or(Malformed("CREDS")),
        b"ERROR" => return Ok(Incoming::Error(rest.unwrap_or_default().to_vec())),
        // The export and import interface is not offered, so git-annex does not come to these. When it is, the name
        // belongs into the table of jobs, and the requests that follow become variants of `Request` that carry it.
        b"EXPORT" | b"IMPORT" => return Ok(Incoming::Name),
        b"" => return Err(Malformed("an empty line")),
        _ => return Ok(Incoming::Unsupported),
    };
    Ok(Incoming::Request(request))
}

fn nothing(command: &'static str, rest: Option<&[u8]>, request: Request) -> Result<Request, Malformed> {
    match rest {
        None => Ok(request),
        Some(_) => Err(Malformed(command)),
    }
}

fn last(command: &'static str, rest: Option<&[u8]>) -> Result<Vec<u8>, Malformed> {
    rest.map(<[u8]>::to_vec).ok_or(Malformed(command))
}

fn key(command: &'static str, rest: Option<&[u8]>) -> Result<Key, Malformed> {
    rest.and_then(Key::new).ok_or(Malformed(command))
}

fn transfer(rest: Option<&[u8]>) -> Option<Request> {
    let (direction, rest) = split_word(rest?);
    let (key, file) = split_word(rest?);
    let (key, file) = (Key::new(key)?, FileName::new(file?)?);
    match direction {
        b"STORE" => Some(Request::Store { key, file }),
        b"RETRIEVE" => Some(Request::Retrieve { key, file }),
        _ => None,
    }
}

fn creds(rest: Option<&[u8]>) -> Option<Incoming> {
    let (user, password) = split_word(rest?);
    Some(Incoming::Creds { user: user.to_vec(), password: Secret::new(password?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_counted_and_the_last_keeps_its_spaces() {
        let key = Key::new("K").expect("no space");
        let file = |name: &[u8]| FileName::new(name).expect("no newline");
        let table: [(&[u8], Result<Incoming, Malformed>); 16] = [
            (
                b"TRANSFER STORE K a  b ",
                Ok(Incoming::Request(Request::Store { key: key.clone(), file: file(b"a  b ") })),
            ),
            (
                b"TRANSFER RETRIEVE K \xff",
                Ok(Incoming::Request(Request::Retrieve { key: key.clone(), file: file(b"\xff") })),
            ),
            (b"TRANSFER STORE K ", Ok(Incoming::Request(Request::Store { key: key.clone(), file: file(b"") }))),
            (b"TRANSFER STORE K", Err(Malformed("TRANSFER"))),
            (b"TRANSFER STORE  f", Err(Malformed("TRANSFER"))),
            (b"TRANSFER MOVE K f", Err(Malformed("TRANSFER"))),
            (b"TRANSFER", Err(Malformed("TRANSFER"))),
            (b"CHECKPRESENT ", Err(Malformed("CHECKPRESENT"))),
            (b"REMOVE K", Ok(Incoming::Request(Request::Remove { key }))),
            (b"REMOVE a b", Err(Malformed("REMOVE"))),
            (b"PREPARE ", Err(Malformed("PREPARE"))),
            (b"CLAIMURL ", Ok(Incoming::Request(Request::ClaimUrl { url: Vec::new() }))),
            (b"CREDS  ", Ok(Incoming::Creds { user: Vec::new(), password: Secret::new("") })),
            (b"CREDS u p w", Ok(Incoming::Creds { user: b"u".to_vec(), password: Secret::new("p w") })),
            (b"CREDS u", Err(Malformed("CREDS"))),
            (b"VALUE", Err(Malformed("VALUE"))),
        ];
        for (line, expected) in table {
            assert_eq!(parse(line), expected, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn what_is_not_known_is_unsupported_and_not_an_error() {
        for line in ["EXPORTSUPPORTED", "IMPORTSUPPORTED", "TRANSFEREXPORT STORE k f", "FUTURE x", "prepare", "\u{1}"] {
            assert_eq!(parse(line.as_bytes()), Ok(Incoming::Unsupported), "{line}");
        }
    }
}
