//! The options of git-annex's `type=S3`, with their meaning.

use annex_types::size;
use std::fmt::Write as _;

use crate::Result;
use crate::options::{Options, Spec, bad};
use crate::site::split_port;

use super::plan::{PART_MAX, PART_MIN};

/// The options it knows. `x-amz-meta-*` cannot be offered to git-annex, which takes no patterns: `x-amz-meta` holds them all.
pub const OPTIONS: &[Spec] = &[
    Spec::plain("bucket", "s3: name of the bucket (default: made from the remote's name and uuid)"),
    Spec::plain("host", "s3: server, if it is not Amazon's"),
    Spec::plain("port", "s3: port of the server (default: 80 or 443)"),
    Spec::plain("protocol", "s3: http or https (default: https at Amazon and on port 443, http elsewhere)"),
    Spec::plain("region", "s3: region of the bucket"),
    Spec::plain("datacenter", "s3: Amazon's datacenter, as in git-annex: US, EU, us-west-1, ..."),
    Spec::plain("requeststyle", "s3: path, if the server does not know buckets by host name"),
    Spec::plain("fileprefix", "s3: put before the names of all objects, such as foo/"),
    Spec::plain("partsize", "s3: size of the parts of large uploads, 5MiB to 5GiB (default: chosen by length)"),
    Spec::plain("storageclass", "s3: storage class of new objects (default: STANDARD)"),
    Spec::plain("publicurl", "s3: URL below which anyone may read the bucket"),
    Spec::plain("versioning", "s3: yes, if the bucket keeps old versions; nothing can be dropped then"),
    Spec::plain("versions", "s3: the same as versioning, which git-annex does not allow with exporttree=yes"),
    Spec::plain("signature", "s3: v4 (default), or anonymous for a bucket that anyone may read"),
    Spec::plain("public", "s3: yes to give new objects the ACL public-read (deprecated)"),
    Spec::plain("x-amz-meta", "s3: metadata of new objects, as name=value&name=value"),
    Spec::plain("x-amz-tagging", "s3: tags of new objects, as name=value&name=value"),
    Spec::plain("profile", "s3: profile of the AWS configuration files to take credentials from"),
    Spec::plain("checksums", "s3: yes to send and check CRC32 (default: only at Amazon)"),
];

/// Amazon's host, as git-annex writes it where no other is meant.
const AMAZON: &str = "s3.amazonaws.com";

/// A bucket and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Name of the bucket.
    pub bucket: String,
    /// Put before object names.
    pub prefix: String,
    /// Host and port, where it is not Amazon's own.
    pub endpoint: Option<(String, u16)>,
    /// Whether to use TLS.
    pub tls: bool,
    /// Region, for signatures and for new buckets.
    pub region: String,
    /// The bucket is named in the path, not in the host.
    pub path_style: bool,
    /// Size of parts in bytes, where the user chose one.
    pub part_size: Option<u64>,
    /// Storage class of new objects.
    pub storage_class: Option<String>,
    /// Where anyone can read.
    pub publicurl: Option<String>,
    /// Old versions are kept.
    pub versioning: bool,
    /// Nobody is logged in.
    pub anonymous: bool,
    /// New objects get a public-read ACL.
    pub public: bool,
    /// Metadata of new objects.
    pub meta: Vec<(String, String)>,
    /// Tags of new objects, encoded.
    pub tagging: Option<String>,
    /// Profile to take credentials from.
    pub profile: Option<String>,
    /// Send and check CRC32 checksums.
    pub checksums: bool,
}

