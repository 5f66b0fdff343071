//! Proving the bucket at initremote: it exists or is created, belongs to nobody else, and keeps what it is given.

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration, VersioningConfiguration,
};

use super::{Inner, NOBODY, errors};
use crate::retrieve::read_small;
use crate::retry::Backoff;
use crate::sys::chance;
use crate::{Error, Kind, Op, Result};

/// Name of the marker, below the prefix; git-annex's own.
pub(super) const MARKER: &str = "annex-uuid";

/// Bytes of the marker that are looked at.
const MARKER_MAX: usize = 1024;

pub(super) async fn prove(inner: &Inner, owner: &str) -> Result<()> {
    if inner.client.anonymous() {
        // Nobody can write here; that absent things are absent is all that can be asked.
        return nothing_is_everywhere(inner, owner).await;
    }
    if inner.client.is_nobody().await? {
        return is_for_all(inner, owner).await;
    }
    make_bucket(inner).await?;
    nothing_is_everywhere(inner, owner).await?;
    // A tree holds files and nothing else; git-annex's own type leaves no marker in one either.
    if !inner.context.tree {
        claim(inner, owner).await?;
    }
    if inner.config.versioning {
        often(inner, async || turn_versioning_on(inner).await).await?;
    }
    Ok(())
}

/// One request, tried again as any other.
async fn often<T>(inner: &Inner, mut request: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let mut backoff = Backoff::new(&inner.context);
    loop {
        match request().await {
            Ok(done) => return Ok(done),
            Err(e) => backoff.pause(e).await?,
        }
    }
}

/// Nobody is logged in. Whoever enables a remote that others filled for all may read it; nobody makes one.
async fn is_for_all(inner: &Inner, owner: &str) -> Result<()> {
    let none = || Error::new(Op::Prove, Kind::NoCredentials, NOBODY);
    let refused = |e: Error| match e.kind() {
        Kind::Denied | Kind::WrongKeyId | Kind::NotFound | Kind::NoSuchPlace => none(),
        _ => e,
    };
    match &inner.public {
        Some(public) if inner.context.tree => {
            let nobody = super::public::name(&format!("{}no-such-object-{owner}", inner.config.prefix))?;
            match public.stat(&nobody).await {
                Ok(None) => Ok(()),
                Ok(Some(_)) => Err(Error::new(
                    Op::Prove,
                    Kind::Protocol,
                    "the server at publicurl= has objects that nobody stored",
                )),
                // Who may not list the bucket is denied what is absent.
                Err(e) if e.kind() == Kind::Denied => Ok(()),
                Err(e) => Err(e),
            }
        }
        Some(public) => {
            let name = super::public::name(&format!("{}{MARKER}", inner.config.prefix))?;
            let read = async || read_small(&**public, &name, MARKER_MAX as u64, &inner.context).await;
            let found = often(inner, read).await.map_err(refused)?;
            if String::from_utf8_lossy(&found).trim_end() == owner { Ok(()) } else { Err(none()) }
        }
        None if inner.context.tree => often(inner, async || inner.see_bucket().await).await.map_err(refused),
        None => match often(inner, async || marker(inner).await).await.map_err(refused)? {
            Some(found) if found.trim_end() == owner => Ok(()),
            _ => Err(none()),
        },
    }
}

async fn make_bucket(inner: &Inner) -> Result<()> {
    let bucket = &inner.config.bucket;
    let missing = match often(inner, async || inner.look_for_bucket().await).await {
        Ok(()) => return Ok(()),
        Err(e) => e,
    };
    match missing.kind() {
        Kind::NotFound | Kind::NoSuchPlace => {}
        // Perhaps it is there and may not be asked about; perhaps the keys are wrong. The marker will tell.
        Kind::Denied => return Ok(()),
        _ => return Err(missing),
    }
    let create = async || {
        let region = inner.client.region().name();
        let mut create = inner.client.sdk().await?.create_bucket().bucket(bucket);
        if inner.config.endpoint.is_none() && region != "us-east-1" {
            let place = BucketLocationConstraint::from(region.as_str());
            create = create
                .create_bucket_configuration(CreateBucketConfiguration::builder().location_constraint(place).build());
        }
        match create.send().await {
            Ok(_) => Ok(()),
            // A request of ours that nobody heard the answer to.
            Err(e) if e.code() == Some("BucketAlreadyOwnedByYou") => Ok(()),
            Err(e) => Err(errors::from_sdk(Op::Prove, &e).within(format!("creating bucket {bucket}"))),
        }
    };
    often(inner, create).await
}

