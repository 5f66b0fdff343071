//! What git-annex says: requests, answers to our questions, and the few lines the session handles alone.

use super::name::{FileName, Key, Secret};
use super::request::Request;
use crate::proto::line::{parse_number, split_word};

/// The name of a file on the remote, for the request that follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    Export(FileName),
    Import(FileName),
}

impl Name {
    pub(super) fn as_bytes(&self) -> &[u8] {
        let (Name::Export(name) | Name::Import(name)) = self;
        name.as_bytes()
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
    Name(Name),
    /// A request that this program does not know, or does not support.
    Unsupported,
}

/// A line that begins as the protocol says and does not go on so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// `name` is what the line before this one named, and is taken by a request that needs it.
pub(super) fn parse(line: &[u8], name: &mut Option<Name>) -> Result<Incoming, Malformed> {
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
        b"EXPORT" => return Ok(Incoming::Name(Name::Export(file("EXPORT", rest)?))),
        b"IMPORT" => return Ok(Incoming::Name(Name::Import(file("IMPORT", rest)?))),
        b"" => return Err(Malformed("an empty line")),
        _ => match tree(command, rest, name)? {
            Some(request) => request,
            None => return Ok(Incoming::Unsupported),
        },
    };
    Ok(Incoming::Request(request))
}

/// The requests of the export and import interface.
fn tree(command: &[u8], rest: Option<&[u8]>, name: &mut Option<Name>) -> Result<Option<Request>, Malformed> {
    Ok(Some(match command {
        b"EXPORTSUPPORTED" => nothing("EXPORTSUPPORTED", rest, Request::ExportSupported)?,
        b"TRANSFEREXPORT" => {
            let name = exported("TRANSFEREXPORT", name)?;
            match transfer(rest).ok_or(Malformed("TRANSFEREXPORT"))? {
                Request::Store { key, file } => Request::StoreExport { key, name, file },
                Request::Retrieve { key, file } => Request::RetrieveExport { key, name, file },
                _ => return Err(Malformed("TRANSFEREXPORT")),
            }
        }
        b"CHECKPRESENTEXPORT" => Request::CheckPresentExport {
            key: key("CHECKPRESENTEXPORT", rest)?,
            name: exported("CHECKPRESENTEXPORT", name)?,
        },
        b"REMOVEEXPORT" => {
            Request::RemoveExport { key: key("REMOVEEXPORT", rest)?, name: exported("REMOVEEXPORT", name)? }
        }
        b"REMOVEEXPORTDIRECTORY" => Request::RemoveExportDirectory { directory: file("REMOVEEXPORTDIRECTORY", rest)? },
        b"RENAMEEXPORT" => {
            let (word, to) = split_word(rest.ok_or(Malformed("RENAMEEXPORT"))?);
            let (key, to) = (key("RENAMEEXPORT", Some(word))?, file("RENAMEEXPORT", to)?);
            Request::RenameExport { key, name: exported("RENAMEEXPORT", name)?, to }
        }
        b"IMPORTSUPPORTED" => nothing("IMPORTSUPPORTED", rest, Request::ImportSupported)?,
        b"LISTIMPORTABLECONTENTS" => nothing("LISTIMPORTABLECONTENTS", rest, Request::ListImportable)?,
        b"RETRIEVEIMPORT" => {
            Request::RetrieveImport { name: imported("RETRIEVEIMPORT", name)?, file: file("RETRIEVEIMPORT", rest)? }
        }
        b"CHECKPRESENTIMPORT" => Request::CheckPresentImport {
            key: key("CHECKPRESENTIMPORT", rest)?,
            name: imported("CHECKPRESENTIMPORT", name)?,
        },
        b"IMPORTKEY" => {
            let (size, id) = split_word(rest.ok_or(Malformed("IMPORTKEY"))?);
            let size = parse_number(size).ok_or(Malformed("IMPORTKEY"))?;
            Request::ImportKey { name: imported("IMPORTKEY", name)?, size, id: last("IMPORTKEY", id)? }
        }
        _ => return Ok(None),
    }))
}

fn exported(command: &'static str, name: &mut Option<Name>) -> Result<FileName, Malformed> {
    match name.take() {
        Some(Name::Export(name)) => Ok(name),
        _ => Err(Malformed(command)),
    }
}

fn imported(command: &'static str, name: &mut Option<Name>) -> Result<FileName, Malformed> {
    match name.take() {
        Some(Name::Import(name)) => Ok(name),
        _ => Err(Malformed(command)),
    }
}

fn file(command: &'static str, rest: Option<&[u8]>) -> Result<FileName, Malformed> {
    rest.and_then(FileName::new).ok_or(Malformed(command))
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
            assert_eq!(parse(line, &mut None), expected, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn requests_for_a_named_file_need_a_name_of_their_kind() {
        let file = |name: &[u8]| FileName::new(name).expect("no newline");
        let (export, import) = (Name::Export(file(b"a  b ")), Name::Import(file(b"\xff")));
        let lines: [(&[u8], &Name); 8] = [
            (b"TRANSFEREXPORT STORE K f", &export),
            (b"TRANSFEREXPORT RETRIEVE K f g", &export),
            (b"CHECKPRESENTEXPORT K", &export),
            (b"REMOVEEXPORT K", &export),
            (b"RENAMEEXPORT K a b ", &export),
            (b"RETRIEVEIMPORT f g", &import),
            (b"CHECKPRESENTIMPORT K", &import),
            (b"IMPORTKEY 7 a b", &import),
        ];
        for (line, name) in lines {
            let mut given = Some(name.clone());
            let Ok(Incoming::Request(request)) = parse(line, &mut given) else { panic!("{}", line.escape_ascii()) };
            assert_eq!(given, None, "a name is for one request");
            assert_eq!(request.encode(), line);
            assert!(request.named().expect("named").ends_with(&[b" ", name.as_bytes()].concat()));
            let other = if name == &export { &import } else { &export };
            for wrong in [None, Some(other.clone())] {
                assert!(parse(line, &mut wrong.clone()).is_err(), "{} after {wrong:?}", line.escape_ascii());
            }
        }
        for bad in ["TRANSFEREXPORT STORE K", "TRANSFEREXPORT MOVE K f", "RENAMEEXPORT K", "REMOVEEXPORT a b", "EXPORT"]
        {
            assert!(parse(bad.as_bytes(), &mut Some(export.clone())).is_err(), "{bad}");
        }
        for bad in ["IMPORTKEY x id", "IMPORTKEY 7", "IMPORTKEY", "LISTIMPORTABLECONTENTS x", "RETRIEVEIMPORT"] {
            assert!(parse(bad.as_bytes(), &mut Some(import.clone())).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_known_is_unsupported_and_not_an_error() {
        for line in ["EXPORTS", "IMPORTSUPPORTED2", "TRANSFERIMPORT STORE k f", "FUTURE x", "prepare", "\u{1}"] {
            assert_eq!(parse(line.as_bytes(), &mut None), Ok(Incoming::Unsupported), "{line}");
        }
    }
}
