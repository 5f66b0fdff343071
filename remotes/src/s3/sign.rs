//! Signatures of requests for objects, made without the SDK's machinery.
//!
//! The SDK takes about 80 µs to presign a request, which is most of what a HEAD costs here, and much more to send one. One
//! request that it has signed shows where the bucket is; further ones are signed alike.

use std::cell::OnceCell;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::presigning::PresigningConfig;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningInstructions,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;

use crate::{Error, Kind, Op, Result};

/// How long a presigned request may be started after it was signed.
pub(super) const PRESIGNED: Duration = Duration::from_secs(3600);

/// The same for the SDK.
pub(super) fn presigning() -> Result<PresigningConfig> {
    PresigningConfig::expires_in(PRESIGNED).map_err(|e| Error::new(Op::Open, Kind::Other, e.to_string()))
}

/// A request that is signed with headers.
#[derive(Debug)]
pub(super) struct Signed {
    /// Its URL.
    pub(super) url: String,
    /// The region that it is signed for.
    pub(super) region: String,
    /// The headers to send beside those that were signed.
    pub(super) headers: Vec<(&'static str, String)>,
}

/// Signs requests for the objects in one bucket.
pub(super) struct Signer {
    identity: Identity,
    region: String,
    /// The URL of the bucket, up to where keys begin.
    base: OnceCell<Option<String>>,
}

impl Signer {
    /// Signs with these keys.
    pub(super) fn new(keys: &aws_sdk_s3::config::Credentials, region: &str) -> Self {
        Self { identity: keys.clone().into(), region: region.into(), base: OnceCell::new() }
    }

    /// Learns from a URL that the SDK has presigned for `key`. Where the two do not look alike, nothing is signed here.
    pub(super) fn learn(&self, key: &str, url: &str) {
        let base = || {
            let path = url.split_once('?').map_or(url, |(path, _)| path);
            Some(path.strip_suffix(&encoded(key))?.to_string())
        };
        self.base.get_or_init(base);
    }

    /// Whether a URL was learnt from, or need not be.
    pub(super) fn has_learnt(&self) -> bool {
        self.base.get().is_some()
    }

    /// The URL of `key` for `method` with these headers, valid from `now` on as long as the SDK's. `None` where the SDK has to
    /// make it.
    pub(super) fn url(&self, method: &str, key: &str, headers: &[(&str, &str)], now: SystemTime) -> Option<String> {
        let mut url = self.plain_url(key)?;
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(PRESIGNED);
        let headers = headers.iter().copied();
        let request = SignableRequest::new(method, &url, headers, SignableBody::UnsignedPayload).ok()?;
        let instructions = self.sign(request, settings, now)?;
        if instructions.headers().next().is_some() {
            return None;
        }
        for (at, (name, value)) in instructions.params().iter().enumerate() {
            url.push(if at == 0 { '?' } else { '&' });
            url.push_str(name);
            url.push('=');
            url.push_str(&encoded_all(value));
        }
        Some(url)
    }

