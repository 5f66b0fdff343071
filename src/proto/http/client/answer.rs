//! Answers in JSON. Fields that are not known are passed over, and those of newer versions may be missing.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::name::Uuid;

/// Longest body of an answer taken, in bytes.
pub const LONGEST_BODY: usize = 256 * 1024;

/// The body is not what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadAnswer;

/// What putoffset tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutOffset {
    /// So many bytes are there from an upload that broke off.
    Offset(u64),
    /// The content is there, and in these other repositories.
    AlreadyHave(Vec<Uuid>),
}

/// `{"present":true}`.
///
/// # Errors
///
/// [`BadAnswer`].
pub fn present(body: &[u8]) -> Result<bool, BadAnswer> {
    #[derive(Deserialize)]
    struct Answer {
        present: bool,
    }
    read(body).map(|Answer { present }| present)
}

/// `{"plusuuids":[],"stored":true}`: whether it is stored, and in which others.
///
/// # Errors
///
/// [`BadAnswer`].
pub fn stored(body: &[u8]) -> Result<(bool, Vec<Uuid>), BadAnswer> {
    #[derive(Deserialize)]
    struct Answer {
        stored: bool,
        #[serde(default)]
        plusuuids: Vec<String>,
    }
    read(body).map(|Answer { stored, plusuuids }| (stored, uuids(&plusuuids)))
}

/// `{"plusuuids":[],"removed":true}`: whether it is removed, and from which others.
///
/// # Errors
///
/// [`BadAnswer`].
pub fn removed(body: &[u8]) -> Result<(bool, Vec<Uuid>), BadAnswer> {
    #[derive(Deserialize)]
    struct Answer {
        removed: bool,
        #[serde(default)]
        plusuuids: Vec<String>,
    }
    read(body).map(|Answer { removed, plusuuids }| (removed, uuids(&plusuuids)))
}

/// `{"offset":0}` or `{"alreadyhave":true,"plusuuids":[]}`.
///
/// # Errors
///
/// [`BadAnswer`].
pub fn put_offset(body: &[u8]) -> Result<PutOffset, BadAnswer> {
    #[derive(Deserialize)]
    struct Answer {
        offset: Option<u64>,
        #[serde(default)]
        alreadyhave: bool,
        #[serde(default)]
        plusuuids: Vec<String>,
    }
    match read(body)? {
        Answer { alreadyhave: true, plusuuids, .. } => Ok(PutOffset::AlreadyHave(uuids(&plusuuids))),
        Answer { offset: Some(offset), .. } => Ok(PutOffset::Offset(offset)),
        _ => Err(BadAnswer),
    }
}

/// `{"timestamp":1998}`, in seconds.
///
/// # Errors
///
/// [`BadAnswer`].
pub fn timestamp(body: &[u8]) -> Result<u64, BadAnswer> {
    #[derive(Deserialize)]
    struct Answer {
        timestamp: u64,
    }
    read(body).map(|Answer { timestamp }| timestamp)
}

/// `{"locked":true,"lockid":"..."}`: the name of the lock, none where it is not locked.
///
/// # Errors
///
/// [`BadAnswer`].
pub fn locked(body: &[u8]) -> Result<Option<Vec<u8>>, BadAnswer> {
    #[derive(Deserialize)]
    struct Answer {
        locked: bool,
        lockid: Option<String>,
    }
    match read(body)? {
        Answer { locked: false, .. } => Ok(None),
        Answer { lockid: Some(id), .. } if !id.is_empty() => Ok(Some(id.into_bytes())),
        _ => Err(BadAnswer),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, BadAnswer> {
    serde_json::from_slice(body).map_err(|_| BadAnswer)
}

fn uuids(list: &[String]) -> Vec<Uuid> {
    list.iter().filter_map(|uuid| Uuid::parse(uuid.as_bytes()).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_every_version_are_read() {
        let other = || vec![Uuid::parse(b"u1").expect("a uuid")];
        assert_eq!(present(br#"{"present":true}"#), Ok(true));
        assert_eq!(present(b" {\n\"x\": [1, {}], \"present\": false }\n"), Ok(false));
        assert_eq!(stored(br#"{"stored":true}"#), Ok((true, Vec::new())));
        assert_eq!(stored(br#"{"plusuuids":["u1",""],"stored":false}"#), Ok((false, other())));
        assert_eq!(removed(br#"{"removed":true}"#), Ok((true, Vec::new())));
        assert_eq!(removed(br#"{"plusuuids":["u1"],"removed":false}"#), Ok((false, other())));
        assert_eq!(put_offset(br#"{"offset":10}"#), Ok(PutOffset::Offset(10)));
        assert_eq!(put_offset(br#"{"alreadyhave":true}"#), Ok(PutOffset::AlreadyHave(Vec::new())));
        assert_eq!(put_offset(br#"{"alreadyhave":true,"plusuuids":["u1"]}"#), Ok(PutOffset::AlreadyHave(other())));
        assert_eq!(timestamp(br#"{"timestamp":1998}"#), Ok(1998));
        assert_eq!(locked(br#"{"locked":true,"lockid":"a-b"}"#), Ok(Some(b"a-b".to_vec())));
        assert_eq!(locked(br#"{"locked":false}"#), Ok(None));
    }

    #[test]
    fn what_is_no_answer_is_never_taken_for_no() {
        for body in ["", "null", "{}", "true", "[]", "{\"present\":null}", "{\"present\":\"false\"}", "{\"offset\":-1}"]
        {
            let body = body.as_bytes();
            assert_eq!(present(body), Err(BadAnswer));
            assert_eq!(stored(body), Err(BadAnswer));
            assert_eq!(removed(body), Err(BadAnswer));
            assert_eq!(put_offset(body), Err(BadAnswer));
            assert_eq!(timestamp(body), Err(BadAnswer));
            assert_eq!(locked(body), Err(BadAnswer));
        }
        assert_eq!(put_offset(br#"{"alreadyhave":false}"#), Err(BadAnswer));
        assert_eq!(locked(br#"{"locked":true}"#), Err(BadAnswer));
        assert_eq!(locked(br#"{"locked":true,"lockid":""}"#), Err(BadAnswer));
    }
}
