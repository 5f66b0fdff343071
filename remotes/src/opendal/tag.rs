//! A tag that changes with the content of an object.

use opendal::Metadata;

/// What changes with the content: an ETag, or else the time of the last change and the length, since some services tell times
/// in seconds (sftp).
pub(super) fn tag(meta: &Metadata) -> Option<String> {
    let time = || meta.last_modified().map(|time| format!("{TIME}{time} {}", meta.content_length()));
    meta.etag().map(str::to_string).or_else(time)
}

/// How a tag begins that is a time, which no request can be made to depend on.
pub(super) const TIME: &str = crate::store::tree::TIME;
