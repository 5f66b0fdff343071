//! Who is asking: the keys kept by git-annex, or the AWS chain (environment, profile, SSO, web identity, instance metadata).

use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};

use crate::options::Options;
use crate::{Error, Kind, Op, Result};

/// Name under which the caller hands over the access key id it keeps. No option users set.
pub const KEY_ID: &str = "s3creds-access-key-id";
/// Likewise the secret access key.
pub const SECRET: &str = "s3creds-secret-access-key";
/// Likewise the session token of temporary credentials.
pub const TOKEN: &str = "s3creds-session-token";

/// The keys among the options, if the caller keeps any.
pub(super) fn kept(options: &Options) -> Result<Option<Credentials>> {
    let (Some(id), Some(secret)) = (options.text(KEY_ID)?, options.text(SECRET)?) else { return Ok(None) };
    let token = options.text(TOKEN)?.map(str::to_string);
    Ok(Some(Credentials::new(id, secret, token, None, "git-annex")))
}

/// The AWS chain, or one profile of it.
pub(super) async fn chain(profile: Option<&str>, region: &str) -> Result<SharedCredentialsProvider> {
    let mut loader = aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12())
        .region(aws_sdk_s3::config::Region::new(region.to_string()));
    if let Some(profile) = profile {
        loader = loader.profile_name(profile);
    }
    loader.load().await.credentials_provider().ok_or_else(|| {
        Error::new(Op::Open, Kind::NoCredentials, "no credentials: none are kept, and no other source is configured")
    })
}
