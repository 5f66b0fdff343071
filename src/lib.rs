//! git-annex-remote-stream.

pub mod annex;
pub mod cli;
pub mod proto;
pub mod serve;
