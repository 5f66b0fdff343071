//! Removing an object, and checking that it was removed.

use std::cell::Cell;

use aws_sdk_s3::error::ProvideErrorMetadata;

use super::answers::Status;
use super::belief::{Condition, NO_SUCH_TAG, bare};
use super::small::{self, Small};
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

/// What the server said to a removal.
struct Told {
    /// 0 where it said nothing.
    status: u16,
    /// Why it did not, and S3's code for that, which may be empty.
    refusal: Option<(Error, String)>,
}

async fn try_remove(inner: &Inner, key: &str, tag: Option<&str>) -> Result<Removed> {
    let told = match plain(inner, key, tag).await? {
        Some(told) => told,
        None => through_sdk(inner, key, tag).await?,
    };
    match told.refusal {
        // S3's own answer, whether or not there was anything.
        None if told.status == 204 => Ok(Removed::Gone),
        // Anything may say 200.
        None => match inner.head(key).await? {
            None => Ok(Removed::Gone),
            Some(_) => Err(Error::new(
                Op::Remove,
                Kind::Protocol,
                "the server says that it removed the object, and still has it",
            )),
        },
        Some(_) if tag.is_some() && matches!(told.status, 409 | 412) => Ok(Removed::Another),
        Some((error, _)) if error.kind() != Kind::NotFound => Err(error),
        Some((_, code)) if code == "NoSuchKey" => Ok(Removed::Gone),
        // A bare 404 may be said of the bucket, and by anything in between.
        Some(_) => inner.see_bucket().await.map(|()| Removed::Gone),
    }
}

/// On a connection of our own. `None` where only the SDK can ask.
async fn plain(inner: &Inner, key: &str, tag: Option<&str>) -> Result<Option<Told>> {
    let headers: Vec<_> = tag.map(|tag| ("if-match", tag)).into_iter().collect();
    let limit = inner.context.idle;
    let request = Small { op: Op::Remove, method: "DELETE", key, headers: &headers, limit };
    let Some(answer) = inner.send_small(&request).await? else { return Ok(None) };
    let status = answer.status();
    let refusal = match small::told(Op::Remove, "DeleteObject", answer).await {
        Ok(answer) => {
            answer.finish().await;
            None
        }
        Err(refusal) => Some((refusal.error, refusal.code)),
    };
    Ok(Some(Told { status, refusal }))
}

async fn through_sdk(inner: &Inner, key: &str, tag: Option<&str>) -> Result<Told> {
    let request = inner.client.sdk().await?.delete_object().bucket(&inner.config.bucket).key(key);
    let request = request.set_if_match(tag.map(str::to_string));
    let status = Status::default();
    let refusal = match request.customize().interceptor(status.clone()).send().await {
        Ok(_) => None,
        Err(e) => Some((errors::from_sdk(Op::Remove, &e), e.code().unwrap_or_default().to_string())),
    };
    Ok(Told { status: status.get(), refusal })
}