    /// A request without a payload, with these headers, which are signed too. `None` where the SDK has to make it.
    pub(super) fn request(
        &self,
        method: &str,
        key: &str,
        headers: &[(&'static str, &str)],
        now: SystemTime,
    ) -> Option<Signed> {
        let url = self.plain_url(key)?;
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let headers = headers.iter().copied();
        let request = SignableRequest::new(method, &url, headers, SignableBody::Bytes(&[])).ok()?;
        let (headers, params) = self.sign(request, settings, now)?.into_parts();
        let headers = headers.iter().map(|header| (header.name(), header.value().to_string())).collect();
        params.is_empty().then(|| Signed { url, region: self.region.clone(), headers })
    }

    fn plain_url(&self, key: &str) -> Option<String> {
        Some(format!("{}{}", self.base.get()?.as_ref()?, encoded(key)))
    }

    fn sign(
        &self,
        request: SignableRequest<'_>,
        mut settings: SigningSettings,
        now: SystemTime,
    ) -> Option<SigningInstructions> {
        // S3 signs a path as it is, encoded once.
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let params = v4::SigningParams::builder()
            .identity(&self.identity)
            .region(&self.region)
            .name("s3")
            .time(now)
            .settings(settings)
            .build()
            .ok()?
            .into();
        Some(sign(request, &params).ok()?.into_parts().0)
    }
}

/// A key in a path, as S3 encodes it.
fn encoded(key: &str) -> String {
    encode(key, b"-._~/")
}

fn encoded_all(value: &str) -> String {
    encode(value, b"-._~")
}

fn encode(text: &str, plain: &[u8]) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_sdk_s3::config::{BehaviorVersion, Config, Credentials, Region, SharedCredentialsProvider};

    use super::*;

    fn names_of(url: &str) -> Vec<&str> {
        let query = url.split_once('?').expect("a query").1;
        let mut names: Vec<&str> = query.split('&').filter(|part| !part.starts_with("x-id=")).collect();
        names.sort_unstable();
        names
    }

    /// The SDK adds `x-id=` to some requests, which is signed too; all else, down to the signature, is the same.
    #[test]
    fn a_url_is_signed_as_the_sdk_signs_it() {
        let keys =
            |token: Option<&str>| Credentials::new("AKIDEXAMPLE", "s/cret+", token.map(str::to_string), None, "test");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (endpoint, path_style, token) in [
            ("http://127.0.0.1:8333", true, None),
            ("http://s3.example.org", false, None),
            ("http://s3.example.org:80", true, Some("to/ken+=")),
        ] {
            let config = Config::builder()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .region(Region::new("eu-central-1"))
                .force_path_style(path_style)
                .endpoint_url(endpoint)
                .credentials_provider(SharedCredentialsProvider::new(keys(token)))
                .build();
            let sdk = aws_sdk_s3::Client::from_conf(config);
            let signer = Signer::new(&keys(token), "eu-central-1");
            for key in ["SHA256E-s1--ab.txt", "dir with space/ä+&=%41?#'()*!~", "a//b/../c", "x"] {
                let presigning = PresigningConfig::builder().expires_in(PRESIGNED).start_time(now).build();
                let presigning = presigning.expect("a configuration");
                let request = sdk.head_object().bucket("bucket-1").key(key).presigned(presigning);
                let theirs = crate::sys::run(false, request).expect("a runtime").expect("signed");
                signer.learn(key, theirs.uri());
                let ours = signer.url("HEAD", key, &[], now).expect(key);
                assert_eq!(ours.split_once('?').expect("a query").0, theirs.uri().split_once('?').expect("a query").0);
                assert_eq!(names_of(&ours), names_of(theirs.uri()), "{key}");
            }
        }
    }

    #[test]
    fn nothing_is_signed_where_the_sdk_names_keys_otherwise() {
        let signer = Signer::new(&Credentials::new("a", "b", None, None, "test"), "r");
        assert_eq!(signer.url("GET", "k", &[], SystemTime::UNIX_EPOCH), None);
        signer.learn("a b", "http://h/bucket/a+b?X=1");
        assert_eq!(signer.url("GET", "k", &[], SystemTime::UNIX_EPOCH), None);
    }

    /// The example of a GET in Amazon's description of Signature Version 4.
    #[test]
    fn headers_are_signed_as_amazon_describes_it() {
        let keys = |token: Option<&str>| {
            let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
            Credentials::new("AKIAIOSFODNN7EXAMPLE", secret, token.map(str::to_string), None, "test")
        };
        let signer = Signer::new(&keys(None), "us-east-1");
        assert!(!signer.has_learnt());
        signer.learn("a", "https://examplebucket.s3.amazonaws.com/a?X=1");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        let signed = signer.request("GET", "test.txt", &[("range", "bytes=0-9")], now).expect("signed");
        assert_eq!(signed.url, "https://examplebucket.s3.amazonaws.com/test.txt");
        assert_eq!(signed.region, "us-east-1");
        let header = |signed: &Signed, name| signed.headers.iter().find(|(is, _)| *is == name).map(|(_, v)| v.clone());
        let authorization = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
            SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, \
            Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
        assert_eq!(header(&signed, "authorization").as_deref(), Some(authorization));
        assert_eq!(header(&signed, "x-amz-date").as_deref(), Some("20130524T000000Z"));
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(header(&signed, "x-amz-content-sha256").as_deref(), Some(empty));
        // Temporary keys.
        let signer = Signer::new(&keys(Some("to/ken+=")), "us-east-1");
        signer.learn("a", "https://examplebucket.s3.amazonaws.com/a?X=1");
        let signed = signer.request("GET", "test.txt", &[("if-match", "\"x\"")], now).expect("signed");
        assert_eq!(header(&signed, "x-amz-security-token").as_deref(), Some("to/ken+="));
        let names = "SignedHeaders=host;if-match;x-amz-content-sha256;x-amz-date;x-amz-security-token,";
        assert!(header(&signed, "authorization").is_some_and(|value| value.contains(names)), "{signed:?}");
    }

    #[test]
    fn what_cannot_be_a_header_is_left_to_the_sdk() {
        let signer = Signer::new(&Credentials::new("a", "b", None, None, "test"), "r");
        signer.learn("a", "http://h/bucket/a?X=1");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert!(signer.request("DELETE", "k", &[("if-match", "\"a\"")], now).is_some());
        for odd in ["a\r\nx: y", "a\nb", "\u{0}"] {
            assert!(signer.request("DELETE", "k", &[("if-match", odd)], now).is_none(), "{odd:?}");
        }
    }
}
