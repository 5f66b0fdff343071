//! Removing an object, and whether that was done.

use std::cell::Cell;

use aws_sdk_s3::error::ProvideErrorMetadata;

use super::answers::Status;
use super::belief::{Condition, NO_SUCH_TAG, bare};
use super::{Inner, errors};
use crate::retry::Backoff;
use crate::{Error, Kind, Op, Result, Until, late};

/// Removes what is under `key` while there is time; what is absent already is removed. Errors: it may be there.
pub(super) async fn remove(inner: &Inner, key: &str, until: &Until) -> Result<()> {
    let mut backoff = Backoff::new(&inner.context);
    loop {
        let begun = Cell::new(false);
        let request = async {
            begun.set(true);
            try_remove(inner, key, None).await.map(drop)
        };
        match until.within(Op::Remove, request).await {
            Ok(()) => return Ok(()),
            Err(e) => {
                if begun.get() {
                    late::failed(&inner.context, &inner.label, key, &e);
                }
                backoff.pause(e.during(Op::Remove)).await?;
            }
        }
    }
}

/// Removes what is under `key` where it still is what has the ETag `tag`. Where the store honours no such condition, whatever
/// is there. Errors: it may be there.
pub(super) async fn remove_this(inner: &Inner, key: &str, tag: &str) -> Result<()> {
    let condition = &inner.belief.removal;
    inner.belief.forget(key);
    if inner.belief.is_curious(condition) {
        // Where it is removed for this, it was to be removed.
        let tried = try_remove(inner, key, Some(NO_SUCH_TAG)).await;
        let holds = matches!(tried, Ok(Removed::Another));
        condition.set(if holds { Condition::Holds } else { Condition::Ignored });
        match tried {
            Ok(Removed::Gone) => return Ok(()),
            Ok(Removed::Another) => {}
            Err(e) => late::failed(&inner.context, &inner.label, key, &e),
        }
    }
    if condition.get() != Condition::Holds {
        return remove(inner, key, &Until::ever()).await;
    }
    let mut backoff = Backoff::new(&inner.context);
    loop {
        match try_remove(inner, key, Some(tag)).await {
            Ok(Removed::Gone) => return Ok(()),
            Ok(Removed::Another) => break,
            Err(e) => {
                late::failed(&inner.context, &inner.label, key, &e);
                backoff.pause(e.during(Op::Remove)).await?;
            }
        }
    }
    match inner.head(key).await? {
        // A try of which nobody heard did it.
        None => Ok(()),
        Some(stat) if stat.tag.as_deref().map(bare) == Some(bare(tag)) => {
            condition.set(Condition::Ignored);
            remove(inner, key, &Until::ever()).await
        }
        Some(_) => {
            tracing::warn!(target: "remotes", "{}: somebody has put another object at {key}, which stays", inner.label);
            Ok(())
        }
    }
}

/// What became of a removal.
enum Removed {
    Gone,
    /// Nothing was done: what is there does not have the ETag.
    Another,
}

async fn try_remove(inner: &Inner, key: &str, tag: Option<&str>) -> Result<Removed> {
    let request = inner.client.sdk().await?.delete_object().bucket(&inner.config.bucket).key(key);
    let request = request.set_if_match(tag.map(str::to_string));
    let status = Status::default();
    match request.customize().interceptor(status.clone()).send().await {
        // S3's own answer, whether or not there was anything.
        Ok(_) if status.get() == 204 => Ok(Removed::Gone),
        // Anything may say 200.
        Ok(_) => match inner.head(key).await? {
            None => Ok(Removed::Gone),
            Some(_) => Err(Error::new(
                Op::Remove,
                Kind::Protocol,
                "the server says that it removed the object, and still has it",
            )),
        },
        Err(_) if tag.is_some() && matches!(status.get(), 409 | 412) => Ok(Removed::Another),
        Err(e) => match errors::from_sdk(Op::Remove, &e) {
            error if error.kind() != Kind::NotFound => Err(error),
            _ if e.code() == Some("NoSuchKey") => Ok(Removed::Gone),
            // A bare 404 may be said of the bucket, and by anything in between.
            _ => inner.see_bucket().await.map(|()| Removed::Gone),
        },
    }
}
