//! Requests that are not valid calls, and the answers to them.

use std::borrow::Cow;

/// The answer to a request that is no call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// 400, 404, 405 or 406.
    pub status: u16,
    /// The body, byte for byte as git-annex writes it, without a Content-Type.
    pub body: Cow<'static, str>,
}

impl Reject {
    /// 404, which git-annex also takes to mean that it should try an older version of the API.
    pub const NOT_FOUND: Self = Self::new(404, "");
    pub(super) const BAD_VERSION: Self = Self::new(400, "bad version");

    pub(in crate::proto) const fn new(status: u16, body: &'static str) -> Self {
        Self { status, body: Cow::Borrowed(body) }
    }

    pub(super) fn bad(body: impl Into<Cow<'static, str>>) -> Self {
        Self { status: 400, body: body.into() }
    }
}
