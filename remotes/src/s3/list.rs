//! The objects of a bucket, as the server lists them.

use std::collections::HashSet;
use std::rc::Rc;

use async_trait::async_trait;

use super::prove::MARKER;
use super::{Inner, errors};
use crate::retry::Backoff;
use crate::{Entry, Error, Kind, Listing, ObjectName, Op, PAGE, Page, Result};

/// Pages without anything that a listing may have in a row: deleted objects make some.
const EMPTY_PAGES: usize = 1000;

/// The keys below a prefix, in the order of the server, a page at a time.
pub(super) struct Pages {
    inner: Rc<Inner>,
    below: String,
    next: Next,
    /// Where pages began, as fingerprints.
    seen: HashSet<u64>,
    /// Pages in a row that had nothing.
    empty: usize,
}

enum Next {
    First,
    After(String),
    End,
}

impl Pages {
    pub(super) fn new(inner: &Rc<Inner>, below: String) -> Self {
        Self { inner: Rc::clone(inner), below, next: Next::First, seen: HashSet::new(), empty: 0 }
    }

    async fn page(&self) -> Result<(Page, Next)> {
        let inner = &self.inner;
        let request = inner.client.sdk().await?.list_objects_v2().bucket(&inner.config.bucket);
        let request = request.max_keys(PAGE as i32).set_prefix((!self.below.is_empty()).then(|| self.below.clone()));
        let request = match &self.next {
            Next::After(token) => request.continuation_token(token),
            Next::First | Next::End => request,
        };
        let answer = request.send().await.map_err(|e| match errors::from_sdk(Op::List, &e) {
            // Nothing was asked for that could be absent, except the bucket.
            e if e.kind() == Kind::NotFound => Error::new(Op::List, Kind::NoSuchPlace, "there is no such bucket"),
            e => e,
        })?;
        let mut page = Page::default();
        for object in answer.contents() {
            let (Some(key), Some(size)) = (object.key(), object.size()) else {
                return Err(Error::new(
                    Op::List,
                    Kind::Protocol,
                    "the server lists something without a name or a length",
                ));
            };
            // Some servers list more than was asked for.
            if !key.starts_with(&self.below) {
                continue;
            }
            let Some(name) = key.strip_prefix(&inner.config.prefix) else { continue };
            // What ends with a slash stands for a directory, as consoles make them.
            if name.is_empty() || name.ends_with('/') || name == MARKER {
                continue;
            }
            match ObjectName::new(name).and_then(|object| object.components().map(|_| ()).map(|()| object)) {
                Ok(name) => page.entries.push(Entry {
                    name,
                    len: u64::try_from(size).unwrap_or(0),
                    tag: object.e_tag().map(str::to_string),
                }),
                Err(why) => page.skipped.push(format!("{name:?}: {why}")),
            }
        }
        let next = match (answer.is_truncated(), answer.next_continuation_token()) {
            (Some(true), Some(token)) => Next::After(token.to_string()),
            (Some(true), None) => {
                return Err(Error::new(
                    Op::List,
                    Kind::Protocol,
                    "the server lists a part without saying how to go on",
                ));
            }
            (None, _) if answer.contents().len() >= PAGE => {
                return Err(Error::new(
                    Op::List,
                    Kind::Protocol,
                    "the server does not say whether there is more to list",
                ));
            }
            _ => Next::End,
        };
        Ok((page, next))
    }
}

#[async_trait(?Send)]
impl Listing for Pages {
    async fn next(&mut self) -> Result<Option<Page>> {
        if let Next::End = self.next {
            return Ok(None);
        }
        let mut backoff = Backoff::new(&self.inner.context);
        loop {
            match self.page().await {
                Ok((page, next)) => {
                    let nothing = page.entries.is_empty() && page.skipped.is_empty();
                    self.empty = if nothing { self.empty + 1 } else { 0 };
                    if let Next::After(after) = &next
                        && (!self.seen.insert(crate::store::tree::fingerprint(after.as_bytes()))
                            || self.empty > EMPTY_PAGES)
                    {
                        let detail = "the server lists the same page again and again";
                        return Err(Error::new(Op::List, Kind::Protocol, detail).on(&self.inner.label));
                    }
                    self.next = next;
                    return Ok(Some(page));
                }
                Err(e) => backoff.pause(e).await.map_err(|e| e.on(&self.inner.label))?,
            }
        }
    }
}
