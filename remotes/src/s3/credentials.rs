//! Who is asking: the keys kept by git-annex, or the AWS chain (environment, profile, SSO, web identity, container, instance).

use std::path::Path;
use std::time::Duration;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_s3::config::{Credentials, Region, SharedCredentialsProvider, SharedHttpClient};

use crate::Result;
use crate::options::Options;

/// Name under which the caller hands over the access key id it keeps. No option users set.
pub const KEY_ID: &str = "s3creds-access-key-id";
/// Likewise the secret access key.
pub const SECRET: &str = "s3creds-secret-access-key";
/// Likewise the session token of temporary credentials.
pub const TOKEN: &str = "s3creds-session-token";

/// How long the metadata service of a computer at Amazon is waited for: it is one hop away.
const NEAR: Duration = Duration::from_secs(1);

/// The keys among the options, if the caller keeps any.
pub(super) fn kept(options: &Options) -> Result<Option<Credentials>> {
    let (Some(id), Some(secret)) = (options.text(KEY_ID)?, options.text(SECRET)?) else { return Ok(None) };
    let token = options.text(TOKEN)?.map(str::to_string);
    Ok(Some(Credentials::new(id, secret, token, None, "git-annex")))
}

/// The AWS chain, or one profile of it. The SDK's own chain asks the metadata service wherever it runs, four times over.
pub(super) fn chain(profile: Option<&str>, region: &str, http: SharedHttpClient) -> SharedCredentialsProvider {
    let config =
        ProviderConfig::without_region().with_region(Some(Region::new(region.to_string()))).with_http_client(http);
    let mut profiles = ProfileFileCredentialsProvider::builder().configure(&config);
    if let Some(profile) = profile {
        profiles = profiles.profile_name(profile);
    }
    let mut chain = CredentialsProviderChain::first_try("Environment", EnvironmentVariableCredentialsProvider::new())
        .or_else("Profile", profiles.build())
        .or_else("WebIdentityToken", WebIdentityTokenCredentialsProvider::builder().configure(&config).build())
        .or_else("EcsContainer", EcsCredentialsProvider::builder().configure(&config).build());
    if is_at_amazon() {
        let client = imds::Client::builder().configure(&config).max_attempts(1).operation_timeout(2 * NEAR);
        let client = client.connect_timeout(NEAR).read_timeout(NEAR).build();
        let instance = imds::credentials::ImdsCredentialsProvider::builder().configure(&config).imds_client(client);
        chain = chain.or_else("Ec2InstanceMetadata", Instance(instance.build()));
    }
    SharedCredentialsProvider::new(chain)
}

/// The metadata service of this computer, which is the last to be asked. Whatever it says instead of keys, there are none.
#[derive(Debug)]
struct Instance(imds::credentials::ImdsCredentialsProvider);

impl ProvideCredentials for Instance {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let keys = async { self.0.provide_credentials().await.map_err(CredentialsError::not_loaded) };
        future::ProvideCredentials::new(keys)
    }
}

/// Whether this computer may have a metadata service: it says itself that it is Amazon's, or nothing; or somebody names one.
fn is_at_amazon() -> bool {
    let named = ["AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"];
    named.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
        || says_amazon(Path::new("/sys"))
}

/// As Amazon documents it, read from `sys`.
fn says_amazon(sys: &Path) -> bool {
    const TOLD: &[&str] =
        &["sys_vendor", "bios_vendor", "bios_version", "board_vendor", "product_version", "chassis_vendor"];
    let read = |path: &str| std::fs::read_to_string(sys.join(path)).ok().map(|text| text.to_ascii_lowercase());
    let told: Vec<String> = TOLD.iter().filter_map(|name| read(&format!("class/dmi/id/{name}"))).collect();
    let xen = read("hypervisor/uuid").is_some_and(|id| id.starts_with("ec2"));
    told.is_empty() || xen || told.iter().any(|text| text.contains("amazon"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_computers_of_amazon_are_asked_for_their_metadata() {
        for (files, expected) in [
            (&[][..], true),
            (&[("class/dmi/id/sys_vendor", "Amazon EC2\n")], true),
            (&[("class/dmi/id/sys_vendor", "Xen\n"), ("class/dmi/id/bios_version", "4.11.amazon\n")], true),
            (&[("class/dmi/id/sys_vendor", "Xen\n"), ("hypervisor/uuid", "ec2e1916-9099\n")], true),
            (&[("class/dmi/id/sys_vendor", "LENOVO\n"), ("class/dmi/id/bios_version", "N2IET\n")], false),
            (&[("class/dmi/id/sys_vendor", "QEMU\n")], false),
        ] {
            let sys = tempfile::tempdir().expect("a directory");
            for (path, text) in files {
                let path = sys.path().join(path);
                std::fs::create_dir_all(path.parent().expect("one above")).expect("made");
                std::fs::write(path, text).expect("written");
            }
            assert_eq!(says_amazon(sys.path()), expected, "{files:?}");
        }
    }
}
