//! The SDK's client, made when it is first needed, and again once the bucket turns out to be in another region.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, ProvideCredentials, RequestChecksumCalculation, ResponseChecksumValidation,
    SharedCredentialsProvider, SharedHttpClient, retry::RetryConfig, timeout, timeout::TimeoutConfig,
};
use aws_sdk_s3::presigning::PresignedRequest;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Connector, tls};

use super::answers::Watch;
use super::config::Config;
use super::keys::Keys;
use super::region::Region;
use super::sign::{Signed, Signer};
use super::{credentials, sign};
use crate::context::{KEEP, MOST_KEPT};
use crate::options::Options;
use crate::site::{Proxy, Site, Whom};
use crate::{Context, Error, Kind, Op, Result};

/// How long nobody stays nobody, where no credentials were found: a server runs for long, and somebody may log in meanwhile.
const NOBODY: Duration = Duration::from_secs(60);

pub(super) struct Client {
    config: Config,
    kept: Option<Credentials>,
    connect: Duration,
    idle: Duration,
    site: Arc<Site>,
    region: Arc<Region>,
    who: RefCell<Option<(Instant, Who)>>,
    /// For the region and whoever asked when it was made.
    sdk: RefCell<Option<(String, bool, aws_sdk_s3::Client)>>,
    /// What is signed with without the SDK.
    keys: Keys,
    /// Signs without the SDK. Made for the region and the keys beside it.
    signer: RefCell<Option<(String, Credentials, Rc<Signer>)>>,
}

/// Who is asking.
#[derive(Clone)]
enum Who {
    /// Somebody who has keys, or can get some.
    Somebody(SharedCredentialsProvider),
    /// Nobody: no credentials are to be found.
    Nobody,
}

impl Client {
    pub(super) fn new(config: &Config, options: &Options, context: &Context) -> Result<Self> {
        Ok(Self {
            config: config.clone(),
            connect: context.connect,
            idle: context.idle,
            site: Arc::clone(&context.site),
            region: Arc::new(Region::new(&config.region)),
            who: RefCell::default(),
            sdk: RefCell::default(),
            keys: Keys::default(),
            signer: RefCell::default(),
            kept: credentials::kept(options)?,
        })
    }

    /// The region of the bucket.
    pub(super) fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// True where nobody is to be logged in, so that nothing can be signed or written.
    pub(super) fn anonymous(&self) -> bool {
        self.config.anonymous
    }

    /// True where nobody is logged in, on purpose or because no credentials are to be found. Takes a second at most.
    pub(super) async fn is_nobody(&self) -> Result<bool> {
        Ok(self.anonymous() || matches!(self.who().await?, Who::Nobody))
    }

    /// True where that is known without asking anybody.
    pub(super) fn is_known_nobody(&self) -> bool {
        self.anonymous() || matches!(&*self.who.borrow(), Some((_, Who::Nobody)))
    }

    async fn who(&self) -> Result<Who> {
        if let Some(keys) = self.kept.as_ref().filter(|_| self.config.profile.is_none()) {
            return Ok(Who::Somebody(SharedCredentialsProvider::new(keys.clone())));
        }
        if self.anonymous() {
            return Ok(Who::Nobody);
        }
        match &*self.who.borrow() {
            Some((_, who @ Who::Somebody(_))) => return Ok(who.clone()),
            Some((since, Who::Nobody)) if since.elapsed() < NOBODY => return Ok(Who::Nobody),
            _ => {}
        }
        // The services of Amazon that give keys are asked over TLS; what is near this computer, over none and by no proxy.
        let proxy = self.site.proxies().to(true, "sts.amazonaws.com", 443).map_err(odd_proxy)?;
        let proxy =
            proxy.map(|proxy| ProxyConfig::https(proxy.url())).transpose().map_err(|e| odd_proxy(e.to_string()))?;
        let context = self.tls("https://sts.amazonaws.com/").await?;
        let http = http_client(Some(context), proxy.unwrap_or_else(ProxyConfig::disabled));
        let chain = credentials::chain(self.config.profile.as_deref(), &self.region.name(), http);
        let who = match chain.provide_credentials().await {
            // Whoever names a profile is not content with nobody.
            Err(CredentialsError::CredentialsNotLoaded(_)) if self.config.profile.is_none() => Who::Nobody,
            // What went wrong otherwise is told when a request needs them.
            _ => Who::Somebody(chain),
        };
        self.who.replace(Some((Instant::now(), who.clone())));
        Ok(who)
    }

    /// The client for the region as it is known now.
    pub(super) async fn sdk(&self) -> Result<aws_sdk_s3::Client> {
        let who = self.who().await?;
        let nobody = matches!(who, Who::Nobody);
        let region = self.region.name();
        if let Some((of, for_nobody, made)) = &*self.sdk.borrow()
            && (of, *for_nobody) == (&region, nobody)
        {
            return Ok(made.clone());
        }
        let made = self.make(&region, who).await?;
        self.sdk.replace(Some((region, nobody, made.clone())));
        Ok(made)
    }

