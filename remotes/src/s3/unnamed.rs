//! Uploads whose creator was cut off before recording the id that the server gave.

use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::multipart::{self, Multipart};
use super::{Inner, errors};
use crate::retry::Backoff;
use crate::{Op, Result};

/// Most uploads of one object that are looked for.
const MOST: i32 = 1000;

/// Seconds within which an upload is begun once it was written down that it would be.
const WINDOW: u64 = 600;

/// Seconds after which nobody is at an upload who has stored no part of it.
const OLD: u64 = 24 * 3600;

/// Whose an upload is.
#[derive(Debug, PartialEq, Eq)]
enum Whose {
    /// Nobody's but ours, if it has no parts.
    Ours,
    /// Ours, or somebody's who has just begun.
    Unsure,
    Others,
}

/// Of an upload that the server `began`, for one who was about to begin one at `begun`. All in seconds since 1970.
fn whose(begun: u64, began: Option<u64>, now: u64) -> Whose {
    match began {
        Some(began) if began < begun || began > begun + WINDOW => Whose::Others,
        Some(began) if began + OLD < now => Whose::Ours,
        _ => Whose::Unsure,
    }
}

/// Aborts what was begun for `key` at `begun` and can be nobody else's: such has no parts, since its id was never known to
/// anybody. False where something is left that may be it.
pub(super) async fn abandon(inner: &Rc<Inner>, key: &str, begun: u64) -> Result<bool> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut all = true;
    for (id, began) in unfinished(inner, key).await? {
        match whose(begun, began, now) {
            Whose::Others => {}
            Whose::Unsure => all = false,
            Whose::Ours if Multipart::known(inner, key, &id, 0).parts().await?.is_empty() => {
                multipart::abort(inner, key, &id).await?;
            }
            // Whoever has stored parts knows its id.
            Whose::Ours => {}
        }
    }
    Ok(all)
}

/// The ids of all unfinished uploads of `key`, and when each began. None where the server does not tell of such.
async fn unfinished(inner: &Inner, key: &str) -> Result<Vec<(String, Option<u64>)>> {
    let sdk = inner.client.sdk().await?;
    let mut backoff = Backoff::new(&inner.context);
    let listed = loop {
        let list = sdk.list_multipart_uploads().bucket(&inner.config.bucket).prefix(key).max_uploads(MOST);
        match list.send().await.map_err(|e| errors::from_sdk(Op::Put, &e)) {
            Ok(listed) => break listed,
            Err(e) if e.kind().retry() => backoff.pause(e).await.map_err(|e| e.within("looking for an upload"))?,
            Err(_) => return Ok(Vec::new()),
        }
    };
    let same = listed.uploads().iter().filter(|upload| upload.key() == Some(key));
    let began =
        |upload: &aws_sdk_s3::types::MultipartUpload| upload.initiated().and_then(|at| u64::try_from(at.secs()).ok());
    Ok(same.filter_map(|upload| Some((upload.upload_id()?.to_string(), began(upload)))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_else_can_be_at_is_ours() {
        let begun = 1_000_000;
        for (began, now, expected) in [
            (Some(begun - 1), begun + 2 * OLD, Whose::Others),
            (Some(begun), begun + 1, Whose::Unsure),
            (Some(begun + 5), begun + OLD, Whose::Unsure),
            (Some(begun + 5), begun + 6 + OLD, Whose::Ours),
            (Some(begun + WINDOW + 1), begun + 9 * OLD, Whose::Others),
            (Some(begun + 5), begun - 50, Whose::Unsure),
            (None, begun + 9 * OLD, Whose::Unsure),
        ] {
            assert_eq!(whose(begun, began, now), expected, "{began:?} {now}");
        }
    }
}
