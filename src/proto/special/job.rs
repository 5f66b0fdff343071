//! Jobs: which request runs where, which reply may end it, which answer it waits for.

use super::Extensions;
use super::misuse::Misuse;
use super::name::{Key, Secret};
use super::reply::{Answer, Availability, Query, Reach, Reply, UrlPart};
use super::request::Request;
use super::wire::{Message, Param};

/// Where a request runs: one of many with ASYNC, the only one without.
///
/// git-annex reuses the numbers at once, and they are not tied to a key: a job means something only between a request
/// and its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Job(pub(super) Option<u64>);

impl Job {
    /// The job of this number with ASYNC, the only one without a number.
    pub fn new(number: Option<u64>) -> Self {
        Self(number)
    }

    /// The number, or `None` without ASYNC.
    pub fn number(self) -> Option<u64> {
        self.0
    }

    pub(super) fn tag(self) -> Vec<u8> {
        self.0.map(|number| format!("J {number} ").into_bytes()).unwrap_or_default()
    }
}

/// What is remembered of a request until its reply.
enum Pending {
    InitRemote,
    Prepare,
    Transfer(&'static str, Key),
    CheckPresent(Key),
    Remove(Key),
    ExportSupported,
    ImportSupported,
    RemoveDirectory,
    Rename(Key),
    List,
    RetrieveImport,
    ImportKey,
    ListConfigs,
    GetCost,
    GetOrdered,
    GetAvailability,
    GetInfo,
    WhereIs,
    ClaimUrl,
    CheckUrl,
}

/// The kind of answer a question waits for.
enum Expected {
    Value,
    Creds,
    /// So far, with what they are counted as.
    Values(Vec<Vec<u8>>, usize),
}

/// A request that was given to the driver and not replied to yet.
pub(super) struct Running {
    pending: Pending,
    expected: Option<Expected>,
}

impl Running {
    pub(super) fn new(request: &Request) -> Self {
        let pending = match request {
            Request::InitRemote => Pending::InitRemote,
            Request::Prepare => Pending::Prepare,
            Request::Store { key, .. } => Pending::Transfer("STORE", key.clone()),
            Request::Retrieve { key, .. } => Pending::Transfer("RETRIEVE", key.clone()),
            Request::CheckPresent { key } => Pending::CheckPresent(key.clone()),
            Request::Remove { key } => Pending::Remove(key.clone()),
            Request::StoreExport { key, .. } => Pending::Transfer("STORE", key.clone()),
            Request::RetrieveExport { key, .. } => Pending::Transfer("RETRIEVE", key.clone()),
            Request::CheckPresentExport { key, .. } | Request::CheckPresentImport { key, .. } => {
                Pending::CheckPresent(key.clone())
            }
            Request::RemoveExport { key, .. } => Pending::Remove(key.clone()),
            Request::ExportSupported => Pending::ExportSupported,
            Request::ImportSupported => Pending::ImportSupported,
            Request::RemoveExportDirectory { .. } => Pending::RemoveDirectory,
            Request::RenameExport { key, .. } => Pending::Rename(key.clone()),
            Request::ListImportable => Pending::List,
            Request::RetrieveImport { .. } => Pending::RetrieveImport,
            Request::ImportKey { .. } => Pending::ImportKey,
            Request::ListConfigs => Pending::ListConfigs,
            Request::GetCost => Pending::GetCost,
            Request::GetOrdered => Pending::GetOrdered,
            Request::GetAvailability => Pending::GetAvailability,
            Request::GetInfo => Pending::GetInfo,
            Request::WhereIs { .. } => Pending::WhereIs,
            Request::ClaimUrl { .. } => Pending::ClaimUrl,
            Request::CheckUrl { .. } => Pending::CheckUrl,
        };
        Self { pending, expected: None }
    }

    pub(super) fn is_transfer(&self) -> bool {
        matches!(self.pending, Pending::Transfer(..) | Pending::RetrieveImport)
    }

    pub(super) fn is_listing(&self) -> bool {
        matches!(self.pending, Pending::List)
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.expected.is_some()
    }

    pub(super) fn expect(&mut self, query: &Query) {
        self.expected = Some(match query {
            Query::GetCreds(_) => Expected::Creds,
            Query::GetUrls { .. } => Expected::Values(Vec::new(), 0),
            _ => Expected::Value,
        });
    }

    /// A VALUE arrived. `Err` when none was asked for, `Ok(None)` when more values follow.
    pub(super) fn value(&mut self, value: Vec<u8>) -> Result<Option<Answer>, ()> {
        match self.expected.take() {
            Some(Expected::Value) => Ok(Some(Answer::Value(value))),
            Some(Expected::Values(values, _)) if value.is_empty() => Ok(Some(Answer::Values(values))),
            Some(Expected::Values(mut values, held)) => {
                let held = held + PLACE + value.len();
                values.push(value);
                self.expected = Some(Expected::Values(values, held));
                Ok(None)
            }
            Some(Expected::Creds) | None => Err(()),
        }
    }