    /// The presigned URL of `key` for `method` with these headers. `None` where the SDK has to make it; show it to
    /// [`learn`](Self::learn) then.
    pub(super) async fn presigned(&self, method: &str, key: &str, headers: &[(&str, &str)]) -> Result<Option<String>> {
        Ok(self.signer().await?.and_then(|signer| signer.url(method, key, headers, SystemTime::now())))
    }

    /// Looks at how the SDK has presigned a request for `key`.
    pub(super) async fn learn(&self, key: &str, request: &PresignedRequest) -> Result<()> {
        if let Some(signer) = self.signer().await? {
            signer.learn(key, request.uri());
        }
        Ok(())
    }

    /// A request for `key` without a payload, signed with headers as the SDK does. `None` where the SDK has to make it.
    pub(super) async fn signed(
        &self,
        method: &str,
        key: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Option<Signed>> {
        let Some(signer) = self.signer().await? else { return Ok(None) };
        if !signer.has_learnt() {
            let request = self.sdk().await?.head_object().bucket(&self.config.bucket).key(key);
            // Where that fails, so does the request itself, and says why.
            let Ok(request) = request.presigned(sign::presigning()?).await else { return Ok(None) };
            signer.learn(key, request.uri());
        }
        Ok(signer.request(method, key, headers, SystemTime::now()))
    }

    async fn signer(&self) -> Result<Option<Rc<Signer>>> {
        let Who::Somebody(provider) = self.who().await? else { return Ok(None) };
        let Some(keys) = self.keys.of(&provider).await else { return Ok(None) };
        let region = self.region.name();
        if let Some((for_region, of_keys, signer)) = &*self.signer.borrow()
            && (for_region, of_keys) == (&region, &keys)
        {
            return Ok(Some(Rc::clone(signer)));
        }
        let signer = Rc::new(Signer::new(&keys, &region));
        self.signer.replace(Some((region, keys, Rc::clone(&signer))));
        Ok(Some(signer))
    }

    async fn make(&self, region: &str, who: Who) -> Result<aws_sdk_s3::Client> {
        let config = &self.config;
        let checksums = config.checksums;
        let mut builder = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(aws_sdk_s3::config::Region::new(region.to_string()))
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
            .interceptor(Watch { limit: self.idle, region: Arc::clone(&self.region), signed: region.to_string() })
            .timeout_config(limits(self.connect, self.idle).build());
        builder.set_endpoint_url(config.endpoint_url(region));
        let proxy = self.proxy()?.map(|proxy| ProxyConfig::all(proxy.url())).transpose();
        let proxy = proxy.map_err(|e| odd_proxy(e.to_string()))?.unwrap_or_else(ProxyConfig::disabled);
        // Without TLS there is no need to read the system's certificates, which takes milliseconds.
        let context = if config.tls { Some(self.tls(&config.url(region)).await?) } else { None };
        builder = builder.http_client(http_client(context, proxy));
        builder = match who {
            Who::Somebody(provider) => builder.credentials_provider(provider),
            Who::Nobody => builder.allow_no_auth(),
        };
        Ok(aws_sdk_s3::Client::from_conf(builder.build()))
    }

    /// The proxy that the bucket is reached by.
    pub(super) fn proxy(&self) -> Result<Option<Proxy>> {
        let (host, port) = self.config.address(&self.region.name());
        self.site.proxies().to(self.config.tls, &host, port).map_err(odd_proxy)
    }

    /// Whom to trust at `url`.
    async fn tls(&self, url: &str) -> Result<tls::TlsContext> {
        let (site, url) = (Arc::clone(&self.site), url.to_string());
        let read =
            tokio::task::spawn_blocking(move || site.bundle(Whom::Aws, &url).map(|bundle| bundle.read()).transpose());
        let odd = |e: &dyn std::fmt::Display| Error::new(Op::Open, Kind::Tls, e.to_string());
        let bundle = read.await.map_err(|e| odd(&e))?.map_err(|e| odd(&e))?;
        let store = match bundle {
            Some(pem) => tls::TrustStore::empty().with_pem_certificate(pem),
            None => tls::TrustStore::default(),
        };
        tls::TlsContext::builder().with_trust_store(store).build().map_err(|e| odd(&e))
    }
}

fn odd_proxy(why: String) -> Error {
    Error::new(Op::Open, Kind::Option, why)
}

/// An HTTP client of the SDK: with TLS where it is told whom to trust.
fn http_client(context: Option<tls::TlsContext>, proxy: ProxyConfig) -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().build_with_connector_fn(move |settings, components| {
        let mut builder = Connector::builder().proxy_config(proxy.clone());
        builder.set_connector_settings(settings.cloned());
        builder.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        builder.set_pool_idle_timeout(Some(Some(KEEP)));
        builder.set_pool_max_idle_per_host(Some(MOST_KEPT));
        match &context {
            Some(context) => {
                let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
                builder.tls_provider(provider).tls_context(context.clone()).build()
            }
            None => builder.build_http(),
        }
    })
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
