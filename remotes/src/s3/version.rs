//! Objects that were replaced or removed, in buckets that keep them.
//!
//! A version is written `ID#KEY`, as git-annex records it: what S3 calls the version, and the object's key in the bucket.

use aws_sdk_s3::operation::head_object::builders::HeadObjectFluentBuilder;

use super::Inner;
use super::client::Client;
use crate::{Error, Kind, ObjectName, Op, Result};

/// Longest version that is understood, in bytes: S3's ids have 1024 at most, as its keys have.
const LONGEST: usize = 2 * super::KEY_MAX + 1;

/// An object in the bucket: as it is now, or an old version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Of<'a> {
    pub(super) key: &'a str,
    pub(super) version: Option<&'a str>,
}

impl<'a> From<&'a str> for Of<'a> {
    fn from(key: &'a str) -> Self {
        Self { key, version: None }
    }
}

impl Of<'_> {
    /// The presigned URL of it, where that can be made without the SDK.
    pub(super) async fn presigned(&self, client: &Client, method: &str) -> Result<Option<String>> {
        if self.version.is_some() { Ok(None) } else { client.presigned(method, self.key, &[]).await }
    }
}

impl Inner {
    /// A HEAD of it.
    pub(super) async fn request_head(&self, of: Of<'_>) -> Result<HeadObjectFluentBuilder> {
        let request = self.client.sdk().await?.head_object().bucket(&self.config.bucket).key(of.key);
        Ok(request.set_version_id(of.version.map(str::to_string)))
    }

    /// What finds this object later, where the bucket keeps it. What was stored before versioning was turned on is called
    /// `null`, and is no more once it is replaced while versioning is off.
    pub(super) fn version(&self, key: &str, id: Option<&str>) -> Option<String> {
        let id = id.filter(|id| self.config.versioning && !id.is_empty() && !id.contains('#') && *id != "null")?;
        Some(format!("{id}#{key}"))
    }

    /// The object of a version, and what puts its name to errors. Anybody may have written it down, so it may lead nowhere
    /// but to what this store keeps.
    pub(super) fn find<'a>(&self, op: Op, version: &'a str) -> Result<(Of<'a>, impl Fn(Error) -> Error + use<>)> {
        let parsed = version.split_once('#').filter(|(id, _)| !id.is_empty() && version.len() <= LONGEST);
        let found = parsed.and_then(|(id, key)| {
            let name = ObjectName::new(key.strip_prefix(&self.config.prefix)?).ok()?;
            Some((Of { key, version: Some(id) }, self.name(&name)))
        });
        found.ok_or_else(|| Error::new(op, Kind::NotFound, "this is not a version of an object here").on(&self.label))
    }
}