impl Config {
    /// Makes sense of the options. Errors name the option.
    pub fn parse(options: &Options) -> Result<Self> {
        let text = |name: &str| options.text(name).map(|v| v.map(str::to_string));
        let (host, in_host) = match text("host")? {
            None => (None, None),
            Some(text) => {
                let odd = || bad("host", "is a host name without protocol or path");
                let (host, port) = split_port(&text).ok_or_else(odd)?;
                if host.is_empty() || host.contains(['/', '@', '?', '[', ']']) {
                    return Err(odd());
                }
                (Some(host.to_string()).filter(|host| host != AMAZON), port)
            }
        };
        let port = match (options.number("port", 1..=65535)?.map(|p| p as u16), in_host) {
            (Some(port), Some(other)) if port != other => {
                return Err(bad("port", &format!("is {port}, and host= names port {other}")));
            }
            (port, in_host) => port.or(in_host),
        };
        let tls = match (options.text("protocol")?, port) {
            (Some("http"), _) => false,
            (Some("https"), _) => true,
            (Some(other), _) => return Err(bad("protocol", &format!("is http or https, not {other:?}"))),
            (None, Some(443)) => true,
            (None, _) => host.is_none(),
        };
        let path_style = match options.text("requeststyle")? {
            None => host.as_deref().is_some_and(|h| h.parse::<std::net::IpAddr>().is_ok()),
            Some("path") => true,
            Some("dns" | "virtual") => false,
            Some(other) => return Err(bad("requeststyle", &format!("is path or dns, not {other:?}"))),
        };
        let anonymous = match options.text("signature")? {
            None | Some("v4") => false,
            Some("anonymous") => true,
            Some("v2") => return Err(bad("signature", "v2 is not supported; v4 works wherever v2 does today")),
            Some(other) => return Err(bad("signature", &format!("is v4 or anonymous, not {other:?}"))),
        };
        let part_size = options.size("partsize")?;
        if part_size.is_some_and(|s| !(PART_MIN..=PART_MAX).contains(&s)) {
            return Err(bad("partsize", "is between 5MiB and 5GiB"));
        }
        let default_port = if tls { 443 } else { 80 };
        let bucket = options.required("bucket")?.to_string();
        if bucket.len() < 3 || bucket.contains(['/', '?', '#', ' ', '%']) {
            return Err(bad("bucket", "is not a valid bucket name"));
        }
        Ok(Self {
            bucket,
            prefix: text("fileprefix")?.unwrap_or_default(),
            checksums: options.flag("checksums")?.unwrap_or(host.is_none()),
            endpoint: match (host, port) {
                (Some(host), port) => Some((host, port.unwrap_or(default_port))),
                (None, Some(port)) if port != default_port => Some((AMAZON.into(), port)),
                _ => None,
            },
            tls,
            region: region(options)?,
            path_style,
            part_size,
            storage_class: text("storageclass")?.filter(|c| c != "STANDARD"),
            publicurl: text("publicurl")?,
            versioning: options.flag("versioning")?.unwrap_or(false) | options.flag("versions")?.unwrap_or(false),
            anonymous,
            public: options.flag("public")?.unwrap_or(false),
            meta: options.text("x-amz-meta")?.map(pairs).transpose()?.unwrap_or_default(),
            tagging: text("x-amz-tagging")?,
            profile: text("profile")?,
        })
    }

    /// The endpoint for the SDK, where it is not Amazon's default for the region.
    pub fn endpoint_url(&self, region: &str) -> Option<String> {
        (self.endpoint.is_some() || !self.tls).then(|| self.url(region))
    }

    /// The endpoint as an URL.
    pub(super) fn url(&self, region: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        match &self.endpoint {
            Some((host, port)) => format!("{scheme}://{}:{port}", bracketed(host)),
            None => format!("{scheme}://s3.{region}.amazonaws.com"),
        }
    }

    /// The URL of what is connected to: with the bucket's name, where it is part of the host's.
    pub(super) fn bucket_url(&self, region: &str) -> String {
        let (host, port) = self.address(region);
        format!("{}://{}:{port}/", if self.tls { "https" } else { "http" }, bracketed(&host))
    }

    /// Host and port to connect to.
    pub fn address(&self, region: &str) -> (String, u16) {
        let default = || (format!("s3.{region}.amazonaws.com"), if self.tls { 443 } else { 80 });
        let (host, port) = self.endpoint.clone().unwrap_or_else(default);
        if self.path_style { (host, port) } else { (format!("{}.{host}", self.bucket), port) }
    }

    /// Where anyone can read the object, if there is such a place.
    pub fn public_url(&self, key: &str) -> Option<String> {
        let base = match self.publicurl.as_deref() {
            Some(base) => base.to_string(),
            // Whoever needs no login can follow it.
            None if self.anonymous && self.path_style => format!("{}/{}", self.url(&self.region), self.bucket),
            None if self.anonymous => self.url(&self.region).replacen("://", &format!("://{}.", self.bucket), 1),
            None => return None,
        };
        let slash = if base.ends_with('/') { "" } else { "/" };
        Some(format!("{base}{slash}{}", encode(key)))
    }

    /// What `git annex info` shows.
    pub fn info(&self) -> Vec<(&'static str, String)> {
        let yes = |b| if b { "yes" } else { "no" }.to_string();
        let mut out = vec![
            ("bucket", self.bucket.clone()),
            ("endpoint", self.url(&self.region)),
            ("region", self.region.clone()),
            ("storage class", self.storage_class.clone().unwrap_or_else(|| "STANDARD".into())),
            ("partsize", self.part_size.map_or("chosen by length".into(), size::show)),
            ("versioning", yes(self.versioning)),
            ("public", yes(self.public)),
        ];
        if !self.prefix.is_empty() {
            out.push(("fileprefix", self.prefix.clone()));
        }
        if let Some(url) = &self.publicurl {
            out.push(("publicurl", url.clone()));
        }
        out
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_string() }
}

/// git-annex's names of Amazon's first datacenters, and every region as it is.
fn region(options: &Options) -> Result<String> {
    let from_datacenter = match options.text("datacenter")? {
        None | Some("US" | "us-standard") => "us-east-1",
        Some("EU") => "eu-west-1",
        Some(other) => other,
    };
    Ok(options.text("region")?.unwrap_or(from_datacenter).to_string())
}

fn pairs(text: &str) -> Result<Vec<(String, String)>> {
    text.split('&')
        .map(|pair| {
            let (name, value) = pair.split_once('=').ok_or_else(|| bad("x-amz-meta", "is name=value&name=value"))?;
            let good =
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
            if !good {
                return Err(bad("x-amz-meta", &format!("has a name that is not a valid header name: {name:?}")));
            }
            Ok((name.to_string(), value.to_string()))
        })
        .collect()
}

