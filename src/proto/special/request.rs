//! What git-annex asks for.

use super::name::{FileName, Key};

/// A request of git-annex that the driver has to carry out and reply to.
///
/// Requests not listed here are answered by the session. Those of the export and import interface come in two lines, the
/// first of which names a file on the remote: a relative path, as far as git-annex keeps to it.
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
    /// Does it make sense to export trees to this remote? May come before PREPARE.
    ExportSupported,
    /// Store the content of `file` under `name`, in place of what may be there.
    StoreExport {
        /// The key whose content it is.
        key: Key,
        /// Its name on the remote.
        name: FileName,
        /// Where its content is.
        file: FileName,
    },
    /// Write what is at `name` to `file`, which may hold the beginning of it from an earlier try.
    RetrieveExport {
        /// The key whose content is wanted.
        key: Key,
        /// Its name on the remote.
        name: FileName,
        /// Where its content goes.
        file: FileName,
    },
    /// Is the content of `key` at `name`?
    CheckPresentExport {
        /// The key in question.
        key: Key,
        /// Its name on the remote.
        name: FileName,
    },
    /// Remove what is at `name`; it is a success when nothing was there.
    RemoveExport {
        /// The key whose content it is.
        key: Key,
        /// Its name on the remote.
        name: FileName,
    },
    /// Remove a directory, as far as it is empty; it is a success when it was not there.
    RemoveExportDirectory {
        /// Its name on the remote.
        directory: FileName,
    },
    /// Give what is at `name` another name, in place of what may be there.
    RenameExport {
        /// The key whose content it is.
        key: Key,
        /// Its name on the remote.
        name: FileName,
        /// The new name.
        to: FileName,
    },
    /// Does it make sense to import trees from this remote? May come before PREPARE.
    ImportSupported,
    /// Tell all files there are, each by a [`Note::Importable`](super::Note::Importable).
    ListImportable,
    /// Write what is at `name` to `file`, which may hold the beginning of it from an earlier try.
    RetrieveImport {
        /// Its name on the remote.
        name: FileName,
        /// Where its content goes.
        file: FileName,
    },
    /// Is the content of `key` at `name`?
    CheckPresentImport {
        /// The key in question.
        key: Key,
        /// Its name on the remote.
        name: FileName,
    },
    /// Make a key for what is at `name`, without its content coming here.
    ImportKey {
        /// Its name on the remote.
        name: FileName,
        /// Its length in bytes, as it was listed.
        size: u64,
        /// What it was listed with.
        id: Vec<u8>,
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
    /// The line git-annex sends before this request to name a file on the remote, if it does. No job tag, no newline.
    pub fn named(&self) -> Option<Vec<u8>> {
        let (word, name) = match self {
            Request::StoreExport { name, .. }
            | Request::RetrieveExport { name, .. }
            | Request::CheckPresentExport { name, .. }
            | Request::RemoveExport { name, .. }
            | Request::RenameExport { name, .. } => ("EXPORT ", name),
            Request::RetrieveImport { name, .. }
            | Request::CheckPresentImport { name, .. }
            | Request::ImportKey { name, .. } => ("IMPORT ", name),
            _ => return None,
        };
        Some([word.as_bytes(), name.as_bytes()].concat())
    }

    /// The line git-annex sends for this request, without job tag and newline.
    pub fn encode(&self) -> Vec<u8> {
        let number;
        let (command, parameters): (&str, &[&[u8]]) = match self {
            Request::ExportSupported => ("EXPORTSUPPORTED", &[]),
            Request::StoreExport { key, file, .. } => ("TRANSFEREXPORT STORE", &[key.as_bytes(), file.as_bytes()]),
            Request::RetrieveExport { key, file, .. } => {
                ("TRANSFEREXPORT RETRIEVE", &[key.as_bytes(), file.as_bytes()])
            }
            Request::CheckPresentExport { key, .. } => ("CHECKPRESENTEXPORT", &[key.as_bytes()]),
            Request::RemoveExport { key, .. } => ("REMOVEEXPORT", &[key.as_bytes()]),
            Request::RemoveExportDirectory { directory } => ("REMOVEEXPORTDIRECTORY", &[directory.as_bytes()]),
            Request::RenameExport { key, to, .. } => ("RENAMEEXPORT", &[key.as_bytes(), to.as_bytes()]),
            Request::ImportSupported => ("IMPORTSUPPORTED", &[]),
            Request::ListImportable => ("LISTIMPORTABLECONTENTS", &[]),
            Request::RetrieveImport { file, .. } => ("RETRIEVEIMPORT", &[file.as_bytes()]),
            Request::CheckPresentImport { key, .. } => ("CHECKPRESENTIMPORT", &[key.as_bytes()]),
            Request::ImportKey { size, id, .. } => {
                number = size.to_string();
                ("IMPORTKEY", &[number.as_bytes(), id])
            }
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