    /// CREDS arrived. `Err` when they were not asked for.
    pub(super) fn creds(&mut self, user: Vec<u8>, password: Secret) -> Result<Answer, ()> {
        match self.expected.take() {
            Some(Expected::Creds) => Ok(Answer::Creds { user, password }),
            _ => Err(()),
        }
    }

    /// Bytes this request makes the session remember, a constant for its place in the table included.
    pub(super) fn held(&self) -> usize {
        let key = match &self.pending {
            Pending::Transfer(_, key) | Pending::CheckPresent(key) | Pending::Remove(key) | Pending::Rename(key) => {
                key.as_bytes().len()
            }
            _ => 0,
        };
        let values = match &self.expected {
            Some(Expected::Values(_, held)) => *held,
            _ => 0,
        };
        PLACE + key + values
    }

    /// Writes the reply, if it belongs to the request.
    pub(super) fn write(&self, reply: &Reply, negotiated: Extensions, message: &mut Message) -> Result<(), Misuse> {
        match (&self.pending, reply) {
            (Pending::InitRemote, Reply::Success) => message.line("INITREMOTE-SUCCESS", &[]),
            (Pending::InitRemote, Reply::Failure(why)) => message.line("INITREMOTE-FAILURE", &[Param::text(why)]),
            (Pending::Prepare, Reply::Success) => message.line("PREPARE-SUCCESS", &[]),
            (Pending::Prepare, Reply::Failure(why)) => message.line("PREPARE-FAILURE", &[Param::text(why)]),
            (Pending::Transfer(direction, key), Reply::Success) => {
                message.line("TRANSFER-SUCCESS", &[Param::word(direction), Param::key(key)]);
            }
            (Pending::Transfer(direction, key), Reply::Failure(why)) => {
                message.line("TRANSFER-FAILURE", &[Param::word(direction), Param::key(key), Param::text(why)]);
            }
            (Pending::CheckPresent(key), Reply::Present) => message.line("CHECKPRESENT-SUCCESS", &[Param::key(key)]),
            (Pending::CheckPresent(key), Reply::Absent) => message.line("CHECKPRESENT-FAILURE", &[Param::key(key)]),
            (Pending::CheckPresent(key), Reply::Unknown(why)) => {
                message.line("CHECKPRESENT-UNKNOWN", &[Param::key(key), Param::text(why)]);
            }
            (Pending::Remove(key), Reply::Success) => message.line("REMOVE-SUCCESS", &[Param::key(key)]),
            (Pending::Remove(key), Reply::Failure(why)) => {
                message.line("REMOVE-FAILURE", &[Param::key(key), Param::text(why)]);
            }
            (
                Pending::ExportSupported
                | Pending::ImportSupported
                | Pending::RemoveDirectory
                | Pending::Rename(_)
                | Pending::List
                | Pending::RetrieveImport
                | Pending::ImportKey,
                reply,
            ) if *reply != Reply::Unsupported => return self.write_tree(reply, message),
            (Pending::ListConfigs, Reply::Configs(configs)) => {
                for (name, description) in configs {
                    message.line("CONFIG", &[Param::setting(name)?, Param::text(description)]);
                }
                message.line("CONFIGEND", &[]);
            }
            (Pending::GetCost, Reply::Cost(cost)) => message.line("COST", &[Param::number(u64::from(*cost))]),
            (Pending::GetOrdered, Reply::Ordered(true)) => message.line("ORDERED", &[]),
            (Pending::GetOrdered, Reply::Ordered(false)) => message.line("UNORDERED", &[]),
            (Pending::GetAvailability, Reply::Availability(availability)) => {
                message.line("AVAILABILITY", &[Param::word(availability_word(*availability, negotiated))]);
            }
            (Pending::GetInfo, Reply::Info(fields)) => {
                for (name, value) in fields {
                    message.line("INFOFIELD", &[Param::text(name)]);
                    message.line("INFOVALUE", &[Param::text(value)]);
                }
                message.line("INFOEND", &[]);
            }
            (Pending::WhereIs, Reply::WhereIs(Some(place))) => message.line("WHEREIS-SUCCESS", &[Param::text(place)]),
            (Pending::WhereIs, Reply::WhereIs(None)) => message.line("WHEREIS-FAILURE", &[]),
            (Pending::ClaimUrl, Reply::Claim(true)) => message.line("CLAIMURL-SUCCESS", &[]),
            (Pending::ClaimUrl, Reply::Claim(false)) => message.line("CLAIMURL-FAILURE", &[]),
            (Pending::CheckUrl, Reply::UrlContents { size, name }) => {
                message.line("CHECKURL-CONTENTS", &[url_size(*size), Param::value(name)?]);
            }
            (Pending::CheckUrl, Reply::UrlMulti(parts)) if !parts.is_empty() => write_multi(parts, message)?,
            (Pending::CheckUrl, Reply::Failure(why)) => message.line("CHECKURL-FAILURE", &[Param::text(why)]),
            (pending, Reply::Unsupported) if pending.is_optional() => message.line("UNSUPPORTED-REQUEST", &[]),
            _ => return Err(Misuse::WrongReply),
        }
        Ok(())
    }
}

impl Running {
    /// The replies of the export and import interface that are its own.
    fn write_tree(&self, reply: &Reply, message: &mut Message) -> Result<(), Misuse> {
        match (&self.pending, reply) {
            (Pending::ExportSupported, Reply::Supported(true)) => message.line("EXPORTSUPPORTED-SUCCESS", &[]),
            (Pending::ExportSupported, Reply::Supported(false)) => message.line("EXPORTSUPPORTED-FAILURE", &[]),
            (Pending::ImportSupported, Reply::Supported(true)) => message.line("IMPORTSUPPORTED-SUCCESS", &[]),
            (Pending::ImportSupported, Reply::Supported(false)) => message.line("IMPORTSUPPORTED-FAILURE", &[]),
            (Pending::RemoveDirectory, Reply::Success) => message.line("REMOVEEXPORTDIRECTORY-SUCCESS", &[]),
            (Pending::RemoveDirectory, Reply::Failure(_)) => message.line("REMOVEEXPORTDIRECTORY-FAILURE", &[]),
            (Pending::Rename(key), Reply::Success) => message.line("RENAMEEXPORT-SUCCESS", &[Param::key(key)]),
            (Pending::Rename(key), Reply::Failure(_)) => message.line("RENAMEEXPORT-FAILURE", &[Param::key(key)]),
            (Pending::List, Reply::Success) => message.line("LISTIMPORTABLECONTENTS-SUCCESS", &[]),
            (Pending::List, Reply::Failure(why)) => message.line("LISTIMPORTABLECONTENTS-FAILURE", &[Param::text(why)]),
            (Pending::RetrieveImport, Reply::Success) => message.line("RETRIEVEIMPORT-SUCCESS", &[]),
            (Pending::RetrieveImport, Reply::Failure(why)) => {
                message.line("RETRIEVEIMPORT-FAILURE", &[Param::text(why)]);
            }
            (Pending::ImportKey, Reply::Key(key)) => message.line("IMPORTKEY-SUCCESS", &[Param::key(key)]),
            (Pending::ImportKey, Reply::Skip) => message.line("IMPORTKEY-SKIP", &[]),
            (Pending::ImportKey, Reply::Failure(why)) => message.line("IMPORTKEY-FAILURE", &[Param::text(why)]),
            _ => return Err(Misuse::WrongReply),
        }
        Ok(())
    }
}

/// What an entry of a table takes beside its bytes, roughly.
pub(super) const PLACE: usize = 128;

impl Pending {
    fn is_optional(&self) -> bool {
        match self {
            Pending::InitRemote
            | Pending::Prepare
            | Pending::Transfer(..)
            | Pending::CheckPresent(_)
            | Pending::Remove(_) => false,
            Pending::ExportSupported
            | Pending::ImportSupported
            | Pending::RemoveDirectory
            | Pending::Rename(_)
            | Pending::List
            | Pending::RetrieveImport
            | Pending::ImportKey
            | Pending::ListConfigs
            | Pending::GetCost
            | Pending::GetOrdered
            | Pending::GetAvailability
            | Pending::GetInfo
            | Pending::WhereIs
            | Pending::ClaimUrl
            | Pending::CheckUrl => true,
        }
    }
}

fn availability_word(availability: Availability, negotiated: Extensions) -> &'static str {
    match availability {
        Availability { now: false, .. } if negotiated.unavailable => "UNAVAILABLE",
        Availability { reach: Reach::Global, .. } => "GLOBAL",
        Availability { reach: Reach::Local, .. } => "LOCAL",
    }
}

fn url_size(size: Option<u64>) -> Param<'static> {
    size.map_or(Param::word("UNKNOWN"), Param::number)
}

fn write_multi(parts: &[UrlPart], message: &mut Message) -> Result<(), Misuse> {
    let mut parameters = Vec::with_capacity(parts.len() * 3);
    for part in parts {
        parameters.extend([Param::inner(&part.url)?, url_size(part.size), Param::inner(&part.name)?]);
    }
    message.line("CHECKURL-MULTI", &parameters);
    Ok(())
}
