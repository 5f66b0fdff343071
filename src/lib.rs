//! git-annex-remote-stream.

pub mod proto;
