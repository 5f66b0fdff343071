//! The parameters of the API, each with the error git-annex answers when it is missing or wrong.

use std::borrow::Cow;

use annex_types::percent::decode_query;

use super::query::{NotBase64, parameters, unwrapped};
use super::reject::Reject;
use crate::name::{Key, Uuid};
use crate::proto::line::parse_number;

/// The first value of every parameter that is known, raw. Unknown ones are passed over.
#[derive(Default)]
pub struct Params<'a> {
    query: &'a [u8],
    /// `Some(None)`: named without a value.
    key: Option<Option<&'a [u8]>>,
    client: Option<Option<&'a [u8]>>,
    file: Option<Option<&'a [u8]>>,
    offset: Option<Option<&'a [u8]>>,
    timestamp: Option<Option<&'a [u8]>>,
    lockid: Option<Option<&'a [u8]>>,
    data_present: Option<Option<&'a [u8]>>,
    bypass: bool,
}

impl<'a> Params<'a> {
    /// Goes over a query once.
    pub fn scan(query: &'a [u8]) -> Self {
        let mut all = Self { query, ..Self::default() };
        for (name, value) in parameters(query) {
            let slot = match name.as_ref() {
                b"key" => &mut all.key,
                b"clientuuid" => &mut all.client,
                b"associatedfile" => &mut all.file,
                b"offset" => &mut all.offset,
                b"timestamp" => &mut all.timestamp,
                b"lockid" => &mut all.lockid,
                b"data-present" => &mut all.data_present,
                name => {
                    all.bypass |= is_bypass(name);
                    continue;
                }
            };
            slot.get_or_insert(value);
        }
        all
    }

    pub fn key(&self) -> Result<Key, Reject> {
        let raw = required(self.key, "key")?;
        let bytes = unwrapped(decode_query(raw)).map_err(|_| failed("key", base64_error()))?;
        Key::parse(&bytes).map_err(|_| failed("key", "key parse error"))
    }

    pub fn client(&self) -> Result<Uuid, Reject> {
        required(self.client, "clientuuid").and_then(one_client)
    }

    pub fn optional_client(&self) -> Result<Option<Uuid>, Reject> {
        self.client.flatten().map(one_client).transpose()
    }

    pub fn lockid(&self) -> Result<Vec<u8>, Reject> {
        let raw = required(self.lockid, "lockid")?;
        let bytes = unwrapped(decode_query(raw)).map_err(|_| failed("lockid", base64_error()))?;
        // git-annex's word for it, whose lock ids are uuids.
        if bytes.is_empty() { Err(failed("lockid", "empty UUID")) } else { Ok(bytes.into_owned()) }
    }

    pub fn timestamp(&self) -> Result<u64, Reject> {
        let raw = required(self.timestamp, "timestamp")?;
        number(&decode_query(raw)).ok_or_else(|| failed("timestamp", "timestamp parse error"))
    }

    /// 0 where it is not given.
    pub fn offset(&self) -> Result<u64, Reject> {
        match self.offset.flatten() {
            None => Ok(0),
            Some(raw) => number(&decode_query(raw)).ok_or_else(|| failed("offset", "offset parse error")),
        }
    }

    /// `None` where it is not given or empty.
    pub fn file(&self) -> Result<Option<Vec<u8>>, Reject> {
        let Some(raw) = self.file.flatten() else { return Ok(None) };
        let name = unwrapped(decode_query(raw)).map_err(|_| failed("associatedfile", base64_error()))?;
        Ok((!name.is_empty()).then(|| name.into_owned()))
    }

    /// Named without a value it is true.
    pub fn data_present(&self) -> Result<bool, Reject> {
        let Some(raw) = self.data_present else { return Ok(false) };
        let Some(raw) = raw else { return Ok(true) };
        let value = decode_query(raw);
        match value.as_ref() {
            yes if yes.eq_ignore_ascii_case(b"true") => Ok(true),
            no if no.eq_ignore_ascii_case(b"false") => Ok(false),
            other => Err(failed("data-present", &format!("could not parse: `{}'", String::from_utf8_lossy(other)))),
        }
    }

    /// All of them, under both spellings of the name.
    pub fn bypass(&self) -> Result<Vec<Uuid>, Reject> {
        if !self.bypass {
            return Ok(Vec::new());
        }
        let mut uuids = Vec::new();
        let mut errors = Vec::new();
        for (_, value) in parameters(self.query).filter(|(name, _)| is_bypass(name)) {
            match value.map(|raw| uuid(&decode_query(raw))) {
                Some(Ok(uuid)) => uuids.push(uuid),
                Some(Err(error)) => errors.push(error),
                None => {}
            }
        }
        match errors.as_slice() {
            [] => Ok(uuids),
            errors => {
                Err(Reject::bad(format!("Error parsing query parameter(s) bypass failed: {}", errors.join(", "))))
            }
        }
    }
}

/// A uuid, perhaps in brackets.
///
/// # Errors
///
/// Git-annex's words for what is wrong with it.
pub fn uuid(value: &[u8]) -> Result<Uuid, &'static str> {
    let bytes = unwrapped(Cow::Borrowed(value)).map_err(|NotBase64| base64_error())?;
    if bytes.is_empty() {
        return Err("empty UUID");
    }
    Uuid::parse(&bytes).map_err(|_| "not a UUID")
}

/// Digits, and white space around them.
pub fn number(value: &[u8]) -> Option<u64> {
    parse_number(value.trim_ascii())
}

/// What git-annex says of brackets with something else in them.
pub fn base64_error() -> &'static str {
    "unable to base64 decode [] wrapped value"
}

fn is_bypass(name: &[u8]) -> bool {
    matches!(name, b"bypass" | b"bypass[]")
}

fn one_client(raw: &[u8]) -> Result<Uuid, Reject> {
    uuid(&decode_query(raw)).map_err(|error| failed("clientuuid", error))
}

fn required<'a>(value: Option<Option<&'a [u8]>>, name: &str) -> Result<&'a [u8], Reject> {
    value.flatten().ok_or_else(|| Reject::bad(format!("Query parameter {name} is required")))
}

fn failed(name: &str, why: &str) -> Reject {
    Reject::bad(format!("Error parsing query parameter {name} failed: {why}"))
}
