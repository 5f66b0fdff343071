//! The SDK's client, made when it is first needed.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    SharedCredentialsProvider, retry::RetryConfig, timeout, timeout::TimeoutConfig,
};
use aws_sdk_s3::presigning::PresignedRequest;
use aws_smithy_http_client::tls;
use tokio::sync::OnceCell;

use super::answers::Watch;
use super::config::Config;
use super::credentials;
use super::sign::Signer;
use crate::context::{KEEP, MOST_KEPT};
use crate::options::Options;
use crate::{Context, Result};

/// How long a presigned request may be started after it was signed.
pub(super) const PRESIGNED: Duration = Duration::from_secs(3600);

pub(super) struct Client {
    config: Config,
    kept: Option<Credentials>,
    connect: Duration,
    idle: Duration,
    sdk: OnceCell<aws_sdk_s3::Client>,
    /// Signs by itself, where that needs no more than keys that are known.
    signer: Option<Signer>,
}

impl Client {
    pub(super) fn new(config: &Config, options: &Options, context: &Context) -> Result<Self> {
        let kept = credentials::kept(options)?;
        let signer = kept.as_ref().filter(|_| !config.anonymous && config.profile.is_none());
        Ok(Self {
            config: config.clone(),
            connect: context.connect,
            idle: context.idle,
            sdk: OnceCell::new(),
            signer: signer.map(|keys| Signer::new(keys, &config.region)),
            kept,
        })
    }

    /// True where nobody is logged in, so that nothing can be signed or written.
    pub(super) fn anonymous(&self) -> bool {
        self.config.anonymous
    }

    pub(super) async fn sdk(&self) -> Result<&aws_sdk_s3::Client> {
        self.sdk.get_or_try_init(|| self.make()).await
    }

    /// The presigned URL of `key` for `method`, GET or HEAD. `None` where the SDK has to make it; show it to
    /// [`learn`](Self::learn) then.
    pub(super) fn presigned(&self, method: &str, key: &str) -> Option<String> {
        self.signer.as_ref()?.url(method, key, SystemTime::now())
    }

    /// Looks at how the SDK has presigned a request for `key`.
    pub(super) fn learn(&self, key: &str, request: &PresignedRequest) {
        if let Some(signer) = &self.signer {
            signer.learn(key, request.uri());
        }
    }

    async fn make(&self) -> Result<aws_sdk_s3::Client> {
        let config = &self.config;
        let checksums = config.checksums;
        let mut builder = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(config.region.clone()))
            .force_path_style(config.path_style)
            // S3-alikes choke on checksums they were not asked for, and streaming ones cost a second per GiB.
            .request_checksum_calculation(if checksums {
                RequestChecksumCalculation::WhenSupported
            } else {
                RequestChecksumCalculation::WhenRequired
            })
            .response_checksum_validation(if checksums {
                ResponseChecksumValidation::WhenSupported
            } else {
                ResponseChecksumValidation::WhenRequired
            })
            // Retries are ours, so that errors tell the whole story and parts are metered right.
            .retry_config(RetryConfig::disabled())
            .interceptor(Watch { limit: self.idle })
            .timeout_config(limits(self.connect, self.idle).build());
        builder.set_endpoint_url(config.endpoint_url());
        let http = aws_smithy_http_client::Builder::new().pool_idle_timeout(KEEP).pool_max_idle_per_host(MOST_KEPT);
        // Without TLS there is no need to read the system's certificates, which takes milliseconds.
        builder = if config.tls {
            let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
            builder.http_client(http.tls_provider(provider).build_https())
        } else {
            builder.http_client(http.build_http())
        };
        if config.anonymous {
            builder = builder.allow_no_auth();
        } else {
            let provider = match &self.kept {
                Some(keys) if config.profile.is_none() => SharedCredentialsProvider::new(keys.clone()),
                _ => credentials::chain(config.profile.as_deref(), &config.region).await?,
            };
            builder = builder.credentials_provider(provider);
        }
        Ok(aws_sdk_s3::Client::from_conf(builder.build()))
    }
}

/// The head of an answer comes within `idle`; [`Watch`] sees to the rest.
fn limits(connect: Duration, idle: Duration) -> timeout::TimeoutConfigBuilder {
    TimeoutConfig::builder().connect_timeout(connect).read_timeout(idle)
}

/// The limits of a request that the server works on for up to `work`, and may meanwhile send blanks.
pub(super) fn slow(context: &Context, work: Duration) -> aws_sdk_s3::config::Builder {
    let all = context.connect + 2 * context.idle + work;
    let limits = limits(context.connect, context.idle).operation_timeout(all).build();
    aws_sdk_s3::Config::builder().timeout_config(limits)
}

/// The limits of a request that carries a payload: none of the SDK's, which counts the sending as waiting for an answer. See
/// [`super::limit`].
pub(super) fn patient() -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::Config::builder().timeout_config(TimeoutConfig::disabled())
}
