//! Removing an object, and whether that was done.

use std::cell::Cell;

use aws_sdk_s3::error::ProvideErrorMetadata;

use super::answers::Status;
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
            try_remove(inner, key).await
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

async fn try_remove(inner: &Inner, key: &str) -> Result<()> {
    let request = inner.client.sdk().await?.delete_object().bucket(&inner.config.bucket).key(key);
    let status = Status::default();
    match request.customize().interceptor(status.clone()).send().await {
        // S3's own answer, whether or not there was anything.
        Ok(_) if status.get() == 204 => Ok(()),
        // Anything may say 200.
        Ok(_) => match inner.head(key).await? {
            None => Ok(()),
            Some(_) => {
                Err(Error::new(Op::Remove, Kind::Protocol, "the server says that it is removed, and has it still"))
            }
        },
        Err(e) => match errors::from_sdk(Op::Remove, &e) {
            error if error.kind() != Kind::NotFound => Err(error),
            _ if e.code() == Some("NoSuchKey") => Ok(()),
            // A bare 404 may be said of the bucket, and by anything in between.
            _ => inner.see_bucket().await,
        },
    }
}