/// Percent-encodes a key for an URL's path; slashes stay.
pub(super) fn encode(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    for b in key.bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~' | b'/') {
            out.push(char::from(b));
        } else {
            let _ = write!(out, "%{b:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(pairs: &[(&str, &str)]) -> Result<Config> {
        let mut options = Options::new();
        options.set("bucket", "photos");
        for (name, value) in pairs {
            options.set(*name, *value);
        }
        Config::parse(&options)
    }

    #[test]
    fn where_requests_go() {
        let url = |pairs: &[(&str, &str)]| parsed(pairs).expect("good options").endpoint_url("us-east-1");
        assert_eq!(url(&[]), None);
        assert_eq!(url(&[("host", "s3.amazonaws.com")]), None);
        assert_eq!(url(&[("host", "minio.lab")]).as_deref(), Some("http://minio.lab:80"));
        assert_eq!(url(&[("host", "minio.lab"), ("port", "443")]).as_deref(), Some("https://minio.lab:443"));
        assert_eq!(url(&[("host", "m"), ("protocol", "https")]).as_deref(), Some("https://m:443"));
        assert_eq!(url(&[("host", "m"), ("port", "8333")]).as_deref(), Some("http://m:8333"));
        assert_eq!(url(&[("host", "::1"), ("port", "8333")]).as_deref(), Some("http://[::1]:8333"));
        for (host, expected) in [
            ("m:8333", "http://m:8333"),
            ("m:443", "https://m:443"),
            ("127.0.0.1:8333", "http://127.0.0.1:8333"),
            ("[::1]:8333", "http://[::1]:8333"),
            ("[::1]", "http://[::1]:80"),
        ] {
            assert_eq!(url(&[("host", host)]).as_deref(), Some(expected), "{host}");
        }
        assert_eq!(url(&[("host", "m:81"), ("port", "81")]).as_deref(), Some("http://m:81"));
        let address = |pairs: &[(&str, &str)]| parsed(pairs).expect("good options").address("eu-west-1");
        assert_eq!(address(&[("host", "m"), ("port", "80")]), ("photos.m".into(), 80));
        assert_eq!(address(&[]), ("photos.s3.eu-west-1.amazonaws.com".into(), 443));
        assert_eq!(address(&[("protocol", "http")]), ("photos.s3.eu-west-1.amazonaws.com".into(), 80));
        let path = address(&[("host", "127.0.0.1"), ("port", "80")]);
        assert_eq!(path, ("127.0.0.1".into(), 80), "an address can only be asked by path");
    }

    #[test]
    fn regions_have_git_annex_names() {
        let region = |pairs: &[(&str, &str)]| parsed(pairs).expect("good options").region;
        assert_eq!(region(&[]), "us-east-1");
        assert_eq!(region(&[("datacenter", "EU")]), "eu-west-1");
        assert_eq!(region(&[("datacenter", "us-west-2")]), "us-west-2");
        assert_eq!(region(&[("datacenter", "US"), ("region", "garage")]), "garage");
    }

    #[test]
    fn a_bad_option_is_named() {
        for (name, value) in [
            ("protocol", "ftp"),
            ("port", "0"),
            ("requeststyle", "paht"),
            ("signature", "v2"),
            ("partsize", "1MiB"),
            ("host", "http://x"),
            ("host", "x:"),
            ("host", "x:y"),
            ("host", "[::1"),
            ("versioning", "perhaps"),
            ("versions", "perhaps"),
            ("x-amz-meta", "no-value"),
            ("bucket", "a/b"),
        ] {
            let e = parsed(&[(name, value)]).expect_err(name);
            assert!(e.to_string().contains(&format!("{name}=")), "{e}");
        }
    }

    #[test]
    fn two_ports_are_one_too_many() {
        let e = parsed(&[("host", "m:81"), ("port", "82")]).expect_err("which?");
        assert!(e.to_string().contains("port= is 82, and host= names port 81"), "{e}");
    }

    #[test]
    fn whoever_needs_no_login_is_shown_the_way() {
        let url = |pairs: &[(&str, &str)]| parsed(pairs).expect("good options").public_url("a b");
        let anonymous = ("signature", "anonymous");
        assert_eq!(url(&[]), None);
        assert_eq!(url(&[anonymous]).as_deref(), Some("https://photos.s3.us-east-1.amazonaws.com/a%20b"));
        assert_eq!(url(&[anonymous, ("host", "127.0.0.1:81")]).as_deref(), Some("http://127.0.0.1:81/photos/a%20b"));
    }

    #[test]
    fn public_urls_are_encoded_once() {
        let config = parsed(&[("publicurl", "https://pub.example/data")]).expect("good options");
        assert_eq!(config.public_url("a b/ü%.txt").as_deref(), Some("https://pub.example/data/a%20b/%C3%BC%25.txt"));
    }
}
