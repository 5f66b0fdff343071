//! The headers that each new object gets, in whatever request makes it.

use std::collections::BTreeMap;

use aws_sdk_s3::types::ObjectCannedAcl;

use super::config::Config;

/// Puts them on a request. The builders of PutObject and CreateMultipartUpload have the same methods, and no trait for them.
macro_rules! new_object {
    ($request:expr, $config:expr) => {{
        let (mut request, config): (_, &$crate::s3::config::Config) = ($request, $config);
        request = request.set_storage_class(config.storage_class.as_deref().map(Into::into));
        request = request.set_tagging(config.tagging.clone());
        if config.public {
            request = request.acl(aws_sdk_s3::types::ObjectCannedAcl::PublicRead);
        }
        for (name, value) in &config.meta {
            request = request.metadata(name, value);
        }
        request
    }};
}

pub(super) use new_object;

/// The same, as the headers they are: name and value. Of two that have one name the last counts.
pub(super) fn headers(config: &Config) -> BTreeMap<String, String> {
    let meta =
        config.meta.iter().map(|(name, value)| (format!("x-amz-meta-{}", name.to_ascii_lowercase()), value.clone()));
    let of_all = [
        ("x-amz-storage-class", config.storage_class.as_deref()),
        ("x-amz-tagging", config.tagging.as_deref()),
        ("x-amz-acl", config.public.then_some(ObjectCannedAcl::PublicRead.as_str())),
    ];
    let of_all = of_all.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?.to_string())));
    meta.chain(of_all).collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};

    use super::*;
    use crate::options::Options;
    use crate::s3::sign::Signer;
    use crate::s3::sign::presigning;

    /// What is signed of a presigned URL, and where it leads.
    fn parts(url: &str) -> (&str, Option<&str>) {
        let (path, query) = url.split_once('?').expect("a query");
        (path, query.split('&').find(|part| part.starts_with("X-Amz-SignedHeaders=")))
    }

    #[test]
    fn a_new_object_has_the_headers_that_the_sdk_gives_it() {
        let keys = Credentials::new("AKIDEXAMPLE", "s/cret+", None, None, "test");
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-central-1"))
            .endpoint_url("http://127.0.0.1:8333")
            .force_path_style(true)
            .credentials_provider(SharedCredentialsProvider::new(keys.clone()))
            .request_checksum_calculation(aws_sdk_s3::config::RequestChecksumCalculation::WhenRequired)
            .build();
        let sdk = aws_sdk_s3::Client::from_conf(config);
        for options in [
            &[][..],
            &[("x-amz-meta", "Colour=blue&two=a=b c&two=last"), ("x-amz-tagging", "a=b&c=d"), ("public", "yes")],
            &[("storageclass", "STANDARD_IA")],
            &[("storageclass", "STANDARD"), ("x-amz-meta", "m=1")],
        ] {
            let mut all = Options::new();
            for (name, value) in [("bucket", "bucket-1"), ("host", "127.0.0.1")].iter().chain(options) {
                all.set(*name, *value);
            }
            let config = Config::parse(&all).expect("good options");
            let put = new_object!(sdk.put_object().bucket("bucket-1").key("a b"), &config);
            let theirs = crate::sys::run(false, put.presigned(presigning().expect("one"))).expect("a runtime");
            let theirs = theirs.expect("signed");
            let expected: BTreeMap<_, _> = theirs.headers().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            let ours = headers(&config);
            assert_eq!(ours, expected, "{options:?}");
            let signer = Signer::new(&keys, "eu-central-1");
            signer.learn("a b", theirs.uri());
            let ours: Vec<_> = ours.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let url = signer.url("PUT", "a b", &ours, SystemTime::now()).expect("signed");
            assert_eq!(parts(&url), parts(theirs.uri()), "{options:?}");
        }
    }
}