/// An endpoint that says 200 to everything (a web console, a login page) would take uploads and keep nothing.
async fn nothing_is_everywhere(inner: &Inner, owner: &str) -> Result<()> {
    let key = format!("{}no-such-object-{owner}-{:016x}", inner.config.prefix, chance());
    match often(inner, async || inner.head(&key).await).await {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(Error::new(
            Op::Prove,
            Kind::Protocol,
            "the endpoint has objects that nobody stored: it is not S3-compatible",
        )),
        // Who may not list the bucket is denied what is absent.
        Err(e) if e.kind() == Kind::Denied => Ok(()),
        Err(e) => Err(e),
    }
}

async fn claim(inner: &Inner, owner: &str) -> Result<()> {
    match often(inner, async || marker(inner).await).await? {
        Some(found) if found.trim_end() == owner => return Ok(()),
        Some(found) => {
            let found: String = found.chars().take(80).collect();
            let detail = format!(
                "the bucket is used by another special remote ({MARKER} there says {found:?}); choose another bucket= or fileprefix="
            );
            return Err(Error::new(Op::Prove, Kind::Option, detail));
        }
        None => {}
    }
    let key = format!("{}{MARKER}", inner.config.prefix);
    let write = async || {
        let body = ByteStream::from(owner.as_bytes().to_vec());
        let put = super::single::request(inner, &key, &inner.client.sdk().await?).body(body);
        put.send().await.map_err(|e| errors::from_sdk(Op::Prove, &e).within("writing the marker"))
    };
    if often(inner, write).await?.e_tag().is_none() {
        return Err(Error::new(
            Op::Prove,
            Kind::Protocol,
            "the endpoint accepts a PUT without an ETag: it is not S3-compatible",
        ));
    }
    match often(inner, async || marker(inner).await).await? {
        Some(found) if found == owner => Ok(()),
        _ => Err(Error::new(Op::Prove, Kind::Protocol, "the bucket gives back other content than was written")),
    }
}

async fn marker(inner: &Inner) -> Result<Option<String>> {
    let sdk = inner.client.sdk().await?;
    let key = format!("{}{MARKER}", inner.config.prefix);
    match sdk.get_object().bucket(&inner.config.bucket).key(key).range("bytes=0-1023").send().await {
        Ok(answer) => {
            let (mut body, mut text) = (answer.body, Vec::new());
            let read = async {
                // Whatever lies there, its beginning tells whether it is ours.
                while text.len() < MARKER_MAX
                    && let Some(block) = body.try_next().await?
                {
                    text.extend_from_slice(&block);
                }
                Ok::<_, aws_sdk_s3::primitives::ByteStreamError>(())
            };
            let late = || Error::new(Op::Prove, Kind::Timeout, "reading the marker took too long");
            let read = tokio::time::timeout(inner.context.idle, read).await.map_err(|_| late())?;
            read.map_err(|e| Error::new(Op::Prove, Kind::Reset, "the marker could not be read").caused_by(e))?;
            text.truncate(MARKER_MAX);
            Ok(Some(String::from_utf8_lossy(&text).into_owned()))
        }
        Err(e) => match errors::from_sdk(Op::Prove, &e) {
            e if e.kind() == Kind::NotFound => Ok(None),
            e => Err(e.within("reading the marker")),
        },
    }
}

async fn turn_versioning_on(inner: &Inner) -> Result<()> {
    let sdk = inner.client.sdk().await?;
    let on = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    sdk.put_bucket_versioning()
        .bucket(&inner.config.bucket)
        .versioning_configuration(on)
        .send()
        .await
        .map(|_| ())
        .map_err(|e| errors::from_sdk(Op::Prove, &e).within("turning versioning on"))
}
