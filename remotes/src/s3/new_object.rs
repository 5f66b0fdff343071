//! The headers that each new object gets, in whatever request makes it.

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
