//! Uploads that were left by another process, or by this one.

use std::rc::Rc;

use super::parts::{Parts, count};
use super::{Form, StreamPut};
use crate::s3::Inner;
use crate::s3::multipart::{self, Multipart};
use crate::s3::plan::{PART_MAX, PART_MIN, PARTS_MAX};
use crate::{Error, Kind, Mark, ObjectName, Op, Result, Resumption};

/// Takes up an upload, where the server still has what `marks` tell of.
pub(in crate::s3) async fn resume(
    inner: &Rc<Inner>,
    object: &ObjectName,
    key: &str,
    len: u64,
    resumption: &Resumption,
    marks: &[Mark],
) -> Result<Option<StreamPut>> {
    let Some(id) = id(resumption) else { return Ok(None) };
    let size = resumption.step;
    let sound = (PART_MIN..=PART_MAX).contains(&size)
        && len.div_ceil(size) <= PARTS_MAX
        && marks.len() <= count(len, size)
        && marks.iter().zip(1..).all(|(mark, n)| mark.end == (size.saturating_mul(n)).min(len));
    let tags: Option<Vec<String>> = marks.iter().map(|mark| String::from_utf8(mark.tag.clone()).ok()).collect();
    let (true, Some(tags)) = (sound, tags) else { return give_up(inner, key, id).await };
    let upload = Multipart::known(inner, key, id, count(len, size));
    match upload.parts().await {
        Ok(found) if agrees(&found, marks) => {
            let parts = Parts::new(&inner.context, upload, len, size).after(tags);
            let written = marks.last().map_or(0, |mark| mark.end);
            Ok(Some(StreamPut::new(inner, object, len, written, Form::Parts(parts))))
        }
        Ok(_) => give_up(inner, key, id).await,
        Err(e) if e.kind() == Kind::NotFound => Ok(None),
        // It may well be there: this time it cannot be told.
        Err(e) if e.kind().retry() => Err(e),
        Err(_) => give_up(inner, key, id).await,
    }
}

/// Removes what an upload left.
pub(in crate::s3) async fn abandon(inner: &Rc<Inner>, key: &str, resumption: &Resumption) -> Result<()> {
    match id(resumption) {
        Some(id) => multipart::abort(inner, key, id).await,
        None => Err(Error::new(Op::Put, Kind::Option, "this is not the id of an upload")),
    }
}

fn id(resumption: &Resumption) -> Option<&str> {
    let fits = !resumption.token.is_empty() && resumption.token.len() <= Resumption::TOKEN_MAX;
    std::str::from_utf8(&resumption.token).ok().filter(|_| fits)
}

async fn give_up(inner: &Rc<Inner>, key: &str, id: &str) -> Result<Option<StreamPut>> {
    // What stays is what a bucket's rules for unfinished uploads are for.
    let _ = multipart::abort(inner, key, id).await;
    Ok(None)
}

/// Whether the parts that `marks` tell of are there, as they were.
fn agrees(found: &[multipart::Found], marks: &[Mark]) -> bool {
    let mut at = 0;
    marks.iter().zip(1..).all(|(mark, number)| {
        let len = mark.end - at;
        at = mark.end;
        found
            .iter()
            .any(|part| part.number == number && part.len == len && bare(part.tag.as_bytes()) == bare(&mark.tag))
    })
}

/// An ETag without its quotes, which not every server gives everywhere.
fn bare(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"\"").and_then(|tag| tag.strip_suffix(b"\"")).unwrap_or(tag)
}
